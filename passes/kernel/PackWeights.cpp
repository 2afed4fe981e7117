// Packs the constant weights of products and convolutions: the lanes of vectors
// (columns, filters) are cut into panels of `width`, zeros after the last one,
// and a panel has one step of the sum after the other, so that a kernel
// streams through its weights. The body says so with linalg.unpack.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Passes.h"
#include "passes/WeightStore.h"
#include "passes/kernel/builders/Convolution.h"
#include "passes/kernel/builders/Product.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_PACKWEIGHTS
#include "passes/Passes.h.inc"

namespace {

/// A weight's dims in the order of its panels, and the one among them that is
/// cut into pieces of `width`, which become the last dim.
struct Layout {
  SmallVector<int64_t> order;
  int64_t cut, width;

  RankedTensorType pack(RankedTensorType type) const {
    SmallVector<int64_t> shape;
    for (int64_t dim : order)
      shape.push_back(dim == cut ? llvm::divideCeil(type.getDimSize(dim), width)
                                 : type.getDimSize(dim));
    shape.push_back(width);
    return RankedTensorType::get(shape, type.getElementType());
  }
};

/// What is packed and how.
struct Packing {
  Value weight; ///< argument of the kernel's body
  Layout layout;
};

void packPanels(RankedTensorType type, const Layout &layout,
                ArrayRef<float> from, float *to) {
  SmallVector<int64_t> strides(type.getRank(), 1);
  for (int64_t dim = type.getRank() - 1; dim-- > 0;)
    strides[dim] = strides[dim + 1] * type.getDimSize(dim + 1);
  if (from.size() == 1) // a splat
    strides.assign(strides.size(), 0);
  ArrayRef<int64_t> order = layout.order;
  SmallVector<int64_t> shape{layout.pack(type).getShape().drop_back()},
      at(order.size(), 0);
  int64_t rows = llvm::product_of(shape), lanes = type.getDimSize(layout.cut),
          laneStride = strides[layout.cut];
  for (int64_t row = 0; row < rows; ++row, to += layout.width) {
    int64_t base = 0, count = layout.width;
    for (auto [dim, index] : llvm::zip(order, at)) {
      int64_t first = dim == layout.cut ? index * layout.width : index;
      base += first * strides[dim];
      if (dim == layout.cut)
        count = std::min(layout.width, lanes - first);
    }
    for (int64_t lane = 0; lane < count; ++lane)
      to[lane] = from[base + lane * laneStride];
    for (int64_t k = order.size(); k-- > 0 && ++at[k] == shape[k];)
      at[k] = 0;
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
    return Packing{product->bOperand.value, {order, column, width}};
  }
  std::optional<Convolution> convolution = matchConvolution(kernel);
  if (!convolution || convolution->packed)
    return std::nullopt;
  ArrayRef<int> loops = convolution->weightLoops;
  int64_t lane = llvm::find(loops, int(convolution->lane())) - loops.begin();
  return Packing{convolution->weights,
                 {convolution->weightOrder(), lane, width}};
}

struct PackWeights : impl::PackWeightsBase<PackWeights> {
  void runOnOperation() override {
    getOperation().walk([&](KernelOp kernel) {
      if (kernel.getSchedule() && kernel.getSchedule()->getPack() != 0)
        pack(kernel, kernel.getSchedule()->getPack());
    });
    for (Attribute source : sources)
      releaseWeight(cast<ElementsAttr>(source));
    sources.clear();
    packed.clear();
  }

private:
  void pack(KernelOp kernel, int64_t width) {
    std::optional<Packing> packing = packingOf(kernel, width);
    if (!packing)
      return;
    auto argument = cast<BlockArgument>(packing->weight);
    OpOperand &operand = kernel.getInputsMutable()[argument.getArgNumber()];
    ElementsAttr weight;
    if (!matchPattern(operand.get(), m_Constant(&weight)) ||
        !argument.hasOneUse() || weightBytes(weight).empty())
      return;
    const Layout &layout = packing->layout;
    auto type = cast<RankedTensorType>(weight.getType());

    Builder attributes(&getContext());
    Attribute &result =
        packed[{weight, attributes.getDenseI64ArrayAttr(layout.order),
                layout.cut, width}];
    if (!result) {
      sources.insert(weight);
      result = addWeight(
          layout.pack(type), "packed", [&](MutableArrayRef<char> bytes) {
            ArrayRef<char> source = weightBytes(weight);
            packPanels(type, layout,
                       {reinterpret_cast<const float *>(source.data()),
                        source.size() / sizeof(float)},
                       reinterpret_cast<float *>(bytes.data()));
          });
    }

    OpBuilder builder(kernel);
    operand.set(arith::ConstantOp::create(builder, operand.get().getLoc(),
                                          cast<TypedAttr>(result)));
    builder.setInsertionPointToStart(kernel.bodyBlock());
    Value shape = tensor::EmptyOp::create(
        builder, kernel.getLoc(), type.getShape(), type.getElementType());
    argument.setType(layout.pack(type));
    auto unpack = linalg::UnPackOp::create(
        builder, kernel.getLoc(), argument, shape,
        ArrayRef<int64_t>{layout.cut},
        ArrayRef<OpFoldResult>{builder.getIndexAttr(width)}, layout.order);
    argument.replaceAllUsesExcept(unpack.getResult(), unpack);
  }

  /// Kernels that share a weight share its packed form.
  llvm::DenseMap<std::tuple<Attribute, Attribute, int64_t, int64_t>, Attribute>
      packed;
  llvm::SetVector<Attribute> sources;
};
} // namespace
} // namespace fulgur
