// Weights files: mapped read-only, so that processes share them and pages are
// read when first used, or loaded into huge pages. fulgur.h describes the
// format.
#define _DEFAULT_SOURCE // MAP_ANONYMOUS, MADV_HUGEPAGE
#include "Status.h"
#include "Xxh64.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(fulgur_weights_header) == 64, "the file format's header");

/// Of the huge pages that processors and systems have, the usual ones.
#define HUGE_PAGE ((size_t)2 << 20)

/// Is a file of `bytes` bytes that begins with `header` the weights of `model`?
static fulgur_status check(const fulgur_model *model, const char *path,
                           fulgur_weights_header header, uint64_t bytes) {
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
  return FULGUR_OK;
}

/// Is the segment at `payload`, of the file at `path`, the one that the model
/// was compiled with?
static fulgur_status check_hash(const fulgur_model *model, const char *path,
                                const char *payload) {
  fulgur_xxh64 hash;
  fulgur_xxh64_init(&hash);
  fulgur_xxh64_update(&hash, payload, (size_t)model->weights_bytes);
  uint64_t digest = fulgur_xxh64_digest(&hash);
  if (digest != model->weights_hash)
    return fulgur__fail(
        FULGUR_INVALID_WEIGHTS,
        "'%s' is damaged: its weights hash to %016llx instead of %016llx", path,
        (unsigned long long)digest, (unsigned long long)model->weights_hash);
  return FULGUR_OK;
}

/// Reads up to `bytes` bytes and returns how many there were.
static size_t read_all(int file, char *to, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    ssize_t got = read(file, to + done, bytes - done);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      break;
    done += (size_t)got;
  }
  return done;
}

/// Opens the weights file of `model`, checks its header and leaves the file at
/// the start of the segment.
static fulgur_status open_file(const char *caller, const fulgur_model *model,
                               const char *path, const void **weights,
                               size_t *weights_bytes, int *file) {
  if (!model || !path || !weights || !weights_bytes)
    return fulgur__fail(FULGUR_INVALID_ARGUMENT, "%s: '%s' is null", caller,
                        !model     ? "model"
                        : !path    ? "path"
                        : !weights ? "weights"
                                   : "weights_bytes");
  if (model->abi_version != FULGUR_ABI_VERSION ||
      model->struct_bytes < sizeof(fulgur_model))
    return fulgur__fail(FULGUR_VERSION_MISMATCH,
                        "the model has ABI version %u, but this runtime has %u",
                        (unsigned)model->abi_version, FULGUR_ABI_VERSION);
  *file = open(path, O_RDONLY | O_CLOEXEC);
  if (*file < 0)
    return fulgur__fail(FULGUR_INVALID_WEIGHTS, "cannot open '%s': %s", path,
                        strerror(errno));
  struct stat info;
  fulgur_weights_header header;
  fulgur_status status = FULGUR_OK;
  if (fstat(*file, &info) != 0 || !S_ISREG(info.st_mode) ||
      info.st_size < (off_t)FULGUR_WEIGHTS_HEADER_BYTES ||
      (uint64_t)info.st_size > SIZE_MAX - HUGE_PAGE ||
      read_all(*file, (char *)&header, sizeof header) != sizeof header ||
      lseek(*file, FULGUR_WEIGHTS_HEADER_BYTES, SEEK_SET) < 0)
    status = fulgur__fail(FULGUR_INVALID_WEIGHTS,
                          "'%s' is not a weights file: it is no regular file "
                          "of at least %u bytes",
                          path, FULGUR_WEIGHTS_HEADER_BYTES);
  else
    status = check(model, path, header, (uint64_t)info.st_size);
  if (status != FULGUR_OK)
    close(*file);
  return status;
}

/// Gives the caller what fulgur_context wants of the weights whose header page
/// is at `base`; with `verify`, only when their hash is right.
static fulgur_status give(const fulgur_model *model, const char *path,
                          int verify, char *base, const void **weights,
                          size_t *weights_bytes) {
  const char *payload = base + FULGUR_WEIGHTS_HEADER_BYTES;
  size_t bytes = (size_t)model->weights_bytes;
  fulgur_status status = verify ? check_hash(model, path, payload) : FULGUR_OK;
  if (status != FULGUR_OK) {
    fulgur_weights_unmap(payload, bytes);
    return status;
  }
  *weights = payload;
  *weights_bytes = bytes;
  return FULGUR_OK;
}

fulgur_status fulgur_weights_map(const fulgur_model *model, const char *path,
                                 int verify, const void **weights,
                                 size_t *weights_bytes) {
  int file = -1;
  fulgur_status status = open_file("fulgur_weights_map", model, path, weights,
                                   weights_bytes, &file);
  if (status != FULGUR_OK)
    return status;
  char *base = mmap(NULL, FULGUR_WEIGHTS_HEADER_BYTES + model->weights_bytes,
                    PROT_READ, MAP_PRIVATE, file, 0);
  int error = errno;
  close(file);
  if (base == MAP_FAILED)
    return fulgur__fail(FULGUR_INVALID_WEIGHTS, "cannot map '%s': %s", path,
                        strerror(error));
  return give(model, path, verify, base, weights, weights_bytes);
}

/// Private zeros at a place whose second page, where the segment goes, begins a
/// huge page; MAP_FAILED when there is no room.
static char *allocate(size_t bytes) {
  size_t whole = bytes + HUGE_PAGE;
  char *room = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED)
    return room;
  size_t skipped =
      (HUGE_PAGE - ((uintptr_t)room + FULGUR_WEIGHTS_HEADER_BYTES)) % HUGE_PAGE;
  char *base = room + skipped, *end = base + (bytes + 4095) / 4096 * 4096;
  if (skipped)
    munmap(room, skipped);
  if (room + whole > end)
    munmap(end, (size_t)(room + whole - end));
#ifdef MADV_HUGEPAGE
  madvise(base, bytes, MADV_HUGEPAGE); // where the system has none: small ones
#endif
  return base;
}

fulgur_status fulgur_weights_load(const fulgur_model *model, const char *path,
                                  int verify, const void **weights,
                                  size_t *weights_bytes) {
  int file = -1;
  fulgur_status status = open_file("fulgur_weights_load", model, path, weights,
                                   weights_bytes, &file);
  if (status != FULGUR_OK)
    return status;
  size_t bytes = FULGUR_WEIGHTS_HEADER_BYTES + (size_t)model->weights_bytes;
  char *base = allocate(bytes);
  if (base == MAP_FAILED) {
    close(file);
    return fulgur__fail(FULGUR_OUT_OF_MEMORY,
                        "no memory for the %llu bytes of weights in '%s'",
                        (unsigned long long)model->weights_bytes, path);
  }
  size_t got = read_all(file, base + FULGUR_WEIGHTS_HEADER_BYTES,
                        (size_t)model->weights_bytes);
  close(file);
  if (got != model->weights_bytes) {
    munmap(base, bytes);
    return fulgur__fail(FULGUR_INVALID_WEIGHTS,
                        "cannot read '%s' beyond %llu bytes of weights", path,
                        (unsigned long long)got);
  }
  mprotect(base, bytes, PROT_READ); // as a mapped file: nobody writes them
  return give(model, path, verify, base, weights, weights_bytes);
}

void fulgur_weights_unmap(const void *weights, size_t weights_bytes) {
  if (weights)
    munmap((char *)weights - FULGUR_WEIGHTS_HEADER_BYTES,
           weights_bytes + FULGUR_WEIGHTS_HEADER_BYTES);
}
