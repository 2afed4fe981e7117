// Numbers as integers or narrow floating point with a scale and a zero point:
// x ≈ (q - zero) · scale. Integers are rounded to even and clamped to their
// range; what the division is computed in, and rounded to, the operator says.
#include "frontends/onnx/Quantization.h"
#include "dialects/Fulgur.h"
#include "frontends/onnx/Core.h"

using namespace fulgur::onnx;

namespace {
/// The operands of an elementwise loop over a tensor and its parameters, which
/// broadcast to it, and the shape in which they do.
struct Aligned {
  Tensor x, scale, zero; ///< `zero` may be empty
};

/// The parameter that belongs to index k along the axis is its element k /
/// block: spread out.
Tensor spread(const Core &c, const Tensor &parameter, ArrayRef<Extent> shape,
              int64_t axis, int64_t block) {
  Value table = c.value(parameter);
  return c.generate(shape, parameter.type, {},
                    [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                      SmallVector<Scalar> from(at);
                      from[axis] = at[axis] / double(block);
                      return c.extract(body, table, parameter.type, from);
                    });
}

/// Scale and zero point have one element, or one per index along the axis, or
/// one per block of indices.
Aligned align(const Core &c, const Tensor &x, const Tensor &scale,
              const Tensor &zero, int64_t axis, int64_t block) {
  if (zero && zero.rank() != scale.rank() &&
      !(product(zero.shape).is(1) && product(scale.shape).is(1)))
    c.fail("the scale has rank " + Twine(scale.rank()) +
           ", but the zero point has rank " + Twine(zero.rank()));
  if (zero)
    for (auto [a, b] : llvm::zip(scale.shape, zero.shape))
      c.requireEqual(a, b);
  auto both = [&](auto change) {
    return Aligned{x, change(scale), zero ? change(zero) : Tensor()};
  };
  bool perTensor =
      block == 0 && scale.rank() <= 1 && product(scale.shape).is(1);
  if (perTensor)
    return both([&](const Tensor &t) { return c.reshape(t, {}); });
  axis = c.axis(axis, x.rank());
  if (block == 0) {
    if (scale.rank() != 1)
      c.fail("a scale of shape " + c.text(scale.shape) +
             " needs a block size, or to be a scalar or a vector");
    c.requireEqual(scale.shape[0], x.shape[axis]);
    Shape shape(x.rank() - axis, 1);
    shape[0] = x.shape[axis];
    return both([&](const Tensor &t) { return c.reshape(t, shape); });
  }
  if (block < 0 || scale.rank() != x.rank())
    c.fail("blocks of " + Twine(block) + " along an axis of a tensor of rank " +
           Twine(x.rank()) + " need a scale of that rank, not " +
           Twine(scale.rank()));
  for (int64_t k = 0; k < x.rank(); ++k)
    c.requireEqual(scale.shape[k],
                   k == axis ? c.sizes.atoms.ceilDiv(x.shape[k], block)
                             : x.shape[k]);
  // An axis of whole blocks is two dims; the parameters broadcast along the
  // second.
  if (std::optional<Extent> blocks = x.shape[axis].divideExactly(block)) {
    Shape shape(x.shape);
    shape[axis] = *blocks;
    shape.insert(shape.begin() + axis + 1, block);
    auto [same, factor, offset] =
        both([&](const Tensor &t) { return c.unsqueeze(t, {axis + 1}); });
    return {c.reshape(same, shape), factor, offset};
  }
  return both(
      [&](const Tensor &t) { return spread(c, t, x.shape, axis, block); });
}

/// `least` where x is below it or NaN.
Scalar clamp(const Scalar &x, double least, double greatest) {
  Scalar low = x.like(least), high = x.like(greatest);
  Scalar atLeast = select(x > low, x, low);
  return select(atLeast < high, atLeast, high);
}
} // namespace

