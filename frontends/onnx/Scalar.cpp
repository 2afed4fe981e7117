#include "frontends/onnx/Scalar.h"
#include "frontends/onnx/Narrow.h"
#include "llvm/ADT/APFloat.h"
#include <cmath>

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// The nearest number that the type has.
double rounded(DType type, double x) {
  if (type == DType::f32)
    return float(x);
  if (!isHalf(type))
    return x;
  APFloat value(x);
  bool lost;
  value.convert(type == DType::f16 ? APFloat::IEEEhalf() : APFloat::BFloat(),
                APFloat::rmNearestTiesToEven, &lost);
  value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
  return value.convertToDouble();
}

/// The integer modulo 2^width, as the type reads it.
int64_t wrapped(DType type, int64_t x) {
  unsigned bits = bitWidth(type);
  if (bits == 1)
    return x & 1;
  if (bits >= 64)
    return x;
  uint64_t low = uint64_t(x) & ((uint64_t(1) << bits) - 1);
  return isUnsigned(type) ? int64_t(low)
                          : int64_t(low << (64 - bits)) >> (64 - bits);
}

Scalar known(const Scalar &like, DType type, Element element) {
  if (isReal(type))
    element.real = rounded(type, element.real);
  else if (auto constant = element.integer.constant())
    element.integer = wrapped(type, *constant);
  return {like.body, type, Value(), element};
}

Scalar truth(const Scalar &like, bool x) {
  return known(like, DType::boolean, {int64_t(x)});
}

/// Not known while importing: undecided, or what `make` emits.
template <typename Make>
Scalar otherwise(const Scalar &like, DType type, ArrayRef<Scalar> operands,
                 Make make) {
  OpBuilder *builder = like.body->builder;
  if (!builder ||
      !llvm::all_of(operands, [](const Scalar &x) { return x.decided(); }))
    return {like.body, type, Value(), std::nullopt};
  SmallVector<Value> values;
  for (const Scalar &operand : operands)
    values.push_back(operand.emit());
  return {like.body, type, make(*builder, like.body->loc, values),
          std::nullopt};
}

std::optional<int64_t> whole(const Scalar &x) {
  return x.known && !isReal(x.type) ? x.known->integer.constant()
                                    : std::nullopt;
}
std::optional<double> real(const Scalar &x) {
  return x.known && isReal(x.type) ? std::optional(x.known->real)
                                   : std::nullopt;
}
/// A known integer, whose operation can be left out.
bool isWhole(const Scalar &x, int64_t value) { return whole(x) == value; }
const Extent *size(const Scalar &x) {
  return x.known && !isReal(x.type) ? &x.known->integer : nullptr;
}

/// The sizes that two operands are, where sizes are evaluated rather than loops
/// filled; a comparison of them is a size as well.
std::optional<std::pair<Extent, Extent>> sizesOf(const Scalar &a,
                                                 const Scalar &b) {
  const Extent *x = size(a), *y = size(b);
  if (!x || !y || a.body->builder || a.type == DType::u64)
    return std::nullopt;
  return std::pair(*x, *y);
}

/// One operation of arith for floating-point numbers and one for integers.
/// Integers that are numbers rather than sizes wrap as those of the hardware.
template <typename RealOp, typename IntOp, typename RealFold,
          typename WholeFold, typename SizeFold>
Scalar arithmetic(const Scalar &a, const Scalar &b, RealFold foldReal,
                  WholeFold foldWhole, SizeFold foldSize) {
  if (auto x = real(a), y = real(b); x && y)
    return known(a, a.type, {0, foldReal(*x, *y)});
  if (auto x = whole(a), y = whole(b); x && y)
    return known(a, a.type, {foldWhole(*x, *y)});
  if (auto x = size(a), y = size(b); x && y)
    return known(a, a.type, {foldSize(*x, *y)});
  return otherwise(
      a, a.type, {a, b},
      [&](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
        return isReal(a.type) ? Value(RealOp::create(builder, loc, v[0], v[1]))
                              : Value(IntOp::create(builder, loc, v[0], v[1]));
      });
}

