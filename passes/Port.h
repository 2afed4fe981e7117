// What the outside must know of one input or output.
#pragma once
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"

namespace fulgur {
/// {name, dtype, dims, texts, symbols} of a tensor, from the attributes
/// (fulgur.name, fulgur.dims, fulgur.dtype) of an argument or result of
/// `type`.
mlir::DictionaryAttr portOf(mlir::DictionaryAttr attributes, mlir::Type type,
                            mlir::ModuleOp module);
} // namespace fulgur
