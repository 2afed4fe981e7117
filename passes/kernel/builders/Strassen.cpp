// Large products with weights by one step of Strassen's algorithm (V. Strassen,
// "Gaussian Elimination is not Optimal", 1969): with all matrices cut into
// quadrants, seven products of sums of quadrants instead of eight products.
//
// No sum is ever a matrix in memory. Those of b's quadrants, and mostly those
// of a's, are formed in registers while a tile reads them, as in Huang et al.,
// "Strassen's Algorithm Reloaded" (SC 2016): additions for which CPUs with
// adders of their own have time. A task computes one block of rows of both
// halves with one panel of columns of both halves; the tile of a product is
// added to the quadrants of the result that it belongs to.
//
// The rounding errors are a small multiple of those of the plain product, but
// measured against the larger of two rows: row i of the upper half and row i of
// the lower one are added. A row that is much smaller than its partner, all
// zeros maybe, would be left with what is rounded there, and infinities and
// NaNs would spread: such rows are computed again, one by one. Columns are
// added as well; those of weights are known: see StrassenSchedule.cpp.
#include "passes/kernel/builders/Strassen.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::strassen;

namespace {
constexpr int64_t kTasks = 24;        // at least
constexpr int64_t kFetchingTiles = 8; // share the fetching

/// A quadrant of a matrix, 0 and 1 above 2 and 3, or a sum of two.
struct Term {
  int first, second = -1;
  bool minus = false; ///< the second one is subtracted
};
struct HalfProduct {
  Term a, b;
  int plus[2];    ///< quadrants of the result that it is added to; -1: none
  int minus = -1; ///< the one that it is subtracted from
};
constexpr HalfProduct products[] = {
    {{0, 3}, {0, 3}, {0, 3}},        {{2, 3}, {0}, {2, -1}, 3},
    {{0}, {1, 3, true}, {1, 3}},     {{3}, {2, 0, true}, {0, 2}},
    {{0, 1}, {3}, {1, -1}, 0},       {{2, 0, true}, {0, 1}, {3, -1}},
    {{1, 3, true}, {2, 3}, {0, -1}},
};
/// The first product that each quadrant of the result gets; it is added.
constexpr unsigned firstProduct[] = {0, 2, 1, 0};

struct Strassen : Gemm {
  Value halfRows{}, halfSteps{}, halfPanels{};
  // One task: a panel of the left half, and rows of the upper one.
  Value panelIndex{}, rowFrom{}, rowTo{};
  Value copies{};    ///< a sum of a's quadrants for these rows and one block of
                     ///< steps; null: there is no need for them
  int64_t pitch = 0; ///< of their rows
  // Blocks of steps belong to the first half and to the second one in turns.
  // One block of each:
  Value start{}, length{};
  // One product.
  const HalfProduct *now = nullptr;
  unsigned number = 0;

  void build();
  void task(Value outer);
  void block();
  void copyTerm();
  void tile(Value row, int64_t count);
  Prefetch nextBlock(Value row);
  void addTo(int quadrant, bool minus, Value row, ArrayRef<Value> products);
  void repairRows();
  Value sizeOfRow(int half, Value row);
  Value needsRepair(Value own, Value partner);
  void plainRow(int half, Value row);
  void finishQuadrants();

  Value quadrantOfA(int quadrant, Value row);
  Value quadrantOfB(int quadrant);
  bool rowsCollide();
  /// Whether the product's sum of a's quadrants is formed before it.
  bool isCopied() {
    const Term &term = now->a;
    return copies && term.second >= 0 && term.first % 2 == term.second % 2;
  }
  Value firstStep(bool ofSecondHalf) {
    return ofSecondHalf ? e.add(start, length) : start;
  }
  Value combine(const Term &term, Value first, Value second) {
    if (!second)
      return first;
    if (term.minus)
      return arith::SubFOp::create(e.builder, e.loc, first, second);
    return arith::AddFOp::create(e.builder, e.loc, first, second);
  }
  Value position(int quadrant, Value row, int64_t sum) {
    Value line = e.add(e.sub(row, rowFrom), quadrant * taskRows);
    return e.add(e.mul(line, width), sum * lanes);
  }
  Value sumAt(Value position) {
    return vector::LoadOp::create(e.builder, e.loc, vectorType(), sums,
                                  position);
  }
};
} // namespace

/// The position in a of a row of the upper half, or of its partner. In an odd
/// number of rows the last one has none: it stands in for it, and for rows that
/// only fill a tile.
Value Strassen::quadrantOfA(int quadrant, Value row) {
  if (quadrant >= 2)
    row = e.add(row, halfRows);
  if (quadrant >= 2 || !known(halfRows))
    row = e.min(row, e.sub(sizes[this->row()], e.index(1)));
  point[this->row()] = row;
  Value at = a.at(e, point);
  point[this->row()] = {};
  return e.add(at, e.mul(a.steps[reduction()], firstStep(quadrant % 2)));
}

