#include "frontends/onnx/microsoft/Cached.h"
#include "frontends/onnx/Attention.h"

using namespace fulgur::onnx;

microsoft::GroupedHeads
microsoft::groupedHeads(const Core &c, const Tensor &given, const Tensor &keys,
                        const Tensor &values, int64_t heads, int64_t keyHeads) {
  Tensor query = given, key = keys, value = values;
  if (heads < 1 || keyHeads < 1)
    c.fail("there are " + Twine(heads) + " heads and " + Twine(keyHeads) +
           " heads of keys");
  if (query.rank() != 3 || bool(key) != bool(value))
    c.fail("the queries have the shape " + c.text(query.shape) +
           ", and keys and values must be there both or not at all");
  if (!key) {
    std::optional<Extent> size =
        query.shape[2].divideExactly(heads + 2 * keyHeads);
    if (!size)
      c.fail("packed queries, keys and values of shape " + c.text(query.shape) +
             " are not " + Twine(heads + 2 * keyHeads) + " heads");
    Extent width = *size * keyHeads;
    key = c.slice(query, 2, *size * heads, width);
    value = c.slice(query, 2, *size * heads + width, width);
    query = c.slice(query, 2, 0, *size * heads);
  }
  return {splitHeads(c, query, heads), splitHeads(c, key, keyHeads),
          splitHeads(c, value, keyHeads)};
}

Tensor microsoft::earlierTokens(const Core &c, const Tensor &ends,
                                const Extent &queries, const Extent &total) {
  return c.map(ends, [&](const Scalar &v) {
    auto number = [&](const Extent &e) {
      return Scalar::extent(*v.body, v.type, e);
    };
    Scalar earlier = maximum(v - number(queries), v.like(0));
    return select(equal(number(queries), number(total)), v.like(0), earlier);
  });
}

Tensor microsoft::positionsFrom(const Core &c, const Tensor &past,
                                const Extent &queries) {
  return c.generate(
      {past.shape[0], queries}, DType::i64, {c.unsqueeze(past, {1})},
      [](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        return convert(v[0], DType::i64) + convert(at[1], DType::i64);
      });
}

Extent microsoft::sizeFrom(const Core &c, const Tensor &x, StringRef name,
                           const Extent &most) {
  if (x.known() && x.known()->size() == 1)
    return c.sizes.atoms.simplify(x.known()->front().integer);
  Tensor number = c.cast(c.reshape(x, {}), DType::i64);
  Body here = c.body(&c.builder);
  Scalar value = c.extract(here, c.value(number), DType::i64, {});
  return c.sizes.runtime(
      (name + ".value").str(), convert(value, DType::index).emit(), most,
      "'" + name + "' must not exceed '" + c.sizes.atoms.text(most) + "'",
      c.loc);
}
