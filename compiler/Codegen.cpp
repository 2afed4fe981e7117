// LLVM IR to machine code. The module is split into parts of similar size, each
// with a context of its own, so that they compile in parallel; the linker
// merges them again. Which function goes into which part depends on the module
// alone.
#include "compiler/Codegen.h"
#include "compiler/Failure.h"
#include "compiler/Link.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Analysis/TargetLibraryInfo.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/DiagnosticInfo.h"
#include "llvm/IR/DiagnosticPrinter.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TimeProfiler.h"
#include "llvm/TargetParser/Triple.h"
#include <atomic>
#include <map>
#include <thread>

using namespace llvm;
using namespace fulgur;

/// A part holds about so many instructions: enough to pay for its context, few
/// enough to spread a model over threads.
static constexpr size_t instructionsPerPart = 3000;
static constexpr size_t maxParts = 32;

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

/// What came of one part.
struct Part {
  ObjectBytes object;
  std::map<std::string, uint64_t> frames;
  std::string error;
};

} // namespace

static void emit(Module &module, const CpuTarget &target, unsigned level,
                 CodeGenFileType kind, raw_pwrite_stream &os, Part &part) {
  std::unique_ptr<TargetMachine> machine = target.machine(level);
  module.getContext().setDiagnosticHandler(
      std::make_unique<Listener>(part.frames, part.error));
  {
    TimeTraceScope scope("Optimize", module.getName());
    optimize(module, *machine, level);
  }
  TimeTraceScope scope("Emit", module.getName());
  legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, os, nullptr, kind)) {
    part.error = "the target cannot write this kind of file";
    return;
  }
  passes.run(module);
}

/// Gives internal functions and variables names that other parts can refer to.
/// Constants stay internal: each part that needs one keeps its own copy, as it
/// does with functions that are meant to be inlined.
static void exposeInternals(Module &module) {
  for (GlobalObject &object : module.global_objects()) {
    if (!object.hasLocalLinkage())
      continue;
    auto *variable = dyn_cast<GlobalVariable>(&object);
    auto *function = dyn_cast<Function>(&object);
    if ((variable && variable->isConstant()) ||
        (function && function->hasFnAttribute(Attribute::AlwaysInline)))
      continue;
    if (!object.hasName())
      object.setName("anonymous");
    object.setLinkage(GlobalValue::ExternalLinkage);
    object.setVisibility(GlobalValue::HiddenVisibility);
  }
}

/// Returns for every function defined in `module` the part that it goes to:
/// always the next largest to the emptiest. Public ones go to part 0, where the
/// variables are: only within one part can code refer to what others may
/// preempt.
static StringMap<unsigned> assignParts(const Module &module,
                                       ArrayRef<std::string> exports,
                                       unsigned &numParts) {
  std::vector<std::pair<size_t, const Function *>> functions;
  size_t total = 0;
  for (const Function &function : module)
    if (!function.isDeclaration() && !function.hasLocalLinkage()) {
      functions.push_back({function.getInstructionCount(), &function});
      total += functions.back().first;
    }
  numParts = std::clamp<size_t>(
      total / instructionsPerPart, 1,
      std::min(maxParts, std::max<size_t>(functions.size(), 1)));
  llvm::sort(functions, [](auto &a, auto &b) {
    return std::pair(b.first, a.second->getName()) <
           std::pair(a.first, b.second->getName());
  });
  std::vector<size_t> load(numParts, 0);
  StringMap<unsigned> assignment;
  for (auto [size, function] : functions) {
    if (is_contained(exports, function->getName()))
      continue; // 0, which is what lookup() returns for them
    unsigned emptiest = llvm::min_element(load) - load.begin();
    assignment[function->getName()] = emptiest;
    load[emptiest] += size;
  }
  return assignment;
}

