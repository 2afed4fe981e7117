// Quantizing costs a few operations for each element, which count where they
// follow a product of bytes.
//
//   dequantize(quantize(x)) is a rounded and clamped x: it stays a float, and
//   the zero point, added and subtracted again, moves into the bounds.
//
//   A product's sums are divided by a scale as they are multiplied by others:
//   by its reciprocal.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/ByteProduct.h"
#include "passes/Passes.h"
#include <cmath>

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_FOLDREQUANTIZATION
#include "passes/Passes.h.inc"

namespace {

std::optional<float> numberOf(Value value) {
  FloatAttr attr;
  if (!value.getType().isF32() || !matchPattern(value, m_Constant(&attr)))
    return std::nullopt;
  return attr.getValue().convertToFloat();
}

/// value = bound where one is on the wrong side of the other: the greater of
/// both (`isLower`) or the lesser, and the bound when `value` is no number.
struct Bound {
  Value value;
  float bound;
};

std::optional<Bound> boundOf(Value value, bool isLower) {
  auto select = value.getDefiningOp<arith::SelectOp>();
  auto compare =
      select ? select.getCondition().getDefiningOp<arith::CmpFOp>() : nullptr;
  if (!compare || compare.getPredicate() != arith::CmpFPredicate::OLT)
    return std::nullopt;
  Value x = isLower ? compare.getRhs() : compare.getLhs(),
        limit = isLower ? compare.getLhs() : compare.getRhs();
  std::optional<float> bound = numberOf(limit);
  if (!bound || select.getTrueValue() != x ||
      numberOf(select.getFalseValue()) != bound)
    return std::nullopt;
  return Bound{x, *bound};
}

/// A whole number that is stored as a byte: clamp(round(x) + zero).
struct Quantization {
  math::RoundEvenOp rounded;
  float zero = 0, least, greatest;
};

std::optional<Quantization> quantizationOf(Value byte) {
  auto narrow = byte.getDefiningOp<arith::TruncIOp>();
  auto whole =
      narrow ? narrow.getIn().getDefiningOp<arith::FPToSIOp>() : nullptr;
  if (!whole || !byte.getType().isInteger(8))
    return std::nullopt;
  auto upper = boundOf(whole.getIn(), /*isLower=*/false);
  auto lower = upper ? boundOf(upper->value, /*isLower=*/true) : std::nullopt;
  if (!lower)
    return std::nullopt;
  Quantization q{{}, 0, lower->bound, upper->bound};
  Value value = lower->value;
  if (auto add = value.getDefiningOp<arith::AddFOp>()) {
    std::optional<float> zero = numberOf(add.getRhs());
    if (!zero)
      return std::nullopt;
    q.zero = *zero;
    value = add.getLhs();
  }
  q.rounded = value.getDefiningOp<math::RoundEvenOp>();
  auto isWhole = [](float x) { return x == std::nearbyint(x); };
  if (!q.rounded || !isWhole(q.zero) || !isWhole(q.least) ||
      !isWhole(q.greatest))
    return std::nullopt;
  return q;
}

/// The byte, extended, less a constant, as a float.
template <typename Conversion> struct StayFloat : OpRewritePattern<Conversion> {
  using OpRewritePattern<Conversion>::OpRewritePattern;
  LogicalResult matchAndRewrite(Conversion op,
                                PatternRewriter &rewriter) const override {
    if (!op.getType().isF32())
      return rewriter.notifyMatchFailure(op, "is not f32");
    Value value = op.getIn();
    APInt zero(32, 0);
    if (auto sub = value.getDefiningOp<arith::SubIOp>()) {
      if (!matchPattern(sub.getRhs(), m_ConstantInt(&zero)))
        return rewriter.notifyMatchFailure(op, "subtracts what is not known");
      value = sub.getLhs();
    }
    bool isUnsigned = isa<arith::UIToFPOp>(op);
    if (Operation *extension = value.getDefiningOp();
        isa_and_nonnull<arith::ExtUIOp, arith::ExtSIOp>(extension)) {
      isUnsigned = isa<arith::ExtUIOp>(extension);
      value = extension->getOperand(0);
    }
    std::optional<Quantization> q = quantizationOf(value);
    if (!q || q->least < (isUnsigned ? 0 : INT8_MIN) ||
        q->greatest > (isUnsigned ? UINT8_MAX : INT8_MAX))
      return rewriter.notifyMatchFailure(op, "is not of a quantized number");
    Location loc = op.getLoc();
    auto number = [&](double x) -> Value {
      return arith::ConstantOp::create(rewriter, loc,
                                       rewriter.getF32FloatAttr(float(x)));
    };
    double offset = double(zero.getSExtValue());
    Value result = q->rounded;
    if (q->zero != offset)
      result = arith::AddFOp::create(rewriter, loc, result,
                                     number(q->zero - offset));
    Value least = number(q->least - offset),
          greatest = number(q->greatest - offset);
    Value above = arith::CmpFOp::create(
        rewriter, loc, arith::CmpFPredicate::OLT, least, result);
    result = arith::SelectOp::create(rewriter, loc, above, result, least);
    Value below = arith::CmpFOp::create(
        rewriter, loc, arith::CmpFPredicate::OLT, result, greatest);
    rewriter.replaceOpWithNewOp<arith::SelectOp>(op, below, result, greatest);
    return success();
  }
};

/// x / scale as x * (1 / scale), in the loop that reads a product's sums.
struct MultiplyByReciprocal : OpRewritePattern<arith::DivFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::DivFOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<float> scale = numberOf(op.getRhs());
    float reciprocal = scale ? 1 / *scale : 0;
    auto loop = dyn_cast<linalg::GenericOp>(op->getParentOp());
    if (!std::isnormal(reciprocal) || !loop || !op->hasOneUse() ||
        !isa<math::RoundEvenOp>(*op->user_begin()))
      return rewriter.notifyMatchFailure(op, "is not by a constant scale");
    if (llvm::none_of(loop.getInputs(), [](Value input) {
          auto product = input.getDefiningOp<linalg::LinalgOp>();
          return product && matchByteProduct(product.getBlock());
        }))
      return rewriter.notifyMatchFailure(op, "is not of a product's sums");
    Value factor = arith::ConstantOp::create(
        rewriter, op.getLoc(), rewriter.getF32FloatAttr(reciprocal));
    rewriter.replaceOpWithNewOp<arith::MulFOp>(op, op.getLhs(), factor);
    return success();
  }
};

struct FoldRequantization : impl::FoldRequantizationBase<FoldRequantization> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<StayFloat<arith::SIToFPOp>, StayFloat<arith::UIToFPOp>,
                 MultiplyByReciprocal>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace fulgur
