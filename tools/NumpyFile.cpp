// A .npy file is a magic number, a Python dictionary as text, and the elements;
// a .npz file is a zip file of those.
#include "NumpyFile.h"
#include "NarrowNumber.h"
#include "ZipFile.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <iterator>
#include <stdexcept>

namespace {

struct Descriptor {
  const char *text;
  fulgur_dtype dtype;
};

// The first one of a type is the one that is written.
constexpr Descriptor Descriptors[] = {
    {"<f4", FULGUR_FLOAT32},  {"<f8", FULGUR_FLOAT64},  {"<f2", FULGUR_FLOAT16},
    {"<V2", FULGUR_BFLOAT16}, {"|V2", FULGUR_BFLOAT16}, {"<i8", FULGUR_INT64},
    {"<i4", FULGUR_INT32},    {"<i2", FULGUR_INT16},    {"|i1", FULGUR_INT8},
    {"<u8", FULGUR_UINT64},   {"<u4", FULGUR_UINT32},   {"<u2", FULGUR_UINT16},
    {"|u1", FULGUR_UINT8},    {"|b1", FULGUR_BOOL}};

[[noreturn]] void fail(const std::string &where, const std::string &why) {
  throw std::runtime_error("'" + where + "' is no readable .npy array: " + why);
}

/// What follows `'key':` in the header's dictionary.
std::string_view valueOf(const std::string &where, std::string_view header,
                         const std::string &key) {
  size_t at = header.find("'" + key + "'");
  if (at != std::string_view::npos)
    at = header.find(':', at);
  if (at == std::string_view::npos)
    fail(where, "its header has no '" + key + "'");
  header.remove_prefix(at + 1);
  header.remove_prefix(std::min(header.find_first_not_of(' '), header.size()));
  return header;
}

fulgur_dtype dtypeOf(const std::string &where, std::string_view value) {
  for (const Descriptor &descriptor : Descriptors)
    if (value.substr(1, 3) == descriptor.text)
      return descriptor.dtype;
  fail(where,
       "its element type is " + std::string(value.substr(0, value.find(','))));
}

std::vector<int64_t> dimsOf(const std::string &where, std::string_view value) {
  size_t end = value.find(')');
  if (!value.starts_with('(') || end == std::string_view::npos)
    fail(where, "its shape is no tuple");
  std::vector<int64_t> dims;
  for (size_t i = 1; i < end;) {
    if (!std::isdigit(static_cast<unsigned char>(value[i]))) {
      ++i;
      continue;
    }
    int64_t dim = 0;
    for (; i < end && std::isdigit(static_cast<unsigned char>(value[i])); ++i)
      if (__builtin_mul_overflow(dim, 10, &dim) ||
          __builtin_add_overflow(dim, value[i] - '0', &dim))
        fail(where, "its shape is too large");
    dims.push_back(dim);
  }
  return dims;
}

/// Column-major elements into a row-major tensor.
void copyTransposed(const char *from, Tensor &to) {
  int64_t element = int64_t(fulgur_dtype_bytes(to.dtype));
  std::vector<int64_t> index(to.dims.size());
  for (int64_t i = 0, count = to.elements(); i < count; ++i) {
    int64_t row = 0; // row-major place of the element with this index
    for (size_t k = 0; k < index.size(); ++k)
      row = row * to.dims[k] + index[k];
    std::memcpy(to.data.data() + row * element, from + i * element,
                size_t(element));
    for (size_t k = 0; k < index.size() && ++index[k] == to.dims[k]; ++k)
      index[k] = 0;
  }
}

Tensor parse(const std::string &where, const std::string &name,
             const std::string &content) {
  if (content.size() < 12 || !content.starts_with("\x93NUMPY"))
    fail(where, "it does not begin with numpy's magic");
  size_t start = content[6] == 1 ? 10 : 12;
  uint32_t headerBytes = 0;
  std::memcpy(&headerBytes, content.data() + 8, start - 8);
  if (headerBytes > content.size() - start)
    fail(where, "it ends within its header");
  std::string_view header(content.data() + start, headerBytes);
  if (!valueOf(where, header, "descr").starts_with('\''))
    fail(where, "its elements are records");
  fulgur_dtype dtype = dtypeOf(where, valueOf(where, header, "descr"));
  std::vector<int64_t> dims = dimsOf(where, valueOf(where, header, "shape"));
  size_t given = content.size() - start - headerBytes,
         needed = denseBytes(name, dtype, dims);
  if (given != needed)
    fail(where, "it has " + std::to_string(given) +
                    " bytes of elements, but its shape needs " +
                    std::to_string(needed));
  Tensor tensor = Tensor::zeros(name, dtype, std::move(dims));
  const char *elements = content.data() + start + headerBytes;
  if (valueOf(where, header, "fortran_order").starts_with("True"))
    copyTransposed(elements, tensor);
  else
    std::memcpy(tensor.data.data(), elements, given);
  return tensor;
}

/// Numpy has no elements of less than a byte and no floating point of one:
/// integers are written as int8 or uint8, other elements as their bits.
Tensor widened(const Tensor &tensor) {
  bool isSigned = tensor.dtype == FULGUR_INT4 || tensor.dtype == FULGUR_INT2;
  Tensor wide = Tensor::zeros(
      tensor.name, isSigned ? FULGUR_INT8 : FULGUR_UINT8, tensor.dims);
  for (int64_t i = 0; i < tensor.elements(); ++i)
    wide.setNumber(i, isFloat(tensor.dtype)
                          ? encodeNarrow(tensor.dtype, tensor.number(i))
                          : tensor.number(i));
  return wide;
}

std::string serialise(const Tensor &tensor) {
  if (narrowBits(tensor.dtype))
    return serialise(widened(tensor));
  const Descriptor *descriptor =
      std::ranges::find(Descriptors, tensor.dtype, &Descriptor::dtype);
  if (descriptor == std::end(Descriptors))
    throw std::runtime_error("'" + tensor.name + "' is a " +
                             fulgur_dtype_name(tensor.dtype) +
                             ", which .npy and .npz files cannot hold; write "
                             "into a folder instead");
  std::string header = "{'descr': '" + std::string(descriptor->text) +
                       "', 'fortran_order': False, 'shape': (";
  for (int64_t dim : tensor.dims)
    header += std::to_string(dim) + ", ";
  header += "), }";
  header.append(63 - (10 + header.size()) % 64, ' '); // elements are aligned
  header += '\n';
  std::string out("\x93NUMPY\1\0", 8);
  out += char(header.size() & 255);
  out += char(header.size() >> 8);
  out += header;
  out.append(reinterpret_cast<const char *>(tensor.data.data()),
             tensor.data.size());
  return out;
}

} // namespace

Tensor readNpy(const std::string &path) {
  return parse(path, "", readFile(path));
}

std::vector<Tensor> readNpz(const std::string &path) {
  std::vector<Tensor> tensors;
  for (const ZipMember &member : readZip(path)) {
    std::string name = member.name;
    if (name.ends_with(".npy"))
      name.resize(name.size() - 4);
    tensors.push_back(parse(path + ":" + member.name, name, member.content));
  }
  return tensors;
}

void writeNpz(const std::string &path, const std::vector<Tensor> &tensors) {
  std::vector<ZipMember> members;
  for (const Tensor &tensor : tensors)
    members.push_back({tensor.name + ".npy", serialise(tensor)});
  writeZip(path, members);
}

void writeNpy(const std::string &path, const Tensor &tensor) {
  writeFile(path, serialise(tensor));
}
