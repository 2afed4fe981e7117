// Constants that passes make out of other constants: packed, transposed or
// otherwise rewritten weights.
#pragma once
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/OpImplementation.h"

namespace fulgur {
class KernelOp;

/// The constant that an argument of a kernel's body stands for; null if it is
/// none.
mlir::ElementsAttr constantOf(KernelOp kernel, mlir::Value argument);

/// The bytes of a constant, or of its one element when it is a splat; empty
/// when they cannot be had (integers below 8 bits).
llvm::ArrayRef<char> weightBytes(mlir::ElementsAttr weight);

/// The elements of a constant of f32, or its one element.
llvm::ArrayRef<float> weightFloats(mlir::ElementsAttr weight);

/// A new constant whose bytes `fill` writes. It has pages of its own, outside
/// of the heap; they are zero at first.
mlir::ElementsAttr
addWeight(mlir::RankedTensorType type, llvm::StringRef name,
          llvm::function_ref<void(llvm::MutableArrayRef<char>)> fill);

/// Says that nobody will read `weight` soon, so that the pages of a mapped file
/// leave the memory.
void releaseWeight(mlir::ElementsAttr weight);
} // namespace fulgur
