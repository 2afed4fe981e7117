// Convolutions of groups that have fewer channels and filters than a vector has
// lanes. Vectors are the filters of several groups, whose channels are
// neighbours in the input, too: what is read once becomes, for each channel of
// a group, the vector that all lanes multiply with. A tile is `pixels`
// neighbours of a row; such a vector is added to all pixels whose windows have
// it, so that there are fewer permutations than multiplications.
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/ConvolutionLoops.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kTaskOperations = 4 << 20; // about 40 microseconds
constexpr int64_t kMostChannels = 8;         // of a group
constexpr int64_t kWeightBytes = 128 << 10;  // that are gathered at once

struct GroupedConvolution : ConvolutionLoops {
  using State = SmallVector<Value>;
  int64_t filters = size(c.filter), channels = size(c.channel);
  int64_t together = lanes / filters;   ///< groups of a vector
  int64_t read = together * channels;   ///< elements of the input at once
  int64_t ofGroups = c.steps() * lanes; ///< weights of the groups of a vector
  Value gathered{};                     ///< weights of some vectors
  Value block{};                        ///< which of these
  Value mask{}, readMask{};             ///< of groups that exist

  GroupedConvolution(KernelSite &site, const Convolution &convolution,
                     ScheduleAttr s)
      : ConvolutionLoops(site, convolution, s) {
    ofAllGroups = true;
  }

  void build();
  void forMasks(llvm::function_ref<void()> body);
  void gatherWeights(Value firstGroup);
  void tile(Value column, int64_t count, Reach reach);
  State windows(unsigned k, Value column, Reach reach, Value inputAt, Value tap,
                State sums);
  State rowOfWindow(Value column, Reach reach, Value inputAt, Value tap,
                    State sums);
  Value element(Value inputAt, Value offset, int64_t channel);
  Value weight(Value tap, int64_t channel) {
    Value step = e.add(e.mul(tap, channels), channel);
    return vector::LoadOp::create(
        e.builder, e.loc, vectorType(), gathered,
        e.add(e.mul(block, ofGroups), e.mul(step, lanes)));
  }
};
} // namespace

/// Tasks are rows of all groups, which share lines of the caches. As many
/// weights are gathered as stay in the second-level cache.
void GroupedConvolution::build() {
  takeWeights();
  int64_t blocks = llvm::divideCeil(c.size(c.group), together),
          atOnce = std::clamp<int64_t>(kWeightBytes / 4 / ofGroups, 1, blocks);
  forTasks([&](const Task &task) {
    gathered = memref::AllocaOp::create(
        e.builder, e.loc,
        MemRefType::get(atOnce * ofGroups, elements.sumType()),
        e.builder.getI64IntegerAttr(64));
    e.loop(e.index(0), e.index(blocks), atOnce, [&](Value from) {
      Value count = e.min(e.sub(e.index(blocks), from), e.index(atOnce));
      e.loop(e.index(0), count, 1, [&](Value number) {
        block = number;
        gatherWeights(e.mul(e.add(from, number), together));
      });
      forRows(task, [&] {
        forTiles(task, [&](Value column, int64_t pixels, Reach reach) {
          e.loop(e.index(0), count, 1, [&](Value number) {
            block = number;
            point[*c.group] = e.mul(e.add(from, number), together);
            forMasks([&] { tile(column, pixels, reach); });
            point[*c.group] = {};
          });
        });
      });
    });
  });
}

/// There may be no more groups than a part of the last vector.
void GroupedConvolution::forMasks(llvm::function_ref<void()> body) {
  if (c.size(c.group) % together == 0)
    return body();
  Value left = e.sub(sizeOf(c.group), point[*c.group]);
  auto masked = [&] {
    mask = e.lanesBelow(e.mul(left, filters), lanes);
    readMask = e.lanesBelow(e.mul(left, channels), read);
    body();
    mask = readMask = {};
  };
  e.branch(e.less(left, e.index(together)), masked, body);
}

