// Makes fulgur.attention of a product, a score, a softmax and a product.
//
// Nothing is matched op by op. The second product says what the loops are; from
// there on tensors are read backwards as terms (Term.h), through whatever
// reshapes, transposes, broadcasts and elementwise operations an exporter put
// in between, until the first product is reached. What the score needs besides
// it becomes extra operands of the least rank that holds them, computed once
// for all layers, and comparisons of query and key positions become `causal`.
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Dims.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/graph/Mask.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_FUSEATTENTION
#include "passes/Passes.h.inc"

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool isProduct(Operation *op) {
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

/// A tensor and the loops that run over each of its dims, outermost first.
struct Operand {
  Value tensor;
  SmallVector<SmallVector<unsigned>> dims;

  bool has(unsigned loop) const {
    return llvm::any_of(
        dims, [&](auto &dim) { return llvm::is_contained(dim, loop); });
  }
  bool isPlain() const {
    return llvm::all_of(dims, [](auto &dim) { return dim.size() <= 1; });
  }
};

/// What is added to the score: a number, or 0 where all conditions hold and
/// `hidden` elsewhere.
struct Addend {
  SmallVector<const Term *> terms;
  std::optional<double> hidden;
};

/// Reads a product as the second one of an attention.
class Fusion {
public:
  Fusion(linalg::LinalgOp second, RewriterBase &rewriter)
      : second(second), b(rewriter), loc(second.getLoc()) {
    b.setInsertionPoint(second);
  }

  /// Whether it is one now; `reason` says why not, if it looked like one.
  bool run();
  std::string reason;

private:
  bool attempt();
  /// Notes why it is no attention that can be fused.
  bool no(const Twine &why) {
    reason = why.str();
    return false;
  }

  // Reading.
  Number position(std::optional<unsigned> loop) const;
  std::optional<Operand> asOperand(const Reading &reading);
  std::optional<Operand> sourceOf(Reading at, double &factor);
  bool findWeights();
  bool findProduct();
  bool findOperands(linalg::LinalgOp first);
  bool feedsOnlySecond(Operation *first);
  bool findLoops();
  bool findResult();
  bool countsVisible(const Term *count, const Term *visible);
  bool hidesRow(const Term *condition);
  void takeMasks();
  bool addendsOf(const Term *term);

  // Writing.
  AffineMap mapOf(ArrayRef<unsigned> order, const Operand &operand);
  Operand view(const Operand &operand);
  SmallVector<unsigned> order(ArrayRef<const Term *> terms);
  using Finish = llvm::function_ref<Value(OpBuilder &, ValueRange)>;
  Operand nest(Operand init, std::optional<unsigned> sum,
               ArrayRef<Operand> inputs, ArrayRef<const Term *> terms,
               Finish finish);
  Operand empty(ArrayRef<unsigned> order, Type type);
  Operand filled(ArrayRef<unsigned> order, Value value);
  Operand materialized(const Addend &addend);
  Value scoreOf(OpBuilder &inside, const Term *term, Block &body,
                MutableArrayRef<Value> added);
  void write();
  Operand repaired(const Operand &attention);

  linalg::LinalgOp second;
  RewriterBase &b;
  Location loc;

  Atoms atoms;
  std::map<unsigned, Number> parts;    ///< of loops that are split
  llvm::SmallDenseSet<unsigned> whole; ///< loops that must not be
  /// Of the second product; none for a loop that no operand has, whose size
  /// is 1.
  SmallVector<std::optional<unsigned>> secondLoops;
  std::optional<unsigned> depth;

  // What an attempt finds.
  Terms *terms = nullptr;
  unsigned i, d, j, n;
  SmallVector<unsigned> batch;
  SoftmaxOp softmax;
  SmallVector<Number> rows; ///< where the softmax is read
  bool guarded;             ///< weights that are no numbers count as 0
  const Term *silenced;     ///< where weights are set to 0
  Operand query, key, value;
  double scale;
  const Term *product, *score, *sink;
  SmallVector<Mask> masks;
  bool emptied; ///< rows that see nothing are set to 0 behind the product
  std::optional<Number> offset, windowStart;
  /// What may hide all keys that `offset` leaves; the row is then the mean of
  /// all values.
  SmallVector<const Term *> emptying;
  SmallVector<Addend> addends;
  Value result; ///< what is replaced
  Operand resultAs;
};

bool Fusion::run() {
  auto isRoot = [](Operation *op) {
    return isa<SoftmaxOp>(op) || isProduct(op);
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

bool Fusion::attempt() {
  return findWeights() && findProduct() && findLoops() && findResult() &&
         (takeMasks(), addendsOf(score));
}

//===-- Reading
//---------------------------------------------------------------------------------------------------===//

Number Fusion::position(std::optional<unsigned> loop) const {
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

std::optional<Operand> Fusion::asOperand(const Reading &reading) {
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
std::optional<Operand> Fusion::sourceOf(Reading at, double &factor) {
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
bool Fusion::findWeights() {
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

/// The first product, and what makes the score of it.
bool Fusion::findProduct() {
  int64_t axis = softmax.getAxis();
  std::optional<unsigned> keys = rows[axis].atom();
  auto sizes = terms->dims(softmax.getInput());
  if (!keys || !sizes)
    return no("the softmax is not over the keys");
  j = *keys;
  sink = nullptr;
  if ((*sizes)[axis] == atoms.sizeOf(j) + 1) {
    auto logits = softmax.getInput().getDefiningOp<tensor::ConcatOp>();
    if (!logits || logits.getInputs().size() != 2 ||
        int64_t(logits.getDim()) != axis)
      return no("the softmax is over more than the keys");
    SmallVector<Number> at(rows);
    at[axis] = 0;
    sink = terms->at(logits.getInputs()[1], at);
    if (sink->usesRoot)
      return no("the sink depends on the scores");
  } else if (!((*sizes)[axis] == atoms.sizeOf(j))) {
    return no("the softmax is not over the keys");
  }
  score = terms->at(softmax.getInput(), rows);
  llvm::SmallPtrSet<const Term *, 16> seen;
  SmallVector<const Term *> open{score}, products;
  while (!open.empty()) {
    const Term *term = open.pop_back_val();
    if (!term->usesRoot || !seen.insert(term).second)
      continue;
    if (term->isRoot())
      products.push_back(term);
    llvm::append_range(open, term->operands);
  }
  if (products.size() != 1)
    return no("the score is not made of one product");
  product = products[0];
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

bool Fusion::findOperands(linalg::LinalgOp first) {
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
bool Fusion::feedsOnlySecond(Operation *first) {
  SmallVector<Operation *> open{first};
  llvm::SmallPtrSet<Operation *, 16> seen;
  while (!open.empty())
    for (Operation *user : open.pop_back_val()->getUsers()) {
      if (user == second || !seen.insert(user).second)
        continue;
      if (user->getNumResults() == 0 || isProduct(user))
        return false;
      open.push_back(user);
    }
  return true;
}

/// What each loop is: a query, a column of the values, or one of the batch.
bool Fusion::findLoops() {
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
bool Fusion::findResult() {
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
    if (!operand)
      continue;
    result = last;
    resultAs = *operand;
  }
  return true;
}

/// Whether `count` asks if a row's `visible` hold for less than one key.
bool Fusion::countsVisible(const Term *count, const Term *visible) {
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
/// that is added to them is.
bool Fusion::hidesRow(const Term *condition) {
  if (!condition->isA<arith::CmpFOp>() ||
      cast<arith::CmpFOp>(condition->like).getPredicate() !=
          arith::CmpFPredicate::OEQ ||
      condition->operands[1]->real() != -kInfinity)
    return false;
  const Term *element =
      terms->folded<arith::MaximumFOp>(condition->operands[0], -kInfinity, j);
  const Term *sum = score;
  while (element && sum->isA<arith::AddFOp>()) {
    if (llvm::is_contained(sum->operands, element))
      return true;
    sum = sum->operands[sum->operands[0]->usesRoot ? 0 : 1];
  }
  return false;
}

/// Comparisons of positions become `causal`, other conditions are added.
void Fusion::takeMasks() {
  offset.reset();
  windowStart.reset();
  emptying.clear();
  addends.clear();
  bool clean = !mayHide(score);
  for (const Mask &mask : masks) {
    Visibility sees = visibilityOf(*terms, mask.visible, i, j);
    // A window ends with the last key that is seen.
    auto size = sees.offset && sees.start
                    ? (*sees.offset - *sees.start + 1).constant()
                    : std::nullopt;
    bool fits = sees.offset && !offset && (!sees.start || (size && *size > 0));
    // Every row sees a key, were it not for other conditions.
    bool full = fits && atoms.knownNonNegative(*sees.offset);
    bool isInfinite = mask.hidden == -kInfinity;
    // Where low scores are finite, a row that sees no key has equal weights for
    // all of them, those hidden by `causal` as well. That can be repaired,
    // which costs a pass over the values: not where few queries meet a long
    // past.
    bool exact = isInfinite || emptied ||
                 (full && clean && masks.size() == 1 && sees.others.empty());
    bool repairable = fits && sees.offset->is(0) && clean &&
                      masks.size() == 1 && mask.hidden <= -1e38 &&
                      !sees.start &&
                      llvm::all_of(sees.others, [&](const Term *other) {
                        return !llvm::is_contained(other->loops, i);
                      });
    if (fits && (exact || repairable)) {
      offset = sees.offset;
      windowStart = sees.start;
      if (!exact)
        emptying = sees.others;
    } else {
      sees.others = {mask.visible};
    }
    if (!sees.others.empty())
      addends.push_back({sees.others, emptied ? -kInfinity : mask.hidden});
  }
}

/// Collects what is added to the product; fails if the score has parts that are
/// no arithmetic on f32.
bool Fusion::addendsOf(const Term *term) {
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

//===-- Writing
//---------------------------------------------------------------------------------------------------===//

AffineMap Fusion::mapOf(ArrayRef<unsigned> order, const Operand &operand) {
  SmallVector<AffineExpr> exprs;
  for (auto &dim : operand.dims)
    exprs.push_back(dim.empty() ? b.getAffineConstantExpr(0)
                                : b.getAffineDimExpr(llvm::find(order, dim[0]) -
                                                     order.begin()));
  return AffineMap::get(order.size(), 0, exprs, b.getContext());
}

/// The operand with one dim for each loop.
Operand Fusion::view(const Operand &operand) {
  if (operand.isPlain())
    return operand;
  Operand plain{operand.tensor, {}};
  SmallVector<ReassociationIndices> groups;
  SmallVector<OpFoldResult> sizes;
  FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(b, operand.tensor);
  for (auto [dim, loops] : llvm::enumerate(operand.dims)) {
    ReassociationIndices &group = groups.emplace_back();
    for (unsigned loop : loops) {
      group.push_back(sizes.size());
      sizes.push_back(loops.size() == 1
                          ? (*dims)[dim]
                          : atoms.size(b, loc, atoms.sizeOf(loop)));
      plain.dims.push_back({loop});
    }
    if (loops.empty()) {
      group.push_back(sizes.size());
      sizes.push_back((*dims)[dim]);
      plain.dims.emplace_back();
    }
  }
  auto type = cast<RankedTensorType>(operand.tensor.getType());
  SmallVector<int64_t> shape;
  SmallVector<Value> dynamic;
  dispatchIndexOpFoldResults(sizes, dynamic, shape);
  plain.tensor = tensor::ExpandShapeOp::create(
      b, loc, RankedTensorType::get(shape, type.getElementType()),
      operand.tensor, groups, sizes);
  return plain;
}

/// The loops of some terms, in the order of the attention's.
SmallVector<unsigned> Fusion::order(ArrayRef<const Term *> terms) {
  SmallVector<unsigned> all(batch), used;
  all.append({i, j});
  for (unsigned loop : all)
    if (llvm::any_of(terms, [&](const Term *term) {
          return llvm::is_contained(term->loops, loop);
        }))
      used.push_back(loop);
  return used;
}

Operand Fusion::empty(ArrayRef<unsigned> order, Type type) {
  Operand result{{}, {}};
  SmallVector<OpFoldResult> sizes;
  for (unsigned loop : order) {
    sizes.push_back(atoms.size(b, loc, atoms.sizeOf(loop)));
    result.dims.push_back({loop});
  }
  result.tensor = tensor::EmptyOp::create(b, loc, sizes, type);
  return result;
}

Operand Fusion::filled(ArrayRef<unsigned> order, Value value) {
  Operand result = empty(order, value.getType());
  result.tensor =
      linalg::FillOp::create(b, loc, value, result.tensor).getResult(0);
  return result;
}

/// Loops over the dims of `init`, and over `sum`. `finish` gets the elements of
/// the inputs, the values of the terms and the result so far.
Operand Fusion::nest(Operand init, std::optional<unsigned> sum,
                     ArrayRef<Operand> inputs, ArrayRef<const Term *> values,
                     Finish finish) {
  SmallVector<unsigned> all;
  for (auto &dim : init.dims)
    llvm::append_range(all, dim);
  if (sum)
    all.push_back(*sum);
  llvm::SetVector<const Term *> leaves;
  auto collect = [&](auto &self, const Term *term) -> void {
    if (term->kind == Term::Kind::leaf &&
        isa<RankedTensorType>(term->reading.tensor.getType()))
      leaves.insert(term);
    for (const Term *operand : term->operands)
      self(self, operand);
  };
  for (const Term *term : values)
    collect(collect, term);
  SmallVector<Value> tensors;
  SmallVector<AffineMap> maps;
  for (const Operand &input : inputs) {
    tensors.push_back(input.tensor);
    maps.push_back(mapOf(all, input));
  }
  SmallVector<const Term *> read;
  for (const Term *leaf : leaves)
    if (auto operand = asOperand(leaf->reading)) {
      Operand plain = view(*operand);
      tensors.push_back(plain.tensor);
      maps.push_back(mapOf(all, plain));
      read.push_back(leaf);
    }
  maps.push_back(mapOf(all, init));
  SmallVector<utils::IteratorType> kinds(all.size(),
                                         utils::IteratorType::parallel);
  if (sum)
    kinds.back() = utils::IteratorType::reduction;
  init.tensor =
      linalg::GenericOp::create(
          b, loc, init.tensor.getType(), tensors, init.tensor, maps, kinds,
          [&](OpBuilder &inside, Location, ValueRange arguments) {
            llvm::DenseMap<const Term *, Value> known;
            for (auto [leaf, argument] :
                 llvm::zip(read, arguments.drop_front(inputs.size())))
              known[leaf] = argument;
            llvm::DenseMap<unsigned, Value> indices;
            auto index = [&](unsigned loop) {
              Value &value = indices[loop];
              if (!value)
                value = linalg::IndexOp::create(
                    inside, loc, llvm::find(all, loop) - all.begin());
              return value;
            };
            SmallVector<Value> computed(arguments.take_front(inputs.size()));
            for (const Term *term : values)
              computed.push_back(terms->emit(inside, loc, term, known, index));
            computed.push_back(arguments.back());
            linalg::YieldOp::create(inside, loc, finish(inside, computed));
          })
          .getResult(0);
  return init;
}

static Value allOf(OpBuilder &b, Location loc, ValueRange conditions) {
  Value all = conditions.front();
  for (Value condition : conditions.drop_front())
    all = arith::AndIOp::create(b, loc, all, condition);
  return all;
}

static Value real(OpBuilder &b, Location loc, double value) {
  return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(float(value)));
}

/// A tensor that is added to the score: one that is there, or a new one.
Operand Fusion::materialized(const Addend &addend) {
  SmallVector<unsigned> loops = order(addend.terms);
  if (!addend.hidden) {
    const Term *term = addend.terms[0];
    ArrayRef<Reading> there = term->kind == Term::Kind::leaf
                                  ? ArrayRef(term->reading)
                                  : terms->origins(term);
    if (!there.empty() && isa<RankedTensorType>(there[0].tensor.getType()))
      if (auto operand = asOperand(there[0]))
        return view(*operand);
  }
  return nest(empty(loops, b.getF32Type()), std::nullopt, {}, addend.terms,
              [&](OpBuilder &inside, ValueRange values) -> Value {
                if (!addend.hidden)
                  return values[0];
                return arith::SelectOp::create(
                    inside, loc, allOf(inside, loc, values.drop_back()),
                    real(inside, loc, 0), real(inside, loc, *addend.hidden));
              });
}

/// The score without masks, where `added` stands for the addends.
Value Fusion::scoreOf(OpBuilder &inside, const Term *term, Block &body,
                      MutableArrayRef<Value> added) {
  if (!term->usesRoot) {
    if (term->kind == Term::Kind::constant)
      return arith::ConstantOp::create(inside, loc,
                                       cast<TypedAttr>(term->constant));
    for (auto [addend, value] : llvm::zip(addends, added))
      if (!addend.hidden && addend.terms[0] == term)
        return value;
    return arith::AddFOp::create(
        inside, loc, scoreOf(inside, term->operands[0], body, added),
        scoreOf(inside, term->operands[1], body, added));
  }
  // All factors of the product are one.
  double factor = scale;
  const Term *inner = term;
  while (!inner->isRoot()) {
    bool isProduct = inner->isA<arith::MulFOp>(),
         isQuotient = inner->isA<arith::DivFOp>();
    if ((!isProduct && !isQuotient))
      break;
    unsigned side = inner->operands[0]->usesRoot ? 1 : 0;
    auto value = inner->operands[side]->real();
    if (!value || (isQuotient && (side == 0 || *value == 0)))
      break;
    factor = isProduct ? factor * *value : factor / *value;
    inner = inner->operands[1 - side];
  }
  if (inner->isRoot()) {
    if (factor == 1)
      return body.getArgument(0);
    return arith::MulFOp::create(inside, loc, body.getArgument(0),
                                 real(inside, loc, factor));
  }
  SmallVector<Value> operands;
  for (const Term *operand : term->operands)
    operands.push_back(scoreOf(inside, operand, body, added));
  OperationState state(loc, term->like->getName());
  state.addOperands(operands);
  state.addTypes(term->type);
  state.addAttributes(term->like->getAttrs());
  return inside.create(state)->getResult(0);
}

void Fusion::write() {
  SmallVector<unsigned> loops(batch);
  loops.append({i, d, j, n});
  SmallVector<Value> operands, extras;
  SmallVector<AffineMap> maps;
  for (const Operand *operand : {&query, &key, &value}) {
    Operand plain = view(*operand);
    operands.push_back(plain.tensor);
    maps.push_back(mapOf(loops, plain));
  }
  Region body;
  Block &block = body.emplaceBlock();
  block.addArgument(b.getF32Type(), loc);
  block.addArguments({b.getIndexType(), b.getIndexType()}, {loc, loc});
  SmallVector<Value> added;
  for (const Addend &addend : addends) {
    Operand plain = materialized(addend);
    extras.push_back(plain.tensor);
    maps.push_back(mapOf(loops, plain));
    added.push_back(block.addArgument(b.getF32Type(), loc));
  }
  {
    OpBuilder inside(b.getContext());
    inside.setInsertionPointToEnd(&block);
    Value number = scoreOf(inside, score, block, added);
    for (auto [addend, value] : llvm::zip(addends, added))
      if (addend.hidden)
        number = arith::AddFOp::create(inside, loc, number, value);
    YieldOp::create(inside, loc, number);
  }
  Value sinkValue;
  if (sink) {
    Operand plain = materialized({{sink}, std::nullopt});
    sinkValue = plain.tensor;
    maps.push_back(mapOf(loops, plain));
  }
  // The result has a dim for each loop, and then the form that is asked for.
  Operand flat{{}, {}};
  SmallVector<OpFoldResult> sizes;
  SmallVector<ReassociationIndices> groups;
  for (auto &dim : resultAs.dims) {
    ReassociationIndices &group = groups.emplace_back();
    for (unsigned loop : dim) {
      group.push_back(sizes.size());
      sizes.push_back(atoms.size(b, loc, atoms.sizeOf(loop)));
      flat.dims.push_back({loop});
    }
    if (dim.empty()) {
      group.push_back(sizes.size());
      sizes.push_back(b.getIndexAttr(1));
      flat.dims.emplace_back();
    }
  }
  SmallVector<int64_t> shape;
  SmallVector<Value> dynamic;
  dispatchIndexOpFoldResults(sizes, dynamic, shape);
  auto type = RankedTensorType::get(shape, b.getF32Type());
  maps.push_back(mapOf(loops, flat));
  Value offsetValue = offset ? atoms.emit(b, loc, *offset) : Value();
  IntegerAttr window;
  if (windowStart)
    window = b.getI64IntegerAttr(*(*offset - *windowStart + 1).constant());
  bool zeroes = emptied || guarded;
  auto op = AttentionOp::create(b, loc, type, operands[0], operands[1],
                                operands[2], extras, sinkValue, offsetValue,
                                b.getAffineMapArrayAttr(maps), window, zeroes);
  op.getScore().takeBody(body);
  flat.tensor = op.getResult();
  if (!emptying.empty())
    flat = repaired(flat);
  Value replacement = flat.tensor;
  if (groups.size() != flat.dims.size())
    replacement = tensor::CollapseShapeOp::create(b, loc, replacement, groups);
  if (replacement.getType() != result.getType())
    replacement = tensor::CastOp::create(b, loc, result.getType(), replacement);
  b.replaceAllUsesWith(result, replacement);
}

/// Rows in which `emptying` leaves no key become the mean of all values.
Operand Fusion::repaired(const Operand &attention) {
  // The first key that may be seen.
  SmallVector<unsigned> rows = order(emptying), columns;
  llvm::erase(rows, j);
  Value keys = atoms.emit(b, loc, atoms.sizeOf(j));
  Operand seen = nest(empty(order(emptying), b.getI1Type()), std::nullopt, {},
                      emptying, [&](OpBuilder &inside, ValueRange v) {
                        return allOf(inside, loc, v.drop_back());
                      });
  Operand first =
      nest(filled(rows, keys), j, seen,
           terms->number(Number::atom(j), b.getIndexType()),
           [&](OpBuilder &inside, ValueRange v) -> Value {
             return arith::MinSIOp::create(
                 inside, loc, v[2],
                 arith::SelectOp::create(inside, loc, v[0], v[1], keys));
           });
  for (unsigned loop : batch)
    if (value.has(loop))
      columns.push_back(loop);
  columns.push_back(n);
  Operand sum = nest(filled(columns, real(b, loc, 0)), j, view(value), {},
                     [&](OpBuilder &inside, ValueRange v) -> Value {
                       return arith::AddFOp::create(inside, loc, v[1], v[0]);
                     });
  Value count = arith::SIToFPOp::create(
      b, loc, b.getF32Type(),
      arith::IndexCastOp::create(b, loc, b.getI64Type(), keys));
  Operand result = attention;
  result.tensor = tensor::EmptyOp::create(b, loc, *dimsOf(b, attention.tensor),
                                          b.getF32Type());
  const Term *last = terms->number(Number::atom(i) + *offset, b.getIndexType());
  return nest(result, std::nullopt, {attention, sum, first}, last,
              [&](OpBuilder &inside, ValueRange v) -> Value {
                Value isEmpty = arith::CmpIOp::create(
                    inside, loc, arith::CmpIPredicate::sgt, v[2], v[3]);
                Value mean = arith::DivFOp::create(inside, loc, v[1], count);
                return arith::SelectOp::create(inside, loc, isEmpty, mean,
                                               v[0]);
              });
}

struct FuseAttention : impl::FuseAttentionBase<FuseAttention> {
  void runOnOperation() override {
    SmallVector<linalg::LinalgOp> products;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (isProduct(op) && op->getBlock() == &getOperation().front())
        products.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (linalg::LinalgOp product : products) {
      Fusion fusion(product, rewriter);
      if (!fusion.run() && !fusion.reason.empty())
        remark(product, getArgument(), fusion.reason);
    }
  }
};
} // namespace
} // namespace fulgur
