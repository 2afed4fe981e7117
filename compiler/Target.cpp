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

namespace {
/// A feature of LLVM's and the flag that the runtime checks it by.
struct Feature {
  StringLiteral name;
  uint64_t flag;
};
} // namespace

static constexpr Feature x86Features[] = {
    {"avx", FULGUR_CPU_AVX},
    {"avx2", FULGUR_CPU_AVX2},
    {"fma", FULGUR_CPU_FMA},
    {"f16c", FULGUR_CPU_F16C},
    {"avx512f", FULGUR_CPU_AVX512F},
    {"avx512bw", FULGUR_CPU_AVX512BW},
    {"avx512dq", FULGUR_CPU_AVX512DQ},
    {"avx512vl", FULGUR_CPU_AVX512VL},
    {"avx512vnni", FULGUR_CPU_AVX512VNNI},
    {"avx512bf16", FULGUR_CPU_AVX512BF16},
    {"sse4.2", FULGUR_CPU_SSE42},
    {"sse3", FULGUR_CPU_SSE3},
    {"ssse3", FULGUR_CPU_SSSE3},
    {"sse4.1", FULGUR_CPU_SSE41},
    {"popcnt", FULGUR_CPU_POPCNT},
    {"lzcnt", FULGUR_CPU_LZCNT},
    {"bmi", FULGUR_CPU_BMI},
    {"bmi2", FULGUR_CPU_BMI2},
    {"movbe", FULGUR_CPU_MOVBE},
    {"avx512cd", FULGUR_CPU_AVX512CD},
    {"avx512ifma", FULGUR_CPU_AVX512IFMA},
    {"avx512vbmi", FULGUR_CPU_AVX512VBMI},
    {"avx512vbmi2", FULGUR_CPU_AVX512VBMI2},
    {"avx512bitalg", FULGUR_CPU_AVX512BITALG},
    {"avx512vpopcntdq", FULGUR_CPU_AVX512VPOPCNT},
    {"avx512fp16", FULGUR_CPU_AVX512FP16},
    {"gfni", FULGUR_CPU_GFNI},
    {"avxvnni", FULGUR_CPU_AVXVNNI},
    {"amx-tile", FULGUR_CPU_AMX_TILE},
    {"amx-int8", FULGUR_CPU_AMX_INT8},
    {"amx-bf16", FULGUR_CPU_AMX_BF16}};

static constexpr Feature armFeatures[] = {
    {"fullfp16", FULGUR_CPU_ARM_FP16},   {"rdm", FULGUR_CPU_ARM_RDM},
    {"jsconv", FULGUR_CPU_ARM_JSCVT},    {"complxnum", FULGUR_CPU_ARM_FCMA},
    {"dotprod", FULGUR_CPU_ARM_DOTPROD}, {"sve", FULGUR_CPU_ARM_SVE},
    {"fp16fml", FULGUR_CPU_ARM_FHM},     {"sve2", FULGUR_CPU_ARM_SVE2},
    {"fptoint", FULGUR_CPU_ARM_FRINT},   {"i8mm", FULGUR_CPU_ARM_I8MM},
    {"bf16", FULGUR_CPU_ARM_BF16}};

/// What the code generator may choose by itself and the runtime does not check:
/// left out, unless the user asks for it.
static constexpr StringLiteral uncheckedX86[] = {
    "xop",          "fma4",         "tbm",
    "sse4a",        "avxifma",      "avxvnniint8",
    "avxvnniint16", "avxneconvert", "egpr",
    "ndd",          "nf",           "zu",
    "cf",           "ccmp",         "ppx",
    "push2pop2",    "avx10.2",      "avx512vp2intersect",
    "sha512",       "sm3",          "sm4"};
static constexpr StringLiteral uncheckedArm[] = {
    "sve2p1", "sme", "sme2", "cssc", "mops", "fp8", "faminmax", "lut"};

static ArrayRef<Feature> featuresOf(const Triple &triple) {
  return triple.isX86()       ? ArrayRef(x86Features)
         : triple.isAArch64() ? ArrayRef(armFeatures)
                              : ArrayRef<Feature>();
}

/// The FULGUR_CPU_* flags of what `subtarget` has.
static uint64_t cpuFeaturesOf(const MCSubtargetInfo &subtarget,
                              const Triple &triple) {
  uint64_t set = 0;
  for (const Feature &feature : featuresOf(triple))
    if (subtarget.checkFeatures(("+" + feature.name).str()))
      set |= feature.flag;
  return set;
}

static std::string withoutUnchecked(const MCSubtargetInfo &subtarget,
                                    const Triple &triple, StringRef wanted) {
  ArrayRef<StringLiteral> unchecked = triple.isX86() ? ArrayRef(uncheckedX86)
                                      : triple.isAArch64()
                                          ? ArrayRef(uncheckedArm)
                                          : ArrayRef<StringLiteral>();
  std::string off;
  for (StringRef name : unchecked)
    if (subtarget.checkFeatures(("+" + name).str()) &&
        !is_contained(split(wanted, ','), ("+" + name).str()))
      off += (",-" + name).str();
  return off;
}

