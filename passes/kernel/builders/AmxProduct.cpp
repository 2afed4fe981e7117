// Products with weights of bfloat16 or bytes by AMX (Intel, "Architecture
// Instruction Set Extensions Programming Reference", chapter 3): one
// instruction adds to a tile of 16x16 sums the products of 16 rows of a and 16
// columns of b, 64 bytes of each. Four tiles of sums, two of rows and two of
// columns are all eight registers: 32 rows and 32 columns at a time, so that
// each loaded tile is used twice.
//
// Rows are read where they are. The panels of weights that the plain product
// reads are tiles already: 16 steps, their distance the panel's width. Sums go
// through a small buffer to the epilogue, as those of the plain product.
//
// The registers are named here: LLVM knows nothing about them but what an
// instruction reads and writes in memory.
#include "passes/kernel/builders/AmxProduct.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kTileRows = 16, kTileBytes = 64; // of each row
constexpr int64_t kTaskRows = 128;
constexpr int64_t kLeastRows = 8;   // that are worth it: less only wait for b
constexpr int64_t kRowsOfLoad = 32; // a tile of b takes as long to load

/// Registers. The lower 16 rows are unused where there are not as many.
enum Tile { upperSums, lowerSums = 2, upperRows = 4, lowerRows, columns };

struct AmxProduct : Gemm {
  Value configuration{}; ///< 64 bytes: the palette and every tile's size

  void build();
  void task(Value outer, Value rowFrom, Value rowTo, Value panelFrom,
            Value panelTo);
  void configure(Value upper, Value lower);
  void rest(Value panelIndex, Value row, Value count);
  void tile(Value panelIndex, Value row, Value count, bool hasLower);

  void instruction(StringRef name, ValueRange operands) {
    LLVM::CallIntrinsicOp::create(
        e.builder, e.loc, e.builder.getStringAttr("llvm.x86." + name.str()),
        operands);
  }
  Value tileNumber(int64_t number) {
    return LLVM::ConstantOp::create(e.builder, e.loc, e.builder.getI8Type(),
                                    number);
  }
  void multiply(int64_t sums, int64_t rows, int64_t columns) {
    StringRef name = !elements.isInteger() ? "tdpbf16ps"
                     : product.unsignedA   ? "tdpbusd"
                                           : "tdpbsud";
    instruction(name,
                {tileNumber(sums), tileNumber(rows), tileNumber(columns)});
  }
  Value bytes(Value count) { // as an instruction wants a distance
    return arith::IndexCastOp::create(e.builder, e.loc, e.builder.getI64Type(),
                                      count);
  }
  int64_t elementBytes() const { return 4 / depth; }
};
} // namespace