/// The weights of the groups of a vector, one step of the sum after the other,
/// with the filters of all groups side by side.
void GroupedConvolution::gatherWeights(Value firstGroup) {
  Value last = e.sub(sizeOf(c.group), e.index(1));
  SmallVector<Value> from;
  for (int64_t number : llvm::seq(together)) {
    point[*c.group] = e.min(e.add(firstGroup, number), last);
    from.push_back(weightsOf(e.index(0)));
  }
  point[*c.group] = {};
  auto part = VectorType::get(filters, elements.element);
  e.loop(e.index(0), e.index(c.steps()), 1, [&](Value step) {
    Value to = e.add(e.mul(block, ofGroups), e.mul(step, lanes));
    for (auto [number, start] : llvm::enumerate(from)) {
      Value loaded = vector::LoadOp::create(e.builder, e.loc, part, weights,
                                            e.add(start, e.mul(step, pack)));
      vector::StoreOp::create(e.builder, e.loc, loaded, gathered,
                              e.add(to, int64_t(number) * filters));
    }
  });
}

void GroupedConvolution::tile(Value column, int64_t count, Reach reach) {
  Value inputAt = e.add(inputBase(), windowStart(rowDim(), column));
  State sums = windows(0, column, reach, inputAt, e.index(0),
                       State(count, e.zero(vectorType())));
  for (auto [number, sum] : llvm::enumerate(sums)) {
    point[row().image] = e.add(column, int64_t(number));
    finish(sum, e.index(0), mask);
  }
  point[row().image] = {};
}

/// Adds what the dims of the window from k on contribute.
GroupedConvolution::State GroupedConvolution::windows(unsigned k, Value column,
                                                      Reach reach,
                                                      Value inputAt, Value tap,
                                                      State sums) {
  if (k == rowDim())
    return rowOfWindow(column, reach, inputAt, tap, sums);
  const Convolution::Spatial &dim = c.spatial[k];
  auto [from, to] = insideOf(k, point[dim.image]);
  return e.loop(from, to, 1, sums, [&](Value position, ValueRange carried) {
    Value step = inputStep(k) ? inputStep(k) : e.index(0);
    return windows(k + 1, column, reach,
                   e.add(inputAt, e.mul(e.mul(position, dim.dilation), step)),
                   e.add(e.mul(tap, size(dim.window)), position),
                   llvm::to_vector(carried));
  });
}

GroupedConvolution::State
GroupedConvolution::rowOfWindow(Value column, Reach reach, Value inputAt,
                                Value tap, State sums) {
  const Convolution::Spatial &dim = row();
  Value first = e.mul(tap, taps());
  auto add = [&](Value read, Value weight, Value &sum) {
    sum = vector::FMAOp::create(e.builder, e.loc, read, weight, sum);
  };
  if (reach == Reach::Single) {
    auto [from, to] = insideOf(rowDim(), column);
    return e.loop(from, to, 1, sums, [&](Value position, ValueRange carried) {
      State next = llvm::to_vector(carried);
      for (int64_t channel : llvm::seq(channels))
        add(element(inputAt, e.mul(position, dim.dilation), channel),
            weight(e.add(first, position), channel), next[0]);
      return next;
    });
  }
  int64_t count = sums.size(),
          span = (count - 1) * dim.stride + (taps() - 1) * dim.dilation + 1;
  for (int64_t channel : llvm::seq(channels)) {
    State ofTaps;
    for (int64_t position : llvm::seq(taps()))
      ofTaps.push_back(weight(e.add(first, position), channel));
    for (int64_t offset : llvm::seq(span)) {
      Value read;
      for (int64_t pixel : llvm::seq(count)) {
        int64_t inWindow = offset - pixel * dim.stride,
                position = inWindow / dim.dilation;
        if (inWindow < 0 || inWindow % dim.dilation != 0 ||
            position >= taps() ||
            (reach == Reach::Known &&
             !isInside(*known(column) + pixel, position)))
          continue;
        if (!read)
          read = element(inputAt, e.index(offset), channel);
        add(read, ofTaps[position], sums[pixel]);
      }
    }
  }
  return sums;
}