Value Strassen::quadrantOfB(int quadrant) {
  point.back() = quadrant % 2 ? e.add(panelIndex, halfPanels) : panelIndex;
  Value at = positionInB();
  point.back() = {};
  return e.add(at, e.mul(firstStep(quadrant / 2), width));
}

/// Whether all rows of a compete for the same lines of a first-level cache, so
/// that it cannot hold those of both halves that a tile reads.
bool Strassen::rowsCollide() {
  constexpr int64_t kWayBytes = 4096;
  Value stride = a.steps[row()];
  return stride && known(stride) && *known(stride) * 4 % kWayBytes == 0 &&
         known(a.steps[reduction()]) == 1;
}

void Strassen::build() {
  layout = Layout::Packed;
  int64_t steps = *known(sizes[reduction()]) / 2;
  halfSteps = e.index(steps);
  halfRows = e.ceilDiv(sizes[row()], e.index(2));
  halfPanels =
      e.floorDiv(e.ceilDiv(sizes[column()], e.index(width)), e.index(2));
  blockSteps = stepsOfBlock(steps, lanes);
  pitch = blockSteps + lanes; // not a power of two either

  // Equal blocks of rows, whole tiles each, and enough of them for a few
  // threads.
  Value rowBlocks = e.max(e.ceilDiv(halfRows, e.index(taskRows)),
                          e.ceilDiv(e.index(kTasks), halfPanels)),
        blockRows = e.mul(
            e.ceilDiv(e.ceilDiv(halfRows, rowBlocks), e.index(rows)), rows);
  rowBlocks = e.ceilDiv(halfRows, blockRows);
  e.parallel(e.mul(e.mul(outerPoints(), rowBlocks), halfPanels),
             [&](Value index) {
               Value rest = e.floorDiv(index, rowBlocks);
               rowFrom = e.mul(e.remainder(index, rowBlocks), blockRows);
               rowTo = e.min(e.add(rowFrom, blockRows), halfRows);
               panelIndex = e.remainder(rest, halfPanels);
               task(e.floorDiv(rest, halfPanels));
             });
}

void Strassen::task(Value outer) {
  choosePoint(outer);
  sums = onStack(4 * taskRows * width, e.builder.getF32Type());
  if (rowsCollide())
    copies = onStack(taskRows * pitch, e.builder.getF32Type());
  e.loop(e.index(0), halfSteps, blockSteps, [&](Value from) {
    start = e.mul(from, 2);
    length = e.min(e.sub(halfSteps, from), e.index(blockSteps));
    if (*known(halfSteps) % blockSteps == 0)
      length = e.index(blockSteps);
    block();
  });
  repairRows();
  finishQuadrants();
}

void Strassen::block() {
  // Rows that are left over have tiles of their own, if they are known.
  Value full = rowTo;
  int64_t left = known(halfRows).value_or(0) % rows;
  if (left)
    full = e.sub(rowTo, e.remainder(e.sub(rowTo, rowFrom), e.index(rows)));
  for (number = 0; number < std::size(products); ++number) {
    now = &products[number];
    if (isCopied())
      copyTerm();
    e.loop(rowFrom, full, rows, [&](Value row) { tile(row, rows); });
    if (left)
      e.branch(e.less(full, rowTo), [&] { tile(full, left); });
  }
}

/// The sum of a's quadrants, one row after the other.
void Strassen::copyTerm() {
  e.loop(rowFrom, rowTo, 1, [&](Value row) {
    Value first = quadrantOfA(now->a.first, row),
          second = quadrantOfA(now->a.second, row),
          line = e.mul(e.sub(row, rowFrom), pitch);
    e.loop(e.index(0), length, lanes, [&](Value k) {
      bool whole = *known(halfSteps) % lanes == 0;
      Columns columns{lanes,
                      whole ? Value() : e.lanesBelow(e.sub(length, k), lanes)};
      auto read = [&](Value base) {
        return readColumns(e, a.flat, e.add(base, k), e.index(1), columns);
      };
      vector::StoreOp::create(e.builder, e.loc,
                              combine(now->a, read(first), read(second)),
                              copies, e.add(line, k));
    });
  });
}

