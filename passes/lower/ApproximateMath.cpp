// Math functions as polynomials, so that compiled models call no math library
// and vectors stay vectors. Here are the functions that models spend their time
// in; the rest comes from MLIR. The coefficients are minimax fits. Errors, in
// units in the last place of f32: exp 1, exp2 1, erf 4, sin and cos 2, tan,
// atan and the hyperbolic ones 3.
// NaN stays NaN, exp covers infinities and subnormal results.
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/Passes.h"
#include "passes/lower/Formula.h"
#include "llvm/ADT/SetVector.h"
#include <cmath>

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_APPROXIMATEMATH
#include "passes/Passes.h.inc"

namespace {
/// mantissa * 2^n in two steps, so that n may reach from below the subnormals
/// to above the largest float.
Value scale(const Formula &f, Value mantissa, Value n) {
  Value half = arith::ShRSIOp::create(f.b, f.loc, n, f.integer(1)),
        rest = f.subi(n, half);
  auto power = [&](Value exponent) {
    return f.fromBits(f.shl(f.addi(exponent, f.integer(127)), 23));
  };
  return f.mul(f.mul(mantissa, power(half)), power(rest));
}

/// e^x * 2^exponent, which may be finite where e^x is not.
Value scaledExp(const Formula &f, Value x, int32_t exponent) {
  x = f.atLeast(f.atMost(x, 90.0f), -104.0f);
  Value rounded = f.fma(x, f.real(1.44269504f), f.real(Formula::kRound)),
        n = f.sub(rounded, f.real(Formula::kRound));
  Value rest = f.fma(n, f.real(-0.693145752f),
                     x); // ln 2 in two parts, the first with few bits
  rest = f.fma(n, f.real(-1.42860677e-6f), rest);
  Value power = f.polynomial({1.0f, 1.0f, 0.5f, 0.16666506230831146f,
                              0.041666168719530106f, 0.008370321244001389f,
                              0.0013952970039099455f},
                             rest);
  Value bits = f.bits(f.real(Formula::kRound));
  if (exponent)
    bits = f.subi(bits, f.integer(exponent));
  return scale(f, power, f.subi(f.bits(rounded), bits));
}

Value approximate(const Formula &f, math::ExpOp, Value x) {
  return scaledExp(f, x, 0);
}

Value approximate(const Formula &f, math::Exp2Op, Value x) {
  x = f.atLeast(f.atMost(x, 129.0f), -151.0f);
  Value rounded = f.add(x, f.real(Formula::kRound)),
        n = f.sub(rounded, f.real(Formula::kRound));
  Value power = f.polynomial({1.0f, 0.6931471824645996f, 0.24022650718688965f,
                              0.05550320819020271f, 0.009617995470762253f,
                              0.0013402980985119939f, 0.00015478854766115546f},
                             f.sub(x, n));
  return scale(f, power,
               f.subi(f.bits(rounded), f.bits(f.real(Formula::kRound))));
}

/// Whether nothing but its rounding to bfloat16 becomes of `value`.
bool isRounded(Value value) {
  return !value.use_empty() &&
         llvm::all_of(value.getUsers(), [](Operation *user) {
           if (isa<arith::TruncFOp>(user))
             return getElementTypeOrSelf(user->getResult(0)).isBF16();
           return isa<arith::AddFOp, arith::MulFOp>(user) &&
                  isRounded(user->getResult(0));
         });
}

/// With an error below 1.3e-4, for what is rounded and may be approximate: half
/// a unit of bfloat16 is 2e-3 of the numbers that erf is added to. So few
/// digits leave room for a polynomial in x² itself, and a constant factor of x
/// goes into its coefficients.
Value narrowErf(const Formula &f, Value x) {
  double scale = 1;
  APFloat factor(0.0f);
  if (auto product = x.getDefiningOp<arith::MulFOp>();
      product && matchPattern(product.getRhs(), m_ConstantFloat(&factor)) &&
      std::fabs(factor.convertToFloat()) > 0.1f &&
      std::fabs(factor.convertToFloat()) < 10.0f) {
    scale = factor.convertToFloat();
    x = product.getLhs();
  }
  float bound = 3.7 / (std::sqrt(2.0) * std::fabs(scale));
  x = f.atLeast(f.atMost(x, bound), -bound);
  // Those of the normal distribution's integral from 0 to x.
  SmallVector<float> coefficients;
  double power = 2 * std::sqrt(2.0) * scale;
  for (double coefficient :
       {0.398733463, -0.0658551455, 0.00940643378, -0.000956568579,
        6.4021859e-05, -2.48350743e-06, 4.17410985e-08}) {
    coefficients.push_back(coefficient * power);
    power *= 2 * scale * scale;
  }
  return f.mul(x, f.polynomial(coefficients, f.mul(x, x)));
}

// x * P(2x²/B² - 1): a polynomial in x² itself would lose four digits, one in
// the centred variable loses none. The result is what is bounded: a sum with 1
// must be 0 for any x below -B, which may be large and multiplied with it.
Value approximate(const Formula &f, math::ErfOp op, Value x) {
  if (bitEnumContainsAll(op.getFastmath(), arith::FastMathFlags::afn) &&
      isRounded(op))
    return narrowErf(f, x);
  constexpr float bound = 3.92f; // erf rounds to 1 from here on
  Value square = f.atMost(f.mul(x, x), bound * bound);
  Value centred = f.fma(square, f.real(2 / (bound * bound)), f.real(-1.0f));
  Value slope = f.polynomial(
      {0.36073681712150574f, -0.18010862171649933f, 0.134084552526474f,
       -0.10917922854423523f, 0.09059697389602661f, -0.07401981949806213f,
       0.05839599296450615f, -0.04343684762716293f, 0.029697580263018608f,
       -0.01999506913125515f, 0.01420992985367775f, -0.007660469971597195f,
       0.0019199878443032503f, -0.001394580234773457f, 0.0020987538155168295f,
       -0.0008439160301350057f},
      centred);
  return f.atLeast(f.atMost(f.mul(x, slope), 1.0f), -1.0f);
}

/// x = (quadrant + 4k) * π/2 + rest, with |rest| at most π/4.
struct Angle {
  Value rest;     ///< f32; NaN for infinities
  Value quadrant; ///< i32, of which the low two bits count
};

/// For |x| below 2^13: π/2 in parts of 11 bits, so that each product with the
/// quadrant is exact, fused or not.
Angle reduceSmall(const Formula &f, Value x) {
  Value rounded = f.fma(x, f.real(0.636619772f), f.real(Formula::kRound)),
        n = f.sub(rounded, f.real(Formula::kRound)), rest = x;
  for (float part : {1.5703125f, 0.0004837512969970703f, 7.549533620476723e-08f,
                     2.5633440682570896e-12f})
    rest = f.fma(n, f.real(-part), rest);
  return {rest, f.bits(rounded)};
}

/// Right for every finite f32, as Payne and Hanek (1983) do it: a number x of
/// at least 2^50 is a multiple of 2^27, so that the bits of 2/π from 2^-25
/// upwards give multiples of 4 and may go; likewise the next 27 bits for a
/// larger x. What remains comes in parts of at most 28, 24 and 53 bits: in f64
/// the products of 24 bits of x with the first two are exact, and the first
/// does not leave the range that kRoundWide rounds.
Angle reduceLarge(const Formula &narrow, Value number) {
  struct Row {
    double from; ///< the least x
    double parts[3];
  };
  static constexpr Row rows[] = {
      {0, {0x1.45f306cp-1, 0x1.c9c88p-29, 0x1.529fc2757d1f5p-52}},
      {0x1p50, {-0x1.1b1bbe8p-28, -0x1.6b01ecp-55, -0x1.505c1596447e5p-81}},
      {0x1p77, {0x1.4a7f09cp-54, 0x1.5f47d4p-82, 0x1.a6ee06db14acdp-107}},
      {0x1p104, {-0x1.505c158p-81, -0x1.6447e4p-109, -0x1.275a99b0ef1bfp-134}}};
  OpBuilder &b = narrow.b;
  Formula f = narrow.wide();
  Value x = arith::ExtFOp::create(b, f.loc, f.type, number),
        size = math::AbsFOp::create(b, f.loc, x);
  Value products[3];
  for (auto [k, product] : llvm::enumerate(products))
    product = f.real(rows[0].parts[k]);
  for (const Row &row : ArrayRef(rows).drop_front()) {
    Value there = arith::CmpFOp::create(b, f.loc, arith::CmpFPredicate::OGE,
                                        size, f.real(row.from));
    for (auto [k, product] : llvm::enumerate(products))
      product = f.select(there, f.real(row.parts[k]), product);
  }
  for (Value &product : products)
    product = f.mul(x, product);
  Value quadrant;
  auto fraction = [&](Value turns) {
    Value rounded = f.add(turns, f.real(Formula::kRoundWide)),
          bits = f.bits(rounded);
    quadrant = quadrant ? f.addi(quadrant, bits) : bits;
    return f.sub(turns, f.sub(rounded, f.real(Formula::kRoundWide)));
  };
  Value high = fraction(products[0]), middle = fraction(products[1]);
  Value turns = fraction(f.add(f.add(high, middle), products[2]));
  return {arith::TruncFOp::create(b, f.loc, narrow.type,
                                  f.mul(turns, f.real(1.5707963267948966))),
          arith::TruncIOp::create(b, f.loc, narrow.integers(), quadrant)};
}

/// On a function of which every angle is known to be below 2^13.
constexpr StringRef kSmall = "fulgur.small_angle";

/// Large angles are rare and take four times as long: that way goes a vector
/// only with one of them in it. For loops of scalars, see chooseBySize.
Angle reduceAngle(const Formula &f, Operation *function, Value x) {
  if (function->hasAttr(kSmall))
    return reduceSmall(f, x);
  if (!isa<VectorType>(f.type))
    return reduceLarge(f, x);
  Value any = vector::ReductionOp::create(f.b, f.loc, vector::CombiningKind::OR,
                                          f.isLarge(x));
  auto by = [&](Angle (*reduce)(const Formula &, Value)) {
    return [&f, x, reduce](OpBuilder &b, Location loc) {
      Angle angle = reduce({b, loc, f.type}, x);
      scf::YieldOp::create(b, loc, {angle.rest, angle.quadrant});
    };
  };
  auto either =
      scf::IfOp::create(f.b, f.loc, any, by(reduceLarge), by(reduceSmall));
  return {either.getResult(0), either.getResult(1)};
}

Value isOdd(const Formula &f, Value quadrant) {
  return arith::CmpIOp::create(f.b, f.loc, arith::CmpIPredicate::ne,
                               f.andi(quadrant, 1), f.integer(0));
}

/// sin(x + quarter * π/2)
Value sine(const Formula &f, Operation *function, Value x, int32_t quarter) {
  auto [rest, turns] = reduceAngle(f, function, x);
  Value square = f.mul(rest, rest);
  Value sine = f.polynomial(
      {-0.16666653752326965f, 0.008332131430506706f, -0.00019510838319547474f},
      square);
  // The sum of -0 and its cube is 0.
  sine = f.withSign(f.fma(f.mul(sine, square), rest, rest), rest);
  Value cosine =
      f.polynomial({1.0f, -0.5f, 0.04166664555668831f, -0.0013887305976822972f,
                    2.4431203200947493e-05f},
                   square);
  Value quadrant = f.addi(turns, f.integer(quarter)),
        magnitude = f.select(isOdd(f, quadrant), cosine, sine);
  return f.fromBits(f.xori(f.bits(magnitude), f.shl(f.andi(quadrant, 2), 30)));
}

Value approximate(const Formula &f, math::SinOp op, Value x) {
  return sine(f, op, x, 0);
}
Value approximate(const Formula &f, math::CosOp op, Value x) {
  return sine(f, op, x, 1);
}

/// A quarter further it is -1 / tan.
Value approximate(const Formula &f, math::TanOp op, Value x) {
  auto [rest, quadrant] = reduceAngle(f, op, x);
  Value square = f.mul(rest, rest);
  Value slope = f.polynomial({0.33333155512809753f, 0.13338808715343475f,
                              0.05341049283742905f, 0.024432998150587082f,
                              0.0031152525916695595f, 0.009388208389282227f},
                             square);
  Value tangent = f.fma(f.mul(slope, square), rest, rest);
  return f.select(isOdd(f, quadrant),
                  arith::DivFOp::create(f.b, f.loc, f.real(-1.0f), tangent),
                  tangent);
}

Value approximate(const Formula &f, math::Log10Op, Value x) {
  return f.mul(math::LogOp::create(f.b, f.loc, x), f.real(0.434294482f));
}

// The hyperbolic functions through expm1 and log1p, which keep the digits of
// small arguments.
Value approximate(const Formula &f, math::SinhOp, Value x) {
  Value size = math::AbsFOp::create(f.b, f.loc, x),
        up = math::ExpM1Op::create(f.b, f.loc, size);
  Value down = arith::DivFOp::create(f.b, f.loc, up, f.add(up, f.real(1.0f)));
  // e^-x is less than what is rounded of a large one.
  Value large = arith::CmpFOp::create(f.b, f.loc, arith::CmpFPredicate::OGT,
                                      size, f.real(10.0f));
  return f.withSign(f.select(large, scaledExp(f, size, -1),
                             f.mul(f.add(up, down), f.real(0.5f))),
                    x);
}

Value approximate(const Formula &f, math::CoshOp, Value x) {
  Value half =
      scaledExp(f, math::AbsFOp::create(f.b, f.loc, x), /*exponent=*/-1);
  return f.add(half, arith::DivFOp::create(f.b, f.loc, f.real(0.25f), half));
}

Value approximate(const Formula &f, math::AsinhOp, Value x) {
  Value size = math::AbsFOp::create(f.b, f.loc, x), square = f.mul(x, x),
        one = f.real(1.0f);
  Value root = math::SqrtOp::create(f.b, f.loc, f.add(square, one));
  Value small = math::Log1pOp::create(
      f.b, f.loc,
      f.add(size, arith::DivFOp::create(f.b, f.loc, square, f.add(root, one))));
  // Squares of large numbers overflow; there asinh is log 2x.
  Value large = arith::CmpFOp::create(f.b, f.loc, arith::CmpFPredicate::OGT,
                                      size, f.real(1e9f));
  Value logarithm =
      f.add(math::LogOp::create(f.b, f.loc, size), f.real(0.693147181f));
  return f.withSign(
      arith::SelectOp::create(f.b, f.loc, large, logarithm, small), x);
}

Value approximate(const Formula &f, math::AcoshOp, Value x) {
  Value above = f.sub(x, f.real(1.0f));
  Value root = math::SqrtOp::create(f.b, f.loc,
                                    f.fma(above, above, f.add(above, above)));
  Value near = math::Log1pOp::create(f.b, f.loc, f.add(above, root));
  // Squares of large numbers overflow; there acosh is log 2x.
  Value large = arith::CmpFOp::create(f.b, f.loc, arith::CmpFPredicate::OGT, x,
                                      f.real(1e9f));
  Value logarithm =
      f.add(math::LogOp::create(f.b, f.loc, x), f.real(0.693147181f));
  Value inside = arith::CmpFOp::create(f.b, f.loc, arith::CmpFPredicate::OGE, x,
                                       f.real(1.0f));
  return f.select(inside, f.select(large, logarithm, near), f.real(NAN));
}

Value approximate(const Formula &f, math::AtanhOp, Value x) {
  // Of the size: log1p of what is near to -1 would have lost its digits.
  Value size = math::AbsFOp::create(f.b, f.loc, x);
  Value ratio = arith::DivFOp::create(f.b, f.loc, f.add(size, size),
                                      f.sub(f.real(1.0f), size));
  return f.withSign(
      f.mul(math::Log1pOp::create(f.b, f.loc, ratio), f.real(0.5f)), x);
}

/// π/2 or π/4 and the arctangent of what is at most tan π/8.
Value approximate(const Formula &f, math::AtanOp, Value x) {
  Value size = math::AbsFOp::create(f.b, f.loc, x), one = f.real(1.0f);
  auto isAbove = [&](float bound) -> Value {
    return arith::CmpFOp::create(f.b, f.loc, arith::CmpFPredicate::OGT, size,
                                 f.real(bound));
  };
  Value above = isAbove(0.414213562f), large = isAbove(2.41421356f);
  auto pick = [&](Value ofLarge, Value ofMiddle, Value ofSmall) {
    return f.select(large, ofLarge, f.select(above, ofMiddle, ofSmall));
  };
  Value zero = f.real(0.0f);
  Value rest = arith::DivFOp::create(
      f.b, f.loc, pick(f.real(-1.0f), f.sub(size, one), size),
      pick(size, f.add(size, one), one));
  Value square = f.mul(rest, rest);
  Value slope = f.polynomial(
      {-0.333329491539f, 0.199777106478f, -0.138776856032f, 0.0805374449538f},
      square);
  // Both are sums of two numbers.
  Value low = pick(f.real(-4.37113883e-8f), f.real(-2.18556941e-8f), zero),
        high = pick(f.real(1.57079637f), f.real(0.785398185f), zero);
  return f.withSign(
      f.add(high, f.add(f.fma(f.mul(slope, square), rest, rest), low)), x);
}

/// MLIR's logarithm takes subnormal numbers for the least normal one: they are
/// made larger by 2^23 first.
Value logarithm(const Formula &f, Value x) {
  Value small = arith::CmpFOp::create(f.b, f.loc, arith::CmpFPredicate::OLT, x,
                                      f.real(0x1p-126f));
  Value scaled = arith::SelectOp::create(f.b, f.loc, small,
                                         f.mul(x, f.real(0x1p23f)), x),
        excess = arith::SelectOp::create(f.b, f.loc, small, f.real(15.9423847f),
                                         f.real(0.0f));
  return f.sub(math::LogOp::create(f.b, f.loc, scaled), excess);
}

/// Those that the model asks for; the functions here know their arguments.
void scaleSubnormals(Operation *root) {
  SmallVector<math::LogOp> ops;
  root->walk([&](math::LogOp op) {
    if (getElementTypeOrSelf(op.getType()).isF32())
      ops.push_back(op);
  });
  for (math::LogOp op : ops) {
    OpBuilder builder(op);
    Formula f{builder, op.getLoc(), op.getType()};
    op.replaceAllUsesWith(logarithm(f, op.getOperand()));
    op.erase();
  }
}

/// The memory that a memref is a part of.
Value memoryOf(Value memref) {
  while (auto view = memref.getDefiningOp<ViewLikeOpInterface>())
    memref = view.getViewSource();
  return memref;
}

/// Adds what computes `value` in the loop, inputs first; whether that can run
/// ahead of the loop.
bool collect(scf::ForOp loop, Value value, SetVector<Operation *> &slice) {
  Operation *op = value.getDefiningOp();
  if (!op || !loop->isProperAncestor(op) || slice.contains(op))
    return true;
  if (auto load = dyn_cast<memref::LoadOp>(op)) {
    for (auto store : loop.getOps<memref::StoreOp>())
      if (memoryOf(store.getMemref()) == memoryOf(load.getMemref()))
        return false;
  } else if (!isPure(op) || op->getNumRegions()) {
    return false;
  }
  for (Value operand : op->getOperands())
    if (!collect(loop, operand, slice))
      return false;
  slice.insert(op);
  return true;
}

/// A branch for large angles would keep a loop from becoming one of vectors: so
/// the loop is there twice, and another that looks through the angles says
/// which of the two to run.
void chooseBySize(scf::ForOp loop) {
  SmallVector<Operation *> functions;
  SetVector<Operation *> slice;
  if (loop.getNumResults())
    return;
  for (Operation &op : *loop.getBody()) {
    if (op.getNumRegions())
      return;
    if (!isa<math::SinOp, math::CosOp, math::TanOp>(op) ||
        !op.getResult(0).getType().isF32())
      continue;
    if (!collect(loop, op.getOperand(0), slice))
      return;
    functions.push_back(&op);
  }
  // One angle in another is not known without computing a function.
  if (functions.empty() || llvm::any_of(functions, [&](Operation *op) {
        return slice.contains(op);
      }))
    return;
  OpBuilder builder(loop);
  Location loc = loop.getLoc();
  Value none =
      arith::ConstantOp::create(builder, loc, builder.getBoolAttr(false));
  auto look = scf::ForOp::create(
      builder, loc, loop.getLowerBound(), loop.getUpperBound(), loop.getStep(),
      none, [&](OpBuilder &b, Location loc, Value at, ValueRange state) {
        IRMapping mapping;
        mapping.map(loop.getInductionVar(), at);
        for (Operation *op : slice)
          b.clone(*op, mapping);
        Formula f{b, loc, b.getF32Type()};
        Value large = state[0];
        for (Operation *op : functions) {
          Value x = mapping.lookupOrDefault(op->getOperand(0));
          large = arith::OrIOp::create(b, loc, large, f.isLarge(x));
        }
        scf::YieldOp::create(b, loc, large);
      });
  auto either = scf::IfOp::create(builder, loc, look.getResult(0),
                                  /*withElseRegion=*/true);
  either.getThenBodyBuilder().clone(*loop);
  loop->moveBefore(either.elseBlock()->getTerminator());
  for (Operation *op : functions)
    op->setAttr(kSmall, builder.getUnitAttr());
}

/// exp(y · log |x|), with the sign of an odd power, and C's pow where that is
/// not defined.
struct ApproximatePower : OpRewritePattern<math::PowFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(math::PowFOp op,
                                PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isF32())
      return rewriter.notifyMatchFailure(op, "not f32");
    using Predicate = arith::CmpFPredicate;
    Location loc = op.getLoc();
    Formula f{rewriter, loc, op.getType()};
    Value x = op.getLhs(), y = op.getRhs(), one = f.real(1.0f);
    auto is = [&](Predicate predicate, Value a, Value b) -> Value {
      return arith::CmpFOp::create(rewriter, loc, predicate, a, b);
    };
    auto either = [&](Value condition, Value a, Value b) -> Value {
      return arith::SelectOp::create(rewriter, loc, condition, a, b);
    };
    auto floor = [&](Value v) -> Value {
      return math::FloorOp::create(rewriter, loc, v);
    };
    Value size = math::AbsFOp::create(rewriter, loc, x);
    Value power =
        math::ExpOp::create(rewriter, loc, f.mul(y, logarithm(f, size)));
    power = either(is(Predicate::OEQ, size, one), one, power);
    Value half = f.mul(y, f.real(0.5f));
    Value whole = is(Predicate::OEQ, floor(y), y),
          odd = arith::AndIOp::create(rewriter, loc, whole,
                                      is(Predicate::UNE, floor(half), half));
    power = either(odd, f.withSign(power, x), power);
    Value fraction = either(whole, power, f.real(NAN));
    Value infinite = is(Predicate::OEQ, size, f.real(INFINITY));
    power = either(is(Predicate::OLT, x, f.real(0.0f)),
                   either(infinite, power, fraction), power);
    // Not even NaN changes these.
    power = either(is(Predicate::OEQ, y, f.real(0.0f)), one, power);
    rewriter.replaceOp(op, either(is(Predicate::OEQ, x, one), one, power));
    return success();
  }
};

