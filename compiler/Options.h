// Everything that a compilation can be told, in one struct; tools turn their
// command lines into it.
#pragma once
#include "compiler/Accuracy.h"
#include "compiler/Precision.h"
#include "compiler/Stage.h"
#include "frontends/onnx/Import.h"
#include <optional>
#include <string>
#include <vector>

namespace fulgur {

/// A file that fulgurc can make.
enum class Artifact {
  object,
  archive,
  shared,
  header,
  weights,
  pkgConfig,
  llvm,
  assembly,
  mlir,
  reportData, ///< m.report.json
  reportPage  ///< m.report.html
};

/// Where the weights go: into the object, or into a file that the caller maps.
enum class WeightsMode { embed, file };

enum class When { automatic, always, never };
enum class DiagnosticsFormat { text, json };

struct Options {
  std::string input;  ///< model.onnx, or MLIR of any stage (.mlir, .mlirbc)
  std::string output; ///< as on the command line: a stem ("out/m"), a file
                      ///< ("m.so"), a folder ("out/") or "-"
  std::string
      prefix; ///< of all symbols; empty: the output's stem as a C identifier
  std::vector<Artifact> artifacts; ///< empty: what the suffix of `output` says,
                                   ///< else the whole library
  WeightsMode weights = WeightsMode::embed;
  onnx::ImportOptions import;
  Precision precision;             ///< of what is float32 in the model
  MeasureAccuracy measureAccuracy; ///< null: nobody asks for it

  std::string triple; ///< empty: the host's
  std::string
      cpu; ///< empty: a portable baseline ("x86-64-v3"); "native": the host's
  std::string features;                 ///< "+avx512f,-fma", added to the CPU's
  std::vector<std::string> cpuVariants; ///< several kinds of CPUs in one
                                        ///< artefact: "v3", "v4-vnni-bf16",
                                        ///< "znver5"; in place of `cpu`
  std::optional<bool> strassen;         ///< whether large products use
                                        ///< Strassen's algorithm; default:
                                        ///< where the CPU gains by it
  unsigned level = 3;                   ///< -O0 .. -O3
  unsigned threads = 0;                 ///< of the compiler; 0: one per CPU
  uint64_t maxMemory = 0; ///< bytes the compiler may allocate; 0: no limit

  std::optional<Stage> startAfter; ///< the stage the input has already passed;
                                   ///< default: as the input says
  std::optional<Stage> stopAfter;  ///< write the IR after this stage and stop

  std::string tuningDatabase; ///< schedules that were measured; empty: none
  std::string trials; ///< folder for small models of the kernels with every
                      ///< schedule, in place of a compilation; empty: none
  bool trialsOfChosen = false; ///< only with the schedules that they would get
  std::vector<std::string> trialSizes; ///< of symbolic dims there: "batch=1"

  std::string linker; ///< ld.lld or cc; empty: found on PATH
  std::string
      runtimeLibrary;      ///< libfulgur_rt.a; empty: found beside the compiler
  std::string programPath; ///< of this compiler, to find what is beside it

  std::string cacheFolder; ///< of compiled kernels; empty: none
  std::string saveTemps;   ///< folder for the IR after each stage; empty: none
  std::string timeTrace;   ///< file for a Chrome trace; empty: none
  std::string
      crashDir; ///< folder for reproducers of internal errors; empty: none
  std::optional<std::string> remarks; ///< print those that match this regex
  bool verifyNumerics = false;        ///< interpret the IR after every pass
  std::string dependencyFile;         ///< -MF; empty: none
  bool dependencies = false;          ///< -MD
  bool verbose = false, quiet = false;
  When color = When::automatic;
  DiagnosticsFormat diagnostics = DiagnosticsFormat::text;
};

} // namespace fulgur
