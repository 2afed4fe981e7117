// Which convolutions gain by Winograd's transformation, and by what tiles.
#include "mlir/IR/Matchers.h"
#include "passes/WeightStore.h"
#include "passes/kernel/builders/ConvolutionLoops.h"
#include "passes/kernel/builders/Winograd.h"
#include "passes/kernel/builders/WinogradBytes.h"
#include "passes/kernel/builders/WinogradWeights.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kStackBytes = 224 << 10; // of a task's matrices
constexpr int64_t kWeightBytes = 3 << 20;  // that are quick to read again
// Of an image that is worth larger weights: 12x12, or 7x7 of bfloat16, whose
// weights are half as large.
constexpr int64_t kFewestTiles = 36, kFewestTilesOfPairs = 16;
constexpr int64_t kFewestChannels = 32;
// Of bfloat16: layers of fewer channels, the first ones of a network, are
// those where the rounding of larger tiles shows in what comes out.
constexpr int64_t kRobustChannels = 128;
// Transformed weights of a convolution with a stride: as of 256 channels and
// filters of bfloat16.
constexpr int64_t kMostStrideBytes = 2 * 25 * 256 * 256;
// Of bytes: weights as of 128 channels and filters, images of 14x14.
constexpr int64_t kMostByteWeights = 2 * 6 * 6 * 128 * 128;
constexpr int64_t kFewestPixels = 14 * 14;
} // namespace

/// Whether every window meets a frame of the input, whose products its sums
/// begin with. Means of bytes are of one plane.
static bool meetsFrames(const Convolution &c) {
  const Convolution::Spatial &frames = c.spatial[0];
  auto low = getConstantIntValue(frames.low),
       high = getConstantIntValue(frames.high);
  int64_t taps = c.frameTaps();
  return !c.isOfBytes() && frames.dilation == 1 && low && high && *low < taps &&
         *high < taps &&
         cast<RankedTensorType>(c.input.getType()).getDimSize(frames.inputDim) >
             0;
}

static bool accepts(KernelOp kernel) {
  std::optional<Convolution> c = matchConvolution(kernel);
  if (!c || c->group || !c->filter || !c->channel || c->spatial.size() < 2 ||
      c->inputLoops.back() != int(*c->channel))
    return false;
  int64_t tiles = 1, taps = c->size(c->plane()[0].window);
  if (taps != 3 && (taps != 2 || c->depth() > 1))
    return false;
  if (c->hasFrames() && !meetsFrames(*c))
    return false;
  for (const Convolution::Spatial &dim : c->plane()) {
    if (c->size(dim.window) != taps || dim.dilation != 1 ||
        dim.stride != c->plane()[0].stride)
      return false;
    // A result of nothing but padding has no element of the input to clamp to.
    auto type = cast<RankedTensorType>(c->input.getType());
    auto low = getConstantIntValue(dim.low),
         high = getConstantIntValue(dim.high);
    if (type.getDimSize(dim.inputDim) == 0 ||
        (type.isDynamicDim(dim.inputDim) &&
         (!low || !high || *low + *high >= taps)))
      return false;
    tiles *= llvm::divideCeil(typicalSize(*c, dim.image), 2);
  }
  if (int64_t stride = c->plane()[0].stride;
      stride != 1 && (stride != 2 || taps != 3 || c->isOfBytes()))
    return false;
  if (c->transformed)
    return bool(c->packed);
  return !c->packed &&
         tiles >= (c->depth() == 2 ? kFewestTilesOfPairs : kFewestTiles) &&
         c->size(*c->channel) >= kFewestChannels &&
         c->size(*c->filter) >= kFewestChannels;
}

/// Whether sums of bytes are exact: of few channels always, of more when the
/// weights are known and not all large.
static bool isExact(KernelOp kernel, const Convolution &c) {
  if (c.size(*c.channel) <= winograd::kMostChannels)
    return true;
  ElementsAttr weight = constantOf(kernel, c.weights);
  if (!weight || !c.weights.hasOneUse())
    return false;
  ArrayRef<char> bytes = weightBytes(weight);
  if (bytes.empty())
    return false;
  auto type = cast<RankedTensorType>(c.weights.getType());
  int64_t inner = 1; // elements from one filter to the next
  for (int64_t dim = type.getRank() - 1; c.weightLoops[dim] != int(*c.filter);
       --dim)
    inner *= type.getDimSize(dim);
  bool isSplat = bytes.size() == 1;
  SmallVector<int64_t> sums(c.size(*c.filter));
  for (int64_t number : llvm::seq(type.getNumElements()))
    sums[number / inner % sums.size()] +=
        std::abs(int8_t(bytes[isSplat ? 0 : number]));
  return *llvm::max_element(sums) <= winograd::kMostWeight;
}

/// Whether bytes gain: an instruction that multiplies them takes half as many
/// of the products of 16 bits, of which there are a quarter, and without one,
/// bytes become such anyway. Their weights grow to eight times their size,
/// which the product keeps and an image must be large enough to pay for: what
/// they take to be read again is less than what is spared.
static bool gainsOfBytes(const Convolution &c, const Target &target) {
  int64_t pixels = 1;
  for (const Convolution::Spatial &dim : c.spatial)
    pixels *= typicalSize(c, dim.image);
  return target.vectorBytes >= 32 &&
         winograd::transformedBytes(c, 4) <= kMostByteWeights &&
         (!target.vnni || pixels >= kFewestPixels);
}

