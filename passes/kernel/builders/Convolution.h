// A kernel read as one convolution with an elementwise epilogue.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/kernel/builders/Builder.h"
#include <optional>

namespace fulgur {
/// out[n, o..., g, f] = epilogue(sum over w..., c of
///   input[n, o * stride + w * dilation - low..., g, c] * weights[g, f, w, c])
///
/// where what is outside of the input counts as `filler`. The dims of the input
/// and of the weights may be in any order; batch, group, filter and channel may
/// be missing. Loops are those of the convolution's operation.
struct Convolution {
  mlir::linalg::GenericOp op;
  mlir::linalg::GenericOp epilogue; ///< may be null
  mlir::linalg::UnPackOp packed; ///< what the weights are unpacked from, in the
                                 ///< order of weightOrder(); may be null
  mlir::Value input, weights;    ///< arguments of the body
  int64_t transformed = 0;       ///< not 0: the weights are Winograd's for
                                 ///< tiles of that size, see
                                 ///< WinogradWeights.h: [size, size,
                                 ///< filter, frames' taps, channel]
  mlir::BlockArgument out;       ///< the kernel's destination
  mlir::tensor::InsertSliceOp inserted; ///< where the result goes in it; null:
                                        ///< it is all of it

  using Loop = std::optional<unsigned>;
  Loop batch, group, filter, channel;
  /// Along one spatial dim.
  struct Spatial {
    unsigned image, window; ///< loops: position of the window, position in it
    int64_t stride, dilation;
    mlir::OpFoldResult low, high; ///< padding around the input
    unsigned inputDim;            ///< dim of the input
  };
  llvm::SmallVector<Spatial, 3> spatial; ///< in the order of the result
  /// The two dims of a plane: the last ones. Winograd's transformation is of
  /// those; one in front of them counts frames, whose taps add up.
  llvm::ArrayRef<Spatial> plane() const {
    return llvm::ArrayRef(spatial).take_back(2);
  }
  bool hasFrames() const { return spatial.size() == 3; }
  int64_t frameTaps() const {
    return hasFrames() ? size(spatial[0].window) : 1;
  }
  bool padded = false; ///< whether windows reach outside of the input
  uint8_t filler = 0;  ///< what is there; 0 but for bytes

  /// For each dim of an operand the loop that moves it; for spatial dims of the
  /// input, the one over the positions of the window. -1: size 1.
  using Loops = llvm::SmallVector<int>;
  Loops inputLoops, weightLoops, outLoops;
  llvm::SmallVector<Loops> epilogueLoops; ///< of the epilogue's inputs
  Loops epilogueDims; ///< for each loop of the epilogue that of the convolution
  llvm::SmallVector<mlir::Value> epilogueInputs; ///< null: the sums

  /// Whether it is one of bytes, an unsigned input and signed weights.
  bool isOfBytes() const {
    return mlir::getElementTypeOrSelf(input.getType()).isInteger(8);
  }
  /// Each group is one channel in and out.
  bool isDepthwise() const;
  /// The loop that runs along the lanes of vectors: the filters, or the groups
  /// of a depthwise convolution.
  unsigned lane() const { return isDepthwise() ? *group : *filter; }
  /// Size of a loop; unknown sizes are those of images and the batch only.
  int64_t size(unsigned loop) const { return ranges[loop]; }
  int64_t size(Loop loop) const { return loop ? ranges[*loop] : 1; }
  llvm::SmallVector<int64_t> ranges;
  /// Elements of the input that contribute to one of the result.
  int64_t steps() const;
  /// The weights' dims in the order in which kernels stream through them:
  /// group, filter, windows, channel.
  llvm::SmallVector<int64_t> weightOrder() const;
  /// How many channels are multiplied at once: bytes in fours, other narrow
  /// numbers (Winograd's of bytes, too) in pairs, where there are several.
  int64_t depth() const {
    return isOfBytes()                                    ? isDepthwise() ? 1
                                                            : transformed ? 2
                                                                          : 4
           : mlir::getElementTypeOrSelf(weights).isBF16() ? 2
                                                          : 1;
  }
  /// The weights' dim along the lanes.
  int64_t weightLane() const;
};

/// Reads the kernel's body; nothing when it is not such a convolution of f32,
/// of bfloat16 with sums in f32 and pairs of neighbouring channels, of each
/// channel of a bfloat16 input with f32, or of bytes with sums in i32, each
/// channel by itself or of a multiple of four; with weights of known shape.
std::optional<Convolution> matchConvolution(KernelOp kernel);
} // namespace fulgur
