// From the second product of an attention backwards: what its operands, its
// score and its masks are.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Dims.h"
#include "passes/graph/AttentionFusion.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace fulgur;

static constexpr double kInfinity = std::numeric_limits<double>::infinity();
/// A score that is added to this does not change it.
static constexpr double kAbsorbing = -1e38;

bool fulgur::isPlainProduct(Operation *op) {
  auto product = dyn_cast_or_null<linalg::LinalgOp>(op);
  if (!product || !product.hasPureTensorSemantics() ||
      !linalg::isaContractionOpInterface(product))
    return false;
  for (Value operand : product->getOperands())
    if (!getElementTypeOrSelf(operand).isF32())
      return false;
  auto fill = product.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  return fill && matchPattern(fill.value(), m_AnyZeroFloat());
}

bool AttentionFusion::run() {
  if (fuse())
    return true;
  // A score may have more products than the one of queries and keys, such as
  // those with vectors of distances: any of them may be that one.
  SmallVector<Operation *> several(products.getArrayRef());
  for (Operation *first : several) {
    others = {several.begin(), several.end()};
    others.erase(first);
    depth.reset();
    parts.clear();
    whole.clear();
    if (fuse())
      return true;
  }
  if (several.size() > 1)
    reason = "the score is made of several products, of which none is one of "
             "queries and keys";
  return false;
}

bool AttentionFusion::fuse() {
  auto isRoot = [&](Operation *op) {
    return isa<SoftmaxOp>(op) || (isPlainProduct(op) && !others.contains(op));
  };
  SmallVector<unsigned> splits;
  while (true) {
    Terms terms(atoms, b, isRoot);
    this->terms = &terms;
    bool found = attempt();
    std::optional<Number> number;
    // A split does not reach a loop that is read as it is: once was enough.
    if (terms.wanted && parts.erase(terms.wanted->loop)) {
      llvm::erase(splits, terms.wanted->loop);
      whole.insert(terms.wanted->loop);
      continue;
    }
    if (terms.wanted && !whole.contains(terms.wanted->loop))
      number = atoms.splitLoop(*terms.wanted);
    if (number) {
      parts.emplace(terms.wanted->loop, *number);
      splits.push_back(terms.wanted->loop);
      continue;
    }
    if (found) {
      write();
      return true;
    }
    // A split that did not help is taken back.
    if (splits.empty())
      return false;
    parts.erase(splits.back());
    whole.insert(splits.pop_back_val());
  }
}

bool AttentionFusion::attempt() {
  return findWeights() && findProduct() && findLoops() && findResult() &&
         (takeMasks(), addendsOf(score));
}

Number AttentionFusion::position(std::optional<unsigned> loop) const {
  if (!loop)
    return 0;
  Number number = Number::atom(*loop);
  bool changed = true;
  while (std::exchange(changed, false))
    for (auto &[outer, inner] : parts)
      if (number.has(outer)) {
        number = number.replaced(outer, inner);
        changed = true;
      }
  return number;
}

std::optional<AttentionFusion::Operand>
AttentionFusion::asOperand(const Reading &reading) {
  auto sizes = terms->dims(reading.tensor);
  if (!sizes)
    return std::nullopt;
  Operand operand{reading.tensor, {}};
  for (auto [number, size] : llvm::zip(reading.at, *sizes)) {
    SmallVector<unsigned> loops = atoms.loopsOf(number);
    Number position, product(1);
    for (unsigned loop : loops) {
      position = position * atoms.sizeOf(loop) + Number::atom(loop);
      product = product * atoms.sizeOf(loop);
      if (operand.has(loop))
        return std::nullopt; // a diagonal
    }
    if (!(position == number) || !(product == size))
      return std::nullopt;
    operand.dims.push_back(loops);
  }
  return operand;
}

/// The tensor behind transposes, broadcasts and factors; a reshape is passed
/// where this leads to one of these, or where the tensor needs none afterwards.
std::optional<AttentionFusion::Operand>
AttentionFusion::sourceOf(Reading at, double &factor) {
  std::optional<Operand> best = asOperand(at);
  double passed = 1, taken = 1;
  while (true) {
    bool expands =
        isa_and_nonnull<tensor::ExpandShapeOp>(at.tensor.getDefiningOp());
    std::optional<Reading> next = terms->moved(at);
    if (!next)
      next = terms->scaled(at, passed);
    if (!next)
      break;
    at = *next;
    std::optional<Operand> operand = asOperand(at);
    if (!operand || (best && expands && !operand->isPlain()))
      continue;
    best = operand;
    taken = passed;
  }
  factor *= taken;
  return best;
}

