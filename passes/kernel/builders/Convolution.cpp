#include "passes/kernel/builders/Convolution.h"
#include "mlir/IR/Matchers.h"
#include "passes/ByteProduct.h"
#include "passes/Convolution.h"
#include "passes/kernel/builders/Elementwise.h"
#include "passes/kernel/builders/WinogradWeights.h"

using namespace mlir;
using namespace fulgur;

bool Convolution::isDepthwise() const {
  return group && size(filter) == 1 && size(channel) == 1;
}

int64_t Convolution::steps() const {
  int64_t steps = size(channel);
  for (const Spatial &dim : spatial)
    steps *= size(dim.window);
  return steps;
}

int64_t Convolution::weightLane() const {
  if (transformed)
    return 2;
  return llvm::find(weightLoops, int(lane())) - weightLoops.begin();
}

SmallVector<int64_t> Convolution::weightOrder() const {
  if (transformed)
    return hasFrames() ? SmallVector<int64_t>{2, 0, 1, 3, 4}
                       : SmallVector<int64_t>{2, 0, 1, 3};
  SmallVector<unsigned> order;
  if (group)
    order.push_back(*group);
  if (filter)
    order.push_back(*filter);
  for (const Spatial &dim : spatial)
    order.push_back(dim.window);
  if (channel)
    order.push_back(*channel);
  SmallVector<int64_t> dims;
  for (unsigned loop : order)
    dims.push_back(llvm::find(weightLoops, int(loop)) - weightLoops.begin());
  return dims;
}

static bool isF32(Value value) {
  return getElementTypeOrSelf(value.getType()).isF32();
}

/// Whether an epilogue may give elements of this type.
static bool isStored(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  return element.isF32() || element.isBF16() || element.isInteger(8) ||
         element.isInteger(32);
}

static bool isBF16(Value value) {
  return getElementTypeOrSelf(value.getType()).isBF16();
}

/// Whether the body adds the product of both inputs to the sum, all of f32 or
/// with inputs of bfloat16.
static bool isMultiplyAdd(linalg::GenericOp op) {
  return op.getNumDpsInputs() == 2 && op.getNumDpsInits() == 1 &&
         addsProducts(op.getBody()) && isF32(op.getDpsInits()[0]) &&
         (isF32(op.getDpsInputs()[1])
              ? isF32(op.getDpsInputs()[0]) || isBF16(op.getDpsInputs()[0])
              : llvm::all_of(op.getDpsInputs(), isBF16));
}

/// Sorts the loops by the operands that they move.
static bool matchLoops(Convolution &c) {
  linalg::GenericOp op = c.op;
  c.ranges = op.getStaticLoopRanges();
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  if (!maps[1].isProjectedPermutation() || !maps[2].isProjectedPermutation())
    return false;
  c.weightLoops = loopsOf(op, 1);
  c.outLoops = loopsOf(op, 2);
  auto inWeights = [&](unsigned loop) {
    return llvm::is_contained(c.weightLoops, int(loop));
  };
  auto inOut = [&](unsigned loop) {
    return llvm::is_contained(c.outLoops, int(loop));
  };
  unsigned found = 0;
  auto set = [&](Convolution::Loop &place, unsigned loop) {
    if (place)
      return false;
    place = loop;
    ++found;
    return true;
  };
  for (auto [number, at] : llvm::enumerate(maps[0].getResults())) {
    if (auto dim = dyn_cast<AffineDimExpr>(at)) {
      unsigned loop = dim.getPosition();
      if (!set(!inWeights(loop) ? c.batch
               : inOut(loop)    ? c.group
                                : c.channel,
               loop))
        return false;
      c.inputLoops.push_back(loop);
      continue;
    }
    auto sum = dyn_cast<AffineBinaryOpExpr>(at);
    if (!sum || sum.getKind() != AffineExprKind::Add)
      return false;
    auto image = scaledLoop(sum.getLHS()), window = scaledLoop(sum.getRHS());
    if (!image || !window)
      return false;
    if (!inOut(image->first))
      std::swap(image, window);
    if (!inOut(image->first) || inWeights(image->first) ||
        inOut(window->first) || !inWeights(window->first))
      return false;
    auto none = IntegerAttr::get(IndexType::get(op.getContext()), 0);
    c.spatial.push_back({image->first, window->first, image->second,
                         window->second, none, none, unsigned(number)});
    c.inputLoops.push_back(image->first);
    found += 2;
  }
  for (int loop : c.weightLoops)
    if (inOut(loop) && !llvm::is_contained(c.inputLoops, loop) &&
        !set(c.filter, loop))
      return false;
  llvm::sort(c.spatial, [&](const auto &a, const auto &b) {
    return llvm::find(c.outLoops, int(a.image)) <
           llvm::find(c.outLoops, int(b.image));
  });
  auto known = [&](int loop) {
    return !ShapedType::isDynamic(c.ranges[loop]) && c.ranges[loop] > 0;
  };
  return found == op.getNumLoops() && !c.spatial.empty() &&
         c.spatial.size() <= 3 && (c.filter || c.group) &&
         llvm::all_of(c.weightLoops, known);
}

