// AMX's tile registers (Intel, "Architecture Instruction Set Extensions
// Programming Reference", chapter 3): one instruction adds to a tile of 16x16
// sums the products of 16 rows and 16 columns, 64 bytes of each. Four tiles of
// sums, two of rows and two of columns are all eight registers: 32 rows and 32
// columns at a time, so that each loaded tile is used twice.
//
// The registers are named here: LLVM knows nothing about them but what an
// instruction reads and writes in memory.
#pragma once
#include "passes/kernel/builders/Multiply.h"

namespace fulgur::amx {
constexpr int64_t kTileRows = 16, kTileBytes = 64; // of each row
constexpr int64_t kVectors = 2, kLanes = 16;       // columns of all tiles

/// Registers. The lower 16 rows are unused where there are not as many.
enum Tile { upperSums, lowerSums = 2, upperRows = 4, lowerRows, columns };

struct Tiles {
  Emitter &e;
  const Multiplication &elements;
  mlir::Value configuration{}; ///< 64 bytes: the palette and every tile's size

  /// On the stack, before the tiles are used.
  void allocate();
  /// Sets the number of rows of both halves.
  void configure(mlir::Value upper, mlir::Value lower);
  void release() { instruction("tilerelease", {}); }
  void clear(int64_t sums) { instruction("tilezero", number(sums)); }
  /// Rows are `distance` bytes apart.
  void load(int64_t tile, mlir::Value pointer, mlir::Value distance) {
    instruction("tileloadd64", {number(tile), pointer, bytes(distance)});
  }
  void store(int64_t tile, mlir::Value pointer, mlir::Value distance) {
    instruction("tilestored64", {number(tile), pointer, bytes(distance)});
  }
  void multiply(int64_t sums, int64_t rows, int64_t columns);

private:
  void instruction(llvm::StringRef name, mlir::ValueRange operands);
  mlir::Value number(int64_t tile);
  mlir::Value bytes(mlir::Value count); ///< as an instruction wants a distance
};
} // namespace fulgur::amx
