// TensorProto keeps its elements in raw_data or in one of five typed lists.
#include "ProtoFile.h"
#include "ZipFile.h"

#include <cstring>
#include <onnx/onnx_pb.h>
#include <stdexcept>

namespace {

/// Copies a typed list, each number cut to the tensor's element.
template <typename List>
void copyList(const List &list, Tensor &tensor, size_t element) {
  for (int i = 0; i < list.size(); ++i) {
    auto value = list[i]; // little-endian: the low bytes come first
    std::memcpy(tensor.data.data() + size_t(i) * element, &value, element);
  }
}

/// Calls `use` with the list that holds elements of this type.
template <typename Use>
void withList(const onnx::TensorProto &proto, fulgur_dtype dtype, Use use) {
  switch (dtype) {
  case FULGUR_FLOAT32:
    return use(proto.float_data());
  case FULGUR_FLOAT64:
    return use(proto.double_data());
  case FULGUR_INT64:
    return use(proto.int64_data());
  case FULGUR_UINT32:
  case FULGUR_UINT64:
    return use(proto.uint64_data());
  default: // smaller ones, and the bits of 16-bit floats
    return use(proto.int32_data());
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
  std::vector<int64_t> dims(proto.dims().begin(), proto.dims().end());
  size_t element = fulgur_dtype_bytes(dtype), given = proto.raw_data().size();
  if (!proto.has_raw_data())
    withList(proto, dtype,
             [&](const auto &list) { given = size_t(list.size()) * element; });
  size_t needed = denseBytes(proto.name(), dtype, dims);
  if (given != needed)
    throw std::runtime_error("'" + path + "' has " + std::to_string(given) +
                             " bytes of elements, but its dims need " +
                             std::to_string(needed));
  Tensor tensor = Tensor::zeros(proto.name(), dtype, std::move(dims));
  if (proto.has_raw_data())
    std::memcpy(tensor.data.data(), proto.raw_data().data(), given);
  else
    withList(proto, dtype,
             [&](const auto &list) { copyList(list, tensor, element); });
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
