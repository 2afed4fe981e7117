// How a product's operands are read and multiplied, which depends on their type
// and on what the target can do with it.
#pragma once
#include "passes/Target.h"
#include "passes/kernel/builders/Elementwise.h"

namespace fulgur {
/// A vector of float16, of finite numbers, as one of f32.
mlir::Value widenHalf(Emitter &e, mlir::Value half);

/// A step of a product takes `depth` elements along the reduction of every row
/// and column, and does so in `parts`, each with all rows and columns: a single
/// f32 in one part; a pair of bfloat16 in one where an instruction adds both
/// products, and else the first, then the second as f32; four bytes in one
/// where an instruction adds four products, in two where one adds two products
/// of 16 bits (the even ones, then the odd ones), and else one after the other.
struct Multiplication {
  int64_t lanes, depth = 1, parts = 1;
  mlir::Type element; ///< in memory
  mlir::Type stored;  ///< the same of columns: f32 may be stored as float16
  bool bothUnsigned = false; ///< of bytes, what the instruction multiplies:
                             ///< signed ones are offset by 128
  bool unsignedRow; ///< of bytes: whether the row's are unsigned, and the
                    ///< columns' signed, or the other way round

  Multiplication(mlir::Type element, bool unsignedRow, int64_t lanes,
                 const Target &target);

  bool isInteger() const { return element.isInteger(); }
  int64_t storedBytes() const { return stored.getIntOrFloatBitWidth() / 8; }
  /// The type of sums: f32, or i32.
  mlir::Type sumType() const;
  /// The elements of a vector of steps in memory.
  mlir::VectorType memoryType() const {
    return mlir::VectorType::get(lanes * depth, element);
  }
  /// The same as one number per lane: f32, or the bits of a step.
  mlir::VectorType laneType() const;

  /// One step of a row, in all lanes. Its elements are `stride` apart (null:
  /// all are the same). With `count`, only so many of them exist; the others
  /// are 0.
  mlir::Value row(Emitter &e, mlir::Value flat, mlir::Value position,
                  mlir::Value stride, mlir::Value count) const;
  /// One step of `lanes` columns, which lie together; of what is masked,
  /// nothing is read.
  mlir::Value columns(Emitter &e, mlir::Value flat, mlir::Value position,
                      mlir::Value mask) const;
  /// What `multiply` takes for part `number` of a step of a row, or of columns.
  mlir::Value part(Emitter &e, mlir::Value step, int64_t number,
                   bool ofRow) const;
  /// sum + row * column.
  mlir::Value multiply(Emitter &e, mlir::Value row, mlir::Value column,
                       mlir::Value sum) const;
  /// a + b, of sums.
  mlir::Value add(Emitter &e, mlir::Value a, mlir::Value b) const;
};
} // namespace fulgur
