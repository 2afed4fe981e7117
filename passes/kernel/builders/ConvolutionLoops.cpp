#include "passes/kernel/builders/ConvolutionLoops.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace fulgur;

static constexpr int64_t kLongestRow = 1024; // that one task computes
static constexpr int64_t kUnknown =
    64; // what sizes are taken for that are not known
static constexpr int64_t kTasks = 8; // are enough
static constexpr int64_t kBorderCode =
    96; // taps of border tiles that are written out

int64_t fulgur::typicalSize(const Convolution &c, unsigned loop) {
  return ShapedType::isDynamic(c.size(loop))
             ? kUnknown
             : std::max<int64_t>(c.size(loop), 1);
}

ConvolutionPlan::ConvolutionPlan(ScheduleAttr schedule)
    : pixels(schedule.getTile()[0]), vectors(schedule.getTile()[1]),
      columns(schedule.getTile()[2]), parts(schedule.getTile()[3]),
      rows(schedule.getGrain()) {}

ScheduleAttr fulgur::scheduleConvolution(const Convolution &c, StringRef kind,
                                         int64_t pixels, int64_t vectors,
                                         int64_t lanes, int64_t operations) {
  unsigned last = c.spatial.back().image;
  int64_t length = typicalSize(c, last), rows = 1, width = vectors * lanes,
          parts = llvm::divideCeil(c.size(c.lane()), width);
  for (const Convolution::Spatial &dim : ArrayRef(c.spatial).drop_back())
    rows *= typicalSize(c, dim.image);
  // Equal pieces of long rows, several rows, several parts.
  int64_t columns = kLongestRow;
  if (!ShapedType::isDynamic(c.size(last)))
    columns = llvm::divideCeil(length, llvm::divideCeil(length, kLongestRow));
  columns = llvm::alignTo(columns, pixels);
  int64_t ofRow = 2 * std::min(columns, length) * width * c.steps();
  // Little work is for some threads, too.
  operations = std::max(operations / kTasks,
                        std::min(operations, rows * parts * ofRow / kTasks));
  int64_t blocks = std::clamp<int64_t>(rows * ofRow / operations, 1, rows);
  int64_t taskRows = llvm::divideCeil(rows, blocks);
  int64_t partBlocks = std::clamp<int64_t>(
      parts * taskRows * ofRow / operations, 1, std::max<int64_t>(parts, 1));
  int64_t taskParts = llvm::divideCeil(parts, partBlocks);
  linalg::UnPackOp packed = c.packed;
  return ScheduleAttr::get(
      c.out.getContext(), kind, {pixels, vectors, columns, taskParts}, lanes,
      /*unroll=*/2, packed ? packed.getStaticInnerTiles()[0] : width, taskRows);
}

ConvolutionLoops::ConvolutionLoops(KernelSite &site,
                                   const Convolution &convolution,
                                   ScheduleAttr schedule)
    : site(site), c(convolution), plan(schedule), lanes(schedule.getLanes()),
      width(plan.vectors * lanes), pack(width) {
  unsigned count = c.ranges.size();
  Value inputBuffer = site.operand(c.input), outBuffer = site.operand(c.out);
  point.resize(count);
  sizes.resize(count);
  for (auto [loop, size] : llvm::enumerate(c.ranges))
    if (!ShapedType::isDynamic(size))
      sizes[loop] = e.index(size);
  for (auto [dim, loop] : llvm::enumerate(c.outLoops))
    if (!sizes[loop])
      sizes[loop] =
          c.inserted
              ? site.operand(cast<Value>(c.inserted.getMixedSizes()[dim]))
              : e.dim(outBuffer, dim);
  for (const Convolution::Spatial &dim : c.spatial) {
    inputSizes.push_back(e.dim(inputBuffer, dim.inputDim));
    auto value = dyn_cast<Value>(dim.low);
    low.push_back(value ? site.operand(value)
                        : e.index(*getConstantIntValue(dim.low)));
  }
  input = accessOf(e, inputBuffer, c.inputLoops, count);
  out = accessOf(e, outBuffer, c.outLoops, count);
  if (c.inserted)
    insertAt(outBuffer);
  for (auto [value, loops] : llvm::zip(c.epilogueInputs, c.epilogueLoops))
    epilogueInputs.push_back(
        value ? accessOf(e, site.operand(value), loops, count) : Access());
}

