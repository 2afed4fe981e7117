// Support vector machines (Chang and Lin, LIBSVM: A Library for Support Vector
// Machines, 2011).
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Table.h"
#include "frontends/onnx/ml/Operators.h"
#include <cmath>

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// The kernel between every row and every vector, [rows, vectors].
Tensor kernels(const Core &c, const Site &s, const Tensor &x,
               ArrayRef<double> vectors, int64_t count, StringRef kind) {
  if (count < 1 || vectors.size() % count)
    c.fail(Twine(vectors.size()) + " numbers cannot be shared by " +
           Twine(count) + " vectors");
  int64_t features = vectors.size() / count;
  c.requireEqual(x.shape[1], features);
  std::vector<double> parameters = s.numbers("kernel_params");
  parameters.resize(3, 0);
  double gamma = parameters[0], coef0 = parameters[1], degree = parameters[2];
  Tensor table = realTable(c, x.type, {count, features}, vectors);
  if (kind == "RBF") {
    // The distances themselves: a difference of squares would lose what the
    // exponential needs.
    Tensor squares =
        c.map({c.unsqueeze(x, {1}), c.reshape(table, {1, count, features})},
              x.type, [](ArrayRef<Scalar> v) {
                Scalar difference = v[0] - v[1];
                return difference * difference;
              });
    return c.map(c.sum(squares, {2}, false), [&](const Scalar &distance) {
      return exp(distance * -gamma);
    });
  }
  Tensor products = c.matmul2d(x, table, true);
  if (kind == "LINEAR")
    return products;
  if (kind != "POLY" && kind != "SIGMOID")
    c.fail("kernel_type '" + kind +
           "' is not one of LINEAR, POLY, RBF, SIGMOID");
  return c.map(products, [&](const Scalar &v) {
    Scalar scaled = v * gamma + coef0;
    if (kind == "SIGMOID")
      return tanh(scaled);
    if (degree != std::floor(degree) || degree < 0 || degree > 16)
      return power(scaled, scaled.like(degree));
    Scalar result = scaled.like(1);
    for (int k = 0; k < int(degree); ++k)
      result = result * scaled;
    return result;
  });
}

Tensor importSVMRegressor(const Core &c, const Site &s) {
  Tensor x = featuresOf(c, s[0]);
  std::vector<double> coefficients = s.numbers("coefficients"),
                      rho = s.numbers("rho");
  int64_t supports = s.integer("n_supports", 0);
  rho.resize(std::max<size_t>(rho.size(), 1), 0);
  Tensor products = supports > 0
                        ? kernels(c, s, x, s.numbers("support_vectors"),
                                  supports, s.text("kernel_type", "LINEAR"))
                        : x;
  c.requireEqual(products.shape[1], int64_t(coefficients.size()));
  Tensor scores = c.matmul2d(
      products,
      realTable(c, x.type, {1, int64_t(coefficients.size())}, coefficients),
      true);
  bool oneClass = s.integer("one_class", 0);
  scores = c.map(scores, [&](const Scalar &v) {
    Scalar score = v + rho[0];
    return oneClass ? select(score > 0, score.like(1), score.like(-1)) : score;
  });
  return c.cast(postTransform(c, scores, postTransformOf(c, s)), DType::f32);
}

/// Which classes a score of two is between.
SmallVector<std::pair<int64_t, int64_t>> pairsOf(int64_t classes) {
  SmallVector<std::pair<int64_t, int64_t>> pairs;
  for (int64_t i = 0; i < classes; ++i)
    for (int64_t j = i + 1; j < classes; ++j)
      pairs.push_back({i, j});
  return pairs;
}

/// A score for each pair of classes, [rows, pairs]: the vectors of both, each
/// weighted as against the other class. All of it is one product with a table.
Tensor pairScores(const Core &c, const Tensor &kernels,
                  ArrayRef<int64_t> vectorsPerClass,
                  ArrayRef<double> coefficients, ArrayRef<double> rho) {
  int64_t classes = vectorsPerClass.size(), vectors = 0;
  SmallVector<int64_t> start;
  for (int64_t count : vectorsPerClass) {
    start.push_back(vectors);
    vectors += count;
  }
  auto pairs = pairsOf(classes);
  if (int64_t(coefficients.size()) != (classes - 1) * vectors)
    c.fail("there are " + Twine(coefficients.size()) + " coefficients, not " +
           Twine((classes - 1) * vectors));
  if (rho.size() != pairs.size())
    c.fail("rho has " + Twine(rho.size()) + " numbers for " +
           Twine(pairs.size()) + " pairs of classes");
  std::vector<double> table(pairs.size() * vectors, 0.0);
  for (auto [p, pair] : llvm::enumerate(pairs)) {
    auto [i, j] = pair;
    for (int64_t k = 0; k < vectorsPerClass[i]; ++k)
      table[p * vectors + start[i] + k] =
          coefficients[(j - 1) * vectors + start[i] + k];
    for (int64_t k = 0; k < vectorsPerClass[j]; ++k)
      table[p * vectors + start[j] + k] =
          coefficients[i * vectors + start[j] + k];
  }
  int64_t count = pairs.size();
  return c.add(c.matmul2d(kernels,
                          realTable(c, kernels.type, {count, vectors}, table),
                          true),
               realTable(c, kernels.type, {count}, rho));
}

