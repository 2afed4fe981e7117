// Sizes of dims as polynomials over symbols: what "batch" times 12 is, whether
// two dims are equal, what is left after a slice.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fulgur::onnx {

/// A polynomial with integer coefficients over atoms (see Atoms). Equal
/// polynomials compare equal; arithmetic that leaves 64 bits throws
/// std::overflow_error.
class Extent {
public:
  /// A product of atoms, sorted and with repetition, and its coefficient.
  struct Term {
    llvm::SmallVector<unsigned, 2> factors;
    int64_t coefficient;
    bool operator==(const Term &) const = default;
  };

  Extent(int64_t constant = 0);
  /// The atom with the number `id`.
  static Extent atom(unsigned id);

  /// The value of a polynomial without atoms.
  std::optional<int64_t> constant() const;
  /// The atom of a polynomial that is just one.
  std::optional<unsigned> atom() const;
  bool is(int64_t value) const { return constant() == value; }
  /// Terms, highest degree first; none for 0.
  llvm::ArrayRef<Term> terms() const { return sum; }

  bool operator==(const Extent &) const = default;
  /// An arbitrary total order, for maps.
  bool operator<(const Extent &) const;

  friend Extent operator+(const Extent &, const Extent &);
  friend Extent operator-(const Extent &, const Extent &);
  friend Extent operator*(const Extent &, const Extent &);
  Extent &operator+=(const Extent &x) { return *this = *this + x; }
  Extent &operator*=(const Extent &x) { return *this = *this * x; }
  /// The q with p = q · by, if there is one.
  std::optional<Extent> divideExactly(const Extent &by) const;

private:
  friend class Atoms;
  std::vector<Term> sum;
};

/// The product of all of them; 1 of none.
Extent product(llvm::ArrayRef<Extent> extents);

/// The atoms of one model: symbols, and quotients, remainders, maxima, minima,
/// comparisons and choices of polynomials, each made once. Knows the range of
/// every symbol and which extents the model needs to be equal.
class Atoms {
public:
  static constexpr int64_t kMax = std::numeric_limits<int64_t>::max(),
                           kMin = std::numeric_limits<int64_t>::min();
  enum class Kind {
    symbol,
    runtime,
    floorDiv,
    mod,
    max,
    min,
    equal, ///< 1 if a = b, else 0
    less,  ///< 1 if a < b, else 0
    select ///< a if the condition is not 0, else b
  };
  struct Atom {
    Kind kind;
    std::string name; ///< of a symbol or a size known only while running
    Extent a, b;      ///< operands of the others
    int64_t lower, upper;
    Extent condition = 0; ///< of a choice
    bool data = false;    ///< a symbol that is no dim but a number of the data
  };

  /// The symbol called `name`; a new one gets the range.
  Extent symbol(llvm::StringRef name, int64_t lower = 1, int64_t upper = kMax);
  /// A new symbol that is a number of the data, such as an element of a shape
  /// that is an input. Nothing checks before the plan what nodes want of it.
  Extent value(llvm::StringRef name, int64_t lower, int64_t upper);
  /// Whether the extent is built on a number of the data.
  bool isData(const Extent &) const;
  /// A size in [0, upper] that is known only while running.
  Extent runtime(llvm::StringRef name, int64_t upper);
  /// Whether the extent is built on a size that is known only while running.
  bool isRuntime(const Extent &) const;
  /// From now on the run-time sizes that exist count as symbols.
  void settle() { settled = atoms.size(); }
  bool hasSymbol(llvm::StringRef name) const { return symbols.contains(name); }
  const Atom &operator[](unsigned id) const { return atoms[id]; }
  size_t size() const { return atoms.size(); }

