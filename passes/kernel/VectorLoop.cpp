#include "passes/kernel/VectorLoop.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace fulgur;

bool VectorLoop::hasVectors(Type buffer) {
  auto type = dyn_cast<MemRefType>(buffer);
  return type && type.getElementType().isF32() && type.isLastDimUnitStride();
}

bool VectorLoop::exists() {
  if (op.getNumParallelLoops() != op.getNumLoops())
    return false;
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    bool isContiguous = map.getNumResults() != 0 &&
                        isAlong(map.getResults().back()) &&
                        hasVectors(operand.get().getType());
    ArrayRef<AffineExpr> fixed =
        map.getResults().drop_back(isContiguous ? 1 : 0);
    if ((op.isDpsInit(&operand) && !isContiguous) ||
        !llvm::all_of(map.getResults(),
                      llvm::IsaPred<AffineDimExpr, AffineConstantExpr>) ||
        llvm::any_of(fixed, [&](AffineExpr expr) { return isAlong(expr); }))
      return false;
  }
  return llvm::all_of(op.getBlock()->without_terminator(), [&](Operation &op) {
    if (isa<linalg::IndexOp>(op))
      return true;
    if (auto load = dyn_cast<memref::LoadOp>(op)) {
      ValueRange at = load.getIndices();
      bool isContiguous =
          !at.empty() && isAlong(at.back()) && hasVectors(load.getMemRefType());
      return llvm::none_of(at.drop_back(isContiguous ? 1 : 0),
                           [&](Value index) { return isAlong(index); });
    }
    return OpTrait::hasElementwiseMappableTraits(&op) &&
           op.getNumResults() == 1 &&
           llvm::none_of(op.getOperands(),
                         [&](Value operand) { return isAlong(operand); });
  });
}

void VectorLoop::emit(OpBuilder &builder, ArrayRef<Value> index) {
  Location loc = op.getLoc();
  auto vectorOf = [&](Type element) { return VectorType::get(lanes, element); };
  auto inLanes = [&](Value value) -> Value {
    return isa<VectorType>(value.getType())
               ? value
               : vector::BroadcastOp::create(builder, loc,
                                             vectorOf(value.getType()), value);
  };
  auto load = [&](Value buffer, ValueRange at, bool isContiguous) -> Value {
    Type element = cast<MemRefType>(buffer.getType()).getElementType();
    if (isContiguous)
      return vector::LoadOp::create(builder, loc, vectorOf(element), buffer,
                                    at);
    return memref::LoadOp::create(builder, loc, buffer, at);
  };
  auto placeOf = [&](AffineMap map) {
    SmallVector<Value> at;
    for (AffineExpr expr : map.getResults())
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        at.push_back(index[dim.getPosition()]);
      else
        at.push_back(arith::ConstantIndexOp::create(
            builder, loc, cast<AffineConstantExpr>(expr).getValue()));
    return at;
  };
  IRMapping mapping;
  for (OpOperand &operand : op->getOpOperands()) {
    BlockArgument argument = op.getMatchingBlockArgument(&operand);
    if (argument.use_empty())
      continue;
    AffineMap map = op.getMatchingIndexingMap(&operand);
    mapping.map(argument, isa<MemRefType>(operand.get().getType())
                              ? load(operand.get(), placeOf(map),
                                     map.getNumResults() != 0 &&
                                         isAlong(map.getResults().back()))
                              : operand.get());
  }
  for (Operation &inside : op.getBlock()->without_terminator()) {
    if (auto number = dyn_cast<linalg::IndexOp>(inside)) {
      mapping.map(number.getResult(), index[number.getDim()]);
      continue;
    }
    SmallVector<Value> operands;
    for (Value operand : inside.getOperands())
      operands.push_back(mapping.lookupOrDefault(operand));
    if (auto read = dyn_cast<memref::LoadOp>(inside)) {
      ValueRange at = read.getIndices();
      mapping.map(read.getResult(),
                  load(operands[0], ArrayRef(operands).drop_front(),
                       !at.empty() && isAlong(at.back())));
      continue;
    }
    if (llvm::none_of(ValueRange(operands).getTypes(),
                      llvm::IsaPred<VectorType>)) {
      builder.clone(inside, mapping); // the same in all lanes
      continue;
    }
    for (Value &operand : operands)
      operand = inLanes(operand);
    Operation *wide = builder.create(
        loc, inside.getName().getIdentifier(), operands,
        vectorOf(inside.getResult(0).getType()), inside.getAttrs());
    mapping.map(inside.getResult(0), wide->getResult(0));
  }
  for (auto [init, value] :
       llvm::zip(op.getDpsInitsMutable(),
                 op.getBlock()->getTerminator()->getOperands()))
    vector::StoreOp::create(builder, loc,
                            inLanes(mapping.lookupOrDefault(value)), init.get(),
                            placeOf(op.getMatchingIndexingMap(&init)));
}
