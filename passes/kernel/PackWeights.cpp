// Packs the constant weights of products and convolutions: the lanes of vectors
// (columns, filters) are cut into panels of `width`, zeros after the last one,
// and a panel has one step of the sum after the other, so that a kernel
// streams through its weights. Numbers that are multiplied several at a time
// have as many steps of each lane next to each other. The body says so with
// linalg.unpack. Loops that pick rows from a weight which a product has packed,
// such as the embeddings that are the last product's weights, read the panels,
// so that it is there once.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/BFloat16.h"
#include "passes/Passes.h"
#include "passes/WeightStore.h"
#include "passes/kernel/StepProduct.h"
#include "passes/kernel/builders/Blocks.h"
#include "passes/kernel/builders/Convolution.h"
#include "passes/kernel/builders/Product.h"
#include "passes/kernel/builders/WinogradWeights.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_PACKWEIGHTS
#include "passes/Passes.h.inc"

namespace {

/// A weight's dims in the order of its panels, and the one among them that is
/// cut into pieces of `width`, which become the last dim. With a `depth` of
/// more than 1, so many elements of the last dim in the order lie together
/// behind that.
struct Layout {
  SmallVector<int64_t> order;
  int64_t cut, width, depth = 1;

  /// How many elements of `dim` are in one of its pieces.
  int64_t pieceOf(int64_t dim) const {
    return dim == cut ? width : dim == order.back() ? depth : 1;
  }
  SmallVector<int64_t> cuts() const {
    return depth == 1 ? SmallVector<int64_t>{cut}
                      : SmallVector<int64_t>{cut, order.back()};
  }
  SmallVector<int64_t> pieces() const {
    return depth == 1 ? SmallVector<int64_t>{width}
                      : SmallVector<int64_t>{width, depth};
  }
  RankedTensorType pack(RankedTensorType type) const {
    SmallVector<int64_t> shape;
    for (int64_t dim : order)
      shape.push_back(llvm::divideCeil(type.getDimSize(dim), pieceOf(dim)));
    llvm::append_range(shape, pieces());
    return RankedTensorType::get(shape, type.getElementType());
  }
};

/// What is packed and how.
struct Packing {
  Value weight; ///< argument of the kernel's body
  Layout layout;
  std::optional<Convolution>
      transformed; ///< whose weights are transformed before: layout is of
                   ///< [size, size, filters, taps of frames, channels]
};

template <typename T>
void packPanels(RankedTensorType type, const Layout &layout,
                ArrayRef<char> source, MutableArrayRef<char> packed) {
  ArrayRef<T> from(reinterpret_cast<const T *>(source.data()),
                   source.size() / sizeof(T));
  T *to = reinterpret_cast<T *>(packed.data());
  SmallVector<int64_t> strides(type.getRank(), 1);
  for (int64_t dim = type.getRank() - 1; dim-- > 0;)
    strides[dim] = strides[dim + 1] * type.getDimSize(dim + 1);
  if (from.size() == 1) // a splat
    strides.assign(strides.size(), 0);
  ArrayRef<int64_t> order = layout.order;
  SmallVector<int64_t> shape{
      layout.pack(type).getShape().take_front(order.size())},
      at(order.size(), 0);
  int64_t rows = llvm::product_of(shape), laneStride = strides[layout.cut],
          stepStride = strides[order.back()];
  for (int64_t row = 0; row < rows; ++row, to += layout.width * layout.depth) {
    int64_t base = 0, lanes = 0, steps = 1;
    for (auto [dim, index] : llvm::zip(order, at)) {
      int64_t piece = layout.pieceOf(dim), first = index * piece,
              count = std::min(piece, type.getDimSize(dim) - first);
      base += first * strides[dim];
      if (dim == layout.cut)
        lanes = count;
      else if (dim == order.back())
        steps = count;
    }
    for (int64_t lane = 0; lane < lanes; ++lane)
      for (int64_t step = 0; step < steps; ++step)
        to[lane * layout.depth + step] =
            from[base + lane * laneStride + step * stepStride];
    for (int64_t k = order.size(); k-- > 0 && ++at[k] == shape[k];)
      at[k] = 0;
  }
}

/// Winograd's transformation, into panels of `width` filters: [filters / width,
/// size, size, taps of frames, channels, width], where pairs of narrow channels
/// lie together.
template <typename T, typename Transformed>
void transformPanels(RankedTensorType type, const Convolution &c, int64_t width,
                     ArrayRef<char> source, MutableArrayRef<char> transformed) {
  ArrayRef<T> from(reinterpret_cast<const T *>(source.data()),
                   source.size() / sizeof(T));
  auto *to = reinterpret_cast<Transformed *>(transformed.data());
  const WinogradForm &form = winogradForm(c, c.transformed);
  auto strideOf = [&](unsigned loop) {
    int64_t stride = 1;
    for (int64_t dim = type.getRank() - 1; c.weightLoops[dim] != int(loop);
         --dim)
      stride *= type.getDimSize(dim);
    return from.size() == 1 ? 0 : stride;
  };
  int64_t filters = c.size(*c.filter), channels = c.size(*c.channel),
          taps = c.frameTaps(), matrices = form.size() * form.size(),
          steps = taps * channels, depth = c.depth();
  int64_t filterStride = strideOf(*c.filter),
          channelStride = strideOf(*c.channel),
          tapStride = taps > 1 ? strideOf(c.spatial[0].window) : 0,
          rowStride = strideOf(c.plane()[0].window),
          columnStride = strideOf(c.plane()[1].window);
  for (int64_t filter : llvm::seq(filters))
    for (int64_t step : llvm::seq(steps)) {
      const T *at = from.data() + filter * filterStride +
                    step / channels * tapStride +
                    step % channels * channelStride;
      SmallVector<float, 9> window;
      for (int64_t row : llvm::seq(form.taps))
        for (int64_t column : llvm::seq(form.taps))
          window.push_back(at[row * rowStride + column * columnStride]);
      Transformed *panel = to + filter / width * matrices * steps * width +
                           (step - step % depth) * width +
                           filter % width * depth + step % depth;
      for (auto [matrix, value] :
           llvm::enumerate(transformWindow(form, window)))
        panel[matrix * steps * width] = Transformed(value);
    }
}

/// How the weight of a kernel is to be packed, when it is not yet.
std::optional<Packing> packingOf(KernelOp kernel, int64_t width) {
  if (std::optional<Product> product = matchProduct(kernel)) {
    if (product->packed || product->loops[product->column()].size() != 1 ||
        product->loops[product->reduction()].size() != 1)
      return std::nullopt;
    ArrayRef<int> dims = product->bOperand.dims;
    auto positionOf = [&](unsigned loop) -> int64_t {
      return llvm::find(dims, int(product->loops[loop][0])) - dims.begin();
    };
    int64_t column = positionOf(product->column()),
            step = positionOf(product->reduction());
    SmallVector<int64_t> order;
    for (int64_t dim : llvm::seq<int64_t>(0, dims.size()))
      if (dim != column && dim != step)
        order.push_back(dim);
    order.append({column, step});
    return Packing{
        product->bOperand.value, {order, column, width, product->depth()}, {}};
  }
  std::optional<Convolution> convolution = matchConvolution(kernel);
  if (!convolution || convolution->packed)
    return std::nullopt;
  Packing packing{convolution->weights, {}, {}};
  if (kernel.getSchedule()->getKind() == winogradBuilder.kind) {
    convolution->transformed = kernel.getSchedule()->getTile()[4];
    packing.transformed = convolution;
  }
  packing.layout = {convolution->weightOrder(), convolution->weightLane(),
                    width, convolution->depth()};
  return packing;
}

struct PackWeights : impl::PackWeightsBase<PackWeights> {
  void runOnOperation() override {
    getOperation().walk([&](KernelOp kernel) {
      if (kernel.getSchedule() && kernel.getSchedule()->getPack() != 0)
        pack(kernel, kernel.getSchedule()->getPack());
    });
    getOperation().walk([&](KernelOp kernel) {
      if (kernel.getSchedule())
        return;
      packSteps(kernel);
      pickFromPanels(kernel);
    });
    for (Attribute source : sources)
      releaseWeight(cast<ElementsAttr>(source));
    sources.clear();
    packed.clear();
    blocks.clear();
    panels.clear();
    blockPanels.clear();
  }

private:
  /// A weight in panels, as some product has it.
  struct Panels {
    Attribute packed;
    Layout layout;
  };

