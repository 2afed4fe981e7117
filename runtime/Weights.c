// Weights files: mapped read-only, so that processes share them and pages are
// read when first used. fulgur.h describes the format.
#define _POSIX_C_SOURCE 200809L
#include "Status.h"
#include "Xxh64.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(fulgur_weights_header) == 64, "the file format's header");

/// Is the mapped file at `base` the weights of `model`?
static fulgur_status check(const fulgur_model *model, const char *path,
                           const char *base, uint64_t bytes, int verify) {
  fulgur_weights_header header;
  memcpy(&header, base, sizeof header);
  if (memcmp(header.magic, FULGUR_WEIGHTS_MAGIC, sizeof header.magic) != 0)
    return fulgur__fail(FULGUR_INVALID_WEIGHTS,
                        "'%s' is not a weights file: it does not begin with %s",
                        path, FULGUR_WEIGHTS_MAGIC);
  if (header.version != FULGUR_WEIGHTS_VERSION ||
      header.header_bytes != FULGUR_WEIGHTS_HEADER_BYTES)
    return fulgur__fail(
        FULGUR_INVALID_WEIGHTS,
        "'%s' has version %u with a header of %u bytes, but this runtime reads "
        "version %u with %u bytes",
        path, (unsigned)header.version, (unsigned)header.header_bytes,
        FULGUR_WEIGHTS_VERSION, FULGUR_WEIGHTS_HEADER_BYTES);
  if (header.payload_bytes != model->weights_bytes ||
      header.hash != model->weights_hash)
    return fulgur__fail(
        FULGUR_INVALID_WEIGHTS,
        "'%s' holds %llu bytes of weights with hash %016llx, but model '%s' "
        "has %llu bytes with hash %016llx",
        path, (unsigned long long)header.payload_bytes,
        (unsigned long long)header.hash, model->name,
        (unsigned long long)model->weights_bytes,
        (unsigned long long)model->weights_hash);
  if (bytes - FULGUR_WEIGHTS_HEADER_BYTES != header.payload_bytes)
    return fulgur__fail(FULGUR_INVALID_WEIGHTS,
                        "'%s' is damaged: %llu bytes of weights follow its "
                        "header, which promises %llu",
                        path,
                        (unsigned long long)bytes - FULGUR_WEIGHTS_HEADER_BYTES,
                        (unsigned long long)header.payload_bytes);
  if (!verify)
    return FULGUR_OK;
  fulgur_xxh64 hash;
  fulgur_xxh64_init(&hash);
  fulgur_xxh64_update(&hash, base + FULGUR_WEIGHTS_HEADER_BYTES,
                      (size_t)header.payload_bytes);
  uint64_t digest = fulgur_xxh64_digest(&hash);
  if (digest != header.hash)
    return fulgur__fail(
        FULGUR_INVALID_WEIGHTS,
        "'%s' is damaged: its weights hash to %016llx instead of %016llx", path,
        (unsigned long long)digest, (unsigned long long)header.hash);
  return FULGUR_OK;
}

fulgur_status fulgur_weights_map(const fulgur_model *model, const char *path,
                                 int verify, const void **weights,
                                 size_t *weights_bytes) {
  if (!model || !path || !weights || !weights_bytes)
    return fulgur__fail(FULGUR_INVALID_ARGUMENT,
                        "fulgur_weights_map: '%s' is null",
                        !model     ? "model"
                        : !path    ? "path"
                        : !weights ? "weights"
                                   : "weights_bytes");
  if (model->abi_version != FULGUR_ABI_VERSION ||
      model->struct_bytes < sizeof(fulgur_model))
    return fulgur__fail(FULGUR_VERSION_MISMATCH,
                        "the model has ABI version %u, but this runtime has %u",
                        (unsigned)model->abi_version, FULGUR_ABI_VERSION);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return fulgur__fail(FULGUR_INVALID_WEIGHTS, "cannot open '%s': %s", path,
                        strerror(errno));
  struct stat info;
  if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode) ||
      info.st_size < (off_t)FULGUR_WEIGHTS_HEADER_BYTES ||
      (uint64_t)info.st_size > SIZE_MAX) {
    close(file);
    return fulgur__fail(FULGUR_INVALID_WEIGHTS,
                        "'%s' is not a weights file: it is no regular file of "
                        "at least %u bytes",
                        path, FULGUR_WEIGHTS_HEADER_BYTES);
  }
  size_t bytes = (size_t)info.st_size;
  char *base = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
  int error = errno;
  close(file);
  if (base == MAP_FAILED)
    return fulgur__fail(FULGUR_INVALID_WEIGHTS, "cannot map '%s': %s", path,
                        strerror(error));
  fulgur_status status = check(model, path, base, bytes, verify);
  if (status != FULGUR_OK) {
    munmap(base, bytes);
    return status;
  }
  *weights = base + FULGUR_WEIGHTS_HEADER_BYTES;
  *weights_bytes = bytes - FULGUR_WEIGHTS_HEADER_BYTES;
  return FULGUR_OK;
}

void fulgur_weights_unmap(const void *weights, size_t weights_bytes) {
  if (weights)
    munmap((char *)weights - FULGUR_WEIGHTS_HEADER_BYTES,
           weights_bytes + FULGUR_WEIGHTS_HEADER_BYTES);
}