/// How many of its pairs each class wins, [rows, classes].
Tensor votesOf(const Core &c, const Tensor &scores, int64_t classes) {
  auto pairs = pairsOf(classes);
  std::vector<double> wins, loses;
  for (auto [i, j] : pairs)
    for (int64_t k = 0; k < classes; ++k) {
      wins.push_back(k == i);
      loses.push_back(k == j);
    }
  int64_t count = pairs.size();
  Tensor won =
      c.map(scores, [](const Scalar &v) { return convert(v > 0, v.type); });
  Tensor lost = c.map(won, [](const Scalar &v) { return 1.0 - v; });
  return c.add(
      c.matmul2d(won, realTable(c, scores.type, {count, classes}, wins), false),
      c.matmul2d(lost, realTable(c, scores.type, {count, classes}, loses),
                 false));
}

/// Probabilities of classes from those of pairs: the fixed point of the second
/// method of Wu, Lin and Weng, Probability Estimates for Multi-class
/// Classification by Pairwise Coupling, 2004, with LIBSVM's number of
/// iterations and its condition to end.
Tensor probabilities(const Core &c, const Tensor &scores, int64_t classes,
                     ArrayRef<double> a, ArrayRef<double> b) {
  auto pairs = pairsOf(classes);
  if (a.size() != pairs.size() || b.size() != pairs.size())
    c.fail("prob_a and prob_b have " + Twine(a.size()) + " and " +
           Twine(b.size()) + " numbers for " + Twine(pairs.size()) +
           " pairs of classes");
  DType type = scores.type;
  int64_t count = pairs.size();
  Tensor likely = c.map(
      {scores, realTable(c, type, {count}, a), realTable(c, type, {count}, b)},
      type, [](ArrayRef<Scalar> v) {
        Scalar p = 1.0 - sigmoid(v[0] * v[1] + v[2]);
        return minimum(maximum(p, p.like(1e-7)), p.like(1 - 1e-7));
      });
  // r[t][j] is the probability of t against j, for every row.
  Value table = c.value(likely);
  SmallVector<SmallVector<int64_t>> number(classes,
                                           SmallVector<int64_t>(classes, -1));
  for (auto [p, pair] : llvm::enumerate(pairs))
    number[pair.first][pair.second] = p;
  Extent rows = scores.shape[0];
  int64_t iterations = std::max<int64_t>(100, classes);
  double epsilon = 0.005 / double(classes);
  auto solve = [&](Body &body, const Scalar &row) {
    auto against = [&](int64_t t, int64_t j) {
      int64_t p = t < j ? number[t][j] : number[j][t];
      Scalar value = c.extract(body, table, type,
                               {row, Scalar::extent(body, DType::index, p)});
      return t < j ? value : 1.0 - value;
    };
    auto q = [&](int64_t t, int64_t j) {
      if (t != j)
        return -(against(j, t) * against(t, j));
      Scalar total = Scalar::constant(body, type, 0);
      for (int64_t k = 0; k < classes; ++k)
        if (k != t)
          total = total + against(k, t) * against(k, t);
      return total;
    };
    SmallVector<SmallVector<Scalar>> matrix;
    for (int64_t t = 0; t < classes; ++t) {
      matrix.emplace_back();
      for (int64_t j = 0; j < classes; ++j) {
        Scalar value = q(t, j);
        matrix.back().push_back({&body, type, value.emit(), std::nullopt});
      }
    }
    SmallVector<Value> start;
    for (int64_t t = 0; t < classes; ++t)
      start.push_back(
          Scalar::constant(body, type, 1.0 / double(classes)).emit());
    auto loop = scf::ForOp::create(
        *body.builder, c.loc, c.index(0), c.index(iterations), c.index(1),
        start, [&](OpBuilder &inside, Location loc, Value, ValueRange carried) {
          Body step = c.body(&inside);
          auto here = [&](Value value) {
            return Scalar{&step, type, value, std::nullopt};
          };
          auto entry = [&](int64_t t, int64_t j) {
            return here(matrix[t][j].value);
          };
          SmallVector<Scalar> p, qp;
          for (Value value : carried)
            p.push_back(here(value));
          Scalar pqp = Scalar::constant(step, type, 0);
          for (int64_t t = 0; t < classes; ++t) {
            Scalar total = Scalar::constant(step, type, 0);
            for (int64_t j = 0; j < classes; ++j)
              total = total + entry(t, j) * p[j];
            qp.push_back(total);
            pqp = pqp + p[t] * total;
          }
          Scalar error = Scalar::constant(step, type, 0);
          for (int64_t t = 0; t < classes; ++t)
            error = maximum(error, abs(qp[t] - pqp));
          Scalar isDone = error < epsilon;
          SmallVector<Scalar> next = p;
          for (int64_t t = 0; t < classes; ++t) {
            Scalar by = (pqp - qp[t]) / entry(t, t);
            next[t] = next[t] + by;
            Scalar scale = by + 1;
            pqp = (pqp + by * (by * entry(t, t) + qp[t] * 2)) / (scale * scale);
            for (int64_t j = 0; j < classes; ++j) {
              next[j] = next[j] / scale;
              qp[j] = (qp[j] + by * entry(t, j)) / scale;
            }
          }
          SmallVector<Value> results;
          for (int64_t t = 0; t < classes; ++t)
            results.push_back(select(isDone, p[t], next[t]).emit());
          scf::YieldOp::create(inside, loc, results);
        });
    return SmallVector<Value>(loop.getResults());
  };
  SmallVector<Value> results =
      c.loop({rows}, {c.empty({rows, classes}, type)},
             [&](Body &body, ArrayRef<Scalar> at,
                 ValueRange carried) -> SmallVector<Value> {
               Value all = carried[0];
               for (auto [k, value] : llvm::enumerate(solve(body, at[0])))
                 all = tensor::InsertOp::create(
                     *body.builder, c.loc, value, all,
                     {at[0].emit(),
                      Scalar::extent(body, DType::index, int64_t(k)).emit()});
               return {all};
             });
  return c.tensor(results[0], type, {rows, classes});
}

