// fulgurc: compiles a model to an object, libraries and a header. This file
// turns the command line into Options.
#include "Accuracy.h"
#include "compiler/Compile.h"
#include "compiler/KernelCache.h"
#include "compiler/Target.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/thread.h"
#include <sys/resource.h>
#include <unistd.h>

using namespace llvm;
using namespace fulgur;

/// Ends the process over a command line that means nothing.
[[noreturn]] static void usageError(const Twine &message) {
  errs() << "fulgurc: error: " << message << "\n";
  std::exit(static_cast<int>(ExitCode::usage));
}

namespace {
/// Everything on the command line. It is made in main(), when LLVM's own
/// options exist.
struct CommandLine {
  cl::OptionCategory category{"fulgurc options"};

  cl::opt<std::string> input{cl::Positional,
                             cl::desc("<model.onnx | module.mlir>"),
                             cl::cat(category)};
  cl::opt<std::string> output{
      "o",
      cl::desc("Stem of the outputs (out/m), one file (m.so), a folder, or -"),
      cl::value_desc("path"), cl::cat(category)};
  cl::list<std::string> emit{
      "emit",
      cl::desc("What to make: "
               "obj,lib,so,header,pc,weights,llvm,asm,mlir,report,all"),
      cl::value_desc("kinds"), cl::CommaSeparated, cl::cat(category)};
  cl::opt<std::string> compileTo{
      "compile-to",
      cl::desc("Write the IR after a stage: import,graph,kernel,memory,llvm"),
      cl::value_desc("stage"), cl::cat(category)};
  cl::opt<std::string> compileFrom{
      "compile-from",
      cl::desc("The stage that MLIR input has passed (default: as it says)"),
      cl::value_desc("stage"), cl::cat(category)};
  cl::opt<std::string> prefix{
      "prefix", cl::desc("Prefix of all symbols (default: the outputs' name)"),
      cl::value_desc("name"), cl::cat(category)};
  cl::list<std::string> dims{
      "dim",
      cl::desc("Fix a symbolic dim, or bound it: batch=1, sequence=1..512"),
      cl::value_desc("name=n|lo..hi"), cl::cat(category)};
  cl::list<std::string> shapes{"shape",
                               cl::desc("Set an input's shape: image:1x3x?x?"),
                               cl::value_desc("input:dims"), cl::cat(category)};
  cl::list<std::string> states{
      "state",
      cl::desc("Make an input and an output one buffer, which keeps its "
               "content from run to run: past.*=present.*"),
      cl::value_desc("input=output"), cl::cat(category)};
  cl::opt<WeightsMode> weights{
      "weights", cl::desc("Where the weights go:"), cl::cat(category),
      cl::init(WeightsMode::embed),
      cl::values(
          clEnumValN(WeightsMode::embed, "embed", "into the object (default)"),
          clEnumValN(WeightsMode::file, "file",
                     "into a file that the product maps"))};
  cl::opt<std::string> precision{
      "precision",
      cl::desc("What float32 models are computed with: f32 (default), bf16, "
               "f16, int8-dynamic, int4-weights[:group=N,activations=int8]"),
      cl::value_desc("type"), cl::init("f32"), cl::cat(category)};

  enum class Cache { f32, int8 };
  cl::opt<Cache> kvCache{
      "kv-cache",
      cl::desc("What rows of states, such as keys and values, are kept as:"),
      cl::cat(category), cl::init(Cache::f32),
      cl::values(
          clEnumValN(Cache::f32, "f32", "as they are (default)"),
          clEnumValN(Cache::int8, "int8", "bytes, and a scale for each row"))};

  cl::opt<std::string> accuracy{
      "accuracy",
      cl::desc("Compile for f32 as well, run both (on data in a folder, or on "
               "made-up inputs), and print how far the outputs are apart"),
      cl::value_desc("folder"), cl::ValueOptional, cl::cat(category)};

