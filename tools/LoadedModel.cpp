// Opens model libraries. The descriptor is found among the library's exported
// symbols: the one whose name ends in "_model".
#include "LoadedModel.h"

#include <algorithm>
#include <dlfcn.h>
#include <elf.h>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace fs = std::filesystem;

/// Reads a record at a place of a file; zeros where the file ends.
template <typename T> static T readAt(std::ifstream &file, uint64_t offset) {
  T value = {};
  file.seekg(std::streamoff(offset));
  file.read(reinterpret_cast<char *>(&value), sizeof value);
  return value;
}

/// Data symbols that the library defines and that end in "_model".
static std::vector<std::string> modelSymbols(const std::string &path) {
  std::vector<std::string> names;
  std::ifstream file(path, std::ios::binary);
  auto header = readAt<Elf64_Ehdr>(file, 0);
  for (int i = 0; i < header.e_shnum && file; ++i) {
    auto place = [&](uint64_t k) {
      return header.e_shoff + k * sizeof(Elf64_Shdr);
    };
    auto section = readAt<Elf64_Shdr>(file, place(uint64_t(i)));
    if (section.sh_type != SHT_DYNSYM)
      continue;
    auto strings = readAt<Elf64_Shdr>(file, place(section.sh_link));
    for (uint64_t at = 0; at < section.sh_size && file;
         at += sizeof(Elf64_Sym)) {
      auto symbol = readAt<Elf64_Sym>(file, section.sh_offset + at);
      if (symbol.st_shndx == SHN_UNDEF ||
          ELF64_ST_TYPE(symbol.st_info) != STT_OBJECT)
        continue;
      file.seekg(std::streamoff(strings.sh_offset + symbol.st_name));
      std::string name;
      std::getline(file, name, '\0');
      // Sanitizers add __odr_asan_gen_<name>.
      if (name.ends_with("_model") && !name.starts_with("__"))
        names.push_back(name);
    }
  }
  return names;
}

static std::string onlyModelSymbol(const std::string &path) {
  std::vector<std::string> names = modelSymbols(path);
  if (names.size() == 1)
    return names.front();
  if (names.empty())
    throw std::runtime_error("'" + path + "' exports no model");
  std::string list;
  for (const std::string &name : names)
    list += (list.empty() ? "" : ", ") + name;
  throw std::runtime_error("'" + path + "' exports " +
                           std::to_string(names.size()) + " models (" + list +
                           "); choose one with --model-symbol");
}

/// Makes runs of `model` use the code called `name`.
static void chooseVariant(const fulgur_model &model, const std::string &name) {
  std::string known;
  for (const fulgur_variant &variant :
       std::span(model.variants, size_t(model.n_variants))) {
    known += (known.empty() ? "" : ", ") + std::string(variant.name);
    if (variant.name != name)
      continue;
    fulgur_limit_cpu(variant.cpu_features);
    const char *chosen = fulgur_chosen_variant(&model);
    if (chosen && chosen == name)
      return;
    throw std::runtime_error("this CPU cannot run variant '" + name + "'");
  }
  throw std::runtime_error(
      "the model has no variant '" + name + "'; " +
      (known.empty() ? "it is for one kind of CPUs" : "there are " + known));
}

