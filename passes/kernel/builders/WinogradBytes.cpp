#include "passes/kernel/builders/WinogradBytes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace fulgur;

namespace {
/// Arithmetic on vectors of integers, modulo their size.
struct Integers {
  Emitter &e;

  Value add(Value a, Value b) {
    return arith::AddIOp::create(e.builder, e.loc, a, b);
  }
  Value sub(Value a, Value b) {
    return arith::SubIOp::create(e.builder, e.loc, a, b);
  }
  Value shift(Value a, int64_t bits) {
    return arith::ShLIOp::create(e.builder, e.loc, a,
                                 e.integer(bits, a.getType()));
  }
};
} // namespace

SmallVector<Value> winograd::transformBytes(Emitter &e, ArrayRef<Value> d) {
  Integers i{e};
  Value even = i.sub(d[4], d[2]), odd = i.sub(d[3], d[1]),
        ones = i.sub(d[4], i.shift(d[2], 2)),
        signs = i.sub(d[3], i.shift(d[1], 2)), twos = i.shift(odd, 1);
  return {i.add(i.shift(i.sub(d[0], d[2]), 2), even),
          i.add(ones, signs),
          i.sub(ones, signs),
          i.add(even, twos),
          i.sub(even, twos),
          i.sub(i.sub(d[5], d[3]), i.shift(odd, 2))};
}

Value winograd::withoutMean(Emitter &e, Value v) {
  Integers i{e};
  return i.sub(v, e.integer(128 * 6 * 6, v.getType()));
}

Value winograd::multiplyPairs(Emitter &e, const Target &target, Value pairs,
                              Value weights, Value sum) {
  bool whole = cast<VectorType>(sum.getType()).getNumElements() == 16;
  auto call = [&](StringRef name, ValueRange operands) {
    return LLVM::CallIntrinsicOp::create(e.builder, e.loc, sum.getType(),
                                         e.builder.getStringAttr(name),
                                         operands)
        .getResults();
  };
  if (target.vnni)
    return call(whole ? "llvm.x86.avx512.vpdpwssd.512"
                      : "llvm.x86.avx512.vpdpwssd.256",
                {sum, pairs, weights});
  Value products =
      call(whole ? "llvm.x86.avx512.pmaddw.d.512" : "llvm.x86.avx2.pmadd.wd",
           {pairs, weights});
  return Integers{e}.add(sum, products);
}

SmallVector<Value> winograd::transformByteSums(Emitter &e, ArrayRef<Value> m) {
  // Aᵀ is { 1, -4, -4, 1,  1,  0,
  //         0, -4,  4, 2, -2,  0,
  //         0, -4, -4, 4,  4,  0,
  //         0, -4,  4, 8, -8, 24 }: what 24 divided by is in U's rows but of
  // the second, the third and the last.
  Integers i{e};
  Value ones = i.shift(i.add(m[1], m[2]), 2),
        signs = i.shift(i.sub(m[1], m[2]), 2), twos = i.add(m[3], m[4]),
        odd = i.sub(m[3], m[4]), last = i.add(i.shift(m[5], 1), m[5]);
  return {i.sub(i.add(m[0], twos), ones), i.sub(i.shift(odd, 1), signs),
          i.sub(i.shift(twos, 2), ones),
          i.sub(i.shift(i.add(odd, last), 3), signs)};
}

Value winograd::divideSum(Emitter &e, Value sum, Value offset) {
  constexpr int64_t kInverse = 0x38e38e39; // of 9
  Integers i{e};
  Value inverse = e.integer(kInverse, sum.getType()),
        bits = e.integer(6, sum.getType());
  Value product = arith::MulIOp::create(e.builder, e.loc, sum, inverse);
  return i.add(arith::ShRSIOp::create(e.builder, e.loc, product, bits), offset);
}

Value winograd::offsetOf(Emitter &e, Value weights) {
  return Integers{e}.shift(weights, 7);
}
