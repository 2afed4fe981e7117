// Every TensorProto in one form: raw little-endian bytes, as many as type and
// dims ask for, in the tensor or in a mapped file.
#pragma once
#include "onnx/onnx_pb.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <optional>

namespace fulgur::onnx {

class WeightFiles;

/// Elements of a shape; nullopt when a dim is negative or the product overflows
/// int64.
std::optional<int64_t> elementCount(llvm::ArrayRef<int64_t> dims);

/// Bytes that `count` elements of an ONNX data type take in raw_data; nullopt
/// for strings, unknown types and overflow.
std::optional<int64_t> storageBytes(int32_t dataType, int64_t count);

/// Calls `visit` for every tensor of the graph, of its nodes' attributes and of
/// their subgraphs; the node is null for initializers.
using TensorVisitor = llvm::function_ref<void(::onnx::TensorProto &tensor,
                                              const ::onnx::NodeProto *node)>;
void forEachTensor(::onnx::GraphProto &graph, TensorVisitor visit);
void forEachTensor(::onnx::ModelProto &model, TensorVisitor visit);

/// Brings a tensor into the one form, or refuses the model.
void settle(::onnx::TensorProto &tensor, const ::onnx::NodeProto *node,
            WeightFiles &files);

} // namespace fulgur::onnx
