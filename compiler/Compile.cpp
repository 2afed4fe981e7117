// The compiler as one function: a model in, files out. Read run() first: it is
// the line.
#include "compiler/Compile.h"
#include "compiler/Artifacts.h"
#include "compiler/Codegen.h"
#include "compiler/Descriptor.h"
#include "compiler/Header.h"
#include "compiler/KernelCache.h"
#include "compiler/Link.h"
#include "compiler/ModelInfo.h"
#include "compiler/Outputs.h"
#include "compiler/Phases.h"
#include "compiler/Pipeline.h"
#include "compiler/RemarkLog.h"
#include "compiler/Report.h"
#include "compiler/Tuning.h"
#include "compiler/Weights.h"
#include "interpreter/Verify.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Support/Timing.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "passes/Passes.h"
#include "runtime/fulgur.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/Threading.h"
#include "llvm/Transforms/Utils/Cloning.h"

using namespace mlir;
using namespace fulgur;
using llvm::Error;
using llvm::Expected;

/// Written into IR that a compilation stopped at, so that the next one knows
/// where to go on.
static constexpr llvm::StringLiteral stageAttr = "fulgur.stage";

std::string fulgur::producer() {
  return "fulgurc " FULGUR_VERSION " (LLVM " LLVM_VERSION_STRING ")";
}

/// Diagnostics have said it.
static Error failSilently(ExitCode code) { return fail(code, ""); }

namespace {

/// All inputs of one compilation and everything it has found out so far.
class Compilation {
public:
  Compilation(const Options &options, Diagnostics &diagnostics)
      : options(options), diagnostics(diagnostics),
        phases(diagnostics, options.verbose), context(makeRegistry()) {
    applyDefaultTimingManagerCLOptions(timer); // --mlir-timing
    timing = timer.getRootScope();
    log.attach(context);
    diagnostics.attach(context);
    context.printOpOnDiagnostic(false);
    if (options.threads == 1 || options.verifyNumerics)
      context.disableMultithreading();
  }

  ~Compilation() { diagnostics.detach(); }

  Error run() {
    if (Error error = plan())
      return error;
    if (Error error = read())
      return error;
    if (!options.tuningDatabase.empty())
      if (Error error = readTuning(options.tuningDatabase, target.cpu, *module))
        return error;
    if (Error error = runPasses())
      return error;
    if (!options.trials.empty())
      return makeTrials();
    printRemarks();
    if (options.stopAfter) {
      if (Error error = writeMlir())
        return error;
      return outputs.commit();
    }
    if (Error error = describe())
      return error;
    if (wants(Artifact::mlir))
      if (Error error = writeMlir())
        return error;
    if (Error error = translate())
      return error;
    if (Error error = generate())
      return error;
    if (Error error = writeWeights())
      return error;
    if (Error error = writeObject())
      return error;
    if (Error error = writeLibraries())
      return error;
    if (Error error = measureAccuracy())
      return error;
    if (Error error = writeHeaderAndPkgConfig())
      return error;
    if (Error error = writeReport())
      return error;
    if (Error error = writeDependencies())
      return error;
    return outputs.commit();
  }

private:
  static DialectRegistry makeRegistry() {
    DialectRegistry registry;
    registerDialects(registry);
    registerBuiltinDialectTranslation(registry);
    registerLLVMDialectTranslation(registry);
    return registry;
  }

  bool wants(Artifact artifact) const { return files.files.count(artifact); }
  bool wantsObject() const {
    return wants(Artifact::object) || wants(Artifact::archive) || wantsShared();
  }
  bool wantsShared() const {
    return wants(Artifact::shared) || options.measureAccuracy;
  }
  bool embedsWeights() const { return options.weights == WeightsMode::embed; }

