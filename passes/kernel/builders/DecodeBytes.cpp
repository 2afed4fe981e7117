// Attention of few queries to keys and values that are bytes, by integers:
// making numbers of all of them would take longer than reading them. What they
// are multiplied with, a query or the powers of a block of keys, becomes
// integers of 16 bits that count a part of the greatest of them: to less than
// 2^-15 of it, it is what it was. An integer is two digits to the base of 256;
// sums of products of digits and bytes are exact.
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "passes/kernel/builders/DecodeAttention.h"
#include "passes/kernel/builders/Transpose.h"

using namespace mlir;
using namespace fulgur;

static constexpr int64_t kDigits = 2; // the upper one first
static constexpr int64_t kLargest = 127 * 256 + 127;
static constexpr int64_t kDeepest = 512; // whose sums fit 32 bits

/// Whether bytes lie in rows, and the target adds four products at once.
bool Decode::hasDigits(const std::optional<ScaledCodes> &codes,
                       const Access &access, unsigned element) {
  bool isRow = !access.steps[element] || known(access.steps[element]) == 1;
  return codes && isRow && lanes >= 8 && bytes().parts == 1 &&
         a.attention.depth <= kDeepest;
}

void Decode::allocateDigits() {
  auto allocate = [&](Digits &digits, int64_t distance) {
    OpBuilder &b = e.builder;
    digits.bytes = a.onStack(capacity * kDigits * distance, b.getI8Type());
    digits.unit = a.onStack(capacity, b.getF32Type());
    digits.surplus = a.onStack(capacity, b.getI32Type());
  };
  if (keyDigits)
    allocate(queryDigits, byteDepth());
  if (valueDigits)
    allocate(powerDigits, blockKeys);
}

static Value integers(Emitter &e, int64_t lanes, int64_t value) {
  return e.integer(value, VectorType::get(lanes, e.builder.getI32Type()));
}

/// Bytes that are offset by 128, and so unsigned.
static Value unsignedBytes(Emitter &e, Value bytes) {
  return arith::XOrIOp::create(e.builder, e.loc, bytes,
                               e.integer(-128, bytes.getType()));
}

/// The integer of which two sums are the digits.
static Value joined(Emitter &e, Value upper, Value lower) {
  OpBuilder &b = e.builder;
  int64_t lanes = cast<VectorType>(upper.getType()).getNumElements();
  return arith::AddIOp::create(
      b, e.loc, arith::ShLIOp::create(b, e.loc, upper, integers(e, lanes, 8)),
      lower);
}

/// Makes digits of `count` numbers, of which none is greater than `greatest`:
/// vectors at `to`, the lower digits `distance` behind the upper ones.
void Decode::makeDigits(const Digits &digits, Value row, Value greatest,
                        Value count, int64_t distance,
                        llvm::function_ref<Value(Value)> vectorAt) {
  OpBuilder &b = e.builder;
  Type f32 = b.getF32Type();
  Value unit = arith::MulFOp::create(b, e.loc, greatest,
                                     e.real(1.0 / double(kLargest), f32));
  // Of numbers that hardly are, nothing is left; nor is of what is no number,
  // whose unit is none, too.
  Value isLarge = arith::CmpFOp::create(b, e.loc, arith::CmpFPredicate::OGE,
                                        greatest, e.real(0x1p-100, f32));
  Value perUnit = arith::SelectOp::create(
      b, e.loc, isLarge,
      arith::DivFOp::create(b, e.loc, e.real(double(kLargest), f32), greatest),
      e.real(0, f32));
  Value factor = e.broadcast(perUnit, lanes),
        to = e.mul(row, kDigits * distance), eight = integers(e, lanes, 8);
  auto byte = VectorType::get(lanes, b.getI8Type());
  auto keepDigit = [&](Value digit, Value at) {
    vector::StoreOp::create(b, e.loc,
                            arith::TruncIOp::create(b, e.loc, byte, digit),
                            digits.bytes, e.add(to, at));
  };
  Value sum = e.loop(
      e.index(0), count, lanes, integers(e, lanes, 0),
      [&](Value at, ValueRange carried) {
        Value number = arith::MulFOp::create(b, e.loc, vectorAt(at), factor);
        Value integer = arith::FPToSIOp::create(
            b, e.loc, VectorType::get(lanes, b.getI32Type()),
            math::RoundEvenOp::create(b, e.loc, number));
        Value upper = arith::ShRSIOp::create(
            b, e.loc,
            arith::AddIOp::create(b, e.loc, integer, integers(e, lanes, 128)),
            eight);
        keepDigit(upper, at);
        keepDigit(arith::SubIOp::create(
                      b, e.loc, integer,
                      arith::ShLIOp::create(b, e.loc, upper, eight)),
                  e.add(at, distance));
        return SmallVector<Value>{
            arith::AddIOp::create(b, e.loc, carried[0], integer)};
      })[0];
  sum = vector::ReductionOp::create(b, e.loc, vector::CombiningKind::ADD, sum);
  Value seven = arith::ConstantIntOp::create(b, e.loc, b.getI32Type(), 7);
  keepScalar(arith::ShLIOp::create(b, e.loc, sum, seven), digits.surplus, row);
  keepScalar(unit, digits.unit, row);
}

