// MurmurHash3 (Appleby, 2011; its variant x86_32) of each element.
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;

namespace {
Scalar bitsFrom(const Scalar &x, unsigned shift) {
  return shiftRight(x, x.like(shift));
}

Scalar rotated(const Scalar &x, unsigned by) {
  return shiftLeft(x, x.like(by)) | shiftRight(x, x.like(32 - by));
}

/// The hash after one more word.
Scalar mixed(const Scalar &hash, const Scalar &word) {
  Scalar k = rotated(word * 0xcc9e2d51u, 15) * 0x1b873593u;
  return rotated(hash ^ k, 13) * 5 + 0xe6546b64u;
}

/// The hash of so many bytes, when all words are in it.
Scalar finished(Scalar hash, unsigned bytes) {
  hash = hash ^ hash.like(bytes);
  hash = (hash ^ bitsFrom(hash, 16)) * 0x85ebca6bu;
  hash = (hash ^ bitsFrom(hash, 13)) * 0xc2b2ae35u;
  return hash ^ bitsFrom(hash, 16);
}

Tensor importMurmurHash(const Core &c, const Site &s) {
  Tensor x = s[0];
  if (x.type == DType::string)
    c.unsupported("hashes of strings are not supported; hash them before the "
                  "model");
  unsigned bits = bitWidth(x.type);
  if (isReal(x.type))
    x = c.bits(x, bits == 64 ? DType::u64 : DType::u32);
  auto seed = double(uint32_t(s.integer("seed", 0)));
  Tensor hash = c.map({x}, DType::u32, [&](ArrayRef<Scalar> v) {
    Scalar low = convert(v[0], DType::u32);
    Scalar h = mixed(low.like(seed), low);
    if (bits == 64)
      h = mixed(h,
                convert(bitsFrom(convert(v[0], DType::u64), 32), DType::u32));
    return finished(h, bits / 8);
  });
  return s.integer("positive", 1) ? hash : c.bits(hash, DType::i32);
}
} // namespace

void microsoft::hashing(Extensions &ops) {
  ops.add("MurmurHash3 <positive: int = 1, seed: int = 0> (X X) "
          "=> (Y Y like X) where X: uint32|int32|uint64|int64|float|double|"
          "string, Y: uint32|int32",
          importMurmurHash);
}
