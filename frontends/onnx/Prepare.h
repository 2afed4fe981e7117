// From any ONNX to one ONNX: the steps between a file that parsed and a graph
// that the importer walks.
#pragma once
#include "onnx/onnx_pb.h"
#include "llvm/ADT/ArrayRef.h"
#include <optional>
#include <string>

namespace fulgur::onnx {

class WeightFiles;

/// Checks the model and brings it to one form; see Model for what holds
/// afterwards. Throws Problem, or what the library throws.
void prepare(::onnx::ModelProto &model, WeightFiles &files);

/// Refuses nodes whose operator nobody defines: one problem that names all of
/// them.
void refuseUnknownOperators(const ::onnx::ModelProto &model);

/// The type of an initializer.
::onnx::TypeProto initializerType(const ::onnx::TensorProto &tensor);

/// Whether the schema lets the node's input be a tensor of the element type, by
/// ONNX's name of it; true if there is no schema.
bool takesType(const ::onnx::NodeProto &node, int64_t opset, size_t input,
               const std::string &type);

/// Two inputs whose element types the schema wants to be the same, but which
/// are not. `types` are ONNX's names, empty where an input is none or no
/// tensor.
std::optional<std::pair<size_t, size_t>>
mixedTypes(const ::onnx::NodeProto &node, int64_t opset,
           llvm::ArrayRef<std::string> types);

/// Refuses graphs that are cyclic or use values that nothing produces, at any
/// depth; brings unsorted ones into order.
void sortNodes(::onnx::ModelProto &model);

/// Refuses functions that call each other in a circle or grow beyond reason
/// when they are expanded.
void refuseEndlessFunctions(const ::onnx::ModelProto &model);

/// Replaces nodes that ONNX defines by a function by that function, except for
/// those that the importer knows how to do better.
void expandSchemaFunctions(::onnx::ModelProto &model);

/// Gives values their types and shapes, as far as ONNX can find them; what it
/// cannot stays unknown.
void inferShapes(::onnx::ModelProto &model);

/// Refuses operands that would make the library's converter, which infers less
/// carefully, count without end.
void refuseAbsurdCounts(const ::onnx::ModelProto &model);

/// Some exporters write -1 for a size that is not known, where ONNX says
/// nothing or gives it a name.
void openDims(::onnx::GraphProto &graph);

/// Refuses graphs with a value of negative size, or larger than an address
/// space.
void refuseAbsurdSizes(const ::onnx::GraphProto &graph);

/// Removes nodes and initializers of the main graph whose results nobody uses.
void removeDead(::onnx::GraphProto &graph);

} // namespace fulgur::onnx
