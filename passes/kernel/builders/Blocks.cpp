#include "passes/kernel/builders/Blocks.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"
#include "passes/WeightStore.h"

using namespace mlir;
using namespace fulgur;

/// The constant that the argument of a kernel's body stands for, if nothing
/// else in the body reads it.
static ElementsAttr onlyConstantOf(KernelOp kernel, Value value) {
  ElementsAttr constant = constantOf(kernel, value);
  return constant && value.hasOneUse() && !weightBytes(constant).empty()
             ? constant
             : ElementsAttr();
}

bool fulgur::hasBlocks(KernelOp kernel, const Product &product) {
  DequantizeOp blocks = product.blocks;
  if (!blocks || !getElementTypeOrSelf(product.aOperand.value).isF32())
    return false;
  auto isDim = [&](int64_t dim, unsigned loop) {
    return product.loops[loop] ==
           Product::Loop{unsigned(product.bOperand.dims[dim])};
  };
  // Words hold steps of one block.
  int64_t depth = blocks.depth(),
          steps = blocks.resultType().getDimSize(blocks.getAxis());
  if (!isDim(blocks.getAxis(), product.reduction()) ||
      !isDim(blocks.otherDim(), product.column()) || steps % depth != 0 ||
      int64_t(blocks.getBlock()) % depth != 0)
    return false;
  // Bytes of a row are made as many as a vector has lanes at a time.
  constexpr int64_t kMostLanes = 16;
  if (RoundBlocksOp rounded = product.rounded;
      rounded && (rounded.getBlock() != blocks.getBlock() ||
                  int64_t(blocks.getBlock()) % kMostLanes != 0 ||
                  int64_t(blocks.getBlock()) > kMostSteps ||
                  product.loops[product.reduction()] !=
                      Product::Loop{unsigned(product.aOperand.dims.back())}))
    return false;
  auto isSmallFloat = [](Value value) {
    Type type = getElementTypeOrSelf(value.getType());
    return type.isF32() || type.isF16() || type.isBF16();
  };
  if (!isSmallFloat(blocks.getScale()) ||
      (blocks.getZero() &&
       !getElementTypeOrSelf(blocks.getZero().getType()).isInteger(8) &&
       !isSmallFloat(blocks.getZero())))
    return false;
  if (blocks.getPack() > 0)
    return !blocks.getIsSigned();
  return areConstants(kernel, blocks);
}

bool fulgur::areConstants(KernelOp kernel, DequantizeOp blocks) {
  return llvm::all_of(blocks->getOperands(), [&](Value operand) {
    return onlyConstantOf(kernel, operand);
  });
}

namespace {
/// A constant tensor, the element of a splat being all.
struct Constant {
  ElementsAttr attr;
  ArrayRef<char> bytes = weightBytes(attr);
  RankedTensorType type = cast<RankedTensorType>(attr.getType());
  bool isSplat = type.getNumElements() !=
                 int64_t(bytes.size()) * 8 / type.getElementTypeBitWidth();

  uint8_t byteAt(int64_t position) const {
    return bytes[isSplat ? 0 : position];
  }
  /// An element that is a float.
  float realAt(int64_t position) const {
    position = isSplat ? 0 : position;
    if (type.getElementType().isF32())
      return reinterpret_cast<const float *>(bytes.data())[position];
    uint16_t half = reinterpret_cast<const uint16_t *>(bytes.data())[position];
    return APFloat(cast<FloatType>(type.getElementType()).getFloatSemantics(),
                   APInt(16, half))
        .convertToFloat();
  }
};

/// A matrix, one of several, in panels of columns.
struct Panels {
  DequantizeOp blocks;
  int64_t width, outer, columns, steps, groups;
  bool axisIsLast;

