#include "passes/graph/Quantized.h"
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Dims.h"
#include "passes/WeightStore.h"

using namespace mlir;
using namespace fulgur;

/// The operand of `loop` that `value` in its body is an element of, or null.
static OpOperand *operandOf(linalg::GenericOp loop, Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (!argument || argument.getOwner() != loop.getBody() ||
      argument.getArgNumber() >= loop.getNumDpsInputs())
    return nullptr;
  return loop.getDpsInputOperand(argument.getArgNumber());
}

/// The dim of the loop's result along which the operand changes; -1 for none.
/// Nothing when there are several.
static std::optional<int> changingDim(linalg::GenericOp loop,
                                      OpOperand *operand) {
  auto type = cast<RankedTensorType>(operand->get().getType());
  int dim = -1;
  for (auto [size, expr] :
       llvm::zip(type.getShape(),
                 loop.getMatchingIndexingMap(operand).getResults())) {
    if (size == 1 || isa<AffineConstantExpr>(expr))
      continue;
    auto at = dyn_cast<AffineDimExpr>(expr);
    if (!at || dim >= 0)
      return std::nullopt;
    dim = at.getPosition();
  }
  return dim;
}

/// The scale that `value` in the loop's body is.
static std::optional<Parameter<float>> scaleOf(linalg::GenericOp loop,
                                               Value value) {
  FloatAttr number;
  if (matchPattern(value, m_Constant(&number)))
    return Parameter<float>::constant(number.getValue().convertToFloat());
  OpOperand *operand = operandOf(loop, value);
  if (!operand || !value.getType().isF32())
    return std::nullopt;
  std::optional<int> dim = changingDim(loop, operand);
  if (!dim)
    return std::nullopt;
  ElementsAttr attr;
  if (!matchPattern(operand->get(), m_Constant(&attr)))
    return *dim < 0 ? std::optional(Parameter<float>{{}, -1, operand->get()})
                    : std::nullopt;
  ArrayRef<float> numbers = weightFloats(attr);
  if (numbers.empty())
    return std::nullopt;
  if (numbers.size() == 1)
    return Parameter<float>::constant(numbers[0]);
  return Parameter<float>{SmallVector<float>(numbers), *dim, {}};
}

/// Whether `op` extends a byte to 32 bits, or makes it an f32.
static bool widens(Operation *op) {
  return isa_and_nonnull<arith::ExtUIOp, arith::ExtSIOp, arith::UIToFPOp,
                         arith::SIToFPOp>(op) &&
         op->getOperand(0).getType().isInteger(8) &&
         (op->getResult(0).getType().isInteger(32) ||
          op->getResult(0).getType().isF32());
}

static bool isUnsignedWidening(Operation *op) {
  return isa<arith::ExtUIOp, arith::UIToFPOp>(op);
}

/// Fills in the zero point that `value`, subtracted in the loop's body, is.
static bool readZero(linalg::GenericOp loop, Value value, Quantized &q) {
  APInt number;
  if (matchPattern(value, m_ConstantInt(&number))) {
    q.zero = Parameter<int32_t>::constant(number.getSExtValue());
    return true;
  }
  Operation *op = value.getDefiningOp();
  if (!widens(op) || isUnsignedWidening(op) != q.isUnsigned)
    return false;
  OpOperand *operand = operandOf(loop, op->getOperand(0));
  std::optional<int> dim = operand ? changingDim(loop, operand) : std::nullopt;
  if (!dim)
    return false;
  ElementsAttr attr;
  if (!matchPattern(operand->get(), m_Constant(&attr))) {
    q.zero = {{}, -1, operand->get()};
    q.zeroIsUnsigned = q.isUnsigned;
    return *dim < 0;
  }
  SmallVector<int32_t> numbers = integersOf(attr, q.isUnsigned);
  if (numbers.empty())
    return false;
  if (llvm::all_equal(numbers))
    q.zero = Parameter<int32_t>::constant(numbers[0]);
  else
    q.zero = {numbers, *dim, {}};
  return true;
}

