// Groups the operations of @main into kernels. A group is one root (a product,
// a row operation, an elementwise loop, a movement of data ...), the fills and
// copies that only prepare its destination, the elementwise producer of a row
// operation, the elementwise consumer of a product or convolution, the padding
// of a convolution or pool, the loop whose results are inserted, and the
// insertion of a convolution's result, so that several kernels write parts of
// one tensor. What is left in @main is views, index arithmetic and checks.
#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Convolution.h"
#include "passes/Dims.h"
#include "passes/Interleaving.h"
#include "passes/Passes.h"
#include "passes/ScaledCodes.h"
#include "passes/kernel/builders/Gather.h"
#include "passes/kernel/builders/Pixels.h"
#include "passes/kernel/builders/Rows.h"
#include "passes/kernel/builders/View.h"

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

bool isElementwiseLoop(Operation *op) {
  auto generic = dyn_cast_or_null<linalg::GenericOp>(op);
  return generic && generic.getNumResults() == 1 &&
         linalg::isElementwise(generic);
}

bool isProduct(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  return linalgOp && linalg::isaContractionOpInterface(linalgOp);
}

/// The normalization whose rows `op` rounds to bfloat16 and does nothing else
/// with: its kernel writes them rounded, too.
Operation *roundedNorm(Operation *op) {
  auto loop = dyn_cast<linalg::GenericOp>(op);
  if (!loop || !isRoundingLoop(loop))
    return nullptr;
  Operation *norm = loop.getDpsInputs()[0].getDefiningOp();
  return isa_and_nonnull<LayerNormOp, RMSNormOp>(norm) &&
                 norm->getBlock() == op->getBlock() &&
                 getElementTypeOrSelf(norm->getOperand(0).getType()).isF32()
             ? norm
             : nullptr;
}

/// What keeps its sums in registers until they are complete.
bool isAccumulation(Operation *op) {
  return isProduct(op) || isConvolution(op);
}

bool isRowOperation(Operation *op) {
  return isa<SoftmaxOp, LayerNormOp, RMSNormOp>(op);
}

/// The elementwise loop that alone consumes the product (or convolution) and
/// may be computed on its accumulators: same shape, same place.
linalg::GenericOp epilogueOf(Operation *product) {
  if (!product->getResult(0).hasOneUse())
    return {};
  OpOperand &use = *product->getResult(0).use_begin();
  auto generic = dyn_cast<linalg::GenericOp>(use.getOwner());
  if (!isElementwiseLoop(generic) || generic.isDpsInit(&use) ||
      !generic.getMatchingIndexingMap(&use).isIdentity() ||
      generic->getBlock() != product->getBlock())
    return {};
  auto type = cast<RankedTensorType>(product->getResult(0).getType());
  auto result = cast<RankedTensorType>(generic->getResult(0).getType());
  Type sums = type.getElementType(), element = result.getElementType();
  bool isInteger = element.isInteger(8) || element.isInteger(32);
  if (type.getShape() != result.getShape() ||
      (!sums.isF32() && !sums.isInteger(32)) ||
      (!element.isF32() && !element.isBF16() && !isInteger) ||
      llvm::any_of(generic.getBody()->getOperations(), [](Operation &op) {
        return isa<linalg::IndexOp, tensor::ExtractOp>(op);
      }))
    return {};
  return generic;
}

/// The loop whose results the insertions, and nobody else, put together.
linalg::GenericOp assembledLoop(ArrayRef<Operation *> insertions) {
  linalg::GenericOp loop;
  for (Operation *op : insertions) {
    auto insertion = dyn_cast<tensor::InsertSliceOp>(op);
    if (!insertion || !insertion.getSource().hasOneUse())
      return {};
    auto source = insertion.getSource().getDefiningOp<linalg::GenericOp>();
    if (!source || (loop && source != loop))
      return {};
    loop = source;
  }
  return loop && loop->getBlock() == insertions[0]->getBlock() &&
                 loop.getNumResults() == insertions.size() &&
                 loop.getNumReductionLoops() == 0
             ? loop
             : linalg::GenericOp();
}