  cl::opt<std::string> target{
      "target", cl::desc("Target triple (default: this machine's)"),
      cl::value_desc("triple"), cl::cat(category)};
  cl::opt<std::string> cpu{
      "mcpu", cl::desc("CPU: a name, or native (default on x86-64: x86-64-v3)"),
      cl::value_desc("cpu"), cl::cat(category)};
  cl::opt<std::string> features{
      "mattr", cl::desc("CPU features to add or to leave out: +avx512f,-fma"),
      cl::value_desc("features"), cl::cat(category)};
  cl::list<std::string> cpuVariants{
      "cpu-variants",
      cl::desc("Code for several CPUs, chosen when it runs: v3,v4-vnni,amx"),
      cl::value_desc("cpus"), cl::CommaSeparated, cl::cat(category)};
  cl::opt<cl::boolOrDefault> strassen{
      "strassen",
      cl::desc("Strassen's algorithm for large float32 products of constant "
               "weights (default: where the CPU gains by it)"),
      cl::cat(category)};
  cl::opt<unsigned> level{"O",
                          cl::desc("Optimisation level, 0 to 3 (default: 3)"),
                          cl::Prefix, cl::init(3), cl::cat(category)};
  cl::opt<bool> printTargets{"print-targets",
                             cl::desc("List the targets there are"),
                             cl::cat(category)};

  cl::opt<std::string> tuningDatabase{
      "tuning-db",
      cl::desc("Schedules that fulgur-bench --tune measured on this CPU"),
      cl::value_desc("file"), cl::cat(category)};
  cl::opt<std::string> trials{
      "tuning-kernels",
      cl::desc("Write the kernels that can be tuned, for fulgur-bench --tune"),
      cl::value_desc("folder"), cl::Hidden, cl::cat(category)};
  cl::opt<bool> trialsOfChosen{
      "tuning-chosen",
      cl::desc("With --tuning-kernels: all kernels, as they would be compiled"),
      cl::Hidden, cl::cat(category)};
  cl::list<std::string> trialSizes{
      "tuning-size", cl::desc("With --tuning-kernels: size of a symbolic dim"),
      cl::value_desc("name=n"), cl::Hidden, cl::cat(category)};

  cl::opt<unsigned> threads{
      "j",
      cl::desc("Threads of the compiler (default: one per CPU)"),
      cl::Prefix,
      cl::init(0),
      cl::value_desc("n"),
      cl::cat(category)};
  cl::opt<std::string> maxMemory{
      "max-memory", cl::desc("Limit of the compiler's memory, as 4G or 512M"),
      cl::value_desc("size"), cl::cat(category)};
  cl::opt<std::string> linker{
      "linker", cl::desc("Program that links m.so (default: cc, or ld.lld)"),
      cl::value_desc("program"), cl::cat(category)};
  cl::opt<std::string> runtime{"runtime",
                               cl::desc("The libfulgur_rt.a to put into m.so"),
                               cl::value_desc("file"), cl::cat(category)};

  cl::opt<std::string> cacheDir{
      "cache-dir",
      cl::desc(
          "Keep compiled kernels there (default: ~/.cache/fulgur/kernels)"),
      cl::value_desc("folder"), cl::ValueOptional, cl::cat(category)};
  cl::opt<std::string> saveTemps{
      "save-temps",
      cl::desc("Keep the IR after each stage (default folder: .)"),
      cl::value_desc("folder"), cl::ValueOptional, cl::cat(category)};
  cl::opt<std::string> timeTrace{
      "time-trace", cl::desc("Write a Chrome trace of the compilation"),
      cl::value_desc("file"), cl::cat(category)};
  cl::opt<std::string> crashDir{
      "crash-dir", cl::desc("Write a reproducer there when a pass fails"),
      cl::value_desc("folder"), cl::cat(category)};
  cl::opt<std::string> remarks{
      "remarks",
      cl::desc("Print what was left slow, and why (those that match a regex)"),
      cl::value_desc("regex"), cl::ValueOptional, cl::cat(category)};
  cl::opt<bool> verifyNumerics{
      "verify-numerics-each",
      cl::desc("After every pass, interpret the IR and compare its outputs"),
      cl::cat(category)};
  cl::opt<bool> dependencies{
      "MD", cl::desc("Write a dependency file for make or ninja"),
      cl::cat(category)};
  cl::opt<std::string> dependencyFile{
      "MF", cl::desc("Name of the dependency file"), cl::value_desc("file"),
      cl::cat(category)};
  cl::opt<bool> verbose{"v", cl::desc("Print what each phase took"),
                        cl::cat(category)};
  cl::opt<bool> quiet{"q", cl::desc("Print errors only"), cl::cat(category)};
  cl::opt<When> color{
      "color", cl::desc("Colours (also: NO_COLOR):"), cl::cat(category),
      cl::init(When::automatic),
      cl::values(clEnumValN(When::automatic, "auto", "on a terminal (default)"),
                 clEnumValN(When::always, "always", ""),
                 clEnumValN(When::never, "never", ""))};
  cl::opt<DiagnosticsFormat> diagnostics{
      "diagnostics-format", cl::desc("Format of errors and warnings:"),
      cl::cat(category), cl::init(DiagnosticsFormat::text),
      cl::values(
          clEnumValN(DiagnosticsFormat::text, "text", "for people (default)"),
          clEnumValN(DiagnosticsFormat::json, "json", "one object per line"))};

