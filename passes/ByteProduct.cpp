#include "passes/ByteProduct.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;

/// Whether `value` is the byte extended without its sign; nothing when it is
/// not the byte extended to 32 bits.
static std::optional<bool> extensionOf(Value value, BlockArgument byte) {
  Operation *op = value.getDefiningOp();
  if (!isa_and_nonnull<arith::ExtUIOp, arith::ExtSIOp>(op) ||
      op->getOperand(0) != byte || !value.getType().isInteger(32))
    return std::nullopt;
  return isa<arith::ExtUIOp>(op);
}

std::optional<fulgur::ByteProduct> fulgur::matchByteProduct(Block *body) {
  if (body->getNumArguments() != 3 ||
      !body->getArgument(0).getType().isInteger(8) ||
      !body->getArgument(1).getType().isInteger(8))
    return std::nullopt;
  auto add =
      body->getTerminator()->getOperand(0).getDefiningOp<arith::AddIOp>();
  BlockArgument sum = body->getArgument(2);
  if (!add || (add.getLhs() != sum && add.getRhs() != sum))
    return std::nullopt;
  auto product = (add.getLhs() == sum ? add.getRhs() : add.getLhs())
                     .getDefiningOp<arith::MulIOp>();
  if (!product)
    return std::nullopt;
  for (auto [a, b] : {std::pair(product.getLhs(), product.getRhs()),
                      std::pair(product.getRhs(), product.getLhs())}) {
    auto unsignedA = extensionOf(a, body->getArgument(0)),
         unsignedB = extensionOf(b, body->getArgument(1));
    if (unsignedA && unsignedB)
      return ByteProduct{*unsignedA, *unsignedB};
  }
  return std::nullopt;
}
