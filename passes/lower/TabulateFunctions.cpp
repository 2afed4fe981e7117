// Functions of one number that are rounded to bfloat16, such as GELU, as
// parabolas: one for each 32nd of the range where the function bends, and a
// line on either side of it. One instruction picks a coefficient for every lane
// out of 32. Multipliers are what products leave least of: a parabola takes two
// multiplications where erf takes nine and tanh seventeen.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "passes/Passes.h"
#include "llvm/ADT/SetVector.h"
#include <array>
#include <cfloat>
#include <cmath>

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_TABULATEFUNCTIONS
#include "passes/Passes.h.inc"

namespace {
constexpr int64_t kLanes = 16, kPieces = 2 * kLanes;
/// The error may be a quarter of the largest that rounding to bfloat16 makes of
/// numbers from a quarter on: of smaller ones it is what it is there.
constexpr double kError = 0x1p-10, kSmall = 0.25;

bool isApproximate(Operation *op) {
  auto flags = dyn_cast<arith::ArithFastMathInterface>(op);
  return flags && isa<math::ErfOp, math::TanhOp, math::ExpOp>(op) &&
         bitEnumContainsAll(flags.getFastMathFlagsAttr().getValue(),
                            arith::FastMathFlags::afn);
}

/// `result` as a function of `argument`: what is computed in between depends on
/// nothing else.
struct Function {
  Value argument, result;

  /// Its value at x; nothing if an operation is not known here.
  std::optional<double> at(double x) const {
    llvm::DenseMap<Value, double> known{{argument, x}};
    return at(result, known);
  }

private:
  static std::optional<double> apply(Operation *op, ArrayRef<double> x) {
    if (isa<arith::AddFOp>(op))
      return x[0] + x[1];
    if (isa<arith::SubFOp>(op))
      return x[0] - x[1];
    if (isa<arith::MulFOp>(op))
      return x[0] * x[1];
    if (isa<arith::DivFOp>(op))
      return x[0] / x[1];
    if (isa<arith::NegFOp>(op))
      return -x[0];
    if (isa<math::ErfOp>(op))
      return std::erf(x[0]);
    if (isa<math::TanhOp>(op))
      return std::tanh(x[0]);
    if (isa<math::ExpOp>(op))
      return std::exp(x[0]);
    return std::nullopt;
  }

  static std::optional<double> at(Value value,
                                  llvm::DenseMap<Value, double> &known) {
    if (auto found = known.find(value); found != known.end())
      return found->second;
    Operation *op = value.getDefiningOp();
    SplatElementsAttr constant;
    if (matchPattern(op, m_Constant(&constant)))
      return constant.getSplatValue<APFloat>().convertToDouble();
    SmallVector<double> operands;
    for (Value operand : op->getOperands()) {
      std::optional<double> x = at(operand, known);
      if (!x)
        return std::nullopt;
      operands.push_back(*x);
    }
    std::optional<double> result = apply(op, operands);
    if (result)
      known[value] = *result;
    return result;
  }
};

/// The longest way back from `result` to a single number, past functions that
/// may be approximate; nothing if there are none on it.
std::optional<Function> functionOf(Value result) {
  auto type = VectorType::get(kLanes, Float32Type::get(result.getContext()));
  if (result.getType() != type)
    return std::nullopt;
  std::optional<Function> function;
  bool approximate = false;
  SmallVector<Value> open{result}; // what the result is computed of
  while (true) {
    if (approximate && open.size() == 1)
      function = Function{open.front(), result};
    // The last one in the block cannot be computed of another.
    auto *last = llvm::max_element(open, [](Value a, Value b) {
      Operation *x = a.getDefiningOp(), *y = b.getDefiningOp();
      return y && (!x || x->isBeforeInBlock(y));
    });
    Operation *op = last->getDefiningOp();
    if (!op || op->getBlock() != result.getParentBlock() ||
        !OpTrait::hasElementwiseMappableTraits(op) ||
        op->getResult(0).getType() != type)
      return function;
    approximate |= isApproximate(op);
    open.erase(last);
    for (Value operand : op->getOperands()) {
      if (operand.getType() != type)
        return function;
      Operation *from = operand.getDefiningOp();
      if (from && from->getBlock() != op->getBlock() &&
          !from->hasTrait<OpTrait::ConstantLike>())
        return function;
      if (!matchPattern(operand, m_Constant()) &&
          !llvm::is_contained(open, operand))
        open.push_back(operand);
    }
    if (open.empty())
      return function;
  }
}

/// Pieces k = -16 ... 15 around k * step, each a + x * (b + x * c); the first
/// and the last are lines that go on.
struct Pieces {
  double step;
  std::array<std::array<double, 3>, kPieces> coefficients{};