Scalar fulgur::onnx::quantize(const Scalar &quotient, const Scalar *zero,
                              DType type, const Conversion &how) {
  if (isNarrowReal(type)) {
    bool shifts = zero && type != DType::f8e4m3fn &&
                  type != DType::f8e4m3fnuz && type != DType::f8e5m2 &&
                  type != DType::f8e5m2fnuz;
    return convert(shifts ? quotient + convert(*zero, quotient.type) : quotient,
                   type, how);
  }
  Scalar whole = round(quotient);
  if (zero)
    whole = whole + convert(*zero, whole.type);
  int64_t least = *lowest(type).integer.constant(),
          greatest = *highest(type).integer.constant();
  return convert(
      convert(clamp(whole, double(least), double(greatest)), DType::i32), type);
}

Tensor fulgur::onnx::quantizeLinear(const Core &c, const Tensor &x,
                                    const Tensor &scale, const Tensor &zero,
                                    DType type, const Quantizing &how) {
  bool canHold = isNarrow(type) ? type != DType::f8e8m0
                                : isInteger(type) && bitWidth(type) <= 16;
  if (!canHold)
    c.fail("numbers cannot be quantized to " + name(type));
  if (zero && zero.type != type)
    c.fail("the output is of type " + name(type) + ", but the zero point is " +
           name(zero.type));
  // Integers are divided as doubles, powers of two as f32.
  DType division = how.precision != DType::undefined ? how.precision
                   : isReal(scale.type)              ? scale.type
                   : isNarrow(scale.type)            ? DType::f32
                                                     : DType::f64;
  if (!isReal(division))
    c.fail("a division cannot be computed in " + name(division));
  auto [aligned, factor, offset] =
      align(c, x, scale, zero, how.axis, how.blockSize);
  SmallVector<Tensor> in{aligned, factor};
  if (offset)
    in.push_back(offset);
  Tensor y = c.map(in, type, [&](ArrayRef<Scalar> v) {
    DType wide = division == DType::f64 ? DType::f64 : DType::f32;
    // The operands and the quotient are rounded to the type of the division.
    auto as = [&](const Scalar &s) {
      return convert(convert(s, division), wide);
    };
    Scalar quotient = as(as(v[0]) / as(v[1]));
    return quantize(quotient, offset ? &v[2] : nullptr, type, how.conversion);
  });
  return c.reshape(y, x.shape);
}

Tensor fulgur::onnx::dequantizeLinear(const Core &c, const Tensor &x,
                                      const Tensor &scale, const Tensor &zero,
                                      DType type, int64_t axis,
                                      int64_t blockSize) {
  if (!isReal(type))
    c.fail("the result would be of type " + name(type) +
           "; output_dtype must name a floating-point type");
  if (zero && zero.type != x.type)
    c.fail("the input is of type " + name(x.type) + ", but the zero point is " +
           name(zero.type));
  auto [aligned, factor, offset] = align(c, x, scale, zero, axis, blockSize);
  SmallVector<Tensor> in{aligned, factor};
  // The zero point of narrow floating-point numbers is zero.
  bool shifts = offset && !isNarrowReal(x.type);
  if (shifts)
    in.push_back(offset);
  Tensor y = c.map(in, type, [&](ArrayRef<Scalar> v) {
    DType wide = type == DType::f64 ? DType::f64 : DType::f32;
    // Integers of up to 16 bits are exact in both.
    Scalar difference = convert(v[0], wide);
    if (shifts)
      difference =
          bitWidth(x.type) <= 16
              ? convert(convert(v[0], DType::i32) - convert(v[2], DType::i32),
                        wide)
              : difference - convert(v[2], wide);
    return difference * convert(v[1], wide);
  });
  return c.reshape(y, x.shape);
}

Tensor fulgur::onnx::dequantizeCodes(const Core &c, const Codes &x,
                                     ArrayRef<Extent> shape) {
  mlir::OpBuilder &b = c.builder;
  auto type = c.typeOf(shape, DType::f32);
  auto integer = [&](int64_t value) { return b.getI64IntegerAttr(value); };
  Value result =
      DequantizeOp::create(b, c.loc, type, c.value(x.codes), c.value(x.scale),
                           x.zero ? c.value(x.zero) : Value(), integer(x.bits),
                           integer(x.block), integer(x.axis), integer(x.offset),
                           x.isSigned ? b.getUnitAttr() : mlir::UnitAttr(),
                           integer(x.perByte), integer(0));
  return c.tensor(result, DType::f32, shape);
}

