// Products whose sums are so short that storing them, and reading them again
// for the epilogue, would take as long as a good part of the multiplications:
// bfloat16, which one instruction multiplies in pairs. Sums begin with the bias
// then, and the epilogue works on the registers of the tile, whose next sums
// other registers take. Panels are cut so that few of their columns do not
// exist: the last vector may be half a one, which takes half the time.
#include "passes/kernel/builders/Gemm.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kShortSteps = 640;  // of a reduction
constexpr int64_t kManyRows = 10'000; // what is not known is taken for
constexpr int64_t kMostRows[] = {
    0, 8, 8, 8, 6, 5}; // of a tile, for each number of its vectors
} // namespace

bool Gemm::finishesAtOnce() {
  if (blockSteps || !elements.element.isBF16() || elements.parts != 1 ||
      product.epilogueHasFunction())
    return false;
  auto steps = known(sizes[reduction()]);
  return width % lanes != 0 || (steps && *steps <= kShortSteps);
}

static FirstAddition addedToAllRows(Gemm &gemm) {
  return firstAddition(
      gemm.product.epilogue, gemm.epilogueInputs,
      [&](const Access &access) { return !access.steps[gemm.row()]; });
}

void Gemm::beginSums(Value column0, int64_t count,
                     MutableArrayRef<Value> state) {
  auto [add, number] = addedToAllRows(*this);
  if (!add)
    return;
  const Access &access = epilogueInputs[number];
  for (int64_t vector : llvm::seq(vectors)) {
    Value column = e.add(column0, vector * lanes);
    point[this->column()] = column;
    Value mask = wholePanels()
                     ? Value()
                     : e.lanesBelow(e.sub(sizes[this->column()], column),
                                    lanesOf(vector));
    Value begin =
        readColumns(e, access.flat, access.at(e, point),
                    access.steps[this->column()], {lanesOf(vector), mask});
    for (int64_t r : llvm::seq(count))
      state[r * vectors + vector] = begin;
  }
  point[this->column()] = {};
}

void Gemm::finishSums(Value column0, Value row, int64_t count,
                      ArrayRef<Value> state) {
  Operation *add = addedToAllRows(*this).add;
  auto all = [&](bool masked) {
    for (int64_t r : llvm::seq(count))
      for (int64_t vector : llvm::seq(vectors)) {
        Value column = e.add(column0, vector * lanes);
        int64_t count = lanesOf(vector);
        Value mask =
            masked ? e.lanesBelow(e.sub(sizes[this->column()], column), count)
                   : Value();
        finishVector(state[r * vectors + vector], e.add(row, r), column,
                     {count, mask}, add);
      }
  };
  if (wholePanels())
    return all(false);
  e.branch(
      e.less(sizes[column()], e.add(column0, width)), [&] { all(true); },
      [&] { all(false); });
}

bool fulgur::isTileWidth(int64_t width, int64_t lanes) {
  return 2 * width % lanes == 0 && width <= 5 * lanes &&
         (width % lanes != 0 || width == 5 * lanes);
}

int64_t fulgur::rowsOfTile(int64_t width, int64_t lanes) {
  return kMostRows[llvm::divideCeil(width, lanes)];
}

std::pair<int64_t, int64_t>
fulgur::chooseTile(Product &product, const Target &target,
                   std::pair<int64_t, int64_t> plain) {
  int64_t lanes = target.lanes(), half = lanes / 2,
          rowCount = product.size(product.row()).value_or(kManyRows),
          columnCount = *product.size(product.column());
  // Instructions, or what loads and latencies take.
  auto cost = [&](int64_t rows, int64_t width) {
    int64_t vectors = llvm::divideCeil(width, lanes);
    auto tile = [&](int64_t count) {
      return std::max(
                 {double(count * width) / lanes, 6.0, 2.0 * width / lanes}) +
             0.1 * (count + vectors);
    };
    int64_t left = rowCount % rows;
    return llvm::divideCeil(columnCount, width) *
           (rowCount / rows * tile(rows) + (left ? tile(left) : 0));
  };
  std::pair<int64_t, int64_t> best = plain;
  double least = cost(plain.first, plain.second);
  for (int64_t width = half; width <= 5 * lanes; width += half) {
    int64_t most = rowsOfTile(width, lanes);
    for (int64_t rows : {most, most - 1})
      if (rows <= rowCount && cost(rows, width) < 0.99 * least) {
        least = cost(rows, width);
        best = {rows, width};
      }
  }
  return best;
}
