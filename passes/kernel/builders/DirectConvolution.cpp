// Convolutions that sum over channels, without a copy of the input. A tile of
// `pixels` neighbours of one row times `vectors` vectors of filters stays in
// registers over the whole sum: windows in the order of the weights, and the
// channels of each. Outer dims of the window are cut to what is inside of the
// input, so padding costs nothing there. Along the row, tiles whose windows
// all are inside take a row of the window as one long sum; tiles at the border,
// known when compiling, leave out the pixels that a tap does not reach. In rows
// of unknown length, pixels at the border are computed one by one.
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/ConvolutionLoops.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kTaskOperations = 8 << 20; // about 70 microseconds
constexpr int64_t kCacheBytes = 512 << 10;   // half of a second-level cache
constexpr int64_t kLongestRow = 1024;        // that one task computes
constexpr int64_t kUnknown = 64; // what sizes are taken for that are not known
constexpr int64_t kBorderCode = 96; // taps of border tiles that are written out

/// What the schedule says.
struct Plan {
  int64_t pixels, vectors, columns, parts; ///< columns: of a row, per task
  explicit Plan(ScheduleAttr s)
      : pixels(s.getTile()[0]), vectors(s.getTile()[1]),
        columns(s.getTile()[2]), parts(s.getTile()[3]) {}
};

struct DirectConvolution : ConvolutionLoops {
  Plan plan;
  int64_t taskRows, unroll;
  Value sums{};
  Value column0{}; ///< first filter of the part

  /// Some of the pixels of a tile, by number.
  using Pixels = SmallVector<int64_t>;
  using State = SmallVector<Value>;

  DirectConvolution(KernelSite &site, const Convolution &convolution,
                    ScheduleAttr s)
      : ConvolutionLoops(site, convolution, s.getLanes(),
                         Plan(s).vectors * s.getLanes()),
        plan(s), taskRows(s.getGrain()), unroll(s.getUnroll()) {}

  unsigned rowDim() { return c.spatial.size() - 1; }
  int64_t channels() { return size(c.channel); }
  int64_t taps() { return size(row().window); }
  Value channelStep() {
    Value step = c.channel ? input.steps[*c.channel] : Value();
    return step ? step : e.index(0);
  }

  void build();
  void task(Value image, Value rowFrom, Value rowTo, Value from, Value to,
            Value partFrom, Value partTo);
  void knownRow(Value from, Value to);
  void unknownRow(Value from, Value to);

  enum class Reach { All, Known, Single };
  void tile(Value column, int64_t count, Reach reach);
  State windows(unsigned k, Value column, int64_t count, Reach reach,
                Value inputAt, Value tap, State state);
  State sum(Value inputAt, Value weightsAt, int64_t length, Value step,
            const Pixels &pixels, int64_t count, State state);
  bool isInside(int64_t column, int64_t tap);
};
} // namespace

void DirectConvolution::build() {
  Value rows = e.index(1);
  for (const Convolution::Spatial &dim : ArrayRef(c.spatial).drop_back())
    rows = e.mul(rows, sizes[dim.image]);
  Value rowLength = sizes[row().image];
  Value rowBlocks = e.ceilDiv(rows, e.index(taskRows)),
        segments = e.ceilDiv(rowLength, e.index(plan.columns)),
        partBlocks = e.index(llvm::divideCeil(parts(), plan.parts));
  Value images = e.mul(sizeOf(c.batch), sizeOf(c.group));
  Value pieces = e.mul(rowBlocks, segments);
  // Neighbouring tasks share what is larger, the weights or the input.
  int64_t weightBytes = 4 * c.steps() * parts() * width, inputBytes = 4;
  for (int loop : c.inputLoops)
    inputBytes *= ShapedType::isDynamic(c.size(loop)) ? 1 : c.size(loop);
  bool piecesFirst = weightBytes >= inputBytes;
  e.parallel(e.mul(e.mul(images, pieces), partBlocks), [&](Value index) {
    auto take = [&](Value count) {
      Value taken = e.remainder(index, count);
      index = e.floorDiv(index, count);
      return taken;
    };
    Value piece, part;
    if (piecesFirst) {
      piece = take(pieces);
      part = take(partBlocks);
    } else {
      part = take(partBlocks);
      piece = take(pieces);
    }
    Value segment = e.remainder(piece, segments),
          block = e.floorDiv(piece, segments);
    Value rowFrom = e.mul(block, taskRows), from = e.mul(segment, plan.columns),
          partFrom = e.mul(part, plan.parts);
    task(index, rowFrom, e.min(e.add(rowFrom, taskRows), rows), from,
         e.min(e.add(from, plan.columns), rowLength), partFrom,
         e.min(e.add(partFrom, plan.parts), e.index(parts())));
  });
}