void AmxProduct::configure(Value upper, Value lower) {
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

void AmxProduct::build() {
  layout = Layout::Packed;
  forTasks(kRowsOfLoad, [&](Value outer, Value rowFrom, Value rowTo,
                            Value panelFrom, Value panelTo) {
    task(outer, rowFrom, rowTo, panelFrom, panelTo);
  });
}

void AmxProduct::task(Value outer, Value rowFrom, Value rowTo, Value panelFrom,
                      Value panelTo) {
  choosePoint(outer);
  sums = onStack(rows * width, elements.sumType());
  configuration = onStack(64, e.builder.getI8Type());
  Value whole = e.index(kTileRows),
        left = e.remainder(e.sub(rowTo, rowFrom), e.index(rows)),
        full = e.sub(rowTo, left);
  auto allRows = known(sizes[row()]);
  bool onlyWhole = allRows && *allRows % rows == 0;
  if (onlyWhole)
    configure(whole, whole);
  e.loop(panelFrom, panelTo, 1, [&](Value panelIndex) {
    if (!allRows || *allRows >= rows) {
      if (!onlyWhole)
        configure(whole, whole);
      e.loop(rowFrom, full, rows, [&](Value row) {
        tile(panelIndex, row, e.index(rows), /*hasLower=*/true);
      });
    }
    if (!onlyWhole)
      e.branch(e.less(full, rowTo), [&] {
        // The last rows of all are as many as are left of a task's.
        rest(panelIndex, full, allRows ? e.index(*allRows % rows) : left);
      });
  });
  instruction("tilerelease", {});
}

/// Less rows than both tiles have.
void AmxProduct::rest(Value panelIndex, Value row, Value count) {
  Value upper = e.min(count, e.index(kTileRows));
  e.branch(
      e.less(e.index(kTileRows), count),
      [&] {
        configure(upper, e.sub(count, upper));
        tile(panelIndex, row, count, /*hasLower=*/true);
      },
      [&] {
        configure(upper, e.index(kTileRows));
        tile(panelIndex, row, count, /*hasLower=*/false);
      });
}

void AmxProduct::tile(Value panelIndex, Value row, Value count, bool hasLower) {
  Value upper = positionInA(row),
        lower = hasLower ? positionInA(e.add(row, kTileRows)) : Value();
  Value panels = e.index(packWidth() / width); // of one packed panel
  point.back() = e.floorDiv(panelIndex, panels);
  Value panel = e.add(positionInB(),
                      e.mul(e.remainder(panelIndex, panels), width * depth));
  point.back() = {};
  Value rowBytes = bytes(e.mul(a.steps[this->row()], elementBytes())),
        stepBytes = bytes(e.index(packWidth() * 4)),
        sumBytes = bytes(e.index(width * 4));

  for (int64_t sum : llvm::seq(hasLower ? 4 : 2))
    instruction("tilezero", tileNumber(sum));
  auto load = [&](int64_t number, Value buffer, Value position,
                  Value distance) {
    instruction("tileloadd64",
                {tileNumber(number),
                 pointerTo(e, buffer, position, elementBytes()), distance});
  };
  e.loop(e.index(0), sizes[reduction()], kTileRows * depth, [&](Value step) {
    Value inPanel = e.add(panel, e.mul(step, packWidth()));
    load(columns, b.flat, inPanel, stepBytes);
    load(columns + 1, b.flat, e.add(inPanel, lanes * depth), stepBytes);
    load(upperRows, a.flat, e.add(upper, step), rowBytes);
    multiply(upperSums, upperRows, columns);
    multiply(upperSums + 1, upperRows, columns + 1);
    if (!hasLower)
      return;
    load(lowerRows, a.flat, e.add(lower, step), rowBytes);
    multiply(lowerSums, lowerRows, columns);
    multiply(lowerSums + 1, lowerRows, columns + 1);
  });
  for (int64_t sum : llvm::seq(hasLower ? 4 : 2))
    instruction(
        "tilestored64",
        {tileNumber(sum),
         pointerTo(e, sums,
                   e.index(sum / 2 * kTileRows * width + sum % 2 * lanes), 4),
         sumBytes});
  finish(panelIndex, e.index(0), row, count);
}

ScheduleAttr fulgur::amxSchedule(KernelOp kernel, const Product &product,
                                 ScheduleAttr plain) {
  constexpr int64_t kVectors = 2, kLanes = 16;
  auto rowCount = product.size(product.row()),
       stepCount = product.size(product.reduction());
  int64_t depth = product.depth();
  if (depth == 1 || product.gather || plain.getPack() == 0 ||
      plain.getPack() % (kVectors * kLanes) != 0 ||
      product.loops[product.row()].empty() ||
      rowCount.value_or(kLeastRows) < kLeastRows || !stepCount ||
      *stepCount % (kTileRows * depth) != 0)
    return {};
  // The elements of a row lie together.
  const Product::Loop &reduction = product.loops[product.reduction()];
  if (reduction.empty() ||
      product.aOperand.dims.back() != int(reduction.back()))
    return {};
  return ScheduleAttr::get(kernel.getContext(), amxBuilder.kind,
                           {2 * kTileRows, kVectors}, kLanes, /*unroll=*/1,
                           plain.getPack(), kTaskRows);
}

static ScheduleAttr schedule(KernelOp kernel, const Target &target) {
  return gemmBuilder.schedule(kernel, target);
}

static LogicalResult build(KernelSite &site) {
  std::optional<Product> product = matchProduct(site.kernel);
  AmxProduct amx{{{site, *product, *site.kernel.getSchedule()}}};
  amx.access();
  amx.build();
  return success();
}

static bool accepts(KernelOp kernel) { return gemmBuilder.accepts(kernel); }

const KernelBuilder fulgur::amxBuilder = {"amx", accepts, schedule, build,
                                          gemmBuilder.alternatives};
