// Products of quantized matrices as ONNX Runtime's quantizer and optimizer
// write them: the integer product, scaled to a number, with what stands behind
// it.
#include "frontends/onnx/Activation.h"
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

/// The product of centred integers.
Tensor importMulInteger(const Core &c, const Site &s) {
  return c.mul(centred(c, s[0], s[1]), centred(c, s[2], s[3]));
}

Tensor importReduceSumInteger(const Core &c, const Site &s) {
  Tensor x = s[0];
  return c.sum(c.cast(x, x.type == DType::u8 ? DType::u32 : DType::i32),
               c.axes(s.integers("axes"), x.rank()), s.integer("keepdims", 1));
}

/// A product of numbers in 8 bits of floating point and their scales.
Tensor importGemmFloat8(const Core &c, const Site &s) {
  auto matrix = [&](size_t k, StringRef transposed) {
    if (s[k].rank() != 2)
      c.fail("needs matrices, not tensors of rank " + Twine(s[k].rank()));
    Tensor x = c.cast(s[k], DType::f32);
    return s.integer(transposed, 0) ? c.transpose(x, {1, 0}) : x;
  };
  SmallVector<Tensor> in{c.matmul(matrix(0, "transA"), matrix(1, "transB"))};
  size_t bias = 0;
  double beta = s.real("beta", 0);
  if (s[2] && beta != 0) {
    bias = in.size();
    in.push_back(c.cast(s[2], DType::f32));
  }
  SmallVector<size_t> before, behind;
  for (size_t k : {3, 4, 5})
    if (s[k]) {
      (k == 5 ? behind : before).push_back(in.size());
      in.push_back(perColumn(c, s[k]));
    }
  StringRef name = s.text("activation", "NONE");
  if (name != "NONE" && name != "RELU" && name != "GELU" && !name.empty())
    c.fail("activation '" + name + "' is not one of NONE, RELU, GELU");
  double alpha = s.real("alpha", 1);
  Tensor y = c.map(in, DType::f32, [&](ArrayRef<Scalar> v) {
    Scalar number = v[0] * alpha;
    for (size_t k : before)
      number = number * v[k];
    if (bias)
      number = number + v[bias] * beta;
    if (name == "RELU")
      number = maximum(number, number.like(0));
    else if (name == "GELU")
      number = gelu(number);
    for (size_t k : behind)
      number = number * v[k];
    return number;
  });
  return c.cast(y, s.dtype("dtype", DType::f32));
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
  ops.expand("MatMulInteger16 (int16 A, int16 B) => (int32 Y)",
             "a = Cast <to = 6> (A) b = Cast <to = 6> (B) Y = MatMul(a, b)");
  ops.add("MulInteger (A A, A? A_zero_point, B B, B? B_zero_point) "
          "=> (int32 C) where A: int8|uint8, B: int8|uint8",
          importMulInteger);
  ops.add("ReduceSumInteger <axes: ints, keepdims: int> (A data) "
          "=> (O reduced) where A: int8|uint8, O: int32|uint32",
          importReduceSumInteger);
  ops.add("GemmFloat8 <activation: string?, alpha: float = 1, "
          "beta: float = 0, dtype: int = 1, transA: int = 0, "
          "transB: int = 0> (A A, B B, C? C, float? scaleA, float? scaleB, "
          "float? scaleY) => (Y Y) where "
          "A: float8e4m3fn|float8e5m2|float16|bfloat16|float, "
          "B: float8e4m3fn|float8e5m2|float16|bfloat16|float, "
          "C: float16|bfloat16|float, "
          "Y: float8e4m3fn|float8e5m2|float16|bfloat16|float",
          importGemmFloat8);
  // The weights are quantized for the sake of their size; the states that are
  // multiplied with them stay as they are.
  ops.expand(
      "DynamicQuantizeLSTM <activation_alpha: floats?, "
      "activation_beta: floats?, activations: strings?, clip: float?, "
      "direction: string = forward, hidden_size: int?, "
      "input_forget: int = 0> (float X, Q W, Q R, float? B, "
      "int32? sequence_lens, float? initial_h, float? initial_c, "
      "float? P, float W_scale, Q W_zero_point, float R_scale, "
      "Q R_zero_point) => (float? Y, float? Y_h, float? Y_c) "
      "where Q: int8|uint8",
      "columns = Constant <value_ints = [1, -1]> () "
      "directions = Shape <start = 0, end = 1> (W) "
      "parameters = Concat <axis = 0> (directions, columns) "
      "w_integers = Cast <to = 1> (W) r_integers = Cast <to = 1> (R) "
      "w_zero = Cast <to = 1> (W_zero_point) "
      "r_zero = Cast <to = 1> (R_zero_point) "
      "w_zeros = Reshape(w_zero, parameters) "
      "r_zeros = Reshape(r_zero, parameters) "
      "w_scales = Reshape(W_scale, parameters) "
      "r_scales = Reshape(R_scale, parameters) "
      "w_centred = Sub(w_integers, w_zeros) "
      "r_centred = Sub(r_integers, r_zeros) "
      "w = Mul(w_centred, w_scales) r = Mul(r_centred, r_scales) "
      "w_rows = Transpose <perm = [0, 2, 1]> (w) "
      "r_rows = Transpose <perm = [0, 2, 1]> (r) "
      "Y, Y_h, Y_c = LSTM <activation_alpha: floats = @activation_alpha, "
      "activation_beta: floats = @activation_beta, "
      "activations: strings = @activations, clip: float = @clip, "
      "direction: string = @direction, "
      "hidden_size: int = @hidden_size, "
      "input_forget: int = @input_forget> (X, w_rows, r_rows, B, "
      "sequence_lens, initial_h, initial_c, P)");
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
