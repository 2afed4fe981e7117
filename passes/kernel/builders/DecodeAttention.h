// What the parts of attention of few queries share.
#pragma once
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/Attention.h"
#include "passes/kernel/builders/Multiply.h"

namespace fulgur {
inline constexpr int64_t kManyRows =
    8; ///< of a tile, between which memory has to be asked

/// The loops, and where they are.
struct Decode {
  AttentionEmitter &a;
  Emitter &e = a.e;
  int64_t lanes = a.lanes, depth = llvm::alignTo(a.attention.depth, lanes),
          columns = llvm::alignTo(a.attention.columns, lanes);
  int64_t rowBytes = bytesOf(a.key) * a.attention.depth +
                     bytesOf(a.value) * a.attention.columns;
  llvm::SmallVector<unsigned> unitLoops{},
      rowLoops{}; ///< rowLoops: the last is i
  mlir::Value units{}, rows{};
  int64_t capacity = 0;  ///< rows that there may be
  int64_t blockKeys = 0; ///< keys of a block
  mlir::Value keyCount = a.sizes[a.j], chunks{}, chunkKeys{};
  mlir::Value partials{}; ///< [unit][chunk][row][result, greatest, total]

  // One task.
  mlir::Value queries{}, scores{}, results{}; ///< [row][depth], [row][key],
                                              ///< [row][column]
  mlir::Value greatest{}, total{}, scale{};   ///< per row
  llvm::SmallVector<mlir::Value> point{};
  // One block of keys.
  mlir::Value key0{}, keysHere{};
  /// How many keys, or values, in front are read where they are copied from:
  /// whole vectors of scores.
  mlir::Value pastHere{};

  /// Numbers as integers of two digits: [row][digit][number], what 1 of them
  /// is, and 128 times their sum.
  struct Digits {
    mlir::Value bytes, unit, surplus;
  };
  bool keyDigits = hasDigits(a.attention.keyCodes, a.key, a.d),
       valueDigits = hasDigits(a.attention.valueCodes, a.value, a.n);
  Digits queryDigits{}, powerDigits{};

  explicit Decode(AttentionEmitter &a);
  int64_t partialElements() { return columns + lanes; }
  bool copies() { return a.keyPast.flat || a.valuePast.flat; }
  bool isTransposed() {
    return a.key.steps[a.d] && known(a.key.steps[a.d]) != 1;
  }

  void build(mlir::Value scratch);
  void item(mlir::Value unit, mlir::Value chunk);
  void setRow(mlir::Value row);
  void clearRow();
  void begin(mlir::Value chunk);
  void scoreRows(mlir::Value row, int64_t count);
  void scoreTransposed(mlir::Value row, int64_t count);
  void touch(const Access &access, mlir::Value from, mlir::Value count);
  void copyPast(const Access &past, mlir::Value pastRows, const Access &rows,
                int64_t size);
  void prefetch(const Access &access, mlir::Value row, int64_t from,
                int64_t to);
  void finishScores(mlir::Value row);
  void addValues(mlir::Value row, int64_t count);
  void addValueBytes(mlir::Value row, int64_t count);
  bool hasDigits(const std::optional<ScaledCodes> &codes, const Access &access,
                 unsigned element);
  void allocateDigits();
  void makeDigits(const Digits &digits, mlir::Value row, mlir::Value greatest,
                  mlir::Value count, int64_t distance,
                  llvm::function_ref<mlir::Value(mlir::Value)> vectorAt);
  void makeQueryDigits(mlir::Value row);
  void makePowerDigits(mlir::Value row, mlir::Value greatest);
  void scoreBytes(mlir::Value row, int64_t count);
  Multiplication bytes() {
    return {e.builder.getI8Type(), /*unsignedRow=*/true, lanes, a.site.target};
  }
  int64_t byteDepth() { return llvm::alignTo(a.attention.depth, 4 * lanes); }
  void finish(mlir::Value sum, llvm::function_ref<mlir::Value(int64_t)> column);
  void combine();
  /// All rows, in tiles whose size is a power of two.
  void tiles(llvm::function_ref<void(mlir::Value, int64_t)> tile);

  static int64_t bytesOf(const Access &access) {
    return llvm::divideCeil(access.elementType().getIntOrFloatBitWidth(), 8);
  }
  mlir::Value
  at(const Access &access,
     std::initializer_list<std::pair<unsigned, mlir::Value>> indices) {
    return access.at(e, point, indices);
  }
  /// The mask of the lanes from element `from` on that are below `size`, or
  /// null for all.
  mlir::Value maskOf(int64_t from, int64_t size) {
    return from + lanes <= size ? mlir::Value()
                                : e.lanesBelow(e.index(size - from), lanes);
  }
  mlir::Value column(const Access &access, unsigned loop, int64_t size,
                     mlir::Value base, int64_t from) {
    mlir::Value step = access.steps[loop] ? access.steps[loop] : e.index(1);
    return a.readWide(access.flat, e.add(base, e.mul(step, from)), step,
                      {lanes, maskOf(from, size)});
  }
  void keepScalar(mlir::Value number, mlir::Value to, mlir::Value at) {
    mlir::memref::StoreOp::create(e.builder, e.loc, number, to, at);
  }
  mlir::Value number(mlir::Value from, mlir::Value at) {
    return mlir::memref::LoadOp::create(e.builder, e.loc, from, at);
  }
};
} // namespace fulgur