template <typename Op>
Scalar function(const Scalar &x, double (*fold)(double)) {
  if (auto value = real(x))
    return known(x, x.type, {0, fold(*value)});
  return otherwise(
      x, x.type, {x},
      [](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
        return Op::create(builder, loc, v[0]);
      });
}

template <typename Op>
Scalar bitwise(const Scalar &a, const Scalar &b,
               int64_t (*fold)(int64_t, int64_t)) {
  if (auto x = whole(a), y = whole(b); x && y)
    return known(a, a.type, {fold(*x, *y)});
  return otherwise(
      a, a.type, {a, b},
      [](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
        return Op::create(builder, loc, v[0], v[1]);
      });
}

Scalar compare(const Scalar &a, const Scalar &b, arith::CmpFPredicate real,
               arith::CmpIPredicate isSigned,
               arith::CmpIPredicate isUnsignedly) {
  return otherwise(
      a, DType::boolean, {a, b},
      [&](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
        if (isReal(a.type))
          return arith::CmpFOp::create(builder, loc, real, v[0], v[1]);
        return arith::CmpIOp::create(
            builder, loc, isUnsigned(a.type) ? isUnsignedly : isSigned, v[0],
            v[1]);
      });
}

/// Quotients and remainders of integers trap on 0 and on the least number by
/// -1: those divisors never reach the hardware.
template <typename Op>
Value guarded(OpBuilder &builder, Location loc, Value a, Value b,
              Value onMinusOne) {
  auto constant = [&](int64_t x) {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getIntegerAttr(a.getType(), x));
  };
  auto is = [&](int64_t x) {
    return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, b,
                                 constant(x));
  };
  Value zero = is(0), unsafe = zero;
  if (onMinusOne)
    unsafe = arith::OrIOp::create(builder, loc, zero, is(-1));
  Value result =
      Op::create(builder, loc, a,
                 arith::SelectOp::create(builder, loc, unsafe, constant(1), b));
  if (onMinusOne)
    result = arith::SelectOp::create(builder, loc, is(-1), onMinusOne, result);
  return arith::SelectOp::create(builder, loc, zero, constant(0), result);
}

bool isSafeDivisor(const Scalar &b) {
  std::optional<int64_t> x = whole(b);
  return x && *x != 0 && *x != -1;
}
} // namespace

Scalar Scalar::constant(Body &body, DType type, double number) {
  Scalar like{&body, type, Value(), std::nullopt};
  if (isNarrowReal(type))
    return {&body, type, Value(), Element{encodeNarrow(type, number)}};
  return ::known(like, type,
                 isReal(type) ? Element{0, number} : Element{int64_t(number)});
}

Scalar Scalar::extent(Body &body, DType type, const Extent &extent) {
  return {&body, type, Value(), Element{extent}};
}

Value Scalar::emit() const {
  if (value)
    return value;
  OpBuilder &b = *body->builder;
  Type to = mlirType(type, b.getContext());
  if (isReal(type))
    return arith::ConstantOp::create(b, body->loc,
                                     b.getFloatAttr(to, known->real));
  if (auto constant = known->integer.constant())
    return arith::ConstantOp::create(b, body->loc,
                                     b.getIntegerAttr(to, *constant));
  Value index = body->sizes.index(known->integer, body->loc);
  return type == DType::index
             ? index
             : Value(arith::IndexCastOp::create(b, body->loc, to, index));
}

