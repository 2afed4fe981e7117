// Convolutions of bfloat16 or bytes by AMX's tiles: a tile of rows is 16
// neighbouring pixels, 64 bytes of their channels, and a tile of columns as
// many channels of 16 filters, as the panels of the direct convolution have
// them. Sums of 32 pixels and 32 filters stay in four tiles for the whole
// window: a load for each product.
//
// A task copies what it reads of the input first, with what is around it, so
// that no tile knows of borders. Of a stride s, every s-th row and column is
// copied to a plane of its own: then the neighbours of any tap lie next to each
// other, and pixels are numbered through all rows of a task. Numbers behind a
// row's last pixel are computed and left out.
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/AmxTiles.h"
#include "passes/kernel/builders/ConvolutionLoops.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::amx;

namespace {
constexpr int64_t kStackBytes = 192 << 10;     // of a task's planes
constexpr int64_t kTaskOperations = 256 << 20; // some tens of microseconds
constexpr int64_t kPixels = 2 * kTileRows, kFilters = kVectors * kLanes;

/// Along one dim: every stride-th position of the padded input.
struct Planes {
  int64_t stride, dilation, taps;
  SmallVector<int64_t> used; ///< of the remainders, those that some tap reads

  explicit Planes(const Convolution &c, const Convolution::Spatial &dim)
      : stride(dim.stride), dilation(dim.dilation), taps(c.size(dim.window)) {
    for (int64_t tap : llvm::seq(taps))
      if (!llvm::is_contained(used, tap * dilation % stride))
        used.push_back(tap * dilation % stride);
  }
  /// Where a tap reads: the number of the plane, and how far in it.
  int64_t plane(int64_t tap) const {
    return llvm::find(used, tap * dilation % stride) - used.begin();
  }
  int64_t offset(int64_t tap) const { return tap * dilation / stride; }
  /// Positions of a plane that `count` positions of the result read.
  int64_t extent(int64_t count) const { return count + offset(taps - 1); }
};

/// How the input is copied. Rows are those of the last dim but one, if there is
/// one.
struct Copies {
  std::optional<Planes> rows;
  Planes columns;
  int64_t pixelBytes;

  explicit Copies(const Convolution &c)
      : columns(c, c.spatial.back()),
        pixelBytes(c.size(c.channel) * 4 / c.depth()) {
    if (c.spatial.size() > 1)
      rows.emplace(c, c.spatial.front());
  }
  int64_t rowExtent(int64_t count) const {
    return rows ? rows->extent(count) : 1;
  }
  int64_t planePixels(int64_t rowCount, int64_t columnCount) const {
    return rowExtent(rowCount) * columns.extent(columnCount);
  }
  int64_t planes() const {
    return columns.used.size() * (rows ? rows->used.size() : 1);
  }
  /// Tiles reach behind the last pixel.
  int64_t bytes(int64_t rowCount, int64_t columnCount) const {
    return (planes() * planePixels(rowCount, columnCount) + kPixels) *
           pixelBytes;
  }
};

struct AmxConvolution : ConvolutionLoops {
  Copies copies{c};
  Tiles tiles{e, elements};
  int64_t columnCount = std::min(plan.columns, c.size(row().image)),
          rowLength = copies.columns.extent(columnCount),
          planePixels = copies.planePixels(plan.rows, columnCount);
  Value image{}, sums{}; ///< buffers: the planes, a tile's sums

  AmxConvolution(KernelSite &site, const Convolution &convolution,
                 ScheduleAttr s)
      : ConvolutionLoops(site, convolution, s) {}

  bool hasRows() const { return copies.rows.has_value(); }
  VectorType chunkType() {
    return VectorType::get(kTileBytes / 4, e.builder.getI32Type());
  }

  void build();
  void copy(const Task &task);
  void copyPlane(const Task &task, int64_t rowPlane, int64_t columnPlane);
  void tile(Value pixel, Value column0);
  void finishTile(const Task &task, Value pixel, Value column0);
};
} // namespace

void AmxConvolution::build() {
  takeWeights();
  forTasks([&](const Task &task) {
    auto onStack = [&](int64_t count, Type type) {
      return memref::AllocaOp::create(e.builder, e.loc,
                                      MemRefType::get(count, type),
                                      e.builder.getI64IntegerAttr(64));
    };
    image =
        onStack(copies.bytes(plan.rows, columnCount), e.builder.getI8Type());
    sums = onStack(kPixels * kFilters, elements.sumType());
    tiles.allocate();
    copy(task);
    Value whole = e.index(kTileRows);
    tiles.configure(whole, whole);
    Value pixels = e.mul(e.sub(task.rowTo, task.rowFrom), rowLength);
    e.loop(task.partFrom, task.partTo, 1, [&](Value part) {
      Value column0 = e.mul(part, width);
      e.loop(e.index(0), pixels, kPixels, [&](Value pixel) {
        tile(pixel, column0);
        finishTile(task, pixel, column0);
      });
    });
    tiles.release();
  });
}

