// Convolutions that sum over channels, without a copy of the input. A tile of
// `pixels` neighbours of one row times `vectors` vectors of filters stays in
// registers over the whole sum: windows in the order of the weights, and the
// channels of each. Outer dims of the window are cut to what is inside of the
// input, so padding with zeros costs nothing there. Along the row, tiles whose
// windows all are inside take a row of the window as one long sum; tiles at the
// border, known when compiling, leave out the pixels that a tap does not reach.
// In rows of unknown length, pixels at the border are computed one by one.
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/ConvolutionLoops.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kTaskOperations = 8 << 20; // about 70 microseconds
constexpr int64_t kCacheBytes = 512 << 10;   // half of a second-level cache

struct DirectConvolution : ConvolutionLoops {
  int64_t unroll;
  Value sums{};
  Value column0{}; ///< first filter of the part

  /// Some of the pixels of a tile, by number.
  using Pixels = SmallVector<int64_t>;
  using State = SmallVector<Value>;

  DirectConvolution(KernelSite &site, const Convolution &convolution,
                    ScheduleAttr s)
      : ConvolutionLoops(site, convolution, s), unroll(s.getUnroll()) {}

  int64_t channels() { return size(c.channel); }
  Value channelStep() {
    Value step = c.channel ? input.steps[*c.channel] : Value();
    return step ? step : e.index(0);
  }

  void build();
  void tile(Value column, int64_t count, Reach reach);
  void prefetchEpilogue(Value column, int64_t count);
  /// `isOutside`: the window's place in an outer dim is not in the input.
  State windows(unsigned k, Value column, int64_t count, Reach reach,
                Value inputAt, Value tap, State state, bool isOutside = false);
  /// Pixels that `isFilled` read the filler instead of the input.
  State sum(Value inputAt, Value weightsAt, int64_t length, Value step,
            const Pixels &pixels, int64_t count, State state,
            llvm::function_ref<bool(int64_t)> isFilled);
  /// One step of a row of what is outside.
  Value filler() {
    auto type = elements.laneType();
    return arith::ConstantOp::create(
        e.builder, e.loc,
        DenseElementsAttr::get(type, APInt(32, c.filler * 0x01010101u)));
  }
};
} // namespace

void DirectConvolution::build() {
  takeWeights();
  forTasks([&](const Task &task) {
    sums = memref::AllocaOp::create(
        e.builder, e.loc,
        MemRefType::get(plan.pixels * width, elements.sumType()),
        e.builder.getI64IntegerAttr(64));
    e.loop(task.partFrom, task.partTo, 1, [&](Value part) {
      column0 = e.mul(part, width);
      forRows(task, [&] {
        forTiles(task, [&](Value column, int64_t count, Reach reach) {
          tile(column, count, reach);
        });
      });
    });
  });
}

