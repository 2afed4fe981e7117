// Gives kernels the memory they need while they work. Small buffers of fixed
// size go to the stack; others become operands, allocated by @main, so that the
// memory plan covers them and a run allocates nothing.
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Passes.h"
#include "passes/memory/BufferDims.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_HOISTSCRATCH
#include "passes/Passes.h.inc"

namespace {

constexpr int64_t kStackBytes = 64 << 10;

struct HoistScratch : impl::HoistScratchBase<HoistScratch> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (auto function :
         llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
      if (function.getName() == "main" || function.isExternal())
        continue;
      SmallVector<memref::AllocOp> allocs;
      function.walk([&](memref::AllocOp alloc) { allocs.push_back(alloc); });
      int64_t stack = 0;
      for (memref::AllocOp alloc : allocs) {
        if (onStack(alloc, stack))
          continue;
        if (failed(asOperand(alloc, function)))
          return signalPassFailure();
      }
    }
  }

private:
  /// Moves a small buffer to the stack of the task (or kernel) that uses it,
  /// outside of its loops.
  static bool onStack(memref::AllocOp alloc, int64_t &stack) {
    auto type = alloc.getType();
    if (!type.hasStaticShape())
      return false;
    int64_t bytes = type.getNumElements() * elementBytes(type.getElementType());
    if (stack + bytes > kStackBytes)
      return false;
    stack += bytes;
    Operation *scope = alloc->getParentOp();
    while (!isa<scf::ForallOp, func::FuncOp>(scope))
      scope = scope->getParentOp();
    OpBuilder builder = OpBuilder::atBlockBegin(&scope->getRegion(0).front());
    Value buffer = memref::AllocaOp::create(builder, alloc.getLoc(), type,
                                            builder.getI64IntegerAttr(64));
    alloc.replaceAllUsesWith(buffer);
    alloc.erase();
    return true;
  }

  /// Whether only one task of its parallel loop uses the buffer.
  static bool isOfOneTask(memref::AllocOp alloc) {
    auto choice = alloc->getParentOfType<scf::IndexSwitchOp>();
    auto loop = dyn_cast_or_null<scf::ForallOp>(choice ? choice->getParentOp()
                                                       : nullptr);
    return loop && loop.getRank() == 1 &&
           choice.getArg() == loop.getInductionVar(0) &&
           !choice.getDefaultRegion().isAncestor(alloc->getParentRegion());
  }

  LogicalResult asOperand(memref::AllocOp alloc, func::FuncOp function) {
    if (alloc->getParentOfType<scf::ForallOp>() && !isOfOneTask(alloc))
      return alloc.emitOpError("needs memory of a size unknown at compile time "
                               "inside a parallel loop");
    auto uses = SymbolTable::getSymbolUses(function, getOperation());
    if (!uses)
      return failure();
    for (SymbolTable::SymbolUse use : *uses) {
      auto call = cast<func::CallOp>(use.getUser());
      OpBuilder builder(call);
      IRMapping mapping;
      SmallVector<Value> sizes;
      for (Value size : alloc.getDynamicSizes()) {
        FailureOr<Value> outside =
            rebuild(size, function, call, builder, mapping);
        if (failed(outside))
          return alloc.emitOpError(
              "has a size that is not a function of the operands' dims");
        sizes.push_back(*outside);
      }
      Value scratch = memref::AllocOp::create(builder, call.getLoc(),
                                              alloc.getType(), sizes);
      call->insertOperands(call->getNumOperands(), scratch);
    }
    if (failed(function.insertArgument(function.getNumArguments(),
                                       alloc.getType(), {}, alloc.getLoc())))
      return failure();
    alloc.replaceAllUsesWith(function.getArguments().back());
    alloc.erase();
    return success();
  }

  /// Computes in the caller what `value` is in the kernel.
  static FailureOr<Value> rebuild(Value value, func::FuncOp function,
                                  func::CallOp call, OpBuilder &builder,
                                  IRMapping &mapping) {
    if (Value known = mapping.lookupOrNull(value))
      return known;
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      if (argument.getOwner()->getParentOp() != function)
        return failure();
      return call.getOperand(argument.getArgNumber());
    }
    Operation *op = value.getDefiningOp();
    if (auto dim = dyn_cast<memref::DimOp>(op)) {
      auto argument = dyn_cast<BlockArgument>(dim.getSource());
      auto position = dim.getConstantIndex();
      if (!argument || !position ||
          argument.getOwner()->getParentOp() != function)
        return failure();
      auto dims = bufferDims(builder, call.getOperand(argument.getArgNumber()));
      if (failed(dims))
        return failure();
      Value size = getValueOrCreateConstantIndexOp(builder, call.getLoc(),
                                                   (*dims)[*position]);
      mapping.map(value, size);
      return size;
    }
    if (!isPure(op) || op->getNumRegions() != 0)
      return failure();
    for (Value operand : op->getOperands()) {
      FailureOr<Value> outside =
          rebuild(operand, function, call, builder, mapping);
      if (failed(outside))
        return failure();
      mapping.map(operand, *outside);
    }
    Operation *copy = builder.clone(*op, mapping);
    return copy->getResult(cast<OpResult>(value).getResultNumber());
  }
};
} // namespace
} // namespace fulgur