/// Makes `out` the access of the part of the buffer that the result goes to.
void ConvolutionLoops::insertAt(Value buffer) {
  Value stride = e.index(1);
  out.base = e.index(0);
  for (int64_t dim = c.outLoops.size(); dim-- > 0;) {
    out.base = e.add(out.base, e.mul(stride, c.inserted.getStaticOffset(dim)));
    out.steps[c.outLoops[dim]] = e.mul(stride, c.inserted.getStaticStride(dim));
    stride = e.mul(e.dim(buffer, dim), stride);
  }
}

void ConvolutionLoops::takeWeights() {
  Value buffer = site.operand(c.weights);
  if (!c.packed)
    return packWeights(buffer);
  weights = e.flatten(buffer);
  pack = c.packed.getStaticInnerTiles()[0];
}

/// Weights that are computed while running become panels before the loops.
void ConvolutionLoops::packWeights(Value buffer) {
  Access from = accessOf(e, buffer, c.weightLoops, c.ranges.size());
  int64_t steps = c.steps(), columns = c.size(c.lane());
  int64_t outer = c.isDepthwise() ? 1 : size(c.group);
  auto type =
      MemRefType::get(outer * parts() * steps * width, elements.element);
  weights = memref::AllocOp::create(e.builder, e.loc, type,
                                    e.builder.getI64IntegerAttr(64));
  Value zero = e.zero(elements.element);
  e.parallel(e.index(outer * parts()), [&](Value index) {
    SmallVector<Value> at(c.ranges.size());
    Value column0 = e.mul(e.remainder(index, e.index(parts())), width);
    if (outer != 1)
      at[*c.group] = e.floorDiv(index, e.index(parts()));
    e.loop(e.index(0), e.index(steps), 1, [&](Value step) {
      Value rest = step;
      auto take = [&](unsigned loop) {
        at[loop] = e.remainder(rest, sizes[loop]);
        rest = e.floorDiv(rest, sizes[loop]);
      };
      if (c.channel)
        take(*c.channel);
      for (const Convolution::Spatial &dim : llvm::reverse(c.spatial))
        take(dim.window);
      Value inStep = e.remainder(step, e.index(depth));
      Value to =
          e.add(e.mul(e.sub(e.add(e.mul(index, steps), step), inStep), width),
                inStep);
      e.loop(e.index(0), e.index(width), 1, [&](Value lane) {
        Value column = e.add(column0, lane);
        at[c.lane()] = e.min(column, e.index(columns - 1));
        Value weight =
            memref::LoadOp::create(e.builder, e.loc, from.flat, from.at(e, at));
        weight = arith::SelectOp::create(
            e.builder, e.loc, e.less(column, e.index(columns)), weight, zero);
        memref::StoreOp::create(e.builder, e.loc, weight, weights,
                                e.add(to, e.mul(lane, depth)));
      });
    });
  });
}

