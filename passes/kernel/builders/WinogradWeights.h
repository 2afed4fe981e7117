// Winograd's transformation of windows of r x r taps, F(m x m, r x r), r = 3 or
// 2: m times m elements of the result come out of (m + r - 1)² multiplications
// instead of r²·m². Weights g become G·g·Gᵀ when compiling; a kernel's body
// says with a linalg.generic how they come back, L·(G·g·Gᵀ)·Lᵀ = g, so it still
// says what is computed. With a stride of 2 the even elements of the input and
// the odd ones are transformed by themselves, for windows of two taps and of
// one: 25 multiplications for 4 elements instead of 36.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "passes/kernel/builders/Convolution.h"

namespace fulgur {
/// The matrices for one m, rows one after the other.
struct WinogradForm {
  int64_t outputs;                 ///< m
  int64_t taps;                    ///< r
  llvm::ArrayRef<double> input;    ///< Bᵀ, size times size
  llvm::ArrayRef<double> weights;  ///< G, size times r
  llvm::ArrayRef<double> output;   ///< Aᵀ, m times size
  llvm::ArrayRef<float> restoring; ///< L, r times size
  int64_t stride = 1;
  int64_t size() const { return (outputs - 1) * stride + taps; }
};

/// The form for a convolution and an m of 2, 3 or 4 with 3 taps, or of bytes
/// for one of 4, which has no Bᵀ and no Aᵀ here; or of 3 or 5 with 2 taps; or
/// of 2 with 3 taps and a stride of 2.
const WinogradForm &winogradForm(const Convolution &c, int64_t outputs);

/// G·window·Gᵀ, size times size numbers.
llvm::SmallVector<float, 36> transformWindow(const WinogradForm &form,
                                             llvm::ArrayRef<float> window);

/// The weights of type `type`, dims in the order that `c` has them, of the
/// transformed ones [size, size, filter, channel], or of frames
/// [size, size, filter, taps, channel].
mlir::Value restoreWeights(mlir::OpBuilder &builder, mlir::Location loc,
                           const Convolution &c, const WinogradForm &form,
                           mlir::Value transformed,
                           mlir::RankedTensorType type);

/// The transformed weights that those of `c` are restored from, and the m of
/// their form; null when they are no such.
std::pair<mlir::Value, int64_t> transformedWeights(const Convolution &c);
} // namespace fulgur
