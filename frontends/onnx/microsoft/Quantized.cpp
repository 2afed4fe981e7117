// Operators on quantized tensors that are defined by what they do to the
// numbers: dequantized, computed in f32, quantized again.
#include "frontends/onnx/microsoft/Quantized.h"
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Normalization.h"
#include "frontends/onnx/Window.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;
using namespace fulgur::onnx::microsoft;

Tensor fulgur::onnx::microsoft::dequantized(const Core &c, const Site &s,
                                            size_t at) {
  return dequantizeLinear(c, s[at], s[at + 1], s[at + 2], DType::f32);
}

Tensor fulgur::onnx::microsoft::quantized(const Core &c, const Site &s,
                                          const Tensor &x, size_t at,
                                          DType otherwise) {
  Tensor zero = s[at + 1];
  return quantizeLinear(c, x, s[at], zero, zero ? zero.type : otherwise, {});
}

/// All dims in order but one that moves from one place to another.
static Tensor moved(const Core &c, const Tensor &x, int64_t from, int64_t to) {
  SmallVector<int64_t> order;
  for (int64_t k = 0; k < x.rank(); ++k)
    if (k != from)
      order.push_back(k);
  order.insert(order.begin() + to, from);
  return c.transpose(x, order);
}
Tensor fulgur::onnx::microsoft::channelsFirst(const Core &c, const Tensor &x) {
  return moved(c, x, x.rank() - 1, 1);
}
Tensor fulgur::onnx::microsoft::channelsLast(const Core &c, const Tensor &x) {
  return moved(c, x, 1, x.rank() - 1);
}

namespace {
/// With an axis, the parameters are vectors along it.
Tensor importQuantize(const Core &c, const Site &s) {
  Quantizing how;
  how.axis = s.integer("axis", 1);
  return quantizeLinear(c, s[0], s[1], s[2], s[2] ? s[2].type : DType::u8, how);
}
Tensor importDequantize(const Core &c, const Site &s) {
  return dequantizeLinear(c, s[0], s[1], s[2], s[1].type, s.integer("axis", 1));
}

Tensor importAdd(const Core &c, const Site &s) {
  return quantized(c, s, c.add(dequantized(c, s, 0), dequantized(c, s, 3)), 6,
                   s[0].type);
}

/// The product of the integers is exact; it is scaled once.
Tensor importMul(const Core &c, const Site &s) {
  auto scalar = [&](size_t k) { return perColumn(c, s[k]); };
  Tensor product =
      c.mul(centred(c, s[0], scalar(2)), centred(c, s[3], scalar(5)));
  return requantize(c, product, scalar(1), scalar(4), scalar(6), scalar(7),
                    s[7] ? s[7].type : s[0].type);
}

Tensor importLeakyRelu(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 0.01f);
  Tensor y = c.map(dequantized(c, s, 0), [&](const Scalar &x) {
    return select(x < 0, x * alpha, x);
  });
  return quantized(c, s, y, 3, s[0].type);
}

Tensor importSigmoid(const Core &c, const Site &s) {
  Tensor y = c.map(dequantized(c, s, 0), sigmoid);
  return quantized(c, s, y, 3, s[0].type);
}

/// As ONNX's Softmax of the opset that the node names.
Tensor importSoftmax(const Core &c, const Site &s) {
  Tensor x = dequantized(c, s, 0), y;
  if (s.integer("opset", 13) >= 13) {
    y = softmax(c, x, c.axis(s.integer("axis", -1), x.rank()));
  } else {
    int64_t axis = c.axis(s.integer("axis", 1), x.rank());
    Tensor flat = c.reshape(x, {product(ArrayRef(x.shape).take_front(axis)),
                                product(ArrayRef(x.shape).drop_front(axis))});
    y = c.reshape(softmax(c, flat, 1), x.shape);
  }
  return quantized(c, s, y, 3, s[0].type);
}

Tensor importAveragePool(const Core &c, const Site &s) {
  bool last = s.integer("channels_last", 0);
  Tensor x = dequantized(c, s, 0);
  Tensor y = averagePool(c, s, last ? channelsFirst(c, x) : x);
  return quantized(c, s, last ? channelsLast(c, y) : y, 3, s[0].type);
}

