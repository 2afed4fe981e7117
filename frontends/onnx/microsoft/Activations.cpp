// Activations with ingredients of their neighbours: biases, gates, residuals.
#include "frontends/onnx/microsoft/Activations.h"
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;
using namespace fulgur::onnx::microsoft;

Activation microsoft::activationCalled(
    const Core &c, StringRef name,
    llvm::function_ref<double(StringRef, unsigned, double)> number) {
  if (name.empty())
    return [](const Scalar &x) { return x; };
  if (name == "Relu")
    return [](const Scalar &x) { return maximum(x, x.like(0)); };
  if (name == "Tanh")
    return [](const Scalar &x) { return tanh(x); };
  if (name == "Sigmoid")
    return sigmoid;
  if (name == "HardSwish")
    return [](const Scalar &x) { return x * hardSigmoid(x, 1.0 / 6, 0.5); };
  if (name == "Softplus")
    return softplus;
  if (name == "Softsign")
    return [](const Scalar &x) { return x / (abs(x) + 1); };
  if (name == "Gelu")
    return gelu;
  if (name == "LeakyRelu") {
    double alpha = number("alpha", 0, 0.01f);
    return [=](const Scalar &x) { return select(x < 0, x * alpha, x); };
  }
  if (name == "Elu") {
    double alpha = number("alpha", 0, 1);
    return [=](const Scalar &x) { return select(x < 0, expm1(x) * alpha, x); };
  }
  if (name == "Selu") {
    double alpha = number("alpha", 0, 1.67326319217681884765625),
           gamma = number("gamma", 1, 1.05070102214813232421875);
    return [=](const Scalar &x) {
      return select(x > 0, x, expm1(x) * alpha) * gamma;
    };
  }
  if (name == "ThresholdedRelu") {
    double alpha = number("alpha", 0, 1);
    return [=](const Scalar &x) { return select(x > alpha, x, x.like(0)); };
  }
  if (name == "HardSigmoid") {
    double alpha = number("alpha", 0, 0.2f), beta = number("beta", 1, 0.5);
    return [=](const Scalar &x) { return hardSigmoid(x, alpha, beta); };
  }
  if (name == "Clip") {
    double low = number("min", 0, std::numeric_limits<float>::lowest()),
           high = number("max", 1, std::numeric_limits<float>::max());
    return [=](const Scalar &x) {
      return minimum(maximum(x, x.like(low)), x.like(high));
    };
  }
  c.unsupported("the fused activation '" + name + "' is not supported");
}

Activation microsoft::activationWithList(const Core &c, const Site &s) {
  SmallVector<double> list = s.reals("activation_params");
  return activationCalled(
      c, s.text("activation", ""),
      [&](StringRef name, unsigned index, double otherwise) {
        return index < list.size() ? list[index] : otherwise;
      });
}

Activation microsoft::activationWithNames(const Core &c, const Site &s) {
  return activationCalled(
      c, s.text("activation", ""),
      [&](StringRef name, unsigned index, double otherwise) {
        return s.real(("activation_" + name).str(), otherwise);
      });
}

namespace {
Tensor importGelu(const Core &c, const Site &s) { return c.map(s[0], gelu); }

Tensor importBiasGelu(const Core &c, const Site &s) {
  return c.map({s[0], s[1]}, s[0].type,
               [](ArrayRef<Scalar> v) { return gelu(v[0] + v[1]); });
}

Tensor importFastGelu(const Core &c, const Site &s) {
  if (!s[1])
    return c.map(s[0], geluByTanh);
  return c.map({s[0], s[1]}, s[0].type,
               [](ArrayRef<Scalar> v) { return geluByTanh(v[0] + v[1]); });
}

/// x · σ(α·x).
Tensor importQuickGelu(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 1.702f);
  return c.map(s[0], [&](const Scalar &x) { return x * sigmoid(x * alpha); });
}

/// Two halves of the last dim of x + bias: the left one times gelu of the right
/// one.
Tensor importBiasSplitGelu(const Core &c, const Site &s) {
  Tensor x = c.add(s[0], s[1]);
  std::optional<Extent> half =
      x.rank() ? x.shape.back().divideExactly(2) : std::nullopt;
  if (!half)
    c.fail("the last dim of a tensor of shape " + c.text(x.shape) +
           " cannot be halved");
  int64_t axis = x.rank() - 1;
  return c.map({c.slice(x, axis, 0, *half), c.slice(x, axis, *half, *half)},
               x.type, [](ArrayRef<Scalar> v) { return v[0] * gelu(v[1]); });
}

Tensor importBiasAdd(const Core &c, const Site &s) {
  return c.map({s[0], s[1], s[2]}, s[0].type,
               [](ArrayRef<Scalar> v) { return v[0] + v[1] + v[2]; });
}
} // namespace

void microsoft::activations(Extensions &ops) {
  ops.add("Gelu (T X) => (T Y like X)", importGelu);
  ops.add("BiasGelu (T A, T B) => (T C like A)", importBiasGelu);
  ops.add("FastGelu (T X, T? bias) => (T Y like X)", importFastGelu);
  ops.add("QuickGelu <alpha: float = 1.702> (T X) => (T Y like X)",
          importQuickGelu);
  ops.add("BiasSplitGelu (T X, T bias) => (T Y)", importBiasSplitGelu);
  ops.add("BiasAdd (T X, T bias, T skip) => (T Y like X)", importBiasAdd);
  ops.expand("GatedAdd (T X, T Y, T gate) => (T output like X)",
             "product = Mul(Y, gate) output = Add(X, product)");
}
