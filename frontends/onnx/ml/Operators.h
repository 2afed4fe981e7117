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

/// The labels of a classifier as integers; those that are strings are not
/// supported.
SmallVector<int64_t> labelsOf(const Core &c, const Site &s, StringRef integers);
/// The number of the first greatest column of each row, as int64.
Tensor bestColumn(const Core &c, const Tensor &scores);
/// Where `indices` has k, `labels[k]`.
Tensor pickLabels(const Core &c, const Tensor &indices,
                  ArrayRef<int64_t> labels);
/// Features, [rows, columns]: a vector is one row. Numbers other than double
/// become float.
Tensor featuresOf(const Core &c, const Tensor &x);

} // namespace fulgur::onnx
