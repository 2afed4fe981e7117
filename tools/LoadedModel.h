// A compiled model in a shared library, and runs of it.
#ifndef FULGUR_TOOLS_LOADEDMODEL_H
#define FULGUR_TOOLS_LOADEDMODEL_H

#include "Tensor.h"

/// A model library and its weights, loaded as long as this lives.
class LoadedModel {
public:
  struct Options {
    std::string symbol;  ///< of the descriptor; empty: the library's only one
    std::string weights; ///< file; empty: beside the library
    bool verifyWeights = false; ///< hash them
    bool loadWeights = false;   ///< into huge pages, instead of mapping them
    std::string variant; ///< code for which CPUs; empty: the best for this one
  };

  /// Throws std::runtime_error.
  LoadedModel(const std::string &library, const Options &options);
  ~LoadedModel();
  LoadedModel(const LoadedModel &) = delete;
  LoadedModel &operator=(const LoadedModel &) = delete;

  const fulgur_model &descriptor() const { return *model; }
  std::span<const fulgur_port> inputs() const;
  std::span<const fulgur_port> outputs() const;
  const void *weights() const { return mapped; }
  size_t weightsBytes() const { return mappedBytes; }
  /// What was wrong with the last call. The native driver of a program calls
  /// the library's own copy of the runtime, which keeps messages of its own.
  std::string lastMessage() const;

private:
  const char *(*libraryMessage)() = nullptr; ///< <prefix>_last_message
  void *library = nullptr;
  const fulgur_model *model = nullptr;
  const void *mapped = nullptr;
  size_t mappedBytes = 0;
};

/// Memory for runs of a model on inputs of one shape.
class ModelRun {
public:
  /// Plans and allocates; `executor` may be null. States begin as copies of
  /// their inputs. The model and the inputs must outlive this. Throws
  /// std::runtime_error with the runtime's message.
  ModelRun(const LoadedModel &model, const std::vector<Tensor> &inputs,
           fulgur_executor *executor);
  ~ModelRun();
  ModelRun(const ModelRun &) = delete;
  ModelRun &operator=(const ModelRun &) = delete;

  /// Runs once. Throws std::runtime_error with the runtime's message.
  void run();
  /// Makes states what they were before the first run.
  void resetStates();

  /// The outputs of the last run.
  const std::vector<Tensor> &results();
  size_t arenaBytes() const { return arena.size(); }

private:
  void release();

  const LoadedModel &loaded;
  const fulgur_model &model;
  const std::vector<Tensor> &inputs;
  AlignedBytes arena;
  fulgur_context context;
  std::vector<Tensor> outputs; ///< of a program, copied when asked for
  std::vector<fulgur_tensor> inputViews, outputViews;
};

/// The executor that `--threads N` means: none for 1, else a pool.
class Threads {
public:
  /// Throws std::runtime_error.
  explicit Threads(int count);
  ~Threads() { fulgur_pool_destroy(pool); }
  Threads(const Threads &) = delete;
  Threads &operator=(const Threads &) = delete;
  fulgur_executor *executor() const { return pool; }

private:
  fulgur_executor *pool = nullptr;
};

#endif // FULGUR_TOOLS_LOADEDMODEL_H
