#include "passes/graph/Term.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace fulgur;

bool Term::isConstant(bool value) const {
  auto integer = dyn_cast_or_null<IntegerAttr>(constant);
  return kind == Kind::constant && integer && type.isInteger(1) &&
         integer.getValue().isZero() != value;
}

std::optional<double> Term::real() const {
  auto number = dyn_cast_or_null<FloatAttr>(constant);
  if (kind != Kind::constant || !number)
    return std::nullopt;
  return number.getValueAsDouble();
}

const Term *Terms::intern(Term term) {
  std::vector<Number> at(term.reading.at.begin(), term.reading.at.end());
  const void *name = nullptr, *attributes = nullptr;
  if (term.like) {
    name = term.like->getName().getAsOpaquePointer();
    attributes = term.like->getAttrDictionary().getAsOpaquePointer();
  }
  Key key{int(term.kind),
          term.type.getAsOpaquePointer(),
          term.constant.getAsOpaquePointer(),
          term.number,
          term.reading.tensor.getAsOpaquePointer(),
          std::move(at),
          name,
          attributes,
          {term.operands.begin(), term.operands.end()}};
  std::unique_ptr<Term> &place = terms[key];
  if (place)
    return place.get();
  std::set<unsigned> loops;
  auto add = [&](const Number &number) {
    for (unsigned loop : atoms.loopsOf(number))
      loops.insert(loop);
  };
  add(term.number);
  for (const Number &number : term.reading.at)
    add(number);
  term.usesRoot = term.isRoot();
  for (const Term *operand : term.operands) {
    loops.insert(operand->loops.begin(), operand->loops.end());
    term.usesRoot |= operand->usesRoot;
  }
  term.loops.assign(loops.begin(), loops.end());
  place = std::make_unique<Term>(std::move(term));
  return place.get();
}

const Term *Terms::constant(Attribute value, Type type) {
  auto integer = dyn_cast<IntegerAttr>(value);
  if (integer && (type.isIndex() || type.isInteger(64)))
    return number(integer.getInt(), type);
  Term term{Term::Kind::constant, type};
  term.constant = value;
  return intern(std::move(term));
}

const Term *Terms::boolean(bool value) {
  return constant(builder.getBoolAttr(value), builder.getI1Type());
}

const Term *Terms::number(const Number &number, Type type) {
  Term term{Term::Kind::number, type};
  term.number = number;
  return intern(std::move(term));
}

/// An operation that stands for others of its kind on booleans.
template <typename Op> static Operation *logical(OpBuilder &builder) {
  Location loc = builder.getUnknownLoc();
  Value yes =
      arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true));
  return Op::create(builder, loc, yes, yes);
}

const Term *Terms::notPositive(const Number &number) {
  if (atoms.knownNonNegative(Number(0) - number))
    return boolean(true);
  if (atoms.knownNonNegative(number - 1))
    return boolean(false);
  // The greater one of two is if both are.
  if (auto both = atoms.greaterOf(number))
    return operation(logical<arith::AndIOp>(builder),
                     {notPositive(both->first), notPositive(both->second)});
  Term term{Term::Kind::notPositive, builder.getI1Type()};
  term.number = number;
  return intern(std::move(term));
}

const Term *Terms::operation(Operation *like, ArrayRef<const Term *> operands) {
  if (const Term *simple = simplified(like, operands))
    return simple;
  Term term{Term::Kind::operation, like->getResult(0).getType()};
  term.like = like;
  term.operands.assign(operands.begin(), operands.end());
  return intern(std::move(term));
}

/// Whether this is `not x`; x then.
static const Term *negationOf(const Term *term) {
  if (term->kind == Term::Kind::operation && isa<arith::XOrIOp>(term->like) &&
      term->operands[1]->isConstant(true))
    return term->operands[0];
  return nullptr;
}

const Term *Terms::negated(const Term *term) {
  if (term->kind == Term::Kind::constant)
    return boolean(!term->isConstant(true));
  if (term->kind == Term::Kind::notPositive)
    return notPositive(Number(1) - term->number);
  if (const Term *inner = negationOf(term))
    return inner;
  Term result{Term::Kind::operation, builder.getI1Type()};
  result.like = logical<arith::XOrIOp>(builder);
  result.operands = {term, boolean(true)};
  return intern(std::move(result));
}

