// TensorProto keeps its elements in raw_data or in one of five typed lists.
#include "ProtoFile.h"
#include "ZipFile.h"

#include <cstring>
#include <onnx/onnx_pb.h>
#include <stdexcept>

namespace {

/// Copies a typed list, each number cut to the tensor's element.
template <typename List>
bool copyList(const List &list, Tensor &tensor, size_t element) {
  if (list.size() != tensor.elements())
    return false;
  for (int i = 0; i < list.size(); ++i) {
    auto value = list[i]; // little-endian: the low bytes come first
    std::memcpy(tensor.data.data() + size_t(i) * element, &value, element);
  }
  return true;
}

bool copyElements(const onnx::TensorProto &proto, Tensor &tensor) {
  if (proto.has_raw_data()) {
    if (proto.raw_data().size() != tensor.data.size())
      return false;
    std::memcpy(tensor.data.data(), proto.raw_data().data(),
                tensor.data.size());
    return true;
  }
  size_t element = fulgur_dtype_bytes(tensor.dtype);
  switch (tensor.dtype) {
  case FULGUR_FLOAT32:
    return copyList(proto.float_data(), tensor, element);
  case FULGUR_FLOAT64:
    return copyList(proto.double_data(), tensor, element);
  case FULGUR_INT64:
    return copyList(proto.int64_data(), tensor, element);
  case FULGUR_UINT32:
  case FULGUR_UINT64:
    return copyList(proto.uint64_data(), tensor, element);
  default: // smaller ones, and the bits of 16-bit floats
    return copyList(proto.int32_data(), tensor, element);
  }
}

} // namespace

Tensor readProto(const std::string &path) {
  onnx::TensorProto proto;
  if (!proto.ParseFromString(readFile(path)))
    throw std::runtime_error("'" + path + "' is no TensorProto");
  if (proto.data_location() == onnx::TensorProto::EXTERNAL)
    throw std::runtime_error("'" + path +
                             "' keeps its elements in another file");
  fulgur_dtype dtype = fulgur_dtype(proto.data_type());
  if (fulgur_dtype_bytes(dtype) == 0)
    throw std::runtime_error("'" + path + "' has element type " +
                             std::to_string(proto.data_type()) +
                             ", which is not known");
  Tensor tensor = Tensor::zeros(proto.name(), dtype,
                                {proto.dims().begin(), proto.dims().end()});
  if (!copyElements(proto, tensor))
    throw std::runtime_error("'" + path +
                             "' has another number of elements "
                             "than its type " +
                             tensor.type() + " needs");
  return tensor;
}

void writeProto(const std::string &path, const Tensor &tensor) {
  onnx::TensorProto proto;
  proto.set_name(tensor.name);
  proto.set_data_type(tensor.dtype);
  for (int64_t dim : tensor.dims)
    proto.add_dims(dim);
  proto.set_raw_data(tensor.data.data(), tensor.data.size());
  std::string content;
  if (!proto.SerializeToString(&content))
    throw std::runtime_error("'" + path +
                             "' would have more than 2 GiB; write "
                             "a .npz file instead");
  writeFile(path, content);
}
