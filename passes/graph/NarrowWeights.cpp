// Keeps weights as float16, half of their size, and computes as before: a
// product reads them as f32, and so does a loop that picks rows from a table.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Convolution.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/WeightStore.h"
#include "passes/graph/WeightProduct.h"
#include "passes/kernel/builders/Gather.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_NARROWWEIGHTS
#include "passes/Passes.h.inc"

namespace {

/// The float16 next to `x`, the even one of two.
uint16_t halfOf(float x) {
  auto bits = llvm::bit_cast<uint32_t>(x);
  uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  if (size < 0x38800000) // below 2^-14 it counts 2^-24
    return sign |
           uint32_t(std::nearbyint(llvm::bit_cast<float>(size) * 0x1p24f));
  return sign | (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
}

/// Whether float16 has a finite number next to each of the weight's.
bool fitsHalf(ElementsAttr weight) {
  return llvm::all_of(weightFloats(weight),
                      [](float x) { return std::fabs(x) < 65520; });
}

/// A product of f32 whose sums are long.
bool isLong(linalg::LinalgOp op) {
  if (!op.hasPureTensorSemantics() || !linalg::isaContractionOpInterface(op) ||
      op->getNumOperands() != 3 ||
      !llvm::all_of(op->getOperandTypes(), [](Type type) {
        return getElementTypeOrSelf(type).isF32();
      }))
    return false;
  return hasLongSums(op);
}

struct NarrowWeights : impl::NarrowWeightsBase<NarrowWeights> {
  void runOnOperation() override {
    narrowed.clear();
    SmallVector<linalg::LinalgOp> products;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (isConvolution(op) && floatWeightOf(op->getOperand(1)))
        remark(op, getArgument(), "the weights of convolutions stay float32");
      else if (isLong(op))
        products.push_back(op);
    });
    for (linalg::LinalgOp product : products)
      rewrite(product);
    SmallVector<tensor::ExtractOp> picks;
    getOperation().walk([&](tensor::ExtractOp pick) {
      if (floatWeightOf(pick.getTensor()) &&
          pick->getParentOfType<linalg::GenericOp>())
        picks.push_back(pick);
    });
    for (tensor::ExtractOp pick : picks)
      pickNarrow(pick);
    for (auto &[value, narrow] : narrowed)
      if (narrow)
        releaseWeight(floatWeightOf(value));
  }

private:
  /// The same product, whose body widens the weight.
  void rewrite(linalg::LinalgOp op) {
    for (OpOperand *input : op.getDpsInputOperands()) {
      Value narrow = operandOf(input->get());
      if (!narrow)
        continue;
      OpBuilder builder(op);
      SmallVector<Value> inputs = op.getDpsInputs();
      inputs[input->getOperandNumber()] = narrow;
      Value init = op.getDpsInits()[0];
      auto generic = linalg::GenericOp::create(
          builder, op.getLoc(), init.getType(), inputs, init,
          op.getIndexingMapsArray(), op.getIteratorTypesArray());
      IRMapping mapping;
      op->getRegion(0).cloneInto(&generic.getRegion(), mapping);
      BlockArgument argument =
          generic.getBody()->getArgument(input->getOperandNumber());
      builder.setInsertionPointToStart(generic.getBody());
      argument.setType(builder.getF16Type());
      auto wide = arith::ExtFOp::create(builder, op.getLoc(),
                                        builder.getF32Type(), argument);
      argument.replaceAllUsesExcept(wide, wide);
      op->replaceAllUsesWith(generic);
      op->erase();
      return;
    }
  }

  /// The weight that a product reads, or the matrices that data picks from one,
  /// as float16; null if it is something else.
  Value operandOf(Value value) {
    if (floatWeightOf(value))
      return narrow(value);
    std::optional<RowGather> gather = matchRowGather(value);
    Value table = gather && floatWeightOf(gather->table) ? narrow(gather->table)
                                                         : Value();
    if (!table)
      return {};
    OpBuilder builder(gather->loop);
    auto type =
        cast<RankedTensorType>(value.getType()).clone(builder.getF16Type());
    Operation *sizes = gather->loop.getDpsInits()[0].getDefiningOp();
    auto empty = dyn_cast_or_null<tensor::EmptyOp>(sizes);
    if (!empty)
      return {};
    Value init = tensor::EmptyOp::create(builder, value.getLoc(), type,
                                         empty.getDynamicSizes());
    IRMapping mapping;
    mapping.map(gather->loop.getDpsInits()[0], init);
    mapping.map(gather->table, table);
    auto loop = cast<linalg::GenericOp>(builder.clone(*gather->loop, mapping));
    loop->getResult(0).setType(type);
    loop.getBody()->getArguments().back().setType(builder.getF16Type());
    auto pick = loop.getBody()
                    ->getTerminator()
                    ->getOperand(0)
                    .getDefiningOp<tensor::ExtractOp>();
    pick.getTensorMutable().assign(table);
    pick.getResult().setType(builder.getF16Type());
    return loop->getResult(0);
  }

  void pickNarrow(tensor::ExtractOp pick) {
    Value table = narrow(pick.getTensor());
    if (!table)
      return;
    OpBuilder builder(pick);
    Value element = tensor::ExtractOp::create(builder, pick.getLoc(), table,
                                              pick.getIndices());
    pick.replaceAllUsesWith(arith::ExtFOp::create(builder, pick.getLoc(),
                                                  builder.getF32Type(), element)
                                .getResult());
    pick.erase();
  }

  /// The weight as float16, made once for all that use it.
  Value narrow(Value value) {
    auto [place, isNew] = narrowed.try_emplace(value);
    if (!isNew)
      return place->second;
    ElementsAttr weight = floatWeightOf(value);
    if (!fitsHalf(weight)) {
      remark(value.getDefiningOp(), getArgument(),
             "a weight stays float32: float16 cannot hold one of its elements");
      return {};
    }
    OpBuilder builder(value.getContext());
    builder.setInsertionPointAfterValue(value);
    ElementsAttr half =
        narrowWeight(weight, "half", builder.getF16Type(), halfOf);
    return narrowed[value] = arith::ConstantOp::create(builder, value.getLoc(),
                                                       cast<TypedAttr>(half));
  }

  llvm::MapVector<Value, Value> narrowed;
};
} // namespace
} // namespace fulgur
