#include "passes/graph/Number.h"
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace fulgur;

Number::Number(int64_t constant) { add({}, constant); }

Number Number::atom(unsigned id) {
  Number number;
  number.add({id}, 1);
  return number;
}

void Number::add(const Monomial &monomial, int64_t coefficient) {
  int64_t &at = sum[monomial];
  at += coefficient;
  if (at == 0)
    sum.erase(monomial);
}

std::optional<int64_t> Number::constant() const {
  if (sum.empty())
    return 0;
  if (sum.size() == 1 && sum.begin()->first.empty())
    return sum.begin()->second;
  return std::nullopt;
}

std::optional<unsigned> Number::atom() const {
  if (sum.size() == 1 && sum.begin()->first.size() == 1 &&
      sum.begin()->second == 1)
    return sum.begin()->first[0];
  return std::nullopt;
}

bool Number::has(unsigned atom) const {
  return llvm::any_of(
      sum, [&](auto &term) { return llvm::is_contained(term.first, atom); });
}

namespace fulgur {
Number operator+(const Number &a, const Number &b) {
  Number result = a;
  for (auto &[monomial, coefficient] : b.sum)
    result.add(monomial, coefficient);
  return result;
}

Number operator-(const Number &a, const Number &b) {
  Number result = a;
  for (auto &[monomial, coefficient] : b.sum)
    result.add(monomial, -coefficient);
  return result;
}

Number operator*(const Number &a, const Number &b) {
  Number result;
  for (auto &[left, x] : a.sum)
    for (auto &[right, y] : b.sum) {
      Number::Monomial both(left);
      llvm::append_range(both, right);
      llvm::sort(both);
      result.add(both, x * y);
    }
  return result;
}
} // namespace fulgur

Number Number::replaced(unsigned atom, const Number &by) const {
  Number result;
  for (auto &[monomial, coefficient] : sum) {
    Number product(coefficient);
    for (unsigned factor : monomial)
      product = product * (factor == atom ? by : Number::atom(factor));
    result = result + product;
  }
  return result;
}

/// Whether a value can be seen to be 0 or more.
static bool isNonNegative(Value value) {
  if (auto constant = getConstantIntValue(value))
    return *constant >= 0;
  Operation *op = value.getDefiningOp();
  if (isa_and_nonnull<SymbolOp, BoundedOp>(op))
    return true;
  if (isa_and_nonnull<arith::MaxSIOp>(op))
    return llvm::any_of(op->getOperands(), isNonNegative);
  return isa_and_nonnull<arith::AddIOp, arith::MulIOp, arith::MinSIOp,
                         arith::DivSIOp, arith::FloorDivSIOp,
                         arith::CeilDivSIOp, arith::IndexCastOp>(op) &&
         llvm::all_of(op->getOperands(), isNonNegative);
}

std::optional<std::pair<Number, Number>>
Atoms::greaterOf(const Number &number) const {
  for (auto &[monomial, coefficient] : number.terms()) {
    if (coefficient >= 0 || monomial.size() != 1)
      continue;
    unsigned smaller = monomial[0];
    ArrayRef<Number> choice = atoms[smaller].choice;
    if (choice.empty() || llvm::all_of(choice, [&](const Number &one) {
          return loopsOf(one).empty();
        }))
      continue;
    return std::pair(number.replaced(smaller, choice[0]),
                     number.replaced(smaller, choice[1]));
  }
  return std::nullopt;
}

/// Whether a size is a function of symbols, and so known everywhere.
static bool isOfSymbols(Value size) {
  Operation *op = size.getDefiningOp();
  return isa_and_nonnull<SymbolOp, arith::ConstantOp, arith::AddIOp,
                         arith::SubIOp, arith::MulIOp>(op) &&
         llvm::all_of(op->getOperands(), isOfSymbols);
}

/// What a requirement says that a size is, such as a sum of symbols.
static Value requiredEqual(Value size) {
  auto symbol = size.getDefiningOp<SymbolOp>();
  auto main = size.getDefiningOp()->getParentOfType<func::FuncOp>();
  if (!main)
    return {};
  for (RequireOp require : main.getBody().front().getOps<RequireOp>()) {
    auto compare = require.getCondition().getDefiningOp<arith::CmpIOp>();
    if (!compare || compare.getPredicate() != arith::CmpIPredicate::eq)
      continue;
    auto one = compare.getLhs().getDefiningOp<SymbolOp>();
    bool isSame = symbol ? one && one.getNameAttr() == symbol.getNameAttr()
                         : compare.getLhs() == size;
    if (isSame && isOfSymbols(compare.getRhs()))
      return compare.getRhs();
  }
  return {};
}

