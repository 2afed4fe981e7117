// Polynomials in graded lexicographic order, so that division by a leading term
// terminates, over interned atoms.
#include "frontends/onnx/Extent.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include <algorithm>
#include <iterator>
#include <numeric>
#include <stdexcept>

using namespace fulgur::onnx;

namespace {
[[noreturn]] void overflow() {
  throw std::overflow_error("a size does not fit into 64 bits");
}

int64_t add(int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum))
    overflow();
  return sum;
}

int64_t multiply(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product))
    overflow();
  return product;
}

int64_t saturate(__int128 x) {
  return x > Atoms::kMax   ? Atoms::kMax
         : x < Atoms::kMin ? Atoms::kMin
                           : int64_t(x);
}

int64_t floorOf(int64_t a, int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/// Higher degree first, then the atoms with lower numbers.
bool before(llvm::ArrayRef<unsigned> a, llvm::ArrayRef<unsigned> b) {
  return a.size() != b.size() ? a.size() > b.size()
                              : std::lexicographical_compare(
                                    a.begin(), a.end(), b.begin(), b.end());
}

/// The quotient of two terms, if it is one.
std::optional<Extent::Term> divide(const Extent::Term &a,
                                   const Extent::Term &b) {
  if (a.coefficient % b.coefficient || !llvm::includes(a.factors, b.factors))
    return std::nullopt;
  Extent::Term quotient{{}, a.coefficient / b.coefficient};
  std::set_difference(a.factors.begin(), a.factors.end(), b.factors.begin(),
                      b.factors.end(), std::back_inserter(quotient.factors));
  return quotient;
}
} // namespace

Extent::Extent(int64_t constant) {
  if (constant)
    sum.push_back({{}, constant});
}

Extent Extent::atom(unsigned id) {
  Extent result;
  result.sum.push_back({{id}, 1});
  return result;
}

std::optional<int64_t> Extent::constant() const {
  if (sum.empty())
    return 0;
  if (sum.size() == 1 && sum[0].factors.empty())
    return sum[0].coefficient;
  return std::nullopt;
}

std::optional<unsigned> Extent::atom() const {
  if (sum.size() == 1 && sum[0].coefficient == 1 && sum[0].factors.size() == 1)
    return sum[0].factors[0];
  return std::nullopt;
}

bool Extent::operator<(const Extent &other) const {
  return std::lexicographical_compare(
      sum.begin(), sum.end(), other.sum.begin(), other.sum.end(),
      [](const Term &a, const Term &b) {
        return a.factors == b.factors ? a.coefficient < b.coefficient
                                      : before(a.factors, b.factors);
      });
}

namespace fulgur::onnx {
Extent operator+(const Extent &a, const Extent &b) {
  Extent result;
  result.sum.reserve(a.sum.size() + b.sum.size());
  auto i = a.sum.begin(), j = b.sum.begin();
  while (i != a.sum.end() || j != b.sum.end()) {
    if (j == b.sum.end() ||
        (i != a.sum.end() && before(i->factors, j->factors))) {
      result.sum.push_back(*i++);
    } else if (i == a.sum.end() || before(j->factors, i->factors)) {
      result.sum.push_back(*j++);
    } else {
      if (int64_t coefficient = add(i->coefficient, j->coefficient))
        result.sum.push_back({i->factors, coefficient});
      ++i, ++j;
    }
  }
  return result;
}

Extent operator*(const Extent &a, const Extent &b) {
  Extent result;
  for (const Extent::Term &x : a.sum) {
    Extent row;
    for (const Extent::Term &y : b.sum) {
      Extent::Term term{{}, multiply(x.coefficient, y.coefficient)};
      std::merge(x.factors.begin(), x.factors.end(), y.factors.begin(),
                 y.factors.end(), std::back_inserter(term.factors));
      row.sum.push_back(
          std::move(term)); // multiplying by one term keeps the order
    }
    result = result + row;
  }
  return result;
}

Extent operator-(const Extent &a, const Extent &b) {
  return a + Extent(-1) * b;
}

Extent product(llvm::ArrayRef<Extent> extents) {
  Extent result = 1;
  for (const Extent &extent : extents)
    result *= extent;
  return result;
}
} // namespace fulgur::onnx

