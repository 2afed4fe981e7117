// Slices and reshapes of weights are weights: what an exporter splits while the
// model runs (the experts of a mixture, the parts of a joint projection) is
// split here, once. A slice of consecutive elements is a view of the mapped
// file; others are copied. So are the weights that each phase of a transposed
// convolution picks and turns round, and transposed ones that are reshaped,
// which no product could take through its map.
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/Matchers.h"
#include "passes/Passes.h"
#include "passes/WeightStore.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_FOLDWEIGHTVIEWS
#include "passes/Passes.h.inc"

namespace {

/// The bytes that the elements of `slice` are in, when they are consecutive in
/// the tensor of `type` whose bytes are `whole`.
ArrayRef<char> consecutive(tensor::ExtractSliceOp slice, RankedTensorType type,
                           ArrayRef<char> whole) {
  int64_t bytes = type.getElementTypeBitWidth() / 8, stride = bytes, offset = 0,
          count = bytes;
  bool partial = false; // some dim further in is not whole
  for (int64_t dim = type.getRank(); dim-- > 0;) {
    int64_t size = slice.getStaticSize(dim);
    if (partial && size != 1)
      return {};
    partial |= size != type.getDimSize(dim);
    offset += slice.getStaticOffset(dim) * stride;
    stride *= type.getDimSize(dim);
    count *= size;
  }
  return whole.slice(offset, count);
}

/// Copies the elements of `slice`, dim after dim.
void copySlice(tensor::ExtractSliceOp slice, RankedTensorType type,
               ArrayRef<char> from, char *&to, int64_t dim = 0,
               int64_t at = 0) {
  int64_t bytes = type.getElementTypeBitWidth() / 8;
  if (dim == type.getRank()) {
    memcpy(to, from.data() + at * bytes, bytes);
    to += bytes;
    return;
  }
  int64_t offset = slice.getStaticOffset(dim), size = slice.getStaticSize(dim);
  if (dim == type.getRank() - 1) {
    at = at * type.getDimSize(dim) + offset;
    memcpy(to, from.data() + at * bytes, size * bytes);
    to += size * bytes;
    return;
  }
  for (int64_t index : llvm::seq(offset, offset + size))
    copySlice(slice, type, from, to, dim + 1,
              at * type.getDimSize(dim) + index);
}

struct FoldWeightViews : impl::FoldWeightViewsBase<FoldWeightViews> {
  void runOnOperation() override {
    // Producers stand before their consumers, so that chains fold as well.
    getOperation().walk([&](Operation *op) {
      Attribute folded =
          llvm::TypeSwitch<Operation *, Attribute>(op)
              .Case([&](tensor::ExtractSliceOp slice) { return fold(slice); })
              .Case([&](linalg::GenericOp loop) { return foldPicking(loop); })
              .Case([&](linalg::TransposeOp transpose) {
                return foldTranspose(transpose);
              })
              .Case<tensor::CollapseShapeOp, tensor::ExpandShapeOp>(
                  [&](auto reshape) {
                    return foldReshape(reshape.getSrc(),
                                       reshape.getResultType());
                  })
              .Default(Attribute());
      if (!folded)
        return;
      OpBuilder builder(op);
      op->getResult(0).replaceAllUsesWith(arith::ConstantOp::create(
          builder, op->getLoc(), cast<TypedAttr>(folded)));
      op->erase();
    });
  }

private:
  /// The weight that `value` is, if it is one in the weights file.
  static DenseResourceElementsAttr weightOf(Value value) {
    ElementsAttr weight;
    if (!matchPattern(value, m_Constant(&weight)) ||
        weightBytes(weight).empty())
      return {};
    return dyn_cast<DenseResourceElementsAttr>(weight);
  }

  static Attribute foldReshape(Value source, RankedTensorType type) {
    DenseResourceElementsAttr weight = weightOf(source);
    if (!weight || !type.hasStaticShape())
      return {};
    return DenseResourceElementsAttr::get(type, weight.getRawHandle());
  }

  /// A loop that only picks elements, by sums of its indices.
  static Attribute foldPicking(linalg::GenericOp loop) {
    ElementsAttr weight;
    auto type = loop->getNumResults() == 1
                    ? dyn_cast<RankedTensorType>(loop->getResult(0).getType())
                    : RankedTensorType();
    if (!type || !type.hasStaticShape() || loop.getNumDpsInputs() != 1 ||
        loop.getBody()->getTerminator()->getOperand(0) !=
            loop.getBody()->getArgument(0) ||
        !loop.getIndexingMapsArray()[1].isIdentity() ||
        loop.getIndexingMapsArray()[0].isProjectedPermutation() ||
        !matchPattern(loop.getDpsInputs()[0], m_Constant(&weight)))
      return {};
    auto place = placeOf(loop.getIndexingMapsArray()[0],
                         weight.getShapedType().getShape());
    return place ? pick(weight, type, *place) : Attribute();
  }

