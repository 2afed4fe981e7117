// Gives the weights of products few bits each, with a scale for each block of
// them along the reduction. Of 4 bits, what lies farthest from 0 becomes -8,
// the others are rounded to what is nearest, and the scale is a float16: this
// is llama.cpp's Q4_0, and what ONNX Runtime's quantizer does to a symmetric
// MatMulNBits. Of 8 bits, it becomes 127 or -127.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Convolution.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/WeightStore.h"
#include "passes/graph/WeightProduct.h"
#include "passes/kernel/builders/Gather.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_QUANTIZEWEIGHTS
#include "passes/Passes.h.inc"

namespace {

/// Bytes are multiplied in blocks of a multiple of so many.
constexpr int64_t kBytesAtOnce = 16;

/// Sums of more products of bytes may not fit 32 bits.
constexpr int64_t kLongestSum = 1 << 15;

/// Weights of so many fewer columns than steps stay as they are: they are a
/// small part of any model, and such products often decide something, such as
/// which class an input is of.
constexpr int64_t kStepsPerColumn = 16;

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

/// A weight's codes, a byte each, and their scales; those of 4 bits are
/// float16s.
struct Quantized {
  ArrayRef<float> from;
  int64_t outer, rows, columns, block;
  bool alongRows; ///< whether blocks go from row to row
  int64_t bits;

  /// The scale of a block whose number farthest from 0 is this.
  float scaleFor(float farthest) const {
    if (bits == 8)
      return std::fabs(farthest) / 127;
    APFloat half(farthest / -8);
    bool inexact;
    half.convert(APFloat::IEEEhalf(), APFloat::rmNearestTiesToEven, &inexact);
    return half.convertToFloat();
  }
  int64_t offset() const { return int64_t(1) << (bits - 1); }
  char codeOf(float number, float scale) const {
    float code = scale == 0 ? offset() : number / scale + offset() + 0.5f;
    float last = float((1 << bits) - 1);
    return char(uint8_t(code < 0 ? 0 : code > last ? last : code));
  }

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
          float scale = scaleFor(farthest);
          scales[alongRows ? (matrix * groups + group) * columns + other
                           : (matrix * rows + other) * groups + group] = scale;
          for (int64_t step : llvm::seq(first, last))
            codes[alongRows ? (matrix * rows + step) * columns + other
                            : (matrix * rows + other) * columns + step] =
                codeOf(number(step), scale);
        }
  }
};

struct QuantizeWeights : impl::QuantizeWeightsBase<QuantizeWeights> {
  using QuantizeWeightsBase::QuantizeWeightsBase;

  void runOnOperation() override {
    if (bits != 4 && bits != 8) {
      getOperation().emitError()
          << "weights cannot have " << bits << " bits; they have 4 or 8";
      return signalPassFailure();
    }
    quantized.clear();
    roundings.clear();
    SmallVector<linalg::LinalgOp> products;
    getOperation().walk([&](linalg::LinalgOp op) {
      if (isConvolution(op)) {
        if (floatWeightOf(op->getOperand(1)))
          remark(op, getArgument(), "the weights of convolutions stay float32");
        return;
      }
      if (op.hasPureTensorSemantics() && linalg::isaContractionOpInterface(op))
        products.push_back(op);
    });
    for (linalg::LinalgOp product : products) {
      if (decidesWhatIsPicked(product)) {
        if (llvm::any_of(product->getOperands(), floatWeightOf))
          remark(product, getArgument(),
                 "its weights stay float32: what is picked depends on its "
                 "result");
        continue;
      }
      for (OpOperand *input : product.getDpsInputOperands())
        if (std::optional<int64_t> axis =
                summedDim(product, input->getOperandNumber());
            axis && quantize(*input, *axis)) {
          if (round)
            roundOther(product, *input);
          break;
        }
    }
    for (auto &[key, codes] : quantized) {
      readTable(key.first, codes);
      releaseWeight(floatWeightOf(key.first));
    }
  }

private:
  bool quantize(OpOperand &input, int64_t axis) {
    if (floatWeightOf(input.get())) {
      Value codes = codesOf(input.get(), axis);
      if (codes)
        input.set(codes);
      return codes != nullptr;
    }
    // Matrices that data picks from a table.
    std::optional<RowGather> gather = matchRowGather(input.get());
    if (!gather)
      return false;
    // Another product of what is picked has seen to it.
    if (gather->table.getDefiningOp<DequantizeOp>())
      return true;
    Value codes =
        floatWeightOf(gather->table) ? codesOf(gather->table, axis) : Value();
    if (codes)
      replaceAllUsesInRegionWith(gather->table, codes,
                                 gather->loop.getRegion());
    return codes != nullptr;
  }

