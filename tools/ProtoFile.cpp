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

/// The file has each value of a map as a scalar; here they are one tensor.
static Tensor fromProto(const onnx::MapProto &proto, const std::string &name,
                        const std::string &path) {
  bool areStrings = proto.key_type() == onnx::TensorProto::STRING;
  if (!areStrings && proto.key_type() != onnx::TensorProto::INT64)
    throw std::runtime_error("'" + path +
                             "' has a map whose keys are neither "
                             "strings nor int64");
  int64_t count = proto.values().tensor_values_size();
  if (count != (areStrings ? proto.string_keys_size() : proto.keys_size()))
    throw std::runtime_error("'" + path + "' has a map with " +
                             std::to_string(count) + " values for other keys");
  std::vector<Tensor> parts;
  if (areStrings) {
    parts.push_back(Tensor::strings(
        name + ".keys", {count},
        {proto.string_keys().begin(), proto.string_keys().end()}));
  } else {
    parts.push_back(Tensor::zeros(name + ".keys", FULGUR_INT64, {count}));
    copyList(proto.keys(), parts[0], sizeof(int64_t));
  }
  for (int64_t i = 0; i < count; ++i) {
    Tensor value = fromProto(proto.values().tensor_values(int(i)), path);
    if (i == 0)
      parts.push_back(Tensor::zeros(name + ".values", value.dtype, {count}));
    if (value.elements() != 1 || value.dtype != parts[1].dtype ||
        value.dtype == FULGUR_STRING)
      throw std::runtime_error("'" + path +
                               "' has a map whose values are not "
                               "numbers of one type");
    std::memcpy(parts[1].data.data() + size_t(i) * value.data.size(),
                value.data.data(), value.data.size());
  }
  if (count == 0)
    parts.push_back(Tensor::zeros(name + ".values", FULGUR_FLOAT32, {0}));
  return Tensor::container(name, FULGUR_MAP, std::move(parts));
}

static Tensor fromProto(const onnx::SequenceProto &proto,
                        const std::string &path) {
  std::vector<Tensor> parts;
  if (proto.elem_type() == onnx::SequenceProto::MAP) {
    for (const onnx::MapProto &element : proto.map_values())
      parts.push_back(fromProto(
          element, proto.name() + "[" + std::to_string(parts.size()) + "]",
          path));
    return Tensor::container(proto.name(), FULGUR_SEQUENCE, std::move(parts));
  }
  if (proto.elem_type() != onnx::SequenceProto::TENSOR)
    throw std::runtime_error("'" + path +
                             "' is no sequence of tensors or maps");
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

static void fill(onnx::MapProto &proto, const Tensor &tensor) {
  const Tensor &keys = tensor.parts[0], &values = tensor.parts[1];
  proto.set_name(tensor.name);
  proto.set_key_type(keys.dtype);
  proto.mutable_values()->set_elem_type(onnx::SequenceProto::TENSOR);
  size_t bytes = fulgur_dtype_bytes(values.dtype);
  for (int64_t i = 0; i < keys.elements(); ++i) {
    if (keys.dtype == FULGUR_STRING)
      proto.add_string_keys(keys.string(i));
    else
      proto.add_keys(int64_t(keys.number(i)));
    onnx::TensorProto &value = *proto.mutable_values()->add_tensor_values();
    value.set_data_type(values.dtype);
    value.set_raw_data(values.data.data() + size_t(i) * bytes, bytes);
  }
}

static void fill(onnx::SequenceProto &proto, const Tensor &tensor) {
  proto.set_name(tensor.name);
  proto.set_elem_type(onnx::SequenceProto::TENSOR);
  for (const Tensor &part : tensor.parts)
    if (part.dtype == FULGUR_MAP) {
      proto.set_elem_type(onnx::SequenceProto::MAP);
      fill(*proto.add_map_values(), part);
    } else {
      fill(*proto.add_tensor_values(), part);
    }
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
