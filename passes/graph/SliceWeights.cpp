// Slices and reshapes of constants are constants. A model with experts keeps
// the weights of all of them in one tensor, and would copy each one out of it
// in every run.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Passes.h"
#include "passes/WeightStore.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_SLICEWEIGHTS
#include "passes/Passes.h.inc"

namespace {

/// The position of a slice's first element, if its elements follow each other:
/// one range along one dim, single positions before it and all behind it.
std::optional<int64_t> contiguousStart(tensor::ExtractSliceOp slice) {
  RankedTensorType type = slice.getSourceType();
  if (!type.hasStaticShape() || !slice.getType().hasStaticShape() ||
      !slice.hasUnitStride())
    return std::nullopt;
  int64_t start = 0;
  bool isOne = true, isWhole = true; // before and behind the range
  for (int64_t dim : llvm::seq(type.getRank())) {
    int64_t offset = slice.getStaticOffsets()[dim],
            size = slice.getStaticSizes()[dim];
    if (ShapedType::isDynamic(offset) ||
        (!isOne && size != type.getDimSize(dim)))
      isWhole = false;
    isOne &= size == 1;
    start = start * type.getDimSize(dim) + offset;
  }
  return isWhole ? std::optional(start) : std::nullopt;
}

struct SliceWeights : impl::SliceWeightsBase<SliceWeights> {
  void runOnOperation() override {
    getOperation().walk([](Operation *op) {
      if (!isa<tensor::ExtractSliceOp, tensor::ExpandShapeOp,
               tensor::CollapseShapeOp>(op))
        return;
      DenseResourceElementsAttr weight;
      auto type = cast<RankedTensorType>(op->getResult(0).getType());
      unsigned bits = type.getElementTypeBitWidth();
      if (!type.hasStaticShape() || bits < 8 ||
          !matchPattern(op->getOperand(0), m_Constant(&weight)))
        return;
      int64_t start = 0;
      if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
        std::optional<int64_t> first = contiguousStart(slice);
        if (!first)
          return;
        start = *first;
      }
      size_t offset = start * (bits / 8),
             end = offset + type.getNumElements() * (bits / 8);
      if (end > weightBytes(weight).size())
        return;
      OpBuilder builder(op);
      StringRef name = weight.getRawHandle().getKey();
      op->replaceAllUsesWith(arith::ConstantOp::create(
          builder, op->getLoc(),
          cast<TypedAttr>(partOfWeight(weight, type, offset, name))));
      op->erase();
    });
  }
};
} // namespace
} // namespace fulgur