/// Looks through the padding of the input and the packing of the weights.
static bool matchOperands(Convolution &c) {
  linalg::GenericOp op = c.op;
  c.input = op.getInputs()[0];
  c.weights = op.getInputs()[1];
  if (auto pad = c.input.getDefiningOp<tensor::PadOp>()) {
    Value filler = pad.getConstantPaddingValue();
    APInt byte;
    if (!filler || (!matchPattern(filler, m_AnyZeroFloat()) &&
                    !matchPattern(filler, m_ConstantInt(&byte))))
      return false;
    if (filler.getType().isInteger())
      c.filler = uint8_t(byte.getZExtValue());
    c.padded = true;
    c.input = pad.getSource();
    SmallVector<OpFoldResult> low = pad.getMixedLowPad(),
                              high = pad.getMixedHighPad();
    for (auto [front, behind, loop] : llvm::zip(low, high, c.inputLoops)) {
      auto *dim = llvm::find_if(
          c.spatial, [&](auto &dim) { return int(dim.image) == loop; });
      if (dim == c.spatial.end()) {
        if (!isConstantIntValue(front, 0) || !isConstantIntValue(behind, 0))
          return false;
        continue;
      }
      auto value = dyn_cast<Value>(front);
      if (value && !isa<BlockArgument>(value))
        return false;
      dim->low = front;
      dim->high = behind;
    }
  }
  if (auto [transformed, outputs] = transformedWeights(c); transformed) {
    c.transformed = outputs;
    c.weights = transformed;
  }
  c.packed = c.weights.getDefiningOp<linalg::UnPackOp>();
  if (c.packed) {
    c.weights = c.packed.getSource();
    SmallVector<int64_t> order = c.weightOrder();
    ArrayRef<int64_t> given = c.packed.getOuterDimsPerm();
    SmallVector<int64_t> identity =
        llvm::to_vector(llvm::seq<int64_t>(0, order.size()));
    SmallVector<int64_t> inner{c.weightLane()};
    if (c.depth() > 1)
      inner.push_back(order.back());
    if (c.packed.getInnerDimsPos() != ArrayRef(inner) ||
        (inner.size() > 1 && c.packed.getStaticInnerTiles()[1] != c.depth()) ||
        order != (given.empty() ? ArrayRef<int64_t>(identity) : given))
      return false;
  }
  // Wide weights are for each channel of a narrow input.
  if (isBF16(c.input) && c.depth() == 1 && !c.isDepthwise())
    return false;
  // Pairs of channels lie together.
  if (c.depth() > 1 && (!c.channel || c.size(*c.channel) % c.depth() != 0 ||
                        c.inputLoops.back() != int(*c.channel)))
    return false;
  return isa<BlockArgument>(c.input) && isa<BlockArgument>(c.weights);
}

