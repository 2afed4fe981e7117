// The maximum of quantized numbers is that of their integers:
//
//   max((q - z) * s)  =  (max(q) - z) * s     for s > 0
//
// so that bytes go through a pool, where the quantization behind it undoes the
// rest. Where a window has nothing but padding both give the lowest number
// there is, and so no such window may be.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Convolution.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/graph/Quantized.h"
#include <cmath>

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_QUANTIZEPOOLS
#include "passes/Passes.h.inc"

namespace {

/// Whether every window of a pool has an element that `pad` has not made.
bool reachesInput(linalg::LinalgOp op, tensor::PadOp pad) {
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  FailureOr<linalg::ConvolutionDimensions> dims =
      linalg::inferConvolutionDims(op);
  if (failed(dims))
    return false;
  for (auto [expr, low, high] :
       llvm::zip(op.getIndexingMapsArray()[0].getResults(), pad.getStaticLow(),
                 pad.getStaticHigh())) {
    if (low == 0 && high == 0)
      continue;
    const auto *window = llvm::find_if(dims->filterLoop, [&](unsigned loop) {
      return expr.isFunctionOfDim(loop);
    });
    if (window == dims->filterLoop.end() ||
        dims->dilations[window - dims->filterLoop.begin()] != 1 ||
        std::max(low, high) >= ranges[*window] || low < 0 || high < 0)
      return false;
  }
  return true;
}

struct QuantizePools : impl::QuantizePoolsBase<QuantizePools> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> pools;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (isPool(op) &&
          isa<arith::MaximumFOp>(
              op.getBlock()->getTerminator()->getOperand(0).getDefiningOp()))
        pools.push_back(op);
    });
    llvm::for_each(pools, rewrite);
  }

private:
  static void rewrite(linalg::LinalgOp op) {
    Value input = op.getDpsInputs()[0];
    auto pad = input.getDefiningOp<tensor::PadOp>();
    auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
    std::optional<Quantized> q = matchQuantized(pad ? pad.getSource() : input);
    auto isLowest = [](Value value) {
      FloatAttr number;
      return value && matchPattern(value, m_Constant(&number)) &&
             number.getValue().isInfinity() && number.getValue().isNegative();
    };
    if (!q || q->constant || !fill || !isLowest(fill.getInputs()[0]) ||
        (pad && !isLowest(pad.getConstantPaddingValue())))
      return;
    auto tell = [&](StringRef why) {
      remark(op, "fulgur-quantize-pools", why);
    };
    if (q->scale.scalar || q->scale.numbers.size() != 1 || q->zero.scalar ||
        q->zero.numbers.size() != 1 || !(q->scale.numbers[0] > 0) ||
        !std::isfinite(q->scale.numbers[0]))
      return tell("its scale is not one positive number that is known");
    if (pad && !reachesInput(op, pad))
      return tell("a window may have nothing but padding");
    OpBuilder builder(op);
    Location loc = op.getLoc();
    Value integers = moved(builder, *q),
          empty = emptyLike(builder, op.getDpsInits()[0], builder.getI8Type()),
          result =
              emptyLike(builder, op.getDpsInits()[0], builder.getF32Type());
    if (!integers || !empty || !result)
      return;
    Value lowest = arith::ConstantIntOp::create(
        builder, loc, builder.getI8Type(), q->isUnsigned ? 0 : INT8_MIN);
    if (pad)
      integers = tensor::PadOp::create(builder, pad.getLoc(), Type(), integers,
                                       pad.getMixedLowPad(),
                                       pad.getMixedHighPad(), lowest);
    Value init =
        linalg::FillOp::create(builder, loc, lowest, empty).getResult(0);
    Value greatest =
        linalg::GenericOp::create(
            builder, loc, init.getType(),
            ValueRange{integers, op.getDpsInputs()[1]}, init,
            op.getIndexingMapsArray(), op.getIteratorTypesArray(),
            [&](OpBuilder &b, Location, ValueRange v) {
              Value more =
                  q->isUnsigned
                      ? arith::MaxUIOp::create(b, loc, v[2], v[0]).getResult()
                      : arith::MaxSIOp::create(b, loc, v[2], v[0]).getResult();
              linalg::YieldOp::create(b, loc, more);
            })
            .getResult(0);
    op->getResult(0).replaceAllUsesWith(
        dequantized(builder, loc, *q, greatest, result));
    op->erase();
  }

  /// (bytes - zero) * scale.
  static Value dequantized(OpBuilder &builder, Location loc, const Quantized &q,
                           Value bytes, Value init) {
    auto rank = cast<RankedTensorType>(bytes.getType()).getRank();
    AffineMap identity = builder.getMultiDimIdentityMap(rank);
    SmallVector<utils::IteratorType> kinds(rank, utils::IteratorType::parallel);
    return linalg::GenericOp::create(
               builder, loc, init.getType(), bytes, init,
               ArrayRef<AffineMap>{identity, identity}, kinds,
               [&](OpBuilder &b, Location, ValueRange v) {
                 Type i32 = b.getI32Type();
                 Value number =
                     q.isUnsigned
                         ? arith::ExtUIOp::create(b, loc, i32, v[0]).getResult()
                         : arith::ExtSIOp::create(b, loc, i32, v[0]);
                 if (int32_t zero = q.zero.numbers[0])
                   number = arith::SubIOp::create(
                       b, loc, number,
                       arith::ConstantIntOp::create(b, loc, i32, zero));
                 number =
                     arith::SIToFPOp::create(b, loc, b.getF32Type(), number);
                 Value scale = arith::ConstantOp::create(
                     b, loc, b.getF32FloatAttr(q.scale.numbers[0]));
                 linalg::YieldOp::create(
                     b, loc,
                     arith::MulFOp::create(b, loc, number, scale).getResult());
               })
        .getResult(0);
  }
};
} // namespace
} // namespace fulgur
