// Output files appear whole, all together and under their final names, or not
// at all.
#include "compiler/Outputs.h"
#include "compiler/Failure.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Signals.h"

using namespace llvm;
using namespace fulgur;

Outputs::~Outputs() {
  for (const File &file : files) {
    sys::fs::remove(file.temporary);
    sys::DontRemoveFileOnSignal(file.temporary);
  }
  for (const std::string &folder : reverse(folders))
    sys::fs::remove(
        folder); // fails, as it should, when somebody else put something there
}

Expected<std::string> Outputs::stage(StringRef path) {
  StringRef parent = sys::path::parent_path(path);
  SmallVector<std::string> missing;
  for (StringRef folder = parent; !folder.empty() && !sys::fs::exists(folder);
       folder = sys::path::parent_path(folder))
    missing.push_back(folder.str());
  for (const std::string &folder : reverse(missing)) {
    if (std::error_code reason = sys::fs::create_directory(folder))
      return failFile("create folder", folder, reason);
    folders.push_back(folder);
  }
  if (sys::fs::is_directory(path))
    return fail(ExitCode::model, "cannot write '" + path +
                                     "': a folder of that name is in the way");

  SmallString<128> model(parent), temporary;
  sys::path::append(model, "." + sys::path::filename(path) + ".%%%%%%%%");
  if (std::error_code reason = sys::fs::createUniqueFile(model, temporary))
    return failFile("write", path, reason);
  sys::RemoveFileOnSignal(temporary);
  files.push_back({std::string(temporary), path.str()});
  return std::string(temporary);
}

Expected<std::string> Outputs::scratch(StringRef path) {
  Expected<std::string> temporary = stage(path);
  if (temporary)
    files.back().final.clear();
  return temporary;
}

Error Outputs::commit() {
  while (!files.empty()) {
    const File &file = files.front();
    std::error_code reason = file.final.empty()
                                 ? sys::fs::remove(file.temporary)
                                 : sys::fs::rename(file.temporary, file.final);
    if (reason)
      return failFile("write", file.final, reason);
    sys::DontRemoveFileOnSignal(file.temporary);
    files.erase(files.begin());
  }
  folders.clear();
  return Error::success();
}

Error fulgur::writeFile(StringRef path,
                        function_ref<void(raw_ostream &)> print) {
  std::error_code reason;
  raw_fd_ostream os(path, reason);
  if (reason)
    return failFile("write", path, reason);
  print(os);
  os.close();
  reason = os.error();
  os.clear_error();
  return reason ? failFile("write", path, reason) : Error::success();
}
