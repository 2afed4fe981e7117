// Keys or values that are the rows of earlier steps with new ones behind them,
// which the model returns. Each row is read for attention and written into what
// is returned, so the kernel of the attention does both: it reads the earlier
// rows where they are, once, and stores them around the caches. The new rows
// are there already.
#pragma once
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/kernel/builders/Elementwise.h"

namespace fulgur {
/// The attention whose kernel copies `past` to the front of `rows`, its keys or
/// values; null where that is nothing for it: they are no whole cache lines one
/// behind the other, or somebody else reads `rows` before the model returns
/// them.
AttentionOp attentionThatCopies(mlir::Value past, mlir::Value rows);

/// The insertion of an argument at the front of `rows`, if that is what `rows`
/// are.
mlir::tensor::InsertSliceOp insertedPast(mlir::Value rows);

/// Where neighbouring elements are.
struct Place {
  mlir::Value flat, position;
};

/// Copies `count` elements of 32 bits, whole vectors, around the caches if they
/// go to the beginning of a cache line: others must not read them before
/// `fenceCopies`.
void copyAroundCaches(Emitter &e, Place from, Place to, mlir::Value count,
                      int64_t lanes);
void copyElements(Emitter &e, Place from, Place to, mlir::Value count,
                  int64_t lanes);
void fenceCopies(Emitter &e);
} // namespace fulgur
