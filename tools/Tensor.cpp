// Allocation of tensors, and their elements as numbers.
#include "Tensor.h"
#include "NarrowNumber.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <new>
#include <stdexcept>

AlignedBytes::AlignedBytes(size_t bytes) : bytes(bytes) {
  size_t rounded =
      (bytes + FULGUR_ALIGNMENT) / FULGUR_ALIGNMENT * FULGUR_ALIGNMENT;
  if (rounded < bytes)
    throw std::bad_alloc();
  memory.reset(
      static_cast<std::byte *>(std::aligned_alloc(FULGUR_ALIGNMENT, rounded)));
  if (!memory)
    throw std::bad_alloc();
  std::memset(memory.get(), 0, rounded);
}

bool isFloat(fulgur_dtype dtype) {
  return dtype == FULGUR_FLOAT32 || dtype == FULGUR_FLOAT64 ||
         dtype == FULGUR_FLOAT16 || dtype == FULGUR_BFLOAT16 ||
         (narrowBits(dtype) && dtype != FULGUR_UINT4 && dtype != FULGUR_INT4 &&
          dtype != FULGUR_UINT2 && dtype != FULGUR_INT2);
}

size_t denseBytes(const std::string &name, fulgur_dtype dtype,
                  const std::vector<int64_t> &dims) {
  if (fulgur_storage_bytes(dtype, 1) == 0)
    throw std::runtime_error("tensor '" + name + "' has element type " +
                             std::to_string(dtype) + ", which is not known");
  if (dims.size() > FULGUR_MAX_RANK)
    throw std::runtime_error("tensor '" + name + "' has rank " +
                             std::to_string(dims.size()) + ", but at most " +
                             std::to_string(FULGUR_MAX_RANK) + " is possible");
  int64_t elements = 1;
  bool fits = true;
  for (int64_t dim : dims)
    fits =
        fits && dim >= 0 && !__builtin_mul_overflow(elements, dim, &elements);
  size_t bytes = fits ? fulgur_storage_bytes(dtype, size_t(elements)) : 0;
  if (!fits || bytes > PTRDIFF_MAX || (elements && !bytes))
    throw std::runtime_error("tensor '" + name +
                             "' has dims that are negative or too large");
  return bytes;
}

Tensor Tensor::zeros(std::string name, fulgur_dtype dtype,
                     std::vector<int64_t> dims) {
  size_t bytes = denseBytes(name, dtype, dims);
  return {std::move(name), dtype, std::move(dims), AlignedBytes(bytes)};
}

Tensor Tensor::strings(std::string name, std::vector<int64_t> dims,
                       const std::vector<std::string> &texts) {
  Tensor tensor = zeros(std::move(name), FULGUR_STRING, std::move(dims));
  if (tensor.elements() != int64_t(texts.size()))
    throw std::runtime_error(
        "tensor '" + tensor.name + "' has " + std::to_string(texts.size()) +
        " strings, but its dims need " + std::to_string(tensor.elements()));
  size_t bytes = 0, at = 0;
  for (const std::string &text : texts)
    bytes += text.size();
  tensor.text = AlignedBytes(bytes);
  char *start = reinterpret_cast<char *>(tensor.text.data());
  auto *strings = reinterpret_cast<fulgur_string *>(tensor.data.data());
  for (size_t i = 0; i < texts.size(); ++i) {
    texts[i].copy(start + at, texts[i].size());
    strings[i].data = start + at;
    strings[i].bytes = texts[i].size();
    at += texts[i].size();
  }
  return tensor;
}

Tensor Tensor::container(std::string name, fulgur_dtype dtype,
                         std::vector<Tensor> parts) {
  Tensor tensor = zeros(std::move(name), dtype, {int64_t(parts.size())});
  auto *views = reinterpret_cast<fulgur_tensor *>(tensor.data.data());
  for (size_t i = 0; i < parts.size(); ++i)
    views[i] = parts[i].view();
  tensor.parts = std::move(parts); // what the views point to stays in place
  return tensor;
}

Tensor Tensor::copy(std::string name, const fulgur_tensor &tensor) {
  std::vector<int64_t> dims(tensor.dims, tensor.dims + tensor.rank);
  Tensor result = zeros(name, tensor.dtype, std::move(dims));
  if (result.isContainer()) {
    auto *elements = static_cast<const fulgur_tensor *>(tensor.data);
    std::vector<Tensor> parts;
    for (int64_t i = 0; i < tensor.dims[0]; ++i)
      parts.push_back(copy(name + "[" + std::to_string(i) + "]", elements[i]));
    return container(std::move(name), tensor.dtype, std::move(parts));
  }
  if (tensor.dtype == FULGUR_STRING) {
    auto *elements = static_cast<const fulgur_string *>(tensor.data);
    std::vector<std::string> texts;
    for (int64_t i = 0; i < result.elements(); ++i)
      texts.emplace_back(elements[i].data ? elements[i].data : "",
                         elements[i].bytes);
    return strings(std::move(name), std::move(result.dims), texts);
  }
  if (result.data.size())
    std::memcpy(result.data.data(), tensor.data, result.data.size());
  return result;
}

