// The order of all passes: the line of the compiler, in one place.
#include "compiler/Pipeline.h"
#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/MathToFuncs/MathToFuncs.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/FuncBufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/TensorInferTypeOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "passes/Passes.h"
#include "passes/TargetOptions.h"
#include "passes/memory/BufferDims.h"
#include "runtime/fulgur.h"

using namespace mlir;
using namespace fulgur;

static_assert(kAlignment == FULGUR_ALIGNMENT,
              "the memory plan and the C ABI agree on the alignment");

/// What a model of float32 is computed with.
static void addPrecision(OpPassManager &pm, const PipelineOptions &options) {
  const Precision &precision = options.precision;
  QuantizeWeightsOptions quantize;
  switch (precision.kind) {
  case Precision::f32:
    return;
  case Precision::f16:
    pm.addNestedPass<func::FuncOp>(createNarrowWeights());
    return;
  case Precision::bf16:
    pm.addNestedPass<func::FuncOp>(
        createNarrowProducts({"bf16", options.target.bf16}));
    return;
  case Precision::int8Dynamic:
    quantize.bits = 8;
    quantize.block = 0;
    quantize.round = true;
    break;
  case Precision::int4Weights:
    quantize.block = precision.group;
    quantize.round = precision.byteActivations;
    break;
  }
  pm.addNestedPass<func::FuncOp>(createQuantizeWeights(quantize));
}

/// Function by function: on a module, what one of many kernels needs would go
/// through all of them once more, and on one thread.
static void simplifyFunctions(OpPassManager &pm) {
  OpPassManager &functions = pm.nest<func::FuncOp>();
  functions.addPass(createCanonicalizerPass());
  functions.addPass(createCSEPass());
}

/// On tensors: operations still say what they mean.
static void buildGraph(OpPassManager &pm, const PipelineOptions &options) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addNestedPass<func::FuncOp>(createUpdateStates());
  pm.addPass(createFoldWeightViews());
  pm.addNestedPass<func::FuncOp>(createFuseNorms());
  pm.addNestedPass<func::FuncOp>(createFoldConstants());
  pm.addNestedPass<func::FuncOp>(createAssignLayouts());
  pm.addNestedPass<func::FuncOp>(createFoldConstants());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  // Transposes first: a product takes its operands through any map, an
  // elementwise loop only in its own order.
  pm.addNestedPass<func::FuncOp>(createFoldTransposes());
  pm.addNestedPass<func::FuncOp>(createFuseAttention());
  pm.addPass(createCanonicalizerPass());
  if (options.precision.byteStates)
    pm.addNestedPass<func::FuncOp>(createQuantizeStates());
  pm.addNestedPass<func::FuncOp>(createSinkConcats());
  pm.addNestedPass<func::FuncOp>(createQuantizeProducts());
  pm.addNestedPass<func::FuncOp>(createQuantizePools());
  addPrecision(pm, options);
  pm.addPass(createDecomposeDequantize()); // what no product takes
  // Behind what recognises whole operations, before loops are fused across the
  // places that slices leave.
  pm.addNestedPass<func::FuncOp>(createRaiseSlices());
  pm.addPass(createFoldWeightViews());
  pm.addNestedPass<func::FuncOp>(createFuseElementwise());
  pm.addNestedPass<func::FuncOp>(createSplitRequantization());
  pm.addNestedPass<func::FuncOp>(createFoldRequantization());
  pm.addNestedPass<func::FuncOp>(createFoldScales());
  if (options.precision.kind == Precision::bf16) {
    pm.addNestedPass<func::FuncOp>(createArrangeHeads());
    pm.addPass(createFoldWeightViews());
  }
  pm.addNestedPass<func::FuncOp>(createMergeProducts());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

/// Still on tensors: what becomes one native function each, and how.
static void buildKernels(OpPassManager &pm, const Target &target) {
  pm.addNestedPass<func::FuncOp>(createFormKernels());
  pm.addPass(createChooseSchedules(optionsFor<ChooseSchedulesOptions>(target)));
  pm.addPass(createPackWeights());
}

static void finishKernels(OpPassManager &pm) {
  pm.addPass(createDecomposeAttention()); // what no builder takes
  pm.addPass(createDecomposeRowOps());
  pm.addPass(createDecomposeDequantize());
  pm.addPass(createCSEPass());
}

/// From here on buffers. Kernels become loops; afterwards everything that a run
/// touches has a place.
static void buildBuffers(OpPassManager &pm, const Target &target) {
  pm.addPass(createBindPorts());
  pm.addPass(createCSEPass());
  pm.addPass(createBufferize());
  pm.addPass(createOutlineKernels(optionsFor<OutlineKernelsOptions>(target)));
  pm.addPass(createShareKernels());
  // The bodies of generic kernels are still on tensors.
  pm.addNestedPass<func::FuncOp>(
      bufferization::createEmptyTensorEliminationPass());
  pm.addPass(createBufferize());
  OpPassManager &functions = pm.nest<func::FuncOp>();
  functions.addPass(createCanonicalizerPass());
  functions.addPass(createCSEPass());
  functions.addPass(
      createLowerLinalg({target.vectorBytes, target.vectorRegisters}));
  pm.addPass(createHoistScratch());
}

/// Everything gets its place.
static void buildPlan(OpPassManager &pm) {
  pm.addPass(
      createCSEPass()); // equal sizes are one value, which the plan can compare
  pm.addPass(createPlanMemory());
  simplifyFunctions(pm);
}

