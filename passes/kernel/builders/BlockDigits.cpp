// Rows times weights of few bits, by integers. The numbers of each block of a
// row become integers of 23 bits, which count a power of two that fits the
// greatest of them: to less than 2^-22 of it, they are what they were. An
// integer is three signed digits to the base of 256; products of digits and
// codes are summed four at a time, exactly, and the sums of the block become a
// number again. That takes half of the instructions that making numbers of all
// codes would, so that reading the weights is all that a product of one row
// costs. Rows that the specification rounds to bytes have a single digit.
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/BlockProduct.h"

using namespace mlir;
using namespace fulgur;
using Values = BlockProduct::Values;

static constexpr int64_t kLinesAtOnce = 4; // that need no task of their own
static constexpr int64_t kShortBlock = 32; // of numbers

bool BlockProduct::hasDigits() {
  if (product.rounded)
    return true;
  auto rows = known(sizes[row()]);
  return (bytes.parts == 1 || hasPairs()) && (!rows || *rows == 1) &&
         block % lanes == 0 && steps % lanes == 0 && block <= kMostSteps;
}

/// The number of the line that a row of this task is.
Value BlockProduct::lineOf(Value row) {
  return product.rounded ? e.add(e.mul(outerPoint, sizes[this->row()]), row)
                         : outerPoint;
}

void BlockProduct::makeDigits() {
  OpBuilder &b = e.builder;
  Value lineCount =
      product.rounded ? e.mul(outerCount, sizes[row()]) : outerCount;
  auto allocate = [&](int64_t perLine, Type element) -> Value {
    Value count = e.mul(lineCount, perLine);
    auto size = known(count);
    auto type = MemRefType::get(size ? *size : ShapedType::kDynamic, element);
    return memref::AllocOp::create(b, e.loc, type,
                                   size ? ValueRange() : ValueRange(count),
                                   b.getI64IntegerAttr(64));
  };
  digits = allocate(digitCount * steps, b.getI8Type());
  factors = allocate(groups, b.getF32Type());
  sumsOfDigits = allocate(digitCount * groups, b.getI32Type());
  if (blocks.getZero())
    sumsOfLine = allocate(groups, b.getF32Type());
  auto one = [&](Value line) {
    Value ofRow = product.rounded ? sizes[row()] : e.index(1);
    choosePoint(e.floorDiv(line, ofRow));
    point[row()] = e.remainder(line, ofRow);
    int64_t whole = steps / block;
    e.loop(e.index(0), e.index(whole), 1,
           [&](Value group) { digitsOfBlock(line, group, block); });
    if (int64_t left = steps % block)
      digitsOfBlock(line, e.index(whole), left);
    point[row()] = {};
  };
  auto lines = known(lineCount);
  Value applies = product.rounded
                      ? arith::ConstantIntOp::create(b, e.loc, 1, 1).getResult()
                      : isOneRow();
  if (lines && *lines <= kLinesAtOnce)
    return e.branch(applies, [&] { e.loop(e.index(0), lineCount, 1, one); });
  if (product.rounded)
    return e.parallel(lineCount, one);
  e.parallel(arith::SelectOp::create(b, e.loc, applies, lineCount, e.index(0)),
             one);
}

/// The greatest absolute value is bits of an f32 here.
std::pair<Value, Value> BlockProduct::factorOf(Value greatest) {
  OpBuilder &b = e.builder;
  auto integer = [&](int64_t value) {
    return arith::ConstantIntOp::create(b, e.loc, b.getI32Type(), value);
  };
  Value exponent = arith::ShRUIOp::create(b, e.loc, greatest, integer(23));
  // What is far below any f32 that matters counts 2^-126.
  Value fits = arith::MaxSIOp::create(b, e.loc, exponent, integer(22));
  auto power = [&](Value exponent) {
    Value bits = arith::ShLIOp::create(b, e.loc, exponent, integer(23));
    return arith::BitcastOp::create(b, e.loc, b.getF32Type(), bits);
  };
  Value factor = power(arith::SubIOp::create(b, e.loc, fits, integer(21))),
        inverse = power(arith::SubIOp::create(b, e.loc, integer(275), fits));
  // Of a block that is not finite, nothing is.
  Value isFinite = arith::CmpIOp::create(b, e.loc, arith::CmpIPredicate::ne,
                                         exponent, integer(255));
  factor = arith::SelectOp::create(
      b, e.loc, isFinite, factor,
      arith::ConstantOp::create(
          b, e.loc,
          b.getFloatAttr(b.getF32Type(),
                         APFloat::getQNaN(APFloat::IEEEsingle()))));
  inverse = arith::SelectOp::create(b, e.loc, isFinite, inverse,
                                    e.real(0, b.getF32Type()));
  return {factor, inverse};
}

