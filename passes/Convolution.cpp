#include "passes/Convolution.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "passes/ByteProduct.h"

using namespace mlir;

/// Whether the body is `out + in * weight`, of one type.
static bool addsProducts(Block *body) {
  if (body->getNumArguments() != 3)
    return false;
  Value sum = body->getTerminator()->getOperand(0);
  auto add = sum.getDefiningOp<arith::AddFOp>();
  BlockArgument in = body->getArgument(0), weight = body->getArgument(1),
                out = body->getArgument(2);
  if (!add || (add.getLhs() != out && add.getRhs() != out))
    return false;
  Value other = add.getLhs() == out ? add.getRhs() : add.getLhs();
  auto product = other.getDefiningOp<arith::MulFOp>();
  return product && ((product.getLhs() == in && product.getRhs() == weight) ||
                     (product.getLhs() == weight && product.getRhs() == in));
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
  if (!isa_and_nonnull<arith::AddFOp, arith::MaximumFOp, arith::MinimumFOp>(
          fold) ||
      !fold->getResult(0).getType().isF32())
    return false;
  Value in = body->getArgument(0), out = body->getArgument(2);
  return (fold->getOperand(0) == in && fold->getOperand(1) == out) ||
         (fold->getOperand(0) == out && fold->getOperand(1) == in);
}
