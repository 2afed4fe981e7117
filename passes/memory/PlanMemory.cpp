// Places every buffer of @main in one arena.
//
// Buffers whose lifetimes overlap must not share memory. Their sizes may depend
// on symbolic dims, so the plan is not a list of offsets but an order: buffers
// are placed, mostly the largest first, at the lowest free offset for a typical
// size of the symbols; then each buffer's offset is the largest end of the
// buffers that it was placed above, as an expression. For fixed sizes the
// expressions fold to the constants of the placement; for others the order
// keeps buffers apart whatever the sizes are. (Greedy by size for offset
// calculation: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural
// Net Inference", 2020.)
//
// Also writes @plan, the pure function of the symbols that callers ask for the
// arena's size and the outputs' dims.
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/Dims.h"
#include "passes/NodeName.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/memory/BufferDims.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_PLANMEMORY
#include "passes/Passes.h.inc"

namespace {

struct Buffer {
  memref::AllocOp alloc;
  int64_t first = 0,
          last = 0;      // positions in the block of the first and last use
  int64_t bytes = 0;     // for a typical size of the symbols
  int64_t offset = -1;   // likewise
  Value size{}, place{}; // the expressions

  bool meets(const Buffer &other) const {
    return first <= other.last && other.first <= last;
  }
};

/// By offset; buffers at the same one in the order in which they are made.
bool isBelow(const Buffer *a, const Buffer *b) {
  return std::tuple(a->offset, a) < std::tuple(b->offset, b);
}

/// Computes index arithmetic for a typical size of the symbols.
class Typical {
public:
  explicit Typical(ModuleOp module) {
    if (auto known = module->getAttrOfType<ArrayAttr>(kSymbolsAttr))
      for (auto symbol : known.getAsRange<DictionaryAttr>()) {
        int64_t min = symbol.getAs<IntegerAttr>("min").getInt(),
                max = symbol.getAs<IntegerAttr>("max").getInt();
        sizes[symbol.getAs<StringAttr>("name").getValue()] =
            std::clamp<int64_t>(96, min, max);
      }
  }

  int64_t operator()(Value value) {
    if (auto it = known.find(value); it != known.end())
      return it->second;
    return known[value] = compute(value);
  }

private:
  int64_t compute(Value value) {
    Operation *op = value.getDefiningOp();
    if (auto constant = getConstantIntValue(value))
      return *constant;
    if (auto symbol = dyn_cast_or_null<SymbolOp>(op))
      return sizes.lookup(symbol.getName());
    if (auto choice = dyn_cast_or_null<arith::SelectOp>(op))
      return (*this)((*this)(choice.getCondition()) ? choice.getTrueValue()
                                                    : choice.getFalseValue());
    if (isa_and_nonnull<arith::IndexCastUIOp>(op))
      return (*this)(op->getOperand(0));
    if (!op || op->getNumOperands() != 2)
      return 96;
    int64_t a = (*this)(op->getOperand(0)), b = (*this)(op->getOperand(1));
    if (auto compare = dyn_cast<arith::CmpIOp>(op))
      return arith::applyCmpPredicate(compare.getPredicate(),
                                      APInt(64, a, true), APInt(64, b, true));
    // Sizes that are far from typical come out as any number.
    if (isa<arith::AddIOp>(op))
      return int64_t(uint64_t(a) + uint64_t(b));
    if (isa<arith::SubIOp>(op))
      return int64_t(uint64_t(a) - uint64_t(b));
    if (isa<arith::MulIOp>(op))
      return int64_t(uint64_t(a) * uint64_t(b));
    if (isa<arith::AndIOp>(op))
      return a & b;
    if (isa<arith::MaxSIOp, arith::MaxUIOp>(op))
      return std::max(a, b);
    if (isa<arith::MinSIOp, arith::MinUIOp>(op))
      return std::min(a, b);
    if (b > 0 && isa<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp>(op))
      return a / b;
    if (b > 0 && isa<arith::CeilDivSIOp, arith::CeilDivUIOp>(op))
      return llvm::divideCeil(a, b);
    if (b > 0 && isa<arith::RemSIOp, arith::RemUIOp>(op))
      return a % b;
    return std::max(a, b);
  }

