// Products with weights of few bits, which lie in panels as fulgur.dequantize
// has them with `pack`: a word of 32 bits holds the next steps of one column.
// For a few rows, codes become numbers in registers, and as many bytes as there
// are codes are all that is read. Many rows share the work: a block of the
// panel is put on the stack as numbers, for one tile of rows after the other.
#include "passes/kernel/builders/BlockProduct.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace fulgur;

static constexpr int64_t kDirectRows = 4; // that share codes in registers
static constexpr int64_t kPanelBytes = 32 << 10; // of numbers on the stack
static constexpr int64_t kWeightRows =
    132; // that one task computes with a panel
static constexpr int64_t kRowsOfStream =
    2; // reading costs as much as computing these

//===-- Where things are --------------------------------------------------===//

void BlockProduct::access() {
  accessOperands(/*bBuffer=*/{});
  accessEpilogue();
  // The loop over the steps counts words, or blocks.
  SmallVector<int> panels = loopsOfPanels();
  unsigned count = product.loops.size() + 1;
  scales = accessOf(e, site.operand(blocks.getScale()), panels, count);
  if (blocks.getZero())
    zeros = accessOf(e, site.operand(blocks.getZero()), panels, count);
  panels.push_back(-1);
  codes = accessOf(e, site.operand(blocks.getCodes()), panels, count);
}

void BlockProduct::choosePanel(Value panelIndex) {
  SmallVector<Value> at = point;
  Value tiles = e.index(packWidth / width); // of one packed panel
  at.back() = e.floorDiv(panelIndex, tiles);
  if (picked)
    at[gatherLoop()] = picked;
  Value first = e.mul(e.remainder(panelIndex, tiles), width);
  codesAt = e.add(codes.at(e, at), e.mul(first, 4));
  scalesAt = e.add(scales.at(e, at), first);
  if (blocks.getZero())
    zerosAt = e.add(zeros.at(e, at), first);
}

Value BlockProduct::words(int64_t value) {
  return e.integer(value, wordType());
}

/// `lanes` words of the panel.
Value BlockProduct::word(Value octet, int64_t vector) {
  Value at =
      e.add(e.add(codesAt, vector * lanes * 4), e.mul(octet, packWidth * 4));
  Value bytes = vector::LoadOp::create(
      e.builder, e.loc, VectorType::get(lanes * 4, e.builder.getI8Type()),
      codes.flat, at);
  return vector::BitCastOp::create(e.builder, e.loc, wordType(), bytes);
}

/// The same for `number`. Codes around half of their range become signed ones,
/// by their highest bit, where that spares a subtraction.
Value BlockProduct::numbers(Value octet, int64_t vector) {
  Value read = word(octet, vector);
  if (hasTable() || !isCentred())
    return read;
  return arith::XOrIOp::create(e.builder, e.loc, read,
                               words(bits == 4 ? 0x88888888 : 0x80808080));
}

/// The codes of one part of each word, as numbers less the offset.
Value BlockProduct::number(Value word, int64_t part) {
  OpBuilder &b = e.builder;
  int64_t offset = blocks.getZero() ? 0 : blocks.getOffset(),
          unused = 32 - bits;
  if (hasTable()) {
    // The instruction looks at four bits of each lane only.
    SmallVector<float> table;
    for (int64_t code : llvm::seq(16))
      table.push_back(float(code - offset));
    Value numbers = arith::ConstantOp::create(
        b, e.loc, DenseElementsAttr::get(realType(), ArrayRef(table)));
    if (part > 0)
      word = arith::ShRUIOp::create(b, e.loc, word, words(part * bits));
    return LLVM::CallIntrinsicOp::create(
               b, e.loc, realType(),
               b.getStringAttr("llvm.x86.avx512.permvar.sf.512"),
               ValueRange{numbers, word})
        .getResults();
  }
  if (int64_t up = unused - part * bits)
    word = arith::ShLIOp::create(b, e.loc, word, words(up));
  word = isCentred()
             ? arith::ShRSIOp::create(b, e.loc, word, words(unused)).getResult()
             : arith::ShRUIOp::create(b, e.loc, word, words(unused));
  Value real = arith::SIToFPOp::create(b, e.loc, realType(), word);
  if (offset == 0 || isCentred())
    return real;
  return arith::SubFOp::create(b, e.loc, real,
                               e.real(double(offset), realType()));
}

