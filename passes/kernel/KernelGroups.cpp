// Which operations belong to a root: see the members of Group.
#include "passes/kernel/KernelGroups.h"
#include "dialects/States.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/RegionUtils.h"
#include "passes/Convolution.h"
#include "passes/ScaledCodes.h"
#include "passes/kernel/builders/Gather.h"
#include "passes/kernel/builders/PastRows.h"
#include "passes/kernel/builders/Pixels.h"
#include "passes/kernel/builders/Rows.h"
#include "passes/kernel/builders/View.h"

using namespace mlir;
using namespace fulgur;

bool fulgur::isState(Value value) {
  if (auto insertion = value.getDefiningOp<tensor::InsertSliceOp>())
    return isState(insertion.getDest());
  if (auto cast = value.getDefiningOp<tensor::CastOp>())
    return isState(cast.getSource());
  if (auto kernel = value.getDefiningOp<KernelOp>())
    return kernel.getKeeps();
  return isStateArgument(value);
}

llvm::SetVector<Value> fulgur::valuesUsedBy(Operation *op) {
  llvm::SetVector<Value> used;
  used.insert_range(op->getOperands());
  getUsedValuesDefinedAbove(op->getRegions(), used);
  return used;
}

bool fulgur::isRowOperation(Operation *op) {
  return isa<SoftmaxOp, LayerNormOp, RMSNormOp>(op);
}

static bool isProduct(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  return linalgOp && linalg::isaContractionOpInterface(linalgOp);
}

bool fulgur::isAccumulation(Operation *op) {
  return isProduct(op) || isConvolution(op);
}

