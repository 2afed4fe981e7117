// fulgur.attention: row by row, as it is defined.
#include "dialects/Fulgur.h"
#include "interpreter/Machine.h"
#include <cmath>

using namespace mlir;

namespace fulgur::interpreter {

namespace {
/// An operand and how far each loop moves in it.
struct Moved {
  const Array *array;
  SmallVector<int64_t, 8> advances;

  Moved(const Array &array, AffineMap map)
      : array(&array), advances(map.getNumDims(), 0) {
    for (auto [expression, stride] : llvm::zip(map.getResults(), array.strides))
      if (auto dim = dyn_cast<AffineDimExpr>(expression))
        advances[dim.getPosition()] = stride;
  }
  char *at(ArrayRef<int64_t> index) const {
    int64_t element = array->offset;
    for (auto [advance, position] : llvm::zip(advances, index))
      element += advance * position;
    return array->at(element);
  }
  Scalar load(ArrayRef<int64_t> index) const {
    return array->format.load(at(index));
  }
};
} // namespace

/// NaN when there is one.
static double greater(double a, double b) {
  return std::isnan(a) ? a : std::isnan(b) ? b : std::max(a, b);
}

void runAttention(Machine &machine, const Step &step) {
  auto op = step.as<AttentionOp>();
  const Body &score = step.regions[0];
  SmallVector<AffineMap> maps = op.mapList();
  unsigned extras = op.getExtras().size(), i = op.queryLoop(),
           d = op.depthLoop(), j = op.keyLoop(), n = op.columnLoop();
  SmallVector<Moved> operands;
  SmallVector<int64_t> loops(op.numLoops(), 1);
  for (unsigned k = 0; k + 1 < maps.size(); ++k) {
    const Array &array = machine.array(step, k);
    if (!array.format)
      return machine.unknown(step, "such a type");
    operands.push_back(Moved(array, maps[k]));
    for (auto [expression, size] : llvm::zip(maps[k].getResults(), array.sizes))
      if (auto dim = dyn_cast<AffineDimExpr>(expression))
        loops[dim.getPosition()] = size;
  }
  SmallVector<int64_t> sizes;
  for (AffineExpr expression : op.resultMap().getResults()) {
    auto dim = dyn_cast<AffineDimExpr>(expression);
    sizes.push_back(dim ? loops[dim.getPosition()] : 1);
  }
  auto result = makeArray(Format::of(op.getType()), sizes);
  Moved out(*result, op.resultMap());
  Format format = Format::of(op.getScore().getArgument(0).getType());
  int64_t common = 0, window = op.getWindow().value_or(INT64_MAX);
  if (op.getOffset())
    common = machine.integer(step, step.operands.size() - 1);

  SmallVector<double> scores(loops[j]);
  forEachIndex(ArrayRef(loops).take_front(d), [&](ArrayRef<int64_t> row) {
    SmallVector<int64_t> index(row);
    index.resize(loops.size(), 0);
    double greatest = -INFINITY, sum = 0;
    if (op.getSink())
      greatest = operands[3 + extras].load(index).real;
    int64_t offset = common;
    if (op.getOffsets())
      offset += operands.back().load(index).integer;
    double sink = greatest;
    for (int64_t &key = index[j] = 0; key < loops[j]; ++key) {
      double product = 0;
      for (int64_t &step = index[d] = 0; step < loops[d]; ++step)
        product += operands[0].load(index).real * operands[1].load(index).real;
      index[d] = 0;
      machine.setArgument(score, 0, machine.real(format, product));
      machine.setArgument(score, 1, Scalar::of(index[i]));
      machine.setArgument(score, 2, Scalar::of(key));
      for (unsigned k = 0; k < extras; ++k)
        machine.setArgument(score, 3 + k, operands[3 + k].load(index));
      machine.run(score);
      if (machine.hasEnded())
        return;
      int64_t last = index[i] + offset;
      bool sees = !op.getOffset() || (key <= last && last - key < window);
      scores[key] = sees ? machine.yielded[0].scalar.real : -INFINITY;
      greatest = greater(greatest, scores[key]);
    }
    bool isEmpty = greatest == -INFINITY;
    if (op.getSink())
      sum = std::exp(sink - greatest);
    bool averages = isEmpty && op.getAverageEmptyRows();
    for (double &power : scores)
      sum += power =
          averages ? 1 : machine.real(format, std::exp(power - greatest)).real;
    for (int64_t &column = index[n] = 0; column < loops[n]; ++column) {
      double total = 0;
      for (int64_t &key = index[j] = 0; key < loops[j]; ++key)
        total += scores[key] * operands[2].load(index).real;
      double quotient = isEmpty && op.getZeroEmptyRows() ? 0 : total / sum;
      result->format.store(machine.real(result->format, quotient),
                           out.at(index));
    }
  });
  if (!machine.hasEnded())
    machine.set(step, 0, result);
}
} // namespace fulgur::interpreter
