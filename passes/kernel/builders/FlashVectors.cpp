// Flash attention on vectors: both products are the tile of the matrix product,
// keys (broadcast) times transposed queries, and powers (broadcast) times
// values.
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/Flash.h"
#include "passes/kernel/builders/PowerTable.h"
#include "passes/kernel/builders/Tile.h"

using namespace mlir;
using namespace fulgur;

namespace {
/// Buffers: queries are [depth][query], scores [key][query], results
/// [query][column].
struct FlashVectors : Flash {
  int64_t registers = a.site.target.vectorRegisters;
  int64_t depth = llvm::alignTo(a.attention.depth, lanes);
  Value keyTile{};                   ///< null: read in place
  int64_t width = 0;                 ///< vectors of queries of a block
  Rows keys{};                       ///< of a block
  std::optional<PowerTable> table{}; ///< of powers; none: they are computed
  SmallVector<Value>
      origins{}; ///< of the powers of a strip; none: scores are kept

  explicit FlashVectors(AttentionEmitter &a)
      : Flash(a, /*pitch=*/a.schedule.getTile()[0]) {}

  void allocate() override;
  void queryBlock(Value from, Value here) override;
  void keyBlock() override;
  Value pairOfQueries(Value pair, Value query) override {
    return e.add(e.mul(pair, blockQueries), query);
  }
  void queriesOf(int64_t vectors, Value from, Value count);
  void scoreStrip(Value strip, int64_t vectors);
  void scoreTile(Value strip, int64_t vectors, Value row, int64_t rows);
  void powers(Value from, int64_t strip);
  Value comparesWithFirst(Value strip, int64_t vectors);
  /// Whether all keys are one block for sure.
  bool isOneBlock() { return known(keyCount) && *known(keyCount) <= blockKeys; }
  void addValues();
  void store();
  Value readPair(Value flat, Value position);
  SmallVector<Value> product(int64_t rows, int64_t vectors, Value steps,
                             SmallVector<Value> sums,
                             llvm::function_ref<Value(Value, int64_t)> left,
                             llvm::function_ref<Value(Value, int64_t)> right);
  bool isCopied(const Access &access, unsigned loop);

  /// How many vectors of a tile may lie next to each other.
  int64_t tileVectors() { return registers >= 32 ? 4 : 2; }
  /// How many rows of `vectors` sums fit the registers, besides a row of the
  /// right side and an element of the left one.
  int64_t tileRows(int64_t vectors) {
    static constexpr int64_t many[] = {12, 12, 8, 6}, few[] = {12, 6, 4};
    return registers >= 32 ? many[vectors - 1] : few[vectors - 1];
  }
};
} // namespace

/// Whether keys or values are copied first: a row is not contiguous, elements
/// have to be widened or values put together in pairs. Other rows are read
/// where they are, however far apart: a copy takes more time than it saves.
bool FlashVectors::isCopied(const Access &access, unsigned loop) {
  if (a.attention.narrow)
    return !pairs || loop == a.n;
  if (access.elementType().isInteger(8))
    return true;
  return access.steps[loop] && known(access.steps[loop]) != 1;
}

void FlashVectors::allocate() {
  if (PowerTable::serves(a))
    table.emplace(a).prepare();
  Type f32 = e.builder.getF32Type();
  int64_t keyRows = llvm::alignTo(blockKeys, lanes);
  queries = a.onStack(depth * blockQueries, f32);
  scores = a.onStack(blockKeys * blockQueries, f32);
  results = a.onStack(blockQueries * columns, f32);
  allocateQueries();
  if (isCopied(a.key, a.d))
    keyTile = a.onStack(keyRows * depth, f32);
  if (isCopied(a.value, a.n))
    valueTile = a.onStack(keyRows * columns / (pairs ? 2 : 1), f32);
  allocateExtras();
}

