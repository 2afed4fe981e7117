// Convolutions of each channel with a window of its own. Vectors are channels,
// a tile is `pixels` neighbours of a row, or of two. Every element of the input
// under a row of windows is read once and added to all pixels whose windows
// have it; the weights of small windows stay in registers for the whole row,
// which takes code of its own for rows whose windows reach outside of the
// input. Two rows at a time read less, and make fewer floats of narrow
// elements, which takes as long as multiplying. Bytes are multiplied and added
// as floats, whose sums are exact for any window of a usual size.
#include "passes/kernel/builders/ConvolutionLoops.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kTaskOperations = 1 << 17; // 3 to 5 microseconds
constexpr int64_t kTasks = 8;                // of an image are enough
constexpr int64_t kExactSteps = (1 << 24) / (UINT8_MAX * 128); // of bytes

struct Depthwise : ConvolutionLoops {
  using State = SmallVector<Value>;
  int64_t together;        ///< rows of a tile, where their windows are inside
  Value channel{}, mask{}; ///< of the vector
  State kept{};            ///< weights in registers; empty: none

  Depthwise(KernelSite &site, const Convolution &convolution, ScheduleAttr s)
      : ConvolutionLoops(site, convolution, s),
        together(s.getTile().size() > 4 ? s.getTile()[4] : 1) {}

  VectorType realType() {
    return VectorType::get(lanes, e.builder.getF32Type());
  }
  Value weight(Value tap) {
    auto type = VectorType::get(lanes, elements.element);
    return widened(
        vector::LoadOp::create(e.builder, e.loc, type, weights,
                               e.add(weightsOf(channel), e.mul(tap, pack))),
        /*isSigned=*/true);
  }
  /// As f32.
  Value widened(Value element, bool isSigned) {
    OpBuilder &b = e.builder;
    if (element.getType() == realType())
      return element;
    if (!getElementTypeOrSelf(element.getType()).isInteger())
      return arith::ExtFOp::create(b, e.loc, realType(), element);
    auto i32 = VectorType::get(lanes, b.getI32Type());
    element = isSigned
                  ? arith::ExtSIOp::create(b, e.loc, i32, element).getResult()
                  : arith::ExtUIOp::create(b, e.loc, i32, element);
    return arith::SIToFPOp::create(b, e.loc, realType(), element);
  }

  void build();
  void forParts(const Task &task, llvm::function_ref<void()> body);
  void rowInside(const Task &task, int64_t count);
  void anyRow(const Task &task);
  void tiles(const Task &task, int64_t rows);
  void tile(Value column, int64_t count, Reach reach, int64_t rows);
  /// `isOutside`: the window's place in an outer dim is not in the input.
  State windows(unsigned k, Value column, Reach reach, Value inputAt, Value tap,
                State sums, bool isOutside = false);
  /// The same for weights in registers.
  State keptWindows(unsigned k, Value column, Reach reach, Value inputAt,
                    int64_t tap, State sums, int64_t rows);
  State rowOfWindow(Value column, Reach reach, Value inputAt, Value tap,
                    State sums, bool isOutside);
  /// Sums from number `first` on, and the weights of the row of their windows.
  struct Row {
    int64_t first;
    State weights;
  };
  /// Adds a row of the input to `count` pixels of some rows.
  void addRow(Value column, int64_t count, Reach reach, Value inputAt,
              ArrayRef<Row> rows, State &sums, bool isOutside);
  Value element(Value inputAt, Value offset, bool isOutside);
};
} // namespace

void Depthwise::build() {
  takeWeights();
  forTasks([&](const Task &task) {
    if (together == 1)
      return forRows(task, [&] { anyRow(task); });
    Value &row = point[c.spatial.front().image];
    auto [from, innerTo] = wholeWindows(0, task.rowFrom, task.rowTo);
    Value rest = e.remainder(e.sub(innerTo, from), e.index(together)),
          to = e.sub(innerTo, rest);
    e.loop(from, to, together, [&](Value index) {
      row = index;
      forParts(task, [&] { rowInside(task, together); });
    });
    Value before = e.sub(from, task.rowFrom), behind = e.sub(task.rowTo, to);
    e.loop(e.index(0), e.add(before, behind), 1, [&](Value index) {
      row = arith::SelectOp::create(e.builder, e.loc, e.less(index, before),
                                    e.add(task.rowFrom, index),
                                    e.add(to, e.sub(index, before)));
      anyRow(task);
    });
  });
}

