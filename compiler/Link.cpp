// The linker's work: merging objects, and the files that other tools link: m.a
// and m.so.
#include "compiler/Link.h"
#include "compiler/Failure.h"
#include "compiler/Outputs.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/TargetParser/Host.h"
#include <sys/resource.h>

using namespace llvm;
using namespace fulgur;

static std::string findProgram(ArrayRef<StringRef> names) {
  for (StringRef name : names)
    if (ErrorOr<std::string> found = sys::findProgramByName(name))
      return *found;
  return {};
}

std::string fulgur::findLinker(StringRef wanted) {
  if (!wanted.empty())
    return findProgram({wanted});
  return findProgram({"ld.lld-22", "ld.lld", "ld"});
}

/// A file that is gone when this object is.
static Expected<FileRemover> temporaryFile(StringRef suffix,
                                           SmallVectorImpl<char> &path) {
  if (std::error_code reason =
          sys::fs::createTemporaryFile("fulgurc", suffix, path))
    return failFile("make", "temporary file", reason);
  return FileRemover(Twine(StringRef(path.data(), path.size())));
}

/// Closes a file that was written; what went wrong on the way is said now.
static Error closeFile(raw_fd_ostream &os, StringRef path) {
  os.close();
  if (!os.has_error())
    return Error::success();
  std::error_code reason = os.error();
  os.clear_error();
  return failFile("write", path, reason);
}

/// Runs `program`; when it fails, the first line that it printed is the reason.
static Error runProgram(StringRef program, ArrayRef<std::string> arguments) {
  SmallString<128> log;
  Expected<FileRemover> remover = temporaryFile("log", log);
  if (!remover)
    return remover.takeError();
  SmallVector<StringRef> words{program};
  llvm::append_range(words, arguments);
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(log),
                                          StringRef(log)};
  std::string reason;
  rlimit limit{}, lifted{};
  getrlimit(RLIMIT_DATA, &limit); // --max-memory is about this compiler
  lifted = {limit.rlim_max, limit.rlim_max};
  setrlimit(RLIMIT_DATA, &lifted);
  scope_exit restore([&] { setrlimit(RLIMIT_DATA, &limit); });
  int status =
      sys::ExecuteAndWait(program, words, std::nullopt, redirects,
                          /*SecondsToWait=*/0, /*MemoryLimit=*/0, &reason);
  if (status == 0)
    return Error::success();
  if (auto output = MemoryBuffer::getFile(log); reason.empty() && output)
    reason = (*output)->getBuffer().trim().split('\n').first.str();
  return fail(ExitCode::model, "'" + program + "' failed with status " +
                                   Twine(status) + ": " + reason);
}

Expected<ObjectBytes> fulgur::mergeObjects(ArrayRef<ObjectBytes> objects,
                                           StringRef linker) {
  // The names of these files must not reach the result, so that it is the same
  // each time.
  SmallString<128> folder;
  if (std::error_code reason =
          sys::fs::createUniqueDirectory("fulgurc", folder))
    return failFile("make", "temporary folder", reason);
  scope_exit remove([&] { sys::fs::remove_directories(folder); });
  std::string merged = (folder + "/merged.o").str();
  std::vector<std::string> arguments{"-r", "-o", merged};
  for (auto [i, object] : enumerate(objects)) {
    arguments.push_back((folder + "/" + Twine(i) + ".o").str());
    if (Error error = writeFile(arguments.back(), [&](raw_ostream &os) {
          os << StringRef(object.data(), object.size());
        }))
      return std::move(error);
  }
  if (Error error = runProgram(linker, arguments))
    return std::move(error);
  auto buffer = MemoryBuffer::getFile(merged);
  if (!buffer)
    return failFile("read", merged, buffer.getError());
  StringRef content = (*buffer)->getBuffer();
  return ObjectBytes(content.begin(), content.end());
}

/// The 60-byte header of an archive's member. Dates, owners and modes are
/// fixed: same input, same bytes.
static std::string memberHeader(StringRef name, uint64_t size) {
  std::string header;
  raw_string_ostream os(header);
  os << left_justify(name, 16) << left_justify("0", 12) << left_justify("0", 6)
     << left_justify("0", 6) << left_justify("644", 8)
     << left_justify(std::to_string(size), 10) << "`\n";
  return header;
}

