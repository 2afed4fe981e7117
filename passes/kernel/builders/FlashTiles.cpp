// Flash attention of bfloat16 by AMX's tiles.
//
// Tiles of scores are 16 keys by 16 queries, so that both products take what
// the other form has already: rows of keys times pairs of queries, and values,
// turned round once for a block of keys, times pairs of powers. Results lie
// with one query in each lane, too, until they are stored.
//
// A strip of 32 queries goes over all keys of a block before the next one, so
// that its scores and results stay in the first-level cache. Most of the work
// is on vectors then: powers. While they are computed, tiles multiply the
// queries of the next strip, whose scores are a second buffer.
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/AmxTiles.h"
#include "passes/kernel/builders/Flash.h"
#include "passes/kernel/builders/Tile.h"
#include "passes/kernel/builders/Transpose.h"
#include <cmath>

using namespace mlir;
using namespace fulgur;
using amx::kTileRows;

namespace {
constexpr int64_t kStrip = kTileStrip; // queries
constexpr int64_t kChunk = kTileStrip; // keys: pairs of them fill a tile
constexpr int64_t kMostQueries = 256, kMostKeys = 128;          // of a block
constexpr int64_t kQueryBytes = 96 << 10, kKeyBytes = 64 << 10; // of a block
/// Powers may grow to two to the power of this before results are scaled.
constexpr double kRaise = 8;

/// Elements of a query in whole tiles.
int64_t paddedDepth(const Attention &attention) {
  return llvm::alignTo(attention.depth, 2 * kTileRows);
}

/// Buffers: queries are [strip][pair of elements][query], scores [key][query],
/// results [strip][column][query].
struct FlashTiles : Flash {
  int64_t depth = paddedDepth(a.attention);
  Multiplication elements{e.builder.getBF16Type(), /*unsignedRow=*/false, lanes,
                          a.site.target};
  amx::Tiles tiles{e, elements};
  Value keyTile{};    ///< [key][element]
  Value valuePairs{}; ///< [pair of keys][column]
  Value turned{};     ///< [query][column]

  /// The queries from `query` on, and the keys of the block that they see, from
  /// a whole chunk on.
  struct Strip {
    Value query, from, to;
  };

  explicit FlashTiles(AttentionEmitter &a) : Flash(a, /*pitch=*/kStrip) {}

  void allocate() override;
  void release() override { tiles.release(); }
  void queryBlock(Value from, Value here) override;
  void keyBlock() override;
  Value pairOfQueries(Value pair, Value query) override {
    Value inStrip = e.remainder(query, e.index(kStrip));
    return e.add(queriesOf(e.sub(query, inStrip)),
                 e.add(e.mul(pair, kStrip), inStrip));
  }

  Strip stripAt(Value query);
  void enter(const Strip &strip);
  /// Done with a chunk of keys that a strip sees.
  struct Step {
    const Strip &strip;
    Emitter::Body body;
  };
  void inTurns(const Strip &now, const Strip &next, Step one, Step other);
  void copyKeys();
  void turnValues();
  void multiplyKeys(const Strip &strip, Value chunk);
  void beginScores(const Strip &strip);
  void finishScores(const Strip &strip, Value chunk);
  void finishScores(Value query, Value row);
  void raise(Value query);
  void addPowers(const Strip &strip, Value chunk);
  using Chunks = llvm::function_ref<void(Emitter::Body)>;
  void addValues(const Strip &strip, Chunks chunks);
  void addValues(const Strip &strip, Value column, bool hasLower,
                 Chunks chunks);
  void store(Value query);