/// The quadrants' next blocks come closer meanwhile, one with each of the first
/// four products. Behind the last ones are the first ones of the next panel.
Gemm::Prefetch Strassen::nextBlock(Value row) {
  if (number >= 4)
    return {};
  int64_t tiles = std::min(taskRows / rows, kFetchingTiles),
          lines = llvm::divideCeil(unroll * width, tiles * lineElements());
  Value base = quadrantOfB(number),
        next = e.add(base, e.mul(length, 2 * width)),
        end = e.add(next, blockSteps * width);
  Value tile = e.floorDiv(e.sub(row, rowFrom), e.index(rows)),
        isOurs = e.less(tile, e.index(tiles)),
        exists = e.less(end, e.add(e.dim(b.flat, 0), 1));
  Value share =
      e.mul(e.ceilDiv(length, e.index(unroll)), lines * lineElements());
  // Otherwise it asks for what it has.
  return {arith::SelectOp::create(
              e.builder, e.loc,
              arith::AndIOp::create(e.builder, e.loc, isOurs, exists),
              e.add(next, e.mul(tile, share)), base),
          lines};
}

/// The product of `count` rows from `row` on.
void Strassen::tile(Value row, int64_t count) {
  Value aFlat = isCopied() ? copies : a.flat,
        aStride = isCopied() ? e.index(1) : a.steps[reduction()];
  SmallVector<Value> first, second(count);
  for (int64_t r : llvm::seq(count)) {
    Value index = e.add(row, r);
    if (isCopied()) {
      first.push_back(e.mul(e.sub(index, rowFrom), pitch));
      continue;
    }
    first.push_back(quadrantOfA(now->a.first, index));
    if (now->a.second >= 0)
      second[r] = quadrantOfA(now->a.second, index);
  }
  Value bFirst = quadrantOfB(now->b.first),
        bSecond = now->b.second < 0 ? Value() : quadrantOfB(now->b.second);
  auto step = [&](Value k, MutableArrayRef<Value> sums) {
    SmallVector<Value> right;
    for (int64_t vector : llvm::seq(vectors)) {
      auto read = [&](Value base) {
        Value at = e.add(e.add(base, vector * lanes), e.mul(k, width));
        return elements.columns(e, b.flat, at, /*mask=*/{});
      };
      right.push_back(
          combine(now->b, read(bFirst), bSecond ? read(bSecond) : Value()));
    }
    for (int64_t r : llvm::seq(count)) {
      auto read = [&](Value base) {
        return elements.row(e, aFlat, e.add(base, e.mul(aStride, k)), aStride,
                            /*count=*/{});
      };
      Value left = combine(now->a, read(first[r]),
                           second[r] ? read(second[r]) : Value());
      for (int64_t vector : llvm::seq(vectors)) {
        Value &sum = sums[r * vectors + vector];
        sum = elements.multiply(e, left, right[vector], sum);
      }
    }
  };
  Prefetch ahead = nextBlock(row);
  Value zero = e.index(0),
        unrolledTo = e.sub(length, e.remainder(length, e.index(unroll)));
  SmallVector<Value> state(count * vectors, e.real(0, vectorType()));
  state =
      e.loop(zero, unrolledTo, unroll, state, [&](Value k, ValueRange carried) {
        SmallVector<Value> next = llvm::to_vector(carried);
        prefetch(ahead, zero, k);
        for (int64_t u : llvm::seq(unroll))
          step(e.add(k, u), next);
        return next;
      });
  state =
      e.loop(unrolledTo, length, 1, state, [&](Value k, ValueRange carried) {
        SmallVector<Value> next = llvm::to_vector(carried);
        step(k, next);
        return next;
      });
  addTo(now->plus[0], /*minus=*/false, row, state);
  addTo(now->plus[1], /*minus=*/false, row, state);
  addTo(now->minus, /*minus=*/true, row, state);
}

void Strassen::addTo(int quadrant, bool minus, Value row,
                     ArrayRef<Value> products) {
  if (quadrant < 0)
    return;
  Value isFirst = e.builder.createOrFold<arith::CmpIOp>(
      e.loc, arith::CmpIPredicate::eq, start, e.index(0));
  for (auto [sum, value] : llvm::enumerate(products)) {
    Value at = position(quadrant, row, sum), before = sumAt(at);
    if (firstProduct[quadrant] == number)
      before = e.builder.createOrFold<arith::SelectOp>(
          e.loc, isFirst, e.real(0, vectorType()), before);
    vector::StoreOp::create(e.builder, e.loc,
                            combine({0, 0, minus}, before, value), sums, at);
  }
}

