// The driver of a program becomes native code. Its values live in slots of the
// run's frame, each in one of its own; branches and loops pass them on by
// sharing (fulgur__assign), and everything that is done with them is a call of
// the runtime (runtime/Frame.h).
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Transforms/DialectConversion.h"
#include "passes/NodeName.h"
#include "passes/Passes.h"
#include "passes/Port.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_LOWERDRIVER
#include "passes/Passes.h.inc"

namespace {

/// Dtypes of fulgur.h that ONNX has no numbers for.
constexpr int64_t kSequence = 100, kOptional = 101;

/// Functions of the runtime that have nothing to say about a node.
bool isWithoutNode(StringRef name) {
  return llvm::is_contained({"assign", "clear", "write", "part", "define_dim",
                             "sequence_empty", "sequence_append",
                             "sequence_prepend", "optional"},
                            name);
}

/// Writes the native driver.
class Emitter {
public:
  Emitter(ModuleOp module, func::FuncOp driver)
      : module(module), driver(driver), b(module.getContext()),
        pointer(LLVM::LLVMPointerType::get(module.getContext())) {
    if (auto symbols = module->getAttrOfType<ArrayAttr>(kSymbolsAttr))
      for (auto symbol : symbols.getAsRange<DictionaryAttr>())
        symbolNumbers[symbol.getAs<StringAttr>("name")] = symbolNumbers.size();
  }

  LogicalResult emit(StringRef name) {
    Location loc = driver.getLoc();
    b.setInsertionPoint(driver);
    native = func::FuncOp::create(
        b, loc, name, b.getFunctionType({pointer}, {b.getI32Type()}));
    Block *entry = native.addEntryBlock();
    b.setInsertionPointToStart(entry);
    for (Value argument : driver.getArguments())
      slots[argument] = numSlots++;
    for (Operation &op : driver.front().without_terminator())
      if (failed(emit(op)))
        return failure();
    SmallVector<int32_t> outputs;
    for (Value value : driver.front().getTerminator()->getOperands())
      outputs.push_back(slotOf(value));
    func::ReturnOp::create(b, loc, number(0));
    module->setAttr("fulgur.slots", b.getI64IntegerAttr(numSlots));
    module->setAttr("fulgur.output_slots", b.getDenseI32ArrayAttr(outputs));
    module->setAttr("fulgur.parts", b.getArrayAttr(parts));
    return success();
  }

  func::FuncOp result() { return native; }

private:
  int32_t slotOf(Value value) {
    if (value.getDefiningOp<NoneOp>())
      return -1;
    auto [slot, isNew] = slots.try_emplace(value, numSlots);
    numSlots += isNew;
    return slot->second;
  }

  Value number(int32_t value) {
    return arith::ConstantOp::create(b, loc(), b.getI32IntegerAttr(value));
  }
  Location loc() { return native.getLoc(); }

  /// fulgur__name(frame, arguments..., the node at `place`)
  void call(StringRef name, SmallVector<Value> arguments, Location place) {
    arguments.insert(arguments.begin(), native.getArgument(0));
    if (!isWithoutNode(name))
      arguments.push_back(text(nodeName(place)));
    std::string callee = ("fulgur__" + name).str();
    auto function = module.lookupSymbol<func::FuncOp>(callee);
    if (!function) {
      OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
      function = func::FuncOp::create(
          top, loc(), callee,
          top.getFunctionType(ValueRange(arguments).getTypes(),
                              top.getI32Type()));
      function.setPrivate();
    }
    func::CallOp::create(b, loc(), function, arguments);
  }

  /// A pointer to constant data in the object.
  Value data(Attribute value, Type type) {
    OpBuilder top = OpBuilder::atBlockBegin(module.getBody());
    auto global = LLVM::GlobalOp::create(
        top, loc(), type, /*isConstant=*/true, LLVM::Linkage::Internal,
        "driver_data_" + std::to_string(numData++), value);
    return LLVM::AddressOfOp::create(b, loc(), global);
  }
  Value text(const std::string &string) {
    Value &known = texts[string];
    if (!known) {
      // In front of everything, so that it can be used everywhere.
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(&native.front());
      std::string terminated = string + '\0';
      known = data(b.getStringAttr(terminated),
                   LLVM::LLVMArrayType::get(b.getI8Type(), terminated.size()));
    }
    return known;
  }