  Panels(DequantizeOp blocks, int64_t width) : blocks(blocks), width(width) {
    RankedTensorType type = blocks.resultType();
    columns = type.getDimSize(blocks.otherDim());
    steps = type.getDimSize(blocks.getAxis());
    groups = llvm::divideCeilSigned(steps, int64_t(blocks.getBlock()));
    outer = llvm::product_of(type.getShape().drop_back(2));
    axisIsLast = int64_t(blocks.getAxis()) == type.getRank() - 1;
  }

  RankedTensorType typeOf(int64_t rows, ArrayRef<int64_t> inner,
                          Type element) const {
    DequantizeOp op = blocks;
    SmallVector<int64_t> shape(op.resultType().getShape().drop_back(2));
    shape.append({llvm::divideCeilSigned(columns, width), rows, width});
    shape.append(inner.begin(), inner.end());
    return RankedTensorType::get(shape, element);
  }

  /// Calls `fill(to, matrix, column, row)` for each place [.., row, column]
  /// that has a column, in the order of memory.
  template <typename Fill> void forEach(int64_t rows, Fill fill) const {
    int64_t to = 0;
    for (int64_t matrix : llvm::seq(outer))
      for (int64_t first = 0; first < columns; first += width)
        for (int64_t row : llvm::seq(rows))
          for (int64_t lane : llvm::seq(width)) {
            if (first + lane < columns)
              fill(to, matrix, first + lane, row);
            ++to;
          }
  }

  /// What signed codes, and zeros, gain when they become unsigned.
  int64_t raised() const {
    DequantizeOp op = blocks;
    return op.getIsSigned() ? int64_t(1) << (op.getBits() - 1) : 0;
  }

  ElementsAttr codes(const Constant &from) const;
  ElementsAttr zeros(const Constant &from) const;
  ElementsAttr scales(const Constant &from) const;
};
} // namespace

ElementsAttr Panels::codes(const Constant &from) const {
  DequantizeOp op = blocks;
  int64_t bits = op.getBits(), perByte = op.getPerByte(), depth = op.depth();
  int64_t rowBytes = from.type.getShape().back(),
          matrixBytes = rowBytes * (axisIsLast ? columns : steps);
  auto type = typeOf(steps / depth, {4}, IntegerType::get(op.getContext(), 8));
  return addWeight(type, "blocks", [&](MutableArrayRef<char> to) {
    forEach(steps / depth,
            [&](int64_t word, int64_t matrix, int64_t column, int64_t row) {
              for (int64_t part : llvm::seq(depth)) {
                int64_t step = row * depth + part;
                int64_t outside = axisIsLast ? column : step,
                        last = axisIsLast ? step : column;
                uint8_t byte = from.byteAt(matrix * matrixBytes +
                                           outside * rowBytes + last / perByte);
                // Taking half of the range from an unsigned number flips its
                // highest bit.
                uint8_t code = (byte >> last % perByte * bits ^ raised()) &
                               llvm::maskTrailingOnes<uint8_t>(bits);
                to[word * 4 + part % 4] |= code << part / 4 * 4;
              }
            });
  });
}

ElementsAttr Panels::zeros(const Constant &from) const {
  DequantizeOp op = blocks;
  MLIRContext *context = op.getContext();
  bool isInteger = from.type.getElementType().isInteger(8);
  int64_t perByte = isInteger ? op.getPerByte() : 1;
  int64_t rowLength = from.type.getShape().back(),
          matrixLength = rowLength * (axisIsLast ? columns : groups);
  Type element = isInteger ? Type(IntegerType::get(context, 8))
                           : Float32Type::get(context);
  return addWeight(
      typeOf(groups, {}, element), "zeros", [&](MutableArrayRef<char> to) {
        forEach(groups, [&](int64_t place, int64_t matrix, int64_t column,
                            int64_t group) {
          int64_t outside = axisIsLast ? column : group,
                  last = axisIsLast ? group : column;
          int64_t at =
              matrix * matrixLength + outside * rowLength + last / perByte;
          if (isInteger)
            to[place] =
                op.decode(from.byteAt(at), last % perByte * op.getBits()) +
                raised();
          else
            reinterpret_cast<float *>(to.data())[place] =
                from.realAt(at) + raised();
        });
      });
}

