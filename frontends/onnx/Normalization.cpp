// Ops that scale a tensor by statistics of itself.
#include "frontends/onnx/Normalization.h"
#include "dialects/Fulgur.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::onnx;

Tensor fulgur::onnx::softmax(const Core &c, const Tensor &x, int64_t axis) {
  if (isHalf(x.type)) { // as in the definition, each step is rounded
    Tensor power = c.map(c.sub(x, c.max(x, {axis}, true)),
                         [](const Scalar &v) { return exp(v); });
    return c.div(power, c.sum(power, {axis}, true));
  }
  Value value = c.value(x);
  return c.tensor(
      SoftmaxOp::create(c.builder, c.loc, value.getType(), value, axis), x.type,
      x.shape);
}

namespace {
/// The input in the type that sums are taken in; results are rounded at the
/// end.
Tensor real(const Core &c, const Site &s) {
  c.requireType(s[0], isReal(s[0].type), "floating point");
  return c.cast(s[0], computeType(s[0].type));
}

/// Calls `f` on the tensor with the axis that the node names; before opset 13
/// all dims from the axis on are one.
Tensor alongAxis(const Core &c, const Site &s,
                 llvm::function_ref<Tensor(const Tensor &, int64_t)> f) {
  Tensor x = real(c, s);
  if (s.opset() >= 13 && s.text("along", "") != "rest")
    return c.cast(f(x, c.axis(s.integer("axis", -1), x.rank())), s[0].type);
  int64_t axis = c.axis(s.integer("axis", 1), x.rank());
  Tensor flat = c.reshape(x, {product(ArrayRef(x.shape).take_front(axis)),
                              product(ArrayRef(x.shape).drop_front(axis))});
  return c.cast(c.reshape(f(flat, 1), x.shape), s[0].type);
}

Tensor importSoftmax(const Core &c, const Site &s) {
  return alongAxis(c, s, [&](const Tensor &x, int64_t axis) {
    return softmax(c, c.cast(x, s[0].type), axis);
  });
}

/// x - max - log Σ exp(x - max)
Tensor importLogSoftmax(const Core &c, const Site &s) {
  return alongAxis(c, s, [&](const Tensor &x, int64_t axis) {
    Tensor shifted = c.sub(x, c.max(x, {axis}, true));
    Tensor total = c.sum(c.map(shifted, [](const Scalar &v) { return exp(v); }),
                         {axis}, true);
    return c.map({shifted, total}, x.type,
                 [](ArrayRef<Scalar> v) { return v[0] - log(v[1]); });
  });
}

/// 1 at the first of the greatest elements, 0 elsewhere.
Tensor importHardmax(const Core &c, const Site &s) {
  return alongAxis(c, s, [&](const Tensor &x, int64_t axis) {
    Tensor top = c.max(x, {axis}, true);
    Extent size = x.shape[axis];
    Tensor place = c.generate(
        x.shape, DType::i64, {x, top},
        [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
          return convert(select(equal(v[0], v[1]), at[axis],
                                Scalar::extent(body, DType::index, size)),
                         DType::i64);
        });
    Tensor first =
        c.reduce(place, {axis}, true, DType::i64, highest(DType::i64), minimum);
    return c.generate(x.shape, x.type, {first},
                      [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                        return convert(
                            equal(v[0], convert(at[axis], DType::i64)), x.type);
                      });
  });
}

SmallVector<int64_t> from(int64_t axis, int64_t rank) {
  SmallVector<int64_t> axes;
  for (; axis < rank; ++axis)
    axes.push_back(axis);
  return axes;
}

Scalar inverseRoot(const Scalar &x, double epsilon) {
  return 1.0 / sqrt(x + epsilon);
}
} // namespace

std::pair<Tensor, Tensor> fulgur::onnx::statistics(const Core &c,
                                                   const Tensor &x,
                                                   ArrayRef<int64_t> axes,
                                                   double epsilon) {
  Tensor mean = c.mean(x, axes, true);
  Tensor squares = c.map({x, mean}, x.type, [](ArrayRef<Scalar> v) {
    return (v[0] - v[1]) * (v[0] - v[1]);
  });
  return {mean, c.map(c.mean(squares, axes, true), [&](const Scalar &v) {
            return inverseRoot(v, epsilon);
          })};
}

