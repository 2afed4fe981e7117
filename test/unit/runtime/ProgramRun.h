// A program with a driver that each test writes itself: ports for tensors that
// are given, memory that is counted, and results as vectors.
#ifndef FULGUR_PROGRAM_RUN_H
#define FULGUR_PROGRAM_RUN_H

#include "Frame.h"

#include <cstdlib>
#include <deque>
#include <functional>
#include <string>
#include <vector>

/// Counts what is allocated, checks what is released, and fails on demand.
struct CountingAllocator : fulgur_allocator {
  int64_t live = 0, calls = 0, failAt = -1;
  size_t bytes = 0;

  CountingAllocator() {
    allocate = [](fulgur_allocator *self, size_t bytes,
                  size_t alignment) -> void * {
      auto &counts = *static_cast<CountingAllocator *>(self);
      if (counts.calls++ == counts.failAt)
        return nullptr;
      ++counts.live;
      counts.bytes += bytes;
      return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment *
                                               alignment);
    };
    release = [](fulgur_allocator *self, void *pointer, size_t bytes) {
      auto &counts = *static_cast<CountingAllocator *>(self);
      --counts.live;
      counts.bytes -= bytes;
      std::free(pointer);
    };
  }
};

struct ProgramRun {
  std::function<int32_t(fulgur_frame *)> body;
  std::vector<fulgur_part> parts;
  std::vector<fulgur_symbol> symbols;
  std::vector<fulgur_port> inputPorts, outputPorts;
  std::vector<int32_t> outputSlots;
  std::vector<fulgur_tensor> inputs, outputs;
  int32_t slots = 16;
  CountingAllocator allocator;
  fulgur_context context;
  fulgur_program program = {};
  fulgur_model model = {};

  ProgramRun() {
    fulgur_context_init(&context);
    context.allocator = &allocator;
  }
  ~ProgramRun() { release(); }

  /// Adds an input of any dims over `values`; its slot is returned.
  template <typename T>
  int32_t input(std::vector<int64_t> dims, std::vector<T> &values,
                fulgur_dtype dtype) {
    fulgur_tensor tensor = {values.data(),
                            values.size() * sizeof(T),
                            dtype,
                            int32_t(dims.size()),
                            {}};
    std::copy(dims.begin(), dims.end(), tensor.dims);
    return input(tensor, {"in", dtype, tensor.rank, anyDims, nullptr});
  }
  int32_t input(fulgur_tensor tensor, fulgur_port port) {
    inputs.push_back(tensor);
    inputPorts.push_back(port);
    return int32_t(inputs.size()) - 1;
  }

  void output(int32_t slot, fulgur_dtype dtype, int32_t rank = -1,
              const fulgur_port *element = nullptr) {
    outputPorts.push_back(
        {"out", dtype, rank, rank < 0 ? nullptr : anyDims, element});
    outputSlots.push_back(slot);
    outputs.push_back({});
  }

  void describe() {
    program = {slots, int32_t(parts.size()), parts.data(), outputSlots.data(),
               [](fulgur_frame *frame) { return current->body(frame); }};
    model.abi_version = FULGUR_ABI_VERSION;
    model.struct_bytes = sizeof model;
    model.name = "test";
    model.n_inputs = int32_t(inputs.size());
    model.n_outputs = int32_t(outputs.size());
    model.n_symbols = int32_t(symbols.size());
    model.inputs = inputPorts.data();
    model.outputs = outputPorts.data();
    model.symbols = symbols.data();
    model.program = &program;
  }

  fulgur_status run() {
    describe();
    current = this;
    return fulgur_run(&model, &context, inputs.data(), model.n_inputs,
                      outputs.data(), model.n_outputs);
  }

  void release() {
    for (fulgur_tensor &output : outputs)
      if (!mine(output))
        fulgur_release(&context, &output);
  }
  /// Outputs whose memory is the test's.
  std::vector<void *> own;
  bool mine(const fulgur_tensor &tensor) const {
    for (void *memory : own)
      if (memory == tensor.data)
        return true;
    return false;
  }

  template <typename T> static std::vector<T> values(const fulgur_tensor &t) {
    size_t count = 1;
    for (int32_t i = 0; i < t.rank; ++i)
      count *= size_t(t.dims[i]);
    auto *data = static_cast<const T *>(t.data);
    return count ? std::vector<T>(data, data + count) : std::vector<T>();
  }
  static std::vector<std::string> texts(const fulgur_tensor &t) {
    std::vector<std::string> result;
    for (const fulgur_string &string : values<fulgur_string>(t))
      result.emplace_back(string.data, string.bytes);
    return result;
  }
  static std::vector<int64_t> dims(const fulgur_tensor &t) {
    return {t.dims, t.dims + t.rank};
  }
  static const fulgur_tensor &element(const fulgur_tensor &t, int i) {
    return static_cast<const fulgur_tensor *>(t.data)[i];
  }

  static inline const fulgur_dim anyDims[FULGUR_MAX_RANK] = {
      {-1, -1, "?"}, {-1, -1, "?"}, {-1, -1, "?"}, {-1, -1, "?"},
      {-1, -1, "?"}, {-1, -1, "?"}, {-1, -1, "?"}, {-1, -1, "?"}};

private:
  static inline thread_local ProgramRun *current = nullptr;
};

/// Strings over text that lives as long as the program.
inline std::vector<fulgur_string> strings(std::vector<const char *> texts) {
  std::vector<fulgur_string> result;
  for (const char *text : texts)
    result.push_back({text, std::char_traits<char>::length(text)});
  return result;
}

/// The driver's usual way to leave.
#define CHECK_STEP(call)                                                       \
  if (int32_t status = call)                                                   \
  return status

#endif // FULGUR_PROGRAM_RUN_H
