// One loop over elements, or over bytes; bits are moved in 32-bit arithmetic.
#include "frontends/onnx/Packing.h"

using namespace fulgur::onnx;

Extent fulgur::onnx::packedBytes(const Core &c, DType type,
                                 ArrayRef<Extent> shape) {
  return c.sizes.atoms.ceilDiv(
      c.sizes.atoms.simplify(product(shape) * int64_t(bitWidth(type))), 8);
}

/// The byte at a position as a 32-bit number.
static Scalar loadByte(const Core &c, Body &body, Value bytes,
                       const Scalar &at) {
  return convert(c.extract(body, bytes, DType::u8, {at}), DType::u32);
}

Tensor fulgur::onnx::unpack(const Core &c, Value bytes, DType type,
                            ArrayRef<Extent> shape) {
  unsigned width = bitWidth(type);
  Extent count = product(shape), last = packedBytes(c, type, shape) - 1;
  Tensor flat = c.generate(
      {count}, type, {},
      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        Scalar bit = at[0] * double(width), place = bit / 8.0,
               shift = convert(remainder(bit, bit.like(8)), DType::u32);
        Scalar bits = loadByte(c, body, bytes, place);
        if (8 % width) { // the element may reach into the next byte
          Scalar next =
              minimum(place + 1.0, Scalar::extent(body, DType::index, last));
          bits = bits | loadByte(c, body, bytes, next) * 256.0;
        }
        bits = shiftRight(bits, shift);
        // As an integer of the type's width, which has its sign.
        DType integer = isNarrowReal(type) ? DType::u8 : type;
        Scalar element = convert(bits & bits.like((1 << width) - 1), integer);
        return reinterpret(element, type);
      });
  return c.reshape(flat, shape);
}

Value fulgur::onnx::pack(const Core &c, const Tensor &x) {
  unsigned width = bitWidth(x.type);
  Extent count = product(x.shape);
  Value elements = c.value(c.reshape(x, {count}));
  // So many elements have bits in a byte, from the one that its first bit
  // belongs to on.
  unsigned parts = 8 % width ? 2 : 8 / width;
  Tensor bytes = c.generate(
      {packedBytes(c, x.type, x.shape)}, DType::u8, {},
      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        Scalar bit = at[0] * 8.0, first = bit / double(width),
               shift = convert(remainder(bit, bit.like(width)), DType::u32);
        Scalar end = Scalar::extent(body, DType::index, count);
        Scalar bits = Scalar::constant(body, DType::u32, 0);
        for (unsigned k = 0; k < parts; ++k) {
          Scalar place = first + double(k);
          Scalar code =
              convert(reinterpret(c.extract(body, elements, x.type,
                                            {minimum(place, end - 1.0)}),
                                  DType::u8),
                      DType::u32);
          code = code & code.like((1 << width) - 1);
          code = code * double(1 << (k * width));
          bits = bits | select(place < end, code, code.like(0));
        }
        return convert(shiftRight(bits, shift), DType::u8);
      });
  return c.value(bytes);
}
