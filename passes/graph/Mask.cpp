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

Visibility fulgur::visibilityOf(Terms &terms, const Term *visible, unsigned i,
                                unsigned j) {
  Visibility result;
  SmallVector<const Term *> parts;
  collectParts(terms, visible, parts);
  Number query = Number::atom(i), key = Number::atom(j);
  for (const Term *part : parts) {
    if (part->kind == Term::Kind::notPositive) {
      Number offset = key - query - part->number,
             start = part->number - (query - key);
      auto free = [&](const Number &number) {
        return terms.number(number, IndexType::get(part->type.getContext()))
            ->loops.empty();
      };
      if (free(offset) && !result.offset) {
        result.offset = offset;
        continue;
      }
      if (free(start) && !result.start) {
        result.start = start;
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
