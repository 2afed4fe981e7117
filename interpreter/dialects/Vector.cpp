// vector: lanes in registers. Lanes that are loaded or stored must be in
// memory, wherever in it.
#include "interpreter/Machine.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <cmath>

using namespace mlir;

namespace fulgur::interpreter {

static VectorType vectorOf(mlir::Value value) {
  return cast<VectorType>(value.getType());
}

static llvm::IntrusiveRefCntPtr<Lanes> makeLanes(int64_t count) {
  auto result = llvm::makeIntrusiveRefCnt<Lanes>();
  result->lanes.resize(count);
  return result;
}

/// The lanes of an operand; a scalar is one lane.
static ArrayRef<Scalar> lanesOf(Machine &machine, const Step &step,
                                unsigned i) {
  if (isa<VectorType>(step.op->getOperand(i).getType()))
    return machine.lanes(step, i).lanes;
  return machine.value(step, i).scalar;
}

/// Sets the result to lanes, or to the only one where it is a scalar.
static void setLanes(Machine &machine, const Step &step,
                     llvm::IntrusiveRefCntPtr<Lanes> lanes) {
  if (isa<VectorType>(step.op->getResult(0).getType()))
    return machine.set(step, 0, lanes);
  machine.set(step, 0, lanes->lanes[0]);
}

/// Calls `visit` with the element of memory for each lane of a vector that lies
/// along the last dims from the indices on, unless `isActive` says no.
static void forEachLane(Machine &machine, const Step &step, const Array &array,
                        VectorType vector, unsigned firstIndex,
                        llvm::function_ref<bool(int64_t)> isActive,
                        llvm::function_ref<void(int64_t, char *)> visit) {
  unsigned skipped = array.sizes.size() - vector.getRank();
  int64_t start = array.offset, lane = 0;
  for (auto [k, stride] : llvm::enumerate(array.strides))
    start += machine.integer(step, firstIndex + k) * stride;
  forEachIndex(vector.getShape(), [&](ArrayRef<int64_t> index) {
    int64_t number = lane++, at = start;
    if (machine.hasEnded() || !isActive(number))
      return;
    for (auto [k, i] : llvm::enumerate(index))
      at += i * array.strides[skipped + k];
    if (!array.holds(at))
      return machine.wrong(step, "touches element " + Twine(at) +
                                     ", which is outside of its memory");
    visit(number, array.at(at));
  });
}

static bool always(int64_t) { return true; }

static void runLoad(Machine &machine, const Step &step) {
  const Array &array = machine.array(step, 0);
  auto type = vectorOf(step.op->getResult(0));
  auto result = makeLanes(type.getNumElements());
  forEachLane(machine, step, array, type, 1, always,
              [&](int64_t lane, char *at) {
                result->lanes[lane] = array.format.load(at);
              });
  machine.set(step, 0, result);
}

static void runStore(Machine &machine, const Step &step) {
  const Array &array = machine.array(step, 1);
  auto &lanes = machine.lanes(step, 0).lanes;
  forEachLane(
      machine, step, array, vectorOf(step.op->getOperand(0)), 2, always,
      [&](int64_t lane, char *at) { array.format.store(lanes[lane], at); });
}

static void runMaskedLoad(Machine &machine, const Step &step) {
  const Array &array = machine.array(step, 0);
  unsigned mask = 1 + array.sizes.size();
  auto result = llvm::makeIntrusiveRefCnt<Lanes>(machine.lanes(step, mask + 1));
  auto &active = machine.lanes(step, mask).lanes;
  forEachLane(
      machine, step, array, vectorOf(step.op->getResult(0)), 1,
      [&](int64_t lane) { return active[lane].integer != 0; },
      [&](int64_t lane, char *at) {
        result->lanes[lane] = array.format.load(at);
      });
  machine.set(step, 0, result);
}

static void runMaskedStore(Machine &machine, const Step &step) {
  const Array &array = machine.array(step, 0);
  unsigned mask = 1 + array.sizes.size();
  auto &active = machine.lanes(step, mask).lanes;
  auto &lanes = machine.lanes(step, mask + 1).lanes;
  forEachLane(
      machine, step, array, vectorOf(step.op->getOperand(mask + 1)), 1,
      [&](int64_t lane) { return active[lane].integer != 0; },
      [&](int64_t lane, char *at) { array.format.store(lanes[lane], at); });
}

static void runGather(Machine &machine, const Step &step) {
  const Array &array = machine.array(step, 0);
  unsigned offsets = 1 + array.sizes.size();
  auto result =
      llvm::makeIntrusiveRefCnt<Lanes>(machine.lanes(step, offsets + 2));
  int64_t start = array.offset;
  for (auto [k, stride] : llvm::enumerate(array.strides))
    start += machine.integer(step, 1 + k) * stride;
  for (auto [k, lane] : llvm::enumerate(result->lanes)) {
    if (!machine.lanes(step, offsets + 1).lanes[k].integer)
      continue;
    int64_t at = start + machine.lanes(step, offsets).lanes[k].integer *
                             array.strides.back();
    if (!array.holds(at))
      return machine.wrong(step, "touches element " + Twine(at) +
                                     ", which is outside of its memory");
    lane = array.format.load(array.at(at));
  }
  machine.set(step, 0, result);
}

/// Calls `visit` with the element of the array for each lane of a transfer, or
/// with none where that is outside of the dims or masked.
template <typename Op>
static void
transfer(Machine &machine, const Step &step, Op op, const Array &array,
         llvm::function_ref<void(int64_t, std::optional<int64_t>)> visit) {
  unsigned firstIndex = op.getIndices().getBeginOperandIndex();
  const Lanes *mask = nullptr;
  if (op.getMask()) {
    if (!op.getPermutationMap().isMinorIdentity())
      return machine.unknown(step, "such a mask");
    mask = &machine.lanes(step, op.getMaskMutable()[0].getOperandNumber());
  }
  int64_t lane = 0;
  forEachIndex(op.getVectorType().getShape(), [&](ArrayRef<int64_t> index) {
    int64_t number = lane++, at = array.offset;
    if (mask && !mask->lanes[number].integer)
      return visit(number, std::nullopt);
    SmallVector<int64_t, 6> indices;
    for (unsigned k = 0; k < array.sizes.size(); ++k)
      indices.push_back(machine.integer(step, firstIndex + k));
    for (auto [k, expression] :
         llvm::enumerate(op.getPermutationMap().getResults()))
      if (auto dim = dyn_cast<AffineDimExpr>(expression))
        indices[dim.getPosition()] += index[k];
    for (unsigned k = 0; k < indices.size(); ++k) {
      if (indices[k] < 0 || indices[k] >= array.sizes[k])
        return visit(number, std::nullopt);
      at += indices[k] * array.strides[k];
    }
    if (!array.holds(at))
      return machine.wrong(step, "touches element " + Twine(at) +
                                     ", which is outside of its memory");
    visit(number, at);
  });
}

static void runTransferRead(Machine &machine, const Step &step) {
  auto op = step.as<vector::TransferReadOp>();
  const Array &array = machine.array(step, 0);
  auto result = makeLanes(op.getVectorType().getNumElements());
  Scalar padding =
      machine.value(step, op.getPaddingMutable().getOperandNumber()).scalar;
  transfer(
      machine, step, op, array, [&](int64_t lane, std::optional<int64_t> at) {
        result->lanes[lane] = at ? array.format.load(array.at(*at)) : padding;
      });
  machine.set(step, 0, result);
}

static void runTransferWrite(Machine &machine, const Step &step) {
  auto op = step.as<vector::TransferWriteOp>();
  auto array = op->getNumResults()
                   ? machine.take(step, 1)
                   : llvm::IntrusiveRefCntPtr<Array>(static_cast<Array *>(
                         machine.value(step, 1).aggregate.get()));
  auto &lanes = machine.lanes(step, 0).lanes;
  transfer(machine, step, op, *array,
           [&](int64_t lane, std::optional<int64_t> at) {
             if (at)
               array->format.store(lanes[lane], array->at(*at));
           });
  if (op->getNumResults())
    machine.set(step, 0, array);
}

/// A smaller shape is repeated along the leading dims and those of size 1.
static void runBroadcast(Machine &machine, const Step &step) {
  auto type = vectorOf(step.op->getResult(0));
  auto result = makeLanes(type.getNumElements());
  auto source = dyn_cast<VectorType>(step.op->getOperand(0).getType());
  ArrayRef<Scalar> lanes = lanesOf(machine, step, 0);
  if (!source || source.getNumElements() == 1) {
    llvm::fill(result->lanes, lanes[0]);
    return machine.set(step, 0, result);
  }
  auto strides = rowMajor(source.getShape());
  unsigned skipped = type.getRank() - source.getRank();
  int64_t to = 0;
  forEachIndex(type.getShape(), [&](ArrayRef<int64_t> index) {
    int64_t from = 0;
    for (unsigned k = 0; k < strides.size(); ++k)
      if (source.getDimSize(k) != 1)
        from += index[skipped + k] * strides[k];
    result->lanes[to++] = lanes[from];
  });
  machine.set(step, 0, result);
}

/// Of two numbers, as vector.reduction and its like combine them.
static Scalar combine(Machine &machine, vector::CombiningKind kind,
                      Format format, Scalar a, Scalar b) {
  auto integer = [&](int64_t value) { return Scalar::of(format.wrap(value)); };
  uint64_t u = format.asUnsigned(a.integer), v = format.asUnsigned(b.integer);
  bool isNaN = format.isFloat() && (std::isnan(a.real) || std::isnan(b.real));
  switch (kind) {
  case vector::CombiningKind::ADD:
    return format.isFloat() ? machine.real(format, a.real + b.real)
                            : integer(int64_t(u + v));
  case vector::CombiningKind::MUL:
    return format.isFloat() ? machine.real(format, a.real * b.real)
                            : integer(int64_t(u * v));
  case vector::CombiningKind::MINUI:
    return u < v ? a : b;
  case vector::CombiningKind::MAXUI:
    return u > v ? a : b;
  case vector::CombiningKind::MINSI:
    return a.integer < b.integer ? a : b;
  case vector::CombiningKind::MAXSI:
    return a.integer > b.integer ? a : b;
  case vector::CombiningKind::AND:
    return integer(a.integer & b.integer);
  case vector::CombiningKind::OR:
    return integer(a.integer | b.integer);
  case vector::CombiningKind::XOR:
    return integer(a.integer ^ b.integer);
  case vector::CombiningKind::MINNUMF:
    return Scalar::of(std::fmin(a.real, b.real));
  case vector::CombiningKind::MAXNUMF:
    return Scalar::of(std::fmax(a.real, b.real));
  case vector::CombiningKind::MINIMUMF:
    return isNaN ? Scalar::of(NAN) : Scalar::of(std::min(a.real, b.real));
  case vector::CombiningKind::MAXIMUMF:
    return isNaN ? Scalar::of(NAN) : Scalar::of(std::max(a.real, b.real));
  }
  llvm_unreachable("no such kind");
}

static void runReduction(Machine &machine, const Step &step) {
  auto kind = step.as<vector::ReductionOp>().getKind();
  Format format = step.resultFormats[0];
  auto &lanes = machine.lanes(step, 0).lanes;
  Scalar result = lanes[0];
  for (Scalar lane : llvm::drop_begin(lanes))
    result = combine(machine, kind, format, result, lane);
  if (step.operands.size() > 1)
    result =
        combine(machine, kind, format, result, machine.value(step, 1).scalar);
  machine.set(step, 0, result);
}

static void runShuffle(Machine &machine, const Step &step) {
  auto op = step.as<vector::ShuffleOp>();
  auto first = vectorOf(op.getV1());
  // Whole slices along the first dim; of a vector of rank 0 there is one.
  int64_t rows = first.getRank() ? first.getDimSize(0) : 1,
          slice = first.getNumElements() / rows, to = 0;
  auto &a = machine.lanes(step, 0).lanes, &b = machine.lanes(step, 1).lanes;
  auto result = makeLanes(op.getMask().size() * slice);
  for (int64_t from : op.getMask())
    for (int64_t k = 0; k < slice; ++k, ++to)
      if (from >= 0) // else poison
        result->lanes[to] =
            from < rows ? a[from * slice + k] : b[(from - rows) * slice + k];
  machine.set(step, 0, result);
}

/// The first lane of the part of a vector that a position selects.
static std::optional<int64_t> partAt(Machine &machine, const Step &step,
                                     VectorType type,
                                     ArrayRef<int64_t> position,
                                     unsigned firstOperand) {
  auto strides = rowMajor(type.getShape());
  int64_t at = 0;
  for (auto [k, i] :
       llvm::enumerate(machine.mixed(step, position, firstOperand))) {
    if (i < 0 || i >= type.getDimSize(k)) {
      machine.wrong(step, "selects lane " + Twine(i) + " of " +
                              Twine(type.getDimSize(k)));
      return std::nullopt;
    }
    at += i * strides[k];
  }
  return at;
}

static void runExtract(Machine &machine, const Step &step) {
  auto op = step.as<vector::ExtractOp>();
  auto at = partAt(machine, step, op.getSourceVectorType(),
                   op.getStaticPosition(), 1);
  if (!at)
    return;
  auto part = dyn_cast<VectorType>(op->getResult(0).getType());
  auto result = makeLanes(part ? part.getNumElements() : 1);
  llvm::copy(
      ArrayRef(machine.lanes(step, 0).lanes).slice(*at, result->lanes.size()),
      result->lanes.begin());
  setLanes(machine, step, result);
}

static void runInsert(Machine &machine, const Step &step) {
  auto op = step.as<vector::InsertOp>();
  auto at =
      partAt(machine, step, op.getDestVectorType(), op.getStaticPosition(), 2);
  if (!at)
    return;
  auto result = llvm::makeIntrusiveRefCnt<Lanes>(machine.lanes(step, 1));
  llvm::copy(lanesOf(machine, step, 0), result->lanes.begin() + *at);
  machine.set(step, 0, result);
}

/// The lanes of `inner` in `outer`, for a slice at those offsets.
static SmallVector<int64_t> sliceLanes(VectorType outer, VectorType inner,
                                       ArrayAttr offsets) {
  auto strides = rowMajor(outer.getShape());
  unsigned skipped = outer.getRank() - inner.getRank();
  int64_t start = 0;
  for (auto [k, offset] : llvm::enumerate(offsets.getAsRange<IntegerAttr>()))
    start += offset.getInt() * strides[k];
  SmallVector<int64_t> result;
  forEachIndex(inner.getShape(), [&](ArrayRef<int64_t> index) {
    int64_t at = start;
    for (auto [k, i] : llvm::enumerate(index))
      at += i * strides[skipped + k];
    result.push_back(at);
  });
  return result;
}

/// The same bits as numbers of another width, lowest first.
void runBitCast(Machine &machine, const Step &step) {
  Format from = step.formats[0], to = step.resultFormats[0];
  if (from.bits % 8 || to.bits % 8)
    return machine.unknown(step, "such types");
  auto &lanes = machine.lanes(step, 0).lanes;
  auto result = makeLanes(vectorOf(step.op->getResult(0)).getNumElements());
  SmallVector<char> bytes(lanes.size() * from.bytes());
  for (auto [k, lane] : llvm::enumerate(lanes))
    from.store(lane, bytes.data() + k * from.bytes());
  for (auto [k, lane] : llvm::enumerate(result->lanes))
    lane = to.load(bytes.data() + k * to.bytes());
  machine.set(step, 0, result);
}

static void setMask(Machine &machine, const Step &step,
                    ArrayRef<int64_t> sizes) {
  auto type = vectorOf(step.op->getResult(0));
  auto result = makeLanes(type.getNumElements());
  int64_t lane = 0;
  forEachIndex(type.getShape(), [&](ArrayRef<int64_t> index) {
    bool isInside = true;
    for (auto [i, size] : llvm::zip(index, sizes))
      isInside &= i < size;
    result->lanes[lane++] = Scalar::of(-int64_t(isInside));
  });
  machine.set(step, 0, result);
}

void registerVector(Registry &registry) {
  registry.add<vector::LoadOp>(runLoad);
  registry.add<vector::StoreOp>(runStore);
  registry.add<vector::MaskedLoadOp>(runMaskedLoad);
  registry.add<vector::MaskedStoreOp>(runMaskedStore);
  registry.add<vector::GatherOp>(runGather);
  registry.add<vector::TransferReadOp>(runTransferRead);
  registry.add<vector::TransferWriteOp>(runTransferWrite);
  registry.add<vector::BroadcastOp>(runBroadcast);
  registry.add<vector::ReductionOp>(runReduction);
  registry.add<vector::ShuffleOp>(runShuffle);
  registry.add<vector::ExtractOp>(runExtract);
  registry.add<vector::InsertOp>(runInsert);
  registry.add<vector::BitCastOp>(runBitCast);
  registry.elementwise<vector::FMAOp>(
      [](Machine &m, const Step &s, const Scalar *x) {
        return m.fused(s.resultFormats[0], x[0].real, x[1].real, x[2].real);
      });
  registry.add<vector::ShapeCastOp>([](Machine &machine, const Step &step) {
    machine.set(step, 0, machine.value(step, 0));
  });
  registry.add<vector::TransposeOp>([](Machine &machine, const Step &step) {
    auto op = step.as<vector::TransposeOp>();
    auto strides = rowMajor(op.getSourceVectorType().getShape());
    auto type = op.getResultVectorType();
    auto result = makeLanes(type.getNumElements());
    int64_t to = 0;
    forEachIndex(type.getShape(), [&](ArrayRef<int64_t> index) {
      int64_t from = 0;
      for (auto [i, dim] : llvm::zip(index, op.getPermutation()))
        from += i * strides[dim];
      result->lanes[to++] = machine.lanes(step, 0).lanes[from];
    });
    machine.set(step, 0, result);
  });
  registry.add<vector::ExtractStridedSliceOp>([](Machine &machine,
                                                 const Step &step) {
    auto op = step.as<vector::ExtractStridedSliceOp>();
    auto result = makeLanes(0);
    for (int64_t lane : sliceLanes(vectorOf(op->getOperand(0)),
                                   vectorOf(op->getResult(0)), op.getOffsets()))
      result->lanes.push_back(machine.lanes(step, 0).lanes[lane]);
    machine.set(step, 0, result);
  });
  registry.add<vector::InsertStridedSliceOp>(
      [](Machine &machine, const Step &step) {
        auto op = step.as<vector::InsertStridedSliceOp>();
        auto result = llvm::makeIntrusiveRefCnt<Lanes>(machine.lanes(step, 1));
        for (auto [k, lane] : llvm::enumerate(
                 sliceLanes(vectorOf(op->getOperand(1)),
                            vectorOf(op->getOperand(0)), op.getOffsets())))
          result->lanes[lane] = machine.lanes(step, 0).lanes[k];
        machine.set(step, 0, result);
      });
  registry.add<vector::FromElementsOp>([](Machine &machine, const Step &step) {
    auto result = makeLanes(0);
    for (unsigned i = 0; i < step.operands.size(); ++i)
      result->lanes.push_back(machine.value(step, i).scalar);
    machine.set(step, 0, result);
  });
  registry.add<vector::ToElementsOp>([](Machine &machine, const Step &step) {
    for (unsigned i = 0; i < step.results.size(); ++i)
      machine.set(step, i, machine.lanes(step, 0).lanes[i]);
  });
  registry.add<vector::ConstantMaskOp>([](Machine &machine, const Step &step) {
    setMask(machine, step, step.as<vector::ConstantMaskOp>().getMaskDimSizes());
  });
  registry.add<vector::CreateMaskOp>([](Machine &machine, const Step &step) {
    SmallVector<int64_t> sizes;
    for (unsigned i = 0; i < step.operands.size(); ++i)
      sizes.push_back(machine.integer(step, i));
    setMask(machine, step, sizes);
  });
  registry.add<vector::StepOp>([](Machine &machine, const Step &step) {
    auto result = makeLanes(vectorOf(step.op->getResult(0)).getNumElements());
    for (auto [k, lane] : llvm::enumerate(result->lanes))
      lane = Scalar::of(int64_t(k));
    machine.set(step, 0, result);
  });
  registry.add<vector::InterleaveOp>([](Machine &machine, const Step &step) {
    auto result = makeLanes(0);
    for (auto [a, b] : llvm::zip(machine.lanes(step, 0).lanes,
                                 machine.lanes(step, 1).lanes)) {
      result->lanes.push_back(a);
      result->lanes.push_back(b);
    }
    machine.set(step, 0, result);
  });
  registry.add<vector::DeinterleaveOp>([](Machine &machine, const Step &step) {
    auto even = makeLanes(0), odd = makeLanes(0);
    for (auto [k, lane] : llvm::enumerate(machine.lanes(step, 0).lanes))
      (k % 2 ? odd : even)->lanes.push_back(lane);
    machine.set(step, 0, even);
    machine.set(step, 1, odd);
  });
}

} // namespace fulgur::interpreter
