// How a product's operands are read and multiplied, which depends on their type
// and on what the target can do with it.
#pragma once
#include "passes/Target.h"
#include "passes/kernel/builders/Elementwise.h"

namespace fulgur {
/// A step of a product takes `depth` elements along the reduction of every row
/// and column, and does so in `parts`, each with all rows and columns: a single
/// f32 in one part; a pair of bfloat16 in one where an instruction adds both
/// products, and else the first, then the second as f32.
struct Multiplication {
  int64_t lanes, depth = 1, parts = 1;
  mlir::Type element; ///< in memory

  Multiplication(mlir::Type element, int64_t lanes, const Target &target);

  /// The elements of a vector of steps in memory.
  mlir::VectorType memoryType() const {
    return mlir::VectorType::get(lanes * depth, element);
  }
  /// The same as one number per lane: f32, or the bits of a pair.
  mlir::VectorType laneType() const;

  /// One step of a row, in all lanes. Its elements are `stride` apart (null:
  /// all are the same); with `half`, only the first one exists.
  mlir::Value row(Emitter &e, mlir::Value flat, mlir::Value position,
                  mlir::Value stride, bool half) const;
  /// One step of `lanes` columns, which lie together; of what is masked,
  /// nothing is read.
  mlir::Value columns(Emitter &e, mlir::Value flat, mlir::Value position,
                      mlir::Value mask) const;
  /// What `multiply` takes for part `number` of a step.
  mlir::Value part(Emitter &e, mlir::Value step, int64_t number) const;
  /// sum + row * column.
  mlir::Value multiply(Emitter &e, mlir::Value row, mlir::Value column,
                       mlir::Value sum) const;
};
} // namespace fulgur
