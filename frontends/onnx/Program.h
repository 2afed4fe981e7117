// Straight parts and what stands between them. Most models are one part: a
// function on tensors, planned and run as a whole. Where sizes come out of the
// data, or the graph branches, loops or handles sequences, the part ends, and a
// driver goes on: a function on whole values (!fulgur.value) that runs parts,
// branches and calls the runtime.
#pragma once
#include "dialects/Fulgur.h"
#include "frontends/onnx/Sizes.h"
#include "frontends/onnx/Tensor.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <deque>
#include <set>

namespace fulgur::onnx {

/// The module of one model while it is imported.
class Program {
public:
  Program(mlir::MLIRContext &context, mlir::Location file);

  mlir::OpBuilder builder; ///< appends to the part that is being written
  Sizes sizes;
  mlir::OpBuilder driver; ///< appends to the driver, once there is one

  /// Whether there is a driver.
  bool isSplit() const { return bool(drive); }
  /// From now on there is a driver.
  void split();

  /// Lets `driver` insert at the start of the driver.
  void goToStart() { driver.setInsertionPointToStart(&drive.front()); }

  /// Adds an input of the model; `attributes` describe the port. Where there is
  /// no driver yet, inputs are tensors.
  mlir::Value addInput(mlir::RankedTensorType type,
                       mlir::DictionaryAttr attributes);

  /// The input of the model that an argument of @main or of the driver is.
  struct Input {
    unsigned number;
    mlir::RankedTensorType type;
  };
  std::optional<Input> inputOf(mlir::BlockArgument argument) const;
  /// What an argument of a part stands for: an argument of the driver, or the
  /// value in the part that computes it; null where it is neither.
  mlir::Value sourceOf(mlir::BlockArgument argument) const;

  /// What is known about sizes at one point. What holds inside a branch or a
  /// loop does not hold behind it.
  struct Facts {
    Sizes::Facts sizes;
    std::map<const void *, Shape> elements;
  };
  Facts facts() const { return {sizes.facts(), elements}; }
  /// Ends the part; the next operations go to a new one.
  void cut(mlir::Location loc);
  /// Begins a part inside a region of the driver, right after a cut outside.
  void enter() { open(); }
  /// Ends the last part inside and forgets what held only there.
  void leave(const Facts &outside, mlir::Location loc);
  /// Removes an operation of the driver; the parts inside are never run.
  void discard(mlir::Operation *op);
  /// Whether the value can be used in the part that is being written.
  bool isHere(mlir::Value value) const;
  /// A value of the driver or of another part, as a tensor of this part.
  mlir::Value bring(mlir::Value value, mlir::RankedTensorType type,
                    llvm::ArrayRef<Extent> shape, DType dtype,
                    mlir::Location loc);
  /// A tensor's value in the driver. Ends the part that computes it; `make`
  /// makes the value in the part where it is only known so far.
  mlir::Value valueOf(const Tensor &x, llvm::function_ref<mlir::Value()> make,
                      mlir::Location loc);
  /// Values of this part that are made of known elements.
  mlir::Value &known(const Tensor &x) {
    auto [value, isNew] = current->known.try_emplace(x.identity());
    if (isNew)
      keep(x);
    return value->second;
  }

  /// A symbol that the driver defines here, as the size of a dim or as an
  /// element.
  Extent defineDim(llvm::StringRef hint, mlir::Value value, int64_t axis,
                   mlir::Location loc);
  Extent defineElement(llvm::StringRef hint, mlir::Value value, int64_t element,
                       mlir::Location loc);

  /// The elements of a tensor that have been made sizes.
  std::map<const void *, Shape> elements;
  /// Keeps the tensor alive, and with it its identity.
  void keep(const Tensor &x) { kept.push_back(x); }

  /// Ends the import: `results` are values of @main, or of the driver.
  /// `symbols` describes those that the inputs bring.
  mlir::OwningOpRef<mlir::ModuleOp>
  finish(llvm::ArrayRef<mlir::Value> results,
         llvm::ArrayRef<mlir::DictionaryAttr> ports,
         llvm::SmallVector<mlir::Attribute> symbols, llvm::StringRef model);

private:
  struct Part {
    mlir::ModuleOp module;
    mlir::func::FuncOp main;
    RunOp run; ///< null while the part is being written
    llvm::SmallVector<mlir::Value> inputs, outputs;
    llvm::SmallVector<DType> types;          ///< of the outputs
    llvm::SmallVector<mlir::Value> exported; ///< the outputs in the driver
    llvm::DenseMap<mlir::Value, mlir::Value> local; ///< what was brought here
    std::map<const void *, mlir::Value> known;
  };

  void open();
  Part *partOf(mlir::Value value);
  mlir::Value exportValue(Part &part, mlir::Value value, DType type,
                          mlir::Location loc);
  /// Makes a size that another part computed a symbol; returns its name.
  std::string carry(mlir::Value index, llvm::StringRef name);
  std::string unique(llvm::StringRef hint);
  void dropUnused();
  void close(Part &part);
  void addSymbol(const std::string &name, int64_t min);

  mlir::Location file;
  mlir::OwningOpRef<mlir::ModuleOp> module; ///< of the only part, or of all
  mlir::func::FuncOp drive;
  std::deque<Part> parts; ///< those that are never run among them
  Part *current = nullptr;
  std::vector<mlir::Attribute> defined; ///< symbols that the driver defines
  std::vector<Tensor> kept;
  unsigned names = 0;
};

/// Removes the operations of @main that nothing uses.
void removeDeadOperations(mlir::func::FuncOp main);

} // namespace fulgur::onnx