/// What gives quantized numbers: (extend(x) - extend(zero)) * scale, with any
/// of the last two missing.
static std::optional<Quantized> readLoop(linalg::GenericOp loop) {
  if (loop.getNumDpsInits() != 1 || !linalg::isElementwise(loop) ||
      !loop.getIndexingMapsArray().back().isIdentity())
    return std::nullopt;
  Quantized q;
  Value value = loop.getBody()->getTerminator()->getOperand(0);
  auto readIntegers = [&](Value value) {
    Value zero;
    if (auto sub = value.getDefiningOp<arith::SubIOp>()) {
      zero = sub.getRhs();
      value = sub.getLhs();
    }
    Operation *widening = value.getDefiningOp();
    if (!widens(widening))
      return false;
    OpOperand *operand = operandOf(loop, widening->getOperand(0));
    if (!operand || !loop.getMatchingIndexingMap(operand).isIdentity())
      return false;
    q.source = operand->get();
    q.isUnsigned = isUnsignedWidening(widening);
    return !zero || readZero(loop, zero, q);
  };
  if (value.getType().isF32()) {
    auto mul = value.getDefiningOp<arith::MulFOp>();
    if (!mul)
      return std::nullopt;
    for (auto [number, scale] : {std::pair(mul.getLhs(), mul.getRhs()),
                                 std::pair(mul.getRhs(), mul.getLhs())}) {
      std::optional<Parameter<float>> factor = scaleOf(loop, scale);
      if (!factor)
        continue;
      q.scale = *factor;
      auto conversion = number.getDefiningOp<arith::SIToFPOp>();
      bool isWide = conversion && conversion.getIn().getType().isInteger(32);
      if (readIntegers(isWide ? conversion.getIn() : number))
        return q;
    }
    return std::nullopt;
  }
  if (!value.getType().isInteger(32) || !readIntegers(value))
    return std::nullopt;
  return q;
}

/// A constant of i32 that fits bytes with some zero point.
static std::optional<Quantized> readConstant(Value value) {
  ElementsAttr attr;
  if (!getElementTypeOrSelf(value.getType()).isInteger(32) ||
      !matchPattern(value, m_Constant(&attr)))
    return std::nullopt;
  SmallVector<int32_t> numbers = integersOf(attr, false);
  if (numbers.empty())
    return std::nullopt;
  int64_t least = *llvm::min_element(numbers),
          greatest = *llvm::max_element(numbers);
  if (greatest - least > UINT8_MAX || least < INT16_MIN || greatest > INT16_MAX)
    return std::nullopt;
  Quantized q;
  q.source = value;
  q.constant = attr;
  if (least < INT8_MIN || greatest > INT8_MAX)
    q.zero = Parameter<int32_t>::constant(INT8_MIN - least);
  return q;
}

/// Where dim `dim` of what `move` reads is in its result; nothing when a
/// parameter cannot follow it.
static std::optional<int> movedDim(Operation *move, int dim) {
  if (auto transpose = dyn_cast<linalg::TransposeOp>(move))
    return llvm::find(transpose.getPermutation(), dim) -
           transpose.getPermutation().begin();
  auto only = [](ReassociationIndices group, RankedTensorType type) {
    int found = -1;
    for (int64_t dim : group)
      if (type.getDimSize(dim) != 1)
        found = found < 0 ? int(dim) : -2;
    return found;
  };
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(move)) {
    for (auto [number, group] :
         llvm::enumerate(collapse.getReassociationIndices()))
      if (llvm::is_contained(group, dim))
        return only(group, collapse.getSrcType()) == dim
                   ? std::optional(int(number))
                   : std::nullopt;
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(move)) {
    int found =
        only(expand.getReassociationIndices()[dim], expand.getResultType());
    return found >= 0 ? std::optional(found) : std::nullopt;
  }
  return std::nullopt;
}

/// What only moves elements, or adds zeros, and can do so with integers.
static bool isMove(Operation *op) {
  if (auto pad = dyn_cast<tensor::PadOp>(op)) {
    Value filler = pad.getConstantPaddingValue();
    return filler && (matchPattern(filler, m_AnyZeroFloat()) ||
                      matchPattern(filler, m_Zero()));
  }
  return isa<tensor::CollapseShapeOp, tensor::ExpandShapeOp,
             tensor::ExtractSliceOp, linalg::TransposeOp>(op);
}

