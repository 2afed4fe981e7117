// Weights of few bits, several in a byte, with a scale for each block of them:
// what language models are exported with. They become numbers where they are
// used.
#include "frontends/onnx/microsoft/BlockQuantized.h"
#include "frontends/onnx/Activation.h"
#include "frontends/onnx/Normalization.h"
#include "frontends/onnx/Quantization.h"
#include "frontends/onnx/microsoft/Activations.h"
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;
using namespace fulgur::onnx::microsoft;
using mlir::Value;

Tensor fulgur::onnx::microsoft::unpackLast(const Core &c, const Tensor &bytes,
                                           int64_t bits) {
  if (bits != 2 && bits != 4 && bits != 8)
    c.unsupported("weights of " + Twine(bits) +
                  " bits are not supported; quantize them to 2, 4 or 8");
  c.requireType(bytes, bytes.type == DType::u8, "uint8");
  if (bits == 8)
    return bytes;
  Shape shape(bytes.shape);
  shape.push_back(8 / bits);
  Tensor codes =
      c.generate(shape, DType::u8, {c.unsqueeze(bytes, {bytes.rank()})},
                 [&](Body &, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                   Scalar shift = convert(at.back() * double(bits), DType::u32);
                   Scalar code = shiftRight(convert(v[0], DType::u32), shift);
                   return convert(code & code.like((1 << bits) - 1), DType::u8);
                 });
  Shape flat(bytes.shape);
  flat.back() = flat.back() * (8 / bits);
  return c.reshape(codes, flat);
}

/// The matrix [rows, columns] as numbers: f32 where products take codes as they
/// are, else of the type.
static Tensor blockWeights(const Core &c, const BlockQuantized &w, DType type) {
  Extent rows = w.rows, columns = w.columns;
  int64_t size = w.blockSize;
  Extent blocks = c.sizes.atoms.ceilDiv(columns, size);
  auto counted = [&](const Tensor &x, ArrayRef<Extent> shape) {
    c.requireEqual(product(x.shape), product(shape));
    return c.reshape(x, shape);
  };
  Extent bytes = c.sizes.atoms.ceilDiv(blocks * size * w.bits, 8),
         zeroBytes = c.sizes.atoms.ceilDiv(blocks * w.bits, 8);
  bool hasReals = w.zeros && isReal(w.zeros.type);
  if ((w.bits == 4 || w.bits == 8) && w.bytes.type == DType::u8 &&
      rows.constant() && columns.constant()) {
    Codes codes{counted(w.bytes, {rows, bytes}),
                counted(w.scales, {rows, blocks}),
                {},
                w.bits,
                size,
                /*axis=*/1,
                /*offset=*/w.zeros ? 0 : int64_t(1) << (w.bits - 1),
                /*perByte=*/8 / w.bits};
    if (w.zeros)
      codes.zero = counted(w.zeros, {rows, hasReals ? blocks : zeroBytes});
    return dequantizeCodes(c, codes, {rows, columns});
  }
  Tensor codes =
      c.reshape(unpackLast(c, counted(w.bytes, {rows, bytes}), w.bits),
                {rows, blocks, size});
  SmallVector<Tensor> in{codes, counted(w.scales, {rows, blocks, 1})};
  if (hasReals) {
    in.push_back(counted(w.zeros, {rows, blocks, 1}));
  } else if (w.zeros) {
    // Packed as the weights are, each row by itself.
    Tensor zeros = unpackLast(c, counted(w.zeros, {rows, zeroBytes}), w.bits);
    in.push_back(c.unsqueeze(c.slice(zeros, 1, 0, blocks), {2}));
  }
  Tensor all = c.map(in, type, [&](ArrayRef<Scalar> v) {
    Scalar code = convert(convert(v[0], DType::i32), DType::f32);
    Scalar zero = v.size() > 2 ? convert(v[2], DType::f32)
                               : code.like(double(int64_t(1) << (w.bits - 1)));
    return (code - zero) * convert(v[1], DType::f32);
  });
  return c.slice(c.reshape(all, {rows, blocks * size}), 1, 0, columns);
}

