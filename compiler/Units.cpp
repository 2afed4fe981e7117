// The pieces of a module that are compiled apart: one for each kernel and one
// for each function that calls kernels.
#include "compiler/Units.h"
#include "llvm/ADT/EquivalenceClasses.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/TimeProfiler.h"
#include <atomic>
#include <thread>

using namespace llvm;
using namespace fulgur;

void fulgur::runInParallel(unsigned count, unsigned threads,
                           function_ref<void(unsigned)> work) {
  std::atomic<unsigned> next = 0;
  bool tracing = timeTraceProfilerEnabled();
  auto claim = [&] {
    for (unsigned i; (i = next++) < count;)
      work(i);
  };
  std::vector<std::thread> helpers;
  for (unsigned i = 1; i < std::min(threads, count); ++i)
    helpers.emplace_back([&] {
      if (tracing)
        timeTraceProfilerInitialize(500, "fulgurc");
      claim();
      if (tracing)
        timeTraceProfilerFinishThread();
    });
  claim();
  for (std::thread &helper : helpers)
    helper.join();
}

/// Gives internal variables names that other units can refer to. Constants stay
/// internal, and so do functions: each unit that needs one has its own copy.
static void exposeVariables(Module &module) {
  for (GlobalVariable &variable : module.globals()) {
    if (!variable.hasLocalLinkage() || variable.isConstant())
      continue;
    if (!variable.hasName())
      variable.setName("anonymous");
    variable.setLinkage(GlobalValue::ExternalLinkage);
    variable.setVisibility(GlobalValue::HiddenVisibility);
  }
}

static bool isUnitFunction(const Function &function) {
  return !function.isDeclaration() && !function.hasLocalLinkage();
}

namespace {

/// Which unit every function goes to. The first units are the exports with the
/// variables, and the entries; the others, the kernels.
struct Assignment {
  StringMap<unsigned> unitOf;
  unsigned firstKernel = 1, count = 1;
};

} // namespace

static Assignment assignUnits(Module &module, ArrayRef<std::string> exports,
                              ArrayRef<std::string> entries) {
  Assignment assignment;
  for (const std::string &name : exports)
    assignment.unitOf[name] = 0;
  for (const std::string &name : entries)
    if (Function *function = module.getFunction(name);
        function && isUnitFunction(*function) &&
        assignment.unitOf.try_emplace(name, assignment.count).second)
      ++assignment.count;
  assignment.firstKernel = assignment.count;

  // Functions that refer to each other are one kernel.
  EquivalenceClasses<Function *> kernels;
  for (Function &function : module) {
    if (!isUnitFunction(function) ||
        assignment.unitOf.contains(function.getName()))
      continue;
    kernels.insert(&function);
    for (Instruction &instruction : instructions(function))
      for (Value *operand : instruction.operand_values())
        if (auto *callee = dyn_cast<Function>(operand->stripPointerCasts());
            callee && isUnitFunction(*callee) &&
            !assignment.unitOf.contains(callee->getName()))
          kernels.unionSets(&function, callee);
  }
  DenseMap<Function *, unsigned> numbers;
  for (Function &function : module) {
    if (!isUnitFunction(function) ||
        assignment.unitOf.contains(function.getName()))
      continue;
    auto [number, isNew] =
        numbers.try_emplace(kernels.getLeaderValue(&function), 0);
    if (isNew)
      number->second = assignment.count++;
    assignment.unitOf[function.getName()] = number->second;
  }
  return assignment;
}

/// Removes what nothing here refers to, and what only that referred to.
static void removeUnused(Module &module) {
  for (bool changed = true; changed;) {
    changed = false;
    for (GlobalObject &object : make_early_inc_range(module.global_objects())) {
      object.removeDeadConstantUsers();
      if (object.use_empty() &&
          (object.hasLocalLinkage() || object.isDeclaration())) {
        object.eraseFromParent();
        changed = true;
      }
    }
  }
}

