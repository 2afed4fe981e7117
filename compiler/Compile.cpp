// The steps of a compilation up to machine code.
#include "compiler/Compile.h"
#include "compiler/Compilation.h"
#include "compiler/Header.h"
#include "compiler/KernelCache.h"
#include "compiler/Link.h"
#include "dialects/States.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "passes/Passes.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/Threading.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace mlir;
using namespace fulgur;
using llvm::Error;
using llvm::Expected;

std::string fulgur::producer() {
  return "fulgurc " FULGUR_VERSION " (LLVM " LLVM_VERSION_STRING ")";
}

/// Diagnostics have said it.
static Error failSilently(ExitCode code) { return fail(code, ""); }

Error Compilation::plan() {
  Expected<Plan> planned = planArtifacts(options);
  if (!planned)
    return planned.takeError();
  files = std::move(*planned);
  Expected<std::vector<CpuTarget>> resolved = resolveTargets(options);
  if (!resolved)
    return resolved.takeError();
  targets = std::move(*resolved);
  target = targets.back();
  symbols.emplace(files.prefix);
  if (targets.size() > 1) {
    if (options.verifyNumerics || wants(Artifact::mlir))
      return fail(ExitCode::usage,
                  "IR is written and interpreted for one CPU only; leave out "
                  "--cpu-variants");
    llvm::StringSet<> taken;
    for (const CpuTarget &each : targets) {
      std::string id = uniqueIdentifier(each.name, "cpu", taken);
      variants.push_back(
          {each, id, Symbols(files.prefix + "__" + id), nullptr});
    }
  }
  if (options.input != "-" && !llvm::sys::fs::exists(options.input))
    return failFile("read", options.input,
                    std::make_error_code(std::errc::no_such_file_or_directory));
  return Error::success();
}

Error Compilation::read() {
  phases.begin("import");
  StringRef extension = llvm::sys::path::extension(options.input);
  if (extension == ".mlir" || extension == ".mlirbc" || options.input == "-")
    return readMlir();
  onnx::ImportStatus status =
      onnx::import(options.input, options.import, context, module);
  if (status == onnx::ImportStatus::ok && module)
    return saveTemp("import.mlir", [&](raw_ostream &os) {
      module->print(os, OpPrintingFlags()
                            .elideLargeResourceString(64)
                            .elideLargeElementsAttrs(64));
    });
  if (diagnostics.errors() == 0)
    return fail(ExitCode::internal, "internal error: the import of '" +
                                        options.input +
                                        "' failed without a reason");
  switch (status) {
  case onnx::ImportStatus::unsupported:
    return failSilently(ExitCode::unsupported);
  case onnx::ImportStatus::resourceLimit:
    return failSilently(ExitCode::resourceLimit);
  default:
    return failSilently(ExitCode::model);
  }
}

/// Reads MLIR of any stage: what --compile-to wrote, or what somebody wrote by
/// hand.
Error Compilation::readMlir() {
  fromMlir = true;
  auto buffer = llvm::MemoryBuffer::getFileOrSTDIN(options.input);
  if (!buffer)
    return failFile("read", options.input, buffer.getError());
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  module = parseSourceFile<ModuleOp>(sources, ParserConfig(&context));
  if (!module)
    return failSilently(ExitCode::model);
  if (auto written = (*module)->getAttrOfType<StringAttr>(stageAttr))
    reached = stageNamed(written.getValue()).value_or(Stage::import);
  else if ((*module)->hasAttr("fulgur.weights_bytes") &&
           (module->lookupSymbol<LLVM::LLVMFuncOp>(symbols->run()) ||
            module->lookupSymbol<LLVM::LLVMFuncOp>(symbols->drive)))
    reached = Stage::llvm;
  (*module)->removeAttr(stageAttr);
  if (options.startAfter)
    reached = *options.startAfter;
  return Error::success();
}

/// Whether @main has rows of bytes as states.
static bool hasByteStates(ModuleOp module) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  return main && llvm::any_of(llvm::seq(main.getNumArguments()), [&](auto i) {
           return bool(main.getArgAttr(i, kScalesOfAttr));
         });
}

