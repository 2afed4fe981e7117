// Products of bytes, whose sums are exact in 32 bits.
#pragma once
#include "mlir/IR/Block.h"
#include <optional>

namespace fulgur {
/// The body of a product or convolution of two tensors of bytes, each of them
/// signed or not: sum + extend(a) * extend(b) in i32.
struct ByteProduct {
  bool unsignedA, unsignedB;
};
std::optional<ByteProduct> matchByteProduct(mlir::Block *body);
} // namespace fulgur
