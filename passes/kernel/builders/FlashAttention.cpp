// What the forms of flash attention share: tasks and their blocks, and what
// comes in and goes out.
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/Flash.h"
#include "passes/kernel/builders/Tile.h"
#include "passes/kernel/builders/Transpose.h"
#include <cmath>

using namespace mlir;
using namespace fulgur;

static constexpr int64_t kTaskOperations = 4 << 20; // about 20 microseconds

void Flash::build() {
  Value units = e.index(1);
  for (unsigned loop : llvm::seq(a.i))
    units = e.mul(units, a.sizes[loop]);
  Value blocks = e.ceilDiv(queryCount, e.index(blockQueries));
  // Consecutive blocks of queries make a task.
  Value operations =
      e.mul(e.max(keyCount, e.index(1)),
            2 * blockQueries * (a.attention.depth + a.attention.columns));
  Value items = e.mul(units, blocks),
        together = e.add(e.floorDiv(e.index(kTaskOperations), operations), 1);
  e.share(items, together, [&](Value from, Value to) {
    scoresFrom = stripFrom = e.index(0);
    allocate();
    e.loop(from, to, 1, [&](Value item) {
      point.assign(a.sizes.size(), Value());
      Value block = e.remainder(item, blocks), outer = e.floorDiv(item, blocks);
      // The last queries of a causal attention see the most keys: they are
      // first, so that the small tasks come last.
      if (a.offset)
        block = e.sub(e.sub(blocks, e.index(1)), block);
      for (unsigned loop = a.i; loop-- > 0;) {
        point[loop] = e.remainder(outer, a.sizes[loop]);
        outer = e.floorDiv(outer, a.sizes[loop]);
      }
      a.enter(point);
      Value from = e.mul(block, blockQueries),
            here = e.min(e.sub(queryCount, from), e.index(blockQueries));
      if (known(queryCount) && *known(queryCount) % blockQueries == 0)
        here = e.index(blockQueries);
      queryBlock(from, here);
    });
    release();
  });
}

void Flash::allocateQueries() {
  for (Value *row : {&greatest, &raised, &total, &scale})
    *row = a.onStack(blockQueries, e.builder.getF32Type());
}

void Flash::allocateExtras() {
  int64_t keyRows = llvm::alignTo(blockKeys, lanes);
  extraTiles.clear();
  for (Access &extra : a.extras)
    extraTiles.push_back(
        hasTile(extra)
            ? a.onStack(keyRows * pitch, tileType(extra.elementType()))
            : Value());
}

/// The sums of a vector of queries. The sink is where the maximum and the sum
/// begin.
void Flash::begin(Value query) {
  OpBuilder &b = e.builder;
  Value start = e.real(-INFINITY, a.vectorType()),
        sum = e.real(0, a.vectorType());
  if (a.sink.flat) {
    Value none = start, zero = sum;
    start = a.logit(readColumns(
        e, a.sink.flat, at(a.sink, {{a.i, e.add(first, query)}}),
        a.sink.steps[a.i], {lanes, e.lanesBelow(e.sub(count, query), lanes)}));
    Value empty =
        arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OEQ, start, none);
    sum = arith::SelectOp::create(b, e.loc, empty, zero,
                                  e.real(1, a.vectorType()));
  }
  keep(start, greatest, query);
  keep(sum, total, query);
}

/// All keys that some query of the block sees.
void Flash::forKeyBlocks() {
  keysTo = a.seenTo(e.add(first, e.sub(count, e.index(1))));
  e.loop(a.seenFrom(first), keysTo, blockKeys, [&](Value key) {
    key0 = key;
    keysHere = e.min(e.sub(keysTo, key), e.index(blockKeys));
    if (auto all = known(keysTo); all && *all % blockKeys == 0 && !a.offset)
      keysHere = e.index(blockKeys);
    keyBlock();
  });
}

/// Extra operands of the keys of the block and the queries of the strip, whose
/// tiles are `width` queries wide.
void Flash::copyExtras(int64_t width, Value queriesHere) {
  for (auto [extra, tile] : llvm::zip(a.extras, extraTiles))
    if (tile) {
      Matrix from{extra.flat,
                  at(extra, {{a.i, e.add(first, stripFrom)}, {a.j, key0}}),
                  extra.steps[a.j],
                  extra.steps[a.i],
                  keysHere,
                  queriesHere};
      copyTile(e, from, tile, pitch, width, lanes);
    }
}

