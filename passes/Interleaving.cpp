#include "passes/Interleaving.h"

using namespace mlir;

SmallVector<tensor::InsertSliceOp> fulgur::interleavedParts(Value value) {
  SmallVector<tensor::InsertSliceOp> parts;
  bool strided = false;
  while (auto part = value.getDefiningOp<tensor::InsertSliceOp>()) {
    if (!value.hasOneUse() ||
        part.getSourceType().getRank() != part.getType().getRank())
      return {};
    strided |= !part.hasUnitStride();
    parts.push_back(part);
    value = part.getDest();
  }
  if (!strided || !value.getDefiningOp<tensor::EmptyOp>())
    return {};
  return parts;
}
