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
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "passes/NodeName.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/memory/BufferDims.h"
#include "passes/memory/PlannedSizes.h"
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

struct PlanMemory : impl::PlanMemoryBase<PlanMemory> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto main = module.lookupSymbol<func::FuncOp>("main");
    if (!main || main.getBody().empty())
      return;
    Block &block = main.getBody().front();
    sizes = {};
    if (failed(collect(block)))
      return signalPassFailure();
    TypicalSizes typical(module);
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
          succeeded(bytes) ? sizes.rebuild(*bytes, builder, mapping) : Value();
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
      return sizes.dependOnData(require.getCondition());
    });
    // The first requirement that fails decides, so they are looked at last to
    // first.
    for (int64_t number = requirements.size(); number > 0; --number) {
      RequireOp require = requirements[number - 1];
      Value condition = sizes.rebuild(require.getCondition(), builder, mapping);
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
    Value bytes = sizes.rebuild(total, builder, mapping);
    if (!bytes)
      return main.emitError(
          "the arena's size is not a function of the model's symbols");
    // Sizes that do not fit 64 bits are reported as a negative one. A double is
    // exact enough to tell.
    Value limit =
        arith::ConstantOp::create(builder, loc, builder.getF64FloatAttr(9e18));
    Value fits =
        arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OLT,
                              sizes.estimate(total, builder, mapping), limit);
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
                         : sizes.rebuild(cast<Value>(dim), builder, mapping);
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

  SmallVector<Buffer> buffers;
  PlannedSizes sizes; ///< of @main
};
} // namespace
} // namespace fulgur
