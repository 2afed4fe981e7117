// Computes what depends on constants only: elementwise operations whose
// results are exact, such as the scale and shift that a batch normalization
// makes of its statistics or the biases of quantized products, and reshapes of
// weights, which keep their bytes.
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/Matchers.h"
#include "passes/Passes.h"
#include "passes/WeightStore.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <cstring>

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_FOLDCONSTANTS
#include "passes/Passes.h.inc"

namespace {

/// Elements of a result: what is larger is weights, not what is made of them.
constexpr int64_t kMostElements = 1 << 16;

/// A constant tensor of f32, or of i32 that are made f32: the biases of
/// quantized products. (Of bytes are weights, which products take as they are.)
struct Table {
  ArrayRef<char> bytes;
  bool isInteger;
  SmallVector<int64_t> strides;

  static std::optional<Table> of(Value value) {
    ElementsAttr attr;
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type ||
        (!type.getElementType().isF32() &&
         !type.getElementType().isInteger(32)) ||
        !matchPattern(value, m_Constant(&attr)))
      return std::nullopt;
    Table table{weightBytes(attr), type.getElementType().isInteger(),
                computeStrides(type.getShape())};
    int64_t count = table.bytes.size() / sizeof(float);
    if (count == 1) // a splat
      table.strides.assign(table.strides.size(), 0);
    else if (count != type.getNumElements())
      return std::nullopt;
    return table;
  }

  float at(AffineMap map, ArrayRef<int64_t> index) const {
    int64_t place = 0;
    for (auto [expr, stride] : llvm::zip(map.getResults(), strides))
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        place += index[dim.getPosition()] * stride;
    return isInteger ? float(get<int32_t>(place)) : get<float>(place);
  }

private:
  template <typename T> T get(int64_t place) const {
    T element;
    std::memcpy(&element, bytes.data() + place * sizeof(T), sizeof(T));
    return element;
  }
};

/// What `op` gives for these operands; nothing when it is not an operation
/// whose result is exact.
std::optional<float> compute(Operation &op, ArrayRef<float> in) {
  return llvm::TypeSwitch<Operation *, std::optional<float>>(&op)
      .Case([&](arith::AddFOp) { return in[0] + in[1]; })
      .Case([&](arith::SubFOp) { return in[0] - in[1]; })
      .Case([&](arith::MulFOp) { return in[0] * in[1]; })
      .Case([&](arith::DivFOp) { return in[0] / in[1]; })
      .Case([&](arith::NegFOp) { return -in[0]; })
      .Case([&](math::SqrtOp) { return std::sqrt(in[0]); })
      .Case([&](math::AbsFOp) { return std::fabs(in[0]); })
      .Case([&](arith::SIToFPOp) { return in[0]; }) // of an element, see Table
      .Default([](Operation *) { return std::nullopt; });
}

/// The elements of an elementwise operation on constants.
std::optional<std::vector<float>> evaluate(linalg::GenericOp op) {
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (op->getNumResults() != 1 || op.getNumDpsInputs() == 0 || !type ||
      !type.hasStaticShape() || !type.getElementType().isF32() ||
      type.getNumElements() > kMostElements || !linalg::isElementwise(op) ||
      !op.getIndexingMapsArray().back().isIdentity())
    return std::nullopt;
  SmallVector<Table> tables;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (auto [input, map] : llvm::zip(op.getDpsInputs(), maps)) {
    std::optional<Table> table = Table::of(input);
    if (!table || !map.isProjectedPermutation(/*allowZeroInResults=*/true))
      return std::nullopt;
    tables.push_back(*table);
  }
  llvm::DenseMap<Value, float> values;
  auto known = [&](Value value) -> std::optional<float> {
    if (auto found = values.find(value); found != values.end())
      return found->second;
    FloatAttr constant;
    if (!value.getType().isF32() || !matchPattern(value, m_Constant(&constant)))
      return std::nullopt;
    return constant.getValue().convertToFloat();
  };
  std::vector<float> result;
  SmallVector<int64_t> index(type.getRank());
  SmallVector<int64_t> strides = computeStrides(type.getShape());
  for (int64_t place : llvm::seq(type.getNumElements())) {
    index = delinearize(place, strides);
    values.clear();
    for (auto [number, table] : llvm::enumerate(tables))
      values[op.getRegionInputArgs()[number]] = table.at(maps[number], index);
    for (Operation &inside : op.getBody()->without_terminator()) {
      if (inside.hasTrait<OpTrait::ConstantLike>())
        continue;
      SmallVector<float> in;
      for (Value operand : inside.getOperands()) {
        std::optional<float> value = known(operand);
        if (!value)
          return std::nullopt;
        in.push_back(*value);
      }
      std::optional<float> value = compute(inside, in);
      if (!value)
        return std::nullopt;
      values[inside.getResult(0)] = *value;
    }
    std::optional<float> value =
        known(op.getBody()->getTerminator()->getOperand(0));
    if (!value)
      return std::nullopt;
    result.push_back(*value);
  }
  return result;
}

/// A weight under another shape.
ElementsAttr reshaped(Operation *op) {
  DenseResourceElementsAttr weight;
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  if (!type.hasStaticShape() ||
      !matchPattern(op->getOperand(0), m_Constant(&weight)))
    return {};
  return DenseResourceElementsAttr::get(type, weight.getRawHandle());
}

struct FoldConstants : impl::FoldConstantsBase<FoldConstants> {
  void runOnOperation() override {
    if (getOperation().isExternal())
      return;
    Block &block = getOperation().getBody().front();
    for (Operation &op : llvm::make_early_inc_range(block)) {
      ElementsAttr result;
      if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op))
        result = reshaped(&op);
      if (auto generic = dyn_cast<linalg::GenericOp>(op))
        if (auto elements = evaluate(generic))
          result = DenseElementsAttr::get(
              cast<RankedTensorType>(op.getResult(0).getType()),
              ArrayRef<float>(*elements));
      if (!result)
        continue;
      OpBuilder builder(&op);
      op.replaceAllUsesWith(arith::ConstantOp::create(builder, op.getLoc(),
                                                      cast<TypedAttr>(result)));
      op.erase();
    }
  }
};
} // namespace
} // namespace fulgur