std::optional<Quantized> fulgur::matchQuantized(Value value) {
  SmallVector<Operation *> moves;
  while (Operation *op = value.getDefiningOp()) {
    if (!isMove(op))
      break;
    moves.push_back(op);
    value = op->getOperand(0);
  }
  std::reverse(moves.begin(), moves.end());
  auto loop = value.getDefiningOp<linalg::GenericOp>();
  std::optional<Quantized> q = loop ? readLoop(loop) : readConstant(value);
  if (!q)
    return std::nullopt;
  for (Operation *move : moves) {
    // Padding has to be the zero point, which is one number then.
    if (isa<tensor::PadOp>(move) && (q->zero.scalar || q->zero.dim >= 0))
      return std::nullopt;
    for (int *dim : {&q->scale.dim, &q->zero.dim}) {
      if (*dim < 0)
        continue;
      std::optional<int> next = movedDim(move, *dim);
      if (!next)
        return std::nullopt;
      *dim = *next;
    }
  }
  matchPattern(q->source, m_Constant(&q->constant));
  if (q->constant &&
      (weightBytes(q->constant).empty() ||
       !llvm::all_of(
           moves,
           llvm::IsaPred<tensor::CollapseShapeOp, tensor::ExpandShapeOp>)))
    q->constant = {};
  q->moves = moves;
  return q;
}

SmallVector<int32_t> fulgur::integersOf(ElementsAttr constant,
                                        bool isUnsigned) {
  ArrayRef<char> bytes = weightBytes(constant);
  SmallVector<int32_t> numbers;
  if (constant.getElementType().isInteger(32)) {
    ArrayRef<int32_t> all(reinterpret_cast<const int32_t *>(bytes.data()),
                          bytes.size() / sizeof(int32_t));
    llvm::append_range(numbers, all);
  } else if (constant.getElementType().isInteger(8)) {
    for (char byte : bytes)
      numbers.push_back(isUnsigned ? int32_t(uint8_t(byte))
                                   : int32_t(int8_t(byte)));
  }
  return numbers;
}

/// Its numbers and `offset`, as bytes.
static ElementsAttr shifted(const Quantized &q, int32_t offset) {
  SmallVector<int32_t> numbers = integersOf(q.constant, q.isUnsigned);
  auto type =
      RankedTensorType::get(q.constant.getShapedType().getShape(),
                            IntegerType::get(q.constant.getContext(), 8));
  return addWeight(type, "bytes", [&](MutableArrayRef<char> bytes) {
    for (auto [k, byte] : llvm::enumerate(bytes))
      byte = char(numbers[numbers.size() == 1 ? 0 : k] + offset);
  });
}

bool fulgur::setUnsigned(Quantized &q, bool isUnsigned, FlippedBytes &flipped) {
  bool isByte = getElementTypeOrSelf(q.source.getType()).isInteger(8);
  if (isByte && q.isUnsigned == isUnsigned)
    return true;
  OpBuilder builder(q.source.getContext());
  builder.setInsertionPointAfterValue(q.source);
  for (Operation *user : q.source.getUsers())
    if (isa<SizedOp>(user)) // which says the dims of an argument
      builder.setInsertionPointAfter(user);
  int32_t offset = isUnsigned == q.isUnsigned ? 0 : isUnsigned ? 128 : -128;
  Value &bytes = flipped[q.source];
  if (!bytes && q.constant) {
    int32_t zero = isByte ? 0 : q.zero.numbers[0];
    bytes = arith::ConstantOp::create(
        builder, q.source.getLoc(), cast<TypedAttr>(shifted(q, offset + zero)));
  } else if (!bytes) {
    Location loc = q.source.getLoc();
    Value init = emptyLike(builder, q.source, builder.getI8Type());
    if (!init)
      return false;
    auto rank = cast<RankedTensorType>(init.getType()).getRank();
    AffineMap identity = builder.getMultiDimIdentityMap(rank);
    SmallVector<utils::IteratorType> kinds(rank, utils::IteratorType::parallel);
    bytes =
        linalg::GenericOp::create(
            builder, loc, init.getType(), q.source, init,
            ArrayRef<AffineMap>{identity, identity}, kinds,
            [&](OpBuilder &inside, Location, ValueRange v) {
              Value first = arith::ConstantIntOp::create(
                  inside, loc, inside.getI8Type(), -128);
              linalg::YieldOp::create(
                  inside, loc,
                  arith::XOrIOp::create(inside, loc, v[0], first).getResult());
            })
            .getResult(0);
  }
  q.source = bytes;
  if (q.constant)
    matchPattern(bytes, m_Constant(&q.constant));
  for (int32_t &number : q.zero.numbers)
    number += offset;
  q.zeroOffset += offset;
  q.isUnsigned = isUnsigned;
  return true;
}

