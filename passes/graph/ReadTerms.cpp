// Looking through operations: what an element of a tensor is computed from.

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Dims.h"
#include "passes/WeightStore.h"
#include "passes/graph/Term.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace fulgur;

std::optional<SmallVector<Number>> Terms::dims(Value tensor) {
  FailureOr<SmallVector<OpFoldResult>> sizes = dimsOf(builder, tensor);
  if (failed(sizes))
    return std::nullopt;
  return llvm::map_to_vector(*sizes,
                             [&](OpFoldResult size) { return atoms.of(size); });
}

std::optional<Reading> Terms::moved(const Reading &reading) {
  ArrayRef<Number> at = reading.at;
  using Result = std::optional<Reading>;
  if (!reading.tensor.getDefiningOp())
    return std::nullopt;
  return TypeSwitch<Operation *, Result>(reading.tensor.getDefiningOp())
      .Case([&](tensor::CastOp op) -> Result {
        return Reading{op.getSource(), SmallVector<Number>(at)};
      })
      .Case([&](tensor::ExpandShapeOp op) -> Result {
        SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
        Reading source{op.getSrc(), {}};
        for (const ReassociationIndices &group : op.getReassociationIndices()) {
          Number position;
          for (int64_t dim : group)
            position = position * atoms.of(sizes[dim]) + at[dim];
          source.at.push_back(position);
        }
        return source;
      })
      .Case([&](tensor::CollapseShapeOp op) -> Result {
        std::optional<SmallVector<Number>> sizes = dims(op.getSrc());
        if (!sizes)
          return std::nullopt;
        Reading source{op.getSrc(), {}};
        for (auto [dim, group] :
             llvm::enumerate(op.getReassociationIndices())) {
          SmallVector<Number> within;
          for (int64_t inner : group)
            within.push_back((*sizes)[inner]);
          auto parts = atoms.split(at[dim], within, wanted);
          if (!parts)
            return std::nullopt;
          llvm::append_range(source.at, *parts);
        }
        source.at.resize(sizes->size()); // a scalar has no groups
        return source;
      })
      .Case([&](tensor::ExtractSliceOp op) -> Result {
        if (!op.hasUnitStride())
          return std::nullopt;
        Reading source{op.getSource(), {}};
        llvm::SmallBitVector dropped = op.getDroppedDims();
        const Number *next = at.begin();
        for (auto [dim, offset] : llvm::enumerate(op.getMixedOffsets())) {
          Number position = atoms.of(offset);
          if (!dropped.test(dim))
            position = position + *next++;
          source.at.push_back(position);
        }
        return source;
      })
      .Case([&](tensor::ConcatOp op) -> Result {
        Number rest = at[op.getDim()];
        for (Value input : op.getInputs()) {
          std::optional<SmallVector<Number>> sizes = dims(input);
          if (!sizes)
            return std::nullopt;
          Number size = (*sizes)[op.getDim()];
          if (atoms.knownNonNegative(size - 1 - rest)) {
            Reading source{input, SmallVector<Number>(at)};
            source.at[op.getDim()] = rest;
            return source;
          }
          rest = rest - size;
          if (!atoms.knownNonNegative(rest))
            return std::nullopt;
        }
        return std::nullopt;
      })
      .Case([&](linalg::TransposeOp op) -> Result {
        Reading source{op.getInput(), SmallVector<Number>(at.size())};
        for (auto [dim, from] : llvm::enumerate(op.getPermutation()))
          source.at[from] = at[dim];
        return source;
      })
      .Default([](Operation *) { return std::nullopt; });
}

std::optional<SmallVector<Number>> fulgur::loopsAt(AffineMap map,
                                                   ArrayRef<Number> at) {
  if (!map.isPermutation())
    return std::nullopt;
  SmallVector<Number> loops(map.getNumDims());
  for (auto [expr, position] : llvm::zip(map.getResults(), at))
    loops[cast<AffineDimExpr>(expr).getPosition()] = position;
  return loops;
}

std::optional<SmallVector<Number>> fulgur::readAt(AffineMap map,
                                                  ArrayRef<Number> loops) {
  SmallVector<Number> at;
  for (AffineExpr expr : map.getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      at.push_back(loops[dim.getPosition()]);
    else if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      at.push_back(constant.getValue());
    else
      return std::nullopt;
  }
  return at;
}

