// Softmax over the last dim, in three passes over a row that stays in the
// cache: maximum, exponentials and their sum, scaling.
#include "mlir/Dialect/Math/IR/Math.h"
#include "passes/kernel/builders/Rows.h"

using namespace mlir;
using namespace fulgur;

static bool acceptsSoftmax(KernelOp kernel) {
  std::optional<RowKernel> rows = matchRows(kernel);
  return rows && isa<SoftmaxOp>(rows->operation) && !rows->producerOut;
}

static ScheduleAttr scheduleSoftmax(KernelOp kernel, const Target &target) {
  return scheduleRows(kernel, target, softmaxBuilder.kind);
}

static LogicalResult buildSoftmax(KernelSite &site) {
  RowEmitter rows{site, *matchRows(site.kernel), site.kernel.getScheduleAttr()};
  Emitter &e = rows.e;
  OpBuilder &b = e.builder;
  rows.rows([&] {
    Value greatest = rows.reduce(
        vector::CombiningKind::MAXNUMF, -INFINITY,
        [&](Value column, Columns columns, Value sum) {
          return e.greater(
              rows.where(columns, rows.first(column, columns), -INFINITY), sum);
        });
    greatest = e.broadcast(greatest, rows.lanes);
    Value source = rows.input;
    Value sum =
        rows.reduce(vector::CombiningKind::ADD, 0,
                    [&](Value column, Columns columns, Value sum) -> Value {
                      Value power = math::ExpOp::create(
                          b, e.loc,
                          arith::SubFOp::create(
                              b, e.loc, rows.read(column, columns), greatest));
                      rows.write(power, column, columns);
                      return arith::AddFOp::create(
                          b, e.loc, sum, rows.where(columns, power, 0));
                    });
    Value scale = e.broadcast(
        arith::DivFOp::create(b, e.loc, e.real(1, b.getF32Type()), sum),
        rows.lanes);
    rows.input = rows.out;
    rows.each([&](Value column, Columns columns) {
      rows.write(
          arith::MulFOp::create(b, e.loc, rows.read(column, columns), scale),
          column, columns);
    });
    rows.input = source;
  });
  return success();
}

const KernelBuilder fulgur::softmaxBuilder = {"softmax", acceptsSoftmax,
                                              scheduleSoftmax, buildSoftmax,
                                              alternativesOfRows};
