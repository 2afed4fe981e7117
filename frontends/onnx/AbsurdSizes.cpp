// Sizes that no value can have: one of them means something, the others are
// refused before anybody counts with them.
#include "frontends/onnx/Prepare.h"
#include "frontends/onnx/Problem.h"
#include "frontends/onnx/TensorData.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/Twine.h"

using namespace llvm;
namespace pb = ::onnx;

namespace fulgur::onnx {
namespace {

constexpr int64_t mostBytes = int64_t(1) << 47; // of an address space

/// The dims of a tensor, with ? for those that are not numbers.
std::string shapeText(const pb::TensorShapeProto &shape) {
  std::string text;
  for (const pb::TensorShapeProto::Dimension &dim : shape.dim())
    text += (text.empty() ? "" : ", ") +
            (dim.has_dim_value() ? std::to_string(dim.dim_value()) : "?");
  return "[" + text + "]";
}

void look(const pb::ValueInfoProto &value, const pb::NodeProto *producer) {
  if (!value.type().has_tensor_type())
    return;
  const pb::TensorShapeProto &shape = value.type().tensor_type().shape();
  int32_t type = value.type().tensor_type().elem_type();
  SmallVector<int64_t> dims;
  for (const pb::TensorShapeProto::Dimension &dim : shape.dim())
    if (dim.has_dim_value())
      dims.push_back(dim.dim_value());
  std::string name =
      "value '" + printable(value.name()) + "' of shape " + shapeText(shape);
  if (any_of(dims, [](int64_t dim) { return dim < 0; }))
    refuse(ImportStatus::invalidModel,
           name + " has a negative dim; " +
               (producer ? "correct the node's operands"
                         : "give the dim a name if its size is not known"),
           producer);
  std::optional<int64_t> count = elementCount(dims);
  if (count && type == pb::TensorProto::STRING)
    return;
  std::optional<int64_t> bytes =
      count ? storageBytes(type, *count) : std::nullopt;
  if (count && !bytes && *count <= mostBytes)
    return; // a type that the importer refuses by name
  if (!bytes || *bytes > mostBytes)
    refuse(ImportStatus::resourceLimit,
           name + " takes more than 2^47 bytes, which no machine can address" +
               (producer ? "; correct the node's operands" : ""),
           producer);
}

void openDims(pb::ValueInfoProto &value) {
  if (value.type().has_tensor_type() && value.type().tensor_type().has_shape())
    for (pb::TensorShapeProto::Dimension &dim : *value.mutable_type()
                                                     ->mutable_tensor_type()
                                                     ->mutable_shape()
                                                     ->mutable_dim())
      if (dim.dim_value() == -1)
        dim.clear_dim_value();
}

} // namespace

void openDims(pb::GraphProto &graph) {
  for (auto *values : {graph.mutable_input(), graph.mutable_value_info(),
                       graph.mutable_output()})
    for (pb::ValueInfoProto &value : *values)
      openDims(value);
  for (pb::NodeProto &node : *graph.mutable_node())
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        openDims(*attribute.mutable_g());
      for (pb::GraphProto &subgraph : *attribute.mutable_graphs())
        openDims(subgraph);
    }
}

void refuseAbsurdSizes(const pb::GraphProto &graph) {
  StringMap<const pb::NodeProto *> producers;
  for (const pb::NodeProto &node : graph.node())
    for (const std::string &output : node.output())
      producers[output] = &node;
  for (const auto *values :
       {&graph.input(), &graph.value_info(), &graph.output()})
    for (const pb::ValueInfoProto &value : *values)
      look(value, producers.lookup(value.name()));
}

} // namespace fulgur::onnx