  cl::extrahelp exitStatus{
      "\nEXIT STATUS\n"
      "  0 compiled; 1 the model or a file is bad; 2 wrong usage; 3 something "
      "in the model is not supported;\n"
      "  5 out of memory or disk; 70 internal error\n"};

  Options options() const;
};
} // namespace

/// "obj" and its like. "all" is what is made without --emit.
static std::vector<Artifact> artifactsNamed(StringRef name) {
  if (name == "all")
    return {Artifact::object,    Artifact::archive,   Artifact::shared,
            Artifact::header,    Artifact::pkgConfig, Artifact::reportData,
            Artifact::reportPage};
  if (name == "report")
    return {Artifact::reportData, Artifact::reportPage};
  static constexpr std::pair<StringLiteral, Artifact> names[] = {
      {"obj", Artifact::object},   {"lib", Artifact::archive},
      {"so", Artifact::shared},    {"header", Artifact::header},
      {"pc", Artifact::pkgConfig}, {"weights", Artifact::weights},
      {"llvm", Artifact::llvm},    {"asm", Artifact::assembly},
      {"mlir", Artifact::mlir}};
  for (auto &[known, artifact] : names)
    if (known == name)
      return {artifact};
  usageError("--emit=" + name +
             ": there is no such kind; there are obj, lib, so, header, pc, "
             "weights, llvm, asm, mlir, report and all");
}

static Stage parseStage(StringRef option, StringRef name) {
  if (std::optional<Stage> stage = stageNamed(name))
    return *stage;
  usageError("--" + option + "=" + name +
             ": there is no such stage; there are import, graph, kernel, "
             "memory and llvm");
}

/// "batch=1" or "sequence=1..512".
static void parseDim(StringRef text, onnx::ImportOptions &import) {
  auto [name, value] = text.rsplit('=');
  auto [low, high] = value.split("..");
  onnx::ImportOptions::Range range;
  bool isRange = value.contains("..");
  bool ok = !name.empty() && !low.getAsInteger(10, range.min) && range.min >= 0;
  range.max = isRange ? range.max : range.min;
  if (isRange && !high.empty())
    ok = ok && !high.getAsInteger(10, range.max) && range.max >= range.min;
  if (!ok)
    usageError("--dim '" + text + "' is neither NAME=N nor NAME=LO..HI");
  import.dims[name] = range;
}

/// "image:1x3x?x?"; the name may hold colons of its own.
static void parseShape(StringRef text, onnx::ImportOptions &import) {
  auto [name, dims] = text.rsplit(':');
  if (name.empty() || !text.contains(':'))
    usageError(
        "--shape '" + text +
        "' is not INPUT:DIMxDIMx..., where a DIM is a number, ? or a name");
  std::vector<std::string> &shape = import.shapes[name];
  shape.clear();
  for (StringRef dim : split(dims, 'x'))
    if (!dims.empty())
      shape.push_back(dim.str());
}

/// "past.*=present.*".
static void parseState(StringRef text, onnx::ImportOptions &import) {
  auto [input, output] = text.split('=');
  if (input.empty() || output.empty() || input.count('*') > 1 ||
      input.count('*') != output.count('*'))
    usageError("--state '" + text +
               "' is not INPUT=OUTPUT, with one * in each or none");
  import.states.push_back({input.str(), output.str()});
}

