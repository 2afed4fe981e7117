#include "passes/NarrowAttention.h"

using namespace mlir;

/// Whether `loop` moves the last dim of the operand, by a multiple of 16
/// elements.
static bool isRow(Value operand, AffineMap map, unsigned loop) {
  auto type = cast<RankedTensorType>(operand.getType());
  return type.getRank() > 0 &&
         map.getResults().back() == getAffineDimExpr(loop, map.getContext()) &&
         !type.isDynamicDim(type.getRank() - 1) &&
         type.getShape().back() % 16 == 0;
}

bool fulgur::hasRowsOfPairs(AttentionOp op) {
  SmallVector<AffineMap> maps = op.mapList();
  return isRow(op.getQuery(), maps[0], op.depthLoop()) &&
         isRow(op.getKey(), maps[1], op.depthLoop()) &&
         isRow(op.getValue(), maps[2], op.columnLoop());
}
