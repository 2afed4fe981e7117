// Attention whose memory is one matrix for each head, updated by every token:
// the loop over time is sequential, its steps are products with that matrix.
// https://onnx.ai/onnx/operators/onnx__LinearAttention.html
#include "frontends/onnx/Steps.h"
#include <cmath>

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// [batch, steps, heads · width] to [steps, batch · heads, width].
Tensor byHead(const Core &c, const Tensor &x, int64_t heads) {
  Extent last = c.sizes.atoms.simplify(x.shape[2]);
  std::optional<Extent> exact = last.divideExactly(heads);
  if (!exact && last.constant())
    c.fail("a last dim of " + c.sizes.atoms.text(last) +
           " cannot be shared by " + Twine(heads) + " heads");
  // What is left of a size that is not known is checked by the reshape.
  Extent width = exact ? *exact : c.sizes.atoms.floorDiv(last, heads);
  Tensor apart = c.transpose(
      c.reshape(x, {x.shape[0], x.shape[1], heads, width}), {1, 0, 2, 3});
  return c.reshape(apart, {x.shape[1], x.shape[0] * heads, width});
}

SmallVector<Tensor> importLinearAttention(const Core &c, const Site &s) {
  StringRef rule = s.text("update_rule", "gated_delta");
  bool gated = rule == "gated" || rule == "gated_delta",
       delta = rule == "delta" || rule == "gated_delta";
  if (!gated && !delta && rule != "linear")
    c.fail("update_rule '" + rule +
           "' is not one of linear, gated, delta, gated_delta");
  if (gated != bool(s[4]) || delta != bool(s[5]))
    c.fail("update_rule '" + rule + "' " +
           (gated == bool(s[4]) ? (delta ? "needs the input beta"
                                         : "does not take the input beta")
                                : (gated ? "needs the input decay"
                                         : "does not take the input decay")));
  int64_t queryHeads = s.integer("q_num_heads", 0),
          heads = s.integer("kv_num_heads", 0);
  if (heads < 1 || queryHeads < 1 || queryHeads % heads)
    c.fail("q_num_heads is " + Twine(queryHeads) +
           ", which is no multiple of kv_num_heads, " + Twine(heads));
  for (size_t k : {0, 1, 2, 4, 5})
    if (s[k] && s[k].rank() != 3)
      c.fail("input " + Twine(k) + " must be of rank 3, not of shape " +
             c.text(s[k].shape));
  for (size_t k : {1, 2, 4, 5})
    for (int64_t dim : {0, 1})
      if (s[k])
        c.requireEqual(s[k].shape[dim], s[0].shape[dim]);
  // As in the definition, everything is computed in f32.
  DType type = DType::f32;
  auto input = [&](size_t k, int64_t heads) {
    return byHead(c, c.cast(s[k], type), heads);
  };
  Extent batch = s[0].shape[0], steps = s[0].shape[1];
  int64_t group = queryHeads / heads;
  Tensor key = input(1, heads), value = input(2, heads);
  Extent rows = batch * heads, depth = key.shape[2], width = value.shape[2];
  Tensor query = input(0, queryHeads);
  c.requireEqual(query.shape[2], depth);
  query = c.reshape(query, {steps, rows, group, depth});
  double scale = s.real("scale", 0);
  Tensor factor = scale == 0
                      ? c.map(c.cast(c.reshape(c.vector({depth}), {}), type),
                              [](const Scalar &d) { return 1.0 / sqrt(d); })
                      : c.scalar(type, scale);
  query = c.mul(query, factor);

  // Each step takes one row of these.
  Tensor decay, beta;
  if (gated) {
    bool perHead = c.sizes.atoms.knownEqual(s[4].shape[2], heads);
    decay = c.map(input(4, heads), [](const Scalar &g) { return exp(g); });
    if (!perHead)
      c.requireEqual(decay.shape[2], depth);
    decay = c.unsqueeze(decay, {3});
  }
  if (delta) {
    Tensor rate = s[5];
    if (!c.sizes.atoms.simplify(rate.shape[2]).is(heads))
      rate = c.broadcastTo(rate, {batch, steps, heads});
    beta = c.unsqueeze(byHead(c, c.cast(rate, type), heads), {3});
  }
  // Rows of a step are cut out in the form that its products take: a reshape in
  // the loop would need memory.
  Tensor keyColumn = c.unsqueeze(key, {3});
  key = c.unsqueeze(key, {2});
  value = c.unsqueeze(value, {2});
  Steps time(c);
  for (Tensor *x : {&query, &key, &keyColumn, &value, &decay, &beta})
    if (*x)
      *x = time.before(*x);

  Shape memory{rows, depth, width}, result{rows, group, width};
  Tensor start = c.fill(memory, type, 0);
  if (s[3]) {
    if (s[3].rank() != 4)
      c.fail("past_state must be of rank 4, not of shape " +
             c.text(s[3].shape));
    for (auto [size, expected] :
         llvm::zip(s[3].shape, Shape{batch, heads, depth, width}))
      c.requireEqual(size, expected);
    start = c.reshape(c.cast(s[3], type), memory);
  }
  SmallVector<Tensor> results = time.run(
      steps, {result}, {start},
      [&](const Core &inner, const Scalar &step, ArrayRef<Tensor> state) {
        auto row = [&](const Tensor &x) { return rowAt(inner, x, step); };
        Tensor kept = gated ? inner.mul(state[0], row(decay)) : state[0];
        Tensor v = row(value);
        if (delta)
          v = inner.map(
              {v, inner.matmul(row(key), kept), row(beta)}, type,
              [](ArrayRef<Scalar> x) { return x[2] * (x[0] - x[1]); });
        Tensor next =
            inner.map({kept, row(keyColumn), v}, type,
                      [](ArrayRef<Scalar> x) { return x[0] + x[1] * x[2]; });
        return Steps::Result{{inner.matmul(row(query), next)}, {next}};
      });
  // [steps, batch · heads, group, width] back to [batch, steps, heads · group ·
  // width].
  Tensor output =
      c.transpose(c.reshape(results[0], {steps, batch, heads * group, width}),
                  {1, 0, 2, 3});
  output = c.reshape(output, {batch, steps, width * queryHeads});
  Tensor state = c.reshape(results[1], {batch, heads, depth, width});
  return {c.cast(output, s[0].type),
          c.cast(state, s[3] ? s[3].type : s[0].type)};
}
} // namespace

void fulgur::onnx::registerLinearAttention(OpTable &ops) {
  ops["LinearAttention"] = {importLinearAttention, 3};
}
