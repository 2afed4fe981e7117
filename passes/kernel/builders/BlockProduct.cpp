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
static constexpr int64_t kTaskOperations = 2 << 20;
static constexpr int64_t kRowsOfStream =
    2; // reading costs as much as computing these

//===-- Where things are --------------------------------------------------===//

/// Sizes of all loops and the accesses of all operands.
void BlockProduct::access() {
  unsigned count = product.loops.size();
  SmallVector<int> loopOf(product.contraction.getNumLoops(), -1);
  for (auto [loop, dims] : llvm::enumerate(product.loops))
    for (unsigned dim : dims)
      loopOf[dim] = loop;
  // Of neighbours that share a loop, the stride is the innermost one's.
  SmallVector<int64_t> ranges = product.contraction.getStaticLoopRanges();
  auto innermost = [&](const Product::Loop &dims) {
    for (unsigned dim : llvm::reverse(dims))
      if (ranges[dim] != 1)
        return dim;
    return dims.back();
  };
  auto loops = [&](const Product::Operand &operand) {
    SmallVector<int> result;
    for (int dim : operand.dims)
      result.push_back(dim < 0 || innermost(product.loops[loopOf[dim]]) !=
                                      unsigned(dim)
                           ? -1
                           : loopOf[dim]);
    return result;
  };
  Value aBuffer = site.operand(product.aOperand.value),
        outBuffer = site.operand(product.out);
  auto sizeOf = [&](unsigned dim) -> Value {
    if (!ShapedType::isDynamic(ranges[dim]))
      return e.index(ranges[dim]);
    for (auto [operand, buffer] : {std::pair(&product.aOperand, aBuffer),
                                   {&product.outOperand, outBuffer}})
      if (operand->has(dim))
        return e.dim(buffer, llvm::find(operand->dims, int(dim)) -
                                 operand->dims.begin());
    llvm_unreachable("the dims of weights are known");
  };
  for (const Product::Loop &dims : product.loops) {
    Value size = e.index(1);
    for (unsigned dim : dims)
      size = e.mul(size, sizeOf(dim));
    sizes.push_back(size);
  }
  a = accessOf(e, aBuffer, loops(product.aOperand), count);
  out = accessOf(e, outBuffer, loops(product.outOperand), count);
  for (const Product::Operand &input : product.epilogueInputs)
    epilogueInputs.push_back(
        input.value
            ? accessOf(e, site.operand(input.value), loops(input), count)
            : Access());
  // The panel is one loop more; that over the steps counts words, or blocks.
  SmallVector<int> panels;
  for (int loop : loops(product.bOperand))
    if (loop != int(column()) && loop != int(reduction()))
      panels.push_back(loop);
  panels.append({int(count), int(reduction()), -1});
  scales = accessOf(e, site.operand(blocks.getScale()), panels, count + 1);
  if (blocks.getZero())
    zeros = accessOf(e, site.operand(blocks.getZero()), panels, count + 1);
  panels.push_back(-1);
  codes = accessOf(e, site.operand(blocks.getCodes()), panels, count + 1);
}

void BlockProduct::choosePanel(Value panelIndex) {
  SmallVector<Value> at = point;
  Value tiles = e.index(packWidth / width); // of one packed panel
  at.back() = e.floorDiv(panelIndex, tiles);
  if (picked) {
    unsigned gatherLoop =
        llvm::find(product.loops,
                   Product::Loop{unsigned(product.bOperand.dims[0])}) -
        product.loops.begin();
    at[gatherLoop] = picked;
  }
  Value first = e.mul(e.remainder(panelIndex, tiles), width);
  codesAt = e.add(codes.at(e, at), e.mul(first, 4));
  scalesAt = e.add(scales.at(e, at), first);
  if (blocks.getZero())
    zerosAt = e.add(zeros.at(e, at), first);
}

Value BlockProduct::words(int64_t value) {
  return arith::ConstantOp::create(
      e.builder, e.loc,
      DenseElementsAttr::get(wordType(), APInt(32, value, /*isSigned=*/false,
                                               /*implicitTrunc=*/true)));
}

