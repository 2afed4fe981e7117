// Images whose planes become neighbouring bytes, or numbers of bfloat16.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <optional>

namespace fulgur {
/// out[n, places..., c] = in[n, c, places...], where channels from those of
/// `in` on, up to four, are `filler`; and what makes the numbers of `in`.
struct Pixels {
  mlir::linalg::TransposeOp transpose;
  mlir::tensor::PadOp pad;      ///< adds channels
  mlir::linalg::GenericOp loop; ///< may be null: they are there
  uint8_t filler;
};

std::optional<Pixels> matchPixels(mlir::Operation *transpose);
} // namespace fulgur