/// The softmax behind one of the operands of the second product; the other one
/// is the values.
bool AttentionFusion::findWeights() {
  SmallVector<AffineMap> maps = second.getIndexingMapsArray();
  if (secondLoops.empty()) {
    secondLoops.resize(second.getNumLoops());
    for (unsigned number : {0, 1}) {
      auto sizes = terms->dims(second.getDpsInputs()[number]);
      if (!sizes)
        return false;
      for (auto [dim, expr] : llvm::enumerate(maps[number].getResults()))
        if (auto loop = dyn_cast<AffineDimExpr>(expr))
          secondLoops[loop.getPosition()] = atoms.loop((*sizes)[dim]);
    }
  }
  SmallVector<Number> at = llvm::map_to_vector(
      secondLoops, [&](auto loop) { return position(loop); });
  for (unsigned number : {0, 1}) {
    auto weightsAt = readAt(maps[number], at),
         valuesAt = readAt(maps[1 - number], at);
    if (!weightsAt || !valuesAt)
      return false;
    const Term *term = terms->at(second.getDpsInputs()[number], *weightsAt);
    guarded = false;
    silenced = nullptr;
    if (term->isA<arith::SelectOp>() && term->operands[1]->real() == 0.0) {
      const Term *condition = term->operands[0], *kept = term->operands[2];
      auto compare = condition->isA<arith::CmpFOp>()
                         ? cast<arith::CmpFOp>(condition->like).getPredicate()
                         : arith::CmpFPredicate::AlwaysFalse;
      if ((compare == arith::CmpFPredicate::UNE ||
           compare == arith::CmpFPredicate::UNO) &&
          condition->operands[0] == kept && condition->operands[1] == kept) {
        term = kept;
        guarded = true;
      } else if (!condition->usesRoot) {
        term = kept;
        silenced = condition;
      }
    }
    if (!term->isRoot())
      continue;
    softmax = term->reading.tensor.getDefiningOp<SoftmaxOp>();
    if (!softmax)
      continue;
    rows = term->reading.at;
    Reading values{second.getDpsInputs()[1 - number], *valuesAt};
    double factor = 1;
    std::optional<Operand> operand = sourceOf(values, factor);
    if (factor != 1) // would be one of the result
      operand = asOperand(values);
    if (!operand)
      return no("the values are read in no simple order");
    value = *operand;
    return true;
  }
  return false;
}

/// What is normalized, without what is subtracted from whole rows, such as
/// their greatest element: that changes nothing.
static Value withoutShift(Value logits, int64_t axis) {
  auto op = logits.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumDpsInputs() != 2 || op.getNumResults() != 1 ||
      op.getNumParallelLoops() != op.getNumLoops())
    return logits;
  auto shift = op.getBody()
                   ->getTerminator()
                   ->getOperand(0)
                   .getDefiningOp<arith::SubFOp>();
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  bool isShift = shift && shift.getLhs() == op.getRegionInputArgs()[0] &&
                 shift.getRhs() == op.getRegionInputArgs()[1] &&
                 maps[0].isIdentity() && maps[2].isIdentity() &&
                 !maps[1].isFunctionOfDim(axis);
  return isShift ? op.getDpsInputs()[0] : logits;
}