void AmxConvolution::copy(const Task &task) {
  for (int64_t rowPlane : llvm::seq(hasRows() ? copies.rows->used.size() : 1))
    for (int64_t columnPlane : llvm::seq(copies.columns.used.size()))
      copyPlane(task, rowPlane, columnPlane);
}

void AmxConvolution::copyPlane(const Task &task, int64_t rowPlane,
                               int64_t columnPlane) {
  SmallVector<Value> outer(point.size());
  for (Convolution::Loop loop : {c.batch, c.group})
    if (loop)
      outer[*loop] = point[*loop];
  Value base = input.at(e, outer), zero = e.index(0);
  Value outside = e.integer(c.filler * 0x01010101u, chunkType());
  int64_t plane = rowPlane * copies.columns.used.size() + columnPlane,
          elementBytes = 4 / depth;
  /// A position of the plane as one of the input, and whether it is inside.
  auto position = [&](unsigned k, Value at, Value from, int64_t shift) {
    Value place = e.sub(
        e.add(e.mul(e.add(from, at), c.spatial[k].stride), shift), low[k]);
    Value inside = e.builder.createOrFold<arith::AndIOp>(
        e.loc, e.less(e.index(-1), place), e.less(place, inputSizes[k]));
    Value last = e.sub(inputSizes[k], e.index(1));
    Value step = inputStep(k) ? inputStep(k) : zero;
    return std::pair(e.mul(e.min(e.max(place, zero), last), step), inside);
  };
  Value rows = hasRows() ? e.add(e.sub(task.rowTo, task.rowFrom),
                                 copies.rowExtent(plan.rows) - plan.rows)
                         : e.index(1);
  e.loop(zero, rows, 1, [&](Value y) {
    Value rowAt = base, rowInside;
    if (hasRows()) {
      auto [at, inside] =
          position(0, y, task.rowFrom, copies.rows->used[rowPlane]);
      rowAt = e.add(base, at);
      rowInside = inside;
    }
    e.loop(zero, e.index(rowLength), 1, [&](Value x) {
      auto [at, inside] = position(rowDim(), x, task.columnFrom,
                                   copies.columns.used[columnPlane]);
      if (rowInside)
        inside =
            e.builder.createOrFold<arith::AndIOp>(e.loc, inside, rowInside);
      Value from = e.mul(e.add(rowAt, at), elementBytes),
            to =
                e.mul(e.add(e.add(e.mul(y, rowLength), x), plane * planePixels),
                      copies.pixelBytes);
      e.loop(zero, e.index(copies.pixelBytes), kTileBytes, [&](Value byte) {
        Value first = e.floorDiv(e.add(from, byte), e.index(elementBytes));
        Value chunk = LLVM::LoadOp::create(
            e.builder, e.loc, chunkType(),
            pointerTo(e, input.flat, first, elementBytes), elementBytes);
        chunk =
            arith::SelectOp::create(e.builder, e.loc, inside, chunk, outside);
        LLVM::StoreOp::create(e.builder, e.loc, chunk,
                              pointerTo(e, image, e.add(to, byte), 1),
                              kTileBytes);
      });
    });
  });
}

/// The sums of 32 pixels from `pixel` on and of the filters of a part.
void AmxConvolution::tile(Value pixel, Value column0) {
  Value panel = weightsOf(column0);
  int64_t rowTaps = hasRows() ? copies.rows->taps : 1,
          chunkSteps = kTileBytes * depth / 4; // channels
  Value pixelDistance = e.index(copies.pixelBytes),
        stepDistance = e.index(pack * 4);
  for (int64_t sum : llvm::seq(4))
    tiles.clear(sum);
  for (int64_t y : llvm::seq(rowTaps))
    for (int64_t x : llvm::seq(copies.columns.taps)) {
      int64_t plane = copies.columns.plane(x),
              offset = copies.columns.offset(x);
      if (hasRows()) {
        plane += copies.rows->plane(y) * copies.columns.used.size();
        offset += copies.rows->offset(y) * rowLength;
      }
      Value imageAt =
          e.mul(e.add(pixel, plane * planePixels + offset), copies.pixelBytes);
      int64_t tap = y * copies.columns.taps + x;
      Value weightsAt = e.add(panel, tap * size(c.channel) * pack);
      auto load = [&](int64_t number, Value buffer, Value position,
                      int64_t bytes, Value distance) {
        tiles.load(number, pointerTo(e, buffer, position, bytes), distance);
      };
      e.loop(e.index(0), sizes[*c.channel], chunkSteps, [&](Value channel) {
        Value weightsFrom = e.add(weightsAt, e.mul(channel, pack)),
              from = e.add(imageAt, e.mul(channel, 4 / depth));
        load(columns, weights, weightsFrom, 4 / depth, stepDistance);
        load(columns + 1, weights, e.add(weightsFrom, lanes * depth), 4 / depth,
             stepDistance);
        load(upperRows, image, from, 1, pixelDistance);
        tiles.multiply(upperSums, upperRows, columns);
        tiles.multiply(upperSums + 1, upperRows, columns + 1);
        load(lowerRows, image, e.add(from, kTileRows * copies.pixelBytes), 1,
             pixelDistance);
        tiles.multiply(lowerSums, lowerRows, columns);
        tiles.multiply(lowerSums + 1, lowerRows, columns + 1);
      });
    }
  for (int64_t sum : llvm::seq(4))
    tiles.store(
        sum,
        pointerTo(e, sums,
                  e.index(sum / 2 * kTileRows * width + sum % 2 * lanes), 4),
        e.index(width * 4));
}

