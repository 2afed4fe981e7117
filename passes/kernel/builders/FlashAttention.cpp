// Attention of many queries (Dao et al., FlashAttention, 2022): blocks of
// queries go over blocks of keys, and scores never leave the cache.
//
// Scores lie with one query in each lane, so that the greatest score and the
// sum of a row are vertical operations. Both products are the tile of the
// matrix product: keys (broadcast) times transposed queries, and powers
// (broadcast) times values. With bfloat16 and an instruction for it, tiles hold
// pairs: of neighbouring elements of queries and keys, and of powers and values
// of neighbouring keys. Buffers see a pair as the bits of one f32.
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/Attention.h"
#include "passes/kernel/builders/Tile.h"
#include "passes/kernel/builders/Transpose.h"
#include <cmath>

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kTaskOperations = 4 << 20; // about 20 microseconds

struct Flash {
  AttentionEmitter &a;
  Emitter &e = a.e;
  int64_t lanes = a.lanes, blockQueries = a.schedule.getTile()[0],
          blockKeys = a.schedule.getTile()[1],
          registers = a.site.target.vectorRegisters;
  int64_t depth = llvm::alignTo(a.attention.depth, lanes),
          columns = llvm::alignTo(a.attention.columns, lanes);
  Value queryCount = a.sizes[a.i], keyCount = a.sizes[a.j];
  bool pairs = a.pairs();

  /// A part of the keys or values: where row 0 is, and the step of the rows.
  struct Rows {
    Value flat, position, step;
  };

  // One task.
  Value queries{}, scores{}, results{}; ///< tiles: [depth][query],
                                        ///< [key][query], [query][column]
  Value greatest{}, raised{}, total{}, scale{}; ///< per query
  Value keyTile{}, valueTile{};                 ///< null: read in place
  SmallVector<Value> extraTiles{}; ///< [key][query]; null: read in place
  SmallVector<Value> point{};      ///< indices of the batch loops
  // One block of queries.
  int64_t width = 0; ///< its vectors of queries
  Value first{}, count{};
  // One block of keys.
  Value key0{}, keysHere{}, keysTo{}; ///< keysTo: behind the last one of all
  Rows keys{};

  void build();
  void allocate();
  void queryBlocks(Value block);
  void queryBlock();
  void keyBlock();
  void scoreStrip(Value strip, int64_t vectors);
  void scoreTile(Value strip, int64_t vectors, Value row, int64_t rows);
  void powers();
  void addValues();
  void store();
  SmallVector<Value> hide(ArrayRef<Value> scores, Value strip, int64_t vectors,
                          Value row, int64_t rows);
  void copyQueryPairs();
  void copyValuePairs(const Rows &values);
  Value packPowers(Value first, Value second);
  Value readPair(Value flat, Value position);
  SmallVector<Value> product(int64_t rows, int64_t vectors, Value steps,
                             SmallVector<Value> sums,
                             llvm::function_ref<Value(Value, int64_t)> left,
                             llvm::function_ref<Value(Value, int64_t)> right);
  SmallVector<Value> extrasAt(Value row, Value key, Value query);
  bool isCopied(const Access &access, unsigned loop);
  bool hasTile(const Access &extra);

  Value load(Value from, Value at) { return a.load(from, at); }
  void keep(Value vector, Value to, Value at) { a.keep(vector, to, at); }
  Value scalar(Value from, Value at) { return a.scalar(from, at); }
  /// How many vectors of a tile may lie next to each other.
  int64_t tileVectors() { return registers >= 32 ? 4 : 2; }
  /// How many rows of `vectors` sums fit the registers, besides a row of the
  /// right side and an element of the left one.
  int64_t tileRows(int64_t vectors) {
    static constexpr int64_t many[] = {12, 12, 8, 6}, few[] = {12, 6, 4};
    return registers >= 32 ? many[vectors - 1] : few[vectors - 1];
  }
  /// A scale of codes in every lane.
  Value scaleAt(const Access &scale,
                std::initializer_list<std::pair<unsigned, Value>> indices) {
    return scalar(scale.flat, at(scale, indices));
  }
  Value at(const Access &access,
           std::initializer_list<std::pair<unsigned, Value>> indices) {
    for (auto [loop, index] : indices)
      point[loop] = index;
    Value position = access.at(e, point);
    for (auto [loop, index] : indices)
      point[loop] = {};
    return position;
  }
};
} // namespace