  /// Where the rows of a strip begin.
  Value queriesOf(Value query) { return e.mul(query, depth / 2); }
  Value resultsOf(Value query) { return e.mul(query, columns); }
  Value scoresOf(Value query) {
    Value number = e.floorDiv(query, e.index(kStrip));
    return e.mul(e.remainder(number, e.index(2)), blockKeys * kStrip);
  }
  /// The first multiple of `step` from `count` on.
  Value whole(Value count, int64_t step) {
    return e.mul(e.ceilDiv(count, e.index(step)), step);
  }
  /// For every vector of the strip's queries.
  void forVectors(const Strip &strip, Emitter::Body body) {
    e.loop(strip.query, e.min(e.add(strip.query, kStrip), count), lanes, body);
  }
  void loadTile(int64_t tile, Value from, Value position, int64_t distance,
                int64_t elementBytes = 4) {
    tiles.load(tile, pointerTo(e, from, position, elementBytes),
               e.index(distance * elementBytes));
  }
  void storeTile(int64_t tile, Value to, Value position) {
    tiles.store(tile, pointerTo(e, to, position, 4), e.index(kStrip * 4));
  }
};
} // namespace

void FlashTiles::allocate() {
  Type f32 = e.builder.getF32Type();
  queries = a.onStack(blockQueries * depth / 2, f32);
  keyTile = a.onStack(blockKeys * depth, e.builder.getBF16Type());
  valuePairs = a.onStack(blockKeys / 2 * columns, f32);
  valueTile = a.onStack(blockKeys / 2 * columns, f32);
  scores = a.onStack(2 * blockKeys * kStrip, f32);
  results = a.onStack(blockQueries * columns, f32);
  turned = a.onStack(lanes * columns, f32);
  allocateQueries();
  allocateExtras();
  tiles.allocate();
  tiles.configure(e.index(kTileRows), e.index(kTileRows));
}

void FlashTiles::queryBlock(Value from, Value here) {
  first = from, count = here;
  areWhole = known(count) && *known(count) % lanes == 0;
  stripFrom = e.index(0);
  copyQueryPairs(whole(count, lanes));
  e.loop(e.index(0), count, lanes, [&](Value query) { begin(query); });
  Value zero = e.real(0, a.vectorType());
  e.loop(e.index(0), resultsOf(whole(count, kStrip)), lanes,
         [&](Value at) { keep(zero, results, at); });
  forKeyBlocks();
  e.loop(e.index(0), count, lanes, [&](Value query) { store(query); });
}

FlashTiles::Strip FlashTiles::stripAt(Value query) {
  OpBuilder &b = e.builder;
  Value from = e.index(0), to = keysHere;
  if (a.offset) {
    Value last = e.sub(e.min(e.add(query, kStrip), count), e.index(1));
    to = e.min(e.max(e.sub(a.seenTo(e.add(first, last)), key0), e.index(0)),
               keysHere);
  }
  if (a.attention.op.getWindow()) {
    from = e.max(e.sub(a.seenFrom(e.add(first, query)), key0), e.index(0));
    from = e.mul(e.floorDiv(from, e.index(kChunk)), kChunk);
  }
  to = b.createOrFold<arith::SelectOp>(e.loc, e.less(query, count), to,
                                       e.index(0));
  return {query, from, to};
}

/// Places and keys are those of the strip from here on.
void FlashTiles::enter(const Strip &strip) {
  stripFrom = strip.query, scoresFrom = scoresOf(strip.query),
  keysHere = strip.to;
}

/// For every chunk of keys that one of two neighbouring strips sees: `one`,
/// then `other`, each if its strip sees it. The next strip sees no key before
/// the first strip's, and no less behind them.
void FlashTiles::inTurns(const Strip &now, const Strip &next, Step one,
                         Step other) {
  e.loop(now.from, e.max(now.to, next.to), kChunk, [&](Value chunk) {
    for (const Step &step : {one, other}) {
      Value isSeen = e.less(chunk, step.strip.to);
      if (a.attention.op.getWindow())
        isSeen = e.builder.createOrFold<arith::AndIOp>(
            e.loc, isSeen, e.less(e.sub(step.strip.from, e.index(1)), chunk));
      e.branch(isSeen, [&] { step.body(chunk); });
    }
  });
}

