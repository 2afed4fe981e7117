// LabelEncoder and CategoryMapper: a table from keys to values. One of numbers
// is searched by halves where it is used; one with strings is the runtime's.
#include "frontends/onnx/Driver.h"
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
  std::vector<std::string> strings;

  size_t size() const {
    return type == DType::string ? strings.size()
           : isReal(type)        ? reals.size()
                                 : integers.size();
  }
};

Column stringColumn(std::vector<std::string> strings) {
  return {DType::string, {}, {}, std::move(strings)};
}

Column integerColumn(SmallVector<int64_t> integers) {
  return {DType::i64, {}, std::move(integers), {}};
}

/// 0, 1, 2, ...
SmallVector<int64_t> firstIntegers(int64_t count) {
  return llvm::to_vector(llvm::seq<int64_t>(0, count));
}

/// The column as a tensor of rank 1.
Tensor tensorOf(const Core &c, const Column &column) {
  int64_t count = column.size();
  return column.type == DType::string
             ? stringConstant(c, column.strings, {count})
         : isReal(column.type)
             ? realTable(c, column.type, {count}, column.reals)
             : integerTable(c, column.type, {count}, column.integers);
}

/// `keys` or `values` as an attribute of any of its spellings.
Column columnOf(const Core &c, const Site &s, StringRef which) {
  auto attribute = [&](StringRef kind) { return (which + "_" + kind).str(); };
  if (s.has(attribute("strings")))
    return stringColumn(s.strings(attribute("strings")));
  if (s.has(attribute("int64s")))
    return integerColumn(s.integers(attribute("int64s")));
  if (s.has(attribute("floats")))
    return {DType::f32, s.numbers(attribute("floats")), {}, {}};
  if (!s.has(attribute("tensor")))
    c.fail("has no " + which);
  DType type = s.tensorType(attribute("tensor"));
  if (type == DType::string)
    return stringColumn(s.strings(attribute("tensor")));
  if (isReal(type))
    return {type, s.numbers(attribute("tensor")), {}, {}};
  return {type, {}, s.wholeNumbers(attribute("tensor")), {}};
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

/// The same as a column, whatever its type.
Column defaultColumn(const Site &s, DType type) {
  if (type == DType::string) {
    std::vector<std::string> given = s.strings("default_tensor");
    return stringColumn({given.empty()
                             ? s.text("default_string", "_Unused").str()
                             : given.front()});
  }
  Element otherwise = defaultOf(s, type);
  return {type, {otherwise.real}, {*otherwise.integer.constant()}, {}};
}

/// Replaces keys by the values beside them.
Tensor translate(const Core &c, const Site &s, const Column &keys,
                 const Column &values) {
  Tensor x = s[0];
  if (keys.size() != values.size() || keys.size() == 0)
    c.fail("there are " + Twine(keys.size()) + " keys for " +
           Twine(values.size()) + " values");
  c.requireType(x, x.type == keys.type, name(keys.type));
  if (keys.type == DType::string || values.type == DType::string)
    return findStrings(c, x, tensorOf(c, keys), tensorOf(c, values),
                       tensorOf(c, defaultColumn(s, values.type)));

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
  order.erase(
      llvm::unique(order, [&](int64_t a, int64_t b) { return !less(a, b); }),
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
    return tensorOf(c, {column.type, reals, integers, {}});
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

Tensor importLabelEncoder(const Core &c, const Site &s) {
  if (!s.has("classes_strings")) // of version 1
    return translate(c, s, columnOf(c, s, "keys"), columnOf(c, s, "values"));
  Column classes = stringColumn(s.strings("classes_strings")),
         numbers = integerColumn(firstIntegers(classes.size()));
  return s[0].type == DType::string ? translate(c, s, classes, numbers)
                                    : translate(c, s, numbers, classes);
}

/// Strings to integers or the other way.
Tensor importCategoryMapper(const Core &c, const Site &s) {
  Column strings = stringColumn(s.strings("cats_strings")),
         integers = integerColumn(s.integers("cats_int64s"));
  return s[0].type == DType::string ? translate(c, s, strings, integers)
                                    : translate(c, s, integers, strings);
}

/// Rows of scores with the labels as their keys.
SmallVector<Tensor> importZipMap(const Core &c, const Site &s) {
  Tensor x = s[0];
  if (x.rank() != 1 && x.rank() != 2)
    c.fail("needs a tensor of rank 1 or 2, not of shape " + c.text(x.shape));
  Labels labels = labelsOf(s, "classlabels_int64s");
  Column keys = labels.areStrings() ? stringColumn(labels.strings)
                                    : integerColumn(labels.integers);
  int64_t count = keys.size();
  c.requireEqual(x.shape.back(), count);
  SmallVector<Value> in{c.outside(x), c.outside(tensorOf(c, keys))};
  Tensor maps = c.inside(step(c, "zip_map", in), mapType, {count});
  maps.sequence = true;
  return {maps};
}

/// Maps are outputs; what takes them has its input as a map.
Tensor refuseMap(const Core &c, const Site &) {
  c.unsupported("inputs that are maps are not supported; give the features as "
                "a tensor");
}
} // namespace

Tensor fulgur::onnx::findStrings(const Core &c, const Tensor &x,
                                 const Tensor &keys, const Tensor &values,
                                 const Tensor &otherwise) {
  SmallVector<Value> in{c.outside(x), c.outside(keys), c.outside(values),
                        c.outside(otherwise)};
  return c.inside(step(c, "string_find", in), values.type, x.shape);
}

Tensor fulgur::onnx::placesOfStrings(const Core &c, const Tensor &x,
                                     ArrayRef<std::string> keys,
                                     int64_t otherwise) {
  int64_t count = keys.size();
  return findStrings(c, x, stringConstant(c, keys, {count}),
                     integerTable(c, DType::i64, {count}, firstIntegers(count)),
                     integerTable(c, DType::i64, {1}, {otherwise}));
}

void fulgur::onnx::registerMlLabels(OpTable &ops) {
  ops["ai.onnx.ml::CastMap"] = {refuseMap, 0};
  ops["ai.onnx.ml::CategoryMapper"] = importCategoryMapper;
  ops["ai.onnx.ml::DictVectorizer"] = {refuseMap, 0};
  ops["ai.onnx.ml::LabelEncoder"] = importLabelEncoder;
  ops["ai.onnx.ml::ZipMap"] = importZipMap;
}
