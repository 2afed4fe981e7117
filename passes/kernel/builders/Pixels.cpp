// An image of few planes of bytes, or of bfloat16, becomes one of pixels of
// four, as convolutions of them read it. The numbers are computed as vectors
// along a row of each plane; shifted and joined, they are vectors of pixels.
#include "passes/kernel/builders/Pixels.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"
#include "passes/kernel/builders/Elementwise.h"

using namespace mlir;
using namespace fulgur;

static constexpr int64_t kNumbers = 4;          // of a pixel
static constexpr int64_t kTaskPixels = 1 << 12; // a few microseconds

std::optional<Pixels> fulgur::matchPixels(Operation *op) {
  auto transpose = dyn_cast_or_null<linalg::TransposeOp>(op);
  if (!transpose)
    return std::nullopt;
  auto type = cast<RankedTensorType>(transpose->getResult(0).getType());
  auto pad = transpose.getInput().getDefiningOp<tensor::PadOp>();
  Value filler = pad ? pad.getConstantPaddingValue() : Value();
  APInt byte(8, 0);
  if (!filler || !pad->hasOneUse() || type.getRank() < 3 ||
      type.getShape().back() != kNumbers ||
      !(type.getElementType().isInteger(8)
            ? matchPattern(filler, m_ConstantInt(&byte))
            : type.getElementType().isBF16() &&
                  matchPattern(filler, m_AnyZeroFloat())))
    return std::nullopt;
  ArrayRef<int64_t> order = transpose.getPermutation();
  if (order.front() != 0 || order.back() != 1)
    return std::nullopt;
  for (auto [k, from] : llvm::enumerate(order.drop_front().drop_back()))
    if (from != int64_t(k) + 2)
      return std::nullopt;
  int64_t planes = pad.getSourceType().getDimSize(1);
  for (auto [dim, low, high] :
       llvm::enumerate(pad.getStaticLow(), pad.getStaticHigh()))
    if (low != 0 || high != (dim == 1 ? kNumbers - planes : 0))
      return std::nullopt;
  if (ShapedType::isDynamic(planes) || planes < 1)
    return std::nullopt;
  Pixels pixels{transpose, pad, {}, uint8_t(byte.getZExtValue())};
  auto loop = pad.getSource().getDefiningOp<linalg::GenericOp>();
  if (loop && pad.getSource().hasOneUse() && isLanewise(loop) &&
      loop.getNumResults() == 1 &&
      loop.getIndexingMapsArray().back().isIdentity() &&
      loop.getBody()->getOps<linalg::IndexOp>().empty())
    pixels.loop = loop;
  return pixels;
}

namespace {
struct PixelLoops {
  KernelSite &site;
  Pixels &pixels;
  int64_t lanes;
  Emitter e{site.builder, site.loc};
  SmallVector<Access> inputs{};
  Access out{};
  SmallVector<Value> point{};

  void build();
  void vector(Value from, Value mask);
};
} // namespace

void PixelLoops::build() {
  Value outBuffer = site.outs[0];
  auto rank = cast<MemRefType>(outBuffer.getType()).getRank();
  // Loops are the dims of the planes.
  if (pixels.loop) {
    for (auto [number, input] : llvm::enumerate(pixels.loop.getDpsInputs()))
      inputs.push_back(
          accessOf(e, site.operand(input), loopsOf(pixels.loop, number), rank));
  } else {
    SmallVector<int> loops = llvm::to_vector(llvm::seq<int>(0, rank));
    inputs.push_back(
        accessOf(e, site.operand(pixels.pad.getSource()), loops, rank));
  }
  SmallVector<int> order(pixels.transpose.getPermutation());
  out = accessOf(e, outBuffer, order, rank);
  point.resize(rank);
  // Rows are those of all dims but the channels and the last one.
  Value rows = e.index(1), length = e.dim(outBuffer, rank - 2);
  for (int64_t dim : llvm::seq<int64_t>(0, rank - 2))
    rows = e.mul(rows, e.dim(outBuffer, dim));
  Value grain = e.ceilDiv(e.index(kTaskPixels), e.max(length, e.index(1)));
  Value wholeTo = e.sub(length, e.remainder(length, e.index(lanes)));
  e.share(rows, grain, [&](Value from, Value to) {
    e.loop(from, to, 1, [&](Value index) {
      for (int64_t dim = rank - 3; dim >= 0; --dim) {
        Value size = e.dim(outBuffer, dim);
        point[order[dim]] = e.remainder(index, size);
        index = e.floorDiv(index, size);
      }
      e.loop(e.index(0), wholeTo, lanes,
             [&](Value place) { vector(place, {}); });
      e.branch(e.less(wholeTo, length), [&] {
        vector(wholeTo, e.lanesBelow(e.sub(length, wholeTo), lanes));
      });
    });
  });
}

