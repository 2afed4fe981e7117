// External data is where a model can reach for other people's files. A location
// is a plain path downwards from the model's folder: no "..", no links of
// either kind, nothing but regular files; the kernel resolves it under these
// rules in one step, so that nobody can swap a part of the path in between, and
// nothing is opened for reading before it is known to be harmless.
#include "frontends/onnx/ExternalData.h"
#include "frontends/onnx/Problem.h"
#include "frontends/onnx/Wire.h"
#include "onnx/onnx_pb.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace llvm;

namespace fulgur::onnx {
namespace {

/// The same rules for kernels before 5.6 and for sandboxes that do not know
/// openat2: one component at a time.
int openByComponents(int folder, StringRef path, int flags) {
  SmallVector<StringRef> parts;
  path.split(parts, '/', -1, /*KeepEmpty=*/false);
  int at = dup(folder);
  for (auto [i, part] : enumerate(parts)) {
    bool last = i + 1 == parts.size();
    int next = at < 0
                   ? -1
                   : openat(at, part.str().c_str(),
                            (last ? flags : O_PATH | O_DIRECTORY | O_CLOEXEC) |
                                O_NOFOLLOW);
    int error = errno;
    if (at >= 0)
      close(at);
    errno = error;
    at = next;
  }
  return at;
}

int openBeneath(int folder, const std::string &path, int flags) {
  open_how how = {};
  how.flags = flags | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int descriptor = syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how);
  if (descriptor < 0 && (errno == ENOSYS || errno == EPERM))
    return openByComponents(folder, path, flags | O_CLOEXEC);
  return descriptor;
}

/// Why the path itself is not one we follow; empty when it is.
StringRef objection(StringRef path) {
  if (path.empty())
    return "it is empty";
  if (path.contains('\0'))
    return "it has a zero byte in it";
  if (path.front() == '/')
    return "it is absolute";
  for (auto part = sys::path::begin(path), end = sys::path::end(path);
       part != end; ++part)
    if (*part == "..")
      return "it contains '..'";
  return "";
}

StringRef objection(const struct stat &file) {
  if (S_ISLNK(file.st_mode))
    return "it is a symbolic link";
  if (!S_ISREG(file.st_mode))
    return "it is not a regular file";
  if (file.st_nlink != 1)
    return "it has several hard links";
  return "";
}

/// Offset, length and location as the file gives them.
struct Place {
  std::string location;
  uint64_t offset = 0;
  std::optional<uint64_t> length;
};

Place placeOf(const ::onnx::TensorProto &tensor, const Twine &who,
              const ::onnx::NodeProto *node) {
  Place place;
  SmallVector<StringRef> seen;
  for (const ::onnx::StringStringEntryProto &entry : tensor.external_data()) {
    StringRef key = entry.key(), value = entry.value();
    if (key != "location" && key != "offset" && key != "length")
      continue; // a checksum, or something of a later version
    if (is_contained(seen, key))
      refuse(ImportStatus::invalidModel,
             "external data of " + who + " gives " + key + " twice", node);
    seen.push_back(key);
    uint64_t number = 0;
    if (key == "location")
      place.location = value.str();
    else if (value.getAsInteger(10, number))
      refuse(ImportStatus::invalidModel,
             "external data of " + who + " has " + key + " '" +
                 printable(value) + "', which is not a number of bytes",
             node);
    else if (key == "offset")
      place.offset = number;
    else
      place.length = number;
  }
  return place;
}

} // namespace

WeightFiles::WeightFiles(StringRef modelPath, uint64_t maxBytes)
    : folder(sys::path::parent_path(modelPath)), bytesLeft(maxBytes) {
  sys::fs::file_status status;
  if (std::error_code error = sys::fs::status(modelPath, status))
    refuse(ImportStatus::invalidModel,
           "cannot be read: " + StringRef(error.message()).lower());
  if (status.type() != sys::fs::file_type::regular_file)
    refuse(ImportStatus::invalidModel, "is not a regular file");
  if (status.getSize() == 0)
    refuse(ImportStatus::invalidModel, "is empty; download or export it again");
  if (status.getSize() > maxBytes)
    refuse(ImportStatus::resourceLimit, "has " + Twine(status.getSize()) +
                                            " bytes, more than the limit of " +
                                            Twine(maxBytes));
  ErrorOr<std::unique_ptr<MemoryBuffer>> file = MemoryBuffer::getFile(
      modelPath, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!file)
    refuse(ImportStatus::invalidModel,
           "cannot be read: " + StringRef(file.getError().message()).lower());
  bytesLeft -= std::min<uint64_t>(bytesLeft, (*file)->getBufferSize());
  files.push_back(std::move(*file));
}

