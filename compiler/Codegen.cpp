// LLVM IR to machine code. The module is split into units, one for each kernel,
// so that they compile in parallel and are found again by what they say; the
// linker merges them.
#include "compiler/Codegen.h"
#include "compiler/Failure.h"
#include "compiler/KernelCache.h"
#include "compiler/Link.h"
#include "compiler/Units.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/TimeProfiler.h"
#include "llvm/TargetParser/Triple.h"
#include <map>

using namespace llvm;
using namespace fulgur;

/// What the return address and saved registers' alignment cost per call, beyond
/// the frame that LLVM reports.
static constexpr uint64_t callBytes = 16;

/// Sets what every function of the module is compiled with.
static void prepare(Module &module, const CpuTarget &target,
                    const CodegenOptions &options) {
  std::unique_ptr<TargetMachine> machine = target.machine(options.level);
  module.setTargetTriple(target.triple);
  module.setDataLayout(machine->createDataLayout());
  module.setPICLevel(PICLevel::BigPIC);
  for (GlobalValue &value : module.global_values()) {
    if (value.isDeclaration())
      continue;
    bool isPublic = is_contained(options.exports, value.getName());
    if (isPublic)
      value.setVisibility(GlobalValue::DefaultVisibility);
    else if (!value.hasLocalLinkage() && !options.linker.empty())
      value.setVisibility(GlobalValue::HiddenVisibility); // units share it
    else if (!value.hasLocalLinkage() &&
             value.getVisibility() != GlobalValue::HiddenVisibility)
      value.setLinkage(GlobalValue::InternalLinkage);
    value.setDSOLocal(true);
  }
  for (Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.setDoesNotThrow();
    if (is_contained(options.exports, function.getName())) {
      // The runtime, which it calls, has yet to check the CPU.
      function.addFnAttr("target-cpu", baselineCpu(target.triple));
      function.addFnAttr("target-features", "");
    } else if (!function.hasFnAttribute("target-cpu")) {
      for (auto &[name, value] : target.attributes())
        function.addFnAttr(name, value);
    }
    function.addFnAttr("frame-pointer", "none");
    function.addFnAttr("warn-stack-size",
                       "0"); // has LLVM tell every frame's size
    // Kernels are big and called from few places: inlining them would only make
    // one huge function.
    if (!function.hasFnAttribute(Attribute::AlwaysInline))
      function.addFnAttr(Attribute::NoInline);
    if (options.level == 0 && !function.hasFnAttribute(Attribute::AlwaysInline))
      function.addFnAttr(Attribute::OptimizeNone);
  }
}

static void optimize(Module &module, TargetMachine &machine, unsigned level) {
  PipelineTuningOptions tuning;
  tuning.LoopVectorization = tuning.SLPVectorization = tuning.LoopInterleaving =
      tuning.LoopUnrolling = level > 1;
  PassBuilder builder(&machine, tuning);
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  // There is no C library to call except for moving and filling memory, which
  // loops may well be turned into.
  TargetLibraryInfoImpl library(machine.getTargetTriple());
  library.disableAllFunctions();
  for (LibFunc function : {LibFunc_memcpy, LibFunc_memmove, LibFunc_memset})
    library.setAvailable(function);
  functions.registerPass([&] { return TargetLibraryAnalysis(library); });
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  static const OptimizationLevel levels[] = {
      OptimizationLevel::O0, OptimizationLevel::O1, OptimizationLevel::O2,
      OptimizationLevel::O3};
  ModulePassManager passes =
      level == 0
          ? builder.buildO0DefaultPipeline(OptimizationLevel::O0)
          : builder.buildPerModuleDefaultPipeline(levels[std::min(level, 3u)]);
  passes.run(module, modules);
}

namespace {

/// Collects what LLVM says while it compiles one part.
struct Listener : DiagnosticHandler {
  std::map<std::string, uint64_t> &frames;
  std::string &error;
  Listener(std::map<std::string, uint64_t> &frames, std::string &error)
      : frames(frames), error(error) {}