/// The sums of `count` pixels from `column` on and their epilogue.
void DirectConvolution::tile(Value column, int64_t count, Reach reach) {
  // Few sums: several sets of them hide the latency of the additions.
  int64_t tileSums = count * plan.vectors,
          sets = std::clamp<int64_t>(8 / tileSums, 1, 4);
  State state(tileSums * sets, e.zero(vectorType()));
  Value inputAt = e.add(inputBase(), windowStart(rowDim(), column));
  prefetchEpilogue(column, count);
  // Pairs of bfloat16 are multiplied so fast that it is a good part of the time
  // to store sums and to read them again.
  bool atOnce = elements.element.isBF16() && elements.parts == 1;
  auto maskOf = [&](Value filter) {
    return wholeParts() ? Value() : laneMask(filter);
  };
  if (atOnce)
    for (int64_t vector : llvm::seq(plan.vectors)) {
      Value filter = e.add(column0, vector * lanes),
            first = begin(filter, maskOf(filter));
      for (int64_t pixel : llvm::seq(count))
        state[pixel * plan.vectors + vector] = first;
    }
  state = windows(0, column, count, reach, inputAt, e.index(0), state);
  for (int64_t set : llvm::seq<int64_t>(1, sets))
    for (int64_t sum : llvm::seq(tileSums))
      state[sum] = elements.add(e, state[sum], state[set * tileSums + sum]);
  if (atOnce) {
    for (int64_t sum : llvm::seq(tileSums)) {
      point[row().image] = e.add(column, sum / plan.vectors);
      Value filter = e.add(column0, sum % plan.vectors * lanes);
      finish(state[sum], filter, maskOf(filter), /*hasBegun=*/true);
    }
    return;
  }
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

/// Asks for what the epilogue reads and writes while its tile is computed:
/// otherwise it would wait for it line by line, and the next tile with it.
/// Floats take longer to multiply than that.
void DirectConvolution::prefetchEpilogue(Value column, int64_t count) {
  if (!c.isOfBytes() || !wholeParts())
    return;
  point[c.lane()] = column0;
  for (int64_t pixel : llvm::seq(count)) {
    point[row().image] = e.add(column, pixel);
    prefetchEpilogueOf(e, out, epilogueInputs, point, row().image, c.lane(),
                       width);
  }
  point[c.lane()] = point[row().image] = {};
}

/// Adds what the dims of the window from k on contribute.
DirectConvolution::State DirectConvolution::windows(unsigned k, Value column,
                                                    int64_t count, Reach reach,
                                                    Value inputAt, Value tap,
                                                    State state,
                                                    bool isOutside) {
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
    auto rows = [&](Value from, Value to, bool outside, State state) {
      return e.loop(
          from, to, 1, state, [&](Value position, ValueRange carried) {
            return windows(k + 1, column, count, reach, at(position),
                           tapAt(position), llvm::to_vector(carried), outside);
          });
    };
    Value zero = e.index(0), all = e.index(extent);
    if (isOutside)
      return rows(zero, all, true, state);
    auto [from, to] = insideOf(k, point[dim.image]);
    if (!c.filler)
      return rows(from, to, false, state);
    state = rows(zero, from, true, state);
    state = rows(from, to, false, state);
    return rows(to, all, true, state);
  }
  auto sumOf = [&](Value position, const Pixels &pixels, State state,
                   llvm::function_ref<bool(int64_t)> isFilled) {
    Value weightsAt =
        e.add(weightsOf(column0), e.mul(tapAt(position), channels() * pack));
    return sum(at(position), weightsAt, channels(), channelStep(), pixels,
               count, state, isFilled);
  };
  auto always = [&](int64_t) { return isOutside; };
  Pixels all = llvm::to_vector(llvm::seq<int64_t>(0, count));
  if (reach == Reach::Known) {
    for (int64_t position : llvm::seq(extent)) {
      auto isBeyond = [&](int64_t pixel) {
        return !isInside(*known(column) + pixel, position);
      };
      Pixels reached = all;
      if (!c.filler)
        llvm::erase_if(reached, isBeyond);
      if (!reached.empty())
        state = sumOf(e.index(position), reached, state, [&](int64_t pixel) {
          return isOutside || isBeyond(pixel);
        });
    }
    return state;
  }
  Value from = e.index(0), to = e.index(extent);
  if (reach == Reach::Single && !isOutside) {
    std::tie(from, to) = insideOf(k, column);
  } else if (auto step = inputStep(k) ? known(inputStep(k)) : 0;
             dim.dilation == 1 && step == channels() &&
             (channels() == 1 || known(channelStep()) == 1)) {
    // A row of the window lies in one piece.
    Value weightsAt =
        e.add(weightsOf(column0), e.mul(tapAt(e.index(0)), channels() * pack));
    return sum(inputAt, weightsAt, extent * channels(), e.index(1), all, count,
               state, always);
  }
  auto taps = [&](Value from, Value to, State state,
                  llvm::function_ref<bool(int64_t)> isFilled) {
    return e.loop(from, to, 1, state, [&](Value position, ValueRange carried) {
      return sumOf(position, all, llvm::to_vector(carried), isFilled);
    });
  };
  if (reach != Reach::Single || !c.filler || isOutside)
    return taps(from, to, state, always);
  auto beyond = [](int64_t) { return true; };
  state = taps(e.index(0), from, state, beyond);
  state = taps(from, to, state, always);
  return taps(to, e.index(extent), state, beyond);
}

/// Adds `length` steps of the sum, a multiple of `depth`, to those of some of
/// the pixels: the input's elements are `step` apart.
DirectConvolution::State
DirectConvolution::sum(Value inputAt, Value weightsAt, int64_t length,
                       Value step, const Pixels &pixels, int64_t count,
                       State state,
                       llvm::function_ref<bool(int64_t)> isFilled) {
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
    Value from = e.add(weightsAt, e.mul(index, pack * depth));
    for (int64_t vector : llvm::seq(plan.vectors))
      loaded.push_back(elements.columns(e, weights,
                                        e.add(from, vector * lanes * depth),
                                        /*mask=*/{}));
    Value first = e.add(inputAt, e.mul(index, e.mul(step, depth)));
    for (int64_t part : llvm::seq(elements.parts)) {
      State right;
      for (Value vector : loaded)
        right.push_back(elements.part(e, vector, part, /*ofRow=*/false));
      for (auto [number, pixel] : llvm::enumerate(pixels)) {
        Value position = e.add(first, e.mul(pixelStep, pixel * row().stride));
        Value read = isFilled(pixel) ? filler()
                                     : elements.row(e, input.flat, position,
                                                    step, /*count=*/{});
        Value element = elements.part(e, read, part, /*ofRow=*/true);
        for (int64_t vector : llvm::seq(plan.vectors)) {
          Value &sum = sums[set * setSums + number * plan.vectors + vector];
          sum = elements.multiply(e, element, right[vector], sum);
        }
      }
    }
  };
  length /= depth;
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
  return c && !c->isDepthwise() && !c->transformed;
}

