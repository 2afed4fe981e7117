// RNN, GRU and LSTM. What the gates take from the input is one product over all
// steps; the loop over time, which is sequential, computes what they take from
// the hidden state. https://onnx.ai/onnx/operators/onnx__LSTM.html
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Steps.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// An activation function with its parameters.
struct Activation {
  std::string name; ///< in lower case, as models write it in any
  double alpha = 0, beta = 0;

  Scalar operator()(const Scalar &x) const {
    if (name == "relu")
      return maximum(x, x.like(0));
    if (name == "tanh")
      return tanh(x);
    if (name == "sigmoid")
      return sigmoid(x);
    if (name == "affine")
      return x * alpha + beta;
    if (name == "leakyrelu")
      return select(x < 0, x * alpha, x);
    if (name == "thresholdedrelu")
      return select(x >= alpha, x, x.like(0));
    if (name == "scaledtanh")
      return tanh(x * beta) * alpha;
    if (name == "hardsigmoid")
      return hardSigmoid(x, alpha, beta);
    if (name == "elu")
      return select(x < 0, expm1(x) * alpha, x);
    if (name == "softsign")
      return x / (abs(x) + 1);
    return softplus(x);
  }
};

/// The parameters that an activation has, with the defaults of the operators of
/// that name; the numbers that follow in the attributes go to those that have
/// them.
struct Parameters {
  StringRef name;
  std::optional<double> alpha, beta;
};
constexpr std::nullopt_t kNone = std::nullopt;
const Parameters kParameters[] = {
    {"relu", kNone, kNone},      {"tanh", kNone, kNone},
    {"sigmoid", kNone, kNone},   {"softsign", kNone, kNone},
    {"softplus", kNone, kNone},  {"affine", 1, 0},
    {"leakyrelu", 0.01f, kNone}, {"thresholdedrelu", 1, kNone},
    {"scaledtanh", 1, 1},        {"hardsigmoid", 0.2f, 0.5},
    {"elu", 1, kNone},
};

/// The activations of all directions, in order.
SmallVector<Activation> activationsOf(const Core &c, const Site &s,
                                      ArrayRef<StringRef> defaults,
                                      size_t directions) {
  SmallVector<StringRef> names = s.texts("activations");
  size_t count = defaults.size() * directions;
  if (names.empty())
    for (size_t d = 0; d < directions; ++d)
      llvm::append_range(names, defaults);
  if (names.size() != count)
    c.fail("has " + Twine(names.size()) + " activations, not " + Twine(count));
  SmallVector<double> alphas = s.reals("activation_alpha"),
                      betas = s.reals("activation_beta");
  size_t alpha = 0, beta = 0;
  SmallVector<Activation> result;
  for (StringRef name : names) {
    const auto *known = llvm::find_if(kParameters, [&](const Parameters &p) {
      return p.name.equals_insensitive(name);
    });
    if (known == std::end(kParameters))
      c.fail("activation '" + name + "' is not one that ONNX defines");
    Activation next{known->name.str()};
    if (known->alpha)
      next.alpha = alpha < alphas.size() ? alphas[alpha++] : *known->alpha;
    if (known->beta)
      next.beta = beta < betas.size() ? betas[beta++] : *known->beta;
    result.push_back(next);
  }
  return result;
}

/// What one direction of a layer works on; `gates` is the number of gates.
struct Direction {
  Tensor fromInput;    ///< [steps, batch, gates, hidden]: X·Wᵀ and the biases
  Tensor weights;      ///< [gates · hidden, hidden]
  Tensor bias;         ///< [gates, hidden], added to products with `weights`;
                       ///< empty if `fromInput` has it
  Tensor peepholes;    ///< [3, hidden], or empty
  Tensor lengths;      ///< [batch, 1] of int64, or empty
  Tensor hidden, cell; ///< [batch, hidden] at the start; cell is empty for
                       ///< those that have none
  ArrayRef<Activation> activations;
  bool reverse;
};

/// One step: the place and the states before.
struct Moment {
  const Core &c;
  const Direction &d;
  Scalar time;
  Tensor hidden, cell;

