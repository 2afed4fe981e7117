// Sorting as a loop of the model: for operators whose meaning is an order.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// Writes the element at the place of the tensor.
Value store(const Core &c, Body &body, const Scalar &element, DType type,
            Value tensor, ArrayRef<Scalar> at);

/// A loop in sequence inside of a body, over [from, to) of type index; `step`
/// gets the position and what the step before gave, and gives the same again.
using Step = llvm::function_ref<SmallVector<Value>(Body &, const Scalar &at,
                                                   mlir::ValueRange state)>;
SmallVector<Value> repeat(const Core &c, Body &body, Value from, Value to,
                          ArrayRef<Value> state, Step step);

/// Whether the element `a` of a row comes before `b`.
using Before = llvm::function_ref<Scalar(Body &, const Scalar &row,
                                         const Scalar &a, const Scalar &b)>;

/// Whether an element of a row is sorted at all.
using Takes =
    llvm::function_ref<Scalar(Body &, const Scalar &row, const Scalar &at)>;

/// For each row, the numbers of its elements in an order.
struct Order {
  Value numbers; ///< i64 [rows, count]
  Value counts;  ///< i64 [rows]: how many of them, if not all are taken
};

/// Sorts the rows by `before`; elements of which neither comes first keep their
/// order. Without `takes`, all are taken.
Order sortedOrder(const Core &c, const Extent &rows, const Extent &count,
                  Before before, Takes takes = nullptr);

/// Numbers before others, NaN behind all of them; and whether they are the
/// same, NaN and NaN too.
Scalar comesBefore(const Scalar &a, const Scalar &b);
Scalar isSame(const Scalar &a, const Scalar &b);

} // namespace fulgur::onnx
