// A loop with many results that are the pieces of one tensor: each is written
// where it belongs.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/kernel/builders/Builder.h"

using namespace mlir;
using namespace fulgur;

/// The insertions of such a kernel, first to last; none if it is something
/// else.
static SmallVector<tensor::InsertSliceOp> insertionsOf(KernelOp kernel) {
  SmallVector<tensor::InsertSliceOp> insertions;
  if (kernel.yield().getValues().size() != 1)
    return {};
  Value all = kernel.yield().getValues().front();
  while (auto insertion = all.getDefiningOp<tensor::InsertSliceOp>()) {
    insertions.push_back(insertion);
    all = insertion.getDest();
  }
  auto destination = dyn_cast<BlockArgument>(all);
  if (insertions.empty() || !destination ||
      destination.getArgNumber() < kernel.getInputs().size())
    return {};
  auto loop = insertions[0].getSource().getDefiningOp<linalg::GenericOp>();
  // Tensors that the body reads from, and operands made here, are for the
  // generic builder.
  auto isArgument = [](Value value) { return isa<BlockArgument>(value); };
  if (!loop || loop.getNumReductionLoops() != 0 ||
      loop.getNumResults() != insertions.size() ||
      !llvm::all_of(loop.getDpsInputs(), isArgument) ||
      llvm::any_of(loop.getBody()->getOperations(),
                   llvm::IsaPred<tensor::ExtractOp>) ||
      llvm::any_of(insertions, [&](tensor::InsertSliceOp insertion) {
        return insertion.getSource().getDefiningOp() != loop ||
               !insertion.getSource().hasOneUse() ||
               !llvm::all_of(insertion.getSizes(), isArgument) ||
               !insertion.getOffsets().empty() ||
               !insertion.getStrides().empty();
      }))
    return {};
  return llvm::to_vector(llvm::reverse(insertions));
}

static bool accepts(KernelOp kernel) { return !insertionsOf(kernel).empty(); }

static ScheduleAttr schedule(KernelOp kernel, const Target &) {
  return ScheduleAttr::get(kernel.getContext(), assembleBuilder.kind, {},
                           /*lanes=*/1, /*unroll=*/1, /*pack=*/0, /*grain=*/1);
}

static LogicalResult build(KernelSite &site) {
  SmallVector<tensor::InsertSliceOp> insertions = insertionsOf(site.kernel);
  auto loop = insertions[0].getSource().getDefiningOp<linalg::GenericOp>();
  SmallVector<Value> operands;
  for (Value input : loop.getDpsInputs())
    operands.push_back(site.operand(input));
  operands.resize(operands.size() + insertions.size());
  auto sizeOf = [&](OpFoldResult size) -> OpFoldResult {
    if (auto value = dyn_cast<Value>(size))
      return site.operand(value);
    return size;
  };
  auto type = cast<MemRefType>(site.outs[0].getType());
  for (tensor::InsertSliceOp insertion : insertions) {
    SmallVector<OpFoldResult> offsets = insertion.getMixedOffsets(),
                              sizes = llvm::map_to_vector(
                                  insertion.getMixedSizes(), sizeOf),
                              strides = insertion.getMixedStrides();
    MemRefType piece = memref::SubViewOp::inferRankReducedResultType(
        insertion.getSourceType().getShape(), type, offsets, sizes, strides);
    unsigned number = cast<OpResult>(insertion.getSource()).getResultNumber();
    operands[loop.getNumDpsInputs() + number] = memref::SubViewOp::create(
        site.builder, site.loc, piece, site.outs[0], offsets, sizes, strides);
  }
  // The loop on buffers gives nothing but what it writes.
  IRMapping mapping;
  for (Operation &op : site.kernel.bodyBlock()->getOperations())
    if (op.hasTrait<OpTrait::ConstantLike>())
      site.builder.clone(op, mapping);
  OperationState state(loop.getLoc(), linalg::GenericOp::getOperationName(),
                       operands, TypeRange(), loop->getAttrs());
  state.propertiesAttr = loop->getPropertiesAsAttribute();
  loop.getRegion().cloneInto(state.addRegion(), mapping);
  site.builder.create(state);
  return success();
}

const KernelBuilder fulgur::assembleBuilder = {"assemble", accepts, schedule,
                                               build};
