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
