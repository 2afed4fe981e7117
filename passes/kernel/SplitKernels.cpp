// Makes small models of a model's kernels, so that these can be measured: one
// module for each different kernel and each schedule that its builder has for
// it, or only the one that it would get. What the kernel reads becomes the
// model's inputs, weights become constants of the same shape.
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "passes/Dims.h"
#include "passes/NodeName.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/TargetOptions.h"
#include "passes/kernel/Tuning.h"
#include "llvm/ADT/MapVector.h"
#include <set>

using namespace mlir;

namespace fulgur {
#define GEN_PASS_DEF_SPLITKERNELS
#include "passes/Passes.h.inc"

namespace {

/// What index arithmetic on symbols amounts to.
struct Sizes {
  llvm::StringMap<int64_t> symbols;

  std::optional<int64_t> of(OpFoldResult size) const {
    if (auto constant = getConstantIntValue(size))
      return constant;
    auto *op = cast<Value>(size).getDefiningOp();
    if (auto symbol = dyn_cast_or_null<SymbolOp>(op)) {
      auto known = symbols.find(symbol.getName());
      return known == symbols.end() ? std::nullopt
                                    : std::optional(known->second);
    }
    if (!op || op->getNumResults() != 1)
      return std::nullopt;
    Builder builder(op->getContext());
    SmallVector<Attribute> operands;
    for (Value operand : op->getOperands()) {
      std::optional<int64_t> value =
          operand.getType().isIndex() ? of(operand) : std::nullopt;
      if (!value)
        return std::nullopt;
      operands.push_back(builder.getIndexAttr(*value));
    }
    SmallVector<OpFoldResult> results;
    if (failed(op->fold(operands, results)) || results.size() != 1)
      return std::nullopt;
    return of(results[0]);
  }
};

/// One kernel, ready to be written down with any schedule.
struct Trial {
  KernelOp kernel;
  std::string key;
  unsigned uses;                          // of equal kernels in the model
  SmallVector<SmallVector<int64_t>> dims; // of all operands; one number for an
                                          // index
  static std::string symbol(int64_t size) { return "n" + std::to_string(size); }

  /// The names of an operand's dims: a dynamic one is named after its size, so
  /// that equal sizes stay equal.
  ArrayAttr names(Builder &builder, unsigned operand) {
    auto type = cast<RankedTensorType>(kernel->getOperand(operand).getType());
    SmallVector<Attribute> names;
    for (auto [dim, size] : llvm::zip(type.getShape(), dims[operand]))
      names.push_back(builder.getStringAttr(
          ShapedType::isDynamic(dim) ? symbol(size) : std::to_string(size)));
    return builder.getArrayAttr(names);
  }

  /// Sizes that are symbols of the small model: those of its inputs.
  std::set<int64_t> symbols() {
    std::set<int64_t> sizes;
    for (auto [operand, shape] : llvm::zip(kernel.getInputs(), ArrayRef(dims)))
      if (auto type = dyn_cast<RankedTensorType>(operand.getType()))
        for (auto [dim, size] : llvm::zip(type.getShape(), shape))
          if (ShapedType::isDynamic(dim))
            sizes.insert(size);
    return sizes;
  }

