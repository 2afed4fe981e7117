// Convolutions, as linalg's named operations with the channels in front.
#include "frontends/onnx/Window.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// A named operation from padded input and weights. The sums stay in the type
/// that they are computed in, so that a bias is added before they are rounded.
template <typename ConvOp>
Tensor byName(const Core &c, const Tensor &x, const Tensor &weights,
              ArrayRef<Window> windows, ArrayRef<Extent> shape) {
  SmallVector<int64_t> strides, dilations;
  for (const Window &w : windows) {
    strides.push_back(w.stride);
    dilations.push_back(w.dilation);
  }
  DType type = computeType(x.type);
  Value in[] = {c.value(x), c.value(weights)}, out = c.filled(shape, type, 0);
  auto list = [&](ArrayRef<int64_t> values) {
    return DenseIntElementsAttr::get(
        RankedTensorType::get(values.size(), c.builder.getI64Type()), values);
  };
  auto op = ConvOp::create(c.builder, c.loc, TypeRange{out.getType()}, in,
                           ValueRange{out}, list(strides), list(dilations));
  return c.tensor(op->getResult(0), type, shape);
}

/// A convolution over any number of dims, in groups: the channels of the padded
/// input and the filters have a dim for the group in front.
Tensor convolveInGroups(const Core &c, const Tensor &x, const Tensor &weights,
                        ArrayRef<Window> windows, ArrayRef<Extent> shape) {
  DType type = computeType(x.type);
  unsigned dims = windows.size(), loops = 4 + 2 * dims;
  auto dim = [&](unsigned k) { return c.builder.getAffineDimExpr(k); };
  // Loops: batch, group, filter, positions; channel, window.
  unsigned channel = 3 + dims;
  SmallVector<AffineExpr> atIn{dim(0), dim(1), dim(channel)},
      atWeights{dim(1), dim(2), dim(channel)}, atOut{dim(0), dim(1), dim(2)};
  for (auto [k, w] : llvm::enumerate(windows)) {
    AffineExpr inside = dim(channel + 1 + k);
    atIn.push_back(dim(3 + k) * w.stride + inside * w.dilation);
    atWeights.push_back(inside);
    atOut.push_back(dim(3 + k));
  }
  SmallVector<AffineMap> maps;
  for (ArrayRef<AffineExpr> at :
       {ArrayRef<AffineExpr>(atIn), ArrayRef<AffineExpr>(atWeights),
        ArrayRef<AffineExpr>(atOut)})
    maps.push_back(AffineMap::get(loops, 0, at, c.builder.getContext()));
  SmallVector<utils::IteratorType> kinds(3 + dims,
                                         utils::IteratorType::parallel);
  kinds.append(1 + dims, utils::IteratorType::reduction);
  Value in[] = {c.value(x), c.value(weights)}, out = c.filled(shape, type, 0);
  auto generic = linalg::GenericOp::create(
      c.builder, c.loc, out.getType(), in, out, maps, kinds,
      [&](OpBuilder &inside, Location, ValueRange v) {
        Body body = c.body(&inside);
        auto scalar = [&](Value value, DType from) {
          return convert(Scalar{&body, from, value, std::nullopt}, type);
        };
        linalg::YieldOp::create(
            inside, c.loc,
            (scalar(v[2], type) +
             scalar(v[0], x.type) * scalar(v[1], weights.type))
                .emit());
      });
  return c.tensor(generic.getResult(0), type, Shape(shape));
}
} // namespace

Tensor fulgur::onnx::convolve(const Core &c, const Tensor &x,
                              const Tensor &weights, ArrayRef<Window> windows,
                              int64_t groups) {
  Extent batch = x.shape[0], count = weights.shape[0];
  Shape shape{batch, count};
  for (const Window &w : windows)
    shape.push_back(w.count);
  Extent filters = *count.divideExactly(groups);
  bool depthwise = groups > 1 && weights.shape[1].is(1) && filters.is(1);
  if (windows.size() <= 3 && (groups == 1 || depthwise)) {
    Tensor padded = padFor(c, x, windows, {}),
           filter = depthwise ? c.squeeze(weights, {1}) : weights;
    auto by = [&](auto dense, auto perChannel) {
      return depthwise
                 ? byName<decltype(perChannel)>(c, padded, filter, windows,
                                                shape)
                 : byName<decltype(dense)>(c, padded, filter, windows, shape);
    };
    return windows.size() == 1
               ? by(linalg::Conv1DNcwFcwOp(), linalg::DepthwiseConv1DNcwCwOp())
           : windows.size() == 2 ? by(linalg::Conv2DNchwFchwOp(),
                                      linalg::DepthwiseConv2DNchwChwOp())
                                 : by(linalg::Conv3DNcdhwFcdhwOp(),
                                      linalg::DepthwiseConv3DNcdhwCdhwOp());
  }
  Shape grouped{batch, groups, weights.shape[1]},
      filter{groups, filters, weights.shape[1]}, result{batch, groups, filters};
  for (auto [k, w] : llvm::enumerate(windows)) {
    grouped.push_back(x.shape[2 + k]);
    filter.push_back(w.kernel);
    result.push_back(w.count);
  }
  Tensor padded = padFor(c, c.reshape(x, grouped), windows, {}),
         kernels = c.reshape(weights, filter);
  Tensor y = windows.size() == 2
                 ? byName<linalg::Conv2DNgchwGfchwOp>(c, padded, kernels,
                                                      windows, result)
                 : convolveInGroups(c, padded, kernels, windows, result);
  return c.reshape(y, shape);
}

Tensor fulgur::onnx::convolution(const Core &c, const Site &s, const Tensor &x,
                                 const Tensor &given, const Tensor &bias) {
  Tensor weights = given;
  requireImageAndWeights(c, x, weights);
  SmallVector<Window, 3> windows = windowsOf(c, s, x, kernelOf(c, s, weights));
  int64_t groups = s.integer("group", 1);
  std::optional<Extent> filters =
      groups < 1 ? std::nullopt : weights.shape[0].divideExactly(groups);
  if (!filters)
    c.fail("attribute 'group' is " + Twine(groups) + " for " +
           c.sizes.atoms.text(weights.shape[0]) + " filters");
  c.requireEqual(x.shape[1], weights.shape[1] * groups,
                 "the channels of an input of shape " + c.text(x.shape) +
                     ", and of weights of shape " + c.text(weights.shape) +
                     " in " + Twine(groups) +
                     (groups == 1 ? " group" : " groups"));

  Tensor y = convolve(c, x, weights, windows, groups);
  return c.cast(bias ? addBias(c, y, c.cast(bias, y.type)) : y, x.type);
}

namespace {
Tensor importConv(const Core &c, const Site &s) {
  return convolution(c, s, s[0], s[1], s[2]);
}
} // namespace

void fulgur::onnx::registerConvolution(OpTable &ops) {
  ops["Conv"] = {importConv, 2};
}
