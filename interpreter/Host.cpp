#include "interpreter/Host.h"
#include "dialects/Fulgur.h"
#include <cstring>

using namespace mlir;

namespace fulgur::interpreter {

/// The weights segment as fulgur.weights lists it, on the module or on the
/// program that it is a part of.
static llvm::IntrusiveRefCntPtr<Buffer> makeWeights(ModuleOp module,
                                                    Constants &constants) {
  Operation *holder = module;
  while (holder && !holder->hasAttr("fulgur.weights"))
    holder = holder->getParentOp();
  if (!holder)
    return nullptr;
  auto bytes = holder->getAttrOfType<IntegerAttr>("fulgur.weights_bytes");
  auto weights = llvm::makeIntrusiveRefCnt<Buffer>(bytes ? bytes.getInt() : 0);
  for (auto weight : holder->getAttrOfType<ArrayAttr>("fulgur.weights")
                         .getAsRange<DictionaryAttr>()) {
    int64_t offset = weight.getAs<IntegerAttr>("offset").getInt();
    auto content =
        constantOf(weight.getAs<ElementsAttr>("resource"), constants);
    if (content && offset >= 0 &&
        offset + content->buffer->bytes <= weights->bytes)
      std::memcpy(weights->data + offset, content->buffer->data,
                  content->buffer->bytes);
  }
  return weights;
}

void Host::prepare(ModuleOp module, int64_t arenaBytes) {
  weights = makeWeights(module, *constants);
  arena = llvm::makeIntrusiveRefCnt<Buffer>(arenaBytes);
  symbolArray.clear();
  // LowerEntry takes the places from the module itself.
  if (auto known = module->getAttrOfType<ArrayAttr>(kSymbolsAttr))
    for (auto symbol : known.getAsRange<DictionaryAttr>())
      symbolArray.push_back(
          symbols[symbol.getAs<StringAttr>("name").getValue().str()]);
  outputDims.assign(64 * kMaxPortRank, -1);
  call = {};
  call.symbols = symbolArray.data();
  call.output_dims = outputDims.data();
  allow(&call, sizeof call);
  allow(symbolArray.data(), symbolArray.size() * sizeof(int64_t));
  allow(outputDims.data(), outputDims.size() * sizeof(int64_t));
}

void Host::allow(const void *from, size_t bytes) {
  // What began here before is gone.
  auto first = reinterpret_cast<int64_t>(from);
  allowed.erase(allowed.lower_bound(first),
                allowed.lower_bound(first + int64_t(bytes)));
  allowed[first] = int64_t(bytes);
}

bool Host::isAllowed(int64_t address, int64_t bytes) const {
  auto above = allowed.upper_bound(address);
  if (above == allowed.begin())
    return false;
  auto [from, size] = *std::prev(above);
  return address + bytes <= from + size;
}

} // namespace fulgur::interpreter
