// Tensors that own their data, for the tools that run models.
#ifndef FULGUR_TOOLS_TENSOR_H
#define FULGUR_TOOLS_TENSOR_H

#include "fulgur.h"

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

/// Zero-initialised bytes at an address that suits arenas and tensors.
class AlignedBytes {
public:
  AlignedBytes() = default;
  /// Throws std::bad_alloc.
  explicit AlignedBytes(size_t bytes);
  std::byte *data() const { return memory.get(); }
  size_t size() const { return bytes; }
  /// Counts the first `size` bytes only, or all again; at most what was
  /// allocated.
  void resize(size_t size) { bytes = size; }

private:
  struct Free {
    void operator()(std::byte *p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> memory;
  size_t bytes = 0;
};

/// Bytes of a dense tensor; `name` is for the message. Throws
/// std::runtime_error when the type is unknown, or the dims are negative, too
/// many or too large.
size_t denseBytes(const std::string &name, fulgur_dtype dtype,
                  const std::vector<int64_t> &dims);

/// A dense row-major tensor; or a sequence, optional or map, whose dims are the
/// number of its elements.
struct Tensor {
  std::string name;
  fulgur_dtype dtype = FULGUR_FLOAT32;
  std::vector<int64_t> dims;
  AlignedBytes data; ///< of strings fulgur_string, which point into `text`; of
                     ///< sequences fulgur_tensor, the views of `parts`
  AlignedBytes text = {};
  std::vector<Tensor> parts = {};

  /// Allocates zeros. Throws as denseBytes() does.
  static Tensor zeros(std::string name, fulgur_dtype dtype,
                      std::vector<int64_t> dims);

  /// As many strings as the dims say. Throws as denseBytes() does.
  static Tensor strings(std::string name, std::vector<int64_t> dims,
                        const std::vector<std::string> &texts);
  /// A sequence, optional or map of `parts`.
  static Tensor container(std::string name, fulgur_dtype dtype,
                          std::vector<Tensor> parts);
  /// A copy of what the runtime made, with all that is in it.
  static Tensor copy(std::string name, const fulgur_tensor &tensor);

  bool isContainer() const {
    return dtype == FULGUR_SEQUENCE || dtype == FULGUR_OPTIONAL ||
           dtype == FULGUR_MAP;
  }
  int64_t elements() const;
  /// Element `i` of a tensor of strings.
  std::string string(int64_t i) const;
  /// Element `i` as a number; 64-bit integers are rounded.
  double number(int64_t i) const;
  /// Sets element `i`, rounding to its type.
  void setNumber(int64_t i, double value);
  /// "float32[1x12x64]".
  std::string type() const;
  /// What the runtime takes. Points into this tensor.
  fulgur_tensor view() const;
};

/// Is it one of the floating-point types?
bool isFloat(fulgur_dtype dtype);

#endif // FULGUR_TOOLS_TENSOR_H
