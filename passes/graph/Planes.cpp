#include "passes/graph/Planes.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "passes/Dims.h"
#include "passes/WeightStore.h"

using namespace mlir;
using namespace fulgur;

std::optional<Planes> fulgur::matchPlanes(linalg::LinalgOp op, AffineMap map,
                                          tensor::PadOp pad) {
  FailureOr<linalg::ConvolutionDimensions> dims =
      linalg::inferConvolutionDims(op);
  if (failed(dims) || !dims->depth.empty() || dims->batch.size() != 1 ||
      dims->inputChannel.size() != 1)
    return std::nullopt;
  unsigned channel = dims->inputChannel[0];
  auto isLoop = [&](unsigned dim, unsigned loop) {
    return map.getResult(dim) == getAffineDimExpr(loop, op.getContext());
  };
  if (map.getNumResults() < 3 || !isLoop(0, dims->batch[0]) ||
      !isLoop(1, channel))
    return std::nullopt;
  for (unsigned dim : {0, 1})
    if (pad && (!isConstantIntValue(pad.getMixedLowPad()[dim], 0) ||
                !isConstantIntValue(pad.getMixedHighPad()[dim], 0)))
      return std::nullopt;
  return Planes{channel, op.getStaticLoopRanges()[channel], pad};
}

Value fulgur::joinPlanes(OpBuilder &builder, Location loc, Value image,
                         Planes planes, int64_t depth, Value filler,
                         AffineMap &map) {
  int64_t rank = map.getNumResults(),
          filled = llvm::alignTo(planes.channels, depth);
  SmallVector<OpFoldResult> none(rank, builder.getIndexAttr(0)), added = none;
  added[1] = builder.getIndexAttr(filled - planes.channels);
  if (filled != planes.channels)
    image =
        tensor::PadOp::create(builder, loc, Type(), image, none, added, filler);
  SmallVector<int64_t> order{0};
  llvm::append_range(order, llvm::seq<int64_t>(2, rank));
  order.push_back(1);
  FailureOr<SmallVector<OpFoldResult>> sizes = dimsOf(builder, image);
  if (failed(sizes))
    return {};
  applyPermutationToVector(*sizes, order);
  Value init = tensor::EmptyOp::create(builder, loc, *sizes, filler.getType());
  image = linalg::TransposeOp::create(builder, loc, image, init, order)
              ->getResult(0);
  if (planes.pad) {
    SmallVector<OpFoldResult> low = planes.pad.getMixedLowPad(),
                              high = planes.pad.getMixedHighPad();
    applyPermutationToVector(low, order);
    applyPermutationToVector(high, order);
    image = tensor::PadOp::create(builder, planes.pad.getLoc(), Type(), image,
                                  low, high, filler);
  }
  SmallVector<AffineExpr> exprs(map.getResults());
  applyPermutationToVector(exprs, order);
  map = AffineMap::get(map.getNumDims(), 0, exprs, builder.getContext());
  return image;
}

ElementsAttr fulgur::fillChannels(ElementsAttr weight, AffineMap map,
                                  Planes planes, int64_t depth) {
  int64_t filled = llvm::alignTo(planes.channels, depth);
  if (filled == planes.channels)
    return weight;
  // [..., channels, inner], in bytes.
  ShapedType type = weight.getShapedType();
  SmallVector<int64_t> shape(type.getShape());
  int64_t element = type.getElementTypeBitWidth() / 8, inner = element;
  for (int64_t dim = shape.size(); dim-- > 0; inner *= shape[dim])
    if (map.getResult(dim) ==
        getAffineDimExpr(planes.channel, weight.getContext())) {
      shape[dim] = filled;
      break;
    }
  ArrayRef<char> from = weightBytes(weight);
  bool isSplat = int64_t(from.size()) == element;
  int64_t piece = inner * planes.channels;
  return addWeight(RankedTensorType::get(shape, type.getElementType()),
                   "filled", [&](MutableArrayRef<char> to) {
                     for (int64_t k : llvm::seq<int64_t>(0, to.size())) {
                       int64_t at = k % (inner * filled),
                               source = k / (inner * filled) * piece + at;
                       to[k] = at >= piece
                                   ? 0
                                   : from[isSplat ? k % element : source];
                     }
                   });
}
