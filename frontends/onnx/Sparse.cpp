#include "frontends/onnx/Sparse.h"
#include "frontends/onnx/ExternalData.h"
#include "frontends/onnx/Problem.h"
#include "frontends/onnx/TensorData.h"
#include "onnx/onnx_pb.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Endian.h"
#include <cstring>

using namespace llvm;
namespace pb = ::onnx;

namespace fulgur::onnx {
namespace {

class Densifier {
public:
  explicit Densifier(const WeightFiles &files) : files(files) {}

  void graph(pb::GraphProto &graph) const {
    for (const pb::SparseTensorProto &sparse : graph.sparse_initializer())
      *graph.add_initializer() = dense(sparse, nullptr);
    graph.clear_sparse_initializer();
    nodes(*graph.mutable_node());
  }

  void nodes(google::protobuf::RepeatedPtrField<pb::NodeProto> &nodes) const {
    for (pb::NodeProto &node : nodes)
      for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
        if (attribute.has_g())
          graph(*attribute.mutable_g());
        for (pb::GraphProto &subgraph : *attribute.mutable_graphs())
          graph(subgraph);
        if (node.op_type() != "Constant" || !attribute.has_sparse_tensor())
          continue;
        *attribute.mutable_t() = dense(attribute.sparse_tensor(), &node);
        attribute.clear_sparse_tensor();
        attribute.set_name("value");
        attribute.set_type(pb::AttributeProto::TENSOR);
      }
  }

private:
  /// Indices are positions in the whole tensor, or a coordinate for each dim.
  pb::TensorProto dense(const pb::SparseTensorProto &sparse,
                        const pb::NodeProto *node) const {
    constexpr int64_t mostBytes = int64_t(1) << 30;
    const pb::TensorProto &values = sparse.values();
    ArrayRef<int64_t> dims(sparse.dims().data(), sparse.dims_size());
    std::optional<int64_t> width = storageBytes(values.data_type(), 1),
                           wholeBytes = storageBytes(values.data_type(), 8);
    if (!width || *wholeBytes != *width * 8)
      refuse(ImportStatus::unsupported,
             "sparse tensor '" + printable(values.name()) +
                 "' is of a type that is not supported in one; store it as a "
                 "dense tensor",
             node);
    std::optional<int64_t> count = elementCount(dims),
                           bytes =
                               count ? storageBytes(values.data_type(), *count)
                                     : std::nullopt;
    if (!bytes || *bytes > mostBytes)
      refuse(ImportStatus::resourceLimit,
             "sparse tensor '" + printable(values.name()) +
                 "' takes more than 2^30 bytes when it is written out",
             node);
    pb::TensorProto result;
    result.set_name(values.name());
    result.set_data_type(values.data_type());
    for (int64_t dim : dims)
      result.add_dims(dim);
    std::string raw(size_t(*bytes), '\0');
    const pb::TensorProto &indices = sparse.indices();
    bool coordinates = indices.dims_size() == 2;
    int64_t entries = values.dims_size() == 1 ? values.dims(0) : -1;
    if (entries < 0 || indices.data_type() != pb::TensorProto::INT64 ||
        indices.dims_size() < 1 || indices.dims_size() > 2 ||
        indices.dims(0) != entries ||
        (coordinates && indices.dims(1) != int64_t(dims.size())))
      refuse(ImportStatus::invalidModel,
             "sparse tensor '" + printable(values.name()) +
                 "' does not hold a list of values and an index for each",
             node);
    ArrayRef<char> given = files.bytes(values), places = files.bytes(indices);
    auto index = [&](int64_t k) {
      return int64_t(support::endian::read64le(places.data() + 8 * k));
    };
    int64_t before = -1;
    for (int64_t k = 0; k < entries; ++k) {
      int64_t at = coordinates ? 0 : index(k);
      bool inside = at >= 0 && at < *count;
      for (int64_t d = 0; coordinates && d < int64_t(dims.size()); ++d) {
        int64_t along = index(k * int64_t(dims.size()) + d);
        inside &= along >= 0 && along < dims[d];
        at = inside ? at * dims[d] + along : 0;
      }
      if (!inside || at <= before)
        refuse(ImportStatus::invalidModel,
               "sparse tensor '" + printable(values.name()) +
                   "' has an index that is outside of it or not greater than "
                   "the one before",
               node);
      before = at;
      std::memcpy(raw.data() + at * *width, given.data() + k * *width, *width);
    }
    result.set_raw_data(std::move(raw));
    return result;
  }

  const WeightFiles &files;
};

} // namespace

void makeDense(pb::ModelProto &model, const WeightFiles &files) {
  Densifier densifier(files);
  densifier.graph(*model.mutable_graph());
  for (pb::FunctionProto &function : *model.mutable_functions())
    densifier.nodes(*function.mutable_node());
}

} // namespace fulgur::onnx
