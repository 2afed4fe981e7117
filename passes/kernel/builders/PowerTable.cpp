#include "passes/kernel/builders/PowerTable.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include <cmath>

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kBits = 7; // of a bfloat16 below its first one
constexpr double kBias = 127, kMost = 126;
// Sums with it have 7 binary places: the low 16 bits are those of the other
// number, as an integer of 128ths.
constexpr double kPlaces = 0x1.8p16;
} // namespace

bool PowerTable::serves(AttentionEmitter &a) {
  return a.pairs() && a.site.target.vbmi;
}

void PowerTable::prepare() {
  OpBuilder &b = e.builder;
  auto bytes = VectorType::get(64, b.getI8Type());
  auto half = [&](int64_t from) -> Value {
    SmallVector<int8_t> entries;
    for (int64_t f : llvm::seq(from, from + 64))
      entries.push_back(std::lround(128 * (std::exp2(f / 128.0) - 1)));
    return arith::ConstantOp::create(
        b, e.loc, DenseElementsAttr::get(bytes, ArrayRef<int8_t>(entries)));
  };
  lower = half(0), upper = half(64);
}

/// The exponent that a score stands for, to 7 binary places. Of scores that
/// have been added to, differences come first instead: they may be infinite
/// when multiplied.
Value PowerTable::exponent(Value score) {
  OpBuilder &b = e.builder;
  Type type = score.getType();
  Value places = e.real(kPlaces, type),
        sum = vector::FMAOp::create(b, e.loc, score,
                                    e.real(a.powerFactor(), type), places);
  return arith::SubFOp::create(b, e.loc, sum, places);
}

Value PowerTable::change(Value before, Value now) {
  if (!a.attention.plain)
    return a.power(before, now);
  return a.narrowPower(
      arith::SubFOp::create(e.builder, e.loc, exponent(before), exponent(now)));
}

Value PowerTable::origin(Value greatest) {
  if (!a.attention.plain)
    return greatest;
  return arith::SubFOp::create(e.builder, e.loc,
                               e.real(kPlaces + kBias, greatest.getType()),
                               exponent(greatest));
}

/// The exponent of a power, with its bias, in the low 16 bits. Below those of
/// normal numbers it is 0; NaN stays.
Value PowerTable::fixedPoint(Value score, Value origin) {
  OpBuilder &b = e.builder;
  auto type = cast<VectorType>(score.getType());
  if (!a.attention.plain) {
    score = arith::SubFOp::create(b, e.loc, score, origin);
    origin = e.real(kPlaces + kBias, type);
  }
  Value sum = vector::FMAOp::create(b, e.loc, score,
                                    e.real(a.powerFactor(), type), origin);
  return e.greater(e.real(kPlaces, type), sum);
}

Value PowerTable::bitsOf(Value sum) {
  auto type = cast<VectorType>(sum.getType());
  return arith::BitcastOp::create(e.builder, e.loc,
                                  type.clone(e.builder.getI32Type()), sum);
}

/// `sum` and both powers of a pair.
Value PowerTable::add(Value pair, Value sum) {
  OpBuilder &b = e.builder;
  auto narrow = VectorType::get(2 * a.lanes, b.getBF16Type());
  return LLVM::CallIntrinsicOp::create(
             b, e.loc, sum.getType(),
             b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
             ValueRange{sum, LLVM::BitcastOp::create(b, e.loc, narrow, pair),
                        e.real(1, narrow)})
      .getResults();
}

Value PowerTable::pair(Value first, Value second, Value origin, Value &sum) {
  OpBuilder &b = e.builder;
  Type type = first.getType();
  Value most = e.real(kPlaces + kBias + kMost, type);
  auto bits = [&](Value score) {
    Value exponent = fixedPoint(score, origin);
    // One instruction, whose second operand is the result for NaN.
    Value less = arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OLT,
                                       exponent, most);
    return bitsOf(arith::SelectOp::create(b, e.loc, less, exponent, most));
  };
  Value both = powers(bits(first), bits(second));
  sum = add(both, sum);
  return vector::BitCastOp::create(b, e.loc, type, both);
}

/// Pairs of bfloat16 from pairs of their exponents.
Value PowerTable::powers(Value first, Value second) {
  OpBuilder &b = e.builder;
  int64_t lanes = a.lanes;
  auto words = VectorType::get(2 * lanes, b.getI16Type()),
       bytes = VectorType::get(4 * lanes, b.getI8Type());
  auto as = [&](VectorType type, Value value) -> Value {
    return vector::BitCastOp::create(b, e.loc, type, value);
  };
  SmallVector<int64_t> lowHalves;
  for (int64_t lane : llvm::seq(lanes))
    lowHalves.append({2 * lane, 2 * (lanes + lane)});
  Value exponents = vector::ShuffleOp::create(b, e.loc, as(words, first),
                                              as(words, second), lowHalves);
  Value picked =
      LLVM::CallIntrinsicOp::create(
          b, e.loc, bytes, b.getStringAttr("llvm.x86.avx512.vpermi2var.qi.512"),
          ValueRange{lower, as(bytes, exponents), upper})
          .getResults();
  constexpr int64_t below = (1 << kBits) - 1;
  auto masked = [&](Value value, int64_t mask) -> Value {
    return arith::AndIOp::create(b, e.loc, value, e.integer(mask, words));
  };
  return arith::OrIOp::create(b, e.loc, masked(exponents, ~below),
                              masked(as(words, picked), below));
}

SmallVector<Value> PowerTable::strip(ArrayRef<Value> greatest,
                                     ArrayRef<Value> sums, Value scores,
                                     Value rows, Value column, int64_t width) {
  OpBuilder &b = e.builder;
  size_t count = sums.size();
  VectorType type = a.vectorType(), bitsType = type.clone(b.getI32Type());
  SmallVector<Value> origins, state = llvm::to_vector(sums);
  for (Value most : greatest)
    origins.push_back(origin(most));
  // All bits that occur: NaN's are the only ones with a whole exponent.
  state.append(count, e.zero(bitsType));
  state =
      e.loop(e.index(0), rows, 2, state, [&](Value row, ValueRange carried) {
        SmallVector<Value> next = llvm::to_vector(carried);
        for (size_t v : llvm::seq(count)) {
          auto at = [&](Value row) {
            return e.add(e.mul(row, width), e.add(column, v * a.lanes));
          };
          SmallVector<Value, 2> both;
          for (int64_t r : {0, 1}) {
            both.push_back(bitsOf(
                fixedPoint(a.load(scores, at(e.add(row, r))), origins[v])));
            Value &bits = next[count + v];
            bits = arith::OrIOp::create(b, e.loc, bits, both.back());
          }
          Value pair = powers(both[0], both[1]);
          next[v] = add(pair, next[v]);
          a.keep(vector::BitCastOp::create(b, e.loc, type, pair), scores,
                 at(e.floorDiv(row, e.index(2))));
        }
        return next;
      });
  for (size_t v : llvm::seq(count)) {
    Value bits = arith::BitcastOp::create(b, e.loc, type, state[count + v]),
          nothing = arith::SubFOp::create(b, e.loc, bits, bits);
    state[v] = arith::AddFOp::create(b, e.loc, state[v], nothing);
  }
  state.resize(count);
  return state;
}
