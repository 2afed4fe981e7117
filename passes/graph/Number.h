// Integers that are polynomials over sizes and the loops that run over them:
// indices, and what masks compare.
#pragma once
#include "mlir/IR/Builders.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/DenseMap.h"
#include <map>
#include <optional>

namespace fulgur {
/// A polynomial with integer coefficients over atoms (see Atoms). Equal
/// polynomials compare equal.
class Number {
public:
  using Monomial = llvm::SmallVector<unsigned, 2>; ///< sorted, with repetition

  Number(int64_t constant = 0);
  static Number atom(unsigned id);

  std::optional<int64_t> constant() const;
  bool is(int64_t value) const { return constant() == value; }
  /// The atom of a polynomial that is just one.
  std::optional<unsigned> atom() const;
  const std::map<Monomial, int64_t> &terms() const { return sum; }
  bool has(unsigned atom) const;

  friend Number operator+(const Number &, const Number &);
  friend Number operator-(const Number &, const Number &);
  friend Number operator*(const Number &, const Number &);
  bool operator==(const Number &other) const { return sum == other.sum; }
  bool operator<(const Number &other) const { return sum < other.sum; }
  Number replaced(unsigned atom, const Number &by) const;

private:
  void add(const Monomial &monomial, int64_t coefficient);
  std::map<Monomial, int64_t> sum;
};

/// Sizes and loops. A size is a value of index type that is not negative; a
/// loop runs from 0 up to a size.
class Atoms {
public:
  /// The number that a value of index type is: arithmetic is looked through,
  /// and a symbol is the number that @main requires it to be.
  Number of(mlir::OpFoldResult size);
  unsigned loop(const Number &size);
  /// The smaller one of two: an atom of its own where it is not known which.
  Number least(const Number &a, const Number &b);
  Number greatest(const Number &a, const Number &b) {
    return Number(0) - least(Number(0) - a, Number(0) - b);
  }
  bool isLoop(unsigned atom) const { return atoms[atom].loop; }
  const Number &sizeOf(unsigned loop) const { return atoms[loop].size; }
  /// Whether the number is at least 0 for all sizes and in all iterations.
  bool knownNonNegative(Number number) const;
  /// A loop that had to be two, the inner one of this size.
  struct Wanted {
    unsigned loop;
    Number inner;
  };
  /// Splits row-major positions: number = result[0] * (sizes[1] * ...) + ... +
  /// result.back(), each result being in its size. Fails where this is not a
  /// matter of reading it off; then `wanted` may say what would help.
  std::optional<llvm::SmallVector<Number>>
  split(Number number, llvm::ArrayRef<Number> sizes,
        std::optional<Wanted> &wanted) const;
  /// The loop's index in terms of the loops that it is split into, if it can
  /// be.
  std::optional<Number> splitLoop(const Wanted &wanted);
  /// The loops that a number is a function of, by falling stride.
  llvm::SmallVector<unsigned> loopsOf(const Number &number) const;
  /// The value of a number of sizes only.
  mlir::Value emit(mlir::OpBuilder &builder, mlir::Location loc,
                   const Number &number,
                   llvm::function_ref<mlir::Value(unsigned)> loop = {}) const;
  mlir::OpFoldResult size(mlir::OpBuilder &builder, mlir::Location loc,
                          const Number &number) const;

  /// The two numbers of which this one, a function of loops, is the greater.
  std::optional<std::pair<Number, Number>>
  greaterOf(const Number &number) const;

private:
  struct Atom {
    bool loop, nonNegative;
    Number size;             ///< of a loop
    mlir::Value value;       ///< of a size that is no symbol
    mlir::StringAttr symbol; ///< of one that is
    /// Of the smaller one of two numbers.
    llvm::SmallVector<Number, 0> choice{};
  };
  bool uses(const Number &number, unsigned atom) const;
  unsigned make(Atom atom) {
    atoms.push_back(std::move(atom));
    return atoms.size() - 1;
  }
  std::vector<Atom> atoms;
  std::map<std::pair<Number, Number>, unsigned> choices;
  llvm::DenseMap<mlir::Value, Number> values;
  llvm::DenseMap<mlir::StringAttr, Number> symbols;
};
} // namespace fulgur