/// Rows whose sums are worthless beside those of their partners get others. How
/// large one is says the sum of its absolute values, of both panels: sums of so
/// many columns are small together only where the row of a is.
void Strassen::repairRows() {
  start = e.index(0);
  length = halfSteps;
  auto sumOfLanes = [&](Value vector) {
    return vector::ReductionOp::create(e.builder, e.loc,
                                       vector::CombiningKind::ADD, vector,
                                       arith::FastMathFlags::reassoc);
  };
  e.loop(rowFrom, rowTo, 1, [&](Value row) {
    Value upper = sizeOfRow(0, row), lower = sizeOfRow(1, row);
    // If no lane is too small, the row is not.
    Value inLanes = arith::OrIOp::create(
        e.builder, e.loc, needsRepair(upper, lower), needsRepair(lower, upper));
    Value maybe = vector::ReductionOp::create(
        e.builder, e.loc, vector::CombiningKind::OR, inLanes);
    e.branch(maybe, [&] {
      upper = sumOfLanes(upper);
      lower = sumOfLanes(lower);
      e.branch(needsRepair(upper, lower), [&] { plainRow(0, row); });
      e.branch(needsRepair(lower, upper), [&] { plainRow(1, row); });
    });
  });
}

/// In lanes.
Value Strassen::sizeOfRow(int half, Value row) {
  Value size;
  for (int quadrant : {2 * half, 2 * half + 1})
    for (int64_t v : llvm::seq(vectors)) {
      Value more = math::AbsFOp::create(e.builder, e.loc,
                                        sumAt(position(quadrant, row, v)));
      size = size ? arith::AddFOp::create(e.builder, e.loc, size, more) : more;
    }
  return size;
}

/// Whether a row is too small beside its partner, or one of them is not finite.
Value Strassen::needsRepair(Value own, Value partner) {
  Type type = own.getType();
  // 0 times anything finite is 0.
  Value both = arith::AddFOp::create(e.builder, e.loc, own, partner),
        zero = arith::MulFOp::create(e.builder, e.loc, both, e.real(0, type));
  Value scaled = arith::MulFOp::create(e.builder, e.loc, own,
                                       e.real(kMostRatio, type)),
        more = arith::SubFOp::create(e.builder, e.loc, scaled, partner);
  return arith::CmpFOp::create(e.builder, e.loc, arith::CmpFPredicate::ULT,
                               more, zero);
}

/// The sums of a row of one half, as the plain product has them.
void Strassen::plainRow(int half, Value row) {
  Value left = quadrantOfA(2 * half, row),
        right[] = {quadrantOfB(0), quadrantOfB(1)};
  SmallVector<Value> state(2 * vectors, e.real(0, vectorType()));
  state = e.loop(
      e.index(0), sizes[reduction()], 1, state,
      [&](Value k, ValueRange carried) {
        SmallVector<Value> next = llvm::to_vector(carried);
        Value stride = a.steps[reduction()],
              factor = elements.row(e, a.flat, e.add(left, e.mul(stride, k)),
                                    stride, /*count=*/{});
        for (auto [number, sum] : llvm::enumerate(next)) {
          Value at = e.add(right[number / vectors], number % vectors * lanes);
          Value columns = elements.columns(
              e, b.flat, e.add(at, e.mul(k, width)), /*mask=*/{});
          sum = elements.multiply(e, factor, columns, sum);
        }
        return next;
      });
  for (auto [number, sum] : llvm::enumerate(state))
    vector::StoreOp::create(
        e.builder, e.loc, sum, sums,
        position(2 * half + number / vectors, row, number % vectors));
}

/// The quadrants of the result, one after the other.
void Strassen::finishQuadrants() {
  e.loop(e.index(0), e.index(4), 1, [&](Value quadrant) {
    Value isLower = e.floorDiv(quadrant, e.index(2)),
          isRight = e.remainder(quadrant, e.index(2)),
          down = e.mul(isLower, halfRows);
    Value row = e.add(rowFrom, down),
          end = e.min(e.add(rowTo, down), sizes[this->row()]);
    finish(e.add(panelIndex, e.mul(isRight, halfPanels)),
           e.mul(quadrant, taskRows), row, e.sub(end, row));
  });
}

static ScheduleAttr schedule(KernelOp kernel, const Target &target) {
  return gemmBuilder.schedule(kernel, target);
}

static LogicalResult build(KernelSite &site) {
  std::optional<Product> product = matchProduct(site.kernel);
  ScheduleAttr schedule = *site.kernel.getSchedule();
  Gemm gemm{{site, *product, schedulePlainProduct(site.kernel, site.target)}};
  Strassen strassen{{{site, *product, schedule}}};
  gemm.access();
  strassen.access();
  gemm.e.branch(
      gemm.e.less(gemm.sizes[gemm.row()], gemm.e.index(kLeastRows)),
      [&] { gemm.build(); }, [&] { strassen.build(); });
  return success();
}

static bool accepts(KernelOp kernel) { return gemmBuilder.accepts(kernel); }

const KernelBuilder fulgur::strassenBuilder = {"strassen", accepts, schedule,
                                               build, gemmBuilder.alternatives};
