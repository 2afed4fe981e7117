// Makes a function of the body of every parallel loop, and of the loop a launch
// of it on the run's executor.
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Passes.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_OUTLINETASKS
#include "passes/Passes.h.inc"

namespace {
struct OutlineTasks : impl::OutlineTasksBase<OutlineTasks> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (auto function :
         llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
      SmallVector<scf::ForallOp> loops;
      function.walk([&](scf::ForallOp loop) { loops.push_back(loop); });
      for (auto [number, loop] : llvm::enumerate(loops)) {
        if (loop.getRank() != 1 || !loop.getOutputs().empty() ||
            loop->getParentOfType<scf::ForallOp>()) {
          loop.emitOpError("is not a plain parallel loop over one index");
          return signalPassFailure();
        }
        outline(loop, function, number);
      }
    }
  }

private:
  static void outline(scf::ForallOp loop, func::FuncOp function,
                      unsigned number) {
    OpBuilder builder(loop);
    Location loc = loop.getLoc();
    Value count = getValueOrCreateConstantIndexOp(
        builder, loc, loop.getMixedUpperBound().front());
    auto pointer = LLVM::LLVMPointerType::get(builder.getContext());

    // Constants are made again in the task; everything else travels.
    llvm::SetVector<Value> captured, values;
    getUsedValuesDefinedAbove(loop.getRegion(), captured);
    SmallVector<Operation *> constants;
    for (Value value : captured) {
      Operation *producer = value.getDefiningOp();
      if (producer && producer->hasTrait<OpTrait::ConstantLike>())
        constants.push_back(producer);
      else
        values.insert(value);
    }

    builder.setInsertionPoint(function);
    auto task = func::FuncOp::create(
        builder, loc,
        (function.getName() + "_task" + std::to_string(number)).str(),
        builder.getFunctionType({pointer, builder.getIndexType()}, {}));
    task.setPrivate();
    builder.setInsertionPointToStart(task.addEntryBlock());
    IRMapping mapping;
    for (Operation *constant : constants)
      builder.clone(*constant, mapping);
    if (!values.empty()) {
      auto arguments = ArgumentsOp::create(
          builder, loc, TypeRange(ValueRange(values.getArrayRef())),
          task.getArgument(0));
      mapping.map(values.getArrayRef(), arguments.getValues());
    }
    mapping.map(loop.getInductionVar(0), task.getArgument(1));
    for (Operation &op : loop.getBody()->without_terminator())
      builder.clone(op, mapping);
    func::ReturnOp::create(builder, loc);

    builder.setInsertionPoint(loop);
    LaunchOp::create(builder, loc, function.getArgument(0), task.getName(),
                     count, values.getArrayRef());
    loop.erase();
  }
};
} // namespace
} // namespace fulgur
