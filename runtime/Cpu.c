// CPU features by cpuid, or by what Linux tells. The answer is kept: under a
// hypervisor each cpuid is a trap of some microseconds.
#define _GNU_SOURCE // syscall()
#include "Cpu.h"
#include "fulgur.h"

#include <stdatomic.h>
#include <stdio.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/// A feature: its flag, where cpuid tells it, and what registers it needs.
typedef struct feature {
  uint32_t flag;
  uint8_t group;    ///< see `leaves`
  uint8_t position; ///< 32 * register (a, b, c, d) + bit
  uint8_t states;   ///< see `masks`
  char name[16];
} feature;

enum { A = 0, B = 32, C = 64, D = 96 };
enum { NONE, YMM, ZMM, TILE };
static const uint32_t leaves[][2] = {{1, 0}, {7, 0}, {7, 1}, {0x80000001u, 0}};
static const uint32_t masks[] = {
    [NONE] = 0, [YMM] = 0x6, [ZMM] = 0xe6, [TILE] = 0x60000};

static const feature features[] = {
    {FULGUR_CPU_AVX, 0, C + 28, YMM, "avx"},
    {FULGUR_CPU_AVX2, 1, B + 5, YMM, "avx2"},
    {FULGUR_CPU_FMA, 0, C + 12, YMM, "fma"},
    {FULGUR_CPU_F16C, 0, C + 29, YMM, "f16c"},
    {FULGUR_CPU_AVX512F, 1, B + 16, ZMM, "avx512f"},
    {FULGUR_CPU_AVX512BW, 1, B + 30, ZMM, "avx512bw"},
    {FULGUR_CPU_AVX512DQ, 1, B + 17, ZMM, "avx512dq"},
    {FULGUR_CPU_AVX512VL, 1, B + 31, ZMM, "avx512vl"},
    {FULGUR_CPU_AVX512VNNI, 1, C + 11, ZMM, "avx512vnni"},
    {FULGUR_CPU_AVX512BF16, 2, A + 5, ZMM, "avx512bf16"},
    {FULGUR_CPU_SSE42, 0, C + 20, NONE, "sse4.2"},
    {FULGUR_CPU_SSE3, 0, C + 0, NONE, "sse3"},
    {FULGUR_CPU_SSSE3, 0, C + 9, NONE, "ssse3"},
    {FULGUR_CPU_SSE41, 0, C + 19, NONE, "sse4.1"},
    {FULGUR_CPU_POPCNT, 0, C + 23, NONE, "popcnt"},
    {FULGUR_CPU_LZCNT, 3, C + 5, NONE, "lzcnt"},
    {FULGUR_CPU_BMI, 1, B + 3, NONE, "bmi"},
    {FULGUR_CPU_BMI2, 1, B + 8, NONE, "bmi2"},
    {FULGUR_CPU_MOVBE, 0, C + 22, NONE, "movbe"},
    {FULGUR_CPU_AVX512CD, 1, B + 28, ZMM, "avx512cd"},
    {FULGUR_CPU_AVX512IFMA, 1, B + 21, ZMM, "avx512ifma"},
    {FULGUR_CPU_AVX512VBMI, 1, C + 1, ZMM, "avx512vbmi"},
    {FULGUR_CPU_AVX512VBMI2, 1, C + 6, ZMM, "avx512vbmi2"},
    {FULGUR_CPU_AVX512BITALG, 1, C + 12, ZMM, "avx512bitalg"},
    {FULGUR_CPU_AVX512VPOPCNT, 1, C + 14, ZMM, "avx512vpopcntdq"},
    {FULGUR_CPU_AVX512FP16, 1, D + 23, ZMM, "avx512fp16"},
    {FULGUR_CPU_GFNI, 1, C + 8, NONE, "gfni"},
    {FULGUR_CPU_AVXVNNI, 2, A + 4, YMM, "avxvnni"},
    {FULGUR_CPU_AMX_TILE, 1, D + 24, TILE, "amx-tile"},
    {FULGUR_CPU_AMX_INT8, 1, D + 25, TILE, "amx-int8"},
    {FULGUR_CPU_AMX_BF16, 1, D + 22, TILE, "amx-bf16"},
};