Number Atoms::of(OpFoldResult size) {
  if (auto constant = getConstantIntValue(size))
    return *constant;
  auto value = cast<Value>(size);
  if (auto symbol = value.getDefiningOp<SymbolOp>()) {
    StringAttr name = symbol.getNameAttr();
    if (symbols.try_emplace(name).second) {
      symbols[name] = Number::atom(make({false, true, {}, {}, name}));
      if (Value same = requiredEqual(symbol))
        symbols[name] = of(same);
    }
    return symbols[name];
  }
  if (auto add = value.getDefiningOp<arith::AddIOp>())
    return of(add.getLhs()) + of(add.getRhs());
  if (auto sub = value.getDefiningOp<arith::SubIOp>())
    return of(sub.getLhs()) - of(sub.getRhs());
  if (auto mul = value.getDefiningOp<arith::MulIOp>())
    return of(mul.getLhs()) * of(mul.getRhs());
  if (auto cast = value.getDefiningOp<arith::IndexCastOp>())
    return of(cast.getIn());
  if (auto min = value.getDefiningOp<arith::MinSIOp>())
    return least(of(min.getLhs()), of(min.getRhs()));
  if (auto max = value.getDefiningOp<arith::MaxSIOp>())
    return greatest(of(max.getLhs()), of(max.getRhs()));
  if (values.try_emplace(value).second) {
    values[value] =
        Number::atom(make({false, isNonNegative(value), {}, value, {}}));
    if (Value same = value.getDefiningOp() ? requiredEqual(value) : Value())
      values[value] = of(same);
  }
  return values[value];
}

unsigned Atoms::loop(const Number &size) {
  return make({true, true, size, {}, {}});
}

Number Atoms::least(const Number &a, const Number &b) {
  if (knownNonNegative(b - a))
    return a;
  if (knownNonNegative(a - b))
    return b;
  auto [at, isNew] = choices.try_emplace(std::minmax(a, b), 0);
  if (isNew)
    at->second = make({false,
                       knownNonNegative(a) && knownNonNegative(b),
                       {},
                       {},
                       {},
                       {at->first.first, at->first.second}});
  return Number::atom(at->second);
}

bool Atoms::uses(const Number &number, unsigned atom) const {
  return llvm::any_of(number.terms(), [&](auto &term) {
    return llvm::any_of(term.first, [&](unsigned id) {
      return id == atom || llvm::any_of(atoms[id].choice, [&](auto &either) {
               return uses(either, atom);
             });
    });
  });
}

bool Atoms::knownNonNegative(Number number) const {
  // The smaller one of two is one of them, and no more than either.
  for (unsigned id = 0; id < atoms.size(); ++id) {
    if (atoms[id].choice.empty() || !number.has(id))
      continue;
    auto holds = [&](const Number &either) {
      return knownNonNegative(number.replaced(id, either));
    };
    bool falls = llvm::all_of(number.terms(), [&](auto &term) {
      return !llvm::is_contained(term.first, id) ||
             (term.second < 0 && term.first.size() == 1);
    });
    return falls ? llvm::any_of(atoms[id].choice, holds)
                 : llvm::all_of(atoms[id].choice, holds);
  }
  for (unsigned id = 0; id < atoms.size(); ++id) {
    if (!atoms[id].loop || !number.has(id))
      continue;
    bool rises = false, falls = false;
    for (auto &[monomial, coefficient] : number.terms())
      if (llvm::is_contained(monomial, id))
        (coefficient > 0 ? rises : falls) = true;
    if (rises && falls)
      return false;
    number = number.replaced(id, rises ? Number(0) : atoms[id].size - 1);
  }
  return llvm::all_of(number.terms(), [&](auto &term) {
    return term.second >= 0 && llvm::all_of(term.first, [&](unsigned id) {
             return atoms[id].nonNegative;
           });
  });
}

