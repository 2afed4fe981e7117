// Machine code of earlier compilations, found by the content that it was made
// from. A file is a checksum and what it covers: the key, the frames, the
// object.
#include "compiler/KernelCache.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/Support/CachePruning.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/xxhash.h"
#include <dlfcn.h>

using namespace llvm;
using namespace fulgur;

static constexpr StringLiteral magic = "FULGURK1";
static constexpr uint64_t largestFolder = uint64_t(2) << 30;

namespace {

/// Takes fields off the front; one that is not there whole makes all the
/// following ones empty.
struct FieldReader {
  StringRef left;
  bool ok = true;

  StringRef bytes(uint64_t count) {
    ok &= count <= left.size();
    if (!ok)
      return "";
    StringRef taken = left.take_front(count);
    left = left.drop_front(count);
    return taken;
  }
  uint64_t number() {
    StringRef taken = bytes(8);
    return ok ? support::endian::read64le(taken.data()) : 0;
  }
  StringRef text() { return bytes(number()); }
};

} // namespace

static void addNumber(std::string &to, uint64_t number) {
  char bytes[8];
  support::endian::write64le(bytes, number);
  to.append(bytes, sizeof bytes);
}

static void addText(std::string &to, StringRef text) {
  addNumber(to, text.size());
  to += text;
}

static std::string serialize(StringRef key, const UnitCode &code) {
  std::string content;
  addText(content, key);
  addNumber(content, code.frames.size());
  for (auto &[function, bytes] : code.frames) {
    addText(content, function);
    addNumber(content, bytes);
  }
  addText(content, StringRef(code.object.data(), code.object.size()));
  std::string file = magic.str();
  addNumber(file, xxh3_64bits(content));
  return file + content;
}

static std::optional<UnitCode> deserialize(StringRef key, StringRef file) {
  FieldReader fields{file};
  if (fields.bytes(magic.size()) != magic ||
      fields.number() != xxh3_64bits(fields.left) || fields.text() != key)
    return std::nullopt;
  UnitCode code;
  for (uint64_t left = fields.number(); left > 0 && fields.ok; --left) {
    std::string function = fields.text().str();
    code.frames[function] = fields.number();
  }
  StringRef object = fields.text();
  code.object.assign(object.begin(), object.end());
  if (!fields.ok)
    return std::nullopt;
  return code;
}

KernelCache::KernelCache(StringRef folder) : folder(folder.str()) {
  if (std::error_code reason = sys::fs::create_directories(folder))
    complain("cannot make folder '" + folder + "': " + reason.message());
}

void KernelCache::complain(const Twine &what) {
  std::lock_guard<std::mutex> lock(mutex);
  if (firstProblem.empty())
    firstProblem = what.str();
}

/// The names are such as LLVM's pruning of caches knows.
std::string KernelCache::pathOf(StringRef key) const {
  SmallString<128> path(folder);
  sys::path::append(path, "llvmcache-" + key);
  return std::string(path);
}

std::optional<UnitCode> KernelCache::find(StringRef key) {
  std::optional<UnitCode> code;
  if (auto file = MemoryBuffer::getFile(pathOf(key)))
    code = deserialize(key, (*file)->getBuffer());
  std::lock_guard<std::mutex> lock(mutex);
  ++numAsked;
  numFound += code.has_value();
  return code;
}

void KernelCache::keep(StringRef key, const UnitCode &code) {
  SmallString<128> pattern(folder);
  sys::path::append(pattern, "llvmcache-new-%%%%%%%%%%%%");
  auto failed = [&](const Twine &reason) {
    complain("cannot write into folder '" + folder + "': " + reason);
  };
  Expected<sys::fs::TempFile> file = sys::fs::TempFile::create(pattern);
  if (!file)
    return failed(toString(file.takeError()));
  raw_fd_ostream os(file->FD, /*shouldClose=*/false);
  os << serialize(key, code);
  os.flush();
  if (os.has_error()) {
    failed(os.error().message());
    os.clear_error();
    return consumeError(file->discard());
  }
  if (Error error = file->keep(pathOf(key)))
    failed(toString(std::move(error)));
}

void KernelCache::prune() {
  CachePruningPolicy policy;
  policy.MaxSizeBytes = largestFolder;
  pruneCache(folder, policy);
}

/// Size and date of the file that `address` was loaded from.
static std::string fileOf(void *address) {
  Dl_info where;
  sys::fs::file_status status;
  if (!dladdr(address, &where) || sys::fs::status(where.dli_fname, status))
    return "";
  return std::to_string(status.getSize()) + "@" +
         std::to_string(
             status.getLastModificationTime().time_since_epoch().count());
}

std::string fulgur::compilerIdentity() {
  // A function of ours and one of LLVM's: two files when LLVM is shared.
  return "LLVM " LLVM_VERSION_STRING " " +
         fileOf(reinterpret_cast<void *>(&compilerIdentity)) + " " +
         fileOf(reinterpret_cast<void *>(
             static_cast<uint64_t (*)(ArrayRef<uint8_t>)>(&xxh3_64bits)));
}

std::string fulgur::defaultCacheFolder() {
  SmallString<128> path;
  const char *xdg = std::getenv("XDG_CACHE_HOME");
  if (xdg && *xdg)
    path = xdg;
  else if (const char *home = std::getenv("HOME"))
    sys::path::append(path, home, ".cache");
  sys::path::append(path, "fulgur", "kernels");
  return std::string(path);
}
