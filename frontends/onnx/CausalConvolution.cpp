// CausalConvWithState: a filter over time for each channel, which sees the past
// only; what it has to remember goes from call to call.
// https://onnx.ai/onnx/operators/onnx__CausalConvWithState.html
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Core.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// Filters of up to this length are written out.
constexpr int64_t kWrittenOut = 16;

SmallVector<Tensor> importCausalConv(const Core &c, const Site &s) {
  Tensor x = s[0], weights = s[1], bias = s[2], past = s[3];
  c.requireType(x, isReal(x.type), "floating point");
  StringRef activation = s.text("activation", "none");
  if (!llvm::is_contained({"none", "silu", "swish"}, activation))
    c.fail("activation '" + activation + "' is not one of none, silu, swish");
  if (x.rank() != 3 || weights.rank() != 3)
    c.fail("input and weight must be of rank 3, not of the shapes " +
           c.text(x.shape) + " and " + c.text(weights.shape));
  Extent batch = x.shape[0], channels = x.shape[1], length = x.shape[2],
         taps = c.sizes.atoms.simplify(weights.shape[2]), kept = taps - 1;
  c.requireEqual(weights.shape[0], channels);
  c.requireEqual(weights.shape[1], 1);
  c.sizes.requireAtLeast(taps, 1, "a filter needs an element", c.loc);
  if (past) {
    if (past.rank() != 3)
      c.fail("past_state must be of rank 3, not of shape " +
             c.text(past.shape));
    for (auto [size, expected] :
         llvm::zip(past.shape, Shape{batch, channels, kept}))
      c.requireEqual(size, expected);
  } else {
    past = c.broadcastTo(c.scalar(x.type, 0), {batch, channels, kept});
  }
  Tensor all = kept.is(0) ? x : c.concat({past, x}, 2);
  Value table = c.value(all), filter = c.value(weights);
  SmallVector<Tensor> extra;
  if (bias) {
    c.requireEqual(bias.shape[0], channels);
    extra.push_back(c.reshape(bias, {channels, 1}));
  }
  auto finished = [&](const Scalar &sum, ArrayRef<Scalar> v) {
    Scalar y = v.empty() ? sum : sum + v[0];
    return activation == "none" ? y : y * sigmoid(y);
  };
  auto tap = [&](Body &body, ArrayRef<Scalar> at, const Scalar &k) {
    return c.extract(body, table, x.type, {at[0], at[1], at[2] + k}) *
           c.extract(body, filter, x.type, {at[1], k.like(0), k});
  };
  Shape shape{batch, channels, length};
  Tensor y;
  if (taps.constant() && *taps.constant() <= kWrittenOut) {
    y = c.generate(shape, x.type, extra,
                   [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                     Scalar sum = tap(body, at, at[2].like(0));
                     for (int64_t k = 1; k < *taps.constant(); ++k)
                       sum = sum + tap(body, at, at[2].like(double(k)));
                     return finished(sum, v);
                   });
  } else {
    DType wide = computeType(x.type);
    Tensor products =
        c.generate({batch, channels, length, taps}, wide, {},
                   [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                     return tap(body, at, at[3]);
                   });
    SmallVector<Tensor> in{c.sum(products, {3}, false)};
    llvm::append_range(in, extra);
    y = c.map(in, x.type, [&](ArrayRef<Scalar> v) {
      return finished(v[0], v.drop_front());
    });
  }
  return {y, c.slice(all, 2, length, kept)};
}
} // namespace

void fulgur::onnx::registerCausalConvolution(OpTable &ops) {
  ops["CausalConvWithState"] = {importCausalConv, 2};
}
