// math: functions, as the C library of the compiler's host computes them in
// double precision.
#include "mlir/Dialect/Math/IR/Math.h"
#include "interpreter/Machine.h"
#include "llvm/ADT/bit.h"
#include <cmath>

using namespace mlir;

namespace fulgur::interpreter {

/// A function whose result is hardly ever exact.
#define FUNCTION(OP, EXPRESSION)                                               \
  registry.elementwise<math::OP>(                                              \
      [](Machine &m, const Step &s, const Scalar *x) {                         \
        double a = x[0].real;                                                  \
        return m.real(s.resultFormats[0], EXPRESSION);                         \
      })
#define INTEGER(OP, EXPRESSION)                                                \
  registry.elementwise<math::OP>(                                              \
      [](Machine &m, const Step &s, const Scalar *x) {                         \
        Format format = s.formats[0];                                          \
        int64_t a = x[0].integer;                                              \
        return Scalar::of(format.wrap(EXPRESSION));                            \
      })

/// x to the power of n: exact as long as it fits.
static int64_t power(int64_t x, int64_t n) {
  if (n < 0)
    return x == 1 ? 1 : x == -1 ? (n % 2 ? -1 : 1) : 0;
  uint64_t result = 1, factor = x;
  for (; n; n >>= 1, factor *= factor)
    if (n & 1)
      result *= factor;
  return int64_t(result);
}

void registerMath(Registry &registry) {
  FUNCTION(AbsFOp, std::fabs(a));
  FUNCTION(AcosOp, std::acos(a));
  FUNCTION(AcoshOp, std::acosh(a));
  FUNCTION(AsinOp, std::asin(a));
  FUNCTION(AsinhOp, std::asinh(a));
  FUNCTION(AtanOp, std::atan(a));
  FUNCTION(AtanhOp, std::atanh(a));
  FUNCTION(Atan2Op, std::atan2(a, x[1].real));
  FUNCTION(CbrtOp, std::cbrt(a));
  FUNCTION(CeilOp, std::ceil(a));
  FUNCTION(CopySignOp, std::copysign(a, x[1].real));
  FUNCTION(CosOp, std::cos(a));
  FUNCTION(CoshOp, std::cosh(a));
  FUNCTION(ErfOp, std::erf(a));
  FUNCTION(ErfcOp, std::erfc(a));
  FUNCTION(ExpOp, std::exp(a));
  FUNCTION(Exp2Op, std::exp2(a));
  FUNCTION(ExpM1Op, std::expm1(a));
  FUNCTION(FloorOp, std::floor(a));
  FUNCTION(FPowIOp, std::pow(a, double(x[1].integer)));
  FUNCTION(LogOp, std::log(a));
  FUNCTION(Log10Op, std::log10(a));
  FUNCTION(Log1pOp, std::log1p(a));
  FUNCTION(Log2Op, std::log2(a));
  FUNCTION(PowFOp, std::pow(a, x[1].real));
  FUNCTION(RoundOp, std::round(a));
  FUNCTION(RoundEvenOp, std::nearbyint(a));
  FUNCTION(RsqrtOp, 1 / std::sqrt(a));
  FUNCTION(SinOp, std::sin(a));
  FUNCTION(SinhOp, std::sinh(a));
  FUNCTION(SqrtOp, std::sqrt(a));
  FUNCTION(TanOp, std::tan(a));
  FUNCTION(TanhOp, std::tanh(a));
  FUNCTION(TruncOp, std::trunc(a));
  registry.elementwise<math::FmaOp>(
      [](Machine &m, const Step &s, const Scalar *x) {
        return m.fused(s.resultFormats[0], x[0].real, x[1].real, x[2].real);
      });
  registry.elementwise<math::IsNaNOp>(
      [](Machine &, const Step &, const Scalar *x) {
        return Scalar::of(-int64_t(std::isnan(x[0].real)));
      });
  registry.elementwise<math::IsInfOp>(
      [](Machine &, const Step &, const Scalar *x) {
        return Scalar::of(-int64_t(std::isinf(x[0].real)));
      });
  registry.elementwise<math::IsFiniteOp>(
      [](Machine &, const Step &, const Scalar *x) {
        return Scalar::of(-int64_t(std::isfinite(x[0].real)));
      });

  INTEGER(AbsIOp, a < 0 ? int64_t(-uint64_t(a)) : a);
  INTEGER(CountLeadingZerosOp, llvm::countl_zero(format.asUnsigned(a)) -
                                   (64 - int64_t(format.bits)));
  INTEGER(CountTrailingZerosOp,
          a ? llvm::countr_zero(uint64_t(a)) : int64_t(format.bits));
  INTEGER(CtPopOp, llvm::popcount(format.asUnsigned(a)));
  INTEGER(IPowIOp, power(a, x[1].integer));
}

} // namespace fulgur::interpreter