/// The loops of an elementwise operation for an element of its result.
static std::optional<SmallVector<Number>>
loopsFor(linalg::GenericOp op, unsigned result, ArrayRef<Number> at) {
  if (op.getNumParallelLoops() != op.getNumLoops())
    return std::nullopt;
  return loopsAt(op.getIndexingMapMatchingResult(op->getResult(result)), at);
}

std::optional<Reading> Terms::scaled(const Reading &reading, double &factor) {
  auto op = reading.tensor.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumDpsInputs() != 1 || op.getNumResults() != 1)
    return std::nullopt;
  auto loops = loopsFor(op, 0, reading.at);
  if (!loops)
    return std::nullopt;
  BlockArgument in = op.getRegionInputArgs()[0];
  Value value = op.getBody()->getTerminator()->getOperand(0);
  while (value != in) {
    FloatAttr number;
    Operation *inner = value.getDefiningOp();
    if (!inner)
      return std::nullopt;
    if (isa<arith::MulFOp>(inner) &&
        matchPattern(inner->getOperand(1), m_Constant(&number)))
      factor *= number.getValueAsDouble();
    else if (isa<arith::DivFOp>(inner) &&
             matchPattern(inner->getOperand(1), m_Constant(&number)) &&
             !number.getValue().isZero())
      factor /= number.getValueAsDouble();
    else
      return std::nullopt;
    value = inner->getOperand(0);
  }
  auto at = readAt(op.getMatchingIndexingMap(op.getDpsInputOperand(0)), *loops);
  if (!at)
    return std::nullopt;
  return Reading{op.getDpsInputOperand(0)->get(), *at};
}

const Term *Terms::elementwise(Operation *operation, unsigned result,
                               ArrayRef<Number> at) {
  auto op = cast<linalg::GenericOp>(operation);
  auto loops = loopsFor(op, result, at);
  if (!loops)
    return nullptr;
  llvm::DenseMap<Value, const Term *> known;
  auto visit = [&](auto &self, Value value) -> const Term * {
    if (const Term *term = known.lookup(value))
      return term;
    const Term *term = nullptr;
    auto argument = dyn_cast<BlockArgument>(value);
    Operation *inner = value.getDefiningOp();
    if (argument && argument.getOwner() == op.getBody()) {
      if (argument.getArgNumber() >= op.getNumDpsInputs())
        return nullptr;
      OpOperand *operand = op.getDpsInputOperand(argument.getArgNumber());
      auto where = readAt(op.getMatchingIndexingMap(operand), *loops);
      if (where && isa<RankedTensorType>(operand->get().getType()))
        term = this->at(operand->get(), *where);
      else if (where)
        term = scalar(operand->get());
    } else if (!inner || inner->getBlock() != op.getBody()) {
      term = scalar(value);
    } else if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      term = number((*loops)[index.getDim()], index.getType());
    } else if (Attribute attribute;
               inner->getNumResults() == 1 &&
               matchPattern(inner, m_Constant(&attribute))) {
      term = constant(attribute, value.getType());
    } else if (auto extract = dyn_cast<tensor::ExtractOp>(inner)) {
      SmallVector<Number> where;
      for (Value position : extract.getIndices()) {
        const Term *index = self(self, position);
        if (!index || index->kind != Term::Kind::number)
          return nullptr;
        where.push_back(index->number);
      }
      term = this->at(extract.getTensor(), where);
    } else if (inner->getNumResults() == 1 && inner->getNumRegions() == 0 &&
               isMemoryEffectFree(inner)) {
      SmallVector<const Term *> operands;
      for (Value operand : inner->getOperands()) {
        operands.push_back(self(self, operand));
        if (!operands.back())
          return nullptr;
      }
      term = this->operation(inner, operands);
    }
    known[value] = term;
    return term;
  };
  return visit(visit, op.getBody()->getTerminator()->getOperand(result));
}

const Term *Terms::scalar(Value value) {
  Attribute attribute;
  if (matchPattern(value, m_Constant(&attribute)))
    return constant(attribute, value.getType());
  if (value.getType().isIndex() || value.getType().isInteger(64))
    return number(atoms.of(value), value.getType());
  Term term{Term::Kind::leaf, value.getType()};
  term.reading.tensor = value;
  return intern(std::move(term));
}