Tensor fulgur::onnx::inverseRootMeanSquare(const Core &c, const Tensor &x,
                                           ArrayRef<int64_t> axes,
                                           double epsilon) {
  Tensor squares = c.map(x, [](const Scalar &v) { return v * v; });
  return c.map(c.mean(squares, axes, true),
               [&](const Scalar &v) { return inverseRoot(v, epsilon); });
}

Tensor fulgur::onnx::layerNorm(const Core &c, const Tensor &x,
                               const Tensor &scale, const Tensor &bias,
                               int64_t axis, double epsilon) {
  DType type = computeType(x.type);
  auto perElement = [&](const Tensor &parameter) {
    return c.value(c.cast(
        c.broadcastTo(parameter, ArrayRef(x.shape).drop_front(axis)), type));
  };
  Value value = c.value(c.cast(x, type)), factor = perElement(scale),
        shift = bias ? perElement(bias) : Value();
  Value result =
      LayerNormOp::create(c.builder, c.loc, value.getType(), value, factor,
                          shift, axis, APFloat(float(epsilon)));
  return c.cast(c.tensor(result, type, x.shape), x.type);
}

Tensor fulgur::onnx::rmsNorm(const Core &c, const Tensor &x,
                             const Tensor &scale, int64_t axis,
                             double epsilon) {
  DType type = computeType(x.type);
  Tensor factors = c.broadcastTo(scale, ArrayRef(x.shape).drop_front(axis));
  Value value = c.value(c.cast(x, type)),
        factor = c.value(c.cast(factors, type));
  Value result = RMSNormOp::create(c.builder, c.loc, value.getType(), value,
                                   factor, axis, APFloat(float(epsilon)));
  return c.cast(c.tensor(result, type, x.shape), x.type);
}

