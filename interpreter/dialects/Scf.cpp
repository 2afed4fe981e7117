// scf: loops and branches. Iterations of parallel loops run last to first, so
// that one that needs an earlier one shows.
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "interpreter/Machine.h"

using namespace mlir;

namespace fulgur::interpreter {

static void setYielded(Machine &machine, const Step &step) {
  SmallVector<Value, 4> values = std::move(machine.yielded);
  for (unsigned i = 0; i < step.results.size(); ++i)
    machine.set(step, i, std::move(values[i]));
}

static void runFor(Machine &machine, const Step &step) {
  auto op = step.as<scf::ForOp>();
  bool isUnsigned = op.getUnsignedCmp();
  Format format = step.formats[0];
  int64_t lower = machine.integer(step, 0), upper = machine.integer(step, 1),
          stride = machine.integer(step, 2);
  if (stride <= 0)
    return machine.wrong(step, "has step " + Twine(stride));
  SmallVector<Value, 4> carried;
  for (unsigned i = 3; i < step.operands.size(); ++i)
    carried.push_back(machine.value(step, i));
  auto isBefore = [&](int64_t a) {
    return isUnsigned ? format.asUnsigned(a) < format.asUnsigned(upper)
                      : a < upper;
  };
  for (int64_t i = lower; isBefore(i); i += stride) {
    machine.setArgument(step.regions[0], 0, Scalar::of(i));
    for (auto [k, value] : llvm::enumerate(carried))
      machine.setArgument(step.regions[0], 1 + k, std::move(value));
    machine.run(step.regions[0]);
    if (machine.hasEnded())
      return;
    carried = std::move(machine.yielded);
  }
  for (auto [k, value] : llvm::enumerate(carried))
    machine.set(step, k, std::move(value));
}

static void runWhile(Machine &machine, const Step &step) {
  SmallVector<Value, 4> carried;
  for (unsigned i = 0; i < step.operands.size(); ++i)
    carried.push_back(machine.value(step, i));
  while (true) {
    for (auto [k, value] : llvm::enumerate(carried))
      machine.setArgument(step.regions[0], k, std::move(value));
    machine.run(step.regions[0]);
    if (machine.hasEnded())
      return;
    carried = std::move(machine.yielded); // the condition first
    bool goesOn = carried.front().scalar.integer;
    carried.erase(carried.begin());
    if (!goesOn)
      break;
    for (auto [k, value] : llvm::enumerate(carried))
      machine.setArgument(step.regions[1], k, std::move(value));
    machine.run(step.regions[1]);
    if (machine.hasEnded())
      return;
    carried = std::move(machine.yielded);
  }
  for (auto [k, value] : llvm::enumerate(carried))
    machine.set(step, k, std::move(value));
}

/// Runs the body for each index of the box, last to first.
static void runBackwards(Machine &machine, const Step &step,
                         ArrayRef<int64_t> lower, ArrayRef<int64_t> upper,
                         ArrayRef<int64_t> strides) {
  SmallVector<int64_t, 4> counts;
  for (auto [from, to, stride] : llvm::zip(lower, upper, strides)) {
    if (stride <= 0)
      return machine.wrong(step, "has step " + Twine(stride));
    counts.push_back(from < to ? (to - from + stride - 1) / stride : 0);
  }
  forEachIndex(counts, [&](ArrayRef<int64_t> index) {
    if (machine.hasEnded())
      return;
    for (unsigned k = 0; k < index.size(); ++k)
      machine.setArgument(
          step.regions[0], k,
          Scalar::of(lower[k] + (counts[k] - 1 - index[k]) * strides[k]));
    machine.run(step.regions[0]);
  });
}

static void runForall(Machine &machine, const Step &step) {
  auto op = step.as<scf::ForallOp>();
  unsigned next = 0;
  auto read = [&](ArrayRef<int64_t> known) {
    SmallVector<int64_t, 4> result(known);
    for (int64_t &size : result)
      if (ShapedType::isDynamic(size))
        size = machine.integer(step, next++);
    return result;
  };
  auto lower = read(op.getStaticLowerBound()),
       upper = read(op.getStaticUpperBound()),
       strides = read(op.getStaticStep());
  // Tensors are shared by all iterations, which write their slices into them.
  for (unsigned i = 0; i < op.getOutputs().size(); ++i)
    machine.setArgument(step.regions[0], op.getRank() + i,
                        machine.take(step, next + i));
  runBackwards(machine, step, lower, upper, strides);
  if (machine.hasEnded())
    return;
  for (unsigned i = 0; i < op.getOutputs().size(); ++i)
    machine.set(step, i, machine.argument(step.regions[0], op.getRank() + i));
}

static void runIf(Machine &machine, const Step &step) {
  const Body &branch = step.regions[machine.integer(step, 0) ? 0 : 1];
  if (branch.blocks.empty())
    return;
  machine.run(branch);
  if (!machine.hasEnded())
    setYielded(machine, step);
}

static void runSwitch(Machine &machine, const Step &step) {
  auto op = step.as<scf::IndexSwitchOp>();
  unsigned chosen = 0;
  for (auto [i, value] : llvm::enumerate(op.getCases()))
    if (value == machine.integer(step, 0))
      chosen = 1 + i;
  machine.run(step.regions[chosen]);
  if (!machine.hasEnded())
    setYielded(machine, step);
}

static void runParallel(Machine &machine, const Step &step) {
  auto op = step.as<scf::ParallelOp>();
  if (!op.getInitVals().empty())
    return machine.unknown(step, "reductions");
  unsigned rank = op.getNumLoops();
  SmallVector<int64_t, 4> lower, upper, strides;
  for (unsigned i = 0; i < rank; ++i) {
    lower.push_back(machine.integer(step, i));
    upper.push_back(machine.integer(step, rank + i));
    strides.push_back(machine.integer(step, 2 * rank + i));
  }
  runBackwards(machine, step, lower, upper, strides);
}

void registerScf(Registry &registry) {
  registry.add<scf::ForOp>(runFor);
  registry.add<scf::WhileOp>(runWhile);
  registry.add<scf::ForallOp>(runForall);
  registry.add<scf::ParallelOp>(runParallel);
  registry.add<scf::IfOp>(runIf);
  registry.add<scf::IndexSwitchOp>(runSwitch);
  registry.add<scf::ExecuteRegionOp>([](Machine &machine, const Step &step) {
    machine.run(step.regions[0]);
    if (!machine.hasEnded())
      setYielded(machine, step);
  });
  registry.add<scf::YieldOp>(
      [](Machine &machine, const Step &step) { machine.yield(step); });
  registry.add<scf::ConditionOp>(
      [](Machine &machine, const Step &step) { machine.yield(step); });
  registry.ignore<scf::ReduceOp>();
  registry.add<scf::InParallelOp>(
      [](Machine &machine, const Step &step) { machine.run(step.regions[0]); });
}

} // namespace fulgur::interpreter
