// A walk over protobuf's wire format. Records are copied as they are, except on
// the way to a large TensorProto; what is shorter than a large tensor is not
// looked into, so nearly all nodes are one copy.
#include "frontends/onnx/Wire.h"

using namespace llvm;

namespace fulgur::onnx {
namespace {

constexpr uint64_t largeBytes =
    4096; // below, a copy costs less than the bookkeeping
constexpr unsigned deepest = 100; // protobuf's own limit

enum class Message {
  model,
  graph,
  node,
  attribute,
  function,
  sparseTensor,
  tensor,
  training,
  other
};
enum Wire : unsigned { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

/// The message type of a field, as far as it can hold tensors; the numbers are
/// those of onnx.proto.
Message messageOf(Message parent, uint64_t field) {
  switch (parent) {
  case Message::model:
    return field == 7    ? Message::graph
           : field == 20 ? Message::training
           : field == 25 ? Message::function
                         : Message::other;
  case Message::training:
    return field == 1 || field == 2 ? Message::graph : Message::other;
  case Message::graph:
    return field == 1    ? Message::node
           : field == 5  ? Message::tensor
           : field == 15 ? Message::sparseTensor
                         : Message::other;
  case Message::function:
    return field == 7    ? Message::node
           : field == 11 ? Message::attribute
                         : Message::other;
  case Message::node:
    return field == 5 ? Message::attribute : Message::other;
  case Message::attribute:
    return field == 5 || field == 10    ? Message::tensor
           : field == 6 || field == 11  ? Message::graph
           : field == 22 || field == 23 ? Message::sparseTensor
                                        : Message::other;
  case Message::sparseTensor:
    return field == 1 || field == 2 ? Message::tensor : Message::other;
  default:
    return Message::other;
  }
}

/// float_data, raw_data and double_data: on the wire all three are the
/// elements' little-endian bytes.
bool isData(uint64_t field) { return field == 4 || field == 9 || field == 10; }

class Walk {
public:
  explicit Walk(StringRef file) : file(file) {}

  bool copy(Message kind, uint64_t at, uint64_t end, unsigned depth,
            std::string &out) {
    std::optional<std::pair<uint64_t, uint64_t>> parked;
    while (at < end) {
      uint64_t start = bad = at, tag, value;
      if (!readVarint(at, end, tag) || tag >> 3 == 0)
        return false;
      uint64_t field = tag >> 3, content = at;
      switch (tag & 7) {
      case varint:
        if (!readVarint(at, end, value))
          return false;
        break;
      case fixed32:
      case fixed64:
        value = (tag & 7) == fixed32 ? 4 : 8;
        if (end - at < value)
          return false;
        at += value;
        break;
      case bytes: {
        if (!readVarint(at, end, value) || end - at < value)
          return false;
        content = at;
        at += value;
        if (value < largeBytes)
          break;
        if (kind == Message::tensor && isData(field)) {
          parked = {content, value};
          continue;
        }
        Message child = messageOf(kind, field);
        if (child == Message::other)
          break;
        std::string inner;
        if (depth == deepest || !copy(child, content, at, depth + 1, inner))
          return false;
        writeBytes(field, inner, out);
        continue;
      }
      default:
        return false; // groups: ONNX has none
      }
      out.append(file.data() + start, at - start);
    }
    if (parked) // last, so that it overrides what the tensor says about where
                // its data is
      writePlace(parked->first, parked->second, out);
    return true;
  }

  uint64_t badByte() const { return bad; }

private:
  bool readVarint(uint64_t &at, uint64_t end, uint64_t &value) const {
    value = 0;
    for (unsigned shift = 0; shift < 64 && at < end; shift += 7) {
      uint8_t byte = file[at++];
      value |= uint64_t(byte & 0x7f) << shift;
      if (!(byte & 0x80))
        return true;
    }
    return false;
  }
  static void writeVarint(uint64_t value, std::string &out) {
    for (; value >= 0x80; value >>= 7)
      out += char(value | 0x80);
    out += char(value);
  }
  static void writeBytes(uint64_t field, StringRef content, std::string &out) {
    writeVarint(field << 3 | bytes, out);
    writeVarint(content.size(), out);
    out.append(content.data(), content.size());
  }
  static void writePlace(uint64_t offset, uint64_t length, std::string &out) {
    constexpr uint64_t externalData = 13, dataLocation = 14, key = 1, value = 2,
                       external = 1;
    for (auto [name, text] :
         {std::pair<StringRef, std::string>("location", thisFile),
          {"offset", std::to_string(offset)},
          {"length", std::to_string(length)}}) {
      std::string entry;
      writeBytes(key, name, entry);
      writeBytes(value, text, entry);
      writeBytes(externalData, entry, out);
    }
    writeVarint(dataLocation << 3 | varint, out);
    writeVarint(external, out);
  }

  StringRef file;
  uint64_t bad = 0;
};

} // namespace

std::optional<std::string> parkWeights(StringRef file, uint64_t &badByte) {
  std::string skeleton;
  Walk walk(file);
  if (walk.copy(Message::model, 0, file.size(), 0, skeleton))
    return skeleton;
  badByte = walk.badByte();
  return std::nullopt;
}

} // namespace fulgur::onnx
