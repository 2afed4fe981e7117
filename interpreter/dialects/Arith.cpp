// arith: numbers. Floating-point operations are computed in double precision
// and rounded once, which gives the correctly rounded result for f32 and
// narrower formats.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "interpreter/Machine.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>

using namespace mlir;

namespace fulgur::interpreter {

static bool compare(arith::CmpIPredicate predicate, Format format, int64_t a,
                    int64_t b) {
  uint64_t x = format.asUnsigned(a), y = format.asUnsigned(b);
  switch (predicate) {
  case arith::CmpIPredicate::eq:
    return a == b;
  case arith::CmpIPredicate::ne:
    return a != b;
  case arith::CmpIPredicate::slt:
    return a < b;
  case arith::CmpIPredicate::sle:
    return a <= b;
  case arith::CmpIPredicate::sgt:
    return a > b;
  case arith::CmpIPredicate::sge:
    return a >= b;
  case arith::CmpIPredicate::ult:
    return x < y;
  case arith::CmpIPredicate::ule:
    return x <= y;
  case arith::CmpIPredicate::ugt:
    return x > y;
  case arith::CmpIPredicate::uge:
    return x >= y;
  }
  llvm_unreachable("no such predicate");
}

static bool compare(arith::CmpFPredicate predicate, double a, double b) {
  bool unordered = std::isnan(a) || std::isnan(b);
  switch (predicate) {
  case arith::CmpFPredicate::AlwaysFalse:
    return false;
  case arith::CmpFPredicate::AlwaysTrue:
    return true;
  case arith::CmpFPredicate::ORD:
    return !unordered;
  case arith::CmpFPredicate::UNO:
    return unordered;
  case arith::CmpFPredicate::OEQ:
    return a == b;
  case arith::CmpFPredicate::OGT:
    return a > b;
  case arith::CmpFPredicate::OGE:
    return a >= b;
  case arith::CmpFPredicate::OLT:
    return a < b;
  case arith::CmpFPredicate::OLE:
    return a <= b;
  case arith::CmpFPredicate::ONE:
    return !unordered && a != b;
  case arith::CmpFPredicate::UEQ:
    return unordered || a == b;
  case arith::CmpFPredicate::UGT:
    return unordered || a > b;
  case arith::CmpFPredicate::UGE:
    return unordered || a >= b;
  case arith::CmpFPredicate::ULT:
    return unordered || a < b;
  case arith::CmpFPredicate::ULE:
    return unordered || a <= b;
  case arith::CmpFPredicate::UNE:
    return unordered || a != b;
  }
  llvm_unreachable("no such predicate");
}

namespace {
/// What arith.constant keeps: the value itself.
struct ConstantMemo : Memo {
  Value value;
};
} // namespace

static void runConstant(Machine &machine, const Step &step) {
  if (!step.memo) {
    auto memo = std::make_unique<ConstantMemo>();
    auto op = step.as<arith::ConstantOp>();
    Format format = step.resultFormats[0];
    if (auto number = dyn_cast<FloatAttr>(op.getValue()))
      memo->value = Scalar::of(format.round(number.getValueAsDouble()));
    else if (auto number = dyn_cast<IntegerAttr>(op.getValue());
             number && number.getValue().getBitWidth() <= 64)
      memo->value = Scalar::of(number.getValue().getSExtValue());
    else if (auto elements = dyn_cast<ElementsAttr>(op.getValue())) {
      auto array = machine.constant(elements);
      if (!array)
        return machine.unknown(step, "such a constant");
      if (isa<VectorType>(op.getType())) {
        auto lanes = llvm::makeIntrusiveRefCnt<Lanes>();
        for (int64_t k = 0, count = array->count(); k < count; ++k)
          lanes->lanes.push_back(format.load(array->at(k)));
        memo->value = Value(lanes);
      } else {
        memo->value = Value(array);
      }
    } else {
      return machine.unknown(step, "such a constant");
    }
    step.memo = std::move(memo);
  }
  machine.set(step, 0, static_cast<ConstantMemo &>(*step.memo).value);
}

/// Registers a floating-point operation of two operands.
#define REAL(OP, EXPRESSION)                                                   \
  registry.elementwise<arith::OP>(                                             \
      [](Machine &m, const Step &s, const Scalar *x) {                         \
        double a = x[0].real, b = x[1].real;                                   \
        return m.real(s.resultFormats[0], EXPRESSION);                         \
      })
/// Registers an operation of two integers; `u` and `v` are they as unsigned.
#define INTEGER(OP, EXPRESSION)                                                \
  registry.elementwise<arith::OP>(                                             \
      [](Machine &m, const Step &s, const Scalar *x) {                         \
        Format format = s.formats[0];                                          \
        [[maybe_unused]] int64_t a = x[0].integer, b = x[1].integer;           \
        [[maybe_unused]] uint64_t u = format.asUnsigned(a),                    \
                                  v = format.asUnsigned(b);                    \
        return Scalar::of(format.wrap(EXPRESSION));                            \
      })
/// The same, for divisions.
#define DIVISION(OP, EXPRESSION)                                               \
  registry.elementwise<arith::OP>(                                             \
      [](Machine &m, const Step &s, const Scalar *x) {                         \
        Format format = s.formats[0];                                          \
        [[maybe_unused]] int64_t a = x[0].integer, b = x[1].integer;           \
        [[maybe_unused]] uint64_t u = format.asUnsigned(a),                    \
                                  v = format.asUnsigned(b);                    \
        if (b == 0 || (b == -1 && a == INT64_MIN)) {                           \
          m.wrong(s, "divides " + Twine(a) + " by " + Twine(b));               \
          return Scalar::of(int64_t(0));                                       \
        }                                                                      \
        return Scalar::of(format.wrap(int64_t(EXPRESSION)));                   \
      })
#define CONVERSION(OP, EXPRESSION)                                             \
  registry.elementwise<arith::OP>(                                             \
      [](Machine &m, const Step &s, const Scalar *x) {                         \
        [[maybe_unused]] Format from = s.formats[0], to = s.resultFormats[0];  \
        return EXPRESSION;                                                     \
      })

/// IEEE 754-2019 maximum and minimum: a NaN wins, and 0 is above -0.
static double maximum(double a, double b) {
  if (std::isnan(a) || std::isnan(b))
    return NAN;
  return a == b ? (std::signbit(a) ? b : a) : std::max(a, b);
}
static double minimum(double a, double b) { return -maximum(-a, -b); }

/// A shift by `count` of all `bits` and more gives poison; here 0.
static uint64_t shifted(uint64_t u, uint64_t count, unsigned bits) {
  return count >= bits ? 0 : u << count;
}

static int64_t saturate(double value, Format format, bool isSigned) {
  // What is outside gives poison; that of x86.
  if (!(std::fabs(value) < 0x1p63)) {
    if (!isSigned && value >= 0 && value < 0x1p64)
      return format.wrap(int64_t(uint64_t(value)));
    return format.wrap(INT64_MIN);
  }
  return format.wrap(int64_t(value));
}

void registerArith(Registry &registry) {
  registry.add<arith::ConstantOp>(runConstant);

  REAL(AddFOp, a + b);
  REAL(SubFOp, a - b);
  REAL(MulFOp, a * b);
  REAL(DivFOp, a / b);
  REAL(RemFOp, std::fmod(a, b));
  REAL(MaximumFOp, maximum(a, b));
  REAL(MinimumFOp, minimum(a, b));
  REAL(MaxNumFOp, std::fmax(a, b));
  REAL(MinNumFOp, std::fmin(a, b));
  registry.elementwise<arith::NegFOp>(
      [](Machine &, const Step &, const Scalar *x) {
        return Scalar::of(-x[0].real);
      });

  INTEGER(AddIOp, int64_t(u + v));
  INTEGER(SubIOp, int64_t(u - v));
  INTEGER(MulIOp, int64_t(u * v));
  INTEGER(AndIOp, a & b);
  INTEGER(OrIOp, a | b);
  INTEGER(XOrIOp, a ^ b);
  INTEGER(ShLIOp, int64_t(shifted(u, v, format.bits)));
  INTEGER(ShRUIOp, int64_t(v >= format.bits ? 0 : u >> v));
  INTEGER(ShRSIOp, a >> std::min<uint64_t>(v, format.bits - 1));
  INTEGER(MaxSIOp, std::max(a, b));
  INTEGER(MinSIOp, std::min(a, b));
  INTEGER(MaxUIOp, int64_t(std::max(u, v)));
  INTEGER(MinUIOp, int64_t(std::min(u, v)));

  DIVISION(DivSIOp, a / b);
  DIVISION(DivUIOp, u / v);
  DIVISION(RemSIOp, a % b);
  DIVISION(RemUIOp, u % v);
  DIVISION(CeilDivSIOp, a / b + (a % b != 0 && (a < 0) == (b < 0)));
  DIVISION(CeilDivUIOp, u / v + (u % v != 0));
  DIVISION(FloorDivSIOp, a / b - (a % b != 0 && (a < 0) != (b < 0)));

  registry.elementwise<arith::CmpIOp>(
      [](Machine &, const Step &s, const Scalar *x) {
        return Scalar::of(
            -int64_t(compare(s.as<arith::CmpIOp>().getPredicate(), s.formats[0],
                             x[0].integer, x[1].integer)));
      });
  registry.elementwise<arith::CmpFOp>(
      [](Machine &, const Step &s, const Scalar *x) {
        return Scalar::of(-int64_t(compare(s.as<arith::CmpFOp>().getPredicate(),
                                           x[0].real, x[1].real)));
      });

  CONVERSION(ExtFOp, x[0]);
  CONVERSION(TruncFOp, m.real(to, x[0].real));
  CONVERSION(ExtSIOp, x[0]);
  CONVERSION(ExtUIOp, Scalar::of(int64_t(from.asUnsigned(x[0].integer))));
  CONVERSION(TruncIOp, Scalar::of(to.wrap(x[0].integer)));
  CONVERSION(IndexCastOp, Scalar::of(to.wrap(x[0].integer)));
  CONVERSION(IndexCastUIOp,
             Scalar::of(to.wrap(int64_t(from.asUnsigned(x[0].integer)))));
  CONVERSION(SIToFPOp, m.real(to, double(x[0].integer), /*exact=*/true));
  CONVERSION(UIToFPOp, m.real(to, double(from.asUnsigned(x[0].integer)),
                              /*exact=*/true));
  CONVERSION(FPToSIOp, Scalar::of(saturate(x[0].real, to, true)));
  CONVERSION(FPToUIOp, Scalar::of(saturate(x[0].real, to, false)));
  CONVERSION(BitcastOp, [&] {
    int64_t pattern = from.isFloat() ? from.encode(x[0].real) : x[0].integer;
    return to.isFloat() ? Scalar::of(to.decode(pattern))
                        : Scalar::of(to.wrap(pattern));
  }());

  // A select of whole arrays or vectors has a scalar condition.
  registry.add<arith::SelectOp>([](Machine &machine, const Step &step) {
    if (!isa<ShapedType>(step.op->getOperand(0).getType()))
      return machine.set(step, 0,
                         machine.value(step, machine.integer(step, 0) ? 1 : 2));
    mapOver(machine, step, [](Machine &, const Step &, const Scalar *x) {
      return x[0].integer ? x[1] : x[2];
    });
  });

  auto wide = [](Machine &machine, const Step &step) {
    bool isSigned = isa<arith::MulSIExtendedOp>(step.op);
    Format format = step.formats[0];
    int64_t a = machine.integer(step, 0), b = machine.integer(step, 1);
    if (isa<ShapedType>(step.op->getResult(0).getType()))
      return machine.unknown(step, "vectors");
    __int128 product =
        isSigned ? __int128(a) * b
                 : __int128(format.asUnsigned(a)) * format.asUnsigned(b);
    machine.set(step, 0, Scalar::of(format.wrap(int64_t(product))));
    machine.set(step, 1,
                Scalar::of(format.wrap(int64_t(product >> format.bits))));
  };
  registry.add<arith::MulSIExtendedOp>(wide);
  registry.add<arith::MulUIExtendedOp>(wide);
}

} // namespace fulgur::interpreter