namespace fulgur::onnx {
Scalar operator+(const Scalar &a, const Scalar &b) {
  if (isWhole(a, 0))
    return b;
  if (isWhole(b, 0))
    return a;
  return arithmetic<arith::AddFOp, arith::AddIOp>(
      a, b, std::plus<double>(),
      [](uint64_t x, uint64_t y) { return int64_t(x + y); },
      [](const Extent &x, const Extent &y) { return x + y; });
}
Scalar operator-(const Scalar &a, const Scalar &b) {
  if (isWhole(b, 0))
    return a;
  return arithmetic<arith::SubFOp, arith::SubIOp>(
      a, b, std::minus<double>(),
      [](uint64_t x, uint64_t y) { return int64_t(x - y); },
      [](const Extent &x, const Extent &y) { return x - y; });
}
Scalar operator*(const Scalar &a, const Scalar &b) {
  if (isWhole(a, 1) || real(a) == 1.0)
    return b;
  if (isWhole(b, 1) || real(b) == 1.0)
    return a;
  return arithmetic<arith::MulFOp, arith::MulIOp>(
      a, b, std::multiplies<double>(),
      [](uint64_t x, uint64_t y) { return int64_t(x * y); },
      [](const Extent &x, const Extent &y) { return x * y; });
}

Scalar operator/(const Scalar &a, const Scalar &b) {
  if (isWhole(b, 1))
    return a;
  if (auto x = real(a), y = real(b); x && y)
    return known(a, a.type, {0, *x / *y});
  if (auto x = whole(a), y = whole(b);
      x && y && *y && !(*y == -1 && *x == Atoms::kMin))
    return known(a, a.type,
                 {a.type == DType::u64 ? int64_t(uint64_t(*x) / uint64_t(*y))
                                       : *x / *y});
  if (auto x = size(a), y = size(b); x && y &&
                                     a.body->sizes.atoms.lower(*x) >= 0 &&
                                     a.body->sizes.atoms.lower(*y) > 0)
    return known(a, a.type, {a.body->sizes.atoms.floorDiv(*x, *y)});
  if (auto both = sizesOf(a, b)) {
    auto &[x, y] = *both;
    Atoms &atoms = a.body->sizes.atoms;
    auto magnitude = [&](const Extent &e) {
      return atoms.lower(e) < 0 ? atoms.max(e, Extent(-1) * e) : e;
    };
    if (!y.is(0)) {
      Extent quotient = atoms.floorDiv(magnitude(x), magnitude(y));
      Extent differ = atoms.equal(atoms.less(x, 0) + atoms.less(y, 0), 1);
      return known(a, a.type,
                   {atoms.select(differ, Extent(-1) * quotient, quotient)});
    }
  }
  return otherwise(
      a, a.type, {a, b},
      [&](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
        if (isReal(a.type))
          return arith::DivFOp::create(builder, loc, v[0], v[1]);
        if (isUnsigned(a.type))
          return isSafeDivisor(b)
                     ? Value(arith::DivUIOp::create(builder, loc, v[0], v[1]))
                     : guarded<arith::DivUIOp>(builder, loc, v[0], v[1],
                                               Value());
        if (isSafeDivisor(b))
          return arith::DivSIOp::create(builder, loc, v[0], v[1]);
        Value zero = arith::ConstantOp::create(
            builder, loc, builder.getZeroAttr(v[0].getType()));
        return guarded<arith::DivSIOp>(
            builder, loc, v[0], v[1],
            arith::SubIOp::create(builder, loc, zero, v[0]));
      });
}

Scalar operator-(const Scalar &x) {
  if (!isReal(x.type))
    return 0.0 - x;
  return function<arith::NegFOp>(x, [](double v) { return -v; });
}

Scalar operator<(const Scalar &a, const Scalar &b) {
  if (auto x = real(a), y = real(b); x && y)
    return truth(a, *x < *y);
  if (auto x = whole(a), y = whole(b); x && y)
    return truth(a,
                 a.type == DType::u64 ? uint64_t(*x) < uint64_t(*y) : *x < *y);
  if (auto x = size(a), y = size(b); x && y && a.type != DType::u64) {
    const Atoms &atoms = a.body->sizes.atoms;
    if (atoms.knownAtLeast(*x, *y))
      return truth(a, false);
    if (atoms.knownAtLeast(*y, *x + 1))
      return truth(a, true);
  }
  if (auto both = sizesOf(a, b))
    return known(a, DType::boolean,
                 {a.body->sizes.atoms.less(both->first, both->second)});
  return compare(a, b, arith::CmpFPredicate::OLT, arith::CmpIPredicate::slt,
                 arith::CmpIPredicate::ult);
}

Scalar operator<=(const Scalar &a, const Scalar &b) {
  if (auto x = real(a), y = real(b); x && y)
    return truth(a, *x <= *y);
  if (auto x = whole(a), y = whole(b); x && y)
    return truth(a, a.type == DType::u64 ? uint64_t(*x) <= uint64_t(*y)
                                         : *x <= *y);
  if (auto x = size(a), y = size(b); x && y && a.type != DType::u64) {
    const Atoms &atoms = a.body->sizes.atoms;
    if (atoms.knownAtLeast(*y, *x))
      return truth(a, true);
    if (atoms.knownAtLeast(*x, *y + 1))
      return truth(a, false);
  }
  if (auto both = sizesOf(a, b))
    return known(
        a, DType::boolean,
        {Extent(1) - a.body->sizes.atoms.less(both->second, both->first)});
  return compare(a, b, arith::CmpFPredicate::OLE, arith::CmpIPredicate::sle,
                 arith::CmpIPredicate::ule);
}

Scalar equal(const Scalar &a, const Scalar &b) {
  if (auto x = real(a), y = real(b); x && y)
    return truth(a, *x == *y);
  if (auto x = whole(a), y = whole(b); x && y)
    return truth(a, *x == *y);
  if (auto x = size(a), y = size(b); x && y) {
    Atoms &atoms = a.body->sizes.atoms;
    if (atoms.knownEqual(*x, *y))
      return truth(a, true);
    if (atoms.knownDifferent(*x, *y))
      return truth(a, false);
  }
  if (auto both = sizesOf(a, b))
    return known(a, DType::boolean,
                 {a.body->sizes.atoms.equal(both->first, both->second)});
  return compare(a, b, arith::CmpFPredicate::OEQ, arith::CmpIPredicate::eq,
                 arith::CmpIPredicate::eq);
}

Scalar differ(const Scalar &a, const Scalar &b) {
  if (!isReal(a.type))
    return ~equal(a, b);
  if (auto x = real(a), y = real(b); x && y)
    return truth(a, *x != *y);
  return compare(a, b, arith::CmpFPredicate::UNE, arith::CmpIPredicate::ne,
                 arith::CmpIPredicate::ne);
}

Scalar operator&(const Scalar &a, const Scalar &b) {
  int64_t all = a.type == DType::boolean ? 1 : -1;
  if (isWhole(a, all) || isWhole(b, 0))
    return b;
  if (isWhole(b, all) || isWhole(a, 0))
    return a;
  if (auto both = sizesOf(a, b); both && a.type == DType::boolean)
    return known(a, a.type, {both->first * both->second});
  return bitwise<arith::AndIOp>(a, b,
                                [](int64_t x, int64_t y) { return x & y; });
}
Scalar operator|(const Scalar &a, const Scalar &b) {
  if (isWhole(a, 0))
    return b;
  if (isWhole(b, 0))
    return a;
  if (auto both = sizesOf(a, b); both && a.type == DType::boolean) {
    auto &[x, y] = *both;
    return known(a, a.type, {x + y - x * y});
  }
  return bitwise<arith::OrIOp>(a, b,
                               [](int64_t x, int64_t y) { return x | y; });
}
Scalar operator^(const Scalar &a, const Scalar &b) {
  if (auto both = sizesOf(a, b); both && a.type == DType::boolean) {
    auto &[x, y] = *both;
    return known(a, a.type, {x + y - Extent(2) * x * y});
  }
  return bitwise<arith::XOrIOp>(a, b,
                                [](int64_t x, int64_t y) { return x ^ y; });
}
Scalar operator~(const Scalar &x) {
  return x ^ x.like(x.type == DType::boolean ? 1 : -1);
}

static Scalar shift(const Scalar &a, const Scalar &by, bool left) {
  // As unsigned numbers, negative ones are too large as well.
  Scalar fits =
      compare(by, by.like(bitWidth(a.type)), arith::CmpFPredicate::OLT,
              arith::CmpIPredicate::ult, arith::CmpIPredicate::ult);
  bool keepsSign = !left && !isUnsigned(a.type);
  Scalar safe = select(fits, by, by.like(keepsSign ? bitWidth(a.type) - 1 : 0));
  Scalar moved = otherwise(
      a, a.type, {a, safe},
      [&](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
        if (left)
          return arith::ShLIOp::create(builder, loc, v[0], v[1]);
        return keepsSign
                   ? Value(arith::ShRSIOp::create(builder, loc, v[0], v[1]))
                   : Value(arith::ShRUIOp::create(builder, loc, v[0], v[1]));
      });
  return keepsSign ? moved : select(fits, moved, a.like(0));
}
Scalar shiftLeft(const Scalar &a, const Scalar &by) {
  return shift(a, by, true);
}
Scalar shiftRight(const Scalar &a, const Scalar &by) {
  return shift(a, by, false);
}

Scalar select(const Scalar &condition, const Scalar &a, const Scalar &b) {
  if (auto decided = whole(condition))
    return *decided ? a : b;
  if (auto both = sizesOf(a, b); both && size(condition))
    return known(a, a.type,
                 {a.body->sizes.atoms.select(*size(condition), both->first,
                                             both->second)});
  return otherwise(
      a, a.type, {condition, a, b},
      [](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
        return arith::SelectOp::create(builder, loc, v[0], v[1], v[2]);
      });
}

Scalar maximum(const Scalar &a, const Scalar &b) {
  if (!isUnsigned(a.type))
    return arithmetic<arith::MaximumFOp, arith::MaxSIOp>(
        a, b, [](double x, double y) { return std::isnan(x) || x > y ? x : y; },
        [](int64_t x, int64_t y) { return std::max(x, y); },
        [&](const Extent &x, const Extent &y) {
          return a.body->sizes.atoms.max(x, y);
        });
  return bitwise<arith::MaxUIOp>(a, b, [](int64_t x, int64_t y) {
    return uint64_t(x) > uint64_t(y) ? x : y;
  });
}

Scalar minimum(const Scalar &a, const Scalar &b) {
  if (!isUnsigned(a.type))
    return arithmetic<arith::MinimumFOp, arith::MinSIOp>(
        a, b, [](double x, double y) { return std::isnan(x) || x < y ? x : y; },
        [](int64_t x, int64_t y) { return std::min(x, y); },
        [&](const Extent &x, const Extent &y) {
          return a.body->sizes.atoms.min(x, y);
        });
  return bitwise<arith::MinUIOp>(a, b, [](int64_t x, int64_t y) {
    return uint64_t(x) < uint64_t(y) ? x : y;
  });
}

Scalar remainder(const Scalar &a, const Scalar &b) {
  if (auto x = real(a), y = real(b); x && y)
    return known(a, a.type, {0, std::fmod(*x, *y)});
  if (auto x = whole(a), y = whole(b); x && y && *y && *y != -1)
    return known(a, a.type,
                 {a.type == DType::u64 ? int64_t(uint64_t(*x) % uint64_t(*y))
                                       : *x % *y});
  if (auto x = size(a), y = size(b); x && y &&
                                     a.body->sizes.atoms.lower(*x) >= 0 &&
                                     a.body->sizes.atoms.lower(*y) > 0)
    return known(a, a.type, {a.body->sizes.atoms.mod(*x, *y)});
  return otherwise(
      a, a.type, {a, b},
      [&](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
        if (isReal(a.type))
          return arith::RemFOp::create(builder, loc, v[0], v[1]);
        if (isUnsigned(a.type))
          return isSafeDivisor(b)
                     ? Value(arith::RemUIOp::create(builder, loc, v[0], v[1]))
                     : guarded<arith::RemUIOp>(builder, loc, v[0], v[1],
                                               Value());
        if (isSafeDivisor(b))
          return arith::RemSIOp::create(builder, loc, v[0], v[1]);
        return guarded<arith::RemSIOp>(
            builder, loc, v[0], v[1],
            arith::ConstantOp::create(builder, loc,
                                      builder.getZeroAttr(v[0].getType())));
      });
}

Scalar power(const Scalar &a, const Scalar &b) {
  if (auto x = real(a), y = real(b); x && y)
    return known(a, a.type, {0, std::pow(*x, *y)});
  if (!isReal(a.type))
    return otherwise(
        a, a.type, {a, b},
        [](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
          return math::IPowIOp::create(builder, loc, v[0], v[1]);
        });
  return otherwise(
      a, a.type, {a, b},
      [](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
        return math::PowFOp::create(builder, loc, v[0], v[1]);
      });
}

Scalar abs(const Scalar &x) {
  if (isReal(x.type))
    return function<math::AbsFOp>(x, [](double v) { return std::fabs(v); });
  return isUnsigned(x.type) ? x : maximum(x, -x);
}

Scalar exp(const Scalar &x) { return function<math::ExpOp>(x, std::exp); }
Scalar log(const Scalar &x) { return function<math::LogOp>(x, std::log); }
Scalar log1p(const Scalar &x) { return function<math::Log1pOp>(x, std::log1p); }
Scalar expm1(const Scalar &x) { return function<math::ExpM1Op>(x, std::expm1); }
Scalar sqrt(const Scalar &x) { return function<math::SqrtOp>(x, std::sqrt); }
Scalar erf(const Scalar &x) { return function<math::ErfOp>(x, std::erf); }
Scalar tanh(const Scalar &x) { return function<math::TanhOp>(x, std::tanh); }
Scalar sin(const Scalar &x) { return function<math::SinOp>(x, std::sin); }
Scalar cos(const Scalar &x) { return function<math::CosOp>(x, std::cos); }
Scalar tan(const Scalar &x) { return function<math::TanOp>(x, std::tan); }
Scalar asin(const Scalar &x) { return function<math::AsinOp>(x, std::asin); }
Scalar acos(const Scalar &x) { return function<math::AcosOp>(x, std::acos); }
Scalar atan(const Scalar &x) { return function<math::AtanOp>(x, std::atan); }
Scalar sinh(const Scalar &x) { return function<math::SinhOp>(x, std::sinh); }
Scalar cosh(const Scalar &x) { return function<math::CoshOp>(x, std::cosh); }
Scalar asinh(const Scalar &x) { return function<math::AsinhOp>(x, std::asinh); }
Scalar acosh(const Scalar &x) { return function<math::AcoshOp>(x, std::acosh); }
Scalar atanh(const Scalar &x) { return function<math::AtanhOp>(x, std::atanh); }
Scalar floor(const Scalar &x) { return function<math::FloorOp>(x, std::floor); }
Scalar ceil(const Scalar &x) { return function<math::CeilOp>(x, std::ceil); }
Scalar round(const Scalar &x) {
  return function<math::RoundEvenOp>(x, std::nearbyint);
}

Scalar reinterpret(const Scalar &x, DType to) {
  if (x.type == to)
    return x;
  // Integers of the same width are the same value, read otherwise.
  bool same = !isReal(x.type) && !isReal(to);
  if (auto value = whole(x); value && same)
    return known(x, to, {wrapped(to, *value)});
  return otherwise(
      x, to, {x},
      [&](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
        Type type = mlirType(to, builder.getContext());
        if (v[0].getType() == type)
          return v[0];
        return arith::BitcastOp::create(builder, loc, type, v[0]);
      });
}

/// Between types that arith converts in one step.
static Scalar convertDirectly(const Scalar &x, DType to) {
  return otherwise(
      x, to, {x},
      [&](OpBuilder &builder, Location loc, ArrayRef<Value> v) -> Value {
        Type type = mlirType(to, builder.getContext());
        if (x.type == DType::index || to == DType::index)
          return isUnsigned(x.type) || isUnsigned(to)
                     ? Value(arith::IndexCastUIOp::create(builder, loc, type,
                                                          v[0]))
                     : Value(arith::IndexCastOp::create(builder, loc, type,
                                                        v[0]));
        if (isReal(x.type) && isReal(to))
          return bitWidth(to) > bitWidth(x.type)
                     ? Value(arith::ExtFOp::create(builder, loc, type, v[0]))
                     : Value(arith::TruncFOp::create(builder, loc, type, v[0]));
        if (isReal(x.type))
          return isUnsigned(to)
                     ? Value(arith::FPToUIOp::create(builder, loc, type, v[0]))
                     : Value(arith::FPToSIOp::create(builder, loc, type, v[0]));
        if (isReal(to))
          return isUnsigned(x.type)
                     ? Value(arith::UIToFPOp::create(builder, loc, type, v[0]))
                     : Value(arith::SIToFPOp::create(builder, loc, type, v[0]));
        unsigned from = v[0].getType().getIntOrFloatBitWidth(),
                 wanted = type.getIntOrFloatBitWidth();
        if (from == wanted)
          return v[0];
        if (wanted < from)
          return arith::TruncIOp::create(builder, loc, type, v[0]);
        return isUnsigned(x.type)
                   ? Value(arith::ExtUIOp::create(builder, loc, type, v[0]))
                   : Value(arith::ExtSIOp::create(builder, loc, type, v[0]));
      });
}

/// A double as f32, rounded so that rounding once more, to fewer bits, is as
/// good as rounding once: what cannot be represented becomes the neighbour
/// whose last bit is 1 (Boldo and Melquiond, "When double rounding is odd",
/// 2004).
static Scalar roundToOdd(const Scalar &x) {
  Scalar nearest = convertDirectly(x, DType::f32),
         back = convertDirectly(nearest, DType::f64),
         bits = reinterpret(nearest, DType::u32);
  Scalar isDone =
      ~(x < back | back < x) | equal(bits & bits.like(1), bits.like(1));
  Scalar other =
      select(abs(x) < abs(back), bits - bits.like(1), bits + bits.like(1));
  return reinterpret(select(isDone, bits, other), DType::f32);
}

Scalar convert(const Scalar &x, DType to, const Conversion &how) {
  if (x.type == to)
    return x;
  if (isNarrowReal(x.type))
    return convert(decodeNarrow(x), to, how);
  if (to == DType::boolean)
    return differ(x, x.like(0));
  if (auto value = real(x)) {
    if (isReal(to))
      return known(x, to, {0, *value});
    if (std::fabs(*value) < 9.2e18 && !isNarrowReal(to))
      return known(x, to, {int64_t(*value)});
  }
  if (auto value = whole(x); value && isReal(to))
    return known(
        x, to,
        {0, x.type == DType::u64 ? double(uint64_t(*value)) : double(*value)});
  if (const Extent *value = size(x); value && !isReal(to) && !isNarrowReal(to))
    return known(x, to, {*value});

  // To few bits by way of f32.
  bool few = isHalf(to) || isNarrowReal(to);
  if (few && x.type != DType::f32) {
    bool manyDigits = !isHalf(x.type) && x.type != DType::f64 &&
                      (bitWidth(x.type) >= 32 || x.type == DType::index);
    if (manyDigits)
      return convert(convert(x, DType::f64), to, how);
    Scalar single =
        x.type == DType::f64 ? roundToOdd(x) : convert(x, DType::f32);
    return convert(single, to, how);
  }
  if (isNarrowReal(to))
    return encodeNarrow(x, to, how);
  if (x.type == DType::index && isReal(to))
    return convert(convert(x, DType::i64), to);
  // Small integers keep the low bits of what does not fit.
  bool small = !isReal(to) && bitWidth(to) < 32;
  if (isReal(x.type) && small)
    return convert(convert(x, DType::i32), to);
  if (isNarrow(to)) {
    Scalar wide = convert(x, DType::i32), top = wide.like(32 - bitWidth(to));
    wide = shiftLeft(wide, top);
    return convertDirectly(isUnsigned(to)
                               ? shiftRight(reinterpret(wide, DType::u32),
                                            reinterpret(top, DType::u32))
                               : shiftRight(wide, top),
                           to);
  }
  return convertDirectly(x, to);
}
} // namespace fulgur::onnx
