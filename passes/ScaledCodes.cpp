#include "passes/ScaledCodes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace fulgur;

std::optional<ScaledCodes> fulgur::matchScaledCodes(Value value) {
  ScaledCodes found;
  found.loop = value.getDefiningOp<linalg::GenericOp>();
  linalg::GenericOp loop = found.loop;
  if (!loop || !getElementTypeOrSelf(value.getType()).isF32() ||
      loop.getNumResults() != 1 || loop.getNumDpsInputs() < 1 ||
      loop.getNumDpsInputs() > 2 ||
      loop.getNumParallelLoops() != loop.getNumLoops())
    return std::nullopt;
  SmallVector<AffineMap> maps = loop.getIndexingMapsArray();
  found.codes = loop.getDpsInputs().front();
  if (!maps.front().isIdentity() || !maps.back().isIdentity() ||
      !getElementTypeOrSelf(found.codes.getType()).isInteger(8))
    return std::nullopt;
  if (loop.getNumDpsInputs() == 2) {
    found.scale = loop.getDpsInputs()[1];
    found.scaleMap = maps[1];
    if (!isa<RankedTensorType>(found.scale.getType()) ||
        !getElementTypeOrSelf(found.scale.getType()).isF32() ||
        !found.scaleMap.isProjectedPermutation(/*allowZeroInResults=*/true))
      return std::nullopt;
  }

  // A code, times scale and factor in any order.
  Block *body = loop.getBody();
  Value number = body->getTerminator()->getOperand(0);
  bool isScaled = false;
  while (auto product = number.getDefiningOp<arith::MulFOp>()) {
    Value left = product.getLhs(), right = product.getRhs();
    FloatAttr factor;
    if (isa<BlockArgument>(left) || matchPattern(left, m_Constant()))
      std::swap(left, right);
    if (matchPattern(right, m_Constant(&factor)))
      found.factor *= factor.getValueAsDouble();
    else if (found.scale && right == body->getArgument(1) && !isScaled)
      isScaled = true;
    else
      return std::nullopt;
    number = left;
  }
  auto convert = number.getDefiningOp<arith::SIToFPOp>();
  return convert && convert.getIn() == body->getArgument(0) &&
                 isScaled == bool(found.scale)
             ? std::optional(found)
             : std::nullopt;
}

Value fulgur::scaleRows(OpBuilder &builder, Location loc, Value codes,
                        Value scales, ArrayRef<OpFoldResult> sizes) {
  auto type = cast<RankedTensorType>(codes.getType());
  unsigned rank = type.getRank();
  AffineMap all = builder.getMultiDimIdentityMap(rank);
  SmallVector<Value> dynamic;
  for (auto [size, dim] : llvm::zip(sizes, type.getShape()))
    if (ShapedType::isDynamic(dim))
      dynamic.push_back(cast<Value>(size));
  Value init = tensor::EmptyOp::create(builder, loc, type.getShape(),
                                       builder.getF32Type(), dynamic);
  return linalg::GenericOp::create(
             builder, loc, init.getType(), ValueRange{codes, scales}, init,
             ArrayRef{all, all.dropResult(rank - 1), all},
             SmallVector<utils::IteratorType>(rank,
                                              utils::IteratorType::parallel),
             [](OpBuilder &b, Location loc, ValueRange v) {
               Value number =
                   arith::SIToFPOp::create(b, loc, b.getF32Type(), v[0]);
               number = arith::MulFOp::create(b, loc, number, v[1]);
               linalg::YieldOp::create(b, loc, number);
             })
      .getResult(0);
}
