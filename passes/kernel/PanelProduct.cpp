#include "passes/kernel/PanelProduct.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/Emitter.h"

using namespace mlir;
using namespace fulgur;

bool fulgur::isPanelProduct(linalg::LinalgOp op, int64_t vectorBytes) {
  if (!isa<scf::ForOp>(op->getParentOp()) ||
      !linalg::isaContractionOpInterface(op))
    return false;
  AffineExpr row, panel, column, step;
  bindDims(op.getContext(), row, panel, column, step);
  if (op.getIndexingMapsArray() !=
      AffineMap::inferFromExprList(
          ArrayRef<ArrayRef<AffineExpr>>{
              {row, step}, {panel, step, column}, {row, panel, column}},
          op.getContext()))
    return false;
  return llvm::all_of(op->getOperands(), [&](Value operand) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    return type && type.getElementType().isF32() &&
           (type.getRank() == 2 ||
            (type.isLastDimUnitStride() && !type.isDynamicDim(2) &&
             type.getDimSize(2) * 4 % vectorBytes == 0));
  });
}

void fulgur::emitPanelProduct(linalg::LinalgOp op, int64_t vectorBytes,
                              int64_t vectorRegisters) {
  OpBuilder builder(op);
  Emitter e{builder, op.getLoc()};
  Value a = op.getDpsInputs()[0], b = op.getDpsInputs()[1],
        out = op.getDpsInits()[0];
  int64_t lanes = vectorBytes / 4,
          vectors = cast<MemRefType>(b.getType()).getDimSize(2) / lanes;
  auto vector = VectorType::get(lanes, builder.getF32Type());
  Value rows = e.dim(a, 0), steps = e.dim(a, 1), panels = e.dim(b, 0);

  auto tile = [&](Value panel, Value row, int64_t count) {
    int64_t width = vectors;
    while (count * width > vectorRegisters * 3 / 4)
      width = llvm::divideCeilSigned(width, 2);
    for (int64_t first = 0; first < vectors; first += width) {
      int64_t last = std::min(first + width, vectors);
      SmallVector<Value> sums;
      auto forEach =
          [&](llvm::function_ref<void(Value row, Value column)> use) {
            for (int64_t i : llvm::seq(count))
              for (int64_t v : llvm::seq(first, last))
                use(e.add(row, i), e.index(v * lanes));
          };
      forEach([&](Value row, Value column) {
        sums.push_back(vector::LoadOp::create(builder, e.loc, vector, out,
                                              ValueRange{row, panel, column}));
      });
      sums = e.loop(
          e.index(0), steps, 1, sums, [&](Value step, ValueRange before) {
            SmallVector<Value> columns, next;
            for (int64_t v : llvm::seq(first, last))
              columns.push_back(vector::LoadOp::create(
                  builder, e.loc, vector, b,
                  ValueRange{panel, step, e.index(v * lanes)}));
            for (int64_t i : llvm::seq(count)) {
              Value element = e.broadcast(
                  memref::LoadOp::create(builder, e.loc, a,
                                         ValueRange{e.add(row, i), step}),
                  lanes);
              for (Value column : columns)
                next.push_back(vector::FMAOp::create(
                    builder, e.loc, element, column, before[next.size()]));
            }
            return next;
          });
      auto *sum = sums.begin();
      forEach([&](Value row, Value column) {
        vector::StoreOp::create(builder, e.loc, *sum++, out,
                                ValueRange{row, panel, column});
      });
    }
  };
  // Every other step of the loop around it begins with the panels that the
  // step before ended with, which may still be in a cache.
  auto around = op->getParentOfType<scf::ForOp>();
  Value isOdd = builder.createOrFold<arith::CmpIOp>(
      e.loc, arith::CmpIPredicate::ne,
      e.remainder(around.getInductionVar(), e.index(2)), e.index(0));
  e.loop(e.index(0), panels, 1, [&](Value number) {
    Value panel = builder.createOrFold<arith::SelectOp>(
        e.loc, isOdd, e.sub(e.add(panels, -1), number), number);
    Value done = e.index(0);
    for (int64_t count : {6, 3, 2, 1}) {
      Value some = e.mul(e.floorDiv(e.sub(rows, done), e.index(count)), count);
      Value end = e.add(done, some);
      e.loop(done, end, count, [&](Value row) { tile(panel, row, count); });
      done = end;
    }
  });
}
