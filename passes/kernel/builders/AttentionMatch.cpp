// Which kernels are attention that the builder takes, and what their score is.
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/NarrowAttention.h"
#include "passes/kernel/builders/Attention.h"
#include "passes/kernel/builders/View.h"

using namespace mlir;
using namespace fulgur;

static constexpr int64_t kDeepest = 512; // rows that fit the stack's tiles

SmallVector<std::pair<Value, AffineMap>> Attention::operands() const {
  AttentionOp op = this->op;
  auto stored = [](Value value, const std::optional<ScaledCodes> &codes,
                   tensor::InsertSliceOp past) -> Value {
    return codes ? codes->codes : past ? past.getDest() : value;
  };
  SmallVector<Value> values{op.getQuery(),
                            stored(op.getKey(), keyCodes, keyPast),
                            stored(op.getValue(), valueCodes, valuePast)};
  llvm::append_range(values, op.getExtras());
  if (op.getSink())
    values.push_back(op.getSink());
  if (op.getOffsets())
    values.push_back(op.getOffsets());
  values.push_back(op.getResult());
  SmallVector<std::pair<Value, AffineMap>> result;
  for (auto [value, map] : llvm::zip(values, op.mapList()))
    result.push_back({value, map});
  return result;
}

std::optional<int64_t> Attention::size(unsigned loop) const {
  for (auto [value, map] : operands()) {
    auto position =
        map.getResultPosition(getAffineDimExpr(loop, map.getContext()));
    if (!position)
      continue;
    int64_t size =
        cast<RankedTensorType>(value.getType()).getDimSize(*position);
    if (!ShapedType::isDynamic(size))
      return size;
  }
  return std::nullopt;
}

/// The constant that `op` multiplies `value` by.
static std::optional<double> factorOf(Operation *op, Value value) {
  FloatAttr constant;
  if (isa<arith::MulFOp>(op)) {
    Value other = op->getOperand(op->getOperand(0) == value ? 1 : 0);
    if (other != value && matchPattern(other, m_Constant(&constant)))
      return constant.getValueAsDouble();
  }
  if (isa<arith::DivFOp>(op) && op->getOperand(0) == value &&
      matchPattern(op->getOperand(1), m_Constant(&constant)))
    return 1 / constant.getValueAsDouble();
  return std::nullopt;
}

static void readScore(Attention &attention) {
  Block &body = attention.op.getScore().front();
  Value product = body.getArgument(0),
        yielded = body.getTerminator()->getOperand(0);
  if (product.hasOneUse() && yielded != product) {
    Operation *user = *product.getUsers().begin();
    if (auto factor = factorOf(user, product)) {
      attention.factor = *factor;
      attention.scaling = user;
      product = user->getResult(0);
    }
  }
  // Only what is positive keeps the order of products that become powers.
  attention.plain =
      yielded == product && (!attention.narrow || attention.factor > 0);
}

/// The bytes that keys or values are made of, if the kernel can read them and
/// their scales where they are. Scales are factors of whole keys, or of one
/// element of all keys.
static std::optional<ScaledCodes> codesOf(AttentionOp op, Value value,
                                          AffineMap map, unsigned element) {
  std::optional<ScaledCodes> codes = matchScaledCodes(value);
  if (!codes || !isView(codes->codes))
    return std::nullopt;
  if (!codes->scale)
    return codes;
  AffineMap scale = codes->scaleMap.compose(map);
  bool isFactor =
      !scale.isFunctionOfDim(op.keyLoop()) || !scale.isFunctionOfDim(element);
  return isFactor && isView(codes->scale) ? codes : std::nullopt;
}

std::optional<Attention> fulgur::matchAttention(KernelOp kernel) {
  Attention attention;
  auto yielded = kernel.yield().getValues();
  attention.op = yielded[0].getDefiningOp<AttentionOp>();
  if (!attention.op)
    return std::nullopt;
  AttentionOp op = attention.op;
  Block *block = kernel.bodyBlock();
  SmallVector<AffineMap> maps = op.mapList();
  attention.keyCodes = codesOf(op, op.getKey(), maps[1], op.depthLoop());
  attention.valueCodes = codesOf(op, op.getValue(), maps[2], op.columnLoop());
  auto makesNumbers = [&](Operation *other) {
    return (attention.keyCodes && other == attention.keyCodes->loop) ||
           (attention.valueCodes && other == attention.valueCodes->loop);
  };
  attention.keyPast = insertedPast(op.getKey());
  attention.valuePast = insertedPast(op.getValue());
  size_t copies = 0;
  for (tensor::InsertSliceOp past : {attention.keyPast, attention.valuePast}) {
    if (!past)
      continue;
    auto place = llvm::find(yielded, past.getResult());
    if (place == yielded.end() ||
        past.getDest() != kernel.bodyBlock()->getArgument(
                              kernel.getInputs().size() +
                              std::distance(yielded.begin(), place)) ||
        attentionThatCopies(past.getSource(), past.getResult()) != op)
      return std::nullopt;
    ++copies;
  }
  if (yielded.size() != 1 + copies)
    return std::nullopt;
  for (Operation &other : block->without_terminator())
    if (&other != op && !makesNumbers(&other) && &other != attention.keyPast &&
        &other != attention.valuePast &&
        !other.hasTrait<OpTrait::ConstantLike>() &&
        !isa<tensor::EmptyOp>(other) && !isViewOperation(&other))
      return std::nullopt;
  attention.out = block->getArgument(kernel.getInputs().size());

  auto isArgument = [&](Value value) {
    return isa<BlockArgument>(value) && value.getParentBlock() == block;
  };
  auto isF32 = [](Value value) {
    return getElementTypeOrSelf(value.getType()).isF32();
  };
  auto isBF16 = [](Value value) {
    return getElementTypeOrSelf(value.getType()).isBF16();
  };
  SmallVector<Value> factors{op.getQuery(), op.getKey(), op.getValue()};
  attention.narrow = llvm::all_of(factors, isBF16);
  if (!isView(op.getQuery()) ||
      !(attention.keyCodes || attention.keyPast || isView(op.getKey())) ||
      !(attention.valueCodes || attention.valuePast || isView(op.getValue())) ||
      (attention.narrow ? !hasRowsOfPairs(op) : !llvm::all_of(factors, isF32)))
    return std::nullopt;
  if (!(isF32(op.getResult()) || isBF16(op.getResult())) ||
      !isF32(op.getScore().getArgument(0)) ||
      (op.getSink() && (!isArgument(op.getSink()) || !isF32(op.getSink()))))
    return std::nullopt;
  for (Value extra : op.getExtras())
    if (!isArgument(extra) ||
        !getElementTypeOrSelf(extra.getType()).isIntOrIndexOrFloat())
      return std::nullopt;
  if (op.getOffsets() && !isArgument(op.getOffsets()))
    return std::nullopt;
  if (Value offset = op.getOffset();
      offset && !isArgument(offset) && !matchPattern(offset, m_Constant()))
    return std::nullopt;

  // Every batch loop moves in the result.
  AffineMap result = op.resultMap();
  for (unsigned loop : llvm::seq(op.numLoops()))
    if (loop != op.depthLoop() && loop != op.keyLoop() &&
        !result.isFunctionOfDim(loop))
      return std::nullopt;
  auto depth = attention.size(op.depthLoop()),
       columns = attention.size(op.columnLoop());
  if (!depth || !columns || *depth < 1 || *columns < 1 ||
      *depth + *columns > 2 * kDeepest || !isLanewise(op.getScore().front()))
    return std::nullopt;
  attention.depth = *depth, attention.columns = *columns;
  readScore(attention);
  return attention;
}
