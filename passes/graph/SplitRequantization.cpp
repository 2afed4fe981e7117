// A loop takes the sums of one product while they are in registers. What it
// reads of another one goes through memory: as bytes, when the loop begins with
// quantizing it.
//
//   f(quantize(sums(p)), sums(q))  =  f(b, sums(q)),  b = quantize(sums(p))
//
// so that both products end with a loop of their own. Of a loop that adds up
// along a dim, no product is part.
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "passes/ByteProduct.h"
#include "passes/Passes.h"
#include "passes/graph/Quantized.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_SPLITREQUANTIZATION
#include "passes/Passes.h.inc"

namespace {

/// The product of bytes whose sums only this operand reads, each once.
Operation *productOf(linalg::GenericOp loop, OpOperand &operand) {
  auto product = operand.get().getDefiningOp<linalg::LinalgOp>();
  return product && matchByteProduct(product.getBlock()) &&
                 product->getResult(0).hasOneUse() &&
                 loop.getMatchingIndexingMap(&operand).isIdentity()
             ? product.getOperation()
             : nullptr;
}

/// The operations of the loop's body that make `byte`, in order; empty when
/// anything else needs what they make of `sum`.
SetVector<Operation *> operationsOf(Operation *byte, BlockArgument sum) {
  SetVector<Operation *> slice;
  BackwardSliceOptions options;
  options.inclusive = true;
  options.filter = [&](Operation *op) {
    return op->getBlock() == byte->getBlock();
  };
  if (failed(getBackwardSlice(byte, &slice, options)))
    return {};
  llvm::SmallPtrSet<Value, 8> made{sum};
  for (Operation *op : slice)
    if (llvm::any_of(op->getOperands(),
                     [&](Value value) { return made.contains(value); }))
      made.insert_range(op->getResults());
  for (Value value : made)
    if (value.getDefiningOp() != byte &&
        !llvm::all_of(value.getUsers(),
                      [&](Operation *user) { return slice.contains(user); }))
      return {};
  return made.contains(byte->getResult(0)) ? slice : SetVector<Operation *>();
}

/// The byte that `sum` becomes before anything else reads it, and what makes
/// it.
std::pair<Operation *, SetVector<Operation *>> byteOf(linalg::GenericOp loop,
                                                      BlockArgument sum) {
  for (auto narrow : loop.getBody()->getOps<arith::TruncIOp>())
    if (narrow.getType().isInteger(8))
      if (auto slice = operationsOf(narrow, sum); !slice.empty())
        return {narrow, slice};
  return {};
}

struct SplitRequantization
    : impl::SplitRequantizationBase<SplitRequantization> {
  void runOnOperation() override {
    SmallVector<linalg::GenericOp> loops;
    getOperation().walk([&](linalg::GenericOp loop) {
      if (loop.hasPureTensorSemantics() && loop.getNumResults() == 1 &&
          !matchByteProduct(loop.getBody()))
        loops.push_back(loop);
    });
    bool any = false;
    for (linalg::GenericOp loop : loops)
      any |= split(loop);
    if (!any)
      return;
    RewritePatternSet patterns(&getContext());
    linalg::populateEraseUnusedOperandsAndResultsPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }

private:
  static bool split(linalg::GenericOp loop) {
    SmallVector<unsigned> sums; // numbers of operands, which move
    Operation *kept = nullptr;
    for (OpOperand *operand : loop.getDpsInputOperands())
      if (Operation *product = productOf(loop, *operand)) {
        sums.push_back(operand->getOperandNumber());
        if (!kept || kept->isBeforeInBlock(product))
          kept = product;
      }
    bool any = false;
    for (unsigned number : sums) {
      Value value = loop->getOperand(number);
      if (loop.getNumReductionLoops() == 0 && value.getDefiningOp() == kept)
        continue;
      auto [byte, slice] = byteOf(loop, loop.getBody()->getArgument(number));
      if (byte)
        any |= split(loop, value, byte, slice);
    }
    return any;
  }

  /// Replaces `byte` in the body by what a loop of its own gives.
  static bool split(linalg::GenericOp loop, Value sums, Operation *byte,
                    const SetVector<Operation *> &slice) {
    OpBuilder builder(loop);
    Location loc = byte->getLoc();
    Value init = emptyLike(builder, sums, builder.getI8Type());
    if (!init)
      return false;
    SmallVector<Value> inputs;
    SmallVector<AffineMap> maps;
    SmallVector<BlockArgument> arguments;
    for (OpOperand *operand : loop.getDpsInputOperands()) {
      BlockArgument argument = loop.getMatchingBlockArgument(operand);
      if (llvm::none_of(argument.getUsers(),
                        [&](Operation *user) { return slice.contains(user); }))
        continue;
      arguments.push_back(argument);
      inputs.push_back(operand->get());
      maps.push_back(loop.getMatchingIndexingMap(operand));
    }
    maps.push_back(builder.getMultiDimIdentityMap(loop.getNumLoops()));
    SmallVector<utils::IteratorType> kinds(loop.getNumLoops(),
                                           utils::IteratorType::parallel);
    Value bytes = linalg::GenericOp::create(
                      builder, loc, init.getType(), inputs, init, maps, kinds,
                      [&](OpBuilder &inside, Location, ValueRange v) {
                        IRMapping mapping;
                        for (auto [argument, value] : llvm::zip(arguments, v))
                          mapping.map(argument, value);
                        for (Operation *op : slice)
                          inside.clone(*op, mapping);
                        linalg::YieldOp::create(
                            inside, loc, mapping.lookup(byte->getResult(0)));
                      })
                      .getResult(0);
    // What made the sums' byte now reads it.
    unsigned number = loop.getNumDpsInputs();
    SmallVector<AffineMap> all = loop.getIndexingMapsArray();
    all.insert(all.begin() + number, maps.back());
    loop.getInputsMutable().append(bytes);
    loop.setIndexingMapsAttr(builder.getAffineMapArrayAttr(all));
    byte->getResult(0).replaceAllUsesWith(
        loop.getBody()->insertArgument(number, builder.getI8Type(), loc));
    return true;
  }
};
} // namespace
} // namespace fulgur
