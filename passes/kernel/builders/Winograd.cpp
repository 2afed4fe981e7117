// Convolutions with windows of 3x3 or 2x2 by Winograd's transformation, without
// a stride or (3x3) with one of 2: see WinogradWeights.h. A task takes some
// tiles, each m by m elements of the result, transforms the elements of the
// input under each of them into as many matrices on the stack (tile x channel),
// multiplies each with its matrix of weights (channel x filter), and transforms
// the products of a tile back. Inputs of many channels go through in blocks.
// Bytes are transformed and multiplied as integers of 16 bits, see
// WinogradBytes.h. bfloat16 is transformed in f32 and rounded again before it
// is multiplied, by pairs of channels; where several tasks need the same tiles,
// before all of them.
#include "passes/kernel/builders/Winograd.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/ConvolutionLoops.h"
#include "passes/kernel/builders/SmallMatrix.h"
#include "passes/kernel/builders/WinogradBytes.h"
#include "passes/kernel/builders/WinogradWeights.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kPageBytes = 4096, kLineBytes = 64;
constexpr int64_t kCacheBytes = 512 << 10; // half of a second-level cache
constexpr int64_t kTilesAhead = 8; // of a task that transforms them only

struct Winograd : ConvolutionLoops {
  const WinogradForm &form;
  bool ofBytes = c.isOfBytes(), ofPairs = c.depth() > 1 && !ofBytes;
  int64_t pair = ofBytes ? 2 : c.depth();      ///< channels multiplied at once
  int64_t chunk = ofBytes ? lanes * 2 : lanes; ///< channels transformed at once
  int64_t size = form.size(), matrices = size * size;
  unsigned plane = c.spatial.size() - 2; ///< number of the plane's first dim
  int64_t tiles, channels;               ///< of a task, of a block
  int64_t steps = c.frameTaps() * c.size(c.channel); ///< of a sum
  int64_t rowLength;               ///< of the transformed input's matrices
  int64_t imageStep, sumStep;      ///< from one matrix to the next
  Value images{}, sums{};          ///< buffers: transformed input, products
  Value imagesFrom{};              ///< where the task's are
  Value offsets{};                 ///< of bytes: for each filter of a part
  Value tileRows{}, tileColumns{}; ///< of an image
  Value column0{};                 ///< first filter of the part
  Value frameAt{};                 ///< where the frame that is read begins

  Winograd(KernelSite &site, const Convolution &convolution, ScheduleAttr s)
      : ConvolutionLoops(site, convolution, s),
        form(winogradForm(c, s.getTile()[4])), tiles(s.getGrain()),
        channels(s.getTile()[2]), rowLength(llvm::alignTo(channels, chunk)),
        imageStep(apart(tiles * rowLength, 4 / pair)),
        sumStep(apart(tiles * width, 4)) {}

  /// Whether the input is transformed before the tasks, each of which would
  /// have to do that again for its filters.
  bool isAhead() {
    return ofPairs && channels == steps && plan.parts < parts() &&
           !c.hasFrames();
  }

  /// Matrices that are pages apart would share the same few lines of a cache.
  static int64_t apart(int64_t elements, int64_t bytes) {
    return elements * bytes % kPageBytes ? elements
                                         : elements + kLineBytes / bytes;
  }

  /// Of the transformed input and weights: f32, bf16, or i16.
  Type factorType() {
    return ofBytes ? Type(e.builder.getI16Type()) : elements.element;
  }
  VectorType factorsType() {
    return VectorType::get(lanes * pair, factorType());
  }
  /// What the input is transformed in: f32, or i16.
  VectorType numbersType() {
    return VectorType::get(chunk, ofBytes ? Type(e.builder.getI16Type())
                                          : e.builder.getF32Type());
  }
  Value buffer(int64_t elements, Type type) {
    return memref::AllocaOp::create(e.builder, e.loc,
                                    MemRefType::get(elements, type),
                                    e.builder.getI64IntegerAttr(64));
  }

  void build();
  void transformWeights();
  void task(Value tileFrom, Value tileTo, Value partFrom, Value partTo);
  void moveTo(Value tile);
  void transformAhead(Value all, Value blocks);
  void transformInput(Value tileFrom, Value count, Value channelFrom);
  void transformTile(Value tile, Value imageAt, Value channelFrom);
  void sumFrame(Value tileFrom, Value count, Value tap, Value tapFrom);
  void multiply(Value count, Value channelFrom, Value stepFrom, Value isFirst);
  void sumWeights();
  Value weightsAt(Value matrix, Value stepFrom);
  Value filler();
  Value imageElement(Value position);
  void transformSums(Value tileFrom, Value count);
};
} // namespace

