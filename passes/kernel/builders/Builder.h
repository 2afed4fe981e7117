// Builders turn the body of a kernel, a specification on tensors, into loops on
// buffers. One file is one kind of kernel.
#pragma once
#include "dialects/Fulgur.h"
#include "mlir/IR/Builders.h"
#include "passes/Target.h"

namespace fulgur {
/// Where a kernel is built. The insertion point of `builder` is in an empty
/// function whose arguments are the kernel's operands: buffers are contiguous
/// memrefs (identity layout), destinations do not overlap with anything.
struct KernelSite {
  mlir::OpBuilder &builder;
  mlir::Location loc;
  KernelOp kernel;
  llvm::ArrayRef<mlir::Value> inputs, outs;
  const Target &target;

  /// The function's value for `value`, an argument of the kernel's body; null
  /// when it is none.
  mlir::Value operand(mlir::Value value) const;
};

/// A kind of kernel.
struct KernelBuilder {
  llvm::StringRef kind; ///< the `kind` of its schedules
  bool (*accepts)(
      KernelOp); ///< looks at the body only; true promises that build succeeds
  ScheduleAttr (*schedule)(
      KernelOp,
      const Target &); ///< the heuristic choice, a function of body and target
  llvm::LogicalResult (*build)(
      KernelSite &); ///< emits scf, vector, arith, math and memref operations
  /// Other schedules that `build` takes, near the one that was chosen: what
  /// tuning measures. Null when there are none.
  llvm::SmallVector<ScheduleAttr> (*alternatives)(
      KernelOp, const Target &, ScheduleAttr chosen) = nullptr;
};

extern const KernelBuilder gemmBuilder;
extern const KernelBuilder strassenBuilder;
extern const KernelBuilder amxBuilder;
extern const KernelBuilder amxConvolutionBuilder;
extern const KernelBuilder blocksBuilder;
extern const KernelBuilder poolBuilder;
extern const KernelBuilder pixelsBuilder;
extern const KernelBuilder softmaxBuilder;
extern const KernelBuilder normBuilder;
extern const KernelBuilder assembleBuilder;
extern const KernelBuilder directConvolutionBuilder;
extern const KernelBuilder groupedBuilder;
extern const KernelBuilder depthwiseBuilder;
extern const KernelBuilder attentionBuilder;
extern const KernelBuilder amxAttentionBuilder;
extern const KernelBuilder winogradBuilder;
extern const KernelBuilder transpositionBuilder;

/// All builders but the generic one; the first that accepts a kernel builds it.
llvm::ArrayRef<KernelBuilder> kernelBuilders();

/// The builder named `kind`, or null.
const KernelBuilder *findKernelBuilder(llvm::StringRef kind);
} // namespace fulgur