  Error plan();
  Error read();
  Error readMlir();
  Error runPasses();
  Error makeTrials();
  Error runPasses(ModuleOp op, const PipelineOptions &pipeline, Stage stage,
                  void (*build)(OpPassManager &, const PipelineOptions &,
                                Stage));
  Error runVariants(Stage stage);
  void fork();
  Error join();
  void observe(Stage stage);
  void printRemarks();
  Error failPass(Stage stage, StringRef reproducer);
  Error describe();
  Error translate();
  Error generate();
  Error measureCode();
  Error writeMlir();
  Error writeWeights();
  Error writeObject();
  Error writeLibraries();
  Error measureAccuracy();
  Error writeHeaderAndPkgConfig();
  Error writeReport();
  Error writeDependencies();
  Error saveTemp(const Twine &name,
                 llvm::function_ref<void(raw_ostream &)> print);
  Error writeText(Artifact artifact,
                  llvm::function_ref<void(raw_ostream &)> print);
  std::string shownTarget() const;
  CodegenOptions codegenOptions() const;
  Expected<std::string> findRuntime() const;

  const Options &options;
  Diagnostics &diagnostics;
  Phases phases;
  DefaultTimingManager timer;
  TimingScope timing;
  MLIRContext context;
  Outputs outputs;

  /// One kind of CPUs among several.
  struct Variant {
    const CpuTarget &target;
    std::string id; ///< "v4_vnni"
    Symbols symbols;
    ModuleOp module; ///< inside `module`, once it is forked

    bool owns(StringRef function) const {
      return function.starts_with(id + ".") ||
             function.starts_with(symbols.prefix + "__");
    }
  };

  Plan files;
  std::vector<CpuTarget> targets; ///< the most demanding first
  CpuTarget target;               ///< the only one, or the least demanding
  std::optional<Symbols> symbols;
  OwningOpRef<ModuleOp> module;
  std::vector<Variant> variants; ///< empty when there is only one
  std::vector<CodeVariant> codeVariants;
  std::optional<interpreter::Verification> numerics;
  RemarkLog log;
  Report report;
  Stage reached = Stage::import;
  bool fromMlir = false;
  ModelInfo info;
  llvm::LLVMContext llvmContext;
  std::unique_ptr<llvm::Module> llvmModule;
  Code code;
  std::vector<uint64_t> codeBytes; ///< of each of `targets`
  std::optional<uint64_t> weightsHash;
  std::string objectFile;              ///< where m.o is at the moment
  std::string weightsFile, sharedFile; ///< and m.weights, and m.so
};

} // namespace

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
  if (failed(pm.run(op)))
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

/// Runs `print` on a new file `path`.
static Error writeFile(StringRef path,
                       llvm::function_ref<void(raw_ostream &)> print) {
  std::error_code reason;
  llvm::raw_fd_ostream os(path, reason);
  if (reason)
    return failFile("write", path, reason);
  print(os);
  os.close();
  reason = os.error();
  os.clear_error();
  return reason ? failFile("write", path, reason) : Error::success();
}

Error Compilation::saveTemp(const Twine &name,
                            llvm::function_ref<void(raw_ostream &)> print) {
  if (options.saveTemps.empty())
    return Error::success();
  if (std::error_code reason =
          llvm::sys::fs::create_directories(options.saveTemps))
    return failFile("create folder", options.saveTemps, reason);
  SmallString<128> path(options.saveTemps);
  llvm::sys::path::append(path, files.prefix + "." + name);
  return writeFile(path, print);
}

Error Compilation::writeText(Artifact artifact,
                             llvm::function_ref<void(raw_ostream &)> print) {
  const std::string &path = files.files.at(artifact);
  if (path == "-") {
    print(llvm::outs());
    llvm::outs().flush();
    return Error::success();
  }
  Expected<std::string> temporary = outputs.stage(path);
  return temporary ? writeFile(*temporary, print) : temporary.takeError();
}

Error Compilation::writeMlir() {
  (*module)->setAttr(stageAttr, StringAttr::get(&context, stageName(reached)));
  llvm::scope_exit remove([&] { (*module)->removeAttr(stageAttr); });
  return writeText(Artifact::mlir, [&](raw_ostream &os) { module->print(os); });
}

Error Compilation::writeWeights() {
  if (!wants(Artifact::weights))
    return Error::success();
  phases.begin("weights");
  Expected<std::string> path = outputs.stage(files.files.at(Artifact::weights));
  if (!path)
    return path.takeError();
  Expected<uint64_t> hash = writeWeightsFile(info, *path);
  if (!hash)
    return hash.takeError();
  weightsHash = *hash;
  weightsFile = *path;
  return Error::success();
}

