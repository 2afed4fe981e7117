// One row times weights of few bits, by integers. The numbers of each block of
// the row become integers of 23 bits, which count a power of two that fits the
// greatest of them: to less than 2^-22 of it, they are what they were. An
// integer is three signed digits to the base of 256; products of digits and
// codes are summed four at a time, exactly, and the sums of the block become a
// number again. That takes half of the instructions that making numbers of all
// codes would, so that reading the weights is all that a product costs.
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/BlockProduct.h"

using namespace mlir;
using namespace fulgur;
using Values = BlockProduct::Values;

static constexpr int64_t kDigits = 3;
static constexpr int64_t kMostSteps = 1 << 15; // whose sums fit 32 bits
static constexpr int64_t kPointsAtOnce =
    4; // rows that need no task of their own

bool BlockProduct::hasDigits() {
  auto rows = known(sizes[row()]);
  return bytes.parts == 1 && (!rows || *rows == 1) && block % lanes == 0 &&
         steps % lanes == 0 && block <= kMostSteps;
}

void BlockProduct::makeDigits() {
  OpBuilder &b = e.builder;
  auto allocate = [&](int64_t perPoint, Type element) -> Value {
    Value count = e.mul(outerCount, perPoint);
    auto size = known(count);
    auto type = MemRefType::get(size ? *size : ShapedType::kDynamic, element);
    return memref::AllocOp::create(b, e.loc, type,
                                   size ? ValueRange() : ValueRange(count),
                                   b.getI64IntegerAttr(64));
  };
  digits = allocate(kDigits * steps, b.getI8Type());
  factors = allocate(groups, b.getF32Type());
  sumsOfDigits = allocate(kDigits * groups, b.getI32Type());
  if (blocks.getZero())
    sumsOfRow = allocate(groups, b.getF32Type());
  auto row = [&](Value outer) {
    choosePoint(outer);
    int64_t whole = steps / block;
    e.loop(e.index(0), e.index(whole), 1,
           [&](Value group) { digitsOfBlock(outer, group, block); });
    if (int64_t left = steps % block)
      digitsOfBlock(outer, e.index(whole), left);
  };
  auto points = known(outerCount);
  if (points && *points <= kPointsAtOnce)
    return e.branch(isOneRow(),
                    [&] { e.loop(e.index(0), outerCount, 1, row); });
  Value count =
      arith::SelectOp::create(b, e.loc, isOneRow(), outerCount, e.index(0));
  e.parallel(count, row);
}

