// LabelEncoder: a table from keys to values, searched by halves.
#include "frontends/onnx/Table.h"
#include "frontends/onnx/ml/Operators.h"
#include <cmath>

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// One column of the table, in the type of the operand or result.
struct Column {
  DType type;
  std::vector<double> reals;
  SmallVector<int64_t> integers;

  size_t size() const { return isReal(type) ? reals.size() : integers.size(); }
};

/// `keys` or `values` as an attribute of any of its spellings.
Column columnOf(const Core &c, const Site &s, StringRef which) {
  auto attribute = [&](StringRef kind) { return (which + "_" + kind).str(); };
  if (s.has(attribute("strings")))
    c.unsupported("labels that are strings are not supported; encode them as "
                  "integers");
  if (s.has(attribute("int64s")))
    return {DType::i64, {}, s.integers(attribute("int64s"))};
  if (s.has(attribute("floats")))
    return {DType::f32, s.numbers(attribute("floats")), {}};
  if (!s.has(attribute("tensor")))
    c.fail("has no " + which);
  DType type = s.tensorType(attribute("tensor"));
  if (type == DType::string)
    c.unsupported("labels that are strings are not supported; encode them as "
                  "integers");
  if (isReal(type))
    return {type, s.numbers(attribute("tensor")), {}};
  return {type, {}, s.wholeNumbers(attribute("tensor"))};
}

/// What an element that is no key becomes.
Element defaultOf(const Site &s, DType type) {
  if (s.has("default_tensor")) {
    std::vector<double> reals = s.numbers("default_tensor");
    SmallVector<int64_t> integers = s.wholeNumbers("default_tensor");
    return {integers.empty() ? 0 : integers.front(),
            reals.empty() ? 0 : reals.front()};
  }
  // With values_tensor and no default, ONNX has -1 for integers and -0 for
  // floating point, as for the attributes of these types.
  return {s.integer("default_int64", -1), s.real("default_float", -0.0f)};
}

Tensor importLabelEncoder(const Core &c, const Site &s) {
  Tensor x = s[0];
  if (s.has("classes_strings"))
    c.unsupported("labels that are strings are not supported; encode them as "
                  "integers");
  Column keys = columnOf(c, s, "keys"), values = columnOf(c, s, "values");
  if (keys.size() != values.size() || keys.size() == 0)
    c.fail("there are " + Twine(keys.size()) + " keys for " +
           Twine(values.size()) + " values");
  c.requireType(x, x.type == keys.type, name(keys.type));

  // Sorted by key; of equal keys the first one counts. A NaN is found apart.
  SmallVector<int64_t> order;
  std::optional<int64_t> ofNaN;
  for (size_t k = 0; k < keys.size(); ++k)
    if (isReal(keys.type) && std::isnan(keys.reals[k]))
      ofNaN = ofNaN.value_or(k);
    else
      order.push_back(k);
  auto less = [&](int64_t a, int64_t b) {
    return isReal(keys.type) ? keys.reals[a] < keys.reals[b]
           : isUnsigned(keys.type)
               ? uint64_t(keys.integers[a]) < uint64_t(keys.integers[b])
               : keys.integers[a] < keys.integers[b];
  };
  llvm::sort(order, [&](int64_t a, int64_t b) {
    return less(a, b) || (!less(b, a) && a < b);
  });
  order.erase(std::unique(order.begin(), order.end(),
                          [&](int64_t a, int64_t b) { return !less(a, b); }),
              order.end());
  auto tableOf = [&](const Column &column, std::optional<int64_t> last) {
    SmallVector<int64_t> rows(order);
    if (last)
      rows.push_back(*last);
    std::vector<double> reals;
    SmallVector<int64_t> integers;
    for (int64_t row : rows)
      if (isReal(column.type))
        reals.push_back(column.reals[row]);
      else
        integers.push_back(column.integers[row]);
    int64_t count = rows.size();
    return isReal(column.type)
               ? realTable(c, column.type, {count}, reals)
               : integerTable(c, column.type, {count}, integers);
  };
  Element otherwise = defaultOf(s, values.type);
  int64_t count = order.size();
  Value keyTable = count ? c.value(tableOf(keys, std::nullopt)) : Value(),
        valueTable = c.value(tableOf(values, ofNaN));
  return c.generate(
      x.shape, values.type, {x},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar>) {
        auto index = [&](int64_t n) {
          return Scalar::extent(body, DType::index, n);
        };
        // The greatest place whose key is not above the element.
        Scalar place = index(0),
               found = Scalar::constant(body, DType::boolean, 0);
        if (count) {
          for (int64_t half = int64_t(llvm::PowerOf2Ceil(count)); half >= 1;
               half /= 2) {
            Scalar next = place + index(half);
            Scalar inside = next < index(count);
            Scalar key = c.extract(body, keyTable, keys.type,
                                   {select(inside, next, index(0))});
            place = select(inside & (key <= v[0]), next, place);
          }
          found = equal(c.extract(body, keyTable, keys.type, {place}), v[0]);
        }
        if (ofNaN) {
          Scalar isNaN = differ(v[0], v[0]);
          place = select(isNaN, index(count), place);
          found = found | isNaN;
        }
        Scalar value = c.extract(body, valueTable, values.type, {place});
        Scalar missing =
            isReal(values.type)
                ? value.like(otherwise.real)
                : Scalar::extent(body, value.type, otherwise.integer);
        return select(found, value, missing);
      });
}

/// Operators on maps, which a tensor cannot hold.
Tensor refuseMap(const Core &c, const Site &s) {
  c.unsupported(s.op() == "ZipMap"
                    ? "a sequence of maps is not supported; convert the model "
                      "with the option zipmap=False, which gives the scores "
                      "as a tensor"
                    : "maps are not supported; give the features as a tensor");
}
} // namespace

void fulgur::onnx::registerMlLabels(OpTable &ops) {
  ops["ai.onnx.ml::CastMap"] = {refuseMap, 0};
  ops["ai.onnx.ml::DictVectorizer"] = {refuseMap, 0};
  ops["ai.onnx.ml::LabelEncoder"] = importLabelEncoder;
  ops["ai.onnx.ml::ZipMap"] = {refuseMap, 0};
}
