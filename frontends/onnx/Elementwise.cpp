// Ops that work element by element.
#include "frontends/onnx/Core.h"
#include "onnx/onnx_pb.h"

using namespace fulgur::onnx;

namespace {
using Unary = Scalar (*)(const Scalar &);
using Binary = Scalar (*)(const Scalar &, const Scalar &);

void requireSameType(const Core &c, const Tensor &a, const Tensor &b) {
  if (a.type != b.type)
    c.fail("inputs are of types " + name(a.type) + " and " + name(b.type));
}

/// The second operand. Before opset 7, its dims stood at those of the first one
/// from the attribute `axis` on.
Tensor second(const Core &c, const Site &s) {
  if (s.opset() >= 7 || !s.has("axis"))
    return s[1];
  int64_t rank = s[0].rank(), axis = c.axis(s.integer("axis", 0), rank),
          behind = rank - axis - s[1].rank();
  SmallVector<int64_t> ones;
  for (int64_t k = 0; k < behind; ++k)
    ones.push_back(s[1].rank() + k);
  return c.unsqueeze(s[1], ones);
}

/// A function of floating-point numbers.
template <Unary f> Tensor importReal(const Core &c, const Site &s) {
  c.requireType(s[0], isReal(s[0].type), "floating point");
  return c.map(s[0], f);
}

/// A function of numbers.
template <Unary f> Tensor importNumber(const Core &c, const Site &s) {
  c.requireType(s[0], s[0].type != DType::boolean, "a number");
  return c.map(s[0], f);
}

template <Binary f> Tensor apply(const Core &c, const Site &s, DType type) {
  requireSameType(c, s[0], s[1]);
  return c.map({s[0], second(c, s)}, type,
               [](ArrayRef<Scalar> v) { return f(v[0], v[1]); });
}

template <Binary f> Tensor importArithmetic(const Core &c, const Site &s) {
  c.requireType(s[0], s[0].type != DType::boolean, "a number");
  return apply<f>(c, s, s[0].type);
}

template <Binary f> Tensor importComparison(const Core &c, const Site &s) {
  return apply<f>(c, s, DType::boolean);
}

template <Binary f> Tensor importLogical(const Core &c, const Site &s) {
  c.requireType(s[0], s[0].type == DType::boolean, "bool");
  return apply<f>(c, s, DType::boolean);
}

template <Binary f> Tensor importBitwise(const Core &c, const Site &s) {
  c.requireType(s[0], isInteger(s[0].type), "integer");
  return apply<f>(c, s, s[0].type);
}

/// One operation over any number of inputs.
template <Binary f> Tensor importVariadic(const Core &c, const Site &s) {
  SmallVector<Tensor> in;
  for (size_t k = 0; k < s.size(); ++k) {
    requireSameType(c, s[0], s[k]);
    in.push_back(s[k]);
  }
  return c.map(in, in[0].type, [](ArrayRef<Scalar> v) {
    Scalar result = v[0];
    for (const Scalar &x : v.drop_front())
      result = f(result, x);
    return result;
  });
}

Tensor importMean(const Core &c, const Site &s) {
  return c.mul(importVariadic<operator+ >(c, s), 1.0 / s.size());
}

Scalar complement(const Scalar &x) { return ~x; }

Tensor importNot(const Core &c, const Site &s) {
  c.requireType(s[0], s[0].type == DType::boolean, "bool");
  return c.map(s[0], complement);
}

Scalar negate(const Scalar &x) { return -x; }
Scalar difference(const Scalar &a, const Scalar &b) { return a - b; }
Scalar less(const Scalar &a, const Scalar &b) { return a < b; }
Scalar lessOrEqual(const Scalar &a, const Scalar &b) { return a <= b; }
Scalar greater(const Scalar &a, const Scalar &b) { return a > b; }
Scalar greaterOrEqual(const Scalar &a, const Scalar &b) { return a >= b; }
Scalar reciprocal(const Scalar &x) { return 1.0 / x; }

/// -1, 0 or 1; NaN stays.
Scalar sign(const Scalar &x) {
  return select(x > 0, x.like(1), select(x < 0, x.like(-1), x));
}

/// Erf takes integers too, of which the result is an integer.
Tensor importErf(const Core &c, const Site &s) {
  c.requireType(s[0], s[0].type != DType::boolean, "a number");
  return c.map(s[0], [](const Scalar &x) {
    return isReal(x.type) ? erf(x)
                          : convert(erf(convert(x, DType::f32)), x.type);
  });
}

/// A floating-point number with an arithmetic.
Scalar wide(const Scalar &x) {
  return isNarrowReal(x.type) ? convert(x, DType::f32) : x;
}

Tensor importIsNaN(const Core &c, const Site &s) {
  return c.map({s[0]}, DType::boolean, [](ArrayRef<Scalar> v) {
    Scalar x = wide(v[0]);
    return differ(x, x);
  });
}

Tensor importIsInf(const Core &c, const Site &s) {
  c.requireType(s[0], isReal(s[0].type) || isNarrowReal(s[0].type),
                "floating point");
  bool positive = s.integer("detect_positive", 1),
       negative = s.integer("detect_negative", 1);
  return c.map({s[0]}, DType::boolean, [&](ArrayRef<Scalar> v) {
    Scalar number = wide(v[0]),
           infinity = number.like(std::numeric_limits<double>::infinity()),
           x = positive && negative ? abs(number)
               : negative           ? -number
                                    : number;
    return positive || negative ? equal(x, infinity)
                                : Scalar::constant(*x.body, DType::boolean, 0);
  });
}

/// Common exponents are products and roots; the result has the type of the
/// base.
Tensor importPow(const Core &c, const Site &s) {
  Tensor x = s[0], y = second(c, s);
  c.requireType(x, x.type != DType::boolean, "a number");
  return c.map({x, y}, x.type, [](ArrayRef<Scalar> v) {
    Scalar base = v[0], exponent = v[1];
    bool real = isReal(exponent.type);
    std::optional<double> known;
    if (exponent.known && real)
      known = exponent.known->real;
    else if (exponent.known && exponent.known->integer.constant())
      known = *exponent.known->integer.constant();
    if (known == 1.0)
      return base;
    if (known == 2.0)
      return base * base;
    if (known == 3.0)
      return base * base * base;
    if (isReal(base.type) && known == 0.5)
      return sqrt(base);
    if (isReal(base.type) && known == -0.5)
      return 1.0 / sqrt(base);
    if (isReal(base.type) && known == -1.0)
      return 1.0 / base;
    DType type = isReal(base.type) || !real ? base.type : exponent.type;
    return power(convert(base, type), convert(exponent, type));
  });
}

/// The sign of the divisor as in Python, or that of the dividend with fmod = 1.
Tensor importMod(const Core &c, const Site &s) {
  requireSameType(c, s[0], s[1]);
  bool fmod = s.integer("fmod", 0);
  return c.map({s[0], s[1]}, s[0].type, [&](ArrayRef<Scalar> v) {
    Scalar rest = remainder(v[0], v[1]);
    if (fmod || isUnsigned(rest.type))
      return rest;
    Scalar opposite = (rest < 0) ^ (v[1] < 0);
    return select(opposite,
                  select(differ(rest, rest.like(0)), rest + v[1], rest), rest);
  });
}

Tensor importBitShift(const Core &c, const Site &s) {
  c.requireType(s[0], isInteger(s[0].type), "integer");
  if (s.text("direction", "") == "LEFT")
    return apply<shiftLeft>(c, s, s[0].type);
  return apply<shiftRight>(c, s, s[0].type);
}

Tensor importWhere(const Core &c, const Site &s) {
  c.requireType(s[0], s[0].type == DType::boolean, "bool");
  requireSameType(c, s[1], s[2]);
  return c.select(s[0], s[1], s[2]);
}

Tensor castTo(const Core &c, const Site &s, DType type) {
  if (s[0].type == DType::string || type == DType::string)
    return castString(c, s[0], type);
  Conversion how;
  how.saturate = s.integer("saturate", 1);
  StringRef rounding = s.text("round_mode", "up");
  if (rounding != "up" && rounding != "down" && rounding != "nearest")
    c.fail("round_mode is '" + rounding + "', not up, down or nearest");
  how.rounding = rounding == "up"     ? Conversion::Rounding::up
                 : rounding == "down" ? Conversion::Rounding::down
                                      : Conversion::Rounding::nearest;
  return c.cast(s[0], type, how);
}
Tensor importCast(const Core &c, const Site &s) {
  if (s.opset() >= 6)
    return castTo(c, s, s.dtype("to", DType::undefined));
  // Opset 1 wrote the name of the type.
  std::string text = s.text("to", "").upper();
  ::onnx::TensorProto::DataType type;
  if (!::onnx::TensorProto::DataType_Parse(text, &type))
    c.fail("attribute 'to' is '" + text + "', which is no type");
  return castTo(c, s, DType(type));
}
Tensor importCastLike(const Core &c, const Site &s) {
  return castTo(c, s, s[1].type);
}

/// The same bits as another type.
Tensor importBitCast(const Core &c, const Site &s) {
  DType type = s.dtype("to", DType::undefined);
  if (!bitWidth(type) || !bitWidth(s[0].type))
    c.unsupported("a bit cast from " + name(s[0].type) + " to " + name(type) +
                  " is not supported");
  auto width = [](DType t) { return t == DType::boolean ? 8 : bitWidth(t); };
  if (width(type) != width(s[0].type))
    c.fail("elements of type " + name(s[0].type) + " have " +
           Twine(width(s[0].type)) + " bits, those of " + name(type) +
           " have " + Twine(width(type)));
  return c.bits(s[0], type);
}

Tensor importEqual(const Core &c, const Site &s) {
  requireSameType(c, s[0], s[1]);
  return s[0].type == DType::string ? stringEqual(c, s[0], s[1])
                                    : importComparison<equal>(c, s);
}

/// Bounds are inputs, or attributes before opset 11.
Tensor importClip(const Core &c, const Site &s) {
  Tensor x = s[0];
  auto bound = [&](size_t input, StringRef attribute) {
    return s[input]           ? s[input]
           : s.has(attribute) ? c.scalar(x.type, s.real(attribute, 0))
                              : Tensor();
  };
  Tensor low = bound(1, "min"), high = bound(2, "max");
  SmallVector<Tensor> in{x};
  for (const Tensor &one : {low, high})
    if (one)
      in.push_back(one);
  for (const Tensor &one : in)
    requireSameType(c, x, one);
  return c.map(in, x.type, [&](ArrayRef<Scalar> v) {
    Scalar result = low ? maximum(v[0], v[1]) : v[0];
    return high ? minimum(result, v.back()) : result;
  });
}
} // namespace

