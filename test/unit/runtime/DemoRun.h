// Tensors, arena and context that run the demo model, for tests to spoil.
#ifndef FULGUR_DEMO_RUN_H
#define FULGUR_DEMO_RUN_H

#include "DemoModel.h"

#include <vector>

struct DemoRun {
  int64_t batch, sequence;
  std::vector<float> x, scale{1, 2, 3, 4}, y, sum;
  std::vector<int64_t> ids;
  std::vector<char> memory;
  fulgur_model model = demo_model;
  fulgur_context context;
  std::vector<fulgur_tensor> inputs, outputs;

  DemoRun(int64_t batch = 2, int64_t sequence = 3)
      : batch(batch), sequence(sequence), x(batch * sequence),
        y(batch * sequence), sum(batch), ids(batch * sequence),
        memory(batch * 64 + 64) {
    for (int64_t i = 0; i < batch * sequence; ++i) {
      x[i] = float(i);
      ids[i] = i % 4;
    }
    fulgur_context_init(&context);
    auto start = reinterpret_cast<uintptr_t>(memory.data());
    context.arena = reinterpret_cast<void *>((start + 63) / 64 * 64);
    context.arena_bytes = batch * 64;
    inputs = {{x.data(), x.size() * 4, FULGUR_FLOAT32, 2, {batch, sequence}},
              {ids.data(), ids.size() * 8, FULGUR_INT64, 2, {batch, sequence}},
              {scale.data(), 16, FULGUR_FLOAT32, 1, {4}}};
    outputs = {{y.data(), y.size() * 4, FULGUR_FLOAT32, 0, {}},
               {sum.data(), sum.size() * 4, FULGUR_FLOAT32, 0, {}}};
  }

  fulgur_status run() {
    return fulgur_run(&model, &context, inputs.data(), int32_t(inputs.size()),
                      outputs.data(), int32_t(outputs.size()));
  }

  fulgur_status plan(size_t *arenaBytes = nullptr) {
    return fulgur_plan(&model, inputs.data(), int32_t(inputs.size()),
                       outputs.data(), int32_t(outputs.size()), arenaBytes);
  }

  /// Is every output what the model defines?
  bool right() const {
    for (int64_t b = 0; b < batch; ++b) {
      float total = 0;
      for (int64_t i = b * sequence; i < (b + 1) * sequence; ++i) {
        if (y[i] != x[i] * scale[ids[i]] + 0.5f)
          return false;
        total += y[i];
      }
      if (sum[b] != total)
        return false;
    }
    return true;
  }
};

#endif // FULGUR_DEMO_RUN_H
