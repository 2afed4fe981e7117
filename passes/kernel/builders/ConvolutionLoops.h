// What the loops of all convolutions have in common: where operands lie, which
// positions of a window are inside of the input, what is done with a sum.
#pragma once
#include "passes/kernel/builders/Convolution.h"
#include "passes/kernel/builders/Elementwise.h"

namespace fulgur {
/// Emits at the kernel's site. Weights are panels of `pack` lanes, one step of
/// the sum after the other, as Convolution::weightOrder() has them; loops take
/// `width` lanes at once, of which a panel has a multiple.
struct ConvolutionLoops {
  KernelSite &site;
  Convolution c;
  int64_t lanes, width, pack;
  Emitter e{site.builder, site.loc};

  llvm::SmallVector<mlir::Value> sizes; ///< of the convolution's loops
  llvm::SmallVector<mlir::Value, 3> inputSizes, low; ///< per spatial dim
  Access input, out;
  llvm::SmallVector<Access> epilogueInputs;
  mlir::Value weights; ///< one dimension
  llvm::SmallVector<mlir::Value>
      point; ///< indices of the loops of the result that are known so far

  ConvolutionLoops(KernelSite &site, const Convolution &convolution,
                   int64_t lanes, int64_t width);

  mlir::VectorType vectorType() {
    return mlir::VectorType::get(lanes, e.builder.getF32Type());
  }
  int64_t size(Convolution::Loop loop) { return c.size(loop); }
  /// How often the loops take `width` lanes.
  int64_t parts() { return llvm::divideCeil(c.size(c.lane()), width); }
  bool wholeParts() { return c.size(c.lane()) % width == 0; }
  mlir::Value sizeOf(Convolution::Loop loop) {
    return loop ? sizes[*loop] : e.index(1);
  }
  const Convolution::Spatial &row() { return c.spatial.back(); }
  /// How far one step along spatial dim k, or along the channels, moves in the
  /// input; null: not at all.
  mlir::Value inputStep(unsigned k) { return input.steps[c.spatial[k].image]; }

  /// The positions [from, to) of the window that are inside of the input along
  /// spatial dim k, for the window at `image`.
  std::pair<mlir::Value, mlir::Value> insideOf(unsigned k, mlir::Value image);
  /// Where the window at `point` begins in the input, but for the last spatial
  /// dim.
  mlir::Value inputBase();
  /// image * stride - low, in elements of the input.
  mlir::Value windowStart(unsigned k, mlir::Value image);
  /// Where the weights of the lanes from `column` on begin.
  mlir::Value weightsOf(mlir::Value column);
  /// The lanes from `column` on that exist.
  mlir::Value laneMask(mlir::Value column);
  /// Calls body(masked) for the part that begins at `column0`.
  void forPart(mlir::Value column0, llvm::function_ref<void(bool)> body);
  /// Computes the epilogue of the sums at `point`, whose lanes begin at
  /// `column`, and writes it.
  void finish(mlir::Value sums, mlir::Value column, mlir::Value mask);

private:
  void packWeights(mlir::Value buffer);
  mlir::Value indexOf(unsigned epilogueLoop);
};
} // namespace fulgur