/// Writes the object: what the code generator made, the weights behind it,
/// and then, into the descriptor, the numbers that are known only now.
Error Compilation::writeObject() {
  if (!wantsObject())
    return Error::success();
  phases.begin("object");
  auto field = [&](size_t at) {
    return offsetOfSymbol(code.object, symbols->model, at);
  };
  Expected<uint64_t> stackAt = field(offsetof(fulgur_model, stack_bytes)),
                     hashAt = field(offsetof(fulgur_model, weights_hash));
  if (!stackAt || !hashAt)
    return llvm::joinErrors(stackAt.takeError(), hashAt.takeError());
  llvm::support::endian::write64le(code.object.data() + *stackAt,
                                   code.stackBytes);
  if (weightsHash)
    llvm::support::endian::write64le(code.object.data() + *hashAt,
                                     *weightsHash);
  bool embeds = embedsWeights() && info.weightsBytes > 0;
  if (embeds) {
    Expected<uint64_t> offset =
        fillSection(code.object, symbols->weightsSection);
    if (!offset)
      return offset.takeError();
  }

  // Also made when only m.so or m.a is wanted; what has no final name is
  // removed at the end.
  std::string path = wants(Artifact::object) ? files.files.at(Artifact::object)
                                             : files.stem + ".o";
  Expected<std::string> temporary =
      wants(Artifact::object) ? outputs.stage(path) : outputs.scratch(path);
  if (!temporary)
    return temporary.takeError();
  objectFile = *temporary;
  std::error_code reason;
  llvm::raw_fd_ostream os(objectFile, reason);
  if (reason)
    return failFile("write", path, reason);
  os.write(code.object.data(), code.object.size());
  if (embeds) {
    Expected<uint64_t> hash = writeSegment(info, os);
    if (!hash)
      return hash.takeError();
    char bytes[8];
    llvm::support::endian::write64le(bytes, *hash);
    os.pwrite(bytes, sizeof bytes, *hashAt);
  }
  os.close();
  reason = os.error();
  os.clear_error();
  return reason ? failFile("write", path, reason) : Error::success();
}

/// libfulgur_rt.a stands beside the compiler: in ../lib when installed as
/// when built.
Expected<std::string> Compilation::findRuntime() const {
  if (!options.runtimeLibrary.empty())
    return options.runtimeLibrary;
  SmallString<128> path(llvm::sys::path::parent_path(
      llvm::sys::path::parent_path(options.programPath)));
  llvm::sys::path::append(path, "lib", "libfulgur_rt.a");
  if (llvm::sys::fs::exists(path))
    return std::string(path);
  return fail(ExitCode::model, "cannot make a shared library: '" + path +
                                   "' does not exist; name libfulgur_rt.a with "
                                   "--runtime, or use --emit without 'so'");
}

Error Compilation::writeLibraries() {
  if (wants(Artifact::archive)) {
    phases.begin("archive");
    Expected<std::string> path =
        outputs.stage(files.files.at(Artifact::archive));
    if (!path)
      return path.takeError();
    std::string member = (llvm::sys::path::filename(files.stem) + ".o").str();
    auto exported = symbols->exported();
    if (Error error = writeArchive(*path, objectFile, member, exported))
      return error;
  }
  if (!wantsShared())
    return Error::success();
  phases.begin("link");
  std::string final = wants(Artifact::shared) ? files.files.at(Artifact::shared)
                                              : files.stem + ".so";
  Expected<std::string> runtime = findRuntime();
  if (!runtime)
    return runtime.takeError();
  Expected<std::string> path =
      wants(Artifact::shared) ? outputs.stage(final) : outputs.scratch(final);
  if (!path)
    return path.takeError();
  sharedFile = *path;
  SharedLibrary library;
  library.path = *path;
  library.soname = llvm::sys::path::filename(final).str();
  library.object = objectFile;
  library.runtimeLibrary = *runtime;
  llvm::append_range(library.exports, symbols->exported());
  library.linker = options.linker;
  return linkShared(library, target);
}

