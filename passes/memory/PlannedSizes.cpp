// Sizes are sums, products, quotients and choices of symbols; what they are
// bounded by, or about how large they are, follows operation by operation.
#include "passes/memory/PlannedSizes.h"
#include "dialects/Fulgur.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace fulgur {
TypicalSizes::TypicalSizes(ModuleOp module) {
  if (auto known = module->getAttrOfType<ArrayAttr>(kSymbolsAttr))
    for (auto symbol : known.getAsRange<DictionaryAttr>()) {
      int64_t min = symbol.getAs<IntegerAttr>("min").getInt(),
              max = symbol.getAs<IntegerAttr>("max").getInt();
      sizes[symbol.getAs<StringAttr>("name").getValue()] =
          std::clamp<int64_t>(96, min, max);
    }
}

int64_t TypicalSizes::operator()(Value value) {
  if (auto it = known.find(value); it != known.end())
    return it->second;
  return known[value] = compute(value);
}

int64_t TypicalSizes::compute(Value value) {
  Operation *op = value.getDefiningOp();
  if (auto constant = getConstantIntValue(value))
    return *constant;
  if (auto symbol = dyn_cast_or_null<SymbolOp>(op))
    return sizes.lookup(symbol.getName());
  if (auto choice = dyn_cast_or_null<arith::SelectOp>(op))
    return (*this)((*this)(choice.getCondition()) ? choice.getTrueValue()
                                                  : choice.getFalseValue());
  if (isa_and_nonnull<arith::IndexCastUIOp>(op))
    return (*this)(op->getOperand(0));
  if (!op || op->getNumOperands() != 2)
    return 96;
  int64_t a = (*this)(op->getOperand(0)), b = (*this)(op->getOperand(1));
  if (auto compare = dyn_cast<arith::CmpIOp>(op))
    return arith::applyCmpPredicate(compare.getPredicate(), APInt(64, a, true),
                                    APInt(64, b, true));
  // Sizes that are far from typical come out as any number.
  if (isa<arith::AddIOp>(op))
    return int64_t(uint64_t(a) + uint64_t(b));
  if (isa<arith::SubIOp>(op))
    return int64_t(uint64_t(a) - uint64_t(b));
  if (isa<arith::MulIOp>(op))
    return int64_t(uint64_t(a) * uint64_t(b));
  if (isa<arith::AndIOp>(op))
    return a & b;
  if (isa<arith::MaxSIOp, arith::MaxUIOp>(op))
    return std::max(a, b);
  if (isa<arith::MinSIOp, arith::MinUIOp>(op))
    return std::min(a, b);
  if (b > 0 && isa<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp>(op))
    return a / b;
  if (b > 0 && isa<arith::CeilDivSIOp, arith::CeilDivUIOp>(op))
    return llvm::divideCeil(a, b);
  if (b > 0 && isa<arith::RemSIOp, arith::RemUIOp>(op))
    return a % b;
  return std::max(a, b);
}

Value PlannedSizes::rebuild(Value value, OpBuilder &builder,
                            IRMapping &mapping) {
  if (Value known = mapping.lookupOrNull(value))
    return known;
  if (dependsOnData(value)) {
    Value most = bound(value, /*upper=*/true, builder, mapping);
    if (most)
      mapping.map(value, most);
    return most;
  }
  Operation *op = value.getDefiningOp();
  if (op->getNumRegions() != 0)
    return {};
  for (Value operand : op->getOperands())
    if (!rebuild(operand, builder, mapping))
      return {};
  builder.clone(*op, mapping);
  return mapping.lookup(value);
}

/// The least or the greatest that index arithmetic on run-time sizes can
/// give, each of which is from 0 to its bound. Factors and divisors that are
/// not constants are sizes, which are not negative.
Value PlannedSizes::bound(Value value, bool upper, OpBuilder &b,
                          IRMapping &mapping) {
  if (!dependsOnData(value))
    return rebuild(value, b, mapping);
  Operation *op = value.getDefiningOp();
  Location loc = value.getLoc();
  if (auto bounded = dyn_cast_or_null<BoundedOp>(op))
    return upper ? rebuild(bounded.getBound(), b, mapping)
                 : arith::ConstantIndexOp::create(b, loc, 0).getResult();
  if (auto apply = dyn_cast_or_null<affine::AffineApplyOp>(op))
    return bound(apply.getAffineMap().getResult(0), apply, upper, b, mapping);
  if (auto choice = dyn_cast_or_null<arith::SelectOp>(op)) {
    Value x = bound(choice.getTrueValue(), upper, b, mapping),
          y = bound(choice.getFalseValue(), upper, b, mapping);
    if (!x || !y)
      return {};
    return upper ? arith::MaxSIOp::create(b, loc, x, y).getResult()
                 : arith::MinSIOp::create(b, loc, x, y).getResult();
  }
  if (isa_and_nonnull<arith::IndexCastUIOp>(op) &&
      op->getOperand(0).getType().isInteger(1)) // a condition as a number
    return arith::ConstantIndexOp::create(b, loc, upper);
  if (!op || !isMemoryEffectFree(op) || op->getNumOperands() != 2 ||
      op->getNumResults() != 1)
    return {};
  Value x = op->getOperand(0), y = op->getOperand(1);
  bool upperX = upper, upperY = upper;
  auto isNegative = [](Value v) {
    auto constant = getConstantIntValue(v);
    return constant && *constant < 0;
  };
  if (isa<arith::MulIOp>(op)) {
    upperX ^= isNegative(y);
    upperY ^= isNegative(x);
  } else if (isa<arith::SubIOp>(op)) {
    upperY = !upper;
  } else if (isa<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp,
                 arith::CeilDivSIOp, arith::CeilDivUIOp>(op)) {
    upperX ^= isNegative(y);
    upperY = !upper;
  } else if (isa<arith::RemSIOp, arith::RemUIOp>(op)) {
    return upper ? bound(y, true, b, mapping)
                 : arith::ConstantIndexOp::create(b, loc, 0).getResult();
  } else if (!isa<arith::AddIOp, arith::MaxSIOp, arith::MaxUIOp, arith::MinSIOp,
                  arith::MinUIOp>(op) &&
             !(isa<arith::AndIOp>(op) && isNegative(y))) {
    return {}; // the AND rounds down to a multiple of the alignment
  }
  Value boundX = bound(x, upperX, b, mapping),
        boundY = bound(y, upperY, b, mapping);
  if (!boundX || !boundY)
    return {};
  if (isa<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp,
          arith::CeilDivSIOp, arith::CeilDivUIOp>(op) &&
      !getConstantIntValue(boundY))
    boundY = arith::MaxSIOp::create(b, loc, boundY,
                                    arith::ConstantIndexOp::create(b, loc, 1));
  IRMapping parts;
  parts.map(x, boundX);
  parts.map(y, boundY);
  return b.clone(*op, parts)->getResult(0);
}