void ConvolutionLoops::forTasks(llvm::function_ref<void(const Task &)> body) {
  Value rows = e.index(1);
  for (const Convolution::Spatial &dim : ArrayRef(c.spatial).drop_back())
    rows = e.mul(rows, sizes[dim.image]);
  Value length = sizes[row().image];
  Value rowBlocks = e.ceilDiv(rows, e.index(plan.rows)),
        segments = e.ceilDiv(length, e.index(plan.columns)),
        partBlocks = e.index(llvm::divideCeil(parts(), plan.parts));
  Convolution::Loop group = ofAllGroups ? Convolution::Loop() : c.group;
  Value images = e.mul(sizeOf(c.batch), sizeOf(group)),
        pieces = e.mul(rowBlocks, segments);
  // Neighbouring tasks share what is larger, the weights or the input.
  int64_t elementBytes = 4 / depth,
          weightBytes = elementBytes * c.steps() * parts() * width,
          inputBytes = elementBytes;
  for (int loop : c.inputLoops)
    inputBytes *= loop == int(c.batch.value_or(~0u)) ? 1 : typicalSize(c, loop);
  bool piecesFirst = weightBytes >= inputBytes;
  e.parallel(e.mul(e.mul(images, pieces), partBlocks), [&](Value index) {
    auto take = [&](Value count) {
      Value taken = e.remainder(index, count);
      index = e.floorDiv(index, count);
      return taken;
    };
    Value part = piecesFirst ? Value() : take(partBlocks), piece = take(pieces);
    if (piecesFirst)
      part = take(partBlocks);
    if (group)
      point[*group] = take(sizes[*group]);
    if (c.batch)
      point[*c.batch] = index;
    auto range = [&](Value number, int64_t size, Value end) {
      Value from = e.mul(number, size);
      return std::pair(from, e.min(e.add(from, size), end));
    };
    Task task;
    std::tie(task.rowFrom, task.rowTo) =
        range(e.floorDiv(piece, segments), plan.rows, rows);
    std::tie(task.columnFrom, task.columnTo) =
        range(e.remainder(piece, segments), plan.columns, length);
    std::tie(task.partFrom, task.partTo) =
        range(part, plan.parts, e.index(parts()));
    body(task);
  });
}

void ConvolutionLoops::forRows(const Task &task,
                               llvm::function_ref<void()> body) {
  e.loop(task.rowFrom, task.rowTo, 1, [&](Value index) {
    for (const Convolution::Spatial &dim :
         llvm::reverse(ArrayRef(c.spatial).drop_back())) {
      bool first = &dim == &c.spatial.front();
      point[dim.image] = first ? index : e.remainder(index, sizes[dim.image]);
      index = first ? index : e.floorDiv(index, sizes[dim.image]);
    }
    body();
  });
}

void ConvolutionLoops::forTiles(const Task &task, Tile tile) {
  int64_t border = 2 * taps() * row().dilation / row().stride;
  bool isKnown = known(sizes[row().image]) && known(low[rowDim()]) &&
                 known(inputSizes[rowDim()]) &&
                 llvm::divideCeil(border, plan.pixels) * taps() <= kBorderCode;
  if (isKnown)
    knownTiles(task, tile);
  else
    unknownTiles(task, tile);
}

bool ConvolutionLoops::isInside(int64_t column, int64_t tap) {
  if (!c.padded)
    return true;
  int64_t at =
      column * row().stride + tap * row().dilation - *known(low[rowDim()]);
  return at >= 0 && at < *known(inputSizes[rowDim()]);
}

