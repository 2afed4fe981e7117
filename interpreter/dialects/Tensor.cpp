// tensor: arrays as values. What is given away by its last user is changed in
// place, so that a loop that inserts element by element stays linear.
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "interpreter/Machine.h"
#include <cstring>

using namespace mlir;

namespace fulgur::interpreter {

/// The same elements with other sizes.
static void reshape(Machine &machine, const Step &step,
                    ArrayRef<int64_t> sizes) {
  const Array &source = machine.array(step, 0);
  auto result = llvm::makeIntrusiveRefCnt<Array>(source);
  result->sizes.assign(sizes.begin(), sizes.end());
  result->strides = rowMajor(sizes);
  if (result->count() != source.count())
    return machine.wrong(step, "makes " + Twine(result->count()) +
                                   " elements of " + Twine(source.count()));
  machine.set(step, 0, result);
}

static void runCollapse(Machine &machine, const Step &step) {
  SmallVector<int64_t, 4> sizes;
  for (const ReassociationIndices &group :
       step.as<tensor::CollapseShapeOp>().getReassociationIndices()) {
    sizes.push_back(1);
    for (int64_t dim : group)
      sizes.back() *= machine.array(step, 0).sizes[dim];
  }
  reshape(machine, step, sizes);
}

namespace {
/// Offsets, sizes and strides of a slice; its operands begin at `next`.
template <typename Op> struct Slice {
  Slice(Machine &machine, const Step &step, unsigned next) {
    auto op = step.as<Op>();
    offsets = machine.mixed(step, op.getStaticOffsets(), next);
    next += op.getOffsets().size();
    sizes = machine.mixed(step, op.getStaticSizes(), next);
    next += op.getSizes().size();
    strides = machine.mixed(step, op.getStaticStrides(), next);
  }

  /// Calls `visit` with the element of `array` for each element of the slice.
  void forEach(Machine &machine, const Step &step, const Array &array,
               llvm::function_ref<void(int64_t)> visit) const {
    for (unsigned k = 0; k < sizes.size(); ++k)
      if (sizes[k] < 0 ||
          (sizes[k] > 0 &&
           (offsets[k] < 0 ||
            offsets[k] + (sizes[k] - 1) * strides[k] >= array.sizes[k])))
        return machine.wrong(step, "takes " + Twine(sizes[k]) + " from " +
                                       Twine(offsets[k]) + " in dim " +
                                       Twine(k) + ", which is of size " +
                                       Twine(array.sizes[k]));
    forEachIndex(sizes, [&](ArrayRef<int64_t> index) {
      int64_t at = 0;
      for (unsigned k = 0; k < index.size(); ++k)
        at += (offsets[k] + index[k] * strides[k]) * array.strides[k];
      visit(at);
    });
  }

  SmallVector<int64_t, 4> offsets, sizes, strides;
};
} // namespace

static void runExtractSlice(Machine &machine, const Step &step) {
  auto op = step.as<tensor::ExtractSliceOp>();
  const Array &source = machine.array(step, 0);
  Slice<tensor::ExtractSliceOp> slice(machine, step, 1);
  auto dropped = op.getDroppedDims();
  SmallVector<int64_t, 4> sizes;
  for (auto [k, size] : llvm::enumerate(slice.sizes))
    if (size < 0)
      return machine.wrong(step, "has a negative size");
    else if (!dropped.test(k))
      sizes.push_back(size);
  auto result = makeArray(source.format, sizes);
  char *to = result->buffer->data;
  int64_t bytes = source.format.bytes();
  slice.forEach(machine, step, source, [&](int64_t at) {
    std::memcpy(to, source.at(at), bytes);
    to += bytes;
  });
  machine.set(step, 0, result);
}

/// Writes operand 0 into operand 1, and returns that.
template <typename Op>
static llvm::IntrusiveRefCntPtr<Array> insertSlice(Machine &machine,
                                                   const Step &step) {
  auto source =
      llvm::IntrusiveRefCntPtr<Aggregate>(machine.value(step, 0).aggregate);
  auto result = machine.take(step, 1);
  Slice<Op> slice(machine, step, 2);
  const char *from = static_cast<Array &>(*source).buffer->data;
  int64_t bytes = result->format.bytes();
  slice.forEach(machine, step, *result, [&](int64_t at) {
    std::memcpy(result->at(at), from, bytes);
    from += bytes;
  });
  return result;
}

static void runPad(Machine &machine, const Step &step) {
  auto op = step.as<tensor::PadOp>();
  llvm::IntrusiveRefCntPtr<Aggregate> held = machine.value(step, 0).aggregate;
  auto &source = static_cast<Array &>(*held);
  auto low = machine.mixed(step, op.getStaticLow(), 1),
       high = machine.mixed(step, op.getStaticHigh(), 1 + op.getLow().size());
  SmallVector<int64_t, 4> sizes;
  for (unsigned k = 0; k < low.size(); ++k) {
    sizes.push_back(low[k] + source.sizes[k] + high[k]);
    if (sizes.back() < 0)
      return machine.wrong(step, "has a negative size");
  }
  auto result = makeArray(source.format, sizes);
  int64_t bytes = source.format.bytes(), to = 0;
  forEachIndex(sizes, [&](ArrayRef<int64_t> index) {
    if (machine.hasEnded())
      return;
    int64_t at = 0;
    bool isInside = true;
    for (unsigned k = 0; k < index.size(); ++k) {
      int64_t i = index[k] - low[k];
      isInside &= i >= 0 && i < source.sizes[k];
      at += i * source.strides[k];
    }
    if (isInside) {
      std::memcpy(result->at(to++), source.at(at), bytes);
      return;
    }
    for (auto [k, i] : llvm::enumerate(index))
      machine.setArgument(step.regions[0], k, Scalar::of(i));
    machine.run(step.regions[0]);
    if (!machine.hasEnded())
      source.format.store(machine.yielded[0].scalar, result->at(to++));
  });
  machine.set(step, 0, result);
}

static void runConcat(Machine &machine, const Step &step) {
  auto axis = step.as<tensor::ConcatOp>().getDim();
  SmallVector<int64_t, 4> sizes = machine.array(step, 0).sizes;
  for (unsigned i = 1; i < step.operands.size(); ++i)
    sizes[axis] += machine.array(step, i).sizes[axis];
  auto result = makeArray(step.resultFormats[0], sizes);
  int64_t bytes = result->format.bytes(), inner = result->strides[axis],
          outer = 1;
  for (int64_t size : ArrayRef(sizes).take_front(axis))
    outer *= size;
  char *to = result->buffer->data;
  for (int64_t row = 0; row < outer; ++row)
    for (unsigned i = 0; i < step.operands.size(); ++i) {
      const Array &part = machine.array(step, i);
      int64_t chunk = part.sizes[axis] * inner;
      std::memcpy(to, part.at(row * chunk), chunk * bytes);
      to += chunk * bytes;
    }
  machine.set(step, 0, result);
}

static void runGenerate(Machine &machine, const Step &step) {
  auto type = step.as<tensor::GenerateOp>().getType();
  auto result =
      makeArray(step.resultFormats[0], machine.mixed(step, type.getShape(), 0));
  int64_t to = 0;
  forEachIndex(result->sizes, [&](ArrayRef<int64_t> index) {
    if (machine.hasEnded())
      return;
    for (auto [k, i] : llvm::enumerate(index))
      machine.setArgument(step.regions[0], k, Scalar::of(i));
    machine.run(step.regions[0]);
    if (!machine.hasEnded())
      result->format.store(machine.yielded[0].scalar, result->at(to++));
  });
  machine.set(step, 0, result);
}

void registerTensor(Registry &registry) {
  registry.add<tensor::EmptyOp>([](Machine &machine, const Step &step) {
    if (!step.resultFormats[0])
      return machine.unknown(step, "such a type");
    auto sizes =
        machine.mixed(step, step.as<tensor::EmptyOp>().getType().getShape(), 0);
    if (llvm::any_of(sizes, [](int64_t size) { return size < 0; }))
      return machine.wrong(step, "has a negative size");
    machine.set(step, 0, makeArray(step.resultFormats[0], sizes));
  });
  registry.add<tensor::ExpandShapeOp>([](Machine &machine, const Step &step) {
    reshape(
        machine, step,
        machine.mixed(
            step, step.as<tensor::ExpandShapeOp>().getStaticOutputShape(), 1));
  });
  registry.add<tensor::CollapseShapeOp>(runCollapse);
  registry.add<tensor::ReshapeOp>([](Machine &machine, const Step &step) {
    const Array &shape = machine.array(step, 1);
    SmallVector<int64_t, 4> sizes;
    for (int64_t k = 0; k < shape.count(); ++k)
      sizes.push_back(shape.format.load(shape.at(k)).integer);
    reshape(machine, step, sizes);
  });
  registry.add<tensor::ExtractSliceOp>(runExtractSlice);
  registry.add<tensor::InsertSliceOp>([](Machine &machine, const Step &step) {
    machine.set(step, 0, insertSlice<tensor::InsertSliceOp>(machine, step));
  });
  registry.add<tensor::ParallelInsertSliceOp>([](Machine &machine,
                                                 const Step &step) {
    machine.replace(step, 1,
                    insertSlice<tensor::ParallelInsertSliceOp>(machine, step));
  });
  registry.add<tensor::ExtractOp>([](Machine &machine, const Step &step) {
    const Array &array = machine.array(step, 0);
    if (auto at = elementAt(machine, step, array, 1))
      machine.set(step, 0, array.format.load(array.at(*at)));
  });
  registry.add<tensor::InsertOp>([](Machine &machine, const Step &step) {
    auto array = machine.take(step, 1);
    if (auto at = elementAt(machine, step, *array, 2))
      array->format.store(machine.value(step, 0).scalar, array->at(*at));
    machine.set(step, 0, array);
  });
  registry.add<tensor::PadOp>(runPad);
  registry.add<tensor::ConcatOp>(runConcat);
  registry.add<tensor::GenerateOp>(runGenerate);
  registry.add<tensor::YieldOp>(
      [](Machine &machine, const Step &step) { machine.yield(step); });
  registry.add<tensor::DimOp>([](Machine &machine, const Step &step) {
    const Array &array = machine.array(step, 0);
    int64_t number = machine.integer(step, 1);
    if (number < 0 || number >= int64_t(array.sizes.size()))
      return machine.wrong(step, "asks for dim " + Twine(number));
    machine.set(step, 0, Scalar::of(array.sizes[number]));
  });
  registry.add<tensor::CastOp>([](Machine &machine, const Step &step) {
    machine.set(step, 0, machine.value(step, 0));
  });
  registry.add<tensor::FromElementsOp>([](Machine &machine, const Step &step) {
    auto result =
        makeArray(step.resultFormats[0],
                  step.as<tensor::FromElementsOp>().getType().getShape());
    for (unsigned i = 0; i < step.operands.size(); ++i)
      result->format.store(machine.value(step, i).scalar, result->at(i));
    machine.set(step, 0, result);
  });
  registry.add<tensor::SplatOp>([](Machine &machine, const Step &step) {
    auto type = cast<RankedTensorType>(step.op->getResult(0).getType());
    auto result = makeArray(step.resultFormats[0],
                            machine.mixed(step, type.getShape(), 1));
    for (int64_t k = 0, count = result->count(); k < count; ++k)
      result->format.store(machine.value(step, 0).scalar, result->at(k));
    machine.set(step, 0, result);
  });
  registry.elementwise<tensor::BitcastOp>([](Machine &, const Step &s,
                                             const Scalar *x) {
    Format from = s.formats[0], to = s.resultFormats[0];
    int64_t pattern = from.isFloat() ? from.encode(x[0].real) : x[0].integer;
    return to.isFloat() ? Scalar::of(to.decode(pattern))
                        : Scalar::of(to.wrap(pattern));
  });
}

} // namespace fulgur::interpreter