void Winograd::build() {
  if (c.transformed) {
    weights = e.flatten(site.operand(c.weights));
    pack = c.packed.getStaticInnerTiles()[0];
  } else {
    transformWeights();
  }
  auto tilesAlong = [&](unsigned k) {
    return e.ceilDiv(sizes[c.plane()[k].image], e.index(form.outputs));
  };
  tileRows = tilesAlong(0);
  tileColumns = tilesAlong(1);
  Value all = e.mul(tileRows, tileColumns);
  Value blocks = e.ceilDiv(all, e.index(tiles));
  Value partBlocks = e.index(llvm::divideCeil(parts(), plan.parts));
  frameAt = e.index(0);
  if (isAhead())
    transformAhead(all, blocks);
  Value frames = c.hasFrames() ? sizes[c.spatial[0].image] : e.index(1);
  Value count =
      e.mul(e.mul(e.mul(sizeOf(c.batch), frames), blocks), partBlocks);
  e.parallel(count, [&](Value index) {
    // Tasks with the same weights follow each other.
    Value block = e.remainder(index, blocks), rest = e.floorDiv(index, blocks);
    Value partFrom = e.mul(e.remainder(rest, partBlocks), plan.parts),
          tileFrom = e.mul(block, tiles);
    Value image = e.floorDiv(rest, partBlocks);
    if (c.hasFrames()) {
      point[c.spatial[0].image] = e.remainder(image, frames);
      image = e.floorDiv(image, frames);
    }
    if (c.batch)
      point[*c.batch] = image;
    imagesFrom = isAhead() ? e.mul(e.add(e.mul(image, blocks), block),
                                   matrices * imageStep)
                           : e.index(0);
    task(tileFrom, e.min(e.add(tileFrom, tiles), all), partFrom,
         e.min(e.add(partFrom, plan.parts), e.index(parts())));
  });
}

/// Weights that are computed while running: panel by panel.
void Winograd::transformWeights() {
  Access from =
      accessOf(e, site.operand(c.weights), c.weightLoops, c.ranges.size());
  int64_t filters = c.size(*c.filter);
  auto type = MemRefType::get(parts() * matrices * steps * width, factorType());
  weights = memref::AllocOp::create(e.builder, e.loc, type,
                                    e.builder.getI64IntegerAttr(64));
  Value zero = e.zero(elements.sumType());
  e.parallel(e.index(parts()), [&](Value part) {
    e.loop(e.index(0), e.index(steps), 1, [&](Value step) {
      e.loop(e.index(0), e.index(width), 1, [&](Value lane) {
        Value filter = e.add(e.mul(part, width), lane);
        Value exists = e.less(filter, e.index(filters));
        SmallVector<Value> window, at(c.ranges.size());
        at[*c.filter] = e.min(filter, e.index(filters - 1));
        at[*c.channel] = e.remainder(step, sizes[*c.channel]);
        if (c.hasFrames())
          at[c.spatial[0].window] = e.floorDiv(step, sizes[*c.channel]);
        for (int64_t tap : llvm::seq(form.taps * form.taps)) {
          at[c.plane()[0].window] = e.index(tap / form.taps);
          at[c.plane()[1].window] = e.index(tap % form.taps);
          Value weight = memref::LoadOp::create(e.builder, e.loc, from.flat,
                                                from.at(e, at));
          if (ofBytes)
            weight = arith::ExtSIOp::create(e.builder, e.loc,
                                            elements.sumType(), weight);
          if (ofPairs)
            weight = arith::ExtFOp::create(e.builder, e.loc, elements.sumType(),
                                           weight);
          window.push_back(
              arith::SelectOp::create(e.builder, e.loc, exists, weight, zero));
        }
        SmallVector<Value> transformed =
            onBothSides(window, form.taps, [&](ArrayRef<Value> g) {
              return multiplySmall(e, form.weights, g);
            });
        for (auto [number, value] : llvm::enumerate(transformed)) {
          Value inPair = e.remainder(step, e.index(pair));
          Value row = e.add(e.mul(e.add(e.mul(part, matrices), number), steps),
                            e.sub(step, inPair));
          if (ofBytes)
            value =
                arith::TruncIOp::create(e.builder, e.loc, factorType(), value);
          if (ofPairs)
            value =
                arith::TruncFOp::create(e.builder, e.loc, factorType(), value);
          memref::StoreOp::create(
              e.builder, e.loc, value, weights,
              e.add(e.add(e.mul(row, width), e.mul(lane, pair)), inPair));
        }
      });
    });
  });
}

