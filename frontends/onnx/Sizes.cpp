#include "frontends/onnx/Sizes.h"
#include "dialects/Fulgur.h"

using namespace mlir;
using namespace fulgur::onnx;

template <typename Op, typename... Args>
Value Sizes::emit(Location loc, Args &&...args) {
  place(!atHead);
  auto op = Op::create(builder, loc, std::forward<Args>(args)...);
  if (atHead)
    head = op;
  else if (tail)
    tail = op;
  return op.getResult();
}

void Sizes::begin(Block *block) {
  entry = block;
  builder = OpBuilder::atBlockBegin(block);
  tail = head = nullptr;
  atHead = true;
  values.clear();
  atoms.settle(); // sizes that other blocks compute are symbols for this one
}

void Sizes::restore(const Facts &facts) {
  atoms = facts.atoms;
  minima = facts.minima;
  origins = facts.origins;
  carried = facts.carried;
}

void Sizes::sized(Value argument, ArrayRef<Extent> shape, Location loc) {
  SmallVector<Value> dims;
  auto type = cast<RankedTensorType>(argument.getType());
  for (auto [size, extent] : llvm::zip(type.getShape(), shape))
    if (ShapedType::isDynamic(size))
      dims.push_back(index(extent, loc));
  place(/*runtime=*/false);
  head = fulgur::SizedOp::create(builder, loc, argument, dims);
}

void Sizes::place(bool runtime) {
  atHead = !runtime;
  Operation *last = runtime ? tail : head;
  if (last)
    builder.setInsertionPointAfter(last);
  else if (runtime)
    builder.setInsertionPointToEnd(entry);
  else
    builder.setInsertionPointToStart(entry);
}

Extent Sizes::runtime(llvm::StringRef name, Value value, const Extent &bound,
                      const Twine &message, Location loc) {
  Value limit = index(bound, loc);
  atHead = false;
  Extent extent = atoms.runtime(name, atoms.upper(bound));
  place(true);
  auto op = BoundedOp::create(builder, loc, value, limit,
                              builder.getStringAttr(message));
  if (tail)
    tail = op;
  values[extent] = op.getResult();
  bounds[extent] = bound;
  origins[*extent.atom()] = op.getResult();
  return extent;
}

std::string Sizes::textWithBound(const Extent &extent) {
  auto bound = bounds.find(extent);
  return bound == bounds.end()
             ? atoms.text(extent)
             : atoms.text(extent) +
                   " <= " + atoms.text(atoms.simplify(bound->second));
}

Value Sizes::condition(const Extent &extent, Location loc) {
  std::optional<unsigned> id = extent.atom();
  Atoms::Kind kind = id ? atoms[*id].kind : Atoms::Kind::symbol;
  bool compares = kind == Atoms::Kind::equal || kind == Atoms::Kind::less;
  Extent left = compares ? atoms[*id].a : extent,
         right = compares ? atoms[*id].b : Extent(0);
  Value a = index(left, loc), b = index(right, loc);
  atHead = !atoms.isRuntime(extent);
  auto predicate = kind == Atoms::Kind::equal  ? arith::CmpIPredicate::eq
                   : kind == Atoms::Kind::less ? arith::CmpIPredicate::slt
                                               : arith::CmpIPredicate::ne;
  return emit<arith::CmpIOp>(loc, predicate, a, b);
}

Value Sizes::atom(unsigned id, Location loc) {
  Atoms::Atom atom = atoms[id];
  if (atom.kind == Atoms::Kind::symbol)
    return emit<SymbolOp>(loc, builder.getIndexType(),
                          builder.getStringAttr(atom.name));
  if (atom.kind == Atoms::Kind::runtime) {
    std::string &name = carried[id];
    if (name.empty())
      name = carry(origins.at(id), atom.name);
    atHead = true;
    return emit<SymbolOp>(loc, builder.getIndexType(),
                          builder.getStringAttr(name));
  }
  if (atom.kind == Atoms::Kind::equal || atom.kind == Atoms::Kind::less)
    return emit<arith::IndexCastUIOp>(loc, builder.getIndexType(),
                                      condition(Extent::atom(id), loc));
  Value chosen = atom.kind == Atoms::Kind::select
                     ? condition(atom.condition, loc)
                     : Value();
  Value a = index(atom.a, loc), b = index(atom.b, loc);
  atHead = !atoms.isRuntime(Extent::atom(id));
  if (chosen)
    return emit<arith::SelectOp>(loc, chosen, a, b);
  bool natural = atoms.lower(atom.a) >= 0 && atoms.lower(atom.b) >= 0;
  bool divides =
      atom.kind == Atoms::Kind::floorDiv || atom.kind == Atoms::Kind::mod;
  // For absurd symbols a product wraps to 0, and what is required of a size may
  // not hold. Such a run is refused, but only after its sizes are computed,
  // which a division by 0 must not prevent.
  if (divides && !atom.b.constant())
    b = emit<arith::MaxSIOp>(loc, b, emit<arith::ConstantIndexOp>(loc, 1));
  switch (atom.kind) {
  case Atoms::Kind::max:
    return emit<arith::MaxSIOp>(loc, a, b);
  case Atoms::Kind::min:
    return emit<arith::MinSIOp>(loc, a, b);
  case Atoms::Kind::floorDiv:
    return natural ? emit<arith::DivUIOp>(loc, a, b)
                   : emit<arith::FloorDivSIOp>(loc, a, b);
  default:
    break;
  }
  if (natural)
    return emit<arith::RemUIOp>(loc, a, b);
  return emit<arith::SubIOp>(
      loc, a,
      emit<arith::MulIOp>(loc, emit<arith::FloorDivSIOp>(loc, a, b), b));
}