/// Writes the digits of a block's `steps` numbers, and what belongs to it.
void BlockProduct::digitsOfBlock(Value outer, Value group, int64_t steps) {
  OpBuilder &b = e.builder;
  Value first = e.mul(group, block), last = e.add(first, steps);
  auto read = [&](Value step) {
    point[row()] = e.index(0), point[reduction()] = step;
    Value at = a.at(e, point);
    point[row()] = point[reduction()] = {};
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

  Value spread = e.broadcast(inverse, lanes);
  Values sums(kDigits, words(0));
  sums = e.loop(
      first, last, lanes, sums, [&](Value step, ValueRange carried) -> Values {
        Value number = arith::MulFOp::create(b, e.loc, read(step), spread);
        Value rest = arith::FPToSIOp::create(
            b, e.loc, wordType(), math::RoundEvenOp::create(b, e.loc, number));
        Values next;
        for (int64_t digit : llvm::seq(kDigits)) {
          auto type = VectorType::get(lanes, b.getI8Type());
          Value byte = arith::TruncIOp::create(b, e.loc, type, rest),
                value = arith::ExtSIOp::create(b, e.loc, wordType(), byte);
          Value at = e.add(
              e.mul(e.add(e.mul(outer, kDigits), digit), this->steps), step);
          vector::StoreOp::create(b, e.loc, byte, digits, at);
          next.push_back(
              arith::AddIOp::create(b, e.loc, carried[digit], value));
          rest = arith::ShRSIOp::create(
              b, e.loc, arith::SubIOp::create(b, e.loc, rest, value), words(8));
        }
        return next;
      });
  Value place = e.add(e.mul(outer, groups), group), total;
  memref::StoreOp::create(b, e.loc, factor, factors, place);
  for (int64_t digit : llvm::seq(kDigits)) {
    Value sum = vector::ReductionOp::create(
        b, e.loc, vector::CombiningKind::ADD, sums[digit]);
    memref::StoreOp::create(b, e.loc, sum, sumsOfDigits,
                            e.add(e.mul(place, kDigits), digit));
    Value real = arith::SIToFPOp::create(b, e.loc, b.getF32Type(), sum);
    real = arith::MulFOp::create(
        b, e.loc, real,
        e.real(double(int64_t(1) << 8 * digit), b.getF32Type()));
    total = total ? arith::AddFOp::create(b, e.loc, total, real) : real;
  }
  if (sumsOfRow)
    memref::StoreOp::create(b, e.loc,
                            arith::MulFOp::create(b, e.loc, total, factor),
                            sumsOfRow, place);
}

/// All sums of the row with the panel.
void BlockProduct::oneRow(Value panelIndex) {
  Values totals(vectors, e.real(0, realType()));
  int64_t whole = steps / block;
  totals = e.loop(e.index(0), e.index(whole), 1, totals,
                  [&](Value group, ValueRange totals) {
                    return sumDigits(group, block, totals);
                  });
  if (int64_t left = steps % block)
    totals = sumDigits(e.index(whole), left, totals);
  for (auto [vector, total] : llvm::enumerate(totals))
    vector::StoreOp::create(e.builder, e.loc, total, sums,
                            e.index(vector * lanes));
  finish(panelIndex, e.index(0), e.index(0), e.index(1));
}

/// Adds the products of the codes of one word of each column to the sums of
/// each digit and vector.
void BlockProduct::addWords(Value octet, Values &sums) {
  OpBuilder &b = e.builder;
  Values read;
  for (int64_t vector : llvm::seq(vectors))
    read.push_back(word(octet, vector));
  for (int64_t quad : llvm::seq(depth / 4)) {
    Values right;
    for (Value codes : read) {
      if (quad > 0)
        codes = arith::ShRUIOp::create(b, e.loc, codes, words(4));
      if (bits == 4)
        codes = arith::AndIOp::create(b, e.loc, codes, words(0x0f0f0f0f));
      right.push_back(bytes.part(e, codes, 0, /*ofRow=*/false));
    }
    Value step = e.add(e.mul(octet, depth), quad * 4);
    for (int64_t digit : llvm::seq(kDigits)) {
      Value at = e.add(
          e.mul(e.add(e.mul(outerPoint, kDigits), digit), this->steps), step);
      Value left =
          bytes.part(e, bytes.row(e, digits, at, e.index(1), /*count=*/{}), 0,
                     /*ofRow=*/true);
      for (int64_t vector : llvm::seq(vectors)) {
        Value &sum = sums[digit * vectors + vector];
        sum = bytes.multiply(e, left, right[vector], sum);
      }
    }
  }
}

/// totals + scale * sum of a block.
Values BlockProduct::sumDigits(Value group, int64_t steps, ValueRange totals) {
  OpBuilder &b = e.builder;
  Value place = e.add(e.mul(outerPoint, groups), group);
  auto load = [&](Value from, Value at) {
    return e.broadcast(memref::LoadOp::create(b, e.loc, from, at), lanes);
  };
  int64_t moved = blocks.getZero() ? 0 : blocks.getOffset();
  Values sums;
  for (int64_t digit : llvm::seq(kDigits)) {
    Value sum = load(sumsOfDigits, e.add(e.mul(place, kDigits), digit));
    sum = arith::MulIOp::create(b, e.loc, sum, words(-moved));
    sums.append(vectors, sum);
  }
  int64_t count = steps / depth, atOnce = unrollOf(count);
  Value first = e.mul(group, block / depth);
  sums = e.loop(e.index(0), e.index(count), atOnce, sums,
                [&](Value at, ValueRange carried) {
                  Values next = llvm::to_vector(carried);
                  for (int64_t u : llvm::seq(atOnce))
                    addWords(e.add(e.add(first, at), u), next);
                  return next;
                });
  Value factor = load(factors, place),
        sumOfRow = sumsOfRow ? load(sumsOfRow, place) : Value();
  Values next;
  for (int64_t vector : llvm::seq(vectors)) {
    Value sum;
    for (int64_t digit : llvm::reverse(llvm::seq(kDigits))) {
      Value real = arith::SIToFPOp::create(b, e.loc, realType(),
                                           sums[digit * vectors + vector]);
      sum = sum ? vector::FMAOp::create(b, e.loc, sum, e.real(256, realType()),
                                        real)
                : real;
    }
    sum = arith::MulFOp::create(b, e.loc, sum, factor);
    if (sumOfRow) {
      Value zeros = arith::NegFOp::create(b, e.loc, zero(group, vector));
      sum = vector::FMAOp::create(b, e.loc, zeros, sumOfRow, sum);
    }
    next.push_back(vector::FMAOp::create(b, e.loc, sum, scale(group, vector),
                                         totals[vector]));
  }
  return next;
}
