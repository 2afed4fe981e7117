// Attention of few queries, such as the last one of a sequence: every key and
// value is read once, and that is what takes the time.
//
// The rows of one pass are all queries that share keys and values (several
// heads, when queries are grouped). Scores are dot products along the rows of
// the keys, or, when the keys are transposed, sums with one key in each lane.
// Long sequences are cut into chunks, which are tasks of their own and keep
// their sums; these are combined at the end.
#include "passes/kernel/builders/DecodeAttention.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "passes/kernel/builders/Transpose.h"
#include <cmath>

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kFewQueries = 8;
constexpr int64_t kUsualRows = 64, kMostRows = 128;
constexpr int64_t kTaskBytes = 1 << 20; // of keys and values: 20 microseconds
constexpr int64_t kBlockScores = 16 << 10; // stay in the cache
constexpr int64_t kRowElements = 32768; // of queries and results on the stack
} // namespace

Decode::Decode(AttentionEmitter &a) : a(a) {
  rows = units = e.index(1);
  for (unsigned loop : llvm::seq(a.i)) {
    bool shared = !a.key.steps[loop] && !a.value.steps[loop];
    (shared ? rowLoops : unitLoops).push_back(loop);
    Value &count = shared ? rows : units;
    count = e.mul(count, a.sizes[loop]);
  }
  auto group = known(rows);
  rowLoops.push_back(a.i);
  rows = e.mul(rows, a.sizes[a.i]);
  capacity = kUsualRows;
  if (known(rows))
    capacity = *known(rows);
  else if (group)
    capacity = std::max(*group, std::min(*group * kFewQueries, kUsualRows));
  blockKeys = kBlockScores / llvm::PowerOf2Ceil(std::max(capacity, kUsualRows));
  // Equal chunks.
  int64_t longest =
      llvm::alignTo(std::max(kTaskBytes / rowBytes, blockKeys), lanes);
  chunks = e.max(e.ceilDiv(keyCount, e.index(longest)), e.index(1));
  chunkKeys =
      e.mul(e.ceilDiv(e.ceilDiv(keyCount, chunks), e.index(lanes)), lanes);
}

bool fulgur::canDecode(AttentionEmitter &a) {
  auto isOne = [](Value step) { return !step || known(step) == 1; };
  // Booleans are not gathered.
  for (auto [number, extra] : llvm::enumerate(a.extras))
    if (a.reads(3 + number) && !isOne(extra.steps[a.j]) &&
        extra.elementType().isInteger(1))
      return false;
  Decode decode(a);
  // All rows of a pass share their keys.
  if (a.offsets.flat && llvm::any_of(decode.rowLoops, [&](unsigned loop) {
        return bool(a.offsets.steps[loop]);
      }))
    return false;
  return isOne(a.value.steps[a.n]) &&
         (isOne(a.key.steps[a.d]) || isOne(a.key.steps[a.j])) &&
         decode.capacity <= kMostRows &&
         decode.capacity * (decode.depth + decode.columns) <= kRowElements;
}

Value fulgur::hasFewQueries(AttentionEmitter &a) {
  Decode decode(a);
  Value few = a.e.less(a.sizes[a.i], a.e.index(kFewQueries + 1)),
        fit = a.e.less(decode.rows, a.e.index(decode.capacity + 1));
  return a.e.builder.createOrFold<arith::AndIOp>(a.e.loc, few, fit);
}

Value fulgur::decodeScratch(AttentionEmitter &a) {
  Decode decode(a);
  if (known(decode.chunks) == 1)
    return {};
  Emitter &e = a.e;
  Value elements = e.mul(e.mul(decode.units, decode.chunks),
                         decode.capacity * decode.partialElements());
  auto type = MemRefType::get(ShapedType::kDynamic, e.builder.getF32Type());
  return memref::AllocOp::create(e.builder, e.loc, type, elements,
                                 e.builder.getI64IntegerAttr(64));
}