Value Sizes::index(const Extent &unsimplified, Location loc) {
  Extent extent = atoms.simplify(unsimplified);
  auto known = values.find(extent);
  if (known != values.end())
    return known->second;
  bool runtime = atoms.isRuntime(extent);
  auto here = [&] {
    atHead = !runtime;
  }; // building the parts may have gone elsewhere
  here();
  auto noWrap = atoms.isData(extent) ? arith::IntegerOverflowFlags::none
                                     : arith::IntegerOverflowFlags::nsw;
  Value sum;
  if (std::optional<int64_t> constant = extent.constant()) {
    sum = emit<arith::ConstantIndexOp>(loc, *constant);
  } else if (std::optional<unsigned> id = extent.atom()) {
    sum = atom(*id, loc);
  } else {
    for (const Extent::Term &term : extent.terms()) {
      Value product;
      for (unsigned id : term.factors) {
        Value factor = index(Extent::atom(id), loc);
        here();
        product = product ? emit<arith::MulIOp>(loc, product, factor, noWrap)
                          : factor;
      }
      if (!product || term.coefficient != 1) {
        Value coefficient = index(term.coefficient, loc);
        here();
        product = product
                      ? emit<arith::MulIOp>(loc, product, coefficient, noWrap)
                      : coefficient;
      }
      sum = sum ? emit<arith::AddIOp>(loc, sum, product, noWrap) : product;
    }
  }
  values[extent] = sum;
  return sum;
}

void Sizes::require(int predicate, const Extent &a, const Extent &b,
                    const Twine &message, Location loc) {
  Value left = index(a, loc), right = index(b, loc);
  atHead = !atoms.isRuntime(a) && !atoms.isRuntime(b);
  Value condition =
      emit<arith::CmpIOp>(loc, arith::CmpIPredicate(predicate), left, right);
  place(!atHead);
  auto op = RequireOp::create(builder, loc, condition,
                              builder.getStringAttr(message));
  if (atHead)
    head = op;
  else if (tail)
    tail = op;
}

void Sizes::requireEqual(const Extent &left, const Extent &right,
                         const Twine &message, Location loc) {
  if (atoms.knownEqual(left, right))
    return;
  Extent a = atoms.simplify(left), b = atoms.simplify(right);
  // Being the minimum of oneself and a limit is to be within the limit, which
  // says more to whoever reads it.
  for (auto [x, y] : {std::pair(a, b), std::pair(b, a)})
    if (y.atom() && atoms[*y.atom()].kind == Atoms::Kind::min) {
      Atoms::Atom min = atoms[*y.atom()];
      if (x == min.a || x == min.b) {
        const Extent &limit = x == min.a ? min.b : min.a;
        requireAtLeast(limit, x,
                       "'" + atoms.text(x) + "' must be at most " +
                           atoms.text(limit),
                       loc);
        atoms.unite(y, x);
        return;
      }
    }
  require(int(arith::CmpIPredicate::eq), a, b, message, loc);
  atoms.unite(a, b);
}

void Sizes::requireAtLeast(const Extent &left, const Extent &right,
                           const Twine &message, Location loc) {
  Extent a = atoms.simplify(left), b = atoms.simplify(right);
  if (atoms.knownAtLeast(a, b) || !minima.insert({a, b}).second)
    return;
  require(int(arith::CmpIPredicate::sge), a, b, message, loc);
  atoms.restrict(a, atoms.lower(b), Atoms::kMax);
  atoms.restrict(b, Atoms::kMin, atoms.upper(a));
}