  /// ⌊a / b⌋ and its remainder; `b` must be positive, or a constant that is not
  /// 0.
  Extent floorDiv(const Extent &a, const Extent &b);
  Extent mod(const Extent &a, const Extent &b);
  Extent ceilDiv(const Extent &a, const Extent &b) {
    return floorDiv(a + b - 1, b);
  }
  Extent max(const Extent &a, const Extent &b);
  Extent min(const Extent &a, const Extent &b);
  /// 1 where the comparison holds, 0 elsewhere.
  Extent equal(const Extent &a, const Extent &b);
  Extent less(const Extent &a, const Extent &b);
  /// `a` where the condition is not 0, `b` elsewhere.
  Extent select(const Extent &condition, const Extent &a, const Extent &b);
  /// Whether one of two sizes can be 1 while the other is another one.
  bool mayBroadcast(const Extent &a, const Extent &b);
  /// Whether `whole` is known to be what `part` and a third are broadcast to.
  bool covers(const Extent &whole, const Extent &part);
  /// The size of two dims that are broadcast to each other, of which one is 1
  /// or both are equal.
  Extent broadcast(const Extent &a, const Extent &b);

  /// Bounds that hold for every value of the symbols; saturated.
  int64_t lower(const Extent &) const;
  int64_t upper(const Extent &) const;
  bool knownAtLeast(const Extent &a, const Extent &b) const;
  bool knownEqual(const Extent &a, const Extent &b);
  bool knownDifferent(const Extent &a, const Extent &b);

  /// From now on `a` and `b` count as equal: an atom that is one side is
  /// replaced by the other side wherever `simplify` looks.
  void unite(const Extent &a, const Extent &b);
  /// From now on the extent, if it is an atom and a number, counts as being in
  /// the range.
  void restrict(const Extent &e, int64_t least, int64_t greatest);
  /// The extent with replaced symbols.
  Extent simplify(const Extent &);
  /// Whether the extent is built on the atom, at any depth.
  bool contains(const Extent &, unsigned id) const;
  /// The names of the symbols that the extent is built on, in order of
  /// appearance.
  void symbolsOf(const Extent &,
                 llvm::SmallVectorImpl<std::string> &names) const;

  /// The extent as `parse` reads it; of a very long one the beginning.
  std::string text(const Extent &) const;
  /// Reads + - * // % max min equal less select, parentheses, numbers and names
  /// such as `n` and `shape[1]`; text that is none of this is a symbol as a
  /// whole.
  Extent parse(llvm::StringRef text);

private:
  /// Whether `b` is built on `a`, an atom, and 1 where that is.
  bool isOneWith(const Extent &a, const Extent &b) const;
  /// Whether it is 1 nowhere else.
  bool isOneOnlyWith(const Extent &a, const Extent &b) const;
  Extent make(Kind kind, const Extent &a, const Extent &b, int64_t lower,
              int64_t upper, const Extent &condition = 0);
  Extent simplify(unsigned id);
  std::string text(const Extent &, int &budget) const;
  /// Whether the extent is built on an atom of which `is` holds.
  bool any(const Extent &, llvm::function_ref<bool(unsigned)> is) const;
  /// Moves the terms of `a` that `by` divides into the quotient that is
  /// returned; what is left of a number is not negative and less than `by`, if
  /// that is one, too.
  static Extent takeDivisible(Extent &a, const Extent &by);
  /// ⌊(⌊x / c⌋ + y) / by⌋ = ⌊(x + c·y) / (c·by)⌋, if `a` has such a quotient:
  /// so windows over windows have the sizes that a model computes at once.
  std::optional<Extent> floorOfFloor(const Extent &a, int64_t by);

  /// Larger ones stay by themselves: their products would leave 64 bits.
  static constexpr int64_t kGreatestDivisor = int64_t(1) << 31;

  std::vector<Atom> atoms;
  bool isRestricted = false; ///< whether bounds are tighter than at first
  size_t settled = 0; ///< run-time sizes with smaller numbers are symbols
  llvm::StringMap<unsigned> symbols;
  std::map<std::tuple<Kind, Extent, Extent, Extent>, unsigned> made;
  std::map<unsigned, Extent> replacements;
  std::map<unsigned, Extent>
      simplified;            ///< atoms, as long as nothing new is known
  std::vector<Extent> zeros; ///< differences that count as 0
};

} // namespace fulgur::onnx
