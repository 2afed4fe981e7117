#include "frontends/onnx/Program.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace fulgur;
using namespace fulgur::onnx;

static func::FuncOp makeMain(ModuleOp module, Location loc) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  auto main = func::FuncOp::create(builder, loc, "main",
                                   builder.getFunctionType({}, {}));
  main.addEntryBlock();
  return main;
}

Program::Program(MLIRContext &context, Location file)
    : builder(&context), driver(&context), file(file),
      module(ModuleOp::create(builder, file)) {
  sizes.carry = [this](Value index, StringRef name) {
    return carry(index, name);
  };
  Part &part = parts.emplace_back();
  part.module = *module;
  part.main = makeMain(*module, file);
  current = &part;
  sizes.begin(&part.main.front());
  builder.setInsertionPointToEnd(&part.main.front());
}

/// The only part becomes the first one, and its arguments the driver's.
void Program::split() {
  if (drive)
    return;
  OwningOpRef<ModuleOp> outer = ModuleOp::create(file);
  Part &first = parts.front();
  driver.setInsertionPointToEnd(outer->getBody());
  auto value = ValueType::get(driver.getContext());
  SmallVector<Type> types(first.main.getNumArguments(), value);
  drive = func::FuncOp::create(driver, file, "drive",
                               driver.getFunctionType(types, {}));
  Block *entry = drive.addEntryBlock();
  for (unsigned i = 0; i < types.size(); ++i) {
    NamedAttrList attributes(first.main.getArgAttrDict(i));
    attributes.set("fulgur.type",
                   TypeAttr::get(first.main.getArgument(i).getType()));
    drive.setArgAttrs(i, attributes);
    first.inputs.push_back(entry->getArgument(i));
    first.local[entry->getArgument(i)] = first.main.getArgument(i);
  }
  first.module.setName("part_0");
  outer->getBody()->push_back(module.release());
  module = std::move(outer);
  driver.setInsertionPointToEnd(entry);
}

Value Program::addInput(RankedTensorType type, DictionaryAttr attributes) {
  if (drive) {
    NamedAttrList all(attributes);
    if (type)
      all.set("fulgur.type", TypeAttr::get(type));
    (void)drive.insertArgument(drive.getNumArguments(),
                               ValueType::get(driver.getContext()),
                               all.getDictionary(driver.getContext()), file);
    return drive.getArguments().back();
  }
  (void)current->main.insertArgument(current->main.getNumArguments(), type,
                                     attributes, file);
  return current->main.getArguments().back();
}

std::optional<Program::Input> Program::inputOf(BlockArgument argument) const {
  Operation *function = argument.getOwner()->getParentOp();
  unsigned number = argument.getArgNumber();
  if (!drive && function == current->main)
    return Input{number, cast<RankedTensorType>(argument.getType())};
  if (!drive || function != drive)
    return std::nullopt;
  auto type =
      func::FuncOp(drive).getArgAttrOfType<TypeAttr>(number, "fulgur.type");
  auto tensor =
      type ? dyn_cast<RankedTensorType>(type.getValue()) : RankedTensorType();
  return tensor ? std::optional(Input{number, tensor}) : std::nullopt;
}

Value Program::sourceOf(BlockArgument argument) const {
  for (const Part &part : parts) {
    if (argument.getOwner()->getParentOp() != part.main)
      continue;
    if (!drive)
      return argument;
    Value outside = part.inputs[argument.getArgNumber()];
    for (const Part &other : parts)
      for (auto [output, exported] : llvm::zip(other.outputs, other.exported))
        if (exported == outside)
          return output;
    return isa<BlockArgument>(outside) ? outside : Value();
  }
  return argument;
}

void Program::open() {
  Part &part = parts.emplace_back();
  OpBuilder end = OpBuilder::atBlockEnd(module->getBody());
  part.module =
      ModuleOp::create(end, file, ("part_" + Twine(parts.size() - 1)).str());
  part.main = makeMain(part.module, file);
  current = &part;
  sizes.begin(&part.main.front());
  builder.setInsertionPointToEnd(&part.main.front());
}

void Program::cut(Location loc) {
  split();
  current->run = RunOp::create(
      driver, loc, current->module.getSymName().value(), current->inputs);
  open();
}

static func::FuncOp functionOf(Value value) {
  Operation *owner = value.getDefiningOp();
  if (!owner)
    owner = cast<BlockArgument>(value).getOwner()->getParentOp();
  if (auto function = dyn_cast<func::FuncOp>(owner))
    return function;
  return owner->getParentOfType<func::FuncOp>();
}

