// Matrix products. b is read in panels of `vectors * lanes` columns, one
// reduction step after the other: packed so when compiling (weights), into a
// panel on the stack (other matrices), or in place when no second tile of rows
// would use the panel again. Panels of weights that were packed for a target
// with wider vectors hold several tiles of this one. A tile of `rows` times
// `vectors` accumulators stays in registers during the whole reduction and then
// goes through a small buffer to the epilogue, which is emitted once, whatever
// the number of rows. Long reductions are cut into blocks; the buffer then
// keeps the partial sums of all rows of the task. Where products of bytes or of
// bfloat16 are one instruction, an epilogue that also reads rows, or one of
// functions, takes as long as a short reduction: it is computed beside the next
// tile's, mostly on units that multiply nothing.
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/kernel/builders/AmxProduct.h"
#include "passes/kernel/builders/Strassen.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kLongestReduction =
    1536; // steps whose panel leaves room for `a` in the second-level cache
constexpr int64_t kPanelBytes = 32 << 10; // of a panel on the stack
constexpr int64_t kWeightRows = 132; // that one task computes with a panel of
                                     // weights
constexpr int64_t kPackedRows = 256; // the same for a panel that it packs first
constexpr int64_t kTasks = 16;       // are enough
constexpr int64_t kStreamAhead = 32 << 10; // bytes; see streamOf
} // namespace

void Gemm::access() {
  Value buffer = site.operand(product.packed ? product.packed.getSource()
                                             : product.bOperand.value);
  accessOperands(buffer);
  elements.stored = cast<MemRefType>(buffer.getType()).getElementType();
  if (product.packed) {
    SmallVector<int> panels = loopsOfPanels();
    if (depth > 1)
      panels.push_back(-1);
    b = accessOf(e, buffer, panels, sizes.size() + 1);
  } else {
    b = accessOf(e, buffer, loopsOf(product.bOperand), sizes.size());
  }
  accessEpilogue();
}

void Gemm::build() {
  layout = product.packed ? Layout::Packed : Layout::OnStack;
  if (!product.packed && known(sizes[row()]) && *known(sizes[row()]) <= rows &&
      known(b.steps[column()] ? b.steps[column()] : e.index(1)) == 1 &&
      depth == 1)
    layout = Layout::InPlace;
  auto steps = known(sizes[reduction()]);
  int64_t longest =
      layout == Layout::OnStack
          ? llvm::alignDown(kPanelBytes * depth / (4 * width), depth)
          : kLongestReduction * depth;
  if (!steps || *steps > longest)
    blockSteps = longest;
  if (steps && blockSteps) { // equal blocks
    int64_t blocks = llvm::divideCeil(*steps, longest);
    blockSteps = llvm::alignTo(llvm::divideCeil(*steps, blocks), lanes);
  }
  if (layout == Layout::InPlace)
    blockSteps = 0;

  // All rows of a panel follow each other: it is still in the cache then.
  forTasks(kRowsOfStream, [&](Value outer, Value rowFrom, Value rowTo,
                              Value panelFrom, Value panelTo) {
    task(outer, rowFrom, rowTo, panelFrom, panelTo);
  });
}

void Gemm::task(Value outer, Value rowFrom, Value rowTo, Value panelFrom,
                Value panelTo) {
  choosePoint(outer);
  if (product.gather)
    picked = pickRow(e, site, *product.gather, point[gatherLoop()]);
  sums = onStack((blockSteps ? taskRows : rows) * width, elements.sumType());
  if (layout == Layout::OnStack)
    panel = onStack((blockSteps
                         ? blockSteps
                         : llvm::alignTo(*known(sizes[reduction()]), depth)) *
                        width,
                    elements.element);
  e.loop(panelFrom, panelTo, 1,
         [&](Value panelIndex) { panelTask(panelIndex, rowFrom, rowTo); });
}

void Gemm::panelTask(Value panelIndex, Value rowFrom, Value rowTo) {
  auto block = [&](Value from, Value to) {
    if (layout == Layout::OnStack)
      pack(panelIndex, from, to);
    rowTiles(panelIndex, rowFrom, rowTo, from, to);
  };
  Value steps = sizes[reduction()], zero = e.index(0);
  if (!blockSteps)
    return block(zero, steps);
  // A sum of nothing is one empty block.
  e.loop(zero, e.max(steps, e.index(1)), blockSteps, [&](Value from) {
    block(from, e.min(e.add(from, blockSteps), steps));
  });
}