static LogicalResult buildDirect(KernelSite &site) {
  ScheduleAttr schedule = site.kernel.getScheduleAttr();
  if (!schedule)
    schedule = directConvolutionBuilder.schedule(site.kernel, site.target);
  DirectConvolution(site, *matchConvolution(site.kernel), schedule).build();
  return success();
}

/// All sums, the weights of one step and an element of the input must fit in
/// the registers, with some room for a second step.
static int64_t mostPixels(const Target &target, int64_t vectors) {
  if (target.vectorRegisters < 32)
    return vectors == 1 ? 8 : 12 / vectors;
  return vectors == 1 ? 14 : vectors == 2 ? 8 : 24 / vectors;
}

/// The register tile, pixels and vectors, that computes rows of `length` pixels
/// in the least time.
static std::pair<int64_t, int64_t> chooseTile(const Convolution &c,
                                              const Target &target,
                                              int64_t length, int64_t lanes,
                                              int64_t pack) {
  int64_t filters = c.size(c.lane());
  std::pair<int64_t, int64_t> best{1, 1};
  double least = std::numeric_limits<double>::infinity();
  for (int64_t vectors : {2, 4, 3, 1}) {
    if ((pack && pack % (vectors * lanes) != 0) ||
        (vectors > 1 && (vectors - 1) * lanes >= filters) ||
        (vectors > 3 && target.vectorRegisters < 32))
      continue;
    int64_t parts = llvm::divideCeil(filters, vectors * lanes);
    // Tiles read the weights of a part again and again: from the second-level
    // cache or, when they do not fit, from behind it.
    double reading =
        4 / c.depth() * c.steps() * vectors * lanes > kCacheBytes * 5 / 4 ? 0.6
                                                                          : 0.1;
    auto cost = [&](int64_t pixels) {
      double products = pixels * vectors, loads = pixels + vectors;
      // Fewer sums cannot hide the latency of the additions.
      return std::max(products + 0.15 * loads + reading * vectors, 8.0);
    };
    for (int64_t pixels = std::min(mostPixels(target, vectors), length);
         pixels >= 1; --pixels) {
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
  int64_t length = typicalSize(c, c.spatial.back().image);
  int64_t pack = c.packed ? c.packed.getStaticInnerTiles()[0] : 0;
  int64_t filters = std::max<int64_t>(c.size(c.lane()), 1);
  int64_t lanes =
      std::min<int64_t>(target.lanes(), llvm::PowerOf2Ceil(filters));
  if (pack)
    lanes = std::min(lanes, pack & -pack);
  else if (target.halves && c.depth() == 1 && filters > lanes &&
           2 * filters <= 3 * lanes)
    lanes /= 2; // three of them take less time than two whole ones
  auto [pixels, vectors] = chooseTile(c, target, length, lanes, pack);
  return scheduleConvolution(c, directConvolutionBuilder.kind, pixels, vectors,
                             lanes, kTaskOperations);
}

/// Other register tiles, and tasks of other sizes.
static SmallVector<ScheduleAttr> alternativesOfDirect(KernelOp kernel,
                                                      const Target &target,
                                                      ScheduleAttr chosen) {
  Convolution c = *matchConvolution(kernel);
  int64_t lanes = chosen.getLanes();
  SmallVector<ScheduleAttr> schedules;
  auto add = [&](int64_t pixels, int64_t vectors, int64_t operations) {
    schedules.push_back(scheduleConvolution(c, chosen.getKind(), pixels,
                                            vectors, lanes, operations));
  };
  for (int64_t operations : {kTaskOperations / 4, kTaskOperations * 4})
    add(chosen.getTile()[0], chosen.getTile()[1], operations);
  for (int64_t vectors : {1, 2, 3, 4}) {
    if ((c.packed && chosen.getPack() % (vectors * lanes) != 0) ||
        (vectors - 1) * lanes >= c.size(c.lane()) ||
        (vectors > 3 && target.vectorRegisters < 32))
      continue;
    int64_t most = mostPixels(target, vectors);
    for (int64_t pixels : {most, most * 3 / 4, most / 2})
      add(std::max<int64_t>(pixels, 1), vectors, kTaskOperations);
  }
  return schedules;
}

const KernelBuilder fulgur::directConvolutionBuilder = {
    "convolution", acceptsDirect, scheduleDirect, buildDirect,
    alternativesOfDirect};