static ScheduleAttr schedule(KernelOp kernel, const Target &target) {
  Convolution c = *matchConvolution(kernel);
  bool ofBytes = c.isOfBytes();
  if (ofBytes && !c.transformed &&
      (!isExact(kernel, c) || !gainsOfBytes(c, target)))
    return directConvolutionBuilder.schedule(kernel, target);
  // A stride leaves less to spare.
  if (c.plane()[0].stride == 2 && !c.transformed &&
      (c.size(*c.channel) < kRobustChannels ||
       winograd::transformedBytes(c, 2) * 2 / c.depth() > kMostStrideBytes))
    return directConvolutionBuilder.schedule(kernel, target);
  bool manyRegisters = target.vectorRegisters >= 32;
  int64_t lanes = target.lanes(), vectors = manyRegisters ? 4 : 2;
  int64_t pack = c.packed ? c.packed.getStaticInnerTiles()[0] : 0;
  if (pack) {
    lanes = std::min(lanes, pack & -pack);
    while (pack % (vectors * lanes) != 0)
      --vectors;
  } else {
    // No more lanes that are nobody's than need be. Of floats, narrower tiles
    // read more for each product.
    auto padded = [&](int64_t vectors) {
      return llvm::alignTo(c.size(*c.filter), vectors * lanes);
    };
    for (int64_t fewer : {3, 2})
      if (fewer < vectors &&
          padded(fewer) * (ofBytes ? 1 : 1.1) < padded(vectors))
        vectors = fewer;
  }
  int64_t width = vectors * lanes,
          parts = llvm::divideCeil(c.size(*c.filter), width);
  int64_t channels = c.size(*c.channel);
  auto tilesOf = [&](int64_t outputs) {
    int64_t tiles = 1;
    for (const Convolution::Spatial &dim : c.plane())
      tiles *= llvm::divideCeil(typicalSize(c, dim.image), outputs);
    return tiles;
  };
  // Larger tiles multiply less, but have larger weights and costlier
  // transformations.
  int64_t outputs = ofBytes ? 4 : c.transformed;
  if (c.plane()[0].stride == 2)
    outputs = 2;
  if (!outputs && c.depth() > 1) {
    outputs = 2;
    auto products = [&](int64_t outputs) {
      return tilesOf(outputs) * (outputs + 2) * (outputs + 2);
    };
    // Four by four would spare more yet, but not as exactly.
    if (channels >= kRobustChannels && tilesOf(2) >= kFewestTiles &&
        10 * products(3) < 9 * products(2))
      outputs = 3;
  }
  if (!outputs) {
    int64_t few = 5 - c.size(c.plane()[0].window), many = few + 2;
    outputs = 36 * tilesOf(many) * 5 < 16 * tilesOf(few) * 4 &&
                      4 * 36 * parts * width * channels * c.frameTaps() <=
                          kWeightBytes
                  ? many
                  : few;
  }
  int64_t all = tilesOf(outputs), size = winogradForm(c, outputs).size();
  // Weights that come from behind the second-level cache are read for many
  // tiles, and by panels that stay in the first-level cache for all of them.
  bool isLarge =
      c.depth() > 1 && winograd::transformedBytes(c, outputs) > kWeightBytes;
  // As many tiles as fit, all channels at once or in blocks; the rows of the
  // last register tile should not be nobody's.
  auto fitting = [&](int64_t channels) {
    int64_t row = ofBytes ? llvm::alignTo(channels, lanes * 2) / 2
                          : llvm::alignTo(channels, lanes) / c.depth();
    return kStackBytes * (isLarge ? 2 : 1) / (4 * size * size * (row + width));
  };
  if (!ofBytes && fitting(channels) < 10)
    channels = std::min<int64_t>(channels, size == 4 ? 128 : 64);
  int64_t fit = std::clamp<int64_t>(fitting(channels), 4, 24);
  double reading = c.depth() > 1 ? 0.3 : 0.15; // beside a multiplication
  auto partsOfTask = [&](int64_t blocks) {
    return blocks >= 16 ? parts
                        : llvm::divideCeil(parts, llvm::divideCeil(16, blocks));
  };
  int64_t rows = 4, tiles = 4;
  double least = std::numeric_limits<double>::infinity();
  // Of pairs, 24 sums at a time take 2 % more time than 20.
  for (int64_t r : {c.depth() > 1 && !ofBytes && manyRegisters ? 5 : 6, 5, 4})
    for (int64_t t = fit / r * r; t >= std::max<int64_t>(fit / 2, r); t -= r) {
      int64_t computed = all / t * t + llvm::alignTo(all % t, r);
      double cost = computed * (1 + reading * (r + vectors) / (r * vectors)) *
                    (1 + 0.5 / t);
      // Of an odd number of tasks, one of two threads waits for the last.
      int64_t blocks = llvm::divideCeil(all, t),
              tasks = blocks * llvm::divideCeil(parts, partsOfTask(blocks));
      cost *= double(llvm::alignTo(tasks, 2)) / tasks;
      if (cost < 0.999 * least)
        least = cost, rows = r, tiles = t;
    }
  int64_t blocks = llvm::divideCeil(all, tiles);
  tiles = llvm::alignTo(llvm::divideCeil(all, blocks), rows);
  int64_t taskParts = partsOfTask(llvm::divideCeil(all, tiles));
  return ScheduleAttr::get(kernel.getContext(), winogradBuilder.kind,
                           {rows, vectors, channels, taskParts, outputs}, lanes,
                           /*unroll=*/2, pack ? pack : width, tiles);
}

static SmallVector<ScheduleAttr>
alternatives(KernelOp kernel, const Target &target, ScheduleAttr chosen) {
  if (chosen.getKind() == directConvolutionBuilder.kind)
    return directConvolutionBuilder.alternatives(kernel, target, chosen);
  return {};
}

const KernelBuilder fulgur::winogradBuilder = {"winograd", accepts, schedule,
                                               winograd::build, alternatives};