std::optional<Extent> Extent::divideExactly(const Extent &by) const {
  if (by.sum.empty())
    return std::nullopt;
  Extent quotient, rest = *this;
  while (!rest.sum.empty()) {
    std::optional<Term> term = divide(rest.sum.front(), by.sum.front());
    if (!term)
      return std::nullopt;
    Extent step;
    step.sum.push_back(*term);
    quotient += step;
    rest = rest - step * by;
  }
  return quotient;
}

Extent Atoms::symbol(llvm::StringRef name, int64_t lower, int64_t upper) {
  auto [it, isNew] = symbols.try_emplace(name, atoms.size());
  if (isNew)
    atoms.push_back({Kind::symbol, name.str(), 0, 0, lower, upper});
  return Extent::atom(it->second);
}

Extent Atoms::runtime(llvm::StringRef name, int64_t upper) {
  atoms.push_back({Kind::runtime, name.str(), 0, 0, 0, upper});
  return Extent::atom(atoms.size() - 1);
}

Extent Atoms::value(llvm::StringRef name, int64_t lower, int64_t upper) {
  Extent result = symbol(name, lower, upper);
  atoms[*result.atom()].data = true;
  return result;
}

bool Atoms::any(const Extent &e, llvm::function_ref<bool(unsigned)> is) const {
  llvm::SmallDenseSet<unsigned> seen;
  llvm::SmallVector<unsigned> open;
  auto visit = [&](const Extent &part) {
    for (const Extent::Term &term : part.sum)
      for (unsigned id : term.factors)
        if (seen.insert(id).second)
          open.push_back(id);
  };
  visit(e);
  while (!open.empty()) {
    unsigned id = open.pop_back_val();
    if (is(id))
      return true;
    visit(atoms[id].a);
    visit(atoms[id].b);
    visit(atoms[id].condition);
  }
  return false;
}

bool Atoms::isRuntime(const Extent &e) const {
  return any(e, [&](unsigned id) {
    return atoms[id].kind == Kind::runtime && id >= settled;
  });
}

bool Atoms::isData(const Extent &e) const {
  return any(e, [&](unsigned id) { return atoms[id].data; });
}

Extent Atoms::make(Kind kind, const Extent &a, const Extent &b, int64_t lower,
                   int64_t upper, const Extent &condition) {
  auto [it, isNew] = made.try_emplace({kind, a, b, condition}, atoms.size());
  if (isNew) {
    atoms.push_back({kind, "", a, b, lower, upper, condition});
  } else { // more may be known of the operands by now
    Atom &atom = atoms[it->second];
    atom.lower = std::max(atom.lower, lower);
    atom.upper = std::min(atom.upper, upper);
  }
  return Extent::atom(it->second);
}

Extent Atoms::takeDivisible(Extent &a, const Extent &by) {
  Extent quotient, rest;
  std::optional<int64_t> number = by.constant();
  for (const Extent::Term &term : a.sum) {
    Extent one;
    one.sum.push_back(term);
    if (std::optional<Extent> part = one.divideExactly(by)) {
      quotient += *part;
    } else if (term.factors.empty() && number && *number > 0) {
      int64_t part = floorOf(term.coefficient, *number);
      quotient += part;
      rest += term.coefficient - part * *number;
    } else {
      rest += one;
    }
  }
  a = rest;
  return quotient;
}

std::optional<Extent> Atoms::floorOfFloor(const Extent &a, int64_t by) {
  for (const Extent::Term &term : a.sum) {
    if (term.factors.size() != 1 || term.coefficient != 1)
      continue;
    Atom inner = atoms[term.factors[0]]; // a copy: making atoms moves them
    std::optional<int64_t> divisor = inner.b.constant();
    if (inner.kind != Kind::floorDiv || !divisor || *divisor <= 0 ||
        *divisor > kGreatestDivisor / by)
      continue;
    Extent others = a - Extent::atom(term.factors[0]);
    return floorDiv(inner.a + others * *divisor, *divisor * by);
  }
  return std::nullopt;
}

