// With stride s, dilation d and `low` elements of padding, element o of a
// transposed convolution sums x[i] * w[k] over all i * s + k * d = o + low. Of
// the elements o = q * s + p of one phase p, k has one remainder, so that
//
//   y[q * s + p] = sum over t of x[q + base - t * d / g] * w[first + t * s / g]
//
// with g = gcd(s, d): a convolution with the sub-sampled weights, turned round.
// The results of all phases are interleaved, which their kernels do while they
// write. (Shi et al., Real-Time Single Image and Video Super-Resolution Using
// an Efficient Sub-Pixel Convolutional Neural Network, 2016.)
//
// Few filters would leave many lanes of a vector empty: there the filters of
// all phases are those of one convolution, whose result is moved once more.
#include "frontends/onnx/Phases.h"
#include "frontends/onnx/Window.h"
#include <numeric>

using namespace mlir;
using namespace fulgur::onnx;

namespace {
constexpr int64_t kLanes = 16;
/// From so many products for an element on it costs little to move it.
constexpr int64_t kManyProducts = 128;

/// Every stride-th element of one dim.
struct Phase {
  int64_t offset;                          ///< of the first one
  int64_t first = 0, step = 1;             ///< taps of the weights
  int64_t taps = 0;                        ///< 0: nothing meets these elements
  Window window{1, 1, 1, 0, 0, {}, false}; ///< over the input
  Extent skipped = 0; ///< elements of the input in front of all windows
};

/// The phase at `offset`; nothing when its padding is not known.
std::optional<Phase> phaseOf(Atoms &atoms, const Cover &cover, int64_t offset) {
  int64_t kernel = *cover.kernel.constant(), low = *cover.low.constant(),
          common = std::gcd(cover.stride, cover.dilation);
  Phase phase{offset};
  phase.step = cover.stride / common;
  phase.window.dilation = cover.dilation / common;
  phase.window.count =
      atoms.simplify(atoms.ceilDiv(cover.size - offset, cover.stride));
  int64_t at = offset + low;
  while (phase.first < std::min(kernel, phase.step) &&
         (at - phase.first * cover.dilation) % cover.stride != 0)
    ++phase.first;
  if (phase.first == std::min(kernel, phase.step))
    return phase; // between the elements that windows reach
  phase.taps = (kernel - phase.first + phase.step - 1) / phase.step;
  phase.window.kernel = phase.taps;
  int64_t base = (at - phase.first * cover.dilation) / cover.stride,
          before = (phase.taps - 1) * phase.window.dilation - base;
  std::optional<int64_t> behind =
      atoms.simplify(phase.window.count + base - cover.count).constant();
  if (!behind)
    return std::nullopt;
  // What no window reaches is cut off.
  phase.window.low = std::max<int64_t>(before, 0);
  phase.window.high = std::max<int64_t>(*behind, 0);
  phase.skipped = std::max<int64_t>(-before, 0);
  if ((before < 0 || *behind < 0) &&
      !atoms.knownAtLeast(cover.count, std::max<int64_t>(-before, 0) +
                                           std::max<int64_t>(-*behind, 0) + 1))
    return std::nullopt;
  return phase;
}

/// Weights [channels, filters/groups, kernel...] as a convolution of the phases
/// takes them: [filters, channels/groups, taps...], with those of the phases
/// `merged[k]` of dim k as more filters.
Tensor weightsOf(const Core &c, const Tensor &weights, ArrayRef<Phase> phases,
                 ArrayRef<int64_t> merged, int64_t groups) {
  size_t dims = phases.size();
  Extent channels = *weights.shape[0].divideExactly(groups),
         filters = weights.shape[1], count = filters * groups;
  Shape grouped{groups, channels}, shape{groups};
  grouped.append(weights.shape.begin() + 1, weights.shape.end());
  for (int64_t number : merged) {
    shape.push_back(number);
    count *= number;
  }
  shape.append({filters, channels});
  Shape result{count, channels};
  unsigned loops = 3 + 2 * dims;
  auto dim = [&](unsigned k) { return c.builder.getAffineDimExpr(k); };
  SmallVector<AffineExpr> from{dim(0), dim(2 + dims), dim(1 + dims)};
  for (auto [k, phase] : llvm::enumerate(phases)) {
    shape.push_back(phase.taps);
    result.push_back(phase.taps);
    from.push_back(phase.first + phase.step * (phase.taps - 1) + dim(1 + k) -
                   dim(3 + dims + k) * phase.step);
  }
  AffineMap maps[] = {AffineMap::get(loops, 0, from, c.builder.getContext()),
                      c.builder.getMultiDimIdentityMap(loops)};
  Value out = c.empty(shape, weights.type);
  auto moved = linalg::GenericOp::create(
      c.builder, c.loc, out.getType(), c.value(c.reshape(weights, grouped)),
      out, maps,
      SmallVector<utils::IteratorType>(loops, utils::IteratorType::parallel),
      [&](OpBuilder &inside, Location, ValueRange v) {
        linalg::YieldOp::create(inside, c.loc, v[0]);
      });
  return c.reshape(c.tensor(moved.getResult(0), weights.type, shape), result);
}

/// The convolution of one phase of each dim.
Tensor convolvePhase(const Core &c, const Tensor &x, const Tensor &weights,
                     ArrayRef<Phase> phases, int64_t groups) {
  Shape start{0, 0}, size{x.shape[0], x.shape[1]};
  SmallVector<Window> windows;
  for (auto [k, phase] : llvm::enumerate(phases)) {
    const Window &w = phase.window;
    start.push_back(phase.skipped);
    size.push_back(
        c.sizes.atoms.simplify(w.count + (w.reach() - 1) - w.low - w.high));
    windows.push_back(w);
  }
  Tensor reached = c.slice(x, start, size, SmallVector<int64_t>(x.rank(), 1));
  return convolve(c, reached, weights, windows, groups);
}

/// All phases as one convolution, if their windows are alike.
std::optional<Tensor> mergePhases(const Core &c, const Tensor &x,
                                  const Tensor &weights, const Tensor &bias,
                                  ArrayRef<Cover> covers) {
  Atoms &atoms = c.sizes.atoms;
  size_t dims = covers.size();
  SmallVector<Phase> phases;
  SmallVector<int64_t> strides;
  int64_t all = 1;
  for (const Cover &cover : covers) {
    int64_t kernel = *cover.kernel.constant(), low = *cover.low.constant();
    if (cover.dilation != 1 || kernel % cover.stride != 0 || low < 0)
      return std::nullopt;
    // The image with what is cut off in front up to a multiple of the stride.
    Cover from0 = cover;
    from0.low = low / cover.stride * cover.stride;
    from0.size = atoms.ceilDiv(cover.size + low % cover.stride, cover.stride) *
                 cover.stride;
    std::optional<Phase> phase = phaseOf(atoms, from0, 0);
    if (!phase)
      return std::nullopt;
    phases.push_back(*phase);
    strides.push_back(cover.stride);
    all *= cover.stride;
  }
  Extent filters = weights.shape[1];
  Tensor y =
      convolvePhase(c, x, weightsOf(c, weights, phases, strides, 1), phases, 1);
  if (bias)
    y = addBias(
        c, y, c.reshape(c.broadcastTo(bias, {all, filters}), {filters * all}));
  // [batch, phases..., filters, places...] to pairs of place and phase, and
  // filters last: pixels move as a whole.
  Shape apart{x.shape[0]}, whole{x.shape[0]}, start{0}, size{x.shape[0]};
  SmallVector<int64_t> order{0}, back{0, int64_t(1 + dims)};
  for (int64_t stride : strides)
    apart.push_back(stride);
  apart.push_back(filters);
  for (auto [k, cover] : llvm::enumerate(covers)) {
    const Extent &places = phases[k].window.count;
    apart.push_back(places);
    order.append({int64_t(2 + dims + k), int64_t(1 + k)});
    whole.push_back(places * cover.stride);
    start.push_back(*cover.low.constant() % cover.stride);
    size.push_back(cover.size);
    back.push_back(1 + k);
  }
  order.push_back(1 + dims);
  whole.push_back(filters);
  start.push_back(0);
  size.push_back(filters);
  y = c.reshape(c.transpose(c.reshape(y, apart), order), whole);
  y = c.slice(y, start, size, SmallVector<int64_t>(y.rank(), 1));
  return c.transpose(y, back);
}
/// Whether the filters of all `phases` fill vectors better than those of one.
bool fillsLanes(int64_t filters, int64_t phases, int64_t products) {
  if (filters < kLanes)
    return true;
  int64_t merged = llvm::alignTo(phases * filters, kLanes),
          apart = phases * llvm::alignTo(filters, kLanes);
  return products >= kManyProducts && 8 * merged <= 7 * apart;
}
} // namespace