/// Fills in the epilogue's operands, in terms of the convolution's loops.
static bool matchEpilogue(Convolution &c) {
  if (!c.epilogue)
    return true;
  c.epilogueDims.assign(c.epilogue.getNumLoops(), -1);
  for (auto [number, input] : llvm::enumerate(c.epilogue.getInputs())) {
    if (input.getDefiningOp() != c.op)
      continue;
    for (auto [loop, dim] :
         llvm::zip(loopsOf(c.epilogue, number), loopsOf(c.op, 2))) {
      if (loop < 0 ||
          (c.epilogueDims[loop] >= 0 && c.epilogueDims[loop] != dim))
        return false;
      c.epilogueDims[loop] = dim;
    }
  }
  if (llvm::is_contained(c.epilogueDims, -1))
    return false;
  auto loops = [&](unsigned number) {
    Convolution::Loops result = loopsOf(c.epilogue, number);
    for (int &dim : result)
      dim = dim < 0 ? -1 : c.epilogueDims[dim];
    return result;
  };
  for (auto [number, input] : llvm::enumerate(c.epilogue.getInputs())) {
    bool isSums = input.getDefiningOp() == c.op;
    if (!isSums && !isa<BlockArgument>(input))
      return false;
    c.epilogueInputs.push_back(isSums ? Value() : input);
    c.epilogueLoops.push_back(loops(number));
  }
  c.outLoops = loops(c.epilogue.getNumDpsInputs());
  return true;
}

std::optional<Convolution> fulgur::matchConvolution(KernelOp kernel) {
  if (kernel.getOuts().size() != 1)
    return std::nullopt;
  Convolution c;
  c.out = kernel.bodyBlock()->getArguments().back();
  Value result = kernel.yield().getValues().front();
  c.inserted = result.getDefiningOp<tensor::InsertSliceOp>();
  if (c.inserted) {
    if (c.inserted.getDest() != c.out || !c.inserted.getOffsets().empty() ||
        !c.inserted.getStrides().empty() ||
        c.inserted.getSourceType().getRank() !=
            c.inserted.getType().getRank() ||
        !llvm::all_of(c.inserted.getSizes(), llvm::IsaPred<BlockArgument>))
      return std::nullopt;
    result = c.inserted.getSource();
  }
  auto root = result.getDefiningOp<linalg::GenericOp>();
  if (!root)
    return std::nullopt;
  c.op = root;
  if (root.getNumReductionLoops() == 0 && isLanewise(root)) {
    if (root.getNumDpsInits() != 1)
      return std::nullopt;
    c.epilogue = root;
    c.op = {};
    for (Value input : root.getInputs())
      if (auto producer = input.getDefiningOp<linalg::GenericOp>())
        c.op = producer;
  }
  if (!c.op)
    return std::nullopt;
  auto bytes = matchByteProduct(c.op.getBody());
  if (!isStored(c.out) ||
      (bytes ? !bytes->unsignedA || bytes->unsignedB : !isMultiplyAdd(c.op)))
    return std::nullopt;
  auto fill = c.op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill ||
      (!matchPattern(fill.getInputs()[0], m_AnyZeroFloat()) &&
       !matchPattern(fill.getInputs()[0], m_Zero())) ||
      !matchLoops(c) || !matchOperands(c) || !matchEpilogue(c))
    return std::nullopt;
  if (c.isOfBytes() && !c.isDepthwise() &&
      (!c.channel || c.size(c.channel) % c.depth() != 0))
    return std::nullopt;
  // Vectors lie along the last dim of the result that has more than one
  // element.
  int last = -1;
  for (int loop : c.outLoops)
    if (loop >= 0 && (c.size(loop) != 1 || loop == int(c.lane())))
      last = loop;
  if (last != int(c.lane()))
    return std::nullopt;
  return c;
}
