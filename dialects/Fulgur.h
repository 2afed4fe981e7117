// The fulgur dialect's operations and attributes.
#pragma once
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace fulgur {
class YieldOp;
}
#include "dialects/FulgurDialect.h.inc"
#include "dialects/FulgurEnums.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/FulgurAttributes.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/FulgurTypes.h.inc"
#define GET_OP_CLASSES
#include "dialects/Fulgur.h.inc"

namespace fulgur {
/// Lets one-shot bufferization treat kernels as operations that write their
/// destinations.
void registerBufferization(mlir::DialectRegistry &registry);

// Names of the attributes that the dialect's description documents.
inline constexpr llvm::StringLiteral kNameAttr = "fulgur.name";
inline constexpr llvm::StringLiteral kDimsAttr = "fulgur.dims";
inline constexpr llvm::StringLiteral kDTypeAttr =
    "fulgur.dtype"; // ONNX's number of the element type, where MLIR's is not
                    // enough
/// Of a port whose tensor is the bytes of packed elements: the bits of an
/// element, then the dims as in a type.
inline constexpr llvm::StringLiteral kPackedAttr = "fulgur.packed";
/// Of an argument of @main that is one buffer with a result: which result.
inline constexpr llvm::StringLiteral kStateAttr = "fulgur.state";
inline constexpr llvm::StringLiteral kSymbolsAttr = "fulgur.symbols";

/// Of inputs and outputs: what the runtime's fulgur_tensor has room for.
inline constexpr int64_t kMaxPortRank = 8;
} // namespace fulgur