std::optional<Tensor>
fulgur::onnx::convolveByPhases(const Core &c, const Tensor &x,
                               const Tensor &weights, const Tensor &bias,
                               ArrayRef<Cover> covers, int64_t groups) {
  Atoms &atoms = c.sizes.atoms;
  int64_t all = 1, taps = 1;
  for (const Cover &cover : covers) {
    if (!cover.low.constant() || !cover.kernel.constant())
      return std::nullopt;
    all *= cover.stride;
    taps *= llvm::divideCeil(*cover.kernel.constant(), cover.stride);
  }
  if (!weights.shape[0].constant() || !weights.shape[1].constant())
    return std::nullopt;
  if (groups == 1 && all > 1 &&
      fillsLanes(*weights.shape[1].constant(), all,
                 *weights.shape[0].constant() * taps))
    if (std::optional<Tensor> y = mergePhases(c, x, weights, bias, covers))
      return y;

  SmallVector<SmallVector<Phase>> phases;
  Shape shape{x.shape[0], weights.shape[1] * groups}, counts;
  for (const Cover &cover : covers) {
    shape.push_back(cover.size);
    phases.emplace_back();
    for (int64_t offset : llvm::seq(cover.stride)) {
      // A result may be too short for all of them.
      if (atoms.upper(cover.size) <= offset)
        break;
      std::optional<Phase> phase = phaseOf(atoms, cover, offset);
      if (!phase)
        return std::nullopt;
      phases.back().push_back(*phase);
    }
    counts.push_back(phases.back().size());
  }
  DType type = computeType(x.type);
  Value y = c.empty(shape, type);
  Tensor whole;
  forEachIndex(counts, [&](ArrayRef<int64_t> at) {
    SmallVector<Phase> own;
    Shape size{shape[0], shape[1]};
    SmallVector<OpFoldResult> offsets(2, c.builder.getIndexAttr(0)),
        strides(2, c.builder.getIndexAttr(1));
    bool meets = true;
    for (auto [k, number] : llvm::enumerate(at)) {
      const Phase &phase = phases[k][number];
      own.push_back(phase);
      meets &= phase.taps > 0;
      size.push_back(phase.window.count);
      offsets.push_back(c.builder.getIndexAttr(phase.offset));
      strides.push_back(c.builder.getIndexAttr(covers[k].stride));
    }
    Tensor part =
        meets ? convolvePhase(c, x,
                              weightsOf(c, weights, own,
                                        SmallVector<int64_t>(own.size(), 1),
                                        groups),
                              own, groups)
              : c.broadcastTo(Tensor(Elements{Element{}}, type, {}), size);
    if (bias)
      part = addBias(c, part, bias);
    whole = part;
    if (all > 1)
      y = tensor::InsertSliceOp::create(c.builder, c.loc, c.value(part), y,
                                        offsets, c.sizesOf(size), strides);
  });
  return all > 1 || !whole ? c.tensor(y, type, shape) : whole;
}