/// The first product, and what makes the score of it.
bool AttentionFusion::findProduct() {
  int64_t axis = softmax.getAxis();
  std::optional<unsigned> keys = rows[axis].atom();
  auto sizes = terms->dims(softmax.getInput());
  if (!keys || !sizes)
    return no("the softmax is not over the keys");
  j = *keys;
  sink = nullptr;
  Value shifted = withoutShift(softmax.getInput(), axis);
  if ((*sizes)[axis] == atoms.sizeOf(j) + 1) {
    auto logits = shifted.getDefiningOp<tensor::ConcatOp>();
    if (!logits || logits.getInputs().size() != 2 ||
        int64_t(logits.getDim()) != axis)
      return no("the softmax is over more than the keys");
    SmallVector<Number> at(rows);
    at[axis] = 0;
    sink = terms->at(logits.getInputs()[1], at);
    if (sink->usesRoot)
      return no("the sink depends on the scores");
  } else if (!((*sizes)[axis] == atoms.sizeOf(j))) {
    return no("what the softmax is over is not known to be as many numbers as "
              "there are keys");
  }
  score = terms->at(shifted, rows);
  llvm::SmallPtrSet<const Term *, 16> seen;
  SmallVector<const Term *> open{score}, found;
  while (!open.empty()) {
    const Term *term = open.pop_back_val();
    if (!term->usesRoot || !seen.insert(term).second)
      continue;
    if (term->isRoot())
      found.push_back(term);
    llvm::append_range(open, term->operands);
  }
  if (found.empty())
    return no("the score is not made of a product");
  if (found.size() > 1) {
    products.clear();
    for (const Term *term : found)
      products.insert(term->reading.tensor.getDefiningOp());
    return no("the score reads one product at several places");
  }
  product = found[0];
  auto first = product->reading.tensor.getDefiningOp<linalg::LinalgOp>();
  if (!first)
    return no("the score is not made of a product");
  if (!feedsOnlySecond(first))
    return no("the scores or weights are used elsewhere");
  if (silenced && !hidesRow(silenced))
    return no("weights are set to 0 for other reasons than a mask");
  guarded |= silenced != nullptr;
  return findOperands(first);
}

bool AttentionFusion::findOperands(linalg::LinalgOp first) {
  SmallVector<AffineMap> maps = first.getIndexingMapsArray();
  SmallVector<Number> at(first.getNumLoops());
  SmallVector<unsigned> sums;
  first.getReductionDims(sums);
  auto dim = maps[0].getResultPosition(b.getAffineDimExpr(sums[0]));
  auto sizes = terms->dims(first.getDpsInputs()[0]);
  if (sums.size() != 1 || !dim || !sizes)
    return no("the scores are no plain product");
  if (!depth)
    depth = atoms.loop((*sizes)[*dim]);
  d = *depth;
  at[sums[0]] = Number::atom(d);
  for (auto [expr, number] :
       llvm::zip(maps.back().getResults(), product->reading.at))
    at[cast<AffineDimExpr>(expr).getPosition()] = number;
  scale = 1;
  std::optional<Operand> sides[2];
  for (unsigned number : {0, 1}) {
    auto where = readAt(maps[number], at);
    if (where)
      sides[number] = sourceOf({first.getDpsInputs()[number], *where}, scale);
    if (!sides[number])
      return no("queries or keys are read in no simple order");
  }
  bool swapped = sides[0]->has(j);
  query = *sides[swapped], key = *sides[!swapped];
  if (query.has(j) || !key.has(j) || !query.has(d) || !key.has(d))
    return no("queries and keys cannot be told apart");
  return true;
}

/// Whether nothing but the second product needs what comes out of the first.
bool AttentionFusion::feedsOnlySecond(Operation *first) {
  SmallVector<Operation *> open{first};
  llvm::SmallPtrSet<Operation *, 16> seen;
  while (!open.empty())
    for (Operation *user : open.pop_back_val()->getUsers()) {
      // A loop reads elements where its body stands.
      user = second->getBlock()->findAncestorOpInBlock(*user);
      if (user == second || !seen.insert(user).second)
        continue;
      if (!user || user->getNumResults() == 0 || isPlainProduct(user))
        return false;
      open.push_back(user);
    }
  return true;
}

