// linalg: every structured operation by its indexing maps and its region, and
// the few that have none.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "interpreter/Machine.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <cstring>

using namespace mlir;

namespace fulgur::interpreter {

/// sum + product of the iteration's indices and coefficients; false where the
/// expression is none.
static bool linear(AffineExpr expression, int64_t factor,
                   MutableArrayRef<int64_t> coefficients, int64_t &sum) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expression)) {
    sum += factor * constant.getValue();
    return true;
  }
  if (auto dim = dyn_cast<AffineDimExpr>(expression)) {
    coefficients[dim.getPosition()] += factor;
    return true;
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(expression);
  if (!binary)
    return false;
  if (binary.getKind() == AffineExprKind::Add)
    return linear(binary.getLHS(), factor, coefficients, sum) &&
           linear(binary.getRHS(), factor, coefficients, sum);
  auto constant = dyn_cast<AffineConstantExpr>(binary.getRHS());
  return binary.getKind() == AffineExprKind::Mul && constant &&
         linear(binary.getLHS(), factor * constant.getValue(), coefficients,
                sum);
}

namespace {
/// An operand of a structured operation, walked along with the iterations.
struct Walk {
  llvm::IntrusiveRefCntPtr<Array> array; ///< null: a scalar
  AffineMap map;
  bool isLinear = true;
  int64_t at = 0;                         ///< element of this iteration
  llvm::SmallVector<int64_t, 6> advances; ///< by dim of the iteration

  /// Puts it to the first iteration; false when some iteration is outside of
  /// the array.
  bool begin(ArrayRef<int64_t> loops);
};
} // namespace

bool Walk::begin(ArrayRef<int64_t> loops) {
  at = array->offset;
  advances.assign(loops.size(), 0);
  for (auto [k, expression] : llvm::enumerate(map.getResults())) {
    SmallVector<int64_t, 6> coefficients(loops.size());
    int64_t sum = 0;
    if (!linear(expression, 1, coefficients, sum)) {
      isLinear = false;
      return true;
    }
    int64_t low = sum, high = sum;
    for (auto [coefficient, size] : llvm::zip(coefficients, loops))
      (coefficient < 0 ? low : high) += coefficient * (size - 1);
    if (low < 0 || high >= array->sizes[k])
      return false;
    at += sum * array->strides[k];
    for (auto [advance, coefficient] : llvm::zip(advances, coefficients))
      advance += coefficient * array->strides[k];
  }
  return true;
}

/// Whether the region is acc + a * b on floating-point numbers.
static bool isMultiplyAdd(const Body &body, const Step &step) {
  ArrayRef<Step> steps = body.front().steps;
  ArrayRef<unsigned> arguments = body.front().arguments;
  if (arguments.size() != 3 || steps.size() != 3 ||
      !isa<arith::MulFOp>(steps[0].op) || !isa<arith::AddFOp>(steps[1].op))
    return false;
  auto uses = [](const Step &step, unsigned a, unsigned b) {
    return (step.operands[0] == a && step.operands[1] == b) ||
           (step.operands[0] == b && step.operands[1] == a);
  };
  return uses(steps[0], arguments[0], arguments[1]) &&
         uses(steps[1], arguments[2], steps[0].results[0]) &&
         steps[2].operands[0] == steps[1].results[0];
}

/// c += a * b in f32, for all iterations in order: what most of a model's time
/// is spent on.
static void multiplyAdd(Machine &machine, ArrayRef<Walk> walks,
                        ArrayRef<int64_t> loops) {
  const Walk &a = walks[0], &b = walks[1], &c = walks[2];
  forEachIndex(loops.drop_back(), [&](ArrayRef<int64_t> index) {
    int64_t at[3] = {a.at, b.at, c.at};
    for (auto [i, walk] : llvm::enumerate(walks))
      for (auto [k, position] : llvm::enumerate(index))
        at[i] += position * walk.advances[k];
    auto *x = reinterpret_cast<const float *>(a.array->at(at[0])),
         *y = reinterpret_cast<const float *>(b.array->at(at[1]));
    auto *z = reinterpret_cast<float *>(c.array->at(at[2]));
    int64_t dx = a.advances.back(), dy = b.advances.back(),
            dz = c.advances.back();
    if (!machine.isExact()) {
      for (int64_t k = 0; k < loops.back(); ++k)
        z[k * dz] =
            float(machine
                      .real(c.array->format,
                            double(z[k * dz]) + double(x[k * dx]) * y[k * dy])
                      .real);
      return;
    }
    for (int64_t k = 0; k < loops.back(); ++k) {
      float product = x[k * dx] * y[k * dy]; // rounded before it is added
      z[k * dz] += product;
    }
  });
}

