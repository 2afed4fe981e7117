// Sequences, optionals, and tensors that are cut and put together.
#include "ProgramRun.h"

#include <gtest/gtest.h>

namespace {

#define EXPECT_FAILS(call, status, message)                                    \
  do {                                                                         \
    EXPECT_EQ(call, status);                                                   \
    EXPECT_STREQ(fulgur_last_message(), message);                              \
  } while (false)

using Dims = std::vector<int64_t>;
using Floats = std::vector<float>;
const fulgur_port any = {"element", FULGUR_FLOAT32, -1, nullptr, nullptr};
const char *const node = "node 'n'";

/// Slot 0: float[2, 3] of 0..5; slot 1: float[2, 1] of 10, 11; slot 2: an int64
/// scalar.
struct Values : ProgramRun {
  Floats matrix = {0, 1, 2, 3, 4, 5}, column = {10, 11};
  std::vector<int64_t> scalar = {-1};

  Values() {
    input<float>({2, 3}, matrix, FULGUR_FLOAT32);
    input<float>({2, 1}, column, FULGUR_FLOAT32);
    input<int64_t>({}, scalar, FULGUR_INT64);
  }

  /// Runs `body`, whose result is in slot 9.
  const fulgur_tensor &result(std::function<int32_t(fulgur_frame *)> body,
                              fulgur_dtype dtype = FULGUR_FLOAT32) {
    release();
    outputs.clear(), outputPorts.clear(), outputSlots.clear();
    output(9, dtype, -1, &any);
    this->body = std::move(body);
    EXPECT_EQ(run(), FULGUR_OK) << fulgur_last_message();
    return outputs[0];
  }
  fulgur_status fail(std::function<int32_t(fulgur_frame *)> body) {
    release();
    outputs.clear(), outputPorts.clear(), outputSlots.clear();
    this->body = std::move(body);
    return run();
  }
};

TEST(Take, cutsSlices) {
  Values values;
  const fulgur_tensor &row = values.result([](fulgur_frame *frame) {
    return fulgur__take(frame, 9, 0, 0, 1, node);
  });
  EXPECT_EQ(values.dims(row), Dims{3});
  EXPECT_EQ(values.values<float>(row), (Floats{3, 4, 5}));
  const fulgur_tensor &column = values.result([](fulgur_frame *frame) {
    return fulgur__take(frame, 9, 0, -1, 2, node);
  });
  EXPECT_EQ(values.values<float>(column), (Floats{2, 5}));
  const fulgur_tensor &one = values.result([](fulgur_frame *frame) -> int32_t {
    CHECK_STEP(fulgur__take(frame, 9, 0, 0, 1, node));
    return fulgur__take(frame, 9, 9, 0, 1, node);
  });
  EXPECT_EQ(values.dims(one), Dims{});
  EXPECT_EQ(values.values<float>(one), Floats{4});
  EXPECT_FAILS(values.fail([](fulgur_frame *frame) {
    return fulgur__take(frame, 9, 0, 1, 3, node);
  }),
               FULGUR_INVALID_VALUE,
               "node 'n': slice 3 is outside axis 1 of 3");
  EXPECT_FAILS(values.fail([](fulgur_frame *frame) {
    return fulgur__take(frame, 9, 0, 2, 0, node);
  }),
               FULGUR_INVALID_VALUE,
               "node 'n': axis 2 is outside a value of rank 2");
}

TEST(Sequence, insertsErasesAndPicks) {
  Values values;
  auto build = [](fulgur_frame *frame) -> int32_t {
    const int32_t two[] = {0, 1};
    CHECK_STEP(fulgur__sequence_construct(frame, 3, two, 2));
    return fulgur__sequence_insert(frame, 4, 3, 1, 2, node); // at -1: m, c, c
  };
  auto lengthOf = [&](int32_t slot) {
    const fulgur_tensor &length = values.result(
        [&](fulgur_frame *frame) -> int32_t {
          CHECK_STEP(build(frame));
          CHECK_STEP(fulgur__sequence_erase(frame, 5, 4, -1, node));
          return fulgur__sequence_length(frame, 9, slot, node);
        },
        FULGUR_INT64);
    EXPECT_EQ(length.rank, 0);
    return values.values<int64_t>(length)[0];
  };
  EXPECT_EQ(lengthOf(3), 2);
  EXPECT_EQ(lengthOf(4), 3);
  EXPECT_EQ(lengthOf(5), 2);
  const fulgur_tensor &last =
      values.result([&](fulgur_frame *frame) -> int32_t {
        CHECK_STEP(build(frame));
        return fulgur__sequence_at(frame, 9, 4, 2, node);
      });
  EXPECT_EQ(values.values<float>(last), (Floats{10, 11}));
  EXPECT_EQ(values.dims(last), (Dims{2, 1}));
  values.scalar[0] = 2;
  EXPECT_FAILS(values.fail([&](fulgur_frame *frame) -> int32_t {
    const int32_t two[] = {0, 1};
    CHECK_STEP(fulgur__sequence_construct(frame, 3, two, 2));
    return fulgur__sequence_at(frame, 9, 3, 2, node);
  }),
               FULGUR_INVALID_VALUE,
               "node 'n': position 2 is outside a sequence of 2");
  EXPECT_FAILS(values.fail([&](fulgur_frame *frame) -> int32_t {
    CHECK_STEP(fulgur__sequence_empty(frame, 3, FULGUR_FLOAT32));
    return fulgur__sequence_erase(frame, 3, 3, -1, node);
  }),
               FULGUR_INVALID_VALUE,
               "node 'n': position -1 is outside a sequence of 0");
  EXPECT_FAILS(values.fail([&](fulgur_frame *frame) {
    return fulgur__sequence_length(frame, 3, 0, node);
  }),
               FULGUR_INVALID_VALUE,
               "node 'n': an operand is a float32, not a sequence");
  EXPECT_EQ(values.allocator.live, 0);
}

TEST(Sequence, growsInPlaceOnlyWhileAlone) {
  Values values;
  values.output(3, FULGUR_SEQUENCE, 1, &any);
  values.output(4, FULGUR_SEQUENCE, 1, &any);
  values.body = [](fulgur_frame *frame) -> int32_t {
    for (int i = 0; i < 5; ++i)
      CHECK_STEP(fulgur__sequence_append(frame, 3, 0));
    CHECK_STEP(fulgur__assign(frame, 4, 3));
    CHECK_STEP(fulgur__sequence_append(frame, 3, 1));
    return fulgur__sequence_append(frame, 3, 1);
  };
  ASSERT_EQ(values.run(), FULGUR_OK);
  EXPECT_EQ(values.outputs[0].dims[0], 7);
  EXPECT_EQ(values.outputs[1].dims[0], 5);
  EXPECT_EQ(values.values<float>(values.element(values.outputs[0], 6)),
            (Floats{10, 11}));
  EXPECT_EQ(values.values<float>(values.element(values.outputs[1], 4)),
            values.matrix);
}

TEST(Sequence, growsAtItsFront) {
  Values values;
  const fulgur_tensor &all = values.result(
      [](fulgur_frame *frame) -> int32_t {
        CHECK_STEP(fulgur__sequence_prepend(frame, 9, 0));
        return fulgur__sequence_prepend(frame, 9, 1);
      },
      FULGUR_SEQUENCE);
  EXPECT_EQ(values.values<float>(values.element(all, 0)), values.column);
  EXPECT_EQ(values.values<float>(values.element(all, 1)), values.matrix);
}

TEST(Sequence, appendsInConstantTime) {
  Values values;
  values.output(3, FULGUR_SEQUENCE, 1, &any);
  values.body = [](fulgur_frame *frame) -> int32_t {
    for (int i = 0; i < 1000; ++i)
      CHECK_STEP(fulgur__sequence_append(frame, 3, 0));
    return fulgur__sequence_empty(frame, 3, FULGUR_FLOAT32);
  };
  ASSERT_EQ(values.run(), FULGUR_OK);
  EXPECT_LT(values.allocator.calls, 40);
  EXPECT_EQ(values.outputs[0].data, nullptr);
  EXPECT_EQ(values.outputs[0].dims[0], 0);
}

TEST(Sequence, comesFromTheCallerAndGoesBack) {
  Values values;
  fulgur_tensor elements[] = {values.inputs[0], values.inputs[1]};
  fulgur_tensor sequence = {elements, sizeof elements, FULGUR_SEQUENCE, 1, {2}};
  int32_t slot =
      values.input(sequence, {"s", FULGUR_SEQUENCE, 1, nullptr, &any});
  values.output(slot, FULGUR_SEQUENCE, 1, &any);
  values.body = [](fulgur_frame *) { return 0; };
  ASSERT_EQ(values.run(), FULGUR_OK) << fulgur_last_message();
  EXPECT_EQ(values.outputs[0].dims[0], 2);
  const fulgur_tensor &first = values.element(values.outputs[0], 0);
  EXPECT_NE(first.data, values.matrix.data());
  EXPECT_EQ(values.values<float>(first), values.matrix);
  values.release();
  EXPECT_EQ(values.allocator.live, 0);
  elements[1].bytes = 4;
  EXPECT_FAILS(
      values.run(), FULGUR_BUFFER_TOO_SMALL,
      "element of input 's': its buffer has 4 bytes, but its dims need "
      "8");
  elements[1].dtype = FULGUR_INT32;
  EXPECT_FAILS(values.run(), FULGUR_INVALID_DTYPE,
               "input 's': the type of its element 1 is int32, but the model "
               "has float32");
  values.inputs[slot].dims[0] = -1;
  EXPECT_FAILS(values.run(), FULGUR_INVALID_DIMS,
               "input 's': it has -1 elements, which no sequence can have");
  values.inputs[slot].rank = 2;
  EXPECT_FAILS(values.run(), FULGUR_INVALID_RANK,
               "input 's': its rank is 2, but a sequence has 1");
  values.inputs[slot].rank = 1;
  values.inputs[slot].dims[0] = 2;
  values.inputs[slot].data = nullptr;
  EXPECT_FAILS(values.run(), FULGUR_INVALID_ARGUMENT,
               "input 's': its data is null");
}

TEST(Concat, joinsAlongOldAndNewAxes) {
  Values values;
  auto join = [](int32_t axis, int32_t newAxis, std::vector<int32_t> slots) {
    return [=](fulgur_frame *frame) -> int32_t {
      CHECK_STEP(fulgur__sequence_construct(frame, 3, slots.data(),
                                            int32_t(slots.size())));
      return fulgur__concat(frame, 9, 3, axis, newAxis, FULGUR_FLOAT32, node);
    };
  };
  const fulgur_tensor &wide = values.result(join(-1, 0, {0, 1, 0}));
  EXPECT_EQ(values.dims(wide), (Dims{2, 7}));
  EXPECT_EQ(values.values<float>(wide),
            (Floats{0, 1, 2, 10, 0, 1, 2, 3, 4, 5, 11, 3, 4, 5}));
  const fulgur_tensor &last = values.result(join(-1, 1, {1, 1}));
  EXPECT_EQ(values.dims(last), (Dims{2, 1, 2}));
  EXPECT_EQ(values.values<float>(last), (Floats{10, 10, 11, 11}));
  const fulgur_tensor &first = values.result(join(0, 1, {1, 1}));
  EXPECT_EQ(values.dims(first), (Dims{2, 2, 1}));
  EXPECT_EQ(values.values<float>(first), (Floats{10, 11, 10, 11}));
  EXPECT_FAILS(values.fail(join(0, 0, {0, 1})), FULGUR_INVALID_DIMS,
               "node 'n': elements 0 and 1 have dims [2, 3] and [2, 1], which "
               "do not fit together");
  EXPECT_FAILS(
      values.fail(join(0, 0, {})), FULGUR_INVALID_VALUE,
      "node 'n': a sequence without elements cannot be made one tensor "
      "of float32");
}

TEST(Stack, knowsDimsWithoutElements) {
  Values values;
  const int64_t dims[] = {4, -1};
  const fulgur_tensor &empty = values.result([&](fulgur_frame *frame) {
    return fulgur__stack(frame, 9, 5, 0, FULGUR_FLOAT32, 2, dims, node);
  });
  EXPECT_EQ(values.dims(empty), (Dims{0, 4, 0}));
  EXPECT_EQ(empty.data, nullptr);
  const fulgur_tensor &behind = values.result([&](fulgur_frame *frame) {
    return fulgur__stack(frame, 9, 5, -1, FULGUR_FLOAT32, 2, dims, node);
  });
  EXPECT_EQ(values.dims(behind), (Dims{4, 0, 0}));
  const fulgur_tensor &two = values.result([&](fulgur_frame *frame) -> int32_t {
    CHECK_STEP(fulgur__sequence_append(frame, 5, 1));
    CHECK_STEP(fulgur__sequence_append(frame, 5, 1));
    return fulgur__stack(frame, 9, 5, 1, FULGUR_FLOAT32, 2, dims, node);
  });
  EXPECT_EQ(values.dims(two), (Dims{2, 2, 1}));
}

TEST(Split, cutsAsAsked) {
  Values values;
  std::vector<int32_t> sizes = {1, 2};
  int32_t vector = values.input<int32_t>({2}, sizes, FULGUR_INT32);
  auto split = [&](int32_t slot, int32_t keepdims) {
    return [=](fulgur_frame *frame) {
      return fulgur__split(frame, 9, 0, slot, 1, keepdims, node);
    };
  };
  const fulgur_tensor &uneven =
      values.result(split(vector, 0), FULGUR_SEQUENCE);
  EXPECT_EQ(uneven.dims[0], 2);
  EXPECT_EQ(values.dims(values.element(uneven, 0)), (Dims{2, 1}));
  EXPECT_EQ(values.values<float>(values.element(uneven, 1)),
            (Floats{1, 2, 4, 5}));
  values.scalar[0] = 2;
  const fulgur_tensor &even = values.result(split(2, 0), FULGUR_SEQUENCE);
  EXPECT_EQ(even.dims[0], 2);
  EXPECT_EQ(values.dims(values.element(even, 1)), (Dims{2, 1}));
  EXPECT_EQ(values.values<float>(values.element(even, 1)), (Floats{2, 5}));
  const fulgur_tensor &single = values.result(split(-1, 0), FULGUR_SEQUENCE);
  EXPECT_EQ(single.dims[0], 3);
  EXPECT_EQ(values.dims(values.element(single, 0)), Dims{2});
  EXPECT_EQ(values.values<float>(values.element(single, 2)), (Floats{2, 5}));
  const fulgur_tensor &kept = values.result(split(-1, 1), FULGUR_SEQUENCE);
  EXPECT_EQ(values.dims(values.element(kept, 0)), (Dims{2, 1}));
  values.scalar[0] = 0;
  EXPECT_FAILS(values.fail(split(2, 0)), FULGUR_INVALID_VALUE,
               "node 'n': 'split' is 0, but must be positive");
  sizes[0] = 3;
  EXPECT_FAILS(
      values.fail(split(vector, 0)), FULGUR_INVALID_VALUE,
      "node 'n': the elements of 'split' sum up to 5, but the axis has "
      "3");
}

TEST(Optional, hasAndHasNot) {
  Values values;
  auto has = [&](int32_t from, bool wrap) {
    const fulgur_tensor &answer = values.result(
        [=](fulgur_frame *frame) -> int32_t {
          if (!wrap)
            return fulgur__optional_has(frame, 9, from, node);
          CHECK_STEP(fulgur__optional(frame, 4, from));
          return fulgur__optional_has(frame, 9, 4, node);
        },
        FULGUR_BOOL);
    return values.values<uint8_t>(answer)[0] != 0;
  };
  for (bool wrap : {false, true}) {
    EXPECT_TRUE(has(0, wrap));
    EXPECT_FALSE(has(-1, wrap));
    EXPECT_FALSE(has(7, wrap)); // holds nothing
  }
  const fulgur_tensor &inside =
      values.result([](fulgur_frame *frame) -> int32_t {
        CHECK_STEP(fulgur__optional(frame, 9, 0));
        return fulgur__optional_get(frame, 9, 9, node);
      });
  EXPECT_EQ(values.values<float>(inside), values.matrix);
  EXPECT_FAILS(values.fail([](fulgur_frame *frame) -> int32_t {
    CHECK_STEP(fulgur__optional(frame, 4, -1));
    return fulgur__optional_get(frame, 9, 4, node);
  }),
               FULGUR_INVALID_VALUE, "node 'n': the optional is empty");
}

TEST(Optional, holdsSequencesOnTheWayInAndOut) {
  Values values;
  const fulgur_port sequencePort = {"q", FULGUR_SEQUENCE, 1, nullptr, &any};
  fulgur_tensor elements[] = {values.inputs[0], values.inputs[1]};
  fulgur_tensor sequence = {elements, sizeof elements, FULGUR_SEQUENCE, 1, {2}};
  fulgur_tensor optional = {
      &sequence, sizeof sequence, FULGUR_OPTIONAL, 1, {1}};
  int32_t slot =
      values.input(optional, {"o", FULGUR_OPTIONAL, 1, nullptr, &sequencePort});
  values.output(slot, FULGUR_OPTIONAL, 1, &sequencePort);
  values.output(5, FULGUR_SEQUENCE, 1, &any);
  values.output(6, FULGUR_OPTIONAL, 1, &any); // never set
  values.output(0, FULGUR_OPTIONAL, 1, &any); // a tensor itself
  values.body = [slot](fulgur_frame *frame) {
    return fulgur__optional_get(frame, 5, slot, node);
  };
  ASSERT_EQ(values.run(), FULGUR_OK) << fulgur_last_message();
  EXPECT_EQ(values.outputs[0].dims[0], 1);
  const fulgur_tensor &inside = values.element(values.outputs[0], 0);
  EXPECT_EQ(inside.dtype, FULGUR_SEQUENCE);
  EXPECT_EQ(values.values<float>(values.element(inside, 1)), values.column);
  EXPECT_EQ(values.outputs[1].dims[0], 2);
  EXPECT_EQ(values.outputs[2].dims[0], 0);
  EXPECT_EQ(values.values<float>(values.element(values.outputs[3], 0)),
            values.matrix);
  values.release();
  EXPECT_EQ(values.allocator.live, 0);
  values.inputs[slot].dims[0] = 2;
  EXPECT_FAILS(values.run(), FULGUR_INVALID_DIMS,
               "input 'o': it has 2 elements, which no optional can have");
}

} // namespace
