// How messages call the ONNX node that an operation comes from.
#pragma once
#include "mlir/IR/Location.h"
#include <string>

namespace fulgur {
/// "node 'x' (Gather, opset 20)" of the location that the frontend gave; empty
/// when there is none.
std::string nodeName(mlir::Location loc);
} // namespace fulgur