void Gemm::rowTiles(Value panelIndex, Value rowFrom, Value rowTo, Value from,
                    Value to) {
  Value count = e.sub(rowTo, rowFrom), rest = e.remainder(count, e.index(rows)),
        full = e.sub(rowTo, rest);
  auto allRows = known(sizes[row()]);
  if (!allRows || *allRows >= rows) {
    e.loop(rowFrom, full, rows,
           [&](Value row) { tile(panelIndex, rowFrom, row, rows, from, to); });
    if (finishesLater(rows))
      e.branch(e.less(rowFrom, full), [&] {
        finish(panelIndex, e.index(0), e.sub(full, e.index(rows)),
               e.index(rows));
      });
  }
  if (allRows) { // taskRows is a multiple of rows
    if (int64_t left = *allRows % rows)
      e.branch(e.less(full, rowTo),
               [&] { tile(panelIndex, rowFrom, full, left, from, to); });
    return;
  }
  if (rows == 1)
    return;
  e.choose(rest, 1, rows, [&](int64_t left) {
    tile(panelIndex, rowFrom, full, left, from, to);
  });
}

/// One vector of b's row `step`.
Value Gemm::vectorOfB(Value base, Value step, Value column0, int64_t vector) {
  Value from = layout == Layout::OnStack ? panel : b.flat;
  Value stride =
      layout == Layout::OnStack ? e.index(width) : b.steps[reduction()];
  if (layout == Layout::Packed && stride) // of `depth` steps
    stride = e.floorDiv(stride, e.index(depth));
  Value position = e.add(base, vector * lanes * depth);
  if (stride)
    position = e.add(position, e.mul(stride, step));
  bool masked = layout == Layout::InPlace && !wholePanels();
  return elementsOf(vector).columns(
      e, from, position, masked ? columnMask(column0, vector) : Value());
}

/// What a tile fetches for later while it computes: the first few tiles of a
/// task bring the block of weights that follows theirs closer, a piece each.
/// The first tile of a block would have to wait for memory otherwise, which
/// gives less than a row of vectors in the time that a tile takes for it.
Gemm::Prefetch Gemm::prefetchOf(Value rowFrom, Value row, Value bBase,
                                Value from, Value to) {
  constexpr int64_t kTiles = 8; // share the fetching
  auto allRows = known(sizes[this->row()]);
  int64_t tiles =
      allRows ? std::min<int64_t>(llvm::divideCeil(*allRows, rows), kTiles)
              : kTiles;
  if (layout != Layout::Packed || packWidth() != width || tiles < 2)
    return {};
  int64_t lines =
      llvm::divideCeil(unroll * width * depth, tiles * lineElements());
  Value groups = e.ceilDiv(e.sub(to, from), e.index(unroll * depth)),
        tile = e.floorDiv(e.sub(row, rowFrom), e.index(rows)),
        next = e.add(bBase, e.mul(to, width)),
        last = e.add(next, e.mul(e.sub(to, from), width));
  Value isOurs = e.less(tile, e.index(tiles)),
        exists = e.less(last, e.add(e.dim(b.flat, 0), 1));
  // Otherwise it asks for what it has.
  Value start = e.add(next, e.mul(e.mul(tile, groups), lines * lineElements()));
  return {arith::SelectOp::create(
              e.builder, e.loc,
              arith::AndIOp::create(e.builder, e.loc, isOurs, exists), start,
              e.add(bBase, e.mul(from, width))),
          lines, lines * lineElements()};
}

/// What a tile of few rows fetches for later: b is a stream from memory then.
/// The processor reads ahead of it by itself, but not over the end of a page
/// (of 4 KiB, also in huge ones), unless it has seen a line of the next one.
Gemm::Prefetch Gemm::streamOf(Value bBase, Value from) {
  if (layout != Layout::Packed)
    return {};
  return {e.add(e.add(bBase, e.mul(from, packWidth())),
                kStreamAhead / elements.storedBytes()),
          /*lines=*/1, unroll * packWidth() * depth, /*hint=*/2};
}

