// Layer and RMS normalization. The variance is that of the centred row,
// computed in a pass of its own: the difference of mean(x²) and mean(x)² loses
// all digits when the mean is large.
#include "mlir/Dialect/Math/IR/Math.h"
#include "passes/kernel/builders/Rows.h"

using namespace mlir;
using namespace fulgur;

static bool acceptsNorm(KernelOp kernel) {
  std::optional<RowKernel> rows = matchRows(kernel);
  return rows && isa<LayerNormOp, RMSNormOp>(rows->operation);
}

static ScheduleAttr scheduleNorm(KernelOp kernel, const Target &target) {
  return scheduleRows(kernel, target, normBuilder.kind);
}

static LogicalResult buildNorm(KernelSite &site) {
  RowEmitter rows{site, *matchRows(site.kernel), site.kernel.getScheduleAttr()};
  Emitter &e = rows.e;
  OpBuilder &b = e.builder;
  auto layerNorm = dyn_cast<LayerNormOp>(rows.kernel.operation);
  float epsilon = layerNorm ? layerNorm.getEpsilon().convertToFloat()
                            : cast<RMSNormOp>(rows.kernel.operation)
                                  .getEpsilon()
                                  .convertToFloat();
  Value scale = e.flatten(site.operand(rows.kernel.operation->getOperand(1)));
  Value bias = layerNorm && layerNorm.getBias()
                   ? e.flatten(site.operand(layerNorm.getBias()))
                   : Value();
  rows.rows([&] {
    Value count = rows.columnCountAsFloat(), mean;
    if (layerNorm) {
      Value sum = rows.reduce(
          vector::CombiningKind::ADD, 0,
          [&](Value column, Columns columns, Value sum) -> Value {
            return arith::AddFOp::create(
                b, e.loc, sum,
                rows.where(columns, rows.first(column, columns), 0));
          });
      mean =
          e.broadcast(arith::DivFOp::create(b, e.loc, sum, count), rows.lanes);
    }
    auto centred = [&](Value x) -> Value {
      return mean ? arith::SubFOp::create(b, e.loc, x, mean) : x;
    };
    Value squares = rows.reduce(
        vector::CombiningKind::ADD, 0,
        [&](Value column, Columns columns, Value sum) -> Value {
          Value x =
              mean ? rows.read(column, columns) : rows.first(column, columns);
          Value difference = rows.where(columns, centred(x), 0);
          return vector::FMAOp::create(b, e.loc, difference, difference, sum);
        });
    Value variance = arith::AddFOp::create(
        b, e.loc, arith::DivFOp::create(b, e.loc, squares, count),
        e.real(epsilon, b.getF32Type()));
    Value inverse =
        arith::DivFOp::create(b, e.loc, e.real(1, b.getF32Type()),
                              math::SqrtOp::create(b, e.loc, variance));
    inverse = e.broadcast(inverse, rows.lanes);
    rows.each([&](Value column, Columns columns) {
      Value unit = arith::MulFOp::create(
          b, e.loc, centred(rows.read(column, columns)), inverse);
      Value factor = readColumns(e, scale, column, e.index(1), columns);
      Value result =
          bias ? vector::FMAOp::create(
                     b, e.loc, unit, factor,
                     readColumns(e, bias, column, e.index(1), columns))
                     .getResult()
               : arith::MulFOp::create(b, e.loc, unit, factor).getResult();
      rows.write(result, column, columns);
    });
  });
  return success();
}

const KernelBuilder fulgur::normBuilder = {"norm", acceptsNorm, scheduleNorm,
                                           buildNorm, alternativesOfRows};