/// The rows as bytes stand for them, where the model allows it and products of
/// bytes take blocks of that size.
static Tensor rounded(const Core &c, const Tensor &x, const BlockQuantized &w) {
  constexpr int64_t kLeastBlock = 16;
  std::optional<int64_t> columns = w.columns.constant();
  if (w.accuracy != kByteAccuracy || w.bits < 4 || w.blockSize < kLeastBlock ||
      x.type != DType::f32 || !columns || *columns % w.blockSize != 0)
    return x;
  Value result = fulgur::RoundBlocksOp::create(
      c.builder, c.loc, c.typeOf(x.shape, x.type), c.value(x),
      c.builder.getI64IntegerAttr(w.blockSize));
  return c.tensor(result, x.type, x.shape);
}

Tensor fulgur::onnx::microsoft::timesBlocks(const Core &c, const Tensor &x,
                                            const BlockQuantized &w) {
  Tensor weights = blockWeights(c, w, x.type);
  Tensor rows = rounded(c, c.cast(x, weights.type), w);
  return c.cast(c.matmul2d(rows, weights, true), x.type);
}

namespace {

/// The product of a matrix and the rows of a tensor of any rank.
Tensor timesRows(const Core &c, const Tensor &x, const Extent &columns,
                 llvm::function_ref<Tensor(const Tensor &rows)> product) {
  if (x.rank() < 1)
    c.fail("a product needs a tensor of rank 1 or more");
  Shape shape(x.shape);
  shape.back() = columns;
  Extent rows = fulgur::onnx::product(ArrayRef(x.shape).drop_back());
  return c.reshape(product(c.reshape(x, {rows, x.shape.back()})), shape);
}

Tensor timesRows(const Core &c, const Tensor &x, const Tensor &weights,
                 bool transposed) {
  return timesRows(c, x, weights.shape[transposed ? 0 : 1],
                   [&](const Tensor &rows) {
                     return c.matmul2d(rows, weights, transposed);
                   });
}

Tensor timesRows(const Core &c, const Tensor &x, const BlockQuantized &w) {
  return timesRows(c, x, w.rows,
                   [&](const Tensor &rows) { return timesBlocks(c, rows, w); });
}

/// The attribute, which must be positive.
int64_t positive(const Core &c, const Site &s, StringRef name,
                 int64_t otherwise = 0) {
  int64_t value = s.integer(name, otherwise);
  if (value < 1)
    c.fail("attribute '" + name + "' is " + Twine(value) +
           ", which is below 1");
  return value;
}

Tensor importMatMulNBits(const Core &c, const Site &s) {
  if (s[4])
    c.unsupported("an order of the groups (g_idx) is not supported; export the "
                  "model without reordering");
  if (s.integer("weight_prepacked", 0))
    c.unsupported("weights that are packed for one kind of GPU are not "
                  "supported; export the model without prepacking");
  BlockQuantized w{s[1],
                   s[2],
                   s[3],
                   positive(c, s, "N"),
                   positive(c, s, "K"),
                   s.integer("bits", 4),
                   positive(c, s, "block_size"),
                   s.integer("accuracy_level", 0)};
  Tensor y = timesRows(c, s[0], w);
  return s[5] ? c.add(y, s[5]) : y;
}

/// Projections of one input, each of weights, scales and a bias, which may
/// follow a normalisation with a residual.
class Projections {
public:
  Projections(const Core &c, const Site &s, double epsilon) : c(c), s(s) {
    x = s[0];
    DType type = computeType(x.type);
    if (s[1] && !s[2])
      c.fail("a residual needs the scale of a normalisation");
    if (s[1])
      x = c.map({x, s[1]}, type, [&](ArrayRef<Scalar> v) {
        return convert(v[0], type) + convert(v[1], type);
      });
    sum = c.cast(x, s[0].type);
    if (s[2])
      x = c.cast(rmsNorm(c, c.cast(x, type), c.cast(s[2], type), x.rank() - 1,
                         epsilon),
                 s[0].type);
  }