AffineMap fulgur::withoutTranspose(Quantized &q, AffineMap map,
                                   OpBuilder &builder) {
  size_t count = q.moves.size();
  auto collapse = count > 1
                      ? dyn_cast<tensor::CollapseShapeOp>(q.moves[count - 1])
                      : nullptr;
  auto transpose =
      collapse ? dyn_cast<linalg::TransposeOp>(q.moves[count - 2]) : nullptr;
  if (!transpose || q.constant || q.scale.dim >= 0 || q.zero.dim >= 0)
    return map;
  // Every group has one dim that counts: where it was before the transpose.
  ArrayRef<int64_t> permutation = transpose.getPermutation();
  RankedTensorType type = collapse.getSrcType();
  SmallVector<std::pair<int64_t, unsigned>> places;
  for (auto [number, group] :
       llvm::enumerate(collapse.getReassociationIndices())) {
    std::optional<int64_t> counts;
    for (int64_t dim : group)
      if (type.getDimSize(dim) != 1 || (dim == group.back() && !counts)) {
        if (counts)
          return map;
        counts = dim;
      }
    if (!counts)
      return map;
    places.push_back({permutation[*counts], number});
  }
  llvm::sort(places);
  SmallVector<ReassociationIndices> groups(places.size());
  SmallVector<AffineExpr> exprs;
  int64_t next = 0;
  for (auto [k, place] : llvm::enumerate(places)) {
    int64_t end = k + 1 == places.size() ? type.getRank() : place.first + 1;
    for (; next < end; ++next)
      groups[k].push_back(next);
    exprs.push_back(map.getResult(place.second));
  }
  Value like = transpose.getInput();
  Operation *op =
      tensor::CollapseShapeOp::create(builder, collapse.getLoc(), like, groups);
  q.moves.pop_back_n(2);
  q.moves.push_back(op);
  return AffineMap::get(map.getNumDims(), 0, exprs, map.getContext());
}

Value fulgur::emptyLike(OpBuilder &builder, Value like, Type element) {
  auto type = cast<RankedTensorType>(like.getType());
  FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(builder, like);
  if (failed(dims))
    return {};
  return tensor::EmptyOp::create(
      builder, like.getLoc(), type.clone(element),
      dynamicDims(builder, like.getLoc(), type, *dims));
}

/// `weight` in another shape.
static ElementsAttr reshaped(ElementsAttr weight, ShapedType type) {
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(weight))
    return DenseResourceElementsAttr::get(type, resource.getRawHandle());
  return cast<DenseElementsAttr>(weight).reshape(type);
}

Value fulgur::moved(OpBuilder &builder, Quantized &q) {
  Value value = q.source;
  for (Operation *move : q.moves) {
    auto type = cast<RankedTensorType>(move->getResult(0).getType())
                    .clone(builder.getI8Type());
    if (q.constant) {
      q.constant = reshaped(q.constant, type);
      continue;
    }
    Operation *copy;
    if (auto transpose = dyn_cast<linalg::TransposeOp>(move)) {
      Value init = emptyLike(builder, transpose.getInit(), builder.getI8Type());
      if (!init)
        return {};
      copy = linalg::TransposeOp::create(builder, move->getLoc(), value, init,
                                         transpose.getPermutation());
    } else {
      copy = builder.clone(*move);
      copy->setOperand(0, value);
      copy->getResult(0).setType(type);
    }
    if (auto pad = dyn_cast<tensor::PadOp>(copy)) {
      Operation *yield = pad.getBody()->getTerminator();
      OpBuilder inside(yield);
      Value zero = arith::ConstantIntOp::create(
          inside, move->getLoc(), builder.getI8Type(), q.zero.numbers[0]);
      yield->setOperand(0, zero);
    }
    value = copy->getResult(0);
  }
  if (q.constant)
    return arith::ConstantOp::create(builder, q.source.getLoc(),
                                     cast<TypedAttr>(q.constant));
  return value;
}
