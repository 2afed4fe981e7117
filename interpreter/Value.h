// What the interpreter computes with. A value is a number, the lanes of a
// vector, or an array: a tensor or a memref. Which of them it is says the type
// of the SSA value, not the value itself.
#pragma once
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/IntrusiveRefCntPtr.h"
#include "llvm/ADT/SmallVector.h"
#include <cstdint>
#include <cstring>
#include <memory>

namespace fulgur::interpreter {

/// A number: floating-point ones of every type as the double of the same value,
/// integers of N bits sign-extended to 64, addresses as integers.
union Scalar {
  int64_t integer;
  double real;

  static Scalar of(int64_t integer) {
    Scalar result;
    result.integer = integer;
    return result;
  }
  static Scalar of(double real) {
    Scalar result;
    result.real = real;
    return result;
  }
};

/// How a number is rounded, and stored in memory.
struct Format {
  enum Kind : uint8_t { none, integer, f16, bf16, f32, f64 };
  Kind kind = none;
  uint8_t bits = 0;

  Format() = default;
  Format(Kind kind, uint8_t bits) : kind(kind), bits(bits) {}

  /// That of a scalar type, or of the elements of a shaped one; `none` where
  /// there are no such numbers here.
  static Format of(mlir::Type type);

  explicit operator bool() const { return kind != none; }
  bool isFloat() const { return kind >= f16; }
  /// In memory: whole bytes, so that a boolean takes one.
  int64_t bytes() const { return (bits + 7) / 8; }
  /// The distance from 1 to the next larger number.
  double epsilon() const {
    return kind == f32   ? 0x1p-23
           : kind == f64 ? 0x1p-52
           : kind == f16 ? 0x1p-10
                         : 0x1p-7;
  }

  /// The nearest number of this format, ties to even.
  double round(double value) const {
    return kind == f32 ? static_cast<float>(value) : roundTo(value);
  }
  /// The value of the lowest `bits` bits.
  int64_t wrap(int64_t value) const {
    return int64_t(uint64_t(value) << (64 - bits)) >> (64 - bits);
  }
  uint64_t asUnsigned(int64_t value) const {
    return uint64_t(value) << (64 - bits) >> (64 - bits);
  }

  Scalar load(const char *at) const {
    if (kind == f32) {
      float value;
      std::memcpy(&value, at, sizeof value);
      return Scalar::of(double(value));
    }
    return loadAny(at);
  }
  void store(Scalar value, char *at) const {
    if (kind == f32) {
      auto narrow = static_cast<float>(value.real);
      std::memcpy(at, &narrow, sizeof narrow);
      return;
    }
    storeAny(value, at);
  }
  /// A floating-point number's bits, and back.
  int64_t encode(double value) const;
  double decode(int64_t pattern) const;

private:
  double roundTo(double value) const;
  Scalar loadAny(const char *at) const;
  void storeAny(Scalar value, char *at) const;
};

/// Memory that arrays share.
class Buffer : public llvm::RefCountedBase<Buffer> {
public:
  /// New memory, filled with bytes that are no sensible number of any type.
  explicit Buffer(int64_t bytes);
  /// Memory of somebody else.
  Buffer(char *data, int64_t bytes) : data(data), bytes(bytes) {}

  char *const data;
  const int64_t bytes;

private:
  std::unique_ptr<char[]> owned;
  Buffer(std::unique_ptr<char[]> memory, int64_t bytes);
};

/// What does not fit into a scalar.
struct Aggregate : llvm::RefCountedBase<Aggregate> {
  virtual ~Aggregate() = default;
};

/// A vector, in row-major order.
struct Lanes : Aggregate {
  llvm::SmallVector<Scalar, 16> lanes;
};

/// A tensor or a memref. Tensors are row-major from the start of their memory
/// and never written while somebody else has them.
struct Array : Aggregate {
  llvm::IntrusiveRefCntPtr<Buffer> buffer;
  int64_t base = 0;   ///< byte of the buffer where the memref begins
  int64_t offset = 0; ///< in elements from there
  llvm::SmallVector<int64_t, 4> sizes, strides;
  Format format;

  int64_t count() const;
  char *at(int64_t element) const {
    return buffer->data + base + element * format.bytes();
  }
  /// Whether that element, counted from `base`, is in the buffer.
  bool holds(int64_t element) const {
    int64_t from = base + element * format.bytes();
    return from >= 0 && from + format.bytes() <= buffer->bytes;
  }
  bool isRowMajor() const;
};

/// Strides of a row-major array.
llvm::SmallVector<int64_t, 4> rowMajor(llvm::ArrayRef<int64_t> sizes);

/// Calls `visit` with each index of a box in row-major order.
void forEachIndex(llvm::ArrayRef<int64_t> sizes,
                  llvm::function_ref<void(llvm::ArrayRef<int64_t>)> visit);

/// A row-major array with memory of its own.
llvm::IntrusiveRefCntPtr<Array> makeArray(Format format,
                                          llvm::ArrayRef<int64_t> sizes);
/// The same elements, row-major in memory of their own.
llvm::IntrusiveRefCntPtr<Array> copyOf(const Array &source);

/// The content of one SSA value.
struct Value {
  Scalar scalar = Scalar::of(int64_t(0));
  llvm::IntrusiveRefCntPtr<Aggregate> aggregate;

  Value() = default;
  Value(Scalar scalar) : scalar(scalar) {}
  template <typename T>
  Value(llvm::IntrusiveRefCntPtr<T> aggregate)
      : aggregate(std::move(aggregate)) {}
};

} // namespace fulgur::interpreter
