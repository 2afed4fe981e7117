// What the module says about the model once the pipeline has run: ports,
// symbols, messages, arena and weights.
#include "compiler/ModelInfo.h"
#include "dialects/Fulgur.h"
#include "runtime/fulgur.h"

using namespace mlir;
using namespace fulgur;

namespace {

/// Reads typed entries of one dictionary; the first mismatch is reported and
/// sticks.
struct Reader {
  ModuleOp module;
  std::string what; // "fulgur.inputs[2]"
  DictionaryAttr dict;
  bool &ok;

  void complain(StringRef key, StringRef wanted) {
    if (ok)
      module.emitError() << what << (what.empty() ? "" : ".") << key
                         << " is not " << wanted;
    ok = false;
  }

  template <typename T> T get(StringRef key, StringRef wanted) {
    auto value = dict.getAs<T>(key);
    if (!value)
      complain(key, wanted);
    return value;
  }

  int64_t integer(StringRef key) {
    auto value = get<IntegerAttr>(key, "an integer");
    return value ? value.getInt() : 0;
  }
  std::string string(StringRef key) {
    auto value = get<StringAttr>(key, "a string");
    return value ? value.str() : std::string();
  }
  ArrayRef<Attribute> array(StringRef key) {
    auto value = get<ArrayAttr>(key, "an array");
    return value ? value.getValue() : ArrayRef<Attribute>();
  }
  /// Integers, written [1, 2], array<i64: 1, 2> or array<i32: 1, 2>.
  SmallVector<int64_t> integers(StringRef key) {
    if (auto dense = dict.getAs<DenseI32ArrayAttr>(key))
      return llvm::to_vector_of<int64_t>(dense.asArrayRef());
    if (auto dense = dict.getAs<DenseI64ArrayAttr>(key))
      return SmallVector<int64_t>(dense.asArrayRef());
    SmallVector<int64_t> values;
    for (Attribute attr : array(key)) {
      if (auto value = dyn_cast<IntegerAttr>(attr))
        values.push_back(value.getInt());
      else
        complain(key, "an array of integers");
    }
    return values;
  }
  std::vector<std::string> strings(StringRef key) {
    std::vector<std::string> values;
    for (Attribute attr : array(key)) {
      if (auto value = dyn_cast<StringAttr>(attr))
        values.push_back(value.str());
      else
        complain(key, "an array of strings");
    }
    return values;
  }
  /// Calls `read` with a reader for each dictionary in the array at `key`.
  void each(StringRef key, function_ref<void(Reader)> read) {
    for (auto [i, attr] : llvm::enumerate(array(key))) {
      auto entry = dyn_cast<DictionaryAttr>(attr);
      if (!entry)
        return complain(key, "an array of dictionaries");
      read(
          Reader{module, key.str() + "[" + std::to_string(i) + "]", entry, ok});
    }
  }
};

} // namespace

static_assert(kMaxPortRank == FULGUR_MAX_RANK);

static ModelInfo::Port readPort(Reader entry, size_t numSymbols) {
  ModelInfo::Port port;
  port.name = entry.string("name");
  port.dtype = static_cast<int32_t>(entry.integer("dtype"));
  SmallVector<int64_t> values = entry.integers("dims"),
                       symbols = entry.integers("symbols");
  std::vector<std::string> texts = entry.strings("texts");
  if (texts.size() != values.size() || symbols.size() != values.size()) {
    entry.complain("texts", "as long as dims and symbols");
    return port;
  }
  if (values.size() > FULGUR_MAX_RANK)
    entry.complain("dims",
                   "within the " + std::to_string(FULGUR_MAX_RANK) +
                       " dims that a tensor at the model's border may have");
  for (auto [value, symbol, text] : llvm::zip(values, symbols, texts)) {
    if (symbol < -1 || symbol >= static_cast<int64_t>(numSymbols))
      entry.complain("symbols", "an array of indices into fulgur.symbols");
    port.dims.push_back({value, static_cast<int32_t>(symbol), text});
  }
  if (entry.dict.contains("rank")) {
    int64_t rank = entry.integer("rank");
    port.ranked = rank >= 0;
    if (rank != -1 && rank != static_cast<int64_t>(values.size()))
      entry.complain("rank", "the number of dims, or -1");
  }
  if (entry.dict.contains("element"))
    if (auto element = entry.get<DictionaryAttr>("element", "a port"))
      port.element.push_back(readPort(
          Reader{entry.module, entry.what + ".element", element, entry.ok},
          numSymbols));
  bool holds = port.dtype == FULGUR_SEQUENCE || port.dtype == FULGUR_OPTIONAL;
  if (holds && port.element.empty())
    entry.complain("element", "there");
  return port;
}

bool ModelInfo::Port::isMadeOfPieces() const {
  return dtype == FULGUR_STRING || dtype == FULGUR_SEQUENCE ||
         dtype == FULGUR_OPTIONAL || dtype == FULGUR_MAP;
}