/// What each loop is: a query, a column of the values, or one of the batch.
bool AttentionFusion::findLoops() {
  SmallVector<unsigned> shared;
  for (const Number &number : rows)
    for (unsigned loop : atoms.loopsOf(number))
      if (loop != j)
        shared.push_back(loop);
  auto isQuery = [&](unsigned loop) {
    return query.has(loop) && !key.has(loop) && !value.has(loop);
  };
  auto at = llvm::find_if(llvm::reverse(shared), isQuery);
  if (at == shared.rend())
    return no("keys or values differ from query to query");
  i = *at;
  batch.clear();
  for (unsigned loop : shared)
    if (loop != i)
      batch.push_back(loop);
  SmallVector<unsigned> columns;
  auto within = [&](const Operand &operand, unsigned own, unsigned other,
                    SmallVectorImpl<unsigned> *rest) {
    for (auto &dim : operand.dims)
      for (unsigned loop : dim)
        if (loop != own && loop != other && !llvm::is_contained(batch, loop)) {
          if (!rest)
            return false;
          rest->push_back(loop);
        }
    return operand.has(own);
  };
  if (!within(query, i, d, nullptr) || !within(key, j, d, nullptr) ||
      !within(value, j, j, &columns) || columns.size() != 1)
    return no("the operands have other loops than an attention");
  n = columns[0];
  // What the kernel's tiles hold.
  auto depth = atoms.sizeOf(d).constant(), width = atoms.sizeOf(n).constant();
  if (!depth || !width || *depth < 1 || *width < 1 || *depth + *width > 1024)
    return no("heads of a size that is not known, or that is too large");
  return true;
}

/// What comes behind the second product that the attention can do as well.
bool AttentionFusion::findResult() {
  masks.clear();
  const Term *rest = score;
  while (std::optional<Mask> mask = maskOf(*terms, rest)) {
    masks.push_back(*mask);
    rest = mask->score;
  }
  score = rest;

  emptied = false;
  result = second->getResult(0);
  auto at = readAt(second.getIndexingMapsArray().back(),
                   llvm::map_to_vector(
                       secondLoops, [&](auto loop) { return position(loop); }));
  std::optional<Operand> best =
      at ? asOperand({result, *at}) : std::optional<Operand>();
  if (!best)
    return no("the result is written in no simple order");
  resultAs = *best;
  Value last = result;
  while (last.hasOneUse()) {
    Operation *user = *last.user_begin();
    if (auto transpose = dyn_cast<linalg::TransposeOp>(user)) {
      SmallVector<Number> moved;
      for (int64_t from : transpose.getPermutation())
        moved.push_back((*at)[from]);
      at = moved;
    } else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(user)) {
      SmallVector<Number> moved;
      SmallVector<OpFoldResult> sizes = expand.getMixedOutputShape();
      for (auto [number, group] :
           llvm::zip(*at, expand.getReassociationIndices())) {
        auto within = llvm::map_to_vector(
            group, [&](int64_t dim) { return atoms.of(sizes[dim]); });
        auto split = atoms.split(number, within, terms->wanted);
        if (!split)
          return true;
        llvm::append_range(moved, *split);
      }
      at = moved;
    } else if (auto generic = dyn_cast<linalg::GenericOp>(user);
               generic && masks.size() == 1 && !emptied &&
               generic->getResult(0).getType() == last.getType()) {
      // Rows that see nothing are set to 0.
      const Term *term = terms->at(generic->getResult(0), *at);
      if (!term->isA<arith::SelectOp>() || mayHide(score) ||
          term->operands[1]->real() != 0.0 ||
          term->operands[2] != terms->at(last, *at) ||
          !countsVisible(term->operands[0], masks[0].visible))
        return true;
      emptied = true;
    } else {
      return true;
    }
    last = user->getResult(0);
    std::optional<Operand> operand = asOperand({last, *at});
    // A map picks no more dims than there are loops.
    if (!operand || llvm::count_if(operand->dims, [](auto &loops) {
                      return loops.empty();
                    }) > 2)
      continue;
    result = last;
    resultAs = *operand;
  }
  return true;
}

/// Whether `count` asks if a row's `visible` hold for less than one key.
bool AttentionFusion::countsVisible(const Term *count, const Term *visible) {
  if (!count->isA<arith::CmpFOp>())
    return false;
  auto predicate = cast<arith::CmpFOp>(count->like).getPredicate();
  bool below = (predicate == arith::CmpFPredicate::OLT ||
                predicate == arith::CmpFPredicate::ULT) &&
               count->operands[1]->real() == 1.0;
  bool none = (predicate == arith::CmpFPredicate::OEQ ||
               predicate == arith::CmpFPredicate::UEQ) &&
              count->operands[1]->real() == 0.0;
  if (!below && !none)
    return false;
  const Term *element = terms->folded<arith::AddFOp>(count->operands[0], 0, j);
  return element && element->isA<arith::UIToFPOp>() &&
         element->operands[0] == visible;
}

