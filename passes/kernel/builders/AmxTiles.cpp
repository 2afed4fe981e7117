#include "passes/kernel/builders/AmxTiles.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::amx;

void Tiles::instruction(StringRef name, ValueRange operands) {
  LLVM::CallIntrinsicOp::create(
      e.builder, e.loc, e.builder.getStringAttr("llvm.x86." + name), operands);
}

Value Tiles::number(int64_t tile) {
  return LLVM::ConstantOp::create(e.builder, e.loc, e.builder.getI8Type(),
                                  tile);
}

Value Tiles::bytes(Value count) {
  return arith::IndexCastOp::create(e.builder, e.loc, e.builder.getI64Type(),
                                    count);
}

void Tiles::multiply(int64_t sums, int64_t rows, int64_t columns) {
  StringRef name = !elements.isInteger()  ? "tdpbf16ps"
                   : elements.unsignedRow ? "tdpbusd"
                                          : "tdpbsud";
  instruction(name, {number(sums), number(rows), number(columns)});
}

void Tiles::allocate() {
  configuration = memref::AllocaOp::create(
      e.builder, e.loc, MemRefType::get(64, e.builder.getI8Type()),
      e.builder.getI64IntegerAttr(64));
}

void Tiles::configure(Value upper, Value lower) {
  // Palette 1; bytes of a row in 16 bits each from 16 on; rows from 48 on.
  SmallVector<int8_t> whole(64, 0);
  whole[0] = 1;
  for (int64_t tile : llvm::seq(8)) {
    whole[16 + 2 * tile] = kTileBytes;
    whole[48 + tile] = kTileRows;
  }
  auto type = VectorType::get(64, e.builder.getI8Type());
  Value initial = arith::ConstantOp::create(
      e.builder, e.loc, DenseElementsAttr::get(type, ArrayRef<int8_t>(whole)));
  vector::StoreOp::create(e.builder, e.loc, initial, configuration, e.index(0));
  auto setRows = [&](Value rows, ArrayRef<int64_t> tiles) {
    if (known(rows) == kTileRows)
      return;
    Value byte = arith::IndexCastOp::create(e.builder, e.loc,
                                            e.builder.getI8Type(), rows);
    for (int64_t tile : tiles)
      memref::StoreOp::create(e.builder, e.loc, byte, configuration,
                              e.index(48 + tile));
  };
  setRows(upper, {upperSums, upperSums + 1, upperRows});
  setRows(lower, {lowerSums, lowerSums + 1, lowerRows});
  instruction("ldtilecfg", pointerTo(e, configuration, e.index(0), 1));
}