void FlashTiles::keyBlock() {
  copyKeys();
  turnValues();
  Value all = keysHere;
  Strip start = stripAt(e.index(0)); // has nothing to stand beside
  e.loop(start.from, start.to, kChunk,
         [&](Value chunk) { multiplyKeys(start, chunk); });
  enter(start);
  beginScores(start);
  e.loop(start.from, start.to, kChunk,
         [&](Value chunk) { finishScores(start, chunk); });
  e.loop(e.index(0), count, kStrip, [&](Value query) {
    keysHere = all;
    Strip now = stripAt(query), next = stripAt(e.add(query, kStrip));
    enter(now);
    forVectors(now, [&](Value vector) { raise(vector); });
    inTurns(now, next, {next, [&](Value chunk) { multiplyKeys(next, chunk); }},
            {now, [&](Value chunk) { addPowers(now, chunk); }});
    enter(next);
    e.branch(e.less(next.query, count), [&] { beginScores(next); });
    auto finishNext = [&](Value chunk) { finishScores(next, chunk); };
    addValues(now, [&](Emitter::Body multiply) {
      inTurns(now, next, {now, multiply}, {next, finishNext});
    });
  });
  keysHere = all;
}

void FlashTiles::copyKeys() {
  Matrix from{a.key.flat,       at(a.key, {{a.j, key0}}),
              a.key.steps[a.j], a.key.steps[a.d],
              keysHere,         e.index(a.attention.depth)};
  copyTile(e, from, keyTile, depth, depth, 2 * lanes);
}

/// Values of the block as [column][pair of keys]; 0 behind the last key of a
/// chunk.
void FlashTiles::turnValues() {
  copyValuePairs(valuePairs);
  Value pairsHere = e.ceilDiv(keysHere, e.index(2)),
        pairsTo = e.floorDiv(whole(keysHere, kChunk), e.index(2));
  e.loop(e.mul(pairsHere, columns), e.mul(pairsTo, columns), lanes,
         [&](Value at) { keep(e.real(0, a.vectorType()), valuePairs, at); });
  e.loop(e.index(0), pairsTo, lanes, [&](Value pair) {
    e.loop(e.index(0), e.index(columns), lanes, [&](Value column) {
      SmallVector<Value> square;
      for (int64_t lane : llvm::seq(lanes))
        square.push_back(
            load(valuePairs, e.add(e.mul(e.add(pair, lane), columns), column)));
      transposeSquare(e, square);
      for (int64_t lane : llvm::seq(lanes))
        keep(square[lane], valueTile,
             e.add(e.mul(e.add(column, lane), blockKeys / 2), pair));
    });
  });
}

/// The products of a chunk of keys and a strip of queries.
void FlashTiles::multiplyKeys(const Strip &strip, Value chunk) {
  using namespace amx;
  Value from = queriesOf(strip.query), rows = e.mul(chunk, depth),
        to = e.add(scoresOf(strip.query), e.mul(chunk, kStrip));
  for (int64_t sum : llvm::seq(4))
    tiles.clear(sum);
  e.loop(e.index(0), e.index(depth), 2 * kTileRows, [&](Value d) {
    Value pairs = e.add(from, e.mul(d, kStrip / 2)), keys = e.add(rows, d);
    loadTile(amx::columns, queries, pairs, kStrip);
    loadTile(amx::columns + 1, queries, e.add(pairs, lanes), kStrip);
    loadTile(upperRows, keyTile, keys, depth, 2);
    tiles.multiply(upperSums, upperRows, amx::columns);
    tiles.multiply(upperSums + 1, upperRows, amx::columns + 1);
    loadTile(lowerRows, keyTile, e.add(keys, kTileRows * depth), depth, 2);
    tiles.multiply(lowerSums, lowerRows, amx::columns);
    tiles.multiply(lowerSums + 1, lowerRows, amx::columns + 1);
  });
  for (int64_t sum : llvm::seq(4))
    storeTile(sum, scores,
              e.add(to, sum / 2 * kTileRows * kStrip + sum % 2 * lanes));
}

void FlashTiles::beginScores(const Strip &strip) {
  copyExtras(kStrip, e.min(e.sub(count, strip.query), e.index(kStrip)));
  Value none = e.real(-INFINITY, a.vectorType());
  forVectors(strip, [&](Value query) { keep(none, raised, query); });
}