  /// The projection whose weights are operand `at`.
  Tensor project(size_t at, StringRef rows) const {
    BlockQuantized w{s[at],
                     s[at + 1],
                     {},
                     positive(c, s, rows),
                     positive(c, s, "K"),
                     s.integer("bits", 4),
                     positive(c, s, "block_size"),
                     s.integer("accuracy_level", 0)};
    Tensor y = timesRows(c, x, w);
    return s[at + 2] ? c.add(y, s[at + 2]) : y;
  }

  Tensor sum; ///< of the input and its residual

private:
  const Core &c;
  const Site &s;
  Tensor x;
};

/// activation(x · gateᵀ) · (x · upᵀ).
SmallVector<Tensor> importMatMulNBitsMlp(const Core &c, const Site &s) {
  Projections all(c, s, s.real("epsilon", 1e-5f));
  auto none = [](StringRef, unsigned, double otherwise) { return otherwise; };
  StringRef name = s.text("activation", "");
  Activation activation = name.equals_insensitive("silu")
                              ? [](const Scalar &x) { return x * sigmoid(x); }
                              : activationCalled(c, name, none);
  Tensor y = c.map({all.project(3, "N"), all.project(6, "N")}, s[0].type,
                   [&](ArrayRef<Scalar> v) { return activation(v[0]) * v[1]; });
  return {y, all.sum};
}

SmallVector<Tensor> importMatMulNBitsQkv(const Core &c, const Site &s) {
  Projections all(c, s, s.real("epsilon", 1e-6f));
  return {all.project(3, "Nq"), all.project(6, "Nkv"), all.project(9, "Nkv"),
          all.sum};
}

/// x · wᵀ + bias, where a block of a row has one scale.
Tensor timesScaled(const Core &c, const Tensor &x, const Tensor &w,
                   const Tensor &scale, const Tensor &bias, int64_t block) {
  Tensor weights = dequantizeLinear(c, w, scale, {}, x.type, 1, block);
  Tensor y = timesRows(c, x, weights, true);
  return bias ? c.add(y, bias) : y;
}

Tensor importMatMulFp8(const Core &c, const Site &s) {
  Tensor x = s[0];
  if (s[3]) {
    Tensor scale = c.reshape(s[3], {});
    x = quantizeLinear(c, x, scale, {}, DType::f8e4m3fn, {});
    x = dequantizeLinear(c, x, scale, {}, s[0].type);
  }
  return timesScaled(c, x, s[1], s[2], s[4], positive(c, s, "block_size", 128));
}

Tensor importMatMulFp4(const Core &c, const Site &s) {
  Tensor codes = unpackLast(c, s[1], 4);
  Tensor scale = c.mul(c.cast(c.bits(s[2], DType::f8e4m3fn), DType::f32),
                       c.reshape(s[3], {}));
  return timesScaled(c, s[0], c.bits(codes, DType::f4e2m1), scale, s[5],
                     positive(c, s, "block_size", 16));
}

/// The numbers that a code of bitsandbytes' two types stands for (Dettmers et
/// al., QLoRA, 2023).
ArrayRef<double> codebook(const Core &c, int64_t type) {
  static const double fp4[] = {
      0.0,  5.208333333e-03,  2. / 3,  1.0,  1. / 3,  0.5,  1. / 6,  0.25,
      -0.0, -5.208333333e-03, -2. / 3, -1.0, -1. / 3, -0.5, -1. / 6, -0.25};
  static const double nf4[] = {-1.0,
                               -0.6961928009986877,
                               -0.5250730514526367,
                               -0.39491748809814453,
                               -0.28444138169288635,
                               -0.18477343022823334,
                               -0.09105003625154495,
                               0.0,
                               0.07958029955625534,
                               0.16093020141124725,
                               0.24611230194568634,
                               0.33791524171829224,
                               0.44070982933044434,
                               0.5626170039176941,
                               0.7229568362236023,
                               1.0};
  if (type != 0 && type != 1)
    c.fail("attribute 'quant_type' is " + Twine(type) + ", not 0 or 1");
  return type == 0 ? ArrayRef(fp4) : ArrayRef(nf4);
}

/// The codes are counted through the whole matrix, the first of a byte in its
/// high bits.
Tensor importMatMulBnb4(const Core &c, const Site &s) {
  Extent rows = positive(c, s, "N"), columns = positive(c, s, "K"),
         count = rows * columns;
  int64_t block = positive(c, s, "block_size");
  c.requireType(s[1], s[1].type == DType::u8, "uint8");
  c.requireEqual(product(s[1].shape), c.sizes.atoms.ceilDiv(count, 2));
  c.requireEqual(product(s[2].shape), c.sizes.atoms.ceilDiv(count, block));
  Elements numbers;
  for (double number : codebook(c, s.integer("quant_type", 0)))
    numbers.push_back({0, number});
  Value table = c.value(Tensor(std::move(numbers), DType::f32, {16})),
        bytes = c.value(c.reshape(s[1], {product(s[1].shape)})),
        scales = c.value(c.reshape(s[2], {product(s[2].shape)}));
  Tensor weights = c.generate(
      {count}, s[0].type, {},
      [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
        Scalar pair = convert(c.extract(body, bytes, DType::u8, {at[0] / 2.0}),
                              DType::u32);
        Scalar odd = remainder(at[0], at[0].like(2));
        Scalar shift = convert((1.0 - odd) * 4.0, DType::u32);
        Scalar code = shiftRight(pair, shift);
        code = code & code.like(15);
        Scalar number = c.extract(body, table, DType::f32, {code});
        Scalar scale =
            c.extract(body, scales, s[2].type, {at[0] / double(block)});
        return number * convert(scale, DType::f32);
      });
  return timesRows(c, s[0], c.reshape(weights, {rows, columns}),
                   s.integer("transB", 1));
}

/// Rows of a table are picked as they are stored, and dequantized then.
Tensor importGatherBlockQuantized(const Core &c, const Site &s) {
  Tensor data = s[0], indices = s[1], scales = s[2], zeros = s[3];
  int64_t rank = data.rank(), bits = s.integer("bits", 4),
          block = s.integer("block_size", 128);
  int64_t gathered = c.axis(s.integer("gather_axis", 0), rank),
          along = c.axis(s.integer("quantize_axis", 1), rank);
  if (scales.rank() != rank || (zeros && zeros.rank() != rank))
    c.fail("the scales have rank " + Twine(scales.rank()) + ", the data " +
           Twine(rank));
  bool isReal = isNarrowReal(data.type), isPacked = data.type == DType::u8;
  if (block < 0 || (block == 0 && !isReal))
    c.fail("the block size is " + Twine(block));
  if (isPacked && bits != 8 && gathered == rank - 1)
    c.fail("packed elements cannot be picked one by one");
  // An index outside picks zeros.
  Extent size = data.shape[gathered];
  auto isInside = [&](const Scalar &i) {
    Scalar count = convert(Scalar::extent(*i.body, DType::index, size), i.type);
    return (i < count) & (i >= i.like(0) - count);
  };
  Tensor safe = c.map(indices, [&](const Scalar &i) {
    return select(isInside(i), convert(wrapIndex(i, size), i.type), i.like(0));
  });
  auto pick = [&](const Tensor &x, const Tensor &at) {
    return x.shape[gathered].is(1) ? c.gather(x, c.mul(at, 0), gathered, "data")
                                   : c.gather(x, at, gathered, "data");
  };
  Tensor x = pick(data, safe);
  // Along the axis of the blocks, an index picks its block's scale.
  Tensor place =
      gathered == along && block
          ? c.map(safe, [&](const Scalar &i) { return i / double(block); })
          : safe;
  Tensor scale = pick(scales, place), zero = zeros ? pick(zeros, place) : zeros;
  if (isPacked) {
    x = unpackLast(c, x, bits);
    if (zero)
      zero = c.slice(unpackLast(c, zero, bits), zero.rank() - 1, 0,
                     scale.shape.back());
    else // around the middle
      x = c.bits(c.map({x}, DType::i8,
                       [&](ArrayRef<Scalar> v) {
                         return convert(convert(v[0], DType::i32) -
                                            double(1 << (bits - 1)),
                                        DType::i8);
                       }),
                 DType::i8);
  }
  Tensor y;
  if (gathered == along || block == 0) {
    y = c.map(zero ? SmallVector<Tensor>{x, scale, zero}
                   : SmallVector<Tensor>{x, scale},
              scale.type, [&](ArrayRef<Scalar> v) {
                Scalar number = convert(v[0], DType::f32);
                if (zero)
                  number = number - convert(v[2], DType::f32);
                return number * convert(v[1], DType::f32);
              });
  } else {
    int64_t axis = along < gathered ? along : along + indices.rank() - 1;
    Shape shape(x.shape);
    shape[axis] = c.sizes.atoms.ceilDiv(shape[axis], block);
    y = dequantizeLinear(c, x, c.broadcastTo(scale, shape), zero, scale.type,
                         axis, block);
  }
  Shape spread(indices.shape);
  spread.append(rank - gathered - 1, 1);
  return c.map({y, c.reshape(indices, spread)}, y.type,
               [&](ArrayRef<Scalar> v) {
                 return select(isInside(v[1]), v[0], v[0].like(0));
               });
}
} // namespace

