// Loops over constants, computed a row of the innermost loop at a time. Sums
// are taken in double precision and rounded once.
#include "passes/graph/ConstantLoops.h"
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/Matchers.h"
#include "passes/WeightStore.h"
#include "llvm/ADT/TypeSwitch.h"
#include <cmath>
#include <cstring>

using namespace mlir;
using namespace fulgur;

/// Elements of a result that may be larger than what it is made of.
static constexpr int64_t kSmall = 1 << 16;
/// Steps of the innermost loops: what takes longer is left to the run.
static constexpr int64_t kMostSteps = int64_t(1) << 30;

namespace {
/// A constant tensor of f32, or of i32 that are made f32: the biases of
/// quantized products. (Of bytes are weights, which products take as they are.)
struct Table {
  ArrayRef<char> bytes;
  bool isInteger;
  SmallVector<int64_t> strides;

  static std::optional<Table> of(Value value) {
    if (auto transpose = value.getDefiningOp<linalg::TransposeOp>()) {
      std::optional<Table> table = of(transpose.getInput());
      if (table)
        table->strides =
            applyPermutation(table->strides, transpose.getPermutation());
      return table;
    }
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

  /// How far apart the elements of neighbours along each loop are.
  SmallVector<int64_t> along(AffineMap map) const {
    SmallVector<int64_t> steps(map.getNumDims());
    for (auto [expr, stride] : llvm::zip(map.getResults(), strides))
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        steps[dim.getPosition()] += stride;
    return steps;
  }

  float at(int64_t place) const {
    return isInteger ? float(get<int32_t>(place)) : get<float>(place);
  }

private:
  template <typename T> T get(int64_t place) const {
    T element;
    std::memcpy(&element, bytes.data() + place * sizeof(T), sizeof(T));
    return element;
  }
};

/// What an operation that is exact does with its operands.
using Function = float (*)(float, float);
} // namespace

static Function functionOf(Operation &op) {
  return llvm::TypeSwitch<Operation *, Function>(&op)
      .Case(
          [](arith::AddFOp) { return [](float a, float b) { return a + b; }; })
      .Case(
          [](arith::SubFOp) { return [](float a, float b) { return a - b; }; })
      .Case(
          [](arith::MulFOp) { return [](float a, float b) { return a * b; }; })
      .Case(
          [](arith::DivFOp) { return [](float a, float b) { return a / b; }; })
      .Case([](arith::NegFOp) { return [](float a, float) { return -a; }; })
      .Case([](math::SqrtOp) {
        return [](float a, float) { return std::sqrt(a); };
      })
      .Case([](math::AbsFOp) {
        return [](float a, float) { return std::fabs(a); };
      })
      .Case([](arith::SIToFPOp) { // of an element, see Table
        return [](float a, float) { return a; };
      })
      .Default([](Operation *) { return nullptr; });
}

namespace {
/// A loop nest: where its operands are, and what its body does with rows.
class Loops {
public:
  static std::optional<Loops> of(linalg::LinalgOp op) {
    Loops loops;
    loops.sizes = op.getStaticLoopRanges();
    int64_t steps = 1;
    for (int64_t size : loops.sizes)
      if (ShapedType::isDynamic(size) ||
          (size > 0 && steps > kMostSteps / size))
        return std::nullopt;
      else
        steps *= size;
    auto type = dyn_cast<RankedTensorType>(op->getResultTypes().front());
    if (op->getNumResults() != 1 || op.getNumDpsInputs() == 0 ||
        loops.sizes.empty() || steps == 0 || !type ||
        !type.getElementType().isF32())
      return std::nullopt;
    int64_t largest = kSmall;
    for (OpOperand *input : op.getDpsInputOperands()) {
      AffineMap map = op.getMatchingIndexingMap(input);
      std::optional<Table> table = Table::of(input->get());
      if (!table || !map.isProjectedPermutation(/*allowZeroInResults=*/true))
        return std::nullopt;
      loops.steps.push_back(table->along(map));
      loops.tables.push_back(*table);
      largest = std::max(largest, int64_t(table->bytes.size() / sizeof(float)));
    }
    AffineMap map = op.getIndexingMapsArray().back();
    if (type.getNumElements() > largest || !map.isProjectedPermutation())
      return std::nullopt;
    Table result{{}, false, computeStrides(type.getShape())};
    loops.resultSteps = result.along(map);
    loops.count = type.getNumElements();
    if (!loops.readBody(op))
      return std::nullopt;
    return loops;
  }

