// How a kernel is found again in a database of schedules.
#include "passes/kernel/Tuning.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/AsmState.h"
#include "passes/Remarks.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace fulgur {

std::string kernelKey(KernelOp kernel, const Target &target) {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << target.vectorBytes << ' ' << target.vectorRegisters << ' ' << target.fma
     << (target.bf16 ? " bf16" : "") << (target.vnni ? " vnni" : "");
  for (Value operand : kernel.getOperands())
    os << ' ' << operand.getType()
       << (operand.getDefiningOp<arith::ConstantOp>() ? " constant" : "");
  os << '\n';
  OpPrintingFlags flags;
  flags.useLocalScope().elideLargeElementsAttrs(/*largeElementLimit=*/0);
  flags.elideLargeResourceString(/*largeResourceLimit=*/0);
  AsmState names(kernel, flags);
  kernel.bodyBlock()->print(os, names);
  return llvm::utohexstr(llvm::xxh3_64bits(text), /*LowerCase=*/true,
                         /*Width=*/16);
}

std::string scheduleText(ScheduleAttr schedule) {
  std::string text;
  llvm::raw_string_ostream os(text);
  Attribute(schedule).print(os, /*elideType=*/true);
  StringRef fields = text;
  fields.consume_front("#fulgur.schedule");
  return fields.str();
}

SmallVector<ScheduleAttr> schedulesFor(const KernelBuilder &builder,
                                       KernelOp kernel, const Target &target) {
  llvm::SmallSetVector<ScheduleAttr, 8> schedules;
  schedules.insert(builder.schedule(kernel, target));
  if (builder.alternatives)
    schedules.insert_range(
        builder.alternatives(kernel, target, schedules.front()));
  return schedules.takeVector();
}

const KernelBuilder *builderOf(KernelOp kernel) {
  for (const KernelBuilder &builder : kernelBuilders())
    if (builder.accepts(kernel))
      return &builder;
  return nullptr;
}
static StringAttr tunedSchedule(KernelOp kernel, const Target &target) {
  for (Operation *op = kernel; op; op = op->getParentOp())
    if (auto tuned = op->getAttrOfType<DictionaryAttr>(kTunedAttr))
      return tuned.getAs<StringAttr>(kernelKey(kernel, target));
  return {};
}

ScheduleAttr chooseSchedule(const KernelBuilder &builder, KernelOp kernel,
                            const Target &target, StringRef pass) {
  if (StringAttr tuned = tunedSchedule(kernel, target)) {
    for (ScheduleAttr schedule : schedulesFor(builder, kernel, target))
      if (scheduleText(schedule) == tuned.getValue())
        return schedule;
    remark(kernel, pass,
           "its tuned schedule " + tuned.getValue() +
               " is not one that its builder has: tune it again");
  }
  return builder.schedule(kernel, target);
}
} // namespace fulgur