/// The largest part of `number` that is a multiple of `by`, a single term,
/// divided by it.
static Number quotient(const Number &number, const Number &by) {
  auto &[divisor, factor] = *by.terms().begin();
  Number result;
  for (auto &[monomial, coefficient] : number.terms()) {
    Number::Monomial left(monomial);
    bool divides = coefficient % factor == 0;
    for (unsigned atom : divisor) {
      auto *at = llvm::find(left, atom);
      divides &= at != left.end();
      if (at != left.end())
        left.erase(at);
    }
    if (!divides)
      continue;
    Number term(coefficient / factor);
    for (unsigned atom : left)
      term = term * Number::atom(atom);
    result = result + term;
  }
  return result;
}

std::optional<SmallVector<Number>>
Atoms::split(Number number, ArrayRef<Number> sizes,
             std::optional<Wanted> &wanted) const {
  SmallVector<Number> parts(sizes.size());
  // Of dims of size 1 there is one position, and all before the first dim that
  // is left over are that dim's.
  size_t first = 0;
  while (first + 1 < sizes.size() && sizes[first].is(1))
    ++first;
  for (size_t k = sizes.size(); k-- > first;) {
    if (k == first) {
      parts[k] = number;
      break;
    }
    if (sizes[k].is(1))
      continue;
    if (sizes[k].terms().size() != 1)
      return std::nullopt;
    Number outer = quotient(number, sizes[k]);
    parts[k] = number - outer * sizes[k];
    if (!knownNonNegative(parts[k]) ||
        !knownNonNegative(sizes[k] - 1 - parts[k])) {
      if (auto atom = parts[k].atom(); atom && isLoop(*atom))
        wanted = {*atom, sizes[k]};
      return std::nullopt;
    }
    number = outer;
  }
  return parts;
}

std::optional<Number> Atoms::splitLoop(const Wanted &wanted) {
  Number size = sizeOf(wanted.loop), outer = quotient(size, wanted.inner);
  if (!(outer * wanted.inner == size) || outer.is(1) || wanted.inner.is(1))
    return std::nullopt;
  return Number::atom(loop(outer)) * wanted.inner +
         Number::atom(loop(wanted.inner));
}

SmallVector<unsigned> Atoms::loopsOf(const Number &number) const {
  SmallVector<unsigned> loops;
  for (unsigned id = 0; id < atoms.size(); ++id)
    if (atoms[id].loop && uses(number, id))
      loops.push_back(id);
  // A loop of a greater stride has a multiple of the others'.
  auto stride = [&](unsigned loop) {
    std::tuple<size_t, int64_t, int64_t> most{0, 0, -int64_t(loop)};
    for (auto &[monomial, coefficient] : number.terms())
      if (llvm::is_contained(monomial, loop))
        most = std::max(most, {monomial.size(), coefficient, -int64_t(loop)});
    return most;
  };
  llvm::sort(loops,
             [&](unsigned a, unsigned b) { return stride(a) > stride(b); });
  return loops;
}

Value Atoms::emit(OpBuilder &b, Location loc, const Number &number,
                  llvm::function_ref<Value(unsigned)> loop) const {
  Value total;
  for (auto &[monomial, coefficient] : number.terms()) {
    Value product;
    auto times = [&](Value factor) {
      product = product
                    ? arith::MulIOp::create(b, loc, product, factor,
                                            arith::IntegerOverflowFlags::nsw)
                          .getResult()
                    : factor;
    };
    for (unsigned id : monomial) {
      const Atom &atom = atoms[id];
      if (atom.loop)
        times(loop(id));
      else if (!atom.choice.empty())
        times(arith::MinSIOp::create(b, loc, emit(b, loc, atom.choice[0], loop),
                                     emit(b, loc, atom.choice[1], loop)));
      else if (atom.symbol)
        times(SymbolOp::create(b, loc, atom.symbol));
      else if (isa<IndexType>(atom.value.getType()))
        times(atom.value);
      else
        times(arith::IndexCastOp::create(b, loc, b.getIndexType(), atom.value));
    }
    if (coefficient != 1 || !product)
      times(arith::ConstantIndexOp::create(b, loc, coefficient));
    total = total ? arith::AddIOp::create(b, loc, total, product,
                                          arith::IntegerOverflowFlags::nsw)
                        .getResult()
                  : product;
  }
  return total ? total : arith::ConstantIndexOp::create(b, loc, 0).getResult();
}

OpFoldResult Atoms::size(OpBuilder &b, Location loc,
                         const Number &number) const {
  if (auto constant = number.constant())
    return b.getIndexAttr(*constant);
  return emit(b, loc, number);
}