/// Floats of any width as f32. Those of 16 bits are finite.
static Value readReals(Emitter &e, Value flat, Value at, int64_t lanes) {
  OpBuilder &b = e.builder;
  Type element = cast<MemRefType>(flat.getType()).getElementType();
  Value read = vector::LoadOp::create(b, e.loc, VectorType::get(lanes, element),
                                      flat, at);
  return element.isF32() ? read : widenHalf(e, read);
}

Value BlockProduct::scale(Value group, int64_t vector) {
  return readReals(
      e, scales.flat,
      e.add(e.add(scalesAt, vector * lanes), e.mul(group, packWidth)), lanes);
}

Value BlockProduct::zero(Value group, int64_t vector) {
  Value at = e.add(e.add(zerosAt, vector * lanes), e.mul(group, packWidth));
  if (!zeros.elementType().isInteger(8))
    return readReals(e, zeros.flat, at, lanes);
  OpBuilder &b = e.builder;
  Value bytes = vector::LoadOp::create(
      b, e.loc, VectorType::get(lanes, b.getI8Type()), zeros.flat, at);
  Value wide = arith::ExtUIOp::create(b, e.loc, wordType(), bytes);
  return arith::SIToFPOp::create(b, e.loc, realType(), wide);
}

/// Asks for what belongs to a block soon after `group`. Codes stream through
/// the caches ahead of the loads; a second stream that is as slow as scales of
/// short blocks does not, and holds up the first.
void BlockProduct::fetchScales(Value group) {
  constexpr int64_t kLineBytes = 64, kBytesAhead = 256;
  auto fetch = [&](const Access &access, Value at) {
    int64_t bytes =
        llvm::divideCeil(access.elementType().getIntOrFloatBitWidth(), 8);
    Value first =
        e.add(e.add(at, kBytesAhead / bytes), e.mul(group, packWidth));
    for (int64_t lane = 0; lane < width; lane += kLineBytes / bytes)
      memref::PrefetchOp::create(e.builder, e.loc, access.flat,
                                 e.add(first, lane), /*isWrite=*/false,
                                 /*localityHint=*/3, /*isDataCache=*/true);
  };
  fetch(scales, scalesAt);
  if (blocks.getZero())
    fetch(zeros, zerosAt);
}

Value BlockProduct::shift(Value group, int64_t vector, Value scale) {
  if (!blocks.getZero())
    return {};
  return arith::MulFOp::create(
      e.builder, e.loc, scale,
      arith::NegFOp::create(e.builder, e.loc, zero(group, vector)));
}

Value BlockProduct::scaled(Value number, Value scale, Value shift) {
  if (shift)
    return vector::FMAOp::create(e.builder, e.loc, number, scale, shift);
  return arith::MulFOp::create(e.builder, e.loc, number, scale);
}

/// One element of a row of `a`, in all lanes.
Value BlockProduct::element(Value aRow, Value step) {
  Value stride = a.steps[reduction()];
  Value at = stride ? e.add(aRow, e.mul(stride, step)) : aRow;
  return e.broadcast(memref::LoadOp::create(e.builder, e.loc, a.flat, at),
                     lanes);
}

//===-- Tasks -------------------------------------------------------------===//

void BlockProduct::build() {
  access();
  outerCount = outerPoints();
  if (hasDigits())
    makeDigits();
  forTasks(kRowsOfStream, [&](Value outer, Value rowFrom, Value rowTo,
                              Value panelFrom, Value panelTo) {
    task(outer, rowFrom, rowTo, panelFrom, panelTo);
  });
}

