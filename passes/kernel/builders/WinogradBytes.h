// Winograd's transformation of bytes, F(4 x 4, 3 x 3) in integers without an
// error. The points are 0, 1, -1, 2, -2 and infinity, whose matrices are those
// of integers divided by up to 24. The rows of G are here multiplied by what
// they are divided by, and so the products by 24 along both dims once the rows
// of Aᵀ have made up for what is less:
//
//   576 · out = Aᵀ·(sum over channels of U ∘ V)·A
//
// Everything fits: |V| is at most 255 · 10 · 10 and |U| 128 · 7 · 7, numbers of
// 16 bits, of which an instruction adds two products to a sum of 32 bits. Sums
// may wrap around: 576 is 64 · 9, 9 has an inverse modulo 2³², and a shift by 6
// leaves what is exact below 2²⁵. To stay below, 128 is taken from every
// element of the input, which changes one of the matrices V only, and what
// misses for it, 128 times the sum of a filter's weights, is added at the end:
// 128 times the sum of their magnitudes must be below 2²⁵, which it always is
// for few channels, and for many where weights are not all large.
#pragma once
#include "passes/Target.h"
#include "passes/kernel/builders/Emitter.h"

namespace fulgur::winograd {
constexpr int64_t kMostChannels = 224;
constexpr int64_t kMostWeight = (1 << 18) - 1; ///< of a filter, magnitudes
/// The matrix that a constant input moves to; that of the weights is the sum of
/// a window.
constexpr int64_t kMeanMatrix = 7;

/// Bᵀ·d, of vectors of i16.
llvm::SmallVector<mlir::Value> transformBytes(Emitter &e,
                                              llvm::ArrayRef<mlir::Value> d);
/// v without what an input of 128 adds to kMeanMatrix.
mlir::Value withoutMean(Emitter &e, mlir::Value v);

/// sum + both products of each pair in vectors of i16: twice as many lanes as
/// sums, 8 or 16 of them.
mlir::Value multiplyPairs(Emitter &e, const Target &target, mlir::Value pairs,
                          mlir::Value weights, mlir::Value sum);

/// Aᵀ·m, of vectors of i32.
llvm::SmallVector<mlir::Value> transformByteSums(Emitter &e,
                                                 llvm::ArrayRef<mlir::Value> m);
/// sum / 576 + offset.
mlir::Value divideSum(Emitter &e, mlir::Value sum, mlir::Value offset);
/// 128 times a filter's weights, of their sum.
mlir::Value offsetOf(Emitter &e, mlir::Value weights);
} // namespace fulgur::winograd
