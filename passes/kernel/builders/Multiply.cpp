#include "passes/kernel/builders/Multiply.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace fulgur;

Multiplication::Multiplication(Type element, int64_t lanes,
                               const Target &target)
    : lanes(lanes), element(element) {
  if (!element.isBF16())
    return;
  depth = 2;
  parts = target.bf16 && lanes == 16 ? 1 : 2;
}

VectorType Multiplication::laneType() const {
  return VectorType::get(
      lanes, depth == 1 ? element : IntegerType::get(element.getContext(), 32));
}

Value Multiplication::row(Emitter &e, Value flat, Value position, Value stride,
                          bool half) const {
  OpBuilder &b = e.builder;
  if (depth == 1)
    return e.broadcast(memref::LoadOp::create(b, e.loc, flat, position), lanes);
  Value pair;
  if (!half && stride && known(stride) == 1) {
    Value both = vector::LoadOp::create(b, e.loc, VectorType::get(2, element),
                                        flat, position);
    both = vector::BitCastOp::create(b, e.loc,
                                     VectorType::get(1, b.getI32Type()), both);
    pair = vector::ExtractOp::create(b, e.loc, both, ArrayRef<int64_t>{0});
  } else {
    auto bitsAt = [&](Value position) {
      Value number = memref::LoadOp::create(b, e.loc, flat, position);
      number = arith::BitcastOp::create(b, e.loc, b.getI16Type(), number);
      return arith::ExtUIOp::create(b, e.loc, b.getI32Type(), number);
    };
    pair = bitsAt(position);
    if (!half) {
      Value second = bitsAt(stride ? e.add(position, stride) : position);
      second = arith::ShLIOp::create(
          b, e.loc, second,
          arith::ConstantIntOp::create(b, e.loc, b.getI32Type(), 16));
      pair = arith::OrIOp::create(b, e.loc, pair, second);
    }
  }
  return e.broadcast(pair, lanes);
}

Value Multiplication::columns(Emitter &e, Value flat, Value position,
                              Value mask) const {
  Value read =
      readColumns(e, flat, position, e.index(1), {lanes * depth, mask});
  return depth == 1
             ? read
             : vector::BitCastOp::create(e.builder, e.loc, laneType(), read);
}

Value Multiplication::part(Emitter &e, Value step, int64_t number) const {
  OpBuilder &b = e.builder;
  if (depth == 1)
    return step;
  if (parts == 1) // as the instruction's type wants it
    return LLVM::BitcastOp::create(b, e.loc, memoryType(), step);
  // A bfloat16 is the upper half of an f32.
  auto constant = [&](uint32_t value) {
    return arith::ConstantOp::create(
        b, e.loc,
        DenseElementsAttr::get(laneType(), b.getI32IntegerAttr(value)));
  };
  Value bits =
      number == 0
          ? arith::ShLIOp::create(b, e.loc, step, constant(16)).getResult()
          : arith::AndIOp::create(b, e.loc, step, constant(0xffff0000));
  return arith::BitcastOp::create(b, e.loc,
                                  VectorType::get(lanes, b.getF32Type()), bits);
}

Value Multiplication::multiply(Emitter &e, Value row, Value column,
                               Value sum) const {
  OpBuilder &b = e.builder;
  if (depth == 2 && parts == 1)
    return LLVM::CallIntrinsicOp::create(
               b, e.loc, sum.getType(),
               b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
               ValueRange{sum, row, column})
        .getResults();
  return vector::FMAOp::create(b, e.loc, row, column, sum);
}
