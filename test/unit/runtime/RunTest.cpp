// Every status and message of fulgur_plan() and fulgur_run().
#include "DemoRun.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace {

#define EXPECT_FAILS(call, status, message)                                    \
  do {                                                                         \
    EXPECT_EQ(call, status);                                                   \
    EXPECT_STREQ(fulgur_last_message(), message);                              \
  } while (false)

TEST(Plan, tellsSizes) {
  DemoRun demo(5, 7);
  size_t arena = 0;
  ASSERT_EQ(demo.plan(&arena), FULGUR_OK);
  EXPECT_EQ(arena, 5u * 64);
  EXPECT_EQ(demo.outputs[0].rank, 2);
  EXPECT_EQ(demo.outputs[0].dims[0], 5);
  EXPECT_EQ(demo.outputs[0].dims[1], 7);
  EXPECT_EQ(demo.outputs[1].rank, 1);
  EXPECT_EQ(demo.outputs[1].dims[0], 5);
  EXPECT_EQ(demo.outputs[1].dtype, FULGUR_FLOAT32);
}

TEST(Plan, needsNoData) {
  DemoRun demo;
  for (fulgur_tensor &input : demo.inputs)
    input.data = nullptr, input.bytes = 0;
  EXPECT_EQ(demo.plan(), FULGUR_OK);
  EXPECT_EQ(
      fulgur_plan(&demo.model, demo.inputs.data(), 3, nullptr, 0, nullptr),
      FULGUR_OK);
}

TEST(Plan, countsOutputs) {
  DemoRun demo;
  demo.outputs.pop_back();
  EXPECT_FAILS(demo.plan(), FULGUR_INVALID_COUNT,
               "model 'demo' has 2 outputs, but 1 are given");
}

TEST(Run, computes) {
  for (int64_t batch : {1, 2, 64})
    for (int64_t sequence : {1, 3, 64}) {
      DemoRun demo(batch, sequence);
      ASSERT_EQ(demo.run(), FULGUR_OK) << fulgur_last_message();
      EXPECT_TRUE(demo.right());
      EXPECT_EQ(demo.outputs[0].dims[0], batch);
      EXPECT_EQ(demo.outputs[0].dims[1], sequence);
    }
}

TEST(Run, tellsSizesThatDependOnData) {
  DemoRun demo(4, 3);
  demo.model.run = [](const fulgur_call *call) {
    call->output_dims[2] = 1; // planned as 4
    return demo_model.run(call);
  };
  ASSERT_EQ(demo.plan(), FULGUR_OK);
  EXPECT_EQ(demo.outputs[1].dims[0], 4);
  ASSERT_EQ(demo.run(), FULGUR_OK) << fulgur_last_message();
  EXPECT_EQ(demo.outputs[0].dims[0], 4);
  EXPECT_EQ(demo.outputs[1].dims[0], 1);
  demo.outputs[1].bytes = 4;
  EXPECT_FAILS(demo.run(), FULGUR_BUFFER_TOO_SMALL,
               "output 'sum': its buffer has 4 bytes, but its dims need 16");
}

TEST(Run, computesOnPool) {
  fulgur_executor *pool = fulgur_pool_create(3);
  ASSERT_TRUE(pool);
  for (int i = 0; i < 100; ++i) {
    DemoRun demo(64, 16);
    demo.context.executor = pool;
    ASSERT_EQ(demo.run(), FULGUR_OK);
    EXPECT_TRUE(demo.right());
  }
  fulgur_pool_destroy(pool);
}

TEST(Run, prefersWeightsOfContext) {
  alignas(64) float weights[16] = {0};
  DemoRun demo;
  demo.context.weights = weights;
  demo.context.weights_bytes = sizeof weights;
  ASSERT_EQ(demo.run(), FULGUR_OK);
  EXPECT_EQ(demo.y[0], 0.0f);
}

TEST(Run, keepsOutputsOnFailure) {
  DemoRun demo;
  demo.context.arena_bytes = 0;
  demo.y[0] = -1;
  EXPECT_NE(demo.run(), FULGUR_OK);
  EXPECT_EQ(demo.y[0], -1);
  EXPECT_EQ(demo.outputs[0].rank, 0);
}

