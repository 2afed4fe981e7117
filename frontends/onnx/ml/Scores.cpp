// What the models of ai.onnx.ml share: features in, scores and labels out.
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Table.h"
#include "frontends/onnx/ml/Operators.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// The inverse of the normal distribution's integral, by Winitzki's
/// approximation of the inverse error function, which is what converters
/// expect.
Scalar probit(const Scalar &p) {
  constexpr double a = 0.147, pi = 3.14159265358979323846;
  Scalar x = p * 2 - 1;
  Scalar squared = (1.0 - x) * (x + 1);
  Scalar logarithm = log(squared);
  Scalar v = logarithm * 0.5 + 2 / (pi * a);
  Scalar root = sqrt(sqrt(v * v - logarithm / a) - v);
  Scalar inverse = select(x < 0, -root, root);
  return select(equal(squared, squared.like(0)), squared.like(0), inverse) *
         1.41421356;
}

/// exp(x - max), except that zeros stay zero with SOFTMAX_ZERO, divided by its
/// sum.
Tensor softmax(const Core &c, const Tensor &x, bool keepZeros) {
  Tensor weights =
      c.map({x, c.max(x, {1}, true)}, x.type, [&](ArrayRef<Scalar> v) {
        Scalar weight = exp(v[0] - v[1]);
        if (!keepZeros)
          return weight;
        return select(abs(v[0]) > 1e-7, weight, v[0] * exp(-v[1]));
      });
  return c.map(
      {weights, c.sum(weights, {1}, true)}, x.type, [&](ArrayRef<Scalar> v) {
        Scalar share = v[0] / v[1];
        return keepZeros
                   ? select(equal(v[1], v[1].like(0)), share.like(0.5), share)
                   : share;
      });
}
} // namespace

StringRef fulgur::onnx::postTransformOf(const Core &c, const Site &s) {
  StringRef how = s.text("post_transform", "NONE");
  if (!llvm::is_contained(
          {"NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"}, how))
    c.fail("post_transform '" + how +
           "' is not one of NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO, PROBIT");
  return how;
}

Tensor fulgur::onnx::postTransform(const Core &c, const Tensor &scores,
                                   StringRef how) {
  if (how == "LOGISTIC")
    return c.map(scores, sigmoid);
  if (how == "PROBIT")
    return c.map(scores, probit);
  if (how == "SOFTMAX" || how == "SOFTMAX_ZERO")
    return softmax(c, scores, how == "SOFTMAX_ZERO");
  return scores;
}

Labels fulgur::onnx::labelsOf(const Site &s, StringRef integers) {
  return {s.integers(integers), s.strings("classlabels_strings")};
}

Tensor fulgur::onnx::bestColumn(const Core &c, const Tensor &scores) {
  // The least number of a column whose score is that of the best.
  Tensor best = c.max(scores, {1}, true);
  Extent columns = scores.shape[1];
  Tensor candidates = c.generate(
      scores.shape, DType::i64, {scores, best},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        return convert(select(v[0] >= v[1], at[1],
                              Scalar::extent(body, DType::index, columns - 1)),
                       DType::i64);
      });
  return c.reduce(
      candidates, {1}, false, DType::i64, highest(DType::i64),
      [](const Scalar &v, const Scalar &least) { return minimum(v, least); });
}

Tensor fulgur::onnx::pickLabels(const Core &c, const Tensor &indices,
                                const Labels &labels) {
  int64_t count = labels.size();
  if (labels.areStrings())
    return c.gather(stringConstant(c, labels.strings, {count}), indices, 0,
                    "the labels");
  Value table = c.value(integerTable(c, DType::i64, {count}, labels.integers));
  return c.generate(indices.shape, DType::i64, {indices},
                    [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar>) {
                      return c.extract(body, table, DType::i64, {v[0]});
                    });
}

Tensor fulgur::onnx::featuresOf(const Core &c, const Tensor &x) {
  c.requireType(x, x.type != DType::string && x.type != DType::boolean,
                "a number");
  if (x.rank() != 1 && x.rank() != 2)
    c.fail("features must be of rank 1 or 2, not of shape " + c.text(x.shape));
  Tensor numbers = c.cast(x, x.type == DType::f64 ? DType::f64 : DType::f32);
  return x.rank() == 2 ? numbers : c.unsqueeze(numbers, {0});
}

void fulgur::onnx::registerMl(OpTable &ops) {
  registerMlFeatures(ops);
  registerMlLabels(ops);
  registerMlLinear(ops);
  registerMlSupportVectors(ops);
  registerMlTrees(ops);
}
