// Products with weights of bfloat16 or bytes by AMX's tiles.
//
// Rows are read where they are. The panels of weights that the plain product
// reads are tiles already: 16 steps, their distance the panel's width. Sums go
// through a small buffer to the epilogue, as those of the plain product.
#include "passes/kernel/builders/AmxProduct.h"
#include "passes/kernel/builders/AmxTiles.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::amx;

namespace {
constexpr int64_t kTaskRows = 128;
constexpr int64_t kLeastRows = 8;   // that are worth it: less only wait for b
constexpr int64_t kRowsOfLoad = 32; // a tile of b takes as long to load

struct AmxProduct : Gemm {
  Tiles tiles{e, elements};

  void build();
  void task(Value outer, Value rowFrom, Value rowTo, Value panelFrom,
            Value panelTo);
  void rest(Value panelIndex, Value row, Value count);
  void tile(Value panelIndex, Value row, Value count, bool hasLower);

  int64_t elementBytes() const { return 4 / depth; }
};
} // namespace

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
  tiles.allocate();
  Value whole = e.index(kTileRows),
        left = e.remainder(e.sub(rowTo, rowFrom), e.index(rows)),
        full = e.sub(rowTo, left);
  auto allRows = known(sizes[row()]);
  bool onlyWhole = allRows && *allRows % rows == 0;
  if (onlyWhole)
    tiles.configure(whole, whole);
  e.loop(panelFrom, panelTo, 1, [&](Value panelIndex) {
    if (!allRows || *allRows >= rows) {
      if (!onlyWhole)
        tiles.configure(whole, whole);
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
  tiles.release();
}

/// Less rows than both tiles have.
void AmxProduct::rest(Value panelIndex, Value row, Value count) {
  Value upper = e.min(count, e.index(kTileRows));
  e.branch(
      e.less(e.index(kTileRows), count),
      [&] {
        tiles.configure(upper, e.sub(count, upper));
        tile(panelIndex, row, count, /*hasLower=*/true);
      },
      [&] {
        tiles.configure(upper, e.index(kTileRows));
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
  Value rowBytes = e.mul(a.steps[this->row()], elementBytes()),
        stepBytes = e.index(packWidth() * 4), sumBytes = e.index(width * 4);

  for (int64_t sum : llvm::seq(hasLower ? 4 : 2))
    tiles.clear(sum);
  auto load = [&](int64_t tile, Value buffer, Value position, Value distance) {
    tiles.load(tile, pointerTo(e, buffer, position, elementBytes()), distance);
  };
  e.loop(e.index(0), sizes[reduction()], kTileRows * depth, [&](Value step) {
    Value inPanel = e.add(panel, e.mul(step, packWidth()));
    load(columns, b.flat, inPanel, stepBytes);
    load(columns + 1, b.flat, e.add(inPanel, lanes * depth), stepBytes);
    load(upperRows, a.flat, e.add(upper, step), rowBytes);
    tiles.multiply(upperSums, upperRows, columns);
    tiles.multiply(upperSums + 1, upperRows, columns + 1);
    if (!hasLower)
      return;
    load(lowerRows, a.flat, e.add(lower, step), rowBytes);
    tiles.multiply(lowerSums, lowerRows, columns);
    tiles.multiply(lowerSums + 1, lowerRows, columns + 1);
  });
  for (int64_t sum : llvm::seq(hasLower ? 4 : 2))
    tiles.store(
        sum,
        pointerTo(e, sums,
                  e.index(sum / 2 * kTileRows * width + sum % 2 * lanes), 4),
        sumBytes);
  finish(panelIndex, e.index(0), row, count);
}

ScheduleAttr fulgur::amxSchedule(KernelOp kernel, const Product &product,
                                 ScheduleAttr plain) {
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