void Decode::build(Value scratch) {
  partials = scratch;
  Value items = e.mul(units, chunks),
        bytes = e.mul(e.max(e.min(chunkKeys, keyCount), e.index(1)), rowBytes),
        together = e.floorDiv(e.index(kTaskBytes), bytes);
  e.share(items, together, [&](Value from, Value to) {
    Type f32 = e.builder.getF32Type();
    queries = a.onStack(capacity * depth, f32);
    scores = a.onStack(capacity * blockKeys, f32);
    results = a.onStack(capacity * columns, f32);
    for (Value *row : {&greatest, &total, &scale})
      *row = a.onStack(capacity, f32);
    allocateDigits();
    e.loop(from, to, 1, [&](Value index) {
      item(e.floorDiv(index, chunks), e.remainder(index, chunks));
    });
    if (copies())
      fenceCopies(e);
  });
  if (partials)
    combine();
}

void Decode::setRow(Value row) {
  for (unsigned loop : llvm::reverse(rowLoops)) {
    point[loop] = e.remainder(row, a.sizes[loop]);
    row = e.floorDiv(row, a.sizes[loop]);
  }
}
void Decode::clearRow() {
  for (unsigned loop : rowLoops)
    point[loop] = {};
}

void Decode::tiles(llvm::function_ref<void(Value, int64_t)> tile) {
  int64_t widest = a.site.target.vectorRegisters >= 32 ? 8 : 4;
  Value done = e.sub(rows, e.remainder(rows, e.index(widest)));
  e.loop(e.index(0), done, widest, [&](Value row) { tile(row, widest); });
  for (int64_t count = widest / 2; count > 0; count /= 2) {
    Value left = e.sub(rows, done), from = done;
    Value isThere = e.less(e.index(count - 1), left);
    e.branch(isThere, [&] { tile(from, count); });
    done = e.add(done, e.builder.createOrFold<arith::SelectOp>(
                           e.loc, isThere, e.index(count), e.index(0)));
  }
}

/// All rows of a unit and the keys of one chunk.
void Decode::item(Value unit, Value chunk) {
  point.assign(a.sizes.size(), Value());
  Value outer = unit;
  for (unsigned loop : llvm::reverse(unitLoops)) {
    point[loop] = e.remainder(outer, a.sizes[loop]);
    outer = e.floorDiv(outer, a.sizes[loop]);
  }
  a.enter(point);
  Value from = e.mul(chunk, chunkKeys),
        to = e.min(e.add(from, chunkKeys), keyCount);
  if (a.offset && !copies()) {
    from = e.max(from, a.seenFrom(e.index(0)));
    to = e.min(to, a.seenTo(e.sub(a.sizes[a.i], e.index(1))));
  }
  auto blockFrom = [&](Value key) {
    return e.min(e.sub(to, key), e.index(blockKeys));
  };
  auto readFirst = [](const Access &past,
                      const Access &rows) -> const Access & {
    return past.flat ? past : rows;
  };
  const Access &keys = readFirst(a.keyPast, a.key),
               &values = readFirst(a.valuePast, a.value);
  touch(keys, from, blockFrom(from));
  begin(chunk);
  e.loop(from, to, blockKeys, [&](Value key) {
    key0 = key;
    keysHere = blockFrom(key);
    touch(values, key, keysHere);
    copyPast(a.keyPast, a.keyPastRows, a.key, a.attention.depth);
    tiles([&](Value row, int64_t count) {
      if (isTransposed())
        scoreTransposed(row, count);
      else if (keyDigits)
        scoreBytes(row, count);
      else
        scoreRows(row, count);
    });
    Value next = e.add(key, blockKeys);
    touch(keys, next, blockFrom(next));
    e.loop(e.index(0), rows, 1, [&](Value row) { finishScores(row); });
    copyPast(a.valuePast, a.valuePastRows, a.value, a.attention.columns);
    tiles([&](Value row, int64_t count) {
      if (valueDigits)
        addValueBytes(row, count);
      else
        addValues(row, count);
    });
  });
  e.loop(e.index(0), rows, 1, [&](Value row) {
    auto column = [&](int64_t from) {
      return a.load(results, e.add(e.mul(row, columns), from));
    };
    if (!partials) {
      setRow(row);
      finish(a.scalar(total, row), column);
      return clearRow();
    }
    Value position =
        e.mul(e.add(e.mul(e.add(e.mul(unit, chunks), chunk), rows), row),
              partialElements());
    for (int64_t from = 0; from < columns; from += lanes)
      a.keep(column(from), partials, e.add(position, from));
    keepScalar(number(greatest, row), partials, e.add(position, columns));
    keepScalar(number(total, row), partials, e.add(position, columns + 1));
  });
}

