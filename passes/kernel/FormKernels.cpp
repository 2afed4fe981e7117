// Makes kernels of groups of operations of @main, see KernelGroups.h. What is
// left there is views, index arithmetic and checks.
#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Dims.h"
#include "passes/Interleaving.h"
#include "passes/Passes.h"
#include "passes/kernel/KernelGroups.h"
#include "passes/kernel/KernelParts.h"
#include "passes/kernel/builders/PastRows.h"
#include "passes/kernel/builders/Rows.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_FORMKERNELS
#include "passes/Passes.h.inc"

namespace {

bool yieldsTensors(Operation *op) {
  return llvm::any_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>);
}

/// Operations that stay in @main: they cost nothing or only handle a few
/// scalars.
bool isFree(Operation *op) {
  return !yieldsTensors(op) || op->hasTrait<OpTrait::ConstantLike>() ||
         isa<KernelOp, tensor::EmptyOp, tensor::ExpandShapeOp,
             tensor::CollapseShapeOp, tensor::CastOp, tensor::FromElementsOp>(
             op);
}

struct FormKernels : impl::FormKernelsBase<FormKernels> {
  void runOnOperation() override {
    Block &block = getOperation().getBody().front();
    for (auto concat :
         llvm::make_early_inc_range(block.getOps<tensor::ConcatOp>()))
      insertParts(concat);
    groups.findParts(block);
    // Roots are taken last to first, so that a consumer finds its producers
    // still free to join it.
    SmallVector<Operation *> roots;
    for (Operation &op : llvm::reverse(block))
      if (!isFree(&op))
        roots.push_back(&op);
    for (Operation *root : roots)
      separateDestinations(root);
    llvm::SetVector<Operation *> taken;
    for (Operation *root : roots) {
      if (taken.contains(root))
        continue;
      if (root->use_empty()) {
        release(root);
        continue;
      }
      SmallVector<Operation *> group = groups.of(root, taken);
      taken.insert_range(group);
      if (failed(form(group)))
        return signalPassFailure();
    }
    llvm::append_range(roots, groups.views);
    llvm::sort(roots, [](Operation *a, Operation *b) {
      return b->isBeforeInBlock(a); // users first
    });
    for (Operation *op : roots)
      op->erase();
    for (Operation *copy : groups.clones)
      copy->erase();
    groups = {};
    sortTopologically(&block);
    if (joinLoops(block))
      sortTopologically(&block);
  }

private:
  /// Forgets what an operation that nobody reads any more has read.
  static void release(Operation *root) {
    SmallVector<Value> operands = root->getOperands();
    root->dropAllReferences();
    for (Value operand : operands) {
      Operation *view = operand.getDefiningOp();
      while (isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
                 view) &&
             view->use_empty()) {
        Operation *source = view->getOperand(0).getDefiningOp();
        view->erase();
        view = source;
      }
    }
  }

  /// Writes a concatenation as insertions, which write into the kernel's
  /// destination.
  static void insertParts(tensor::ConcatOp concat) {
    OpBuilder builder(concat);
    Location loc = concat.getLoc();
    FailureOr<SmallVector<OpFoldResult>> dims =
        dimsOf(builder, concat.getResult());
    if (failed(dims))
      return;
    RankedTensorType type = concat.getResultType();
    Value all = tensor::EmptyOp::create(builder, loc, type,
                                        dynamicDims(builder, loc, type, *dims));
    SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0));
    SmallVector<tensor::InsertSliceOp> moved;
    // What attention copies is inserted last, by its kernel.
    tensor::InsertSliceOp first;
    bool isCopied = concat.getInputs().size() == 2 &&
                    attentionThatCopies(concat.getInputs()[0], concat);
    for (Value part : concat.getInputs()) {
      FailureOr<SmallVector<OpFoldResult>> sizes = dimsOf(builder, part);
      if (failed(sizes))
        return;
      // Sizes are as static as the part's type says, no more.
      for (auto [size, dim] :
           llvm::zip(*sizes, cast<RankedTensorType>(part.getType()).getShape()))
        if (ShapedType::isDynamic(dim))
          size = getValueOrCreateConstantIndexOp(builder, loc, size);
        else
          size = builder.getIndexAttr(dim);
      Value before = all;
      all = insertPart(builder, loc, part, all, offsets, *sizes, moved);
      if (isCopied && !first) {
        first = all.getDefiningOp<tensor::InsertSliceOp>();
        all = before;
      }
      OpFoldResult &offset = offsets[concat.getDim()];
      auto at = getConstantIntValue(offset),
           size = getConstantIntValue((*sizes)[concat.getDim()]);
      if (at && size)
        offset = builder.getIndexAttr(*at + *size);
      else
        offset = arith::AddIOp::create(
                     builder, loc,
                     getValueOrCreateConstantIndexOp(builder, loc, offset),
                     getValueOrCreateConstantIndexOp(builder, loc,
                                                     (*sizes)[concat.getDim()]))
                     .getResult();
    }
    if (first) {
      first.getDestMutable().assign(all);
      first->moveAfter(all.getDefiningOp());
      all = first;
    }
    concat.replaceAllUsesWith(all);
    concat.erase();
    for (tensor::InsertSliceOp insertion : moved)
      insertion.erase();
  }

  /// Inserts `part`; what is interleaved itself part by part, and then what has
  /// put it together goes to `moved`.
  static Value insertPart(OpBuilder &builder, Location loc, Value part,
                          Value all, ArrayRef<OpFoldResult> offsets,
                          ArrayRef<OpFoldResult> sizes,
                          SmallVectorImpl<tensor::InsertSliceOp> &moved) {
    SmallVector<tensor::InsertSliceOp> parts = interleavedParts(part);
    bool isKnown = llvm::all_of(offsets, [](OpFoldResult offset) {
      return getConstantIntValue(offset).has_value();
    });
    if (parts.empty() || !isKnown ||
        !llvm::all_of(parts, [](tensor::InsertSliceOp insertion) {
          return insertion.getOffsets().empty();
        })) {
      SmallVector<OpFoldResult> strides(sizes.size(), builder.getIndexAttr(1));
      return tensor::InsertSliceOp::create(builder, loc, part, all, offsets,
                                           sizes, strides);
    }
    for (tensor::InsertSliceOp insertion : llvm::reverse(parts)) {
      SmallVector<OpFoldResult> at;
      for (auto [offset, own] :
           llvm::zip(offsets, insertion.getStaticOffsets()))
        at.push_back(builder.getIndexAttr(*getConstantIntValue(offset) + own));
      all = tensor::InsertSliceOp::create(
          builder, insertion.getLoc(), insertion.getSource(), all, at,
          insertion.getMixedSizes(), insertion.getMixedStrides());
    }
    llvm::append_range(moved, parts);
    return all;
  }

  /// Gives every result of `op` an empty tensor, and a fill, of its own: equal
  /// ones have become one, and then two results would share one destination.
  void separateDestinations(Operation *op) {
    SmallVector<OpOperand *> inits;
    if (op->getNumResults() < 2)
      return;
    if (auto dps = dyn_cast<DestinationStyleOpInterface>(op)) {
      for (OpOperand &init : dps.getDpsInitsMutable())
        inits.push_back(&init);
    } else if (auto loop = dyn_cast<scf::ForOp>(op)) {
      for (OpOperand &init : loop.getInitArgsMutable())
        inits.push_back(&init);
    }
    llvm::SmallPtrSet<Operation *, 4> used;
    OpBuilder builder(op);
    for (OpOperand *init : inits) {
      auto fill = init->get().getDefiningOp<linalg::FillOp>();
      if (fill && !used.insert(fill).second) {
        Operation *copy = builder.clone(*fill);
        groups.clones.push_back(copy);
        init->set(copy->getResult(0));
        init = &cast<linalg::FillOp>(copy).getDpsInitsMutable()[0];
      } else if (fill) {
        init = &fill.getDpsInitsMutable()[0];
      }
      auto empty = init->get().getDefiningOp<tensor::EmptyOp>();
      if (empty && !used.insert(empty).second) {
        OpBuilder before(init->getOwner());
        init->set(before.clone(*empty)->getResult(0));
      }
    }
  }

  /// The state that the group inserts into, and does not read; or what other
  /// kernels have inserted into.
  static Value keptState(ArrayRef<Operation *> group) {
    Operation *insertion = group.back();
    auto loop = dyn_cast<scf::ForOp>(insertion);
    if (!isa<tensor::InsertSliceOp>(insertion) &&
        !(loop && loop.getInitArgs().size() == 1))
      return {};
    Value state = initOf(insertion, 0);
    while (Operation *before = state.getDefiningOp()) {
      if (!isa<tensor::InsertSliceOp>(before) ||
          !llvm::is_contained(group, before))
        break;
      state = cast<tensor::InsertSliceOp>(before).getDest();
    }
    auto isRead = [&](OpOperand &use) {
      Operation *user =
          insertion->getBlock()->findAncestorOpInBlock(*use.getOwner());
      return llvm::is_contained(group, user) &&
             !(use.getOwner() == user && isInitOf(use, user));
    };
    bool isShared =
        state.hasOneUse() && state.getDefiningOp<tensor::InsertSliceOp>();
    return (isShared || isState(state)) &&
                   llvm::none_of(state.getUses(), isRead)
               ? state
               : Value();
  }

  /// Whether `root` rounds the result of `op`, which others read as well.
  static bool isRounded(Operation *op, Operation *root) {
    auto loop = dyn_cast<linalg::GenericOp>(root);
    return loop && isRoundingLoop(loop) &&
           loop.getDpsInputs()[0].getDefiningOp() == op && !op->hasOneUse();
  }

  /// Makes the kernel of `group`, whose last operation gives the results, and
  /// of the others a row operation, or a product whose result the last one
  /// rounds, if somebody else reads it.
  LogicalResult form(ArrayRef<Operation *> group) {
    Operation *root = group.back();
    OpBuilder builder(root);
    Value kept = keptState(group);
    SmallVector<Value> outs,
        results = llvm::to_vector_of<Value>(root->getResults());
    for (Operation *op : group.drop_back())
      if (isRowOperation(op) ? !op->hasOneUse() : isRounded(op, root))
        results.push_back(op->getResult(0));
    // What attention copies to the front of its keys and values is there with
    // the rest of them.
    SmallVector<tensor::InsertSliceOp> copies;
    if (isa<AttentionOp>(root))
      for (Operation *op : group)
        if (auto copy = dyn_cast<tensor::InsertSliceOp>(op))
          copies.push_back(copy);
    if (kept)
      outs.push_back(kept);
    for (Value result : ArrayRef(results).drop_front(outs.size())) {
      if (!isa<RankedTensorType>(result.getType()))
        return root->emitOpError(
            "yields a value that is no tensor, which a kernel cannot");
      FailureOr<SmallVector<OpFoldResult>> dims = dimsOf(builder, result);
      if (failed(dims))
        return root->emitOpError(
            "has a result whose dims are not functions of the model's symbols");
      outs.push_back(tensor::EmptyOp::create(
          builder, root->getLoc(), *dims,
          cast<RankedTensorType>(result.getType()).getElementType()));
      if (outs.back().getType() != result.getType())
        outs.back() = tensor::EmptyOp::create(
            builder, root->getLoc(), result.getType(),
            dynamicDims(builder, root->getLoc(), result.getType(), *dims));
    }

    llvm::SmallDenseMap<Value, unsigned> keptOuts;
    if (kept)
      keptOuts[kept] = 0;
    for (tensor::InsertSliceOp copy : copies) {
      keptOuts[copy.getDest()] = outs.size();
      outs.push_back(copy.getDest());
      results.push_back(copy);
    }

    llvm::SetVector<Value> inputs;
    auto capture = [&](Value value) {
      Operation *producer = value.getDefiningOp();
      if (keptOuts.contains(value) ||
          (producer && (llvm::is_contained(group, producer) ||
                        isa<tensor::EmptyOp>(producer))))
        return;
      if (producer && producer->hasTrait<OpTrait::ConstantLike>() &&
          !isa<RankedTensorType>(value.getType()))
        return;
      inputs.insert(value);
    };
    for (Operation *op : group)
      for (Value value : valuesUsedBy(op))
        capture(value);
    // The sizes of empty tensors that no destination can stand for are inputs
    // of the kernel.
    SmallVector<tensor::EmptyOp> empties;
    for (Operation *op : group)
      op->walk([&](Operation *inner) {
        for (Value operand : inner->getOperands())
          if (auto empty = operand.getDefiningOp<tensor::EmptyOp>();
              empty && !llvm::is_contained(empties, empty) &&
              !op->isAncestor(empty))
            empties.push_back(empty);
      });
    for (tensor::EmptyOp empty : empties)
      if (!destinationFor(empty, root, results, group))
        for (Value size : empty.getDynamicSizes())
          capture(size);

    SmallVector<Type> types;
    for (Value out : outs)
      types.push_back(out.getType());
    auto kernel = KernelOp::create(builder, root->getLoc(), types,
                                   inputs.getArrayRef(), outs, ScheduleAttr(),
                                   /*keeps=*/!keptOuts.empty());
    Block *body = builder.createBlock(&kernel.getBody());
    IRMapping mapping;
    for (Value value : inputs)
      mapping.map(value, body->addArgument(value.getType(), value.getLoc()));
    SmallVector<Value> destinations;
    for (Value out : outs)
      destinations.push_back(body->addArgument(out.getType(), out.getLoc()));
    for (auto [value, number] : keptOuts)
      mapping.map(value, destinations[number]);
    for (tensor::EmptyOp empty : empties)
      if (std::optional<unsigned> number =
              destinationFor(empty, root, results, group))
        mapping.map(empty.getResult(), destinations[*number]);
      else
        mapping.map(empty.getResult(),
                    builder.clone(*empty, mapping)->getResult(0));
    cloneConstants(group, builder, mapping);
    // A loop that updates a tensor in place gets it in the destination first.
    if (auto loop = dyn_cast<scf::ForOp>(root))
      for (auto [init, destination] :
           llvm::zip(loop.getInitArgs(), destinations))
        if (inputs.contains(init))
          mapping.map(init,
                      linalg::CopyOp::create(builder, loop.getLoc(),
                                             mapping.lookup(init), destination)
                          .getResult(0));
    for (Operation *op : group)
      builder.clone(*op, mapping);
    SmallVector<Value> yielded;
    for (Value result : results)
      yielded.push_back(mapping.lookup(result));
    YieldOp::create(builder, root->getLoc(), yielded);
    for (auto [result, value] : llvm::zip(results, kernel.getResults()))
      result.replaceAllUsesWith(value);
    return success();
  }

  /// The destination that has the place of `empty` in the kernel: it is what
  /// gives a result, or the product before it, writes.
  std::optional<unsigned> destinationFor(tensor::EmptyOp empty, Operation *root,
                                         ArrayRef<Value> results,
                                         ArrayRef<Operation *> group) {
    for (auto [number, result] : llvm::enumerate(results)) {
      if (result.getType() != empty.getType())
        continue;
      Value init = initOf(result.getDefiningOp(),
                          cast<OpResult>(result).getResultNumber());
      while (init) {
        if (init == empty.getResult())
          return number;
        Operation *producer = init.getDefiningOp();
        if (!producer || !llvm::is_contained(group, producer))
          break;
        init = initOf(producer, 0);
      }
    }
    // The accumulators under an epilogue have the epilogue's shape. What is
    // inserted has a place in the destination only.
    if (isa<tensor::InsertSliceOp>(root))
      return std::nullopt;
    for (Operation *op : group)
      if (isAccumulation(op) && op != root &&
          op->getResult(0).getType() == empty.getType() &&
          root->getResult(0).getType() == empty.getType())
        return 0;
    return std::nullopt;
  }

  /// Whether `use` is what an insertion, or a loop of them, begins with.
  static bool isInitOf(OpOperand &use, Operation *op) {
    if (auto insertion = dyn_cast<tensor::InsertSliceOp>(op))
      return use == insertion.getDestMutable();
    auto loop = dyn_cast<scf::ForOp>(op);
    return loop &&
           llvm::is_contained(
               llvm::make_pointer_range(loop.getInitArgsMutable()), &use);
  }

  static Value initOf(Operation *op, unsigned number) {
    if (auto dps = dyn_cast<DestinationStyleOpInterface>(op))
      return dps.getDpsInits()[number];
    if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
      return insert.getDest();
    if (auto loop = dyn_cast<scf::ForOp>(op))
      return loop.getInitArgs()[number];
    return {};
  }

  static void cloneConstants(ArrayRef<Operation *> group, OpBuilder &builder,
                             IRMapping &mapping) {
    auto bring = [&](Value value) {
      Operation *producer = value.getDefiningOp();
      if (producer && producer->hasTrait<OpTrait::ConstantLike>() &&
          !mapping.contains(value))
        mapping.map(value, builder.clone(*producer)->getResult(0));
    };
    for (Operation *op : group)
      op->walk([&](Operation *inner) {
        for (Value operand : inner->getOperands())
          if (Operation *producer = operand.getDefiningOp();
              producer && !op->isAncestor(producer))
            bring(operand);
      });
  }

  KernelGroups groups;
};
} // namespace
} // namespace fulgur
