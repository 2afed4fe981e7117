// Pools with the channels last: vectors are channels, the accumulators of a few
// of them stay in registers while the window moves over the input. Padding is
// not stored: a window takes what is inside of the input, which gives the same,
// since padding is what accumulators start with. Those of bfloat16 are f32.
#include "mlir/IR/Matchers.h"
#include "passes/Convolution.h"
#include "passes/kernel/builders/Elementwise.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kVectors = 4;          // of accumulators
constexpr int64_t kTaskVisits = 1 << 16; // elements that a task reads

struct Window {
  unsigned image, loop; ///< loops: position of the window, position in it
  int64_t size, stride, dilation;
  OpFoldResult low; ///< padding in front of the input
};

struct PoolOp {
  linalg::GenericOp op;
  Operation *fold;
  TypedAttr start;
  Value input; ///< argument of the body
  BlockArgument out;
  SmallVector<int> inputLoops, outLoops;
  SmallVector<std::optional<Window>> windows; ///< of the input's dims
};
} // namespace

/// The dims of the input: those that the result has as well, and those under a
/// window.
static bool matchDims(PoolOp &pool) {
  SmallVector<int64_t> ranges = pool.op.getStaticLoopRanges();
  auto inOut = [&](unsigned loop) {
    return llvm::is_contained(pool.outLoops, int(loop));
  };
  Attribute zero = IntegerAttr::get(IndexType::get(pool.op.getContext()), 0);
  for (AffineExpr at : pool.op.getIndexingMapsArray()[0].getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(at);
        dim && inOut(dim.getPosition())) {
      pool.inputLoops.push_back(dim.getPosition());
      pool.windows.push_back(std::nullopt);
      continue;
    }
    auto sum = dyn_cast<AffineBinaryOpExpr>(at);
    if (!sum || sum.getKind() != AffineExprKind::Add)
      return false;
    auto image = scaledLoop(sum.getLHS()), inside = scaledLoop(sum.getRHS());
    if (!image || !inside)
      return false;
    if (!inOut(image->first))
      std::swap(image, inside);
    if (!inOut(image->first) || inOut(inside->first) ||
        ShapedType::isDynamic(ranges[inside->first]))
      return false;
    pool.inputLoops.push_back(image->first);
    pool.windows.push_back(Window{image->first, inside->first,
                                  ranges[inside->first], image->second,
                                  inside->second, zero});
  }
  // Every loop is that of the result or of a window, and channels are last.
  return llvm::range_size(llvm::make_filter_range(
             pool.windows, [](auto &w) { return w.has_value(); })) ==
             pool.op.getNumReductionLoops() &&
         pool.inputLoops.size() == pool.outLoops.size() &&
         pool.outLoops.size() >= 2 && !pool.windows.back() &&
         pool.inputLoops.back() == pool.outLoops.back();
}

static std::optional<PoolOp> matchPool(KernelOp kernel) {
  if (kernel.getOuts().size() != 1)
    return std::nullopt;
  PoolOp pool;
  pool.out = kernel.bodyBlock()->getArguments().back();
  pool.op =
      kernel.yield().getValues().front().getDefiningOp<linalg::GenericOp>();
  if (!isPool(pool.op) ||
      !pool.op.getIndexingMapsArray().back().isProjectedPermutation())
    return std::nullopt;
  pool.fold = pool.op.getBody()->getTerminator()->getOperand(0).getDefiningOp();
  pool.outLoops = loopsOf(pool.op, 2);
  auto fill = pool.op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill || !matchPattern(fill.getInputs()[0], m_Constant(&pool.start)) ||
      !matchDims(pool))
    return std::nullopt;
  pool.input = pool.op.getInputs()[0];
  if (auto pad = pool.input.getDefiningOp<tensor::PadOp>()) {
    TypedAttr filler;
    Value padding = pad.getConstantPaddingValue();
    if (!padding || !matchPattern(padding, m_Constant(&filler)) ||
        filler != pool.start)
      return std::nullopt;
    for (auto [window, front, behind] :
         llvm::zip(pool.windows, pad.getMixedLowPad(), pad.getMixedHighPad())) {
      auto value = dyn_cast<Value>(front);
      if (value && !isa<BlockArgument>(value))
        return std::nullopt;
      if (window)
        window->low = front;
      else if (!isConstantIntValue(front, 0) || !isConstantIntValue(behind, 0))
        return std::nullopt;
    }
    pool.input = pad.getSource();
  }
  if (!isa<BlockArgument>(pool.input))
    return std::nullopt;
  return pool;
}