void Winograd::task(Value tileFrom, Value tileTo, Value partFrom,
                    Value partTo) {
  if (!isAhead())
    images = buffer(matrices * imageStep, factorType());
  sums = buffer(matrices * sumStep, elements.sumType());
  if (ofBytes)
    offsets = buffer(width, elements.sumType());
  Value count = e.sub(tileTo, tileFrom), zero = e.index(0);
  unsigned frame = c.spatial[0].image;
  frameAt = c.hasFrames() ? windowStart(0, point[frame]) : zero;
  Value firstFrameAt = frameAt;
  if (channels == steps && !isAhead())
    transformInput(tileFrom, count, zero);
  e.loop(partFrom, partTo, 1, [&](Value part) {
    column0 = e.mul(part, width);
    if (ofBytes)
      sumWeights();
    if (c.hasFrames()) {
      auto [tapFrom, tapTo] = insideOf(0, point[frame]);
      e.loop(tapFrom, tapTo, 1, [&, tapFrom = tapFrom](Value tap) {
        frameAt =
            e.add(firstFrameAt, inputStep(0) ? e.mul(tap, inputStep(0)) : zero);
        sumFrame(tileFrom, count, tap, tapFrom);
      });
    } else {
      sumFrame(tileFrom, count, zero, zero);
    }
    transformSums(tileFrom, count);
  });
}

/// Adds up the products with one tap's frame, the first of which is that of
/// `tapFrom`.
void Winograd::sumFrame(Value tileFrom, Value count, Value tap, Value tapFrom) {
  auto equal = [&](Value a, Value b) {
    return e.builder.createOrFold<arith::CmpIOp>(
        e.loc, arith::CmpIPredicate::eq, a, b);
  };
  Value start = e.mul(tap, sizes[*c.channel]);
  e.loop(e.index(0), sizes[*c.channel], channels, [&](Value channelFrom) {
    if (channels != steps)
      transformInput(tileFrom, count, channelFrom);
    Value isFirst = e.builder.createOrFold<arith::AndIOp>(
        e.loc, equal(tap, tapFrom), equal(channelFrom, e.index(0)));
    multiply(count, channelFrom, e.add(start, channelFrom), isFirst);
  });
}

/// Sets `point` to the first element of the result under a tile.
void Winograd::moveTo(Value tile) {
  point[c.plane()[0].image] =
      e.mul(e.floorDiv(tile, tileColumns), form.outputs);
  point[c.plane()[1].image] =
      e.mul(e.remainder(tile, tileColumns), form.outputs);
}

/// All of the input, for every block of tiles what a task would have.
void Winograd::transformAhead(Value all, Value blocks) {
  Value batch = sizeOf(c.batch);
  auto type = MemRefType::get(ShapedType::kDynamic, factorType());
  images = memref::AllocOp::create(
      e.builder, e.loc, type, e.mul(e.mul(batch, blocks), matrices * imageStep),
      e.builder.getI64IntegerAttr(64));
  e.share(e.mul(batch, all), e.index(kTilesAhead), [&](Value from, Value to) {
    e.loop(from, to, 1, [&](Value index) {
      Value tile = e.remainder(index, all), image = e.floorDiv(index, all);
      if (c.batch)
        point[*c.batch] = image;
      Value block =
          e.add(e.mul(image, blocks), e.floorDiv(tile, e.index(tiles)));
      transformTile(tile,
                    e.add(e.mul(block, matrices * imageStep),
                          e.mul(e.remainder(tile, e.index(tiles)), rowLength)),
                    e.index(0));
    });
  });
}

/// The elements under each tile, of the channels of one block.
void Winograd::transformInput(Value tileFrom, Value count, Value channelFrom) {
  e.loop(e.index(0), count, 1, [&](Value tile) {
    transformTile(e.add(tileFrom, tile), e.mul(tile, rowLength), channelFrom);
  });
}

