#include "passes/Convolution.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "passes/ByteProduct.h"

using namespace mlir;

/// What a factor was before it was widened.
static Value narrowOf(Value factor) {
  if (auto wide = factor.getDefiningOp<arith::ExtFOp>())
    return wide.getIn();
  return factor;
}

bool fulgur::addsProducts(Block *body) {
  if (body->getNumArguments() != 3)
    return false;
  Value sum = body->getTerminator()->getOperand(0);
  Operation *add = sum.getDefiningOp();
  BlockArgument in = body->getArgument(0), weight = body->getArgument(1),
                out = body->getArgument(2);
  if (!isa_and_nonnull<arith::AddFOp, arith::AddIOp>(add) ||
      !llvm::is_contained(add->getOperands(), out))
    return false;
  Operation *product =
      add->getOperand(add->getOperand(0) == out ? 1 : 0).getDefiningOp();
  if (!isa_and_nonnull<arith::MulFOp, arith::MulIOp>(product))
    return false;
  Value left = narrowOf(product->getOperand(0)),
        right = narrowOf(product->getOperand(1));
  return (left == in && right == weight) || (left == weight && right == in);
}

bool fulgur::isConvolution(Operation *op) {
  auto linalgOp = dyn_cast_or_null<linalg::LinalgOp>(op);
  return linalgOp && linalgOp.hasPureTensorSemantics() &&
         linalgOp.getNumDpsInputs() == 2 && linalgOp.getNumDpsInits() == 1 &&
         linalg::isaConvolutionOpInterface(linalgOp) &&
         (addsProducts(linalgOp.getBlock()) ||
          matchByteProduct(linalgOp.getBlock()));
}

bool fulgur::isPool(Operation *op) {
  auto linalgOp = dyn_cast_or_null<linalg::LinalgOp>(op);
  if (!linalgOp || !linalgOp.hasPureTensorSemantics() ||
      linalgOp.getNumDpsInputs() != 2 || linalgOp.getNumDpsInits() != 1 ||
      !linalg::isaConvolutionOpInterface(linalgOp))
    return false;
  Block *body = linalgOp.getBlock();
  Operation *fold = body->getTerminator()->getOperand(0).getDefiningOp();
  if (!fold)
    return false;
  Type type = fold->getResult(0).getType();
  bool isOfReals =
           isa<arith::AddFOp, arith::MaximumFOp, arith::MinimumFOp>(fold),
       isOfBytes = isa<arith::MaxUIOp, arith::MaxSIOp>(fold);
  bool isNarrow = isa<arith::MaximumFOp>(fold) && type.isBF16();
  if ((!isOfReals || !type.isF32()) && (!isOfBytes || !type.isInteger(8)) &&
      !isNarrow)
    return false;
  Value in = body->getArgument(0), out = body->getArgument(2);
  return (fold->getOperand(0) == in && fold->getOperand(1) == out) ||
         (fold->getOperand(0) == out && fold->getOperand(1) == in);
}

std::optional<std::pair<unsigned, int64_t>> fulgur::scaledLoop(AffineExpr at) {
  int64_t factor = 1;
  if (auto product = dyn_cast<AffineBinaryOpExpr>(at);
      product && product.getKind() == AffineExprKind::Mul) {
    auto constant = dyn_cast<AffineConstantExpr>(product.getRHS());
    if (!constant || constant.getValue() < 1)
      return std::nullopt;
    factor = constant.getValue();
    at = product.getLHS();
  }
  if (auto dim = dyn_cast<AffineDimExpr>(at))
    return std::pair(dim.getPosition(), factor);
  return std::nullopt;
}