  /// What gate `gate` takes from the input at [batch, unit].
  Scalar input(Body &body, ArrayRef<Scalar> at, int64_t gate) const {
    return c.extract(body, d.fromInput.value(), d.fromInput.type,
                     {rebound(body, time), at[0], at[0].like(gate), at[1]});
  }
  /// hidden · weightsᵀ of so many gates, as [batch, gates, hidden].
  Tensor recur(const Tensor &hidden, const Tensor &weights,
               int64_t gates) const {
    return c.reshape(c.matmul2d(hidden, weights, true),
                     {hidden.shape[0], gates, hidden.shape[1]});
  }
  /// Its element for a gate at [batch, unit].
  Scalar recurrent(Body &body, const Tensor &product, ArrayRef<Scalar> at,
                   int64_t gate) const {
    return c.extract(body, product.value(), product.type,
                     {at[0], at[0].like(gate), at[1]});
  }
  static Scalar rebound(Body &body, const Scalar &x) {
    return {&body, x.type, x.value, x.known};
  }
};

class Layer {
public:
  Layer(const Core &c, const Site &s, int64_t gates,
        ArrayRef<StringRef> defaults)
      : c(c), s(s), gates(gates), clip(s.real("clip", 0)) {
    Tensor x = s[0], w = s[1], r = s[2];
    c.requireType(x, isReal(x.type), "floating point");
    if (x.rank() != 3 || w.rank() != 3 || r.rank() != 3)
      c.fail("X, W and R must be of rank 3, not " + Twine(x.rank()) + ", " +
             Twine(w.rank()) + " and " + Twine(r.rank()));
    layout = s.integer("layout", 0);
    StringRef direction = s.text("direction", "forward");
    if (!llvm::is_contained({"forward", "reverse", "bidirectional"}, direction))
      c.fail("direction '" + direction +
             "' is not one of forward, reverse, bidirectional");
    directions = direction == "bidirectional" ? 2 : 1;
    reverse = direction == "reverse";
    activations = activationsOf(c, s, defaults, directions);
    type = computeType(x.type);
    x = c.cast(x, type);
    if (layout)
      x = c.transpose(x, {1, 0, 2});
    steps = x.shape[0], batch = x.shape[1], hidden = r.shape[2];
    if (s.has("hidden_size"))
      c.requireEqual(hidden, s.integer("hidden_size", 0));
    require(w, {directions, hidden * gates, x.shape[2]});
    require(r, {directions, hidden * gates, hidden});
    if (s[3])
      require(s[3], {directions, hidden * gates * 2});
    sequence = x;
  }

  /// The results, at most `outputs` of them; `step` gives the states after one
  /// step.
  using Step = llvm::function_ref<SmallVector<Tensor>(const Moment &)>;
  SmallVector<Tensor> run(bool hasCell, bool biasApart, Step step) {
    SmallVector<Tensor> all, lastHidden, lastCell;
    for (int64_t d = 0; d < directions; ++d) {
      Direction direction = prepare(d, hasCell, biasApart);
      SmallVector<Tensor> results = loop(direction, step);
      all.push_back(c.unsqueeze(results[0], {1}));
      lastHidden.push_back(c.unsqueeze(results[1], {0}));
      if (hasCell)
        lastCell.push_back(c.unsqueeze(results[2], {0}));
    }
    auto joined = [&](ArrayRef<Tensor> parts, int64_t axis,
                      ArrayRef<int64_t> batchFirst) {
      Tensor whole = parts.size() == 1 ? parts[0] : c.concat(parts, axis);
      return c.cast(layout ? c.transpose(whole, batchFirst) : whole, s[0].type);
    };
    SmallVector<Tensor> results{joined(all, 1, {2, 0, 1, 3}),
                                joined(lastHidden, 0, {1, 0, 2})};
    if (hasCell)
      results.push_back(joined(lastCell, 0, {1, 0, 2}));
    return results;
  }

  /// The argument of an activation, which is what the clip bounds.
  Scalar clipped(const Scalar &x) const {
    return clip > 0 ? minimum(maximum(x, x.like(-clip)), x.like(clip)) : x;
  }

private:
  void require(const Tensor &x, ArrayRef<Extent> shape) const {
    if (x.rank() != int64_t(shape.size()))
      c.fail("an input has the shape " + c.text(x.shape) + ", not " +
             c.text(shape));
    for (auto [size, expected] : llvm::zip(x.shape, shape))
      c.requireEqual(size, expected);
  }

