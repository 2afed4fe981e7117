// Picks the reader by what a place looks like.
#include "TensorFile.h"
#include "NumpyFile.h"
#include "ProtoFile.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>

namespace fs = std::filesystem;

/// N of "<prefix>N<suffix>".
static std::optional<int> numberIn(std::string_view name,
                                   std::string_view prefix,
                                   std::string_view suffix) {
  if (name.size() <= prefix.size() + suffix.size() ||
      !name.starts_with(prefix) || !name.ends_with(suffix))
    return std::nullopt;
  name =
      name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
  int number = 0;
  auto [end, error] =
      std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size())
    return std::nullopt;
  return number;
}

using Ports = std::span<const fulgur_port>;

static const fulgur_port *portAt(Ports ports, size_t place) {
  return place < ports.size() ? &ports[place] : nullptr;
}

static Tensor readOne(const std::string &path, const fulgur_port *port) {
  if (path.ends_with(".npy"))
    return readNpy(path);
  if (path.ends_with(".pb"))
    return readProto(path, port);
  throw std::runtime_error("'" + path +
                           "' is not a folder, .npz, .npy or .pb file");
}

static std::vector<Tensor> readFolder(const std::string &folder,
                                      const std::string &role, Ports ports) {
  std::map<int, std::string> numbered;
  std::map<std::string, std::string> named;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder)) {
    std::string name = entry.path().filename();
    if (std::optional<int> number = numberIn(name, role + "_", ".pb"))
      numbered[*number] = entry.path();
    else if (name.ends_with(".npy"))
      named[name.substr(0, name.size() - 4)] = entry.path();
  }
  std::vector<Tensor> tensors;
  for (const auto &[number, path] : numbered) {
    if (number != int(tensors.size()))
      throw std::runtime_error("'" + folder + "' has " + role + "_" +
                               std::to_string(number) + ".pb, but no " + role +
                               "_" + std::to_string(tensors.size()) + ".pb");
    tensors.push_back(readProto(path, portAt(ports, tensors.size())));
  }
  if (!numbered.empty())
    return tensors;
  for (const auto &[name, path] : named) {
    tensors.push_back(readNpy(path));
    tensors.back().name = name;
  }
  if (tensors.empty())
    throw std::runtime_error("'" + folder + "' has neither " + role +
                             "_0.pb nor .npy files");
  return tensors;
}

std::vector<Tensor> readTensors(const std::vector<std::string> &places,
                                const std::string &role, Ports ports) {
  std::vector<Tensor> tensors;
  for (const std::string &place : places) {
    if (size_t at = place.find("=@"); at != std::string::npos) {
      std::string name = place.substr(0, at);
      auto port = std::ranges::find_if(
          ports, [&](const fulgur_port &port) { return name == port.name; });
      tensors.push_back(readOne(place.substr(at + 2),
                                port == ports.end() ? nullptr : &*port));
      tensors.back().name = name;
      continue;
    }
    if (!fs::is_directory(place) && !place.ends_with(".npz")) {
      tensors.push_back(readOne(place, portAt(ports, tensors.size())));
      continue;
    }
    std::vector<Tensor> more = fs::is_directory(place)
                                   ? readFolder(place, role, ports)
                                   : readNpz(place);
    std::ranges::move(more, std::back_inserter(tensors));
  }
  return tensors;
}

/// "'a', 'b'".
template <typename Range> static std::string listNames(const Range &things) {
  std::string text;
  for (const auto &thing : things)
    if (std::string_view name = thing.name; !name.empty())
      text += (text.empty() ? "'" : ", '") + std::string(name) + "'";
  return text.empty() ? "without names" : text;
}

std::vector<Tensor> arrange(std::vector<Tensor> tensors,
                            std::span<const fulgur_port> ports,
                            const std::string &role) {
  auto portOf = [&](const Tensor &tensor) {
    return std::ranges::find_if(ports, [&](const fulgur_port &port) {
      return tensor.name == port.name;
    });
  };
  bool byName = std::ranges::any_of(tensors, [&](const Tensor &tensor) {
    return portOf(tensor) != ports.end();
  });
  if (!byName) {
    if (tensors.size() != ports.size())
      throw std::runtime_error("the model has " + std::to_string(ports.size()) +
                               " " + role + "s (" + listNames(ports) +
                               "), but " + std::to_string(tensors.size()) +
                               " are given (" + listNames(tensors) + ")");
    for (size_t i = 0; i < ports.size(); ++i)
      tensors[i].name = ports[i].name;
    return tensors;
  }
  std::vector<std::optional<Tensor>> found(ports.size());
  for (Tensor &tensor : tensors) {
    auto port = portOf(tensor);
    if (port == ports.end())
      throw std::runtime_error("'" + tensor.name + "' is no " + role +
                               " of the model; it has " + listNames(ports));
    std::optional<Tensor> &place = found[size_t(port - ports.begin())];
    if (place)
      throw std::runtime_error(role + " '" + tensor.name + "' is given twice");
    place = std::move(tensor);
  }
  std::vector<Tensor> result;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (!found[i])
      throw std::runtime_error(role + " '" + ports[i].name + "' is not given");
    result.push_back(std::move(*found[i]));
  }
  return result;
}

void writeTensors(const std::string &place, const std::vector<Tensor> &tensors,
                  const std::string &role) {
  if (place.ends_with(".npz"))
    return writeNpz(place, tensors);
  fs::create_directories(place);
  for (size_t i = 0; i < tensors.size(); ++i)
    writeProto(fs::path(place) / (role + "_" + std::to_string(i) + ".pb"),
               tensors[i]);
}

std::vector<std::string> dataSets(const std::string &folder) {
  std::map<int, std::string> sets;
  if (fs::is_directory(folder))
    for (const fs::directory_entry &entry : fs::directory_iterator(folder))
      if (auto number =
              numberIn(entry.path().filename().string(), "test_data_set_", ""))
        sets[*number] = entry.path();
  std::vector<std::string> result;
  for (const auto &[number, path] : sets)
    result.push_back(path);
  return result;
}