WeightFiles::~WeightFiles() {
  if (folderDescriptor >= 0)
    close(folderDescriptor);
}

StringRef WeightFiles::external(const std::string &location, const Twine &who,
                                const ::onnx::NodeProto *node) {
  if (auto known = byLocation.find(location); known != byLocation.end())
    return known->second;
  auto no = [&](const Twine &why,
                ImportStatus status = ImportStatus::invalidModel) {
    refuse(status,
           "external data of " + who + " at '" + printable(location) +
               "' is refused: " + why +
               "; it must be a regular file inside the model's folder, without "
               "links",
           node);
  };
  if (StringRef why = objection(location); !why.empty())
    no(why);
  if (folderDescriptor < 0)
    folderDescriptor = open(folder.empty() ? "." : folder.c_str(),
                            O_PATH | O_DIRECTORY | O_CLOEXEC);

  // O_PATH only names the file: a device or a pipe does not notice. The second
  // descriptor must be the same file again.
  struct stat named, opened;
  int path = openBeneath(folderDescriptor, location, O_PATH);
  int error = errno;
  scope_exit closePath([&] { path >= 0 ? close(path) : 0; });
  if (path < 0 || fstat(path, &named) != 0)
    no(error == ELOOP || error == EXDEV
           ? std::string("there is a symbolic link in its path")
           : StringRef(std::strerror(error)).lower());
  if (StringRef why = objection(named); !why.empty())
    no(why);
  int file =
      openBeneath(folderDescriptor, location, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  error = errno;
  scope_exit closeFile([&] { file >= 0 ? close(file) : 0; });
  if (file < 0)
    no(StringRef(std::strerror(error)).lower());
  if (fstat(file, &opened) != 0 || opened.st_dev != named.st_dev ||
      opened.st_ino != named.st_ino || !objection(opened).empty())
    no("it changed while it was opened");
  if (uint64_t(opened.st_size) > bytesLeft)
    no("its " + Twine(uint64_t(opened.st_size)) +
           " bytes take the model over the limit on its size",
       ImportStatus::resourceLimit);
  bytesLeft -= opened.st_size;

  ErrorOr<std::unique_ptr<MemoryBuffer>> buffer = MemoryBuffer::getOpenFile(
      file, location, opened.st_size, /*RequiresNullTerminator=*/false);
  if (!buffer)
    no(StringRef(buffer.getError().message()).lower());
  files.push_back(std::move(*buffer));
  return byLocation[location] = files.back()->getBuffer();
}

void WeightFiles::settle(::onnx::TensorProto &tensor, uint64_t size,
                         const ::onnx::NodeProto *node) {
  std::string who = "tensor '" + printable(tensor.name()) + "'";
  // Settled before, or a file that pretends to be: either way these are bytes
  // of this model, if they are as many as needed.
  if (ArrayRef<char> known = bytes(tensor);
      !known.empty() && known.size() == size)
    return;
  Place place = placeOf(tensor, who, node);
  StringRef file = place.location == thisFile
                       ? modelFile()
                       : external(place.location, who, node);
  if (place.length && *place.length != size)
    refuse(ImportStatus::invalidModel,
           "data of " + who + " has " + Twine(*place.length) +
               " bytes, but its type and dims ask for " + Twine(size),
           node);
  if (place.offset > file.size() || size > file.size() - place.offset)
    refuse(ImportStatus::invalidModel,
           "data of " + who + " (" + Twine(size) + " bytes at offset " +
               Twine(place.offset) + ") ends behind the end of its file of " +
               Twine(file.size()) +
               " bytes; the file is truncated, or belongs to another model",
           node);
  tensor.clear_external_data();
  ::onnx::StringStringEntryProto *entry = tensor.add_external_data();
  entry->set_key("location");
  entry->set_value(
      thisFile +
      std::to_string(settled.size())); // the checker takes '#' for data that is
                                       // already in memory
  settled.push_back(ArrayRef(file.data() + place.offset, size));
}

ArrayRef<char> WeightFiles::bytes(const ::onnx::TensorProto &tensor) const {
  if (tensor.data_location() != ::onnx::TensorProto::EXTERNAL)
    return ArrayRef(tensor.raw_data().data(), tensor.raw_data().size());
  if (tensor.external_data_size() != 1)
    return {};
  StringRef place = tensor.external_data(0).value();
  size_t index;
  return place.consume_front(thisFile) && !place.getAsInteger(10, index) &&
                 index < settled.size()
             ? settled[index]
             : ArrayRef<char>();
}

} // namespace fulgur::onnx
