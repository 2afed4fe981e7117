// Makes one function of all kernels that compute the same thing, filled by the
// builder that the schedule names. The generic builder is here: it puts the
// body itself into the function, on tensors over the buffers, for bufferization
// and loops.
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "passes/Passes.h"
#include "passes/TargetOptions.h"
#include "passes/kernel/KernelParts.h"
#include "passes/kernel/builders/Builder.h"
#include "passes/kernel/builders/Emitter.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_OUTLINEKERNELS
#include "passes/Passes.h.inc"

namespace {

/// Whether both kernels can be one function: equal schedules, operand types and
/// bodies.
bool isSameKernel(KernelOp a, KernelOp b) {
  return a.getScheduleAttr() == b.getScheduleAttr() &&
         a.getOperandTypes() == b.getOperandTypes() &&
         a.getInputs().size() == b.getInputs().size() &&
         OperationEquivalence::isRegionEquivalentTo(
             &a.getBody(), &b.getBody(), OperationEquivalence::IgnoreLocations);
}

/// A hash that is equal for kernels that isSameKernel would call equal.
llvm::hash_code hashKernel(KernelOp kernel) {
  llvm::hash_code hash =
      llvm::hash_combine(kernel.getScheduleAttr(),
                         llvm::hash_combine_range(kernel.getOperandTypes()));
  kernel.getBody().walk(
      [&](Operation *op) { hash = llvm::hash_combine(hash, op->getName()); });
  return hash;
}

/// The body on tensors, between the buffers that are its operands: what gives
/// the results that have these numbers.
void buildResults(KernelSite &site, ArrayRef<unsigned> results) {
  llvm::SetVector<Operation *> needed;
  for (unsigned number : results)
    addProducers(site.kernel.yield().getValues()[number], needed);
  IRMapping mapping;
  Block *body = site.kernel.bodyBlock();
  for (BlockArgument argument : body->getArguments()) {
    Value operand = site.operand(argument);
    if (isa<MemRefType>(operand.getType())) {
      bool writable = argument.getArgNumber() >= site.inputs.size();
      operand = bufferization::ToTensorOp::create(site.builder, site.loc,
                                                  argument.getType(), operand,
                                                  /*restrict=*/true, writable);
    }
    mapping.map(argument, operand);
  }
  for (Operation &op : body->without_terminator())
    if (needed.contains(&op))
      site.builder.clone(op, mapping);
  for (unsigned number : results)
    bufferization::MaterializeInDestinationOp::create(
        site.builder, site.loc, Type(),
        mapping.lookupOrDefault(site.kernel.yield().getValues()[number]),
        site.outs[number],
        /*restrict=*/true, /*writable=*/true);
}

/// One task for each of the loops that need nothing of each other.
LogicalResult buildGeneric(KernelSite &site) {
  SmallVector<SmallVector<unsigned>> parts = partsOf(site.kernel);
  if (parts.size() == 1) {
    buildResults(site, parts.front());
    return success();
  }
  Emitter e{site.builder, site.loc};
  e.parallel(e.index(parts.size()), [&](Value task) {
    e.choose(task, 0, parts.size(),
             [&](int64_t part) { buildResults(site, parts[part]); });
  });
  return success();
}

struct OutlineKernels : OnTarget<impl::OutlineKernelsBase<OutlineKernels>> {
  using OnTarget::OnTarget;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    target = targetOptions();
    SmallVector<KernelOp> kernels;
    module.walk([&](KernelOp kernel) { kernels.push_back(kernel); });
    llvm::DenseMap<size_t, SmallVector<std::pair<KernelOp, func::FuncOp>>>
        known;
    for (KernelOp kernel : kernels) {
      auto &candidates = known[hashKernel(kernel)];
      auto *same = llvm::find_if(candidates, [&](auto &candidate) {
        return isSameKernel(candidate.first, kernel);
      });
      if (same == candidates.end()) {
        func::FuncOp function = outline(kernel);
        if (!function)
          return signalPassFailure();
        candidates.push_back({kernel, function});
        same = &candidates.back();
      }
      OpBuilder builder(kernel);
      SmallVector<Value> operands{
          kernel->getParentOfType<func::FuncOp>().getArgument(0)};
      llvm::append_range(operands, kernel.getOperands());
      func::CallOp::create(builder, kernel.getLoc(), same->second, operands);
    }
    for (KernelOp kernel : kernels)
      kernel.erase();
  }

private:
  func::FuncOp outline(KernelOp kernel) {
    ModuleOp module = getOperation();
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    StringRef kind =
        kernel.getSchedule() ? kernel.getSchedule()->getKind() : "generic";
    SmallVector<Type> types{LLVM::LLVMPointerType::get(&getContext())};
    llvm::append_range(types, kernel.getOperandTypes());
    auto function = func::FuncOp::create(builder, kernel.getLoc(),
                                         "kernel_" + std::to_string(count++) +
                                             "_" + kind.str(),
                                         builder.getFunctionType(types, {}));
    function.setPrivate();
    Block *entry = function.addEntryBlock();
    builder.setInsertionPointToStart(entry);
    SmallVector<Value> inputs, outs;
    for (unsigned i = 0; i < kernel.getNumOperands(); ++i)
      (i < kernel.getInputs().size() ? inputs : outs)
          .push_back(entry->getArgument(i + 1));
    KernelSite site{builder, kernel.getLoc(), kernel, inputs, outs, target};
    const KernelBuilder *chosen = findKernelBuilder(kind);
    if (!chosen && kind != "generic") {
      kernel.emitOpError() << "is scheduled for the builder '" << kind
                           << "', which does not exist";
      return {};
    }
    if (chosen && !chosen->accepts(kernel)) {
      kernel.emitOpError() << "is scheduled for the builder '" << kind
                           << "', which does not build such a body";
      return {};
    }
    if (failed(chosen ? chosen->build(site) : buildGeneric(site))) {
      kernel.emitOpError() << "could not be built by '" << kind << "'";
      return {};
    }
    builder.setInsertionPointToEnd(entry);
    func::ReturnOp::create(builder, kernel.getLoc());
    return function;
  }

  Target target;
  unsigned count = 0;
};
} // namespace
} // namespace fulgur