/// Those under one, to the place `imageAt` of each matrix.
void Winograd::transformTile(Value tile, Value imageAt, Value channelFrom) {
  Value zero = e.index(0), outside = filler();
  bool masked = c.size(c.channel) % chunk != 0;
  auto isTrue = [&](Value a, Value b) -> Value {
    return e.builder.createOrFold<arith::AndIOp>(e.loc, a, b);
  };
  moveTo(tile);
  Value start[2], inside;
  SmallVector<Value> at[2], exists[2]; // positions along both dims
  for (unsigned k : {0, 1}) {
    start[k] =
        e.sub(e.mul(point[c.plane()[k].image], form.stride), low[plane + k]);
    for (int64_t offset : llvm::seq(size)) {
      Value position = e.add(start[k], offset);
      Value ok = isTrue(e.less(e.index(-1), position),
                        e.less(position, inputSizes[plane + k]));
      exists[k].push_back(ok);
      inside = inside ? isTrue(inside, ok) : ok;
      at[k].push_back(position);
    }
  }
  SmallVector<Value> image(point.size());
  if (c.batch)
    image[*c.batch] = point[*c.batch];
  Value base = e.add(e.add(input.at(e, image), frameAt), channelFrom);
  auto step = [&](unsigned k) {
    return inputStep(plane + k) ? inputStep(plane + k) : zero;
  };
  Value first =
      e.add(base, e.add(e.mul(step(0), start[0]), e.mul(step(1), start[1])));
  auto transform = [&](bool whole) {
    SmallVector<Value> positions, present;
    for (int64_t row : llvm::seq(size))
      for (int64_t column : llvm::seq(size)) {
        auto offset = [&](unsigned k, int64_t number) {
          Value position = e.index(number);
          if (!whole) {
            Value last = e.sub(inputSizes[plane + k], e.index(1));
            position = e.min(e.max(at[k][number], zero), last);
          }
          return e.mul(step(k), position);
        };
        positions.push_back(e.add(whole ? first : base,
                                  e.add(offset(0, row), offset(1, column))));
        present.push_back(whole ? Value()
                                : isTrue(exists[0][row], exists[1][column]));
      }
    Value end = e.min(e.index(channels), e.sub(sizes[*c.channel], channelFrom));
    e.loop(zero, end, chunk, [&](Value channel) {
      Columns columns{chunk, {}};
      if (masked)
        columns.mask =
            e.lanesBelow(e.sub(sizes[*c.channel], e.add(channelFrom, channel)),
                         columns.lanes);
      SmallVector<Value> elements;
      for (auto [position, there] : llvm::zip(positions, present)) {
        Value element = readColumns(e, input.flat, e.add(position, channel),
                                    e.index(1), columns);
        if (ofBytes)
          element =
              arith::ExtUIOp::create(e.builder, e.loc, numbersType(), element);
        if (ofPairs)
          element =
              arith::ExtFOp::create(e.builder, e.loc, numbersType(), element);
        elements.push_back(there
                               ? Value(arith::SelectOp::create(
                                     e.builder, e.loc, there, element, outside))
                               : element);
      }
      elements = onBothSides(elements, size, [&](ArrayRef<Value> d) {
        return ofBytes ? winograd::transformBytes(e, d)
                       : multiplySmall(e, form.input, d);
      });
      if (ofBytes)
        elements[winograd::kMeanMatrix] =
            winograd::withoutMean(e, elements[winograd::kMeanMatrix]);
      Value to = e.add(imageAt, channel);
      for (auto [number, element] : llvm::enumerate(elements)) {
        if (ofPairs)
          element = arith::TruncFOp::create(
              e.builder, e.loc, numbersType().clone(factorType()), element);
        vector::StoreOp::create(e.builder, e.loc, element, images,
                                e.add(to, number * imageStep));
      }
    });
  };
  e.branch(inside, [&] { transform(true); }, [&] { transform(false); });
}

/// What is outside of the input.
Value Winograd::filler() {
  if (!ofBytes)
    return e.real(0, numbersType());
  return arith::ConstantOp::create(
      e.builder, e.loc,
      DenseElementsAttr::get(numbersType(),
                             e.builder.getI16IntegerAttr(c.filler)));
}

/// Where the weights of a matrix of the part begin.
Value Winograd::weightsAt(Value matrix, Value stepFrom) {
  Value panel = e.mul(e.floorDiv(column0, e.index(pack)), matrices);
  return e.add(e.mul(e.add(e.mul(e.add(panel, matrix), steps), stepFrom), pack),
               e.mul(e.remainder(column0, e.index(pack)), pair));
}

