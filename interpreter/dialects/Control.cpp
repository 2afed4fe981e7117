// func, cf, affine and ub: calls, branches and arithmetic on indices.
#include "interpreter/Machine.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/UB/IR/UBOps.h"

using namespace mlir;

namespace fulgur::interpreter {

static int64_t evaluate(AffineExpr expression, ArrayRef<int64_t> dims,
                        ArrayRef<int64_t> symbols) {
  switch (expression.getKind()) {
  case AffineExprKind::Constant:
    return cast<AffineConstantExpr>(expression).getValue();
  case AffineExprKind::DimId:
    return dims[cast<AffineDimExpr>(expression).getPosition()];
  case AffineExprKind::SymbolId:
    return symbols[cast<AffineSymbolExpr>(expression).getPosition()];
  default:
    break;
  }
  auto binary = cast<AffineBinaryOpExpr>(expression);
  int64_t a = evaluate(binary.getLHS(), dims, symbols),
          b = evaluate(binary.getRHS(), dims, symbols);
  if (expression.getKind() == AffineExprKind::Add)
    return a + b;
  if (expression.getKind() == AffineExprKind::Mul)
    return a * b;
  if (b == 0)
    return 0; // undefined, and what follows from it in a loop never run
  int64_t quotient = a / b, rest = a % b;
  bool inexact = rest != 0, apart = (a < 0) != (b < 0);
  if (expression.getKind() == AffineExprKind::FloorDiv)
    return quotient - (inexact && apart);
  if (expression.getKind() == AffineExprKind::CeilDiv)
    return quotient + (inexact && !apart);
  return rest < 0 ? rest + std::abs(b) : rest;
}

SmallVector<int64_t, 6> evaluateMap(AffineMap map, ArrayRef<int64_t> operands) {
  SmallVector<int64_t, 6> results;
  for (AffineExpr expression : map.getResults())
    results.push_back(evaluate(expression,
                               operands.take_front(map.getNumDims()),
                               operands.drop_front(map.getNumDims())));
  return results;
}

/// The results of an affine operation's map.
static SmallVector<int64_t, 6> results(Machine &machine, const Step &step,
                                       AffineMap map) {
  SmallVector<int64_t, 4> operands;
  for (unsigned i = 0; i < step.operands.size(); ++i)
    operands.push_back(machine.integer(step, i));
  return evaluateMap(map, operands);
}

static void runCall(Machine &machine, const Step &step) {
  SmallVector<Value> arguments;
  for (unsigned i = 0; i < step.operands.size(); ++i)
    arguments.push_back(machine.value(step, i));
  auto results = machine.call(step.as<func::CallOp>().getCallee(), arguments);
  if (!results)
    return;
  for (auto [i, result] : llvm::enumerate(*results))
    machine.set(step, i, result);
}

void registerControl(Registry &registry) {
  registry.add<func::CallOp>(runCall);
  registry.add<func::ReturnOp>(
      [](Machine &machine, const Step &step) { machine.yield(step); });

  registry.add<cf::BranchOp>([](Machine &machine, const Step &step) {
    machine.jump(step, 0, step.as<cf::BranchOp>().getDestOperands());
  });
  registry.add<cf::CondBranchOp>([](Machine &machine, const Step &step) {
    auto op = step.as<cf::CondBranchOp>();
    machine.integer(step, 0) ? machine.jump(step, 0, op.getTrueDestOperands())
                             : machine.jump(step, 1, op.getFalseDestOperands());
  });
  registry.add<cf::SwitchOp>([](Machine &machine, const Step &step) {
    auto op = step.as<cf::SwitchOp>();
    int64_t flag = machine.integer(step, 0);
    if (auto cases = op.getCaseValues())
      for (auto [i, value] : llvm::enumerate(cases->getValues<APInt>()))
        if (value.getSExtValue() == flag)
          return machine.jump(step, 1 + i, op.getCaseOperands(i));
    machine.jump(step, 0, op.getDefaultOperands());
  });
  registry.add<cf::AssertOp>([](Machine &machine, const Step &step) {
    if (!machine.integer(step, 0))
      machine.stop(Ending::stopped, step.as<cf::AssertOp>().getMsg());
  });

  registry.add<affine::AffineApplyOp>([](Machine &machine, const Step &step) {
    auto map = step.as<affine::AffineApplyOp>().getAffineMap();
    machine.set(step, 0, Scalar::of(results(machine, step, map)[0]));
  });
  registry.add<affine::AffineMinOp>([](Machine &machine, const Step &step) {
    auto map = step.as<affine::AffineMinOp>().getAffineMap();
    machine.set(step, 0,
                Scalar::of(*llvm::min_element(results(machine, step, map))));
  });
  registry.add<affine::AffineMaxOp>([](Machine &machine, const Step &step) {
    auto map = step.as<affine::AffineMaxOp>().getAffineMap();
    machine.set(step, 0,
                Scalar::of(*llvm::max_element(results(machine, step, map))));
  });

  registry.add<ub::PoisonOp>([](Machine &machine, const Step &step) {
    auto type = step.op->getResult(0).getType();
    if (auto vector = dyn_cast<VectorType>(type)) {
      auto lanes = llvm::makeIntrusiveRefCnt<Lanes>();
      lanes->lanes.resize(vector.getNumElements());
      return machine.set(step, 0, lanes);
    }
    if (isa<ShapedType>(type))
      return machine.unknown(step, "an array");
    machine.set(step, 0, Value());
  });
}

} // namespace fulgur::interpreter