/// Reduces `module` to what belongs to part `index`: its functions, the
/// constants they use and, in part 0, all variables.
static void keepPart(Module &module, const StringMap<unsigned> &assignment,
                     unsigned index) {
  for (Function &function : module) {
    if (function.isDeclaration() || function.hasLocalLinkage())
      continue;
    if (assignment.lookup(function.getName()) != index)
      function.deleteBody();
  }
  for (GlobalVariable &variable : module.globals())
    if (index != 0 && !variable.isDeclaration() &&
        !variable.hasLocalLinkage()) {
      variable.setInitializer(nullptr);
      variable.setSection("");
    }
  // What nothing here refers to any more, and what only that referred to.
  for (bool changed = true; changed;) {
    changed = false;
    for (GlobalObject &object :
         llvm::make_early_inc_range(module.global_objects())) {
      object.removeDeadConstantUsers();
      if (object.use_empty() &&
          (object.hasLocalLinkage() || object.isDeclaration())) {
        object.eraseFromParent();
        changed = true;
      }
    }
  }
}

/// Compiles all parts on up to `threads` threads.
static std::vector<Part> compileParts(const Module &module,
                                      const CpuTarget &target,
                                      const CodegenOptions &options,
                                      const StringMap<unsigned> &assignment,
                                      unsigned numParts) {
  SmallVector<char, 0> bitcode;
  {
    raw_svector_ostream os(bitcode);
    WriteBitcodeToFile(module, os);
  }
  std::vector<Part> parts(numParts);
  std::atomic<unsigned> next = 0;
  bool tracing = timeTraceProfilerEnabled();
  auto work = [&] {
    for (unsigned i; (i = next++) < numParts;) {
      LLVMContext context;
      auto copy = parseBitcodeFile(
          MemoryBufferRef(StringRef(bitcode.data(), bitcode.size()),
                          "part" + std::to_string(i)),
          context);
      if (!copy) {
        parts[i].error = toString(copy.takeError());
        continue;
      }
      keepPart(**copy, assignment, i);
      raw_svector_ostream os(parts[i].object);
      emit(**copy, target, options.level, CodeGenFileType::ObjectFile, os,
           parts[i]);
    }
  };
  std::vector<std::thread> helpers;
  for (unsigned i = 1; i < std::min(options.threads, numParts); ++i)
    helpers.emplace_back([&] {
      if (tracing)
        timeTraceProfilerInitialize(500, "fulgurc");
      work();
      if (tracing)
        timeTraceProfilerFinishThread();
    });
  work();
  for (std::thread &helper : helpers)
    helper.join();
  return parts;
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
      "fma", "fmod", "fmodf", "log", "log10", "log1p", "log2", "pow", "rint",
      "round", "roundeven", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
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
  CallGraph graph = callGraph(module);
  unsigned numParts = 1;
  StringMap<unsigned> assignment;
  std::vector<Part> parts;
  if (!options.linker.empty()) {
    exposeInternals(module);
    graph = callGraph(module); // anonymous functions have names now
    assignment = assignParts(module, options.exports, numParts);
  }
  if (numParts > 1) {
    parts = compileParts(module, target, options, assignment, numParts);
  } else {
    parts.resize(1);
    raw_svector_ostream os(parts[0].object);
    emit(module, target, options.level, CodeGenFileType::ObjectFile, os,
         parts[0]);
  }

  std::map<std::string, uint64_t> frames;
  std::vector<ObjectBytes> objects;
  for (Part &part : parts) {
    if (!part.error.empty())
      return fail(ExitCode::internal,
                  "internal error: code generation failed: " + part.error);
    for (auto &[function, bytes] : part.frames)
      frames[function] = std::max(frames[function], bytes);
    objects.push_back(std::move(part.object));
  }

  Code code;
  if (objects.size() == 1) {
    code.object = std::move(objects[0]);
  } else {
    Expected<ObjectBytes> merged = mergeObjects(objects, options.linker);
    if (!merged)
      return merged.takeError();
    code.object = std::move(*merged);
  }
  if (Error error = checkUndefined(code.object))
    return std::move(error);
  if (Error error = tidyObject(code.object, options.renamedSections))
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
  Part part;
  if (assembly) {
    emit(module, target, options.level, CodeGenFileType::AssemblyFile, os,
         part);
  } else {
    for (Function &function : module)
      function.removeFnAttr("warn-stack-size");
    optimize(module, *target.machine(options.level), options.level);
    module.print(os, nullptr);
  }
  if (!part.error.empty())
    return fail(ExitCode::internal,
                "internal error: code generation failed: " + part.error);
  return Error::success();
}