/// The convolution whose result `op` inserts, perhaps behind an epilogue, if
/// its kernel can write it there; or null.
Operation *insertedConvolution(Operation *op) {
  auto insertion = dyn_cast_or_null<tensor::InsertSliceOp>(op);
  if (!insertion || !insertion.getSource().hasOneUse() ||
      insertion.getSourceType().getRank() != insertion.getType().getRank() ||
      !insertion.getOffsets().empty() || !insertion.getStrides().empty() ||
      !isa_and_nonnull<tensor::EmptyOp, tensor::InsertSliceOp>(
          insertion.getDest().getDefiningOp()))
    return nullptr;
  Operation *source = insertion.getSource().getDefiningOp();
  if (isElementwiseLoop(source))
    for (Value input : cast<linalg::GenericOp>(source).getDpsInputs())
      if (Operation *producer = input.getDefiningOp();
          producer && isConvolution(producer) && epilogueOf(producer) == source)
        source = producer;
  if (!isConvolution(source) || source->getBlock() != op->getBlock())
    return nullptr;
  // Vectors lie along the filters.
  auto maps = cast<linalg::LinalgOp>(source).getIndexingMapsArray();
  return llvm::is_contained(maps[1].getResults(), maps[2].getResults().back())
             ? source
             : nullptr;
}

struct FormKernels : impl::FormKernelsBase<FormKernels> {
  void runOnOperation() override {
    Block &block = getOperation().getBody().front();
    for (auto concat :
         llvm::make_early_inc_range(block.getOps<tensor::ConcatOp>()))
      insertParts(concat);
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
      SmallVector<Operation *> group = groupOf(root, taken);
      taken.insert_range(group);
      if (failed(form(group)))
        return signalPassFailure();
    }
    llvm::append_range(roots, views);
    views.clear();
    llvm::sort(roots, [](Operation *a, Operation *b) {
      return b->isBeforeInBlock(a); // users first
    });
    for (Operation *op : roots)
      op->erase();
    for (Operation *copy : clones)
      copy->erase();
    clones.clear();
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
      all = insertPart(builder, loc, part, all, offsets, *sizes, moved);
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