TEST(RunRefuses, nulls) {
  DemoRun demo;
  EXPECT_FAILS(fulgur_run(nullptr, &demo.context, nullptr, 0, nullptr, 0),
               FULGUR_INVALID_ARGUMENT, "the model is null");
  EXPECT_FAILS(fulgur_run(&demo.model, nullptr, nullptr, 0, nullptr, 0),
               FULGUR_INVALID_ARGUMENT, "the context is null");
  EXPECT_FAILS(fulgur_run(&demo.model, &demo.context, nullptr, 3,
                          demo.outputs.data(), 2),
               FULGUR_INVALID_ARGUMENT, "the array of inputs is null");
  EXPECT_FAILS(
      fulgur_run(&demo.model, &demo.context, demo.inputs.data(), 3, nullptr, 2),
      FULGUR_INVALID_ARGUMENT, "the array of outputs is null");
  demo.inputs[1].data = nullptr;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_ARGUMENT,
               "input 'ids': its data is null");
  demo = DemoRun();
  demo.outputs[1].data = nullptr;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_ARGUMENT,
               "output 'sum': its data is null");
}

TEST(RunRefuses, stateInTwoBuffers) {
  DemoRun demo;
  const fulgur_state state = {0, 0};
  demo.model.n_states = 1;
  demo.model.states = &state;
  EXPECT_FAILS(
      demo.run(), FULGUR_INVALID_ARGUMENT,
      "input 'x' and output 'y' are one buffer, but have different data");
  demo.outputs[0].data = demo.x.data();
  EXPECT_EQ(demo.run(), FULGUR_OK);
}

TEST(RunRefuses, anotherAbi) {
  DemoRun demo;
  demo.model.abi_version = 7;
  EXPECT_FAILS(demo.run(), FULGUR_VERSION_MISMATCH,
               "the model has ABI version 7, but this runtime has 1");
  demo = DemoRun();
  demo.model.struct_bytes = 8;
  EXPECT_EQ(demo.run(), FULGUR_VERSION_MISMATCH);
  EXPECT_TRUE(std::string(fulgur_last_message())
                  .starts_with("the model's descriptor has 8 bytes, but"));
}

TEST(RunRefuses, contextWithoutInit) {
  DemoRun demo;
  demo.context.struct_bytes = 4;
  EXPECT_EQ(demo.run(), FULGUR_INVALID_ARGUMENT);
  EXPECT_TRUE(std::string(fulgur_last_message())
                  .starts_with("the context has 4 bytes instead of"));
}

TEST(RunRefuses, otherCpus) {
  DemoRun demo;
  demo.model.target = "x86_64-unknown-linux-gnu future";
  demo.model.cpu_features = UINT64_C(1) << 50;
  EXPECT_FAILS(
      demo.run(), FULGUR_UNSUPPORTED_CPU,
      "model 'demo' was compiled for 'x86_64-unknown-linux-gnu "
      "future', but this CPU or its operating system lacks feature 50");
}

TEST(Run, knowsCpu) {
#if defined(__x86_64__)
  const std::pair<uint64_t, bool> features[] = {
      {FULGUR_CPU_AVX, __builtin_cpu_supports("avx")},
      {FULGUR_CPU_AVX2, __builtin_cpu_supports("avx2")},
      {FULGUR_CPU_FMA, __builtin_cpu_supports("fma")},
      {FULGUR_CPU_SSE42, __builtin_cpu_supports("sse4.2")},
      {FULGUR_CPU_AVX512F, __builtin_cpu_supports("avx512f")},
      {FULGUR_CPU_AVX512BW, __builtin_cpu_supports("avx512bw")},
      {FULGUR_CPU_AVX512DQ, __builtin_cpu_supports("avx512dq")},
      {FULGUR_CPU_AVX512VL, __builtin_cpu_supports("avx512vl")},
      {FULGUR_CPU_AVX512VNNI, __builtin_cpu_supports("avx512vnni")},
      {FULGUR_CPU_AVX512BF16, __builtin_cpu_supports("avx512bf16")}};
  for (auto [feature, has] : features) {
    DemoRun demo;
    demo.model.cpu_features = feature;
    EXPECT_EQ(demo.run(), has ? FULGUR_OK : FULGUR_UNSUPPORTED_CPU)
        << "feature " << feature;
  }
#endif
}

/// The demo model as code for two kinds of CPUs, one of which there is not.
struct VariantRun : DemoRun {
  fulgur_variant variants[2];
  explicit VariantRun(uint64_t secondFeatures) {
    for (fulgur_variant &variant : variants)
      variant = {
          "",         0,         0,      model.n_messages, model.messages,
          model.plan, model.run, nullptr};
    variants[0].name = "future";
    variants[0].cpu_features = UINT64_C(1) << 50;
    variants[0].run = [](const fulgur_call *) { return 1; };
    variants[1].name = "present";
    variants[1].cpu_features = secondFeatures;
    model.cpu_features = secondFeatures;
    model.n_variants = 2;
    model.variants = variants;
  }
};

