// Functions between the layers of a network.
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Core.h"
#include <algorithm>
#include <cmath>

using namespace fulgur::onnx;

Scalar fulgur::onnx::sigmoid(const Scalar &x) { return 1.0 / (exp(-x) + 1); }
Scalar fulgur::onnx::softplus(const Scalar &x) {
  return maximum(x, x.like(0)) + log1p(exp(-abs(x)));
}
Scalar fulgur::onnx::hardSigmoid(const Scalar &x, double alpha, double beta) {
  return minimum(maximum(x * alpha + beta, x.like(0)), x.like(1));
}
Scalar fulgur::onnx::gelu(const Scalar &x) {
  return x * 0.5 * (erf(x * 0.7071067811865476) + 1);
}
Scalar fulgur::onnx::geluByTanh(const Scalar &x) {
  Scalar bent = tanh((x + x * x * x * 0.044715) * 0.7978845608028654);
  return x * 0.5 * (bent + 1);
}

namespace {
Tensor real(const Core &c, const Site &s) {
  c.requireType(s[0], isReal(s[0].type), "floating point");
  return s[0];
}

Tensor importRelu(const Core &c, const Site &s) {
  return c.map(s[0], [](const Scalar &x) { return maximum(x, x.like(0)); });
}

/// x where x is positive, alpha·x elsewhere.
Tensor importLeakyRelu(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 0.01f);
  return c.map(real(c, s),
               [&](const Scalar &x) { return select(x < 0, x * alpha, x); });
}

/// x where x is positive, slope·x elsewhere. Models older than opset 7 have one
/// slope for each channel, which is dim 1.
Tensor importPRelu(const Core &c, const Site &s) {
  Tensor x = s[0], slope = s[1];
  if (slope.type != x.type)
    c.fail("the slope is of type " + name(slope.type) + ", not " +
           name(x.type));
  if (s.text("slopes", "") == "channels" && slope.rank() == 1 && x.rank() > 2) {
    Shape shape(x.rank() - 1, 1);
    shape[0] = slope.shape[0];
    slope = c.reshape(slope, shape);
  }
  c.broadcastTo(slope, x.shape); // complains if it does not
  return c.map({x, slope}, x.type, [](ArrayRef<Scalar> v) {
    return select(v[0] < 0, v[0] * v[1], v[0]);
  });
}

Tensor importElu(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 1);
  return c.map(real(c, s), [&](const Scalar &x) {
    return select(x < 0, expm1(x) * alpha, x);
  });
}

Tensor importSelu(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 1.67326319217681884765625),
         gamma = s.real("gamma", 1.05070102214813232421875);
  return c.map(real(c, s), [&](const Scalar &x) {
    return select(x > 0, x, expm1(x) * alpha) * gamma;
  });
}

Tensor importCelu(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 1);
  return c.map(real(c, s), [&](const Scalar &x) {
    return select(x < 0, expm1(x / alpha) * alpha, x);
  });
}

Tensor importThresholdedRelu(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 1);
  return c.map(real(c, s), [&](const Scalar &x) {
    return select(x > alpha, x, x.like(0));
  });
}

/// The numbers may be integers, bias and bound are not. The bias is added to an
/// integer's own type, since not every integer of 64 bits is an f64.
Tensor importShrink(const Core &c, const Site &s) {
  double bias = s.real("bias", 0), lambda = s.real("lambd", 0.5);
  return c.map(s[0], [&](const Scalar &number) {
    bool whole = !isReal(number.type);
    Scalar x = whole ? convert(number, DType::f64) : number;
    auto moved = [&](double by) {
      if (!whole)
        return x + by;
      // What is left of the bias takes a negative sum towards 0.
      double steps = std::clamp(std::floor(by), -0x1p62, 0x1p62);
      Scalar sum = number + steps;
      return steps == by ? sum : select(x < -steps, sum + 1, sum);
    };
    return select(x < -lambda, moved(bias),
                  select(x > lambda, moved(-bias), number.like(0)));
  });
}

Tensor importSigmoid(const Core &c, const Site &s) {
  return c.map(real(c, s), sigmoid);
}
Tensor importSoftplus(const Core &c, const Site &s) {
  return c.map(real(c, s), softplus);
}

Tensor importSoftsign(const Core &c, const Site &s) {
  return c.map(real(c, s), [](const Scalar &x) { return x / (abs(x) + 1); });
}

Tensor importMish(const Core &c, const Site &s) {
  return c.map(real(c, s),
               [](const Scalar &x) { return x * tanh(softplus(x)); });
}

Tensor importSwish(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 1);
  return c.map(real(c, s),
               [&](const Scalar &x) { return x * sigmoid(x * alpha); });
}

Tensor importHardSigmoid(const Core &c, const Site &s) {
  double alpha = s.real("alpha", 0.2f), beta = s.real("beta", 0.5);
  return c.map(real(c, s),
               [&](const Scalar &x) { return hardSigmoid(x, alpha, beta); });
}

Tensor importHardSwish(const Core &c, const Site &s) {
  return c.map(real(c, s), [](const Scalar &x) {
    return x * hardSigmoid(x, 1.0 / 6, 0.5);
  });
}

/// The tanh approximation only where the model asks for it.
Tensor importGelu(const Core &c, const Site &s) {
  return c.map(real(c, s),
               s.text("approximate", "none") == "tanh" ? geluByTanh : gelu);
}
} // namespace

void fulgur::onnx::registerActivation(OpTable &ops) {
  ops["Celu"] = importCelu;
  ops["Elu"] = importElu;
  ops["Gelu"] = importGelu;
  ops["HardSigmoid"] = importHardSigmoid;
  ops["HardSwish"] = importHardSwish;
  ops["LeakyRelu"] = importLeakyRelu;
  ops["Mish"] = importMish;
  ops["PRelu"] = {importPRelu, 2};
  ops["Relu"] = importRelu;
  ops["Selu"] = importSelu;
  ops["Shrink"] = importShrink;
  ops["Sigmoid"] = importSigmoid;
  ops["Softplus"] = importSoftplus;
  ops["Softsign"] = importSoftsign;
  ops["Swish"] = importSwish;
  ops["ThresholdedRelu"] = importThresholdedRelu;
}