  /// The part of an input for one direction, without that axis, as a value that
  /// exists before the loop.
  Tensor part(const Tensor &x, int64_t axis, int64_t direction) const {
    Tensor one = c.cast(c.slice(x, axis, direction, 1), type);
    return existing(c.squeeze(one, {axis}));
  }
  Tensor existing(const Tensor &x) const { return Steps(c).before(x); }

  Tensor start(size_t input, int64_t direction) const {
    if (!s[input])
      return existing(c.fill({batch, hidden}, type, 0));
    require(s[input], layout ? Shape{batch, directions, hidden}
                             : Shape{directions, batch, hidden});
    return part(s[input], layout ? 1 : 0, direction);
  }

  Direction prepare(int64_t d, bool hasCell, bool biasApart) {
    Tensor weights = part(s[1], 0, d);
    Tensor flat = c.reshape(sequence, {steps * batch, sequence.shape[2]});
    Tensor gatesOf = c.reshape(c.matmul2d(flat, weights, true),
                               {steps, batch, gates, hidden});
    Direction result;
    if (s[3]) {
      Tensor both = c.reshape(part(s[3], 0, d), {2, gates, hidden});
      Tensor ofInput = c.squeeze(c.slice(both, 0, 0, 1), {0}),
             ofState = c.squeeze(c.slice(both, 0, 1, 1), {0});
      if (biasApart)
        result.bias = existing(ofState);
      else
        ofInput = c.add(ofInput, ofState);
      gatesOf = c.add(gatesOf, ofInput);
    }
    result.fromInput = existing(gatesOf);
    result.weights = part(s[2], 0, d);
    if (s[4]) {
      require(s[4], {batch});
      result.lengths = existing(c.unsqueeze(c.cast(s[4], DType::i64), {1}));
    }
    result.hidden = start(5, d);
    if (hasCell)
      result.cell = start(6, d);
    if (hasCell && s[7]) {
      require(s[7], {directions, hidden * 3});
      result.peepholes = existing(c.reshape(part(s[7], 0, d), {3, hidden}));
    }
    size_t each = activations.size() / directions;
    result.activations = ArrayRef(activations).slice(d * each, each);
    result.reverse = reverse || d == 1;
    return result;
  }

  /// The hidden states of all steps, and the last states. A sequence that is
  /// shorter than the longest one keeps its state and gives zeros where it has
  /// no elements; so backwards it begins at its own end.
  SmallVector<Tensor> loop(const Direction &d, Step step) const {
    Shape shape{batch, hidden};
    SmallVector<Tensor> states{d.hidden};
    if (d.cell)
      states.push_back(d.cell);
    return Steps(c).run(
        steps, {shape}, states,
        [&](const Core &inner, const Scalar &time, ArrayRef<Tensor> before) {
          Moment now{inner, d, time, before[0], d.cell ? before[1] : Tensor()};
          SmallVector<Tensor> next = step(now);
          Tensor output = next[0];
          if (d.lengths) {
            auto within = [&](const Tensor &inside, const Tensor &beyond) {
              return inner.generate(
                  shape, type, {inside, beyond, d.lengths},
                  [&](Body &each, ArrayRef<Scalar> v, ArrayRef<Scalar>) {
                    Scalar t = Moment::rebound(each, time);
                    return select(t < convert(v[2], DType::index), v[0], v[1]);
                  });
            };
            output = within(next[0], inner.scalar(type, 0));
            for (auto [state, old] : llvm::zip(next, before))
              state = within(state, old);
          }
          return Steps::Result{{output}, next};
        },
        d.reverse);
  }

  const Core &c;
  const Site &s;
  int64_t gates, directions = 1, layout = 0;
  double clip;
  bool reverse = false;
  DType type;
  Extent steps, batch, hidden;
  Tensor sequence; ///< X as [steps, batch, input]
  SmallVector<Activation> activations;
};

/// H = f(X·Wᵀ + H·Rᵀ + biases).
SmallVector<Tensor> importRNN(const Core &c, const Site &s) {
  Layer layer(c, s, 1, {"Tanh"});
  return layer.run(false, false, [&](const Moment &now) -> SmallVector<Tensor> {
    Tensor product = now.recur(now.hidden, now.d.weights, 1);
    return {now.c.generate(
        now.hidden.shape, now.hidden.type, {},
        [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
          return now.d.activations[0](layer.clipped(
              now.input(body, at, 0) + now.recurrent(body, product, at, 0)));
        })};
  });
}

