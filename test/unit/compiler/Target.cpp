// What --mcpu and --cpu-variants mean.
#include "compiler/Target.h"
#include "compiler/Options.h"
#include "runtime/fulgur.h"
#include <gtest/gtest.h>

using namespace fulgur;
using namespace llvm;

static std::vector<CpuTarget> targetsOf(std::vector<std::string> variants,
                                        std::string triple = "x86_64-linux") {
  initializeTargets();
  Options options;
  options.triple = triple;
  options.cpuVariants = std::move(variants);
  return cantFail(resolveTargets(options));
}

static std::string complaintOf(std::vector<std::string> variants) {
  initializeTargets();
  Options options;
  options.triple = "x86_64-linux";
  options.cpuVariants = std::move(variants);
  return toString(resolveTargets(options).takeError());
}

TEST(Target, VariantsGoFromTheMostDemandingOne) {
  auto targets = targetsOf({"v3", "amx", "v2", "v4-vnni-bf16", "v4"});
  std::vector<std::string> names;
  for (const CpuTarget &target : targets)
    names.push_back(target.name);
  EXPECT_EQ(names, (std::vector<std::string>{"amx", "v4-vnni-bf16", "v4", "v3",
                                             "v2"}));
  EXPECT_EQ(targets[0].cpuFeatures & ~targets[1].cpuFeatures,
            uint64_t(FULGUR_CPU_AMX_TILE | FULGUR_CPU_AMX_INT8 |
                     FULGUR_CPU_AMX_BF16));
  EXPECT_EQ(targets[1].cpuFeatures & ~targets[2].cpuFeatures,
            uint64_t(FULGUR_CPU_AVX512VNNI | FULGUR_CPU_AVX512BF16));
  EXPECT_EQ(targets[3].unit.vectorBytes, 32);
  EXPECT_EQ(targets[4].unit.vectorBytes, 16);
  EXPECT_FALSE(targets[4].unit.fma);
}

TEST(Target, VariantsMayBeCpusWithFeatures) {
  auto targets = targetsOf({"haswell", "x86-64-v4+avx512fp16"});
  EXPECT_EQ(targets[0].cpu, "x86-64-v4");
  EXPECT_TRUE(targets[0].cpuFeatures & FULGUR_CPU_AVX512FP16);
  EXPECT_EQ(targets[1].cpu, "haswell");
  EXPECT_EQ(targetsOf({"generic", "neoverse-v1"}, "aarch64-linux")[0].cpu,
            "neoverse-v1");
}

TEST(Target, VariantsThatMeanNothingAreRefused) {
  EXPECT_NE(complaintOf({"v3", "v4-warp"}).find("unknown CPU 'v4-warp'"),
            std::string::npos);
  EXPECT_NE(complaintOf({"v3", "v3"}).find("need the same CPU features"),
            std::string::npos);
  EXPECT_NE(complaintOf({"v3+warp"}).find("unknown CPU feature '+warp'"),
            std::string::npos);
}

TEST(Target, CodeUsesOnlyFeaturesThatTheRuntimeChecks) {
  // bdver2 has XOP, which the code generator would choose and nobody checks.
  auto targets = targetsOf({"bdver2"});
  EXPECT_NE(targets[0].features.find("-xop"), std::string::npos);
}