void Gemm::prefetch(const Prefetch &what, Value from, Value step) {
  if (!what.start)
    return;
  Value moved = e.add(
      what.start, e.mul(e.floorDiv(e.sub(step, from), e.index(unroll * depth)),
                        what.distance));
  for (int64_t line : llvm::seq(what.lines))
    memref::PrefetchOp::create(e.builder, e.loc, b.flat,
                               e.add(moved, line * lineElements()),
                               /*isWrite=*/false, what.hint,
                               /*isDataCache=*/true);
}

/// Asks for what the epilogue of a row reads and writes while its tile is
/// computed: otherwise it would wait for it line by line, and the next tile
/// with it. Not of a panel whose last columns do not exist.
void Gemm::prefetchEpilogue(Value panelIndex, Value row) {
  point[this->row()] = row, point[column()] = e.mul(panelIndex, width);
  Value end = e.mul(e.add(panelIndex, 1), width);
  e.branch(e.less(end, e.add(sizes[column()], 1)), [&] {
    prefetchEpilogueOf(e, out, epilogueInputs, point, this->row(), column(),
                       width);
  });
  point[this->row()] = point[column()] = {};
}

/// `count` rows from `row` on: products of the steps [from, to) into the buffer
/// of sums, and the epilogue after the last ones.
void Gemm::tile(Value panelIndex, Value rowFrom, Value row, int64_t count,
                Value from, Value to) {
  Value column0 = e.mul(panelIndex, width),
        sumsFrom = blockSteps ? e.sub(row, rowFrom) : e.index(0);
  SmallVector<Value> aRows = positionsInA(row, count);
  // The next tile's rows come closer meanwhile, as long as they are steps that
  // lie together, and what the epilogue reads and writes.
  SmallVector<Value> nextRows;
  if (takesNextRows(count) && computesForLong())
    for (int64_t r : llvm::seq(count))
      nextRows.push_back(positionInA(
          e.min(e.add(row, count + r), e.sub(sizes[this->row()], e.index(1)))));
  Value bBase;
  if (layout == Layout::OnStack) {
    bBase = e.sub(e.index(0), e.mul(from, width));
  } else {
    point[column()] = layout == Layout::InPlace ? column0 : Value();
    Value tiles = e.index(packWidth() / width); // of one packed panel
    if (layout == Layout::Packed)
      point.back() = e.floorDiv(panelIndex, tiles);
    bBase = positionInB();
    if (layout == Layout::Packed)
      bBase =
          e.add(bBase, e.mul(e.remainder(panelIndex, tiles), width * depth));
    point[column()] = point.back() = {};
  }

  // Few rows have few accumulators: several sets of them hide the latency of
  // the additions.
  int64_t tileSums = count * vectors,
          sets = std::clamp<int64_t>(8 / tileSums, 1, unroll);
  Value zero = e.zero(vectorType()),
        firstBlock =
            blockSteps ? e.builder.createOrFold<arith::CmpIOp>(
                             e.loc, arith::CmpIPredicate::eq, from, e.index(0))
                       : Value();
  SmallVector<Value> state;
  auto sumAt = [&](int64_t sum) {
    return e.add(e.mul(sumsFrom, width), sum * lanes);
  };
  for (int64_t sum : llvm::seq(tileSums * sets)) {
    bool continued = blockSteps && sum < tileSums;
    int64_t ofSum = lanesOf(sum % vectors);
    state.push_back(ofSum == lanes
                        ? zero
                        : e.zero(VectorType::get(ofSum, elements.sumType())));
    if (continued) {
      Value before = vector::LoadOp::create(e.builder, e.loc, vectorType(),
                                            sums, sumAt(sum));
      state.back() =
          arith::SelectOp::create(e.builder, e.loc, firstBlock, zero, before);
    }
  }
  if (finishesAtOnce())
    beginSums(column0, count, state);
  Value aStride = a.steps[reduction()];
  auto step = [&](Value k, MutableArrayRef<Value> state, Value left = {}) {
    SmallVector<Value> bVectors;
    for (int64_t vector : llvm::seq(vectors))
      bVectors.push_back(vectorOfB(bBase, k, column0, vector));
    for (int64_t part : llvm::seq(elements.parts)) {
      SmallVector<Value> right;
      for (auto [number, vector] : llvm::enumerate(bVectors))
        right.push_back(
            elementsOf(number).part(e, vector, part, /*ofRow=*/false));
      for (int64_t r : llvm::seq(count)) {
        Value position =
            aStride ? e.add(aRows[r], e.mul(aStride, k)) : aRows[r];
        Value factor;
        for (int64_t vector : llvm::seq(vectors)) {
          Multiplication elements = elementsOf(vector);
          if (!factor || elements.lanes != lanes)
            factor = elements.part(
                e, elements.row(e, a.flat, position, aStride, left), part,
                /*ofRow=*/true);
          Value &sum = state[r * vectors + vector];
          sum = elements.multiply(e, factor, right[vector], sum);
        }
      }
    }
  };
  Value wholeTo = hasPartialStep()
                      ? e.sub(to, e.remainder(e.sub(to, from), e.index(depth)))
                      : to;
  Value unrolledTo =
      e.sub(to, e.remainder(e.sub(to, from), e.index(unroll * depth)));
  Prefetch ahead = count < kRowsOfStream
                       ? streamOf(bBase, from)
                       : prefetchOf(rowFrom, row, bBase, from, to);
  Value start = from;
  auto run = [&](Value from, Value to, ValueRange state) {
    return e.loop(
        from, to, unroll * depth, state, [&](Value k, ValueRange carried) {
          SmallVector<Value> next = llvm::to_vector(carried);
          prefetch(ahead, start, k);
          for (Value nextRow : nextRows)
            memref::PrefetchOp::create(
                e.builder, e.loc, a.flat, e.add(nextRow, k),
                /*isWrite=*/false, /*localityHint=*/3, /*isDataCache=*/true);
          for (int64_t u : llvm::seq(unroll)) {
            if (count < kRowsOfStream && depth > 1)
              e.inOrder();
            step(e.add(k, u * depth),
                 MutableArrayRef(next).slice(u % sets * tileSums, tileSums));
          }
          return next;
        });
  };
  if (nextRows.empty()) {
    state = run(from, unrolledTo, state);
  } else { // a part for each row of the epilogue
    Value part = e.mul(
        e.ceilDiv(e.sub(unrolledTo, from), e.index(count * unroll * depth)),
        unroll * depth);
    state = e.loop(
        e.index(0), e.index(count), 1, state, [&](Value r, ValueRange carried) {
          prefetchEpilogue(panelIndex, e.add(row, r));
          Value begin = e.add(from, e.mul(part, r));
          SmallVector<Value> next =
              run(begin, e.min(e.add(begin, part), unrolledTo), carried);
          if (finishesLater(count))
            e.branch(e.less(rowFrom, row), [&] {
              finish(panelIndex, r, e.sub(e.add(row, r), e.index(count)),
                     e.index(1));
            });
          return next;
        });
  }
  for (int64_t set : llvm::seq<int64_t>(1, sets))
    for (int64_t sum : llvm::seq(tileSums))
      state[sum] = elements.add(e, state[sum], state[set * tileSums + sum]);
  state.resize(tileSums);
  auto rest = [&](Value from, Value to, Value left) {
    state = e.loop(from, to, depth, state, [&](Value k, ValueRange carried) {
      SmallVector<Value> next = llvm::to_vector(carried);
      step(k, next, left);
      return next;
    });
  };
  rest(unrolledTo, wholeTo, /*left=*/{});
  if (hasPartialStep())
    rest(wholeTo, to, e.sub(to, wholeTo));
  if (finishesAtOnce())
    return finishSums(column0, row, count, state);
  for (int64_t sum : llvm::seq(tileSums))
    vector::StoreOp::create(e.builder, e.loc, state[sum], sums, sumAt(sum));

  if (finishesLater(count))
    return;
  Value more = blockSteps ? e.less(to, sizes[reduction()]) : Value();
  if (!more)
    return finish(panelIndex, sumsFrom, row, e.index(count));
  Value last = arith::XOrIOp::create(
      e.builder, e.loc, more,
      arith::ConstantIntOp::create(e.builder, e.loc, 1, 1));
  e.branch(last, [&] { finish(panelIndex, sumsFrom, row, e.index(count)); });
}