Value BlockProduct::onStack(int64_t count) {
  return memref::AllocaOp::create(
      e.builder, e.loc, MemRefType::get(count, e.builder.getF32Type()),
      e.builder.getI64IntegerAttr(64));
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

/// Floats of any width as f32. Those of 16 bits are neither subnormal nor
/// infinite.
static Value readReals(Emitter &e, Value flat, Value at, int64_t lanes) {
  OpBuilder &b = e.builder;
  Type element = cast<MemRefType>(flat.getType()).getElementType();
  Value read = vector::LoadOp::create(b, e.loc, VectorType::get(lanes, element),
                                      flat, at);
  if (element.isF32())
    return read;
  auto real = VectorType::get(lanes, b.getF32Type());
  if (lanes >= 8)
    return arith::ExtFOp::create(b, e.loc, real, read);
  // CPUs with narrow vectors may have no instruction for it: the bits of the
  // number moved to their places in an f32, whose exponent is 112 too low then.
  auto word = VectorType::get(lanes, b.getI32Type());
  auto constant = [&](int64_t value) {
    return arith::ConstantOp::create(
        b, e.loc, DenseElementsAttr::get(word, b.getI32IntegerAttr(value)));
  };
  Value bits = arith::BitcastOp::create(
      b, e.loc, VectorType::get(lanes, b.getI16Type()), read);
  bits = arith::ExtSIOp::create(b, e.loc, word, bits);
  bits = arith::ShLIOp::create(b, e.loc, bits, constant(13));
  bits = arith::AndIOp::create(b, e.loc, bits, constant(0x8fffe000));
  return arith::MulFOp::create(b, e.loc,
                               arith::BitcastOp::create(b, e.loc, real, bits),
                               e.real(0x1p112, real));
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
  outerCount = e.index(1);
  for (Value size : ArrayRef(sizes).drop_back(3))
    outerCount = e.mul(outerCount, size);
  if (hasDigits())
    makeDigits();
  Value panels = e.ceilDiv(sizes[column()], e.index(width)),
        rowBlocks = e.ceilDiv(sizes[row()], e.index(taskRows));
  // Equal chunks of rows, whole tiles each.
  Value blockRows =
      e.mul(e.ceilDiv(e.ceilDiv(sizes[row()], e.max(rowBlocks, e.index(1))),
                      e.index(rows)),
            rows);
  Value rowsOfTask =
      e.max(e.min(sizes[row()], blockRows), e.index(kRowsOfStream));
  Value operations = e.mul(rowsOfTask, 2 * width * steps);
  Value taskPanels = e.add(e.floorDiv(e.index(kTaskOperations), operations), 1);
  // Equal chunks of panels.
  Value chunks = e.ceilDiv(panels, taskPanels);
  taskPanels = e.ceilDiv(panels, e.max(chunks, e.index(1)));
  e.parallel(e.mul(e.mul(outerCount, rowBlocks), chunks), [&](Value index) {
    Value part = e.remainder(index, rowBlocks),
          rest = e.floorDiv(index, rowBlocks);
    Value rowFrom = e.mul(part, blockRows),
          panelFrom = e.mul(e.remainder(rest, chunks), taskPanels);
    task(e.floorDiv(rest, chunks), rowFrom,
         e.min(e.add(rowFrom, blockRows), sizes[row()]), panelFrom,
         e.min(e.add(panelFrom, taskPanels), panels));
  });
}

/// Indices of the outer loops from the number of their point.
void BlockProduct::choosePoint(Value outer) {
  point.assign(product.loops.size() + 1, Value());
  for (unsigned loop = row(); loop-- > 0;) {
    point[loop] = e.remainder(outer, sizes[loop]);
    outer = e.floorDiv(outer, sizes[loop]);
  }
}

void BlockProduct::task(Value outer, Value rowFrom, Value rowTo,
                        Value panelFrom, Value panelTo) {
  outerPoint = outer;
  choosePoint(outer);
  if (product.gather) {
    unsigned loop =
        llvm::find(product.loops,
                   Product::Loop{unsigned(product.bOperand.dims[0])}) -
        product.loops.begin();
    picked = pickRow(e, site, *product.gather, point[loop]);
  }
  auto allRows = known(sizes[row()]);
  bool isFew = allRows && *allRows <= kDirectRows;
  sums = onStack((isFew ? *allRows : std::max(taskRows, kDirectRows)) * width);
  if (!isFew)
    panel = onStack(std::min(kPanelBytes / 4, steps * width));
  e.loop(panelFrom, panelTo, 1, [&](Value panelIndex) {
    choosePanel(panelIndex);
    if (isFew)
      return hasDigits() ? oneRow(panelIndex)
                         : direct(panelIndex, rowFrom, *allRows);
    if (!hasDigits())
      return someRows(panelIndex, rowFrom, rowTo);
    e.branch(
        isOneRow(), [&] { oneRow(panelIndex); },
        [&] { someRows(panelIndex, rowFrom, rowTo); });
  });
}

void BlockProduct::someRows(Value panelIndex, Value rowFrom, Value rowTo) {
  Value count = e.sub(rowTo, rowFrom);
  e.branch(
      e.less(e.index(kDirectRows), count),
      [&] { manyRows(panelIndex, rowFrom, rowTo); },
      [&] { fewRows(panelIndex, rowFrom, count); });
}

//===-- Few rows ----------------------------------------------------------===//

void BlockProduct::fewRows(Value panelIndex, Value rowFrom, Value count) {
  SmallVector<int64_t> cases =
      llvm::to_vector(llvm::seq_inclusive<int64_t>(1, kDirectRows));
  auto choose = scf::IndexSwitchOp::create(e.builder, e.loc, TypeRange(), count,
                                           cases, cases.size());
  OpBuilder::InsertionGuard guard(e.builder);
  e.builder.createBlock(&choose.getDefaultRegion());
  scf::YieldOp::create(e.builder, e.loc);
  for (auto [region, rows] : llvm::zip(choose.getCaseRegions(), cases)) {
    e.builder.createBlock(&region);
    direct(panelIndex, rowFrom, rows);
    scf::YieldOp::create(e.builder, e.loc);
  }
}

/// All sums of `count` rows with the panel.
void BlockProduct::direct(Value panelIndex, Value row, int64_t count) {
  SmallVector<Value> aRows;
  for (int64_t r : llvm::seq(count)) {
    point[this->row()] = e.add(row, r);
    aRows.push_back(a.at(e, point));
  }
  point[this->row()] = {};
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
  finish(panelIndex, row, e.index(count));
}

/// totals + scale * sum of a block.
BlockProduct::Values BlockProduct::sumUp(ArrayRef<Value> aRows, Value group,
                                         int64_t steps, ValueRange totals) {
  int64_t words = steps / depth, atOnce = unrollOf(words),
          sets = std::clamp<int64_t>(8 / vectors, 1, 32 / bits);
  Value first = e.mul(group, block / depth);
  SmallVector<Value> sums(sets * vectors, e.real(0, realType()));
  sums = e.loop(
      e.index(0), e.index(words), atOnce, sums,
      [&](Value at, ValueRange carried) {
        SmallVector<Value> next = llvm::to_vector(carried);
        for (int64_t u : llvm::seq(atOnce)) {
          Value octet = e.add(e.add(first, at), u);
          SmallVector<Value> read;
          for (int64_t vector : llvm::seq(vectors))
            read.push_back(numbers(octet, vector));
          for (int64_t part : llvm::seq(32 / bits)) {
            Value left =
                element(aRows[0], e.add(e.mul(octet, depth), stepOf(part)));
            for (int64_t vector : llvm::seq(vectors)) {
              Value &sum = next[part % sets * vectors + vector];
              sum = vector::FMAOp::create(e.builder, e.loc, left,
                                          number(read[vector], part), sum);
            }
          }
        }
        return next;
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
  int64_t words = steps / depth, atOnce = unrollOf(words);
  Value first = e.mul(group, block / depth);
  SmallVector<Value> factors, shifts;
  for (int64_t vector : llvm::seq(vectors)) {
    factors.push_back(scale(group, vector));
    shifts.push_back(shift(group, vector, factors.back()));
  }
  return e.loop(e.index(0), e.index(words), atOnce, totals,
                [&](Value at, ValueRange carried) {
                  SmallVector<Value> next = llvm::to_vector(carried);
                  for (int64_t u : llvm::seq(atOnce)) {
                    Value octet = e.add(e.add(first, at), u);
                    SmallVector<Value> read;
                    for (int64_t vector : llvm::seq(vectors))
                      read.push_back(numbers(octet, vector));
                    for (int64_t part : llvm::seq(32 / bits)) {
                      Value step = e.add(e.mul(octet, depth), stepOf(part));
                      SmallVector<Value> left;
                      for (Value aRow : aRows)
                        left.push_back(element(aRow, step));
                      for (int64_t vector : llvm::seq(vectors)) {
                        Value right = scaled(number(read[vector], part),
                                             factors[vector], shifts[vector]);
                        for (auto [r, x] : llvm::enumerate(left)) {
                          Value &sum = next[r * vectors + vector];
                          sum = vector::FMAOp::create(e.builder, e.loc, x,
                                                      right, sum);
                        }
                      }
                    }
                  }
                  return next;
                });
}

//===-- Many rows ---------------------------------------------------------===//

void BlockProduct::manyRows(Value panelIndex, Value rowFrom, Value rowTo) {
  int64_t most = kPanelBytes / 4 / width / depth * depth;
  auto part = [&](Value from, Value to) {
    unpack(from, to);
    Value rest = e.remainder(e.sub(rowTo, rowFrom), e.index(rows)),
          full = e.sub(rowTo, rest);
    e.loop(rowFrom, full, rows,
           [&](Value row) { tile(rowFrom, row, rows, from, to); });
    SmallVector<int64_t> cases = llvm::to_vector(llvm::seq<int64_t>(1, rows));
    if (auto left = known(rest)) {
      if (*left)
        tile(rowFrom, full, *left, from, to);
      return;
    }
    auto choose = scf::IndexSwitchOp::create(e.builder, e.loc, TypeRange(),
                                             rest, cases, cases.size());
    OpBuilder::InsertionGuard guard(e.builder);
    e.builder.createBlock(&choose.getDefaultRegion());
    scf::YieldOp::create(e.builder, e.loc);
    for (auto [region, left] : llvm::zip(choose.getCaseRegions(), cases)) {
      e.builder.createBlock(&region);
      tile(rowFrom, full, left, from, to);
      scf::YieldOp::create(e.builder, e.loc);
    }
  };
  int64_t pieces = llvm::divideCeil(steps, most),
          piece = llvm::alignTo(llvm::divideCeil(steps, pieces), depth);
  e.loop(e.index(0), e.index(steps), piece, [&](Value from) {
    part(from, e.min(e.add(from, piece), e.index(steps)));
  });
  finish(panelIndex, rowFrom, e.sub(rowTo, rowFrom));
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
  SmallVector<Value> aRows;
  for (int64_t r : llvm::seq(count)) {
    point[this->row()] = e.add(row, r);
    aRows.push_back(a.at(e, point));
  }
  point[this->row()] = {};
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

//===-- The epilogue ------------------------------------------------------===//

Value BlockProduct::columnMask(Value column0, int64_t vector) {
  return e.lanesBelow(e.sub(sizes[column()], e.add(column0, vector * lanes)),
                      lanes);
}

void BlockProduct::finish(Value panelIndex, Value row, Value count) {
  Value column0 = e.mul(panelIndex, width);
  auto all = [&](bool masked) {
    e.loop(e.index(0), count, 1, [&](Value r) {
      finishRow(e.mul(r, width), e.add(row, r), column0, masked);
    });
  };
  if (wholePanels())
    return all(false);
  e.branch(
      e.less(sizes[column()], e.add(column0, width)), [&] { all(true); },
      [&] { all(false); });
}

void BlockProduct::finishRow(Value sumsAt, Value row, Value column0,
                             bool masked) {
  for (int64_t vector : llvm::seq(vectors)) {
    Value firstColumn = e.add(column0, vector * lanes);
    Columns columns{lanes, masked ? columnMask(column0, vector) : Value()};
    Value result = vector::LoadOp::create(e.builder, e.loc, realType(), sums,
                                          e.add(sumsAt, vector * lanes));
    point[this->row()] = row;
    point[column()] = firstColumn;
    if (product.epilogue) {
      SmallVector<Value> arguments;
      for (Access &input : epilogueInputs)
        arguments.push_back(input.flat
                                ? readColumns(e, input.flat, input.at(e, point),
                                              input.steps[column()], columns)
                                : result);
      result = computeLanes(e, site, product.epilogue, arguments, lanes,
                            [&](unsigned loop) { return indexOf(loop); })[0];
    }
    writeColumns(e, result, out.flat, out.at(e, point), out.steps[column()],
                 columns);
  }
  point[this->row()] = point[column()] = {};
}

/// The lanes' indices along a loop of the epilogue.
Value BlockProduct::indexOf(unsigned epilogueLoop) {
  int dim = product.epilogueDims[epilogueLoop];
  unsigned loop =
      llvm::find_if(
          product.loops,
          [&](auto &dims) { return llvm::is_contained(dims, unsigned(dim)); }) -
      product.loops.begin();
  Value index = e.broadcast(point[loop], lanes);
  if (loop != column())
    return index;
  return arith::AddIOp::create(e.builder, e.loc, index,
                               e.iota(lanes, e.builder.getIndexType()));
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
  BlockProduct{site, *product, schedule}.build();
  return success();
}

static ScheduleAttr scheduleBlocks(KernelOp kernel, const Target &target) {
  Product product = *matchProduct(kernel);
  auto rowCount = product.size(product.row());
  int64_t lanes = target.lanes(), rows = 6,
          columns = *product.size(product.column());
  int64_t vectors = std::clamp<int64_t>(llvm::divideCeil(columns, lanes), 1,
                                        target.vectorRegisters >= 32 ? 4 : 2),
          pack = vectors * lanes;
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