  std::string operands();
  void write(OpBuilder &builder, unsigned number, ScheduleAttr schedule);
};

/// A constant as fast to compute with as any other.
TypedAttr someConstant(RankedTensorType type) {
  Type element = type.getElementType();
  if (auto real = dyn_cast<FloatType>(element))
    return DenseElementsAttr::get(type, FloatAttr::get(real, 0.0078125));
  return DenseElementsAttr::get(type, IntegerAttr::get(element, 0));
}

/// "128x384xf32, constant 384x1536xf32 -> 128x1536xf32"
std::string Trial::operands() {
  std::string text;
  llvm::raw_string_ostream os(text);
  unsigned inputs = kernel.getInputs().size();
  for (auto [number, operand] : llvm::enumerate(kernel.getOperands())) {
    os << (number == inputs ? " -> " : number ? ", " : "");
    auto type = dyn_cast<RankedTensorType>(operand.getType());
    if (!type) {
      os << operand.getType();
      continue;
    }
    if (operand.getDefiningOp<arith::ConstantOp>())
      os << "constant ";
    for (int64_t size : dims[number])
      os << size << 'x';
    os << type.getElementType();
  }
  return text;
}

void Trial::write(OpBuilder &builder, unsigned number, ScheduleAttr schedule) {
  OpBuilder::InsertionGuard guard(builder);
  Location loc = kernel.getLoc();
  std::string name = ("k" + key + "_" + Twine(number)).str();
  auto module = ModuleOp::create(builder, loc, name);
  std::set<int64_t> known = symbols();
  SmallVector<Attribute> described;
  SmallVector<NamedAttribute> sizes;
  for (int64_t size : known) {
    described.push_back(builder.getDictionaryAttr(
        {builder.getNamedAttr("name", builder.getStringAttr(symbol(size))),
         builder.getNamedAttr("min", builder.getI64IntegerAttr(0)),
         builder.getNamedAttr("max", builder.getI64IntegerAttr(INT64_MAX))}));
    sizes.push_back(
        builder.getNamedAttr(symbol(size), builder.getI64IntegerAttr(size)));
  }
  module->setAttr("fulgur.model", builder.getStringAttr(name));
  module->setAttr(kSymbolsAttr, builder.getArrayAttr(described));
  std::string from = nodeName(loc);
  module->setAttr(
      kTrialAttr,
      builder.getDictionaryAttr(
          {builder.getNamedAttr("key", builder.getStringAttr(key)),
           builder.getNamedAttr("kernel", builder.getStringAttr(from)),
           builder.getNamedAttr("operands", builder.getStringAttr(operands())),
           builder.getNamedAttr("uses", builder.getI64IntegerAttr(uses)),
           builder.getNamedAttr(
               "schedule",
               builder.getStringAttr(schedule ? scheduleText(schedule) : "")),
           builder.getNamedAttr("sizes", builder.getDictionaryAttr(sizes))}));

  builder.setInsertionPointToStart(module.getBody());
  SmallVector<Type> types;
  for (Value input : kernel.getInputs())
    if (isa<RankedTensorType>(input.getType()) &&
        !input.getDefiningOp<arith::ConstantOp>())
      types.push_back(input.getType());
  auto function = func::FuncOp::create(
      builder, loc, "main",
      builder.getFunctionType(types, kernel.getResultTypes()));
  builder.setInsertionPointToStart(function.addEntryBlock());
  auto sizeOf = [&](int64_t size) -> Value {
    if (known.count(size))
      return SymbolOp::create(builder, loc, symbol(size));
    return arith::ConstantIndexOp::create(builder, loc, size);
  };
  IRMapping mapping;
  unsigned argument = 0;
  for (auto [number, input] : llvm::enumerate(kernel.getInputs())) {
    auto type = dyn_cast<RankedTensorType>(input.getType());
    if (!type) {
      mapping.map(input, sizeOf(dims[number][0]));
    } else if (input.getDefiningOp<arith::ConstantOp>()) {
      mapping.map(input,
                  arith::ConstantOp::create(builder, loc, someConstant(type)));
    } else {
      function.setArgAttr(argument, kNameAttr,
                          builder.getStringAttr("input" + Twine(argument)));
      function.setArgAttr(argument, kDimsAttr, names(builder, number));
      if (!mapping.contains(input))
        mapping.map(input, function.getArgument(argument));
      ++argument;
    }
  }
  for (auto [number, out] : llvm::enumerate(kernel.getOuts())) {
    unsigned operand = kernel.getInputs().size() + number;
    auto type = cast<RankedTensorType>(out.getType());
    SmallVector<Value> dynamic;
    for (auto [dim, size] : llvm::zip(type.getShape(), dims[operand]))
      if (ShapedType::isDynamic(dim))
        dynamic.push_back(sizeOf(size));
    function.setResultAttr(number, kNameAttr,
                           builder.getStringAttr("output" + Twine(number)));
    function.setResultAttr(number, kDimsAttr, names(builder, operand));
    mapping.map(out, tensor::EmptyOp::create(builder, loc, type, dynamic));
  }
  auto copy = cast<KernelOp>(builder.clone(*kernel, mapping));
  if (schedule)
    copy.setScheduleAttr(schedule);
  func::ReturnOp::create(builder, loc, copy.getResults());
}

struct SplitKernels : OnTarget<impl::SplitKernelsBase<SplitKernels>> {
  using OnTarget::OnTarget;