/// Whether keys or values are copied first: a row is not contiguous, elements
/// have to be widened or values put together in pairs. Other rows are read
/// where they are, however far apart: a copy takes more time than it saves.
bool Flash::isCopied(const Access &access, unsigned loop) {
  if (a.attention.narrow)
    return !pairs || loop == a.n;
  if (access.elementType().isInteger(8))
    return true;
  return access.steps[loop] && known(access.steps[loop]) != 1;
}

/// Whether an extra operand is transposed first: neighbouring queries are not
/// neighbours in it.
bool Flash::hasTile(const Access &extra) {
  return extra.steps[a.i] && known(extra.steps[a.i]) != 1;
}

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
      queryBlocks(block);
    });
  });
}

void Flash::allocate() {
  auto onStack = [&](int64_t elements, Type type) {
    return a.onStack(elements, type);
  };
  Type f32 = e.builder.getF32Type();
  int64_t keyRows = llvm::alignTo(blockKeys, lanes);
  queries = onStack(depth * blockQueries, f32);
  scores = onStack(blockKeys * blockQueries, f32);
  results = onStack(blockQueries * columns, f32);
  for (Value *row : {&greatest, &raised, &total, &scale})
    *row = onStack(blockQueries, f32);
  if (isCopied(a.key, a.d))
    keyTile = onStack(keyRows * depth, f32);
  if (isCopied(a.value, a.n))
    valueTile = onStack(keyRows * columns / (pairs ? 2 : 1), f32);
  extraTiles.clear();
  for (Access &extra : a.extras)
    extraTiles.push_back(hasTile(extra) ? onStack(keyRows * blockQueries,
                                                  tileType(extra.elementType()))
                                        : Value());
}

/// The queries of one block: all of its lanes at once, or, when there are
/// fewer, as many vectors as they fill.
void Flash::queryBlocks(Value block) {
  int64_t whole = blockQueries / lanes;
  Value from = e.mul(block, blockQueries),
        here = e.min(e.sub(queryCount, from), e.index(blockQueries));
  if (known(queryCount) && *known(queryCount) % blockQueries == 0)
    here = e.index(blockQueries);
  Value vectors = e.ceilDiv(here, e.index(lanes));
  auto run = [&](int64_t vectors, Value from, Value count) {
    width = vectors, first = from, this->count = count;
    queryBlock();
  };
  auto parts = [&] {
    Value done = e.index(0);
    for (int64_t part = whole / 2; part > 0; part /= 2) {
      Value isThere = e.builder.createOrFold<arith::CmpIOp>(
          e.loc, arith::CmpIPredicate::eq,
          e.remainder(e.floorDiv(vectors, e.index(part)), e.index(2)),
          e.index(1));
      Value at = done;
      e.branch(isThere, [&] {
        run(part, e.add(from, at),
            e.min(e.sub(here, at), e.index(part * lanes)));
      });
      done =
          e.add(done, e.builder.createOrFold<arith::SelectOp>(
                          e.loc, isThere, e.index(part * lanes), e.index(0)));
    }
  };
  auto all = known(queryCount);
  int64_t rest = all ? llvm::divideCeil(*all % blockQueries, lanes) : 0;
  if (all && (rest == 0 || rest == whole))
    return run(whole, from, here);
  if (all && *all < blockQueries)
    return parts();
  e.branch(
      e.less(e.index(whole - 1), vectors), [&] { run(whole, from, here); },
      parts);
}