namespace {
bool isElementwiseLoop(Operation *op) {
  auto generic = dyn_cast_or_null<linalg::GenericOp>(op);
  return generic && generic.getNumResults() == 1 &&
         linalg::isElementwise(generic);
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

/// The result of a product of bfloat16, behind its epilogue, that `op` rounds
/// while others read it as it is: its kernel writes both.
Operation *roundedProduct(Operation *op) {
  auto loop = dyn_cast<linalg::GenericOp>(op);
  if (!loop || !isRoundingLoop(loop))
    return nullptr;
  Operation *result = loop.getDpsInputs()[0].getDefiningOp();
  if (!result || result->hasOneUse() || result->getBlock() != op->getBlock())
    return nullptr;
  auto isNarrowProduct = [](Operation *op) {
    return op && isProduct(op) && op->getNumResults() == 1 &&
           getElementTypeOrSelf(op->getOperand(1).getType()).isBF16();
  };
  if (isNarrowProduct(result))
    return result;
  auto epilogue = dyn_cast<linalg::GenericOp>(result);
  return epilogue && llvm::any_of(epilogue.getDpsInputs(),
                                  [&](Value input) {
                                    Operation *product = input.getDefiningOp();
                                    return isNarrowProduct(product) &&
                                           epilogueOf(product) == epilogue;
                                  })
             ? result
             : nullptr;
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

/// Whether more is inserted into the state that `value` is.
bool isChangedState(Value value) {
  return isStateArgument(value) &&
         !llvm::all_of(value.getUsers(),
                       llvm::IsaPred<tensor::ExtractSliceOp, SizedOp>);
}

/// A group that grows from its root.
class Group {
public:
  explicit Group(KernelGroups &made) : made(made) {}

  SmallVector<Operation *> of(Operation *root,
                              const llvm::SetVector<Operation *> &taken) {
    SmallVector<Operation *> group{root};
    if (Operation *convolution = partOf(root)) {
      Operation *source = root->getOperand(0).getDefiningOp();
      if (source != convolution)
        group.push_back(source);
      group.push_back(convolution);
      addPreparation(convolution, group);
      addPadding(convolution, group);
      return sorted(std::move(group));
    }
    Operation *last = root; // before the rounding
    if (Operation *result = roundedProduct(root);
        result && !taken.contains(result))
      group.push_back(last = result);
    if (isProduct(last) && last != root)
      addPreparation(last, group);
    if (isElementwiseLoop(last)) {
      // Taken last to first, the epilogue of a product is met before the
      // product. Of two products under one loop, the later one takes it.
      Operation *product = nullptr;
      for (Value input : cast<linalg::GenericOp>(last).getDpsInputs())
        if (Operation *producer = input.getDefiningOp();
            producer && !taken.contains(producer) && isAccumulation(producer) &&
            epilogueOf(producer) == last &&
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
    for (Operation *op : ArrayRef(group).take_front(last == root ? 2 : 3))
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
      addCopies(attention, group);
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

private:
  /// The convolution whose kernel does the insertion `op`, or null.
  Operation *partOf(Operation *op) const {
    return made.parts.contains(op) ? insertedConvolution(op) : nullptr;
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
      made.views.push_back(op);
    } else if (isa<linalg::TransposeOp, tensor::ExtractSliceOp>(op)) {
      addMovement(op->getOperand(0), group, taken);
    } else {
      return;
    }
    group.push_back(op);
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
          !partOf(producer) && !llvm::is_contained(group, producer)) {
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
        made.clones.push_back(copy);
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
      made.clones.push_back(pad);
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
      for (Value value : valuesUsedBy(op)) {
        auto weights = value.getDefiningOp<DequantizeOp>();
        if (!weights || llvm::is_contained(group, weights.getOperation()))
          continue;
        if (!weights->hasOneUse()) {
          OpBuilder builder(op);
          auto copy = cast<DequantizeOp>(builder.clone(*weights));
          op->replaceUsesOfWith(weights, copy);
          for (Region &region : op->getRegions())
            replaceAllUsesInRegionWith(weights, copy, region);
          made.clones.push_back(copy);
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
        made.clones.push_back(copy);
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
        made.clones.push_back(copy);
        group.push_back(copy);
        addSlices(copy, codes->scale ? 2 : 1, group);
      }
  }

  /// Attention copies keys and values that were there before while it reads
  /// them.
  static void addCopies(AttentionOp attention,
                        SmallVectorImpl<Operation *> &group) {
    for (Value rows : {attention.getKey(), attention.getValue()})
      if (tensor::InsertSliceOp copy = insertedPast(rows);
          copy && attentionThatCopies(copy.getSource(), rows) == attention)
        group.push_back(copy);
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
        made.clones.push_back(mapping.lookup(op));
        group.push_back(made.clones.back());
      }
      if (chain.empty())
        continue;
      operand.set(made.clones[made.clones.size() - chain.size()]->getResult(0));
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
  static SmallVector<Operation *> sorted(SmallVector<Operation *> group) {
    llvm::sort(group, [](Operation *a, Operation *b) {
      return a->isBeforeInBlock(b);
    });
    return group;
  }

  KernelGroups &made;
};
} // namespace

void KernelGroups::findParts(Block &block) {
  auto elements = [](RankedTensorType type) {
    int64_t count = 1;
    for (int64_t dim : type.getShape())
      count *= ShapedType::isDynamic(dim) ? 1 : dim; // one for all parts
    return count;
  };
  for (auto last : block.getOps<tensor::InsertSliceOp>()) {
    if (llvm::any_of(last->getUsers(), [&](Operation *user) {
          auto next = dyn_cast<tensor::InsertSliceOp>(user);
          return next && next.getDest() == last.getResult();
        }))
      continue;
    SmallVector<Operation *> chain;
    int64_t written = 0;
    for (auto part = last; part;
         part = part.getDest().getDefiningOp<tensor::InsertSliceOp>()) {
      chain.push_back(part);
      if (insertedConvolution(part))
        written += elements(part.getSourceType());
    }
    if (2 * written >= elements(last.getType()))
      parts.insert_range(chain);
  }
}

SmallVector<Operation *>
KernelGroups::of(Operation *root, const llvm::SetVector<Operation *> &taken) {
  return Group(*this).of(root, taken);
}