  LogicalResult emit(Operation &op) {
    return llvm::TypeSwitch<Operation *, LogicalResult>(&op)
        .Case<scf::IfOp, scf::WhileOp, RunOp, StepOp, DefineDimOp,
              DefineElementOp>([&](auto op) { return emit(op); })
        .Case([&](OutputOp op) {
          return success(slots.contains(op.getResult()));
        })
        .Case([](NoneOp) { return success(); })
        .Case([&](ReadOp op) {
          read("read", {number(slotOf(op.getValue()))}, op);
          return success();
        })
        .Case([&](ExtentOp op) {
          read("extent", {number(slotOf(op.getValue())), number(op.getAxis())},
               op);
          return success();
        })
        .Case([&](WriteOp op) {
          call("write",
               {number(slotOf(op.getResult())), number(op.getDtype()),
                number(op.getRank()), mapping.lookup(op.getNumber())},
               op.getLoc());
          return success();
        })
        .Default([&](Operation *op) -> LogicalResult {
          if (!isa<arith::ArithDialect>(op->getDialect()))
            return op->emitOpError("has no place in a driver");
          b.clone(*op, mapping);
          return success();
        });
  }

  /// A number that the runtime writes into memory.
  void read(StringRef name, SmallVector<Value> arguments, Operation *op) {
    Value place;
    {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPointToStart(&native.front());
      Value one = LLVM::ConstantOp::create(b, loc(), b.getI64Type(), 1);
      place = LLVM::AllocaOp::create(b, loc(), pointer, b.getI64Type(), one);
    }
    arguments.push_back(place);
    call(name, arguments, op->getLoc());
    mapping.map(
        op->getResult(0),
        LLVM::LoadOp::create(b, loc(), b.getI64Type(), place).getResult());
  }

  LogicalResult emit(RunOp op) {
    auto part = module.lookupSymbol<ModuleOp>(op.getPart());
    if (!part)
      return op.emitOpError("names no part of the program");
    SmallVector<int32_t> inputs, outputs;
    for (Value input : op.getInputs())
      inputs.push_back(slotOf(input));
    // The outputs stand behind the run, in any order.
    for (Operation *next = op->getNextNode(); next; next = next->getNextNode())
      if (auto output = dyn_cast<OutputOp>(next);
          output && output.getPart() == op.getPart()) {
        outputs.resize(std::max<size_t>(outputs.size(), output.getIndex() + 1),
                       -1);
        outputs[output.getIndex()] = slotOf(output.getResult());
      }
    auto ports = part->getAttrOfType<ArrayAttr>("fulgur.outputs");
    if (!ports || ports.size() != outputs.size())
      return op.emitOpError("has ")
             << outputs.size() << " outputs, but its part has "
             << (ports ? ports.size() : 0);
    auto messages = part->getAttrOfType<ArrayAttr>("fulgur.messages");
    call("part", {number(parts.size())}, op.getLoc());
    parts.push_back(b.getDictionaryAttr(
        {b.getNamedAttr("name", op.getPartAttr().getAttr()),
         b.getNamedAttr("inputs", b.getDenseI32ArrayAttr(inputs)),
         b.getNamedAttr("outputs", b.getDenseI32ArrayAttr(outputs)),
         b.getNamedAttr("ports", ports),
         b.getNamedAttr("messages",
                        messages ? messages : b.getArrayAttr({}))}));
    return success();
  }

  FailureOr<Value> symbol(Operation *op, StringRef name) {
    auto known = symbolNumbers.find(name);
    if (known == symbolNumbers.end())
      return op->emitOpError("defines no symbol of the program");
    return number(known->second);
  }

  LogicalResult emit(DefineDimOp op) {
    FailureOr<Value> which = symbol(op, op.getName());
    if (failed(which))
      return failure();
    call("define_dim",
         {*which, number(slotOf(op.getValue())), number(op.getAxis())},
         op.getLoc());
    return success();
  }

  LogicalResult emit(DefineElementOp op) {
    FailureOr<Value> which = symbol(op, op.getName());
    if (failed(which))
      return failure();
    Value element = arith::ConstantOp::create(
        b, loc(), b.getI64IntegerAttr(op.getElement()));
    call("define_value", {*which, number(slotOf(op.getValue())), element},
         op.getLoc());
    return success();
  }