void Flash::queryBlock() {
  OpBuilder &b = e.builder;
  double factor = a.queryFactor();
  Matrix from{
      a.query.flat,       at(a.query, {{a.i, first}}), a.query.steps[a.d],
      a.query.steps[a.i], e.index(a.attention.depth),  count};
  if (pairs)
    copyQueryPairs();
  else
    copyTile(e, from, queries, blockQueries, width * lanes, lanes,
             [&](Value vector) -> Value {
               vector = a.widen(vector);
               return arith::MulFOp::create(b, e.loc, vector,
                                            e.real(factor, vector.getType()));
             });
  if (a.keyScale.flat && !a.keyScale.steps[a.j])
    e.loop(e.index(0), e.index(a.attention.depth), 1, [&](Value d) {
      Value factor = scaleAt(a.keyScale, {{a.d, d}});
      for (int64_t v : llvm::seq(width)) {
        Value place = e.add(e.mul(d, blockQueries), v * lanes);
        keep(arith::MulFOp::create(b, e.loc, load(queries, place), factor),
             queries, place);
      }
    });
  // The sink is where the maximum and the sum begin.
  Value none = e.real(-INFINITY, a.vectorType()),
        zero = e.real(0, a.vectorType());
  for (int64_t v : llvm::seq(width)) {
    Value start = none, sum = zero, at = e.index(v * lanes);
    if (a.sink.flat) {
      start = a.logit(readColumns(
          e, a.sink.flat, this->at(a.sink, {{a.i, e.add(first, at)}}),
          a.sink.steps[a.i], {lanes, e.lanesBelow(e.sub(count, at), lanes)}));
      Value empty = arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OEQ,
                                          start, none);
      sum = arith::SelectOp::create(b, e.loc, empty, zero,
                                    e.real(1, a.vectorType()));
    }
    keep(start, greatest, at);
    keep(sum, total, at);
  }
  e.loop(e.index(0), e.index(width * lanes * columns), columns, [&](Value row) {
    for (int64_t column = 0; column < columns; column += lanes)
      keep(zero, results, e.add(row, column));
  });

  keysTo = a.seenTo(e.add(first, e.sub(count, e.index(1))));
  e.loop(a.seenFrom(first), keysTo, blockKeys, [&](Value key) {
    key0 = key;
    keysHere = e.min(e.sub(keysTo, key), e.index(blockKeys));
    if (auto all = known(keysTo); all && *all % blockKeys == 0 && !a.offset)
      keysHere = e.index(blockKeys);
    keyBlock();
  });
  store();
}

void Flash::keyBlock() {
  keys = {a.key.flat, at(a.key, {{a.j, key0}}), a.key.steps[a.j]};
  if (keyTile) {
    Matrix from{keys.flat,        keys.position, keys.step,
                a.key.steps[a.d], keysHere,      e.index(a.attention.depth)};
    copyTile(e, from, keyTile, depth, depth, lanes,
             [&](Value vector) { return a.widen(vector); });
    keys = {keyTile, e.index(0), e.index(depth)};
  }
  for (auto [extra, tile] : llvm::zip(a.extras, extraTiles))
    if (tile) {
      Matrix from{extra.flat,       at(extra, {{a.i, first}, {a.j, key0}}),
                  extra.steps[a.j], extra.steps[a.i],
                  keysHere,         count};
      copyTile(e, from, tile, blockQueries, width * lanes, lanes);
    }
  int64_t strip = std::min(width, tileVectors());
  e.loop(e.index(0), e.index(width), strip,
         [&](Value v) { scoreStrip(e.mul(v, lanes), strip); });
  powers();
  addValues();
}

/// The scores of all keys of the block and the queries from `strip` on.
void Flash::scoreStrip(Value strip, int64_t vectors) {
  for (int64_t v : llvm::seq(vectors)) {
    Value at = e.add(strip, v * lanes);
    keep(load(greatest, at), raised, at);
  }
  int64_t rows = tileRows(vectors);
  e.loop(e.index(0), keysHere, rows,
         [&](Value row) { scoreTile(strip, vectors, row, rows); });
}

