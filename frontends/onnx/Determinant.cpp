// Determinants by Gaussian elimination with partial pivoting (Golub and Van
// Loan, Matrix Computations, section 3.4).
#include "frontends/onnx/Core.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
Value store(const Core &c, Body &body, const Scalar &element, Value tensor,
            ArrayRef<Scalar> at) {
  SmallVector<Value> indices;
  for (const Scalar &index : at)
    indices.push_back(index.emit());
  return tensor::InsertOp::create(*body.builder, c.loc, element.emit(), tensor,
                                  indices);
}

Tensor importDet(const Core &c, const Site &s) {
  Tensor x = s[0];
  c.requireType(x, isReal(x.type), "floating point");
  if (x.rank() < 2)
    c.fail("needs matrices, not a tensor of shape " + c.text(x.shape));
  Extent size = x.shape.back();
  c.requireEqual(x.shape[x.rank() - 2], size);
  ArrayRef<Extent> outer = ArrayRef(x.shape).drop_back(2);
  DType type = computeType(x.type);
  Extent count = product(outer);
  Value start[] = {c.value(c.reshape(c.cast(x, type), {count, size, size})),
                   c.value(c.fill({count}, type, 1))};

  // For every matrix and column: the row of the largest element of the column
  // is exchanged with the diagonal's, and multiples of it empty the column
  // below. The determinant is the product of the pivots, negated by each
  // exchange.
  auto eliminate = [&](Body &body, ArrayRef<Scalar> at,
                       ValueRange state) -> SmallVector<Value> {
    OpBuilder &b = *body.builder;
    Core inner{b, c.sizes, c.loc, c.program};
    Scalar matrix = at[0], column = at[1];
    auto element = [&](Body &where, Value table, Value row, Value k) {
      auto index = [&](Value value) {
        return Scalar{&where, DType::index, value, std::nullopt};
      };
      return c.extract(where, table, type,
                       {index(matrix.value), index(row), index(k)});
    };
    Value first[] = {
        column.value,
        abs(element(body, state[0], column.value, column.value)).emit()};
    auto search = scf::ForOp::create(
        b, c.loc, column.value, c.index(size), c.index(1), first,
        [&](OpBuilder &inside, Location loc, Value row, ValueRange best) {
          Body where = c.body(&inside);
          Scalar candidate = abs(element(where, state[0], row, column.value));
          Scalar so_far{&where, type, best[1], std::nullopt};
          Scalar larger = candidate > so_far;
          Scalar rowIndex{&where, DType::index, row, std::nullopt},
              bestRow{&where, DType::index, best[0], std::nullopt};
          scf::YieldOp::create(
              inside, loc,
              ValueRange{select(larger, rowIndex, bestRow).emit(),
                         select(larger, candidate, so_far).emit()});
        });
    Value pivotRow = search.getResult(0);
    Value exchanged = inner.loop(
        {size}, {state[0]},
        [&](Body &where, ArrayRef<Scalar> k,
            ValueRange carried) -> SmallVector<Value> {
          auto index = [&](Value value) {
            return Scalar{&where, DType::index, value, std::nullopt};
          };
          Scalar upper = element(where, carried[0], column.value, k[0].value),
                 lower = element(where, carried[0], pivotRow, k[0].value);
          Value one = store(c, where, lower, carried[0],
                            {index(matrix.value), index(column.value), k[0]});
          return {store(c, where, upper, one,
                        {index(matrix.value), index(pivotRow), k[0]})};
        })[0];
    Scalar pivot = element(body, exchanged, column.value, column.value);
    Scalar isMoved =
        differ(Scalar{&body, DType::index, pivotRow, std::nullopt}, column);
    Scalar before = c.extract(body, state[1], type, {matrix});
    Value product = store(c, body, before * select(isMoved, -pivot, pivot),
                          state[1], {matrix});
    Value pivotValue = pivot.emit();
    Value reduced = inner.loop(
        {size, size}, {exchanged},
        [&](Body &where, ArrayRef<Scalar> place,
            ValueRange carried) -> SmallVector<Value> {
          auto index = [&](Value value) {
            return Scalar{&where, DType::index, value, std::nullopt};
          };
          Value row = place[0].value, k = place[1].value;
          Scalar old = element(where, carried[0], row, k);
          Scalar by{&where, type, pivotValue, std::nullopt};
          // A column without a pivot is empty below, too.
          Scalar factor =
              select(equal(by, by.like(0)), by.like(0),
                     element(where, carried[0], row, column.value) / by);
          Scalar next =
              old - factor * element(where, carried[0], column.value, k);
          Scalar below = index(row) > index(column.value),
                 right = index(k) > index(column.value);
          return {store(c, where, select(below & right, next, old), carried[0],
                        {index(matrix.value), index(row), index(k)})};
        })[0];
    return {reduced, product};
  };
  SmallVector<Value> results = c.loop({count, size}, start, eliminate);
  return c.cast(c.reshape(c.tensor(results[1], type, {count}), outer), x.type);
}
} // namespace

void fulgur::onnx::registerDeterminant(OpTable &ops) { ops["Det"] = importDet; }
