// Scores of flash attention and the powers that they become.
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/Flash.h"
#include <cmath>

using namespace mlir;
using namespace fulgur;

/// Products become scores of the keys from `row` on, whose numbers are
/// `keyIndices`, and the queries from `query0` on: key by key. `whenHidden`
/// gets those of which some are not seen.
SmallVector<Value>
Flash::makeScores(SmallVector<Value> sums, Value query0, int64_t vectors,
                  Value row, ArrayRef<Value> keyIndices,
                  llvm::function_ref<void(ArrayRef<Value>)> whenHidden) {
  int64_t rows = keyIndices.size();
  for (int64_t r : llvm::seq(rows))
    for (int64_t v : llvm::seq(vectors)) {
      Value &sum = sums[r * vectors + v];
      Value query = e.add(query0, v * lanes), i, j;
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
  return hide(sums, query0, vectors, row, rows, whenHidden);
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
      Value vector = vector::LoadOp::create(e.builder, e.loc, type, tile,
                                            place(row, query));
      if (extra.elementType().isInteger(1))
        vector = arith::CmpIOp::create(
            e.builder, e.loc, arith::CmpIPredicate::ne, vector,
            arith::ConstantOp::create(e.builder, e.loc,
                                      e.builder.getZeroAttr(type)));
      result.push_back(vector);
      continue;
    }
    Value position = at(extra, {{a.i, e.add(first, query)}, {a.j, key}});
    Value mask = areWhole || !extra.steps[a.i]
                     ? Value()
                     : e.lanesBelow(e.sub(count, query), lanes);
    result.push_back(
        readColumns(e, extra.flat, position, extra.steps[a.i], {lanes, mask}));
  }
  return result;
}

/// Gives -∞ to the scores of keys that do not exist or are not seen. Most tiles
/// have none.
SmallVector<Value>
Flash::hide(ArrayRef<Value> scores, Value query0, int64_t vectors, Value row,
            int64_t rows,
            llvm::function_ref<void(ArrayRef<Value>)> whenHidden) {
  OpBuilder &b = e.builder;
  auto either = [&](Value x, Value y) -> Value {
    return x ? b.createOrFold<arith::OrIOp>(e.loc, x, y) : y;
  };
  auto window = a.attention.op.getWindow();
  auto all = known(keysHere);
  Value needed, key = e.add(key0, row), query = e.add(first, query0);
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
  if (whenHidden)
    whenHidden(hidden);
  scf::YieldOp::create(b, e.loc, hidden);
  return llvm::to_vector(ValueRange(choose.getResults()));
}

/// The scores of a key, or of two keys that make pairs, and a vector of queries
/// become powers of their difference to `most`. Returns the sum with them. A
/// pair of keys of which one does not exist has its score, -∞.
Value Flash::addPowers(Value row, Value query, Value most, Value sum) {
  int64_t together = pairs ? 2 : 1;
  SmallVector<Value, 2> both;
  for (int64_t r : llvm::seq(together))
    both.push_back(
        a.power(load(scores, scorePlace(e.add(row, r), query)), most));
  for (Value power : both)
    sum = arith::AddFOp::create(e.builder, e.loc, sum, power);
  if (a.valueScale.flat && a.valueScale.steps[a.j])
    both[0] =
        arith::MulFOp::create(e.builder, e.loc, both[0],
                              scaleAt(a.valueScale, {{a.j, e.add(key0, row)}}));
  Value pair = e.floorDiv(row, e.index(together));
  keep(pairs ? packPowers(both[0], both[1]) : both[0], scores,
       scorePlace(pair, query));
  return sum;
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
