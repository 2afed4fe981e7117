// What was read as an attention is written as one operation.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
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

AttentionFusion::Operand AttentionFusion::filled(ArrayRef<unsigned> order,
                                                 Value value) {
  Operand result = empty(order, value.getType());
  result.tensor =
      linalg::FillOp::create(b, loc, value, result.tensor).getResult(0);
  return result;
}

/// Loops over the dims of `init`, and over `sum`. `finish` gets the elements of
/// the inputs, the values of the terms and the result so far.
AttentionFusion::Operand AttentionFusion::nest(Operand init,
                                               std::optional<unsigned> sum,
                                               ArrayRef<Operand> inputs,
                                               ArrayRef<const Term *> values,
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
AttentionFusion::Operand AttentionFusion::materialized(const Addend &addend) {
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
AttentionFusion::Operand AttentionFusion::repaired(const Operand &attention) {
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
