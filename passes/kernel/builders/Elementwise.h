// The elementwise part of a kernel on vectors: how its operands are read and
// how its body is computed, lane by lane.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "passes/kernel/builders/Builder.h"
#include "passes/kernel/builders/Emitter.h"

namespace fulgur {
/// A buffer as loops see it: where it is and how far one step of each loop
/// moves in it (null: not at all).
struct Access {
  mlir::Value flat;                     ///< the buffer as one dimension
  llvm::SmallVector<mlir::Value> steps; ///< elements, one per loop
  mlir::Value base{};                   ///< where it begins (null: at 0)

  /// The position for the given indices; a null index counts as 0.
  mlir::Value at(Emitter &e, llvm::ArrayRef<mlir::Value> indices) const;
  /// The same with some loops' indices in place of what `indices` has.
  mlir::Value
  at(Emitter &e, llvm::SmallVector<mlir::Value> indices,
     std::initializer_list<std::pair<unsigned, mlir::Value>> replaced) const {
    for (auto [loop, index] : replaced)
      indices[loop] = index;
    return at(e, indices);
  }
  mlir::Type elementType() const {
    return llvm::cast<mlir::MemRefType>(flat.getType()).getElementType();
  }
};

/// The access of a contiguous `buffer` whose dim p is moved by loop `loops[p]`
/// (-1: it stays at 0), among `count` loops.
Access accessOf(Emitter &e, mlir::Value buffer, llvm::ArrayRef<int> loops,
                unsigned count);

/// The address of an element of so many bytes.
mlir::Value pointerTo(Emitter &e, mlir::Value flat, mlir::Value position,
                      int64_t bytes);

/// Consecutive columns: `lanes` of them, of which those outside `mask` (when it
/// is there) do not exist.
struct Columns {
  int64_t lanes;
  mlir::Value mask;
};

/// Reads the columns from `position` on, `step` elements apart (null: the same
/// element for all of them).
mlir::Value readColumns(Emitter &e, mlir::Value flat, mlir::Value position,
                        mlir::Value step, Columns columns);
/// Writes them.
void writeColumns(Emitter &e, mlir::Value vector, mlir::Value flat,
                  mlir::Value position, mlir::Value step, Columns columns);

/// Asks for `count` columns of what an epilogue writes, and of what it reads,
/// where they lie together and move with the loop over rows.
void prefetchEpilogueOf(Emitter &e, const Access &out,
                        llvm::ArrayRef<Access> inputs,
                        llvm::ArrayRef<mlir::Value> point, unsigned row,
                        unsigned column, int64_t count);

/// The addition that is all an epilogue does with the sums (the input without a
/// buffer), of an f32 from an input that `isFixed`, and that input's number.
struct FirstAddition {
  mlir::Operation *add = nullptr; ///< null: there is none
  unsigned input = 0;
};
FirstAddition firstAddition(mlir::linalg::GenericOp epilogue,
                            llvm::ArrayRef<Access> inputs,
                            llvm::function_ref<bool(const Access &)> isFixed);

/// Whether `op` is all-parallel, has projected maps (with zeros) and a body
/// that computeLanes can compute.
bool isLanewise(mlir::linalg::GenericOp op);
/// Whether computeLanes can compute `body`.
bool isLanewise(mlir::Block &body);

/// For each dim of operand `number` of `op` the loop that moves it, or -1.
llvm::SmallVector<int> loopsOf(mlir::linalg::LinalgOp op, unsigned number);

/// Computes the body of `op` on vectors: `arguments` are the vectors of its
/// inputs, `loopIndex` the vector of a loop's indices. Values from outside of
/// the body are constants or scalar operands of the kernel. An operation of the
/// body may be computed already.
llvm::SmallVector<mlir::Value>
computeLanes(Emitter &e, const KernelSite &site, mlir::linalg::GenericOp op,
             llvm::ArrayRef<mlir::Value> arguments, int64_t lanes,
             llvm::function_ref<mlir::Value(unsigned)> loopIndex,
             std::pair<mlir::Operation *, mlir::Value> computed = {});
/// The same for any body: `lanewise` has the vectors of its arguments and of
/// what is computed already.
llvm::SmallVector<mlir::Value> computeLanes(Emitter &e, const KernelSite &site,
                                            mlir::Block &body,
                                            mlir::IRMapping &lanewise,
                                            int64_t lanes);
} // namespace fulgur
