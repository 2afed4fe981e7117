// Biases of attention scores that depend on how far apart tokens are.
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Attention.h"
#include "frontends/onnx/microsoft/Operators.h"
#include <cmath>

using namespace fulgur::onnx;

namespace {
/// The bucket of a distance (Raffel et al., T5, 2020): half of the buckets are
/// for single distances, the others grow logarithmically up to the greatest.
Scalar bucketOf(const Scalar &distance, int64_t buckets, int64_t greatest,
                bool bothWays) {
  DType i64 = DType::i64;
  Scalar zero = distance.like(0), start = zero, n = distance;
  if (bothWays) {
    buckets /= 2;
    start = select(distance > 0, distance.like(buckets), zero);
    n = abs(distance);
  } else {
    n = maximum(-distance, zero);
  }
  int64_t exact = buckets / 2;
  double growth = (buckets - exact) / std::log(double(greatest) / exact);
  Scalar real = convert(maximum(n, n.like(1)), DType::f32);
  Scalar large = convert(log(real / double(exact)) * growth, i64) + exact;
  return start +
         select(n < double(exact), n, minimum(large, large.like(buckets - 1)));
}

/// One number a head for every distance between a query and a key. The table
/// lies head by head, whatever its shape says.
Tensor importRelative(const Core &c, const Site &s) {
  Tensor table = s[0];
  Shape query = s.extents(1), key = s.extents(2);
  int64_t greatest = s.integer("max_distance", 128);
  std::optional<int64_t> buckets =
      table.rank() == 2 ? table.shape[0].constant() : std::nullopt;
  if (!buckets || *buckets < 4 || query.size() != 1 || key.size() != 1)
    c.fail("needs a table [buckets, heads] of constant size and two lengths, "
           "not shape " +
           c.text(table.shape));
  bool bothWays = s.integer("is_bidirectional", 0);
  if (greatest <= *buckets / (bothWays ? 4 : 2))
    c.fail("attribute 'max_distance' is " + Twine(greatest) + " for " +
           Twine(*buckets) + " buckets");
  Extent heads = table.shape[1];
  mlir::Value value = c.value(c.reshape(table, {heads, *buckets}));
  return c.generate({1, heads, query[0], key[0]}, table.type, {},
                    [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                      Scalar distance = convert(at[3], DType::i64) -
                                        convert(at[2], DType::i64);
                      return c.extract(body, value, table.type,
                                       {at[1], bucketOf(distance, *buckets,
                                                        greatest, bothWays)});
                    });
}

/// A relative bias that gates computed from the queries scale.
Tensor importGated(const Core &c, const Site &s) {
  if (s[6])
    c.unsupported("packed queries are not supported");
  Tensor query = splitHeads(c, c.add(s[0], s[1]), s.integer("num_heads", 0)),
         projected = c.add(c.matmul(query, s[3]), s[4]);
  std::optional<Extent> half = projected.shape[3].divideExactly(2);
  if (!half)
    c.fail("weights of shape " + c.text(s[3].shape) + " have no two halves");
  auto gate = [&](const Extent &start) {
    return c.map(c.sum(c.slice(projected, 3, start, *half), {3}, true),
                 sigmoid);
  };
  return c.map(
      {gate(0), gate(*half), s[5], s[2]}, query.type,
      [](ArrayRef<Scalar> v) { return (v[0] * (v[1] * v[2] - 1) + 2) * v[3]; });
}
} // namespace

void microsoft::positionBiases(Extensions &ops) {
  ops.add("RelativePositionBias <is_bidirectional: int = 0, "
          "max_distance: int> (T bias_table, int64 query_length, "
          "int64 key_length) => (T output)",
          importRelative);
  ops.add("GatedRelativePositionBias <num_heads: int> (T query_layer, "
          "T query_bias, T rel_pos, T weight, T bias, T eco_a, "
          "M? token_offset) => (T output) where M: int32",
          importGated);
}
