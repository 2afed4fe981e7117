// Programs: parts, symbols of the run, loops, branches, outputs and memory.
#include "ProgramRun.h"

#include <gtest/gtest.h>

namespace {

#define EXPECT_FAILS(call, status, message)                                    \
  do {                                                                         \
    EXPECT_EQ(call, status);                                                   \
    EXPECT_STREQ(fulgur_last_message(), message);                              \
  } while (false)

const fulgur_port vectorPort = {"v", FULGUR_FLOAT32, 1, nullptr, nullptr};
enum { N, M };

/// Part: v[n] = u[n] * 2, which fails for a negative element.
const int32_t zero = 0, one = 1, two = 2;
const int32_t zeroAndTwo[] = {0, 2};
const char *const messages[] = {"node 'double' (Double, opset 1): an element "
                                "is negative",
                                "node 'double' (Double, opset 1): too long"};

int32_t planVector(const int64_t *symbols, int64_t *arena, int64_t *dims) {
  if (symbols[N] > 1000)
    return 2;
  *arena = symbols[N] * 4;
  dims[0] = symbols[N];
  return 0;
}

int32_t doubled(const fulgur_call *call) {
  auto *from = static_cast<const float *>(call->inputs[0]);
  auto *to = static_cast<float *>(call->outputs[0]);
  auto *scratch = reinterpret_cast<float *>(call->arena);
  for (int64_t i = 0; i < call->symbols[N]; ++i) {
    if (from[i] < 0)
      return 1;
    scratch[i] = from[i];
  }
  for (int64_t i = 0; i < call->symbols[N]; ++i)
    to[i] = 2 * scratch[i];
  return 0;
}

/// Part: w[n + m] = v[n] followed by v[m].
int32_t planJoined(const int64_t *symbols, int64_t *arena, int64_t *dims) {
  *arena = 0;
  dims[0] = symbols[N] + symbols[M];
  return 0;
}

int32_t joined(const fulgur_call *call) {
  auto *to = static_cast<float *>(call->outputs[0]);
  for (int input = 0; input < 2; ++input) {
    auto *from = static_cast<const float *>(call->inputs[input]);
    to = std::copy(from, from + call->symbols[input], to);
  }
  return 0;
}

/// Part: the positive elements of u[n], which are at most n.
int32_t positive(const fulgur_call *call) {
  auto *from = static_cast<const float *>(call->inputs[0]);
  auto *to = static_cast<float *>(call->outputs[0]), *start = to;
  for (int64_t i = 0; i < call->symbols[N]; ++i)
    if (from[i] > 0)
      *to++ = from[i];
  call->output_dims[0] = to - start;
  return 0;
}

fulgur_symbol fromDim(const char *name, int64_t max = INT64_MAX) {
  return {name, 0, max, FULGUR_FROM_DIM, 0, 0};
}
fulgur_symbol fromRun(const char *name, int64_t max = INT64_MAX) {
  return {name, 0, max, FULGUR_FROM_RUN, 0, 0};
}

/// in0: float[n]; slot 1: 2 * in0 by part 0; slot 2 = slot 0 + slot 2 by
/// part 1.
struct Loop : ProgramRun {
  std::vector<float> x = {1, 2, 3};
  std::vector<int64_t> trips = {3};
  static inline const fulgur_dim dimN[] = {{-1, N, "n"}};

