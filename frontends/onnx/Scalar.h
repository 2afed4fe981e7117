// Arithmetic on single elements. The same expression either builds the body of
// a loop or, where the operands are known while importing, is evaluated: sizes
// symbolically, numbers rounded as the element type rounds.
#pragma once
#include "frontends/onnx/DType.h"
#include "frontends/onnx/Sizes.h"
#include "mlir/IR/Builders.h"
#include <optional>

namespace fulgur::onnx {

/// An element whose value is known while importing.
struct Element {
  Extent integer;  ///< of integers and BOOL (0 or 1)
  double real = 0; ///< of floating-point types
};

/// Where scalars are computed: in the body that `builder` fills, or nowhere but
/// here when there is no builder.
struct Body {
  Sizes &sizes;
  mlir::OpBuilder *builder;
  mlir::Location loc;
};

/// An element: known, a value of the body, or (while evaluating) undecided.
struct Scalar {
  Body *body;
  DType type;
  mlir::Value value;
  std::optional<Element> known;

  /// The number as an element of `type`.
  static Scalar constant(Body &body, DType type, double number);
  static Scalar extent(Body &body, DType type, const Extent &extent);
  /// A number of the same type.
  Scalar like(double number) const { return constant(*body, type, number); }
  /// The element as a value of the body.
  mlir::Value emit() const;
  bool decided() const { return known || value; }
};

Scalar operator+(const Scalar &, const Scalar &);
Scalar operator-(const Scalar &, const Scalar &);
Scalar operator*(const Scalar &, const Scalar &);
/// Integers are truncated; a divisor of 0 gives 0 for them instead of a trap.
Scalar operator/(const Scalar &, const Scalar &);
Scalar operator-(const Scalar &);
inline Scalar operator+(const Scalar &a, double b) { return a + a.like(b); }
inline Scalar operator-(const Scalar &a, double b) { return a - a.like(b); }
inline Scalar operator*(const Scalar &a, double b) { return a * a.like(b); }
inline Scalar operator/(const Scalar &a, double b) { return a / a.like(b); }
inline Scalar operator-(double a, const Scalar &b) { return b.like(a) - b; }
inline Scalar operator/(double a, const Scalar &b) { return b.like(a) / b; }

/// Comparisons give BOOL; those of NaN are false but for `differ`.
Scalar operator<(const Scalar &, const Scalar &);
Scalar operator<=(const Scalar &, const Scalar &);
inline Scalar operator>(const Scalar &a, const Scalar &b) { return b < a; }
inline Scalar operator>=(const Scalar &a, const Scalar &b) { return b <= a; }
inline Scalar operator<(const Scalar &a, double b) { return a < a.like(b); }
inline Scalar operator>(const Scalar &a, double b) { return a.like(b) < a; }
inline Scalar operator>=(const Scalar &a, double b) { return a.like(b) <= a; }
Scalar equal(const Scalar &, const Scalar &);
Scalar differ(const Scalar &, const Scalar &);

/// Bitwise on integers, logical on BOOL.
Scalar operator&(const Scalar &, const Scalar &);
Scalar operator|(const Scalar &, const Scalar &);
Scalar operator^(const Scalar &, const Scalar &);
Scalar operator~(const Scalar &);
/// Shifts by a number of bits. Outside [0, width) nothing is left but the sign
/// of a number shifted right.
Scalar shiftLeft(const Scalar &, const Scalar &);
Scalar shiftRight(const Scalar &, const Scalar &);

Scalar select(const Scalar &condition, const Scalar &a, const Scalar &b);
/// NaN if one of them is.
Scalar maximum(const Scalar &, const Scalar &);
Scalar minimum(const Scalar &, const Scalar &);
/// The remainder with the sign of the dividend, as C's fmod and %.
Scalar remainder(const Scalar &, const Scalar &);
Scalar power(const Scalar &, const Scalar &);
Scalar abs(const Scalar &);

// Functions of floating-point numbers.
Scalar exp(const Scalar &);
Scalar log(const Scalar &);
Scalar log1p(const Scalar &);
Scalar expm1(const Scalar &);
Scalar sqrt(const Scalar &);
Scalar erf(const Scalar &);
Scalar tanh(const Scalar &);
Scalar sin(const Scalar &);
Scalar cos(const Scalar &);
Scalar tan(const Scalar &);
Scalar asin(const Scalar &);
Scalar acos(const Scalar &);
Scalar atan(const Scalar &);
Scalar sinh(const Scalar &);
Scalar cosh(const Scalar &);
Scalar asinh(const Scalar &);
Scalar acosh(const Scalar &);
Scalar atanh(const Scalar &);
Scalar floor(const Scalar &);
Scalar ceil(const Scalar &);
/// Halves go to the even neighbour.
Scalar round(const Scalar &);

/// The bits of the number as another type of the same width.
Scalar reinterpret(const Scalar &, DType);

/// How Cast's attributes have it.
struct Conversion {
  /// Whether numbers beyond the greatest of a narrow type become that one.
  bool saturate = true;
  /// Of numbers that become powers of two.
  enum class Rounding { up, down, nearest } rounding = Rounding::up;
};
/// Conversion as ONNX's Cast: to integers towards zero, to floating point to
/// the nearest number, halves to even; BOOL is "not 0".
Scalar convert(const Scalar &, DType, const Conversion & = {});

} // namespace fulgur::onnx
