#include "frontends/onnx/microsoft/QuantizedCache.h"
#include "frontends/onnx/Quantization.h"

using namespace fulgur::onnx;
using microsoft::CacheForm;

CacheForm::CacheForm(const Core &c, StringRef kind, int64_t bits,
                     const Tensor &cache, const Tensor &scale) {
  if (kind == "NONE") {
    if (cache && !isReal(cache.type))
      c.fail("a cache of type " + name(cache.type) +
             " needs a quantization other than NONE");
    return;
  }
  if (kind != "PER_TENSOR" && kind != "PER_CHANNEL")
    c.fail("the quantization '" + kind +
           "' is not one of NONE, PER_TENSOR, PER_CHANNEL");
  if (bits != 4 && bits != 8)
    c.fail("kv_cache_bit_width is " + Twine(bits) + ", not 4 or 8");
  if (!scale || scale.rank() > 4)
    c.fail("a quantized cache needs a scale that broadcasts to it");
  if (cache && cache.type != (bits == 8 ? DType::i8 : DType::u8))
    c.unsupported("a cache of " + Twine(bits) + " bits of type " +
                  name(cache.type) +
                  " is not supported; export the model with "
                  "one of int8, or of uint8 with 4 bits");
  this->bits = bits;
  this->scale = scale;
}

Tensor CacheForm::encoded(const Core &c, const Tensor &rows) const {
  if (!bits)
    return rows;
  Tensor codes =
      c.map({rows, scale}, DType::i8, [&](ArrayRef<Scalar> v) -> Scalar {
        Scalar quotient = convert(v[0], DType::f32) / convert(v[1], DType::f32);
        if (bits == 4)
          quotient =
              maximum(minimum(quotient, quotient.like(7)), quotient.like(-8));
        return quantize(quotient, /*zero=*/nullptr, DType::i8, {});
      });
  if (codes.rank() != 4 ||
      !c.sizes.atoms.knownEqual(codes.shape[3], rows.shape[3]))
    c.fail("a scale of shape " + c.text(scale.shape) +
           " does not broadcast to rows of shape " + c.text(rows.shape));
  if (bits == 8)
    return codes;
  std::optional<Extent> half = rows.shape[3].divideExactly(2);
  if (!half)
    c.fail("rows of " + c.sizes.atoms.text(rows.shape[3]) +
           " numbers of 4 bits are not whole bytes");
  Shape packed(rows.shape);
  packed[3] = *half;
  mlir::Value table = c.value(codes);
  return c.generate(packed, DType::u8, {},
                    [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                      auto digit = [&](int64_t number) {
                        Scalar code = c.extract(
                            body, table, DType::i8,
                            {at[0], at[1], at[2], at[3] * 2 + double(number)});
                        return convert(code, DType::i32) + 8;
                      };
                      return convert(digit(0) + digit(1) * 16, DType::u8);
                    });
}

Tensor CacheForm::decoded(const Core &c, const Tensor &rows,
                          const Extent &size) const {
  if (!bits)
    return rows;
  auto number = [](const Scalar &code, const Scalar &scale) {
    return convert(code, DType::f32) * convert(scale, DType::f32);
  };
  if (bits == 8)
    return c.map({rows, scale}, DType::f32,
                 [&](ArrayRef<Scalar> v) { return number(v[0], v[1]); });
  Shape whole(rows.shape);
  whole[3] = size;
  mlir::Value table = c.value(rows);
  return c.generate(
      whole, DType::f32, {scale},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        Scalar place = convert(at[3], DType::i32);
        Scalar byte = c.extract(
            body, table, DType::u8,
            {at[0], at[1], at[2],
             convert(shiftRight(place, place.like(1)), DType::index)});
        Scalar odd = place & place.like(1), wide = convert(byte, DType::i32);
        Scalar code = shiftRight(wide, odd * 4) & wide.like(15);
        return number(code - 8, v[0]);
      });
}
