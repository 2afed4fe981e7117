#include "frontends/onnx/Problem.h"
#include "onnx/onnx_pb.h"
#include "llvm/ADT/Twine.h"

using namespace llvm;

namespace fulgur::onnx {

void refuse(ImportStatus status, const Twine &message,
            const ::onnx::NodeProto *node, int64_t opset) {
  Problem problem{status, message.str(), "", "", "", opset};
  if (node) {
    problem.node = nameOf(*node).str();
    problem.op = node->op_type();
    problem.domain = node->domain();
  }
  throw problem;
}

StringRef nameOf(const ::onnx::NodeProto &node) {
  if (!node.name().empty())
    return node.name();
  for (const std::string &output : node.output())
    if (!output.empty())
      return output;
  return "";
}

std::string printable(StringRef text) {
  constexpr size_t longest = 400;
  std::string line;
  for (unsigned char c : text.take_front(longest))
    line += c < 0x20 || c == 0x7f ? ' ' : char(c);
  return text.size() > longest ? line + "..." : line;
}

std::string Problem::text(StringRef file) const {
  std::string line = printable(file) + ": ";
  if (!node.empty() || !op.empty())
    line += "node '" + printable(node) + "' (" +
            (domain.empty() ? "" : printable(domain) + "::") + printable(op) +
            (opset ? ", opset " + std::to_string(opset) : "") + "): ";
  constexpr size_t longest =
      2000; // a list of operators and nodes may be long, but is one line
  for (unsigned char c : StringRef(message).take_front(longest))
    line += c < 0x20 || c == 0x7f ? ' ' : char(c);
  return line;
}

} // namespace fulgur::onnx