void BlockProduct::task(Value outer, Value rowFrom, Value rowTo,
                        Value panelFrom, Value panelTo) {
  outerPoint = outer;
  choosePoint(outer);
  if (product.gather)
    picked = pickRow(e, site, *product.gather, point[gatherLoop()]);
  auto allRows = known(sizes[row()]);
  int64_t direct = product.rounded ? rows : kDirectRows;
  bool isFew = allRows && *allRows <= direct;
  sums = onStack((isFew ? *allRows : std::max(taskRows, direct)) * width,
                 e.builder.getF32Type());
  if (product.rounded)
    return e.loop(panelFrom, panelTo, 1, [&](Value panelIndex) {
      choosePanel(panelIndex);
      if (isFew)
        return fewLines(panelIndex, rowFrom, *allRows);
      someRows(panelIndex, rowFrom, rowTo);
    });
  if (!isFew)
    panel = onStack(std::min(kPanelBytes / 4, steps * width),
                    e.builder.getF32Type());
  e.loop(panelFrom, panelTo, 1, [&](Value panelIndex) {
    choosePanel(panelIndex);
    if (isFew)
      return hasDigits() ? oneRow(panelIndex)
                         : directRows(panelIndex, rowFrom, *allRows);
    if (!hasDigits())
      return someRows(panelIndex, rowFrom, rowTo);
    e.branch(
        isOneRow(), [&] { oneRow(panelIndex); },
        [&] { someRows(panelIndex, rowFrom, rowTo); });
  });
}

void BlockProduct::someRows(Value panelIndex, Value rowFrom, Value rowTo) {
  Value count = e.sub(rowTo, rowFrom);
  bool isRounded = product.rounded != nullptr;
  if (isRounded && !unpacksBytes()) // a few rows are nothing else then
    return manyLines(panelIndex, rowFrom, rowTo);
  int64_t most = isRounded ? rows : kDirectRows;
  e.branch(
      e.less(e.index(most), count),
      [&] {
        if (isRounded)
          return manyLines(panelIndex, rowFrom, rowTo);
        manyRows(panelIndex, rowFrom, rowTo);
      },
      [&] {
        e.choose(count, 1, most + 1, [&](int64_t few) {
          if (isRounded)
            return fewLines(panelIndex, rowFrom, few);
          directRows(panelIndex, rowFrom, few);
        });
      });
}

//===-- Few rows ----------------------------------------------------------===//

/// All sums of `count` rows with the panel.
void BlockProduct::directRows(Value panelIndex, Value row, int64_t count) {
  SmallVector<Value> aRows = positionsInA(row, count);
  SmallVector<Value> totals(count * vectors, e.real(0, realType()));
  // One row is cheaper with the scale on sums, several with it on numbers,
  // which they share.
  auto group = [&](Value index, int64_t steps, ValueRange totals) {
    return count == 1 && !blocks.getZero()
               ? sumUp(aRows, index, steps, totals)
               : sumScaled(aRows, index, steps, totals);
  };
  int64_t whole = steps / block;
  totals = e.loop(e.index(0), e.index(whole), 1, totals,
                  [&](Value index, ValueRange totals) {
                    return group(index, block, totals);
                  });
  if (int64_t left = steps % block)
    totals = group(e.index(whole), left, totals);
  for (auto [place, total] : llvm::enumerate(totals))
    vector::StoreOp::create(e.builder, e.loc, total, sums,
                            e.index(place * lanes));
  finish(panelIndex, e.index(0), row, e.index(count));
}

/// What `body` makes of `state` by one step after the other of a block, with
/// the columns' numbers of each.
BlockProduct::Values BlockProduct::forSteps(
    Value group, int64_t steps, ValueRange state,
    llvm::function_ref<void(Value step, int64_t part,
                            llvm::function_ref<Value(int64_t)> numberOf,
                            MutableArrayRef<Value> state)>
        body) {
  int64_t words = steps / depth, atOnce = unrollOf(words);
  Value first = e.mul(group, block / depth);
  return e.loop(
      e.index(0), e.index(words), atOnce, state,
      [&](Value at, ValueRange carried) {
        SmallVector<Value> next = llvm::to_vector(carried);
        for (int64_t u : llvm::seq(atOnce)) {
          Value octet = e.add(e.add(first, at), u);
          SmallVector<Value> read;
          for (int64_t vector : llvm::seq(vectors))
            read.push_back(numbers(octet, vector));
          for (int64_t part : llvm::seq(32 / bits))
            body(
                e.add(e.mul(octet, depth), stepOf(part)), part,
                [&](int64_t vector) { return number(read[vector], part); },
                next);
        }
        return next;
      });
}

