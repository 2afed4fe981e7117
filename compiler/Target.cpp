// The machine that the code is for.
#include "compiler/Target.h"
#include "compiler/Failure.h"
#include "compiler/Options.h"
#include "runtime/fulgur.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/SubtargetFeature.h"

using namespace llvm;
using namespace fulgur;

void fulgur::initializeTargets() {
  InitializeAllTargetInfos();
  InitializeAllTargets();
  InitializeAllTargetMCs();
  InitializeAllAsmPrinters();
  InitializeAllAsmParsers();
}

/// The FULGUR_CPU_* flags of what `subtarget` has.
static uint64_t cpuFeaturesOf(const MCSubtargetInfo &subtarget,
                              const Triple &triple) {
  if (!triple.isX86())
    return 0;
  static constexpr std::pair<const char *, uint64_t> flags[] = {
      {"+sse4.2", FULGUR_CPU_SSE42},
      {"+avx", FULGUR_CPU_AVX},
      {"+avx2", FULGUR_CPU_AVX2},
      {"+fma", FULGUR_CPU_FMA},
      {"+f16c", FULGUR_CPU_F16C},
      {"+avx512f", FULGUR_CPU_AVX512F},
      {"+avx512bw", FULGUR_CPU_AVX512BW},
      {"+avx512dq", FULGUR_CPU_AVX512DQ},
      {"+avx512vl", FULGUR_CPU_AVX512VL},
      {"+avx512vnni", FULGUR_CPU_AVX512VNNI},
      {"+avx512bf16", FULGUR_CPU_AVX512BF16}};
  uint64_t set = 0;
  for (auto [feature, flag] : flags)
    if (subtarget.checkFeatures(feature))
      set |= flag;
  return set;
}

static fulgur::Target vectorUnitOf(const Triple &triple, uint64_t cpuFeatures) {
  if (!triple.isX86())
    return {.vectorBytes = 16, .vectorRegisters = 32, .fma = true};
  bool fma = cpuFeatures & FULGUR_CPU_FMA;
  if (cpuFeatures & FULGUR_CPU_AVX512F)
    return {.vectorBytes = 64, .vectorRegisters = 32, .fma = true};
  return {.vectorBytes = cpuFeatures & FULGUR_CPU_AVX ? 32 : 16,
          .vectorRegisters = 16,
          .fma = fma};
}

static std::string hostFeatures() {
  std::vector<std::string> features;
  for (const auto &feature : sys::getHostCPUFeatures())
    features.push_back((feature.getValue() ? "+" : "-") +
                       feature.getKey().str());
  llvm::sort(features);
  return join(features, ",");
}

Expected<CpuTarget> fulgur::resolveTarget(const Options &options) {
  CpuTarget target;
  target.triple = Triple(Triple::normalize(
      options.triple.empty() ? sys::getDefaultTargetTriple() : options.triple));
  std::string reason;
  target.backend = TargetRegistry::lookupTarget(target.triple, reason);
  if (!target.backend)
    return fail(ExitCode::usage,
                "unknown target '" + target.triple.str() +
                    "' (--print-targets lists those there are)");
  if (!target.triple.isOSBinFormatELF() || !target.triple.isArch64Bit() ||
      !target.triple.isLittleEndian())
    return fail(ExitCode::usage, "target '" + target.triple.str() +
                                     "' is not a little-endian 64-bit ELF "
                                     "target; only those are supported");

  target.cpu = options.cpu;
  if (target.cpu.empty())
    target.cpu = target.triple.isX86() ? "x86-64-v3" : "generic";
  target.shownCpu = target.cpu;
  if (target.cpu == "native") {
    if (target.triple.getArch() != Triple(sys::getProcessTriple()).getArch())
      return fail(ExitCode::usage,
                  "--mcpu=native means this machine, which is not a '" +
                      target.triple.getArchName() + "'; name a CPU");
    target.cpu = sys::getHostCPUName().str();
    target.shownCpu = target.cpu;
    target.features = hostFeatures();
  }
  if (!options.features.empty()) {
    target.features += (target.features.empty() ? "" : ",") + options.features;
    target.shownCpu += " " + options.features;
  }

  std::unique_ptr<MCSubtargetInfo> plain(
      target.backend->createMCSubtargetInfo(target.triple, "", ""));
  if (!plain)
    return fail(ExitCode::usage,
                "target '" + target.triple.str() + "' has no code generator");
  if (!plain->isCPUStringValid(target.cpu))
    return fail(ExitCode::usage, "unknown CPU '" + target.cpu +
                                     "' for target '" + target.triple.str() +
                                     "' (--mcpu=native is this machine's)");
  for (StringRef feature : split(options.features, ','))
    if (!feature.empty() && (!SubtargetFeatures::hasFlag(feature) ||
                             none_of(plain->getAllProcessorFeatures(),
                                     [&](const SubtargetFeatureKV &known) {
                                       return feature.drop_front() == known.Key;
                                     })))
      return fail(ExitCode::usage,
                  "unknown CPU feature '" + feature + "' for target '" +
                      target.triple.str() +
                      "'; features are written +name or -name");

  std::unique_ptr<MCSubtargetInfo> subtarget(
      target.backend->createMCSubtargetInfo(target.triple, target.cpu,
                                            target.features));
  target.cpuFeatures = cpuFeaturesOf(*subtarget, target.triple);
  target.unit = vectorUnitOf(target.triple, target.cpuFeatures);
  return target;
}

std::unique_ptr<TargetMachine> CpuTarget::machine(unsigned level) const {
  TargetOptions options;
  options.AllowFPOpFusion =
      FPOpFusion::Standard; // a*b+c becomes one fma where the operations say so
  options.FunctionSections =
      true; // a linker can drop what a program does not call
  options.ExceptionModel = ExceptionHandling::None;
  CodeGenOptLevel effort =
      level == 0 ? CodeGenOptLevel::None : CodeGenOptLevel::Aggressive;
  return std::unique_ptr<TargetMachine>(backend->createTargetMachine(
      triple, cpu, features, options, Reloc::PIC_, CodeModel::Small, effort));
}