  bool handleDiagnostics(const DiagnosticInfo &info) override {
    if (const auto *size = dyn_cast<DiagnosticInfoStackSize>(&info)) {
      uint64_t &frame = frames[size->getFunction().getName().str()];
      frame = std::max(frame, size->getStackSize());
    } else if (info.getSeverity() == DS_Error) {
      raw_string_ostream os(error);
      DiagnosticPrinterRawOStream printer(os);
      info.print(printer);
    }
    return true;
  }
};

} // namespace

/// Returns what went wrong, or nothing.
static std::string emit(Module &module, const CpuTarget &target, unsigned level,
                        CodeGenFileType kind, raw_pwrite_stream &os,
                        std::map<std::string, uint64_t> &frames) {
  std::unique_ptr<TargetMachine> machine = target.machine(level);
  std::string error;
  module.getContext().setDiagnosticHandler(
      std::make_unique<Listener>(frames, error));
  {
    TimeTraceScope scope("Optimize", module.getName());
    optimize(module, *machine, level);
  }
  TimeTraceScope scope("Emit", module.getName());
  legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, os, nullptr, kind))
    return "the target cannot write this kind of file";
  passes.run(module);
  return error;
}

/// All that the code of a unit depends on.
static std::string keyOf(const Unit &unit, const CpuTarget &target,
                         unsigned level) {
  static const std::string identity = compilerIdentity();
  std::string text = unit.hash + "\n" + identity + "\n" + target.triple.str() +
                     "\n-O" + std::to_string(level);
  auto digest = BLAKE3::hash<20>(arrayRefFromStringRef(text));
  return toHex(digest, /*LowerCase=*/true);
}

/// Compiles a unit, or finds it in the cache.
static UnitCode compileUnit(Unit &unit, const CpuTarget &target,
                            const CodegenOptions &options) {
  UnitCode code;
  if (!unit.error.empty())
    return code;
  std::string key;
  if (options.cache) {
    key = keyOf(unit, target, options.level);
    if (std::optional<UnitCode> known = options.cache->find(key))
      return std::move(*known);
  }
  raw_svector_ostream os(code.object);
  unit.error = emit(*unit.module, target, options.level,
                    CodeGenFileType::ObjectFile, os, code.frames);
  if (options.cache && unit.error.empty())
    options.cache->keep(key, code);
  return code;
}

/// Compiles all units, the largest first, and merges them. Frames of functions
/// are noted under the names that the module has.
static Expected<ObjectBytes>
compileUnits(Units &split, const CpuTarget &target,
             const CodegenOptions &options,
             std::map<std::string, uint64_t> &frames) {
  std::vector<Unit> &units = split.units;
  std::vector<UnitCode> codes(units.size());
  std::vector<std::pair<size_t, unsigned>> order;
  for (auto [i, unit] : enumerate(units))
    order.push_back({SIZE_MAX - unit.instructions, i});
  llvm::sort(order);
  runInParallel(units.size(), options.threads, [&](unsigned i) {
    unsigned next = order[i].second;
    codes[next] = compileUnit(units[next], target, options);
    units[next].module.reset();
    units[next].context.reset();
  });
  std::vector<ObjectBytes> objects;
  for (auto [unit, code] : zip(units, codes)) {
    if (!unit.error.empty())
      return fail(ExitCode::internal,
                  "internal error: code generation failed: " + unit.error);
    for (auto &[function, bytes] : code.frames) {
      auto original = split.originalNames.find(function);
      uint64_t &frame =
          frames[original == split.originalNames.end() ? function
                                                       : original->second];
      frame = std::max(frame, bytes);
    }
    objects.push_back(std::move(code.object));
  }
  return objects.size() == 1 ? std::move(objects[0])
                             : mergeObjects(objects, options.linker);
}

using CallGraph = StringMap<std::vector<std::string>>;

/// For each function the functions that it calls or takes the address of: a
/// task that is handed to an executor runs, at worst, on the stack of the
/// function that handed it out.
static CallGraph callGraph(Module &module) {
  CallGraph graph;
  for (Function &function : module)
    for (Instruction &instruction : instructions(function))
      for (Value *operand : instruction.operand_values())
        if (auto *callee = dyn_cast<Function>(operand->stripPointerCasts());
            callee && !callee->isDeclaration())
          graph[function.getName()].push_back(callee->getName().str());
  return graph;
}