/// totals + scale * sum of a block.
BlockProduct::Values BlockProduct::sumUp(ArrayRef<Value> aRows, Value group,
                                         int64_t steps, ValueRange totals) {
  int64_t sets = std::clamp<int64_t>(8 / vectors, 1, 32 / bits);
  SmallVector<Value> sums(sets * vectors, e.real(0, realType()));
  sums = forSteps(group, steps, sums,
                  [&](Value step, int64_t part, auto numberOf,
                      MutableArrayRef<Value> sums) {
                    Value left = element(aRows[0], step);
                    for (int64_t vector : llvm::seq(vectors)) {
                      Value &sum = sums[part % sets * vectors + vector];
                      sum = vector::FMAOp::create(e.builder, e.loc, left,
                                                  numberOf(vector), sum);
                    }
                  });
  SmallVector<Value> next;
  for (int64_t vector : llvm::seq(vectors)) {
    for (int64_t set : llvm::seq<int64_t>(1, sets))
      sums[vector] = arith::AddFOp::create(e.builder, e.loc, sums[vector],
                                           sums[set * vectors + vector]);
    next.push_back(vector::FMAOp::create(e.builder, e.loc, sums[vector],
                                         scale(group, vector), totals[vector]));
  }
  return next;
}

/// totals + sum over a block of scaled numbers.
BlockProduct::Values BlockProduct::sumScaled(ArrayRef<Value> aRows, Value group,
                                             int64_t steps, ValueRange totals) {
  SmallVector<Value> factors, shifts;
  for (int64_t vector : llvm::seq(vectors)) {
    factors.push_back(scale(group, vector));
    shifts.push_back(shift(group, vector, factors.back()));
  }
  return forSteps(
      group, steps, totals,
      [&](Value step, int64_t, auto numberOf, MutableArrayRef<Value> totals) {
        SmallVector<Value> left;
        for (Value aRow : aRows)
          left.push_back(element(aRow, step));
        for (int64_t vector : llvm::seq(vectors)) {
          Value right =
              scaled(numberOf(vector), factors[vector], shifts[vector]);
          for (auto [r, x] : llvm::enumerate(left)) {
            Value &sum = totals[r * vectors + vector];
            sum = vector::FMAOp::create(e.builder, e.loc, x, right, sum);
          }
        }
      });
}

//===-- Many rows ---------------------------------------------------------===//

/// Tiles of `rows` rows, and one of those that are left.
void BlockProduct::forRowTiles(
    Value rowFrom, Value rowTo,
    llvm::function_ref<void(Value row, int64_t count)> tile) {
  Value rest = e.remainder(e.sub(rowTo, rowFrom), e.index(rows)),
        full = e.sub(rowTo, rest);
  e.loop(rowFrom, full, rows, [&](Value row) { tile(row, rows); });
  if (auto left = known(rest)) {
    if (*left)
      tile(full, *left);
    return;
  }
  e.choose(rest, 1, rows, [&](int64_t left) { tile(full, left); });
}

void BlockProduct::manyRows(Value panelIndex, Value rowFrom, Value rowTo) {
  int64_t most = kPanelBytes / 4 / width / depth * depth;
  auto part = [&](Value from, Value to) {
    unpack(from, to);
    forRowTiles(rowFrom, rowTo, [&](Value row, int64_t count) {
      tile(rowFrom, row, count, from, to);
    });
  };
  int64_t pieces = llvm::divideCeil(steps, most),
          piece = llvm::alignTo(llvm::divideCeil(steps, pieces), depth);
  e.loop(e.index(0), e.index(steps), piece, [&](Value from) {
    part(from, e.min(e.add(from, piece), e.index(steps)));
  });
  finish(panelIndex, e.index(0), rowFrom, e.sub(rowTo, rowFrom));
}

/// The steps [from, to) of the panel as numbers on the stack.
void BlockProduct::unpack(Value from, Value to) {
  e.loop(from, to, depth, [&](Value step) {
    Value octet = e.floorDiv(step, e.index(depth)),
          group = e.floorDiv(step, e.index(block)),
          at = e.mul(e.sub(step, from), width);
    for (int64_t vector : llvm::seq(vectors)) {
      Value factor = scale(group, vector), moved = shift(group, vector, factor),
            read = numbers(octet, vector);
      for (int64_t part : llvm::seq(32 / bits))
        vector::StoreOp::create(
            e.builder, e.loc, scaled(number(read, part), factor, moved), panel,
            e.add(at, stepOf(part) * width + vector * lanes));
    }
  });
}

