#include "passes/kernel/KernelParts.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/kernel/KernelGroups.h"

using namespace mlir;
using namespace fulgur;

/// Whether each step of the loop multiplies matrices.
static bool isOverTime(Operation *op) {
  return isa<scf::ForOp>(op) &&
         op->walk([](linalg::LinalgOp inner) {
             return linalg::isaContractionOpInterface(inner)
                        ? WalkResult::interrupt()
                        : WalkResult::advance();
           }).wasInterrupted();
}

void fulgur::addProducers(Value value,
                          llvm::SetVector<Operation *> &producers) {
  Operation *op = value.getDefiningOp();
  if (!op || !producers.insert(op))
    return;
  for (Value operand : valuesUsedBy(op))
    addProducers(operand, producers);
}

SmallVector<SmallVector<unsigned>> fulgur::partsOf(KernelOp kernel) {
  SmallVector<SmallVector<unsigned>> parts;
  llvm::DenseMap<Operation *, unsigned> partOf;
  ValueRange results = kernel.yield().getValues();
  SmallVector<SmallVector<unsigned>> whole{
      llvm::to_vector(llvm::seq<unsigned>(0, results.size()))};
  for (auto [number, value] : llvm::enumerate(results)) {
    llvm::SetVector<Operation *> producers;
    addProducers(value, producers);
    auto isLoop = [](Operation *op) { return isOverTime(op); };
    if (llvm::count_if(producers, isLoop) != 1)
      return whole;
    auto [found, isNew] =
        partOf.try_emplace(*llvm::find_if(producers, isLoop), parts.size());
    if (isNew)
      parts.emplace_back();
    parts[found->second].push_back(number);
  }
  return parts.empty() ? whole : parts;
}

/// Whether `op` needs something that one of `sources` gives.
static bool depends(Operation *op, ArrayRef<KernelOp> sources) {
  llvm::SetVector<Operation *> needed;
  for (Value operand : op->getOperands())
    addProducers(operand, needed);
  return llvm::any_of(sources,
                      [&](KernelOp source) { return needed.contains(source); });
}

static void join(ArrayRef<KernelOp> kernels) {
  KernelOp last = kernels.back();
  OpBuilder builder(last);
  SmallVector<Value> inputs, outs, results;
  for (KernelOp kernel : kernels) {
    llvm::append_range(inputs, kernel.getInputs());
    llvm::append_range(outs, kernel.getOuts());
    llvm::append_range(results, kernel.getResults());
  }
  auto joined =
      KernelOp::create(builder, last.getLoc(), TypeRange(ValueRange(results)),
                       inputs, outs, ScheduleAttr(), /*keeps=*/false);
  Block *body = builder.createBlock(&joined.getBody());
  IRMapping mapping;
  for (bool isInput : {true, false})
    for (KernelOp kernel : kernels) {
      size_t count = kernel.getInputs().size();
      auto arguments = kernel.bodyBlock()->getArguments();
      for (BlockArgument argument :
           isInput ? arguments.take_front(count) : arguments.drop_front(count))
        mapping.map(argument,
                    body->addArgument(argument.getType(), argument.getLoc()));
    }
  SmallVector<Value> yielded;
  for (KernelOp kernel : kernels) {
    for (Operation &op : kernel.bodyBlock()->without_terminator())
      builder.clone(op, mapping);
    for (Value value : kernel.yield().getValues())
      yielded.push_back(mapping.lookup(value));
  }
  YieldOp::create(builder, last.getLoc(), yielded);
  for (auto [old, value] : llvm::zip(results, joined.getResults()))
    old.replaceAllUsesWith(value);
  for (KernelOp kernel : kernels)
    kernel.erase();
}

bool fulgur::joinLoops(Block &block) {
  SmallVector<SmallVector<KernelOp>> groups;
  for (auto kernel : block.getOps<KernelOp>()) {
    if (kernel.getKeeps() ||
        llvm::count_if(*kernel.bodyBlock(),
                       [](Operation &op) { return isOverTime(&op); }) != 1)
      continue;
    if (groups.empty() || depends(kernel, groups.back()))
      groups.emplace_back();
    groups.back().push_back(kernel);
  }
  bool any = false;
  for (ArrayRef<KernelOp> group : groups)
    if (group.size() > 1) {
      join(group);
      any = true;
    }
  return any;
}
