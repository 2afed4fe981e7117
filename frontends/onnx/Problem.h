// What is wrong with a model, said in one line. Inside this folder a problem
// travels as an exception, as the ONNX library's own do; Model::load is where
// all of them end.
#pragma once
#include "frontends/onnx/Import.h"
#include <string>

namespace onnx {
class NodeProto;
} // namespace onnx

namespace fulgur::onnx {

/// Why a model is refused: the first thing that is wrong with it, and where.
struct Problem {
  ImportStatus status = ImportStatus::ok;
  std::string message; ///< lower-case sentence with reason and remedy, without
                       ///< the place
  std::string node, op,
      domain; ///< the node that caused it; empty when the file as a whole did
  int64_t opset = 0; ///< version of the domain that the file imports; 0: none

  /// The place and the message in one printable line: `model.onnx: node 'a'
  /// (Gemm, opset 13): message`.
  std::string text(llvm::StringRef file) const;
};

/// Throws the problem.
[[noreturn]] void refuse(ImportStatus status, const llvm::Twine &message,
                         const ::onnx::NodeProto *node = nullptr,
                         int64_t opset = 0);

/// What to call a node: its name, or its first output when it has none.
llvm::StringRef nameOf(const ::onnx::NodeProto &node);

/// Foreign text (names in the file, messages of the library) as one short
/// printable line.
std::string printable(llvm::StringRef text);

} // namespace fulgur::onnx