/// Each stage is a pass manager of its own, so that it can be timed, dumped and
/// stopped at.
Error Compilation::runPasses() {
  if (options.verifyNumerics) {
    SmallString<128> stem(options.crashDir);
    llvm::sys::path::append(stem, files.prefix + "-");
    numerics.emplace(
        stem.str().str(), options.verbose,
        [&](const Twine &message) { diagnostics.note(message.str()); });
  }
  if (!variants.empty() && reached >= Stage::kernel)
    return fail(ExitCode::usage, "the input is past stage '" +
                                     stageName(Stage::graph) +
                                     "': its kernels are for one CPU, so it "
                                     "does not go with --cpu-variants");
  PipelineOptions pipeline{files.prefix, target.unit,
                           module->lookupSymbol("drive") != nullptr,
                           options.precision};
  for (Stage stage : stages) {
    if (stage <= reached)
      continue;
    if (options.stopAfter && stage > *options.stopAfter)
      break;
    phases.begin(stageName(stage));
    if (Error error = variants.empty()
                          ? runPasses(*module, pipeline, stage, buildStage)
                          : runVariants(stage))
      return error;
    reached = stage;
    if (stage == Stage::graph && options.precision.byteStates &&
        !hasByteStates(*module))
      return fail(
          ExitCode::unsupported,
          "--kv-cache=int8: no state is a cache that the model appends "
          "rows to, of float32, of a known length and at one place for all "
          "sequences; --remarks says more, and --dim fixes the length, "
          "or a batch of one");
    observe(stage);
    if (Error error =
            saveTemp(stageName(stage) + ".mlir", [&](raw_ostream &os) {
              module->print(os, OpPrintingFlags()
                                    .elideLargeResourceString(64)
                                    .elideLargeElementsAttrs(64));
            }))
      return error;
  }
  if (numerics)
    diagnostics.note(numerics->summary());
  return Error::success();
}

/// Small models of all kernels, to be measured.
Error Compilation::makeTrials() {
  if (reached != Stage::graph)
    return fail(ExitCode::usage, "kernels are made after stage 'graph'; the "
                                 "input is past stage '" +
                                     stageName(reached) + "'");
  phases.begin("trials");
  PipelineOptions pipeline{files.prefix, target.unit,
                           module->lookupSymbol("drive") != nullptr,
                           options.precision};
  PassManager pm(&context, ModuleOp::getOperationName());
  buildTrials(pm, pipeline, options.trialSizes, options.trialsOfChosen);
  if (failed(pm.run(*module)))
    return failPass(Stage::kernel, "");
  return writeTrials(*module, options.trials, target.cpu);
}

Error Compilation::runPasses(ModuleOp op, const PipelineOptions &pipeline,
                             Stage stage,
                             void (*build)(OpPassManager &,
                                           const PipelineOptions &, Stage)) {
  PassManager pm(&context, ModuleOp::getOperationName());
  if (failed(applyPassManagerCLOptions(pm)))
    return failSilently(ExitCode::usage);
  TimingScope stageTiming =
      timing.nest((pipeline.prefix + ": " + stageName(stage)).str());
  pm.enableTiming(stageTiming);
  build(pm, pipeline, stage);
  SmallString<128> reproducer;
  if (!options.crashDir.empty()) {
    if (std::error_code reason =
            llvm::sys::fs::create_directories(options.crashDir))
      return failFile("create folder", options.crashDir, reason);
    reproducer = options.crashDir;
    llvm::sys::path::append(reproducer,
                            pipeline.prefix + "-" + stageName(stage) + ".mlir");
    pm.enableCrashReproducerGeneration(reproducer);
  }
  if (numerics)
    pm.addInstrumentation(numerics->instrumentation(/*isLast=*/false));
  // A look at the IR behind every pass takes a quarter of the passes' time.
  pm.enableVerifier(numerics || !options.crashDir.empty());
  if (failed(pm.run(op)) || failed(verify(op)))
    return failPass(stage, reproducer);
  std::vector<Measurement> measurements = log.takeMeasurements();
  if (variants.empty() || op == variants.front().module)
    report.addMeasurements(measurements);
  if (numerics && !numerics->fault().empty())
    return fail(ExitCode::internal, "internal error: stage '" +
                                        stageName(stage) +
                                        "': " + numerics->fault());
  return Error::success();
}

/// One stage of a model for several kinds of CPUs: what has to be done once
/// comes first, but for the places of weights, which all variants name first.
Error Compilation::runVariants(Stage stage) {
  bool isForked = stage > Stage::kernel;
  bool isProgram = !isForked && module->lookupSymbol("drive");
  auto runCommon = [&] {
    return runPasses(
        *module,
        {files.prefix, targets.front().unit, isProgram, options.precision},
        stage, buildCommon);
  };
  if (!isForked)
    if (Error error = runCommon())
      return error;
  if (stage < Stage::kernel)
    return Error::success();
  if (!isForked)
    fork();
  for (Variant &variant : variants)
    if (Error error =
            runPasses(variant.module,
                      {variant.symbols.prefix, variant.target.unit,
                       variant.module.lookupSymbol("drive") != nullptr},
                      stage, buildFork))
      return error;
  return isForked ? runCommon() : Error::success();
}