/// Queries come in, sums are empty. The sink is where the maximum and the sum
/// of the first chunk begin.
void Decode::begin(Value chunk) {
  OpBuilder &b = e.builder;
  Type f32 = b.getF32Type();
  Value zero = e.real(0, f32), none = e.real(-INFINITY, f32);
  e.loop(e.index(0), rows, 1, [&](Value row) {
    setRow(row);
    Value query = a.query.at(e, point);
    for (int64_t from = 0; from < depth; from += lanes) {
      Value vector = column(a.query, a.d, a.attention.depth, query, from);
      vector = arith::MulFOp::create(b, e.loc, vector,
                                     e.real(a.queryFactor(), vector.getType()));
      point[a.d] = e.index(from);
      vector = a.scaled(vector, a.keyScale, a.d, point,
                        {lanes, maskOf(from, a.attention.depth)});
      point[a.d] = {};
      a.keep(vector, queries, e.add(e.mul(row, depth), from));
    }
    if (keyDigits)
      makeQueryDigits(row);
    for (int64_t from = 0; from < columns; from += lanes)
      a.keep(e.real(0, a.vectorType()), results,
             e.add(e.mul(row, columns), from));
    Value start = none, sum = zero;
    if (a.sink.flat) {
      Value isFirst = b.createOrFold<arith::CmpIOp>(
          e.loc, arith::CmpIPredicate::eq, chunk, e.index(0));
      start = a.logit(number(a.sink.flat, a.sink.at(e, point)));
      start = b.createOrFold<arith::SelectOp>(e.loc, isFirst, start, none);
      Value empty = arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OEQ,
                                          start, none);
      sum = arith::SelectOp::create(b, e.loc, empty, zero, e.real(1, f32));
    }
    keepScalar(start, greatest, row);
    keepScalar(sum, total, row);
    clearRow();
  });
}

/// Dot products: one vector of sums for each pair of row and key, as many as
/// there are lanes; adding up their lanes in pairs leaves one vector, in which
/// neighbours are neighbouring keys.
void Decode::scoreRows(Value row, int64_t count) {
  OpBuilder &b = e.builder;
  int64_t together = lanes / count; // keys
  Value last = e.sub(keysHere, e.index(1));
  auto score = [&](const Access &access, Value key, bool isWhole) {
    Value keys = at(access, {{a.j, key0}});
    SmallVector<Value> keyRows, sums(lanes, e.real(0, a.vectorType()));
    for (int64_t k : llvm::seq(together)) {
      Value exists = e.add(key, k);
      if (!isWhole) // too many repeat the last
        exists = e.min(exists, last);
      keyRows.push_back(access.steps[a.j]
                            ? e.add(keys, e.mul(access.steps[a.j], exists))
                            : keys);
    }
    for (int64_t k : llvm::seq(count < kManyRows ? 0 : together))
      prefetch(access, keyRows[k], 0, a.attention.depth);
    auto multiply = [&](int64_t k, int64_t from) {
      Value right = column(access, a.d, a.attention.depth, keyRows[k], from);
      for (int64_t r : llvm::seq(count)) {
        Value left = a.load(queries, e.add(e.mul(e.add(row, r), depth), from)),
              &sum = sums[r * together + k];
        sum = vector::FMAOp::create(b, e.loc, left, right, sum);
      }
    };
    // In the order of memory where reading it takes the time.
    if (count < kManyRows) {
      for (int64_t k : llvm::seq(together)) {
        e.inOrder();
        for (int64_t from = 0; from < depth; from += lanes)
          multiply(k, from);
      }
    } else {
      for (int64_t from = 0; from < depth; from += lanes)
        for (int64_t k : llvm::seq(together))
          multiply(k, from);
    }
    Value all = sumLanes(e, sums);
    for (int64_t r : llvm::seq(count)) {
      Value part = all;
      if (count > 1)
        part =
            vector::ShuffleOp::create(b, e.loc, part, part,
                                      llvm::to_vector(llvm::seq<int64_t>(
                                          r * together, (r + 1) * together)));
      a.keep(part, scores, e.add(e.mul(e.add(row, r), blockKeys), key));
    }
  };
  Value wholeTo = e.sub(keysHere, e.remainder(keysHere, e.index(together)));
  e.loop(e.index(0), pastHere, together,
         [&](Value key) { score(a.keyPast, key, true); });
  e.loop(pastHere, wholeTo, together,
         [&](Value key) { score(a.key, key, true); });
  e.loop(wholeTo, keysHere, together,
         [&](Value key) { score(a.key, key, false); });
}

