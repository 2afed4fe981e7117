// Products of quantized matrices as ONNX Runtime's quantizer and optimizer
// write them: the integer product, scaled to a number, with what stands behind
// it.
#include "frontends/onnx/microsoft/Attention.h"
#include "frontends/onnx/microsoft/Operators.h"
#include "frontends/onnx/microsoft/Quantized.h"

using namespace fulgur::onnx;
using namespace fulgur::onnx::microsoft;

namespace {
/// One operand: integers, and the parameters of all or of its columns.
struct Operand {
  Tensor x, scale, zero;
};

/// a · b + bias in the type of the scales; the bias may be empty.
Tensor scaledProduct(const Core &c, const Operand &a, const Operand &b,
                     const Tensor &bias, DType type) {
  SmallVector<Tensor> in{integerProduct(c, a.x, a.zero, b.x, b.zero),
                         perRow(c, a.scale), perColumn(c, b.scale)};
  if (bias)
    in.push_back(bias);
  return c.map(in, type, [&](ArrayRef<Scalar> v) {
    auto real = [](const Scalar &x) { return convert(x, DType::f32); };
    Scalar y = real(v[0]) * (real(v[1]) * real(v[2]));
    return bias ? y + real(v[3]) : y;
  });
}

Tensor importMatMulIntegerToFloat(const Core &c, const Site &s) {
  return scaledProduct(c, {s[0], s[2], s[4]}, {s[1], s[3], s[5]}, s[6],
                       s[2].type);
}

Tensor importDynamicQuantizeMatMul(const Core &c, const Site &s) {
  SmallVector<Tensor> a = dynamicQuantizeLinear(c, s[0]);
  return scaledProduct(c, {a[0], a[1], a[2]}, {s[1], s[2], s[3]}, s[4],
                       s[0].type);
}

/// alpha · (A · B + C), in f32 or quantized. The scale of C is that of the
/// product.
Tensor importQGemm(const Core &c, const Site &s) {
  Tensor a = s[0], b = s[3];
  if (a.rank() != 2 || b.rank() != 2)
    c.fail("needs matrices, not tensors of rank " + Twine(a.rank()) + " and " +
           Twine(b.rank()));
  a = centred(c, a, perColumn(c, s[2]));
  // A column of B is a row of it as it is stored.
  bool stored = s.integer("transB", 0);
  b = centred(c, b, stored ? perRow(c, s[5]) : perColumn(c, s[5]));
  if (s.integer("transA", 0))
    a = c.transpose(a, {1, 0});
  Tensor sum = c.matmul2d(a, b, stored);
  if (s[6]) {
    c.broadcastTo(s[6], sum.shape);
    sum = c.add(sum, s[6]);
  }
  double alpha = s.real("alpha", 1);
  Tensor scaleA = c.mul(perColumn(c, s[1]), alpha), scaleB = perColumn(c, s[4]);
  if (s[7])
    return requantize(c, sum, scaleA, scaleB, perColumn(c, s[7]),
                      perColumn(c, s[8]), s[8] ? s[8].type : DType::u8);
  return c.map({sum, scaleA, scaleB}, DType::f32, [](ArrayRef<Scalar> v) {
    return convert(v[0], DType::f32) * (v[1] * v[2]);
  });
}

Tensor importQLinearConv(const Core &c, const Site &s) {
  if (!s.integer("channels_last", 0))
    return quantizedConvolution(c, s, s[0]);
  return channelsLast(c, quantizedConvolution(c, s, channelsFirst(c, s[0])));
}

SmallVector<Tensor> importQAttention(const Core &c, const Site &s) {
  if (s.integer("past_present_share_buffer", 0))
    c.unsupported("a cache that is a shared buffer is not supported in "
                  "quantized attention");
  Tensor all =
      scaledProduct(c, {s[0], s[3], s[6]}, {s[1], s[4], s[7]}, s[2], s[3].type);
  return projectedAttention(c, s, all, s[5], s[8], {}, {});
}
} // namespace

void microsoft::quantizedProducts(Extensions &ops) {
  ops.add("MatMulIntegerToFloat (A A, B B, T a_scale, T b_scale, "
          "A? a_zero_point, B? b_zero_point, T? bias) => (T Y) "
          "where A: int8|uint8, B: int8|uint8, T: float|float16",
          importMatMulIntegerToFloat);
  ops.add("DynamicQuantizeMatMul (T A, B B, T b_scale, B? b_zero_point, "
          "T? bias) => (T Y) where T: float, B: int8|uint8",
          importDynamicQuantizeMatMul);
  ops.add("QGemm <alpha: float = 1, transA: int = 0, transB: int = 0> "
          "(A A, T a_scale, A a_zero_point, B B, T b_scale, B b_zero_point, "
          "C? C, T? y_scale, Y? y_zero_point) => (O Y) "
          "where T: float, A: int8|uint8, B: int8|uint8, C: int32, "
          "Y: int8|uint8, O: float|int8|uint8",
          importQGemm);
  ops.add("QLinearConv <auto_pad: string = NOTSET, channels_last: int = 0, "
          "dilations: ints?, group: int = 1, kernel_shape: ints?, pads: ints?, "
          "strides: ints?> (X x, S x_scale, X x_zero_point, W w, S w_scale, "
          "W w_zero_point, S y_scale, Y y_zero_point, I? B) => (Y y) "
          "where S: float, X: int8|uint8, W: int8|uint8, Y: int8|uint8, "
          "I: int32",
          importQLinearConv);
  ops.add("QAttention <num_heads: int, unidirectional: int = 0, "
          "mask_filter_value: float?, scale: float?, "
          "past_present_share_buffer: int?, do_rotary: int?> (X input, "
          "W weight, T bias, T input_scale, T weight_scale, M? mask_index, "
          "X? input_zero_point, W? weight_zero_point, T? past) => (T output, "
          "T? present) where X: int8|uint8, W: int8|uint8, T: float|float16, "
          "M: int32",
          importQAttention);
}
