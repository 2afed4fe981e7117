// Determinants and inverses by Gaussian elimination with partial pivoting
// (Golub and Van Loan, Matrix Computations, section 3.4).
#include "frontends/onnx/Elimination.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// The elements of matrices [count, rows, columns] inside of a loop that passes
/// them on as a value.
class Matrices {
public:
  Matrices(const Core &c, DType type) : c(c), type(type) {}

  Scalar load(Body &body, Value table, ArrayRef<Value> at) const {
    SmallVector<Scalar> indices;
    for (Value index : at)
      indices.push_back({&body, DType::index, index, std::nullopt});
    return c.extract(body, table, type, indices);
  }
  Value store(Body &body, const Scalar &element, Value table,
              ArrayRef<Value> at) const {
    return tensor::InsertOp::create(*body.builder, c.loc, element.emit(), table,
                                    at);
  }

  /// The row, from `column` on, whose element in that column is largest.
  Value pivotRow(Body &body, Value table, Value matrix, Value column,
                 const Extent &rows) const {
    OpBuilder &b = *body.builder;
    Value first[] = {column,
                     abs(load(body, table, {matrix, column, column})).emit()};
    auto search = scf::ForOp::create(
        b, c.loc, column, c.index(rows), c.index(1), first,
        [&](OpBuilder &inside, Location loc, Value row, ValueRange best) {
          Body where = c.body(&inside);
          Scalar candidate = abs(load(where, table, {matrix, row, column}));
          Scalar largest{&where, type, best[1], std::nullopt};
          Scalar larger = candidate > largest;
          Scalar rowIndex{&where, DType::index, row, std::nullopt},
              bestRow{&where, DType::index, best[0], std::nullopt};
          scf::YieldOp::create(
              inside, loc,
              ValueRange{select(larger, rowIndex, bestRow).emit(),
                         select(larger, candidate, largest).emit()});
        });
    return search.getResult(0);
  }

  /// The matrices with two rows of one exchanged.
  Value exchange(const Core &inner, Value table, Value matrix, Value row,
                 Value other, const Extent &columns) const {
    return inner.loop({columns}, {table},
                      [&](Body &body, ArrayRef<Scalar> at,
                          ValueRange state) -> SmallVector<Value> {
                        Value k = at[0].value;
                        Scalar upper = load(body, state[0], {matrix, row, k}),
                               lower = load(body, state[0], {matrix, other, k});
                        Value one =
                            store(body, lower, state[0], {matrix, row, k});
                        return {store(body, upper, one, {matrix, other, k})};
                      })[0];
  }

private:
  const Core &c;
  DType type;
};

/// The size of the square matrices in the last two dims.
Extent squareSize(const Core &c, const Tensor &x) {
  c.requireType(x, isReal(x.type), "floating point");
  if (x.rank() < 2)
    c.fail("needs matrices, not a tensor of shape " + c.text(x.shape));
  c.requireEqual(x.shape[x.rank() - 2], x.shape.back());
  return x.shape.back();
}

Scalar indexed(Body &body, Value value) {
  return {&body, DType::index, value, std::nullopt};
}