void Decode::makeQueryDigits(Value row) {
  OpBuilder &b = e.builder;
  Value query = e.mul(row, depth), most = e.real(0, a.vectorType());
  for (int64_t from = 0; from < depth; from += lanes) {
    Value size =
        math::AbsFOp::create(b, e.loc, a.load(queries, e.add(query, from)));
    most = arith::MaximumFOp::create(b, e.loc, size, most);
  }
  makeDigits(queryDigits, row, e.reduce(vector::CombiningKind::MAXIMUMF, most),
             e.index(depth), byteDepth(),
             [&](Value at) { return a.load(queries, e.add(query, at)); });
  Value none = arith::ConstantOp::create(
      b, e.loc, b.getZeroAttr(VectorType::get(lanes, b.getI8Type())));
  for (int64_t digit : llvm::seq(kDigits))
    for (int64_t from = depth; from < byteDepth(); from += lanes)
      vector::StoreOp::create(
          b, e.loc, none, queryDigits.bytes,
          e.add(e.mul(row, kDigits * byteDepth()), digit * byteDepth() + from));
}

/// Of a row's powers, which are in the place of its scores.
void Decode::makePowerDigits(Value row, Value greatest) {
  makeDigits(powerDigits, row, greatest, keysHere, blockKeys, [&](Value at) {
    return a.load(scores, e.add(e.mul(row, blockKeys), at));
  });
}

/// The products of rows and keys as scoreRows makes them.
void Decode::scoreBytes(Value row, int64_t count) {
  OpBuilder &b = e.builder;
  Multiplication bytes = this->bytes();
  int64_t together = lanes / count, step = 4 * lanes;
  auto type = bytes.memoryType();
  Value last = e.sub(keysHere, e.index(1)), keys = at(a.key, {{a.j, key0}}),
        zero = integers(e, lanes, 0);
  e.loop(e.index(0), keysHere, together, [&](Value key) {
    SmallVector<Value> sums(lanes);
    for (int64_t k : llvm::seq(together)) { // too many repeat the last
      Value from = keys;
      if (a.key.steps[a.j])
        from = e.add(keys, e.mul(a.key.steps[a.j], e.min(e.add(key, k), last)));
      if (count < kManyRows)
        prefetch(a.key, from, 0, a.attention.depth);
      SmallVector<Value> codes;
      for (int64_t d = 0; d < byteDepth(); d += step) {
        Value mask;
        if (d + step > a.attention.depth)
          mask = e.lanesBelow(e.index(a.attention.depth - d), step);
        Value read = readColumns(e, a.key.flat, e.add(from, d), e.index(1),
                                 {step, mask});
        codes.push_back(unsignedBytes(e, read));
      }
      for (int64_t r : llvm::seq(count)) {
        SmallVector<Value, kDigits> parts(kDigits, zero);
        for (auto [digit, sum] : llvm::enumerate(parts))
          for (auto [number, code] : llvm::enumerate(codes)) {
            Value place =
                e.add(e.mul(e.add(row, r), kDigits * byteDepth()),
                      int64_t(digit) * byteDepth() + int64_t(number) * step);
            sum = bytes.multiply(e, code,
                                 vector::LoadOp::create(
                                     b, e.loc, type, queryDigits.bytes, place),
                                 sum);
          }
        sums[r * together + k] = joined(e, parts[0], parts[1]);
      }
    }
    Value all = sumLanes(e, sums);
    for (int64_t r : llvm::seq(count)) {
      Value part = all, here = e.add(row, r);
      if (count > 1)
        part =
            vector::ShuffleOp::create(b, e.loc, part, part,
                                      llvm::to_vector(llvm::seq<int64_t>(
                                          r * together, (r + 1) * together)));
      part = arith::SubIOp::create(
          b, e.loc, part,
          e.broadcast(number(queryDigits.surplus, here), together));
      part = arith::SIToFPOp::create(
          b, e.loc, VectorType::get(together, b.getF32Type()), part);
      part = arith::MulFOp::create(
          b, e.loc, part,
          e.broadcast(number(queryDigits.unit, here), together));
      a.keep(part, scores, e.add(e.mul(here, blockKeys), key));
    }
  });
}

