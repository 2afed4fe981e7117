// The loops around a matrix product and behind it: what all ways of computing
// one share.
#pragma once
#include "passes/kernel/builders/Elementwise.h"
#include "passes/kernel/builders/Product.h"

namespace fulgur {
/// Emits at the kernel's site. Columns are taken in panels of `width`.
struct ProductLoops {
  KernelSite &site;
  Product &product;
  ScheduleAttr schedule;
  Emitter e{site.builder, site.loc};
  int64_t rows = schedule.getTile()[0], vectors = schedule.getTile()[1],
          lanes = schedule.getLanes(), width = vectors * lanes;
  int64_t unroll = schedule.getUnroll(), taskRows = schedule.getGrain();

  llvm::SmallVector<mlir::Value> sizes{};
  Access a{}, out{}, roundedOut{};
  llvm::SmallVector<Access> epilogueInputs{};
  // One task.
  llvm::SmallVector<mlir::Value>
      point{}; ///< the indices of the outer loops; the others are null
  mlir::Value sums{};
  mlir::Value picked{}; ///< the index of b's first dim, where data picks it

  unsigned row() { return product.row(); }
  unsigned column() { return product.column(); }
  unsigned reduction() { return product.reduction(); }
  bool wholePanels() {
    return known(sizes[column()]) && *known(sizes[column()]) % width == 0;
  }
  /// The loop over what data picks.
  unsigned gatherLoop() {
    return llvm::find(product.loops,
                      Product::Loop{unsigned(product.bOperand.dims[0])}) -
           product.loops.begin();
  }

  /// For each dim of an operand the loop that moves it; -1: none.
  llvm::SmallVector<int> loopsOf(const Product::Operand &operand);
  /// The same for b in panels of packed columns, which are one loop more.
  llvm::SmallVector<int> loopsOfPanels();
  /// Sizes of all loops and the accesses of a and the result; b is in `bBuffer`
  /// (null: its sizes are known).
  void accessOperands(mlir::Value bBuffer);
  void accessEpilogue();

  static constexpr int64_t kTaskOperations = 2 << 20; ///< 20 microseconds
  using Task = llvm::function_ref<void(mlir::Value outer, mlir::Value rowFrom,
                                       mlir::Value rowTo, mlir::Value panelFrom,
                                       mlir::Value panelTo)>;
  /// Equal tasks of some rows and panels each; reading a panel costs as much as
  /// computing `rowsOfStream` rows.
  void forTasks(int64_t rowsOfStream, Task task);
  mlir::Value outerPoints(); ///< of the outer loops, how many
  /// Indices of the outer loops from the number of their point.
  void choosePoint(mlir::Value outer);

  /// Where a row of a begins in it, or `count` rows from `row` on.
  mlir::Value positionInA(mlir::Value row);
  llvm::SmallVector<mlir::Value> positionsInA(mlir::Value row, int64_t count);
  mlir::Value onStack(int64_t count, mlir::Type element);
  mlir::Value columnMask(mlir::Value column0, int64_t vector);
  /// The epilogue of `count` rows from `row` on, whose sums begin with row
  /// `sumsFrom` of the buffer.
  void finish(mlir::Value panelIndex, mlir::Value sumsFrom, mlir::Value row,
              mlir::Value count);

  /// The epilogue of the sums of some columns of a row. `done` is an operation
  /// of its body that they are the result of already, or null.
  void finishVector(mlir::Value result, mlir::Value row, mlir::Value column,
                    Columns columns, mlir::Operation *done = nullptr);

private:
  void finishRow(mlir::Value sumsAt, mlir::Value row, mlir::Value column0,
                 bool masked);
  mlir::Value indexOf(unsigned epilogueLoop, int64_t lanes);
};
} // namespace fulgur