/// The offsets of the part's filters.
void Winograd::sumWeights() {
  Value ones = arith::ConstantOp::create(
      e.builder, e.loc,
      DenseElementsAttr::get(factorsType(), e.builder.getI16IntegerAttr(1)));
  SmallVector<Value> state(plan.vectors, e.zero(vectorType()));
  Value at = weightsAt(e.index(winograd::kMeanMatrix), e.index(0));
  state = e.loop(
      e.index(0), e.index(c.size(c.channel) / pair), 1, state,
      [&](Value k, ValueRange now) {
        SmallVector<Value> next;
        for (auto [vector, sum] : llvm::enumerate(now)) {
          Value weight = vector::LoadOp::create(
              e.builder, e.loc, factorsType(), weights,
              e.add(e.add(at, e.mul(k, pack * pair)), vector * lanes * pair));
          next.push_back(
              winograd::multiplyPairs(e, site.target, ones, weight, sum));
        }
        return next;
      });
  for (auto [vector, sum] : llvm::enumerate(state))
    vector::StoreOp::create(e.builder, e.loc, winograd::offsetOf(e, sum),
                            offsets, e.index(vector * lanes));
}

/// What all lanes multiply with: an element of the transformed input, or a
/// pair.
Value Winograd::imageElement(Value position) {
  if (ofPairs)
    return elements.row(e, images, position, e.index(1), /*count=*/{});
  if (!ofBytes)
    return e.broadcast(
        memref::LoadOp::create(e.builder, e.loc, images, position), lanes);
  Type number = e.builder.getI32Type();
  Value both = vector::LoadOp::create(
      e.builder, e.loc, VectorType::get(pair, factorType()), images, position);
  both = vector::BitCastOp::create(e.builder, e.loc, VectorType::get(1, number),
                                   both);
  both =
      vector::ExtractOp::create(e.builder, e.loc, both, ArrayRef<int64_t>{0});
  return vector::BitCastOp::create(e.builder, e.loc, factorsType(),
                                   e.broadcast(both, lanes));
}

