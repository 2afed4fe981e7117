// Quantizing costs a few operations for each element, which count where they
// follow a product of bytes.
//
//   quantize(dequantize(x)) is x.
//
//   dequantize(quantize(x)) is a rounded and clamped x: it stays a float, and
//   the zero point, added and subtracted again, moves into the bounds.
//
//   A product's sums are divided by a scale as they are multiplied by others:
//   by its reciprocal.
//
//   What is added to them and multiplied, before they are rounded, is one
//   factor and one shift for each filter, and one more factor for what another
//   product gave: each is one instruction.
//
//   A number is clamped before it is rounded or behind, so that rounding and
//   converting are one instruction: the bounds are whole numbers.
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/ByteProduct.h"
#include "passes/Passes.h"
#include "passes/WeightStore.h"
#include "passes/graph/LinearForm.h"
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

/// quantize(dequantize(x)) with the same scale and zero point, which gives x:
/// its quotient is nearer to it than to another whole number.
struct SameByte : OpRewritePattern<arith::TruncIOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::TruncIOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<Quantization> q = quantizationOf(op.getResult());
    auto div =
        q ? q->rounded.getOperand().getDefiningOp<arith::DivFOp>() : nullptr;
    auto mul = div ? div.getLhs().getDefiningOp<arith::MulFOp>() : nullptr;
    std::optional<float> scale = mul ? numberOf(div.getRhs()) : std::nullopt;
    if (!scale || !std::isnormal(*scale) || numberOf(mul.getRhs()) != scale)
      return rewriter.notifyMatchFailure(op, "is not divided by what it is "
                                             "multiplied with");
    auto conversion = mul.getLhs().getDefiningOp<arith::SIToFPOp>();
    Value integer = conversion ? conversion.getIn() : Value();
    APInt zero(32, 0);
    if (auto sub = integer ? integer.getDefiningOp<arith::SubIOp>() : nullptr) {
      if (!matchPattern(sub.getRhs(), m_ConstantInt(&zero)))
        return rewriter.notifyMatchFailure(op, "has a zero point not known");
      integer = sub.getLhs();
    }
    Operation *wide = integer ? integer.getDefiningOp() : nullptr;
    bool isUnsigned = isa_and_nonnull<arith::ExtUIOp>(wide);
    if ((!isUnsigned && !isa_and_nonnull<arith::ExtSIOp>(wide)) ||
        wide->getOperand(0).getType() != op.getType() ||
        q->zero != float(zero.getSExtValue()) ||
        q->least != (isUnsigned ? 0 : INT8_MIN) ||
        q->greatest != (isUnsigned ? UINT8_MAX : INT8_MAX))
      return rewriter.notifyMatchFailure(op, "is of another kind of byte");
    rewriter.replaceOp(op, wide->getOperand(0));
    return success();
  }
};

/// Whether `loop` reads the sums of a product of bytes.
bool readsSums(linalg::GenericOp loop) {
  return llvm::any_of(loop.getInputs(), [](Value input) {
    auto product = input.getDefiningOp<linalg::LinalgOp>();
    return product && matchByteProduct(product.getBlock());
  });
}

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
    if (!readsSums(loop))
      return rewriter.notifyMatchFailure(op, "is not of a product's sums");
    Value factor = arith::ConstantOp::create(
        rewriter, op.getLoc(), rewriter.getF32FloatAttr(reciprocal));
    rewriter.replaceOpWithNewOp<arith::MulFOp>(op, op.getLhs(), factor);
    return success();
  }
};

/// What no value is farther from 0 than.
double boundOf(Value value) {
  constexpr double kUnknown = INFINITY;
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    auto loop = dyn_cast<linalg::GenericOp>(argument.getOwner()->getParentOp());
    if (!loop || argument.getArgNumber() >= loop.getNumDpsInputs())
      return kUnknown;
    value = loop.getDpsInputs()[argument.getArgNumber()];
  }
  if (ElementsAttr table; getElementTypeOrSelf(value.getType()).isF32() &&
                          matchPattern(value, m_Constant(&table))) {
    ArrayRef<float> elements = weightFloats(table);
    double most = elements.empty() ? kUnknown : 0;
    for (float x : elements)
      most = std::max(most, std::fabs(double(x)));
    return most;
  }
  if (std::optional<float> number = numberOf(value))
    return std::fabs(double(*number));
  if (auto upper = boundOf(value, /*isLower=*/false))
    if (auto lower = boundOf(upper->value, /*isLower=*/true))
      return std::max(std::fabs(double(upper->bound)),
                      std::fabs(double(lower->bound)));
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<arith::SIToFPOp, arith::UIToFPOp>(op)) {
    Value integer = op->getOperand(0);
    Operation *wide = integer.getDefiningOp();
    if (isa_and_nonnull<arith::ExtUIOp, arith::ExtSIOp>(wide))
      integer = wide->getOperand(0);
    return std::exp2(double(integer.getType().getIntOrFloatBitWidth()));
  }
  if (isa_and_nonnull<math::RoundEvenOp>(op))
    return boundOf(op->getOperand(0)) + 1;
  if (isa_and_nonnull<arith::MulFOp>(op))
    return boundOf(op->getOperand(0)) * boundOf(op->getOperand(1));
  if (isa_and_nonnull<arith::AddFOp, arith::SubFOp>(op))
    return boundOf(op->getOperand(0)) + boundOf(op->getOperand(1));
  if (isa_and_nonnull<math::FmaOp>(op))
    return boundOf(op->getOperand(0)) * boundOf(op->getOperand(1)) +
           boundOf(op->getOperand(2));
  return kUnknown;
}