/// Keys are neighbours: one in each lane.
void Decode::scoreTransposed(Value row, int64_t count) {
  int64_t wide = (a.site.target.vectorRegisters >= 32 ? 24 : 8) / count;
  wide = std::clamp<int64_t>(wide, 1, 4);
  Value keys = at(a.key, {{a.j, key0}});
  auto tile = [&](Value key, int64_t vectors, bool masked) {
    Value mask = masked ? e.lanesBelow(e.sub(keysHere, key), lanes) : Value();
    SmallVector<Value> sums = a.multiply(
        count, vectors, e.index(a.attention.depth),
        SmallVector<Value>(count * vectors, e.real(0, a.vectorType())),
        [&](Value k, int64_t r) {
          return a.scalar(queries, e.add(e.mul(e.add(row, r), depth), k));
        },
        [&](Value k, int64_t v) {
          Value position = e.add(e.add(keys, key), v * lanes);
          return a.readWide(a.key.flat,
                            e.add(position, e.mul(a.key.steps[a.d], k)),
                            e.index(1), {lanes, mask});
        });
    for (int64_t r : llvm::seq(count))
      for (int64_t v : llvm::seq(vectors))
        a.keep(sums[r * vectors + v], scores,
               e.add(e.mul(e.add(row, r), blockKeys), e.add(key, v * lanes)));
  };
  Value wideTo = e.sub(keysHere, e.remainder(keysHere, e.index(wide * lanes)));
  e.loop(e.index(0), wideTo, wide * lanes,
         [&](Value key) { tile(key, wide, false); });
  e.loop(wideTo, keysHere, lanes, [&](Value key) { tile(key, 1, true); });
}

