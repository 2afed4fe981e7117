#include "passes/kernel/builders/Gather.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace fulgur;

/// Whether the map gives dim 0, and zeros behind it.
static bool isFirstDim(AffineMap map) {
  return map.getNumResults() > 0 && map.getResult(0).isFunctionOfDim(0) &&
         map.isProjectedPermutation(/*allowZeroInResults=*/true) &&
         llvm::all_of(map.getResults().drop_front(),
                      llvm::IsaPred<AffineConstantExpr>);
}

std::optional<RowGather> fulgur::matchRowGather(Value value) {
  auto loop = value.getDefiningOp<linalg::GenericOp>();
  if (!loop || loop.getNumParallelLoops() != loop.getNumLoops() ||
      loop.getNumLoops() < 2 || loop.getNumDpsInputs() != 1 ||
      loop.getNumDpsInits() != 1 ||
      !loop.getMatchingIndexingMap(loop.getDpsInitOperand(0)).isIdentity() ||
      !isFirstDim(loop.getMatchingIndexingMap(loop.getDpsInputOperand(0))) ||
      !isa<RankedTensorType>(loop.getDpsInputs()[0].getType()))
    return std::nullopt;
  Block &body = *loop.getBody();
  auto extract =
      body.getTerminator()->getOperand(0).getDefiningOp<tensor::ExtractOp>();
  if (!extract || extract->getBlock() != &body ||
      extract.getTensor().getParentBlock() == &body ||
      extract.getIndices().size() != loop.getNumLoops())
    return std::nullopt;
  auto table = cast<RankedTensorType>(extract.getTensor().getType()),
       result = cast<RankedTensorType>(value.getType());
  if (table.getShape().drop_front() != result.getShape().drop_front())
    return std::nullopt;
  for (auto [position, index] : llvm::enumerate(extract.getIndices())) {
    auto at = index.getDefiningOp<linalg::IndexOp>();
    if (position > 0 ? !at || at.getDim() != position : at != nullptr)
      return std::nullopt;
  }
  for (Operation &op : body.without_terminator()) {
    if (&op == extract.getOperation() ||
        (isa<linalg::IndexOp>(op) && cast<linalg::IndexOp>(op).getDim() > 0))
      continue;
    // The rest computes the row's place, from scalars.
    if (!isa<arith::ArithDialect>(op.getDialect()) ||
        llvm::any_of(op.getOperands(), [&](Value operand) {
          return operand.getDefiningOp<linalg::IndexOp>() ||
                 (operand.getParentBlock() != &body &&
                  !matchPattern(operand, m_Constant()));
        }))
      return std::nullopt;
  }
  return RowGather{loop, extract.getTensor()};
}

Value fulgur::pickRow(Emitter &e, const KernelSite &site, RowGather gather,
                      Value i) {
  OpBuilder &b = e.builder;
  Block &body = *gather.loop.getBody();
  IRMapping mapping;
  mapping.map(body.getArgument(0),
              memref::LoadOp::create(
                  b, e.loc, e.flatten(site.operand(gather.indices())), i));
  auto bring = [&](Value value) {
    if (value.getParentBlock() != &body && !mapping.contains(value))
      mapping.map(value, b.clone(*value.getDefiningOp())->getResult(0));
  };
  for (Operation &op : body.without_terminator()) {
    if (!isa<arith::ArithDialect>(op.getDialect()))
      continue;
    llvm::for_each(op.getOperands(), bring);
    b.clone(op, mapping)->setLoc(e.loc);
  }
  auto extract =
      body.getTerminator()->getOperand(0).getDefiningOp<tensor::ExtractOp>();
  Value row = extract.getIndices().front();
  bring(row);
  return mapping.lookup(row);
}
