// What the module says about the model once the pipeline has run: ports,
// symbols, messages, arena and weights.
#pragma once
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"
#include <optional>
#include <string>
#include <vector>

namespace fulgur {

struct ModelInfo {
  struct Dim {
    int64_t value = -1;  ///< -1: depends on the symbols
    int32_t symbol = -1; ///< index of the symbol that this dim is, or -1
    std::string text;    ///< as in the model
  };
  struct Port {
    std::string name; ///< the ONNX name
    int32_t dtype = 0;
    std::vector<Dim> dims;
    bool ranked = true; ///< whether the number of dims is known
    /// Of sequences and optionals: what they hold, one port.
    std::vector<Port> element = {};

    int32_t rank() const {
      return ranked ? static_cast<int32_t>(dims.size()) : -1;
    }
    /// Whether fulgur_run() must allocate it: it is made of many pieces.
    bool isMadeOfPieces() const;
  };
  struct Symbol {
    std::string name;
    int64_t min = 1, max = 1;
    int32_t source = 0;  ///< fulgur_symbol_source
    int32_t input = 0;   ///< of an element of an input: which input, and
    int64_t element = 0; ///< which element
  };
  /// A straight piece of a program (fulgur_part).
  struct Part {
    std::string name;
    std::vector<int32_t> inputs, outputs; ///< slots; -1: none
    std::vector<Port> ports;              ///< of the outputs
    std::vector<std::string> messages;
  };
  /// What makes the model a program (fulgur_program).
  struct Program {
    int32_t slots = 0;
    std::vector<int32_t> outputSlots;
    std::vector<Part> parts;
  };
  /// An input and an output that are one buffer (fulgur_state).
  struct State {
    int32_t input = 0, output = 0;
    int32_t scalesOf = -1; ///< the input whose rows of bytes it has scales of
  };
  struct Weight {
    uint64_t offset = 0; ///< in the segment
    mlir::ElementsAttr value;
  };

  std::string name;
  std::vector<Port> inputs, outputs;
  std::vector<Symbol> symbols;
  std::vector<State> states;
  std::vector<std::string> messages;
  int64_t arenaBytes = 0;      ///< 0: depends on the symbols, if there are any
  std::vector<Weight> weights; ///< ordered by offset, disjoint
  uint64_t weightsBytes = 0;
  std::optional<Program> program;

  bool arenaIsConstant() const { return arenaBytes != 0 || symbols.empty(); }
};

/// Reads the attributes of `module`:
///   fulgur.model = "stem", fulgur.inputs / fulgur.outputs = [{name, dtype,
///   dims = [...], texts = [...], symbols = [...]}], fulgur.symbols = [{name,
///   min, max, and for those that are no dims source, input, element}],
///   fulgur.states = [{input, output}], if there are any, and of scales also
///   scales_of, an input,
///   fulgur.messages = ["..."], fulgur.arena_bytes, fulgur.weights
///   = [{offset, resource}], fulgur.weights_bytes. A port may have a rank (-1:
///   not known) and, of sequences and optionals, an element, which is a port.
/// Programs also: fulgur.slots, fulgur.output_slots = [...], fulgur.parts =
///   [{name, inputs = [...], outputs = [...], ports = [...], messages =
///   [...]}].
/// Emits an error at the module when they do not fit together.
mlir::FailureOr<ModelInfo> readModelInfo(mlir::ModuleOp module);

} // namespace fulgur