void Flash::scoreTile(Value strip, int64_t vectors, Value row, int64_t rows) {
  Value last = e.sub(keysHere, e.index(1));
  SmallVector<Value> keyRows, keyIndices;
  for (int64_t r : llvm::seq(rows)) { // those that are too many repeat the last
    Value exists = e.min(e.add(row, r), last);
    keyRows.push_back(keys.step ? e.add(keys.position, e.mul(keys.step, exists))
                                : keys.position);
    keyIndices.push_back(e.add(key0, exists));
  }
  Value depthStep = keyTile ? e.index(1) : a.key.steps[a.d];
  SmallVector<Value> sums = product(
      rows, vectors, e.index(a.attention.depth / (pairs ? 2 : 1)),
      SmallVector<Value>(rows * vectors, e.real(0, a.vectorType())),
      [&](Value k, int64_t r) {
        if (pairs)
          return readPair(keys.flat, e.add(keyRows[r], e.mul(k, 2)));
        Value position =
            depthStep ? e.add(keyRows[r], e.mul(depthStep, k)) : keyRows[r];
        return scalar(keys.flat, position);
      },
      [&](Value k, int64_t v) {
        return load(queries,
                    e.add(e.add(e.mul(k, blockQueries), strip), v * lanes));
      });
  for (int64_t r : llvm::seq(rows))
    for (int64_t v : llvm::seq(vectors)) {
      Value &sum = sums[r * vectors + v];
      Value query = e.add(strip, v * lanes), i, j;
      if (a.keyScale.flat && a.keyScale.steps[a.j])
        sum = arith::MulFOp::create(
            e.builder, e.loc, sum, scaleAt(a.keyScale, {{a.j, keyIndices[r]}}));
      if (a.reads(1))
        i = arith::AddIOp::create(e.builder, e.loc,
                                  e.broadcast(e.add(first, query), lanes),
                                  e.iota(lanes, e.builder.getIndexType()));
      if (a.reads(2))
        j = e.broadcast(keyIndices[r], lanes);
      sum = a.score(sum, i, j, extrasAt(e.add(row, r), keyIndices[r], query));
    }
  sums = hide(sums, strip, vectors, row, rows);
  for (int64_t v : llvm::seq(vectors)) {
    Value query = e.add(strip, v * lanes), most = load(raised, query);
    for (int64_t r : llvm::seq(rows)) {
      Value sum = sums[r * vectors + v];
      keep(sum, scores, e.add(e.mul(e.add(row, r), blockQueries), query));
      most = e.greater(sum, most);
    }
    keep(most, raised, query);
  }
}

/// The vectors of the extra operands for one key and the queries from `query`
/// (within the block) on.
SmallVector<Value> Flash::extrasAt(Value row, Value key, Value query) {
  SmallVector<Value> result;
  for (auto [number, extra] : llvm::enumerate(a.extras)) {
    if (!a.reads(3 + number)) {
      result.push_back({});
      continue;
    }
    if (Value tile = extraTiles[number]) {
      auto type = VectorType::get(
          lanes, cast<MemRefType>(tile.getType()).getElementType());
      Value vector = vector::LoadOp::create(
          e.builder, e.loc, type, tile, e.add(e.mul(row, blockQueries), query));
      if (extra.elementType().isInteger(1))
        vector = arith::CmpIOp::create(
            e.builder, e.loc, arith::CmpIPredicate::ne, vector,
            arith::ConstantOp::create(e.builder, e.loc,
                                      e.builder.getZeroAttr(type)));
      result.push_back(vector);
      continue;
    }
    Value position = at(extra, {{a.i, e.add(first, query)}, {a.j, key}});
    bool all = known(count) && *known(count) == width * lanes;
    Value mask = all || !extra.steps[a.i]
                     ? Value()
                     : e.lanesBelow(e.sub(count, query), lanes);
    result.push_back(
        readColumns(e, extra.flat, position, extra.steps[a.i], {lanes, mask}));
  }
  return result;
}

