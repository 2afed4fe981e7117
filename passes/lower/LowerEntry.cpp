// Gives @main and @plan their C signatures' meaning: symbols are read from the
// caller's arrays, checks of indices become early returns with the number of
// their message, and both functions take the model's prefix.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "passes/Dims.h"
#include "passes/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_LOWERENTRY
#include "passes/Passes.h.inc"

namespace {
/// fulgur_call.output_dims: the number of the field, before which there are
/// pointers only.
constexpr int32_t kOutputDimsField = 7;

struct LowerEntry : impl::LowerEntryBase<LowerEntry> {
  using LowerEntryBase::LowerEntryBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto main = module.lookupSymbol<func::FuncOp>("main"),
         plan = module.lookupSymbol<func::FuncOp>("plan");
    if (!main || !plan)
      return;
    pointer = LLVM::LLVMPointerType::get(&getContext());
    writeOutputDims(main);
    OpBuilder builder = OpBuilder::atBlockBegin(&main.getBody().front());
    Value symbols =
        LLVM::LoadOp::create(builder, main.getLoc(), pointer,
                             main.getArgument(0)); // fulgur_call.symbols
    if (failed(readSymbols(main, symbols)) ||
        failed(readSymbols(plan, plan.getArgument(0))))
      return signalPassFailure();
    SmallVector<Operation *> checks;
    main.walk([&](Operation *op) {
      if (isa<CheckBoundsOp, BoundedOp, RequireOp>(op))
        checks.push_back(op);
    });
    for (Operation *check : checks)
      llvm::TypeSwitch<Operation *>(check)
          .Case<CheckBoundsOp, BoundedOp, RequireOp>(
              [](auto op) { lower(op); });
    for (auto [function, name] :
         {std::pair(main, "__run"), std::pair(plan, "__plan")}) {
      // A part of a program has a name of its own.
      StringRef part =
          module->getParentOp() ? module.getSymName().value_or("") : "";
      function.setName(prefix + (part.empty() ? "" : "__") + part.str() + name);
      function.setPublic();
    }
  }

private:
  /// Writes the output dims that are known only while running where the caller
  /// has their bounds.
  void writeOutputDims(func::FuncOp main) {
    SmallVector<BufferOp> outputs;
    main.walk([&](BufferOp op) {
      if (op.getSegment() == Segment::output)
        outputs.push_back(op);
    });
    llvm::sort(outputs, [](BufferOp a, BufferOp b) {
      return getConstantIntValue(a.getPosition()) <
             getConstantIntValue(b.getPosition());
    });
    OpBuilder builder(main.getBody().front().getTerminator());
    Location loc = main.getLoc();
    Value dims;
    int32_t first = 0; // number of the output's first dim
    for (BufferOp output : outputs) {
      for (auto [k, size] : llvm::enumerate(getMixedValues(
               output.getType().getShape(), output.getSizes(), builder))) {
        auto value = dyn_cast<Value>(size);
        if (!value || !dependsOnData(value))
          continue;
        if (!dims) {
          Value field = LLVM::GEPOp::create(
              builder, loc, pointer, pointer, main.getArgument(0),
              ArrayRef<LLVM::GEPArg>{kOutputDimsField});
          dims = LLVM::LoadOp::create(builder, loc, pointer, field);
        }
        Value at = LLVM::GEPOp::create(
            builder, loc, pointer, builder.getI64Type(), dims,
            ArrayRef<LLVM::GEPArg>{first + int32_t(k)});
        Value wide = arith::IndexCastOp::create(builder, loc,
                                                builder.getI64Type(), value);
        LLVM::StoreOp::create(builder, loc, wide, at);
      }
      first += output.getType().getRank();
    }
  }