void runStructured(Machine &machine, const Step &step) {
  auto op = step.as<linalg::LinalgOp>();
  const Body &body = step.regions[0];
  unsigned inputs = op.getNumDpsInputs(), count = inputs + op.getNumDpsInits();
  bool isTensor = step.op->getNumResults() > 0;
  SmallVector<Walk, 4> walks(count);
  SmallVector<int64_t, 12> shape;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  for (unsigned i = 0; i < count; ++i) {
    Walk &walk = walks[i];
    walk.map = maps[i];
    if (!isa<ShapedType>(step.op->getOperand(i).getType()))
      continue;
    if (i >= inputs && isTensor)
      walk.array = machine.take(step, i);
    else
      walk.array = llvm::IntrusiveRefCntPtr<Array>(
          static_cast<Array *>(machine.value(step, i).aggregate.get()));
    if (!walk.array->format)
      return machine.unknown(step, "such a type");
    llvm::append_range(shape, walk.array->sizes);
  }
  AffineMap toLoops = op.getShapesToLoopsMap();
  if (!toLoops)
    return machine.unknown(step, "loops of unknown sizes");
  SmallVector<int64_t, 6> loops = evaluateMap(toLoops, shape);
  bool isEmpty = llvm::any_of(loops, [](int64_t size) { return size <= 0; });
  for (Walk &walk : walks)
    if (walk.array && !isEmpty && !walk.begin(loops))
      return machine.wrong(step, "goes beyond the dims of an operand");
  auto finish = [&] {
    for (unsigned i = inputs; isTensor && i < count; ++i)
      machine.set(step, i - inputs, walks[i].array);
  };
  if (isEmpty)
    return finish();

  for (const Walk &walk : walks)
    if (walk.array && walk.isLinear) {
      int64_t last = walk.at;
      int64_t first = walk.at;
      for (auto [advance, size] : llvm::zip(walk.advances, loops))
        (advance < 0 ? first : last) += advance * (size - 1);
      if (!walk.array->holds(first) || !walk.array->holds(last))
        return machine.wrong(step, "goes beyond the memory of an operand");
    }

  bool isLinear = llvm::all_of(
      walks, [](const Walk &walk) { return !walk.array || walk.isLinear; });
  bool isProduct =
      count == 3 && isLinear && isMultiplyAdd(body, step) &&
      llvm::all_of(walks, [](const Walk &walk) { return bool(walk.array); });
  if (isProduct && !loops.empty() && llvm::all_of(walks, [](const Walk &walk) {
        return walk.array->format.kind == Format::f32;
      })) {
    multiplyAdd(machine, walks, loops);
    return finish();
  }
  unsigned arguments = body.front().arguments.size();
  machine.iterations.emplace_back(loops.size());
  while (true) {
    auto &index = machine.iterations.back();
    if (!isLinear)
      for (Walk &walk : walks)
        if (walk.array && !walk.isLinear) {
          walk.at = walk.array->offset;
          for (auto [k, i] : llvm::enumerate(evaluateMap(walk.map, index))) {
            if (i < 0 || i >= walk.array->sizes[k])
              return machine.wrong(step, "goes beyond the dims of an operand");
            walk.at += i * walk.array->strides[k];
          }
          walk.advances.assign(loops.size(), 0);
        }
    if (isProduct) {
      const Array &a = *walks[0].array, &b = *walks[1].array,
                  &c = *walks[2].array;
      double product =
          machine
              .real(c.format, a.format.load(a.at(walks[0].at)).real *
                                  b.format.load(b.at(walks[1].at)).real)
              .real;
      char *at = c.at(walks[2].at);
      c.format.store(machine.real(c.format, c.format.load(at).real + product),
                     at);
    } else {
      for (unsigned i = 0; i < arguments; ++i) {
        const Walk &walk = walks[i];
        machine.setArgument(
            body, i,
            walk.array ? Value(walk.array->format.load(walk.array->at(walk.at)))
                       : machine.value(step, i));
      }
      machine.run(body);
      if (machine.hasEnded())
        return;
      for (unsigned i = inputs; i < count; ++i)
        walks[i].array->format.store(machine.yielded[i - inputs].scalar,
                                     walks[i].array->at(walks[i].at));
    }
    size_t k = loops.size();
    auto &next = machine.iterations.back();
    for (; k > 0; --k) {
      bool wraps = ++next[k - 1] == loops[k - 1];
      for (Walk &walk : walks)
        if (walk.array)
          walk.at += walk.advances[k - 1] * (wraps ? 1 - loops[k - 1] : 1);
      if (!wraps)
        break;
      next[k - 1] = 0;
    }
    if (k == 0)
      break;
  }
  machine.iterations.pop_back();
  finish();
}