/// Products become scores; `raised` are the greatest ones of the block.
void FlashTiles::finishScores(const Strip &strip, Value chunk) {
  forVectors(strip, [&](Value query) {
    for (int64_t row = 0; row < kChunk; row += kTileRows)
      finishScores(query, e.add(chunk, row));
  });
}

void FlashTiles::finishScores(Value query, Value row) {
  Value last = e.sub(keysHere, e.index(1));
  SmallVector<Value> keyIndices, sums;
  for (int64_t r : llvm::seq(kTileRows)) {
    keyIndices.push_back(e.add(key0, e.min(e.add(row, r), last)));
    sums.push_back(load(scores, scorePlace(e.add(row, r), query)));
  }
  auto keepAll = [&](ArrayRef<Value> sums) {
    for (auto [r, sum] : llvm::enumerate(sums))
      keep(sum, scores, scorePlace(e.add(row, r), query));
  };
  // What is not changed is where it belongs.
  bool areKept = a.attention.plain;
  sums = makeScores(sums, query, /*vectors=*/1, row, keyIndices,
                    [&](ArrayRef<Value> hidden) {
                      if (areKept)
                        keepAll(hidden);
                    });
  if (!areKept)
    keepAll(sums);
  for (int64_t half = kTileRows / 2; half > 0; half /= 2)
    for (int64_t r : llvm::seq(half))
      sums[r] = e.greater(sums[r], sums[r + half]);
  keep(e.greater(sums[0], load(raised, query)), raised, query);
}

/// Where some score is far above the greatest one so far, that is raised: sums
/// and results of a vector of queries are scaled.
void FlashTiles::raise(Value query) {
  OpBuilder &b = e.builder;
  Value before = load(greatest, query),
        now = e.greater(load(raised, query), before);
  Value bound = arith::AddFOp::create(
      b, e.loc, before, e.real(kRaise / a.powerFactor(), a.vectorType()));
  Value isFar =
      arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OGT, now, bound);
  e.branch(
      vector::ReductionOp::create(b, e.loc, vector::CombiningKind::OR, isFar),
      [&] {
        Value factor = a.power(before, a.finite(now));
        keep(now, greatest, query);
        auto scale = [&](Value buffer, Value at) {
          keep(arith::MulFOp::create(b, e.loc, load(buffer, at), factor),
               buffer, at);
        };
        scale(total, query);
        Value from = e.add(resultsOf(stripFrom), e.sub(query, stripFrom));
        e.loop(e.index(0), e.index(columns), 1, [&](Value column) {
          scale(results, e.add(from, e.mul(column, kStrip)));
        });
      });
}

void FlashTiles::addPowers(const Strip &strip, Value chunk) {
  constexpr int64_t kSums = 4; // one after the other would wait
  forVectors(strip, [&](Value query) {
    Value most = a.finite(load(greatest, query));
    SmallVector<Value> sums(kSums, e.real(0, a.vectorType()));
    sums[0] = load(total, query);
    sums = e.loop(chunk, e.add(chunk, kChunk), 2 * kSums, sums,
                  [&](Value row, ValueRange carried) {
                    SmallVector<Value> next = llvm::to_vector(carried);
                    for (int64_t s : llvm::seq(kSums))
                      next[s] = Flash::addPowers(e.add(row, 2 * s), query, most,
                                                 next[s]);
                    return next;
                  });
    for (int64_t s : llvm::seq<int64_t>(1, kSums))
      sums[0] = arith::AddFOp::create(e.builder, e.loc, sums[0], sums[s]);
    keep(sums[0], total, query);
  });
}

/// `chunks` goes over the strip's chunks of keys and does something else
/// beside.
void FlashTiles::addValues(const Strip &strip, Chunks chunks) {
  auto alone = [&](Emitter::Body multiply) {
    e.loop(strip.from, strip.to, kChunk, multiply);
  };
  int64_t both = columns / kStrip * kStrip;
  addValues(strip, e.index(0), both > 0, chunks);
  e.loop(e.index(kStrip), e.index(both), kStrip,
         [&](Value column) { addValues(strip, column, true, alone); });
  if (both > 0 && both < columns)
    addValues(strip, e.index(both), false, alone);
}