  Loop() {
    symbols = {fromDim("n"), fromRun("m", 100)};
    fulgur_tensor tensor = {x.data(), 12, FULGUR_FLOAT32, 1, {3}};
    input(tensor, {"x", FULGUR_FLOAT32, 1, dimN, nullptr});
    parts = {
        {1, 1, 2, &zero, &one, &vectorPort, messages, planVector, doubled},
        {2, 1, 0, zeroAndTwo, &two, &vectorPort, nullptr, planJoined, joined},
        {1, 1, 2, &zero, &one, &vectorPort, messages, planVector, positive}};
  }
};

TEST(Program, runsAPart) {
  Loop run;
  run.output(1, FULGUR_FLOAT32, 1);
  run.body = [](fulgur_frame *frame) { return fulgur__part(frame, 0); };
  ASSERT_EQ(run.run(), FULGUR_OK) << fulgur_last_message();
  EXPECT_EQ(run.values<float>(run.outputs[0]), (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(run.dims(run.outputs[0]), (std::vector<int64_t>{3}));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(run.outputs[0].data) % 64, 0u);
  EXPECT_EQ(run.allocator.live, 1);
  run.release();
  EXPECT_EQ(run.allocator.live, 0);
  EXPECT_EQ(run.allocator.bytes, 0u);
  EXPECT_EQ(run.outputs[0].data, nullptr);
}

TEST(Program, dropsOutputsNobodyNeeds) {
  static const int32_t none = -1;
  Loop run;
  run.parts[0].outputs = &none;
  run.output(0, FULGUR_FLOAT32, 1);
  run.body = [](fulgur_frame *frame) { return fulgur__part(frame, 0); };
  ASSERT_EQ(run.run(), FULGUR_OK) << fulgur_last_message();
  EXPECT_EQ(run.allocator.live, 1);
}

TEST(Program, usesTheArenaOfTheContext) {
  alignas(64) char arena[64];
  Loop run;
  run.context.arena = arena;
  run.context.arena_bytes = sizeof arena;
  run.output(1, FULGUR_FLOAT32, 1);
  run.body = [](fulgur_frame *frame) { return fulgur__part(frame, 0); };
  ASSERT_EQ(run.run(), FULGUR_OK);
  int64_t calls = run.allocator.calls;
  run.release();
  run.context.arena_bytes = 8;
  ASSERT_EQ(run.run(), FULGUR_OK);
  EXPECT_EQ(run.allocator.calls, 2 * calls + 1);
}

TEST(Program, growsAStateInALoop) {
  // A loop whose state gets longer with each trip: part 1 reads and writes
  // slot 2.
  Loop run;
  run.output(2, FULGUR_FLOAT32, 1);
  run.body = [](fulgur_frame *frame) -> int32_t {
    CHECK_STEP(fulgur__assign(frame, 2, 0));
    for (int i = 0; i < 3; ++i) {
      CHECK_STEP(fulgur__define_dim(frame, M, 2, 0));
      CHECK_STEP(fulgur__part(frame, 1));
    }
    return 0;
  };
  ASSERT_EQ(run.run(), FULGUR_OK) << fulgur_last_message();
  EXPECT_EQ(run.values<float>(run.outputs[0]),
            (std::vector<float>{1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3}));
}

TEST(Program, takesSizesThatDependOnData) {
  Loop run;
  run.x = {-1, 4, 0};
  run.inputs[0].data = run.x.data();
  run.output(1, FULGUR_FLOAT32, 1);
  run.output(3, FULGUR_INT64, 0);
  run.body = [](fulgur_frame *frame) -> int32_t {
    int64_t size = 0;
    CHECK_STEP(fulgur__part(frame, 2));
    CHECK_STEP(fulgur__extent(frame, 1, 0, &size, "node"));
    return fulgur__write(frame, 3, FULGUR_INT64, 0, size);
  };
  ASSERT_EQ(run.run(), FULGUR_OK) << fulgur_last_message();
  EXPECT_EQ(run.values<float>(run.outputs[0]), std::vector<float>{4});
  EXPECT_EQ(run.values<int64_t>(run.outputs[1]), std::vector<int64_t>{1});
}

TEST(Program, reusesMemoryInALoop) {
  Loop run;
  run.output(1, FULGUR_FLOAT32, 1);
  auto trips = [&](int count) {
    run.body = [count](fulgur_frame *frame) -> int32_t {
      for (int i = 0; i < count; ++i) {
        CHECK_STEP(fulgur__write(frame, 3, FULGUR_INT64, 0, i));
        CHECK_STEP(fulgur__part(frame, 0));
      }
      return 0;
    };
    run.allocator.calls = 0;
    EXPECT_EQ(run.run(), FULGUR_OK);
    run.release();
    return run.allocator.calls;
  };
  EXPECT_EQ(trips(1), trips(100));
}

TEST(Program, leavesSharedValuesAlone) {
  Loop run;
  run.output(1, FULGUR_FLOAT32, 1);
  run.output(3, FULGUR_FLOAT32, 1);
  run.body = [](fulgur_frame *frame) -> int32_t {
    CHECK_STEP(fulgur__part(frame, 0));
    CHECK_STEP(fulgur__assign(frame, 3, 1));
    CHECK_STEP(fulgur__assign(frame, 0, 1)); // now in0 is 2, 4, 6
    return fulgur__part(frame, 0);
  };
  ASSERT_EQ(run.run(), FULGUR_OK);
  EXPECT_EQ(run.values<float>(run.outputs[0]), (std::vector<float>{4, 8, 12}));
  EXPECT_EQ(run.values<float>(run.outputs[1]), (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(run.x, (std::vector<float>{1, 2, 3}));
}

TEST(Program, branchesOnAValue) {
  for (bool condition : {false, true}) {
    Loop run;
    std::vector<uint8_t> flag = {condition};
    int32_t slot = run.input<uint8_t>({}, flag, FULGUR_BOOL);
    run.output(2, FULGUR_FLOAT32, 1);
    run.body = [slot](fulgur_frame *frame) -> int32_t {
      int64_t taken = 0;
      CHECK_STEP(fulgur__read(frame, slot, &taken, "node 'if' (If, opset 21)"));
      if (!taken)
        return fulgur__assign(frame, 2, 0);
      CHECK_STEP(fulgur__part(frame, 0)); // over the flag, which is read
      return fulgur__assign(frame, 2, 1);
    };
    ASSERT_EQ(run.run(), FULGUR_OK) << fulgur_last_message();
    EXPECT_EQ(run.values<float>(run.outputs[0])[2], condition ? 6 : 3);
  }
}

TEST(Program, plansWhatItKnows) {
  Loop run;
  run.output(1, FULGUR_FLOAT32);
  run.output(2, FULGUR_FLOAT32, 2);
  const fulgur_dim dims[] = {{-1, N, "n"}, {-1, M, "m"}, {7, -1, "7"}};
  run.outputPorts[1].dims = dims;
  run.outputPorts[1].rank = 3;
  run.describe();
  size_t arena = 1;
  ASSERT_EQ(fulgur_plan(&run.model, run.inputs.data(), 1, run.outputs.data(), 2,
                        &arena),
            FULGUR_OK)
      << fulgur_last_message();
  EXPECT_EQ(arena, 0u);
  EXPECT_EQ(run.outputs[0].rank, -1);
  EXPECT_EQ(run.dims(run.outputs[1]), (std::vector<int64_t>{3, -1, 7}));
}

TEST(Program, fillsBuffersOfTheCaller) {
  Loop run;
  run.output(1, FULGUR_FLOAT32, 1);
  run.body = [](fulgur_frame *frame) { return fulgur__part(frame, 0); };
  float y[4] = {};
  run.own = {y};
  run.outputs[0].data = y;
  run.outputs[0].bytes = sizeof y;
  ASSERT_EQ(run.run(), FULGUR_OK);
  EXPECT_EQ(y[2], 6);
  EXPECT_EQ(run.outputs[0].dims[0], 3);
  EXPECT_EQ(run.allocator.live, 0);
  y[0] = -1;
  run.outputs[0].bytes = 8;
  run.outputs[0].dims[0] = 0;
  EXPECT_FAILS(run.run(), FULGUR_BUFFER_TOO_SMALL,
               "output 'out': its buffer has 8 bytes, but its dims need 12");
  EXPECT_EQ(run.outputs[0].dims[0], 3);
  EXPECT_EQ(y[0], -1);
  run.outputs[0].data = reinterpret_cast<char *>(y) + 2;
  run.own = {run.outputs[0].data};
  EXPECT_FAILS(run.run(), FULGUR_INVALID_ARGUMENT,
               "output 'out': its data is not aligned to the 4 bytes of "
               "float32");
}

TEST(Program, givesOneValueTwice) {
  Loop run;
  for (int i = 0; i < 3; ++i)
    run.output(i == 2 ? 0 : 1, FULGUR_FLOAT32, 1);
  run.body = [](fulgur_frame *frame) { return fulgur__part(frame, 0); };
  ASSERT_EQ(run.run(), FULGUR_OK);
  EXPECT_NE(run.outputs[0].data, run.outputs[1].data);
  EXPECT_NE(run.outputs[2].data, run.x.data());
  EXPECT_EQ(run.values<float>(run.outputs[0]), (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(run.values<float>(run.outputs[1]), (std::vector<float>{2, 4, 6}));
  EXPECT_EQ(run.values<float>(run.outputs[2]), (std::vector<float>{1, 2, 3}));
}

TEST(Program, survivesEveryFailingAllocation) {
  for (int64_t failAt = 0;; ++failAt) {
    Loop run;
    run.output(2, FULGUR_FLOAT32, 1);
    run.output(4, FULGUR_SEQUENCE, 1, &vectorPort);
    run.output(5, FULGUR_FLOAT32, 2);
    run.output(6, FULGUR_OPTIONAL, 1, &vectorPort);
    run.output(7, FULGUR_STRING, 1);
    run.body = [](fulgur_frame *frame) -> int32_t {
      CHECK_STEP(fulgur__assign(frame, 2, 0));
      for (int i = 0; i < 6; ++i) {
        CHECK_STEP(fulgur__part(frame, 0));
        CHECK_STEP(fulgur__define_dim(frame, M, 2, 0));
        CHECK_STEP(fulgur__part(frame, 1));
        CHECK_STEP(fulgur__sequence_append(frame, 4, 1));
        CHECK_STEP(fulgur__sequence_insert(frame, 8, 4, 1, -1, "node"));
      }
      CHECK_STEP(
          fulgur__stack(frame, 5, 8, 1, FULGUR_FLOAT32, 1, nullptr, "node"));
      CHECK_STEP(fulgur__split(frame, 8, 5, -1, -1, 0, "node"));
      CHECK_STEP(fulgur__string_from(frame, 7, 1, "node"));
      return fulgur__optional(frame, 6, 1);
    };
    run.allocator.failAt = failAt;
    fulgur_status status = run.run();
    run.allocator.failAt = -1;
    if (status == FULGUR_OK) {
      EXPECT_GT(failAt, 20);
      EXPECT_EQ(run.dims(run.outputs[2]), (std::vector<int64_t>{3, 7}));
      run.release();
      EXPECT_EQ(run.allocator.live, 0);
      EXPECT_EQ(run.allocator.bytes, 0u);
      return;
    }
    EXPECT_EQ(status, FULGUR_OUT_OF_MEMORY);
    EXPECT_EQ(run.allocator.live, 0) << "allocation " << failAt;
    EXPECT_EQ(run.allocator.bytes, 0u);
    for (const fulgur_tensor &output : run.outputs)
      EXPECT_EQ(output.data, nullptr);
  }
}

TEST(Program, runsOnLibcsMemory) {
  Loop run;
  run.context.allocator = nullptr;
  run.output(1, FULGUR_FLOAT32, 1);
  run.body = [](fulgur_frame *frame) { return fulgur__part(frame, 0); };
  ASSERT_EQ(run.run(), FULGUR_OK);
  EXPECT_EQ(run.values<float>(run.outputs[0])[1], 4);
}

TEST(Program, hasMoreSymbolsThanPorts) {
  Loop run;
  while (run.symbols.size() < 3000)
    run.symbols.push_back(fromRun("k"));
  run.output(1, FULGUR_FLOAT32, 1);
  run.body = [](fulgur_frame *frame) -> int32_t {
    CHECK_STEP(fulgur__define_dim(frame, 2999, 0, -1));
    return fulgur__part(frame, 0);
  };
  EXPECT_EQ(run.run(), FULGUR_OK) << fulgur_last_message();
}

TEST(ProgramRefuses, whatPartsRefuse) {
  Loop run;
  run.output(1, FULGUR_FLOAT32, 1);
  run.body = [](fulgur_frame *frame) { return fulgur__part(frame, 0); };
  run.x[1] = -1;
  EXPECT_FAILS(run.run(), FULGUR_INVALID_VALUE,
               "model 'test': node 'double' (Double, opset 1): an element is "
               "negative");
  std::vector<float> many(1001);
  run.inputs[0].data = many.data();
  run.inputs[0].bytes = 4004;
  run.inputs[0].dims[0] = 1001;
  EXPECT_FAILS(run.run(), FULGUR_INVALID_DIMS,
               "model 'test': node 'double' (Double, opset 1): too long");
  EXPECT_EQ(run.allocator.live, 0);
}

TEST(ProgramRefuses, symbolsOutOfRange) {
  Loop run;
  std::vector<int64_t> sizes = {4, 101};
  int32_t slot = run.input<int64_t>({2}, sizes, FULGUR_INT64);
  run.output(1, FULGUR_FLOAT32, 1);
  int64_t element = 1;
  run.body = [&](fulgur_frame *frame) -> int32_t {
    return fulgur__define_value(frame, M, slot, element,
                                "node 'range' (Range, opset 11)");
  };
  EXPECT_FAILS(run.run(), FULGUR_INVALID_VALUE,
               "node 'range' (Range, opset 11): 'm' is 101, but must be from 0 "
               "to 100");
  element = 2;
  EXPECT_FAILS(run.run(), FULGUR_INVALID_VALUE,
               "node 'range' (Range, opset 11): an operand has 2 elements, but "
               "element 2 is needed");
  std::vector<float> other = {1};
  slot = run.input<float>({1}, other, FULGUR_FLOAT32);
  EXPECT_FAILS(run.run(), FULGUR_INVALID_DTYPE,
               "node 'range' (Range, opset 11): an operand of type float32 "
               "gives no integers");
}

TEST(ProgramRefuses, valuesThatAreNotWhatTheCompilerAssumed) {
  Loop run;
  int32_t dtype = FULGUR_FLOAT32, rank = 2;
  run.output(0, FULGUR_FLOAT32, 1);
  run.body = [&](fulgur_frame *frame) {
    return fulgur__check(frame, 0, dtype, rank, "node 'n' (Loop, opset 21)");
  };
  EXPECT_FAILS(run.run(), FULGUR_INVALID_RANK,
               "node 'n' (Loop, opset 21): a value has rank 1, but must have "
               "2");
  rank = -1;
  EXPECT_EQ(run.run(), FULGUR_OK);
  dtype = FULGUR_INT64;
  EXPECT_FAILS(run.run(), FULGUR_INVALID_DTYPE,
               "node 'n' (Loop, opset 21): a value has type float32, but must "
               "have int64");
}

TEST(ProgramRefuses, conditionsThatAreNone) {
  Loop run;
  run.output(0, FULGUR_FLOAT32, 1);
  run.body = [&](fulgur_frame *frame) {
    int64_t value;
    return fulgur__read(frame, 0, &value, "node 'if' (If, opset 21)");
  };
  EXPECT_FAILS(
      run.run(), FULGUR_INVALID_VALUE,
      "node 'if' (If, opset 21): one integer or truth value is needed, "
      "but there are 3 elements of type float32");
  run.body = [&](fulgur_frame *frame) {
    int64_t value;
    return fulgur__read(frame, 9, &value, "node 'if' (If, opset 21)");
  };
  EXPECT_FAILS(run.run(), FULGUR_INVALID_VALUE,
               "node 'if' (If, opset 21): an operand has no value");
}

TEST(ProgramRefuses, outputsThatAreNotThere) {
  Loop run;
  run.output(9, FULGUR_FLOAT32, 1);
  run.body = [](fulgur_frame *) { return 0; };
  EXPECT_FAILS(run.run(), FULGUR_INVALID_VALUE, "output 'out' has no value");
  run.outputSlots[0] = 0;
  run.outputPorts[0].dtype = FULGUR_INT64;
  EXPECT_FAILS(run.run(), FULGUR_INVALID_DTYPE,
               "output 'out': its type is float32, but the model has int64");
}

TEST(ProgramRefuses, buffersForStringsAndSequences) {
  Loop run;
  float y[4];
  run.own = {y};
  run.body = [](fulgur_frame *) { return 0; };
  run.output(0, FULGUR_SEQUENCE, 1, &vectorPort);
  run.outputs[0].data = y;
  EXPECT_FAILS(run.run(), FULGUR_INVALID_ARGUMENT,
               "output 'out' is a sequence, which the run allocates: its data "
               "must be null");
  run.outputs[0].data = nullptr;
  run.allocator.allocate = nullptr;
  EXPECT_FAILS(run.run(), FULGUR_INVALID_ARGUMENT,
               "a function of the allocator is null");
}

TEST(Release, takesNothing) {
  fulgur_release(nullptr, nullptr);
  fulgur_tensor tensor = {};
  fulgur_release(nullptr, &tensor);
}

} // namespace