/// Where the element `index` of the unpacked array is in the packed one.
template <typename Op>
static int64_t packedElement(Op op, ArrayRef<int64_t> tiles,
                             ArrayRef<int64_t> index, const Array &packed) {
  SmallVector<int64_t, 6> outer(index), inner;
  for (auto [dim, tile] : llvm::zip(op.getInnerDimsPos(), tiles)) {
    outer[dim] = index[dim] / tile;
    inner.push_back(index[dim] % tile);
  }
  int64_t at = packed.offset;
  for (unsigned k = 0; k < outer.size(); ++k)
    at += packed.strides[k] *
          outer[op.getOuterDimsPerm().empty() ? k : op.getOuterDimsPerm()[k]];
  for (unsigned k = 0; k < inner.size(); ++k)
    at += packed.strides[outer.size() + k] * inner[k];
  return at;
}

static void runUnpack(Machine &machine, const Step &step) {
  auto op = step.as<linalg::UnPackOp>();
  if (!op->getNumResults())
    return machine.unknown(step, "memrefs");
  const Array &packed = machine.array(step, 0);
  auto result = makeArray(packed.format, machine.array(step, 1).sizes);
  auto tiles = ArrayRef(packed.sizes).take_back(op.getInnerDimsPos().size());
  int64_t to = 0;
  forEachIndex(result->sizes, [&](ArrayRef<int64_t> index) {
    int64_t from = packedElement(op, tiles, index, packed);
    if (!packed.holds(from))
      return machine.wrong(step, "reads outside of its memory");
    std::memcpy(result->at(to++), packed.at(from), packed.format.bytes());
  });
  machine.set(step, 0, result);
}

static void runPack(Machine &machine, const Step &step) {
  auto op = step.as<linalg::PackOp>();
  if (!op->getNumResults())
    return machine.unknown(step, "memrefs");
  const Array &source = machine.array(step, 0);
  auto result = makeArray(source.format, machine.array(step, 1).sizes);
  if (op.getPaddingValue())
    for (int64_t k = 0, count = result->count(); k < count; ++k)
      source.format.store(
          machine.value(step, op.getPaddingValueMutable()[0].getOperandNumber())
              .scalar,
          result->at(k));
  auto tiles = ArrayRef(result->sizes).take_back(op.getInnerDimsPos().size());
  int64_t from = 0;
  forEachIndex(source.sizes, [&](ArrayRef<int64_t> index) {
    int64_t to = packedElement(op, tiles, index, *result);
    if (!result->holds(to))
      return machine.wrong(step, "writes outside of its memory");
    std::memcpy(result->at(to), source.at(from++), source.format.bytes());
  });
  machine.set(step, 0, result);
}

void registerLinalg(Registry &registry) {
  registry.add<linalg::IndexOp>([](Machine &machine, const Step &step) {
    uint64_t dim = step.as<linalg::IndexOp>().getDim();
    machine.set(step, 0, Scalar::of(machine.iterations.back()[dim]));
  });
  registry.add<linalg::YieldOp>(
      [](Machine &machine, const Step &step) { machine.yield(step); });
  registry.add<linalg::PackOp>(runPack);
  registry.add<linalg::UnPackOp>(runUnpack);
}

} // namespace fulgur::interpreter