Error fulgur::writeArchive(StringRef path, StringRef object, StringRef member,
                           ArrayRef<std::string> symbols) {
  uint64_t objectBytes;
  if (std::error_code reason = sys::fs::file_size(object, objectBytes))
    return failFile("read", object, reason);
  if (objectBytes > 9'999'999'999) // ten decimal digits are the format's limit
    return fail(ExitCode::resourceLimit,
                "a member of " + Twine(objectBytes) +
                    " bytes does not fit an archive; use --weights=file");

  // The first member is the index: how many symbols, where the member of each
  // starts, and their names.
  std::string names;
  for (const std::string &symbol : symbols)
    names += symbol + '\0';
  std::string longName = member.size() > 15 ? (member + "/\n").str() : "";
  if (longName.size() % 2)
    longName += '\n';
  std::string index(4 + 4 * symbols.size(), '\0');
  index += names;
  if (index.size() % 2)
    index += '\0';
  uint32_t start =
      8 + 60 + index.size() + (longName.empty() ? 0 : 60 + longName.size());
  support::endian::write32be(index.data(), symbols.size());
  for (size_t i = 0; i < symbols.size(); ++i)
    support::endian::write32be(index.data() + 4 + 4 * i, start);

  std::string head = "!<arch>\n" + memberHeader("/", index.size()) + index;
  if (!longName.empty())
    head += memberHeader("//", longName.size()) + longName;
  head +=
      memberHeader(longName.empty() ? (member + "/").str() : "/0", objectBytes);

  std::error_code reason;
  raw_fd_ostream os(path, reason);
  if (reason)
    return failFile("write", path, reason);
  os << head;
  auto in = sys::fs::openNativeFileForRead(object);
  if (!in)
    return failFile("read", object, errorToErrorCode(in.takeError()));
  scope_exit close([&] { sys::fs::closeFile(*in); });
  std::vector<char> piece(1 << 20);
  for (uint64_t left = objectBytes; left > 0;) {
    Expected<size_t> count = sys::fs::readNativeFile(*in, piece);
    if (!count)
      return failFile("read", object, errorToErrorCode(count.takeError()));
    if (*count == 0)
      return fail(ExitCode::model,
                  "'" + object + "' became shorter while it was read");
    os.write(piece.data(), *count);
    left -= *count;
  }
  if (objectBytes % 2)
    os << '\n';
  return closeFile(os, path);
}

Error fulgur::linkShared(const SharedLibrary &library,
                         const CpuTarget &target) {
  bool native =
      target.triple.getArch() == Triple(sys::getProcessTriple()).getArch();
  std::string linker = library.linker;
  if (linker.empty() && native)
    linker = findProgram({"cc", "clang-22", "clang", "gcc"});
  if (linker.empty())
    linker = findProgram({"ld.lld-22", "ld.lld"});
  else if (!sys::path::is_absolute(linker))
    linker = findProgram({linker});
  if (linker.empty())
    return fail(
        ExitCode::model,
        library.linker.empty()
            ? "cannot make a shared library: found neither cc nor ld.lld; "
              "install one, name one with --linker, or use --emit without 'so'"
            : "cannot make a shared library: there is no program '" +
                  library.linker +
                  "'; name another with --linker, or use --emit without 'so'");
  bool isLd = sys::path::filename(linker).starts_with("ld");

  SmallString<128> script;
  Expected<FileRemover> remover = temporaryFile("map", script);
  if (!remover)
    return remover.takeError();
  std::string exports = "{ global:";
  for (const std::string &symbol : library.exports)
    exports += " " + symbol + ";";
  if (Error error = writeFile(
          script, [&](raw_ostream &os) { os << exports << " local: *; };\n"; }))
    return error;

  std::vector<std::string> arguments{"-shared", "-o", library.path};
  auto pass = [&](StringRef option, StringRef value) { // to ld itself
    if (isLd) {
      arguments.push_back(option.str());
      arguments.push_back(value.str());
    } else {
      arguments.push_back(("-Wl," + option + "," + value).str());
    }
  };
  pass("-soname", library.soname);
  pass("--version-script", script);
  pass("-z", "noexecstack");
  pass("-z", "now");
  arguments.push_back(isLd ? "--gc-sections" : "-Wl,--gc-sections");
  arguments.push_back(isLd ? "--strip-all" : "-s");
  arguments.push_back(isLd ? "--build-id=none" : "-Wl,--build-id=none");
  arguments.push_back(library.object);
  arguments.push_back(library.runtimeLibrary);
  if (!isLd) {
    arguments.push_back("-pthread");
    arguments.push_back("-lm");
  }
  return runProgram(linker, arguments);
}