/// Gives -∞ to the scores of keys that do not exist or are not seen. Most tiles
/// have none.
SmallVector<Value> Flash::hide(ArrayRef<Value> scores, Value strip,
                               int64_t vectors, Value row, int64_t rows) {
  OpBuilder &b = e.builder;
  auto either = [&](Value x, Value y) -> Value {
    return x ? b.createOrFold<arith::OrIOp>(e.loc, x, y) : y;
  };
  auto window = a.attention.op.getWindow();
  auto all = known(keysHere);
  Value needed, key = e.add(key0, row), query = e.add(first, strip);
  if (!all || *all % rows)
    needed = e.less(keysHere, e.add(row, rows));
  if (a.offset)
    needed =
        either(needed, e.less(e.add(query, a.offset), e.add(key, rows - 1)));
  if (window)
    needed = either(needed,
                    e.less(e.add(key, *window - 1),
                           e.add(e.add(query, vectors * lanes - 1), a.offset)));
  if (!needed)
    return llvm::to_vector(scores);

  auto type = VectorType::get(lanes, b.getI32Type());
  auto narrow = [&](Value index) {
    return e.broadcast(
        b.createOrFold<arith::IndexCastOp>(e.loc, b.getI32Type(), index),
        lanes);
  };
  auto compare = [&](arith::CmpIPredicate predicate, Value x,
                     Value y) -> Value {
    return arith::CmpIOp::create(b, e.loc, predicate, x, y);
  };
  SmallVector<Type> types(scores.size(), a.vectorType());
  auto choose =
      scf::IfOp::create(b, e.loc, types, needed, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(choose.elseBlock());
  scf::YieldOp::create(b, e.loc, scores);
  b.setInsertionPointToStart(choose.thenBlock());
  SmallVector<Value> hidden = llvm::to_vector(scores);
  Value end = narrow(keysTo);
  for (int64_t v : llvm::seq(vectors)) {
    Value to = end, from;
    if (a.offset) {
      Value behind = arith::AddIOp::create(
          b, e.loc, narrow(e.add(e.add(query, a.offset), v * lanes + 1)),
          e.iota(lanes, b.getI32Type()));
      to = arith::MinSIOp::create(b, e.loc, to, behind);
      if (window)
        from = arith::SubIOp::create(
            b, e.loc, behind,
            arith::ConstantOp::create(
                b, e.loc,
                DenseElementsAttr::get(type, b.getI32IntegerAttr(*window))));
    }
    for (int64_t r : llvm::seq(rows)) {
      Value &score = hidden[r * vectors + v];
      Value number = narrow(e.add(key, r));
      Value sees = compare(arith::CmpIPredicate::slt, number, to);
      if (from)
        sees = arith::AndIOp::create(
            b, e.loc, sees, compare(arith::CmpIPredicate::sge, number, from));
      score = arith::SelectOp::create(b, e.loc, sees, score,
                                      e.real(-INFINITY, a.vectorType()));
    }
  }
  scf::YieldOp::create(b, e.loc, hidden);
  return llvm::to_vector(ValueRange(choose.getResults()));
}

/// Scores become powers of their difference to the greatest one; the sums and
/// results so far are scaled accordingly.
void Flash::powers() {
  OpBuilder &b = e.builder;
  int64_t strip = std::min(width, tileVectors());
  e.loop(e.index(0), e.index(width), strip, [&](Value vector) {
    SmallVector<Value> most, sums;
    auto at = [&](int64_t v) { return e.mul(e.add(vector, v), lanes); };
    for (int64_t v : llvm::seq(strip)) {
      Value before = load(greatest, at(v)), now = load(raised, at(v));
      most.push_back(a.finite(now));
      Value factor = a.power(before, most[v]);
      keep(factor, scale, at(v));
      keep(now, greatest, at(v));
      sums.push_back(
          arith::MulFOp::create(b, e.loc, load(total, at(v)), factor));
    }
    // A pair of keys of which one does not exist has its score, -∞.
    int64_t together = pairs ? 2 : 1;
    sums = e.loop(e.index(0), keysHere, together, sums,
                  [&](Value row, ValueRange carried) {
                    SmallVector<Value> next = llvm::to_vector(carried);
                    for (int64_t v : llvm::seq(strip)) {
                      SmallVector<Value, 2> both;
                      for (int64_t r : llvm::seq(together)) {
                        Value place =
                            e.add(e.mul(e.add(row, r), blockQueries), at(v));
                        both.push_back(a.power(load(scores, place), most[v]));
                      }
                      for (Value power : both)
                        next[v] =
                            arith::AddFOp::create(b, e.loc, next[v], power);
                      if (a.valueScale.flat && a.valueScale.steps[a.j])
                        both[0] = arith::MulFOp::create(
                            b, e.loc, both[0],
                            scaleAt(a.valueScale, {{a.j, e.add(key0, row)}}));
                      Value place = e.floorDiv(row, e.index(together));
                      keep(pairs ? packPowers(both[0], both[1]) : both[0],
                           scores, e.add(e.mul(place, blockQueries), at(v)));
                    }
                    return next;
                  });
    for (int64_t v : llvm::seq(strip))
      keep(sums[v], total, at(v));
  });
}

/// Results are scaled, and powers times values added to them.
void Flash::addValues() {
  Rows values{a.value.flat, at(a.value, {{a.j, key0}}), a.value.steps[a.j]};
  if (pairs) {
    copyValuePairs(values);
    values = {valueTile, e.index(0), e.index(columns)};
  } else if (valueTile) {
    Matrix from{values.flat, values.position,
                values.step, a.value.steps[a.n],
                keysHere,    e.index(a.attention.columns)};
    copyTile(e, from, valueTile, columns, columns, lanes,
             [&](Value vector) { return a.widen(vector); });
    values = {valueTile, e.index(0), e.index(columns)};
  }
  auto tile = [&](Value row, int64_t rows, int64_t column, int64_t vectors) {
    SmallVector<Value> sums;
    for (int64_t r : llvm::seq(rows)) {
      Value factor = scalar(scale, e.add(row, r));
      for (int64_t v : llvm::seq(vectors))
        sums.push_back(arith::MulFOp::create(
            e.builder, e.loc, factor,
            load(results,
                 e.add(e.mul(e.add(row, r), columns), column + v * lanes))));
    }
    // Behind what the last query sees all powers are 0.
    Value steps = keysHere;
    if (a.offset)
      steps =
          e.max(e.min(steps, e.sub(a.seenTo(e.add(e.add(first, row), rows - 1)),
                                   key0)),
                e.index(0));
    if (pairs)
      steps = e.ceilDiv(steps, e.index(2));
    sums = product(
        rows, vectors, steps, sums,
        [&](Value k, int64_t r) {
          return scalar(scores, e.add(e.mul(k, blockQueries), e.add(row, r)));
        },
        [&](Value k, int64_t v) {
          int64_t from = column + v * lanes, left = a.attention.columns - from;
          Value position = e.add(values.position, from);
          if (values.step)
            position = e.add(position, e.mul(values.step, k));
          Value mask = left < lanes && !valueTile
                           ? e.lanesBelow(e.index(left), lanes)
                           : Value();
          return readColumns(e, values.flat, position, e.index(1),
                             {lanes, mask});
        });
    for (int64_t r : llvm::seq(rows))
      for (int64_t v : llvm::seq(vectors))
        keep(sums[r * vectors + v], results,
             e.add(e.mul(e.add(row, r), columns), column + v * lanes));
  };
  int64_t left = columns / lanes, column = 0;
  int64_t panels = llvm::divideCeil(left, tileVectors());
  for (; panels > 0; --panels) { // of equal width
    int64_t vectors = llvm::divideCeil(left, panels), rows = tileRows(vectors),
            all = width * lanes, whole = all / rows * rows;
    e.loop(e.index(0), e.index(whole), rows,
           [&](Value row) { tile(row, rows, column, vectors); });
    if (all > whole)
      tile(e.index(whole), all - whole, column, vectors);
    left -= vectors, column += vectors * lanes;
  }
}

void Flash::store() {
  OpBuilder &b = e.builder;
  Value zero = e.real(0, a.vectorType());
  bool zeroEmpty = a.attention.op.getZeroEmptyRows();
  for (int64_t v : llvm::seq(width)) {
    Value at = e.index(v * lanes), sum = load(total, at);
    Value inverse = arith::DivFOp::create(
        b, e.loc, e.real(a.resultFactor(), a.vectorType()), sum);
    keep(inverse, scale, at);
  }
  e.loop(e.index(0), count, 1, [&](Value row) {
    Value factor = scalar(scale, row);
    for (int64_t column = 0; column < columns; column += lanes) {
      Value result = arith::MulFOp::create(
          b, e.loc, load(results, e.add(e.mul(row, columns), column)), factor);
      if (zeroEmpty) {
        Value empty = arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OEQ,
                                            scalar(total, row), zero);
        result = arith::SelectOp::create(b, e.loc, empty, zero, result);
      }
      int64_t left = a.attention.columns - column;
      Columns here{lanes,
                   left < lanes ? e.lanesBelow(e.index(left), lanes) : Value()};
      point[a.n] = e.index(column);
      result = a.scaled(result, a.valueScale, a.n, point, here);
      point[a.n] = {};
      a.writeResult(
          result, at(a.out, {{a.i, e.add(first, row)}, {a.n, e.index(column)}}),
          here);
    }
  });
}