std::pair<Value, Value> BlockProduct::scaleOf(Value greatest) {
  OpBuilder &b = e.builder;
  Type f32 = b.getF32Type();
  Value number = arith::BitcastOp::create(b, e.loc, f32, greatest),
        steps = e.real(127, f32), zero = e.real(0, f32);
  auto isAtLeast = [&](double least) {
    return arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OGE, number,
                                 e.real(least, f32));
  };
  // 127 / infinity is 0, too.
  Value inverse = arith::SelectOp::create(
            b, e.loc, isAtLeast(0x1p-120),
            arith::DivFOp::create(b, e.loc, steps, number), zero),
        scale = arith::DivFOp::create(b, e.loc, number, steps);
  // 0 times infinity, for all of the block.
  Value isInfinite = isAtLeast(INFINITY);
  scale = arith::SelectOp::create(
      b, e.loc, isInfinite,
      arith::ConstantOp::create(
          b, e.loc,
          b.getFloatAttr(f32, APFloat::getQNaN(APFloat::IEEEsingle()))),
      scale);
  return {scale, inverse};
}

/// Writes the digits of a block's `steps` numbers, and what belongs to it.
void BlockProduct::digitsOfBlock(Value line, Value group, int64_t steps) {
  OpBuilder &b = e.builder;
  Value first = e.mul(group, block), last = e.add(first, steps);
  auto read = [&](Value step) {
    point[reduction()] = step;
    Value at = a.at(e, point);
    point[reduction()] = {};
    return readColumns(e, a.flat, at, a.steps[reduction()], {lanes, {}});
  };
  // As integers, absolute values are in the order of their exponents, with NaN
  // at the end.
  Value greatest =
      e.loop(first, last, lanes, words(0),
             [&](Value step, ValueRange carried) -> Values {
               Value bits =
                   arith::BitcastOp::create(b, e.loc, wordType(), read(step));
               bits = arith::AndIOp::create(b, e.loc, bits, words(0x7fffffff));
               return {arith::MaxSIOp::create(b, e.loc, bits, carried[0])};
             })[0];
  greatest = vector::ReductionOp::create(b, e.loc, vector::CombiningKind::MAXSI,
                                         greatest);
  auto [factor, inverse] =
      product.rounded ? scaleOf(greatest) : factorOf(greatest);

  Value spread = e.broadcast(inverse, lanes);
  Values sums(digitCount, words(0));
  sums = e.loop(
      first, last, lanes, sums, [&](Value step, ValueRange carried) -> Values {
        Value number = arith::MulFOp::create(b, e.loc, read(step), spread);
        Value rest = arith::FPToSIOp::create(
            b, e.loc, wordType(), math::RoundEvenOp::create(b, e.loc, number));
        Values next;
        for (int64_t digit : llvm::seq(digitCount)) {
          auto type = VectorType::get(lanes, b.getI8Type());
          Value byte = arith::TruncIOp::create(b, e.loc, type, rest),
                value = arith::ExtSIOp::create(b, e.loc, wordType(), byte);
          Value at = e.add(
              e.mul(e.add(e.mul(line, digitCount), digit), this->steps), step);
          vector::StoreOp::create(b, e.loc, byte, digits, at);
          next.push_back(
              arith::AddIOp::create(b, e.loc, carried[digit], value));
          rest = arith::ShRSIOp::create(
              b, e.loc, arith::SubIOp::create(b, e.loc, rest, value), words(8));
        }
        return next;
      });
  int64_t offset = blocks.getZero() ? 0 : blocks.getOffset();
  Value place = e.add(e.mul(line, groups), group), total;
  memref::StoreOp::create(b, e.loc, factor, factors, place);
  for (int64_t digit : llvm::seq(digitCount)) {
    Value sum = vector::ReductionOp::create(
        b, e.loc, vector::CombiningKind::ADD, sums[digit]);
    Value moved = arith::MulIOp::create(
        b, e.loc, sum,
        arith::ConstantIntOp::create(b, e.loc, b.getI32Type(), -offset));
    memref::StoreOp::create(b, e.loc, moved, sumsOfDigits,
                            e.add(e.mul(place, digitCount), digit));
    Value real = arith::SIToFPOp::create(b, e.loc, b.getF32Type(), sum);
    real = arith::MulFOp::create(
        b, e.loc, real,
        e.real(double(int64_t(1) << 8 * digit), b.getF32Type()));
    total = total ? arith::AddFOp::create(b, e.loc, total, real) : real;
  }
  if (sumsOfLine)
    memref::StoreOp::create(b, e.loc,
                            arith::MulFOp::create(b, e.loc, total, factor),
                            sumsOfLine, place);
}