void DirectConvolution::task(Value image, Value rowFrom, Value rowTo,
                             Value from, Value to, Value partFrom,
                             Value partTo) {
  if (c.group) {
    point[*c.group] = e.remainder(image, sizes[*c.group]);
    image = e.floorDiv(image, sizes[*c.group]);
  }
  if (c.batch)
    point[*c.batch] = image;
  sums = memref::AllocaOp::create(
      e.builder, e.loc,
      MemRefType::get(plan.pixels * width, e.builder.getF32Type()),
      e.builder.getI64IntegerAttr(64));
  e.loop(partFrom, partTo, 1, [&](Value part) {
    column0 = e.mul(part, width);
    e.loop(rowFrom, rowTo, 1, [&](Value index) {
      for (const Convolution::Spatial &dim :
           llvm::reverse(ArrayRef(c.spatial).drop_back())) {
        point[dim.image] = e.remainder(index, sizes[dim.image]);
        index = e.floorDiv(index, sizes[dim.image]);
      }
      int64_t border = 2 * taps() * row().dilation / row().stride;
      bool isKnown =
          known(sizes[row().image]) && known(low[rowDim()]) &&
          known(inputSizes[rowDim()]) &&
          llvm::divideCeil(border, plan.pixels) * taps() <= kBorderCode;
      if (isKnown)
        knownRow(from, to);
      else
        unknownRow(from, to);
    });
  });
}

/// Whether the tap of the window at `column` is inside of the input.
bool DirectConvolution::isInside(int64_t column, int64_t tap) {
  if (!c.padded)
    return true;
  int64_t at =
      column * row().stride + tap * row().dilation - *known(low[rowDim()]);
  return at >= 0 && at < *known(inputSizes[rowDim()]);
}

void DirectConvolution::knownRow(Value from, Value to) {
  int64_t length = *known(sizes[row().image]), pixels = plan.pixels;
  auto isInner = [&](int64_t first, int64_t count) {
    return isInside(first, 0) && isInside(first, taps() - 1) &&
           isInside(first + count - 1, 0) &&
           isInside(first + count - 1, taps() - 1);
  };
  // Tiles that are inside lie next to each other.
  std::optional<int64_t> innerFrom;
  int64_t innerTo = 0;
  for (int64_t first = 0; first + pixels <= length; first += pixels)
    if (isInner(first, pixels)) {
      innerFrom = innerFrom.value_or(first);
      innerTo = first + pixels;
    }
  auto single = [&](int64_t first) {
    int64_t count = std::min(pixels, length - first);
    Value at = e.index(first);
    e.branch(
        e.less(at, from), [] {},
        [&] {
          e.branch(e.less(at, to), [&] {
            tile(at, count, isInner(first, count) ? Reach::All : Reach::Known);
          });
        });
  };
  for (int64_t first = 0; first < length; first += pixels) {
    if (!innerFrom || first < *innerFrom || first >= innerTo)
      single(first);
    else if (first == *innerFrom)
      e.loop(e.max(from, e.index(first)), e.min(to, e.index(innerTo)), pixels,
             [&](Value column) { tile(column, pixels, Reach::All); });
  }
}