  LogicalResult emit(StepOp op) {
    SmallVector<Value> arguments;
    for (Value result : op.getResults())
      arguments.push_back(number(slotOf(result)));
    for (Value value : op.getValues())
      arguments.push_back(number(slotOf(value)));
    for (Attribute immediate : op.getImmediates()) {
      if (auto integer = dyn_cast<IntegerAttr>(immediate)) {
        arguments.push_back(arith::ConstantOp::create(b, loc(), integer));
      } else if (auto real = dyn_cast<FloatAttr>(immediate)) {
        arguments.push_back(arith::ConstantOp::create(b, loc(), real));
      } else if (auto string = dyn_cast<StringAttr>(immediate)) {
        arguments.push_back(text(string.str()));
      } else if (auto list = dyn_cast<DenseI64ArrayAttr>(immediate)) {
        auto type = RankedTensorType::get(list.size(), b.getI64Type());
        arguments.push_back(
            list.empty()
                ? LLVM::ZeroOp::create(b, loc(), pointer).getResult()
                : data(DenseElementsAttr::get(type, list.asArrayRef()),
                       LLVM::LLVMArrayType::get(b.getI64Type(), list.size())));
      } else if (isa<UnitAttr>(immediate)) {
        arguments.push_back(LLVM::ZeroOp::create(b, loc(), pointer));
      } else {
        return op.emitOpError("has an immediate of an unknown kind");
      }
    }
    for (Value number : op.getNumbers())
      arguments.push_back(mapping.lookup(number));
    call(op.getName(), arguments, op.getLoc());
    return success();
  }

  /// Lets the slot `to` share the value of `from`.
  void assign(int32_t to, int32_t from) {
    if (to != from)
      call("assign", {number(to), number(from)}, loc());
  }

  LogicalResult emit(scf::IfOp op) {
    auto branch = scf::IfOp::create(b, loc(), TypeRange(),
                                    mapping.lookup(op.getCondition()),
                                    /*withElseRegion=*/true);
    for (auto [region, target] :
         {std::pair(&op.getThenRegion(), branch.thenBlock()),
          std::pair(&op.getElseRegion(), branch.elseBlock())}) {
      OpBuilder::InsertionGuard guard(b);
      b.setInsertionPoint(target->getTerminator());
      if (region->empty())
        continue;
      for (Operation &inside : region->front().without_terminator())
        if (failed(emit(inside)))
          return failure();
      for (auto [result, value] : llvm::zip(
               op.getResults(), region->front().getTerminator()->getOperands()))
        assign(slotOf(result), slotOf(value));
    }
    return success();
  }

  /// One slot for each value that goes around, wherever it is.
  LogicalResult emit(scf::WhileOp op) {
    SmallVector<Value> inits;
    SmallVector<Type> types;
    SmallVector<int32_t> around;
    Block &before = op.getBefore().front(), &after = op.getAfter().front();
    for (auto [k, init] : llvm::enumerate(op.getInits())) {
      if (!isa<ValueType>(init.getType())) {
        inits.push_back(mapping.lookup(init));
        types.push_back(init.getType());
        continue;
      }
      int32_t slot = numSlots++;
      around.push_back(slot);
      for (Value value : {Value(before.getArgument(k)),
                          Value(after.getArgument(k)), op.getResult(k)})
        slots[value] = slot;
      assign(slot, slotOf(init));
    }
    auto loop = scf::WhileOp::create(b, loc(), types, inits);
    SmallVector<Location> places(types.size(), loc());
    auto enter = [&](Region &region, Block &from) {
      Block *block = b.createBlock(&region, {}, types, places);
      unsigned next = 0;
      for (Value argument : from.getArguments())
        if (!isa<ValueType>(argument.getType()))
          mapping.map(argument, block->getArgument(next++));
    };
    OpBuilder::InsertionGuard guard(b);
    enter(loop.getBefore(), before);
    for (Operation &inside : before.without_terminator())
      if (failed(emit(inside)))
        return failure();
    auto condition = cast<scf::ConditionOp>(before.getTerminator());
    SmallVector<Value> passed;
    for (Value value : condition.getArgs())
      if (!isa<ValueType>(value.getType()))
        passed.push_back(mapping.lookup(value));
    scf::ConditionOp::create(b, loc(), mapping.lookup(condition.getCondition()),
                             passed);
    enter(loop.getAfter(), after);
    for (Operation &inside : after.without_terminator())
      if (failed(emit(inside)))
        return failure();
    SmallVector<Value> next;
    SmallVector<int32_t> from;
    for (Value value : after.getTerminator()->getOperands()) {
      if (isa<ValueType>(value.getType()))
        from.push_back(slotOf(value));
      else
        next.push_back(mapping.lookup(value));
    }
    // All at once: what another slot still needs is set aside.
    for (int32_t &slot : from)
      if (llvm::is_contained(around, slot)) {
        int32_t aside = numSlots++;
        assign(aside, slot);
        slot = aside;
      }
    for (auto [to, value] : llvm::zip(around, from))
      assign(to, value);
    scf::YieldOp::create(b, loc(), next);
    return success();
  }

