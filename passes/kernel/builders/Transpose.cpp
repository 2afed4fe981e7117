#include "passes/kernel/builders/Transpose.h"

using namespace mlir;

void fulgur::transposeSquare(Emitter &e, MutableArrayRef<Value> rows) {
  int64_t count = rows.size();
  // Each round swaps the off-diagonal quarters of the blocks of 2 * half.
  for (int64_t half = count / 2; half > 0; half /= 2) {
    SmallVector<int64_t> upper, lower;
    for (int64_t lane : llvm::seq(count)) {
      bool left = !(lane & half);
      upper.push_back(left ? lane : count + lane - half);
      lower.push_back(left ? lane + half : count + lane);
    }
    for (int64_t row : llvm::seq(count)) {
      if (row & half)
        continue;
      Value a = rows[row], b = rows[row + half];
      rows[row] = vector::ShuffleOp::create(e.builder, e.loc, a, b, upper);
      rows[row + half] =
          vector::ShuffleOp::create(e.builder, e.loc, a, b, lower);
    }
  }
}

// Pairs are added until one vector is left. First the quarters of four lanes
// are brought together, then lanes within them, so that every shuffle is one
// cheap instruction of x86.
Value fulgur::sumLanes(Emitter &e, ArrayRef<Value> vectors) {
  int64_t lanes = vectors.size();
  auto add = [&](Value x, Value y, ArrayRef<int64_t> upper,
                 ArrayRef<int64_t> lower) -> Value {
    Value first = vector::ShuffleOp::create(e.builder, e.loc, x, y, upper),
          second = vector::ShuffleOp::create(e.builder, e.loc, x, y, lower);
    if (getElementTypeOrSelf(first.getType()).isInteger())
      return arith::AddIOp::create(e.builder, e.loc, first, second);
    return arith::AddFOp::create(e.builder, e.loc, first, second);
  };
  /// The same lanes of every quarter, from both operands one after the other.
  auto within = [&](Value x, Value y, ArrayRef<int64_t> upper,
                    ArrayRef<int64_t> lower) {
    SmallVector<int64_t> all[2];
    for (int64_t quarter = 0; quarter < lanes; quarter += 4)
      for (auto [mask, part] : {std::pair(&all[0], upper), {&all[1], lower}})
        for (int64_t lane : part) // those from 4 on are the second operand's
          mask->push_back(lane < 4 ? quarter + lane
                                   : lanes + quarter + lane - 4);
    return add(x, y, all[0], all[1]);
  };
  SmallVector<Value> quads;
  for (int64_t lane : llvm::seq<int64_t>(4)) {
    auto vector = [&](int64_t quarter) { return vectors[4 * quarter + lane]; };
    if (lanes == 4) {
      quads.push_back(vector(0));
    } else if (lanes == 8) {
      quads.push_back(add(vector(0), vector(1), {0, 1, 2, 3, 8, 9, 10, 11},
                          {4, 5, 6, 7, 12, 13, 14, 15}));
    } else {
      auto halves = [&](Value x, Value y) {
        return add(
            x, y, {0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23},
            {8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31});
      };
      quads.push_back(
          add(halves(vector(0), vector(1)), halves(vector(2), vector(3)),
              {0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27},
              {4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31}));
    }
  }
  Value low = within(quads[0], quads[1], {0, 4, 1, 5}, {2, 6, 3, 7}),
        high = within(quads[2], quads[3], {0, 4, 1, 5}, {2, 6, 3, 7});
  return within(low, high, {0, 1, 4, 5}, {2, 3, 6, 7});
}
