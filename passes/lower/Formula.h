// Arithmetic of scalars or vectors, for functions that are spelled as formulas.
#pragma once
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

namespace fulgur {
/// Scalar or vector arithmetic of f32 or f64, spelled as formulas.
struct Formula {
  mlir::OpBuilder &b;
  mlir::Location loc;
  mlir::Type type;

  /// As many of another element type.
  mlir::Type of(mlir::Type element) const {
    auto vector = llvm::dyn_cast<mlir::VectorType>(type);
    return vector ? mlir::Type(vector.clone(element)) : element;
  }
  /// The same formulas of f64.
  Formula wide() const { return {b, loc, of(b.getF64Type())}; }
  unsigned width() const {
    return mlir::getElementTypeOrSelf(type).getIntOrFloatBitWidth();
  }
  mlir::Type integers() const { return of(b.getIntegerType(width())); }
  mlir::Value constant(mlir::TypedAttr scalar, mlir::Type type) const {
    if (auto vector = llvm::dyn_cast<mlir::VectorType>(type))
      return mlir::arith::ConstantOp::create(
          b, loc, mlir::DenseElementsAttr::get(vector, scalar));
    return mlir::arith::ConstantOp::create(b, loc, scalar);
  }
  mlir::Value real(double value) const {
    return constant(b.getFloatAttr(mlir::getElementTypeOrSelf(type), value),
                    type);
  }
  mlir::Value integer(int32_t value) const {
    return constant(b.getIntegerAttr(b.getIntegerType(width()), value),
                    integers());
  }
  mlir::Value add(mlir::Value x, mlir::Value y) const {
    return mlir::arith::AddFOp::create(b, loc, x, y);
  }
  mlir::Value sub(mlir::Value x, mlir::Value y) const {
    return mlir::arith::SubFOp::create(b, loc, x, y);
  }
  mlir::Value mul(mlir::Value x, mlir::Value y) const {
    return mlir::arith::MulFOp::create(b, loc, x, y);
  }
  /// x * y + z, fused where the target can: llvm.fmuladd never becomes a call.
  mlir::Value fma(mlir::Value x, mlir::Value y, mlir::Value z) const {
    return mlir::LLVM::FMulAddOp::create(b, loc, x, y, z);
  }
  /// The coefficients' polynomial, lowest first.
  mlir::Value polynomial(llvm::ArrayRef<float> coefficients,
                         mlir::Value x) const {
    mlir::Value sum = real(coefficients.back());
    for (float coefficient : llvm::reverse(coefficients.drop_back()))
      sum = fma(sum, x, real(coefficient));
    return sum;
  }
  /// One instruction each; a NaN stays.
  mlir::Value atMost(mlir::Value x, float bound) const {
    return pick(mlir::arith::CmpFPredicate::OGT, x, bound);
  }
  mlir::Value atLeast(mlir::Value x, float bound) const {
    return pick(mlir::arith::CmpFPredicate::OLT, x, bound);
  }
  mlir::Value bits(mlir::Value x) const {
    return mlir::arith::BitcastOp::create(b, loc, integers(), x);
  }
  mlir::Value fromBits(mlir::Value x) const {
    return mlir::arith::BitcastOp::create(b, loc, type, x);
  }
  mlir::Value addi(mlir::Value x, mlir::Value y) const {
    return mlir::arith::AddIOp::create(b, loc, x, y);
  }
  mlir::Value subi(mlir::Value x, mlir::Value y) const {
    return mlir::arith::SubIOp::create(b, loc, x, y);
  }
  mlir::Value shl(mlir::Value x, int32_t by) const {
    return mlir::arith::ShLIOp::create(b, loc, x, integer(by));
  }
  mlir::Value andi(mlir::Value x, int32_t mask) const {
    return mlir::arith::AndIOp::create(b, loc, x, integer(mask));
  }
  mlir::Value xori(mlir::Value x, mlir::Value y) const {
    return mlir::arith::XOrIOp::create(b, loc, x, y);
  }
  /// A magnitude with the sign of x.
  mlir::Value withSign(mlir::Value magnitude, mlir::Value x) const {
    return fromBits(mlir::arith::OrIOp::create(b, loc, bits(magnitude),
                                               andi(bits(x), INT32_MIN)));
  }
  mlir::Value select(mlir::Value condition, mlir::Value yes,
                     mlir::Value no) const {
    return mlir::arith::SelectOp::create(b, loc, condition, yes, no);
  }
  /// Whether an angle is 2^13 or more, or NaN.
  mlir::Value isLarge(mlir::Value x) const {
    return mlir::arith::CmpFOp::create(b, loc, mlir::arith::CmpFPredicate::UGE,
                                       mlir::math::AbsFOp::create(b, loc, x),
                                       real(0x1p13));
  }
  /// x + kRound has round(x) in its low bits.
  static constexpr float kRound = 12582912.0f; // 1.5 * 2²³
  /// The same of f64.
  static constexpr double kRoundWide = 0x1.8p52;

private:
  mlir::Value pick(mlir::arith::CmpFPredicate predicate, mlir::Value x,
                   float bound) const {
    mlir::Value limit = real(bound);
    return mlir::arith::SelectOp::create(
        b, loc, mlir::arith::CmpFOp::create(b, loc, predicate, x, limit), limit,
        x);
  }
};
} // namespace fulgur