  void pickFromPanels(KernelOp kernel) {
    for (DequantizeOp codes :
         llvm::to_vector(kernel.bodyBlock()->getOps<DequantizeOp>())) {
      ElementsAttr weight = constantOf(kernel, codes.getCodes());
      if (int64_t width = weight ? blockPanels.lookup(weight) : 0;
          width && areConstants(kernel, codes) &&
          llvm::all_of(codes->getUsers(), llvm::IsaPred<tensor::ExtractOp>))
        packBlocks(kernel, codes, width, blocks);
    }
    for (auto [number, argument] :
         llvm::enumerate(kernel.bodyBlock()->getArguments().take_front(
             kernel.getInputs().size()))) {
      ElementsAttr weight = constantOf(kernel, argument);
      auto found = weight ? panels.find(weight) : panels.end();
      if (found == panels.end() ||
          !llvm::all_of(argument.getUsers(), llvm::IsaPred<tensor::ExtractOp>))
        continue;
      const auto &[packed, layout] = found->second;
      OpBuilder before(kernel);
      auto constant = arith::ConstantOp::create(before, argument.getLoc(),
                                                cast<TypedAttr>(packed));
      kernel.getInputsMutable()[number].set(constant);
      argument.setType(constant.getType());
      for (Operation *user : argument.getUsers())
        pickFrom(layout, cast<tensor::ExtractOp>(user));
    }
  }