  LogicalResult readSymbols(func::FuncOp function, Value array) {
    auto known = getOperation()->getAttrOfType<ArrayAttr>(kSymbolsAttr);
    SmallVector<SymbolOp> ops;
    function.walk([&](SymbolOp op) { ops.push_back(op); });
    for (SymbolOp op : ops) {
      int64_t index = -1;
      if (known)
        for (auto [k, symbol] :
             llvm::enumerate(known.getAsRange<DictionaryAttr>()))
          if (symbol.getAs<StringAttr>("name") == op.getNameAttr())
            index = k;
      if (index < 0)
        return op.emitOpError() << "names no symbol of the module";
      OpBuilder builder(op);
      Value at = LLVM::GEPOp::create(builder, op.getLoc(), pointer,
                                     builder.getI64Type(), array,
                                     ArrayRef<LLVM::GEPArg>{int32_t(index)});
      Value wide =
          LLVM::LoadOp::create(builder, op.getLoc(), builder.getI64Type(), at);
      op.replaceAllUsesWith(arith::IndexCastOp::create(builder, op.getLoc(),
                                                       builder.getIndexType(),
                                                       wide)
                                .getResult());
      op.erase();
    }
    return success();
  }

  /// Walks the indices; on a bad one the run ends with the number of the
  /// check's message.
  static void lower(CheckBoundsOp check) {
    OpBuilder builder(check);
    Location loc = check.getLoc();
    Value indices = check.getIndices();
    auto type = cast<MemRefType>(indices.getType());
    auto constant = [&](int64_t value) {
      return arith::ConstantIndexOp::create(builder, loc, value).getResult();
    };
    Value good;
    auto element = type.getElementType();
    Value lower =
        arith::IndexCastOp::create(builder, loc, element, check.getLower());
    Value upper =
        arith::IndexCastOp::create(builder, loc, element, check.getUpper());
    Value yes =
        arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true));
    auto inside = [&](Value index) {
      Value above = arith::CmpIOp::create(
          builder, loc, arith::CmpIPredicate::sge, index, lower);
      Value below = arith::CmpIOp::create(
          builder, loc, arith::CmpIPredicate::slt, index, upper);
      return arith::AndIOp::create(builder, loc, above, below).getResult();
    };
    if (type.getRank() == 0) {
      good = inside(memref::LoadOp::create(builder, loc, indices));
    } else {
      if (type.getRank() > 1) {
        ReassociationIndices all(
            llvm::to_vector<2>(llvm::seq<int64_t>(type.getRank())));
        indices = memref::CollapseShapeOp::create(
            builder, loc, indices, ArrayRef<ReassociationIndices>{all});
      }
      Value size = memref::DimOp::create(builder, loc, indices, 0);
      auto loop =
          scf::ForOp::create(builder, loc, constant(0), size, constant(1), yes);
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointToStart(loop.getBody());
      Value ok = inside(memref::LoadOp::create(builder, loc, indices,
                                               loop.getInductionVar()));
      scf::YieldOp::create(
          builder, loc,
          arith::AndIOp::create(builder, loc, ok, loop.getRegionIterArgs()[0])
              .getResult());
      good = loop.getResult(0);
    }
    stopUnless(good, check);
  }

  static void lower(BoundedOp op) {
    OpBuilder builder(op);
    // As unsigned numbers, negative ones are above every bound.
    Value good =
        arith::CmpIOp::create(builder, op.getLoc(), arith::CmpIPredicate::ule,
                              op.getValue(), op.getBound());
    op.replaceAllUsesWith(op.getValue());
    stopUnless(good, op);
  }

  static void lower(RequireOp op) { stopUnless(op.getCondition(), op); }

  /// Replaces `check` by the end of the run, with the number of its message,
  /// unless `good`.
  static void stopUnless(Value good, Operation *check) {
    OpBuilder builder(check);
    Location loc = check->getLoc();
    Value number = arith::ConstantOp::create(
        builder, loc, check->getAttrOfType<IntegerAttr>("number"));
    Block *before = check->getBlock();
    Block *after = before->splitBlock(check->getNextNode());
    Block *stop = builder.createBlock(after);
    func::ReturnOp::create(builder, loc, number);
    builder.setInsertionPoint(check);
    cf::CondBranchOp::create(builder, loc, good, after, ValueRange(), stop,
                             ValueRange());
    check->erase();
  }

  LLVM::LLVMPointerType pointer;
};
} // namespace
} // namespace fulgur