/// The deepest stack below and including `function`. `known` holds what has
/// been computed, and 0 for what is under way.
static uint64_t stackBelow(const std::string &function, const CallGraph &graph,
                           const std::map<std::string, uint64_t> &frames,
                           StringMap<uint64_t> &known) {
  if (auto [found, isNew] = known.try_emplace(function, 0); !isNew)
    return found->second;
  uint64_t deepest = 0;
  if (auto callees = graph.find(function); callees != graph.end())
    for (const std::string &callee : callees->second)
      deepest = std::max(deepest, stackBelow(callee, graph, frames, known));
  auto frame = frames.find(function);
  return known[function] =
             deepest + callBytes + (frame == frames.end() ? 0 : frame->second);
}

/// Generated code may move and fill memory, call the runtime, and compute what
/// the code generator has no instructions for with functions that every C
/// compiler's libraries have: doubles and remainders with libm's, conversions
/// of doubles to 16 bits with the compiler's. Anything else would be a library
/// the product lacks.
static bool mayCall(StringRef name) {
  static const StringSet<> known = {
      "memcpy", "memmove", "memset", "_GLOBAL_OFFSET_TABLE_",
      // libm
      "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt",
      "ceil", "cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1", "floor",
      "fma", "fmaf", "fmod", "fmodf", "log", "log10", "log1p", "log2", "pow",
      "rint", "round", "roundeven", "sin", "sinh", "sqrt", "tan", "tanh",
      "trunc",
      // libgcc, compiler-rt
      "__truncdfhf2"};
  return known.contains(name) || name.starts_with("fulgur_");
}

static Error checkUndefined(const ObjectBytes &object) {
  auto undefined = globalSymbols(object, /*defined=*/false);
  if (!undefined)
    return undefined.takeError();
  for (StringRef name : *undefined)
    if (!mayCall(name))
      return fail(ExitCode::internal,
                  "internal error: the generated code calls '" + name +
                      "', which no product has to have");
  return Error::success();
}

Expected<Code> fulgur::generateObject(Module &module, const CpuTarget &target,
                                      const CodegenOptions &options) {
  prepare(module, target, options);
  std::map<std::string, uint64_t> frames;
  Units split;
  if (!options.linker.empty()) {
    std::vector<std::string> entries;
    for (const CodegenOptions::Root &root : options.roots) {
      entries.push_back(root.function);
      append_range(entries, root.calledBack);
    }
    split = splitModule(module, options.exports, entries, options.threads);
  }
  CallGraph graph = callGraph(module);
  Code code;
  if (options.linker.empty()) {
    raw_svector_ostream os(code.object);
    std::string error = emit(module, target, options.level,
                             CodeGenFileType::ObjectFile, os, frames);
    if (!error.empty())
      return fail(ExitCode::internal,
                  "internal error: code generation failed: " + error);
  } else {
    Expected<ObjectBytes> object = compileUnits(split, target, options, frames);
    if (!object)
      return object.takeError();
    code.object = std::move(*object);
  }
  if (Error error = checkUndefined(code.object))
    return std::move(error);
  if (Error error =
          tidyObject(code.object, options.renamedSections, split.originalNames))
    return std::move(error);
  StringMap<uint64_t> known;
  for (const CodegenOptions::Root &root : options.roots) {
    uint64_t deepest = 0;
    for (const std::string &function : root.calledBack)
      deepest = std::max(deepest, stackBelow(function, graph, frames, known));
    code.stackBytes =
        std::max(code.stackBytes,
                 stackBelow(root.function, graph, frames, known) + deepest);
  }
  return code;
}

Error fulgur::generateText(Module &module, const CpuTarget &target,
                           const CodegenOptions &options, bool assembly,
                           raw_pwrite_stream &os) {
  prepare(module, target, options);
  std::map<std::string, uint64_t> frames;
  std::string error;
  if (assembly) {
    error = emit(module, target, options.level, CodeGenFileType::AssemblyFile,
                 os, frames);
  } else {
    for (Function &function : module)
      function.removeFnAttr("warn-stack-size");
    optimize(module, *target.machine(options.level), options.level);
    module.print(os, nullptr);
  }
  if (!error.empty())
    return fail(ExitCode::internal,
                "internal error: code generation failed: " + error);
  return Error::success();
}
