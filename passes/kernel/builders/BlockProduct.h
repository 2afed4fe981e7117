// What the parts of the kernel of products with weights of few bits share.
#pragma once
#include "passes/kernel/builders/Blocks.h"
#include "passes/kernel/builders/Multiply.h"
#include "passes/kernel/builders/ProductLoops.h"

namespace fulgur {
struct BlockProduct : ProductLoops {
  using Value = mlir::Value;
  using Values = llvm::SmallVector<mlir::Value>;

  DequantizeOp blocks = product.blocks;
  int64_t bits = blocks.getBits(), block = blocks.getBlock(),
          depth = blocks.depth(), packWidth = blocks.getPack();
  int64_t steps = *product.size(product.reduction());
  int64_t groups = llvm::divideCeilSigned(steps, block);

  Value outerCount{}; ///< points of the outer loops
  Access codes{}, scales{}, zeros{};
  // One task.
  Value outerPoint{};
  Value panel{};

  mlir::VectorType realType() {
    return mlir::VectorType::get(lanes, e.builder.getF32Type());
  }
  mlir::VectorType wordType() {
    return mlir::VectorType::get(lanes, e.builder.getI32Type());
  }
  Value isOneRow() {
    return e.builder.createOrFold<mlir::arith::CmpIOp>(
        e.loc, mlir::arith::CmpIPredicate::eq, sizes[row()], e.index(1));
  }

  void build();
  void access();
  void task(Value outer, Value rowFrom, Value rowTo, Value panelFrom,
            Value panelTo);
  void someRows(Value panelIndex, Value rowFrom, Value rowTo);
  void forRowTiles(Value rowFrom, Value rowTo,
                   llvm::function_ref<void(Value row, int64_t count)> tile);
  void manyRows(Value panelIndex, Value rowFrom, Value rowTo);

  // As numbers in registers, or on the stack.
  void directRows(Value panelIndex, Value row, int64_t count);
  Values
  forSteps(Value group, int64_t steps, mlir::ValueRange state,
           llvm::function_ref<void(Value step, int64_t part,
                                   llvm::function_ref<Value(int64_t)> numberOf,
                                   llvm::MutableArrayRef<Value> state)>
               body);
  Values sumUp(llvm::ArrayRef<Value> aRows, Value group, int64_t steps,
               mlir::ValueRange totals);
  Values sumScaled(llvm::ArrayRef<Value> aRows, Value group, int64_t steps,
                   mlir::ValueRange totals);
  void unpack(Value from, Value to);
  void tile(Value rowFrom, Value row, int64_t count, Value from, Value to);

  // As integers (BlockDigits.cpp).
  Multiplication bytes{e.builder.getI8Type(), /*unsignedRow=*/false, lanes,
                       site.target};
  int64_t digitCount = product.rounded ? 1 : 3; ///< of an element of a row
  // A line is a row of a point of the outer loops.
  Value digits{};       ///< [line, digit, step]
  Value factors{};      ///< [line, block]: what its lowest digit counts
  Value sumsOfDigits{}; ///< [line, block, digit], times the codes' offset
  Value sumsOfLine{};   ///< [line, block]
  bool hasDigits();
  void makeDigits();
  void digitsOfBlock(Value line, Value group, int64_t steps);
  /// The power of two, or the scale of bytes, that the digits of a block count,
  /// and its reciprocal.
  std::pair<Value, Value> factorOf(Value greatest);
  std::pair<Value, Value> scaleOf(Value greatest);
  Value lineOf(Value row);
  void digitTile(Value row, int64_t count, Value from, Value to, Value sumsFrom,
                 Value start);
  void oneRow(Value panelIndex);
  Value unpacked{}; ///< null, or the words of the panel with a code in each
                    ///< byte, on the stack
  void addWords(mlir::ArrayRef<Value> lines, Value octet, Value start,
                Values &sums, Values &pairs);
  /// Whether pairs of products are summed in 16 bits first.
  bool hasPairs() { return bits == 4 && bytes.parts == 2; }
  Value multiplyPairs(Value codes, Value row);
  Value addPairs(Value pairs, Value sum);
  Value sumOfDigits(mlir::ArrayRef<Value> sums, int64_t vector);
  Values sumDigits(mlir::ArrayRef<Value> lines, Value group, int64_t steps,
                   Value start, mlir::ValueRange totals);

  // Rows of bytes (BlockBytes.cpp).
  bool unpacksBytes();
  void fewLines(Value panelIndex, Value row, int64_t count);
  void manyLines(Value panelIndex, Value rowFrom, Value rowTo);
  void unpackBytes(Value from, Value to);

  /// How many words of `count` are taken at once.
  static int64_t unrollOf(int64_t count) {
    return count % 4 == 0 ? 4 : count % 2 == 0 ? 2 : 1;
  }

  // The panel that is read.
  Value codesAt{}, scalesAt{}, zerosAt{};
  void choosePanel(Value panelIndex);
  Value word(Value octet, int64_t vector);
  /// Whether a table of 16 numbers is one register.
  bool hasTable() { return bits == 4 && lanes == 16; }
  bool isCentred() {
    return !blocks.getZero() &&
           int64_t(blocks.getOffset()) == int64_t(1) << (bits - 1);
  }
  Value numbers(Value octet, int64_t vector);
  Value number(Value word, int64_t part);
  Value scale(Value group, int64_t vector);
  Value zero(Value group, int64_t vector);
  void fetchScales(Value group);
  /// What is added to code * scale, where blocks have zeros of their own.
  Value shift(Value group, int64_t vector, Value scale);
  Value scaled(Value number, Value scale, Value shift);
  Value element(Value aRow, Value step);
  /// The step of part `part` of a word.
  int64_t stepOf(int64_t part) {
    return bits == 4 ? part / 2 + part % 2 * 4 : part;
  }

  Value words(int64_t value); ///< in all lanes
};
} // namespace fulgur