  std::vector<float> values() {
    std::vector<double> sums(count);
    unsigned last = sizes.size() - 1;
    int64_t length = sizes[last];
    rows.assign(tables.size() + body.size(), std::vector<float>(length));
    for (auto [row, number] : numbers)
      rows[row].assign(length, number);
    SmallVector<int64_t> outer(sizes.begin(), sizes.end() - 1);
    SmallVector<int64_t> strides = computeStrides(outer);
    for (int64_t row : llvm::seq(computeProduct(outer))) {
      SmallVector<int64_t> index = delinearize(row, strides);
      auto place = [&](ArrayRef<int64_t> steps) {
        int64_t at = 0;
        for (auto [i, step] : llvm::zip(index, steps))
          at += i * step;
        return at;
      };
      for (unsigned k : llvm::seq<unsigned>(tables.size())) {
        int64_t from = place(steps[k]), step = steps[k][last];
        for (int64_t j = 0; j < length; ++j)
          rows[k][j] = tables[k].at(from + j * step);
      }
      for (auto [k, inner] : llvm::enumerate(body))
        for (int64_t j = 0; inner.function && j < length; ++j)
          rows[tables.size() + k][j] =
              inner.function(rows[inner.a][j], rows[inner.b][j]);
      double *to = sums.data() + place(resultSteps);
      for (int64_t j = 0; j < length; ++j) {
        double &sum = to[j * resultSteps[last]];
        sum = isSum ? sum + rows[yielded][j] : rows[yielded][j];
      }
    }
    return std::vector<float>(sums.begin(), sums.end());
  }

private:
  /// An operation of the body, on the rows with these numbers; none for a
  /// constant.
  struct Inner {
    Function function;
    unsigned a, b;
  };

  bool readBody(linalg::LinalgOp op) {
    Block &block = *op.getBlock();
    llvm::DenseMap<Value, unsigned> known;
    for (unsigned k : llvm::seq<unsigned>(tables.size()))
      known[block.getArgument(k)] = k;
    auto rowOf = [&](Value value) -> std::optional<unsigned> {
      if (auto found = known.find(value); found != known.end())
        return found->second;
      FloatAttr number;
      if (!value.getType().isF32() || !matchPattern(value, m_Constant(&number)))
        return std::nullopt;
      unsigned row = known[value] = tables.size() + body.size();
      body.push_back({nullptr, 0, 0});
      numbers.push_back({row, number.getValue().convertToFloat()});
      return row;
    };
    // A reduction adds what is yielded to what is there, which is 0 at first.
    Value result = block.getTerminator()->getOperand(0);
    isSum = op.getNumReductionLoops() != 0;
    Operation *sum = nullptr;
    BlockArgument there = block.getArguments().back();
    if (isSum) {
      sum = result.getDefiningOp<arith::AddFOp>();
      auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
      if (!sum || !there.hasOneUse() || *there.user_begin() != sum || !fill ||
          !matchPattern(fill.value(), m_AnyZeroFloat()))
        return false;
      result = sum->getOperand(sum->getOperand(0) == there ? 1 : 0);
    } else if (!there.use_empty()) {
      return false;
    }
    for (Operation &inside : block.without_terminator()) {
      if (&inside == sum || inside.hasTrait<OpTrait::ConstantLike>())
        continue;
      Function function = functionOf(inside);
      if (!function)
        return false;
      auto a = rowOf(inside.getOperand(0)),
           b = rowOf(inside.getOperands().back());
      if (!a || !b)
        return false;
      known[inside.getResult(0)] = tables.size() + body.size();
      body.push_back({function, *a, *b});
    }
    auto row = rowOf(result);
    if (row)
      yielded = *row;
    return row.has_value();
  }