namespace {
/// Weights in blocks along one of the last two dims: they stay as they are,
/// for products.
std::optional<Tensor> dequantizeWeights(const Core &c, const Site &s,
                                        int64_t axis, int64_t block) {
  Tensor x = s[0], scale = s[1], zero = s[2];
  bool isSmall = x.type == DType::i4 || x.type == DType::u4,
       isByte = x.type == DType::i8 || x.type == DType::u8;
  if ((!isSmall && !isByte) || block < 1 || x.rank() < 2 ||
      scale.rank() != x.rank() || scale.type == DType::f64 ||
      !isReal(scale.type) || (zero && zero.rank() != x.rank()) ||
      !constantCount(x.shape) ||
      (!x.known() && !x.value().getDefiningOp<mlir::arith::ConstantOp>()))
    return std::nullopt;
  axis = c.axis(axis, x.rank());
  if (axis < x.rank() - 2)
    return std::nullopt;
  for (int64_t k = 0; k < x.rank(); ++k) {
    Extent size =
        k == axis ? c.sizes.atoms.ceilDiv(x.shape[k], block) : x.shape[k];
    c.requireEqual(scale.shape[k], size);
    if (zero)
      c.requireEqual(zero.shape[k], size);
  }
  if (zero && zero.type != x.type)
    return std::nullopt;
  Codes codes{x, scale, zero, isSmall ? 4 : 8, block, axis};
  codes.isSigned = x.type == DType::i4 || x.type == DType::i8;
  return dequantizeCodes(c, codes, x.shape);
}

Tensor importQuantizeLinear(const Core &c, const Site &s) {
  DType type = s.dtype("output_dtype", DType::undefined);
  if (type == DType::undefined)
    type = s[2] ? s[2].type : DType::u8;
  Quantizing how;
  how.axis = s.integer("axis", 1);
  how.blockSize = s.integer("block_size", 0);
  how.precision = s.dtype("precision", DType::undefined);
  how.conversion.saturate = s.integer("saturate", 1);
  return quantizeLinear(c, s[0], s[1], s[2], type, how);
}

Tensor importDequantizeLinear(const Core &c, const Site &s) {
  DType type = s.dtype("output_dtype", DType::undefined);
  if (type == DType::undefined)
    type = s[1].type;
  int64_t axis = s.integer("axis", 1), block = s.integer("block_size", 0);
  if (type == DType::f32)
    if (auto weights = dequantizeWeights(c, s, axis, block))
      return *weights;
  return dequantizeLinear(c, s[0], s[1], s[2], type, axis, block);
}

/// To uint8, with a scale and a zero point by which the least and the greatest
/// element, and 0, are in the range.
SmallVector<Tensor> importDynamicQuantizeLinear(const Core &c, const Site &s) {
  return dynamicQuantizeLinear(c, s[0]);
}
} // namespace

SmallVector<Tensor> fulgur::onnx::dynamicQuantizeLinear(const Core &c,
                                                        const Tensor &x) {
  c.requireType(x, x.type == DType::f32, "float");
  auto axes = llvm::to_vector(llvm::seq<int64_t>(0, x.rank()));
  // Both start from 0, which must be in the range.
  Tensor greatest = c.reduce(x, axes, false, x.type, {}, maximum),
         least = c.reduce(x, axes, false, x.type, {}, minimum);
  Tensor scale = c.map({greatest, least}, x.type, [](ArrayRef<Scalar> v) {
    Scalar range = v[0] - v[1];
    // 1 before the division, as the definition has it.
    return select(equal(v[0], v[1]), range.like(1), range) / 255.0;
  });
  Tensor zero = c.map({least, scale}, DType::u8, [](ArrayRef<Scalar> v) {
    return quantize(clamp(0.0 - v[0] / v[1], 0, 255), nullptr, DType::u8, {});
  });
  return {quantizeLinear(c, x, scale, zero, DType::u8, {}), scale, zero};
}

void fulgur::onnx::registerQuantization(OpTable &ops) {
  ops["DequantizeLinear"] = {importDequantizeLinear, 2};
  ops["DynamicQuantizeLinear"] = importDynamicQuantizeLinear;
  ops["QuantizeLinear"] = {importQuantizeLinear, 2};
}