/// The c for which elements are the first one where column <= row + c and the
/// second one elsewhere, if `isFirst` tells them apart so.
static std::optional<int64_t>
diagonalOf(int64_t rows, int64_t columns,
           llvm::function_ref<bool(int64_t)> isFirst) {
  int64_t c = -1;
  while (c + 1 < columns && isFirst(c + 1))
    ++c;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      if (isFirst(row * columns + column) != (column <= row + c))
        return std::nullopt;
  return c;
}

/// Reads elements of a constant, whose type is i64, i1 (a byte each) or f32.
static Attribute elementAt(ElementsAttr values, ArrayRef<char> bytes,
                           int64_t k) {
  if (isa<DenseElementsAttr>(values))
    return cast<DenseElementsAttr>(values).getValues<Attribute>()[k];
  Type type = values.getElementType();
  if (type.isInteger(1))
    return BoolAttr::get(type.getContext(), bytes[k] != 0);
  if (type.isF32()) {
    float value;
    memcpy(&value, bytes.data() + k * sizeof value, sizeof value);
    return FloatAttr::get(type, APFloat(value));
  }
  int64_t value;
  memcpy(&value, bytes.data() + k * sizeof value, sizeof value);
  return IntegerAttr::get(type, value);
}

/// What the importer computed since sizes are known: ranges, and comparisons of
/// positions.
const Term *Terms::pattern(ElementsAttr values, ArrayRef<Number> at) {
  Type type = values.getElementType();
  SmallVector<int64_t> shape;
  SmallVector<Number> where;
  for (auto [size, position] :
       llvm::zip(cast<ShapedType>(values.getType()).getShape(), at))
    if (size != 1) {
      shape.push_back(size);
      where.push_back(position);
    }
  int64_t count = values.getNumElements();
  ArrayRef<char> bytes;
  if (isa<DenseResourceElementsAttr>(values)) {
    bytes = weightBytes(values);
    if (int64_t(bytes.size()) != count * (type.isInteger(64) ? 8
                                          : type.isF32()     ? 4
                                                             : 1))
      return nullptr;
  } else if (!isa<DenseElementsAttr>(values)) {
    return nullptr;
  }
  if (shape.size() == 1 && type.isInteger(64)) {
    auto value = [&](int64_t k) {
      return cast<IntegerAttr>(elementAt(values, bytes, k)).getInt();
    };
    int64_t first = value(0), step = value(1) - first;
    for (int64_t k = 0; k < count; ++k)
      if (value(k) != first + k * step)
        return nullptr;
    return number(Number(first) + Number(step) * where[0], type);
  }
  if (shape.size() != 2 || (!type.isInteger(1) && !type.isF32()))
    return nullptr;
  // The corner below the diagonal is the first kind; there are two.
  auto element = [&](int64_t k) { return elementAt(values, bytes, k); };
  Attribute first = element((shape[0] - 1) * shape[1]),
            second = element(shape[1] - 1);
  if (first == second || element(0) != first)
    return nullptr;
  auto isFirst = [&](int64_t k) { return element(k) == first; };
  for (int64_t k = 0; k < count; ++k)
    if (!isFirst(k) && element(k) != second)
      return nullptr;
  std::optional<int64_t> c = diagonalOf(shape[0], shape[1], isFirst);
  if (!c)
    return nullptr;
  const Term *below = notPositive(where[1] - where[0] - *c);
  if (type.isInteger(1))
    return cast<BoolAttr>(first).getValue() ? below : negated(below);
  Location loc = builder.getUnknownLoc();
  Value yes =
            arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true)),
        some = arith::ConstantOp::create(builder, loc, cast<TypedAttr>(first)),
        others =
            arith::ConstantOp::create(builder, loc, cast<TypedAttr>(second));
  Operation *like = arith::SelectOp::create(builder, loc, yes, some, others);
  return operation(like,
                   {below, constant(first, type), constant(second, type)});
}

