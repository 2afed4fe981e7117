// States: an input and an output of the model that are one buffer, which the
// caller keeps from run to run, such as the keys and values of earlier tokens.
#pragma once
#include "frontends/onnx/Core.h"
#include "llvm/ADT/StringMap.h"

namespace fulgur::onnx {

/// Outputs have turned out to be longer than the inputs that they are one
/// buffer with: the import starts again, with room in the ports of these
/// inputs, each along one axis.
struct GrowingStates {
  llvm::StringMap<int64_t> axes;
};

/// One such pair of ports.
struct State {
  std::string input, output;
  int64_t position = 0;        ///< of the output among all
  std::optional<int64_t> axis; ///< along which it grows, once that is known
  Tensor port;                 ///< the whole buffer
  Extent rows = 0; ///< along the axis: how much is in use when a run starts
};

/// The pairs that patterns such as {"past.*", "present.*"} name: a `*` stands
/// for the same text on both sides. Whatever does not fit is an error at the
/// model.
std::vector<State>
matchStates(const Core &core,
            llvm::ArrayRef<std::pair<std::string, std::string>> patterns,
            llvm::ArrayRef<std::string> inputs,
            llvm::ArrayRef<std::string> outputs);

/// Whether `x` is the whole buffer of a state, as the run finds it.
bool isBuffer(const Tensor &x);

/// The axis along which the output is longer than the port; none where their
/// shapes are equal.
std::optional<int64_t> growingAxis(const Core &core, const State &state,
                                   const Tensor &output);

/// The port with the output in its first elements; the others stay as they are.
Tensor storeState(const Core &core, const State &state, const Tensor &output);

} // namespace fulgur::onnx