void DirectConvolution::unknownRow(Value from, Value to) {
  // The columns whose windows are inside.
  Value innerFrom = from, innerTo = to, zero = e.index(0);
  if (c.padded) {
    Value stride = e.index(row().stride);
    auto reach = [&](Value distance) {
      return e.ceilDiv(e.max(distance, zero), stride);
    };
    innerFrom = e.min(e.max(from, reach(low[rowDim()])), to);
    Value room = e.sub(e.add(inputSizes[rowDim()], low[rowDim()]),
                       e.index((taps() - 1) * row().dilation));
    innerTo = e.max(e.min(to, reach(room)), innerFrom);
  }
  // Rows that are shorter than a tile have single pixels only.
  Value fits = e.less(e.index(plan.pixels - 1), e.sub(innerTo, innerFrom));
  innerTo = arith::SelectOp::create(e.builder, e.loc, fits, innerTo, innerFrom);
  // The last tile computes some pixels again, to the same numbers.
  e.loop(innerFrom, innerTo, plan.pixels, [&](Value column) {
    tile(e.min(column, e.sub(innerTo, e.index(plan.pixels))), plan.pixels,
         Reach::All);
  });
  Value before = e.sub(innerFrom, from), behind = e.sub(to, innerTo);
  e.loop(zero, e.add(before, behind), 1, [&](Value index) {
    Value column = arith::SelectOp::create(
        e.builder, e.loc, e.less(index, before), e.add(from, index),
        e.add(innerTo, e.sub(index, before)));
    tile(column, 1, Reach::Single);
  });
}

/// The sums of `count` pixels from `column` on and their epilogue.
void DirectConvolution::tile(Value column, int64_t count, Reach reach) {
  // Few sums: several sets of them hide the latency of the additions.
  int64_t tileSums = count * plan.vectors,
          sets = std::clamp<int64_t>(8 / tileSums, 1, 4);
  State state(tileSums * sets, e.real(0, vectorType()));
  Value inputAt = e.add(inputBase(), windowStart(rowDim(), column));
  state = windows(0, column, count, reach, inputAt, e.index(0), state);
  for (int64_t set : llvm::seq<int64_t>(1, sets))
    for (int64_t sum : llvm::seq(tileSums))
      state[sum] = arith::AddFOp::create(e.builder, e.loc, state[sum],
                                         state[set * tileSums + sum]);
  for (int64_t sum : llvm::seq(tileSums))
    vector::StoreOp::create(e.builder, e.loc, state[sum], sums,
                            e.index(sum * lanes));
  forPart(column0, [&](bool masked) {
    e.loop(e.index(0), e.index(count), 1, [&](Value pixel) {
      point[row().image] = e.add(column, pixel);
      for (int64_t vector : llvm::seq(plan.vectors)) {
        Value filter = e.add(column0, vector * lanes);
        Value result =
            vector::LoadOp::create(e.builder, e.loc, vectorType(), sums,
                                   e.add(e.mul(pixel, width), vector * lanes));
        finish(result, filter, masked ? laneMask(filter) : Value());
      }
    });
  });
}

/// Adds what the dims of the window from k on contribute.
DirectConvolution::State DirectConvolution::windows(unsigned k, Value column,
                                                    int64_t count, Reach reach,
                                                    Value inputAt, Value tap,
                                                    State state) {
  const Convolution::Spatial &dim = c.spatial[k];
  int64_t extent = size(dim.window);
  auto at = [&](Value position) {
    Value step = inputStep(k);
    return step ? e.add(inputAt, e.mul(e.mul(position, dim.dilation), step))
                : inputAt;
  };
  auto tapAt = [&](Value position) {
    return e.add(e.mul(tap, extent), position);
  };
  if (k != rowDim()) {
    auto [from, to] = insideOf(k, point[dim.image]);
    return e.loop(from, to, 1, state, [&](Value position, ValueRange carried) {
      return windows(k + 1, column, count, reach, at(position), tapAt(position),
                     llvm::to_vector(carried));
    });
  }
  auto sumOf = [&](Value position, const Pixels &pixels, State state) {
    Value weightsAt =
        e.add(weightsOf(column0), e.mul(tapAt(position), channels() * pack));
    return sum(at(position), weightsAt, channels(), channelStep(), pixels,
               count, state);
  };
  Pixels all = llvm::to_vector(llvm::seq<int64_t>(0, count));
  if (reach == Reach::Known) {
    for (int64_t position : llvm::seq(extent)) {
      Pixels reached = all;
      llvm::erase_if(reached, [&](int64_t pixel) {
        return !isInside(*known(column) + pixel, position);
      });
      if (!reached.empty())
        state = sumOf(e.index(position), reached, state);
    }
    return state;
  }
  Value from = e.index(0), to = e.index(extent);
  if (reach == Reach::Single) {
    std::tie(from, to) = insideOf(k, column);
  } else if (auto step = inputStep(k) ? known(inputStep(k)) : 0;
             dim.dilation == 1 && step == channels() &&
             (channels() == 1 || known(channelStep()) == 1)) {
    // A row of the window lies in one piece.
    Value weightsAt =
        e.add(weightsOf(column0), e.mul(tapAt(e.index(0)), channels() * pack));
    return sum(inputAt, weightsAt, extent * channels(), e.index(1), all, count,
               state);
  }
  return e.loop(from, to, 1, state, [&](Value position, ValueRange carried) {
    return sumOf(position, all, llvm::to_vector(carried));
  });
}