static bool acceptsGemm(KernelOp kernel) {
  std::optional<Product> product = matchProduct(kernel);
  return product && !product->blocks;
}

static LogicalResult buildGemm(KernelSite &site) {
  std::optional<Product> product = matchProduct(site.kernel);
  ScheduleAttr schedule = site.kernel.getScheduleAttr();
  if (!schedule)
    schedule = gemmBuilder.schedule(site.kernel, site.target);
  Gemm gemm{{site, *product, schedule}};
  if (schedule.getPack() % gemm.lanes != 0)
    gemm.width = schedule.getPack(); // the last vector is half a one
  gemm.access();
  gemm.build();
  return success();
}

/// Whether b is a weight, which can be packed when compiling.
static bool isWeight(KernelOp kernel, const Product &product) {
  auto argument = dyn_cast<BlockArgument>(product.bOperand.value);
  if (!argument || argument.getArgNumber() >= kernel.getInputs().size())
    return false;
  return kernel.getInputs()[argument.getArgNumber()]
             .getDefiningOp<arith::ConstantOp>() != nullptr;
}

ScheduleAttr fulgur::schedulePlainProduct(KernelOp kernel,
                                          const Target &target) {
  Product product = *matchProduct(kernel);
  auto rowCount = product.size(product.row()),
       columnCount = product.size(product.column());
  int64_t lanes = target.lanes();
  bool manyRegisters = target.vectorRegisters >= 32;
  // All accumulators, one row of b and a broadcast element of a must fit in the
  // registers.
  int64_t rows = 6, vectors = manyRegisters ? 4 : 2;
  if (rowCount && *rowCount < rows) {
    rows = std::max<int64_t>(*rowCount, 1);
    vectors = rows <= 2 ? 4 : manyRegisters ? 6 : 2;
  } else if (manyRegisters && columnCount &&
             llvm::alignTo(*columnCount, 3 * lanes) <
                 llvm::alignTo(*columnCount, 4 * lanes)) {
    rows = 8, vectors = 3;
  }
  bool weight = product.packed || isWeight(kernel, product);
  auto stepCount = product.size(product.reduction());
  bool isShort = product.elementType().isBF16() && target.bf16 && stepCount &&
                 *stepCount <= 2 * kLongestReduction && columnCount &&
                 !product.epilogueHasFunction();
  int64_t width = 0;
  if (product.packed) {
    // As packed for this target, or for one with wider vectors.
    int64_t packed = product.packed.getStaticInnerTiles()[0];
    if (isShort && isTileWidth(packed, lanes)) {
      width = packed;
      rows = rowsOfTile(width, lanes);
      if (rowCount)
        rows = std::clamp<int64_t>(*rowCount, 1, rows);
    } else if (packed % lanes != 0) {
      lanes /= 2;
    }
    int64_t panel = packed / lanes;
    vectors = std::min(vectors, panel);
    while (panel % vectors != 0)
      --vectors;
    if (vectors == 1 && panel == 3)
      vectors = 3, rows = std::min<int64_t>(rows, 4);
  } else if (columnCount) {
    vectors = std::min(
        vectors, std::max<int64_t>(1, llvm::divideCeil(*columnCount, lanes)));
  }
  // The epilogue of one tile beside the sums of the next needs registers.
  if (product.depth() == 4 && target.vnni && product.epilogueReadsRows())
    for (int64_t fewer = rows; fewer >= Gemm::kRowsOfStream; --fewer)
      if (Gemm::leavesRegisters(target, fewer, vectors)) {
        rows = fewer;
        break;
      }
  if (!width)
    width = vectors * lanes;
  if (isShort && weight && !product.packed && !target.amx &&
      (!rowCount || *rowCount >= rows))
    std::tie(rows, width) = chooseTile(product, target, {rows, width});
  vectors = llvm::divideCeil(width, lanes);
  constexpr int64_t kUnrolled = 32; // steps of the shortest sums
  int64_t unroll = 4;
  if (isShort && *stepCount > 0 && *stepCount <= kUnrolled)
    unroll = llvm::divideCeil(*stepCount, product.depth());
  // Heads of a weight are outer loops.
  if (columnCount && product.elementType().isBF16())
    for (const Product::Loop &loop : ArrayRef(product.loops).drop_back(3))
      if (product.bOperand.has(loop[0]) && !product.aOperand.has(loop[0]) &&
          product.size(loop))
        *columnCount *= *product.size(loop);
  // Weights with few panels have less rows in a task, so that there are enough
  // tasks.
  int64_t taskRows = weight ? kWeightRows : kPackedRows;
  if (weight && columnCount)
    taskRows = std::clamp<int64_t>(
        kWeightRows * llvm::divideCeil(*columnCount, width) / 16, 48,
        kWeightRows);
  // Short sums for few columns are little work: more rows then.
  if (weight && columnCount && stepCount) {
    int64_t ofRow = 2 * std::max<int64_t>(*columnCount * *stepCount, 1),
            worthIt =
                llvm::divideCeil(ProductLoops::kTaskOperations / 2, ofRow);
    taskRows = std::max(
        taskRows, rowCount ? std::min(worthIt, *rowCount / kTasks) : worthIt);
  }
  taskRows = std::max(rows, taskRows / rows * rows);
  return ScheduleAttr::get(
      kernel.getContext(), gemmBuilder.kind, {rows, vectors}, lanes, unroll,
      product.packed ? product.packed.getStaticInnerTiles()[0]
      : weight       ? width
                     : 0,
      taskRows);
}

