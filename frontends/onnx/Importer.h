// One import of a model. Import.cpp walks the graph, Ports.cpp has what goes in
// and comes out.
#pragma once
#include "frontends/onnx/Import.h"
#include "frontends/onnx/Model.h"
#include "frontends/onnx/State.h"
#include "llvm/ADT/StringSet.h"

namespace fulgur::onnx {
/// One import: the module that is built, and what the names of the model stand
/// for so far.
class Importer {
public:
  Importer(std::shared_ptr<const Model> model, const ImportOptions &options,
           mlir::MLIRContext &context,
           const llvm::SmallDenseSet<unsigned> &valued,
           const llvm::StringMap<int64_t> &growing)
      : model(std::move(model)), options(options), valued(valued),
        growing(growing),
        file(mlir::FileLineColLoc::get(&context, this->model->path(), 0, 0)),
        program(context, file) {}

  mlir::OwningOpRef<mlir::ModuleOp> run();
  mlir::Location location() const { return here; }

private:
  /// The names of one graph, inside those of the graphs around it.
  struct Scope {
    Scope *outer = nullptr;
    llvm::StringMap<Tensor> values;
    llvm::StringMap<const ::onnx::TensorProto *> initializers;
    bool holds(llvm::StringRef name) const {
      return values.contains(name) || initializers.contains(name);
    }
  };

  Core core() { return {program.builder, sizes, here, program}; }
  void refuseUnsupported();
  void importInputs();
  void describe(mlir::NamedAttrList &attributes, const Tensor &x);
  Tensor importInput(const ::onnx::ValueInfoProto &input);
  mlir::DenseI64ArrayAttr packedAttr(const Tensor &x);
  mlir::Value packedOutput(llvm::StringRef name, size_t position,
                           const Tensor &x);
  llvm::SmallVector<Tensor> importGraph(const ::onnx::GraphProto &graph,
                                        llvm::ArrayRef<Tensor> in);
  void refuseRank(llvm::StringRef role, llvm::StringRef name, int64_t rank);
  Shape inputShape(const ::onnx::ValueInfoProto &input);
  Extent inputDim(llvm::StringRef input, size_t axis, llvm::StringRef text);
  State *stateOf(llvm::StringRef input);
  Extent capacityOf(llvm::StringRef input, int64_t axis, const Extent &rows);
  void giveRows(const State &state);
  std::optional<Extent> solve(llvm::StringRef name,
                              const ImportOptions::Range &range);
  Tensor storeState(llvm::StringRef output, const Tensor &x);
  void tieExpressions();
  void checkShapes();
  void checkDims();
  void importNode(const ::onnx::NodeProto &node);
  Tensor lookUp(llvm::StringRef name);
  bool isThere(llvm::StringRef name) const {
    for (const Scope *s = scope; s; s = s->outer)
      if (s->holds(name))
        return true;
    return false;
  }
  void importOutputs();
  mlir::ArrayAttr dimTexts(llvm::ArrayRef<Extent> shape,
                           llvm::ArrayRef<std::string> written);
  mlir::Location locationOf(const ::onnx::NodeProto &node);

  std::shared_ptr<const Model> model;
  const ImportOptions &options;
  const llvm::SmallDenseSet<unsigned>
      &valued; ///< inputs whose elements are symbols from the beginning
  const llvm::StringMap<int64_t>
      &growing; ///< inputs that are states with room, and along which axis
  mlir::Location file, here = file;
  Program program;
  Sizes &sizes = program.sizes;
  Scope graph, *scope = &graph;
  llvm::SmallVector<mlir::Value> results;
  llvm::SmallVector<mlir::DictionaryAttr> ports; ///< of the results
  llvm::SmallVector<std::string> symbols;        ///< of the inputs, in order
  llvm::SmallVector<std::string>
      expressions; ///< dims such as "past + sequence",
                   ///< each a symbol by its whole text
  llvm::StringSet<>
      dimNames, ///< symbols that are dims of what the caller passes
      computed; ///< symbols that are no dims of it any more
  std::vector<State> states;
  GrowingStates grown; ///< states that need room
};
} // namespace fulgur::onnx
