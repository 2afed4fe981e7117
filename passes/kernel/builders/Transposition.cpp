// Elementwise loops, and plain transpositions, whose result lies along another
// loop than what they read, such as between the orders of channels last and
// first. Squares of as many rows as a vector has lanes are read along the rows,
// turned round in registers and written along the columns, so that both sides
// are whole vectors. What lies along the columns already is read there, and
// what moves along the rows only is one number.
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "passes/kernel/builders/Transpose.h"
#include "passes/kernel/builders/View.h"

using namespace mlir;
using namespace fulgur;

namespace {
constexpr int64_t kTaskElements = 1 << 15;
constexpr int64_t kFewest = 8; // columns, or rows, that are worth it

struct Transposition {
  linalg::LinalgOp op;
  unsigned row, column; ///< loops: of the input's and of the result's last dim
  SmallVector<bool> turned; ///< for each input whether it lies along the rows
  SmallVector<int64_t> ranges;
};
} // namespace

/// The loop of the last dim that moves.
static std::optional<unsigned> lastLoop(linalg::LinalgOp op, unsigned operand,
                                        ArrayRef<int64_t> ranges) {
  for (int loop : llvm::reverse(loopsOf(op, operand)))
    if (loop >= 0 && ranges[loop] != 1)
      return loop;
  return std::nullopt;
}

static std::optional<Transposition> matchTransposition(KernelOp kernel) {
  if (kernel.getOuts().size() != 1 || kernel.getKeeps())
    return std::nullopt;
  auto op =
      kernel.yield().getValues().front().getDefiningOp<linalg::LinalgOp>();
  if (!op || !isa<linalg::TransposeOp, linalg::GenericOp>(op) ||
      op.getNumDpsInits() != 1 ||
      op.getDpsInits()[0] != kernel.bodyBlock()->getArguments().back())
    return std::nullopt;
  auto generic = dyn_cast<linalg::GenericOp>(op.getOperation());
  if (generic && !isLanewise(generic))
    return std::nullopt;
  auto isNumber = [](Value value) {
    Type type = getElementTypeOrSelf(value.getType());
    return type.isF32() || type.isInteger(32);
  };
  Transposition t{op, 0, 0, {}, op.getStaticLoopRanges()};
  unsigned inputs = op.getNumDpsInputs();
  std::optional<unsigned> column = lastLoop(op, inputs, t.ranges), row;
  if (!column || !isNumber(op.getDpsInits()[0]))
    return std::nullopt;
  for (auto [number, input] : llvm::enumerate(op.getDpsInputs())) {
    std::optional<unsigned> last = lastLoop(op, number, t.ranges);
    bool turned = last && last != column &&
                  llvm::is_contained(loopsOf(op, number), int(*column));
    if (!isView(input) || (turned && row && row != last) ||
        (turned && !isNumber(input)))
      return std::nullopt;
    if (turned)
      row = last;
    t.turned.push_back(turned);
  }
  if (!row || t.ranges[*row] < kFewest || t.ranges[*column] < kFewest)
    return std::nullopt; // unknown sizes are below 0
  t.row = *row;
  t.column = *column;
  return t;
}

namespace {
struct TranspositionLoops {
  KernelSite &site;
  const Transposition &t;
  int64_t lanes;
  Emitter e{site.builder, site.loc};
  SmallVector<Access> inputs{};
  Access out{};
  SmallVector<Value> point{};

  void build();
  void square(Value row, int64_t rows, Value column, int64_t columns);
};
} // namespace

