#include "passes/graph/Mask.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SetVector.h"
#include <cmath>

using namespace mlir;
using namespace fulgur;

/// Scores this far below others give weights of 0.
static constexpr double kLow = -9999;

/// How low a score is at least; nothing if it need not be low.
static std::optional<double> lowness(const Term *term) {
  if (auto value = term->real())
    return *value <= kLow ? value : std::nullopt;
  if (term->kind != Term::Kind::operation)
    return std::nullopt;
  ArrayRef<const Term *> x = term->operands;
  if (isa<arith::AddFOp>(term->like)) {
    auto a = lowness(x[0]), b = lowness(x[1]);
    if (a && b)
      return *a + *b;
    return a ? a : b;
  }
  if (isa<arith::SelectOp>(term->like)) {
    auto a = lowness(x[1]), b = lowness(x[2]);
    if (a && b && *a == *b)
      return a;
  }
  return std::nullopt;
}

/// The booleans of a term that do not depend on the product, outermost first.
static void collectConditions(const Term *term,
                              llvm::SetVector<const Term *> &conditions,
                              SmallPtrSetImpl<const Term *> &seen) {
  if (!seen.insert(term).second)
    return;
  if (term->type.isInteger(1) && !term->usesRoot &&
      term->kind != Term::Kind::constant)
    conditions.insert(term);
  for (const Term *operand : term->operands)
    collectConditions(operand, conditions, seen);
}

std::optional<Mask> fulgur::maskOf(Terms &terms, const Term *score) {
  llvm::SetVector<const Term *> conditions;
  SmallPtrSet<const Term *, 16> seen;
  collectConditions(score, conditions, seen);
  for (const Term *condition : conditions)
    for (bool visible : {true, false}) {
      const Term *hidden =
          terms.replaced(score, condition, terms.boolean(!visible));
      std::optional<double> low = lowness(hidden);
      if (!low)
        continue;
      return Mask{visible ? condition : terms.negated(condition),
                  terms.replaced(score, condition, terms.boolean(visible)),
                  *low};
    }
  return std::nullopt;
}

/// Takes `a and b` apart.
static void collectParts(Terms &terms, const Term *term,
                         SmallVectorImpl<const Term *> &parts) {
  if (term->kind == Term::Kind::operation) {
    if (isa<arith::AndIOp>(term->like)) {
      collectParts(terms, term->operands[0], parts);
      collectParts(terms, term->operands[1], parts);
      return;
    }
    // not (a or b)
    const Term *inner = terms.negated(term);
    if (inner->kind == Term::Kind::operation &&
        isa<arith::OrIOp>(inner->like)) {
      collectParts(terms, terms.negated(inner->operands[0]), parts);
      collectParts(terms, terms.negated(inner->operands[1]), parts);
      return;
    }
  }
  if (!llvm::is_contained(parts, term))
    parts.push_back(term);
}

/// An integer that is a number and maybe a term, times -1 if `negative`.
namespace {
struct Sum {
  Number number;
  const Term *rest = nullptr;
  bool negative = false;
};
} // namespace

static std::optional<Sum> sumOf(const Term *term) {
  if (term->kind == Term::Kind::number)
    return Sum{term->number};
  if (term->isA<arith::IndexCastOp>())
    return sumOf(term->operands[0]);
  bool isDifference = term->isA<arith::SubIOp>();
  if (!isDifference && !term->isA<arith::AddIOp>())
    return Sum{0, term};
  auto a = sumOf(term->operands[0]), b = sumOf(term->operands[1]);
  if (!a || !b || (a->rest && b->rest))
    return std::nullopt;
  if (isDifference)
    return Sum{a->number - b->number, a->rest ? a->rest : b->rest,
               a->rest ? a->negative : !b->negative};
  return Sum{a->number + b->number, a->rest ? a->rest : b->rest,
             a->rest ? a->negative : b->negative};
}

/// What is not positive where `part` holds.
static std::optional<Sum> boundOf(const Term *part) {
  if (part->kind == Term::Kind::notPositive)
    return Sum{part->number};
  if (!part->isA<arith::CmpIOp>())
    return std::nullopt;
  auto left = sumOf(part->operands[0]), right = sumOf(part->operands[1]);
  if (!left || !right || bool(left->rest) == bool(right->rest))
    return std::nullopt;
  int64_t strict = 0;
  switch (cast<arith::CmpIOp>(part->like).getPredicate()) {
  case arith::CmpIPredicate::sge:
    std::swap(left, right);
    break;
  case arith::CmpIPredicate::sgt:
    std::swap(left, right);
    strict = 1;
    break;
  case arith::CmpIPredicate::sle:
    break;
  case arith::CmpIPredicate::slt:
    strict = 1;
    break;
  default:
    return std::nullopt;
  }
  const Term *rest = left->rest ? left->rest : right->rest;
  bool negative = left->rest ? left->negative : !right->negative;
  if (!rest->type.isInteger(64))
    return std::nullopt;
  return Sum{left->number - right->number + strict, rest, negative};
}

Visibility fulgur::visibilityOf(Terms &terms, const Term *visible, unsigned i,
                                unsigned j, const Number &queries) {
  Visibility result;
  SmallVector<const Term *> parts;
  collectParts(terms, visible, parts);
  // The only one is 0, and conditions need not name it.
  Number query = queries.is(1) ? Number(0) : Number::atom(i),
         key = Number::atom(j);
  for (const Term *part : parts) {
    auto bound = boundOf(part);
    if (bound && bound->rest &&
        (llvm::is_contained(bound->rest->loops, i) ||
         llvm::is_contained(bound->rest->loops, j)))
      bound.reset();
    if (bound) {
      bound->number = bound->number.replaced(i, query);
      Number offset = key - query - bound->number,
             start = bound->number - (query - key);
      auto free = [&](const Number &number) {
        return terms.number(number, IndexType::get(part->type.getContext()))
            ->loops.empty();
      };
      if (free(offset) && !result.offset && (!bound->rest || bound->negative)) {
        result.offset = offset;
        result.ownOffset = bound->rest;
        continue;
      }
      if (free(start) && !result.start && !bound->negative) {
        result.start = start;
        result.ownStart = bound->rest;
        continue;
      }
    }
    result.others.push_back(part);
  }
  return result;
}

bool fulgur::mayHide(const Term *score) {
  if (auto value = score->real())
    return std::abs(*value) >= -kLow;
  if (score->kind == Term::Kind::leaf && isa<FloatType>(score->type)) {
    // A view of what the caller gives.
    Value tensor = score->reading.tensor;
    while (isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp,
                           tensor::ExtractSliceOp, tensor::CastOp>(
        tensor.getDefiningOp()))
      tensor = tensor.getDefiningOp()->getOperand(0);
    return isa<BlockArgument>(tensor);
  }
  return llvm::any_of(score->operands, mayHide);
}