/// Adds `length` steps of the sum to those of some of the pixels: the input's
/// elements are `step` apart.
DirectConvolution::State DirectConvolution::sum(Value inputAt, Value weightsAt,
                                                int64_t length, Value step,
                                                const Pixels &pixels,
                                                int64_t count, State state) {
  int64_t tileSums = count * plan.vectors, sets = state.size() / tileSums;
  // Only the sums that change are carried.
  SmallVector<int64_t> changed;
  for (int64_t set : llvm::seq(sets))
    for (int64_t pixel : pixels)
      for (int64_t vector : llvm::seq(plan.vectors))
        changed.push_back(set * tileSums + pixel * plan.vectors + vector);
  State carried;
  for (int64_t number : changed)
    carried.push_back(state[number]);
  int64_t setSums = pixels.size() * plan.vectors;
  Value pixelStep = inputStep(rowDim()) ? inputStep(rowDim()) : e.index(0);
  auto add = [&](Value index, int64_t set, State &sums) {
    SmallVector<Value> loaded;
    Value from = e.add(weightsAt, e.mul(index, pack));
    for (int64_t vector : llvm::seq(plan.vectors))
      loaded.push_back(vector::LoadOp::create(e.builder, e.loc, vectorType(),
                                              weights,
                                              e.add(from, vector * lanes)));
    Value first = e.add(inputAt, e.mul(index, step));
    for (auto [number, pixel] : llvm::enumerate(pixels)) {
      Value position = e.add(first, e.mul(pixelStep, pixel * row().stride));
      Value element = e.broadcast(
          memref::LoadOp::create(e.builder, e.loc, input.flat, position),
          lanes);
      for (int64_t vector : llvm::seq(plan.vectors)) {
        Value &sum = sums[set * setSums + number * plan.vectors + vector];
        sum = vector::FMAOp::create(e.builder, e.loc, element, loaded[vector],
                                    sum);
      }
    }
  };
  int64_t atOnce = std::max(unroll, sets);
  if (length <= 4)
    atOnce = length;
  int64_t unrolledTo = length / atOnce * atOnce;
  auto steps = [&](int64_t from, int64_t to, int64_t atOnce) {
    carried = e.loop(e.index(from), e.index(to), atOnce, carried,
                     [&](Value index, ValueRange now) {
                       State next = llvm::to_vector(now);
                       for (int64_t u : llvm::seq(atOnce))
                         add(e.add(index, u), u % sets, next);
                       return next;
                     });
  };
  steps(0, unrolledTo, atOnce);
  steps(unrolledTo, length, 1);
  for (auto [number, value] : llvm::zip(changed, carried))
    state[number] = value;
  return state;
}

static bool acceptsDirect(KernelOp kernel) {
  std::optional<Convolution> c = matchConvolution(kernel);
  return c && !c->isDepthwise();
}

static LogicalResult buildDirect(KernelSite &site) {
  ScheduleAttr schedule = site.kernel.getScheduleAttr();
  if (!schedule)
    schedule = directConvolutionBuilder.schedule(site.kernel, site.target);
  DirectConvolution(site, *matchConvolution(site.kernel), schedule).build();
  return success();
}