Extent Atoms::floorDiv(const Extent &a, const Extent &b) {
  if (std::optional<Extent> exact = a.divideExactly(b))
    return *exact;
  Extent rest = a, quotient = takeDivisible(rest, b);
  if (auto x = rest.constant(), y = b.constant(); x && y)
    return quotient + floorOf(*x, *y);
  if (knownAtLeast(rest, 0) && knownAtLeast(b, rest + 1))
    return quotient;
  if (auto y = b.constant(); y && *y > 0 && *y <= kGreatestDivisor) {
    if (std::optional<Extent> single = floorOfFloor(rest, *y))
      return quotient + *single;
    int64_t low = lower(rest), high = upper(rest);
    return quotient + make(Kind::floorDiv, rest, b,
                           low == kMin ? kMin : floorOf(low, *y),
                           high == kMax ? kMax : floorOf(high, *y));
  }
  bool positive = lower(rest) >= 0 && lower(b) > 0;
  return quotient + make(Kind::floorDiv, rest, b,
                         positive ? lower(rest) / upper(b) : kMin,
                         positive ? upper(rest) / lower(b) : kMax);
}

Extent Atoms::mod(const Extent &a, const Extent &b) {
  if (a.divideExactly(b))
    return 0;
  Extent rest = a;
  takeDivisible(rest, b);
  if (auto x = rest.constant(), y = b.constant(); x && y)
    return *x - floorOf(*x, *y) * *y;
  if (knownAtLeast(rest, 0) && knownAtLeast(b, rest + 1))
    return rest;
  bool positive = lower(b) > 0;
  return make(Kind::mod, rest, b, positive ? 0 : kMin,
              positive ? upper(b) - 1 : kMax);
}

Extent Atoms::max(const Extent &a, const Extent &b) {
  if (knownAtLeast(a, b))
    return a;
  if (knownAtLeast(b, a))
    return b;
  // max(k, c - x) = c - min(c - k, x): how the last x of c are sliced.
  for (auto [limit, rest] : {std::pair(a, b), std::pair(b, a)}) {
    int64_t number = rest.sum.empty() || !rest.sum.back().factors.empty()
                         ? 0
                         : rest.sum.back().coefficient;
    Extent x = Extent(number) - rest;
    if (limit.constant() && x.atom())
      return Extent(number) - min(Extent(number) - limit, x);
  }
  bool swap = b < a;
  return make(Kind::max, swap ? b : a, swap ? a : b,
              std::max(lower(a), lower(b)), std::max(upper(a), upper(b)));
}

Extent Atoms::min(const Extent &a, const Extent &b) {
  if (knownAtLeast(a, b))
    return b;
  if (knownAtLeast(b, a))
    return a;
  bool swap = b < a;
  return make(Kind::min, swap ? b : a, swap ? a : b,
              std::min(lower(a), lower(b)), std::min(upper(a), upper(b)));
}

Extent Atoms::equal(const Extent &a, const Extent &b) {
  if (knownEqual(a, b))
    return 1;
  if (knownDifferent(a, b))
    return 0;
  bool swap = b < a;
  return make(Kind::equal, swap ? b : a, swap ? a : b, 0, 1);
}

Extent Atoms::less(const Extent &a, const Extent &b) {
  if (knownAtLeast(a, b))
    return 0;
  if (!a.is(kMax) && knownAtLeast(b, a + 1))
    return 1;
  return make(Kind::less, a, b, 0, 1);
}

Extent Atoms::select(const Extent &condition, const Extent &a,
                     const Extent &b) {
  if (std::optional<int64_t> known = condition.constant())
    return *known ? a : b;
  if (knownEqual(a, b))
    return a;
  int64_t lowerA = lower(a), upperA = upper(a), lowerB = lower(b),
          upperB = upper(b);
  // Where `b` is chosen, it is not below what the condition compares it with.
  if (std::optional<unsigned> id = condition.atom();
      id && atoms[*id].kind == Kind::less)
    if (std::optional<int64_t> limit = atoms[*id].b.constant()) {
      if (atoms[*id].a == b)
        lowerB = std::max(lowerB, *limit);
      if (atoms[*id].a == a)
        upperA = std::min(upperA, *limit - 1);
    }
  return make(Kind::select, a, b, std::min(lowerA, lowerB),
              std::max(upperA, upperB), condition);
}

bool Atoms::isOneWith(const Extent &a, const Extent &b) const {
  if (!a.atom() || !contains(b, *a.atom()))
    return false;
  Atoms there = *this;
  there.unite(a, 1);
  return there.knownEqual(b, 1);
}