/// The queries of one block: all of its lanes at once, or, when there are
/// fewer, as many vectors as they fill.
void FlashVectors::queryBlock(Value from, Value here) {
  int64_t whole = blockQueries / lanes;
  Value vectors = e.ceilDiv(here, e.index(lanes));
  auto run = [&](int64_t vectors, Value from, Value count) {
    queriesOf(vectors, from, count);
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

void FlashVectors::queriesOf(int64_t vectors, Value from, Value count) {
  OpBuilder &b = e.builder;
  width = vectors, first = from, this->count = count;
  areWhole = known(count) && *known(count) == width * lanes;
  double factor = a.queryFactor();
  Matrix rows{
      a.query.flat,       at(a.query, {{a.i, first}}), a.query.steps[a.d],
      a.query.steps[a.i], e.index(a.attention.depth),  count};
  if (pairs)
    copyQueryPairs(e.index(width * lanes));
  else
    copyTile(e, rows, queries, blockQueries, width * lanes, lanes,
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
  for (int64_t v : llvm::seq(width))
    begin(e.index(v * lanes));
  Value zero = e.real(0, a.vectorType());
  e.loop(e.index(0), e.index(width * lanes * columns), columns, [&](Value row) {
    for (int64_t column = 0; column < columns; column += lanes)
      keep(zero, results, e.add(row, column));
  });

  forKeyBlocks();
  store();
}

void FlashVectors::keyBlock() {
  keys = {a.key.flat, at(a.key, {{a.j, key0}}), a.key.steps[a.j]};
  if (keyTile) {
    Matrix from{keys.flat,        keys.position, keys.step,
                a.key.steps[a.d], keysHere,      e.index(a.attention.depth)};
    copyTile(e, from, keyTile, depth, depth, lanes,
             [&](Value vector) { return a.widen(vector); });
    keys = {keyTile, e.index(0), e.index(depth)};
  }
  copyExtras(width * lanes, count);
  int64_t strip = std::min(width, tileVectors());
  e.loop(e.index(0), e.index(width), strip, [&](Value v) {
    Value at = e.mul(v, lanes);
    auto known = [&] {
      scoreStrip(at, strip);
      powers(at, strip);
    };
    if (table && !isOneBlock())
      e.branch(comparesWithFirst(at, strip), known);
    else
      known();
  });
  addValues();
}

/// The scores of all keys of the block and the queries from `strip` on.
void FlashVectors::scoreStrip(Value strip, int64_t vectors) {
  for (int64_t v : llvm::seq(vectors)) {
    Value at = e.add(strip, v * lanes);
    keep(load(greatest, at), raised, at);
  }
  int64_t rows = tileRows(vectors);
  e.loop(e.index(0), keysHere, rows,
         [&](Value row) { scoreTile(strip, vectors, row, rows); });
}

void FlashVectors::scoreTile(Value strip, int64_t vectors, Value row,
                             int64_t rows) {
  Value last = e.sub(keysHere, e.index(1));
  SmallVector<Value> keyRows, keyIndices;
  for (int64_t r : llvm::seq(rows)) { // those that are too many repeat the last
    Value exists = e.min(e.add(row, r), last);
    keyRows.push_back(keys.step ? e.add(keys.position, e.mul(keys.step, exists))
                                : keys.position);
    keyIndices.push_back(e.add(key0, exists));
    if (!origins.empty()) // its values are next
      for (int64_t n = 0; n < columns; n += 2 * lanes)
        memref::PrefetchOp::create(
            e.builder, e.loc, a.value.flat,
            at(a.value, {{a.j, keyIndices.back()}, {a.n, e.index(n)}}),
            /*isWrite=*/false, /*localityHint=*/3, /*isDataCache=*/true);
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
  sums = makeScores(sums, strip, vectors, row, keyIndices);
  for (int64_t v : llvm::seq(vectors)) {
    Value query = e.add(strip, v * lanes), most = load(raised, query);
    if (!origins.empty()) { // of powers
      for (int64_t r = 0; r < rows; r += 2) {
        Value pair = table->pair(sums[r * vectors + v],
                                 sums[(r + 1) * vectors + v], origins[v], most);
        keep(pair, scores,
             scorePlace(e.floorDiv(e.add(row, r), e.index(2)), query));
      }
      keep(most, raised, query);
      continue;
    }
    for (int64_t r : llvm::seq(rows)) {
      Value sum = sums[r * vectors + v];
      keep(sum, scores, scorePlace(e.add(row, r), query));
      most = e.greater(sum, most);
    }
    keep(most, raised, query);
  }
}

/// The scores of a strip of queries become powers of their difference to the
/// greatest one; the sums and results so far are scaled accordingly.
void FlashVectors::powers(Value from, int64_t strip) {
  OpBuilder &b = e.builder;
  SmallVector<Value> most, sums;
  auto at = [&](int64_t v) { return e.add(from, v * lanes); };
  for (int64_t v : llvm::seq(strip)) {
    Value before = load(greatest, at(v)), now = load(raised, at(v));
    most.push_back(a.finite(now));
    Value factor =
        table ? table->change(before, most[v]) : a.power(before, most[v]);
    keep(factor, scale, at(v));
    keep(now, greatest, at(v));
    sums.push_back(arith::MulFOp::create(b, e.loc, load(total, at(v)), factor));
  }
  if (table)
    sums = table->strip(most, sums, scores, keysHere, from, blockQueries);
  else
    sums = e.loop(e.index(0), keysHere, pairs ? 2 : 1, sums,
                  [&](Value row, ValueRange carried) {
                    SmallVector<Value> next = llvm::to_vector(carried);
                    for (int64_t v : llvm::seq(strip))
                      next[v] = addPowers(row, at(v), most[v], next[v]);
                    return next;
                  });
  for (int64_t v : llvm::seq(strip))
    keep(sums[v], total, at(v));
}

/// The powers of the differences to the greatest score before this block, while
/// it is not much less than those of the block: they may be of any size then.
/// Returns whether they are to be computed again, as in the first block, which
/// has no score before it, or where queries see their first key. So scores need
/// not be kept, and there is nothing to scale.
Value FlashVectors::comparesWithFirst(Value strip, int64_t vectors) {
  OpBuilder &b = e.builder;
  constexpr double kMost = 0x1p60; // of all powers of a query
  Type flag = b.getI1Type();
  Value isFirst = e.less(key0, e.add(a.seenFrom(first), 1));
  auto choose =
      scf::IfOp::create(b, e.loc, flag, isFirst, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(choose.thenBlock());
  scf::YieldOp::create(b, e.loc,
                       Value(arith::ConstantIntOp::create(b, e.loc, 1, 1)));
  b.setInsertionPointToStart(choose.elseBlock());
  origins.clear();
  for (int64_t v : llvm::seq(vectors)) {
    Value at = e.add(strip, v * lanes);
    origins.push_back(table->origin(load(greatest, at)));
    keep(e.zero(a.vectorType()), raised, at);
  }
  int64_t rows = tileRows(vectors);
  e.loop(e.index(0), keysHere, rows,
         [&](Value row) { scoreTile(strip, vectors, row, rows); });
  origins.clear();
  Value again = arith::ConstantIntOp::create(b, e.loc, 0, 1);
  SmallVector<Value> sums;
  for (int64_t v : llvm::seq(vectors)) {
    sums.push_back(load(raised, e.add(strip, v * lanes)));
    Value large =
        arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::UGT, sums.back(),
                              e.real(kMost, a.vectorType()));
    again = arith::OrIOp::create(b, e.loc, again,
                                 e.reduce(vector::CombiningKind::OR, large));
  }
  Value fine = arith::XOrIOp::create(
      b, e.loc, again, arith::ConstantIntOp::create(b, e.loc, 1, 1));
  e.branch(fine, [&] {
    for (int64_t v : llvm::seq(vectors)) {
      Value at = e.add(strip, v * lanes);
      keep(arith::AddFOp::create(b, e.loc, load(total, at), sums[v]), total,
           at);
      keep(e.real(1, a.vectorType()), scale, at);
    }
  });
  scf::YieldOp::create(b, e.loc, again);
  return choose.getResult(0);
}

/// Results are scaled, and powers times values added to them.
void FlashVectors::addValues() {
  Rows values = valueRows();
  if (pairs) {
    copyValuePairs(valueTile);
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

void FlashVectors::store() {
  for (int64_t v : llvm::seq(width))
    invertTotals(e.index(v * lanes));
  e.loop(e.index(0), count, 1, [&](Value row) { storeRow(row, results, row); });
}

/// Two neighbouring elements in every lane.
Value FlashVectors::readPair(Value flat, Value position) {
  OpBuilder &b = e.builder;
  Value both = vector::LoadOp::create(
      b, e.loc, VectorType::get(2, b.getBF16Type()), flat, position);
  both = vector::BitCastOp::create(b, e.loc, VectorType::get(1, b.getF32Type()),
                                   both);
  return e.broadcast(
      vector::ExtractOp::create(b, e.loc, both, ArrayRef<int64_t>{0}), lanes);
}

SmallVector<Value>
FlashVectors::product(int64_t rows, int64_t vectors, Value steps,
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

void fulgur::emitFlashVectors(AttentionEmitter &a) { FlashVectors(a).build(); }
