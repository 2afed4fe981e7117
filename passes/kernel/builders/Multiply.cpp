#include "passes/kernel/builders/Multiply.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace fulgur;

Multiplication::Multiplication(Type element, bool unsignedRow, int64_t lanes,
                               const Target &target)
    : lanes(lanes), element(element), stored(element),
      unsignedRow(unsignedRow) {
  if (element.isBF16()) {
    depth = 2;
    parts = target.bf16 && lanes >= 8 ? 1 : 2;
  } else if (element.isInteger(8)) {
    depth = 4;
    // Vectors of 32 and 64 bytes are those of x86.
    bool one = target.vnni || (lanes == 4 && target.dotprod);
    parts = one ? 1 : lanes < 8 ? 4 : 2;
    bothUnsigned = one && !target.vnni;
  }
}

Value fulgur::widenHalf(Emitter &e, Value half) {
  OpBuilder &b = e.builder;
  int64_t lanes = cast<VectorType>(half.getType()).getNumElements();
  auto real = VectorType::get(lanes, b.getF32Type());
  if (lanes >= 8)
    return arith::ExtFOp::create(b, e.loc, real, half);
  // CPUs with narrow vectors may have no instruction for it: the bits of the
  // number moved to their places in an f32, whose exponent is 112 too low then.
  auto word = VectorType::get(lanes, b.getI32Type());
  auto constant = [&](int64_t value) {
    return arith::ConstantOp::create(
        b, e.loc, DenseElementsAttr::get(word, b.getI32IntegerAttr(value)));
  };
  Value bits = arith::BitcastOp::create(
      b, e.loc, VectorType::get(lanes, b.getI16Type()), half);
  bits = arith::ExtSIOp::create(b, e.loc, word, bits);
  bits = arith::ShLIOp::create(b, e.loc, bits, constant(13));
  bits = arith::AndIOp::create(b, e.loc, bits, constant(0x8fffe000));
  return arith::MulFOp::create(b, e.loc,
                               arith::BitcastOp::create(b, e.loc, real, bits),
                               e.real(0x1p112, real));
}

Type Multiplication::sumType() const {
  MLIRContext *context = element.getContext();
  return isInteger() ? Type(IntegerType::get(context, 32))
                     : Type(Float32Type::get(context));
}

VectorType Multiplication::laneType() const {
  return VectorType::get(
      lanes, depth == 1 ? element : IntegerType::get(element.getContext(), 32));
}

Value Multiplication::row(Emitter &e, Value flat, Value position, Value stride,
                          Value count) const {
  OpBuilder &b = e.builder;
  if (depth == 1) {
    Value number = memref::LoadOp::create(b, e.loc, flat, position);
    if (number.getType() != element)
      number = arith::ExtFOp::create(b, e.loc, element, number);
    return e.broadcast(number, lanes);
  }
  Value step;
  int64_t bits = 32 / depth;
  if (!count && stride && known(stride) == 1) {
    Value all = vector::LoadOp::create(
        b, e.loc, VectorType::get(depth, element), flat, position);
    Type bits = isInteger() ? Type(b.getI32Type()) : Type(b.getF32Type());
    all = vector::BitCastOp::create(b, e.loc, VectorType::get(1, bits), all);
    step = vector::ExtractOp::create(b, e.loc, all, ArrayRef<int64_t>{0});
    step = e.broadcast(step, lanes);
    return b.createOrFold<vector::BitCastOp>(e.loc, laneType(), step);
  }
  for (int64_t d : llvm::seq(depth)) {
    Value exists = count ? e.less(e.index(d), count) : Value(),
          at = count ? e.min(e.index(d), e.sub(count, e.index(1))) : e.index(d);
    if (exists && known(exists) == 0)
      break;
    Value number = memref::LoadOp::create(
        b, e.loc, flat, stride ? e.add(position, e.mul(stride, at)) : position);
    if (!isInteger())
      number = arith::BitcastOp::create(b, e.loc, b.getI16Type(), number);
    number = arith::ExtUIOp::create(b, e.loc, b.getI32Type(), number);
    if (exists && !known(exists))
      number = arith::SelectOp::create(b, e.loc, exists, number,
                                       e.zero(b.getI32Type()));
    if (d > 0) {
      number = arith::ShLIOp::create(
          b, e.loc, number,
          arith::ConstantIntOp::create(b, e.loc, b.getI32Type(), d * bits));
      number = arith::OrIOp::create(b, e.loc, step, number);
    }
    step = number;
  }
  return e.broadcast(step, lanes);
}