namespace {
struct PoolLoops {
  KernelSite &site;
  PoolOp &pool;
  int64_t lanes;
  Emitter e{site.builder, site.loc};
  bool narrow = pool.start.getType().isBF16();
  unsigned channel = pool.outLoops.back();
  Access input{}, out{};
  SmallVector<Value> sizes{}, point{}; ///< per loop
  SmallVector<Value> inputSizes{};     ///< per dim of the input
  SmallVector<Window, 3> windows{};
  SmallVector<std::pair<Value, Value>, 3>
      inside{}; ///< positions in the windows at `point` that are in the input
  SmallVector<unsigned, 3> windowDims{};

  /// What is folded: f32 instead of bfloat16.
  Value wide(Value vector) {
    auto type = VectorType::get(lanes, e.builder.getF32Type());
    return narrow ? arith::ExtFOp::create(e.builder, e.loc, type, vector)
                  : vector;
  }

  void build();
  void pixel();
  void channels(Value from, int64_t vectors, Value mask);
  SmallVector<Value> fold(unsigned k, Value position, Value mask,
                          ValueRange state);
};
} // namespace

void PoolLoops::build() {
  Value inBuffer = site.operand(pool.input), outBuffer = site.outs[0];
  unsigned loops = pool.op.getNumLoops();
  input = accessOf(e, inBuffer, pool.inputLoops, loops);
  out = accessOf(e, outBuffer, pool.outLoops, loops);
  sizes.assign(loops, Value());
  point.assign(loops, Value());
  for (auto [k, loop] : llvm::enumerate(pool.outLoops))
    sizes[loop] = e.dim(outBuffer, k);
  int64_t taps = 1;
  for (auto [k, window] : llvm::enumerate(pool.windows)) {
    if (!window)
      continue;
    windows.push_back(*window);
    windowDims.push_back(k);
    inputSizes.push_back(e.dim(inBuffer, k));
    taps *= window->size;
  }
  // Tasks are runs of pixels.
  Value pixels = e.index(1);
  for (int loop : ArrayRef(pool.outLoops).drop_back())
    pixels = e.mul(pixels, sizes[loop]);
  Value cost = e.max(e.mul(sizes[channel], taps), e.index(1)),
        grain = e.ceilDiv(e.index(kTaskVisits), cost);
  e.share(pixels, grain, [&](Value from, Value to) {
    e.loop(from, to, 1, [&](Value index) {
      for (int loop : llvm::reverse(ArrayRef(pool.outLoops).drop_back())) {
        point[loop] = e.remainder(index, sizes[loop]);
        index = e.floorDiv(index, sizes[loop]);
      }
      pixel();
    });
  });
}

void PoolLoops::pixel() {
  inside.clear();
  for (auto [window, size] : llvm::zip(windows, inputSizes)) {
    Value low = isa<Value>(window.low)
                    ? site.operand(cast<Value>(window.low))
                    : e.index(*getConstantIntValue(window.low));
    Value start = e.sub(e.mul(point[window.image], window.stride), low),
          zero = e.index(0), count = e.index(window.size);
    auto reach = [&](Value distance) {
      return e.min(e.ceilDiv(e.max(distance, zero), e.index(window.dilation)),
                   count);
    };
    inside.push_back({reach(e.sub(zero, start)), reach(e.sub(size, start))});
  }
  Value count = sizes[channel], block = e.index(kVectors * lanes),
        blocksTo = e.sub(count, e.remainder(count, block)),
        vectorsTo = e.sub(count, e.remainder(count, e.index(lanes)));
  e.loop(e.index(0), blocksTo, kVectors * lanes,
         [&](Value from) { channels(from, kVectors, Value()); });
  e.loop(blocksTo, vectorsTo, lanes,
         [&](Value from) { channels(from, 1, Value()); });
  e.branch(e.less(vectorsTo, count), [&] {
    channels(vectorsTo, 1, e.lanesBelow(e.sub(count, vectorsTo), lanes));
  });
}