  SmallVector<int64_t> sizes, resultSteps;
  SmallVector<Table> tables;
  SmallVector<SmallVector<int64_t>> steps;
  SmallVector<Inner> body;
  SmallVector<std::pair<unsigned, float>> numbers;
  std::vector<std::vector<float>> rows; ///< of tables, then of the body
  int64_t count;
  unsigned yielded;
  bool isSum;
};
} // namespace

/// A product of two matrices, which may be large.
static std::optional<std::vector<float>> productOf(linalg::LinalgOp op) {
  if (!linalg::isaContractionOpInterface(op) || op.getNumLoops() != 3)
    return std::nullopt;
  FailureOr<linalg::ContractionDimensions> dims =
      linalg::inferContractionDims(op);
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  auto left = Table::of(op.getDpsInputs()[0]),
       right = Table::of(op.getDpsInputs()[1]);
  auto type = cast<RankedTensorType>(op->getResultTypes()[0]);
  if (failed(dims) || dims->m.size() != 1 || dims->n.size() != 1 ||
      dims->k.size() != 1 || !fill ||
      !matchPattern(fill.value(), m_AnyZeroFloat()) || !left || !right ||
      left->isInteger || right->isInteger || !type.getElementType().isF32() ||
      !op.getIndexingMapsArray()[2].isProjectedPermutation())
    return std::nullopt;
  SmallVector<int64_t> sizes = op.getStaticLoopRanges();
  int64_t m = sizes[dims->m[0]], n = sizes[dims->n[0]], k = sizes[dims->k[0]];
  int64_t largest =
      std::max(left->bytes.size(), right->bytes.size()) / sizeof(float);
  if (ShapedType::isDynamic(m) || ShapedType::isDynamic(n) ||
      ShapedType::isDynamic(k) || m * n > std::max(largest, kSmall) ||
      (m * n > 0 && k > kMostSteps / (m * n)))
    return std::nullopt;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  SmallVector<int64_t> a = left->along(maps[0]), b = right->along(maps[1]);
  Table result{{}, false, computeStrides(type.getShape())};
  SmallVector<int64_t> c = result.along(maps[2]);
  std::vector<float> columns(k * n), values(m * n);
  for (int64_t q = 0; q < k; ++q)
    for (int64_t j = 0; j < n; ++j)
      columns[q * n + j] = right->at(q * b[dims->k[0]] + j * b[dims->n[0]]);
  std::vector<double> sums(n);
  for (int64_t i = 0; i < m; ++i) {
    llvm::fill(sums, 0);
    for (int64_t q = 0; q < k; ++q) {
      double x = left->at(i * a[dims->m[0]] + q * a[dims->k[0]]);
      const float *row = columns.data() + q * n;
      for (int64_t j = 0; j < n; ++j)
        sums[j] += x * row[j];
    }
    for (int64_t j = 0; j < n; ++j)
      values[i * c[dims->m[0]] + j * c[dims->n[0]]] = float(sums[j]);
  }
  return values;
}

/// A normalization of the rows of a constant.
static std::optional<std::vector<float>> normOf(Operation *op, int64_t axis,
                                                double epsilon, bool centre) {
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  SmallVector<Table> tables;
  for (Value operand : op->getOperands()) {
    std::optional<Table> table = Table::of(operand);
    if (!table || operand.getDefiningOp<linalg::TransposeOp>())
      return std::nullopt;
    tables.push_back(*table);
  }
  if (!type || !type.hasStaticShape() || !type.getElementType().isF32() ||
      type.getNumElements() == 0)
    return std::nullopt;
  int64_t length = computeProduct(type.getShape().drop_front(axis));
  auto element = [](const Table &table, int64_t k) {
    return double(table.at(table.bytes.size() == sizeof(float) ? 0 : k));
  };
  std::vector<float> result(type.getNumElements());
  for (int64_t row = 0; row < type.getNumElements(); row += length) {
    double mean = 0, variance = 0;
    for (int64_t k = 0; centre && k < length; ++k)
      mean += element(tables[0], row + k) / double(length);
    for (int64_t k = 0; k < length; ++k) {
      double distance = element(tables[0], row + k) - mean;
      variance += distance * distance / double(length);
    }
    for (int64_t k = 0; k < length; ++k) {
      double scaled = (element(tables[0], row + k) - mean) /
                      std::sqrt(variance + epsilon) * element(tables[1], k);
      result[row + k] =
          float(tables.size() > 2 ? scaled + element(tables[2], k) : scaled);
    }
  }
  return result;
}

std::optional<std::vector<float>> fulgur::valuesOf(Operation *op) {
  if (auto norm = dyn_cast<LayerNormOp>(op))
    return normOf(op, norm.getAxis(), norm.getEpsilon().convertToFloat(), true);
  if (auto norm = dyn_cast<RMSNormOp>(op))
    return normOf(op, norm.getAxis(), norm.getEpsilon().convertToFloat(),
                  false);
  auto loops = dyn_cast<linalg::LinalgOp>(op);
  if (!loops || !loops.hasPureTensorSemantics() || op->getNumResults() != 1 ||
      isa<linalg::FillOp, linalg::TransposeOp>(op))
    return std::nullopt;
  if (linalg::isaContractionOpInterface(loops))
    return productOf(loops);
  if (!isa<linalg::GenericOp>(op))
    return std::nullopt;
  std::optional<Loops> nest = Loops::of(loops);
  if (!nest)
    return std::nullopt;
  return nest->values();
}