bool Program::isHere(Value value) const {
  return functionOf(value) == current->main;
}

Program::Part *Program::partOf(Value value) {
  func::FuncOp main = functionOf(value);
  for (Part &part : parts)
    if (part.main == main)
      return &part;
  return nullptr;
}

Value Program::bring(Value value, RankedTensorType type, ArrayRef<Extent> shape,
                     DType dtype, Location loc) {
  if (Value known = current->local.lookup(value))
    return known;
  if (auto constant = value.getDefiningOp<arith::ConstantOp>())
    return current->local[value] = builder.clone(*constant)->getResult(0);
  Value outside = value;
  if (Part *part = partOf(value))
    outside = exportValue(*part, value, dtype, loc);
  if (Value known = current->local.lookup(outside)) {
    current->local[value] = known;
    return known;
  }
  func::FuncOp main = current->main;
  DictionaryAttr attributes;
  if (needsName(dtype))
    attributes = builder.getDictionaryAttr(builder.getNamedAttr(
        kDTypeAttr, builder.getI64IntegerAttr(int64_t(dtype))));
  (void)main.insertArgument(main.getNumArguments(), type, attributes, loc);
  Value argument = main.getArguments().back();
  current->inputs.push_back(outside);
  current->local[outside] = current->local[value] = argument;
  if (!type.hasStaticShape())
    sizes.sized(argument, shape, loc);
  return argument;
}

Value Program::exportValue(Part &part, Value value, DType type, Location loc) {
  if (auto argument = dyn_cast<BlockArgument>(value);
      argument && argument.getOwner() == &part.main.front())
    return part.inputs[argument.getArgNumber()];
  for (auto [output, exported] : llvm::zip(part.outputs, part.exported))
    if (output == value)
      return exported;
  OpBuilder after(part.run);
  after.setInsertionPointAfter(part.exported.empty()
                                   ? part.run.getOperation()
                                   : part.exported.back().getDefiningOp());
  Value exported = OutputOp::create(
      after, part.run.getLoc(), ValueType::get(after.getContext()),
      part.run.getPartAttr(), after.getI64IntegerAttr(part.outputs.size()));
  part.outputs.push_back(value);
  part.types.push_back(type);
  part.exported.push_back(exported);
  return exported;
}

Value Program::valueOf(const Tensor &x, llvm::function_ref<Value()> make,
                       Location loc) {
  split();
  Value value = x.value();
  if (value && functionOf(value) == drive)
    return value;
  Part *part = value ? partOf(value) : nullptr;
  // Constants would keep alive a part that is there for nothing else.
  if (part && part != current && !value.getDefiningOp<arith::ConstantOp>())
    return exportValue(*part, value, x.type, loc);
  value = make();
  part = current;
  cut(loc);
  return exportValue(*part, value, x.type, loc);
}

std::string Program::carry(Value index, StringRef name) {
  Part &part = *partOf(index);
  OpBuilder inside = OpBuilder::atBlockEnd(&part.main.front());
  Location loc = index.getLoc();
  Value wide =
      arith::IndexCastOp::create(inside, loc, inside.getI64Type(), index);
  Value tensor = tensor::FromElementsOp::create(
      inside, loc, RankedTensorType::get({}, inside.getI64Type()), wide);
  Value exported = exportValue(part, tensor, DType::i64, loc);
  std::string symbol = unique(name);
  OpBuilder after(driver.getContext());
  after.setInsertionPointAfterValue(exported);
  DefineElementOp::create(after, loc, symbol, exported, 0);
  addSymbol(symbol, 0);
  return symbol;
}

std::string Program::unique(StringRef hint) {
  return (hint + "#" + Twine(++names)).str();
}

void Program::addSymbol(const std::string &name, int64_t min) {
  defined.push_back(builder.getDictionaryAttr(
      {builder.getNamedAttr("name", builder.getStringAttr(name)),
       builder.getNamedAttr("min", builder.getI64IntegerAttr(min)),
       builder.getNamedAttr("max", builder.getI64IntegerAttr(Atoms::kMax)),
       builder.getNamedAttr("source", builder.getI64IntegerAttr(2))}));
}

Extent Program::defineDim(StringRef hint, Value value, int64_t axis,
                          Location loc) {
  std::string name = unique(hint);
  DefineDimOp::create(driver, loc, name, value, axis);
  addSymbol(name, 0);
  return sizes.atoms.symbol(name, 0);
}

Extent Program::defineElement(StringRef hint, Value value, int64_t element,
                              Location loc) {
  std::string name = unique(hint);
  DefineElementOp::create(driver, loc, name, value, element);
  addSymbol(name, Atoms::kMin);
  return sizes.atoms.value(name, Atoms::kMin, Atoms::kMax);
}