/// Whether `condition` says that all scores of a row are -∞, because something
/// that is added to them is. A finite constant, which is what a mask is where
/// there is none, says so of rows without keys only.
bool AttentionFusion::hidesRow(const Term *condition) {
  if (!condition->isA<arith::CmpFOp>() ||
      cast<arith::CmpFOp>(condition->like).getPredicate() !=
          arith::CmpFPredicate::OEQ ||
      condition->operands[1]->real() != -kInfinity)
    return false;
  const Term *element =
      terms->folded<arith::MaximumFOp>(condition->operands[0], -kInfinity, j);
  if (element && element->real() && *element->real() > -kInfinity)
    return true;
  const Term *sum = score;
  while (element && sum->isA<arith::AddFOp>()) {
    if (llvm::is_contained(sum->operands, element))
      return true;
    sum = sum->operands[sum->operands[0]->usesRoot ? 0 : 1];
  }
  return false;
}

/// Comparisons of positions become `causal`, other conditions are added.
void AttentionFusion::takeMasks() {
  offset.reset();
  windowStart.reset();
  ownOffset = nullptr;
  averages = false;
  addends.clear();
  bool clean = !mayHide(score);
  for (const Mask &mask : masks) {
    Visibility sees = visibilityOf(*terms, mask.visible, i, j, atoms.sizeOf(i));
    // A window ends with the last key that is seen.
    auto size = sees.offset && sees.start
                    ? (*sees.offset - *sees.start + 1).constant()
                    : std::nullopt;
    bool fits = sees.offset && !offset &&
                (!sees.start ||
                 (size && *size > 0 && sees.ownStart == sees.ownOffset)) &&
                (!sees.ownOffset ||
                 llvm::all_of(sees.ownOffset->loops, [&](unsigned loop) {
                   return llvm::is_contained(batch, loop);
                 }));
    // Every row sees a key, were it not for other conditions.
    bool full = fits && !sees.ownOffset && atoms.knownNonNegative(*sees.offset);
    bool isInfinite = mask.hidden == -kInfinity;
    // Where low scores are finite, a row that sees no key has equal weights for
    // all of them, those hidden by `causal` as well.
    bool isOnly = clean && masks.size() == 1;
    bool exact =
        isInfinite || emptied || (full && isOnly && sees.others.empty());
    if (fits && (exact || (isOnly && mask.hidden <= kAbsorbing))) {
      offset = sees.offset;
      windowStart = sees.start;
      ownOffset = sees.ownOffset;
      averages = !exact;
    } else {
      sees.others = {mask.visible};
    }
    if (!sees.others.empty())
      addends.push_back(
          {sees.others, emptied || averages ? -kInfinity : mask.hidden});
  }
}

/// Collects what is added to the product; fails if the score has parts that are
/// no arithmetic on f32.
bool AttentionFusion::addendsOf(const Term *term) {
  auto isAllowed = [&](const Term *part) {
    return llvm::all_of(part->loops, [&](unsigned loop) {
      return loop == i || loop == j || llvm::is_contained(batch, loop);
    });
  };
  if (!term->type.isF32())
    return no("the score is made of more than numbers");
  if (!term->usesRoot) {
    if (term->kind == Term::Kind::constant)
      return true;
    if (!isAllowed(term))
      return no("the score depends on more than queries and keys");
    // A sum of two that need different loops is smaller as two.
    if (term->isA<arith::AddFOp>() &&
        llvm::none_of(term->operands, [&](const Term *operand) {
          return operand->loops == term->loops;
        }))
      return addendsOf(term->operands[0]) && addendsOf(term->operands[1]);
    if (llvm::none_of(addends, [&](const Addend &addend) {
          return !addend.hidden && addend.terms[0] == term;
        }))
      addends.push_back({{term}, std::nullopt});
    return true;
  }
  if (term->isRoot())
    return true;
  if (!OpTrait::hasElementwiseMappableTraits(term->like))
    return no("the score is made of more than arithmetic");
  return llvm::all_of(term->operands,
                      [&](const Term *operand) { return addendsOf(operand); });
}
