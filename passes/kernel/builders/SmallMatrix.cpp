#include "passes/kernel/builders/SmallMatrix.h"

using namespace mlir;
using namespace fulgur;

namespace {
using Values = SmallVector<Value>;
using Rows = SmallVector<SmallVector<double, 8>, 8>;

/// Sums of values times constants.
struct Sums {
  Emitter &e;
  bool real;

  Value add(Value x, Value y) {
    return real ? arith::AddFOp::create(e.builder, e.loc, x, y).getResult()
                : arith::AddIOp::create(e.builder, e.loc, x, y);
  }
  Value sub(Value x, Value y) {
    return arith::SubFOp::create(e.builder, e.loc, x, y);
  }
  Value scaled(Value value, double factor) {
    if (real)
      return arith::MulFOp::create(e.builder, e.loc, value,
                                   e.real(factor, value.getType()));
    Value by = arith::ConstantIntOp::create(e.builder, e.loc, value.getType(),
                                            int64_t(factor));
    return arith::MulIOp::create(e.builder, e.loc, value, by);
  }
  /// Null when all factors are 0.
  Value of(ArrayRef<double> factors, ArrayRef<Value> values);
};
} // namespace

Value Sums::of(ArrayRef<double> factors, ArrayRef<Value> values) {
  // Ones need no multiplication; a positive one is the start.
  Value sum;
  for (auto [factor, value] : llvm::zip(factors, values))
    if (factor == 1)
      sum = sum ? add(sum, value) : value;
  for (auto [factor, value] : llvm::zip(factors, values)) {
    if (factor == 0 || factor == 1)
      continue;
    if (!sum)
      sum = scaled(value, factor);
    else if (factor == -1 && real)
      sum = sub(sum, value);
    else if (isa<VectorType>(value.getType()))
      sum = vector::FMAOp::create(e.builder, e.loc, value,
                                  e.real(factor, value.getType()), sum);
    else
      sum = add(sum, scaled(value, factor));
  }
  return sum;
}

/// Puts the sum and the difference of two neighbouring values into their places
/// where all rows have the same factor of both, but for its sign, and many
/// enough have one.
static void shareColumns(Sums &sums, Rows &rows, Values &values) {
  for (size_t column = 0; column + 1 < values.size(); ++column) {
    int64_t users = 0;
    bool shared = true;
    for (ArrayRef<double> row : rows) {
      shared &= std::abs(row[column]) == std::abs(row[column + 1]);
      users += row[column] != 0;
    }
    if (!shared || users < 3)
      continue;
    Value left = values[column], right = values[column + 1];
    values[column] = sums.add(left, right);
    values[column + 1] = sums.sub(left, right);
    for (MutableArrayRef<double> row : rows) {
      bool same = row[column] == row[column + 1];
      row[column + 1] = same ? 0 : row[column];
      if (!same)
        row[column] = 0;
    }
    ++column;
  }
}

SmallVector<Value> fulgur::multiplySmall(Emitter &e, ArrayRef<double> matrix,
                                         ArrayRef<Value> values) {
  Sums sums{e, !getElementTypeOrSelf(values[0]).isInteger()};
  size_t columns = values.size();
  Values result, operands(values);
  Rows rows;
  for (size_t from = 0; from < matrix.size(); from += columns)
    rows.emplace_back(matrix.slice(from, columns));
  if (sums.real)
    shareColumns(sums, rows, operands);
  for (size_t row = 0; row < rows.size(); ++row) {
    // What this row and the next have in common, and what turns its sign.
    SmallVector<double, 8> same(columns), turned(columns);
    bool pair = sums.real && row + 1 < rows.size();
    int64_t spared = -2;
    for (size_t column = 0; pair && column < columns; ++column) {
      double factor = rows[row][column];
      pair = std::abs(factor) == std::abs(rows[row + 1][column]);
      (factor == rows[row + 1][column] ? same : turned)[column] = factor;
      spared += factor != 0;
    }
    Value a = pair && spared > 0 ? sums.of(same, operands) : Value(),
          b = a ? sums.of(turned, operands) : Value();
    if (!b) {
      result.push_back(sums.of(rows[row], operands));
      continue;
    }
    result.push_back(sums.add(a, b));
    result.push_back(sums.sub(a, b));
    ++row;
  }
  return result;
}

SmallVector<Value>
fulgur::onBothSides(ArrayRef<Value> matrix, int64_t size,
                    llvm::function_ref<Values(ArrayRef<Value>)> transform) {
  SmallVector<Values> columns;
  for (int64_t column : llvm::seq(size)) {
    Values values;
    for (int64_t row : llvm::seq(size))
      values.push_back(matrix[row * size + column]);
    columns.push_back(transform(values));
  }
  Values result;
  for (size_t row : llvm::seq(columns[0].size())) {
    Values values;
    for (const Values &column : columns)
      values.push_back(column[row]);
    llvm::append_range(result, transform(values));
  }
  return result;
}