void Depthwise::forParts(const Task &task, llvm::function_ref<void()> body) {
  e.loop(task.partFrom, task.partTo, 1, [&](Value part) {
    channel = e.mul(part, width);
    forPart(channel, [&](bool masked) {
      mask = masked ? laneMask(channel) : Value();
      body();
    });
  });
}

static bool hasFewWeights(const Convolution &c, const Target &target) {
  return c.steps() * 2 < target.vectorRegisters + 4;
}

/// The row at `point`, wherever its windows are.
void Depthwise::anyRow(const Task &task) {
  forParts(task, [&] {
    if (!hasFewWeights(c, site.target))
      return tiles(task, 1);
    // Whether the windows are inside in all dims but the last.
    Value inside = e.index(1);
    for (unsigned k = 0; k < rowDim(); ++k) {
      auto [from, to] = insideOf(k, point[c.spatial[k].image]);
      inside = e.mul(inside, e.sub(to, from));
    }
    e.branch(
        e.less(inside, e.index(c.steps() / taps())), [&] { tiles(task, 1); },
        [&] { rowInside(task, 1); });
  });
}

/// `count` rows from that at `point` on, with the weights in registers.
void Depthwise::rowInside(const Task &task, int64_t count) {
  for (int64_t tap : llvm::seq(c.steps()))
    kept.push_back(weight(e.index(tap)));
  tiles(task, count);
  kept.clear();
}

void Depthwise::tiles(const Task &task, int64_t rows) {
  forTiles(task, [&](Value column, int64_t count, Reach reach) {
    tile(column, count, reach, rows);
  });
}

void Depthwise::tile(Value column, int64_t count, Reach reach, int64_t rows) {
  Value inputAt =
      e.add(e.add(inputBase(), windowStart(rowDim(), column)), channel);
  Value zero = c.isOfBytes() ? e.real(0, realType()) : begin(channel, mask);
  State sums(rows * count, zero);
  sums = kept.empty() ? windows(0, column, reach, inputAt, e.index(0), sums)
                      : keptWindows(0, column, reach, inputAt, 0, sums, rows);
  SmallVector<Value> before = point;
  for (int64_t number : llvm::seq(rows * count)) {
    point[row().image] = e.add(column, number % count);
    if (rows > 1) {
      unsigned outer = c.spatial[rowDim() - 1].image;
      point[outer] = e.add(before[outer], number / count);
    }
    Value sum = sums[number];
    if (c.isOfBytes())
      sum = arith::FPToSIOp::create(e.builder, e.loc, vectorType(), sum);
    finish(sum, channel, mask, /*hasBegun=*/!c.isOfBytes());
  }
  point = before;
}

/// Adds what the dims of the window from k on contribute.
Depthwise::State Depthwise::windows(unsigned k, Value column, Reach reach,
                                    Value inputAt, Value tap, State sums,
                                    bool isOutside) {
  if (k == rowDim())
    return rowOfWindow(column, reach, inputAt, tap, sums, isOutside);
  const Convolution::Spatial &dim = c.spatial[k];
  auto next = [&](Value position, State sums, bool outside) {
    Value step = inputStep(k) ? inputStep(k) : e.index(0);
    return windows(k + 1, column, reach,
                   e.add(inputAt, e.mul(e.mul(position, dim.dilation), step)),
                   e.add(e.mul(tap, size(dim.window)), position), sums,
                   outside);
  };
  auto rows = [&](Value from, Value to, State sums, bool outside) {
    return e.loop(from, to, 1, sums, [&](Value position, ValueRange carried) {
      return next(position, llvm::to_vector(carried), outside);
    });
  };
  Value zero = e.index(0), all = e.index(size(dim.window));
  if (isOutside)
    return rows(zero, all, sums, true);
  auto [from, to] = insideOf(k, point[dim.image]);
  if (!c.filler)
    return rows(from, to, sums, false);
  sums = rows(zero, from, sums, true);
  sums = rows(from, to, sums, false);
  return rows(to, all, sums, true);
}

