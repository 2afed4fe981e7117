// Gives the weights of products 4 bits each, with a scale for each block of
// them along the reduction: what lies farthest from 0 becomes -8, the others
// are rounded to what is nearest, and the scale is a float16. This is
// llama.cpp's Q4_0, and what ONNX Runtime's quantizer does to a symmetric
// MatMulNBits.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/WeightStore.h"
#include "passes/kernel/builders/Gather.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_QUANTIZEWEIGHTS
#include "passes/Passes.h.inc"

namespace {

/// The constant of f32 that `value` is; null when it is none.
ElementsAttr weightOf(Value value) {
  ElementsAttr weight;
  auto type = dyn_cast<RankedTensorType>(value.getType());
  if (!type || !type.getElementType().isF32() || type.getRank() < 2 ||
      !matchPattern(value, m_Constant(&weight)) || weightBytes(weight).empty())
    return {};
  return weight;
}

/// The dim of operand `number`, one of its last two, that the product sums
/// over; nothing when there is no single one, or the other of them is no
/// column.
std::optional<int64_t> summedDim(linalg::LinalgOp product, unsigned number) {
  AffineMap map = product.getIndexingMapsArray()[number];
  if (!map.isProjectedPermutation())
    return std::nullopt;
  std::optional<int64_t> summed;
  auto kinds = product.getIteratorTypesArray();
  for (auto [dim, expr] : llvm::enumerate(map.getResults()))
    if (kinds[cast<AffineDimExpr>(expr).getPosition()] ==
        utils::IteratorType::reduction) {
      if (summed)
        return std::nullopt;
      summed = dim;
    }
  if (product.getNumReductionLoops() != 1 || !summed ||
      *summed < int64_t(map.getNumResults()) - 2)
    return std::nullopt;
  return summed;
}

/// A weight's codes, a byte each, and their scales, which are float16s.
struct Quantized {
  ArrayRef<float> from;
  int64_t outer, rows, columns, block;
  bool alongRows; ///< whether blocks go from row to row

  float at(int64_t matrix, int64_t row, int64_t column) const {
    return from[from.size() == 1 ? 0
                                 : (matrix * rows + row) * columns + column];
  }
  int64_t steps() const { return alongRows ? rows : columns; }
  int64_t others() const { return alongRows ? columns : rows; }

  void fill(MutableArrayRef<char> codes, MutableArrayRef<float> scales) const {
    int64_t groups = llvm::divideCeilSigned(steps(), block);
    for (int64_t matrix : llvm::seq(outer))
      for (int64_t other : llvm::seq(others()))
        for (int64_t group : llvm::seq(groups)) {
          int64_t first = group * block,
                  last = std::min(first + block, steps());
          auto number = [&](int64_t step) {
            return alongRows ? at(matrix, step, other)
                             : at(matrix, other, step);
          };
          float farthest = 0;
          for (int64_t step : llvm::seq(first, last))
            if (std::fabs(number(step)) > std::fabs(farthest))
              farthest = number(step);
          APFloat half(farthest / -8);
          bool inexact;
          half.convert(APFloat::IEEEhalf(), APFloat::rmNearestTiesToEven,
                       &inexact);
          float scale = half.convertToFloat();
          scales[alongRows ? (matrix * groups + group) * columns + other
                           : (matrix * rows + other) * groups + group] = scale;
          for (int64_t step : llvm::seq(first, last)) {
            float code = scale == 0 ? 8 : number(step) / scale + 8.5f;
            codes[alongRows ? (matrix * rows + step) * columns + other
                            : (matrix * rows + other) * columns + step] =
                code < 0    ? 0
                : code > 15 ? 15
                            : char(code);
          }
        }
  }
};

struct QuantizeWeights : impl::QuantizeWeightsBase<QuantizeWeights> {
  using QuantizeWeightsBase::QuantizeWeightsBase;

  void runOnOperation() override {
    quantized.clear();
    SmallVector<linalg::LinalgOp> products;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (op.hasPureTensorSemantics() && linalg::isaContractionOpInterface(op))
        products.push_back(op);
    });
    for (linalg::LinalgOp product : products)
      for (OpOperand *input : product.getDpsInputOperands())
        quantize(product, *input);
    for (auto &[key, value] : quantized)
      releaseWeight(weightOf(key.first));
  }

private:
  void quantize(linalg::LinalgOp product, OpOperand &input) {
    std::optional<int64_t> axis = summedDim(product, input.getOperandNumber());
    if (!axis)
      return;
    if (weightOf(input.get())) {
      if (Value codes = codesOf(input.get(), *axis))
        input.set(codes);
      return;
    }
    // Matrices that data picks from a table.
    std::optional<RowGather> gather = matchRowGather(input.get());
    if (!gather || !weightOf(gather->table))
      return;
    if (Value codes = codesOf(gather->table, *axis))
      replaceAllUsesInRegionWith(gather->table, codes,
                                 gather->loop.getRegion());
  }

  /// The numbers of the weight's codes.
  Value codesOf(Value value, int64_t axis) {
    ElementsAttr weight = weightOf(value);
    auto type = cast<RankedTensorType>(weight.getType());
    int64_t steps = type.getDimSize(axis);
    if (steps % block != 0) {
      remark(value.getDefiningOp(), getArgument(),
             "a weight of " + Twine(steps) +
                 " steps stays float32: they are no whole number of blocks");
      return {};
    }
    OpBuilder builder(value.getContext());
    builder.setInsertionPointAfterValue(value);
    Value &result = quantized[{value, axis}];
    if (result)
      return result;
    SmallVector<int64_t> scaleShape(type.getShape());
    scaleShape[axis] = steps / block;
    ArrayRef<char> bytes = weightBytes(weight);
    int64_t rank = type.getRank();
    Quantized parts{{reinterpret_cast<const float *>(bytes.data()),
                     bytes.size() / sizeof(float)},
                    llvm::product_of(type.getShape().drop_back(2)),
                    type.getDimSize(rank - 2),
                    type.getDimSize(rank - 1),
                    block,
                    axis == rank - 2};
    ElementsAttr codes;
    ElementsAttr scales = addWeight(
        RankedTensorType::get(scaleShape, type.getElementType()), "scales",
        [&](MutableArrayRef<char> scales) {
          codes = addWeight(
              RankedTensorType::get(type.getShape(), builder.getI8Type()),
              "codes", [&](MutableArrayRef<char> to) {
                parts.fill(to, {reinterpret_cast<float *>(scales.data()),
                                scales.size() / sizeof(float)});
              });
        });
    Location loc = value.getLoc();
    auto constant = [&](ElementsAttr attr) -> Value {
      return arith::ConstantOp::create(builder, loc, cast<TypedAttr>(attr));
    };
    Value codesValue = constant(codes), scalesValue = constant(scales);
    return result = DequantizeOp::create(
               builder, loc, type, codesValue, scalesValue, Value(),
               /*bits=*/4, block, axis, /*offset=*/8, /*is_signed=*/false,
               /*per_byte=*/1, /*pack=*/0);
  }

  llvm::MapVector<std::pair<Value, int64_t>, Value> quantized;
};
} // namespace
} // namespace fulgur