void TranspositionLoops::build() {
  linalg::LinalgOp op = t.op;
  unsigned loops = t.ranges.size();
  for (auto [number, input] : llvm::enumerate(op.getDpsInputs()))
    inputs.push_back(viewOf(e, site, input).access(loopsOf(op, number), loops));
  SmallVector<int> outLoops = loopsOf(op, op.getNumDpsInputs());
  out = accessOf(e, site.outs[0], outLoops, loops);
  point.resize(loops);
  SmallVector<std::pair<unsigned, Value>> outer;
  Value count = e.index(1);
  for (auto [dim, loop] : llvm::enumerate(outLoops))
    if (loop >= 0 && loop != int(t.row) && loop != int(t.column)) {
      outer.push_back({unsigned(loop), e.dim(site.outs[0], dim)});
      count = e.mul(count, outer.back().second);
    }
  int64_t rows = t.ranges[t.row], columns = t.ranges[t.column],
          grain = std::max<int64_t>(kTaskElements / (rows * columns), 1);
  // A large plane is cut along its rows.
  int64_t share = llvm::alignTo(
      std::clamp<int64_t>(kTaskElements / columns, 1, rows), lanes);
  int64_t cuts = grain == 1 ? llvm::divideCeil(rows, share) : 1;
  if (cuts == 1)
    share = rows;
  // In a shorter rest the last square begins further up, among rows that are
  // written twice; unless there are fewer in all.
  auto cover = [&](Value from, Value to, int64_t size,
                   llvm::function_ref<void(Value, int64_t)> body) {
    if (size < lanes)
      return body(e.index(0), size);
    e.loop(from, to, lanes,
           [&](Value at) { body(e.min(at, e.index(size - lanes)), lanes); });
  };
  e.parallel(e.mul(e.ceilDiv(count, e.index(grain)), cuts), [&](Value task) {
    Value cut = e.remainder(task, e.index(cuts)),
          first = e.mul(e.floorDiv(task, e.index(cuts)), grain);
    e.loop(first, e.min(e.add(first, grain), count), 1, [&](Value index) {
      for (auto [loop, size] : llvm::reverse(outer)) {
        point[loop] = e.remainder(index, size);
        index = e.floorDiv(index, size);
      }
      Value rowFrom = e.mul(cut, share),
            rowTo = e.min(e.add(rowFrom, share), e.index(rows));
      cover(rowFrom, rowTo, rows, [&](Value row, int64_t rowCount) {
        cover(e.index(0), e.index(columns), columns,
              [&](Value column, int64_t columnCount) {
                square(row, rowCount, column, columnCount);
              });
      });
    });
  });
}

/// Some elements of each of some rows; rows are what the input lies along.
void TranspositionLoops::square(Value row, int64_t rows, Value column,
                                int64_t columns) {
  auto masked = [&](int64_t count) {
    return Columns{lanes, count == lanes ? Value()
                                         : e.lanesBelow(e.index(count), lanes)};
  };
  linalg::LinalgOp op = t.op;
  SmallVector<SmallVector<Value>> turned(inputs.size());
  for (auto [number, input] : llvm::enumerate(inputs)) {
    if (!t.turned[number])
      continue;
    auto type = VectorType::get(lanes, input.elementType());
    for (int64_t k : llvm::seq(lanes)) {
      if (k >= columns) {
        turned[number].push_back(e.zero(type));
        continue;
      }
      point[t.column] = e.add(column, k);
      point[t.row] = row;
      turned[number].push_back(readColumns(e, input.flat, input.at(e, point),
                                           input.steps[t.row], masked(rows)));
    }
    transposeSquare(e, turned[number]);
  }
  point[t.column] = column;
  for (int64_t k : llvm::seq(rows)) {
    point[t.row] = e.add(row, k);
    SmallVector<Value> arguments;
    for (auto [number, input] : llvm::enumerate(inputs))
      arguments.push_back(t.turned[number]
                              ? turned[number][k]
                              : readColumns(e, input.flat, input.at(e, point),
                                            input.steps[t.column],
                                            masked(columns)));
    Value result = arguments[0];
    if (auto generic = dyn_cast<linalg::GenericOp>(op.getOperation()))
      result = computeLanes(
          e, site, generic, arguments, lanes, [&](unsigned loop) -> Value {
            Value at =
                e.broadcast(point[loop] ? point[loop] : e.index(0), lanes);
            if (loop != t.column)
              return at;
            return arith::AddIOp::create(
                e.builder, e.loc, at, e.iota(lanes, e.builder.getIndexType()));
          })[0];
    writeColumns(e, result, out.flat, out.at(e, point), out.steps[t.column],
                 masked(columns));
  }
  point[t.row] = point[t.column] = {};
}

static bool accepts(KernelOp kernel) {
  return matchTransposition(kernel).has_value();
}

static LogicalResult build(KernelSite &site) {
  ScheduleAttr schedule = site.kernel.getScheduleAttr();
  if (!schedule)
    schedule = transpositionBuilder.schedule(site.kernel, site.target);
  Transposition t = *matchTransposition(site.kernel);
  TranspositionLoops{site, t, schedule.getLanes()}.build();
  return success();
}

static ScheduleAttr schedule(KernelOp kernel, const Target &target) {
  return ScheduleAttr::get(kernel.getContext(), transpositionBuilder.kind, {},
                           target.lanes(), /*unroll=*/1, /*pack=*/0,
                           /*grain=*/1);
}

const KernelBuilder fulgur::transpositionBuilder = {"transpose", accepts,
                                                    schedule, build};