/// Down to LLVM. What is nested runs on all functions at a time.
static void buildLLVM(OpPassManager &pm, const PipelineOptions &options) {
  pm.addPass(createOutlineTasks());
  pm.addPass(createLowerEntry({options.prefix}));
  pm.addNestedPass<func::FuncOp>(
      createTabulateFunctions({options.target.vectorBytes}));
  pm.addNestedPass<func::FuncOp>(createApproximateMath());
  pm.addPass(createConvertMathToFuncs()); // powers of integers
  pm.addPass(createCallLibm());
  OpPassManager &functions = pm.nest<func::FuncOp>();
  functions.addPass(createConvertVectorToSCFPass());
  functions.addPass(createLowerReshapes());
  functions.addPass(memref::createExpandStridedMetadataPass());
  functions.addPass(createLowerAffinePass());
  functions.addPass(createSCFToControlFlowPass());
  functions.addPass(createCanonicalizerPass());
  functions.addPass(createCSEPass());
  pm.addPass(createLowerToLLVM({options.target.bf16}));
  OpPassManager &lowered = pm.nest<LLVM::LLVMFuncOp>();
  lowered.addPass(createCanonicalizerPass());
  lowered.addPass(createCSEPass());
}

/// What makes one model of the parts of a program.
static void joinParts(OpPassManager &pm, const PipelineOptions &options) {
  pm.addPass(createLowerDriver({options.prefix}));
  pm.addPass(createLowerToLLVM());
  pm.addPass(createJoinParts());
}

/// Each part of a program goes the way of a model; the weights are shared.
static OpPassManager &parts(OpPassManager &pm, const PipelineOptions &options) {
  return options.isProgram ? pm.nest<ModuleOp>() : pm;
}

void fulgur::buildCommon(OpPassManager &pm, const PipelineOptions &options,
                         Stage stage) {
  switch (stage) {
  case Stage::graph:
    return buildGraph(parts(pm, options), options);
  case Stage::kernel:
    return buildKernels(parts(pm, options), options.target);
  case Stage::memory:
    pm.addPass(createPlaceWeights());
    return;
  case Stage::import:
  case Stage::llvm:
    return;
  }
}

void fulgur::buildFork(OpPassManager &pm, const PipelineOptions &options,
                       Stage stage) {
  const Target &target = options.target;
  switch (stage) {
  case Stage::import:
  case Stage::graph:
    return;
  case Stage::kernel:
    parts(pm, options)
        .addPass(
            createChooseSchedules(optionsFor<ChooseSchedulesOptions>(target)));
    return finishKernels(parts(pm, options));
  case Stage::memory:
    buildBuffers(parts(pm, options), target);
    return buildPlan(parts(pm, options));
  case Stage::llvm:
    buildLLVM(parts(pm, options), options);
    if (options.isProgram)
      joinParts(pm, options);
    return;
  }
}

void fulgur::buildStage(OpPassManager &pm, const PipelineOptions &options,
                        Stage stage) {
  if (stage == Stage::kernel) { // there is no second choice of schedules
    buildKernels(parts(pm, options), options.target);
    return finishKernels(parts(pm, options));
  }
  buildFork(pm, options, stage);
  buildCommon(pm, options, stage);
}

void fulgur::buildPipeline(OpPassManager &pm, const PipelineOptions &options,
                           Stage upTo, Stage from) {
  for (Stage stage : stages)
    if (stage > from && stage <= upTo)
      buildStage(pm, options, stage);
}

void fulgur::buildTrials(OpPassManager &pm, const PipelineOptions &options,
                         ArrayRef<std::string> sizes, bool chosenOnly) {
  OpPassManager &parts = options.isProgram ? pm.nest<ModuleOp>() : pm;
  parts.addNestedPass<func::FuncOp>(createFormKernels());
  auto split = optionsFor<SplitKernelsOptions>(options.target);
  split.chosenOnly = chosenOnly;
  split.sizes = llvm::to_vector(sizes);
  parts.addPass(createSplitKernels(split));
}

void fulgur::registerDialects(DialectRegistry &registry) {
  registry.insert<FulgurDialect, affine::AffineDialect, arith::ArithDialect,
                  bufferization::BufferizationDialect, func::FuncDialect,
                  linalg::LinalgDialect, LLVM::LLVMDialect, math::MathDialect,
                  memref::MemRefDialect, scf::SCFDialect, tensor::TensorDialect,
                  vector::VectorDialect>();
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  bufferization::func_ext::registerBufferizableOpInterfaceExternalModels(
      registry);
  linalg::registerBufferizableOpInterfaceExternalModels(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerInferTypeOpInterfaceExternalModels(registry);
  registerBufferization(registry);
}

void fulgur::registerPipelines() {
  for (Stage stage : stages)
    if (stage != Stage::import) {
      auto build = [stage](OpPassManager &pm, StringRef,
                           function_ref<LogicalResult(const Twine &)>) {
        buildStage(pm, PipelineOptions(), stage);
        return success();
      };
      registerPassPipeline(
          ("fulgur-stage-" + stageName(stage)).str(),
          ("the passes that lead to the stage '" + stageName(stage) + "'")
              .str(),
          build, [](function_ref<void(const mlir::detail::PassOptions &)>) {});
    }
}