/// `x` rounded and clamped, as an i32: clamped as one when it fits in any case,
/// else first.
Value clamped(OpBuilder &builder, Location loc, Value x, float zero,
              float least, float greatest) {
  Type i32 = builder.getI32Type();
  auto integer = [&](float number) -> Value {
    return arith::ConstantIntOp::create(builder, loc, i32, int64_t(number));
  };
  bool fits = boundOf(x) + std::fabs(zero) < std::exp2(31.0) - 512;
  if (!fits) {
    auto number = [&](float x) -> Value {
      return arith::ConstantOp::create(builder, loc,
                                       builder.getF32FloatAttr(x));
    };
    Value low = number(least - zero), high = number(greatest - zero);
    Value above =
        arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, low, x);
    x = arith::SelectOp::create(builder, loc, above, x, low);
    Value below =
        arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT, x, high);
    x = arith::SelectOp::create(builder, loc, below, x, high);
  }
  x = math::RoundEvenOp::create(builder, loc, x);
  x = arith::FPToSIOp::create(builder, loc, i32, x);
  if (zero != 0)
    x = arith::AddIOp::create(builder, loc, x, integer(zero));
  if (!fits)
    return x;
  x = arith::MaxSIOp::create(builder, loc, x, integer(least));
  return arith::MinSIOp::create(builder, loc, x, integer(greatest));
}

/// The byte of a clamped whole number.
struct ClampByte : OpRewritePattern<arith::TruncIOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::TruncIOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<Quantization> q = quantizationOf(op.getResult());
    if (!q)
      return rewriter.notifyMatchFailure(op, "is no clamped whole number");
    rewriter.replaceOpWithNewOp<arith::TruncIOp>(
        op, op.getType(),
        clamped(rewriter, op.getLoc(), q->rounded.getOperand(), q->zero,
                q->least, q->greatest));
    return success();
  }
};

/// Whether f32 has all of its numbers.
bool isFinite(const LinearForm &form) {
  auto are = [](const Numbers &numbers) {
    return llvm::all_of(numbers.values,
                        [](double x) { return std::isfinite(float(x)); });
  };
  return are(form.shift) && llvm::all_of(form.terms, [&](const auto &term) {
           return are(term.factor);
         });
}

/// Computes what `loop` rounds with as few operations as can be.
void shorten(linalg::GenericOp loop) {
  SmallVector<std::pair<Value, LinearForm>, 0> forms;
  for (auto rounded : loop.getBody()->getOps<math::RoundEvenOp>()) {
    Value value = rounded.getOperand();
    if (!value.getType().isF32() || !value.hasOneUse())
      continue;
    std::optional<LinearForm> form = matchLinearForm(loop, value);
    if (form && isFinite(*form) &&
        int64_t(form->terms.size()) < form->operations)
      forms.push_back({value, *form});
  }
  if (!forms.empty())
    replaceByForms(loop, forms);
}

struct FoldRequantization : impl::FoldRequantizationBase<FoldRequantization> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    RewritePatternSet first(context), second(context);
    first.add<SameByte, StayFloat<arith::SIToFPOp>, StayFloat<arith::UIToFPOp>,
              MultiplyByReciprocal>(context);
    if (failed(applyPatternsGreedily(getOperation(), std::move(first))))
      return signalPassFailure();
    SmallVector<linalg::GenericOp> loops;
    getOperation().walk([&](linalg::GenericOp loop) {
      if (loop.getNumReductionLoops() == 0 && readsSums(loop))
        loops.push_back(loop);
    });
    llvm::for_each(loops, shorten);
    second.add<ClampByte>(context);
    linalg::populateEraseUnusedOperandsAndResultsPatterns(second);
    if (failed(applyPatternsGreedily(getOperation(), std::move(second))))
      signalPassFailure();
  }
};
} // namespace
} // namespace fulgur
