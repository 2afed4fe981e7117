// A matrix product by tiles of rows and panels of columns.
#pragma once
#include "passes/kernel/builders/Multiply.h"
#include "passes/kernel/builders/ProductLoops.h"

namespace fulgur {
struct Gemm : ProductLoops {
  Multiplication elements{product.elementType(), product.unsignedA, lanes,
                          site.target};
  int64_t depth = elements.depth;

  enum class Layout { Packed, OnStack, InPlace };
  Layout layout = Layout::Packed;
  int64_t blockSteps = 0; // of the reduction; 0: it is not cut
  Access b{};
  mlir::Value panel{}; ///< on the stack

  mlir::VectorType vectorType() {
    return mlir::VectorType::get(lanes, elements.sumType());
  }
  /// Of a vector of a tile: the last one may be half a one.
  int64_t lanesOf(int64_t vector) {
    return std::min(lanes, width - vector * lanes);
  }
  Multiplication elementsOf(int64_t vector) {
    Multiplication result = elements;
    result.lanes = lanesOf(vector);
    return result;
  }
  int64_t packWidth() {
    return product.packed ? product.packed.getStaticInnerTiles()[0] : width;
  }
  /// The position in b of `point`.
  mlir::Value positionInB() {
    llvm::SmallVector<mlir::Value> at = point;
    if (picked)
      at[gatherLoop()] = picked;
    return b.at(e, at);
  }
  /// The same of one element.
  mlir::Value positionInB(mlir::Value column, mlir::Value step) {
    point[this->column()] = column, point[reduction()] = step;
    mlir::Value position = positionInB();
    point[this->column()] = point[reduction()] = {};
    return position;
  }

  void build();
  void access();
  void task(mlir::Value outer, mlir::Value rowFrom, mlir::Value rowTo,
            mlir::Value panelFrom, mlir::Value panelTo);
  void panelTask(mlir::Value panelIndex, mlir::Value rowFrom,
                 mlir::Value rowTo);
  void rowTiles(mlir::Value panelIndex, mlir::Value rowFrom, mlir::Value rowTo,
                mlir::Value from, mlir::Value to);
  void tile(mlir::Value panelIndex, mlir::Value rowFrom, mlir::Value row,
            int64_t count, mlir::Value from, mlir::Value to);
  void pack(mlir::Value panelIndex, mlir::Value from, mlir::Value to);
  void packSteps(mlir::Value panelIndex, mlir::Value from, mlir::Value to);
  mlir::Value vectorOfB(mlir::Value base, mlir::Value step, mlir::Value column0,
                        int64_t vector);
  /// Whether the last step of the reduction may be of fewer elements.
  bool hasPartialStep() {
    auto steps = known(sizes[reduction()]);
    return depth > 1 && (!steps || *steps % depth != 0);
  }
  static constexpr int64_t kRowsOfStream =
      4; ///< reading b costs as much as computing this many rows
  /// Whether a tile of `count` rows asks for the next one's rows, so that it
  /// takes its reduction in as many parts as it has rows.
  bool takesNextRows(int64_t count) {
    return count == rows && count >= kRowsOfStream && elements.parts == 1 &&
           known(a.steps[reduction()]) == 1;
  }
  /// Whether a tile and the operands of a step leave room for an epilogue.
  static bool leavesRegisters(const Target &target, int64_t rows,
                              int64_t vectors) {
    constexpr int64_t kOfEpilogue = 6;
    return rows * vectors + vectors + 1 + kOfEpilogue <= target.vectorRegisters;
  }
  /// Whether the epilogue of a tile of `count` rows is computed while the next
  /// tile is, a row between two parts of its reduction. Functions are worth it
  /// even where some of the sums have to leave their registers for them.
  bool finishesLater(int64_t count) {
    if (blockSteps || finishesAtOnce() || !takesNextRows(count))
      return false;
    if (depth == 2)
      return product.epilogueHasFunction();
    return depth == 4 && site.target.vnni && product.epilogueReadsRows() &&
           leavesRegisters(site.target, rows, vectors);
  }
  /// Whether a tile computes for so long that asking for lines meanwhile does
  /// not delay it.
  bool computesForLong() {
    constexpr int64_t kSteps = 256;
    return !finishesAtOnce() || known(sizes[reduction()]).value_or(0) >= kSteps;
  }
  /// Whether sums go to the epilogue in the registers of the tile.
  bool finishesAtOnce();
  /// What sums begin with then: what the epilogue adds to all rows first, or 0.
  void beginSums(mlir::Value column0, int64_t count,
                 llvm::MutableArrayRef<mlir::Value> state);
  void finishSums(mlir::Value column0, mlir::Value row, int64_t count,
                  llvm::ArrayRef<mlir::Value> state);
  struct Prefetch {
    mlir::Value start{};  ///< an element; null: nothing to fetch
    int64_t lines = 0;    ///< per `unroll` steps
    int64_t distance = 0; ///< in elements, of those of the next ones
    unsigned hint = 3;    ///< into which cache: 3 is the first
  };
  static constexpr int64_t kLineBytes = 64; ///< of a cache line
  int64_t lineElements() const { return kLineBytes / elements.storedBytes(); }
  Prefetch prefetchOf(mlir::Value rowFrom, mlir::Value row, mlir::Value bBase,
                      mlir::Value from, mlir::Value to);
  Prefetch streamOf(mlir::Value bBase, mlir::Value from);
  void prefetchEpilogue(mlir::Value panelIndex, mlir::Value row);
  void prefetch(const Prefetch &what, mlir::Value from, mlir::Value step);
};

/// Whether a tile of products that finish at once may have so many columns that
/// tiles of others have not, and its rows then.
bool isTileWidth(int64_t width, int64_t lanes);
int64_t rowsOfTile(int64_t width, int64_t lanes);
/// Rows of a tile and columns of a panel for products of bfloat16 that finish
/// at once: those of `plain`, unless others fit the product's rows and columns
/// better.
std::pair<int64_t, int64_t> chooseTile(Product &product, const Target &target,
                                       std::pair<int64_t, int64_t> plain);

/// The heuristic choice among the schedules of the plain product.
ScheduleAttr schedulePlainProduct(KernelOp kernel, const Target &target);
} // namespace fulgur