Depthwise::State Depthwise::keptWindows(unsigned k, Value column, Reach reach,
                                        Value inputAt, int64_t tap, State sums,
                                        int64_t rows) {
  if (k == rowDim())
    return rowOfWindow(column, reach, inputAt, e.index(tap), sums, false);
  const Convolution::Spatial &dim = c.spatial[k];
  int64_t extent = size(dim.window);
  auto at = [&](int64_t offset) {
    Value step = inputStep(k) ? inputStep(k) : e.index(0);
    return e.add(inputAt, e.mul(step, offset));
  };
  if (reach == Reach::Single && rows > 1) {
    for (int64_t row : llvm::seq(rows))
      sums[row] = keptWindows(k, column, reach, at(row * dim.stride), tap,
                              {sums[row]}, 1)[0];
    return sums;
  }
  if (rows == 1) {
    for (int64_t position : llvm::seq(extent))
      sums = keptWindows(k + 1, column, reach, at(position * dim.dilation),
                         tap * extent + position, sums, 1);
    return sums;
  }
  int64_t count = sums.size() / rows;
  for (int64_t offset :
       llvm::seq((rows - 1) * dim.stride + (extent - 1) * dim.dilation + 1)) {
    SmallVector<Row> users;
    for (int64_t row : llvm::seq(rows)) {
      int64_t inWindow = offset - row * dim.stride,
              position = inWindow / dim.dilation;
      if (inWindow >= 0 && inWindow % dim.dilation == 0 && position < extent)
        users.push_back({row * count, State(ArrayRef(kept).slice(
                                          position * taps(), taps()))});
    }
    if (!users.empty())
      addRow(column, count, reach, at(offset), users, sums, false);
  }
  return sums;
}

/// An element of the input, as f32.
Value Depthwise::element(Value inputAt, Value offset, bool isOutside) {
  if (isOutside)
    return e.real(c.filler, realType());
  Value step = inputStep(rowDim()) ? inputStep(rowDim()) : e.index(0);
  return widened(readColumns(e, input.flat, e.add(inputAt, e.mul(step, offset)),
                             e.index(1), {lanes, mask}),
                 /*isSigned=*/false);
}

Depthwise::State Depthwise::rowOfWindow(Value column, Reach reach,
                                        Value inputAt, Value tap, State sums,
                                        bool isOutside) {
  const Convolution::Spatial &dim = c.spatial.back();
  Value first = e.mul(tap, taps());
  if (reach == Reach::Single) {
    auto taps = [&](Value from, Value to, State sums, bool outside) {
      return e.loop(from, to, 1, sums, [&](Value position, ValueRange carried) {
        Value read = element(inputAt, e.mul(position, dim.dilation), outside);
        return State{vector::FMAOp::create(e.builder, e.loc, read,
                                           weight(e.add(first, position)),
                                           carried[0])};
      });
    };
    Value zero = e.index(0), all = e.index(this->taps());
    if (isOutside)
      return taps(zero, all, sums, true);
    auto [from, to] = insideOf(rowDim(), column);
    if (!c.filler)
      return taps(from, to, sums, false);
    sums = taps(zero, from, sums, true);
    sums = taps(from, to, sums, false);
    return taps(to, all, sums, true);
  }
  Row row{0, {}};
  for (int64_t position : llvm::seq(taps()))
    row.weights.push_back(kept.empty() ? weight(e.add(first, position))
                                       : kept[*known(first) + position]);
  addRow(column, sums.size(), reach, inputAt, row, sums, isOutside);
  return sums;
}

void Depthwise::addRow(Value column, int64_t count, Reach reach, Value inputAt,
                       ArrayRef<Row> rows, State &sums, bool isOutside) {
  const Convolution::Spatial &dim = c.spatial.back();
  for (int64_t offset :
       llvm::seq((count - 1) * dim.stride + (taps() - 1) * dim.dilation + 1)) {
    Value read;
    for (int64_t pixel : llvm::seq(count)) {
      int64_t inWindow = offset - pixel * dim.stride,
              position = inWindow / dim.dilation;
      if (inWindow < 0 || inWindow % dim.dilation != 0 || position >= taps())
        continue;
      bool beyond =
          reach == Reach::Known && !isInside(*known(column) + pixel, position);
      if (beyond && !c.filler)
        continue;
      if (!read)
        read = element(inputAt, e.index(offset), isOutside || beyond);
      for (const Row &row : rows) {
        Value &sum = sums[row.first + pixel];
        sum = vector::FMAOp::create(e.builder, e.loc, read,
                                    row.weights[position], sum);
      }
    }
  }
}

