// Short spellings for the index arithmetic, loops and vector accesses that
// builders emit.
#pragma once
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"

namespace fulgur {
/// Emits at an insertion point. Arithmetic on constants is folded, so static
/// shapes leave no trace.
struct Emitter {
  mlir::OpBuilder &builder;
  mlir::Location loc;

  mlir::Value index(int64_t value);
  mlir::Value real(double value,
                   mlir::Type type); ///< a scalar, or every lane of a vector
  mlir::Value integer(int64_t value, mlir::Type type); ///< the same
  mlir::Value zero(mlir::Type type); ///< of any number or vector of numbers
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value add(mlir::Value a, int64_t b) { return add(a, index(b)); }
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, int64_t b) { return mul(a, index(b)); }
  mlir::Value min(mlir::Value a, mlir::Value b);
  mlir::Value max(mlir::Value a, mlir::Value b);
  mlir::Value ceilDiv(mlir::Value a, mlir::Value b);
  mlir::Value floorDiv(mlir::Value a, mlir::Value b);
  mlir::Value remainder(mlir::Value a, mlir::Value b);
  mlir::Value less(mlir::Value a, mlir::Value b);
  mlir::Value dim(mlir::Value memref, unsigned position);

  /// The greater of two floats in one instruction; b when one of them is NaN.
  mlir::Value greater(mlir::Value a, mlir::Value b);
  mlir::Value broadcast(mlir::Value scalar, int64_t lanes);
  /// 0, 1, 2 ... as a vector of `type`.
  mlir::Value iota(int64_t lanes, mlir::Type type);
  /// The mask of the lanes below `count`, which may be negative or more than
  /// there are.
  mlir::Value lanesBelow(mlir::Value count, int64_t lanes);
  /// Sum or maximum of all lanes, in any order.
  mlir::Value reduce(mlir::vector::CombiningKind kind, mlir::Value vector);

  /// Reads before this point come before those behind it in the code as well.
  /// LLVM mixes the reads of a long body, and the processor does not read ahead
  /// of what does not come in the order of memory.
  void inOrder();

  /// The elements of a contiguous memref as one dimension.
  mlir::Value flatten(mlir::Value memref);

  using Body = llvm::function_ref<void(mlir::Value index)>;
  using Reduction = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      mlir::Value index, mlir::ValueRange state)>;
  /// for index in [from, to) by step. Nothing is emitted for a range known to
  /// be empty, no loop for one known step.
  void loop(mlir::Value from, mlir::Value to, int64_t step, Body body);
  /// The same with values carried from step to step; returns the last ones.
  llvm::SmallVector<mlir::Value> loop(mlir::Value from, mlir::Value to,
                                      int64_t step, mlir::ValueRange state,
                                      Reduction body);
  /// The tasks of a kernel: calls of `body` that may run at the same time.
  void parallel(mlir::Value count, Body body);
  using Part = llvm::function_ref<void(mlir::Value from, mlir::Value to)>;
  /// Tasks of about `grain` of [0, count) each: equal parts, and as many as
  /// evenTasks says.
  void share(mlir::Value count, mlir::Value grain, Part body);
  /// Where part `number` of `parts` equal ones of [0, count) begins and ends.
  std::pair<mlir::Value, mlir::Value>
  part(mlir::Value number, mlir::Value count, mlir::Value parts);
  /// From three tasks on the next multiple of four: of five equal tasks one of
  /// two threads has three and the other two, and then waits.
  mlir::Value evenTasks(mlir::Value tasks);
  /// if (condition) then() else otherwise(), decided here when the condition is
  /// known.
  void branch(mlir::Value condition, llvm::function_ref<void()> then,
              llvm::function_ref<void()> otherwise = nullptr);
  /// The body for the number in [from, to) that `value` is; nothing when it is
  /// none of them.
  void choose(mlir::Value value, int64_t from, int64_t to,
              llvm::function_ref<void(int64_t)> body);
};

/// The value of a constant index, if it is one.
std::optional<int64_t> known(mlir::Value value);
} // namespace fulgur