  static int64_t place(int64_t k) { return k & (kPieces - 1); }
  double at(double x) const {
    double k =
        std::clamp<double>(std::nearbyint(x / step), -kLanes, kLanes - 1);
    auto [a, b, c] = coefficients[place(k)];
    return a + x * (b + x * c);
  }
};

/// Through three points, and so a Chebyshev interpolation.
std::array<double, 3> parabola(ArrayRef<double> x, ArrayRef<double> y) {
  double slope = (y[1] - y[0]) / (x[1] - x[0]),
         bend = ((y[2] - y[1]) / (x[2] - x[1]) - slope) / (x[2] - x[0]);
  return {y[0] - slope * x[0] + bend * x[0] * x[1],
          slope - bend * (x[0] + x[1]), bend};
}

std::optional<Pieces> piecesOf(const Function &function, double step) {
  Pieces pieces{step};
  constexpr double kFar = 256;
  for (int64_t k = -kLanes; k < kLanes; ++k) {
    bool first = k == -kLanes, last = k == kLanes - 1;
    SmallVector<double> x{(k - std::sqrt(0.75) / 2) * step, k * step,
                          (k + std::sqrt(0.75) / 2) * step};
    if (first || last)
      x = {first ? -kFar : kFar, first ? -2 * kFar : 2 * kFar};
    SmallVector<double> y;
    for (double at : x) {
      std::optional<double> value = function.at(at);
      if (!value || !std::isfinite(*value))
        return std::nullopt;
      y.push_back(*value);
    }
    auto &coefficients = pieces.coefficients[Pieces::place(k)];
    if (first || last) {
      double slope = (y[1] - y[0]) / (x[1] - x[0]);
      coefficients = {y[0] - slope * x[0], slope, 0};
    } else {
      coefficients = parabola(x, y);
    }
  }
  for (double x = -kFar; x < kFar; x += std::fabs(x) < 20 ? 1.0 / 64 : 1) {
    double exact = *function.at(x), error = std::fabs(pieces.at(x) - exact);
    if (!(error <= kError * std::max(std::fabs(exact), kSmall)))
      return std::nullopt;
  }
  return pieces;
}

struct TabulateFunctions : impl::TabulateFunctionsBase<TabulateFunctions> {
  using TabulateFunctionsBase::TabulateFunctionsBase;

  void runOnOperation() override {
    if (vectorBytes != 4 * kLanes)
      return;
    llvm::SetVector<Value> rounded;
    getOperation().walk([&](arith::TruncFOp op) {
      if (getElementTypeOrSelf(op.getType()).isBF16() &&
          llvm::all_of(op.getIn().getUsers(), [](Operation *user) {
            return isa<arith::TruncFOp>(user);
          }))
        rounded.insert(op.getIn());
    });
    for (Value result : rounded)
      if (std::optional<Function> function = functionOf(result))
        if (std::optional<Pieces> pieces = choose(*function))
          write(*function, *pieces);
  }

private:
  static std::optional<Pieces> choose(const Function &function) {
    for (double step : {0.25, 0.5, 1.0})
      if (std::optional<Pieces> pieces = piecesOf(function, step))
        return pieces;
    return std::nullopt;
  }

  static void write(const Function &function, const Pieces &pieces) {
    Value result = function.result, x = function.argument;
    OpBuilder b(result.getDefiningOp());
    Location loc = result.getLoc();
    auto type = cast<VectorType>(result.getType());
    auto constant = [&](double value) -> Value {
      return arith::ConstantOp::create(
          b, loc, DenseElementsAttr::get(type, b.getF32FloatAttr(value)));
    };
    auto clamp = [&](Value x, arith::CmpFPredicate beyond,
                     double bound) -> Value {
      Value limit = constant(bound);
      return arith::SelectOp::create(
          b, loc, arith::CmpFOp::create(b, loc, beyond, x, limit), limit, x);
    };
    // Infinities would make NaN of a line whose slope is 0. NaN stays.
    x = clamp(x, arith::CmpFPredicate::OGT, FLT_MAX);
    x = clamp(x, arith::CmpFPredicate::OLT, -FLT_MAX);
    Value inside =
        clamp(clamp(x, arith::CmpFPredicate::OGT, (kLanes - 1) * pieces.step),
              arith::CmpFPredicate::OLT, -kLanes * pieces.step);
    // The number of the piece is in the sum's low bits.
    Value sum =
        arith::AddFOp::create(b, loc, inside, constant(0x1.8p23 * pieces.step));
    Value number =
        arith::BitcastOp::create(b, loc, type.clone(b.getI32Type()), sum);
    auto pick = [&](unsigned power) -> Value {
      Value halves[2];
      for (auto [half, table] : llvm::enumerate(halves)) {
        SmallVector<float> numbers;
        for (int64_t lane : llvm::seq(kLanes))
          numbers.push_back(
              float(pieces.coefficients[half * kLanes + lane][power]));
        table = arith::ConstantOp::create(
            b, loc, DenseElementsAttr::get(type, ArrayRef(numbers)));
      }
      return LLVM::CallIntrinsicOp::create(
                 b, loc, type,
                 b.getStringAttr("llvm.x86.avx512.vpermi2var.ps.512"),
                 ValueRange{halves[0], number, halves[1]})
          .getResults();
    };
    Value value = pick(2);
    for (unsigned power : {1, 0})
      value = LLVM::FMulAddOp::create(b, loc, value, x, pick(power));
    result.replaceAllUsesWith(value);
  }
};
} // namespace
} // namespace fulgur
