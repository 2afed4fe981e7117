// Images whose channels are planes of their own, as models take them in, for
// convolutions that multiply several neighbouring channels at a time.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include <optional>

namespace fulgur {
/// An image [batch, channel, places...] that a convolution reads, at most
/// padded along places.
struct Planes {
  unsigned channel; ///< loop
  int64_t channels;
  mlir::tensor::PadOp pad; ///< may be null
};

/// What the convolution `op` reads by `map` if that is an image of planes,
/// padded by `pad` or, if it is null, not at all.
std::optional<Planes> matchPlanes(mlir::linalg::LinalgOp op,
                                  mlir::AffineMap map, mlir::tensor::PadOp pad);

/// `image`, which is not padded yet, with its channels last and filled up with
/// `filler` to a multiple of `depth`, padded as the planes were; `map` becomes
/// the one that reads it. Null if its dims are not known.
mlir::Value joinPlanes(mlir::OpBuilder &builder, mlir::Location loc,
                       mlir::Value image, Planes planes, int64_t depth,
                       mlir::Value filler, mlir::AffineMap &map);

/// The weights with zeros for as many channels as that image has.
mlir::ElementsAttr fillChannels(mlir::ElementsAttr weight, mlir::AffineMap map,
                                Planes planes, int64_t depth);
} // namespace fulgur