  llvm::StringMap<int64_t> sizes;
  llvm::DenseMap<Value, int64_t> known;
};

struct PlanMemory : impl::PlanMemoryBase<PlanMemory> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto main = module.lookupSymbol<func::FuncOp>("main");
    if (!main || main.getBody().empty())
      return;
    Block &block = main.getBody().front();
    dependsOnData = {};
    if (failed(collect(block)))
      return signalPassFailure();
    Typical typical(module);
    for (Buffer &buffer : buffers)
      buffer.bytes = typical(buffer.size);
    place();
    tell(main);
    Value total = writeOffsets(block);
    if (failed(writePlan(main, total)))
      return signalPassFailure();
    auto constant = getConstantIntValue(total);
    module->setAttr("fulgur.arena_bytes", OpBuilder(module).getI64IntegerAttr(
                                              constant ? *constant : 0));
  }

private:
  /// Finds the buffers, their sizes and their lifetimes, views included.
  LogicalResult collect(Block &block) {
    buffers.clear();
    llvm::DenseMap<Operation *, int64_t> position;
    for (auto [i, op] : llvm::enumerate(block))
      position[&op] = i;
    WalkResult nested = block.getParentOp()->walk([&](memref::AllocOp alloc) {
      if (alloc->getBlock() == &block)
        return WalkResult::advance();
      alloc.emitOpError("is inside a region of @main");
      return WalkResult::interrupt();
    });
    if (nested.wasInterrupted())
      return failure();
    for (auto alloc : block.getOps<memref::AllocOp>()) {
      Buffer buffer{alloc};
      buffer.first = std::numeric_limits<int64_t>::max();
      SmallVector<Value> views{alloc.getResult()};
      while (!views.empty()) {
        Value view = views.pop_back_val();
        for (Operation *user : view.getUsers()) {
          if (isa<ViewLikeOpInterface>(user)) {
            llvm::append_range(views, user->getResults());
            continue;
          }
          int64_t at = position.lookup(block.findAncestorOpInBlock(*user));
          buffer.first = std::min(buffer.first, at);
          buffer.last = std::max(buffer.last, at);
        }
      }
      if (buffer.first <= buffer.last)
        buffers.push_back(buffer);
    }
    // Sizes are wanted before anything runs, so they are computed where the
    // symbols are: at the top.
    for (Buffer &buffer : buffers) {
      OpBuilder builder(buffer.alloc);
      FailureOr<Value> bytes = bufferBytes(builder, buffer.alloc);
      IRMapping mapping;
      buffer.size =
          succeeded(bytes) ? rebuild(*bytes, builder, mapping) : Value();
      if (!buffer.size)
        return buffer.alloc.emitOpError(
            "has a size that is not a function of the model's symbols");
    }
    return success();
  }

  /// The most that is in use at a time: no plan needs less.
  int64_t leastBytes() const {
    std::map<int64_t, int64_t> changes; // of what is in use, by position
    for (const Buffer &buffer : buffers) {
      changes[buffer.first] += buffer.bytes;
      changes[buffer.last + 1] -= buffer.bytes;
    }
    int64_t inUse = 0, most = 0;
    for (auto [position, change] : changes)
      most = std::max(most, inUse += change);
    return most;
  }

  /// Places the largest buffers first, or those that live longest or take most
  /// of both, and keeps the smallest plan. In the next attempt the largest
  /// buffer that reaches higher than any has to gets its place before the
  /// others.
  void place() {
    static constexpr int attempts = 24;
    auto bySize = [](const Buffer &b) { return double(b.bytes); };
    auto byArea = [](const Buffer &b) {
      return double(b.bytes) * double(b.last - b.first + 1);
    };
    auto byLife = [](const Buffer &b) { return double(b.last - b.first); };
    int64_t least = leastBytes();
    std::optional<int64_t> smallest;
    SmallVector<int64_t> best;
    for (double (*weight)(const Buffer &) : {+bySize, +byArea, +byLife}) {
      SmallVector<Buffer *> order;
      for (Buffer &buffer : buffers)
        order.push_back(&buffer);
      llvm::sort(order, [&](Buffer *a, Buffer *b) {
        return std::tuple(-weight(*a), -a->bytes, a) <
               std::tuple(-weight(*b), -b->bytes, b);
      });
      for (int attempt = 0; attempt < attempts; ++attempt) {
        auto [end, highest] = placeInOrder(order, least);
        if (!smallest || end < *smallest) {
          smallest = end;
          best.clear();
          for (const Buffer &buffer : buffers)
            best.push_back(buffer.offset);
        }
        if (end == least)
          return;
        std::rotate(order.begin(), highest, highest + 1);
      }
    }
    for (auto [buffer, offset] : llvm::zip(buffers, best))
      buffer.offset = offset;
  }

  /// Gives each buffer, in this order, the lowest free place. Returns the end
  /// of all, and the largest of those that end behind `least`.
  std::pair<int64_t, Buffer **> placeInOrder(SmallVectorImpl<Buffer *> &order,
                                             int64_t least) {
    SmallVector<Buffer *> placed; // by offset
    int64_t end = 0;
    Buffer **highest = nullptr;
    for (Buffer *&buffer : order) {
      int64_t offset = 0;
      for (Buffer *other : placed) {
        if (!other->meets(*buffer))
          continue;
        if (offset + buffer->bytes <= other->offset)
          break;
        offset = std::max(offset, other->offset + other->bytes);
      }
      buffer->offset = offset;
      placed.insert(llvm::upper_bound(placed, buffer, isBelow), buffer);
      end = std::max(end, offset + buffer->bytes);
      if (offset + buffer->bytes > least &&
          (!highest || buffer->bytes > (*highest)->bytes))
        highest = &buffer;
    }
    return {end, highest};
  }

  /// The plan, for the report.
  void tell(func::FuncOp main) {
    int64_t end = 0;
    for (const Buffer &buffer : buffers)
      end = std::max(end, buffer.offset + buffer.bytes);
    measure(main, getArgument(), "arena",
            {{"bytes", end}, {"least", leastBytes()}});
    for (const Buffer &buffer : buffers)
      measure(buffer.alloc, getArgument(), "buffer",
              {{"offset", buffer.offset},
               {"bytes", buffer.bytes},
               {"first", buffer.first},
               {"last", buffer.last}});
  }

  /// Replaces the allocations by buffers of the arena; returns its size.
  Value writeOffsets(Block &block) {
    SmallVector<Buffer *> order;
    for (Buffer &buffer : buffers)
      order.push_back(&buffer);
    llvm::sort(order, isBelow);
    // Everything the sizes need moves to the top, then the offsets follow it.
    Operation *top = &block.front();
    OpBuilder builder(top);
    Location loc = block.getParentOp()->getLoc();
    llvm::DenseSet<Operation *> moved;
    for (Buffer *buffer : order)
      hoist(buffer->size, top, moved);
    auto constant = [&](int64_t value) {
      return arith::ConstantIndexOp::create(builder, loc, value).getResult();
    };
    auto end = [&](Buffer *buffer) -> Value {
      auto place = getConstantIntValue(buffer->place),
           size = getConstantIntValue(buffer->size);
      if (place && size)
        return constant(*place + *size);
      return arith::AddIOp::create(builder, loc, buffer->place, buffer->size);
    };
    auto largest = [&](Value a, Value b) -> Value {
      auto ca = getConstantIntValue(a), cb = getConstantIntValue(b);
      if (ca && cb)
        return *ca >= *cb ? a : b;
      if (cb && *cb == 0)
        return a;
      if (ca && *ca == 0)
        return b;
      return arith::MaxUIOp::create(builder, loc, a, b);
    };
    Value total = constant(0);
    SmallVector<Buffer *> done;
    for (Buffer *buffer : order) {
      // Of the buffers below, those that are themselves below another such one
      // add nothing.
      SmallVector<Buffer *> below;
      for (Buffer *other : llvm::reverse(done)) {
        if (!other->meets(*buffer))
          continue;
        bool covered = llvm::any_of(below, [&](Buffer *b) {
          return b->offset > other->offset && b->meets(*other);
        });
        if (!covered)
          below.push_back(other);
      }
      buffer->place = constant(0);
      for (Buffer *other : below)
        buffer->place = largest(buffer->place, end(other));
      total = largest(total, end(buffer));
      done.push_back(buffer);
    }
    Value call = block.getArgument(0);
    for (Buffer *buffer : order) {
      OpBuilder at(buffer->alloc);
      Value inArena = BufferOp::create(
          at, buffer->alloc.getLoc(), buffer->alloc.getType(), call,
          Segment::arena, buffer->place, buffer->alloc.getDynamicSizes());
      buffer->alloc.replaceAllUsesWith(inArena);
    }
    for (auto alloc :
         llvm::make_early_inc_range(block.getOps<memref::AllocOp>()))
      if (alloc.use_empty() ||
          llvm::all_of(alloc->getUsers(), [](Operation *op) {
            return op->use_empty() && isa<ViewLikeOpInterface>(op);
          })) {
        for (Operation *user : llvm::make_early_inc_range(alloc->getUsers()))
          user->erase();
        alloc.erase();
      }
    return total;
  }

  static void hoist(Value value, Operation *top,
                    llvm::DenseSet<Operation *> &moved) {
    Operation *op = value.getDefiningOp();
    if (!op || op == top || !moved.insert(op).second)
      return;
    for (Value operand : op->getOperands())
      hoist(operand, top, moved);
    op->moveBefore(top);
  }

  /// @plan(symbols, arena bytes, output dims): requirements first, then the
  /// sizes.
  LogicalResult writePlan(func::FuncOp main, Value total) {
    ModuleOp module = getOperation();
    OpBuilder builder(main);
    Location loc = main.getLoc();
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    auto plan = func::FuncOp::create(
        builder, loc, "plan",
        builder.getFunctionType({pointer, pointer, pointer},
                                {builder.getI32Type()}));
    plan.setPrivate();
    builder.setInsertionPointToStart(plan.addEntryBlock());
    IRMapping mapping;
    SmallVector<Attribute> messages;
    Value status =
        arith::ConstantOp::create(builder, loc, builder.getI32IntegerAttr(0));
    Block &block = main.getBody().front();
    SmallVector<RequireOp> requirements(block.getOps<RequireOp>());
    // Requirements on run-time sizes stay where they are.
    llvm::erase_if(requirements, [&](RequireOp require) {
      return dependsOnData(require.getCondition());
    });
    // The first requirement that fails decides, so they are looked at last to
    // first.
    for (int64_t number = requirements.size(); number > 0; --number) {
      RequireOp require = requirements[number - 1];
      Value condition = rebuild(require.getCondition(), builder, mapping);
      Value failed = arith::ConstantOp::create(
          builder, loc, builder.getI32IntegerAttr(number));
      status = arith::SelectOp::create(builder, loc, condition, status, failed);
    }
    for (RequireOp require : requirements)
      messages.push_back(builder.getStringAttr(
          message(require.getLoc(), require.getMessage())));
    auto store = [&](Value value, Value base, int64_t index) {
      Value at =
          LLVM::GEPOp::create(builder, loc, pointer, builder.getI64Type(), base,
                              ArrayRef<LLVM::GEPArg>{int32_t(index)});
      Value wide =
          arith::IndexCastOp::create(builder, loc, builder.getI64Type(), value);
      LLVM::StoreOp::create(builder, loc, wide, at);
    };
    Value bytes = rebuild(total, builder, mapping);
    if (!bytes)
      return main.emitError(
          "the arena's size is not a function of the model's symbols");
    // Sizes that do not fit 64 bits are reported as a negative one. A double is
    // exact enough to tell.
    llvm::DenseMap<Value, Value> estimates;
    Value limit =
        arith::ConstantOp::create(builder, loc, builder.getF64FloatAttr(9e18));
    Value fits = arith::CmpFOp::create(
        builder, loc, arith::CmpFPredicate::OLT,
        estimate(total, builder, mapping, estimates), limit);
    Value none = arith::ConstantIndexOp::create(builder, loc, -1);
    store(arith::SelectOp::create(builder, loc, fits, bytes, none),
          plan.getArgument(1), 0);
    // Outputs in order, each dim after the other.
    SmallVector<BufferOp> outputs;
    main.walk([&](BufferOp op) {
      if (op.getSegment() == Segment::output)
        outputs.push_back(op);
    });
    llvm::sort(outputs, [](BufferOp a, BufferOp b) {
      return *getConstantIntValue(a.getPosition()) <
             *getConstantIntValue(b.getPosition());
    });
    llvm::DenseMap<int64_t, PackedOutputOp> packed;
    for (PackedOutputOp op : block.getOps<PackedOutputOp>())
      packed[op.getOutput()] = op;
    int64_t index = 0, expected = 0;
    for (BufferOp output : outputs) {
      if (*getConstantIntValue(output.getPosition()) != expected++)
        return output.emitOpError("is not the only buffer of its output");
      PackedOutputOp bytes = packed.lookup(expected - 1);
      SmallVector<OpFoldResult> dims =
          bytes ? getMixedValues(bytes.getShape(), bytes.getSizes(), builder)
                : getMixedValues(output.getType().getShape(), output.getSizes(),
                                 builder);
      for (OpFoldResult dim : dims) {
        Value size = isa<Attribute>(dim)
                         ? getValueOrCreateConstantIndexOp(builder, loc, dim)
                         : rebuild(cast<Value>(dim), builder, mapping);
        if (!size)
          return output.emitOpError(
              "has a dim that is not a function of the model's symbols");
        store(size, plan.getArgument(2), index++);
      }
    }
    func::ReturnOp::create(builder, loc, status);
    for (auto [output, op] : packed)
      op.erase();
    for (RequireOp require : requirements)
      require.erase();
    for (Operation &op : block) {
      StringRef text = llvm::TypeSwitch<Operation *, StringRef>(&op)
                           .Case<CheckBoundsOp, BoundedOp, RequireOp>(
                               [](auto check) { return check.getMessage(); })
                           .Default(StringRef());
      if (text.empty())
        continue;
      messages.push_back(builder.getStringAttr(message(op.getLoc(), text)));
      op.setAttr("number", builder.getI32IntegerAttr(messages.size()));
    }
    module->setAttr("fulgur.messages", builder.getArrayAttr(messages));
    return success();
  }

  /// "node 'x' (Gather, opset 20): text". The frontend names locations "x
  /// (Gather, opset 20)".
  static std::string message(Location loc, StringRef text) {
    std::string node = nodeName(loc);
    return node.empty() ? text.str() : node + ": " + text.str();
  }

  /// Clones the computation of `value`; of run-time sizes that of their upper
  /// bounds. Null where it is no function of symbols. Quotients by symbols have
  /// no effects either: sizes are never divided by 0.
  Value rebuild(Value value, OpBuilder &builder, IRMapping &mapping) {
    if (Value known = mapping.lookupOrNull(value))
      return known;
    if (dependsOnData(value)) {
      Value most = bound(value, /*upper=*/true, builder, mapping);
      if (most)
        mapping.map(value, most);
      return most;
    }
    Operation *op = value.getDefiningOp();
    if (op->getNumRegions() != 0)
      return {};
    for (Value operand : op->getOperands())
      if (!rebuild(operand, builder, mapping))
        return {};
    builder.clone(*op, mapping);
    return mapping.lookup(value);
  }

  /// The least or the greatest that index arithmetic on run-time sizes can
  /// give, each of which is from 0 to its bound. Factors and divisors that are
  /// not constants are sizes, which are not negative.
  Value bound(Value value, bool upper, OpBuilder &b, IRMapping &mapping) {
    if (!dependsOnData(value))
      return rebuild(value, b, mapping);
    Operation *op = value.getDefiningOp();
    Location loc = value.getLoc();
    if (auto bounded = dyn_cast_or_null<BoundedOp>(op))
      return upper ? rebuild(bounded.getBound(), b, mapping)
                   : arith::ConstantIndexOp::create(b, loc, 0).getResult();
    if (auto apply = dyn_cast_or_null<affine::AffineApplyOp>(op))
      return bound(apply.getAffineMap().getResult(0), apply, upper, b, mapping);
    if (auto choice = dyn_cast_or_null<arith::SelectOp>(op)) {
      Value x = bound(choice.getTrueValue(), upper, b, mapping),
            y = bound(choice.getFalseValue(), upper, b, mapping);
      if (!x || !y)
        return {};
      return upper ? arith::MaxSIOp::create(b, loc, x, y).getResult()
                   : arith::MinSIOp::create(b, loc, x, y).getResult();
    }
    if (isa_and_nonnull<arith::IndexCastUIOp>(op) &&
        op->getOperand(0).getType().isInteger(1)) // a condition as a number
      return arith::ConstantIndexOp::create(b, loc, upper);
    if (!op || !isMemoryEffectFree(op) || op->getNumOperands() != 2 ||
        op->getNumResults() != 1)
      return {};
    Value x = op->getOperand(0), y = op->getOperand(1);
    bool upperX = upper, upperY = upper;
    auto isNegative = [](Value v) {
      auto constant = getConstantIntValue(v);
      return constant && *constant < 0;
    };
    if (isa<arith::MulIOp>(op)) {
      upperX ^= isNegative(y);
      upperY ^= isNegative(x);
    } else if (isa<arith::SubIOp>(op)) {
      upperY = !upper;
    } else if (isa<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp,
                   arith::CeilDivSIOp, arith::CeilDivUIOp>(op)) {
      upperX ^= isNegative(y);
      upperY = !upper;
    } else if (isa<arith::RemSIOp, arith::RemUIOp>(op)) {
      return upper ? bound(y, true, b, mapping)
                   : arith::ConstantIndexOp::create(b, loc, 0).getResult();
    } else if (!isa<arith::AddIOp, arith::MaxSIOp, arith::MaxUIOp,
                    arith::MinSIOp, arith::MinUIOp>(op) &&
               !(isa<arith::AndIOp>(op) && isNegative(y))) {
      return {}; // the AND rounds down to a multiple of the alignment
    }
    Value boundX = bound(x, upperX, b, mapping),
          boundY = bound(y, upperY, b, mapping);
    if (!boundX || !boundY)
      return {};
    if (isa<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp,
            arith::CeilDivSIOp, arith::CeilDivUIOp>(op) &&
        !getConstantIntValue(boundY))
      boundY = arith::MaxSIOp::create(
          b, loc, boundY, arith::ConstantIndexOp::create(b, loc, 1));
    IRMapping parts;
    parts.map(x, boundX);
    parts.map(y, boundY);
    return b.clone(*op, parts)->getResult(0);
  }

  /// The same for a part of an affine expression.
  Value bound(AffineExpr expr, affine::AffineApplyOp apply, bool upper,
              OpBuilder &b, IRMapping &mapping) {
    Location loc = apply.getLoc();
    if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      return arith::ConstantIndexOp::create(b, loc, constant.getValue());
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      return bound(apply.getDimOperands()[dim.getPosition()], upper, b,
                   mapping);
    if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
      return bound(apply.getSymbolOperands()[symbol.getPosition()], upper, b,
                   mapping);
    auto binary = cast<AffineBinaryOpExpr>(expr);
    // The right-hand side of everything but a sum is a constant, or a size.
    auto constant = dyn_cast<AffineConstantExpr>(binary.getRHS());
    bool isSum = expr.getKind() == AffineExprKind::Add;
    bool turns = !isSum && constant && constant.getValue() < 0;
    Value x = bound(binary.getLHS(), apply, upper ^ turns, b, mapping),
          y = bound(binary.getRHS(), apply, upper, b, mapping);
    if (!x || !y)
      return {};
    switch (expr.getKind()) {
    case AffineExprKind::Add:
      return arith::AddIOp::create(b, loc, x, y);
    case AffineExprKind::Mul:
      return arith::MulIOp::create(b, loc, x, y);
    case AffineExprKind::FloorDiv:
      return constant ? arith::FloorDivSIOp::create(b, loc, x, y).getResult()
                      : Value();
    case AffineExprKind::CeilDiv:
      return constant ? arith::CeilDivSIOp::create(b, loc, x, y).getResult()
                      : Value();
    default: // a remainder
      return upper ? y : arith::ConstantIndexOp::create(b, loc, 0).getResult();
    }
  }

  /// What `rebuild` computes, as a double, which does not wrap around.
  Value estimate(Value value, OpBuilder &b, IRMapping &mapping,
                 llvm::DenseMap<Value, Value> &known) {
    if (Value done = known.lookup(value))
      return done;
    Operation *op = value.getDefiningOp();
    Location loc = value.getLoc();
    Value result;
    if (auto bounded = dyn_cast<BoundedOp>(op)) {
      result = estimate(bounded.getBound(), b, mapping, known);
    } else if (auto choice = dyn_cast<arith::SelectOp>(op)) {
      result = arith::SelectOp::create(
          b, loc, rebuild(choice.getCondition(), b, mapping),
          estimate(choice.getTrueValue(), b, mapping, known),
          estimate(choice.getFalseValue(), b, mapping, known));
    } else if (op->getNumOperands() != 2) {
      Value wide = arith::IndexCastOp::create(b, loc, b.getI64Type(),
                                              rebuild(value, b, mapping));
      result = arith::SIToFPOp::create(b, loc, b.getF64Type(), wide);
    } else {
      Value x = estimate(op->getOperand(0), b, mapping, known),
            y = estimate(op->getOperand(1), b, mapping, known);
      result =
          llvm::TypeSwitch<Operation *, Value>(op)
              .Case([&](arith::MulIOp) {
                return arith::MulFOp::create(b, loc, x, y);
              })
              .Case([&](arith::SubIOp) {
                return arith::SubFOp::create(b, loc, x, y);
              })
              .Case<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp>(
                  [&](auto) { return arith::DivFOp::create(b, loc, x, y); })
              .Case<arith::MaxSIOp, arith::MaxUIOp>(
                  [&](auto) { return arith::MaximumFOp::create(b, loc, x, y); })
              .Case<arith::MinSIOp, arith::MinUIOp>(
                  [&](auto) { return arith::MinimumFOp::create(b, loc, x, y); })
              .Case<arith::RemSIOp, arith::RemUIOp>([&](auto) { return y; })
              .Case(
                  [&](arith::AndIOp) { return x; }) // rounding to the alignment
              .Default([&](Operation *) {
                return arith::AddFOp::create(b, loc, x, y);
              });
    }
    return known[value] = result;
  }

  SmallVector<Buffer> buffers;
  DataDependence dependsOnData; ///< of sizes in @main
};
} // namespace
} // namespace fulgur