/// Queries of the block as [pair of elements][query].
void Flash::copyQueryPairs() {
  OpBuilder &b = e.builder;
  auto row = VectorType::get(2 * lanes, b.getBF16Type());
  Value last = e.sub(count, e.index(1));
  e.loop(e.index(0), e.index(width * lanes), lanes, [&](Value query) {
    SmallVector<Value> rows;
    for (int64_t lane : llvm::seq(lanes)) { // too many repeat the last
      Value exists = e.min(e.add(query, lane), last);
      rows.push_back(at(a.query, {{a.i, e.add(first, exists)}}));
    }
    e.loop(e.index(0), e.index(a.attention.depth), 2 * lanes, [&](Value d) {
      SmallVector<Value> square;
      for (int64_t lane : llvm::seq(lanes))
        square.push_back(vector::BitCastOp::create(
            b, e.loc, a.vectorType(),
            vector::LoadOp::create(b, e.loc, row, a.query.flat,
                                   e.add(rows[lane], d))));
      transposeSquare(e, square);
      Value pair = e.floorDiv(d, e.index(2));
      for (int64_t lane : llvm::seq(lanes))
        keep(square[lane], queries,
             e.add(e.mul(e.add(pair, lane), blockQueries), query));
    });
  });
}

/// Values of the block as [pair of keys][column]; what has no partner gets 0.
void Flash::copyValuePairs(const Rows &values) {
  OpBuilder &b = e.builder;
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
      Value to = e.add(e.mul(e.floorDiv(row, e.index(2)), columns), column);
      for (int64_t from = 0; from < count; from += lanes) {
        SmallVector<int64_t> order;
        for (int64_t lane : llvm::seq(lanes))
          order.append({from + lane, count + from + lane});
        Value both = vector::ShuffleOp::create(b, e.loc, upper, lower, order);
        keep(vector::BitCastOp::create(b, e.loc, a.vectorType(), both),
             valueTile, e.add(to, from));
      }
      column += count;
    }
  };
  Value whole = e.sub(keysHere, e.remainder(keysHere, e.index(2)));
  e.loop(e.index(0), whole, 2, [&](Value row) { copy(row, /*half=*/false); });
  e.loop(whole, keysHere, 2, [&](Value row) { copy(row, /*half=*/true); });
}

