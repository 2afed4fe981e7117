// Linear quantization, for all operators that take or give quantized tensors.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// How QuantizeLinear's attributes have it.
struct Quantizing {
  int64_t axis = 1;      ///< of a scale that is a vector, or of the blocks
  int64_t blockSize = 0; ///< 0: no blocks
  DType precision = DType::undefined; ///< of the division; else the scale's
  Conversion conversion;
};

/// The quotient x / scale as an element of the type; `zero` may be null.
Scalar quantize(const Scalar &quotient, const Scalar *zero, DType type,
                const Conversion &how);
/// saturate(round(x / scale) + zero); `zero` may be empty.
Tensor quantizeLinear(const Core &c, const Tensor &x, const Tensor &scale,
                      const Tensor &zero, DType type, const Quantizing &how);
/// (x - zero) · scale; `zero` may be empty.
Tensor dequantizeLinear(const Core &c, const Tensor &x, const Tensor &scale,
                        const Tensor &zero, DType type, int64_t axis = 1,
                        int64_t blockSize = 0);

/// Codes of 4 or 8 bits, blocks of which share a scale along an axis that is
/// one of the last two.
struct Codes {
  Tensor codes;       ///< bytes of `perByte` codes each along the last dim
  Tensor scale, zero; ///< one for each block; `zero` may be empty
  int64_t bits, block, axis, offset = 0, perByte = 1;
  bool isSigned = false;
};
/// (code - zero) · scale as f32, for products to take as it is; without zeros,
/// (code - offset) · scale.
Tensor dequantizeCodes(const Core &c, const Codes &x, ArrayRef<Extent> shape);

/// The uint8 tensor, its scale and its zero point.
SmallVector<Tensor> dynamicQuantizeLinear(const Core &c, const Tensor &x);

/// x - zero as int32; `zero` may be empty.
Tensor centred(const Core &c, const Tensor &x, const Tensor &zero);
/// A parameter (scale, zero point, or empty) of one element, or one for each
/// row or column of a matrix or filter of a convolution, so that it broadcasts;
/// `behind` dims follow that of the filters.
Tensor perRow(const Core &c, const Tensor &parameter);
Tensor perColumn(const Core &c, const Tensor &parameter);
Tensor perFilter(const Core &c, const Tensor &parameter, int64_t behind);
/// The matrix product of quantized numbers as int32; zero points, of all or of
/// the rows of a and the columns of b, may be empty.
Tensor integerProduct(const Core &c, const Tensor &a, const Tensor &zeroA,
                      const Tensor &b, const Tensor &zeroB);
/// An int32 sum of products, whose scale is scaleA · scaleB, quantized.
Tensor requantize(const Core &c, const Tensor &sum, const Tensor &scaleA,
                  const Tensor &scaleB, const Tensor &scale, const Tensor &zero,
                  DType type);
/// QLinearConv of `x`, which is operand 0 with its channels in dim 1.
Tensor quantizedConvolution(const Core &c, const Site &s, const Tensor &x);

} // namespace fulgur::onnx