void fulgur::onnx::registerElementwise(OpTable &ops) {
  ops["Abs"] = importNumber<abs>;
  ops["Acos"] = importReal<acos>;
  ops["Acosh"] = importReal<acosh>;
  ops["Add"] = {importArithmetic<operator+ >, 2};
  ops["And"] = {importLogical<operator&>, 2};
  ops["Asin"] = importReal<asin>;
  ops["Asinh"] = importReal<asinh>;
  ops["Atan"] = importReal<atan>;
  ops["Atanh"] = importReal<atanh>;
  ops["BitCast"] = importBitCast;
  ops["BitShift"] = {importBitShift, 2};
  ops["BitwiseAnd"] = {importBitwise<operator&>, 2};
  ops["BitwiseNot"] = importNumber<complement>;
  ops["BitwiseOr"] = {importBitwise<operator| >, 2};
  ops["BitwiseXor"] = {importBitwise<operator^ >, 2};
  ops["Cast"] = importCast;
  ops["CastLike"] = {importCastLike, 2};
  ops["Ceil"] = importReal<ceil>;
  ops["Clip"] = importClip;
  ops["Cos"] = importReal<cos>;
  ops["Cosh"] = importReal<cosh>;
  ops["Div"] = {importArithmetic<operator/ >, 2};
  ops["Equal"] = {importEqual, 2};
  ops["Erf"] = importErf;
  ops["Exp"] = importReal<exp>;
  ops["Floor"] = importReal<floor>;
  ops["Greater"] = {importComparison<greater>, 2};
  ops["GreaterOrEqual"] = {importComparison<greaterOrEqual>, 2};
  ops["IsInf"] = importIsInf;
  ops["IsNaN"] = importIsNaN;
  ops["Less"] = {importComparison<less>, 2};
  ops["LessOrEqual"] = {importComparison<lessOrEqual>, 2};
  ops["Log"] = importReal<log>;
  ops["Max"] = importVariadic<maximum>;
  ops["Mean"] = importMean;
  ops["Min"] = importVariadic<minimum>;
  ops["Mod"] = {importMod, 2};
  ops["Mul"] = {importArithmetic<operator*>, 2};
  ops["Neg"] = importNumber<negate>;
  ops["Not"] = importNot;
  ops["Or"] = {importLogical<operator| >, 2};
  ops["Pow"] = {importPow, 2};
  ops["Reciprocal"] = importReal<reciprocal>;
  ops["Round"] = importReal<round>;
  ops["Sign"] = importNumber<sign>;
  ops["Sin"] = importReal<sin>;
  ops["Sinh"] = importReal<sinh>;
  ops["Sqrt"] = importReal<sqrt>;
  ops["Sub"] = {importArithmetic<difference>, 2};
  ops["Sum"] = importVariadic<operator+ >;
  ops["Tan"] = importReal<tan>;
  ops["Tanh"] = importReal<tanh>;
  ops["Where"] = {importWhere, 3};
  ops["Xor"] = {importLogical<operator^ >, 2};
}