  /// The same element in panels.
  static void pickFrom(const Layout &layout, tensor::ExtractOp pick) {
    OpBuilder b(pick);
    SmallVector<Value> indices(pick.getIndices()), places;
    for (int64_t dim : layout.order) {
      Value index = indices[dim];
      if (int64_t piece = layout.pieceOf(dim); piece > 1) {
        Value size = arith::ConstantIndexOp::create(b, pick.getLoc(), piece);
        index = arith::DivUIOp::create(b, pick.getLoc(), index, size);
      }
      places.push_back(index);
    }
    for (auto [dim, piece] : llvm::zip(layout.cuts(), layout.pieces())) {
      Value size = arith::ConstantIndexOp::create(b, pick.getLoc(), piece);
      places.push_back(
          arith::RemUIOp::create(b, pick.getLoc(), indices[dim], size));
    }
    pick.getIndicesMutable().assign(places);
  }

  /// Packs what loops over time multiply with.
  void packSteps(KernelOp kernel) {
    SmallVector<StepProduct> products;
    kernel.getBody().walk([&](Operation *op) {
      if (std::optional<StepProduct> product = matchStepProduct(kernel, op))
        products.push_back(*product);
    });
    for (StepProduct &product : products) {
      ElementsAttr weight = constantOf(kernel, product.weights);
      if (weightBytes(weight).empty())
        continue;
      Layout layout{{0, 1}, 0, StepProduct::kPack};
      auto type = cast<RankedTensorType>(product.weights.getType());
      OpBuilder builder(kernel);
      Value constant = arith::ConstantOp::create(
          builder, product.weights.getLoc(),
          cast<TypedAttr>(packedForm(weight, type, layout)));
      kernel.getInputsMutable()[product.weights.getArgNumber()].set(constant);
      product.weights.setType(constant.getType());
      product.readPanels();
    }
  }

