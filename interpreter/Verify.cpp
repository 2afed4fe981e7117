#include "interpreter/Verify.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <chrono>

using namespace mlir;

namespace fulgur::interpreter {

namespace {
struct Instrumentation : PassInstrumentation {
  Instrumentation(Verification &verification, bool isLast)
      : verification(verification), isLast(isLast) {}
  ~Instrumentation() override {
    if (isLast)
      verification.forget();
  }

  void runBeforePass(Pass *, Operation *op) override { verification.start(op); }
  void runAfterPass(Pass *pass, Operation *op) override {
    StringRef name = pass->getArgument();
    verification.check(name.empty() ? pass->getName() : name, op);
  }

  Verification &verification;
  bool isLast;
};
} // namespace

std::unique_ptr<PassInstrumentation>
Verification::instrumentation(bool isLast) {
  return std::make_unique<Instrumentation>(*this, isLast);
}

/// Calls `visit` with the modules that have something to run: the one around
/// `op`, or those in it.
static void forEachUnit(Operation *op,
                        llvm::function_ref<void(ModuleOp)> visit) {
  auto module = dyn_cast<ModuleOp>(op);
  if (!module)
    module = op->getParentOfType<ModuleOp>();
  if (!module)
    return;
  if (!entriesOf(module).main.empty())
    return visit(module);
  for (auto part : module.getOps<ModuleOp>())
    visit(part);
}

/// From here on there is nothing that is not the code generator's.
static bool isLLVM(ModuleOp module) {
  return !module.getOps<LLVM::LLVMFuncOp>().empty();
}

void Verification::start(Operation *op) {
  if (found.empty())
    forEachUnit(op, [&](ModuleOp module) { start(module); });
}

void Verification::check(StringRef pass, Operation *op) {
  if (!found.empty())
    return;
  if (!isa<ModuleOp>(op)) {
    auto function = dyn_cast<func::FuncOp>(op);
    if (!function)
      function = op->getParentOfType<func::FuncOp>();
    return function ? keep(pass, function) : void();
  }
  forEachUnit(op, [&](ModuleOp module) {
    if (found.empty())
      check(pass, module);
  });
}

void Verification::start(ModuleOp module) {
  auto [place, isNew] = units.try_emplace(module.getName().value_or("").str());
  if (!isNew)
    return;
  Unit &unit = place->second;
  std::string why;
  if (entriesOf(module).main.empty())
    why = "there is no @main";
  else
    unit.trial = Trial::make(module, why);
  if (!unit.trial)
    return note("numerics" +
                (place->first.empty()
                     ? Twine()
                     : " of part '" + Twine(place->first) + "'") +
                " are not checked: " + why);
  unit.outcome = unit.trial->reference();
  unit.good = module.clone();
  unit.print.emplace(module);
  unit.seen = unit.print;
}

void Verification::check(StringRef pass, ModuleOp module) {
  Unit &unit = units[module.getName().value_or("").str()];
  if (!unit.trial || isLLVM(module))
    return;
  OperationFingerPrint print(module);
  if (unit.print == print)
    return; // it has changed nothing
  unit.print = unit.seen = print;
  auto began = std::chrono::steady_clock::now();
  Outcome outcome = unit.trial->run(module);
  std::string last = pass.str();
  if (!unit.changes.empty()) { // this is only the end of passes on functions
    last = unit.changes.back().pass;
    pass = last;
  }
  if (outcome.ending == Ending::unknown) {
    ++unknown;
    unit.unchecked.push_back(pass.str());
    if (said.insert(outcome.reason).second)
      note("numerics are not checked after pass '" + pass +
           "': " + outcome.reason);
    return;
  }
  ++checked;
  if (auto difference = unit.trial->compare(unit.outcome, outcome)) {
    if (!replay(unit))
      report(pass, module, unit, difference->text);
    return;
  }
  unit.changes.clear();
  if (verbose)
    note("numerics are unchanged by pass '" + pass + "', checked in " +
         Twine(std::chrono::duration_cast<std::chrono::milliseconds>(
                   std::chrono::steady_clock::now() - began)
                   .count()) +
         " ms");
  unit.outcome = std::move(outcome);
  unit.good = module.clone();
  unit.unchecked.clear();
}

void Verification::keep(StringRef pass, func::FuncOp function) {
  auto module = function->getParentOfType<ModuleOp>();
  Unit &unit = units[module.getName().value_or("").str()];
  if (!unit.trial || isLLVM(module))
    return;
  OperationFingerPrint print(module);
  if (unit.seen == print)
    return;
  unit.seen = print;
  unit.changes.push_back({pass.str(), function.clone()});
}

bool Verification::replay(Unit &unit) {
  OwningOpRef<ModuleOp> state = unit.good->clone();
  for (Change &change : unit.changes) {
    auto old = state->lookupSymbol<func::FuncOp>(change.function->getName());
    if (!old)
      return false;
    OpBuilder(old).insert(change.function->clone());
    old.erase();
    Outcome outcome = unit.trial->run(*state);
    if (outcome.ending == Ending::unknown)
      return false;
    if (auto difference = unit.trial->compare(unit.outcome, outcome)) {
      report(change.pass, *state, unit,
             "in function '" + change.function->getName().str() + "', " +
                 difference->text);
      return true;
    }
    unit.good = state->clone();
  }
  return false;
}

void Verification::report(StringRef pass, ModuleOp module, Unit &unit,
                          StringRef difference) {
  found = "pass '" + pass.str() + "'";
  if (!unit.unchecked.empty())
    found += ", or one before it that was not checked ('" +
             llvm::join(unit.unchecked, "', '") + "'),";
  found += " changes what the model computes: " + difference.str();
  if (std::string sizes = unit.trial->sizes(); !sizes.empty())
    found += "; with " + sizes;
  if (StringRef folder = llvm::sys::path::parent_path(stem); !folder.empty())
    llvm::sys::fs::create_directories(folder); // else the files say so
  for (auto [name, ir] :
       {std::pair("before", *unit.good), std::pair("after", module)}) {
    std::string path = stem + name + ".mlir";
    std::error_code reason;
    llvm::raw_fd_ostream os(path, reason);
    if (!reason)
      ir->print(os,
                OpPrintingFlags().enableDebugInfo().printGenericOpForm(false));
    os.close();
    bool failed = bool(reason) || os.has_error();
    os.clear_error();
    found += failed
                 ? "; '" + path + "' cannot be written"
                 : "; the IR " + std::string(name) + " it is in '" + path + "'";
  }
}

std::string Verification::summary() const {
  std::string text =
      "numerics: " + std::to_string(checked) + " changes of the IR checked";
  return unknown ? text + ", " + std::to_string(unknown) + " not" : text;
}

} // namespace fulgur::interpreter
