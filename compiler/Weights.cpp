// The weights segment: all constants of the model, in the order and layout the
// kernels read them.
#include "compiler/Weights.h"
#include "compiler/Failure.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "runtime/Xxh64.h"
#include "runtime/fulgur.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"

using namespace mlir;
using namespace fulgur;

namespace {

/// Writes and hashes in one go, in pieces that stay in the cache between the
/// two.
class Sink {
public:
  explicit Sink(raw_ostream &os) : os(os) { fulgur_xxh64_init(&hash); }

  void write(ArrayRef<char> bytes) {
    for (; !bytes.empty();
         bytes = bytes.drop_front(std::min(bytes.size(), piece))) {
      ArrayRef<char> head = bytes.take_front(piece);
      fulgur_xxh64_update(&hash, head.data(), head.size());
      os.write(head.data(), head.size());
    }
  }

  void zeros(uint64_t count) {
    static constexpr char zero[4096] = {};
    for (; count > 0; count -= std::min<uint64_t>(count, sizeof zero))
      write(ArrayRef(zero, std::min<uint64_t>(count, sizeof zero)));
  }

  uint64_t position() const { return hash.bytes; }
  uint64_t digest() const { return fulgur_xxh64_digest(&hash); }

private:
  static constexpr size_t piece = 1 << 18;
  raw_ostream &os;
  fulgur_xxh64 hash;
};

} // namespace

/// Writes an inline constant, which may be a splat or hold packed booleans.
static void writeDense(DenseElementsAttr value, Sink &sink) {
  uint64_t count = value.getNumElements();
  if (value.getElementType().isInteger(1)) {
    SmallVector<char, 0> bytes;
    bytes.reserve(count);
    for (bool element : value.getValues<bool>())
      bytes.push_back(element);
    return sink.write(bytes);
  }
  if (!value.isSplat())
    return sink.write(value.getRawData());
  SmallVector<char, 0> repeated; // whole elements, some KiB at a time
  uint64_t width = value.getRawData().size(), left = count * width;
  while (repeated.size() < std::min<uint64_t>(left, 4096))
    llvm::append_range(repeated, value.getRawData());
  for (; left > 0; left -= std::min<uint64_t>(left, repeated.size()))
    sink.write(ArrayRef(repeated).take_front(
        std::min<uint64_t>(left, repeated.size())));
}

llvm::Expected<uint64_t> fulgur::writeSegment(const ModelInfo &info,
                                              raw_ostream &os) {
  Sink sink(os);
  for (const ModelInfo::Weight &weight : info.weights) {
    sink.zeros(weight.offset - sink.position());
    if (auto dense = dyn_cast<DenseElementsAttr>(weight.value)) {
      writeDense(dense, sink);
      continue;
    }
    auto resource = cast<DenseResourceElementsAttr>(weight.value);
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    uint64_t wanted =
        resource.getNumElements() *
        llvm::divideCeil(resource.getElementType().getIntOrFloatBitWidth(), 8);
    if (!blob || blob->getData().size() != wanted)
      return fail(ExitCode::internal,
                  "internal error: weight '" +
                      resource.getRawHandle().getKey() + "' has " +
                      Twine(blob ? blob->getData().size() : 0) +
                      " bytes of data, not " + Twine(wanted));
    sink.write(blob->getData());
  }
  sink.zeros(info.weightsBytes - sink.position());
  return sink.digest();
}

llvm::Expected<uint64_t> fulgur::writeWeightsFile(const ModelInfo &info,
                                                  StringRef path) {
  std::error_code reason;
  llvm::raw_fd_ostream os(path, reason);
  if (reason)
    return failFile("write", path, reason);
  static_assert(sizeof(fulgur_weights_header) <= FULGUR_WEIGHTS_HEADER_BYTES);
  os.write_zeros(FULGUR_WEIGHTS_HEADER_BYTES);
  llvm::Expected<uint64_t> hash = writeSegment(info, os);
  if (!hash)
    return hash.takeError();

  using namespace llvm::support::endian;
  char header[FULGUR_WEIGHTS_HEADER_BYTES] = {};
  memcpy(header, FULGUR_WEIGHTS_MAGIC, sizeof(fulgur_weights_header::magic));
  write32le(header + offsetof(fulgur_weights_header, version),
            FULGUR_WEIGHTS_VERSION);
  write32le(header + offsetof(fulgur_weights_header, header_bytes),
            FULGUR_WEIGHTS_HEADER_BYTES);
  write64le(header + offsetof(fulgur_weights_header, payload_bytes),
            info.weightsBytes);
  write64le(header + offsetof(fulgur_weights_header, hash), *hash);
  os.pwrite(header, sizeof header, 0);
  os.close();
  if (os.has_error()) {
    reason = os.error();
    os.clear_error();
    return failFile("write", path, reason);
  }
  return hash;
}
