// Convolutions, as linalg's named operations with the channels in front.
#include "frontends/onnx/Window.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
DType accumulatorOf(DType type) { return isHalf(type) ? DType::f32 : type; }

/// A named operation from padded input and weights.
template <typename ConvOp>
Tensor convolve(const Core &c, const Tensor &x, const Tensor &weights,
                ArrayRef<Window> windows, ArrayRef<Extent> shape) {
  SmallVector<int64_t> strides, dilations;
  for (const Window &w : windows) {
    strides.push_back(w.stride);
    dilations.push_back(w.dilation);
  }
  DType type = accumulatorOf(x.type);
  Body here = c.body(&c.builder);
  Value in[] = {c.value(x), c.value(weights)};
  Value out = linalg::FillOp::create(c.builder, c.loc,
                                     Scalar::constant(here, type, 0).emit(),
                                     c.empty(shape, type))
                  .getResult(0);
  auto list = [&](ArrayRef<int64_t> values) {
    return DenseIntElementsAttr::get(
        RankedTensorType::get(values.size(), c.builder.getI64Type()), values);
  };
  auto op = ConvOp::create(c.builder, c.loc, TypeRange{out.getType()}, in,
                           ValueRange{out}, list(strides), list(dilations));
  return c.cast(c.tensor(op->getResult(0), type, shape), x.type);
}

/// The sizes of the weights' spatial dims, which must be constants.
SmallVector<int64_t> kernelOf(const Core &c, const Site &s,
                              const Tensor &weights) {
  SmallVector<int64_t> kernel;
  for (const Extent &size : ArrayRef(weights.shape).drop_front(2)) {
    if (!size.constant())
      c.unsupported("convolutions with weights of a shape that is not constant "
                    "are not supported");
    kernel.push_back(*size.constant());
  }
  if (s.has("kernel_shape") && s.integers("kernel_shape") != kernel)
    c.fail("attribute 'kernel_shape' does not fit weights of shape " +
           c.text(weights.shape));
  return kernel;
}

Tensor addBias(const Core &c, const Tensor &y, const Tensor &bias) {
  Shape perChannel(y.rank() - 1, 1);
  c.requireEqual(product(bias.shape), y.shape[1]);
  perChannel[0] = y.shape[1];
  return c.add(y, c.reshape(bias, perChannel));
}
} // namespace

Tensor fulgur::onnx::convolution(const Core &c, const Site &s, const Tensor &x,
                                 const Tensor &given, const Tensor &bias) {
  Tensor weights = given;
  if (x.rank() < 3 || weights.rank() != x.rank())
    c.fail("input and weights have the ranks " + Twine(x.rank()) + " and " +
           Twine(weights.rank()));
  if (x.rank() > 5)
    c.unsupported("convolutions over " + Twine(x.rank() - 2) +
                  " dims are not supported");
  if (x.type != weights.type)
    c.fail("input and weights are of types " + name(x.type) + " and " +
           name(weights.type));
  SmallVector<Window, 3> windows = windowsOf(c, s, x, kernelOf(c, s, weights));
  int64_t groups = s.integer("group", 1);
  std::optional<Extent> filters =
      groups < 1 ? std::nullopt : weights.shape[0].divideExactly(groups);
  if (!filters)
    c.fail("attribute 'group' is " + Twine(groups) + " for " +
           c.sizes.atoms.text(weights.shape[0]) + " filters");
  c.requireEqual(x.shape[1], weights.shape[1] * groups);

  Extent batch = x.shape[0], count = weights.shape[0];
  Shape shape{batch, count};
  for (const Window &w : windows)
    shape.push_back(w.count);
  Tensor padded = padFor(c, x, windows, {});
  if (x.rank() == 3) { // one dim is two with a height of 1
    padded = c.unsqueeze(padded, {2});
    weights = c.unsqueeze(weights, {2});
    windows.insert(windows.begin(), Window{1, 1, 1, 0, 0, 1, false});
  }
  Extent height = padded.shape[2], width = padded.shape[3];
  Extent outHeight = windows[0].count, outWidth = windows[1].count;
  Tensor y;
  if (x.rank() == 5) {
    if (groups != 1)
      c.unsupported("convolutions over 3 dims in groups are not supported");
    y = convolve<linalg::Conv3DNcdhwFcdhwOp>(c, padded, weights, windows,
                                             shape);
  } else if (groups == 1) {
    y = convolve<linalg::Conv2DNchwFchwOp>(c, padded, weights, windows,
                                           {batch, count, outHeight, outWidth});
  } else if (weights.shape[1].is(1) && filters->is(1)) {
    Tensor filter = c.squeeze(weights, {1});
    y = convolve<linalg::DepthwiseConv2DNchwChwOp>(
        c, padded, filter, windows, {batch, count, outHeight, outWidth});
  } else {
    Tensor grouped =
        c.reshape(padded, {batch, groups, weights.shape[1], height, width});
    Tensor filter = c.reshape(weights, {groups, *filters, weights.shape[1],
                                        windows[0].kernel, windows[1].kernel});
    y = convolve<linalg::Conv2DNgchwGfchwOp>(
        c, grouped, filter, windows,
        {batch, groups, *filters, outHeight, outWidth});
  }
  y = c.reshape(y, shape);
  return bias ? addBias(c, y, bias) : y;
}

namespace {
Tensor importConv(const Core &c, const Site &s) {
  return convolution(c, s, s[0], s[1], s[2]);
}
} // namespace

void fulgur::onnx::registerConvolution(OpTable &ops) {
  ops["Conv"] = {importConv, 2};
}