/// The pixels of a row from `from` on.
void PixelLoops::vector(Value from, Value mask) {
  OpBuilder &b = e.builder;
  unsigned last = point.size() - 1;
  point[last] = from;
  Type element = out.elementType();
  int64_t bits = element.getIntOrFloatBitWidth(), wordBits = kNumbers * bits;
  auto words = VectorType::get(lanes, b.getIntegerType(wordBits)),
       numbers = VectorType::get(lanes * kNumbers, b.getIntegerType(bits));
  int64_t planes = pixels.pad.getSourceType().getDimSize(1);
  uint32_t fillers = 0;
  for (int64_t plane : llvm::seq(planes, kNumbers))
    fillers |= uint32_t(pixels.filler) << (8 * plane);
  Value pixel = e.integer(fillers, words);
  for (int64_t plane : llvm::seq(planes)) {
    point[1] = e.index(plane);
    SmallVector<Value> read;
    for (Access &input : inputs)
      read.push_back(readColumns(e, input.flat, input.at(e, point),
                                 input.steps[last], {lanes, mask}));
    Value number = pixels.loop ? computeLanes(e, site, pixels.loop, read, lanes,
                                              nullptr)[0]
                               : read[0];
    if (!element.isInteger())
      number = arith::BitcastOp::create(
          b, e.loc, VectorType::get(lanes, b.getIntegerType(bits)), number);
    Value word = arith::ExtUIOp::create(b, e.loc, words, number);
    if (plane > 0)
      word =
          arith::ShLIOp::create(b, e.loc, word, e.integer(bits * plane, words));
    pixel = arith::OrIOp::create(b, e.loc, pixel, word);
  }
  point[1] = {};
  Value position = out.at(e, point);
  point[last] = {};
  pixel = vector::BitCastOp::create(b, e.loc, numbers, pixel);
  auto asStored = [&](Value integers, Type type) {
    return b.createOrFold<arith::BitcastOp>(e.loc, type, integers);
  };
  if (!mask) {
    vector::StoreOp::create(b, e.loc, asStored(pixel, numbers.clone(element)),
                            out.flat, position);
    return;
  }
  // One pixel at a time: masks of bytes are slow on many CPUs.
  Value length = e.dim(site.outs[0], last - 1);
  e.loop(e.index(0), e.sub(length, from), 1, [&](Value lane) {
    e.loop(e.index(0), e.index(kNumbers), 1, [&](Value place) {
      Value at = e.add(e.mul(lane, kNumbers), place);
      Value number =
          vector::ExtractOp::create(b, e.loc, pixel, OpFoldResult(at));
      memref::StoreOp::create(b, e.loc, asStored(number, element), out.flat,
                              e.add(position, at));
    });
  });
}

static std::optional<Pixels> match(KernelOp kernel) {
  if (kernel.getOuts().size() != 1)
    return std::nullopt;
  auto pixels = matchPixels(kernel.yield().getValues().front().getDefiningOp());
  if (!pixels)
    return std::nullopt;
  auto isArgument = [](Value value) { return isa<BlockArgument>(value); };
  if (pixels->loop)
    return llvm::all_of(pixels->loop.getDpsInputs(), isArgument) ? pixels
                                                                 : std::nullopt;
  return isArgument(pixels->pad.getSource()) ? pixels : std::nullopt;
}

static bool accepts(KernelOp kernel) { return match(kernel).has_value(); }

static ScheduleAttr schedule(KernelOp kernel, const Target &target) {
  return ScheduleAttr::get(kernel.getContext(), pixelsBuilder.kind, {},
                           target.lanes(), /*unroll=*/1, /*pack=*/0,
                           /*grain=*/1);
}

static LogicalResult build(KernelSite &site) {
  Pixels pixels = *match(site.kernel);
  ScheduleAttr given = site.kernel.getScheduleAttr();
  PixelLoops{site, pixels, given ? given.getLanes() : site.target.lanes()}
      .build();
  return success();
}

const KernelBuilder fulgur::pixelsBuilder = {"pixels", accepts, schedule,
                                             build};
