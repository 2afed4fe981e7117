// What was read as an attention is written as one operation.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/Matchers.h"
#include "passes/Dims.h"
#include "passes/graph/AttentionFusion.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace fulgur;

AffineMap AttentionFusion::mapOf(ArrayRef<unsigned> order,
                                 const Operand &operand) {
  SmallVector<AffineExpr> exprs;
  for (auto &dim : operand.dims)
    exprs.push_back(dim.empty() ? b.getAffineConstantExpr(0)
                                : b.getAffineDimExpr(llvm::find(order, dim[0]) -
                                                     order.begin()));
  return AffineMap::get(order.size(), 0, exprs, b.getContext());
}

/// The operand without dims of size 1, where it has more dims than there are
/// loops, which a map cannot pick.
AttentionFusion::Operand AttentionFusion::squeezed(const Operand &operand) {
  if (operand.dims.size() <= batch.size() + 4)
    return operand;
  Operand result{operand.tensor, {}};
  SmallVector<ReassociationIndices> groups;
  for (auto [dim, loops] : llvm::enumerate(operand.dims)) {
    if (groups.empty() || (!loops.empty() && !result.dims.back().empty())) {
      groups.emplace_back();
      result.dims.emplace_back();
    }
    groups.back().push_back(dim);
    if (!loops.empty())
      result.dims.back() = loops;
  }
  result.tensor =
      tensor::CollapseShapeOp::create(b, loc, operand.tensor, groups);
  return result;
}

/// The operand with one dim for each loop.
AttentionFusion::Operand AttentionFusion::view(const Operand &operand) {
  if (operand.isPlain())
    return squeezed(operand);
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
  return squeezed(plain);
}

/// The loops of some terms, in the order of the attention's.
SmallVector<unsigned> AttentionFusion::order(ArrayRef<const Term *> terms) {
  SmallVector<unsigned> all(batch), used;
  all.append({i, j});
  for (unsigned loop : all)
    if (llvm::any_of(terms, [&](const Term *term) {
          return llvm::is_contained(term->loops, loop);
        }))
      used.push_back(loop);
  return used;
}

AttentionFusion::Operand AttentionFusion::empty(ArrayRef<unsigned> order,
                                                Type type) {
  Operand result{{}, {}};
  SmallVector<OpFoldResult> sizes;
  for (unsigned loop : order) {
    sizes.push_back(atoms.size(b, loc, atoms.sizeOf(loop)));
    result.dims.push_back({loop});
  }
  result.tensor = tensor::EmptyOp::create(b, loc, sizes, type);
  return result;
}

/// A tensor over the loops of some terms, of what `finish` makes of their
/// values.
AttentionFusion::Operand AttentionFusion::nest(ArrayRef<const Term *> values,
                                               Type type, Finish finish) {
  SmallVector<unsigned> all = order(values);
  Operand init = empty(all, type);
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
  init.tensor =
      linalg::GenericOp::create(
          b, loc, init.tensor.getType(), tensors, init.tensor, maps, kinds,
          [&](OpBuilder &inside, Location, ValueRange arguments) {
            llvm::DenseMap<const Term *, Value> known;
            for (auto [leaf, argument] : llvm::zip(read, arguments))
              known[leaf] = argument;
            llvm::DenseMap<unsigned, Value> indices;
            auto index = [&](unsigned loop) {
              Value &value = indices[loop];
              if (!value)
                value = linalg::IndexOp::create(
                    inside, loc, llvm::find(all, loop) - all.begin());
              return value;
            };
            SmallVector<Value> computed;
            for (const Term *term : values)
              computed.push_back(terms->emit(inside, loc, term, known, index));
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

/// What is added to the score with rows of keys. Where heads lie innermost, as
/// relative positions do that a table was asked for, each block would gather
/// its elements one by one.
AttentionFusion::Operand AttentionFusion::inRows(Operand plain) {
  auto isScore = [&](ArrayRef<unsigned> dim) {
    return !dim.empty() && (dim[0] == i || dim[0] == j);
  };
  auto last =
      llvm::find_if(llvm::reverse(plain.dims),
                    [](ArrayRef<unsigned> dim) { return !dim.empty(); });
  if (last == plain.dims.rend() || isScore(*last) ||
      llvm::none_of(plain.dims, isScore))
    return plain;
  SmallVector<int64_t> order;
  for (bool scores : {false, true})
    for (auto [place, dim] : llvm::enumerate(plain.dims))
      if (isScore(dim) == scores)
        order.push_back(place);
  auto type = cast<RankedTensorType>(plain.tensor.getType());
  type = type.clone(applyPermutation(type.getShape(), order));
  SmallVector<OpFoldResult> sizes =
      applyPermutation(*dimsOf(b, plain.tensor), order);
  Value empty =
      tensor::EmptyOp::create(b, loc, type, dynamicDims(b, loc, type, sizes));
  plain.tensor = linalg::TransposeOp::create(b, loc, plain.tensor, empty, order)
                     ->getResult(0);
  plain.dims = applyPermutation(plain.dims, order);
  return plain;
}

/// A tensor that is added to the score: one that is there, or a new one.
AttentionFusion::Operand AttentionFusion::materialized(const Addend &addend) {
  if (!addend.hidden) {
    const Term *term = addend.terms[0];
    ArrayRef<Reading> there = term->kind == Term::Kind::leaf
                                  ? ArrayRef(term->reading)
                                  : terms->origins(term);
    if (!there.empty() && isa<RankedTensorType>(there[0].tensor.getType()))
      if (auto operand = asOperand(there[0]))
        return inRows(view(*operand));
  }
  return nest(addend.terms, b.getF32Type(),
              [&](OpBuilder &inside, ValueRange values) -> Value {
                if (!addend.hidden)
                  return values[0];
                return arith::SelectOp::create(
                    inside, loc, allOf(inside, loc, values),
                    real(inside, loc, 0), real(inside, loc, *addend.hidden));
              });
}

/// The score without masks, where `added` stands for the addends.
Value AttentionFusion::scoreOf(OpBuilder &inside, const Term *term, Block &body,
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

void AttentionFusion::write() {
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
  Value ownOffsets;
  if (ownOffset) {
    Operand plain =
        nest(ownOffset, ownOffset->type,
             [](OpBuilder &, ValueRange values) -> Value { return values[0]; });
    ownOffsets = plain.tensor;
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
  bool zeroes = emptied || (guarded && !averages);
  auto op = AttentionOp::create(b, loc, type, operands[0], operands[1],
                                operands[2], extras, sinkValue, ownOffsets,
                                offsetValue, b.getAffineMapArrayAttr(maps),
                                window, zeroes, averages);
  op.getScore().takeBody(body);
  flat.tensor = op.getResult();
  Value replacement = flat.tensor;
  if (groups.size() != flat.dims.size())
    replacement = tensor::CollapseShapeOp::create(b, loc, replacement, groups);
  if (replacement.getType() != result.getType())
    replacement = tensor::CastOp::create(b, loc, result.getType(), replacement);
  b.replaceAllUsesWith(result, replacement);
}