void Program::leave(const Facts &outside, Location loc) {
  cut(loc);
  sizes.restore(outside.sizes);
  elements = outside.elements;
}

void Program::discard(Operation *op) {
  op->walk([&](RunOp run) {
    for (Part &part : parts)
      if (part.run == run)
        part.run = {};
  });
  op->erase();
}

void fulgur::onnx::removeDeadOperations(func::FuncOp main) {
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(main.front())))
    if (isOpTriviallyDead(&op))
      op.erase();
}

/// Removes what the driver does for nothing: outputs of parts that nobody
/// takes, and then parts that compute and check nothing.
void Program::dropUnused() {
  llvm::DenseMap<Operation *, Part *> running;
  for (Part &part : parts)
    if (part.run)
      running[part.run] = &part;
  SmallVector<Operation *> ops; // post-order: users behind what they use
  drive.walk([&](Operation *op) { ops.push_back(op); });
  llvm::DenseSet<Part *> used;
  auto isUsedLater = [](Value value) { return !value.use_empty(); };
  for (Operation *op : llvm::reverse(ops)) {
    if (auto run = dyn_cast<RunOp>(op)) {
      Part &part = *running.lookup(run);
      SmallVector<Value> outputs, exported;
      SmallVector<DType> types;
      for (size_t k = 0; k < part.outputs.size(); ++k) {
        Operation *output = part.exported[k].getDefiningOp();
        if (!isUsedLater(part.exported[k])) {
          output->erase();
          continue;
        }
        cast<OutputOp>(output).setIndex(outputs.size());
        outputs.push_back(part.outputs[k]);
        exported.push_back(part.exported[k]);
        types.push_back(part.types[k]);
      }
      part.outputs = outputs;
      part.exported = exported;
      part.types = types;
      close(part);
      bool checks = false;
      part.main.walk([&](Operation *inside) {
        checks |= isa<RequireOp, BoundedOp, CheckBoundsOp>(inside);
      });
      if (part.outputs.empty() && !checks) {
        run.erase();
        part.run = {};
      }
    } else if (isa<StepOp, WriteOp, ReadOp, ExtentOp, NoneOp>(op) &&
               op->getNumResults() && op->use_empty()) {
      op->erase();
    }
  }
}

/// Writes what the part returns and leaves out the operands it does not use.
void Program::close(Part &part) {
  func::FuncOp main = part.main;
  OpBuilder end = OpBuilder::atBlockEnd(&main.front());
  func::ReturnOp::create(end, file, part.outputs);
  removeDeadOperations(main);
  for (unsigned i = main.getNumArguments(); i-- > 0;) {
    BlockArgument argument = main.getArgument(i);
    if (!llvm::all_of(argument.getUsers(),
                      [](Operation *user) { return isa<SizedOp>(user); }))
      continue;
    for (Operation *user : llvm::make_early_inc_range(argument.getUsers()))
      user->erase();
    (void)main.eraseArgument(i);
    part.run.getInputsMutable().erase(i);
  }
  removeDeadOperations(main);
  main.setType(end.getFunctionType(main.getArgumentTypes(),
                                   ValueRange(part.outputs).getTypes()));
  for (auto [k, type] : llvm::enumerate(part.types))
    if (needsName(type))
      main.setResultAttr(k, kDTypeAttr, end.getI64IntegerAttr(int64_t(type)));
}

OwningOpRef<ModuleOp> Program::finish(ArrayRef<Value> results,
                                      ArrayRef<DictionaryAttr> ports,
                                      SmallVector<Attribute> symbols,
                                      StringRef model) {
  llvm::append_range(symbols, defined);
  auto describe = [&](ModuleOp part) {
    part->setAttr(kSymbolsAttr, builder.getArrayAttr(symbols));
    part->setAttr("fulgur.model", builder.getStringAttr(model));
  };
  describe(*module);
  func::FuncOp last = drive ? drive : current->main;
  OpBuilder end = OpBuilder::atBlockEnd(&last.front());
  func::ReturnOp::create(end, file, results);
  last.setType(end.getFunctionType(last.getArgumentTypes(),
                                   ValueRange(results).getTypes()));
  for (auto [k, attributes] : llvm::enumerate(ports))
    last.setResultAttrs(k, attributes);
  if (!drive) {
    removeDeadOperations(last);
    return std::move(module);
  }
  dropUnused();
  for (Part &part : parts) {
    if (!part.run)
      part.module.erase(); // never run
    else
      describe(part.module);
  }
  return std::move(module);
}