/// Reads those functions of `bitcode` that belong to unit `index`, the
/// constants and helpers they use and, in unit 0, all variables.
static Expected<std::unique_ptr<Module>> extract(MemoryBufferRef bitcode,
                                                 LLVMContext &context,
                                                 const Assignment &assignment,
                                                 unsigned index) {
  auto read = getLazyBitcodeModule(bitcode, context);
  if (!read)
    return read.takeError();
  std::unique_ptr<Module> module = std::move(*read);
  SmallVector<Function *> wanted;
  for (Function &function : *module) {
    if (!isUnitFunction(function))
      continue;
    if (assignment.unitOf.lookup(function.getName()) == index)
      wanted.push_back(&function);
    else
      function.deleteBody();
  }
  SmallPtrSet<Function *, 8> reached(wanted.begin(), wanted.end());
  while (!wanted.empty()) {
    Function *function = wanted.pop_back_val();
    if (Error error = function->materialize())
      return std::move(error);
    for (Instruction &instruction : instructions(*function))
      for (Value *operand : instruction.operand_values())
        if (auto *callee = dyn_cast<Function>(operand->stripPointerCasts());
            callee && callee->hasLocalLinkage() &&
            reached.insert(callee).second)
          wanted.push_back(callee);
  }
  for (Function &function : *module)
    if (function.hasLocalLinkage() && !reached.contains(&function))
      function.deleteBody();
  if (Error error = module->materializeAll())
    return std::move(error);
  for (GlobalVariable &variable : module->globals())
    if (index != 0 && !variable.isDeclaration() &&
        !variable.hasLocalLinkage()) {
      variable.setInitializer(nullptr);
      variable.setSection("");
    }
  removeUnused(*module);
  // Names that say where in which model this is.
  module->setModuleIdentifier("unit");
  module->setSourceFileName("unit");
  for (GlobalVariable &variable : module->globals())
    if (variable.hasLocalLinkage())
      variable.setName("");
  return module;
}

static std::string hashOf(const Module &module) {
  SmallVector<char, 0> bitcode;
  raw_svector_ostream os(bitcode);
  WriteBitcodeToFile(module, os);
  auto digest = BLAKE3::hash<16>(ArrayRef(
      reinterpret_cast<const uint8_t *>(bitcode.data()), bitcode.size()));
  return toHex(digest, /*LowerCase=*/true);
}

Units fulgur::splitModule(Module &module, ArrayRef<std::string> exports,
                          ArrayRef<std::string> entries, unsigned threads) {
  exposeVariables(module);
  Assignment assignment = assignUnits(module, exports, entries);
  SmallVector<char, 0> bitcode;
  {
    raw_svector_ostream os(bitcode);
    WriteBitcodeToFile(module, os);
  }
  Units result;
  std::vector<Unit> &units = result.units;
  units.resize(assignment.count);
  std::vector<std::map<std::string, std::string>> names(assignment.count);
  auto make = [&](unsigned index) {
    Unit &unit = units[index];
    unit.context = std::make_unique<LLVMContext>();
    unit.context->setDiscardValueNames(true);
    auto extracted = extract(
        MemoryBufferRef(StringRef(bitcode.data(), bitcode.size()), "unit"),
        *unit.context, assignment, index);
    if (!extracted) {
      unit.error = toString(extracted.takeError());
      return;
    }
    unit.module = std::move(*extracted);
    unit.instructions = unit.module->getInstructionCount();
  };

  // Kernels are named after what they say, which is told without names.
  unsigned first = assignment.firstKernel;
  runInParallel(assignment.count - first, threads, [&](unsigned i) {
    make(first + i);
    Unit &unit = units[first + i];
    if (!unit.module)
      return;
    std::vector<std::pair<Function *, std::string>> functions;
    for (Function &function : *unit.module)
      if (isUnitFunction(function)) {
        functions.push_back({&function, function.getName().str()});
        function.setName("unit." + Twine(functions.size()));
      }
    unit.hash = hashOf(*unit.module);
    for (auto [number, function] : enumerate(functions)) {
      std::string name = unit.hash + "." + std::to_string(number);
      function.first->setName(name);
      names[first + i][function.second] = name;
    }
  });
  StringMap<std::string> finalNames;
  for (auto &each : names)
    for (auto &[original, name] : each) {
      finalNames[original] = name;
      result.originalNames.try_emplace(name, original);
    }

  runInParallel(first, threads, [&](unsigned index) {
    make(index);
    Unit &unit = units[index];
    if (!unit.module)
      return;
    for (Function &function : make_early_inc_range(*unit.module)) {
      auto name = finalNames.find(function.getName());
      if (name == finalNames.end())
        continue;
      Function *same = unit.module->getFunction(name->second);
      if (!same) {
        function.setName(name->second);
        continue;
      }
      function.replaceAllUsesWith(same); // an equal kernel
      function.eraseFromParent();
    }
    unit.hash = hashOf(*unit.module);
  });
  // Moved into a new list: assigning to a unit would free its context before
  // its module.
  StringSet<> known;
  std::vector<Unit> different;
  for (Unit &unit : units)
    if (!unit.module || known.insert(unit.hash).second)
      different.push_back(std::move(unit));
  units.swap(different);
  return result;
}
