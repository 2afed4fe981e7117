// CPU features by cpuid. The answer is kept: under a hypervisor each cpuid is a
// trap of some microseconds.
#include "Cpu.h"
#include "fulgur.h"

#include <stdatomic.h>
#include <stdio.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

/// The register states that the operating system saves.
static uint32_t saved_states(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

static uint64_t detect(void) {
  enum { YMM = 0x6, ZMM = 0xe6 };
  unsigned a, b, c, d;
  uint64_t features = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d))
    return 0;
  if (c & bit_SSE4_2)
    features |= FULGUR_CPU_SSE42;
  if (!(c & bit_OSXSAVE) || !(c & bit_AVX))
    return features;
  uint32_t states = saved_states();
  if ((states & YMM) != YMM)
    return features;
  features |= FULGUR_CPU_AVX;
  if (c & bit_FMA)
    features |= FULGUR_CPU_FMA;
  if (c & bit_F16C)
    features |= FULGUR_CPU_F16C;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
    return features;
  if (b & bit_AVX2)
    features |= FULGUR_CPU_AVX2;
  if ((states & ZMM) != ZMM || !(b & bit_AVX512F))
    return features;
  features |= FULGUR_CPU_AVX512F;
  if (b & bit_AVX512BW)
    features |= FULGUR_CPU_AVX512BW;
  if (b & bit_AVX512DQ)
    features |= FULGUR_CPU_AVX512DQ;
  if (b & bit_AVX512VL)
    features |= FULGUR_CPU_AVX512VL;
  if (c & bit_AVX512VNNI)
    features |= FULGUR_CPU_AVX512VNNI;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & bit_AVX512BF16))
    features |= FULGUR_CPU_AVX512BF16;
  return features;
}
#else
static uint64_t detect(void) { return 0; }
#endif

uint64_t fulgur__cpu_features(void) {
  static _Atomic uint64_t kept;
  const uint64_t asked = UINT64_C(1) << 63;
  uint64_t features = atomic_load_explicit(&kept, memory_order_relaxed);
  if (!features) { // two threads may both ask: they get the same answer
    features = detect() | asked;
    atomic_store_explicit(&kept, features, memory_order_relaxed);
  }
  return features & ~asked;
}

void fulgur__cpu_names(uint64_t features, char *text, size_t bytes) {
  static const char *const names[] = {
      "avx",      "avx2",     "fma",        "f16c",       "avx512f", "avx512bw",
      "avx512dq", "avx512vl", "avx512vnni", "avx512bf16", "sse4.2"};
  size_t used = 0;
  text[0] = 0;
  for (unsigned i = 0; i < 64 && used < bytes; ++i) {
    if (!(features >> i & 1))
      continue;
    const char *comma = used ? ", " : "";
    int n = i < sizeof names / sizeof *names
                ? snprintf(text + used, bytes - used, "%s%s", comma, names[i])
                : snprintf(text + used, bytes - used, "%sfeature %u", comma, i);
    if (n > 0)
      used += (size_t)n;
  }
}
