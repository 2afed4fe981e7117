// Any bytes as a weights file: mapped only when they are the model's.
#include "runtime/Xxh64.h"
#include "runtime/fulgur.h"
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>

/// The input: how many bytes the model wants, whether the header is filled up
/// to its size, the header's first bytes, and what follows the header. The
/// model's hash is that of so many bytes from the end of the file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2)
    return 0;
  static int file = memfd_create("weights", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  size_t wanted = data[0];
  std::string content(reinterpret_cast<const char *>(data) + 2, size - 2);
  if (size_t head = sizeof(fulgur_weights_header);
      (data[1] & 1) && content.size() >= head)
    content.insert(head, FULGUR_WEIGHTS_HEADER_BYTES - head, '\0');
  if (ftruncate(file, off_t(content.size())) != 0 ||
      pwrite(file, content.data(), content.size(), 0) !=
          ssize_t(content.size()))
    std::abort();

  fulgur_model model = {};
  model.abi_version = FULGUR_ABI_VERSION;
  model.struct_bytes = sizeof model;
  model.name = "fuzz";
  model.weights_bytes = wanted;
  const char *segment =
      content.data() + content.size() - std::min(wanted, content.size());
  fulgur_xxh64 hash;
  fulgur_xxh64_init(&hash);
  if (content.size() >= wanted)
    fulgur_xxh64_update(&hash, segment, wanted);
  model.weights_hash = fulgur_xxh64_digest(&hash);

  const void *weights = nullptr;
  size_t bytes = 0;
  if (fulgur_weights_map(&model, path.c_str(), 1, &weights, &bytes) !=
      FULGUR_OK)
    return *fulgur_last_message() ? 0 : (std::abort(), 0);
  if (bytes != wanted || std::memcmp(weights, segment, wanted) != 0)
    std::abort();
  fulgur_weights_unmap(weights, bytes);
  return 0;
}
