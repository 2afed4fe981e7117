// The files that weights lie in: the model itself and the external-data files
// beside it, mapped read-only.
#pragma once
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"
#include <memory>
#include <vector>

namespace onnx {
class TensorProto;
class NodeProto;
} // namespace onnx

namespace fulgur::onnx {

/// Maps each file once and refuses whatever could reach outside the model's
/// folder. The only way by which the data of a tensor, of any kind and at any
/// depth, gets in.
class WeightFiles {
public:
  /// Maps the model file; `maxBytes` is for it and all external files together.
  WeightFiles(llvm::StringRef modelPath, uint64_t maxBytes);
  ~WeightFiles();

  llvm::StringRef modelFile() const { return files.front()->getBuffer(); }

  /// Finds the `size` bytes of a tensor with external data (what its type and
  /// dims ask for) and makes the tensor say which they are in a way that only
  /// `bytes` understands and that the library's checker lets pass without
  /// touching any file.
  void settle(::onnx::TensorProto &tensor, uint64_t size,
              const ::onnx::NodeProto *node);

  /// The bytes of a settled tensor; empty when there are none.
  llvm::ArrayRef<char> bytes(const ::onnx::TensorProto &tensor) const;

private:
  llvm::StringRef external(const std::string &location, const llvm::Twine &who,
                           const ::onnx::NodeProto *node);

  std::string folder;
  uint64_t bytesLeft;
  int folderDescriptor = -1;
  std::vector<std::unique_ptr<llvm::MemoryBuffer>> files; // the model first
  llvm::StringMap<llvm::StringRef> byLocation;
  std::vector<llvm::ArrayRef<char>> settled;
};

} // namespace fulgur::onnx
