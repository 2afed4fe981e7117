// Convolutions with what follows them, and with channels behind.
#include "frontends/onnx/Window.h"
#include "frontends/onnx/microsoft/Activations.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;
using namespace fulgur::onnx::microsoft;

namespace {
/// The channels of [batch, dims..., channels] moved to the second dim.
Tensor channelsFirst(const Core &c, const Tensor &x) {
  SmallVector<int64_t> order{0, x.rank() - 1};
  for (int64_t k = 1; k < x.rank() - 1; ++k)
    order.push_back(k);
  return c.transpose(x, order);
}

Tensor channelsLast(const Core &c, const Tensor &x) {
  SmallVector<int64_t> order{0};
  for (int64_t k = 2; k < x.rank(); ++k)
    order.push_back(k);
  order.push_back(1);
  return c.transpose(x, order);
}

void requireSpatial(const Core &c, const Tensor &x) {
  if (x.rank() < 3)
    c.fail("the input has rank " + Twine(x.rank()) + ", which is below 3");
}

/// The residual and the activation behind a convolution.
Tensor finished(const Core &c, const Site &s, const Tensor &y,
                const Tensor &residual) {
  Activation activation = activationWithList(c, s);
  if (residual)
    return c.map({y, residual}, y.type,
                 [&](ArrayRef<Scalar> v) { return activation(v[0] + v[1]); });
  return s.text("activation", "").empty() ? y : c.map(y, activation);
}

/// activation(X * W + B + Z).
Tensor importFused(const Core &c, const Site &s) {
  return finished(c, s, convolution(c, s, s[0], s[1], s[2]), s[3]);
}

Tensor importNhwcFused(const Core &c, const Site &s) {
  requireSpatial(c, s[0]);
  Tensor y = convolution(c, s, channelsFirst(c, s[0]), s[1], s[2]);
  return finished(c, s, channelsLast(c, y), s[3]);
}

/// The tools that write it move the filters' channels behind, too; ONNX
/// Runtime's description does not.
Tensor importNhwc(const Core &c, const Site &s) {
  Tensor x = s[0], weights = s[1];
  requireSpatial(c, x);
  if (weights.rank() != x.rank())
    c.fail("input and weights have the ranks " + Twine(x.rank()) + " and " +
           Twine(weights.rank()));
  Extent channels = x.shape.back();
  int64_t groups = s.integer("group", 1);
  bool behind =
      c.sizes.atoms.knownEqual(weights.shape.back() * groups, channels);
  return channelsLast(
      c, convolution(c, s, channelsFirst(c, x),
                     behind ? channelsFirst(c, weights) : weights, s[2]));
}
} // namespace

void microsoft::convolutions(Extensions &ops) {
  ops.add("FusedConv <auto_pad: string = NOTSET, dilations: ints?, "
          "group: int = 1, kernel_shape: ints?, pads: ints?, strides: ints?, "
          "activation: string?, activation_params: floats?> "
          "(T X, T W, T? B, T? Z) => (T Y)",
          importFused);
  ops.add("NhwcFusedConv <auto_pad: string = NOTSET, dilations: ints?, "
          "group: int = 1, kernel_shape: ints?, pads: ints?, strides: ints?, "
          "activation: string?, activation_params: floats?> "
          "(T X, T W, T? B, T? Z) => (T Y)",
          importNhwcFused);
  ops.add("NhwcConv <auto_pad: string = NOTSET, dilations: ints?, "
          "group: int = 1, kernel_shape: ints?, pads: ints?, strides: ints?> "
          "(T X, T W, T? B) => (T Y)",
          importNhwc);
  ops.expand("NhwcMaxPool <auto_pad: string = NOTSET, ceil_mode: int = 0, "
             "dilations: ints?, kernel_shape: ints, pads: ints?, "
             "strides: ints?> (Q x) => (Q y) where Q: int8|uint8|float",
             "first = Transpose <perm = [0, 3, 1, 2]> (x) "
             "pooled = MaxPool <auto_pad: string = @auto_pad, "
             "ceil_mode: int = @ceil_mode, dilations: ints = @dilations, "
             "kernel_shape: ints = @kernel_shape, pads: ints = @pads, "
             "strides: ints = @strides> (first) "
             "y = Transpose <perm = [0, 2, 3, 1]> (pooled)");
  // Padding of a transposed convolution is what is cut off its result.
  ops.expand("ConvTransposeWithDynamicPads <auto_pad: string = NOTSET only, "
             "dilations: ints?, group: int = 1, kernel_shape: ints?, "
             "output_padding: ints?, strides: ints?> (T X, T W, int64 Pads, "
             "T? B) => (T Y)",
             "full = ConvTranspose <dilations: ints = @dilations, "
             "group: int = @group, kernel_shape: ints = @kernel_shape, "
             "output_padding: ints = @output_padding, "
             "strides: ints = @strides> (X, W, B) "
             "outer = Shape <start = 0, end = 2> (full) "
             "inner = Shape <start = 2> (full) "
             "low, high = Split <num_outputs = 2> (Pads) "
             "stop = Sub(inner, high) "
             "zeros = Constant <value_ints = [0, 0]> () "
             "starts = Concat <axis = 0> (zeros, low) "
             "ends = Concat <axis = 0> (outer, stop) "
             "Y = Slice(full, starts, ends)");
}
