// Any keys and values as the external data of a tensor: the bytes that come
// back are those of files inside the model's folder, as many as asked for.
#include "frontends/onnx/ExternalData.h"
#include "frontends/onnx/Problem.h"
#include "onnx/onnx_pb.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace fs = std::filesystem;

namespace {

/// secret, and model/ with a file of '.', a link out and a folder.
struct Folder {
  std::string path = fs::temp_directory_path() / "fulgur-fuzz-external-XXXXXX";
  Folder() {
    if (!mkdtemp(path.data()))
      std::abort();
    fs::create_directories(path + "/model/inner");
    std::ofstream(path + "/secret") << std::string(4096, 'S');
    for (const char *name : {"/model/model.onnx", "/model/d", "/model/inner/d"})
      std::ofstream(path + name) << std::string(4096, '.');
    fs::create_symlink("../secret", path + "/model/l");
    fs::create_symlink("..", path + "/model/up");
    fs::create_hard_link(path + "/secret", path + "/model/h");
  }
  ~Folder() { fs::remove_all(path); }
};

} // namespace

/// The input: a byte for the size that is asked for, then keys and values, each
/// ended by a zero.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Folder folder;
  if (size == 0)
    return 0;
  llvm::SmallVector<llvm::StringRef> words;
  llvm::StringRef(reinterpret_cast<const char *>(data) + 1, size - 1)
      .split(words, '\0');
  ::onnx::TensorProto tensor;
  tensor.set_name("w");
  tensor.set_data_location(::onnx::TensorProto::EXTERNAL);
  for (size_t i = 0; i + 1 < words.size(); i += 2) {
    ::onnx::StringStringEntryProto *entry = tensor.add_external_data();
    entry->set_key(words[i].str());
    entry->set_value(words[i + 1].str());
  }
  uint64_t wanted = data[0] * 32u;
  try {
    fulgur::onnx::WeightFiles files(folder.path + "/model/model.onnx", 1 << 20);
    files.settle(tensor, wanted, nullptr);
    llvm::ArrayRef<char> bytes = files.bytes(tensor);
    if (bytes.size() != wanted ||
        llvm::any_of(bytes, [](char byte) { return byte != '.'; }))
      std::abort();
  } catch (const fulgur::onnx::Problem &problem) {
    if (problem.message.empty() ||
        problem.status == fulgur::onnx::ImportStatus::ok)
      std::abort();
  }
  return 0;
}
