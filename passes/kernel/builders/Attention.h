// A kernel read as attention, and what both of its forms of loops share: where
// the operands are and how scores and powers are computed on vectors.
#pragma once
#include "passes/kernel/builders/Elementwise.h"
#include <optional>

namespace fulgur {
/// The attention of a kernel's body.
struct Attention {
  AttentionOp op;
  mlir::BlockArgument out; ///< the kernel's destination
  int64_t depth, columns;  ///< sizes of the loops d and n
  /// What the product is multiplied by before anything else happens to it, and
  /// the operation of the score that does it (null: none does). The query takes
  /// the factor over.
  double factor = 1;
  mlir::Operation *scaling = nullptr;
  /// The score is the product times the factor and nothing else.
  bool plain = false;

  /// Number of iterations of a loop, when it is static.
  std::optional<int64_t> size(unsigned loop) const;
  /// Every operand and the result with its map.
  llvm::SmallVector<std::pair<mlir::Value, mlir::AffineMap>> operands() const;
};

/// Reads the kernel's body; nothing when it is not an attention of f32 that the
/// loops below can compute.
std::optional<Attention> matchAttention(KernelOp kernel);

/// Emits attention at a site.
struct AttentionEmitter {
  KernelSite &site;
  Attention &attention;
  ScheduleAttr schedule;
  Emitter e{site.builder, site.loc};
  int64_t lanes = schedule.getLanes();
  unsigned i = attention.op.queryLoop(), d = attention.op.depthLoop(),
           j = attention.op.keyLoop(), n = attention.op.columnLoop();
  llvm::SmallVector<mlir::Value> sizes{}; ///< of all loops
  Access query{}, key{}, value{}, out{}, sink{};
  llvm::SmallVector<Access> extras{};
  mlir::Value offset{}; ///< null without causality

  /// Finds the sizes and accesses.
  void access();

  mlir::VectorType vectorType() {
    return mlir::VectorType::get(lanes, e.builder.getF32Type());
  }
  /// Whether the score reads its argument `number`.
  bool reads(unsigned number) {
    return !attention.op.getScore().getArgument(number).use_empty();
  }
  /// What the elements of the query are multiplied by.
  double queryFactor();
  /// The scores of vectors of products, already multiplied by the factor.
  /// Arguments that the score does not read may be null.
  mlir::Value score(mlir::Value product, mlir::Value query, mlir::Value key,
                    llvm::ArrayRef<mlir::Value> extras);
  /// A logit in the unit of scores.
  mlir::Value logit(mlir::Value vector);
  /// e to the power of a difference of scores, which is 0 or less; 0 below
  /// 2^-126. An infinite `greatest` counts as 0 where it is passed through
  /// `finite` first.
  mlir::Value power(mlir::Value score, mlir::Value greatest);
  mlir::Value finite(mlir::Value greatest);
};

/// Loops for many queries: tiles of scores with one query in each lane.
void emitFlashAttention(AttentionEmitter &a);
} // namespace fulgur
