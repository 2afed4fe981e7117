// Weights of few bits, with a scale for each block of them, as products take
// them: which can be packed, and into what.
#pragma once
#include "passes/kernel/builders/Product.h"

namespace fulgur {
/// Sums of so many products of digits and codes fit 32 bits.
constexpr int64_t kMostSteps = 1 << 15;

/// Whether the product's weights of few bits lie in panels, or are constants
/// that packBlocks can lay so.
bool hasBlocks(KernelOp kernel, const Product &product);

/// Whether codes, scales and zeros are constants that packBlocks can lay in
/// panels.
bool areConstants(KernelOp kernel, DequantizeOp blocks);

/// Lays the constants that weights are made of in panels of
/// `width` columns. Codes become unsigned ones; scales become float16 where
/// that changes none.
void packBlocks(KernelOp kernel, DequantizeOp blocks, int64_t width,
                llvm::DenseMap<mlir::Attribute, mlir::Attribute> &packed);
} // namespace fulgur