/// Queries of the block up to `queriesTo`, a whole number of vectors, as
/// vectors of one pair of elements; 0 behind the last pair up to a whole number
/// of vectors.
void Flash::copyQueryPairs(Value queriesTo) {
  OpBuilder &b = e.builder;
  auto row = VectorType::get(2 * lanes, b.getBF16Type()),
       halfRow = VectorType::get(lanes, b.getBF16Type());
  Value last = e.sub(count, e.index(1));
  e.loop(e.index(0), queriesTo, lanes, [&](Value query) {
    SmallVector<Value> rows;
    for (int64_t lane : llvm::seq(lanes)) { // too many repeat the last
      Value exists = e.min(e.add(query, lane), last);
      rows.push_back(at(a.query, {{a.i, e.add(first, exists)}}));
    }
    auto copy = [&](Value d, bool half) { // of a vector of elements
      SmallVector<Value> square;
      for (int64_t lane : llvm::seq(lanes)) {
        Value elements = vector::LoadOp::create(
            b, e.loc, half ? halfRow : row, a.query.flat, e.add(rows[lane], d));
        if (half)
          elements =
              vector::ShuffleOp::create(b, e.loc, elements, e.real(0, halfRow),
                                        llvm::to_vector(llvm::seq(2 * lanes)));
        square.push_back(
            vector::BitCastOp::create(b, e.loc, a.vectorType(), elements));
      }
      transposeSquare(e, square);
      Value pair = e.floorDiv(d, e.index(2));
      for (int64_t lane : llvm::seq(lanes))
        keep(square[lane], queries, pairOfQueries(e.add(pair, lane), query));
    };
    int64_t depth = a.attention.depth, whole = depth / (2 * lanes) * 2 * lanes;
    e.loop(e.index(0), e.index(whole), 2 * lanes,
           [&](Value d) { copy(d, /*half=*/false); });
    if (whole < depth)
      copy(e.index(whole), /*half=*/true);
  });
}

/// Values of the block as [pair of keys][column]; what has no partner gets 0.
void Flash::copyValuePairs(Value to) {
  OpBuilder &b = e.builder;
  Rows values = valueRows();
  auto copy = [&](Value row, bool half) {
    for (int64_t column = 0; column < columns;) {
      int64_t count = column + 2 * lanes <= columns ? 2 * lanes : lanes;
      auto type = VectorType::get(count, b.getBF16Type());
      auto read = [&](Value row) -> Value {
        Value position = e.add(values.position, column);
        if (values.step)
          position = e.add(position, e.mul(values.step, row));
        return vector::LoadOp::create(b, e.loc, type, values.flat, position);
      };
      Value upper = read(row),
            lower = half ? e.real(0, type) : read(e.add(row, 1));
      Value at = e.add(e.mul(e.floorDiv(row, e.index(2)), columns), column);
      for (int64_t from = 0; from < count; from += lanes) {
        SmallVector<int64_t> order;
        for (int64_t lane : llvm::seq(lanes))
          order.append({from + lane, count + from + lane});
        Value both = vector::ShuffleOp::create(b, e.loc, upper, lower, order);
        keep(vector::BitCastOp::create(b, e.loc, a.vectorType(), both), to,
             e.add(at, from));
      }
      column += count;
    }
  };
  Value whole = e.sub(keysHere, e.remainder(keysHere, e.index(2)));
  e.loop(e.index(0), whole, 2, [&](Value row) { copy(row, /*half=*/false); });
  e.loop(whole, keysHere, 2, [&](Value row) { copy(row, /*half=*/true); });
}

/// What the results of a vector of queries are multiplied by.
void Flash::invertTotals(Value query) {
  Value inverse = arith::DivFOp::create(
      e.builder, e.loc, e.real(a.resultFactor(), a.vectorType()),
      load(total, query));
  keep(inverse, scale, query);
}

/// The result of query `row`, whose sums are row `index` of `from`.
void Flash::storeRow(Value row, Value from, Value index) {
  Value factor = scalar(scale, row);
  for (int64_t column = 0; column < columns; column += lanes) {
    Value result = arith::MulFOp::create(
        e.builder, e.loc, load(from, e.add(e.mul(index, columns), column)),
        factor);
    int64_t left = a.attention.columns - column;
    Columns here{lanes,
                 left < lanes ? e.lanesBelow(e.index(left), lanes) : Value()};
    result = a.unlessEmpty(result, scalar(total, row), point, column, here);
    point[a.n] = e.index(column);
    result = a.scaled(result, a.valueScale, a.n, point, here);
    point[a.n] = {};
    a.writeResult(result,
                  at(a.out, {{a.i, e.add(first, row)}, {a.n, e.index(column)}}),
                  here);
  }
}

void fulgur::emitFlashAttention(AttentionEmitter &a) {
  if (a.schedule.getKind() == amxAttentionBuilder.kind)
    emitFlashTiles(a);
  else
    emitFlashVectors(a);
}