/// The products of all matrices for one block of channels, whose first step of
/// the sum is `stepFrom`; there are rows for full register tiles, of which the
/// last ones may be nobody's.
void Winograd::multiply(Value count, Value channelFrom, Value stepFrom,
                        Value isFirst) {
  int64_t rows = plan.pixels, vectors = plan.vectors;
  Value zero = e.index(0);
  e.loop(zero, e.index(matrices), 1, [&](Value matrix) {
    Value weightsFrom = weightsAt(matrix, stepFrom);
    e.loop(zero, count, rows, [&](Value row) {
      Value imagesAt = e.add(imagesFrom, e.add(e.mul(matrix, imageStep),
                                               e.mul(row, rowLength))),
            sumsAt = e.add(e.mul(matrix, sumStep), e.mul(row, width));
      SmallVector<Value> state;
      for (int64_t sum : llvm::seq(rows * vectors)) {
        Value start = e.zero(vectorType());
        if (channels != steps) {
          Value before = vector::LoadOp::create(
              e.builder, e.loc, vectorType(), sums, e.add(sumsAt, sum * lanes));
          start =
              arith::SelectOp::create(e.builder, e.loc, isFirst, start, before);
        }
        state.push_back(start);
      }
      // Pairs are multiplied faster than memory gives their weights: each row
      // of tiles asks for a share of the next matrix.
      int64_t lines =
          pair > 1 && winograd::transformedBytes(c, form.outputs) > kCacheBytes
              ? llvm::divideCeil(vectors * rows, tiles)
              : 0;
      Value ahead =
          e.add(e.add(weightsFrom, steps * pack),
                e.mul(e.floorDiv(row, e.index(rows)), lines * lanes * pair));
      auto step = [&](Value k, SmallVector<Value> &state) {
        for (int64_t line : llvm::seq(lines))
          memref::PrefetchOp::create(
              e.builder, e.loc, weights,
              e.add(e.add(ahead, e.mul(k, pack * pair)), line * lanes * pair),
              /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
        SmallVector<Value> loaded;
        for (int64_t vector : llvm::seq(vectors)) {
          Value at = e.add(e.add(weightsFrom, e.mul(k, pack * pair)),
                           vector * lanes * pair);
          loaded.push_back(
              ofPairs ? elements.columns(e, weights, at, /*mask=*/{})
                      : vector::LoadOp::create(e.builder, e.loc, factorsType(),
                                               weights, at));
        }
        for (int64_t part : llvm::seq(ofPairs ? elements.parts : 1)) {
          SmallVector<Value> right;
          for (Value vector : loaded)
            right.push_back(ofPairs ? elements.part(e, vector, part,
                                                    /*ofRow=*/false)
                                    : vector);
          for (int64_t r : llvm::seq(rows)) {
            Value element = imageElement(
                e.add(e.add(imagesAt, e.mul(k, pair)), r * rowLength));
            if (ofPairs)
              element = elements.part(e, element, part, /*ofRow=*/true);
            for (int64_t vector : llvm::seq(vectors)) {
              Value &sum = state[r * vectors + vector];
              sum = ofBytes ? winograd::multiplyPairs(e, site.target, element,
                                                      right[vector], sum)
                            : elements.multiply(e, element, right[vector], sum);
            }
          }
        }
      };
      Value last = e.floorDiv(
          e.min(e.index(channels), e.sub(sizes[*c.channel], channelFrom)),
          e.index(pair));
      Value even = e.sub(last, e.remainder(last, e.index(2)));
      for (auto [from, to, atOnce] :
           {std::tuple(zero, even, 2), std::tuple(even, last, 1)})
        state = e.loop(from, to, atOnce, state,
                       [&, atOnce = atOnce](Value k, ValueRange now) {
                         SmallVector<Value> next = llvm::to_vector(now);
                         for (int64_t u : llvm::seq(atOnce))
                           step(e.add(k, u), next);
                         return next;
                       });
      for (auto [number, sum] : llvm::enumerate(state))
        vector::StoreOp::create(e.builder, e.loc, sum, sums,
                                e.add(sumsAt, number * lanes));
    });
  });
}

/// The elements of the result in each tile, and their epilogue.
void Winograd::transformSums(Value tileFrom, Value count) {
  auto vectorsOf = [&](Value tile, bool masked) {
    e.loop(e.index(0), e.index(width), lanes, [&](Value lane) {
      Value filter = e.add(column0, lane),
            mask = masked ? laneMask(filter) : Value();
      Value at = e.add(e.mul(tile, width), lane);
      SmallVector<Value> products;
      for (int64_t matrix : llvm::seq(matrices))
        products.push_back(vector::LoadOp::create(
            e.builder, e.loc, vectorType(), sums, e.add(at, matrix * sumStep)));
      int64_t outputs = form.outputs;
      SmallVector<Value> results =
          onBothSides(products, size, [&](ArrayRef<Value> m) {
            return ofBytes ? winograd::transformByteSums(e, m)
                           : multiplySmall(e, form.output, m);
          });
      if (ofBytes) {
        Value offset = vector::LoadOp::create(e.builder, e.loc, vectorType(),
                                              offsets, lane);
        for (Value &result : results)
          result = winograd::divideSum(e, result, offset);
      }
      Value row = point[c.plane()[0].image], column = point[c.plane()[1].image];
      for (int64_t number : llvm::seq(outputs * outputs)) {
        Value y = e.add(row, number / outputs),
              x = e.add(column, number % outputs);
        // Images may end within a tile.
        auto exists = [&](unsigned k, Value position, int64_t number,
                          llvm::function_ref<void()> then) {
          auto extent = known(sizes[c.plane()[k].image]);
          if (number == 0 || (extent && *extent % outputs == 0))
            return then();
          e.branch(e.less(position, sizes[c.plane()[k].image]), then);
        };
        exists(0, y, number / outputs, [&] {
          exists(1, x, number % outputs, [&] {
            point[c.plane()[0].image] = y;
            point[c.plane()[1].image] = x;
            finish(results[number], filter, mask);
          });
        });
      }
      point[c.plane()[0].image] = row;
      point[c.plane()[1].image] = column;
    });
  };
  e.loop(e.index(0), count, 1, [&](Value tile) {
    moveTo(e.add(tileFrom, tile));
    forPart(column0, [&](bool masked) { vectorsOf(tile, masked); });
  });
}

LogicalResult winograd::build(KernelSite &site) {
  ScheduleAttr schedule = site.kernel.getScheduleAttr();
  if (!schedule)
    schedule = winogradBuilder.schedule(site.kernel, site.target);
  Convolution c = *matchConvolution(site.kernel);
  // Pairs are multiplied in the vectors of x86.
  if (c.isOfBytes() &&
      (site.target.vectorBytes < 32 ||
       (schedule.getLanes() != 8 && schedule.getLanes() != 16)))
    return failure();
  ::Winograd(site, c, schedule).build();
  return success();
}
