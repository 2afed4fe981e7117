#include "passes/kernel/builders/WinogradWeights.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace fulgur;

std::array<float, 4> fulgur::transformWindow(float a, float b, float c) {
  float outer = 0.5f * (a + c), inner = 0.5f * b;
  return {a, outer + inner, outer - inner, c};
}

/// L.
static DenseElementsAttr restoring(Builder &builder) {
  static const float matrix[] = {1, 0, 0, 0, 0, 1, -1, 0, 0, 0, 0, 1};
  return DenseElementsAttr::get(
      RankedTensorType::get({3, 4}, builder.getF32Type()), ArrayRef(matrix));
}

/// The maps of the generic: both Ls, the transformed weights, the weights.
static SmallVector<AffineMap> restoringMaps(const Convolution &c,
                                            MLIRContext *context) {
  auto loop = [&](unsigned ofConvolution) {
    unsigned dim =
        llvm::find(c.weightLoops, int(ofConvolution)) - c.weightLoops.begin();
    return getAffineDimExpr(dim, context);
  };
  AffineExpr a = getAffineDimExpr(4, context), b = getAffineDimExpr(5, context);
  auto map = [&](ArrayRef<AffineExpr> at) {
    return AffineMap::get(6, 0, at, context);
  };
  return {map({loop(c.spatial[0].window), a}),
          map({loop(c.spatial[1].window), b}),
          map({a, b, loop(*c.filter), loop(*c.channel)}),
          AffineMap::getMultiDimIdentityMap(6, context).getMajorSubMap(4)};
}

Value fulgur::restoreWeights(OpBuilder &builder, Location loc,
                             const Convolution &c, Value transformed,
                             RankedTensorType type) {
  Value matrix = arith::ConstantOp::create(builder, loc, restoring(builder));
  Value empty = tensor::EmptyOp::create(builder, loc, type.getShape(),
                                        type.getElementType());
  Value zero = arith::ConstantOp::create(
      builder, loc, builder.getZeroAttr(type.getElementType()));
  Value init = linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
  SmallVector<utils::IteratorType> kinds(4, utils::IteratorType::parallel);
  kinds.append(2, utils::IteratorType::reduction);
  auto restore = linalg::GenericOp::create(
      builder, loc, type, ValueRange{matrix, matrix, transformed}, init,
      restoringMaps(c, builder.getContext()), kinds,
      [](OpBuilder &b, Location loc, ValueRange v) {
        Value factor = arith::MulFOp::create(b, loc, v[0], v[1]);
        Value product = arith::MulFOp::create(b, loc, factor, v[2]);
        Value sum = arith::AddFOp::create(b, loc, v[3], product);
        linalg::YieldOp::create(b, loc, sum);
      });
  return restore.getResult(0);
}

Value fulgur::transformedWeights(const Convolution &c) {
  auto restore = c.weights.getDefiningOp<linalg::GenericOp>();
  if (!restore || restore.getNumDpsInputs() != 3 ||
      restore.getNumReductionLoops() != 2 || c.spatial.size() != 2 ||
      !c.filter || !c.channel || c.group || c.weightLoops.size() != 4 ||
      restore.getIndexingMapsArray() != restoringMaps(c, restore.getContext()))
    return {};
  Builder builder(restore.getContext());
  for (Value matrix : restore.getInputs().take_front(2)) {
    Attribute constant;
    if (!matchPattern(matrix, m_Constant(&constant)) ||
        constant != restoring(builder))
      return {};
  }
  // No other generic takes two such matrices to such maps.
  return restore.getInputs()[2];
}