static ScheduleAttr scheduleGemm(KernelOp kernel, const Target &target) {
  ScheduleAttr plain = schedulePlainProduct(kernel, target), other;
  Product product = *matchProduct(kernel);
  if (target.amx)
    other = amxSchedule(kernel, product, plain);
  if (!other && target.strassen)
    other = strassenSchedule(kernel, product, target, plain);
  return other ? other : plain;
}

/// The plain product, or Strassen's where the plain one was chosen; with the
/// plain one, other tiles that fit the registers; with the chosen tile, other
/// steps of the reduction and other tasks.
static SmallVector<ScheduleAttr>
alternativesOfGemm(KernelOp kernel, const Target &target, ScheduleAttr chosen) {
  Product product = *matchProduct(kernel);
  auto rowCount = product.size(product.row()),
       columnCount = product.size(product.column());
  ScheduleAttr plain = schedulePlainProduct(kernel, target);
  SmallVector<ScheduleAttr> schedules;
  if (plain != chosen)
    schedules.push_back(plain);
  else if (ScheduleAttr other =
               strassenSchedule(kernel, product, target, plain))
    schedules.push_back(other);
  chosen = plain;
  int64_t lanes = chosen.getLanes(), grain = chosen.getGrain();
  auto add = [&](int64_t rows, int64_t vectors, int64_t unroll, int64_t grain) {
    schedules.push_back(ScheduleAttr::get(
        kernel.getContext(), chosen.getKind(), {rows, vectors}, lanes, unroll,
        chosen.getPack() ? vectors * lanes : 0,
        std::max(rows, grain / rows * rows)));
  };
  int64_t rows = chosen.getTile()[0], vectors = chosen.getTile()[1];
  for (int64_t unroll : {1, 2, 8})
    add(rows, vectors, unroll, grain);
  add(rows, vectors, chosen.getUnroll(), grain / 2);
  add(rows, vectors, chosen.getUnroll(), grain * 2);
  for (auto [otherRows, otherVectors] : {std::pair<int64_t, int64_t>{14, 2},
                                         {12, 2},
                                         {8, 3},
                                         {6, 4},
                                         {4, 6},
                                         {6, 2},
                                         {4, 3},
                                         {2, 4},
                                         {1, 8},
                                         {1, 4},
                                         {1, 2}})
    if (otherRows * otherVectors + otherVectors + 1 <= target.vectorRegisters &&
        (!rowCount || otherRows <= *rowCount) &&
        (!columnCount || (otherVectors - 1) * lanes < *columnCount) &&
        (!product.packed || otherVectors == vectors))
      add(otherRows, otherVectors, chosen.getUnroll(), grain);
  return schedules;
}

const KernelBuilder fulgur::gemmBuilder = {"gemm", acceptsGemm, scheduleGemm,
                                           buildGemm, alternativesOfGemm};