static fulgur::Target vectorUnitOf(const Triple &triple, uint64_t cpuFeatures) {
  if (!triple.isX86())
    return {.vectorBytes = 16,
            .vectorRegisters = 32,
            .fma = true,
            .vnni = bool(cpuFeatures & FULGUR_CPU_ARM_I8MM),
            .dotprod = bool(cpuFeatures & FULGUR_CPU_ARM_DOTPROD)};
  bool fma = cpuFeatures & FULGUR_CPU_FMA;
  constexpr uint64_t amx =
      FULGUR_CPU_AMX_TILE | FULGUR_CPU_AMX_INT8 | FULGUR_CPU_AMX_BF16;
  if (cpuFeatures & FULGUR_CPU_AVX512F)
    return {.vectorBytes = 64,
            .vectorRegisters = 32,
            .fma = true,
            .bf16 = bool(cpuFeatures & FULGUR_CPU_AVX512BF16),
            .vbmi = bool(cpuFeatures & FULGUR_CPU_AVX512VBMI),
            .amx = (cpuFeatures & amx) == amx,
            .vnni = bool(cpuFeatures & FULGUR_CPU_AVX512VNNI)};
  return {.vectorBytes = cpuFeatures & FULGUR_CPU_AVX ? 32 : 16,
          .vectorRegisters = 16,
          .fma = fma,
          .vnni = bool(cpuFeatures & FULGUR_CPU_AVXVNNI)};
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

  auto subtargetOf = [&] {
    return std::unique_ptr<MCSubtargetInfo>(
        target.backend->createMCSubtargetInfo(target.triple, target.cpu,
                                              target.features));
  };
  target.features +=
      withoutUnchecked(*subtargetOf(), target.triple, options.features);
  target.features.erase(0, target.features.starts_with(","));
  std::unique_ptr<MCSubtargetInfo> subtarget = subtargetOf();
  target.cpuFeatures = cpuFeaturesOf(*subtarget, target.triple);
  target.unit = vectorUnitOf(target.triple, target.cpuFeatures);
  // Their adders do not take time from multiplications. Tiles of narrow vectors
  // are bound by what they load, of which Strassen's step needs more.
  target.unit.strassen =
      options.strassen.value_or(StringRef(target.cpu).starts_with("znver") &&
                                target.unit.vectorBytes >= 64);
  // It computes with vectors of 64 bytes in two turns.
  target.unit.halves = target.cpu == "znver4" && target.unit.vectorBytes >= 64;
  return target;
}

/// "v4-vnni-bf16", "amx", "znver5+avx512fp16" as a CPU and features.
static std::pair<std::string, std::string> parseVariant(StringRef name,
                                                        bool isX86) {
  static constexpr std::pair<StringLiteral, StringLiteral> extensions[] = {
      {"vnni", "+avx512vnni"},
      {"bf16", "+avx512bf16"},
      {"fp16", "+avx512fp16"},
      {"amx", "+amx-tile,+amx-int8,+amx-bf16"}};
  std::string features;
  auto add = [&](StringRef feature) {
    features += (features.empty() ? "" : ",") + feature.str();
  };
  auto [cpu, plus] = name.split('+');
  for (StringRef feature : split(plus, '+'))
    if (!feature.empty())
      add(("+" + feature).str());
  StringRef level = cpu == "amx" ? StringRef("v4-vnni-bf16-amx") : cpu;
  if (!isX86 || !level.consume_front("v"))
    return {cpu.str(), features};
  auto [number, rest] = level.split('-');
  if (number != "2" && number != "3" && number != "4")
    return {cpu.str(), features};
  for (StringRef word : split(rest, '-')) {
    if (word.empty())
      continue;
    const auto *known = find_if(
        extensions, [&](auto &extension) { return extension.first == word; });
    if (known == std::end(extensions))
      return {cpu.str(), features};
    add(known->second);
  }
  return {("x86-64-v" + number).str(), features};
}

Expected<std::vector<CpuTarget>>
fulgur::resolveTargets(const Options &options) {
  std::vector<CpuTarget> targets;
  if (options.cpuVariants.empty()) {
    Expected<CpuTarget> target = resolveTarget(options);
    if (!target)
      return target.takeError();
    targets.push_back(std::move(*target));
    return targets;
  }
  if (!options.cpu.empty() || !options.features.empty())
    return fail(ExitCode::usage, "--cpu-variants names the CPUs; it does not "
                                 "go with --mcpu and --mattr");
  bool isX86 = Triple(options.triple.empty() ? sys::getDefaultTargetTriple()
                                             : options.triple)
                   .isX86();
  for (StringRef name : options.cpuVariants) {
    Options one = options;
    std::tie(one.cpu, one.features) = parseVariant(name, isX86);
    Expected<CpuTarget> target = resolveTarget(one);
    if (!target)
      return target.takeError();
    target->name = name.str();
    targets.push_back(std::move(*target));
  }
  llvm::sort(targets, [](const CpuTarget &a, const CpuTarget &b) {
    return std::tuple(popcount(b.cpuFeatures), b.cpuFeatures, a.name) <
           std::tuple(popcount(a.cpuFeatures), a.cpuFeatures, b.name);
  });
  for (size_t i = 0; i < targets.size(); ++i)
    for (size_t k = 0; k < i; ++k)
      if (targets[k].cpuFeatures == targets[i].cpuFeatures)
        return fail(ExitCode::usage,
                    "--cpu-variants: '" + targets[k].name + "' and '" +
                        targets[i].name +
                        "' need the same CPU features, so one of them would "
                        "never be chosen");
  return targets;
}

StringRef fulgur::baselineCpu(const Triple &triple) {
  return triple.isX86() ? "x86-64" : "generic";
}

std::vector<std::pair<std::string, std::string>> CpuTarget::attributes() const {
  return {{"target-cpu", cpu},
          {"target-features", features},
          {"prefer-vector-width", std::to_string(unit.vectorBytes * 8)}};
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