bool Atoms::isOneOnlyWith(const Extent &a, const Extent &b) const {
  Atoms none = *this, more = *this;
  none.unite(a, 0);
  more.restrict(a, 2, kMax);
  return (lower(a) > 0 || none.knownDifferent(b, 1)) &&
         more.knownDifferent(b, 1);
}

bool Atoms::mayBroadcast(const Extent &a, const Extent &b) {
  if (knownEqual(a, b) || (knownDifferent(a, 1) && knownDifferent(b, 1)))
    return false;
  // What a run picks is made to meet something of its own size.
  if (isRuntime(a) || isRuntime(b))
    return false;
  // The minimum of a size and a limit is 1 where the size is.
  auto limits = [&](const Extent &least, const Extent &size) {
    std::optional<unsigned> id = least.atom();
    if (!id || atoms[*id].kind != Kind::min)
      return false;
    Atom atom = atoms[*id];
    return (atom.a == size && lower(atom.b) > 1) ||
           (atom.b == size && lower(atom.a) > 1);
  };
  if (limits(a, b) || limits(b, a))
    return false;
  return !(isOneWith(a, b) && isOneOnlyWith(a, b)) &&
         !(isOneWith(b, a) && isOneOnlyWith(b, a));
}

bool Atoms::covers(const Extent &whole, const Extent &part) {
  std::optional<unsigned> id = whole.atom();
  if (!id || atoms[*id].kind != Kind::select)
    return false;
  Atom atom = atoms[*id]; // a copy: making atoms moves them
  return (atom.a == part || atom.b == part) &&
         atom.condition == equal(atom.b, 1);
}

Extent Atoms::broadcast(const Extent &a, const Extent &b) {
  if (b.is(1) || knownEqual(a, b) || knownDifferent(a, 1))
    return a;
  if (knownDifferent(b, 1))
    return b;
  if (covers(a, b) || isOneWith(a, b))
    return a;
  if (covers(b, a) || isOneWith(b, a))
    return b;
  return select(equal(a, 1), b, a);
}

int64_t Atoms::lower(const Extent &e) const {
  // A term is bounded by the corners of its factors' ranges; a sum by the sum
  // of the bounds.
  __int128 total = 0;
  for (const Extent::Term &term : e.sum) {
    int64_t low = term.coefficient, high = term.coefficient;
    for (unsigned id : term.factors) {
      int64_t corners[] = {saturate((__int128)low * atoms[id].lower),
                           saturate((__int128)low * atoms[id].upper),
                           saturate((__int128)high * atoms[id].lower),
                           saturate((__int128)high * atoms[id].upper)};
      low = *std::min_element(corners, corners + 4);
      high = *std::max_element(corners, corners + 4);
    }
    if (low == kMin)
      return kMin;
    total += low;
  }
  return saturate(total);
}

int64_t Atoms::upper(const Extent &e) const {
  int64_t low = lower(Extent(-1) * e);
  return low == kMin ? kMax : -low;
}

bool Atoms::knownAtLeast(const Extent &a, const Extent &b) const {
  if (a.is(kMax) || b.is(kMin))
    return true;
  if (a.is(kMin) || b.is(kMax))
    return a == b;
  return lower(a - b) >= 0;
}

bool Atoms::knownEqual(const Extent &a, const Extent &b) {
  Extent difference = simplify(a - b);
  return difference.is(0) || llvm::is_contained(zeros, difference) ||
         llvm::is_contained(zeros, Extent(-1) * difference);
}

bool Atoms::knownDifferent(const Extent &a, const Extent &b) {
  Extent difference = simplify(a - b);
  if (lower(difference) > 0 || upper(difference) < 0)
    return true;
  // No multiple of the coefficients' common divisor makes up for a constant
  // that is none: 6 is not 4n.
  int64_t divisor = 0, constant = 0;
  for (const Extent::Term &term : difference.terms())
    if (term.factors.empty())
      constant = term.coefficient;
    else
      divisor = std::gcd(divisor, term.coefficient);
  return divisor ? constant % divisor != 0 : constant != 0;
}