  /// The weight in panels, made once.
  Attribute packedForm(ElementsAttr weight, RankedTensorType type,
                       const Layout &layout) {
    return packedForm(weight, type, layout, type, std::nullopt);
  }
  Attribute packedForm(ElementsAttr weight, RankedTensorType type,
                       const Layout &layout, RankedTensorType unpacked,
                       const std::optional<Convolution> &transformed) {
    Builder attributes(&getContext());
    Attribute how = attributes.getArrayAttr(
        {TypeAttr::get(layout.pack(unpacked)),
         attributes.getDenseI64ArrayAttr(layout.order),
         attributes.getIndexAttr(layout.cut),
         attributes.getBoolAttr(transformed.has_value())});
    Attribute &result = packed[{weight, how}];
    if (result)
      return result;
    sources.insert(weight);
    auto fill = [&](MutableArrayRef<char> bytes) {
      ArrayRef<char> source = weightBytes(weight);
      if (transformed && transformed->isOfBytes())
        transformPanels<int8_t, int16_t>(type, *transformed, layout.width,
                                         source, bytes);
      else if (transformed && type.getElementType().isBF16())
        transformPanels<BFloat16, BFloat16>(type, *transformed, layout.width,
                                            source, bytes);
      else if (transformed)
        transformPanels<float, float>(type, *transformed, layout.width, source,
                                      bytes);
      else if (type.getElementTypeBitWidth() == 8)
        packPanels<uint8_t>(type, layout, source, bytes);
      else if (type.getElementTypeBitWidth() == 16)
        packPanels<uint16_t>(type, layout, source, bytes);
      else
        packPanels<float>(type, layout, source, bytes);
    };
    return result = addWeight(layout.pack(unpacked), "packed", fill);
  }

  void pack(KernelOp kernel, int64_t width) {
    if (std::optional<Product> product = matchProduct(kernel);
        product && product->blocks) {
      if (ElementsAttr codes = constantOf(kernel, product->blocks.getCodes()))
        blockPanels[codes] = width;
      return packBlocks(kernel, product->blocks, width, blocks);
    }
    std::optional<Packing> packing = packingOf(kernel, width);
    if (!packing)
      return;
    auto argument = cast<BlockArgument>(packing->weight);
    OpOperand &operand = kernel.getInputsMutable()[argument.getArgNumber()];
    // A reshaped weight has the same bytes.
    Value source = operand.get();
    while (isa_and_nonnull<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
        source.getDefiningOp()))
      source = source.getDefiningOp()->getOperand(0);
    ElementsAttr weight;
    if (!matchPattern(source, m_Constant(&weight)) || !argument.hasOneUse() ||
        weightBytes(weight).empty())
      return;
    const Layout &layout = packing->layout;
    auto type = cast<RankedTensorType>(operand.get().getType()),
         unpacked = type;
    if (packing->transformed) {
      const Convolution &c = *packing->transformed;
      int64_t size = winogradForm(c, c.transformed).size();
      SmallVector<int64_t> shape{size, size, c.size(*c.filter)};
      if (c.hasFrames())
        shape.push_back(c.frameTaps());
      shape.push_back(c.size(*c.channel));
      unpacked = RankedTensorType::get(
          shape, c.isOfBytes() ? IntegerType::get(&getContext(), 16)
                               : type.getElementType());
    }

    Attribute result =
        packedForm(weight, type, layout, unpacked, packing->transformed);
    if (type == weight.getType() && !packing->transformed)
      panels.try_emplace(weight, Panels{result, layout});
    OpBuilder builder(kernel);
    operand.set(arith::ConstantOp::create(builder, operand.get().getLoc(),
                                          cast<TypedAttr>(result)));
    builder.setInsertionPointToStart(kernel.bodyBlock());
    Value shape =
        tensor::EmptyOp::create(builder, kernel.getLoc(), unpacked.getShape(),
                                unpacked.getElementType());
    argument.setType(layout.pack(unpacked));
    auto unpack = linalg::UnPackOp::create(
        builder, kernel.getLoc(), argument, shape, layout.cuts(),
        getAsIndexOpFoldResult(&getContext(), layout.pieces()), layout.order);
    Value restored = unpack.getResult();
    if (packing->transformed)
      restored = restoreWeights(builder, kernel.getLoc(), *packing->transformed,
                                winogradForm(*packing->transformed,
                                             packing->transformed->transformed),
                                restored, type);
    argument.replaceAllUsesExcept(restored, unpack);
  }

  /// Kernels that share a weight share its packed form.
  llvm::DenseMap<std::pair<Attribute, Attribute>, Attribute> packed;
  llvm::DenseMap<Attribute, Attribute> blocks;
  llvm::SetVector<Attribute> sources;
  llvm::DenseMap<Attribute, Panels> panels;       ///< of weights
  llvm::DenseMap<Attribute, int64_t> blockPanels; ///< of codes: their width
};
} // namespace
} // namespace fulgur