void microsoft::blockQuantized(Extensions &ops) {
  ops.add("MatMulNBits <K: int, N: int, bits: int = 4, block_size: int, "
          "accuracy_level: int = 0, weight_prepacked: int = 0> (T A, W B, "
          "T scales, Z? zero_points, I? g_idx, T? bias) => (T Y) "
          "where T: float|float16|bfloat16, W: uint8, "
          "Z: uint8|float|float16|bfloat16, I: int32",
          importMatMulNBits);
  ops.add("MatMulBnb4 <K: int, N: int, block_size: int, quant_type: int, "
          "training_mode: int = 0, transB: int = 1> (T A, W B, T absmax) => "
          "(T Y) where T: float|float16|bfloat16, W: uint8",
          importMatMulBnb4);
  ops.add("MatMulNBitsMlp <K: int, N: int, accuracy_level: int = 0, "
          "activation: string, bits: int = 4, block_size: int, "
          "epsilon: float = 1e-5> (T A, T? skip, T? norm_scale, W gate_B, "
          "T gate_scales, T? gate_bias, W up_B, T up_scales, T? up_bias) "
          "=> (T Y, T? input_skip_bias_sum like A) "
          "where T: float|float16|bfloat16, W: uint8",
          importMatMulNBitsMlp);
  ops.add("MatMulNBitsQkv <K: int, Nkv: int, Nq: int, "
          "accuracy_level: int = 0, bits: int = 4, block_size: int, "
          "epsilon: float = 1e-6> (T A, T? skip, T norm_scale, W q_B, "
          "T q_scales, T? q_bias, W k_B, T k_scales, T? k_bias, W v_B, "
          "T v_scales, T? v_bias) => (T Q, T K, T V, "
          "T? input_skip_bias_sum like A) "
          "where T: float|float16|bfloat16, W: uint8",
          importMatMulNBitsQkv);
  ops.add("MatMulBlockQuantizedFp8Weight <block_size: int = 128> (T A, "
          "float8e4m3fn B, float b_scale, float? a_scale, T? bias) => (T Y) "
          "where T: float16|bfloat16|float",
          importMatMulFp8);
  ops.add("MatMulBlockQuantizedFp4Weight <block_size: int = 16> (T A, "
          "uint8 B, uint8 weight_scale, float weight_scale_2, "
          "float? input_scale, T? bias) => (T Y) "
          "where T: float16|bfloat16|float",
          importMatMulFp4);
  ops.add("GatherBlockQuantized <bits: int = 4, block_size: int = 128, "
          "gather_axis: int = 0, quantize_axis: int = 1> (D data, I indices, "
          "T scales, D? zero_points) => (T output) where D: "
          "int4|uint4|uint8|float8e4m3fn|float8e4m3fnuz|float8e5m2|"
          "float8e5m2fnuz|float4e2m1, I: int32|int64, "
          "T: float|float16|bfloat16",
          importGatherBlockQuantized);
}
