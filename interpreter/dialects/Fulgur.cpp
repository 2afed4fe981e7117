// fulgur: symbols and requirements, kernels, the run's buffers and its tasks.
#include "dialects/Fulgur.h"
#include "interpreter/Host.h"
#include "interpreter/Machine.h"
#include <cmath>

using namespace mlir;

namespace fulgur::interpreter {

static void runSymbol(Machine &machine, const Step &step) {
  StringRef name = step.as<SymbolOp>().getName();
  auto size = machine.host.symbols.find(name.str());
  if (size == machine.host.symbols.end())
    return machine.unknown(step, "the symbol '" + name + "'");
  machine.set(step, 0, Scalar::of(size->second));
}

static void runBounded(Machine &machine, const Step &step) {
  uint64_t size = machine.integer(step, 0), bound = machine.integer(step, 1);
  if (size > bound)
    return machine.stop(Ending::stopped, step.as<BoundedOp>().getMessage());
  machine.set(step, 0, Scalar::of(int64_t(size)));
}

static void runCheckBounds(Machine &machine, const Step &step) {
  llvm::IntrusiveRefCntPtr<Array> indices = copyOf(machine.array(step, 0));
  for (int64_t k = 0, count = indices->count(); k < count; ++k) {
    int64_t index = indices->format.load(indices->at(k)).integer;
    if (index < machine.integer(step, 1) || index >= machine.integer(step, 2))
      return machine.stop(Ending::stopped,
                          step.as<CheckBoundsOp>().getMessage());
  }
}

//===-- Operations on rows ------------------------------------------------===//

/// Calls `compute` with each row along dims; numbers are changed in place.
static void
forEachRow(Machine &machine, const Step &step, int64_t outer, int64_t count,
           int64_t inner,
           llvm::function_ref<void(MutableArrayRef<double>)> compute) {
  auto result = copyOf(machine.array(step, 0));
  SmallVector<double> row(count);
  for (int64_t i = 0; i < outer; ++i)
    for (int64_t j = 0; j < inner; ++j) {
      auto at = [&](int64_t k) {
        return result->at((i * count + k) * inner + j);
      };
      for (int64_t k = 0; k < count; ++k)
        row[k] = result->format.load(at(k)).real;
      compute(row);
      for (int64_t k = 0; k < count; ++k)
        result->format.store(machine.real(result->format, row[k]), at(k));
    }
  machine.set(step, 0, result);
}

static int64_t product(ArrayRef<int64_t> sizes) {
  int64_t result = 1;
  for (int64_t size : sizes)
    result *= size;
  return result;
}

static void runSoftmax(Machine &machine, const Step &step) {
  int64_t axis = step.as<SoftmaxOp>().getAxis();
  ArrayRef<int64_t> sizes = machine.array(step, 0).sizes;
  forEachRow(machine, step, product(sizes.take_front(axis)), sizes[axis],
             product(sizes.drop_front(axis + 1)),
             [](MutableArrayRef<double> row) {
               double largest = -INFINITY, sum = 0;
               for (double x : row)
                 largest = std::isnan(x) ? x : std::max(largest, x);
               for (double &x : row)
                 sum += x = std::exp(x - largest);
               for (double &x : row)
                 x /= sum;
             });
}

/// Layer normalisation, or RMS normalisation when `centers` is false.
static void normalize(Machine &machine, const Step &step, int64_t axis,
                      double epsilon, bool centers) {
  ArrayRef<int64_t> sizes = machine.array(step, 0).sizes;
  const Array &scale = machine.array(step, 1);
  const Array *bias =
      step.operands.size() > 2 ? &machine.array(step, 2) : nullptr;
  forEachRow(machine, step, product(sizes.take_front(axis)),
             product(sizes.drop_front(axis)), 1,
             [&](MutableArrayRef<double> row) {
               Format format = step.resultFormats[0];
               double mean = 0, variance = 0, count = row.size();
               for (double x : row)
                 mean += x / count;
               mean = centers ? machine.real(format, mean).real : 0;
               for (double x : row)
                 variance += (x - mean) * (x - mean) / count;
               double factor =
                   machine.real(format, 1 / std::sqrt(variance + epsilon)).real;
               for (auto [k, x] : llvm::enumerate(row)) {
                 x = (x - mean) * factor * scale.format.load(scale.at(k)).real;
                 if (bias)
                   x += bias->format.load(bias->at(k)).real;
               }
             });
}

static void runRoundBlocks(Machine &machine, const Step &step) {
  int64_t block = step.as<RoundBlocksOp>().getBlock();
  Format format = step.resultFormats[0];
  forEachRow(machine, step, product(machine.array(step, 0).sizes) / block,
             block, 1, [&](MutableArrayRef<double> row) {
               double greatest = 0;
               for (double x : row)
                 greatest = std::isnan(x) || std::isnan(greatest)
                                ? NAN
                                : std::max(greatest, std::fabs(x));
               double inverse = greatest >= 0x1p-120
                                    ? machine.real(format, 127 / greatest).real
                                    : 0;
               double scale = machine.real(format, greatest / 127).real;
               for (double &x : row)
                 x = scale *
                     std::nearbyint(machine.real(format, x * inverse).real);
             });
}

static void runDequantize(Machine &machine, const Step &step) {
  auto op = step.as<DequantizeOp>();
  auto result = makeArray(step.resultFormats[0], op.resultType().getShape());
  auto at = [&](unsigned operand, ArrayRef<int64_t> index) {
    const Array &array = machine.array(step, operand);
    int64_t element = array.offset;
    for (auto [i, stride] : llvm::zip(index, array.strides))
      element += i * stride;
    return array.format.load(array.at(element));
  };
  auto codeOf = [&](unsigned operand, const DequantizeOp::Place &place) {
    return double(op.decode(at(operand, place.index).integer, place.shift));
  };
  int64_t element = 0;
  forEachIndex(result->sizes, [&](ArrayRef<int64_t> index) {
    double code = codeOf(0, op.codeAt(index)), zero = op.getOffset();
    if (op.getZero()) {
      DequantizeOp::Place place = op.zeroAt(index);
      zero = getElementTypeOrSelf(op.getZero()).isInteger(8)
                 ? codeOf(2, place)
                 : at(2, place.index).real;
    }
    double number = (code - zero) * at(1, op.scaleAt(index).index).real;
    result->format.store(machine.real(result->format, number),
                         result->at(element++));
  });
  machine.set(step, 0, result);
}

//===-- Kernels -----------------------------------------------------------===//

/// On tensors the results are values, on buffers they are written into the
/// destinations; the body is on tensors in both cases.
static void runKernel(Machine &machine, const Step &step) {
  auto op = step.as<KernelOp>();
  for (unsigned i = 0; i < step.operands.size(); ++i) {
    bool isBuffer = isa<MemRefType>(op->getOperand(i).getType()) &&
                    isa<TensorType>(op.bodyBlock()->getArgument(i).getType());
    machine.setArgument(step.regions[0], i,
                        isBuffer ? Value(copyOf(machine.array(step, i)))
                                 : machine.value(step, i));
  }
  machine.run(step.regions[0]);
  if (machine.hasEnded())
    return;
  SmallVector<Value, 4> results = std::move(machine.yielded);
  for (auto [i, result] : llvm::enumerate(results))
    if (op->getNumResults())
      machine.set(step, i, result);
    else
      assign(machine, step, static_cast<Array &>(*result.aggregate),
             machine.array(step, op.getInputs().size() + i));
}

//===-- The run -----------------------------------------------------------===//

static void runBuffer(Machine &machine, const Step &step) {
  auto op = step.as<BufferOp>();
  Host &host = machine.host;
  auto sizes = machine.mixed(step, op.getType().getShape(), 2);
  int64_t position = machine.integer(step, 1);
  Format format = step.resultFormats[0];
  if (!format)
    return machine.unknown(step, "such a type");
  if (llvm::any_of(sizes, [](int64_t size) { return size < 0; }))
    return machine.wrong(step, "has a negative size");
  auto view = makeArray(format, {});
  view->sizes = sizes;
  view->strides = rowMajor(sizes);
  int64_t bytes = view->count() * format.bytes();
  switch (op.getSegment()) {
  case Segment::input: {
    if (position < 0 || position >= int64_t(host.inputs.size()))
      return machine.wrong(step, "is of input " + Twine(position));
    view->buffer = host.inputs[position]->buffer;
    break;
  }
  case Segment::output: {
    if (position < 0 || position >= 1024)
      return machine.wrong(step, "is of output " + Twine(position));
    if (position >= int64_t(host.outputs.size()))
      host.outputs.resize(position + 1);
    // Seen again, it is the same memory.
    if (auto &known = host.outputs[position])
      view->buffer = known->buffer;
    else
      view->buffer = llvm::makeIntrusiveRefCnt<Buffer>(bytes);
    host.outputs[position] = view;
    break;
  }
  case Segment::arena:
    view->buffer = host.arena;
    view->base = position;
    break;
  case Segment::weights:
    if (!host.weights)
      return machine.unknown(step, "weights that are nowhere");
    view->buffer = host.weights;
    view->base = position;
    break;
  }
  if (view->base < 0 || view->base + bytes > view->buffer->bytes)
    return machine.wrong(step, "is of bytes " + Twine(view->base) + " to " +
                                   Twine(view->base + bytes) + " of " +
                                   Twine(view->buffer->bytes));
  machine.set(step, 0, view);
}

/// Tasks run last to first, as iterations of parallel loops do.
static void runLaunch(Machine &machine, const Step &step) {
  SmallVector<Value> values;
  for (unsigned i = 2; i < step.operands.size(); ++i)
    values.push_back(machine.value(step, i));
  Value packed = Scalar::of(reinterpret_cast<int64_t>(&values));
  for (int64_t k = machine.integer(step, 1); k-- > 0;)
    if (!machine.call(step.as<LaunchOp>().getTask(), {packed, Scalar::of(k)}))
      return;
}

static void runArguments(Machine &machine, const Step &step) {
  const auto &values =
      *reinterpret_cast<SmallVector<Value> *>(machine.integer(step, 0));
  if (values.size() != step.results.size())
    return machine.wrong(step, "takes other values than were handed over");
  for (auto [i, value] : llvm::enumerate(values))
    machine.set(step, i, value);
}

void registerFulgur(Registry &registry) {
  registry.add<SymbolOp>(runSymbol);
  registry.add<RequireOp>([](Machine &machine, const Step &step) {
    if (!machine.integer(step, 0))
      machine.stop(Ending::stopped, step.as<RequireOp>().getMessage());
  });
  registry.add<BoundedOp>(runBounded);
  registry.add<CheckBoundsOp>(runCheckBounds);
  registry.add<SoftmaxOp>(runSoftmax);
  registry.add<AttentionOp>(runAttention);
  registry.add<DequantizeOp>(runDequantize);
  registry.add<RoundBlocksOp>(runRoundBlocks);
  registry.add<LayerNormOp>([](Machine &machine, const Step &step) {
    auto op = step.as<LayerNormOp>();
    normalize(machine, step, op.getAxis(), op.getEpsilon().convertToFloat(),
              /*centers=*/true);
  });
  registry.add<RMSNormOp>([](Machine &machine, const Step &step) {
    auto op = step.as<RMSNormOp>();
    normalize(machine, step, op.getAxis(), op.getEpsilon().convertToFloat(),
              /*centers=*/false);
  });
  registry.ignore<SizedOp>();
  registry.ignore<PackedOutputOp>();
  registry.add<KernelOp>(runKernel);
  registry.add<YieldOp>(
      [](Machine &machine, const Step &step) { machine.yield(step); });
  registry.add<BufferOp>(runBuffer);
  registry.add<LaunchOp>(runLaunch);
  registry.add<ArgumentsOp>(runArguments);
}

} // namespace fulgur::interpreter
