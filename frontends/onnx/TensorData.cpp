#include "frontends/onnx/TensorData.h"
#include "frontends/onnx/ExternalData.h"
#include "frontends/onnx/Problem.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using ::onnx::TensorProto;

namespace fulgur::onnx {
namespace {

static_assert(endianness::native == endianness::little,
              "ONNX's raw data is little-endian");

/// Bits of an element; 0 when the type has no fixed size or is not one we
/// store.
unsigned bitsOf(int32_t dataType) {
  switch (dataType) {
  case TensorProto::INT2:
  case TensorProto::UINT2:
    return 2;
  case TensorProto::INT4:
  case TensorProto::UINT4:
  case TensorProto::FLOAT4E2M1:
    return 4;
  case TensorProto::FLOAT6E2M3:
  case TensorProto::FLOAT6E3M2:
    return 6;
  case TensorProto::BOOL:
  case TensorProto::INT8:
  case TensorProto::UINT8:
  case TensorProto::FLOAT8E4M3FN:
  case TensorProto::FLOAT8E4M3FNUZ:
  case TensorProto::FLOAT8E5M2:
  case TensorProto::FLOAT8E5M2FNUZ:
  case TensorProto::FLOAT8E8M0:
    return 8;
  case TensorProto::INT16:
  case TensorProto::UINT16:
  case TensorProto::FLOAT16:
  case TensorProto::BFLOAT16:
    return 16;
  case TensorProto::INT32:
  case TensorProto::UINT32:
  case TensorProto::FLOAT:
    return 32;
  case TensorProto::INT64:
  case TensorProto::UINT64:
  case TensorProto::DOUBLE:
  case TensorProto::COMPLEX64:
    return 64;
  case TensorProto::COMPLEX128:
    return 128;
  default:
    return 0;
  }
}

/// The values of a typed field, each cut to `width` bytes, as raw data.
template <typename Field>
std::string rawFrom(const Field &values, size_t width) {
  std::string raw;
  raw.reserve(values.size() * width);
  for (const auto &value : values)
    raw.append(reinterpret_cast<const char *>(&value), width);
  return raw;
}

/// Numbers of 6 bits, one an entry, as raw data, which has no gaps.
template <typename Field> std::string packedSixes(const Field &codes) {
  std::string raw((codes.size() * 6 + 7) / 8, 0);
  for (size_t k = 0; k < size_t(codes.size()); ++k) {
    unsigned bits = unsigned(codes[int(k)] & 63) << (k * 6 % 8);
    raw[k * 6 / 8] |= char(bits);
    if (bits >> 8)
      raw[k * 6 / 8 + 1] |= char(bits >> 8);
  }
  return raw;
}

std::string rawFromTyped(const TensorProto &tensor) {
  switch (tensor.data_type()) {
  case TensorProto::FLOAT6E2M3:
  case TensorProto::FLOAT6E3M2:
    return packedSixes(tensor.int32_data());
  case TensorProto::FLOAT:
  case TensorProto::COMPLEX64:
    return rawFrom(tensor.float_data(), 4);
  case TensorProto::DOUBLE:
  case TensorProto::COMPLEX128:
    return rawFrom(tensor.double_data(), 8);
  case TensorProto::INT64:
    return rawFrom(tensor.int64_data(), 8);
  case TensorProto::UINT32:
  case TensorProto::UINT64:
    return rawFrom(tensor.uint64_data(), bitsOf(tensor.data_type()) / 8);
  default: // an entry of int32_data is an element, or for packed types one byte
           // of elements
    return rawFrom(tensor.int32_data(),
                   std::max(1u, bitsOf(tensor.data_type()) / 8));
  }
}

/// How many of the places that can hold data hold some.
int filledFields(const TensorProto &tensor) {
  return !tensor.raw_data().empty() + !tensor.float_data().empty() +
         !tensor.int32_data().empty() + !tensor.int64_data().empty() +
         !tensor.uint64_data().empty() + !tensor.double_data().empty() +
         !tensor.string_data().empty();
}

void visitSparse(::onnx::SparseTensorProto &tensor,
                 const ::onnx::NodeProto *node, TensorVisitor visit) {
  if (tensor.has_values())
    visit(*tensor.mutable_values(), node);
  if (tensor.has_indices())
    visit(*tensor.mutable_indices(), node);
}

void visitAttribute(::onnx::AttributeProto &attribute,
                    const ::onnx::NodeProto *node, TensorVisitor visit) {
  if (attribute.has_t())
    visit(*attribute.mutable_t(), node);
  for (TensorProto &tensor : *attribute.mutable_tensors())
    visit(tensor, node);
  if (attribute.has_sparse_tensor())
    visitSparse(*attribute.mutable_sparse_tensor(), node, visit);
  for (::onnx::SparseTensorProto &tensor : *attribute.mutable_sparse_tensors())
    visitSparse(tensor, node, visit);
  if (attribute.has_g())
    forEachTensor(*attribute.mutable_g(), visit);
  for (::onnx::GraphProto &graph : *attribute.mutable_graphs())
    forEachTensor(graph, visit);
}

void visitNode(::onnx::NodeProto &node, TensorVisitor visit) {
  for (::onnx::AttributeProto &attribute : *node.mutable_attribute())
    visitAttribute(attribute, &node, visit);
}

} // namespace

std::optional<int64_t> elementCount(ArrayRef<int64_t> dims) {
  int64_t count = 1; // of the dims that are not 0: a 0 must not hide that the
                     // others are absurd
  for (int64_t dim : dims)
    if (dim < 0 || (dim > 0 && MulOverflow(count, dim, count)))
      return std::nullopt;
  return is_contained(dims, 0) ? 0 : count;
}

std::optional<int64_t> storageBytes(int32_t dataType, int64_t count) {
  int64_t bits = bitsOf(dataType), bytes;
  if (bits == 0 || count < 0)
    return std::nullopt;
  if (bits < 8) // whole groups of 8 elements, and the bytes that the rest needs
    return count / 8 * bits + divideCeil(count % 8 * bits, 8);
  if (MulOverflow(count, bits / 8, bytes))
    return std::nullopt;
  return bytes;
}

void forEachTensor(::onnx::GraphProto &graph, TensorVisitor visit) {
  for (TensorProto &tensor : *graph.mutable_initializer())
    visit(tensor, nullptr);
  for (::onnx::SparseTensorProto &tensor : *graph.mutable_sparse_initializer())
    visitSparse(tensor, nullptr, visit);
  for (::onnx::NodeProto &node : *graph.mutable_node())
    visitNode(node, visit);
}

void forEachTensor(::onnx::ModelProto &model, TensorVisitor visit) {
  forEachTensor(*model.mutable_graph(), visit);
  for (::onnx::FunctionProto &function : *model.mutable_functions()) {
    for (::onnx::AttributeProto &attribute :
         *function.mutable_attribute_proto())
      visitAttribute(attribute, nullptr, visit);
    for (::onnx::NodeProto &node : *function.mutable_node())
      visitNode(node, visit);
  }
}

void settle(TensorProto &tensor, const ::onnx::NodeProto *node,
            WeightFiles &files) {
  std::string who = "tensor '" + printable(tensor.name()) + "'";
  auto no = [&](const Twine &why) {
    refuse(ImportStatus::invalidModel, who + " " + why, node);
  };
  if (tensor.has_segment())
    no("is stored in segments, which ONNX files do not use");
  std::optional<int64_t> count =
      elementCount(ArrayRef(tensor.dims().data(), tensor.dims_size()));
  if (!count)
    no("has dims that are negative or whose product is over 2^63");
  bool isExternal = tensor.data_location() == TensorProto::EXTERNAL;
  if (tensor.data_type() == TensorProto::STRING) {
    if (isExternal || filledFields(tensor) != (*count ? 1 : 0) ||
        tensor.string_data_size() != *count)
      no("needs " + Twine(*count) + " strings in string_data, but has " +
         Twine(tensor.string_data_size()));
    return;
  }
  std::optional<int64_t> size = storageBytes(tensor.data_type(), *count);
  if (!size)
    no(bitsOf(tensor.data_type())
           ? "takes more than 2^63 bytes"
           : "has element type " + Twine(tensor.data_type()) +
                 ", which is not a type with data that we know");
  if (isExternal) {
    if (filledFields(tensor) != 0)
      no("has data both inside and outside the model");
    return files.settle(tensor, *size, node);
  }
  if (filledFields(tensor) > 1)
    no("has data in more than one field");
  if (tensor.raw_data().empty()) {
    std::string raw = rawFromTyped(tensor);
    bool elsewhere = raw.empty() && filledFields(tensor) != 0;
    if (elsewhere)
      no("has its data in a field of another type");
    tensor.clear_float_data();
    tensor.clear_int32_data();
    tensor.clear_int64_data();
    tensor.clear_uint64_data();
    tensor.clear_double_data();
    tensor.set_raw_data(std::move(raw));
  }
  if (int64_t(tensor.raw_data().size()) != *size)
    no("has " + Twine(tensor.raw_data().size()) +
       " bytes of data, but its type and dims ask for " + Twine(*size));
  if (tensor.data_type() == TensorProto::BOOL &&
      any_of(tensor.raw_data(), [](char byte) { return byte & ~1; }))
    no("is of type bool, but has elements that are neither 0 nor 1");
  if (*size == 0)
    tensor.clear_raw_data();
}

} // namespace fulgur::onnx
