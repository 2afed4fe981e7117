// Rows that are rounded to bytes times weights of few bits. A few rows read the
// codes as they are packed; many share the work of giving each code a byte.
#include "passes/kernel/builders/BlockProduct.h"

using namespace mlir;
using namespace fulgur;

static constexpr int64_t kPanelBytes = 16 << 10; // of codes on the stack

/// Bytes are what they are; long blocks stay packed.
bool BlockProduct::unpacksBytes() {
  return bits == 4 && block * width <= kPanelBytes;
}

/// All sums of `count` rows with the panel.
void BlockProduct::fewLines(Value panelIndex, Value row, int64_t count) {
  digitTile(row, count, e.index(0), e.index(steps), e.index(0), /*start=*/{});
  finish(panelIndex, e.index(0), row, e.index(count));
}

void BlockProduct::manyLines(Value panelIndex, Value rowFrom, Value rowTo) {
  bool isUnpacked = unpacksBytes();
  int64_t piece = isUnpacked ? kPanelBytes / width / block * block
                             : llvm::alignTo(steps, block);
  if (isUnpacked)
    unpacked =
        onStack(std::min(piece, steps) * width / 4, e.builder.getI32Type());
  e.loop(e.index(0), e.index(steps), piece, [&](Value from) {
    Value to = e.min(e.add(from, piece), e.index(steps)),
          start = isUnpacked ? from : Value();
    if (isUnpacked)
      unpackBytes(from, to);
    forRowTiles(rowFrom, rowTo, [&](Value row, int64_t count) {
      digitTile(row, count, from, to, e.sub(row, rowFrom), start);
    });
  });
  finish(panelIndex, e.index(0), rowFrom, e.sub(rowTo, rowFrom));
}

/// The codes of the steps [from, to) of the panel as bytes on the stack.
void BlockProduct::unpackBytes(Value from, Value to) {
  OpBuilder &b = e.builder;
  e.loop(from, to, depth, [&](Value step) {
    Value octet = e.floorDiv(step, e.index(depth)),
          at = e.mul(e.floorDiv(e.sub(step, from), e.index(4)), width);
    for (int64_t vector : llvm::seq(vectors)) {
      Value read = word(octet, vector);
      for (int64_t quad : llvm::seq(depth / 4)) {
        Value codes =
            quad == 0
                ? read
                : arith::ShRUIOp::create(b, e.loc, read, words(4)).getResult();
        codes = arith::AndIOp::create(b, e.loc, codes, words(0x0f0f0f0f));
        vector::StoreOp::create(b, e.loc, codes, unpacked,
                                e.add(at, quad * width + vector * lanes));
      }
    }
  });
}