SmallVector<Tensor> importSVMClassifier(const Core &c, const Site &s) {
  Tensor x = featuresOf(c, s[0]);
  Labels labels = labelsOf(s, "classlabels_ints");
  SmallVector<int64_t> perClass = s.integers("vectors_per_class");
  std::vector<double> coefficients = s.numbers("coefficients"),
                      rho = s.numbers("rho"), a = s.numbers("prob_a"),
                      b = s.numbers("prob_b");
  StringRef how = postTransformOf(c, s), kind = s.text("kernel_type", "LINEAR");
  if (labels.size() == 0)
    c.fail("has no class labels");
  int64_t classes = labels.size(), vectors = 0;
  for (int64_t count : perClass)
    vectors += count;

  Tensor scores, votes;
  bool hasProbabilities = false;
  if (vectors > 0) {
    if (int64_t(perClass.size()) != classes)
      c.fail("there are vectors for " + Twine(perClass.size()) +
             " classes, but labels for " + Twine(classes));
    scores = pairScores(
        c, kernels(c, s, x, s.numbers("support_vectors"), vectors, kind),
        perClass, coefficients, rho);
    votes = votesOf(c, scores, classes);
    if (!a.empty()) {
      hasProbabilities = true;
      scores = probabilities(c, scores, classes, a, b);
    }
  } else {
    // One vector of weights for each class, with the same constant.
    if (rho.empty())
      c.fail("has no rho");
    scores = kernels(c, s, x, coefficients, classes, kind);
    scores = c.map(scores, [&](const Scalar &v) { return v + rho[0]; });
  }
  Tensor best = bestColumn(c, votes ? votes : scores);
  Tensor chosen = pickLabels(c, best, labels);
  std::optional<int64_t> columns = scores.shape[1].constant();
  if (columns == 1 && classes == 2 && !hasProbabilities && how != "PROBIT") {
    // The score of two classes, as one for each.
    scores =
        c.generate({x.shape[0], 2}, x.type, {scores},
                   [](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                     return select(equal(at[1], at[1].like(0)), -v[0], v[0]);
                   });
  }
  return {chosen, c.cast(postTransform(c, scores, how), DType::f32)};
}
} // namespace

void fulgur::onnx::registerMlSupportVectors(OpTable &ops) {
  ops["ai.onnx.ml::SVMClassifier"] = importSVMClassifier;
  ops["ai.onnx.ml::SVMRegressor"] = importSVMRegressor;
}