/// The register states that the operating system saves.
static uint32_t saved_states(const unsigned leaf1[4]) {
  if (!(leaf1[2] & bit_OSXSAVE))
    return 0;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static uint64_t detect(void) {
  unsigned told[sizeof leaves / sizeof *leaves][4];
  for (size_t i = 0; i < sizeof leaves / sizeof *leaves; ++i)
    if (!__get_cpuid_count(leaves[i][0], leaves[i][1], &told[i][0], &told[i][1],
                           &told[i][2], &told[i][3]))
      for (int k = 0; k < 4; ++k)
        told[i][k] = 0;
  uint32_t states = saved_states(told[0]);
  uint64_t found = 0;
  for (size_t i = 0; i < sizeof features / sizeof *features; ++i) {
    const feature *f = &features[i];
    if (told[f->group][f->position / 32] >> f->position % 32 & 1 &&
        (states & masks[f->states]) == masks[f->states])
      found |= f->flag;
  }
  return found;
}

/// Linux saves AMX's tiles only for processes that ask for it.
static int allows_tiles(void) {
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18, YES = 1, NO };
  static _Atomic int kept;
  int answer = atomic_load_explicit(&kept, memory_order_relaxed);
  if (!answer) {
    answer =
        syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0
            ? YES
            : NO;
    atomic_store_explicit(&kept, answer, memory_order_relaxed);
  }
  return answer == YES;
}
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

typedef struct feature {
  uint32_t flag;
  uint8_t word;     ///< 0: AT_HWCAP, 1: AT_HWCAP2
  uint8_t position; ///< bit
  char name[10];
} feature;

static const feature features[] = {
    {FULGUR_CPU_ARM_FP16, 0, 10, "fullfp16"},
    {FULGUR_CPU_ARM_RDM, 0, 12, "rdm"},
    {FULGUR_CPU_ARM_JSCVT, 0, 13, "jsconv"},
    {FULGUR_CPU_ARM_FCMA, 0, 14, "complxnum"},
    {FULGUR_CPU_ARM_DOTPROD, 0, 20, "dotprod"},
    {FULGUR_CPU_ARM_SVE, 0, 22, "sve"},
    {FULGUR_CPU_ARM_FHM, 0, 23, "fp16fml"},
    {FULGUR_CPU_ARM_SVE2, 1, 1, "sve2"},
    {FULGUR_CPU_ARM_FRINT, 1, 8, "fptoint"},
    {FULGUR_CPU_ARM_I8MM, 1, 13, "i8mm"},
    {FULGUR_CPU_ARM_BF16, 1, 14, "bf16"},
};

static uint64_t detect(void) {
  unsigned long words[] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
  uint64_t found = 0;
  for (size_t i = 0; i < sizeof features / sizeof *features; ++i)
    if (words[features[i].word] >> features[i].position & 1)
      found |= features[i].flag;
  return found;
}
#else
typedef struct feature {
  uint32_t flag;
  char name[1];
} feature;
static const feature features[1];
static uint64_t detect(void) { return 0; }
#endif

/// What fulgur_limit_cpu() lets be used.
static _Atomic uint64_t limit = UINT64_MAX;

static uint64_t cpu_features(void) {
  static _Atomic uint64_t kept;
  const uint64_t asked = UINT64_C(1) << 63;
  uint64_t found = atomic_load_explicit(&kept, memory_order_relaxed);
  if (!found) { // two threads may both ask: they get the same answer
    found = detect() | asked;
    atomic_store_explicit(&kept, found, memory_order_relaxed);
  }
  return found & ~asked;
}

uint64_t fulgur_cpu_features(void) {
  return cpu_features() & atomic_load_explicit(&limit, memory_order_relaxed);
}

void fulgur_limit_cpu(uint64_t allowed) {
  atomic_store_explicit(&limit, allowed, memory_order_relaxed);
}

uint64_t fulgur__cpu_lacks(uint64_t wanted) {
  uint64_t lacking = wanted & ~fulgur_cpu_features();
#if defined(__x86_64__)
  if (!lacking && wanted & FULGUR_CPU_AMX_TILE && !allows_tiles())
    lacking = FULGUR_CPU_AMX_TILE;
#endif
  return lacking;
}

static const char *name_of(uint64_t flag) {
  for (size_t i = 0; i < sizeof features / sizeof *features; ++i)
    if (features[i].flag == flag)
      return features[i].name;
  return NULL;
}

void fulgur__cpu_names(uint64_t wanted, char *text, size_t bytes) {
  size_t used = 0;
  text[0] = 0;
  for (unsigned i = 0; i < 64 && used < bytes; ++i) {
    if (!(wanted >> i & 1))
      continue;
    const char *comma = used ? ", " : "", *name = name_of(UINT64_C(1) << i);
    int n = name
                ? snprintf(text + used, bytes - used, "%s%s", comma, name)
                : snprintf(text + used, bytes - used, "%sfeature %u", comma, i);
    if (n > 0)
      used += (size_t)n;
  }
}