/// The same for a part of an affine expression.
Value PlannedSizes::bound(AffineExpr expr, affine::AffineApplyOp apply,
                          bool upper, OpBuilder &b, IRMapping &mapping) {
  Location loc = apply.getLoc();
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return arith::ConstantIndexOp::create(b, loc, constant.getValue());
  if (auto dim = dyn_cast<AffineDimExpr>(expr))
    return bound(apply.getDimOperands()[dim.getPosition()], upper, b, mapping);
  if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
    return bound(apply.getSymbolOperands()[symbol.getPosition()], upper, b,
                 mapping);
  auto binary = cast<AffineBinaryOpExpr>(expr);
  // The right-hand side of everything but a sum is a constant, or a size.
  auto constant = dyn_cast<AffineConstantExpr>(binary.getRHS());
  bool isSum = expr.getKind() == AffineExprKind::Add;
  bool turns = !isSum && constant && constant.getValue() < 0;
  Value x = bound(binary.getLHS(), apply, upper ^ turns, b, mapping),
        y = bound(binary.getRHS(), apply, upper, b, mapping);
  if (!x || !y)
    return {};
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return arith::AddIOp::create(b, loc, x, y);
  case AffineExprKind::Mul:
    return arith::MulIOp::create(b, loc, x, y);
  case AffineExprKind::FloorDiv:
    return constant ? arith::FloorDivSIOp::create(b, loc, x, y).getResult()
                    : Value();
  case AffineExprKind::CeilDiv:
    return constant ? arith::CeilDivSIOp::create(b, loc, x, y).getResult()
                    : Value();
  default: // a remainder
    return upper ? y : arith::ConstantIndexOp::create(b, loc, 0).getResult();
  }
}

Value PlannedSizes::estimate(Value value, OpBuilder &builder,
                             IRMapping &mapping) {
  llvm::DenseMap<Value, Value> known;
  return estimate(value, builder, mapping, known);
}

Value PlannedSizes::estimate(Value value, OpBuilder &b, IRMapping &mapping,
                             llvm::DenseMap<Value, Value> &known) {
  if (Value done = known.lookup(value))
    return done;
  Operation *op = value.getDefiningOp();
  Location loc = value.getLoc();
  Value result;
  if (auto bounded = dyn_cast<BoundedOp>(op)) {
    result = estimate(bounded.getBound(), b, mapping, known);
  } else if (auto choice = dyn_cast<arith::SelectOp>(op)) {
    result = arith::SelectOp::create(
        b, loc, rebuild(choice.getCondition(), b, mapping),
        estimate(choice.getTrueValue(), b, mapping, known),
        estimate(choice.getFalseValue(), b, mapping, known));
  } else if (op->getNumOperands() != 2) {
    Value wide = arith::IndexCastOp::create(b, loc, b.getI64Type(),
                                            rebuild(value, b, mapping));
    result = arith::SIToFPOp::create(b, loc, b.getF64Type(), wide);
  } else {
    Value x = estimate(op->getOperand(0), b, mapping, known),
          y = estimate(op->getOperand(1), b, mapping, known);
    result =
        llvm::TypeSwitch<Operation *, Value>(op)
            .Case([&](arith::MulIOp) {
              return arith::MulFOp::create(b, loc, x, y);
            })
            .Case([&](arith::SubIOp) {
              return arith::SubFOp::create(b, loc, x, y);
            })
            .Case<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp>(
                [&](auto) { return arith::DivFOp::create(b, loc, x, y); })
            .Case<arith::MaxSIOp, arith::MaxUIOp>(
                [&](auto) { return arith::MaximumFOp::create(b, loc, x, y); })
            .Case<arith::MinSIOp, arith::MinUIOp>(
                [&](auto) { return arith::MinimumFOp::create(b, loc, x, y); })
            .Case<arith::RemSIOp, arith::RemUIOp>([&](auto) { return y; })
            .Case([&](arith::AndIOp) { return x; }) // rounding to the alignment
            .Default([&](Operation *) {
              return arith::AddFOp::create(b, loc, x, y);
            });
  }
  return known[value] = result;
}
} // namespace fulgur