/// The register tile, pixels and vectors, that computes rows of `length` pixels
/// in the least time.
static std::pair<int64_t, int64_t> chooseTile(const Convolution &c,
                                              const Target &target,
                                              int64_t length, int64_t lanes,
                                              int64_t pack) {
  // All sums, the weights of one step and an element of the input must fit in
  // the registers, with some room for a second step.
  bool manyRegisters = target.vectorRegisters >= 32;
  auto mostPixels = [&](int64_t vectors) -> int64_t {
    if (!manyRegisters)
      return vectors == 1 ? 8 : 12 / vectors;
    return vectors == 1 ? 14 : vectors == 2 ? 8 : 24 / vectors;
  };
  int64_t filters = c.size(c.lane());
  std::pair<int64_t, int64_t> best{1, 1};
  double least = std::numeric_limits<double>::infinity();
  for (int64_t vectors : {2, 4, 3, 1}) {
    if ((pack && pack % (vectors * lanes) != 0) ||
        (vectors > 1 && (vectors - 1) * lanes >= filters) ||
        (vectors > 3 && !manyRegisters))
      continue;
    int64_t parts = llvm::divideCeil(filters, vectors * lanes);
    // Tiles read the weights of a part again and again: from the second-level
    // cache or, when they do not fit, from behind it.
    double reading =
        4 * c.steps() * vectors * lanes > kCacheBytes * 5 / 4 ? 0.6 : 0.1;
    auto cost = [&](int64_t pixels) {
      double products = pixels * vectors, loads = pixels + vectors;
      // Fewer sums cannot hide the latency of the additions.
      return std::max(products + 0.15 * loads + reading * vectors, 8.0);
    };
    for (int64_t pixels = std::min(mostPixels(vectors), length); pixels >= 1;
         --pixels) {
      int64_t left = length % pixels;
      double total =
          parts * (length / pixels * cost(pixels) + (left ? cost(left) : 0));
      if (total < 0.99 * least) {
        least = total;
        best = {pixels, vectors};
      }
    }
  }
  return best;
}

static ScheduleAttr scheduleDirect(KernelOp kernel, const Target &target) {
  Convolution c = *matchConvolution(kernel);
  auto sizeOr = [&](unsigned loop) {
    return ShapedType::isDynamic(c.size(loop)) ? kUnknown : c.size(loop);
  };
  int64_t filters = c.size(c.lane()), length = sizeOr(c.spatial.back().image),
          rows = 1;
  for (const Convolution::Spatial &dim : ArrayRef(c.spatial).drop_back())
    rows *= sizeOr(dim.image);
  length = std::max<int64_t>(length, 1);
  int64_t pack = c.packed ? c.packed.getStaticInnerTiles()[0] : 0;
  int64_t lanes = std::min<int64_t>(
      target.lanes(), llvm::PowerOf2Ceil(std::max<int64_t>(filters, 1)));
  if (pack)
    lanes = std::min(lanes, pack & -pack);
  auto [pixels, vectors] = chooseTile(c, target, length, lanes, pack);
  int64_t width = vectors * lanes;

  // Tasks: equal pieces of long rows, several rows, several parts.
  int64_t segments = llvm::divideCeil(length, kLongestRow);
  bool isKnown = !ShapedType::isDynamic(c.size(c.spatial.back().image));
  int64_t columns = llvm::alignTo(
      isKnown ? llvm::divideCeil(length, segments) : kLongestRow, pixels);
  int64_t rowOperations =
      std::max<int64_t>(2 * std::min(columns, length) * width * c.steps(), 1);
  int64_t blocks = std::clamp<int64_t>(rows * rowOperations / kTaskOperations,
                                       1, std::max<int64_t>(rows, 1));
  int64_t taskRows = std::max<int64_t>(llvm::divideCeil(rows, blocks), 1);
  int64_t parts = llvm::divideCeil(filters, width);
  int64_t partBlocks = std::clamp<int64_t>(
      parts * taskRows * rowOperations / kTaskOperations, 1, parts);
  int64_t taskParts = llvm::divideCeil(parts, partBlocks);
  return ScheduleAttr::get(kernel.getContext(), directConvolutionBuilder.kind,
                           {pixels, vectors, columns, taskParts}, lanes,
                           /*unroll=*/2, /*pack=*/pack ? pack : width,
                           taskRows);
}

const KernelBuilder fulgur::directConvolutionBuilder = {
    "convolution", acceptsDirect, scheduleDirect, buildDirect};