  /// A transposed weight that is reshaped.
  static Attribute foldTranspose(linalg::TransposeOp transpose) {
    ElementsAttr weight;
    auto type =
        transpose->getNumResults() == 1
            ? dyn_cast<RankedTensorType>(transpose->getResult(0).getType())
            : RankedTensorType();
    if (!type || transpose->use_empty() ||
        !llvm::all_of(
            transpose->getUsers(),
            llvm::IsaPred<tensor::CollapseShapeOp, tensor::ExpandShapeOp>) ||
        !matchPattern(transpose.getInput(), m_Constant(&weight)))
      return {};
    return pick(
        weight, type,
        {0, applyPermutation(computeStrides(weight.getShapedType().getShape()),
                             transpose.getPermutation())});
  }

  /// Where the elements of a loop are: the first one's position, and how far
  /// each dim moves it.
  using Place = std::pair<int64_t, SmallVector<int64_t>>;

  static Attribute pick(ElementsAttr weight, RankedTensorType type,
                        const Place &place) {
    if (!type.getElementType().isIntOrFloat())
      return {};
    unsigned bits = type.getElementTypeBitWidth();
    ArrayRef<char> from = weightBytes(weight);
    ShapedType source = weight.getShapedType();
    if (bits % 8 != 0 || type.getNumElements() > source.getNumElements() ||
        int64_t(from.size()) != source.getNumElements() * bits / 8)
      return {};
    int64_t bytes = bits / 8;
    auto copy = [&](MutableArrayRef<char> to) {
      SmallVector<int64_t> strides = computeStrides(type.getShape());
      for (int64_t k : llvm::seq(type.getNumElements())) {
        int64_t at = place.first, rest = k;
        for (auto [stride, step] : llvm::zip(strides, place.second)) {
          at += rest / stride * step;
          rest %= stride;
        }
        memcpy(to.data() + k * bytes, from.data() + at * bytes, bytes);
      }
    };
    if (isa<DenseElementsAttr>(weight)) { // a small one, of the module's own
      SmallVector<char> picked(type.getNumElements() * bytes);
      copy(picked);
      return DenseElementsAttr::getFromRawBuffer(type, picked);
    }
    return addWeight(type, "picked", copy);
  }

  /// Of the elements at `map` of a tensor of `shape`.
  static std::optional<Place> placeOf(AffineMap map, ArrayRef<int64_t> shape) {
    Place place{0, SmallVector<int64_t>(map.getNumDims())};
    for (auto [expr, stride] :
         llvm::zip(map.getResults(), computeStrides(shape))) {
      SmallVector<int64_t> factors; // of the loops, and a constant
      if (failed(getFlattenedAffineExpr(expr, map.getNumDims(), 0, &factors)) ||
          factors.size() != map.getNumDims() + 1)
        return std::nullopt;
      for (auto [step, factor] : llvm::zip(place.second, factors))
        step += factor * stride;
      place.first += factors.back() * stride;
    }
    return place;
  }

  static Attribute fold(tensor::ExtractSliceOp slice) {
    ElementsAttr weight;
    if (!matchPattern(slice.getSource(), m_Constant(&weight)) ||
        !slice.getOffsets().empty() || !slice.getSizes().empty() ||
        !slice.getStrides().empty() || !slice.hasUnitStride() ||
        !weight.getElementType().isIntOrFloat())
      return {};
    auto type = cast<RankedTensorType>(weight.getType());
    unsigned bits = type.getElementTypeBitWidth();
    ArrayRef<char> whole = weightBytes(weight);
    if (bits % 8 != 0 || whole.empty() ||
        int64_t(whole.size()) != type.getNumElements() * bits / 8)
      return {};
    if (isa<DenseElementsAttr>(weight)) { // a small one, of the module's own
      SmallVector<char> bytes(slice.getType().getNumElements() * bits / 8);
      char *to = bytes.data();
      copySlice(slice, type, whole, to);
      return DenseElementsAttr::getFromRawBuffer(slice.getType(), bytes);
    }
    if (ArrayRef<char> part = consecutive(slice, type, whole); !part.empty())
      // The whole blob lives as long as the context.
      return DenseResourceElementsAttr::get(
          slice.getType(), "slice",
          UnmanagedAsmResourceBlob::allocateWithAlign(part, bits / 8));
    return addWeight(slice.getType(), "slice",
                     [&](MutableArrayRef<char> bytes) {
                       char *to = bytes.data();
                       copySlice(slice, type, whole, to);
                     });
  }
};
} // namespace
} // namespace fulgur
