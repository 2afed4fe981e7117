// TensorProto keeps numbers in raw_data or in one of five typed lists, strings
// in a list of their own.
#include "ProtoFile.h"
#include "NarrowNumber.h"
#include "ZipFile.h"

#include <algorithm>
#include <cstring>
#include <onnx/onnx-data.pb.h>
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

/// Numbers of 6 bits, one an entry, into bytes without gaps.
template <typename List> void packSixes(const List &list, Tensor &tensor) {
  for (int64_t i = 0; i < list.size(); ++i)
    for (int64_t k = 0; k < 6; ++k)
      if (list[int(i)] >> k & 1)
        tensor.data.data()[(i * 6 + k) / 8] |=
            std::byte(1u << ((i * 6 + k) % 8));
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

static Tensor fromProto(const onnx::TensorProto &proto,
                        const std::string &path) {
  if (proto.data_location() == onnx::TensorProto::EXTERNAL)
    throw std::runtime_error("'" + path +
                             "' keeps its elements in another file");
  fulgur_dtype dtype = fulgur_dtype(proto.data_type());
  std::vector<int64_t> dims(proto.dims().begin(), proto.dims().end());
  if (dtype == FULGUR_STRING)
    return Tensor::strings(
        proto.name(), std::move(dims),
        {proto.string_data().begin(), proto.string_data().end()});
  if (fulgur_storage_bytes(dtype, 1) == 0)
    throw std::runtime_error("'" + path + "' has element type " +
                             std::to_string(proto.data_type()) +
                             ", which is not known");
  // Entries for packed elements are bytes, but for those of 6 bits.
  bool isSix = narrowBits(dtype) == 6;
  size_t element = std::max<size_t>(fulgur_dtype_bytes(dtype), 1),
         given = proto.raw_data().size();
  if (!proto.has_raw_data())
    withList(proto, dtype, [&](const auto &list) {
      given = isSix ? fulgur_storage_bytes(dtype, size_t(list.size()))
                    : size_t(list.size()) * element;
    });
  size_t needed = denseBytes(proto.name(), dtype, dims);
  if (given != needed)
    throw std::runtime_error("'" + path + "' has " + std::to_string(given) +
                             " bytes of elements, but its dims need " +
                             std::to_string(needed));
  Tensor tensor = Tensor::zeros(proto.name(), dtype, std::move(dims));
  if (proto.has_raw_data())
    std::memcpy(tensor.data.data(), proto.raw_data().data(), given);
  else if (isSix)
    packSixes(proto.int32_data(), tensor);
  else
    withList(proto, dtype,
             [&](const auto &list) { copyList(list, tensor, element); });
  return tensor;
}

static Tensor fromProto(const onnx::SequenceProto &proto,
                        const std::string &path) {
  if (proto.elem_type() != onnx::SequenceProto::TENSOR)
    throw std::runtime_error("'" + path + "' is no sequence of tensors");
  std::vector<Tensor> parts;
  for (const onnx::TensorProto &element : proto.tensor_values()) {
    parts.push_back(fromProto(element, path));
    parts.back().name =
        proto.name() + "[" + std::to_string(parts.size() - 1) + "]";
  }
  return Tensor::container(proto.name(), FULGUR_SEQUENCE, std::move(parts));
}

static Tensor fromProto(const onnx::OptionalProto &proto,
                        const std::string &path) {
  std::vector<Tensor> parts;
  if (proto.has_tensor_value())
    parts.push_back(fromProto(proto.tensor_value(), path));
  else if (proto.has_sequence_value())
    parts.push_back(fromProto(proto.sequence_value(), path));
  else if (proto.elem_type() != onnx::OptionalProto::UNDEFINED &&
           proto.elem_type() != onnx::OptionalProto::TENSOR &&
           proto.elem_type() != onnx::OptionalProto::SEQUENCE)
    throw std::runtime_error("'" + path +
                             "' is no optional tensor or sequence");
  return Tensor::container(proto.name(), FULGUR_OPTIONAL, std::move(parts));
}

template <typename Proto>
static Tensor readAs(const std::string &path, const char *kind) {
  Proto proto;
  if (!proto.ParseFromString(readFile(path)))
    throw std::runtime_error("'" + path + "' is no " + kind);
  return fromProto(proto, path);
}

Tensor readProto(const std::string &path, const fulgur_port *port) {
  if (port && port->dtype == FULGUR_SEQUENCE)
    return readAs<onnx::SequenceProto>(path, "SequenceProto");
  if (port && port->dtype == FULGUR_OPTIONAL)
    return readAs<onnx::OptionalProto>(path, "OptionalProto");
  return readAs<onnx::TensorProto>(path, "TensorProto");
}

static void fill(onnx::TensorProto &proto, const Tensor &tensor) {
  proto.set_name(tensor.name);
  proto.set_data_type(tensor.dtype);
  for (int64_t dim : tensor.dims)
    proto.add_dims(dim);
  if (tensor.dtype != FULGUR_STRING)
    return proto.set_raw_data(tensor.data.data(), tensor.data.size());
  for (int64_t i = 0; i < tensor.elements(); ++i)
    proto.add_string_data(tensor.string(i));
}

static void fill(onnx::SequenceProto &proto, const Tensor &tensor) {
  proto.set_name(tensor.name);
  proto.set_elem_type(onnx::SequenceProto::TENSOR);
  for (const Tensor &part : tensor.parts)
    fill(*proto.add_tensor_values(), part);
}

static void fill(onnx::OptionalProto &proto, const Tensor &tensor) {
  proto.set_name(tensor.name);
  proto.set_elem_type(onnx::OptionalProto::UNDEFINED);
  for (const Tensor &part : tensor.parts) { // none or one
    bool sequence = part.dtype == FULGUR_SEQUENCE;
    proto.set_elem_type(sequence ? onnx::OptionalProto::SEQUENCE
                                 : onnx::OptionalProto::TENSOR);
    if (sequence)
      fill(*proto.mutable_sequence_value(), part);
    else
      fill(*proto.mutable_tensor_value(), part);
  }
}

template <typename Proto>
static void writeAs(const std::string &path, const Tensor &tensor) {
  Proto proto;
  fill(proto, tensor);
  std::string content;
  if (!proto.SerializeToString(&content))
    throw std::runtime_error("'" + path +
                             "' would have more than 2 GiB; write "
                             "a .npz file instead");
  writeFile(path, content);
}

void writeProto(const std::string &path, const Tensor &tensor) {
  if (tensor.dtype == FULGUR_SEQUENCE)
    writeAs<onnx::SequenceProto>(path, tensor);
  else if (tensor.dtype == FULGUR_OPTIONAL)
    writeAs<onnx::OptionalProto>(path, tensor);
  else
    writeAs<onnx::TensorProto>(path, tensor);
}
