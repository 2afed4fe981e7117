// Linear models: one product with the coefficients.
#include "frontends/onnx/Table.h"
#include "frontends/onnx/ml/Operators.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// x · coefficientsᵀ + intercepts, [rows, outputs].
Tensor scoresOf(const Core &c, const Site &s, const Tensor &x,
                int64_t outputs) {
  std::vector<double> coefficients = s.numbers("coefficients"),
                      intercepts = s.numbers("intercepts");
  if (outputs < 1 || coefficients.size() % outputs)
    c.fail(Twine(coefficients.size()) + " coefficients cannot be shared by " +
           Twine(outputs) + " outputs");
  int64_t features = coefficients.size() / outputs;
  Tensor scores = c.matmul2d(
      x, realTable(c, x.type, {outputs, features}, coefficients), true);
  if (intercepts.empty())
    return scores;
  if (int64_t(intercepts.size()) != outputs)
    c.fail("there are " + Twine(intercepts.size()) + " intercepts for " +
           Twine(outputs) + " outputs");
  return c.add(scores, realTable(c, x.type, {outputs}, intercepts));
}

Tensor importLinearRegressor(const Core &c, const Site &s) {
  Tensor scores = scoresOf(c, s, featuresOf(c, s[0]), s.integer("targets", 1));
  return c.cast(postTransform(c, scores, postTransformOf(c, s)), DType::f32);
}

/// Labels and scores. One score for two classes is that of the second; the
/// first has its negative.
SmallVector<Tensor> importLinearClassifier(const Core &c, const Site &s) {
  Labels labels = labelsOf(s, "classlabels_ints");
  StringRef how = postTransformOf(c, s);
  size_t intercepts = s.numbers("intercepts").size();
  int64_t outputs =
      intercepts ? intercepts : std::max<size_t>(labels.size(), 1);
  Tensor scores = scoresOf(c, s, featuresOf(c, s[0]), outputs);
  if (outputs == 1 && labels.size() == 2) {
    Shape shape{scores.shape[0], 2};
    scores =
        c.generate(shape, scores.type, {scores},
                   [](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                     return select(equal(at[1], at[1].like(0)), -v[0], v[0]);
                   });
    outputs = 2;
  }
  Tensor chosen;
  if (outputs > 1) {
    if (int64_t(labels.size()) < outputs)
      c.fail("there are " + Twine(labels.size()) + " labels for " +
             Twine(outputs) + " classes");
    chosen = pickLabels(c, bestColumn(c, scores), labels);
  } else {
    // One class is there or not.
    if (labels.areStrings())
      labels.strings.insert(labels.strings.begin(), "0");
    else
      labels.integers.insert(labels.integers.begin(), 0);
    if (labels.size() == 1)
      labels.integers.push_back(1);
    double threshold = how == "NONE" ? 0 : 0.5;
    Tensor isThere = c.map({c.squeeze(postTransform(c, scores, how), {1})},
                           DType::i64, [&](ArrayRef<Scalar> v) {
                             return convert(v[0] >= threshold, DType::i64);
                           });
    chosen = pickLabels(c, isThere, labels);
  }
  return {chosen, c.cast(postTransform(c, scores, how), DType::f32)};
}
} // namespace

void fulgur::onnx::registerMlLinear(OpTable &ops) {
  ops["ai.onnx.ml::LinearClassifier"] = importLinearClassifier;
  ops["ai.onnx.ml::LinearRegressor"] = importLinearRegressor;
}