/// Arithmetic on constants, in the type's own precision.
static std::optional<APFloat> foldConstants(Operation *like,
                                            ArrayRef<APFloat> x) {
  auto with = [&](auto act) {
    APFloat result = x[0];
    (result.*act)(x[1], APFloat::rmNearestTiesToEven);
    return result;
  };
  if (isa<arith::AddFOp>(like))
    return with(&APFloat::add);
  if (isa<arith::SubFOp>(like))
    return with(&APFloat::subtract);
  if (isa<arith::MulFOp>(like))
    return with(&APFloat::multiply);
  if (isa<arith::DivFOp>(like))
    return with(&APFloat::divide);
  if (isa<arith::NegFOp>(like))
    return neg(x[0]);
  return std::nullopt;
}

const Term *Terms::simplified(Operation *like, ArrayRef<const Term *> x) {
  Type type = like->getResult(0).getType();
  auto isNumber = [](const Term *term) {
    return term->kind == Term::Kind::number;
  };
  bool numbers = llvm::all_of(x, isNumber),
       wide = type.isIndex() || type.isInteger(64);
  // Integers.
  if (numbers && wide) {
    if (isa<arith::IndexCastOp, arith::ExtSIOp>(like))
      return number(x[0]->number, type);
    if (isa<arith::AddIOp>(like))
      return number(x[0]->number + x[1]->number, type);
    if (isa<arith::SubIOp>(like))
      return number(x[0]->number - x[1]->number, type);
    if (isa<arith::MulIOp>(like))
      return number(x[0]->number * x[1]->number, type);
    if (isa<arith::MinSIOp>(like))
      return number(atoms.least(x[0]->number, x[1]->number), type);
    if (isa<arith::MaxSIOp>(like))
      return number(atoms.greatest(x[0]->number, x[1]->number), type);
    // A position is taken apart: what rounding does below 0 is of no interest.
    bool isQuotient = isa<arith::DivSIOp, arith::FloorDivSIOp>(like);
    if ((isQuotient || isa<arith::RemSIOp>(like)) &&
        atoms.knownNonNegative(x[0]->number) &&
        atoms.knownNonNegative(x[1]->number - 1))
      if (auto parts =
              atoms.split(x[0]->number, {Number(0), x[1]->number}, wanted))
        return number((*parts)[isQuotient ? 0 : 1], type);
  }
  if (auto compare = dyn_cast<arith::CmpIOp>(like); compare && numbers) {
    Number difference = x[0]->number - x[1]->number;
    switch (compare.getPredicate()) {
    case arith::CmpIPredicate::sle:
      return notPositive(difference);
    case arith::CmpIPredicate::slt:
      return notPositive(difference + 1);
    case arith::CmpIPredicate::sge:
      return notPositive(Number(0) - difference);
    case arith::CmpIPredicate::sgt:
      return notPositive(Number(1) - difference);
    case arith::CmpIPredicate::eq:
    case arith::CmpIPredicate::ne:
      if (auto known = difference.constant())
        return boolean((*known == 0) ==
                       (compare.getPredicate() == arith::CmpIPredicate::eq));
      return nullptr;
    default:
      return nullptr;
    }
  }
  // Booleans.
  if (isa<arith::AndIOp, arith::OrIOp, arith::XOrIOp>(like) &&
      type.isInteger(1)) {
    bool isAnd = isa<arith::AndIOp>(like), isOr = isa<arith::OrIOp>(like);
    if (x[0] == x[1])
      return isAnd || isOr ? x[0] : boolean(false);
    for (auto [one, other] : {std::pair(x[0], x[1]), std::pair(x[1], x[0])}) {
      if (one->kind != Term::Kind::constant)
        continue;
      bool value = one->isConstant(true);
      if (isAnd)
        return value ? other : boolean(false);
      if (isOr)
        return value ? boolean(true) : other;
      if (!value)
        return other;
      if (other->kind != Term::Kind::operation || negationOf(other))
        return negated(other);
      if (one == x[0]) // the constant stands on the right
        return operation(like, {x[1], x[0]});
    }
    return nullptr;
  }
  if (isa<arith::SelectOp>(like)) {
    if (x[0]->kind == Term::Kind::constant)
      return x[0]->isConstant(true) ? x[1] : x[2];
    if (x[1] == x[2])
      return x[1];
    if (x[1]->isConstant(true) && x[2]->isConstant(false))
      return x[0];
    if (const Term *condition = negationOf(x[0]))
      return operation(like, {condition, x[2], x[1]});
    return nullptr;
  }
  if (x.size() == 1 && x[0]->kind == Term::Kind::constant &&
      x[0]->type.isInteger(1)) {
    double value = x[0]->isConstant(true);
    if (isa<arith::UIToFPOp>(like))
      return constant(builder.getFloatAttr(type, value), type);
    if (isa<arith::ExtUIOp>(like))
      return constant(builder.getIntegerAttr(type, int64_t(value)), type);
  }
  // Integers that were booleans.
  if (auto compare = dyn_cast<arith::CmpIOp>(like);
      compare && isNumber(x[1]) && x[1]->number.is(0) &&
      x[0]->kind == Term::Kind::operation && isa<arith::ExtUIOp>(x[0]->like) &&
      x[0]->operands[0]->type.isInteger(1)) {
    if (compare.getPredicate() == arith::CmpIPredicate::ne)
      return x[0]->operands[0];
    if (compare.getPredicate() == arith::CmpIPredicate::eq)
      return negated(x[0]->operands[0]);
  }
  if (isa<arith::SIToFPOp>(like) && numbers)
    if (auto known = x[0]->number.constant())
      return constant(builder.getFloatAttr(type, double(*known)), type);
  // Floating point.
  SmallVector<APFloat> values;
  for (const Term *operand : x)
    if (auto value = dyn_cast_or_null<FloatAttr>(operand->constant))
      values.push_back(value.getValue());
  if (!x.empty() && values.size() == x.size())
    if (auto result = foldConstants(like, values))
      return constant(builder.getFloatAttr(type, *result), type);
  if (isa<arith::AddFOp>(like))
    for (unsigned k : {0, 1})
      if (x[k]->real() == 0.0)
        return x[1 - k];
  if (isa<arith::SubFOp, arith::MulFOp, arith::DivFOp>(like)) {
    double neutral = isa<arith::SubFOp>(like) ? 0 : 1;
    if (x[1]->real() == neutral)
      return x[0];
    if (isa<arith::MulFOp>(like) && x[0]->real() == neutral)
      return x[1];
  }
  return nullptr;
}