/// Rounds the powers of two neighbouring keys and puts them together.
Value Flash::packPowers(Value first, Value second) {
  OpBuilder &b = e.builder;
  // One instruction rounds both; the second operand goes to the lower half.
  Value both = LLVM::CallIntrinsicOp::create(
                   b, e.loc, VectorType::get(2 * lanes, b.getBF16Type()),
                   b.getStringAttr("llvm.x86.avx512bf16.cvtne2ps2bf16.512"),
                   ValueRange{second, first})
                   .getResults();
  auto bits = VectorType::get(2 * lanes, b.getI16Type());
  both = LLVM::BitcastOp::create(b, e.loc, bits, both);
  SmallVector<int64_t> order;
  for (int64_t lane : llvm::seq(lanes))
    order.append({lane, lanes + lane});
  both = vector::ShuffleOp::create(b, e.loc, both, both, order);
  return vector::BitCastOp::create(b, e.loc, a.vectorType(), both);
}

/// Two neighbouring elements in every lane.
Value Flash::readPair(Value flat, Value position) {
  OpBuilder &b = e.builder;
  Value both = vector::LoadOp::create(
      b, e.loc, VectorType::get(2, b.getBF16Type()), flat, position);
  both = vector::BitCastOp::create(b, e.loc, VectorType::get(1, b.getF32Type()),
                                   both);
  return e.broadcast(
      vector::ExtractOp::create(b, e.loc, both, ArrayRef<int64_t>{0}), lanes);
}

SmallVector<Value>
Flash::product(int64_t rows, int64_t vectors, Value steps,
               SmallVector<Value> sums,
               llvm::function_ref<Value(Value, int64_t)> left,
               llvm::function_ref<Value(Value, int64_t)> right) {
  if (!pairs)
    return a.multiply(rows, vectors, steps, sums, left, right);
  OpBuilder &b = e.builder;
  auto bits = VectorType::get(2 * lanes, b.getBF16Type());
  auto pairOf = [&](Value vector) {
    return LLVM::BitcastOp::create(b, e.loc, bits, vector);
  };
  return a.multiply(
      rows, vectors, steps, sums,
      [&](Value k, int64_t r) { return pairOf(left(k, r)); },
      [&](Value k, int64_t v) { return pairOf(right(k, v)); },
      [&](Value left, Value right, Value sum) -> Value {
        return LLVM::CallIntrinsicOp::create(
                   b, e.loc, sum.getType(),
                   b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
                   ValueRange{sum, left, right})
            .getResults();
      });
}

void fulgur::emitFlashAttention(AttentionEmitter &a) { Flash{a}.build(); }