  ModuleOp module;
  func::FuncOp driver, native;
  OpBuilder b;
  LLVM::LLVMPointerType pointer;
  IRMapping mapping; ///< of numbers
  llvm::DenseMap<Value, int32_t> slots;
  llvm::StringMap<int32_t> symbolNumbers;
  std::map<std::string, Value> texts;
  SmallVector<Attribute> parts;
  int32_t numSlots = 0, numData = 0;
};

struct LowerDriver : impl::LowerDriverBase<LowerDriver> {
  using LowerDriverBase::LowerDriverBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto driver = module.lookupSymbol<func::FuncOp>("drive");
    if (!driver)
      return;
    OpBuilder b(&getContext());
    SmallVector<Attribute> inputs, outputs;
    for (unsigned i = 0; i < driver.getNumArguments(); ++i)
      inputs.push_back(port(driver.getArgAttrDict(i), module));
    for (unsigned i = 0; i < driver.getNumResults(); ++i)
      outputs.push_back(port(driver.getResultAttrDict(i), module));
    module->setAttr("fulgur.inputs", b.getArrayAttr(inputs));
    module->setAttr("fulgur.outputs", b.getArrayAttr(outputs));
    module->setAttr("fulgur.messages", b.getArrayAttr({}));
    module->setAttr("fulgur.arena_bytes", b.getI64IntegerAttr(0));

    Emitter emitter(module, driver);
    if (failed(emitter.emit(prefix + "__drive")))
      return signalPassFailure();
    driver.erase();
    func::FuncOp native = emitter.result();
    RewritePatternSet patterns(&getContext());
    populateSCFToControlFlowConversionPatterns(patterns);
    ConversionTarget target(getContext());
    target.addIllegalDialect<scf::SCFDialect>();
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    if (failed(applyPartialConversion(native, target, std::move(patterns))))
      return signalPassFailure();
    SmallVector<func::CallOp> calls;
    native.walk([&](func::CallOp call) { calls.push_back(call); });
    for (func::CallOp call : calls)
      stopOnFailure(call);
  }

private:
  /// A status that is not 0 ends the driver.
  static void stopOnFailure(func::CallOp call) {
    Location loc = call.getLoc();
    Block *before = call->getBlock();
    Block *after = before->splitBlock(call->getNextNode());
    OpBuilder b(call.getContext());
    Block *stop = b.createBlock(after);
    func::ReturnOp::create(b, loc, call.getResult(0));
    b.setInsertionPointToEnd(before);
    Value zero = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(0));
    Value good = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                                       call.getResult(0), zero);
    cf::CondBranchOp::create(b, loc, good, after, ValueRange(), stop,
                             ValueRange());
  }

  /// A port of the program: of a tensor, or of sequences and optionals, whose
  /// elements are described by a port of their own.
  static DictionaryAttr port(DictionaryAttr attributes, ModuleOp module) {
    if (auto type = attributes.getAs<TypeAttr>("fulgur.type"))
      return portOf(attributes, type.getValue(), module);
    Builder b(module.getContext());
    auto flag = [&](StringRef name) {
      auto value = attributes.getAs<BoolAttr>(name);
      return value && value.getValue();
    };
    auto make = [&](Attribute dtype, int64_t rank, StringRef dim,
                    DictionaryAttr element) {
      auto count = size_t(std::max<int64_t>(rank, 0));
      NamedAttrList port;
      port.set("name", attributes.get(kNameAttr));
      port.set("dtype", dtype);
      port.set("rank", b.getI64IntegerAttr(rank));
      port.set("dims", b.getI64ArrayAttr(SmallVector<int64_t>(count, -1)));
      port.set("texts", b.getStrArrayAttr(SmallVector<StringRef>(count, dim)));
      port.set("symbols", b.getI64ArrayAttr(SmallVector<int64_t>(count, -1)));
      if (element)
        port.set("element", element);
      return port.getDictionary(b.getContext());
    };
    auto rank = attributes.getAs<IntegerAttr>("fulgur.rank");
    DictionaryAttr result =
        make(attributes.get(kDTypeAttr), rank ? rank.getInt() : -1, "?", {});
    if (flag("fulgur.sequence"))
      result = make(b.getI64IntegerAttr(kSequence), 1, "length", result);
    if (flag("fulgur.optional"))
      result = make(b.getI64IntegerAttr(kOptional), 1, "0 or 1", result);
    return result;
  }
};
} // namespace
} // namespace fulgur
