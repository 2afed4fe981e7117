// What compile() does, step by step: run() is the line. Compile.cpp has the
// steps to machine code, WriteArtifacts.cpp what becomes a file.
#pragma once
#include "compiler/Artifacts.h"
#include "compiler/Codegen.h"
#include "compiler/Descriptor.h"
#include "compiler/ModelInfo.h"
#include "compiler/Outputs.h"
#include "compiler/Phases.h"
#include "compiler/Pipeline.h"
#include "compiler/RemarkLog.h"
#include "compiler/Report.h"
#include "compiler/Tuning.h"
#include "interpreter/Verify.h"
#include "mlir/Support/Timing.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "runtime/fulgur.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

namespace fulgur {

/// Written into IR that a compilation stopped at, so that the next one knows
/// where to go on.
inline constexpr llvm::StringLiteral stageAttr = "fulgur.stage";

/// All inputs of one compilation and everything it has found out so far.
class Compilation {
public:
  Compilation(const Options &options, Diagnostics &diagnostics)
      : options(options), diagnostics(diagnostics),
        phases(diagnostics, options.verbose), context(makeRegistry()) {
    mlir::applyDefaultTimingManagerCLOptions(timer); // --mlir-timing
    timing = timer.getRootScope();
    log.attach(context);
    diagnostics.attach(context);
    context.printOpOnDiagnostic(false);
    if (options.threads == 1 || options.verifyNumerics)
      context.disableMultithreading();
  }

  ~Compilation() { diagnostics.detach(); }

  llvm::Error run() {
    if (llvm::Error error = plan())
      return error;
    if (llvm::Error error = read())
      return error;
    if (!options.tuningDatabase.empty())
      if (llvm::Error error =
              readTuning(options.tuningDatabase, target.cpu, *module))
        return error;
    if (llvm::Error error = runPasses())
      return error;
    if (!options.trials.empty())
      return makeTrials();
    printRemarks();
    if (options.stopAfter) {
      if (llvm::Error error = writeMlir())
        return error;
      return outputs.commit();
    }
    if (llvm::Error error = describe())
      return error;
    if (wants(Artifact::mlir))
      if (llvm::Error error = writeMlir())
        return error;
    if (llvm::Error error = translate())
      return error;
    if (llvm::Error error = generate())
      return error;
    if (llvm::Error error = writeWeights())
      return error;
    if (llvm::Error error = writeObject())
      return error;
    if (llvm::Error error = writeLibraries())
      return error;
    if (llvm::Error error = measureAccuracy())
      return error;
    if (llvm::Error error = writeHeaderAndPkgConfig())
      return error;
    if (llvm::Error error = writeReport())
      return error;
    if (llvm::Error error = writeDependencies())
      return error;
    return outputs.commit();
  }

private:
  static mlir::DialectRegistry makeRegistry() {
    mlir::DialectRegistry registry;
    registerDialects(registry);
    mlir::registerBuiltinDialectTranslation(registry);
    mlir::registerLLVMDialectTranslation(registry);
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

  llvm::Error plan();
  llvm::Error read();
  llvm::Error readMlir();
  llvm::Error runPasses();
  llvm::Error makeTrials();
  llvm::Error runPasses(mlir::ModuleOp op, const PipelineOptions &pipeline,
                        Stage stage,
                        void (*build)(mlir::OpPassManager &,
                                      const PipelineOptions &, Stage));
  llvm::Error runVariants(Stage stage);
  void fork();
  llvm::Error join();
  void observe(Stage stage);
  void printRemarks();
  llvm::Error failPass(Stage stage, llvm::StringRef reproducer);
  llvm::Error describe();
  llvm::Error translate();
  llvm::Error generate();
  llvm::Error measureCode();
  llvm::Error writeMlir();
  llvm::Error writeWeights();
  llvm::Error writeObject();
  llvm::Error writeLibraries();
  llvm::Error measureAccuracy();
  llvm::Error writeHeaderAndPkgConfig();
  llvm::Error writeReport();
  llvm::Error writeDependencies();
  llvm::Error saveTemp(const llvm::Twine &name,
                       llvm::function_ref<void(llvm::raw_ostream &)> print);
  llvm::Error writeText(Artifact artifact,
                        llvm::function_ref<void(llvm::raw_ostream &)> print);
  std::string shownTarget() const;
  CodegenOptions codegenOptions() const;
  llvm::Expected<std::string> findRuntime() const;

  const Options &options;
  Diagnostics &diagnostics;
  Phases phases;
  mlir::DefaultTimingManager timer;
  mlir::TimingScope timing;
  mlir::MLIRContext context;
  Outputs outputs;

  /// One kind of CPUs among several.
  struct Variant {
    const CpuTarget &target;
    std::string id; ///< "v4_vnni"
    Symbols symbols;
    mlir::ModuleOp module; ///< inside `module`, once it is forked

    bool owns(llvm::StringRef function) const {
      return function.starts_with(id + ".") ||
             function.starts_with(symbols.prefix + "__");
    }
  };

  Plan files;
  std::vector<CpuTarget> targets; ///< the most demanding first
  CpuTarget target;               ///< the only one, or the least demanding
  std::optional<Symbols> symbols;
  mlir::OwningOpRef<mlir::ModuleOp> module;
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

} // namespace fulgur
