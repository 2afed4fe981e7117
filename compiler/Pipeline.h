// The order of all passes: the line of the compiler, in one place.
#pragma once
#include "compiler/Precision.h"
#include "compiler/Stage.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/PassManager.h"
#include "passes/Target.h"
#include <string>

namespace fulgur {

/// What the passes need to know that the module does not say.
struct PipelineOptions {
  std::string prefix = "model"; ///< of the generated functions
  Target target;
  bool isProgram = false; ///< whether the module holds parts and a driver
  Precision precision{};
};

/// Appends the passes that lead from the stage before `stage` to it. Nothing is
/// appended for Stage::import.
void buildStage(mlir::OpPassManager &pm, const PipelineOptions &options,
                Stage stage);

/// A model for several kinds of CPUs is one module up to where its weights are
/// packed, for the most demanding kind; then it forks into a module for each,
/// nested in one that has the weights in common. A stage's passes are here in
/// two halves: those on the one module, and those on each of the forks.
void buildCommon(mlir::OpPassManager &pm, const PipelineOptions &options,
                 Stage stage);
void buildFork(mlir::OpPassManager &pm, const PipelineOptions &options,
               Stage stage);

/// Appends the passes of all stages after `from`, up to and with `upTo`.
void buildPipeline(mlir::OpPassManager &pm, const PipelineOptions &options,
                   Stage upTo, Stage from = Stage::import);

/// Appends the passes that make small models of a model's kernels, from stage
/// graph: with each of their schedules, or with the one that they would get.
void buildTrials(mlir::OpPassManager &pm, const PipelineOptions &options,
                 llvm::ArrayRef<std::string> sizes, bool chosenOnly);

/// Registers the dialects that the passes meet, and the interfaces that
/// upstream keeps apart from them.
void registerDialects(mlir::DialectRegistry &registry);

/// Registers `--fulgur-stage-NAME` pipelines for fulgur-opt: the passes of that
/// stage alone.
void registerPipelines();

} // namespace fulgur