TEST(Run, takesTheBestVariant) {
  VariantRun demo(0);
  EXPECT_STREQ(fulgur_chosen_variant(&demo.model), "present");
  EXPECT_EQ(demo.run(), FULGUR_OK);
  EXPECT_TRUE(demo.right());
  demo.variants[0].cpu_features = 0;
  EXPECT_STREQ(fulgur_chosen_variant(&demo.model), "future");
  EXPECT_FAILS(
      demo.run(), FULGUR_INVALID_VALUE,
      ("model 'demo': " + std::string(demo.model.messages[0])).c_str());
}

TEST(RunRefuses, cpusBelowAllVariants) {
  VariantRun demo(UINT64_C(1) << 51);
  EXPECT_EQ(fulgur_chosen_variant(&demo.model), nullptr);
  EXPECT_FAILS(demo.run(), FULGUR_UNSUPPORTED_CPU,
               "model 'demo' was compiled for 'any', but this CPU or its "
               "operating system lacks feature 51");
}

TEST(Run, limitsCpu) {
  uint64_t all = fulgur_cpu_features();
  if (!all)
    GTEST_SKIP() << "no features are known of this CPU";
  VariantRun demo(all & -all);
  EXPECT_EQ(demo.run(), FULGUR_OK);
  fulgur_limit_cpu(all & ~(all & -all));
  EXPECT_EQ(demo.run(), FULGUR_UNSUPPORTED_CPU);
  EXPECT_EQ(fulgur_cpu_features(), all & ~(all & -all));
  fulgur_limit_cpu(UINT64_MAX);
  EXPECT_EQ(demo.run(), FULGUR_OK);
}

TEST(RunRefuses, counts) {
  DemoRun demo;
  demo.inputs.pop_back();
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_COUNT,
               "model 'demo' has 3 inputs, but 2 are given");
  demo = DemoRun();
  demo.outputs.resize(3);
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_COUNT,
               "model 'demo' has 2 outputs, but 3 are given");
  demo = DemoRun();
  demo.model.n_symbols = 1000;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_COUNT,
               "model 'demo' has 1000 symbols, but 0 to 512 are possible");
}

TEST(RunRefuses, dtype) {
  DemoRun demo;
  demo.inputs[1].dtype = FULGUR_INT32;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DTYPE,
               "input 'ids': its type is int32, but the model has int64");
  demo.inputs[1].dtype = fulgur_dtype(1234);
  EXPECT_FAILS(
      demo.run(), FULGUR_INVALID_DTYPE,
      "input 'ids': its type is unknown type, but the model has int64");
}

TEST(RunRefuses, rank) {
  DemoRun demo;
  demo.inputs[0].rank = 3;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_RANK,
               "input 'x': its rank is 3, but the model has 2");
}

TEST(RunRefuses, negativeDim) {
  DemoRun demo;
  demo.inputs[0].dims[1] = -3;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DIMS,
               "input 'x': dim 1 is -3, but must not be negative");
}

TEST(RunRefuses, constantDim) {
  DemoRun demo;
  demo.inputs[2].dims[0] = 5;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DIMS,
               "input 'scale': dim 0 is 5, but the model has 4");
}

TEST(RunRefuses, contradictingDims) {
  DemoRun demo(2, 16);
  demo.inputs[1].dims[1] = 12;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DIMS,
               "input 'ids': dim 1 (sequence) is 12, but 'x' gave 16");
}

TEST(RunRefuses, dimsOutOfRange) {
  DemoRun demo(2, 65);
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DIMS,
               "input 'x': dim 1 (sequence) is 65, but must be from 1 to 64");
  demo.inputs[0].dims[0] = 0;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DIMS,
               "input 'x': dim 0 (batch) is 0, but must be at least 1");
}

TEST(RunRefuses, unboundSymbol) {
  DemoRun demo;
  fulgur_symbol symbols[] = {{"batch", 1, 9, FULGUR_FROM_DIM, 0, 0},
                             {"sequence", 1, 9, FULGUR_FROM_DIM, 0, 0},
                             {"lost", 1, 9, FULGUR_FROM_DIM, 0, 0}};
  demo.model.symbols = symbols;
  demo.model.n_symbols = 3;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DIMS,
               "model 'demo': no input gives the size of 'lost'");
}

TEST(Run, symbolsThatAreValues) {
  DemoRun demo;
  fulgur_symbol symbols[] = {{"batch", 1, 9, FULGUR_FROM_DIM, 0, 0},
                             {"sequence", 1, 9, FULGUR_FROM_DIM, 0, 0},
                             {"ids[2]", -1, 7, FULGUR_FROM_VALUE, 1, 2}};
  demo.model.symbols = symbols;
  demo.model.n_symbols = 3;
  demo.model.plan = [](const int64_t *s, int64_t *arena, int64_t *dims) {
    *arena = s[2];
    dims[0] = dims[2] = s[0];
    dims[1] = s[1];
    return 0;
  };
  size_t arena = 0;
  demo.ids[2] = 5;
  EXPECT_EQ(demo.plan(&arena), FULGUR_OK);
  EXPECT_EQ(arena, 5u);
  demo.ids[2] = -2;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_VALUE,
               "input 'ids': element 2 is -2, but must be from -1 to 7");
  demo.inputs[1].bytes = 16;
  EXPECT_FAILS(demo.run(), FULGUR_BUFFER_TOO_SMALL,
               "input 'ids': its buffer has 16 bytes, but its dims need at "
               "least 24");
  demo.inputs[1].data = nullptr;
  EXPECT_FAILS(demo.plan(), FULGUR_INVALID_ARGUMENT,
               "input 'ids': its data decide about shapes, but are null");
}