/// To the results of 32 columns, or of 16 without the lower half.
void FlashTiles::addValues(const Strip &strip, Value column, bool hasLower,
                           Chunks chunks) {
  using namespace amx;
  Value to = e.add(resultsOf(strip.query), e.mul(column, kStrip)),
        rows = e.mul(column, blockKeys / 2);
  auto result = [&](int64_t sum) {
    return e.add(to, sum / 2 * kTileRows * kStrip + sum % 2 * lanes);
  };
  int64_t sums = hasLower ? 4 : 2;
  for (int64_t sum : llvm::seq(sums))
    loadTile(sum, results, result(sum), kStrip);
  chunks([&](Value chunk) {
    Value pair = e.floorDiv(chunk, e.index(2)), values = e.add(rows, pair),
          powers = e.add(scoresOf(strip.query), e.mul(pair, kStrip));
    loadTile(amx::columns, scores, powers, kStrip);
    loadTile(amx::columns + 1, scores, e.add(powers, lanes), kStrip);
    loadTile(upperRows, valueTile, values, blockKeys / 2);
    tiles.multiply(upperSums, upperRows, amx::columns);
    tiles.multiply(upperSums + 1, upperRows, amx::columns + 1);
    if (!hasLower)
      return;
    loadTile(lowerRows, valueTile, e.add(values, kTileRows * blockKeys / 2),
             blockKeys / 2);
    tiles.multiply(lowerSums, lowerRows, amx::columns);
    tiles.multiply(lowerSums + 1, lowerRows, amx::columns + 1);
  });
  for (int64_t sum : llvm::seq(sums))
    storeTile(sum, results, result(sum));
}

/// The results of a vector of queries, turned round.
void FlashTiles::store(Value query) {
  invertTotals(query);
  Value inStrip = e.remainder(query, e.index(kStrip)),
        from = e.add(resultsOf(e.sub(query, inStrip)), inStrip);
  e.loop(e.index(0), e.index(columns), lanes, [&](Value column) {
    SmallVector<Value> square;
    for (int64_t lane : llvm::seq(lanes))
      square.push_back(
          load(results, e.add(from, e.mul(e.add(column, lane), kStrip))));
    transposeSquare(e, square);
    for (int64_t lane : llvm::seq(lanes))
      keep(square[lane], turned, e.add(column, lane * columns));
  });
  e.loop(e.index(0), e.min(e.sub(count, query), e.index(lanes)), 1,
         [&](Value row) { storeRow(e.add(query, row), turned, row); });
}

void fulgur::emitFlashTiles(AttentionEmitter &a) { FlashTiles(a).build(); }

std::optional<std::pair<int64_t, int64_t>>
fulgur::blockOfTiles(Attention attention, const Target &target) {
  constexpr int64_t kLeastQueries = 16; // for less, tiles would be empty
  auto all = attention.size(attention.op.queryLoop());
  if (!target.amx || !target.bf16 || target.lanes() != kTileRows ||
      !attention.narrow || attention.keyCodes || attention.valueCodes ||
      all.value_or(kLeastQueries) < kLeastQueries)
    return std::nullopt;
  int64_t depth = paddedDepth(attention),
          columns = llvm::alignTo(attention.columns, kTileRows),
          queries = kMostQueries, keys = kMostKeys;
  for (; queries > kStrip && queries * (2 * depth + 4 * columns) > kQueryBytes;
       queries /= 2)
    ;
  for (; keys > kChunk && keys * (2 * depth + 4 * columns) > kKeyBytes;
       keys /= 2)
    ;
  if (all) // blocks of equal size
    queries = llvm::alignTo(
        llvm::divideCeil(*all, llvm::divideCeil(*all, queries)), kStrip);
  return std::pair(queries, keys);
}