void ConvolutionLoops::knownTiles(const Task &task, Tile tile) {
  Value from = task.columnFrom, to = task.columnTo;
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

std::pair<Value, Value> ConvolutionLoops::wholeWindows(unsigned k, Value from,
                                                       Value to) {
  if (!c.padded)
    return {from, to};
  const Convolution::Spatial &dim = c.spatial[k];
  auto reach = [&](Value distance) {
    return e.ceilDiv(e.max(distance, e.index(0)), e.index(dim.stride));
  };
  Value innerFrom = e.min(e.max(from, reach(low[k])), to);
  Value room = e.sub(e.add(inputSizes[k], low[k]),
                     e.index((size(dim.window) - 1) * dim.dilation));
  return {innerFrom, e.max(e.min(to, reach(room)), innerFrom)};
}

void ConvolutionLoops::unknownTiles(const Task &task, Tile tile) {
  Value from = task.columnFrom, to = task.columnTo, zero = e.index(0);
  auto [innerFrom, innerTo] = wholeWindows(rowDim(), from, to);
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

std::pair<Value, Value> ConvolutionLoops::insideOf(unsigned k, Value image) {
  const Convolution::Spatial &dim = c.spatial[k];
  Value zero = e.index(0), count = sizes[dim.window];
  if (!c.padded)
    return {zero, count};
  Value start = e.sub(e.mul(image, dim.stride), low[k]),
        dilation = e.index(dim.dilation);
  auto reach = [&](Value distance) {
    return e.min(e.ceilDiv(e.max(distance, zero), dilation), count);
  };
  return {reach(e.sub(zero, start)), reach(e.sub(inputSizes[k], start))};
}

Value ConvolutionLoops::windowStart(unsigned k, Value image) {
  Value start = e.sub(e.mul(image, c.spatial[k].stride), low[k]);
  return inputStep(k) ? e.mul(start, inputStep(k)) : e.index(0);
}

Value ConvolutionLoops::inputBase() {
  SmallVector<Value> outer(point.size());
  for (Convolution::Loop loop : {c.batch, c.group})
    if (loop)
      outer[*loop] = point[*loop];
  Value base = input.at(e, outer);
  for (unsigned k = 0; k + 1 < c.spatial.size(); ++k)
    base = e.add(base, windowStart(k, point[c.spatial[k].image]));
  return base;
}

Value ConvolutionLoops::weightsOf(Value column) {
  Value panel = e.floorDiv(column, e.index(pack));
  if (c.group && !c.isDepthwise())
    panel =
        e.add(e.mul(point[*c.group], llvm::divideCeil(c.size(c.lane()), pack)),
              panel);
  return e.add(e.mul(panel, c.steps() * pack),
               e.mul(e.remainder(column, e.index(pack)), depth));
}

Value ConvolutionLoops::laneMask(Value column) {
  return e.lanesBelow(e.sub(sizes[c.lane()], column), lanes);
}

void ConvolutionLoops::forPart(Value column0,
                               llvm::function_ref<void(bool)> body) {
  if (wholeParts())
    return body(false);
  e.branch(
      e.less(sizes[c.lane()], e.add(column0, width)), [&] { body(true); },
      [&] { body(false); });
}

FirstAddition ConvolutionLoops::addedToAllPixels() {
  return firstAddition(c.epilogue, epilogueInputs, [&](const Access &access) {
    return llvm::all_of(llvm::enumerate(access.steps), [&](auto step) {
      return !step.value() || step.index() == c.lane();
    });
  });
}

Value ConvolutionLoops::begin(Value column, Value mask) {
  auto [add, number] = addedToAllPixels();
  if (!add)
    return e.real(0, VectorType::get(lanes, e.builder.getF32Type()));
  const Access &access = epilogueInputs[number];
  point[c.lane()] = column;
  Value position = access.at(e, point);
  point[c.lane()] = {};
  return readColumns(e, access.flat, position, access.steps[c.lane()],
                     {lanes, mask});
}

void ConvolutionLoops::finish(Value sums, Value column, Value mask,
                              bool hasBegun) {
  point[c.lane()] = column;
  Columns columns{lanes, mask};
  Value result = sums;
  if (c.epilogue) {
    SmallVector<Value> arguments;
    for (Access &access : epilogueInputs)
      arguments.push_back(access.flat
                              ? readColumns(e, access.flat, access.at(e, point),
                                            access.steps[c.lane()], columns)
                              : sums);
    result =
        computeLanes(e, site, c.epilogue, arguments, lanes,
                     [&](unsigned loop) { return indexOf(loop); },
                     {hasBegun ? addedToAllPixels().add : nullptr, sums})[0];
  }
  writeColumns(e, result, out.flat, out.at(e, point), out.steps[c.lane()],
               columns);
  point[c.lane()] = {};
}

/// The lanes' indices along a loop of the epilogue.
Value ConvolutionLoops::indexOf(unsigned epilogueLoop) {
  unsigned loop = c.epilogueDims[epilogueLoop];
  Value index = e.broadcast(point[loop] ? point[loop] : e.index(0), lanes);
  if (loop != c.lane())
    return index;
  return arith::AddIOp::create(e.builder, e.loc, index,
                               e.iota(lanes, e.builder.getIndexType()));
}
