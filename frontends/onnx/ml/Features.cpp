// Operators that prepare features.
#include "frontends/onnx/Table.h"
#include "frontends/onnx/ml/Operators.h"
#include <cmath>

using namespace mlir;
using namespace fulgur::onnx;

namespace {
void requireNumbers(const Core &c, const Tensor &x) {
  c.requireType(x, isReal(x.type) || isInteger(x.type), "a number");
}

/// One number for all features or one for each, as an operand.
Tensor perFeature(const Core &c, const Tensor &x, DType type,
                  ArrayRef<double> numbers, StringRef what) {
  int64_t count = numbers.size();
  if (count != 1) {
    if (x.rank() == 0)
      c.fail(what + " has " + Twine(count) + " numbers for a scalar");
    c.requireEqual(x.shape.back(), count);
  }
  return realTable(c, type, {count}, numbers);
}

/// (x - offset) · scale.
Tensor importScaler(const Core &c, const Site &s) {
  Tensor x = s[0];
  requireNumbers(c, x);
  std::vector<double> offset = s.numbers("offset"), scale = s.numbers("scale");
  if (offset.empty())
    offset.push_back(0);
  if (scale.empty())
    scale.push_back(1);
  DType type = x.type == DType::f64 ? DType::f64 : DType::f32;
  return c.map({c.cast(x, type), perFeature(c, x, type, offset, "offset"),
                perFeature(c, x, type, scale, "scale")},
               DType::f32,
               [](ArrayRef<Scalar> v) { return (v[0] - v[1]) * v[2]; });
}

/// Rows divided by their greatest absolute value, the sum of absolute values,
/// or their length.
Tensor importNormalizer(const Core &c, const Site &s) {
  StringRef norm = s.text("norm", "MAX");
  Tensor x = s[0];
  requireNumbers(c, x);
  if (x.rank() < 1)
    c.fail("needs a tensor of rank 1 or more");
  DType type = x.type == DType::f64 ? DType::f64 : DType::f32;
  x = c.cast(x, type);
  int64_t axis = x.rank() - 1;
  Tensor size =
      c.map(x, [&](const Scalar &v) { return norm == "L2" ? v * v : abs(v); });
  if (norm == "MAX")
    size = c.max(size, {axis}, true);
  else if (norm == "L1" || norm == "L2")
    size = c.sum(size, {axis}, true);
  else
    c.fail("norm '" + norm + "' is not one of MAX, L1, L2");
  return c.map({x, size}, DType::f32, [&](ArrayRef<Scalar> v) {
    Scalar length = norm == "L2" ? sqrt(v[1]) : v[1];
    // Rows of zeros stay as they are.
    return select(length > 0, v[0] / length, v[0]);
  });
}

/// 1 where the element is above the threshold, else 0.
Tensor importBinarizer(const Core &c, const Site &s) {
  double threshold = s.real("threshold", 0);
  requireNumbers(c, s[0]);
  DType compute = isReal(s[0].type) ? s[0].type : DType::f64;
  return c.map({s[0]}, s[0].type, [&](ArrayRef<Scalar> v) {
    Scalar above = convert(v[0], compute) > threshold;
    return select(above, v[0].like(1), v[0].like(0));
  });
}

/// What stands for a missing value is replaced.
Tensor importImputer(const Core &c, const Site &s) {
  Tensor x = s[0];
  requireNumbers(c, x);
  bool real = isReal(x.type);
  if (real) {
    std::vector<double> values = s.numbers("imputed_value_floats");
    if (values.empty())
      c.fail("has no imputed_value_floats for an input of type " +
             name(x.type));
    double missing = s.real("replaced_value_float", 0);
    return c.map({x, perFeature(c, x, x.type, values, "imputed_value_floats")},
                 x.type, [&](ArrayRef<Scalar> v) {
                   Scalar isMissing = std::isnan(missing)
                                          ? differ(v[0], v[0])
                                          : equal(v[0], v[0].like(missing));
                   return select(isMissing, v[1], v[0]);
                 });
  }
  SmallVector<int64_t> values = s.integers("imputed_value_int64s");
  if (values.empty())
    c.fail("has no imputed_value_int64s for an input of type " + name(x.type));
  if (values.size() != 1 && x.rank())
    c.requireEqual(x.shape.back(), int64_t(values.size()));
  Tensor table = integerTable(c, x.type, {int64_t(values.size())}, values);
  int64_t missing = s.integer("replaced_value_int64", 0);
  return c.map({x, table}, x.type, [&](ArrayRef<Scalar> v) {
    Scalar stands = Scalar::extent(*v[0].body, v[0].type, missing);
    return select(equal(v[0], stands), v[1], v[0]);
  });
}

/// Columns picked by number. A vector counts as one row.
Tensor importArrayFeatureExtractor(const Core &c, const Site &s) {
  Tensor x = s[0].rank() < 2 ? c.reshape(s[0], {1, product(s[0].shape)}) : s[0];
  c.requireType(s[1], isInteger(s[1].type), "integer");
  Tensor columns = c.reshape(s[1], {product(s[1].shape)});
  return c.gather(x, columns, x.rank() - 1, s.nameOf(0));
}

/// The features of all inputs next to each other, each cut or filled with zeros
/// to the number of its features.
Tensor importFeatureVectorizer(const Core &c, const Site &s) {
  SmallVector<int64_t> dimensions = s.integers("inputdimensions");
  SmallVector<Tensor> parts;
  for (size_t k = 0; k < s.size(); ++k) {
    requireNumbers(c, s[k]);
    Tensor x = c.cast(s[k], DType::f32);
    if (x.rank() == 1)
      x = c.unsqueeze(x, {1});
    if (x.rank() != 2)
      c.fail("features must be of rank 1 or 2, not of shape " +
             c.text(x.shape));
    if (k < dimensions.size()) {
      Extent wanted = dimensions[k], have = c.sizes.atoms.simplify(x.shape[1]);
      if (c.sizes.atoms.knownAtLeast(have, wanted))
        x = c.slice(x, 1, 0, wanted);
      else
        x = c.pad(x, {0, 0}, {0, wanted - have}, Element{0, 0});
    }
    parts.push_back(x);
  }
  return c.concat(parts, 1);
}

/// A row of 0 and 1 for each element: 1 at the category that it is.
Tensor importOneHotEncoder(const Core &c, const Site &s) {
  Tensor x = s[0];
  Labels categories{s.integers("cats_int64s"), s.strings("cats_strings")};
  int64_t count = categories.size();
  if (count == 0)
    c.fail("has no categories");
  Tensor places;
  if (categories.areStrings()) {
    c.requireType(x, x.type == DType::string, "string");
    places = placesOfStrings(c, x, categories.strings, count);
  } else {
    requireNumbers(c, x);
    places =
        c.map({c.cast(x, DType::i64)}, DType::i64, [&](ArrayRef<Scalar> v) {
          auto number = [&](int64_t n) {
            return Scalar::extent(*v[0].body, DType::i64, n);
          };
          Scalar place = number(count);
          for (int64_t k = count; k-- > 0;)
            place = select(equal(v[0], number(categories.integers[k])),
                           number(k), place);
          return place;
        });
  }
  if (!s.integer("zeros", 1))
    c.checkIndices(places, count, "the categories of '" + s.nameOf(0) + "'");
  Shape shape(x.shape);
  shape.push_back(count);
  return c.generate(shape, DType::f32, {c.unsqueeze(places, {x.rank()})},
                    [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      return convert(
                          equal(convert(v[0], DType::index), at.back()),
                          DType::f32);
                    });
}
} // namespace

void fulgur::onnx::registerMlFeatures(OpTable &ops) {
  ops["ai.onnx.ml::ArrayFeatureExtractor"] = {importArrayFeatureExtractor, 2};
  ops["ai.onnx.ml::Binarizer"] = importBinarizer;
  ops["ai.onnx.ml::FeatureVectorizer"] = importFeatureVectorizer;
  ops["ai.onnx.ml::Imputer"] = importImputer;
  ops["ai.onnx.ml::Normalizer"] = importNormalizer;
  ops["ai.onnx.ml::OneHotEncoder"] = importOneHotEncoder;
  ops["ai.onnx.ml::Scaler"] = importScaler;
}
