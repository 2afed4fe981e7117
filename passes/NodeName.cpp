#include "passes/NodeName.h"
#include "llvm/ADT/Twine.h"

using namespace mlir;

std::string fulgur::nodeName(Location loc) {
  auto name = loc->findInstanceOf<NameLoc>();
  if (!name)
    return "";
  StringRef place = name.getName().getValue();
  size_t open = place.ends_with(")") ? place.rfind(" (") : StringRef::npos;
  StringRef op = open == StringRef::npos ? "" : place.substr(open);
  return ("node '" + place.take_front(open) + "'" + op).str();
}