/// The accumulators of `vectors` vectors of channels.
void PoolLoops::channels(Value from, int64_t vectors, Value mask) {
  point[channel] = from;
  auto type = VectorType::get(lanes, pool.start.getType());
  Value start = arith::ConstantOp::create(
      e.builder, e.loc, DenseElementsAttr::get(type, pool.start));
  start = wide(start);
  SmallVector<Value> outer(point);
  Value position = e.index(0);
  for (auto [window, dim] : llvm::zip(windows, windowDims)) {
    Value low = isa<Value>(window.low)
                    ? site.operand(cast<Value>(window.low))
                    : e.index(*getConstantIntValue(window.low));
    outer[window.image] = e.sub(e.mul(point[window.image], window.stride), low);
  }
  position = input.at(e, outer);
  SmallVector<Value> sums =
      fold(0, position, mask, SmallVector<Value>(vectors, start));
  for (auto [k, sum] : llvm::enumerate(sums)) {
    point[channel] = e.add(from, k * lanes);
    if (narrow)
      sum = arith::TruncFOp::create(e.builder, e.loc, type, sum);
    writeColumns(e, sum, out.flat, out.at(e, point), e.index(1), {lanes, mask});
  }
  point[channel] = {};
}

/// Takes the windows' dims from k on.
SmallVector<Value> PoolLoops::fold(unsigned k, Value position, Value mask,
                                   ValueRange state) {
  if (k == windows.size()) {
    SmallVector<Value> next;
    for (auto [number, sum] : llvm::enumerate(state)) {
      Value element =
          wide(readColumns(e, input.flat, e.add(position, number * lanes),
                           e.index(1), {lanes, mask}));
      IRMapping mapping;
      mapping.map(pool.op.getRegionInputArgs()[0], element);
      mapping.map(pool.op.getRegionOutputArgs()[0], sum);
      Operation *copy = e.builder.clone(*pool.fold, mapping);
      copy->setLoc(e.loc);
      copy->getResult(0).setType(element.getType());
      next.push_back(copy->getResult(0));
    }
    return next;
  }
  Value step = input.steps[windows[k].image];
  return e.loop(inside[k].first, inside[k].second, 1, state,
                [&](Value tap, ValueRange carried) {
                  Value at =
                      step ? e.add(position,
                                   e.mul(e.mul(tap, windows[k].dilation), step))
                           : position;
                  return fold(k + 1, at, mask, carried);
                });
}

static bool accepts(KernelOp kernel) { return matchPool(kernel).has_value(); }

/// A register of the channels; of bytes, no more than there are.
static int64_t lanesOf(const PoolOp &pool, const Target &target) {
  Type element = pool.start.getType();
  int64_t bits = element.isBF16() ? 32 : element.getIntOrFloatBitWidth(),
          channels =
              cast<RankedTensorType>(pool.out.getType()).getShape().back();
  if (bits == 8 && !ShapedType::isDynamic(channels))
    return std::clamp<int64_t>(llvm::bit_floor(uint64_t(channels)), 8,
                               target.lanes(bits));
  return target.lanes(bits);
}

static ScheduleAttr schedule(KernelOp kernel, const Target &target) {
  return ScheduleAttr::get(kernel.getContext(), poolBuilder.kind, {},
                           lanesOf(*matchPool(kernel), target), /*unroll=*/1,
                           /*pack=*/0, /*grain=*/1);
}

static LogicalResult build(KernelSite &site) {
  PoolOp pool = *matchPool(site.kernel);
  ScheduleAttr given = site.kernel.getScheduleAttr();
  PoolLoops{site, pool, given ? given.getLanes() : lanesOf(pool, site.target)}
      .build();
  return success();
}

const KernelBuilder fulgur::poolBuilder = {"pool", accepts, schedule, build};