/// The products of a row become scores, and these powers of their difference to
/// the greatest score.
void Decode::finishScores(Value row) {
  OpBuilder &b = e.builder;
  Value none = e.real(-INFINITY, a.vectorType()), base = e.mul(row, blockKeys);
  setRow(row);
  Value query = point[a.i], to, from;
  if (a.offset) {
    to = e.sub(a.seenTo(query), key0);
    if (a.attention.op.getWindow())
      from = e.sub(a.seenFrom(query), key0);
  }
  SmallVector<Value> rowPoint = point;
  Value before = a.scalar(greatest, row);
  Value most = e.loop(
      e.index(0), keysHere, lanes, before, [&](Value key, ValueRange carried) {
        Value exists = e.lanesBelow(e.sub(keysHere, key), lanes), i, j;
        SmallVector<Value> extras;
        point = rowPoint;
        point[a.j] = e.add(key0, key);
        for (auto [number, extra] : llvm::enumerate(a.extras)) {
          if (!a.reads(3 + number)) {
            extras.push_back({});
            continue;
          }
          extras.push_back(readColumns(e, extra.flat, extra.at(e, point),
                                       extra.steps[a.j], {lanes, exists}));
        }
        if (a.reads(1))
          i = e.broadcast(query, lanes);
        if (a.reads(2))
          j = arith::AddIOp::create(b, e.loc,
                                    e.broadcast(e.add(key0, key), lanes),
                                    e.iota(lanes, b.getIndexType()));
        Value product = a.scaled(a.load(scores, e.add(base, key)), a.keyScale,
                                 a.j, point, {lanes, exists});
        Value score = a.score(product, i, j, extras);
        Value sees = exists;
        if (to)
          sees = arith::AndIOp::create(b, e.loc, sees,
                                       e.lanesBelow(e.sub(to, key), lanes));
        score = arith::SelectOp::create(b, e.loc, sees, score, none);
        if (from)
          score = arith::SelectOp::create(
              b, e.loc, e.lanesBelow(e.sub(from, key), lanes), none, score);
        a.keep(score, scores, e.add(base, key));
        return SmallVector<Value>{e.greater(score, carried[0])};
      })[0];
  clearRow();
  Value highest = e.reduce(vector::CombiningKind::MAXNUMF, most);
  keepScalar(highest, greatest, row);
  most = a.finite(e.broadcast(highest, lanes));
  Value factor = vector::ExtractOp::create(b, e.loc, a.power(before, most),
                                           ArrayRef<int64_t>{0});
  keepScalar(factor, scale, row);
  Value zero = e.real(0, a.vectorType());
  SmallVector<Value> folded{zero}; // the sum, and the greatest that is stored
  if (valueDigits)
    folded.push_back(zero);
  folded = e.loop(
      e.index(0), keysHere, lanes, folded, [&](Value key, ValueRange carried) {
        Value place = e.add(base, key);
        Value power = a.power(a.load(scores, place), most);
        point[a.j] = e.add(key0, key);
        Value exists = e.lanesBelow(e.sub(keysHere, key), lanes);
        SmallVector<Value> next{
            arith::AddFOp::create(b, e.loc, carried[0], power)};
        power = a.scaled(power, a.valueScale, a.j, point, {lanes, exists});
        a.keep(power, scores, place);
        if (valueDigits)
          next.push_back(
              e.greater(math::AbsFOp::create(b, e.loc, power), carried[1]));
        return next;
      });
  if (valueDigits)
    makePowerDigits(row, e.reduce(vector::CombiningKind::MAXNUMF, folded[1]));
  point[a.j] = {};
  Value sum = e.reduce(vector::CombiningKind::ADD, folded[0]);
  keepScalar(arith::AddFOp::create(
                 b, e.loc,
                 arith::MulFOp::create(b, e.loc, number(total, row), factor),
                 sum),
             total, row);
}

/// Results are scaled, and powers times values added to them.
void Decode::addValues(Value row, int64_t count) {
  int64_t most = std::min<int64_t>(
              4, (a.site.target.vectorRegisters >= 32 ? 24 : 8) / count),
          panels = llvm::divideCeil(columns / lanes, most), from = 0;
  for (; panels > 0; --panels) { // of equal width
    int64_t vectors = llvm::divideCeil((columns - from) / lanes, panels);
    auto resultAt = [&](int64_t r, int64_t v) {
      return e.add(e.mul(e.add(row, r), columns), from + v * lanes);
    };
    SmallVector<Value> sums;
    for (int64_t r : llvm::seq(count)) {
      Value factor = a.scalar(scale, e.add(row, r));
      for (int64_t v : llvm::seq(vectors))
        sums.push_back(arith::MulFOp::create(
            e.builder, e.loc, a.load(results, resultAt(r, v)), factor));
    }
    auto add = [&](const Access &access, Value first, Value last) {
      Value values = at(access, {{a.j, e.add(key0, first)}});
      sums = a.multiply(
          count, vectors, e.sub(last, first), sums,
          [&](Value k, int64_t r) {
            return a.scalar(scores, e.add(e.mul(e.add(row, r), blockKeys),
                                          e.add(first, k)));
          },
          [&](Value k, int64_t v) {
            Value base = access.steps[a.j]
                             ? e.add(values, e.mul(access.steps[a.j], k))
                             : values;
            if (count >= kManyRows)
              prefetch(access, base, from + v * lanes, from + (v + 1) * lanes);
            return column(access, a.n, a.attention.columns, base,
                          from + v * lanes);
          });
    };
    if (a.valuePast.flat)
      add(a.valuePast, e.index(0), pastHere);
    add(a.value, pastHere, keysHere);
    for (int64_t r : llvm::seq(count))
      for (int64_t v : llvm::seq(vectors))
        a.keep(sums[r * vectors + v], results, resultAt(r, v));
    from += vectors * lanes;
  }
}