Tensor importGlobalAveragePool(const Core &c, const Site &s) {
  bool last = s.integer("channels_last", 0);
  Tensor x = dequantized(c, s, 0);
  SmallVector<int64_t> axes;
  for (int64_t k = last ? 1 : 2; k < x.rank() - last; ++k)
    axes.push_back(k);
  return quantized(c, s, c.mean(x, axes, true), 3, s[0].type);
}

Tensor importReduceMean(const Core &c, const Site &s) {
  Tensor x = dequantized(c, s, 0);
  SmallVector<int64_t> axes = c.axes(s.integers("axes"), x.rank());
  for (int64_t k = 0; axes.empty() && k < x.rank(); ++k)
    axes.push_back(k);
  return quantized(c, s, c.mean(x, axes, s.integer("keepdims", 1)), 3,
                   s[0].type);
}

Tensor importWhere(const Core &c, const Site &s) {
  Tensor y = c.select(s[0], dequantized(c, s, 1), dequantized(c, s, 4));
  return quantized(c, s, y, 7, s[1].type);
}

/// The scale and the zero point of the result come first, then tensors, each
/// with its own.
Tensor importConcat(const Core &c, const Site &s) {
  if (s.size() < 5 || (s.size() - 2) % 3 != 0)
    c.fail("there are " + Twine(s.size()) +
           " operands, not two and then three for each tensor");
  SmallVector<Tensor> parts;
  for (size_t k = 2; k < s.size(); k += 3)
    parts.push_back(quantized(c, s, dequantized(c, s, k), 0, s[k].type));
  return c.concat(parts, c.axis(s.integer("axis", 0), s[2].rank()));
}
} // namespace

void microsoft::quantizedTensors(Extensions &ops) {
  const std::string types = " where Q: int8|uint8",
                    unary = "(Q X, float X_scale, Q? X_zero_point, float "
                            "Y_scale, Q? Y_zero_point) => (Q Y",
                    binary = "(Q A, float A_scale, Q? A_zero_point, Q B, float "
                             "B_scale, Q? B_zero_point, float C_scale, Q? "
                             "C_zero_point) => (Q C)";
  ops.add("QuantizeLinear <axis: int?> (T x, T y_scale, Q? y_zero_point) => "
          "(Q y like x) where T: float|float16, "
          "Q: int8|uint8|int16|uint16|int4|uint4",
          importQuantize);
  ops.add("DequantizeLinear <axis: int?> (Q x, T x_scale, Q? x_zero_point) => "
          "(T y like x) where T: float|float16, "
          "Q: int8|uint8|int16|uint16|int32|int4|uint4",
          importDequantize);
  ops.add("QLinearAdd " + binary + types, importAdd);
  ops.add("QLinearMul " + binary + types, importMul);
  ops.add("QLinearLeakyRelu <alpha: float = 0.01> " + unary + " like X)" +
              types,
          importLeakyRelu);
  ops.add("QLinearSigmoid " + unary + " like X)" + types, importSigmoid);
  ops.add("QLinearSoftmax <axis: int = -1, opset: int> " + unary + " like X)" +
              types,
          importSoftmax);
  ops.add("QLinearAveragePool <auto_pad: string = NOTSET, ceil_mode: int = 0, "
          "channels_last: int = 0, count_include_pad: int = 0, "
          "kernel_shape: ints, pads: ints?, strides: ints?> " +
              unary + ")" + types,
          importAveragePool);
  ops.add("QLinearGlobalAveragePool <channels_last: int = 0> " + unary + ")" +
              types,
          importGlobalAveragePool);
  ops.add("QLinearReduceMean <axes: ints?, keepdims: int = 1> " + unary + ")" +
              types,
          importReduceMean);
  ops.add("QLinearWhere (B condition, Q X, float x_scale, Q x_zero_point, Q Y, "
          "float y_scale, Q y_zero_point, float z_scale, Q z_zero_point) => "
          "(Q Z) where B: bool, Q: int8|uint8",
          importWhere);
  ops.add("QLinearConcat <axis: int> (float Y_scale, Q Y_zero_point, "
          "V... inputs) => (Q Y) where Q: int8|uint8, V: int8|uint8|float",
          importConcat);
}