LoadedModel::LoadedModel(const std::string &path, const Options &options) {
  std::string absolute = fs::absolute(path); // or dlopen() searches for it
  library = dlopen(absolute.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    throw std::runtime_error("cannot load '" + path + "': " + dlerror());
  std::string symbol =
      options.symbol.empty() ? onlyModelSymbol(path) : options.symbol;
  model = static_cast<const fulgur_model *>(dlsym(library, symbol.c_str()));
  if (!model)
    throw std::runtime_error("'" + path + "' has no symbol '" + symbol + "'");
  if (model->abi_version != FULGUR_ABI_VERSION)
    throw std::runtime_error(
        "'" + path + "' has ABI version " + std::to_string(model->abi_version) +
        ", but this tool has " + std::to_string(FULGUR_ABI_VERSION));
  if (!options.variant.empty())
    chooseVariant(*model, options.variant);
  std::string prefix = symbol.substr(0, symbol.rfind("_model"));
  libraryMessage = reinterpret_cast<const char *(*)()>(
      dlsym(library, (prefix + "_last_message").c_str()));
  bool wanted = model->weights_bytes > 0 && !model->embedded_weights;
  if (options.loadWeights && model->embedded_weights)
    throw std::runtime_error(
        "'" + path +
        "' has its weights inside, where they cannot be loaded "
        "into huge pages: compile it with --weights=file");
  if (!wanted && options.weights.empty())
    return;
  std::string weights =
      options.weights.empty()
          ? fs::path(path).replace_extension(".weights").string()
          : options.weights;
  auto *get = options.loadWeights ? fulgur_weights_load : fulgur_weights_map;
  if (get(model, weights.c_str(), options.verifyWeights, &mapped,
          &mappedBytes) != FULGUR_OK)
    throw std::runtime_error(fulgur_last_message());
}

LoadedModel::~LoadedModel() {
  fulgur_weights_unmap(mapped, mappedBytes);
  if (library)
    dlclose(library);
}

std::span<const fulgur_port> LoadedModel::inputs() const {
  return {model->inputs, size_t(model->n_inputs)};
}

std::span<const fulgur_port> LoadedModel::outputs() const {
  return {model->outputs, size_t(model->n_outputs)};
}

std::string LoadedModel::lastMessage() const {
  std::string own = fulgur_last_message();
  return own.empty() && libraryMessage ? libraryMessage() : own;
}

ModelRun::ModelRun(const LoadedModel &loaded, const std::vector<Tensor> &inputs,
                   fulgur_executor *executor)
    : loaded(loaded), model(loaded.descriptor()), inputs(inputs) {
  fulgur_context_init(&context);
  for (const Tensor &input : inputs)
    inputViews.push_back(input.view());
  outputViews.resize(loaded.outputs().size());
  size_t arenaBytes = 0;
  if (fulgur_plan(&model, inputViews.data(), int32_t(inputViews.size()),
                  outputViews.data(), int32_t(outputViews.size()),
                  &arenaBytes) != FULGUR_OK)
    throw std::runtime_error(fulgur_last_message());
  arena = AlignedBytes(arenaBytes);
  for (size_t i = 0; i < outputViews.size() && !model.program; ++i) {
    const fulgur_tensor &view = outputViews[i];
    outputs.push_back(Tensor::zeros(loaded.outputs()[i].name, view.dtype,
                                    {view.dims, view.dims + view.rank}));
    outputViews[i] = outputs.back().view();
  }
  for (fulgur_tensor &view : outputViews)
    if (model.program)
      view.data = nullptr, view.bytes = 0; // for the run to allocate
  for (const fulgur_state &state :
       std::span(model.states, size_t(model.n_states)))
    inputViews[size_t(state.input)].data =
        outputViews[size_t(state.output)].data;
  resetStates();
  context.arena = arena.data();
  context.arena_bytes = arena.size();
  context.weights = loaded.weights();
  context.weights_bytes = loaded.weightsBytes();
  context.executor = executor;
}

ModelRun::~ModelRun() { release(); }

void ModelRun::release() {
  for (size_t i = 0; i < outputViews.size() && model.program; ++i)
    fulgur_release(&context, &outputViews[i]);
}

void ModelRun::resetStates() {
  for (const fulgur_state &state :
       std::span(model.states, size_t(model.n_states))) {
    const AlignedBytes &from = inputs[size_t(state.input)].data;
    std::copy_n(from.data(), from.size(),
                outputs[size_t(state.output)].data.data());
  }
}

void ModelRun::run() {
  release();
  if (fulgur_run(&model, &context, inputViews.data(),
                 int32_t(inputViews.size()), outputViews.data(),
                 int32_t(outputViews.size())) != FULGUR_OK)
    throw std::runtime_error(loaded.lastMessage());
  // Dims that depend on data were planned as their bounds.
  for (size_t i = 0; i < outputs.size() && !model.program; ++i) {
    const fulgur_tensor &view = outputViews[i];
    outputs[i].dims.assign(view.dims, view.dims + view.rank);
    outputs[i].data.resize(
        denseBytes(outputs[i].name, view.dtype, outputs[i].dims));
  }
}

const std::vector<Tensor> &ModelRun::results() {
  if (!model.program)
    return outputs;
  outputs.clear();
  for (size_t i = 0; i < outputViews.size(); ++i)
    outputs.push_back(Tensor::copy(model.outputs[i].name, outputViews[i]));
  return outputs;
}

Threads::Threads(int count) {
  if (count == 1)
    return;
  pool = fulgur_pool_create(count);
  if (!pool)
    throw std::runtime_error(fulgur_last_message());
}