  /// What a weight is multiplied with becomes bytes where its sums go along the
  /// last dim.
  void roundOther(linalg::LinalgOp product, OpOperand &weight) {
    unsigned number = 1 - weight.getOperandNumber();
    OpOperand &other = *product.getDpsInputOperand(number);
    AffineMap map = product.getIndexingMapsArray()[number];
    auto type = cast<RankedTensorType>(other.get().getType());
    auto loop = map.getNumResults() == 0
                    ? AffineExpr()
                    : map.getResult(map.getNumResults() - 1);
    if (!loop || !isa<AffineDimExpr>(loop) ||
        product.getIteratorTypesArray()[cast<AffineDimExpr>(loop)
                                            .getPosition()] !=
            utils::IteratorType::reduction)
      return remark(product, getArgument(),
                    "only its weights have few bits: its sums do not go along "
                    "the last dim of the other operand");
    int64_t steps = type.getShape().back(), block = blockOf(steps);
    OpBuilder builder(product);
    Value &rounded = roundings[{other.get(), block}];
    if (!rounded || !rounded.getDefiningOp()->isBeforeInBlock(product))
      rounded = RoundBlocksOp::create(builder, product.getLoc(), type,
                                      other.get(), block);
    other.set(rounded);
  }

  /// Rows that are picked from a weight are picked from its codes, so that it
  /// is there once.
  static void readTable(Value weight, Value codes) {
    if (llvm::any_of(weight.getUsers(), [&](Operation *user) {
          return !isa<tensor::ExtractOp>(user) ||
                 !user->getParentOfType<linalg::GenericOp>();
        }))
      return;
    weight.replaceUsesWithIf(
        codes, [](OpOperand &use) { return use.getOperandNumber() == 0; });
  }

  int64_t blockOf(int64_t steps) const { return block == 0 ? steps : block; }

  /// Why a weight stays as it is; empty when it need not.
  std::string reasonFor(int64_t steps, int64_t columns, bool isTable) const {
    int64_t block = blockOf(steps);
    std::string text;
    llvm::raw_string_ostream os(text);
    if (this->block == 0 && steps < kShortestSum)
      os << "its sums are short";
    else if (!isTable && columns * kStepsPerColumn <= steps)
      os << "it has few columns";
    else if (steps % block != 0)
      os << "they are no whole number of blocks";
    else if (round && (block % kBytesAtOnce != 0 || block > kLongestSum))
      os << "bytes are multiplied in blocks of a multiple of " << kBytesAtOnce
         << " up to " << kLongestSum;
    return text;
  }

  /// The numbers of the weight's codes.
  Value codesOf(Value value, int64_t axis) {
    ElementsAttr weight = floatWeightOf(value);
    auto type = cast<RankedTensorType>(weight.getType());
    int64_t steps = type.getDimSize(axis);
    int64_t rank = type.getRank(),
            columns = type.getDimSize(2 * rank - 3 - axis);
    if (std::string reason = reasonFor(steps, columns, rank > 2);
        !reason.empty()) {
      remark(value.getDefiningOp(), getArgument(),
             "a weight of " + Twine(steps) + " steps stays float32: " + reason);
      return {};
    }
    int64_t block = blockOf(steps);
    OpBuilder builder(value.getContext());
    builder.setInsertionPointAfterValue(value);
    Value &result = quantized[{value, axis}];
    if (result)
      return result;
    SmallVector<int64_t> scaleShape(type.getShape());
    scaleShape[axis] = steps / block;
    Quantized parts{weightFloats(weight),
                    llvm::product_of(type.getShape().drop_back(2)),
                    type.getDimSize(rank - 2),
                    type.getDimSize(rank - 1),
                    block,
                    axis == rank - 2,
                    bits};
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
               builder, loc, type, codesValue, scalesValue, Value(), bits,
               block, axis, parts.offset(), /*is_signed=*/false,
               /*per_byte=*/1, /*pack=*/0);
  }

  llvm::MapVector<std::pair<Value, int64_t>, Value> quantized;
  llvm::DenseMap<std::pair<Value, int64_t>, Value> roundings;
};
} // namespace
} // namespace fulgur
