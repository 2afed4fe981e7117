// Kernels that work on one row after the other: what they have in common,
// whatever they do with a row.
#pragma once
#include "passes/kernel/builders/Elementwise.h"
#include <optional>

namespace fulgur {
/// A row operation on the trailing dims of f32 rows, and the elementwise
/// operation that computes its input, if any, and to bfloat16 afterwards.
struct RowKernel {
  mlir::Operation *operation;       ///< fulgur.softmax, layer_norm or rms_norm
  mlir::linalg::GenericOp producer; ///< may be null
  int64_t axis;                     ///< the row's first dim
  std::optional<unsigned> producerOut; ///< the destination that also gets the
                                       ///< row before the operation
  std::optional<unsigned> out, roundedOut; ///< the destinations of the rows,
                                           ///< and of these rounded to bfloat16
};

/// Whether the loop rounds its operand to bfloat16, element by element.
bool isRoundingLoop(mlir::linalg::GenericOp loop);

/// Reads the kernel's body; nothing when it is not one row operation that the
/// emitter below can compute.
std::optional<RowKernel> matchRows(KernelOp kernel);

/// The choice for all row operations.
ScheduleAttr scheduleRows(KernelOp kernel, const Target &target,
                          llvm::StringRef kind);

/// Other numbers of running vectors and of rows in a task.
llvm::SmallVector<ScheduleAttr>
alternativesOfRows(KernelOp kernel, const Target &target, ScheduleAttr chosen);

/// Emits the tasks, the loop over their rows and loops over the columns of a
/// row.
struct RowEmitter {
  KernelSite &site;
  RowKernel kernel;
  ScheduleAttr schedule;
  Emitter e{site.builder, site.loc};
  int64_t lanes = schedule.getLanes(), unroll = schedule.getUnroll();
  mlir::Value columns{};      ///< their number
  mlir::Value input{}, out{}; ///< where the rows come from after the first
                              ///< pass, and where they go
  mlir::Value rounded{};      ///< where they go rounded; either may be null
  mlir::Value rowAt{};        ///< the position of the row in both

  /// Emits everything around `row`, which emits what happens to one row.
  void rows(llvm::function_ref<void()> row);

  using Step = llvm::function_ref<mlir::Value(
      mlir::Value column, Columns columns, mlir::Value sum)>;
  /// Visits all columns with `unroll` running vectors, each `start` at first,
  /// and combines them and their lanes to a scalar.
  mlir::Value reduce(mlir::vector::CombiningKind kind, double start, Step step);
  /// Visits all columns.
  void each(llvm::function_ref<void(mlir::Value column, Columns columns)> step);

  /// The input, computed or read; a computed one is stored so that `read` finds
  /// it.
  mlir::Value first(mlir::Value column, Columns columns);
  mlir::Value read(mlir::Value column, Columns columns);
  void write(mlir::Value vector, mlir::Value column, Columns columns);
  /// `vector` where the columns exist, and `other` elsewhere.
  mlir::Value where(Columns columns, mlir::Value vector, double other);
  mlir::Value columnCountAsFloat();
  mlir::VectorType vectorType() {
    return mlir::VectorType::get(lanes, e.builder.getF32Type());
  }

  // The producer's loops.
  llvm::SmallVector<Access> producerInputs{};
  llvm::SmallVector<mlir::Value> outerSizes{};
  mlir::Value outerIndex{};
  llvm::SmallVector<mlir::Value> point(mlir::Value column);
};
} // namespace fulgur
