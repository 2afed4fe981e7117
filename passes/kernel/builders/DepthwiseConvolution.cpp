// Convolutions of each channel with a window of its own. Vectors are channels,
// a tile is `pixels` neighbours of one row. Every column of the input under the
// tile is read once and added to all pixels whose windows have it; the weights
// of small windows stay in registers for the whole row, which takes code of its
// own for rows whose windows reach outside of the input. Bytes are multiplied
// and added as floats, whose sums are exact for any window of a usual size.
#include "passes/kernel/builders/ConvolutionLoops.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kTaskOperations = 1 << 18; // 5 to 10 microseconds
constexpr int64_t kExactSteps = (1 << 24) / (UINT8_MAX * 128); // of bytes

struct Depthwise : ConvolutionLoops {
  using State = SmallVector<Value>;
  Value channel{}, mask{}; ///< of the vector
  State kept{};            ///< weights in registers; empty: none

  Depthwise(KernelSite &site, const Convolution &convolution, ScheduleAttr s)
      : ConvolutionLoops(site, convolution, s) {}

  Columns columns() { return {lanes, mask}; }
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
  void row(const Task &task, bool keepWeights);
  void tile(Value column, int64_t count, Reach reach);
  /// `isOutside`: the window's place in an outer dim is not in the input.
  State windows(unsigned k, Value column, Reach reach, Value inputAt, Value tap,
                State sums, bool isOutside = false);
  State rowOfWindow(Value column, Reach reach, Value inputAt, Value tap,
                    State sums, bool isOutside);
};
} // namespace

void Depthwise::build() {
  takeWeights();
  forTasks([&](const Task &task) {
    forRows(task, [&] {
      e.loop(task.partFrom, task.partTo, 1, [&](Value part) {
        channel = e.mul(part, width);
        forPart(channel, [&](bool masked) {
          mask = masked ? laneMask(channel) : Value();
          bool few = c.steps() * 2 < site.target.vectorRegisters + 4;
          if (!few)
            return row(task, false);
          // Whether the windows are inside in all dims but the last.
          Value inside = e.index(1);
          for (unsigned k = 0; k < rowDim(); ++k) {
            auto [from, to] = insideOf(k, point[c.spatial[k].image]);
            inside = e.mul(inside, e.sub(to, from));
          }
          e.branch(
              e.less(inside, e.index(c.steps() / taps())),
              [&] { row(task, false); }, [&] { row(task, true); });
        });
      });
    });
  });
}

void Depthwise::row(const Task &task, bool keepWeights) {
  if (keepWeights)
    for (int64_t tap : llvm::seq(c.steps()))
      kept.push_back(weight(e.index(tap)));
  forTiles(task, [&](Value column, int64_t count, Reach reach) {
    tile(column, count, reach);
  });
  kept.clear();
}

void Depthwise::tile(Value column, int64_t count, Reach reach) {
  Value inputAt =
      e.add(e.add(inputBase(), windowStart(rowDim(), column)), channel);
  State sums = windows(0, column, reach, inputAt, e.index(0),
                       State(count, e.real(0, realType())));
  for (int64_t pixel : llvm::seq(count)) {
    point[c.spatial.back().image] = e.add(column, pixel);
    Value sum = sums[pixel];
    if (c.isOfBytes())
      sum = arith::FPToSIOp::create(e.builder, e.loc, vectorType(), sum);
    finish(sum, channel, mask);
  }
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
  if (!kept.empty()) {
    for (int64_t position : llvm::seq(size(dim.window)))
      sums = next(e.index(position), sums, false);
    return sums;
  }
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

Depthwise::State Depthwise::rowOfWindow(Value column, Reach reach,
                                        Value inputAt, Value tap, State sums,
                                        bool isOutside) {
  const Convolution::Spatial &dim = c.spatial.back();
  Value step = inputStep(rowDim()) ? inputStep(rowDim()) : e.index(0),
        first = e.mul(tap, taps());
  auto read = [&](Value offset) -> Value {
    if (isOutside)
      return e.real(c.filler, realType());
    return widened(readColumns(e, input.flat,
                               e.add(inputAt, e.mul(step, offset)), e.index(1),
                               columns()),
                   /*isSigned=*/false);
  };
  auto add = [&](Value element, Value weight, Value &sum) {
    sum = vector::FMAOp::create(e.builder, e.loc, element, weight, sum);
  };
  if (reach == Reach::Single) {
    auto taps = [&](Value from, Value to, State sums, bool outside) {
      return e.loop(from, to, 1, sums, [&](Value position, ValueRange carried) {
        State next = llvm::to_vector(carried);
        add(outside ? e.real(c.filler, realType())
                    : read(e.mul(position, dim.dilation)),
            weight(e.add(first, position)), next[0]);
        return next;
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
  State row;
  for (int64_t position : llvm::seq(taps()))
    row.push_back(kept.empty() ? weight(e.add(first, position))
                               : kept[*known(first) + position]);
  int64_t count = sums.size();
  for (int64_t offset :
       llvm::seq((count - 1) * dim.stride + (taps() - 1) * dim.dilation + 1)) {
    Value element;
    for (int64_t pixel : llvm::seq(count)) {
      int64_t inWindow = offset - pixel * dim.stride,
              position = inWindow / dim.dilation;
      if (inWindow < 0 || inWindow % dim.dilation != 0 || position >= taps())
        continue;
      bool beyond =
          reach == Reach::Known && !isInside(*known(column) + pixel, position);
      if (beyond && !c.filler)
        continue;
      if (!element)
        element = beyond ? e.real(c.filler, realType()) : read(e.index(offset));
      add(element, row[position], sums[pixel]);
    }
  }
  return sums;
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

static ScheduleAttr schedule(KernelOp kernel, const Target &target) {
  Convolution c = *matchConvolution(kernel);
  int64_t pack = c.packed ? c.packed.getStaticInnerTiles()[0] : 0;
  int64_t channels = std::max<int64_t>(c.size(c.lane()), 1);
  int64_t lanes =
      std::min<int64_t>(target.lanes(), llvm::PowerOf2Ceil(channels));
  if (pack)
    lanes = std::min(lanes, pack & -pack);
  int64_t length = typicalSize(c, c.spatial.back().image);
  int64_t pixels = std::min<int64_t>(length, 4);
  return scheduleConvolution(c, depthwiseBuilder.kind, pixels, /*vectors=*/1,
                             lanes, kTaskOperations);
}

const KernelBuilder fulgur::depthwiseBuilder = {"depthwise", accepts, schedule,
                                                build};
