// The sizes of buffers of @main, as values that depend on symbols only.
#pragma once
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"

namespace fulgur {
/// Bytes to which every buffer of the arena and every weight is aligned:
/// FULGUR_ALIGNMENT of the C ABI.
inline constexpr int64_t kAlignment = 64;

/// The dims of a memref of @main, found by walking to the fulgur.buffer or
/// memref.alloc that it is a view of.
mlir::FailureOr<llvm::SmallVector<mlir::OpFoldResult>>
bufferDims(mlir::OpBuilder &builder, mlir::Value buffer);

/// Its size in bytes, rounded up to the alignment of the arena.
mlir::FailureOr<mlir::Value> bufferBytes(mlir::OpBuilder &builder,
                                         mlir::Value buffer);

/// Bytes of one element in memory: booleans take one.
int64_t elementBytes(mlir::Type type);
} // namespace fulgur