/// One channel of each group, in the lanes of all of its filters.
Value GroupedConvolution::element(Value inputAt, Value offset,
                                  int64_t channel) {
  Value step = inputStep(rowDim()) ? inputStep(rowDim()) : e.index(0);
  Value all = readColumns(e, input.flat, e.add(inputAt, e.mul(step, offset)),
                          e.index(1), {read, readMask});
  SmallVector<int64_t> lanesFrom;
  for (int64_t lane : llvm::seq(lanes))
    lanesFrom.push_back(lane / filters * channels + channel);
  return vector::ShuffleOp::create(e.builder, e.loc, all, all, lanesFrom);
}

/// Whether an operand has the elements of `inner` of all groups side by side,
/// or (if it may) moves with neither.
static bool liesTogether(const Convolution &c, ArrayRef<int> loops,
                         Convolution::Loop inner, bool mayStay) {
  SmallVector<int> moved;
  for (int loop : loops)
    if (loop >= 0 && c.size(loop) != 1)
      moved.push_back(loop);
  auto moves = [&](Convolution::Loop loop) {
    return loop && llvm::is_contained(moved, int(*loop));
  };
  if (mayStay && !moves(c.group) && !moves(inner))
    return true;
  if (c.size(inner) != 1) {
    if (moved.empty() || moved.back() != int(*inner))
      return false;
    moved.pop_back();
  }
  return !moved.empty() && moved.back() == int(*c.group);
}

static bool accepts(KernelOp kernel) {
  std::optional<Convolution> c = matchConvolution(kernel);
  if (!c || !c->group || c->isDepthwise() || c->transformed || c->isOfBytes() ||
      c->depth() != 1 || c->size(*c->group) < 2 ||
      !getElementTypeOrSelf(c->input.getType()).isF32())
    return false;
  int64_t filters = c->size(c->filter), channels = c->size(c->channel);
  return filters > 1 && llvm::isPowerOf2_64(filters) &&
         channels <= kMostChannels && channels <= 2 * filters &&
         liesTogether(*c, c->inputLoops, c->channel, /*mayStay=*/false) &&
         liesTogether(*c, c->outLoops, c->filter, /*mayStay=*/false) &&
         llvm::all_of(llvm::zip(c->epilogueInputs, c->epilogueLoops),
                      [&](auto operand) {
                        return !std::get<0>(operand) ||
                               liesTogether(*c, std::get<1>(operand), c->filter,
                                            /*mayStay=*/true);
                      }) &&
         (!c->epilogue ||
          c->epilogue.getBody()->getOps<linalg::IndexOp>().empty());
}

static ScheduleAttr schedule(KernelOp kernel, const Target &target) {
  Convolution c = *matchConvolution(kernel);
  int64_t lanes = target.lanes(), filters = c.size(c.filter);
  if (filters >= lanes || c.size(*c.group) * filters < lanes)
    return directConvolutionBuilder.schedule(kernel, target);
  int64_t length = typicalSize(c, c.spatial.back().image),
          most = target.vectorRegisters >= 32 ? 14 : 7,
          pixels = std::clamp<int64_t>(
              llvm::divideCeil(length, llvm::divideCeil(length, most)), 1,
              most);
  ScheduleAttr of = scheduleConvolution(c, groupedBuilder.kind, pixels,
                                        /*vectors=*/1, lanes,
                                        kTaskOperations * lanes /
                                            (c.size(*c.group) * filters));
  int64_t pack = c.packed ? c.packed.getStaticInnerTiles()[0] : filters;
  return ScheduleAttr::get(kernel.getContext(), of.getKind(), of.getTile(),
                           lanes, of.getUnroll(), pack, of.getGrain());
}

static LogicalResult build(KernelSite &site) {
  ScheduleAttr schedule = site.kernel.getScheduleAttr();
  if (!schedule)
    schedule = groupedBuilder.schedule(site.kernel, site.target);
  GroupedConvolution(site, *matchConvolution(site.kernel), schedule).build();
  return success();
}

const KernelBuilder fulgur::groupedBuilder = {"grouped", accepts, schedule,
                                              build};
