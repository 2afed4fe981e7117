#include "passes/kernel/builders/Tile.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/Elementwise.h"
#include "passes/kernel/builders/Transpose.h"

using namespace mlir;
using namespace fulgur;

Value Matrix::at(Emitter &e, Value row, Value column) const {
  Value result = position;
  if (rowStep)
    result = e.add(result, e.mul(rowStep, row));
  if (columnStep)
    result = e.add(result, e.mul(columnStep, column));
  return result;
}

Type fulgur::tileType(Type type) {
  return type.isInteger(1) ? IntegerType::get(type.getContext(), 8) : type;
}

namespace {
struct TileCopy {
  Emitter &e;
  const Matrix &from;
  Value to;
  int64_t stride, width, lanes;
  llvm::function_ref<Value(Value)> change;

  /// The mask of the lanes that exist among `count`, or null.
  Value maskOf(Value first, Value count) {
    auto all = known(count);
    if (all && *all % lanes == 0)
      return {};
    return e.lanesBelow(e.sub(count, first), lanes);
  }
  Value read(Value position, Value mask) {
    Value vector =
        readColumns(e, from.flat, position, e.index(1), {lanes, mask});
    Type element = getElementTypeOrSelf(vector.getType());
    if (element != tileType(element))
      vector = arith::ExtUIOp::create(
          e.builder, e.loc, VectorType::get(lanes, tileType(element)), vector);
    return change ? change(vector) : vector;
  }
  void write(Value vector, Value row, Value column) {
    vector::StoreOp::create(e.builder, e.loc, vector, to,
                            e.add(e.mul(row, stride), column));
  }

  void alongColumns() {
    e.loop(e.index(0), from.rows, 1, [&](Value row) {
      for (int64_t column = 0; column < width; column += lanes) {
        auto all = known(from.columns);
        Value first = e.index(column), mask = all && column + lanes <= *all
                                                  ? Value()
                                                  : maskOf(first, from.columns);
        write(read(from.at(e, row, first), mask), row, first);
      }
    });
  }
  void alongRows() {
    Value last = e.sub(from.columns, e.index(1));
    e.loop(e.index(0), e.index(width), lanes, [&](Value column) {
      e.loop(e.index(0), from.rows, lanes, [&](Value row) {
        Value mask = maskOf(row, from.rows);
        SmallVector<Value> square;
        for (int64_t lane : llvm::seq(lanes))
          square.push_back(
              read(from.at(e, row, e.min(e.add(column, lane), last)), mask));
        transposeSquare(e, square);
        for (int64_t lane : llvm::seq(lanes))
          write(square[lane], e.add(row, lane), column);
      });
    });
  }
  void oneByOne() {
    Value last = e.sub(from.columns, e.index(1));
    e.loop(e.index(0), from.rows, 1, [&](Value row) {
      e.loop(e.index(0), e.index(width), 1, [&](Value column) {
        Value element = memref::LoadOp::create(
            e.builder, e.loc, from.flat, from.at(e, row, e.min(column, last)));
        Type type = element.getType();
        if (type != tileType(type))
          element =
              arith::ExtUIOp::create(e.builder, e.loc, tileType(type), element);
        if (change) // of vectors
          element = vector::ExtractOp::create(e.builder, e.loc,
                                              change(e.broadcast(element, 1)),
                                              ArrayRef<int64_t>{0});
        memref::StoreOp::create(e.builder, e.loc, element, to,
                                e.add(e.mul(row, stride), column));
      });
    });
  }
};
} // namespace

void fulgur::copyTile(Emitter &e, const Matrix &from, Value to, int64_t stride,
                      int64_t width, int64_t lanes,
                      llvm::function_ref<Value(Value)> change) {
  TileCopy copy{e, from, to, stride, width, lanes, change};
  if (from.columnStep && known(from.columnStep) == 1)
    return copy.alongColumns();
  if (from.rowStep && known(from.rowStep) == 1)
    return copy.alongRows();
  copy.oneByOne();
}