namespace {
SmallVector<Tensor> importLayerNormalization(const Core &c, const Site &s) {
  Tensor x = real(c, s);
  int64_t axis = c.axis(s.integer("axis", -1), x.rank());
  double epsilon = s.real("epsilon", 1e-5f);
  SmallVector<Tensor> results{
      c.cast(layerNorm(c, x, s[1], s[2], axis, epsilon), s[0].type)};
  if (s.wants(1) || s.wants(2)) {
    auto [mean, deviation] = statistics(c, x, from(axis, x.rank()), epsilon);
    results.append({mean, deviation});
  }
  return results;
}

Tensor importRMSNormalization(const Core &c, const Site &s) {
  Tensor x = real(c, s);
  Tensor y = rmsNorm(c, x, s[1], c.axis(s.integer("axis", -1), x.rank()),
                     s.real("epsilon", 1e-5f));
  return c.cast(y, s[1].type);
}

/// A vector over the channels (dim 1) so that it broadcasts against the tensor.
Tensor perChannel(const Core &c, const Tensor &vector, const Tensor &x) {
  if (vector.rank() != 1 || x.rank() < 2)
    c.fail("needs a tensor of rank 2 or more and vectors over its channels, "
           "not ranks " +
           Twine(x.rank()) + " and " + Twine(vector.rank()));
  c.requireEqual(vector.shape[0], x.shape[1]);
  Shape shape(x.rank() - 1, 1);
  shape[0] = x.shape[1];
  return c.reshape(vector, shape);
}

/// x · a + b with a = scale/√(variance + epsilon) and b = bias - mean · a,
/// which are as small as the channels. In training, mean and variance are those
/// of the batch, and the given ones move towards them.
SmallVector<Tensor> importBatchNormalization(const Core &c, const Site &s) {
  Tensor x = real(c, s);
  double epsilon = s.real("epsilon", 1e-5f),
         momentum = s.real("momentum", 0.9f);
  // Before opset 14, training showed in the number of results.
  bool training = s.integer("training_mode", 0) ||
                  (s.opset() < 14 && (s.wants(1) || s.wants(2)));
  // Before opset 9, there could be a number for each element of a batch.
  bool perElement = s.opset() < 9 && !s.integer("spatial", 1);
  if (perElement && training)
    c.unsupported("batch normalization in training for single elements is not "
                  "supported");
  auto spread = [&](const Tensor &v) {
    return perElement ? c.broadcastTo(v, ArrayRef(x.shape).drop_front())
                      : perChannel(c, v, x);
  };
  for (int k = 1; k < 5; ++k)
    spread(s[k]);
  DType type = s[4].type;
  Tensor mean = s[3], variance = s[4];
  SmallVector<Tensor> results(1);
  if (training) {
    SmallVector<int64_t> axes{0};
    axes.append(from(2, x.rank()));
    Tensor average = c.mean(x, axes, true);
    Tensor squares = c.map({x, average}, x.type, [](ArrayRef<Scalar> v) {
      return (v[0] - v[1]) * (v[0] - v[1]);
    });
    mean = c.cast(c.reshape(average, {x.shape[1]}), type);
    variance = c.cast(c.mean(squares, axes, false), type);
    auto moved = [&](const Tensor &before, const Tensor &now) {
      return c.map({before, now}, before.type, [&](ArrayRef<Scalar> v) {
        return v[0] * momentum + convert(v[1], v[0].type) * (1 - momentum);
      });
    };
    results.append({moved(s[3], mean), moved(s[4], variance), mean, variance});
  }
  Tensor factor =
      c.map({s[1], variance}, computeType(type), [&](ArrayRef<Scalar> v) {
        return convert(v[0], v[1].type) * inverseRoot(v[1], epsilon);
      });
  Tensor shift =
      c.map({s[2], mean, factor}, factor.type, [](ArrayRef<Scalar> v) {
        return convert(v[0], v[2].type) - convert(v[1], v[2].type) * v[2];
      });
  results[0] = c.map(
      {x, spread(factor), spread(shift)}, s[0].type, [](ArrayRef<Scalar> v) {
        return v[0] * convert(v[1], v[0].type) + convert(v[2], v[0].type);
      });
  return results;
}

Tensor normalize(const Core &c, const Tensor &x, ArrayRef<int64_t> axes,
                 double epsilon) {
  auto [mean, deviation] = statistics(c, x, axes, epsilon);
  return c.map({x, mean, deviation}, x.type,
               [](ArrayRef<Scalar> v) { return (v[0] - v[1]) * v[2]; });
}

/// normal · scale + bias, which have an element per channel, in the scale's
/// type.
Tensor scaleAndShift(const Core &c, const Tensor &x, const Tensor &scale,
                     const Tensor &bias) {
  return c.map({x, perChannel(c, scale, x), perChannel(c, bias, x)}, scale.type,
               [](ArrayRef<Scalar> v) { return v[0] * v[1] + v[2]; });
}

Tensor importInstanceNormalization(const Core &c, const Site &s) {
  Tensor x = real(c, s);
  if (x.rank() < 3)
    c.fail("the input has rank " + Twine(x.rank()) + ", which is below 3");
  return scaleAndShift(
      c, normalize(c, x, from(2, x.rank()), s.real("epsilon", 1e-5f)), s[1],
      s[2]);
}

Tensor importGroupNormalization(const Core &c, const Site &s) {
  Tensor x = real(c, s);
  int64_t groups = s.integer("num_groups", 0);
  bool divides = x.rank() >= 2 && groups >= 1;
  Extent size = divides ? c.sizes.atoms.floorDiv(x.shape[1], groups) : 0;
  if (!divides || c.sizes.atoms.knownDifferent(size * groups, x.shape[1]))
    c.fail("the channels of a tensor of shape " + c.text(x.shape) +
           " cannot be divided into " + Twine(groups) + " groups");
  c.requireEqual(size * groups, x.shape[1]);
  Tensor grouped = c.reshape(
      x, {x.shape[0], groups, size * product(ArrayRef(x.shape).drop_front(2))});
  Tensor normal =
      c.reshape(normalize(c, grouped, {2}, s.real("epsilon", 1e-5f)), x.shape);
  // Before opset 21 there was one scale a group.
  bool perGroup = s.opset() < 21 || s.text("scales", "") == "groups";
  auto spread = [&](const Tensor &v) {
    return perGroup ? c.reshape(c.broadcastTo(c.reshape(v, {groups, 1}),
                                              {groups, size}),
                                {x.shape[1]})
                    : v;
  };
  return scaleAndShift(c, normal, spread(s[1]), spread(s[2]));
}

/// (x - mean) / (deviation + 1e-9)
Tensor importMeanVarianceNormalization(const Core &c, const Site &s) {
  Tensor x = real(c, s);
  SmallVector<int64_t> axes =
      s.has("axes") ? s.integers("axes") : SmallVector<int64_t>{0, 2, 3};
  auto [mean, deviation] = statistics(c, x, c.axes(axes, x.rank()), 0);
  return c.map({x, mean, deviation}, s[0].type, [](ArrayRef<Scalar> v) {
    return (v[0] - v[1]) / (1.0 / v[2] + 1e-9);
  });
}

Tensor importLpNormalization(const Core &c, const Site &s) {
  Tensor x = real(c, s);
  int64_t axis = c.axis(s.integer("axis", -1), x.rank()), p = s.integer("p", 2);
  if (p != 1 && p != 2)
    c.fail("p is " + Twine(p) + ", not 1 or 2");
  Tensor total = c.reduce(x, {axis}, true, x.type, {},
                          [&](const Scalar &v, const Scalar &sum) {
                            return sum + (p == 1 ? abs(v) : v * v);
                          });
  return c.map({x, total}, s[0].type, [&](ArrayRef<Scalar> v) {
    Scalar norm = p == 1 ? v[1] : sqrt(v[1]);
    return select(equal(norm, norm.like(0)), norm, v[0] / norm);
  });
}

/// x / (bias + alpha/size · Σ x²)^beta over neighbouring channels.
Tensor importLRN(const Core &c, const Site &s) {
  Tensor x = real(c, s);
  int64_t size = s.integer("size", 1);
  double alpha = s.real("alpha", 1e-4f), beta = s.real("beta", 0.75),
         bias = s.real("bias", 1);
  if (x.rank() < 2 || size < 1)
    c.fail("needs channels and a positive size, not rank " + Twine(x.rank()) +
           " and " + Twine(size));
  Shape low(x.rank(), 0), high(x.rank(), 0);
  low[1] = (size - 1) / 2;
  high[1] = size / 2;
  Tensor squares =
      c.pad(c.map(x, [](const Scalar &v) { return v * v; }), low, high, {});
  Tensor total = c.slice(squares, 1, 0, x.shape[1]);
  for (int64_t k = 1; k < size; ++k)
    total = c.add(total, c.slice(squares, 1, k, x.shape[1]));
  return c.map({x, total}, s[0].type, [&](ArrayRef<Scalar> v) {
    Scalar base = v[1] * (alpha / size) + bias;
    return v[0] / power(base, base.like(beta));
  });
}
} // namespace

void fulgur::onnx::registerNormalization(OpTable &ops) {
  ops["BatchNormalization"] = {importBatchNormalization, 5};
  ops["GroupNormalization"] = {importGroupNormalization, 3};
  ops["Hardmax"] = importHardmax;
  ops["InstanceNormalization"] = {importInstanceNormalization, 3};
  ops["LRN"] = importLRN;
  ops["LayerNormalization"] = {importLayerNormalization, 2};
  ops["LogSoftmax"] = importLogSoftmax;
  ops["LpNormalization"] = importLpNormalization;
  ops["MeanVarianceNormalization"] = importMeanVarianceNormalization;
  ops["RMSNormalization"] = {importRMSNormalization, 2};
  ops["Softmax"] = importSoftmax;
}
