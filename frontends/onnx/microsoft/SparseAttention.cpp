// Attention that sees only some blocks of the keys (Abdin et al., Phi-3, 2024).
#include "frontends/onnx/microsoft/Cached.h"
#include "frontends/onnx/microsoft/Masks.h"
#include "frontends/onnx/microsoft/Operators.h"
#include "frontends/onnx/microsoft/Rotary.h"

using namespace fulgur::onnx;
using namespace fulgur::onnx::microsoft;

namespace {
/// BOOL [layouts, blocks, blocks] from the rows' starts [layouts, blocks + 1]
/// and the columns [layouts, most].
Tensor blockMask(const Core &c, const Tensor &rows, const Tensor &columns) {
  Extent layouts = rows.shape[0], blocks = rows.shape[1] - 1,
         most = columns.shape[1];
  mlir::Value starts = c.value(rows);
  Tensor seen = c.generate(
      {layouts, blocks, blocks, most}, DType::boolean,
      {c.reshape(columns, {layouts, 1, 1, most})},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        auto start = [&](const Scalar &row) {
          return convert(c.extract(body, starts, rows.type, {at[0], row}),
                         DType::index);
        };
        return (at[3] >= start(at[1])) & (at[3] < start(at[1] + 1)) &
               equal(convert(v[0], DType::index), at[2]);
      });
  return c.reduce(seen, {3}, false, DType::boolean, {},
                  [](const Scalar &v, const Scalar &so) { return v | so; });
}

SmallVector<Tensor> importSparse(const Core &c, const Site &s) {
  int64_t heads = s.integer("num_heads", 0),
          size = s.integer("sparse_block_size", 0);
  auto [q, k, v] =
      groupedHeads(c, s[0], s[1], s[2], heads, s.integer("kv_num_heads", 0));
  Tensor pastKey = s[3], pastValue = s[4], rows = s[5], columns = s[6];
  if (pastKey.rank() != 4 || pastValue.rank() != 4 || rows.rank() != 2 ||
      columns.rank() != 2 || size < 1)
    c.fail("needs caches of rank 4, a mask of two matrices, and a positive "
           "block size");
  c.requireEqual(rows.shape[0], columns.shape[0]);
  Extent batch = q.shape[0], queries = q.shape[2], most = pastKey.shape[2];
  Extent total = sizeFrom(c, s[7], s.nameOf(7), most);
  c.checkIndices(s[8], most + 1, "the cache");
  Tensor ends = c.cast(c.reshape(s[8], {batch}), DType::i64),
         past = earlierTokens(c, ends, queries, total);
  if (s.integer("do_rotary", 0)) {
    if (!s[9] || !s[10] || s[9].rank() != 2 || !s[9].shape[1].constant())
      c.fail("rotary embedding needs tables [positions, constant] of cosines "
             "and sines");
    Rotation rotation{s[9], s[10], 2 * *s[9].shape[1].constant(),
                      s.integer("rotary_interleaved", 0) != 0};
    Tensor positions = positionsFrom(c, past, queries);
    q = rotate(c, q, rotation, positions);
    k = rotate(c, k, rotation, positions);
  }
  Tensor keys = appendRows(c, pastKey, k, past, most, true),
         values = appendRows(c, pastValue, v, past, most, true);

  Tensor mask = blockMask(c, rows, columns);
  mlir::Value table = c.value(mask);
  c.sizes.requireAtLeast(mask.shape[1] * size, total,
                         "'" + c.sizes.atoms.text(total) +
                             "' keys must fit the mask of '" +
                             c.sizes.atoms.text(mask.shape[1]) + "' blocks",
                         c.loc);
  Attention a;
  a.query = q;
  a.key = c.slice(keys, 2, 0, total);
  a.value = c.slice(values, 2, 0, total);
  a.scale = s.real("scale", 0);
  a.visible = c.generate(
      {batch, heads, queries, total}, DType::boolean,
      {perBatch(c, past), perBatch(c, ends)},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        Scalar layouts = Scalar::extent(body, DType::index, mask.shape[0]),
               blocks = Scalar::extent(body, DType::index, mask.shape[1]);
        Scalar place = convert(v[0], DType::index) + at[2];
        Scalar row = minimum(place / double(size), blocks - 1);
        Scalar inBlock =
            c.extract(body, table, DType::boolean,
                      {remainder(at[1], layouts), row, at[3] / double(size)});
        return inBlock & (at[3] <= place) &
               (at[3] < convert(v[1], DType::index));
      });
  return {mergeHeads(c, attention(c, a).output), keys, values};
}
} // namespace

void microsoft::sparseAttention(Extensions &ops) {
  ops.add("SparseAttention <do_rotary: int?, kv_num_heads: int, "
          "num_heads: int, rotary_interleaved: int?, scale: float?, "
          "sparse_block_size: int> (T query, T? key, T? value, T past_key, "
          "T past_value, M block_row_indices, M block_col_indices, "
          "M total_sequence_length, M key_total_sequence_lengths, "
          "T? cos_cache, T? sin_cache) => (T output, T present_key, "
          "T present_value) where M: int32",
          importSparse);
}