std::string Tensor::string(int64_t i) const {
  const fulgur_string &element =
      reinterpret_cast<const fulgur_string *>(data.data())[i];
  return std::string(element.data ? element.data : "", element.bytes);
}

int64_t Tensor::elements() const {
  int64_t elements = 1;
  for (int64_t dim : dims)
    elements *= dim;
  return elements;
}

std::string Tensor::type() const {
  std::string text = fulgur_dtype_name(dtype);
  text += '[';
  for (size_t i = 0; i < dims.size(); ++i)
    text += (i ? "x" : "") + std::to_string(dims[i]);
  return text + ']';
}

fulgur_tensor Tensor::view() const {
  fulgur_tensor result = {
      data.data(), data.size(), dtype, int32_t(dims.size()), {}};
  std::ranges::copy(dims, result.dims);
  return result;
}

static float halfToFloat(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = half >> 10 & 31,
           fraction = half & 1023;
  if (exponent == 0) {
    float value = std::ldexp(float(fraction), -24);
    return sign ? -value : value;
  }
  uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

static uint16_t floatToHalf(float value) {
  uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  float size = std::fabs(value);
  if (std::isnan(size))
    return sign | 0x7e00;
  if (size >= 65520.0f)
    return sign | 0x7c00;
  if (size < 0x1p-14f) // subnormal: multiples of 2^-24
    return uint16_t(sign | int(std::nearbyint(std::ldexp(size, 24))));
  int exponent;
  float fraction = std::frexp(size, &exponent);             // in [0.5, 1)
  int bits = int(std::nearbyint(std::ldexp(fraction, 11))); // 1024..2048
  return uint16_t(sign | (((exponent + 13) << 10) + bits));
}

static uint16_t floatToBfloat(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return uint16_t(bits >> 16 | 64);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <typename T> static T load(const std::byte *data, int64_t i) {
  T value;
  std::memcpy(&value, data + i * int64_t(sizeof(T)), sizeof(T));
  return value;
}

template <typename T> static void store(std::byte *data, int64_t i, T value) {
  std::memcpy(data + i * int64_t(sizeof(T)), &value, sizeof(T));
}

/// Element `i` of numbers that are packed without gaps.
static unsigned loadBits(const std::byte *data, int64_t i, unsigned width) {
  unsigned bits = 0;
  for (unsigned k = 0; k < width; ++k) {
    int64_t at = i * width + k;
    bits |= (unsigned(data[at / 8]) >> (at % 8) & 1) << k;
  }
  return bits;
}

static void storeBits(std::byte *data, int64_t i, unsigned width,
                      unsigned bits) {
  for (unsigned k = 0; k < width; ++k) {
    int64_t at = i * width + k;
    std::byte mask = std::byte(1u << (at % 8));
    data[at / 8] = bits >> k & 1 ? data[at / 8] | mask : data[at / 8] & ~mask;
  }
}

double Tensor::number(int64_t i) const {
  const std::byte *p = data.data();
  if (unsigned width = narrowBits(dtype))
    return decodeNarrow(dtype, loadBits(p, i, width));
  switch (dtype) {
  case FULGUR_FLOAT32:
    return load<float>(p, i);
  case FULGUR_FLOAT64:
    return load<double>(p, i);
  case FULGUR_FLOAT16:
    return halfToFloat(load<uint16_t>(p, i));
  case FULGUR_BFLOAT16:
    return std::bit_cast<float>(uint32_t(load<uint16_t>(p, i)) << 16);
  case FULGUR_BOOL:
  case FULGUR_UINT8:
    return load<uint8_t>(p, i);
  case FULGUR_INT8:
    return load<int8_t>(p, i);
  case FULGUR_UINT16:
    return load<uint16_t>(p, i);
  case FULGUR_INT16:
    return load<int16_t>(p, i);
  case FULGUR_UINT32:
    return load<uint32_t>(p, i);
  case FULGUR_INT32:
    return load<int32_t>(p, i);
  case FULGUR_UINT64:
    return double(load<uint64_t>(p, i));
  case FULGUR_INT64:
    return double(load<int64_t>(p, i));
  default: // no numbers
    break;
  }
  return 0;
}

void Tensor::setNumber(int64_t i, double value) {
  std::byte *p = data.data();
  if (unsigned width = narrowBits(dtype))
    return storeBits(p, i, width, encodeNarrow(dtype, value));
  switch (dtype) {
  case FULGUR_FLOAT32:
    return store(p, i, float(value));
  case FULGUR_FLOAT64:
    return store(p, i, value);
  case FULGUR_FLOAT16:
    return store(p, i, floatToHalf(float(value)));
  case FULGUR_BFLOAT16:
    return store(p, i, floatToBfloat(float(value)));
  case FULGUR_BOOL:
    return store(p, i, uint8_t(value != 0));
  case FULGUR_UINT8:
  case FULGUR_INT8:
    return store(p, i, uint8_t(int64_t(value)));
  case FULGUR_UINT16:
  case FULGUR_INT16:
    return store(p, i, uint16_t(int64_t(value)));
  case FULGUR_UINT32:
  case FULGUR_INT32:
    return store(p, i, uint32_t(int64_t(value)));
  case FULGUR_UINT64:
  case FULGUR_INT64:
    return store(p, i, int64_t(value));
  default: // no numbers
    break;
  }
}
