#include "passes/graph/WeightProduct.h"
#include "mlir/IR/Matchers.h"
#include "passes/WeightStore.h"

using namespace mlir;

bool fulgur::hasLongSums(linalg::LinalgOp product) {
  int64_t steps = 1;
  for (auto [size, kind] : llvm::zip(product.getStaticLoopRanges(),
                                     product.getIteratorTypesArray()))
    if (kind == utils::IteratorType::reduction)
      steps = ShapedType::isDynamic(size) ? kShortestSum : steps * size;
  return steps >= kShortestSum;
}

ElementsAttr fulgur::floatWeightOf(Value value) {
  ElementsAttr weight;
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || !type.getElementType().isF32() || type.getRank() < 2 ||
      !matchPattern(value, m_Constant(&weight)) || weightBytes(weight).empty())
    return {};
  return weight;
}
