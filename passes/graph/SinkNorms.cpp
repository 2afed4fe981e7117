// Group normalization of images whose channels are last.
//
//   norm(reshape(T⁻¹(x))) = reshape(T⁻¹(norm'(x)))
//
// where each row of the norm is a group of whole channels. The sums of a group
// are those of its channels, so that images are read and written by loops over
// channels only; what belongs to a group is computed on a number for each
// channel.
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Matchers.h"
#include "passes/Dims.h"
#include "passes/graph/Layouts.h"

using namespace mlir;
using namespace fulgur;

namespace {
using Body = llvm::function_ref<Value(OpBuilder &, ValueRange)>;

/// Loops over tensors of known shape.
struct Loops {
  OpBuilder &b;
  Location loc;

  AffineMap map(unsigned rank, ArrayRef<unsigned> dims) {
    return AffineMap::getMultiDimMapWithTargets(rank, dims, b.getContext());
  }
  Value real(double value) {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(float(value)));
  }
  Value generic(ArrayRef<Value> inputs, ArrayRef<AffineMap> maps, Value init,
                unsigned reductions, Body body) {
    unsigned rank = maps.front().getNumDims();
    SmallVector<utils::IteratorType> kinds(rank, utils::IteratorType::parallel);
    for (unsigned dim : llvm::seq(rank))
      if (!maps.back().isFunctionOfDim(dim) && reductions)
        kinds[dim] = utils::IteratorType::reduction;
    return linalg::GenericOp::create(
               b, loc, init.getType(), inputs, init, maps, kinds,
               [&](OpBuilder &inside, Location, ValueRange v) {
                 linalg::YieldOp::create(inside, loc, body(inside, v));
               })
        .getResult(0);
  }
  Value empty(ArrayRef<int64_t> shape) {
    return tensor::EmptyOp::create(b, loc, shape, b.getF32Type());
  }
  Value zeros(ArrayRef<int64_t> shape) {
    return linalg::FillOp::create(b, loc, real(0), empty(shape)).getResult(0);
  }
};
} // namespace

/// What `value` is a chain of reshapes of.
static Value throughReshapes(Value value) {
  while (auto *op = value.getDefiningOp()) {
    if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

/// What the reshapes that alone use `value` make of it once it has
/// `type`.
static Value reshapedTo(Value value, Type type) {
  while (value.getType() != type) {
    if (!value.hasOneUse() ||
        !isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
            *value.user_begin()))
      return {};
    value = value.user_begin()->getResult(0);
  }
  return value;
}

LogicalResult Layouts::sinkNorm(LayerNormOp op) {
  Value image = throughReshapes(op.getInput());
  linalg::TransposeOp transpose = layoutOf(image);
  DenseElementsAttr scale;
  if (!transpose || op.getBias() ||
      !matchPattern(op.getScale(), m_Constant(&scale)) || !scale.isSplat() ||
      !scale.getSplatValue<APFloat>().isExactlyValue(1.0) ||
      !putsChannelsFirst(transpose.getPermutation(), transpose))
    return failure();
  auto type = cast<RankedTensorType>(image.getType()),
       rows = cast<RankedTensorType>(op.getInput().getType());
  Value result = reshapedTo(op.getResult(), type);
  if (!result || !type.hasStaticShape() || !rows.hasStaticShape() ||
      !type.getElementType().isF32())
    return failure();
  ArrayRef<int64_t> shape = type.getShape();
  int64_t batch = shape[0], channels = shape[1], rank = shape.size(),
          length = 1, places = type.getNumElements() / (batch * channels);
  for (int64_t size : rows.getShape().drop_front(op.getAxis()))
    length *= size;
  int64_t ofGroup = length / places;
  if (ofGroup == 0 || length % places != 0 || channels % ofGroup != 0)
    return failure();
  int64_t groups = channels / ofGroup;

  Loops l{rewriter, op.getLoc()};
  Value x = transpose.getInput();
  SmallVector<unsigned> all = llvm::to_vector(llvm::seq<unsigned>(0, rank)),
                        each = {0, unsigned(rank - 1)};
  SmallVector<int64_t> grouped{batch, groups, ofGroup};
  SmallVector<ReassociationIndices> split{{0}, {1, 2}};
  AffineMap whole = l.map(rank, all), perChannel = l.map(rank, each);
  auto squared = [&](OpBuilder &b, Value v) -> Value {
    return arith::MulFOp::create(b, l.loc, v, v);
  };
  auto less = [&](OpBuilder &b, Value v, Value mean) -> Value {
    return arith::SubFOp::create(b, l.loc, v, mean);
  };
  /// What `finish` makes of the mean of a group, for each of its channels.
  auto meanOf = [&](Value sums, auto finish) {
    AffineMap in = l.map(3, {0, 1, 2}), out = l.map(3, {0, 1});
    Value parts = tensor::ExpandShapeOp::create(
        rewriter, l.loc, RankedTensorType::get(grouped, type.getElementType()),
        sums, split);
    Value sum = l.generic({parts}, {in, out}, l.zeros({batch, groups}), 1,
                          [&](OpBuilder &b, ValueRange v) -> Value {
                            return arith::AddFOp::create(b, l.loc, v[1], v[0]);
                          });
    Value count = l.real(double(length));
    Value spread = l.generic(
        {sum}, {out, in}, l.empty(grouped), 0, [&](OpBuilder &b, ValueRange v) {
          return finish(
              b, arith::DivFOp::create(b, l.loc, v[0], count).getResult());
        });
    return tensor::CollapseShapeOp::create(rewriter, l.loc, spread, split)
        .getResult();
  };
  auto sumOf = [&](ArrayRef<Value> inputs, ArrayRef<AffineMap> maps,
                   Body element) {
    return l.generic(inputs, maps, l.zeros({batch, channels}), 1,
                     [&](OpBuilder &b, ValueRange v) -> Value {
                       return arith::AddFOp::create(b, l.loc, v.back(),
                                                    element(b, v));
                     });
  };
  Value mean = meanOf(sumOf({x}, {whole, perChannel},
                            [](OpBuilder &, ValueRange v) { return v[0]; }),
                      [](OpBuilder &, Value v) { return v; });
  Value epsilon = l.real(op.getEpsilon().convertToDouble()), one = l.real(1);
  Value factor =
      meanOf(sumOf({x, mean}, {whole, perChannel, perChannel},
                   [&](OpBuilder &b, ValueRange v) {
                     return squared(b, less(b, v[0], v[1]));
                   }),
             [&](OpBuilder &b, Value v) -> Value {
               Value root = math::SqrtOp::create(
                   b, l.loc, arith::AddFOp::create(b, l.loc, v, epsilon));
               return arith::DivFOp::create(b, l.loc, one, root);
             });
  Value normal = l.generic(
      {x, mean, factor}, {whole, perChannel, perChannel, whole},
      l.empty(cast<RankedTensorType>(x.getType()).getShape()), 0,
      [&](OpBuilder &b, ValueRange v) -> Value {
        return arith::MulFOp::create(b, l.loc, less(b, v[0], v[1]), v[2]);
      });
  FailureOr<Value> order = transposed(normal, transpose.getPermutation());
  if (failed(order))
    return failure();
  layouts.insert(order->getDefiningOp());
  rewriter.replaceAllUsesWith(result, *order); // what it was goes as dead
  return success();
}