Value Multiplication::columns(Emitter &e, Value flat, Value position,
                              Value mask) const {
  Value read =
      readColumns(e, flat, position, e.index(1), {lanes * depth, mask});
  if (stored != element)
    return widenHalf(e, read);
  return depth == 1
             ? read
             : vector::BitCastOp::create(e.builder, e.loc, laneType(), read);
}

Value Multiplication::part(Emitter &e, Value step, int64_t number,
                           bool ofRow) const {
  OpBuilder &b = e.builder;
  if (depth == 1)
    return step;
  auto constant = [&](VectorType type, int64_t value) {
    return arith::ConstantOp::create(
        b, e.loc,
        DenseElementsAttr::get(
            type, IntegerAttr::get(type.getElementType(),
                                   APInt(type.getElementTypeBitWidth(), value,
                                         /*isSigned=*/false,
                                         /*implicitTrunc=*/true))));
  };
  if (bothUnsigned && ofRow != unsignedRow)
    step =
        arith::XOrIOp::create(b, e.loc, step, constant(laneType(), 0x80808080));
  if (parts == 1) // as the instruction's type wants it
    return LLVM::BitcastOp::create(b, e.loc, memoryType(), step);
  if (element.isBF16()) { // the upper half of an f32
    Value bits =
        number == 0
            ? arith::ShLIOp::create(b, e.loc, step, constant(laneType(), 16))
                  .getResult()
            : arith::AndIOp::create(b, e.loc, step,
                                    constant(laneType(), 0xffff0000));
    return arith::BitcastOp::create(
        b, e.loc, VectorType::get(lanes, b.getF32Type()), bits);
  }
  // Byte `number` of each wider integer, extended.
  int64_t bits = parts == 2 ? 16 : 32;
  auto type = VectorType::get(lanes * 32 / bits, b.getIntegerType(bits));
  if (type != laneType())
    step = vector::BitCastOp::create(b, e.loc, type, step);
  bool isUnsigned = ofRow == unsignedRow;
  if (int64_t above = bits - 8 * (number + 1))
    step = arith::ShLIOp::create(b, e.loc, step, constant(type, above));
  Value left = constant(type, bits - 8);
  return isUnsigned ? arith::ShRUIOp::create(b, e.loc, step, left).getResult()
                    : arith::ShRSIOp::create(b, e.loc, step, left);
}

Value Multiplication::multiply(Emitter &e, Value row, Value column,
                               Value sum) const {
  OpBuilder &b = e.builder;
  auto call = [&](Type type, const Twine &name, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(b, e.loc, type, b.getStringAttr(name),
                                         operands)
        .getResults();
  };
  if (element.isBF16() && parts == 1)
    return call(sum.getType(),
                lanes == 16 ? "llvm.x86.avx512bf16.dpbf16ps.512"
                            : "llvm.x86.avx512bf16.dpbf16ps.256",
                {sum, column, row});
  if (!isInteger())
    return vector::FMAOp::create(b, e.loc, row, column, sum);
  if (parts == 1) { // takes the unsigned bytes first
    if (!unsignedRow)
      std::swap(row, column);
    if (bothUnsigned) { // u * (s + 128) - u * 128
      Value offset = arith::ConstantOp::create(
          b, e.loc,
          DenseElementsAttr::get(memoryType(),
                                 b.getIntegerAttr(b.getI8Type(), -128)));
      auto dot = [&](Value sum, Value column) {
        return call(sum.getType(), "llvm.aarch64.neon.udot.v4i32.v16i8",
                    {sum, row, column});
      };
      Value added = dot(sum, column),
            surplus = dot(e.zero(sum.getType()), offset);
      return arith::SubIOp::create(b, e.loc, added, surplus);
    }
    if (lanes == 4)
      return call(sum.getType(), "llvm.aarch64.neon.usdot.v4i32.v16i8",
                  {sum, row, column});
    return call(sum.getType(),
                lanes == 16 ? "llvm.x86.avx512.vpdpbusd.512"
                            : "llvm.x86.avx512.vpdpbusd.256",
                {sum, row, column});
  }
  Value product = parts == 2 ? call(sum.getType(),
                                    lanes == 16 ? "llvm.x86.avx512.pmaddw.d.512"
                                                : "llvm.x86.avx2.pmadd.wd",
                                    {row, column})
                             : arith::MulIOp::create(b, e.loc, row, column);
  return add(e, sum, product);
}

Value Multiplication::add(Emitter &e, Value a, Value b) const {
  if (isInteger())
    return arith::AddIOp::create(e.builder, e.loc, a, b);
  return arith::AddFOp::create(e.builder, e.loc, a, b);
}
