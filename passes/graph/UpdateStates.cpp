// Exporters append to a state, such as the keys of earlier tokens, by
// concatenating what was there with what is new. The state's buffer has the old
// rows already, so only the new ones are written into it, behind the old ones,
// and whoever reads the concatenation reads the buffer.
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Dims.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_UPDATESTATES
#include "passes/Passes.h.inc"

namespace {

Value throughCasts(Value value) {
  while (auto cast = value.getDefiningOp<tensor::CastOp>())
    value = cast.getSource();
  return value;
}

/// Whether the operation takes or gives the first elements along each dim.
bool isAtFront(OffsetSizeAndStrideOpInterface op) {
  return llvm::all_of(op.getMixedOffsets(),
                      [](OpFoldResult o) { return isZeroInteger(o); }) &&
         op.hasUnitStride();
}

/// The first rows of `state`, if that is what `value` is.
tensor::ExtractSliceOp rowsOf(Value state, Value value) {
  auto rows = throughCasts(value).getDefiningOp<tensor::ExtractSliceOp>();
  return rows && rows.getSource() == state && isAtFront(rows) &&
                 rows.getType().getRank() == rows.getSourceType().getRank()
             ? rows
             : tensor::ExtractSliceOp();
}

/// The dims of `value`, as static as its type says, no more.
FailureOr<SmallVector<OpFoldResult>> sizesOf(OpBuilder &builder, Value value) {
  FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(builder, value);
  if (succeeded(dims))
    for (auto [dim, size] :
         llvm::zip(*dims, cast<RankedTensorType>(value.getType()).getShape()))
      dim = ShapedType::isDynamic(size)
                ? OpFoldResult(getValueOrCreateConstantIndexOp(
                      builder, value.getLoc(), dim))
                : OpFoldResult(builder.getIndexAttr(size));
  return dims;
}

/// Inserts what `store`, at the front, appends to the state; returns the
/// insertion, or null where it stores something else.
Operation *append(Value state, tensor::InsertSliceOp store) {
  auto all = throughCasts(store.getSource()).getDefiningOp<tensor::ConcatOp>();
  tensor::ExtractSliceOp rows =
      all ? rowsOf(state, all.getInputs().front()) : tensor::ExtractSliceOp();
  if (!rows)
    return nullptr;
  OpBuilder builder(all);
  Location loc = all.getLoc();
  Value added = all.getInputs().back();
  if (all.getInputs().size() > 2)
    added = tensor::ConcatOp::create(builder, loc, all.getDim(),
                                     all.getInputs().drop_front());
  FailureOr<SmallVector<OpFoldResult>> sizes = sizesOf(builder, added),
                                       dims = sizesOf(builder, all);
  if (failed(sizes) || failed(dims))
    return nullptr;
  SmallVector<OpFoldResult> zeros(dims->size(), builder.getIndexAttr(0)),
      ones(dims->size(), builder.getIndexAttr(1)), offsets = zeros;
  offsets[all.getDim()] = rows.getMixedSizes()[all.getDim()];
  auto insertion = tensor::InsertSliceOp::create(builder, loc, added, state,
                                                 offsets, *sizes, ones);
  store.replaceAllUsesWith(insertion.getResult());
  store.erase();
  all.replaceAllUsesWith(
      tensor::ExtractSliceOp::create(builder, loc, all.getResultType(),
                                     insertion, zeros, *dims, ones)
          .getResult());
  all.erase();
  return insertion;
}

/// What inserts new rows into the state and makes `content` of it: it does so
/// already, or does now; null where all rows are stored.
Operation *appendTo(Value state, Value content) {
  Operation *last = throughCasts(content).getDefiningOp();
  auto begins = [&](Value before) { return throughCasts(before) == state; };
  if (auto loop = dyn_cast_if_present<scf::ForOp>(last))
    return loop.getInitArgs().size() == 1 && begins(loop.getInitArgs()[0])
               ? last
               : nullptr;
  auto store = dyn_cast_if_present<tensor::InsertSliceOp>(last);
  if (!store || !begins(store.getDest()))
    return nullptr;
  return isAtFront(store) ? append(state, store) : last;
}

struct UpdateStates : impl::UpdateStatesBase<UpdateStates> {
  void runOnOperation() override {
    func::FuncOp main = getOperation();
    Operation *results = main.getBody().front().getTerminator();
    for (BlockArgument state : main.getArguments()) {
      unsigned number = state.getArgNumber();
      auto result = main.getArgAttrOfType<IntegerAttr>(number, kStateAttr);
      if (!result)
        continue;
      auto name = main.getArgAttrOfType<StringAttr>(number, kNameAttr);
      std::string text = name ? "'" + name.str() + "'" : "a state";
      Value content = results->getOperand(result.getInt());
      Operation *insertion = appendTo(state, content);
      if (!insertion && content != state)
        remark(content.getDefiningOp() ? content.getDefiningOp() : main,
               getArgument(),
               "all rows of " + text +
                   " are written: it is not a concatenation of what was in it");
      for (Operation *user : llvm::make_early_inc_range(state.getUsers()))
        if (user != insertion && isOpTriviallyDead(user))
          user->erase();
        else if (user != insertion && insertion)
          tellReaders(user, insertion, text);
    }
  }

private:
  /// Names who reads a state as it was before, besides what appends to it.
  void tellReaders(Operation *op, Operation *insertion,
                   const std::string &state) {
    if (op == insertion)
      return;
    if (isa<tensor::ExtractSliceOp, tensor::CastOp>(op)) {
      for (Operation *user : op->getUsers())
        tellReaders(user, insertion, state);
      return;
    }
    remark(op, getArgument(),
           "reads " + state +
               " as it was before; where that is after it has changed, all of "
               "it is copied");
  }
};
} // namespace
} // namespace fulgur
