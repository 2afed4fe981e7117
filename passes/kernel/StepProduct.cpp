#include "passes/kernel/StepProduct.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace fulgur;

std::optional<StepProduct> fulgur::matchStepProduct(KernelOp kernel,
                                                    Operation *op) {
  auto product = dyn_cast<linalg::LinalgOp>(op);
  if (!product || !isa<scf::ForOp>(op->getParentOp()) ||
      !linalg::isaContractionOpInterface(product) || op->getNumResults() != 1 ||
      !llvm::all_of(op->getOperandTypes(), [](Type type) {
        return isa<RankedTensorType>(type) &&
               getElementTypeOrSelf(type).isF32();
      }))
    return std::nullopt;
  AffineExpr row, column, step;
  bindDims(op->getContext(), row, column, step);
  if (product.getIndexingMapsArray() !=
      AffineMap::inferFromExprList(
          ArrayRef<ArrayRef<AffineExpr>>{
              {row, step}, {column, step}, {row, column}},
          op->getContext()))
    return std::nullopt;
  auto weights = dyn_cast<BlockArgument>(product.getDpsInputs()[1]);
  auto fill = product.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill || !fill.getOutputs()[0].getDefiningOp<tensor::EmptyOp>() ||
      !weights || weights.getOwner() != kernel.bodyBlock() ||
      weights.getArgNumber() >= kernel.getInputs().size() ||
      !weights.hasOneUse() ||
      !matchPattern(kernel.getInputs()[weights.getArgNumber()], m_Constant()))
    return std::nullopt;
  return StepProduct{product, weights};
}

void StepProduct::readPanels() {
  OpBuilder b(op);
  Location loc = op.getLoc();
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  auto empty = fill.getOutputs()[0].getDefiningOp<tensor::EmptyOp>();
  auto panels = cast<RankedTensorType>(weights.getType());
  SmallVector<OpFoldResult> sizes = empty.getMixedSizes();
  OpFoldResult rows = sizes[0], columns = sizes[1];
  int64_t padded = panels.getDimSize(0) * kPack;

  Value sums = tensor::EmptyOp::create(
      b, loc,
      {rows, b.getIndexAttr(panels.getDimSize(0)), b.getIndexAttr(kPack)},
      b.getF32Type());
  sums = linalg::FillOp::create(b, loc, fill.getInputs(), sums).getResult(0);
  AffineExpr row, panel, column, step;
  bindDims(b.getContext(), row, panel, column, step);
  using enum utils::IteratorType;
  Value product =
      linalg::GenericOp::create(
          b, loc, sums.getType(), ValueRange{op.getDpsInputs()[0], weights},
          sums,
          AffineMap::inferFromExprList(
              ArrayRef<ArrayRef<AffineExpr>>{
                  {row, step}, {panel, step, column}, {row, panel, column}},
              b.getContext()),
          ArrayRef{parallel, parallel, parallel, reduction},
          [](OpBuilder &inner, Location loc, ValueRange in) {
            Value one = arith::MulFOp::create(inner, loc, in[0], in[1]);
            Value sum = arith::AddFOp::create(inner, loc, in[2], one);
            linalg::YieldOp::create(inner, loc, sum);
          })
          .getResult(0);
  int64_t count = cast<RankedTensorType>(sums.getType()).getDimSize(0);
  Value flat = tensor::CollapseShapeOp::create(
      b, loc, RankedTensorType::get({count, padded}, b.getF32Type()), product,
      ArrayRef<ReassociationIndices>{{0}, {1, 2}});
  if (getConstantIntValue(columns) != padded)
    flat = tensor::ExtractSliceOp::create(
        b, loc, cast<RankedTensorType>(op->getResult(0).getType()), flat,
        ArrayRef<OpFoldResult>{b.getIndexAttr(0), b.getIndexAttr(0)},
        ArrayRef<OpFoldResult>{rows, columns},
        ArrayRef<OpFoldResult>{b.getIndexAttr(1), b.getIndexAttr(1)});
  op->getResult(0).replaceAllUsesWith(flat);
  op.erase();
}
