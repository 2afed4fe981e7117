// Sparse tensors of a file, written out.
#pragma once

namespace onnx {
class ModelProto;
} // namespace onnx

namespace fulgur::onnx {

class WeightFiles;

/// Makes tensors of the sparse initializers and constants of a model whose
/// tensors are settled: what is not in them is 0.
void makeDense(::onnx::ModelProto &model, const WeightFiles &files);

} // namespace fulgur::onnx
