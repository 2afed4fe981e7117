// What one element of a tensor is computed from, in closed form: elementwise
// operations, reshapes, broadcasts, ranges and gathers are looked through, so
// that it does not matter in which steps a model computes it.
#pragma once
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Operation.h"
#include "passes/graph/Number.h"
#include "llvm/ADT/SmallPtrSet.h"
#include <memory>

namespace fulgur {
/// Where each loop of `map`, a permutation in its results, is when these are at
/// `at`; where an operand with `map` is read when the loops are at `loops`.
std::optional<llvm::SmallVector<Number>> loopsAt(mlir::AffineMap map,
                                                 llvm::ArrayRef<Number> at);
std::optional<llvm::SmallVector<Number>> readAt(mlir::AffineMap map,
                                                llvm::ArrayRef<Number> loops);

/// An element of a tensor.
struct Reading {
  mlir::Value tensor;
  llvm::SmallVector<Number> at;
};

/// A scalar as a function of loops. Equal terms are one object.
struct Term {
  enum class Kind {
    constant,
    number,      ///< an integer that is a Number
    notPositive, ///< whether a Number is at most 0
    leaf,        ///< an element of a tensor, or a scalar of the function
    root,        ///< the same, of an operation that is asked for
    operation    ///< of other terms
  };
  Kind kind;
  mlir::Type type;
  mlir::Attribute constant{};
  Number number{};
  Reading reading{};
  /// An operation of this kind, whose operands are not those of the term.
  mlir::Operation *like = nullptr;
  llvm::SmallVector<const Term *, 2> operands{};
  /// The loops that it is a function of, sorted.
  llvm::SmallVector<unsigned> loops{};
  bool usesRoot = false;

  bool isRoot() const { return kind == Kind::root; }
  template <typename Op> bool isA() const {
    return kind == Kind::operation && mlir::isa<Op>(like);
  }
  bool isConstant(bool value) const;
  /// The value of a constant floating-point number.
  std::optional<double> real() const;
};

class Terms {
public:
  /// `builder` is where sizes are computed; `isRoot` says at which operations
  /// the search ends.
  Terms(Atoms &atoms, mlir::OpBuilder &builder,
        llvm::function_ref<bool(mlir::Operation *)> isRoot)
      : atoms(atoms), builder(builder), isRoot(isRoot) {}

  const Term *at(mlir::Value tensor, llvm::ArrayRef<Number> at);
  /// One step towards where the elements of a tensor come from: through a
  /// reshape, transpose, slice, concatenation or broadcast.
  std::optional<Reading> moved(const Reading &reading);
  /// The same through a multiplication with a constant, which goes to `factor`,
  /// or a broadcast.
  std::optional<Reading> scaled(const Reading &reading, double &factor);
  /// The sizes of a tensor, where they are known.
  std::optional<llvm::SmallVector<Number>> dims(mlir::Value tensor);

  const Term *constant(mlir::Attribute value, mlir::Type type);
  const Term *boolean(bool value);
  const Term *number(const Number &number, mlir::Type type);
  const Term *notPositive(const Number &number);
  const Term *negated(const Term *boolean);
  /// `like` of other operands, simplified.
  const Term *operation(mlir::Operation *like,
                        llvm::ArrayRef<const Term *> operands);
  /// The term with `from` replaced, simplified.
  const Term *replaced(const Term *term, const Term *from, const Term *to);

  /// Where the term stands in the model, nearest to its operands first.
  llvm::ArrayRef<Reading> origins(const Term *term) const;
  /// What a leaf folds with `Op`, from `init` on: the element of iteration
  /// `loop`, which has to run over all of the dim.
  template <typename Op>
  const Term *folded(const Term *leaf, double init, unsigned loop);
  /// A loop that had to be split to see more.
  std::optional<Atoms::Wanted> wanted;

  /// Computes the term. `known` gives values of terms, `loop` those of loops.
  mlir::Value emit(mlir::OpBuilder &builder, mlir::Location loc,
                   const Term *term,
                   llvm::DenseMap<const Term *, mlir::Value> &known,
                   llvm::function_ref<mlir::Value(unsigned)> loop) const;

private:
  const Term *look(mlir::Value tensor, llvm::ArrayRef<Number> at);
  const Term *elementwise(mlir::Operation *op, unsigned result,
                          llvm::ArrayRef<Number> at);
  const Term *scalar(mlir::Value value);
  const Term *range(mlir::tensor::FromElementsOp op, llvm::ArrayRef<Number> at);
  const Term *pattern(mlir::ElementsAttr values, llvm::ArrayRef<Number> at);
  const Term *simplified(mlir::Operation *like,
                         llvm::ArrayRef<const Term *> operands);
  const Term *intern(Term term);
  const Term *folded(const Term *leaf, double init, unsigned loop,
                     llvm::function_ref<bool(mlir::Operation *)> isFold);

  using Key = std::tuple<int, const void *, const void *, Number, const void *,
                         std::vector<Number>, const void *, const void *,
                         std::vector<const Term *>>;
  Atoms &atoms;
  mlir::OpBuilder &builder;
  llvm::function_ref<bool(mlir::Operation *)> isRoot;
  std::map<Key, std::unique_ptr<Term>> terms;
  std::map<std::pair<const void *, std::vector<Number>>, const Term *> seen;
  llvm::DenseMap<const Term *, llvm::SmallVector<Reading, 2>> places;
};

template <typename Op>
const Term *Terms::folded(const Term *leaf, double init, unsigned loop) {
  return folded(leaf, init, loop,
                [](mlir::Operation *op) { return mlir::isa<Op>(op); });
}
} // namespace fulgur
