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

ElementsAttr fulgur::narrowWeight(ElementsAttr weight, StringRef name,
                                  Type element, uint16_t (*convert)(float)) {
  auto type = RankedTensorType::get(weight.getShapedType().getShape(), element);
  ArrayRef<float> from = weightFloats(weight);
  size_t step = from.size() > 1; // 0: a splat
  return addWeight(type, name, [&](MutableArrayRef<char> bytes) {
    auto *to = reinterpret_cast<uint16_t *>(bytes.data());
    for (int64_t i : llvm::seq(type.getNumElements()))
      to[i] = convert(from[i * step]);
  });
}