/// Results are scaled, and powers times values added to them. The bytes of four
/// keys are brought together; as that is cheapest, lane l of vector v has
/// column 16 (l / 4) + 4 v + l % 4 of those that are read together.
void Decode::addValueBytes(Value row, int64_t count) {
  OpBuilder &b = e.builder;
  Multiplication bytes = this->bytes();
  int64_t width = 4 * lanes, budget = a.site.target.vectorRegisters >= 32
                                          ? 16
                                          : 8; // sums in registers
  int64_t vectors = std::clamp<int64_t>(budget / (kDigits * count), 1, 4);
  Value last = e.sub(keysHere, e.index(1)), values = at(a.value, {{a.j, key0}});
  auto type = bytes.memoryType();
  /// Neighbouring elements of `size` bytes from both, of the lower or the upper
  /// half of every 16 bytes.
  auto interleave = [&](Value x, Value y, int64_t size, bool upper) -> Value {
    SmallVector<int64_t> order;
    for (int64_t sixteen = 0; sixteen < width; sixteen += 16)
      for (int64_t at = 0; at < 8; at += size)
        for (int64_t operand : {0, 1})
          for (int64_t byte : llvm::seq(size))
            order.push_back(operand * width + sixteen + 8 * upper + at + byte);
    return vector::ShuffleOp::create(b, e.loc, x, y, order);
  };
  auto digitsAt = [&](int64_t r, int64_t digit, Value key) {
    Value place = e.add(
        e.add(e.mul(e.add(row, r), kDigits * blockKeys), digit * blockKeys),
        key);
    return bytes.part(
        e, bytes.row(e, powerDigits.bytes, place, e.index(1), /*count=*/{}), 0,
        /*ofRow=*/false);
  };
  for (int64_t column = 0; column < a.attention.columns; column += width) {
    Value mask;
    if (column + width > a.attention.columns)
      mask = e.lanesBelow(e.index(a.attention.columns - column), width);
    SmallVector<Value> sums(count * kDigits * 4, integers(e, lanes, 0));
    for (int64_t first = 0; first < 4; first += vectors) {
      auto ofPass = [&](SmallVectorImpl<Value> &all) {
        SmallVector<Value> part;
        for (int64_t line : llvm::seq(count * kDigits))
          for (int64_t v : llvm::seq(vectors))
            part.push_back(all[line * 4 + first + v]);
        return part;
      };
      SmallVector<Value> done = e.loop(
          e.index(0), keysHere, 4, ofPass(sums),
          [&](Value key, ValueRange carried) {
            SmallVector<Value> rows, codes, next = llvm::to_vector(carried);
            for (int64_t k : llvm::seq<int64_t>(4)) { // too many repeat it
              Value from = e.add(values, column);
              if (a.value.steps[a.j])
                from = e.add(from, e.mul(a.value.steps[a.j],
                                         e.min(e.add(key, k), last)));
              rows.push_back(readColumns(e, a.value.flat, from, e.index(1),
                                         {width, mask}));
            }
            for (int64_t v = first; v < first + vectors; ++v)
              codes.push_back(LLVM::BitcastOp::create(
                  b, e.loc, type,
                  unsignedBytes(
                      e, interleave(interleave(rows[0], rows[1], 1, v / 2),
                                    interleave(rows[2], rows[3], 1, v / 2), 2,
                                    v % 2))));
            for (int64_t r : llvm::seq(count))
              for (int64_t digit : llvm::seq(kDigits)) {
                Value powers = digitsAt(r, digit, key);
                for (auto [v, code] : llvm::enumerate(codes)) {
                  Value &sum = next[(r * kDigits + digit) * vectors + v];
                  sum = bytes.multiply(e, code, powers, sum);
                }
              }
            return next;
          });
      for (int64_t line : llvm::seq(count * kDigits))
        for (int64_t v : llvm::seq(vectors))
          sums[line * 4 + first + v] = done[line * vectors + v];
    }
    for (int64_t r : llvm::seq(count)) {
      Value here = e.add(row, r), factor = a.scalar(scale, here),
            unit = a.scalar(powerDigits.unit, here),
            surplus = e.broadcast(number(powerDigits.surplus, here), lanes);
      SmallVector<Value> mixed;
      for (int64_t v : llvm::seq<int64_t>(4)) {
        Value upper = sums[r * kDigits * 4 + v],
              lower = sums[(r * kDigits + 1) * 4 + v];
        mixed.push_back(arith::SIToFPOp::create(
            b, e.loc, a.vectorType(),
            arith::SubIOp::create(b, e.loc, joined(e, upper, lower), surplus)));
      }
      SmallVector<int64_t> both = llvm::to_vector(llvm::seq(2 * lanes));
      Value low = vector::ShuffleOp::create(b, e.loc, mixed[0], mixed[1], both),
            high =
                vector::ShuffleOp::create(b, e.loc, mixed[2], mixed[3], both);
      for (int64_t from = 0; from < width && column + from < columns;
           from += lanes) {
        SmallVector<int64_t> order;
        for (int64_t c : llvm::seq(from, from + lanes))
          order.push_back(c % 16 / 4 * lanes + c / 16 * 4 + c % 4);
        Value sum = vector::ShuffleOp::create(b, e.loc, low, high, order),
              place = e.add(e.mul(here, columns), column + from);
        Value before =
            arith::MulFOp::create(b, e.loc, a.load(results, place), factor);
        a.keep(vector::FMAOp::create(b, e.loc, sum, unit, before), results,
               place);
      }
    }
  }
}
