// Computes what depends on constants only, such as the scale and shift that a
// batch normalization makes of its statistics, weights that a model divides by
// their norms, or the keys of relative positions, and reshapes of weights,
// which keep their bytes.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Passes.h"
#include "passes/WeightStore.h"
#include "passes/graph/ConstantLoops.h"
#include <cstring>

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_FOLDCONSTANTS
#include "passes/Passes.h.inc"

namespace {

/// A constant under another shape.
ElementsAttr reshaped(Operation *op) {
  ElementsAttr constant;
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  if (!type.hasStaticShape() ||
      !matchPattern(op->getOperand(0), m_Constant(&constant)))
    return {};
  if (auto weight = dyn_cast<DenseResourceElementsAttr>(constant))
    return DenseResourceElementsAttr::get(type, weight.getRawHandle());
  auto elements = dyn_cast<DenseElementsAttr>(constant);
  return elements ? ElementsAttr(elements.reshape(type)) : ElementsAttr();
}

/// Small constants are part of the IR, large ones weights.
ElementsAttr constantOf(RankedTensorType type, ArrayRef<float> elements) {
  constexpr size_t kSmall = 1 << 16;
  if (elements.size() <= kSmall)
    return DenseElementsAttr::get(type, elements);
  return addWeight(type, "folded", [&](MutableArrayRef<char> bytes) {
    std::memcpy(bytes.data(), elements.data(), bytes.size());
  });
}

struct FoldConstants : impl::FoldConstantsBase<FoldConstants> {
  void runOnOperation() override {
    if (getOperation().isExternal())
      return;
    Block &block = getOperation().getBody().front();
    for (Operation &op : llvm::make_early_inc_range(block)) {
      ElementsAttr result;
      if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op))
        result = reshaped(&op);
      if (auto elements = valuesOf(&op))
        result = constantOf(cast<RankedTensorType>(op.getResult(0).getType()),
                            *elements);
      if (!result)
        continue;
      OpBuilder builder(&op);
      op.replaceAllUsesWith(arith::ConstantOp::create(builder, op.getLoc(),
                                                      cast<TypedAttr>(result)));
      op.erase();
    }
  }
};
} // namespace
} // namespace fulgur
