// Takes the weights out of a model file before protobuf sees them: protobuf
// would copy each of them, and again in every pass of the ONNX library.
#pragma once
#include "llvm/ADT/StringRef.h"
#include <optional>
#include <string>

namespace fulgur::onnx {

/// The external-data location that means "this very file". A file that says so
/// itself only points at its own bytes.
inline constexpr char thisFile[] = "#";

/// The serialized ModelProto `file` without the data of large tensors, wherever
/// they stand. Such a tensor becomes one with external data at `thisFile`,
/// offset and length. Nullopt, with the offset of the first bad byte, when
/// `file` is not protobuf.
std::optional<std::string> parkWeights(llvm::StringRef file, uint64_t &badByte);

} // namespace fulgur::onnx