/// Says how far the outputs are from those of the same model in float32.
Error Compilation::measureAccuracy() {
  if (!options.measureAccuracy)
    return Error::success();
  phases.begin("accuracy");
  Expected<Accuracy> accuracy =
      options.measureAccuracy(sharedFile, weightsFile);
  if (!accuracy)
    return accuracy.takeError();
  for (const OutputError &error : accuracy->outputs)
    diagnostics.note(
        llvm::formatv("accuracy: output '{0}' is at most {1:E2} from float32, "
                      "{2:E2} of its largest value (rms {3:E2}), on {4}",
                      error.output, error.maxAbsolute, error.maxRelative,
                      error.rms, accuracy->data)
            .str());
  report.accuracy = std::move(*accuracy);
  return Error::success();
}

Error Compilation::writeHeaderAndPkgConfig() {
  phases.begin("header");
  if (wants(Artifact::header)) {
    HeaderOptions header;
    header.prefix = files.prefix;
    header.source = llvm::sys::path::filename(options.input).str();
    header.producer = producer();
    header.target = shownTarget();
    header.stackBytes = code.stackBytes;
    header.embedWeights = embedsWeights();
    header.weightsFile =
        (llvm::sys::path::filename(files.stem) + suffixOf(Artifact::weights))
            .str();
    if (Error error = writeText(Artifact::header, [&](raw_ostream &os) {
          writeHeader(info, header, os);
        }))
      return error;
  }
  if (!wants(Artifact::pkgConfig))
    return Error::success();
  return writeText(Artifact::pkgConfig, [&](raw_ostream &os) {
    StringRef name = llvm::sys::path::filename(files.stem);
    os << "Name: " << name << "\nDescription: a model compiled by "
       << producer() << "\nVersion: " FULGUR_VERSION "\n"
       << "Cflags: -I${pcfiledir}\nLibs: ${pcfiledir}/" << name
       << ".a -lfulgur_rt -pthread -lm\n";
  });
}

Error Compilation::writeReport() {
  if (!wants(Artifact::reportData) && !wants(Artifact::reportPage))
    return Error::success();
  phases.end();
  report.model = info.name;
  report.source = llvm::sys::path::filename(options.input).str();
  report.producer = producer();
  report.target = shownTarget();
  report.arenaIsConstant = info.arenaIsConstant();
  report.stackBytes = code.stackBytes;
  report.weightsBytes = info.weightsBytes;
  for (const ModelInfo::Weight &weight : info.weights) {
    auto type = cast<ShapedType>(weight.value.getType());
    std::string name, shown;
    if (auto resource = dyn_cast<DenseResourceElementsAttr>(weight.value))
      name = resource.getRawHandle().getKey().str();
    llvm::raw_string_ostream(shown) << type;
    report.weights.push_back(
        {name, shown,
         uint64_t(type.getNumElements()) *
             llvm::divideCeil(type.getElementTypeBitWidth(), 8)});
  }
  llvm::sort(report.weights, [](auto &a, auto &b) {
    return std::tie(b.bytes, a.name) < std::tie(a.bytes, b.name);
  });
  constexpr size_t shownWeights = 20;
  if (report.weights.size() > shownWeights)
    report.weights.resize(shownWeights);
  for (auto &[name, seconds] : phases.past())
    report.phases.push_back({name, seconds});
  if (wants(Artifact::reportData))
    if (Error error = writeText(Artifact::reportData, [&](raw_ostream &os) {
          os << llvm::formatv("{0:2}\n", report.json());
        }))
      return error;
  return !wants(Artifact::reportPage)
             ? Error::success()
             : writeText(Artifact::reportPage,
                         [&](raw_ostream &os) { report.writeHtml(os); });
}

/// -MD: a rule for make and ninja.
Error Compilation::writeDependencies() {
  if (!options.dependencies && options.dependencyFile.empty())
    return Error::success();
  std::string path = options.dependencyFile.empty() ? files.stem + ".d"
                                                    : options.dependencyFile;
  Expected<std::string> temporary = outputs.stage(path);
  if (!temporary)
    return temporary.takeError();
  auto escape = [](StringRef name) {
    std::string result;
    for (char c : name) {
      if (c == ' ' || c == '#')
        result += '\\';
      if (c == '$')
        result += '$';
      result += c;
    }
    return result;
  };
  return writeFile(*temporary, [&](raw_ostream &os) {
    for (auto &[artifact, file] : files.files)
      if (file != "-")
        os << escape(file) << ' ';
    os << ": " << escape(options.input) << '\n';
  });
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
