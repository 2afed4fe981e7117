#include "passes/Port.h"
#include "dialects/Fulgur.h"
#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace fulgur;

/// ONNX's TensorProto.DataType of a signless element type.
static int64_t onnxType(Type type) {
  if (type.isF32())
    return 1;
  if (type.isF64())
    return 11;
  if (type.isF16())
    return 10;
  if (type.isBF16())
    return 16;
  if (type.isIndex()) // of kernels that are measured by themselves
    return 7;
  switch (type.getIntOrFloatBitWidth()) {
  case 1:
    return 9;
  case 8:
    return 3;
  case 16:
    return 5;
  case 32:
    return 6;
  case 128:
    return 8; // strings: a pointer and a length
  default:
    return 7;
  }
}

DictionaryAttr fulgur::portOf(DictionaryAttr attributes, Type type,
                              ModuleOp module) {
  Builder b(module.getContext());
  auto tensor = cast<RankedTensorType>(type);
  SmallVector<int64_t> dims, symbols;
  SmallVector<StringRef> texts;
  auto names =
      attributes ? attributes.getAs<ArrayAttr>(kDimsAttr) : ArrayAttr();
  auto known = module->getAttrOfType<ArrayAttr>(kSymbolsAttr);
  auto packed = attributes ? attributes.getAs<DenseI64ArrayAttr>(kPackedAttr)
                           : DenseI64ArrayAttr();
  ArrayRef<int64_t> shape =
      packed ? packed.asArrayRef().drop_front() : tensor.getShape();
  for (auto [i, size] : llvm::enumerate(shape)) {
    StringRef text = names ? cast<StringAttr>(names[i]).getValue() : "?";
    dims.push_back(ShapedType::isDynamic(size) ? -1 : size);
    texts.push_back(text);
    symbols.push_back(-1);
    if (known && ShapedType::isDynamic(size))
      for (auto [k, symbol] :
           llvm::enumerate(known.getAsRange<DictionaryAttr>()))
        if (symbol.getAs<StringAttr>("name").getValue() == text)
          symbols.back() = k;
  }
  auto name =
      attributes ? attributes.getAs<StringAttr>(kNameAttr) : StringAttr();
  auto dtype =
      attributes ? attributes.getAs<IntegerAttr>(kDTypeAttr) : IntegerAttr();
  return b.getDictionaryAttr(
      {b.getNamedAttr("name", name ? name : b.getStringAttr("")),
       b.getNamedAttr("dtype", dtype ? dtype
                                     : b.getI64IntegerAttr(
                                           onnxType(tensor.getElementType()))),
       b.getNamedAttr("dims", b.getI64ArrayAttr(dims)),
       b.getNamedAttr("texts", b.getStrArrayAttr(texts)),
       b.getNamedAttr("symbols", b.getI64ArrayAttr(symbols))});
}