static bool accepts(KernelOp kernel) {
  std::optional<Convolution> c = matchConvolution(kernel);
  // Vectors of the input lie along its last dim.
  return c && c->isDepthwise() &&
         (!c->isOfBytes() || c->steps() <= kExactSteps) &&
         llvm::all_of(llvm::reverse(c->inputLoops),
                      [&, behind = true](int loop) mutable {
                        behind &= loop != int(*c->group);
                        return !behind || c->size(loop) == 1;
                      });
}

static LogicalResult build(KernelSite &site) {
  ScheduleAttr schedule = site.kernel.getScheduleAttr();
  if (!schedule)
    schedule = depthwiseBuilder.schedule(site.kernel, site.target);
  Depthwise(site, *matchConvolution(site.kernel), schedule).build();
  return success();
}

/// How many pixels of two rows a tile has, which is 0 when it has one row: as
/// many as divide a row best and leave room for the weights.
static int64_t pixelsOfPairs(const Convolution &c, const Target &target,
                             int64_t length) {
  if (c.spatial.size() != 2 || !hasFewWeights(c, target))
    return 0;
  int64_t most = std::min<int64_t>((target.vectorRegisters - 4 - c.steps()) / 2,
                                   std::min<int64_t>(length, 7)),
          best = 0, least = 0;
  for (int64_t pixels = most; pixels >= 4; --pixels) {
    int64_t left = length % pixels,
            cost = length / pixels * (pixels + 1) + (left ? left + 1 : 0);
    if (!best || cost < least)
      best = pixels, least = cost;
  }
  return best;
}

static ScheduleAttr schedule(KernelOp kernel, const Target &target) {
  Convolution c = *matchConvolution(kernel);
  int64_t pack = c.packed ? c.packed.getStaticInnerTiles()[0] : 0;
  int64_t channels = std::max<int64_t>(c.size(c.lane()), 1);
  int64_t lanes =
      std::min<int64_t>(target.lanes(), llvm::PowerOf2Ceil(channels));
  if (pack)
    lanes = std::min(lanes, pack & -pack);
  int64_t length = typicalSize(c, c.spatial.back().image), rows = 1,
          parts = llvm::divideCeil(channels, lanes);
  for (const Convolution::Spatial &dim : ArrayRef(c.spatial).drop_back())
    rows *= typicalSize(c, dim.image);
  int64_t pairs = pixelsOfPairs(c, target, length),
          pixels = pairs ? pairs : std::min<int64_t>(length, 4);
  ScheduleAttr of = scheduleConvolution(c, depthwiseBuilder.kind, pixels,
                                        /*vectors=*/1, lanes, kTaskOperations);
  // Tasks of all channels read whole cache lines, and each row about once.
  int64_t taskRows = rows >= 4 * kTasks ? 4
                     : rows >= 12       ? llvm::divideCeil(rows, 2)
                                        : rows,
          segments = llvm::divideCeil(length, of.getTile()[2]),
          pieces = llvm::divideCeil(rows, taskRows) * segments,
          operations = 2 * rows * length * parts * lanes * c.steps(),
          tasks = std::min<int64_t>(
              llvm::PowerOf2Ceil(operations / kTaskOperations), kTasks),
          partBlocks = std::clamp<int64_t>(tasks / pieces, 1, parts);
  SmallVector<int64_t> tile(of.getTile());
  tile[3] = llvm::divideCeil(parts, partBlocks);
  if (pairs)
    tile.push_back(2);
  return ScheduleAttr::get(c.out.getContext(), of.getKind(), tile, lanes,
                           of.getUnroll(), of.getPack(), taskRows);
}

const KernelBuilder fulgur::depthwiseBuilder = {"depthwise", accepts, schedule,
                                                build};
