// The matcher behind FuseAttention: what it reads backwards from the second
// product of an attention, and what it writes in its place.
#pragma once
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/PatternMatch.h"
#include "passes/graph/Mask.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"
#include <map>

namespace fulgur {
/// Whether `op` is a matrix product of f32 that nothing is added to.
bool isPlainProduct(mlir::Operation *op);

/// Reads a product as the second one of an attention, and writes that.
class AttentionFusion {
public:
  AttentionFusion(mlir::linalg::LinalgOp second, mlir::RewriterBase &rewriter)
      : second(second), b(rewriter), loc(second.getLoc()) {
    b.setInsertionPoint(second);
  }

  /// Whether it is one now; `reason` says why not, if it looked like one.
  bool run();
  std::string reason;

private:
  /// A tensor and the loops that run over each of its dims, outermost first.
  struct Operand {
    mlir::Value tensor;
    llvm::SmallVector<llvm::SmallVector<unsigned>> dims;

    bool has(unsigned loop) const {
      return llvm::any_of(
          dims, [&](auto &dim) { return llvm::is_contained(dim, loop); });
    }
    bool isPlain() const {
      return llvm::all_of(dims, [](auto &dim) { return dim.size() <= 1; });
    }
  };

  /// What is added to the score: a number, or 0 where all conditions hold and
  /// `hidden` elsewhere.
  struct Addend {
    llvm::SmallVector<const Term *> terms;
    std::optional<double> hidden;
  };

  bool fuse();
  bool attempt();
  /// Notes why it is no attention that can be fused.
  bool no(const llvm::Twine &why) {
    reason = why.str();
    return false;
  }

  // Reading.
  Number position(std::optional<unsigned> loop) const;
  std::optional<Operand> asOperand(const Reading &reading);
  std::optional<Operand> sourceOf(Reading at, double &factor);
  bool findWeights();
  bool findProduct();
  bool findOperands(mlir::linalg::LinalgOp first);
  bool feedsOnlySecond(mlir::Operation *first);
  bool findLoops();
  bool findResult();
  bool countsVisible(const Term *count, const Term *visible);
  bool hidesRow(const Term *condition);
  void takeMasks();
  bool addendsOf(const Term *term);

  // Writing.
  mlir::AffineMap mapOf(llvm::ArrayRef<unsigned> order, const Operand &operand);
  Operand squeezed(const Operand &operand);
  Operand view(const Operand &operand);
  llvm::SmallVector<unsigned> order(llvm::ArrayRef<const Term *> terms);
  using Finish =
      llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::ValueRange)>;
  Operand nest(llvm::ArrayRef<const Term *> terms, mlir::Type type,
               Finish finish);
  Operand empty(llvm::ArrayRef<unsigned> order, mlir::Type type);
  Operand materialized(const Addend &addend);
  Operand inRows(Operand plain);
  mlir::Value scoreOf(mlir::OpBuilder &inside, const Term *term,
                      mlir::Block &body,
                      llvm::MutableArrayRef<mlir::Value> added);
  void write();

  mlir::linalg::LinalgOp second;
  mlir::RewriterBase &b;
  mlir::Location loc;

  Atoms atoms;
  std::map<unsigned, Number> parts;    ///< of loops that are split
  llvm::SmallDenseSet<unsigned> whole; ///< loops that must not be
  /// Of the second product; none for a loop that no operand has, whose size
  /// is 1.
  llvm::SmallVector<std::optional<unsigned>> secondLoops;
  std::optional<unsigned> depth;
  llvm::SetVector<mlir::Operation *> products; ///< of the score, if several
  /// Those that are no part of the attention: their results are added.
  llvm::SmallDenseSet<mlir::Operation *> others;

  // What an attempt finds.
  Terms *terms = nullptr;
  unsigned i, d, j, n;
  llvm::SmallVector<unsigned> batch;
  SoftmaxOp softmax;
  llvm::SmallVector<Number> rows; ///< where the softmax is read
  bool guarded;                   ///< weights that are no numbers count as 0
  const Term *silenced;           ///< where weights are set to 0
  Operand query, key, value;
  double scale;
  const Term *product, *score, *sink;
  llvm::SmallVector<Mask> masks;
  bool emptied; ///< rows that see nothing are set to 0 behind the product
  std::optional<Number> offset, windowStart;
  const Term *ownOffset; ///< of each of the batch, added to `offset`; or null
  bool averages; ///< rows that see nothing become the mean of all values
  llvm::SmallVector<Addend> addends;
  mlir::Value result; ///< what is replaced
  Operand resultAs;
};
} // namespace fulgur