/// Adds the products of `count` rows with the steps [from, to) of the panel on
/// the stack to their sums, which the first ones begin.
void BlockProduct::tile(Value rowFrom, Value row, int64_t count, Value from,
                        Value to) {
  SmallVector<Value> aRows = positionsInA(row, count);
  Value zero = e.real(0, realType()),
        isFirst = e.builder.createOrFold<arith::CmpIOp>(
            e.loc, arith::CmpIPredicate::eq, from, e.index(0)),
        sumsAt = e.mul(e.sub(row, rowFrom), width);
  SmallVector<Value> state;
  for (int64_t sum : llvm::seq(count * vectors)) {
    Value before = vector::LoadOp::create(e.builder, e.loc, realType(), sums,
                                          e.add(sumsAt, sum * lanes));
    state.push_back(
        arith::SelectOp::create(e.builder, e.loc, isFirst, zero, before));
  }
  int64_t atOnce = depth / unroll * unroll == depth ? unroll : 1;
  state = e.loop(from, to, atOnce, state, [&](Value step, ValueRange carried) {
    SmallVector<Value> next = llvm::to_vector(carried);
    for (int64_t u : llvm::seq(atOnce)) {
      SmallVector<Value> right;
      Value at = e.mul(e.add(e.sub(step, from), u), width);
      for (int64_t vector : llvm::seq(vectors))
        right.push_back(vector::LoadOp::create(
            e.builder, e.loc, realType(), panel, e.add(at, vector * lanes)));
      for (int64_t r : llvm::seq(count)) {
        Value left = element(aRows[r], e.add(step, u));
        for (int64_t vector : llvm::seq(vectors)) {
          Value &sum = next[r * vectors + vector];
          sum =
              vector::FMAOp::create(e.builder, e.loc, left, right[vector], sum);
        }
      }
    }
    return next;
  });
  for (int64_t sum : llvm::seq(count * vectors))
    vector::StoreOp::create(e.builder, e.loc, state[sum], sums,
                            e.add(sumsAt, sum * lanes));
}

//===-- The builder -------------------------------------------------------===//

static bool acceptsBlocks(KernelOp kernel) {
  std::optional<Product> product = matchProduct(kernel);
  return product && hasBlocks(kernel, *product);
}

static LogicalResult buildBlocks(KernelSite &site) {
  std::optional<Product> product = matchProduct(site.kernel);
  ScheduleAttr schedule = site.kernel.getScheduleAttr();
  if (!schedule)
    schedule = blocksBuilder.schedule(site.kernel, site.target);
  BlockProduct{{site, *product, schedule}}.build();
  return success();
}

static ScheduleAttr scheduleBlocks(KernelOp kernel, const Target &target) {
  Product product = *matchProduct(kernel);
  auto rowCount = product.size(product.row());
  bool manyRegisters = target.vectorRegisters >= 32;
  // Rows of bytes have two accumulators for each vector, if there are several
  // blocks.
  int64_t lanes = target.lanes(),
          rows = manyRegisters || !product.rounded ? 6 : 4,
          columns = *product.size(product.column());
  int64_t vectors = std::clamp<int64_t>(llvm::divideCeil(columns, lanes), 1,
                                        manyRegisters ? 4 : 2),
          pack = vectors * lanes;
  if (product.rounded &&
      int64_t(product.blocks.getBlock()) < *product.size(product.reduction()))
    rows /= 2;
  if (int64_t packed = product.blocks.getPack()) {
    // As packed for this target, or for one with wider vectors.
    pack = packed;
    vectors = std::min(vectors, packed / lanes);
    while (packed / lanes % vectors != 0)
      --vectors;
  }
  if (rowCount && *rowCount < rows)
    rows = std::max<int64_t>(*rowCount, 1);
  return ScheduleAttr::get(kernel.getContext(), blocksBuilder.kind,
                           {rows, vectors}, lanes, /*unroll=*/4, pack,
                           std::max(rows, kWeightRows / rows * rows));
}

const KernelBuilder fulgur::blocksBuilder = {"blocks", acceptsBlocks,
                                             scheduleBlocks, buildBlocks};
