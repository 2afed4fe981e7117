#include "interpreter/Value.h"
#include "mlir/Dialect/LLVMIR/LLVMTypes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/MathExtras.h"
#include <cmath>
#include <cstring>

using namespace mlir;
using namespace fulgur::interpreter;

namespace {
/// The parts of an IEEE 754 interchange format.
struct Layout {
  int precision, minExponent, maxExponent;
};
Layout layoutOf(Format::Kind kind) {
  switch (kind) {
  case Format::f16:
    return {11, -14, 15};
  case Format::bf16:
    return {8, -126, 127};
  case Format::f32:
    return {24, -126, 127};
  default:
    return {53, -1022, 1023};
  }
}
} // namespace

Format Format::of(Type type) {
  type = getElementTypeOrSelf(type);
  if (type.isF16())
    return {f16, 16};
  if (type.isBF16())
    return {bf16, 16};
  if (type.isF32())
    return {f32, 32};
  if (type.isF64())
    return {f64, 64};
  if (auto number = dyn_cast<IntegerType>(type);
      number && number.getWidth() <= 64)
    return {integer, uint8_t(number.getWidth())};
  if (isa<IndexType, LLVM::LLVMPointerType>(type))
    return {integer, 64};
  return {};
}

double Format::roundTo(double value) const {
  if (kind == f64 || !isFloat())
    return value;
  if (value == 0 || !std::isfinite(value))
    return value;
  auto [precision, minExponent, maxExponent] = layoutOf(kind);
  int exponent = std::max(std::ilogb(value), minExponent);
  double rounded =
      std::ldexp(std::nearbyint(std::ldexp(value, precision - 1 - exponent)),
                 exponent - precision + 1);
  if (std::fabs(rounded) >= std::ldexp(1.0, maxExponent + 1))
    return std::copysign(INFINITY, value);
  return rounded;
}

int64_t Format::encode(double value) const {
  if (kind == f64)
    return llvm::bit_cast<int64_t>(value);
  if (kind == f32)
    return llvm::bit_cast<int32_t>(static_cast<float>(value));
  auto [precision, minExponent, maxExponent] = layoutOf(kind);
  int64_t fractionBits = precision - 1,
          sign = int64_t(std::signbit(value)) << (bits - 1),
          infinity = llvm::maskTrailingOnes<uint64_t>(bits - 1 - fractionBits)
                     << fractionBits;
  if (std::isnan(value))
    return wrap(sign | infinity | int64_t(1) << (fractionBits - 1));
  value = std::fabs(round(value));
  if (std::isinf(value))
    return wrap(sign | infinity);
  if (value == 0)
    return wrap(sign);
  int exponent = std::max(std::ilogb(value), minExponent);
  auto fraction = int64_t(std::ldexp(value, int(fractionBits) - exponent));
  // A subnormal number's fraction lacks the leading bit, and thereby one of the
  // exponent.
  return wrap(sign |
              (fraction + (int64_t(exponent - minExponent) << fractionBits)));
}

double Format::decode(int64_t pattern) const {
  if (kind == f64)
    return llvm::bit_cast<double>(pattern);
  if (kind == f32)
    return llvm::bit_cast<float>(int32_t(pattern));
  auto [precision, minExponent, maxExponent] = layoutOf(kind);
  int fractionBits = precision - 1;
  uint64_t word = asUnsigned(pattern);
  double sign = word >> (bits - 1) ? -1.0 : 1.0;
  int exponent = int(word >> fractionBits &
                     llvm::maskTrailingOnes<uint64_t>(bits - 1 - fractionBits));
  uint64_t fraction = word & llvm::maskTrailingOnes<uint64_t>(fractionBits);
  if (exponent > maxExponent - minExponent + 1)
    return fraction ? std::copysign(NAN, sign) : sign * INFINITY;
  if (exponent)
    fraction |= uint64_t(1) << fractionBits;
  return sign * std::ldexp(double(fraction), std::max(exponent, 1) - 1 +
                                                 minExponent - fractionBits);
}

Scalar Format::loadAny(const char *at) const {
  int64_t word = 0;
  std::memcpy(&word, at, bytes());
  return isFloat() ? Scalar::of(decode(wrap(word))) : Scalar::of(wrap(word));
}

void Format::storeAny(Scalar value, char *at) const {
  int64_t word =
      isFloat() ? encode(value.real) : int64_t(asUnsigned(value.integer));
  std::memcpy(at, &word, bytes());
}

Buffer::Buffer(std::unique_ptr<char[]> memory, int64_t bytes)
    : data(memory.get()), bytes(bytes), owned(std::move(memory)) {
  std::memset(data, 0xff, bytes); // not a number, or -1
}

Buffer::Buffer(int64_t bytes)
    : Buffer(std::unique_ptr<char[]>(new char[bytes]), bytes) {}

int64_t Array::count() const {
  int64_t result = 1;
  for (int64_t size : sizes)
    result *= size;
  return result;
}

bool Array::isRowMajor() const { return strides == rowMajor(sizes); }

SmallVector<int64_t, 4> fulgur::interpreter::rowMajor(ArrayRef<int64_t> sizes) {
  SmallVector<int64_t, 4> strides(sizes.size());
  int64_t stride = 1;
  for (size_t k = sizes.size(); k-- > 0;) {
    strides[k] = stride;
    stride *= sizes[k];
  }
  return strides;
}

void fulgur::interpreter::forEachIndex(
    ArrayRef<int64_t> sizes,
    llvm::function_ref<void(ArrayRef<int64_t>)> visit) {
  if (llvm::any_of(sizes, [](int64_t size) { return size <= 0; }))
    return;
  SmallVector<int64_t, 8> index(sizes.size());
  while (true) {
    visit(index);
    size_t k = sizes.size();
    while (k > 0 && ++index[k - 1] == sizes[k - 1])
      index[--k] = 0;
    if (k == 0)
      return;
  }
}

llvm::IntrusiveRefCntPtr<Array>
fulgur::interpreter::makeArray(Format format, ArrayRef<int64_t> sizes) {
  auto result = llvm::makeIntrusiveRefCnt<Array>();
  result->format = format;
  llvm::append_range(result->sizes, sizes);
  result->strides = rowMajor(sizes);
  result->buffer =
      llvm::makeIntrusiveRefCnt<Buffer>(result->count() * format.bytes());
  return result;
}

llvm::IntrusiveRefCntPtr<Array>
fulgur::interpreter::copyOf(const Array &source) {
  auto result = makeArray(source.format, source.sizes);
  int64_t bytes = source.format.bytes();
  if (source.isRowMajor()) {
    std::memcpy(result->buffer->data, source.at(source.offset),
                result->buffer->bytes);
    return result;
  }
  char *to = result->buffer->data;
  forEachIndex(source.sizes, [&](ArrayRef<int64_t> index) {
    int64_t at = source.offset;
    for (auto [i, stride] : llvm::zip(index, source.strides))
      at += i * stride;
    std::memcpy(to, source.at(at), bytes);
    to += bytes;
  });
  return result;
}