/// Writes the row that `point` says: the columns over the sum.
void Decode::finish(Value sum, llvm::function_ref<Value(int64_t)> columnAt) {
  OpBuilder &b = e.builder;
  Value inverse = arith::DivFOp::create(
      b, e.loc, e.real(a.resultFactor(), a.vectorType()), sum);
  for (int64_t from = 0; from < columns; from += lanes) {
    Value result = arith::MulFOp::create(b, e.loc, columnAt(from), inverse);
    Columns here{lanes, maskOf(from, a.attention.columns)};
    result = a.unlessEmpty(result, sum, point, from, here);
    point[a.n] = e.index(from);
    result = a.scaled(result, a.valueScale, a.n, point, here);
    a.writeResult(result, a.out.at(e, point), here);
  }
  point[a.n] = {};
}

/// The chunks' sums, scaled to the greatest score of all.
void Decode::combine() {
  constexpr int64_t taskRows = 256;
  OpBuilder &b = e.builder;
  Value all = e.mul(units, rows);
  e.share(all, e.index(taskRows), [&](Value from, Value to) {
    e.loop(from, to, 1, [&](Value index) {
      Value unit = e.floorDiv(index, rows), row = e.remainder(index, rows);
      auto partAt = [&](Value chunk) {
        return e.mul(e.add(e.mul(e.add(e.mul(unit, chunks), chunk), rows), row),
                     partialElements());
      };
      Value most =
          e.loop(e.index(0), chunks, 1, e.real(-INFINITY, a.vectorType()),
                 [&](Value chunk, ValueRange carried) {
                   Value greatest =
                       a.scalar(partials, e.add(partAt(chunk), columns));
                   return SmallVector<Value>{e.greater(greatest, carried[0])};
                 })[0];
      most = a.finite(most);
      SmallVector<Value> sums(columns / lanes + 1, e.real(0, a.vectorType()));
      sums = e.loop(
          e.index(0), chunks, 1, sums, [&](Value chunk, ValueRange carried) {
            Value part = partAt(chunk);
            Value factor =
                a.power(a.scalar(partials, e.add(part, columns)), most);
            SmallVector<Value> next;
            for (int64_t v : llvm::seq(columns / lanes))
              next.push_back(vector::FMAOp::create(
                  b, e.loc, a.load(partials, e.add(part, v * lanes)), factor,
                  carried[v]));
            next.push_back(vector::FMAOp::create(
                b, e.loc, a.scalar(partials, e.add(part, columns + 1)), factor,
                carried.back()));
            return next;
          });
      point.assign(a.sizes.size(), Value());
      for (unsigned loop : llvm::reverse(unitLoops)) {
        point[loop] = e.remainder(unit, a.sizes[loop]);
        unit = e.floorDiv(unit, a.sizes[loop]);
      }
      setRow(row);
      finish(sums.back(), [&](int64_t from) { return sums[from / lanes]; });
    });
  });
}

void fulgur::emitDecodeAttention(AttentionEmitter &a, Value scratch) {
  Decode(a).build(scratch);
}