/// Sizes that grow from element to element.
const Term *Terms::range(tensor::FromElementsOp op, ArrayRef<Number> at) {
  RankedTensorType type = op.getType();
  if (!type.getElementType().isInteger(64) || op.getElements().empty())
    return nullptr;
  SmallVector<Number> numbers = llvm::map_to_vector(
      op.getElements(), [&](Value value) { return atoms.of(value); });
  Number result = numbers[0], where;
  for (auto [size, position] : llvm::zip(type.getShape(), at))
    where = where * Number(size) + position;
  if (numbers.size() > 1) {
    Number step = numbers[1] - numbers[0];
    for (auto [k, number] : llvm::enumerate(numbers))
      if (!(number == numbers[0] + step * Number(int64_t(k))))
        return nullptr;
    result = result + step * where;
  }
  return number(result, type.getElementType());
}

const Term *Terms::look(Value tensor, ArrayRef<Number> at) {
  Operation *op = tensor.getDefiningOp();
  if (!op)
    return nullptr;
  if (isRoot(op)) {
    Term term{Term::Kind::root, getElementTypeOrSelf(tensor)};
    term.reading = {tensor, SmallVector<Number>(at)};
    return intern(std::move(term));
  }
  if (auto source = moved({tensor, SmallVector<Number>(at)}))
    return this->at(source->tensor, source->at);
  if (isa<linalg::GenericOp>(op))
    return elementwise(op, cast<OpResult>(tensor).getResultNumber(), at);
  if (auto fill = dyn_cast<linalg::FillOp>(op))
    return scalar(fill.value());
  if (auto elements = dyn_cast<tensor::FromElementsOp>(op))
    return range(elements, at);
  ElementsAttr values;
  if (!matchPattern(op, m_Constant(&values)))
    return nullptr;
  if (auto splat = dyn_cast<SplatElementsAttr>(values))
    return constant(splat.getSplatValue<Attribute>(), splat.getElementType());
  return pattern(values, at);
}

const Term *Terms::at(Value tensor, ArrayRef<Number> at) {
  std::pair key(tensor.getAsOpaquePointer(),
                std::vector<Number>(at.begin(), at.end()));
  if (auto known = seen.find(key); known != seen.end())
    return known->second;
  const Term *term = look(tensor, at);
  if (!term) {
    Term leaf{Term::Kind::leaf, getElementTypeOrSelf(tensor)};
    leaf.reading = {tensor, SmallVector<Number>(at)};
    term = intern(std::move(leaf));
  }
  places[term].push_back({tensor, SmallVector<Number>(at)});
  return seen[key] = term;
}

ArrayRef<Reading> Terms::origins(const Term *term) const {
  auto found = places.find(term);
  return found == places.end() ? ArrayRef<Reading>() : found->second;
}

const Term *Terms::folded(const Term *leaf, double init, unsigned loop,
                          llvm::function_ref<bool(Operation *)> isFold) {
  if (leaf->kind != Term::Kind::leaf)
    return nullptr;
  auto op = leaf->reading.tensor.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumDpsInputs() != 1 || op.getNumReductionLoops() != 1)
    return nullptr;
  Operation *fold =
      op.getBody()->getTerminator()->getOperand(0).getDefiningOp();
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  FloatAttr start;
  BlockArgument in = op.getRegionInputArgs()[0],
                so = op.getRegionOutputArgs()[0];
  auto isPair = [&](Value a, Value b) {
    return fold->getOperand(0) == a && fold->getOperand(1) == b;
  };
  if (!fold || !isFold(fold) || !fill ||
      !matchPattern(fill.value(), m_Constant(&start)) ||
      start.getValueAsDouble() != init || (!isPair(in, so) && !isPair(so, in)))
    return nullptr;
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  SmallVector<Number> loops(op.getNumLoops());
  for (auto [expr, number] : llvm::zip(maps[1].getResults(), leaf->reading.at))
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      loops[dim.getPosition()] = number;
  loops[reductions[0]] = Number::atom(loop);
  auto at = readAt(maps[0], loops);
  auto sizes = dims(op.getDpsInputs()[0]);
  auto dim = maps[0].getResultPosition(builder.getAffineDimExpr(reductions[0]));
  if (!at || !sizes || !dim)
    return nullptr;
  // What is the same everywhere may be there once.
  if ((*sizes)[*dim].is(1))
    (*at)[*dim] = 0;
  else if (!((*sizes)[*dim] == atoms.sizeOf(loop)))
    return nullptr;
  return this->at(op.getDpsInputs()[0], *at);
}