  void runOnOperation() override {
    Target target = targetOptions();
    if (failed(readSizes()))
      return signalPassFailure();
    SmallVector<Operation *> old = llvm::map_to_vector(
        *getOperation().getBody(), [](Operation &op) { return &op; });
    SmallVector<KernelOp> kernels;
    getOperation().walk([&](KernelOp kernel) { kernels.push_back(kernel); });
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    llvm::MapVector<StringAttr, SmallVector<KernelOp>> equal;
    for (KernelOp kernel : kernels)
      equal[builder.getStringAttr(kernelKey(kernel, target))].push_back(kernel);
    for (auto &[key, uses] : equal) {
      KernelOp kernel = uses.front();
      SmallVector<ScheduleAttr> schedules = schedulesOf(kernel, target);
      if (schedules.empty())
        continue;
      if (!llvm::all_of(kernel->getOperandTypes(), canBePort)) {
        remark(kernel, getArgument(),
               "it is not measured: it has a tensor of indices");
        continue;
      }
      Trial trial{kernel, key.str(), unsigned(uses.size()), {}};
      if (failed(measure(trial))) {
        remark(kernel, getArgument(),
               "it is not measured: its sizes are not known");
        continue;
      }
      for (auto [number, schedule] : llvm::enumerate(schedules))
        trial.write(builder, number, schedule);
    }
    for (Operation *op : llvm::reverse(old))
      op->erase();
  }

private:
  /// A model can neither take nor give tensors of indices, such as a kernel's
  /// that finds where a mask begins.
  static bool canBePort(Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return !tensor || !tensor.getElementType().isIndex();
  }

  /// Symbols that can have one size only, and those that the option tells.
  LogicalResult readSizes() {
    known.symbols.clear();
    if (auto symbols = getOperation()->getAttrOfType<ArrayAttr>(kSymbolsAttr))
      for (auto symbol : symbols.getAsRange<DictionaryAttr>())
        if (symbol.get("min") == symbol.get("max"))
          known.symbols[symbol.getAs<StringAttr>("name")] =
              symbol.getAs<IntegerAttr>("min").getInt();
    for (StringRef text : sizes) {
      auto [name, number] = text.rsplit('=');
      int64_t size;
      if (number.getAsInteger(10, size) || size < 0)
        return getOperation().emitError()
               << "size '" << text << "' is not NAME=N";
      known.symbols[name] = size;
    }
    return success();
  }

  /// What to measure of a kernel. Null is the schedule of a kernel without a
  /// builder.
  SmallVector<ScheduleAttr> schedulesOf(KernelOp kernel, const Target &target) {
    const KernelBuilder *builder = builderOf(kernel);
    if (chosenOnly)
      return {builder ? chooseSchedule(*builder, kernel, target, getArgument())
                      : ScheduleAttr()};
    if (!builder)
      return {};
    SmallVector<ScheduleAttr> schedules =
        schedulesFor(*builder, kernel, target);
    return schedules.size() > 1 ? schedules : SmallVector<ScheduleAttr>();
  }

  /// The sizes of all operands; fails when one of them is not known, or is a
  /// number that would have to be made up.
  LogicalResult measure(Trial &trial) {
    OpBuilder builder(trial.kernel);
    for (Value operand : trial.kernel->getOperands()) {
      SmallVector<OpFoldResult> dims{operand};
      if (isa<RankedTensorType>(operand.getType())) {
        FailureOr<SmallVector<OpFoldResult>> found = dimsOf(builder, operand);
        if (failed(found))
          return failure();
        dims = *found;
      } else if (!operand.getType().isIndex()) {
        return failure();
      }
      SmallVector<int64_t> &numbers = trial.dims.emplace_back();
      for (OpFoldResult dim : dims) {
        std::optional<int64_t> number = known.of(dim);
        if (!number)
          return failure();
        numbers.push_back(*number);
      }
    }
    return success();
  }

  Sizes known;
};
} // namespace
} // namespace fulgur