/// Makes a module for each kind of CPUs, nested in one.
void Compilation::fork() {
  OwningOpRef<ModuleOp> all = ModuleOp::create(module->getLoc());
  for (Variant &variant : variants) {
    variant.module = module->clone();
    // Each chooses for itself how to compute; only the weights' layout stays.
    variant.module.walk([](KernelOp kernel) { kernel.removeScheduleAttr(); });
    all->push_back(variant.module);
  }
  module = std::move(all);
}

/// Reads what the variants' modules say and makes them one.
Error Compilation::join() {
  for (Variant &variant : variants) {
    for (StringRef name : {"fulgur.weights", "fulgur.weights_bytes"})
      variant.module->setAttr(name, (*module)->getAttr(name));
    FailureOr<ModelInfo> read = readModelInfo(variant.module);
    if (failed(read))
      return failSilently(ExitCode::internal);
    codeVariants.push_back({variant.target.name, variant.target.cpuFeatures,
                            *read, variant.symbols});
    SmallVector<Attribute> attributes;
    for (auto &[name, value] : variant.target.attributes())
      attributes.push_back(
          ArrayAttr::get(&context, {StringAttr::get(&context, name),
                                    StringAttr::get(&context, value)}));
    for (auto function : variant.module.getOps<LLVM::LLVMFuncOp>())
      if (!function.isExternal())
        function.setPassthroughAttr(ArrayAttr::get(&context, attributes));
    variant.module.setSymName(variant.id);
  }
  info = codeVariants.back().info;
  for (const CodeVariant &variant : codeVariants)
    info.arenaBytes = info.arenaBytes && variant.info.arenaBytes
                          ? std::max(info.arenaBytes, variant.info.arenaBytes)
                          : 0;
  PassManager pm(&context, ModuleOp::getOperationName());
  pm.addPass(createJoinParts());
  return failed(pm.run(*module)) ? failPass(Stage::llvm, "") : Error::success();
}

/// Notes for the report what the stage that has just ended shows. Of several
/// kinds of CPUs it is about the most demanding.
void Compilation::observe(Stage stage) {
  ModuleOp seen = variants.empty() || !variants.front().module
                      ? *module
                      : variants.front().module;
  if (stage == Stage::kernel)
    report.addKernels(seen);
  if (stage == Stage::memory)
    report.addFunctions(seen,
                        variants.empty() ? "" : variants.front().id + ".");
}

void Compilation::printRemarks() {
  report.remarks = log.remarks();
  if (!options.remarks)
    return;
  llvm::Regex wanted(*options.remarks);
  for (const RemarkEntry &remark : report.remarks) {
    std::string text = remark.pass + ": " + remark.reason;
    if (wanted.match(text))
      diagnostics.remark(remark.place, text);
  }
}

/// What the frontend accepts the passes have to compile: if they do not, it is
/// our fault.
Error Compilation::failPass(Stage stage, StringRef reproducer) {
  const Place &place = diagnostics.lastPlace();
  std::string where = place.node.empty() ? "" : " on node '" + place.node + "'";
  std::string message = "internal error: stage '" + stageName(stage).str() +
                        "' failed" + where +
                        "; please report it with the model";
  if (reproducer.empty())
    return fail(ExitCode::internal,
                message + ", or with what --crash-dir=DIR then writes");
  return fail(ExitCode::internal, message + ", or with '" + reproducer + "'");
}

Error Compilation::describe() {
  if (reached != Stage::llvm)
    return fail(ExitCode::usage, "the input is past stage '" +
                                     stageName(reached) +
                                     "' and cannot be compiled from there");
  if (!variants.empty())
    return join();
  FailureOr<ModelInfo> read = readModelInfo(*module);
  if (failed(read))
    return failSilently(fromMlir ? ExitCode::model : ExitCode::internal);
  info = std::move(*read);
  return Error::success();
}

Error Compilation::translate() {
  phases.begin("translate");
  llvmModule = translateModuleToLLVMIR(*module, llvmContext, files.prefix);
  if (!llvmModule)
    return fail(ExitCode::internal,
                "internal error: the module cannot be translated to LLVM IR; "
                "please report it with the model");
  llvmModule->setTargetTriple(target.triple);
  llvmModule->setDataLayout(target.machine(options.level)->createDataLayout());
  DescriptorOptions description;
  description.producer = producer();
  description.target = shownTarget();
  description.variants = codeVariants;
  description.cpuFeatures = target.cpuFeatures;
  description.embedWeights = embedsWeights();
  if (Error error = addDescriptor(*llvmModule, info, *symbols, description))
    return error;
  return saveTemp("ll",
                  [&](raw_ostream &os) { llvmModule->print(os, nullptr); });
}

