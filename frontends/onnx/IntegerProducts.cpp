// Products and convolutions of quantized tensors: zero points are subtracted
// first, sums are exact in 32 bits, and only the sum is scaled and rounded.
#include "frontends/onnx/Quantization.h"
#include "frontends/onnx/Window.h"

using namespace fulgur::onnx;

Tensor fulgur::onnx::centred(const Core &c, const Tensor &x,
                             const Tensor &zero) {
  bool isSmall = isInteger(x.type) ? bitWidth(x.type) <= 16
                                   : isNarrow(x.type) && !isNarrowReal(x.type);
  c.requireType(x, isSmall, "an integer of at most 16 bits");
  if (!zero)
    return c.cast(x, DType::i32);
  c.requireType(zero, zero.type == x.type, name(x.type));
  return c.map({x, zero}, DType::i32, [](ArrayRef<Scalar> v) {
    return convert(v[0], DType::i32) - convert(v[1], DType::i32);
  });
}

Tensor fulgur::onnx::perRow(const Core &c, const Tensor &parameter) {
  if (!parameter || product(parameter.shape).is(1))
    return perColumn(c, parameter);
  return parameter.rank() == 1 ? c.unsqueeze(parameter, {1}) : parameter;
}

Tensor fulgur::onnx::perColumn(const Core &c, const Tensor &parameter) {
  return parameter && product(parameter.shape).is(1) ? c.reshape(parameter, {})
                                                     : parameter;
}

Tensor fulgur::onnx::perFilter(const Core &c, const Tensor &parameter,
                               int64_t behind) {
  if (!parameter || product(parameter.shape).is(1))
    return perColumn(c, parameter);
  if (parameter.rank() != 1)
    c.fail("a parameter of filters has rank " + Twine(parameter.rank()) +
           ", not 1");
  Shape shape(1 + behind, 1);
  shape[0] = parameter.shape[0];
  return c.reshape(parameter, shape);
}

Tensor fulgur::onnx::integerProduct(const Core &c, const Tensor &a,
                                    const Tensor &zeroA, const Tensor &b,
                                    const Tensor &zeroB) {
  return c.matmul(centred(c, a, perRow(c, zeroA)),
                  centred(c, b, perColumn(c, zeroB)));
}

Tensor fulgur::onnx::requantize(const Core &c, const Tensor &sum,
                                const Tensor &scaleA, const Tensor &scaleB,
                                const Tensor &scale, const Tensor &zero,
                                DType type) {
  // The scale of the sum first: it is as small as the scales.
  Tensor factor =
      c.map({scaleA, scaleB, scale}, DType::f32, [](ArrayRef<Scalar> v) {
        auto wide = [](const Scalar &x) { return convert(x, DType::f32); };
        return wide(v[0]) * wide(v[1]) / wide(v[2]);
      });
  SmallVector<Tensor> in{sum, factor};
  if (zero)
    in.push_back(zero);
  return c.map(in, type, [&](ArrayRef<Scalar> v) {
    return quantize(convert(v[0], DType::f32) * v[1], zero ? &v[2] : nullptr,
                    type, {});
  });
}

namespace {
Tensor importMatMulInteger(const Core &c, const Site &s) {
  return integerProduct(c, s[0], s[2], s[1], s[3]);
}

Tensor importQLinearMatMul(const Core &c, const Site &s) {
  Tensor sum = integerProduct(c, s[0], s[2], s[3], s[5]);
  // Of a matrix times a vector there are no columns left.
  bool isVector = s[3].rank() == 1;
  Tensor scaleA = isVector ? perColumn(c, s[1]) : perRow(c, s[1]);
  return requantize(c, sum, scaleA, perColumn(c, s[4]), perColumn(c, s[6]),
                    perColumn(c, s[7]), s[7].type);
}

Tensor importConvInteger(const Core &c, const Site &s) {
  return convolution(c, s, centred(c, s[0], perColumn(c, s[2])),
                     centred(c, s[1], perFilter(c, s[3], s[1].rank() - 1)), {});
}
} // namespace

Tensor fulgur::onnx::quantizedConvolution(const Core &c, const Site &s,
                                          const Tensor &x) {
  Tensor weights = centred(c, s[3], perFilter(c, s[5], s[3].rank() - 1));
  Tensor sum =
      convolution(c, s, centred(c, x, perColumn(c, s[2])), weights, s[8]);
  return requantize(c, sum, perColumn(c, s[1]),
                    perFilter(c, s[4], sum.rank() - 2), perColumn(c, s[6]),
                    perColumn(c, s[7]), s[7] ? s[7].type : x.type);
}

static Tensor importQLinearConv(const Core &c, const Site &s) {
  return quantizedConvolution(c, s, s[0]);
}

void fulgur::onnx::registerIntegerProducts(OpTable &ops) {
  ops["ConvInteger"] = {importConvInteger, 2};
  ops["MatMulInteger"] = {importMatMulInteger, 2};
  ops["QLinearConv"] = {importQLinearConv, 8};
  ops["QLinearMatMul"] = {importQLinearMatMul, 8};
}