/// Slots, each below `numSlots`; -1 where `optional`.
static std::vector<int32_t> readSlots(Reader entry, StringRef key,
                                      int64_t numSlots, bool optional) {
  std::vector<int32_t> slots;
  for (int64_t slot : entry.integers(key)) {
    if (slot < (optional ? -1 : 0) || slot >= numSlots)
      entry.complain(key, "an array of slots");
    slots.push_back(static_cast<int32_t>(slot));
  }
  return slots;
}

static ModelInfo::Program readProgram(Reader reader, size_t numSymbols) {
  ModelInfo::Program program;
  program.slots = static_cast<int32_t>(reader.integer("fulgur.slots"));
  program.outputSlots =
      readSlots(reader, "fulgur.output_slots", program.slots, false);
  reader.each("fulgur.parts", [&](Reader entry) {
    ModelInfo::Part part;
    part.name = entry.string("name");
    part.inputs = readSlots(entry, "inputs", program.slots, true);
    part.outputs = readSlots(entry, "outputs", program.slots, true);
    part.messages = entry.strings("messages");
    entry.each("ports", [&](Reader port) {
      part.ports.push_back(readPort(port, numSymbols));
    });
    if (part.ports.size() != part.outputs.size())
      entry.complain("ports", "as long as outputs");
    program.parts.push_back(std::move(part));
  });
  return program;
}

static uint64_t bytesOf(ElementsAttr value) {
  auto type = cast<ShapedType>(value.getType());
  return type.getNumElements() *
         llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

FailureOr<ModelInfo> fulgur::readModelInfo(ModuleOp module) {
  bool ok = true;
  Reader reader{module, "", module->getAttrDictionary(), ok};
  ModelInfo info;
  info.name = reader.string("fulgur.model");
  info.messages = reader.strings("fulgur.messages");
  info.arenaBytes = reader.integer("fulgur.arena_bytes");
  info.weightsBytes = reader.integer("fulgur.weights_bytes");
  reader.each("fulgur.symbols", [&](Reader entry) {
    ModelInfo::Symbol symbol{entry.string("name"), entry.integer("min"),
                             entry.integer("max")};
    auto optional = [&](StringRef key) {
      return entry.dict.contains(key) ? entry.integer(key) : 0;
    };
    symbol.source = static_cast<int32_t>(optional("source"));
    symbol.input = static_cast<int32_t>(optional("input"));
    symbol.element = optional("element");
    info.symbols.push_back(symbol);
  });
  reader.each("fulgur.inputs", [&](Reader entry) {
    info.inputs.push_back(readPort(entry, info.symbols.size()));
  });
  reader.each("fulgur.outputs", [&](Reader entry) {
    info.outputs.push_back(readPort(entry, info.symbols.size()));
  });
  if (reader.dict.contains("fulgur.states"))
    reader.each("fulgur.states", [&](Reader entry) {
      ModelInfo::State state{static_cast<int32_t>(entry.integer("input")),
                             static_cast<int32_t>(entry.integer("output"))};
      if (size_t(state.input) >= info.inputs.size())
        entry.complain("input", "the number of an input");
      if (size_t(state.output) >= info.outputs.size())
        entry.complain("output", "the number of an output");
      if (entry.dict.contains("scales_of")) {
        state.scalesOf = static_cast<int32_t>(entry.integer("scales_of"));
        if (size_t(state.scalesOf) >= info.inputs.size())
          entry.complain("scales_of", "the number of an input");
      }
      info.states.push_back(state);
    });
  if (reader.dict.contains("fulgur.parts")) {
    info.program = readProgram(reader, info.symbols.size());
    if (info.program->outputSlots.size() != info.outputs.size())
      reader.complain("fulgur.output_slots", "as long as fulgur.outputs");
  }
  reader.each("fulgur.weights", [&](Reader entry) {
    auto value =
        entry.get<ElementsAttr>("resource", "the elements of a weight");
    if (value && !isa<DenseElementsAttr, DenseResourceElementsAttr>(value))
      entry.complain("resource", "a dense weight");
    if (value)
      info.weights.push_back(
          {static_cast<uint64_t>(entry.integer("offset")), value});
  });
  llvm::sort(info.weights,
             [](auto &a, auto &b) { return a.offset < b.offset; });
  uint64_t end = 0;
  for (const ModelInfo::Weight &weight : info.weights) {
    if (weight.offset < end || weight.offset % FULGUR_ALIGNMENT != 0)
      reader.complain("fulgur.weights", "a list of disjoint, aligned weights");
    end = weight.offset + bytesOf(weight.value);
  }
  if (end > info.weightsBytes)
    reader.complain("fulgur.weights_bytes", "as large as the weights");
  if (!ok)
    return failure();
  return info;
}