template <typename Function> struct Approximate : OpRewritePattern<Function> {
  using OpRewritePattern<Function>::OpRewritePattern;
  LogicalResult matchAndRewrite(Function op,
                                PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isF32())
      return rewriter.notifyMatchFailure(op, "not f32");
    Formula formula{rewriter, op.getLoc(), op.getType()};
    rewriter.replaceOp(op, approximate(formula, op, op.getOperand()));
    return success();
  }
};

/// Rounding to even and converting are one instruction.
struct RoundToInteger : OpRewritePattern<arith::FPToSIOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::FPToSIOp op,
                                PatternRewriter &rewriter) const override {
    auto rounded = op.getIn().getDefiningOp<math::RoundEvenOp>();
    auto vector = dyn_cast<VectorType>(op.getType());
    if (!rounded || !getElementTypeOrSelf(op.getType()).isInteger(32) ||
        !getElementTypeOrSelf(op.getIn().getType()).isF32() ||
        (vector && (vector.getRank() != 1 || vector.isScalable())))
      return rewriter.notifyMatchFailure(op, "is not of a rounded f32");
    rewriter.replaceOpWithNewOp<LLVM::LrintOp>(op, op.getType(),
                                               rounded.getOperand());
    return success();
  }
};

struct ApproximateMath : impl::ApproximateMathBase<ApproximateMath> {
  void runOnOperation() override {
    scaleSubnormals(getOperation());
    SmallVector<scf::ForOp> loops;
    getOperation()->walk([&](scf::ForOp loop) { loops.push_back(loop); });
    llvm::for_each(loops, chooseBySize);
    RewritePatternSet patterns(&getContext());
    patterns.add<Approximate<math::ExpOp>, Approximate<math::Exp2Op>,
                 Approximate<math::ErfOp>, Approximate<math::SinOp>,
                 Approximate<math::CosOp>, Approximate<math::TanOp>,
                 Approximate<math::Log10Op>, Approximate<math::SinhOp>,
                 Approximate<math::AsinhOp>, Approximate<math::AcoshOp>,
                 Approximate<math::AtanhOp>, Approximate<math::AtanOp>,
                 Approximate<math::CoshOp>, ApproximatePower, RoundToInteger>(
        &getContext());
    math::populateExpansionPatterns(patterns, {"rsqrt", "fpowi"});
    populateMathAlgebraicSimplificationPatterns(patterns);
    populateMathF32ExpansionPatterns(patterns, [](StringRef) { return true; });
    populateMathPolynomialApproximationPatterns(patterns, [](StringRef name) {
      return name != math::ExpOp::getOperationName() &&
             name != math::ErfOp::getOperationName() &&
             name != math::SinOp::getOperationName() &&
             name != math::CosOp::getOperationName() &&
             name != math::AtanOp::getOperationName();
    });
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace fulgur
