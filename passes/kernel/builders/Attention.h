// A kernel read as attention, and what both of its forms of loops share: where
// the operands are and how scores and powers are computed on vectors.
#pragma once
#include "passes/ScaledCodes.h"
#include "passes/kernel/builders/PastRows.h"
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
  /// Query, key and value are bfloat16, which may be multiplied in pairs.
  bool narrow = false;
  /// Keys and values that are bytes times scales.
  std::optional<ScaledCodes> keyCodes, valueCodes;
  /// Keys and values whose front the kernel copies, see PastRows.h.
  mlir::tensor::InsertSliceOp keyPast, valuePast;

  /// Number of iterations of a loop, when it is static.
  std::optional<int64_t> size(unsigned loop) const;
  /// Every operand and the result with its map. Codes stand for what is made of
  /// them, and destinations for the rows that are put together there.
  llvm::SmallVector<std::pair<mlir::Value, mlir::AffineMap>> operands() const;
};

/// Reads the kernel's body; nothing when it is not an attention of f32, or of
/// bfloat16 with scores in f32, that the loops below can compute.
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
  /// Of bytes: what scores and powers are multiplied by, or elements of the
  /// query and of the result; null: by nothing.
  Access keyScale{}, valueScale{};
  /// Rows in front that are copied from here, and how many there are.
  Access keyPast{}, valuePast{};
  mlir::Value keyPastRows{}, valuePastRows{};
  llvm::SmallVector<Access> extras{};
  mlir::Value offset{};       ///< null without causality; what it is at a point
  mlir::Value commonOffset{}; ///< without `offsets`
  Access offsets{};           ///< one for each of the batch, added to that

  /// Finds the sizes and accesses.
  void access();
  /// Where `point` has the indices of the batch loops that offsets are for.
  void enter(llvm::ArrayRef<mlir::Value> point);

  mlir::VectorType vectorType() {
    return mlir::VectorType::get(lanes, e.builder.getF32Type());
  }
  /// Whether the score reads its argument `number`.
  bool reads(unsigned number) {
    return !attention.op.getScore().getArgument(number).use_empty();
  }
  /// Whether the target multiplies pairs of narrow numbers.
  bool pairs() { return attention.narrow && site.target.bf16 && lanes == 16; }
  /// What the elements of the query are multiplied by. Narrow ones cannot take
  /// a factor without being rounded again: their products get it.
  double queryFactor();
  /// What the elements of the result are multiplied by.
  double resultFactor();
  /// A vector of neighbouring steps of `loop` from `point` on, times their
  /// scales. Scales that differ from key to key are for scores and powers, so
  /// `loop` is j; others are for elements of the query or the result.
  mlir::Value scaled(mlir::Value vector, const Access &scale, unsigned loop,
                     llvm::ArrayRef<mlir::Value> point, Columns columns);
  /// What products have to be multiplied by to be powers of 2, as far as the
  /// query has not been.
  double powerFactor();
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
  mlir::Value narrowPower(mlir::Value exponent);

  /// sums[row][vector] += the sum over k below `steps` of left(k, row) *
  /// right(k, vector), or of what `add` makes of left, right and the sum.
  llvm::SmallVector<mlir::Value> multiply(
      int64_t rows, int64_t vectors, mlir::Value steps,
      llvm::SmallVector<mlir::Value> sums,
      llvm::function_ref<mlir::Value(mlir::Value, int64_t)> left,
      llvm::function_ref<mlir::Value(mlir::Value, int64_t)> right,
      llvm::function_ref<mlir::Value(mlir::Value, mlir::Value, mlir::Value)>
          add = nullptr);
  /// Which queries see the keys [seenFrom, seenTo) only; without causality all
  /// keys.
  mlir::Value seenFrom(mlir::Value query);
  mlir::Value seenTo(mlir::Value query);

  mlir::Value load(mlir::Value from, mlir::Value at) {
    return mlir::vector::LoadOp::create(e.builder, e.loc, vectorType(), from,
                                        at);
  }
  void keep(mlir::Value vector, mlir::Value to, mlir::Value at) {
    mlir::vector::StoreOp::create(e.builder, e.loc, vector, to, at);
  }
  /// One element in every lane.
  mlir::Value scalar(mlir::Value from, mlir::Value at);
  /// A vector of the elements of an operand as f32.
  mlir::Value widen(mlir::Value vector);
  /// Columns of an operand as f32.
  mlir::Value readWide(mlir::Value flat, mlir::Value position, mlir::Value step,
                       Columns columns);
  /// The columns from `column` on of the result of a row whose powers' sum is
  /// `total`, in every lane: `result`, unless that is 0. `point` has the
  /// indices of the batch loops.
  mlir::Value unlessEmpty(mlir::Value result, mlir::Value total,
                          llvm::SmallVector<mlir::Value> point, int64_t column,
                          Columns columns);
  /// Writes columns of the result.
  void writeResult(mlir::Value vector, mlir::Value position, Columns columns);
  /// A buffer of the running task.
  mlir::Value onStack(int64_t elements, mlir::Type type);
  /// Copies the rows in front before anybody reads them.
  void copyPast();
};

/// Loops for many queries: tiles of scores with one query in each lane.
void emitFlashAttention(AttentionEmitter &a);

/// Loops for few queries, which keys and values pass by once; not for every
/// layout.
bool canDecode(AttentionEmitter &a);
/// The condition, possibly known, that there are few.
mlir::Value hasFewQueries(AttentionEmitter &a);
/// Memory that emitDecodeAttention needs, or null.
mlir::Value decodeScratch(AttentionEmitter &a);
void emitDecodeAttention(AttentionEmitter &a, mlir::Value scratch);
} // namespace fulgur