/// Gates z, r, h: H = (1 - z)·g(...) + z·H, where r scales what h takes from
/// the state, before or after the product with the weights.
SmallVector<Tensor> importGRU(const Core &c, const Site &s) {
  Layer layer(c, s, 3, {"Sigmoid", "Tanh"});
  bool after = s.integer("linear_before_reset", 0);
  return layer.run(false, after, [&](const Moment &now) -> SmallVector<Tensor> {
    const Core &inner = now.c;
    const Direction &d = now.d;
    ArrayRef<Extent> shape = now.hidden.shape;
    DType type = now.hidden.type;
    Extent units = shape[1];
    auto rows = [&](const Extent &from, const Extent &count) {
      return inner.slice(d.weights, 0, from, count);
    };
    // z and r, and h where the reset gate comes after the product.
    Tensor product = now.recur(
        now.hidden, after ? d.weights : rows(0, units * 2), after ? 3 : 2);
    auto biased = [&](Body &body, ArrayRef<Scalar> at, int64_t gate) {
      Scalar x = now.recurrent(body, product, at, gate);
      return d.bias ? x + inner.extract(body, d.bias.value(), type,
                                        {at[0].like(gate), at[1]})
                    : x;
    };
    auto gate = [&](Body &body, ArrayRef<Scalar> at, int64_t gate) {
      return d.activations[0](
          layer.clipped(now.input(body, at, gate) + biased(body, at, gate)));
    };
    Tensor reset;
    if (!after)
      reset = now.recur(inner.generate(shape, type, {now.hidden},
                                       [&](Body &body, ArrayRef<Scalar> v,
                                           ArrayRef<Scalar> at) {
                                         return gate(body, at, 1) * v[0];
                                       }),
                        rows(units * 2, units), 1);
    return {inner.generate(
        shape, type, {now.hidden},
        [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
          Scalar update = gate(body, at, 0);
          Scalar recurrent = after ? gate(body, at, 1) * biased(body, at, 2)
                                   : now.recurrent(body, reset, at, 0);
          Scalar candidate = d.activations[1](
              layer.clipped(now.input(body, at, 2) + recurrent));
          return (1.0 - update) * candidate + update * v[0];
        })};
  });
}

/// Gates i, o, f, c: C = f·C + i·c and H = o·h(C); peepholes let i, f and o see
/// the cell.
SmallVector<Tensor> importLSTM(const Core &c, const Site &s) {
  enum Gate { input, output, forget, cell };
  Layer layer(c, s, 4, {"Sigmoid", "Tanh", "Tanh"});
  bool coupled = s.integer("input_forget", 0);
  return layer.run(true, false, [&](const Moment &now) -> SmallVector<Tensor> {
    const Core &inner = now.c;
    const Direction &d = now.d;
    ArrayRef<Extent> shape = now.hidden.shape;
    DType type = now.hidden.type;
    Tensor product = now.recur(now.hidden, d.weights, 4);
    auto argument = [&](Body &body, ArrayRef<Scalar> at, Gate gate,
                        const Scalar &cellState) {
      Scalar x =
          now.input(body, at, gate) + now.recurrent(body, product, at, gate);
      if (d.peepholes && gate != cell)
        x = x + cellState * inner.extract(body, d.peepholes.value(), type,
                                          {at[0].like(gate), at[1]});
      return layer.clipped(x);
    };
    Tensor nextCell = inner.generate(
        shape, type, {now.cell},
        [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
          Scalar in = d.activations[0](argument(body, at, input, v[0]));
          Scalar keep =
              coupled ? 1.0 - in
                      : d.activations[0](argument(body, at, forget, v[0]));
          return keep * v[0] +
                 in * d.activations[1](argument(body, at, cell, v[0]));
        });
    Tensor nextHidden = inner.generate(
        shape, type, {nextCell},
        [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
          return d.activations[0](argument(body, at, output, v[0])) *
                 d.activations[2](v[0]);
        });
    return {nextHidden, nextCell};
  });
}
} // namespace

void fulgur::onnx::registerRecurrent(OpTable &ops) {
  ops["GRU"] = {importGRU, 3};
  ops["LSTM"] = {importLSTM, 3};
  ops["RNN"] = {importRNN, 3};
}