static uint64_t parseBytes(StringRef text) {
  static constexpr std::pair<StringLiteral, unsigned> units[] = {
      {"K", 10}, {"M", 20}, {"G", 30}, {"T", 40}};
  unsigned shift = 0;
  StringRef number = text;
  for (auto &[unit, bits] : units)
    if (number.consume_back(unit))
      shift = bits;
  uint64_t value;
  if (number.getAsInteger(10, value) || value == 0 ||
      value > (UINT64_MAX >> shift))
    usageError("--max-memory '" + text + "' is not a size such as 4G or 512M");
  return value << shift;
}

Options CommandLine::options() const {
  Options result;
  result.input = input;
  result.output = output;
  result.prefix = prefix;
  for (StringRef name : emit)
    for (Artifact artifact : artifactsNamed(name))
      if (!is_contained(result.artifacts, artifact))
        result.artifacts.push_back(artifact);
  result.weights = weights;
  std::string complaint;
  auto chosen = Precision::parse(precision, complaint);
  if (!chosen)
    usageError("--precision=" + precision + ": " + complaint);
  result.precision = *chosen;
  result.precision.byteStates = kvCache == Cache::int8;
  if (result.precision.byteStates && states.empty())
    usageError("--kv-cache=int8 is for models that keep rows in a state: say "
               "which inputs and outputs are one with --state");
  if (strassen != cl::BOU_UNSET)
    result.strassen = strassen == cl::BOU_TRUE;
  for (StringRef dim : dims)
    parseDim(dim, result.import);
  for (StringRef shape : shapes)
    parseShape(shape, result.import);
  for (StringRef state : states)
    parseState(state, result.import);
  result.triple = target;
  result.cpu = cpu;
  result.features = features;
  result.cpuVariants.assign(cpuVariants.begin(), cpuVariants.end());
  if (level > 3)
    usageError("-O" + Twine(level) + ": there are -O0 to -O3");
  result.level = level;
  result.threads = threads;
  if (!maxMemory.empty())
    result.maxMemory = parseBytes(maxMemory);
  if (!compileTo.empty())
    result.stopAfter = parseStage("compile-to", compileTo);
  if (!compileFrom.empty())
    result.startAfter = parseStage("compile-from", compileFrom);
  result.tuningDatabase = tuningDatabase;
  result.trials = trials;
  result.trialsOfChosen = trialsOfChosen;
  result.trialSizes.assign(trialSizes.begin(), trialSizes.end());
  if (!trials.empty())
    result.stopAfter = Stage::graph;
  result.linker = linker;
  result.runtimeLibrary = runtime;
  result.cacheFolder = cacheDir;
  if (cacheDir.getNumOccurrences() && cacheDir.empty())
    result.cacheFolder = defaultCacheFolder();
  result.saveTemps = saveTemps;
  if (saveTemps.getNumOccurrences() && saveTemps.empty())
    result.saveTemps = ".";
  result.timeTrace = timeTrace;
  result.crashDir = crashDir;
  if (remarks.getNumOccurrences()) {
    std::string wanted = remarks;
    if (wanted.empty())
      wanted = ".*";
    if (!Regex(wanted).isValid(complaint))
      usageError("--remarks=" + wanted + ": " + complaint);
    result.remarks = wanted;
  }
  result.verifyNumerics = verifyNumerics;
  if (verifyNumerics && result.precision.byteStates)
    usageError("--verify-numerics-each compares all passes on the same inputs, "
               "which --kv-cache=int8 changes");
  result.dependencies = dependencies;
  result.dependencyFile = dependencyFile;
  result.verbose = verbose;
  result.quiet = quiet;
  result.color = color;
  result.diagnostics = diagnostics;
  return result;
}

/// The last words of a compiler that ran out of memory.
static void onBadAlloc(void *, const char *, bool) {
  static const char message[] = "fulgurc: error: out of memory; give the "
                                "compiler more, see --max-memory\n";
  [[maybe_unused]] ssize_t written =
      write(STDERR_FILENO, message, sizeof message - 1);
  sys::RunInterruptHandlers();
  _exit(static_cast<int>(ExitCode::resourceLimit));
}