Tensor importDet(const Core &c, const Site &s) {
  Tensor x = s[0];
  Extent size = squareSize(c, x);
  ArrayRef<Extent> outer = ArrayRef(x.shape).drop_back(2);
  DType type = computeType(x.type);
  Matrices m(c, type);
  Extent count = product(outer);
  Value start[] = {c.value(c.reshape(c.cast(x, type), {count, size, size})),
                   c.value(c.fill({count}, type, 1))};

  // For every matrix and column: the row of the largest element of the column
  // is exchanged with the diagonal's, and multiples of it empty the column
  // below. The determinant is the product of the pivots, negated by each
  // exchange.
  auto eliminate = [&](Body &body, ArrayRef<Scalar> at,
                       ValueRange state) -> SmallVector<Value> {
    Core inner{*body.builder, c.sizes, c.loc, c.program};
    Value matrix = at[0].value, column = at[1].value;
    Value pivotRow = m.pivotRow(body, state[0], matrix, column, size);
    Value exchanged =
        m.exchange(inner, state[0], matrix, column, pivotRow, size);
    Scalar pivot = m.load(body, exchanged, {matrix, column, column});
    Scalar isMoved = differ(indexed(body, pivotRow), at[1]);
    Scalar before = m.load(body, state[1], {matrix});
    Value product = m.store(body, before * select(isMoved, -pivot, pivot),
                            state[1], {matrix});
    Value pivotValue = pivot.emit();
    Value reduced = inner.loop(
        {size, size}, {exchanged},
        [&](Body &where, ArrayRef<Scalar> place,
            ValueRange carried) -> SmallVector<Value> {
          Value row = place[0].value, k = place[1].value;
          Scalar old = m.load(where, carried[0], {matrix, row, k});
          Scalar by{&where, type, pivotValue, std::nullopt};
          // A column without a pivot is empty below, too.
          Scalar factor =
              select(equal(by, by.like(0)), by.like(0),
                     m.load(where, carried[0], {matrix, row, column}) / by);
          Scalar next =
              old - factor * m.load(where, carried[0], {matrix, column, k});
          Scalar below = place[0] > indexed(where, column),
                 right = place[1] > indexed(where, column);
          return {m.store(where, select(below & right, next, old), carried[0],
                          {matrix, row, k})};
        })[0];
    return {reduced, product};
  };
  SmallVector<Value> results = c.loop({count, size}, start, eliminate);
  return c.cast(c.reshape(c.tensor(results[1], type, {count}), outer), x.type);
}
} // namespace

Tensor fulgur::onnx::inverse(const Core &c, const Tensor &x) {
  Extent size = squareSize(c, x),
         count = product(ArrayRef(x.shape).drop_back(2)), width = size * 2;
  DType type = computeType(x.type);
  Matrices m(c, type);
  Tensor unit = c.generate({count, size, size}, type, {},
                           [&](Body &, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                             return convert(equal(at[1], at[2]), type);
                           });
  Value both = c.value(
      c.concat({c.reshape(c.cast(x, type), {count, size, size}), unit}, 2));

  // For every matrix, which has the identity at its right, and column: the row
  // of the largest element is exchanged with the diagonal's and divided by it;
  // multiples of it empty the column elsewhere. What is left of the column is
  // not read again, so it is not written.
  auto eliminate = [&](Body &body, ArrayRef<Scalar> at,
                       ValueRange state) -> SmallVector<Value> {
    Core inner{*body.builder, c.sizes, c.loc, c.program};
    Value matrix = at[0].value, column = at[1].value;
    Value pivotRow = m.pivotRow(body, state[0], matrix, column, size);
    Value exchanged =
        m.exchange(inner, state[0], matrix, column, pivotRow, width);
    Value pivot = m.load(body, exchanged, {matrix, column, column}).emit();
    Value divided = inner.loop(
        {width}, {exchanged},
        [&](Body &where, ArrayRef<Scalar> place,
            ValueRange carried) -> SmallVector<Value> {
          Value k = place[0].value;
          Scalar by{&where, type, pivot, std::nullopt};
          return {m.store(where,
                          m.load(where, carried[0], {matrix, column, k}) / by,
                          carried[0], {matrix, column, k})};
        })[0];
    return {inner.loop(
        {size, width}, {divided},
        [&](Body &where, ArrayRef<Scalar> place,
            ValueRange carried) -> SmallVector<Value> {
          Value row = place[0].value, k = place[1].value;
          Scalar old = m.load(where, carried[0], {matrix, row, k});
          Scalar next =
              old - m.load(where, carried[0], {matrix, row, column}) *
                        m.load(where, carried[0], {matrix, column, k});
          Scalar other = differ(place[0], indexed(where, column)),
                 right = place[1] > indexed(where, column);
          return {m.store(where, select(other & right, next, old), carried[0],
                          {matrix, row, k})};
        })[0]};
  };
  Tensor reduced = c.tensor(c.loop({count, size}, {both}, eliminate)[0], type,
                            {count, size, width});
  return c.cast(c.reshape(c.slice(reduced, 2, size, size), x.shape), x.type);
}

void fulgur::onnx::registerDeterminant(OpTable &ops) { ops["Det"] = importDet; }
