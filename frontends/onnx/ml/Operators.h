// The operators of domain ai.onnx.ml, which converters of classical models
// write.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

void registerMlFeatures(OpTable &);
void registerMlLabels(OpTable &);
void registerMlLinear(OpTable &);
void registerMlSupportVectors(OpTable &);
void registerMlTrees(OpTable &);

/// All of them.
void registerMl(OpTable &ops);

/// What becomes of scores, [rows, columns], as an attribute says it: NONE,
/// LOGISTIC, SOFTMAX, SOFTMAX_ZERO or PROBIT.
Tensor postTransform(const Core &c, const Tensor &scores, StringRef how);
/// The attribute, checked.
StringRef postTransformOf(const Core &c, const Site &s);

/// A list that the model holds: strings if there are any, else integers.
struct Labels {
  SmallVector<int64_t> integers;
  std::vector<std::string> strings;

  bool areStrings() const { return !strings.empty(); }
  size_t size() const {
    return areStrings() ? strings.size() : integers.size();
  }
};
/// The labels of a classifier: `classlabels_strings`, or the attribute
/// `integers`.
Labels labelsOf(const Site &s, StringRef integers);
/// The number of the first greatest column of each row, as int64.
Tensor bestColumn(const Core &c, const Tensor &scores);
/// Where `indices` has k, `labels[k]`.
Tensor pickLabels(const Core &c, const Tensor &indices, const Labels &labels);
/// Where `x` has `keys[k]`, `values[k]`; elsewhere the one element of
/// `otherwise`. Keys, values or both are strings, which the runtime compares.
Tensor findStrings(const Core &c, const Tensor &x, const Tensor &keys,
                   const Tensor &values, const Tensor &otherwise);
/// Where the strings `x` have `keys[k]`, k; elsewhere `otherwise`; as int64.
Tensor placesOfStrings(const Core &c, const Tensor &x,
                       ArrayRef<std::string> keys, int64_t otherwise);
/// Features, [rows, columns]: a vector is one row. Numbers other than double
/// become float.
Tensor featuresOf(const Core &c, const Tensor &x);

} // namespace fulgur::onnx
