// TfIdfVectorizer: how often each n-gram of a pool occurs in a row.
// https://onnx.ai/onnx/operators/onnx__TfIdfVectorizer.html
#include "frontends/onnx/Table.h"
#include "frontends/onnx/ml/Operators.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// N-grams of one length and distance between their items, which are the same
/// loop.
struct Grams {
  int64_t length = 1;
  SmallVector<int64_t> items;   ///< of all n-grams, one after the other
  SmallVector<int64_t> columns; ///< of the result
};

Tensor importTfIdf(const Core &c, const Site &s) {
  Tensor x = s[0];
  SmallVector<int64_t> pool = s.integers("pool_int64s");
  if (s.has("pool_strings")) {
    // Strings become the numbers of those in the pool, others -1.
    c.requireType(x, x.type == DType::string, "string");
    llvm::StringMap<int64_t> numbers;
    std::vector<std::string> items;
    for (const std::string &item : s.strings("pool_strings")) {
      auto [known, isNew] = numbers.try_emplace(item, int64_t(items.size()));
      if (isNew)
        items.push_back(item);
      pool.push_back(known->second);
    }
    x = placesOfStrings(c, x, items, -1);
  }
  c.requireType(x, x.type == DType::i32 || x.type == DType::i64,
                "int32 or int64");
  if (x.rank() != 1 && x.rank() != 2)
    c.fail("needs a tensor of rank 1 or 2, not of shape " + c.text(x.shape));
  SmallVector<int64_t> counts = s.integers("ngram_counts"),
                       indexes = s.integers("ngram_indexes");
  int64_t least = s.integer("min_gram_length", 1),
          greatest = s.integer("max_gram_length", 1),
          skips = s.integer("max_skip_count", 0);
  std::vector<double> weights = s.numbers("weights");
  StringRef mode = s.text("mode", "");
  if (mode != "TF" && mode != "IDF" && mode != "TFIDF")
    c.fail("mode '" + mode + "' is not one of TF, IDF, TFIDF");
  if (least < 1 || greatest < least || skips < 0)
    c.fail("the n-grams have lengths from " + Twine(least) + " to " +
           Twine(greatest) + " and up to " + Twine(skips) + " skips");

  // The n-grams of each length begin in the pool where ngram_counts says.
  SmallVector<Grams> all;
  int64_t width = 0;
  size_t gram = 0;
  for (int64_t column : indexes) {
    if (column < 0)
      c.fail("an n-gram has the column " + Twine(column));
    width = std::max(width, column + 1);
  }
  for (size_t k = 0; k < counts.size(); ++k) {
    int64_t length = k + 1, from = counts[k],
            to = k + 1 < counts.size() ? counts[k + 1] : int64_t(pool.size());
    if (from < 0 || to < from || to > int64_t(pool.size()) ||
        (to - from) % length)
      c.fail("n-grams of length " + Twine(length) + " are from " + Twine(from) +
             " to " + Twine(to) + " of a pool of " + Twine(pool.size()));
    Grams grams{length, {}, {}};
    for (int64_t at = from; at < to; at += length, ++gram) {
      if (gram >= indexes.size())
        c.fail("there are " + Twine(indexes.size()) +
               " columns for more n-grams");
      grams.items.append(pool.begin() + at, pool.begin() + at + length);
      grams.columns.push_back(indexes[gram]);
    }
    if (length >= least && length <= greatest && !grams.columns.empty())
      all.push_back(grams);
  }
  if (!weights.empty() && int64_t(weights.size()) != int64_t(indexes.size()))
    c.fail("there are " + Twine(weights.size()) + " weights for " +
           Twine(indexes.size()) + " n-grams");

  bool isVector = x.rank() == 1;
  if (isVector)
    x = c.unsqueeze(x, {0});
  Extent rows = x.shape[0], items = x.shape[1];
  Value table = c.value(x);
  Value result = c.value(c.broadcastTo(c.scalar(DType::f32, 0), {rows, width}));
  for (const Grams &grams : all)
    // Skips between items make the same n-gram of one item only once.
    for (int64_t skip = 0; skip <= (grams.length == 1 ? 0 : skips); ++skip) {
      int64_t count = grams.columns.size(), stride = skip + 1,
              reach = (grams.length - 1) * stride;
      Value gramTable = c.value(integerTable(
                c, DType::i64, {count, grams.length}, grams.items)),
            columnTable =
                c.value(integerTable(c, DType::i64, {count}, grams.columns));
      Extent starts = c.sizes.atoms.max(items - reach, 0);
      result = c.loop(
          {rows, count, starts}, {result},
          [&](Body &body, ArrayRef<Scalar> at,
              ValueRange carried) -> SmallVector<Value> {
            Scalar matches = Scalar::constant(body, DType::boolean, 1);
            for (int64_t k = 0; k < grams.length; ++k) {
              Scalar item =
                  convert(c.extract(body, table, x.type,
                                    {at[0], at[2] + double(k * stride)}),
                          DType::i64);
              Scalar wanted = c.extract(body, gramTable, DType::i64,
                                        {at[1], at[1].like(double(k))});
              matches = matches & equal(item, wanted);
            }
            Scalar column =
                convert(c.extract(body, columnTable, DType::i64, {at[1]}),
                        DType::index);
            Scalar before =
                c.extract(body, carried[0], DType::f32, {at[0], column});
            Value next = (before + convert(matches, DType::f32)).emit();
            return {tensor::InsertOp::create(*body.builder, c.loc, next,
                                             carried[0],
                                             {at[0].emit(), column.emit()})};
          })[0];
    }
  Tensor counted = c.tensor(result, DType::f32, {rows, width});
  if (mode != "TF") {
    // The weight of a column is that of the n-gram it counts.
    std::vector<double> byColumn(width, 1.0);
    for (auto [k, weight] : llvm::enumerate(weights))
      byColumn[indexes[k]] = weight;
    Tensor factors = realTable(c, DType::f32, {width}, byColumn);
    bool once = mode == "IDF";
    counted = c.map({counted, factors}, DType::f32, [&](ArrayRef<Scalar> v) {
      Scalar share = once ? minimum(v[0], v[0].like(1)) : v[0];
      return share * v[1];
    });
  }
  return isVector ? c.squeeze(counted, {0}) : counted;
}
} // namespace

void fulgur::onnx::registerTfIdf(OpTable &ops) {
  ops["TfIdfVectorizer"] = importTfIdf;
}