void Atoms::unite(const Extent &left, const Extent &right) {
  Extent a = simplify(left), b = simplify(right);
  // An atom can stand for anything that is not built on it: quotients and the
  // like go first, of two symbols the later one. What is known before a run
  // never comes to depend on what is not.
  auto replaceable = [&](const Extent &from, const Extent &to) {
    return from.atom() && !contains(to, *from.atom()) &&
           (isRuntime(from) || !isRuntime(to));
  };
  auto rank = [&](const Extent &e) {
    return std::pair(atoms[*e.atom()].kind != Kind::symbol, *e.atom());
  };
  bool first = replaceable(a, b), second = replaceable(b, a);
  if (first && second)
    first = rank(a) > rank(b);
  if (first)
    replacements[*a.atom()] = b;
  else if (second)
    replacements[*b.atom()] = a;
  else
    zeros.push_back(a - b);
  simplified.clear();
  for (Extent &zero : zeros)
    zero = simplify(zero);
}

void Atoms::restrict(const Extent &e, int64_t least, int64_t greatest) {
  // An atom and a number.
  Extent rest = simplify(e);
  int64_t number = 0;
  if (!rest.sum.empty() && rest.sum.back().factors.empty())
    number = rest.sum.back().coefficient;
  std::optional<unsigned> id = (rest - number).atom();
  if (!id)
    return;
  if (least != kMin)
    least = saturate((__int128)least - number);
  if (greatest != kMax)
    greatest = saturate((__int128)greatest - number);
  Atom &atom = atoms[*id];
  atom.lower = std::max(atom.lower, least);
  atom.upper = std::min(atom.upper, greatest);
  simplified.clear();
  isRestricted = true;
  // What is divided is as large as the quotient says.
  std::optional<int64_t> by = atom.b.constant();
  if (atom.kind == Kind::floorDiv && by && *by > 0)
    restrict(Extent(atom.a),
             least == kMin ? kMin : saturate((__int128)least * *by),
             greatest == kMax ? kMax
                              : saturate((__int128)greatest * *by + (*by - 1)));
}

Extent Atoms::simplify(const Extent &e) {
  if (replacements.empty() && !isRestricted)
    return e;
  // Most terms stay as they are, and so does their order; each of the others is
  // one addition to a sum that may be long.
  Extent result;
  llvm::SmallVector<Extent> changed;
  for (const Extent::Term &term : e.sum) {
    if (llvm::all_of(term.factors,
                     [&](unsigned id) { return simplify(id).atom() == id; })) {
      result.sum.push_back(term);
      continue;
    }
    Extent value = term.coefficient;
    for (unsigned id : term.factors)
      value *= simplify(id);
    changed.push_back(std::move(value));
  }
  for (const Extent &value : changed)
    result += value;
  return result;
}

Extent Atoms::simplify(unsigned id) {
  if (auto known = simplified.find(id); known != simplified.end())
    return known->second;
  auto replacement = replacements.find(id);
  Atom atom = atoms[id]; // a copy: making atoms moves them
  Extent result;
  if (replacement != replacements.end()) {
    result = simplify(replacement->second);
  } else if (atom.kind == Kind::symbol || atom.kind == Kind::runtime) {
    result = Extent::atom(id);
  } else {
    Extent a = simplify(atom.a), b = simplify(atom.b),
           condition = simplify(atom.condition);
    switch (atom.kind) {
    case Kind::floorDiv:
      result = floorDiv(a, b);
      break;
    case Kind::mod:
      result = mod(a, b);
      break;
    case Kind::max:
      result = max(a, b);
      break;
    case Kind::min:
      result = min(a, b);
      break;
    case Kind::equal:
      result = equal(a, b);
      break;
    case Kind::less:
      result = less(a, b);
      break;
    default:
      result = select(condition, a, b);
      break;
    }
  }
  return simplified[id] = result;
}

bool Atoms::contains(const Extent &e, unsigned id) const {
  return any(e, [&](unsigned factor) { return factor == id; });
}

void Atoms::symbolsOf(const Extent &e,
                      llvm::SmallVectorImpl<std::string> &names) const {
  for (const Extent::Term &term : e.sum)
    for (unsigned id : term.factors) {
      const Atom &atom = atoms[id];
      if (atom.kind == Kind::symbol && !llvm::is_contained(names, atom.name))
        names.push_back(atom.name);
      symbolsOf(atom.condition, names);
      symbolsOf(atom.a, names);
      symbolsOf(atom.b, names);
    }
}