static void onFatalError(void *, const char *reason, bool) {
  if (StringRef(reason).contains("pthread_create"))
    return onBadAlloc(nullptr, reason, false);
  errs() << "fulgurc: error: internal error: " << reason
         << "; please report it with the model\n";
  sys::RunInterruptHandlers();
  _exit(static_cast<int>(ExitCode::internal));
}

/// A crash in any thread of the compiler says so and leaves no files behind.
static void onCrash(void *options) {
  bool verbose = static_cast<const Options *>(options)->verbose;
  errs() << "fulgurc: error: internal error: the compiler crashed; please "
            "report it with the model"
         << (verbose ? "\n" : " and what -v prints\n");
  if (verbose)
    sys::PrintStackTrace(errs());
  sys::RunInterruptHandlers();
  _exit(static_cast<int>(ExitCode::internal));
}

/// Of the thread that compiles: graphs are deep.
static constexpr unsigned stackBytes = 256 << 20;

/// Lets no more than `bytes` be allocated, not counting mapped files and the
/// stack.
static void limitMemory(uint64_t bytes) {
  rlimit limit{};
  getrlimit(RLIMIT_DATA, &limit);
  limit.rlim_cur = std::min<rlim_t>(bytes + stackBytes, limit.rlim_max);
  setrlimit(RLIMIT_DATA, &limit);
}

int main(int argc, char **argv) {
  initializeTargets();
  // Our --color has three values; LLVM's, which it replaces, has two.
  auto &known = cl::getRegisteredOptions();
  if (auto taken = known.find("color"); taken != known.end())
    taken->second->removeArgument();
  CommandLine commandLine;
  mlir::registerAsmPrinterCLOptions();
  mlir::registerMLIRContextCLOptions();
  mlir::registerPassManagerCLOptions();
  mlir::registerDefaultTimingManagerCLOptions();
  cl::SetVersionPrinter([](raw_ostream &os) { os << producer() << "\n"; });

  // --help shows what is ours; --help=all and --help-hidden also LLVM's and
  // MLIR's.
  SmallVector<const char *> arguments(argv, argv + argc);
  bool everything = false;
  for (const char *&argument : arguments)
    if (StringRef(argument) == "--help=all" ||
        StringRef(argument) == "--help-hidden" ||
        StringRef(argument) == "-help-hidden") {
      argument = "--help-hidden";
      everything = true;
    }
  if (!everything)
    cl::HideUnrelatedOptions(commandLine.category);
  std::string complaints;
  raw_string_ostream complaintStream(complaints);
  if (!cl::ParseCommandLineOptions(arguments.size(), arguments.data(),
                                   "fulgurc compiles an ONNX model to native "
                                   "code: m.o, m.a, m.so, m.h and m.pc\n",
                                   &complaintStream)) {
    StringRef complaint = StringRef(complaints).split('\n').first.trim();
    complaint.consume_front("fulgurc: ");
    usageError(complaint);
  }
  if (commandLine.printTargets) {
    TargetRegistry::printRegisteredTargetsForVersion(outs());
    return 0;
  }
  Options options = commandLine.options();
  options.programPath =
      sys::fs::getMainExecutable(argv[0], reinterpret_cast<void *>(&main));
  if (commandLine.accuracy.getNumOccurrences())
    options.measureAccuracy = accuracyOf(options, commandLine.accuracy);

  install_bad_alloc_error_handler(onBadAlloc);
  install_fatal_error_handler(onFatalError);
  std::set_new_handler([] { report_bad_alloc_error("out of memory"); });
  if (options.maxMemory)
    limitMemory(options.maxMemory);

  ExitCode code = ExitCode::internal;
  llvm::thread work(std::optional<unsigned>(stackBytes), [&] {
    sys::AddSignalHandler(onCrash, &options);
    code = compile(options);
  });
  work.join();
  outs().flush();
  // Taking the IR apart at the end would only cost time.
  std::fflush(nullptr);
  _exit(static_cast<int>(code));
}
