// Packs the constant right-hand sides of products: [..., columns, steps] in any
// order becomes [..., columns / width, steps, width], zeros after the last
// column, so that a kernel streams through its weights. The body says so with
// linalg.unpack.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "passes/Passes.h"
#include "passes/WeightStore.h"
#include "passes/kernel/builders/Product.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_PACKWEIGHTS
#include "passes/Passes.h.inc"

namespace {

/// Where the columns and the steps of the reduction are among a weight's dims,
/// and how many columns a panel has.
struct Layout {
  int64_t column, step, width;

  /// The weight's dims in the order of the panels: the outer ones, columns,
  /// steps.
  SmallVector<int64_t> order(int64_t rank) const {
    SmallVector<int64_t> dims;
    for (int64_t dim : llvm::seq(rank))
      if (dim != column && dim != step)
        dims.push_back(dim);
    dims.append({column, step});
    return dims;
  }

  RankedTensorType pack(RankedTensorType type) const {
    SmallVector<int64_t> shape;
    for (int64_t dim : order(type.getRank()))
      shape.push_back(dim == column
                          ? llvm::divideCeil(type.getDimSize(dim), width)
                          : type.getDimSize(dim));
    shape.push_back(width);
    return RankedTensorType::get(shape, type.getElementType());
  }
};

void packPanels(RankedTensorType type, const Layout &layout,
                ArrayRef<float> from, float *to) {
  SmallVector<int64_t> strides(type.getRank(), 1);
  for (int64_t dim = type.getRank() - 1; dim-- > 0;)
    strides[dim] = strides[dim + 1] * type.getDimSize(dim + 1);
  SmallVector<int64_t> outer = layout.order(type.getRank());
  outer.pop_back_n(2);
  int64_t matrices = 1, columns = type.getDimSize(layout.column),
          steps = type.getDimSize(layout.step);
  for (int64_t dim : outer)
    matrices *= type.getDimSize(dim);
  int64_t columnStride = strides[layout.column],
          stepStride = strides[layout.step];
  if (from.size() == 1) // a splat
    columnStride = stepStride = 0, strides.assign(strides.size(), 0);
  for (int64_t matrix : llvm::seq(matrices)) {
    int64_t base = 0, rest = matrix;
    for (int64_t dim : llvm::reverse(outer)) {
      base += rest % type.getDimSize(dim) * strides[dim];
      rest /= type.getDimSize(dim);
    }
    for (int64_t column0 = 0; column0 < columns; column0 += layout.width) {
      int64_t count = std::min(layout.width, columns - column0);
      for (int64_t step = 0; step < steps; ++step, to += layout.width)
        for (int64_t column = 0; column < count; ++column)
          to[column] = from[base + (column0 + column) * columnStride +
                            step * stepStride];
    }
  }
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
    std::optional<Product> product = matchProduct(kernel);
    if (!product || product->packed ||
        product->loops[product->column()].size() != 1 ||
        product->loops[product->reduction()].size() != 1)
      return;
    auto argument = cast<BlockArgument>(product->bOperand.value);
    OpOperand &operand = kernel.getInputsMutable()[argument.getArgNumber()];
    ElementsAttr weight;
    if (!matchPattern(operand.get(), m_Constant(&weight)) ||
        !argument.hasOneUse() || weightBytes(weight).empty())
      return;
    auto positionOf = [&](unsigned loop) {
      return llvm::find(product->bOperand.dims, int(product->loops[loop][0])) -
             product->bOperand.dims.begin();
    };
    Layout layout{positionOf(product->column()),
                  positionOf(product->reduction()), width};
    auto type = cast<RankedTensorType>(weight.getType());

    Attribute &result = packed[{weight, layout.column, layout.step, width}];
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
        ArrayRef<int64_t>{layout.column},
        ArrayRef<OpFoldResult>{builder.getIndexAttr(width)},
        layout.order(type.getRank()));
    argument.replaceAllUsesExcept(unpack.getResult(), unpack);
  }

  /// Kernels that share a weight share its packed form.
  llvm::DenseMap<std::tuple<Attribute, int64_t, int64_t, int64_t>, Attribute>
      packed;
  llvm::SetVector<Attribute> sources;
};
} // namespace
} // namespace fulgur
