// Passes that are wrong on purpose: what --verify-numerics-each has to find.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace {
/// a - b becomes b - a.
struct SwapSubtractions
    : PassWrapper<SwapSubtractions, OperationPass<func::FuncOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SwapSubtractions)
  StringRef getArgument() const override { return "test-swap-subtractions"; }
  StringRef getDescription() const override { return "Wrong: a - b to b - a"; }
  void runOnOperation() override {
    getOperation()->walk([](arith::SubFOp op) {
      Value a = op.getLhs();
      op.setOperand(0, op.getRhs());
      op.setOperand(1, a);
    });
  }
};

/// Loops with a constant end go one step further.
struct LengthenLoops : PassWrapper<LengthenLoops, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(LengthenLoops)
  StringRef getArgument() const override { return "test-lengthen-loops"; }
  StringRef getDescription() const override {
    return "Wrong: loops run once too often";
  }
  void runOnOperation() override {
    getOperation()->walk([](scf::ForOp op) {
      OpBuilder builder(op);
      op.setUpperBound(arith::AddIOp::create(builder, op.getLoc(),
                                             op.getUpperBound(), op.getStep()));
    });
  }
};
} // namespace

namespace fulgur::test {
void registerWrongPasses();
void registerWrongPasses() {
  PassRegistration<SwapSubtractions>();
  PassRegistration<LengthenLoops>();
}
} // namespace fulgur::test
