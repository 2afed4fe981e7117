// Numbers that are kept as bytes, and scales that several of them share.
#pragma once
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include <optional>

namespace fulgur {
/// A loop that makes numbers of signed bytes: each is a code times a factor,
/// and times the scale that `scaleMap` finds for its place, if there are any.
struct ScaledCodes {
  mlir::linalg::GenericOp loop;
  mlir::Value codes;
  mlir::Value scale;        ///< f32; null: there are none
  mlir::AffineMap scaleMap; ///< from dims of the codes to those of the scales
  double factor = 1;
};

/// Reads what gives `value`; nothing when it is something else.
std::optional<ScaledCodes> matchScaledCodes(mlir::Value value);

/// Such a loop, whose scales have the dims of `codes` but the last.
mlir::Value scaleRows(mlir::OpBuilder &builder, mlir::Location loc,
                      mlir::Value codes, mlir::Value scales,
                      llvm::ArrayRef<mlir::OpFoldResult> sizes);
} // namespace fulgur