/// The epilogue of those that are pixels of the result.
void AmxConvolution::finishTile(const Task &task, Value pixel, Value column0) {
  Value columnEnd = e.sub(task.columnTo, task.columnFrom),
        rowEnd = e.sub(task.rowTo, task.rowFrom);
  forPart(column0, [&](bool masked) {
    e.loop(e.index(0), e.index(kPixels), 1, [&](Value number) {
      Value at = e.add(pixel, number), y = e.floorDiv(at, e.index(rowLength)),
            x = e.remainder(at, e.index(rowLength));
      Value exists = e.builder.createOrFold<arith::AndIOp>(
          e.loc, e.less(x, columnEnd), e.less(y, rowEnd));
      e.branch(exists, [&] {
        if (hasRows())
          point[c.spatial.front().image] = e.add(task.rowFrom, y);
        point[row().image] = e.add(task.columnFrom, x);
        for (int64_t vector : llvm::seq(plan.vectors)) {
          Value filter = e.add(column0, vector * lanes);
          Value sum = vector::LoadOp::create(
              e.builder, e.loc, vectorType(), sums,
              e.add(e.mul(number, width), vector * lanes));
          finish(sum, filter, masked ? laneMask(filter) : Value());
        }
      });
    });
  });
}

/// The schedule for the widths of the image and the channels that tiles take;
/// null for others.
static ScheduleAttr tileSchedule(const Convolution &c) {
  if (c.isDepthwise() || c.depth() == 1 || c.transformed || !c.channel ||
      c.spatial.size() > 2)
    return {};
  int64_t pack =
      c.packed ? linalg::UnPackOp(c.packed).getStaticInnerTiles()[0] : kFilters;
  Copies copies(c);
  auto type = cast<RankedTensorType>(c.input.getType());
  if (copies.pixelBytes % kTileBytes != 0 || pack % kFilters != 0 ||
      llvm::any_of(c.spatial, [&](const Convolution::Spatial &dim) {
        return ShapedType::isDynamic(c.size(dim.image)) ||
               type.getDimSize(dim.inputDim) < 1 ||
               !getConstantIntValue(dim.low);
      }))
    return {};
  // Planes of several rows, all of them if they fit.
  int64_t length = c.size(c.spatial.back().image),
          rows = c.spatial.size() > 1 ? c.size(c.spatial.front().image) : 1,
          columns = length,
          parts = llvm::divideCeil(c.size(c.filter), kFilters);
  if (length < 1 || rows < 1)
    return {};
  while (copies.bytes(1, columns) > kStackBytes && columns > kPixels)
    columns = llvm::divideCeil(columns, 2);
  int64_t ofRow = 2 * columns * parts * kFilters * c.steps(),
          taskRows = std::clamp<int64_t>(kTaskOperations / ofRow, 1, rows);
  while (taskRows > 1 && copies.bytes(taskRows, columns) > kStackBytes)
    --taskRows;
  if (copies.bytes(taskRows, columns) > kStackBytes)
    return {};
  taskRows = llvm::divideCeil(rows, llvm::divideCeil(rows, taskRows));
  int64_t blocks =
              std::clamp<int64_t>(taskRows * ofRow / kTaskOperations, 1, parts),
          taskParts = llvm::divideCeil(parts, blocks);
  return ScheduleAttr::get(c.out.getContext(), amxConvolutionBuilder.kind,
                           {kPixels, kVectors, columns, taskParts}, kLanes,
                           /*unroll=*/1, pack, taskRows);
}

static bool accepts(KernelOp kernel) {
  std::optional<Convolution> c = matchConvolution(kernel);
  return c && tileSchedule(*c);
}

static LogicalResult build(KernelSite &site) {
  Convolution c = *matchConvolution(site.kernel);
  AmxConvolution(site, c, site.kernel.getScheduleAttr()).build();
  return success();
}

/// What the other builders of convolutions choose, where there are no tiles.
static const KernelBuilder &withoutTiles(KernelOp kernel) {
  return winogradBuilder.accepts(kernel) ? winogradBuilder
                                         : directConvolutionBuilder;
}

static ScheduleAttr schedule(KernelOp kernel, const Target &target) {
  if (target.amx)
    return tileSchedule(*matchConvolution(kernel));
  return withoutTiles(kernel).schedule(kernel, target);
}

static SmallVector<ScheduleAttr>
alternatives(KernelOp kernel, const Target &target, ScheduleAttr chosen) {
  const KernelBuilder &other = withoutTiles(kernel);
  if (chosen.getKind() != amxConvolutionBuilder.kind)
    return other.alternatives(kernel, target, chosen);
  return {other.schedule(kernel, target)};
}

const KernelBuilder fulgur::amxConvolutionBuilder = {
    "amx_convolution", accepts, schedule, build, alternatives};