/// All sums of the row with the panel.
void BlockProduct::oneRow(Value panelIndex) {
  digitTile(e.index(0), 1, e.index(0), e.index(steps), e.index(0),
            /*start=*/{});
  finish(panelIndex, e.index(0), e.index(0), e.index(1));
}

/// Adds the products of `count` rows with the steps [from, to) of the panel to
/// their sums, which the first ones begin; `start` is the first step that lies
/// on the stack.
void BlockProduct::digitTile(Value row, int64_t count, Value from, Value to,
                             Value sumsFrom, Value start) {
  OpBuilder &b = e.builder;
  Values lines;
  for (int64_t r : llvm::seq(count))
    lines.push_back(lineOf(e.add(row, r)));
  Value zero = e.real(0, realType()),
        isFirst = b.createOrFold<arith::CmpIOp>(e.loc, arith::CmpIPredicate::eq,
                                                from, e.index(0)),
        sumsAt = e.mul(sumsFrom, width);
  Values totals;
  for (int64_t sum : llvm::seq(count * vectors)) {
    if (known(from) == 0) {
      totals.push_back(zero);
      continue;
    }
    Value before = vector::LoadOp::create(b, e.loc, realType(), sums,
                                          e.add(sumsAt, sum * lanes));
    totals.push_back(arith::SelectOp::create(b, e.loc, isFirst, zero, before));
  }
  totals =
      e.loop(e.floorDiv(from, e.index(block)), e.floorDiv(to, e.index(block)),
             1, totals, [&](Value group, ValueRange totals) {
               return sumDigits(lines, group, block, start, totals);
             });
  // A shorter block is the last of all, in a tile that goes to the end.
  if (int64_t left = steps % block)
    totals = sumDigits(lines, e.index(steps / block), left, start, totals);
  for (auto [place, total] : llvm::enumerate(totals))
    vector::StoreOp::create(b, e.loc, total, sums,
                            e.add(sumsAt, place * lanes));
}

/// Adds the products of the codes of one word of each column to the sums of
/// each line, digit and vector; where pairs of products are sums of 16 bits, to
/// those.
void BlockProduct::addWords(ArrayRef<Value> lines, Value octet, Value start,
                            Values &sums, Values &pairs) {
  OpBuilder &b = e.builder;
  auto asBytes = [&](Value words) {
    return LLVM::BitcastOp::create(
        b, e.loc, VectorType::get(lanes * 4, b.getI8Type()), words);
  };
  Values read;
  if (!start)
    for (int64_t vector : llvm::seq(vectors))
      read.push_back(word(octet, vector));
  for (int64_t quad : llvm::seq(depth / 4)) {
    Values right;
    for (int64_t vector : llvm::seq(vectors)) {
      Value codes;
      if (start) {
        Value at = e.add(
            e.mul(e.sub(octet, e.floorDiv(start, e.index(depth))), depth / 4),
            quad);
        codes = vector::LoadOp::create(b, e.loc, wordType(), unpacked,
                                       e.add(e.mul(at, width), vector * lanes));
      } else {
        codes = read[vector];
        if (quad > 0)
          codes = arith::ShRUIOp::create(b, e.loc, codes, words(4));
        if (bits == 4)
          codes = arith::AndIOp::create(b, e.loc, codes, words(0x0f0f0f0f));
      }
      right.push_back(codes);
    }
    Value step = e.add(e.mul(octet, depth), quad * 4);
    for (auto [number, line] : llvm::enumerate(lines))
      for (int64_t digit : llvm::seq(digitCount)) {
        Value at = e.add(
            e.mul(e.add(e.mul(line, digitCount), digit), this->steps), step);
        Value left = bytes.row(e, digits, at, e.index(1), /*count=*/{});
        int64_t first = (number * digitCount + digit) * vectors;
        for (int64_t vector : llvm::seq(vectors)) {
          if (hasPairs()) {
            Value &sum = pairs[first + vector];
            Value both = multiplyPairs(asBytes(right[vector]), asBytes(left));
            sum = sum ? arith::AddIOp::create(b, e.loc, sum, both) : both;
            continue;
          }
          for (int64_t part : llvm::seq(bytes.parts)) {
            Value &sum = sums[first + vector];
            sum = bytes.multiply(
                e, bytes.part(e, left, part, /*ofRow=*/true),
                bytes.part(e, right[vector], part, /*ofRow=*/false), sum);
          }
        }
      }
  }
}

