// Numbers of few bits that no product takes as they are, as a loop that makes
// floats of them; where a loop picks single ones, there.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Passes.h"
#include "passes/kernel/builders/Gather.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_DECOMPOSEDEQUANTIZE
#include "passes/Passes.h.inc"

namespace {

bool isProduct(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  return linalgOp && linalg::isaContractionOpInterface(linalgOp);
}

/// Whether `user` multiplies `weights`, or picks the matrices from them that
/// products multiply.
bool isTakenBy(Operation *user, Value weights) {
  if (isProduct(user))
    return true;
  Operation *op = user;
  while (op && !isa<linalg::GenericOp>(op))
    op = op->getParentOp(); // the reading is in the loop
  if (!op || op->getNumResults() != 1)
    return false;
  std::optional<RowGather> gather = matchRowGather(op->getResult(0));
  return gather && gather->table == weights &&
         llvm::all_of(op->getUsers(), isProduct);
}

bool isTaken(DequantizeOp op) {
  if (auto kernel = op->getParentOfType<KernelOp>())
    return kernel.getSchedule() && kernel.getSchedule()->getKind() != "generic";
  // Codes that rows are picked from may be packed for a product.
  return llvm::all_of(op->getUsers(), [&](Operation *user) {
    return isa<tensor::ExtractOp>(user) || isTakenBy(user, op.getResult());
  });
}

/// The loop's body, for one element of the result.
struct Element {
  DequantizeOp op;
  OpBuilder &b;
  Location loc;
  SmallVector<Value> at;

  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(b, loc, value);
  }
  Value integer(int64_t value) {
    return arith::ConstantIntOp::create(b, loc, b.getI32Type(), value);
  }
  Value over(Value value, int64_t divisor) {
    return divisor == 1
               ? value
               : b.createOrFold<arith::DivUIOp>(loc, value, index(divisor));
  }
  Value modulo(Value value, int64_t divisor) {
    return b.createOrFold<arith::RemUIOp>(loc, value, index(divisor));
  }

  /// The place in panels: `depth` steps of the axis lie together.
  SmallVector<Value> inPanel(int64_t depth) {
    int64_t pack = op.getPack();
    Value other = at[op.otherDim()];
    SmallVector<Value> place(ArrayRef(at).drop_back(2));
    place.append({over(other, pack), over(at[op.getAxis()], depth),
                  modulo(other, pack)});
    return place;
  }

  SmallVector<Value> placeOfScale() {
    if (op.getPack())
      return inPanel(op.getBlock());
    SmallVector<Value> place = at;
    place[op.getAxis()] = over(place[op.getAxis()], op.getBlock());
    return place;
  }

  Value real(Value tensor, ValueRange place) {
    Value number = tensor::ExtractOp::create(b, loc, tensor, place);
    return number.getType().isF32()
               ? number
               : arith::ExtFOp::create(b, loc, b.getF32Type(), number);
  }

  /// The integer of the `bits` bits above `shift` (null: 0) of a byte, as f32.
  Value code(Value tensor, ValueRange place, Value shift, int64_t bits) {
    Value byte = tensor::ExtractOp::create(b, loc, tensor, place);
    int64_t unused = 32 - bits;
    byte = arith::ExtUIOp::create(b, loc, b.getI32Type(), byte);
    // Up to the highest bits, and down again with the sign or without.
    Value up = integer(unused);
    if (shift)
      up = arith::SubIOp::create(
          b, loc, up,
          arith::IndexCastOp::create(b, loc, b.getI32Type(), shift));
    Value high = arith::ShLIOp::create(b, loc, byte, up);
    Value low =
        op.getIsSigned()
            ? arith::ShRSIOp::create(b, loc, high, integer(unused)).getResult()
            : arith::ShRUIOp::create(b, loc, high, integer(unused));
    return arith::SIToFPOp::create(b, loc, b.getF32Type(), low);
  }

  /// A code two of which may lie in a byte along the last dim.
  Value codeAlongLast(Value tensor, SmallVector<Value> place) {
    int64_t perByte = op.getPerByte();
    if (perByte == 1)
      return code(tensor, place, {}, op.getBits());
    Value shift = b.createOrFold<arith::MulIOp>(
        loc, modulo(place.back(), perByte), index(op.getBits()));
    place.back() = over(place.back(), perByte);
    return code(tensor, place, shift, op.getBits());
  }

  Value code() {
    if (!op.getPack())
      return codeAlongLast(op.getCodes(), at);
    Value step = at[op.getAxis()];
    SmallVector<Value> place = inPanel(op.depth());
    place.push_back(modulo(step, 4));
    Value half = over(modulo(step, op.depth()), 4);
    return code(op.getCodes(), place,
                b.createOrFold<arith::MulIOp>(loc, half, index(4)),
                op.getBits());
  }

  Value zero() {
    if (!op.getZero())
      return arith::ConstantOp::create(
          b, loc, b.getF32FloatAttr(float(op.getOffset())));
    SmallVector<Value> place = placeOfScale();
    if (!getElementTypeOrSelf(op.getZero()).isInteger(8))
      return real(op.getZero(), place);
    return op.getPack() ? code(op.getZero(), place, {}, /*bits=*/8)
                        : codeAlongLast(op.getZero(), place);
  }

  Value number() {
    Value number = arith::MulFOp::create(
        b, loc, arith::SubFOp::create(b, loc, code(), zero()),
        real(op.getScale(), placeOfScale()));
    Type type = op.resultType().getElementType();
    return type.isF32() ? number
                        : arith::TruncFOp::create(b, loc, type, number);
  }
};

struct DecomposeDequantize
    : impl::DecomposeDequantizeBase<DecomposeDequantize> {
  void runOnOperation() override {
    getOperation()->walk([](DequantizeOp op) {
      if (isTaken(op))
        return;
      OpBuilder builder(op);
      for (Operation *user : llvm::make_early_inc_range(op->getUsers()))
        if (auto pick = dyn_cast<tensor::ExtractOp>(user)) {
          builder.setInsertionPoint(pick);
          Element element{op, builder, pick.getLoc(),
                          llvm::to_vector(pick.getIndices())};
          pick.replaceAllUsesWith(element.number());
          pick.erase();
        }
      if (op->use_empty())
        return op.erase();
      builder.setInsertionPoint(op);
      RankedTensorType type = op.resultType();
      int64_t rank = type.getRank();
      Value empty = tensor::EmptyOp::create(
          builder, op.getLoc(), type.getShape(), type.getElementType());
      auto loop = linalg::GenericOp::create(
          builder, op.getLoc(), type, ValueRange(), empty,
          ArrayRef<AffineMap>{builder.getMultiDimIdentityMap(rank)},
          SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel),
          [&](OpBuilder &b, Location loc, ValueRange) {
            SmallVector<Value> at;
            for (int64_t dim : llvm::seq(rank))
              at.push_back(linalg::IndexOp::create(b, loc, dim));
            Value number = Element{op, b, loc, at}.number();
            linalg::YieldOp::create(b, loc, number);
          });
      op.replaceAllUsesWith(loop.getResult(0));
      op.erase();
    });
  }
};
} // namespace
} // namespace fulgur