  /// What only moves elements from somewhere to `value`, nobody else wants, and
  /// the kernel can do while it inserts.
  void addMovement(Value value, SmallVectorImpl<Operation *> &group,
                   const llvm::SetVector<Operation *> &taken) {
    Operation *op = value.getDefiningOp();
    if (!op || !value.hasOneUse() || taken.contains(op) ||
        op->getBlock() != group.front()->getBlock() ||
        llvm::is_contained(group, op))
      return;
    if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op)) {
      size_t before = group.size();
      addMovement(op->getOperand(0), group, taken);
      if (group.size() == before)
        return; // a view of the kernel's operand
      views.push_back(op);
    } else if (isa<linalg::TransposeOp, tensor::ExtractSliceOp>(op)) {
      addMovement(op->getOperand(0), group, taken);
    } else {
      return;
    }
    group.push_back(op);
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
        clones.push_back(copy);
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

  /// Producers of `op` that only prepare what it overwrites or updates.
  void addPreparation(Operation *op, SmallVectorImpl<Operation *> &group) {
    SmallVector<Value> destinations;
    if (auto linalgOp = dyn_cast<DestinationStyleOpInterface>(op))
      destinations.append(linalgOp.getDpsInits().begin(),
                          linalgOp.getDpsInits().end());
    else if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
      destinations.push_back(insert.getDest());
    else if (auto loop = dyn_cast<scf::ForOp>(op))
      destinations.append(loop.getInitArgs().begin(), loop.getInitArgs().end());
    for (Value destination : destinations) {
      Operation *producer = destination.getDefiningOp();
      if (producer && producer->getBlock() == op->getBlock() &&
          destination.hasOneUse() &&
          isa<linalg::FillOp, tensor::InsertSliceOp>(producer) &&
          !insertedConvolution(producer) &&
          !llvm::is_contained(group, producer)) {
        group.push_back(producer);
        addPreparation(producer, group);
      } else if (auto fill = dyn_cast_or_null<linalg::FillOp>(producer);
                 fill && !llvm::is_contained(group, producer)) {
        // A shared fill is cheaper to repeat than to store; each kernel gets
        // its own.
        OpBuilder builder(op);
        Operation *copy = builder.clone(*producer);
        op->replaceUsesOfWith(destination, copy->getResult(0));
        group.push_back(copy);
        clones.push_back(copy);
      }
    }
  }

  /// The padding of a convolution or pool, which its kernel does not store.
  /// Several ones of one padded tensor pad it each.
  void addPadding(Operation *op, SmallVectorImpl<Operation *> &group) {
    if (!isConvolution(op) && !isPool(op))
      return;
    auto pad = op->getOperand(0).getDefiningOp<tensor::PadOp>();
    if (!pad || !pad.getConstantPaddingValue())
      return;
    if (!pad->hasOneUse()) {
      OpBuilder builder(op);
      pad = cast<tensor::PadOp>(builder.clone(*pad));
      op->setOperand(0, pad);
      clones.push_back(pad);
    }
    group.push_back(pad);
  }

  /// What gives the bytes whose planes are joined.
  static void addPlanes(Operation *root, SmallVectorImpl<Operation *> &group,
                        const llvm::SetVector<Operation *> &taken) {
    std::optional<Pixels> pixels = matchPixels(root);
    if (!pixels)
      return;
    group.push_back(pixels->pad);
    linalg::GenericOp loop = pixels->loop;
    if (loop && !taken.contains(loop) &&
        llvm::none_of(loop.getDpsInputs(), [&](Value input) {
          Operation *producer = input.getDefiningOp();
          return producer && isAccumulation(producer) &&
                 epilogueOf(producer) == loop;
        }))
      group.push_back(loop);
  }

  /// A product reads weights that data picks from a table where they are.
  static void addPickedWeights(Operation *product,
                               const llvm::SetVector<Operation *> &taken,
                               SmallVectorImpl<Operation *> &group) {
    for (Value input : cast<linalg::LinalgOp>(product).getDpsInputs()) {
      std::optional<RowGather> gather = matchRowGather(input);
      Type element = getElementTypeOrSelf(input.getType());
      if (gather && (element.isF32() || element.isF16() || element.isBF16()) &&
          input.hasOneUse() && !taken.contains(gather->loop) &&
          gather->table.getDefiningOp() &&
          isa<arith::ConstantOp, DequantizeOp>(gather->table.getDefiningOp()) &&
          gather->loop->getBlock() == product->getBlock())
        group.push_back(gather->loop);
    }
  }

  /// A product makes numbers of weights of few bits while it reads them.
  /// Several products of the same weights do so each.
  void addFewBits(SmallVectorImpl<Operation *> &group) {
    for (Operation *op : llvm::to_vector(group)) {
      if (!isProduct(op) && !isElementwiseLoop(op))
        continue;
      llvm::SetVector<Value> used;
      used.insert_range(op->getOperands());
      getUsedValuesDefinedAbove(op->getRegions(), used);
      for (Value value : used) {
        auto weights = value.getDefiningOp<DequantizeOp>();
        if (!weights || llvm::is_contained(group, weights.getOperation()))
          continue;
        if (!weights->hasOneUse()) {
          OpBuilder builder(op);
          auto copy = cast<DequantizeOp>(builder.clone(*weights));
          op->replaceUsesOfWith(weights, copy);
          for (Region &region : op->getRegions())
            replaceAllUsesInRegionWith(weights, copy, region);
          clones.push_back(copy);
          weights = copy;
        }
        group.push_back(weights);
      }
    }
  }

  /// A product with weights of few bits rounds its rows itself.
  void addRounding(SmallVectorImpl<Operation *> &group) {
    for (Operation *op : llvm::to_vector(group)) {
      if (!isProduct(op) || llvm::none_of(group, llvm::IsaPred<DequantizeOp>))
        continue;
      for (Value input : cast<linalg::LinalgOp>(op).getDpsInputs()) {
        auto round = input.getDefiningOp<RoundBlocksOp>();
        if (!round)
          continue;
        OpBuilder builder(op);
        Operation *copy = builder.clone(*round);
        op->replaceUsesOfWith(input, copy->getResult(0));
        clones.push_back(copy);
        group.push_back(copy);
      }
    }
  }

  /// Attention makes numbers of keys and values that are bytes while it reads
  /// them.
  void addScaledCodes(AttentionOp attention,
                      SmallVectorImpl<Operation *> &group) {
    OpBuilder builder(attention);
    for (OpOperand *operand :
         {&attention.getKeyMutable(), &attention.getValueMutable()})
      if (std::optional<ScaledCodes> codes = matchScaledCodes(operand->get())) {
        Operation *copy = builder.clone(*codes->loop);
        operand->set(copy->getResult(0));
        clones.push_back(copy);
        group.push_back(copy);
        addSlices(copy, codes->scale ? 2 : 1, group);
      }
  }

  /// Attention, transpositions, reductions and loops whose results are put
  /// together read slices of what others have computed where they are.
  void addSlices(Operation *reader, unsigned operands,
                 SmallVectorImpl<Operation *> &group) {
    for (unsigned number : llvm::seq(operands)) {
      OpOperand &operand = reader->getOpOperand(number);
      SmallVector<Operation *> chain;
      size_t last = 0; // behind the innermost slice
      for (Operation *op = operand.get().getDefiningOp();
           isViewOperation(op) && op->getBlock() == reader->getBlock();
           op = op->getOperand(0).getDefiningOp()) {
        chain.push_back(op);
        if (isa<tensor::ExtractSliceOp>(op))
          last = chain.size();
      }
      // What is read of a state before more is inserted is read where the slice
      // stands: behind the insertion, all of the state would be copied for it.
      if (last && isChangedState(chain[last - 1]->getOperand(0)))
        last = 0;
      chain.resize(last);
      // Others may read the slice as well: this kernel has its own.
      OpBuilder builder(reader);
      IRMapping mapping;
      for (Operation *op : llvm::reverse(chain))
        builder.clone(*op, mapping);
      for (Operation *op : chain) {
        clones.push_back(mapping.lookup(op));
        group.push_back(clones.back());
      }
      if (chain.empty())
        continue;
      operand.set(clones[clones.size() - chain.size()]->getResult(0));
      for (Operation *op : chain) {
        if (!op->use_empty() || isa<tensor::ExtractSliceOp>(op))
          break; // a slice is a root, which goes later
        op->erase();
      }
    }
  }

  /// The loop that gives a part of what the kernel puts together, and nothing
  /// else: it writes the part where it belongs.
  void addPart(Value part, SmallVectorImpl<Operation *> &group,
               const llvm::SetVector<Operation *> &taken) {
    auto loop = part.getDefiningOp<linalg::GenericOp>();
    if (!loop || !part.hasOneUse() || taken.contains(loop) ||
        llvm::is_contained(group, loop) || !isElementwiseLoop(loop) ||
        loop->getBlock() != group.front()->getBlock() ||
        llvm::any_of(loop.getDpsInputs(), [&](Value input) {
          Operation *producer = input.getDefiningOp();
          return producer && isAccumulation(producer) &&
                 epilogueOf(producer) == loop;
        }))
      return;
    group.push_back(loop);
    addSlices(loop, loop.getNumDpsInputs(), group);
  }

  SmallVector<Operation *> groupOf(Operation *root,
                                   const llvm::SetVector<Operation *> &taken) {
    SmallVector<Operation *> group{root};
    if (Operation *convolution = insertedConvolution(root)) {
      Operation *source = root->getOperand(0).getDefiningOp();
      if (source != convolution)
        group.push_back(source);
      group.push_back(convolution);
      addPreparation(convolution, group);
      addPadding(convolution, group);
      return sorted(std::move(group));
    }
    if (isElementwiseLoop(root)) {
      // Taken last to first, the epilogue of a product is met before the
      // product. Of two products under one loop, the later one takes it.
      Operation *product = nullptr;
      for (Value input : cast<linalg::GenericOp>(root).getDpsInputs())
        if (Operation *producer = input.getDefiningOp();
            producer && !taken.contains(producer) && isAccumulation(producer) &&
            epilogueOf(producer) == root &&
            (!product || product->isBeforeInBlock(producer)))
          product = producer;
      if (product) {
        group.push_back(product);
        addPreparation(product, group);
        addPadding(product, group);
      }
    }
    addPadding(root, group);
    addPlanes(root, group, taken);
    for (Operation *op : ArrayRef(group).take_front(2))
      if (isProduct(op))
        addPickedWeights(op, taken, group);
    addFewBits(group);
    addRounding(group);
    Operation *rows = root;
    if (Operation *norm = roundedNorm(root); norm && !taken.contains(norm)) {
      group.push_back(norm);
      // A producer's rows are kept where the rows go that are not rounded.
      rows = norm->hasOneUse() ? nullptr : norm;
    }
    if (rows && isRowOperation(rows)) {
      Value input = rows->getOperand(0);
      Operation *producer = input.getDefiningOp();
      if (producer && !taken.contains(producer) &&
          isElementwiseLoop(producer) && input.hasOneUse() &&
          producer->getBlock() == rows->getBlock() &&
          llvm::none_of(
              cast<linalg::GenericOp>(producer).getBody()->getOperations(),
              [](Operation &op) {
                return isa<linalg::IndexOp, tensor::ExtractOp>(op);
              }) &&
          cast<RankedTensorType>(input.getType()).getElementType().isF32())
        group.push_back(producer);
    }
    if (auto attention = dyn_cast<AttentionOp>(root)) {
      addScaledCodes(attention, group);
      addSlices(attention, /*query, key, value*/ 3, group);
    }
    if (isa<linalg::TransposeOp>(root))
      addSlices(root, /*input*/ 1, group);
    if (auto loop = dyn_cast<linalg::GenericOp>(root);
        loop && loop.getNumReductionLoops() > 0 && !isProduct(loop))
      addSlices(loop, loop.getNumDpsInputs(), group);
    addPreparation(root, group);
    if (linalg::GenericOp loop = assembledLoop(group);
        loop && !taken.contains(loop))
      group.push_back(loop);
    for (Operation *op : llvm::to_vector(group))
      if (auto insertion = dyn_cast<tensor::InsertSliceOp>(op))
        addMovement(insertion.getSource(), group, taken);
    for (Operation *op : llvm::to_vector(group))
      if (auto insertion = dyn_cast<tensor::InsertSliceOp>(op))
        addPart(insertion.getSource(), group, taken);
    return sorted(std::move(group));
  }

  static SmallVector<Operation *> sorted(SmallVector<Operation *> group) {
    llvm::sort(group, [](Operation *a, Operation *b) {
      return a->isBeforeInBlock(b);
    });
    return group;
  }

  /// Whether `value` is a state, perhaps with more inserted already.
  static bool isState(Value value) {
    if (auto insertion = value.getDefiningOp<tensor::InsertSliceOp>())
      return isState(insertion.getDest());
    if (auto cast = value.getDefiningOp<tensor::CastOp>())
      return isState(cast.getSource());
    if (auto kernel = value.getDefiningOp<KernelOp>())
      return kernel.getKeeps();
    auto argument = dyn_cast<BlockArgument>(value);
    auto main = argument
                    ? dyn_cast<func::FuncOp>(argument.getOwner()->getParentOp())
                    : func::FuncOp();
    return main && main.getArgAttr(argument.getArgNumber(), kStateAttr);
  }

  /// Whether more is inserted into the state that `value` is.
  static bool isChangedState(Value value) {
    return isa<BlockArgument>(value) && isState(value) &&
           !llvm::all_of(value.getUsers(),
                         llvm::IsaPred<tensor::ExtractSliceOp, SizedOp>);
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

  /// Makes the kernel of `group`, whose last operation gives the results, and
  /// of the others a row operation, if somebody else reads it.
  LogicalResult form(ArrayRef<Operation *> group) {
    Operation *root = group.back();
    OpBuilder builder(root);
    Value kept = keptState(group);
    SmallVector<Value> outs,
        results = llvm::to_vector_of<Value>(root->getResults());
    for (Operation *op : group.drop_back())
      if (isRowOperation(op) && !op->hasOneUse())
        results.push_back(op->getResult(0));
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

    llvm::SetVector<Value> inputs;
    auto capture = [&](Value value) {
      Operation *producer = value.getDefiningOp();
      if (value == kept || (producer && (llvm::is_contained(group, producer) ||
                                         isa<tensor::EmptyOp>(producer))))
        return;
      if (producer && producer->hasTrait<OpTrait::ConstantLike>() &&
          !isa<RankedTensorType>(value.getType()))
        return;
      inputs.insert(value);
    };
    for (Operation *op : group) {
      for (Value operand : op->getOperands())
        capture(operand);
      llvm::SetVector<Value> used;
      getUsedValuesDefinedAbove(op->getRegions(), used);
      for (Value value : used)
        capture(value);
    }
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
      if (!destinationFor(empty, root, group))
        for (Value size : empty.getDynamicSizes())
          capture(size);

    SmallVector<Type> types;
    for (Value out : outs)
      types.push_back(out.getType());
    auto kernel = KernelOp::create(builder, root->getLoc(), types,
                                   inputs.getArrayRef(), outs, ScheduleAttr(),
                                   /*keeps=*/bool(kept));
    Block *body = builder.createBlock(&kernel.getBody());
    IRMapping mapping;
    for (Value value : inputs)
      mapping.map(value, body->addArgument(value.getType(), value.getLoc()));
    SmallVector<Value> destinations;
    for (Value out : outs)
      destinations.push_back(body->addArgument(out.getType(), out.getLoc()));
    if (kept)
      mapping.map(kept, destinations.front());
    for (tensor::EmptyOp empty : empties)
      if (std::optional<unsigned> number = destinationFor(empty, root, group))
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
  /// the root, or the product before it, writes.
  std::optional<unsigned> destinationFor(tensor::EmptyOp empty, Operation *root,
                                         ArrayRef<Operation *> group) {
    for (auto [number, type] : llvm::enumerate(root->getResultTypes())) {
      if (type != empty.getType())
        continue;
      Value init = initOf(root, number);
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

  SmallVector<Operation *> clones;
  SmallVector<Operation *>
      views; ///< reshapes that are in kernels now ///< fills made for one
             ///< kernel each; they go with the operations that use them
};
} // namespace
} // namespace fulgur