/// Sums of two products of codes of four bits and digits each. 16 bits hold
/// eight of them, 8 * 2 * 15 * 128.
Value BlockProduct::multiplyPairs(Value codes, Value row) {
  OpBuilder &b = e.builder;
  return LLVM::CallIntrinsicOp::create(
             b, e.loc, VectorType::get(lanes * 2, b.getI16Type()),
             b.getStringAttr(lanes == 16 ? "llvm.x86.avx512.pmaddubs.w.512"
                                         : "llvm.x86.avx2.pmadd.ub.sw"),
             ValueRange{codes, row})
      .getResults();
}

/// sum + both halves of each pair.
Value BlockProduct::addPairs(Value pairs, Value sum) {
  OpBuilder &b = e.builder;
  Value ones = arith::ConstantOp::create(
      b, e.loc,
      DenseElementsAttr::get(cast<VectorType>(pairs.getType()),
                             b.getI16IntegerAttr(1)));
  return bytes.multiply(e, pairs, ones, sum);
}

/// The sum of a block, of those of its digits.
Value BlockProduct::sumOfDigits(ArrayRef<Value> sums, int64_t vector) {
  OpBuilder &b = e.builder;
  auto toReal = [&](Value integer) {
    return arith::SIToFPOp::create(b, e.loc, realType(), integer);
  };
  // Numbers are at most 2^22, so that a short block's sum is an integer of 32
  // bits, whatever its upper digits' sums are times their base.
  bool fits = bits == 4 && block <= kShortBlock;
  Value sum;
  for (int64_t digit : llvm::reverse(llvm::seq(digitCount))) {
    Value next = sums[digit * vectors + vector];
    if (!fits)
      next = toReal(next);
    if (sum && fits)
      next = arith::AddIOp::create(
          b, e.loc, arith::ShLIOp::create(b, e.loc, sum, words(8)), next);
    else if (sum)
      next =
          vector::FMAOp::create(b, e.loc, sum, e.real(256, realType()), next);
    sum = next;
  }
  return fits ? toReal(sum) : sum;
}

/// totals + scale * sum of a block.
Values BlockProduct::sumDigits(ArrayRef<Value> lines, Value group,
                               int64_t steps, Value start, ValueRange totals) {
  OpBuilder &b = e.builder;
  auto load = [&](Value from, Value at) {
    return e.broadcast(memref::LoadOp::create(b, e.loc, from, at), lanes);
  };
  Values places = llvm::map_to_vector(lines, [&](Value line) -> Value {
    return e.add(e.mul(line, groups), group);
  });
  Values sums;
  for (Value place : places)
    for (int64_t digit : llvm::seq(digitCount))
      sums.append(vectors,
                  load(sumsOfDigits, e.add(e.mul(place, digitCount), digit)));
  // In long bodies loads get an order that the prefetchers do not follow: for
  // blocks that take several, and behind zeros, which are a third stream.
  bool isShort =
      bits == 4 && lines.size() == 1 && !hasPairs() &&
      (blocks.getZero() || (block > kShortBlock && !product.rounded));
  int64_t count = steps / depth, atOnce = isShort ? 1 : unrollOf(count);
  Value first = e.mul(group, block / depth);
  sums = e.loop(e.index(0), e.index(count), atOnce, sums,
                [&](Value at, ValueRange carried) {
                  Values next = llvm::to_vector(carried),
                         pairs(hasPairs() ? next.size() : 0);
                  for (int64_t u : llvm::seq(atOnce)) {
                    addWords(lines, e.add(e.add(first, at), u), start, next,
                             pairs);
                    if (u == (atOnce - 1) / 2 && !start)
                      fetchScales(group);
                  }
                  for (auto [sum, pair] : llvm::zip(next, pairs))
                    sum = addPairs(pair, sum);
                  return next;
                });
  Values scales, zeroes;
  for (int64_t vector : llvm::seq(vectors)) {
    scales.push_back(scale(group, vector));
    if (sumsOfLine)
      zeroes.push_back(arith::NegFOp::create(b, e.loc, zero(group, vector)));
  }
  Values next;
  for (auto [number, place] : llvm::enumerate(places)) {
    Value factor = load(factors, place),
          sumOfLine = sumsOfLine ? load(sumsOfLine, place) : Value();
    for (int64_t vector : llvm::seq(vectors)) {
      Value sum = arith::MulFOp::create(
          b, e.loc,
          sumOfDigits(ArrayRef(sums).slice(number * digitCount * vectors),
                      vector),
          factor);
      if (sumOfLine)
        sum = vector::FMAOp::create(b, e.loc, zeroes[vector], sumOfLine, sum);
      next.push_back(vector::FMAOp::create(b, e.loc, sum, scales[vector],
                                           totals[next.size()]));
    }
  }
  return next;
}