const Term *Terms::replaced(const Term *term, const Term *from,
                            const Term *to) {
  llvm::DenseMap<const Term *, const Term *> done{{from, to}};
  auto visit = [&](auto &self, const Term *at) -> const Term * {
    if (auto found = done.find(at); found != done.end())
      return found->second;
    const Term *result = at;
    SmallVector<const Term *> operands;
    for (const Term *operand : at->operands)
      operands.push_back(self(self, operand));
    if (ArrayRef(operands) != ArrayRef(at->operands))
      result = operation(at->like, operands);
    done[at] = result;
    return result;
  };
  return visit(visit, term);
}

Value Terms::emit(OpBuilder &b, Location loc, const Term *term,
                  llvm::DenseMap<const Term *, Value> &known,
                  llvm::function_ref<Value(unsigned)> loop) const {
  if (Value value = known.lookup(term))
    return value;
  Value result;
  switch (term->kind) {
  case Term::Kind::constant:
    result = arith::ConstantOp::create(b, loc, cast<TypedAttr>(term->constant));
    break;
  case Term::Kind::number:
    result = atoms.emit(b, loc, term->number, loop);
    if (!term->type.isIndex())
      result = arith::IndexCastOp::create(b, loc, term->type, result);
    break;
  case Term::Kind::notPositive:
    result = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sle,
                                   atoms.emit(b, loc, term->number, loop),
                                   arith::ConstantIndexOp::create(b, loc, 0));
    break;
  case Term::Kind::leaf:
  case Term::Kind::root: {
    result = term->reading.tensor;
    if (!isa<RankedTensorType>(result.getType()))
      break;
    SmallVector<Value> at;
    for (const Number &number : term->reading.at)
      at.push_back(atoms.emit(b, loc, number, loop));
    result = tensor::ExtractOp::create(b, loc, result, at);
    break;
  }
  case Term::Kind::operation: {
    SmallVector<Value> operands;
    for (const Term *operand : term->operands)
      operands.push_back(emit(b, loc, operand, known, loop));
    OperationState state(loc, term->like->getName());
    state.addOperands(operands);
    state.addTypes(term->type);
    state.addAttributes(term->like->getAttrs());
    result = b.create(state)->getResult(0);
    break;
  }
  }
  known[term] = result;
  return result;
}
