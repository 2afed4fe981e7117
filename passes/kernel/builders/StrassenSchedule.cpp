// Which products gain by Strassen's step, and are as exact with it.
#include "mlir/IR/Matchers.h"
#include "passes/WeightStore.h"
#include "passes/kernel/builders/Strassen.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::strassen;

namespace {
constexpr int64_t kHalfRows = 66;    // of each half, at most, in one task
constexpr int64_t kLeastSteps = 256; // that are worth it
constexpr double kMostStepRatio = 4; // of steps, whose errors are those of all
                                     // columns

/// The weights of a product, and what their steps and columns are added to.
struct Weights {
  const Product &product;
  ArrayRef<float> numbers;
  int64_t steps, columns, width, lanes;

  bool isBalanced() const;

private:
  /// The sums of squares of all steps and of all columns of one matrix.
  struct Sizes {
    std::vector<double> ofSteps, ofColumns;
  };
  bool isBalanced(const Sizes &sizes) const;
  int64_t partnerOfStep(int64_t step) const;
};
} // namespace

/// Of a step of the first half of a block.
int64_t Weights::partnerOfStep(int64_t step) const {
  int64_t half = steps / 2, block = stepsOfBlock(half, lanes),
          from = step / (2 * block) * block,
          length = std::min(block, half - from);
  return step - 2 * from < length ? step + length : -1;
}

/// What is rounded is as large as the larger one of two columns, which must not
/// be much larger than the smaller one. Of two steps the same holds where a's
/// make up for it, as the channels that few weights read are the large ones:
/// then all steps together count.
bool Weights::isBalanced(const Sizes &sizes) const {
  constexpr double most = kMostRatio * kMostRatio;
  int64_t half = llvm::divideCeil(columns, width) / 2 * width;
  for (int64_t column = 0; column + half < columns; ++column) {
    auto [least, greatest] =
        std::minmax(sizes.ofColumns[column], sizes.ofColumns[column + half]);
    if (greatest > most * least)
      return false;
  }
  double sum = 0;
  for (int64_t step : llvm::seq(steps)) {
    int64_t partner = partnerOfStep(step);
    if (partner < 0)
      continue;
    auto [least, greatest] =
        std::minmax(sizes.ofSteps[step], sizes.ofSteps[partner]);
    if (greatest > 0)
      sum += greatest / least;
  }
  return sum <= kMostStepRatio * kMostStepRatio * steps;
}

bool Weights::isBalanced() const {
  if (numbers.size() == 1) // all alike
    return true;
  auto type = cast<RankedTensorType>(product.bOperand.value.getType());
  ArrayRef<int> dims = product.bOperand.dims;
  // How much further an element of each dim is in the loops.
  SmallVector<int64_t> step(dims.size()), column(dims.size()),
      matrix(dims.size());
  auto setStrides = [&](unsigned loop, SmallVector<int64_t> &strides) {
    int64_t stride = 1;
    for (unsigned dim : llvm::reverse(product.loops[loop])) {
      int64_t at = llvm::find(dims, int(dim)) - dims.begin();
      strides[at] = stride;
      stride *= type.getDimSize(at);
    }
  };
  setStrides(product.reduction(), step);
  setStrides(product.column(), column);
  int64_t matrices = 1;
  for (size_t dim : llvm::seq(dims.size()))
    if (!step[dim] && !column[dim]) {
      matrix[dim] = matrices;
      matrices *= type.getDimSize(dim);
    }
  std::vector<Sizes> sizes(matrices, {std::vector<double>(steps, 0),
                                      std::vector<double>(columns, 0)});
  SmallVector<int64_t> at(dims.size(), 0);
  int64_t inner = type.getShape().back();
  for (const float *row = numbers.begin(); row != numbers.end(); row += inner) {
    auto numberIn = [&](ArrayRef<int64_t> strides) {
      int64_t number = 0;
      for (auto [index, stride] : llvm::zip(at, strides))
        number += index * stride;
      return number;
    };
    int64_t m = numberIn(matrix), s = numberIn(step), c = numberIn(column);
    for (int64_t k = 0; k < inner; ++k) {
      double square = double(row[k]) * row[k];
      Sizes &of = sizes[m + k * matrix.back()];
      of.ofSteps[s + k * step.back()] += square;
      of.ofColumns[c + k * column.back()] += square;
    }
    for (int64_t dim = dims.size() - 1;
         dim-- > 0 && ++at[dim] == type.getDimSize(dim);)
      at[dim] = 0;
  }
  return llvm::all_of(sizes, [&](const Sizes &of) { return isBalanced(of); });
}

/// Weights that are not known may be anything.
static bool isBalanced(KernelOp kernel, const Product &product, int64_t width,
                       int64_t lanes) {
  ElementsAttr weight = constantOf(kernel, product.bOperand.value);
  if (!weight || !weight.getElementType().isF32())
    return false;
  ArrayRef<float> numbers = weightFloats(weight);
  return !numbers.empty() && Weights{product,
                                     numbers,
                                     *product.size(product.reduction()),
                                     *product.size(product.column()),
                                     width,
                                     lanes}
                                 .isBalanced();
}

ScheduleAttr fulgur::strassenSchedule(KernelOp kernel, const Product &product,
                                      const Target &target,
                                      ScheduleAttr plain) {
  auto rowCount = product.size(product.row()),
       columnCount = product.size(product.column()),
       stepCount = product.size(product.reduction());
  int64_t rows = plain.getTile()[0], vectors = plain.getTile()[1],
          width = vectors * plain.getLanes();
  if (!plain.getPack() || plain.getPack() != width || product.gather ||
      product.depth() != 1 ||
      !getElementTypeOrSelf(product.aOperand.value).isF32() || !columnCount ||
      !stepCount)
    return {};
  // Both halves of the columns have the same panels, and both halves of the
  // steps are of the same length.
  if (rowCount.value_or(kLeastRows) < kLeastRows || *stepCount < kLeastSteps ||
      *stepCount % 2 != 0 || llvm::divideCeil(*columnCount, width) % 2 != 0)
    return {};
  // A row of the right side, an element of the left one and what is added to
  // it must fit the registers beside the sums.
  if (rows * vectors + vectors + 2 > target.vectorRegisters)
    return {};
  if (!isBalanced(kernel, product, width, plain.getLanes()))
    return {};
  return ScheduleAttr::get(kernel.getContext(), strassenBuilder.kind,
                           plain.getTile(), plain.getLanes(), /*unroll=*/2,
                           plain.getPack(), kHalfRows / rows * rows);
}
