// Extents in the IR: index values that stand at the head of @main, each built once, and the conditions between them.
#pragma once
#include "frontends/onnx/Extent.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Value.h"
#include <set>

namespace fulgur::onnx {

/// The sizes of one model.
class Sizes {
public:
  /// Index arithmetic goes to the start of `entry`.
  explicit Sizes(mlir::Block *entry) : entry(entry), builder(mlir::OpBuilder::atBlockBegin(entry)) {}

  Atoms atoms;

  /// The extent as a value of type index.
  mlir::Value index(const Extent &extent, mlir::Location loc);
  /// Checks the condition a = b before a run, once, and takes it for granted from now on.
  void requireEqual(const Extent &a, const Extent &b, const llvm::Twine &message, mlir::Location loc);
  /// Checks the condition a >= b before a run, unless it is known.
  void requireAtLeast(const Extent &a, const Extent &b, const llvm::Twine &message, mlir::Location loc);

private:
  /// Emits the next operation behind those already there.
  template <typename Op, typename... Args> mlir::Value emit(mlir::Location loc, Args &&...args);
  mlir::Value atom(unsigned id, mlir::Location loc);
  void require(int predicate, const Extent &a, const Extent &b, const llvm::Twine &message, mlir::Location loc);

  mlir::Block *entry;
  mlir::OpBuilder builder;
  std::map<Extent, mlir::Value> values;
  std::set<std::pair<Extent, Extent>> minima;
};

} // namespace fulgur::onnx