/// For people: "x86_64-unknown-linux-gnu x86-64-v3", or the names of variants.
std::string Compilation::shownTarget() const {
  std::string cpus = target.shownCpu;
  if (!variants.empty()) {
    cpus.clear();
    for (const CpuTarget &each : llvm::reverse(targets))
      cpus += (cpus.empty() ? "" : ",") + each.name;
  }
  return target.triple.str() + " " + cpus;
}

CodegenOptions Compilation::codegenOptions() const {
  CodegenOptions result;
  result.level = options.level;
  result.threads = options.threads
                       ? options.threads
                       : llvm::hardware_concurrency().compute_thread_count();
  auto addRoot = [&](const ModelInfo &info, const Symbols &symbols) {
    CodegenOptions::Root root{info.program ? symbols.drive : symbols.run(), {}};
    if (info.program)
      for (const ModelInfo::Part &part : info.program->parts) {
        root.calledBack.push_back(symbols.plan(part.name));
        root.calledBack.push_back(symbols.run(part.name));
      }
    result.roots.push_back(root);
  };
  if (codeVariants.empty())
    addRoot(info, *symbols);
  for (const CodeVariant &variant : codeVariants)
    addRoot(variant.info, variant.symbols);
  llvm::append_range(result.exports, symbols->exported());
  result.renamedSections = {{symbols->weightsSpace, symbols->weightsSection}};
  return result;
}

Error Compilation::generate() {
  phases.begin("codegen");
  for (Artifact artifact : {Artifact::llvm, Artifact::assembly}) {
    if (!wants(artifact))
      continue;
    std::unique_ptr<llvm::Module> copy = llvm::CloneModule(*llvmModule);
    llvm::SmallVector<char, 0> text;
    llvm::raw_svector_ostream stream(text);
    if (Error error = generateText(*copy, target, codegenOptions(),
                                   artifact == Artifact::assembly, stream))
      return error;
    if (Error error =
            writeText(artifact, [&](raw_ostream &os) { os << stream.str(); }))
      return error;
  }
  if (!wantsObject() && !wants(Artifact::header) &&
      !wants(Artifact::reportData) && // these tell the stack's size
      !wants(Artifact::reportPage))
    return Error::success();
  CodegenOptions choices = codegenOptions();
  choices.linker = findLinker("");
  std::optional<KernelCache> cache;
  if (!options.cacheFolder.empty() && !choices.linker.empty())
    choices.cache = &cache.emplace(options.cacheFolder);
  Expected<Code> generated = generateObject(*llvmModule, target, choices);
  llvmModule.reset();
  if (!generated)
    return generated.takeError();
  code = std::move(*generated);
  if (cache) {
    cache->prune();
    if (std::string problem = cache->problem(); !problem.empty())
      diagnostics.report(DiagnosticSeverity::Warning, {},
                         "--cache-dir: " + problem);
    phases.tell(llvm::formatv("cache: {0} of {1} kernels found", cache->found(),
                              cache->asked()));
  }
  return measureCode();
}

/// How much code each kind of CPUs has.
Error Compilation::measureCode() {
  auto functions = functionBytes(code.object);
  if (!functions)
    return functions.takeError();
  codeBytes.assign(targets.size(), 0);
  for (auto &[name, bytes] : *functions)
    for (auto [i, each] : llvm::enumerate(codeBytes))
      if (variants.empty() || variants[i].owns(name))
        each += bytes;
  report.addCode(*functions);
  for (auto [target, bytes] : llvm::zip(targets, codeBytes)) {
    std::string cpu = target.name.empty() ? target.shownCpu : target.name;
    report.code.push_back({cpu, bytes});
    phases.tell(llvm::formatv("code for {0}: {1:F1} KiB", cpu, bytes / 1024.0));
  }
  return Error::success();
}

ExitCode fulgur::compile(const Options &options) {
  Diagnostics diagnostics(options);
  bool tracing = !options.timeTrace.empty();
  if (tracing)
    llvm::timeTraceProfilerInitialize(/*TimeTraceGranularity=*/500, "fulgurc");
  llvm::scope_exit stopTracing([&] {
    if (tracing)
      llvm::timeTraceProfilerCleanup();
  });

  Error error = Compilation(options, diagnostics).run();
  if (!error && tracing)
    error = llvm::timeTraceProfilerWrite(options.timeTrace, "fulgurc");
  ExitCode code = ExitCode::ok;
  llvm::handleAllErrors(
      std::move(error),
      [&](const Failure &failure) {
        code = failure.code;
        if (!failure.message.empty())
          diagnostics.error(failure.message);
      },
      [&](const llvm::ErrorInfoBase &other) {
        code = ExitCode::internal;
        diagnostics.error("internal error: " + other.message());
      });
  return code;
}