TEST(RunRefuses, overflow) {
  DemoRun demo;
  demo.inputs[0].dims[0] = INT64_MAX;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DIMS,
               "input 'x': the product of its dims is too large");
  fulgur_symbol symbols[] = {{"batch", 0, INT64_MAX, FULGUR_FROM_DIM, 0, 0},
                             {"sequence", 0, INT64_MAX, FULGUR_FROM_DIM, 0, 0}};
  demo.model.symbols = symbols; // an empty tensor's dims are multiplied too
  demo.inputs[0].dims[0] = 0;
  demo.inputs[0].dims[1] = INT64_MAX;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DIMS,
               "input 'x': the product of its dims is too large");
}

TEST(RunRefuses, whatThePlanRefuses) {
  DemoRun demo(65, 64);
  EXPECT_FAILS(
      demo.run(), FULGUR_INVALID_DIMS,
      "model 'demo': node 'flatten': batch * sequence must be at most 4096");
  demo = DemoRun();
  demo.model.plan = [](const int64_t *, int64_t *, int64_t *) { return 99; };
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DIMS,
               "model 'demo': no message is known for the failure");
}

TEST(RunRefuses, impossiblePlans) {
  DemoRun demo;
  demo.model.plan = [](const int64_t *, int64_t *arena, int64_t *dims) {
    *arena = -1;
    std::fill_n(dims, 3, 1);
    return 0;
  };
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DIMS,
               "model 'demo': the memory that these dims need is too large");
  demo.model.plan = [](const int64_t *, int64_t *arena, int64_t *dims) {
    *arena = 0;
    std::fill_n(dims, 3, 1);
    dims[1] = -4;
    return 0;
  };
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_DIMS,
               "output 'y': these inputs make its dim 1 (sequence) -4");
}

TEST(RunRefuses, values) {
  DemoRun demo;
  demo.ids[4] = 4;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_VALUE,
               "model 'demo': node 'embedding': index outside axis 0 of "
               "'scale' (4 rows)");
}

TEST(RunRefuses, smallBuffers) {
  DemoRun demo;
  demo.inputs[0].bytes = 23;
  EXPECT_FAILS(demo.run(), FULGUR_BUFFER_TOO_SMALL,
               "input 'x': its buffer has 23 bytes, but its dims need 24");
  demo = DemoRun();
  demo.outputs[1].bytes = 4;
  EXPECT_FAILS(demo.run(), FULGUR_BUFFER_TOO_SMALL,
               "output 'sum': its buffer has 4 bytes, but its dims need 8");
  demo = DemoRun();
  demo.context.arena_bytes = 64;
  EXPECT_FAILS(demo.run(), FULGUR_BUFFER_TOO_SMALL,
               "the arena has 64 bytes, but these dims need 128");
}

TEST(RunRefuses, misalignment) {
  DemoRun demo;
  demo.context.arena = static_cast<char *>(demo.context.arena) + 8;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_ARGUMENT,
               "the arena is not aligned to 64 bytes");
  demo = DemoRun();
  demo.inputs[1].data = reinterpret_cast<char *>(demo.ids.data()) + 4;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_ARGUMENT,
               "input 'ids': its data is not aligned to the 8 bytes of int64");
}

TEST(RunRefuses, arenaOfNothing) {
  DemoRun demo;
  demo.context.arena = nullptr;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_ARGUMENT, "the arena is null");
}

TEST(RunRefuses, missingWeights) {
  alignas(64) static float weights[32];
  DemoRun demo;
  demo.model.embedded_weights = nullptr;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_WEIGHTS,
               "model 'demo' keeps its weights in a file, but the context has "
               "none");
  demo.context.weights = weights;
  demo.context.weights_bytes = 128;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_WEIGHTS,
               "the context has 128 bytes of weights, but model 'demo' has 64");
  demo.context.weights = weights + 1;
  demo.context.weights_bytes = 64;
  EXPECT_FAILS(demo.run(), FULGUR_INVALID_WEIGHTS,
               "the weights are not aligned to 64 bytes");
}

} // namespace
