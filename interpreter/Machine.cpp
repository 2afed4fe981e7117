#include "interpreter/Machine.h"
#include "interpreter/Host.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/DialectResourceBlobManager.h"
#include "mlir/IR/SymbolTable.h"
#include <cmath>
#include <cstring>

using namespace mlir;

namespace fulgur::interpreter {

/// Calls of functions inside of each other.
static constexpr unsigned kMaxDepth = 64;

const Registry &Registry::get() {
  static const Registry registry = [] {
    Registry all;
    registerArith(all);
    registerBufferization(all);
    registerControl(all);
    registerFulgur(all);
    registerLinalg(all);
    registerLLVM(all);
    registerMath(all);
    registerMemRef(all);
    registerScf(all);
    registerTensor(all);
    registerVector(all);
    return all;
  }();
  return registry;
}

std::pair<Handler, Elementwise> Registry::find(Operation *op) const {
  if (auto known = handlers.find(op->getName().getStringRef());
      known != handlers.end())
    return known->second;
  if (isa<linalg::LinalgOp>(op))
    return {runStructured, nullptr};
  return {};
}

void mapOver(Machine &machine, const Step &step, Elementwise compute) {
  SmallVector<Scalar, 4> operands(step.operands.size());
  Type type = step.op->getResult(0).getType();
  if (!isa<ShapedType>(type)) {
    for (auto [i, operand] : llvm::enumerate(operands))
      operand = machine.value(step, i).scalar;
    return machine.set(step, 0, compute(machine, step, operands.data()));
  }
  // Scalar operands, as the condition of a select, are for all elements.
  SmallVector<bool, 4> shaped;
  for (mlir::Value operand : step.op->getOperands())
    shaped.push_back(isa<ShapedType>(operand.getType()));
  if (isa<VectorType>(type)) {
    auto result = llvm::makeIntrusiveRefCnt<Lanes>();
    result->lanes.resize(cast<VectorType>(type).getNumElements());
    for (auto [k, lane] : llvm::enumerate(result->lanes)) {
      for (auto [i, operand] : llvm::enumerate(operands))
        operand = shaped[i] ? machine.lanes(step, i).lanes[k]
                            : machine.value(step, i).scalar;
      lane = compute(machine, step, operands.data());
    }
    return machine.set(step, 0, result);
  }
  auto *first = llvm::find(shaped, true);
  if (first == shaped.end())
    return machine.unknown(step, "an array of scalars");
  auto result = makeArray(step.resultFormats[0],
                          machine.array(step, first - shaped.begin()).sizes);
  for (int64_t k = 0, count = result->count(); k < count; ++k) {
    for (auto [i, operand] : llvm::enumerate(operands))
      operand = shaped[i] ? step.formats[i].load(machine.array(step, i).at(k))
                          : machine.value(step, i).scalar;
    result->format.store(compute(machine, step, operands.data()),
                         result->at(k));
  }
  machine.set(step, 0, result);
}

Machine::Machine(ModuleOp module, Host &host, double noise, unsigned seed)
    : host(host), module(module), noise(noise),
      random(0x9e3779b97f4a7c15 * (seed + 1)) {}

Machine::~Machine() = default;

void Machine::stop(Ending ending, const Twine &reason) {
  if (hasEnded())
    return; // the first reason counts
  end = ending;
  why = reason.str();
}

/// "'memref.load' of node 'conv_3'".
static std::string describe(Operation *op) {
  std::string text = "'" + op->getName().getStringRef().str() + "'";
  if (auto name = dyn_cast<NameLoc>(op->getLoc()))
    text += " of node '" + name.getName().str() + "'";
  return text;
}

void Machine::wrong(const Step &step, const Twine &reason) {
  stop(Ending::wrong, describe(step.op) + " " + reason);
}

void Machine::unknown(const Step &step, const Twine &what) {
  stop(Ending::unknown,
       "no interpretation of op " + describe(step.op) + " with " + what);
}

Scalar Machine::fused(Format format, double a, double b, double c) {
  switch (format.kind) {
  case Format::f64:
    return real(format, std::fma(a, b, c));
  case Format::f32: // a product of two is exact in double, the sum is not
    return real(format, std::fma(float(a), float(b), float(c)),
                /*exact=*/a * b + c == 0);
  default:
    return real(format, a * b + c);
  }
}

llvm::IntrusiveRefCntPtr<Array> Machine::constant(ElementsAttr attribute) {
  return constantOf(attribute, *host.constants);
}

llvm::IntrusiveRefCntPtr<Array> Machine::take(const Step &step, unsigned i) {
  Value &place = frame[step.operands[i]];
  llvm::IntrusiveRefCntPtr<Array> array(
      static_cast<Array *>(place.aggregate.get()));
  if (!step.last[i])
    return copyOf(*array);
  place.aggregate.reset();
  if (array->UseCount() == 1 && array->buffer->UseCount() == 1)
    return array;
  return copyOf(*array);
}

SmallVector<int64_t, 4> Machine::mixed(const Step &step,
                                       ArrayRef<int64_t> known,
                                       unsigned first) const {
  SmallVector<int64_t, 4> sizes(known);
  for (int64_t &size : sizes)
    if (ShapedType::isDynamic(size))
      size = integer(step, first++);
  return sizes;
}

//===-- From operations to steps ------------------------------------------===//

Body Machine::compile(Region &region,
                      llvm::DenseMap<mlir::Value, unsigned> &places) {
  Body body;
  llvm::DenseMap<mlir::Block *, unsigned> blocks;
  for (mlir::Block &block : region) {
    blocks[&block] = blocks.size();
    Block &compiled = body.blocks.emplace_back();
    for (mlir::Value argument : block.getArguments()) {
      compiled.arguments.push_back(places.size());
      places[argument] = compiled.arguments.back();
    }
    // A block may come before the one that dominates it.
    for (Operation &op : block)
      for (mlir::Value result : op.getResults()) {
        unsigned place = places.size();
        places[result] = place;
      }
  }
  for (auto [block, compiled] : llvm::zip(region, body.blocks)) {
    compiled.steps.reserve(block.getOperations().size());
    for (Operation &op : block)
      if (!compile(op, compiled.steps.emplace_back(), places, blocks))
        return body;
  }
  return body;
}

bool Machine::compile(Operation &op, Step &step,
                      llvm::DenseMap<mlir::Value, unsigned> &places,
                      const llvm::DenseMap<mlir::Block *, unsigned> &blocks) {
  step.op = &op;
  std::tie(step.handler, step.compute) = Registry::get().find(&op);
  if (!step.handler) {
    stop(Ending::unknown,
         "no interpretation of op '" + op.getName().getStringRef() + "'");
    return false;
  }
  for (mlir::Value operand : op.getOperands()) {
    step.operands.push_back(places.at(operand));
    step.formats.push_back(Format::of(operand.getType()));
    step.last.push_back(operand.hasOneUse() &&
                        operand.getParentBlock() == op.getBlock());
  }
  for (mlir::Value result : op.getResults()) {
    step.results.push_back(places.at(result));
    step.resultFormats.push_back(Format::of(result.getType()));
  }
  auto isNone = [](Format format) { return !format; };
  if (step.compute && (llvm::any_of(step.formats, isNone) ||
                       llvm::any_of(step.resultFormats, isNone))) {
    unknown(step, "such types");
    return false;
  }
  for (Region &region : op.getRegions()) {
    step.regions.push_back(compile(region, places));
    if (hasEnded())
      return false;
  }
  for (mlir::Block *block : op.getSuccessors())
    step.successors.push_back(blocks.at(block));
  return true;
}

const Function *Machine::find(StringRef name) {
  if (auto known = functions.find(name); known != functions.end())
    return known->second.get();
  Operation *op = SymbolTable::lookupSymbolIn(ModuleOp(module), name);
  auto function = dyn_cast_or_null<func::FuncOp>(op);
  if (!function || function.isExternal()) {
    stop(Ending::unknown, "no interpretation of function '" + name + "'");
    return nullptr;
  }
  auto compiled = std::make_unique<Function>();
  compiled->op = function;
  llvm::DenseMap<mlir::Value, unsigned> places;
  compiled->body.emplace(compile(function.getBody(), places));
  compiled->values = places.size();
  if (hasEnded())
    return nullptr;
  return (functions[name] = std::move(compiled)).get();
}

//===-- Execution ---------------------------------------------------------===//

std::optional<SmallVector<Value>> Machine::call(StringRef name,
                                                ArrayRef<Value> arguments) {
  const Function *function = find(name);
  if (!function)
    return std::nullopt;
  if (depth == kMaxDepth) {
    stop(Ending::unknown, "no interpretation of recursion");
    return std::nullopt;
  }
  std::vector<Value> values(function->values);
  Value *outer = frame;
  frame = values.data();
  ++depth;
  for (auto [i, argument] : llvm::enumerate(arguments))
    setArgument((*function->body), i, argument);
  run((*function->body));
  --depth;
  frame = outer;
  if (hasEnded())
    return std::nullopt;
  return SmallVector<Value>(std::make_move_iterator(yielded.begin()),
                            std::make_move_iterator(yielded.end()));
}

void Machine::run(const Body &body) {
  constexpr unsigned none = ~0u;
  next = none;
  for (unsigned block = 0; block != none; block = next) {
    if (block == next) // not the entry, whose arguments the caller has set
      for (auto [place, value] :
           llvm::zip(body.blocks[block].arguments, passed))
        frame[place] = std::move(value);
    next = none;
    for (const Step &step : body.blocks[block].steps) {
      step.handler(*this, step);
      if (hasEnded())
        return;
    }
  }
}

void Machine::yield(const Step &step) {
  SmallVector<Value, 4> values;
  for (unsigned i = 0; i < step.operands.size(); ++i)
    values.push_back(value(step, i));
  yielded = std::move(values);
  // What is handed over is not kept here as well, so that it can be changed in
  // place.
  for (unsigned i = 0; i < step.operands.size(); ++i)
    if (step.last[i])
      frame[step.operands[i]].aggregate.reset();
}

void Machine::jump(const Step &step, unsigned successor,
                   OperandRange operands) {
  SmallVector<Value, 4> values;
  unsigned first = operands.empty() ? 0 : operands.getBeginOperandIndex();
  for (unsigned i = 0; i < operands.size(); ++i)
    values.push_back(value(step, first + i));
  next = step.successors[successor];
  passed = std::move(values);
}

bool Machine::slice(const Function &function, ArrayRef<mlir::Value> values,
                    llvm::DenseSet<Operation *> &needed) {
  SmallVector<mlir::Value> work(values);
  mlir::Block &entry = func::FuncOp(function.op).getBody().front();
  while (!work.empty()) {
    Operation *op = work.pop_back_val().getDefiningOp();
    if (!op || op->getBlock() != &entry || op->getNumRegions())
      return false;
    if (needed.insert(op).second)
      llvm::append_range(work, op->getOperands());
  }
  return true;
}

bool Machine::isComputable(StringRef name, mlir::Value value) {
  const Function *function = find(name);
  llvm::DenseSet<Operation *> needed;
  return function && slice(*function, value, needed);
}

bool Machine::evaluate(StringRef name, ArrayRef<mlir::Value> values,
                       SmallVectorImpl<Scalar> &results) {
  const Function *function = find(name);
  llvm::DenseSet<Operation *> needed;
  if (!function || !slice(*function, values, needed))
    return false;
  std::vector<Value> memory(function->values);
  frame = memory.data();
  llvm::DenseMap<mlir::Value, unsigned> places;
  for (const Step &step : (*function->body).front().steps) {
    if (!needed.contains(step.op))
      continue;
    step.handler(*this, step);
    if (hasEnded())
      return false;
    for (auto [result, place] : llvm::zip(step.op->getResults(), step.results))
      places[result] = place;
  }
  for (mlir::Value value : values)
    results.push_back(frame[places.at(value)].scalar);
  frame = nullptr;
  return true;
}

//===-- Constants ---------------------------------------------------------===//

llvm::IntrusiveRefCntPtr<Array> constantOf(ElementsAttr attribute,
                                           Constants &keep) {
  auto &known = keep[attribute.getAsOpaquePointer()];
  if (known)
    return known;
  Format format = Format::of(attribute.getElementType());
  if (!format)
    return nullptr;
  auto array = makeArray(format, attribute.getShapedType().getShape());
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attribute)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob || int64_t(blob->getData().size()) < array->buffer->bytes)
      return nullptr;
    std::memcpy(array->buffer->data, blob->getData().data(),
                array->buffer->bytes);
    return known = array;
  }
  auto dense = dyn_cast<DenseElementsAttr>(attribute);
  if (!dense)
    return nullptr;
  int64_t count = array->count();
  auto read = [&](auto begin, auto convert) {
    for (int64_t k = 0; k < count; ++k) // of a splat all are the same
      format.store(convert(begin[k]), array->at(k));
  };
  if (format.isFloat())
    read(dense.value_begin<APFloat>(), [](APFloat value) {
      bool loses;
      value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                    &loses);
      return Scalar::of(value.convertToDouble());
    });
  else
    read(dense.value_begin<APInt>(),
         [](const APInt &value) { return Scalar::of(value.getSExtValue()); });
  return known = array;
}

} // namespace fulgur::interpreter