/// The float16 that is `x`, if it is one that is neither subnormal nor
/// infinite.
static std::optional<uint16_t> exactHalf(float x) {
  auto bits = llvm::bit_cast<uint32_t>(x);
  uint32_t exponent = bits >> 23 & 0xff;
  if ((bits & 0x7fffffff) == 0)
    return bits >> 16;
  if ((bits & 0x1fff) != 0 || exponent < 127 - 14 || exponent > 127 + 15)
    return std::nullopt;
  return (bits >> 16 & 0x8000) | (exponent - 112) << 10 | (bits >> 13 & 0x3ff);
}

ElementsAttr Panels::scales(const Constant &from) const {
  MLIRContext *context = from.attr.getContext();
  int64_t rowLength = from.type.getShape().back(),
          matrixLength = rowLength * (axisIsLast ? columns : groups);
  auto at = [&](int64_t matrix, int64_t column, int64_t group) {
    return from.realAt(
        matrix * matrixLength +
        (axisIsLast ? column * rowLength + group : group * rowLength + column));
  };
  bool areHalf = true;
  int64_t count = from.isSplat ? 1 : from.type.getNumElements();
  for (int64_t i = 0; i < count && areHalf; ++i)
    areHalf = exactHalf(from.realAt(i)).has_value();
  Type element =
      areHalf ? Type(Float16Type::get(context)) : Float32Type::get(context);
  return addWeight(
      typeOf(groups, {}, element), "scales", [&](MutableArrayRef<char> to) {
        forEach(groups, [&](int64_t place, int64_t matrix, int64_t column,
                            int64_t group) {
          float scale = at(matrix, column, group);
          if (areHalf)
            reinterpret_cast<uint16_t *>(to.data())[place] = *exactHalf(scale);
          else
            reinterpret_cast<float *>(to.data())[place] = scale;
        });
      });
}

void fulgur::packBlocks(KernelOp kernel, DequantizeOp blocks, int64_t width,
                        llvm::DenseMap<Attribute, Attribute> &packed) {
  if (blocks.getPack() > 0)
    return;
  Panels panels(blocks, width);
  OpBuilder builder(kernel);
  auto pack = [&](Value operand, auto layOut) {
    auto argument = cast<BlockArgument>(operand);
    Constant constant{onlyConstantOf(kernel, operand)};
    // Equal ones become equal panels.
    Attribute key = builder.getArrayAttr(
        {constant.attr, builder.getIndexAttr(width),
         TypeAttr::get(blocks.getType()), blocks->getAttrDictionary()});
    Attribute &result = packed[key];
    if (!result)
      result = layOut(constant);
    OpBuilder before(kernel);
    kernel.getInputsMutable()[argument.getArgNumber()].set(
        arith::ConstantOp::create(before, operand.getLoc(),
                                  cast<TypedAttr>(result)));
    argument.setType(cast<TypedAttr>(result).getType());
    return operand;
  };
  int64_t offset = int64_t(blocks.getOffset()) + panels.raised();
  Value codes = pack(blocks.getCodes(),
                     [&](auto &from) { return panels.codes(from); }),
        scale = pack(blocks.getScale(),
                     [&](auto &from) { return panels.scales(from); }),
        zero = blocks.getZero();
  if (zero)
    pack(zero, [&](auto &from) { return panels.zeros(from); });
  builder.setInsertionPoint(blocks);
  auto inPanels = DequantizeOp::create(
      builder, blocks.getLoc(), blocks.getType(), codes, scale, zero,
      blocks.getBits(), blocks.getBlock(), blocks.getAxis(), zero ? 0 : offset,
      /*is_signed=*/false, /*per_byte=*/1, width);
  blocks.replaceAllUsesWith(inPanels.getResult());
  blocks.erase();
}
