// Walks from a buffer to the operation that gave it its size.
#include "passes/memory/BufferDims.h"
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Dims.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace fulgur;

FailureOr<SmallVector<OpFoldResult>> fulgur::bufferDims(OpBuilder &b,
                                                        Value buffer) {
  auto type = cast<MemRefType>(buffer.getType());
  using Sizes = FailureOr<SmallVector<OpFoldResult>>;
  if (type.hasStaticShape())
    return getAsIndexOpFoldResult(b.getContext(), type.getShape());
  if (!buffer.getDefiningOp())
    return failure();
  return TypeSwitch<Operation *, Sizes>(buffer.getDefiningOp())
      .Case([&](BufferOp op) -> Sizes {
        return getMixedValues(type.getShape(), op.getSizes(), b);
      })
      .Case([&](memref::AllocOp op) -> Sizes { return op.getMixedSizes(); })
      .Case([&](memref::ExpandShapeOp op) -> Sizes {
        return op.getMixedOutputShape();
      })
      .Case([&](memref::CastOp op) { return bufferDims(b, op.getSource()); })
      .Case([&](memref::CollapseShapeOp op) -> Sizes {
        Sizes source = bufferDims(b, op.getSrc());
        if (failed(source))
          return failure();
        return collapseDims(b, op.getLoc(), *source,
                            op.getReassociationIndices());
      })
      .Default([](Operation *) { return failure(); });
}

int64_t fulgur::elementBytes(Type type) {
  if (type.isIndex())
    return 8;
  return llvm::divideCeil(type.getIntOrFloatBitWidth(), 8);
}

FailureOr<Value> fulgur::bufferBytes(OpBuilder &b, Value buffer) {
  Location loc = buffer.getLoc();
  auto dims = bufferDims(b, buffer);
  if (failed(dims))
    return failure();
  int64_t known =
      elementBytes(cast<MemRefType>(buffer.getType()).getElementType());
  Value product;
  for (OpFoldResult dim : *dims) {
    if (auto size = getConstantIntValue(dim))
      known *= *size;
    else
      product = product
                    ? arith::MulIOp::create(b, loc, product, cast<Value>(dim))
                          .getResult()
                    : cast<Value>(dim);
  }
  auto constant = [&](int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value).getResult();
  };
  if (!product)
    return constant(llvm::alignTo(known, kAlignment));
  Value bytes = arith::MulIOp::create(b, loc, product, constant(known));
  if (known % kAlignment == 0)
    return bytes;
  Value up = arith::AddIOp::create(b, loc, bytes, constant(kAlignment - 1));
  return arith::AndIOp::create(b, loc, up, constant(-kAlignment)).getResult();
}
