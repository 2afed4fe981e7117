// Sets of tensors where users keep them: ONNX data set folders, .npz, .npy,
// .pb.
#ifndef FULGUR_TOOLS_TENSORFILE_H
#define FULGUR_TOOLS_TENSORFILE_H

#include "Tensor.h"

/// Reads the tensors that `places` name, in order. A place is
///   a folder with ROLE_0.pb, ROLE_1.pb, ... or with NAME.npy files,
///   a .npz file, a .npy or .pb file, or NAME=@FILE.
/// `role` is "input" or "output". What a .pb file holds (a tensor, a sequence
/// or an optional) follows from the port of its number, name or place; a tensor
/// without `ports`. Throws std::runtime_error.
std::vector<Tensor> readTensors(const std::vector<std::string> &places,
                                const std::string &role,
                                std::span<const fulgur_port> ports = {});

/// Puts tensors into the order of `ports`: by name when a name is a port's,
/// else by position. Every port gets one. Throws std::runtime_error.
std::vector<Tensor> arrange(std::vector<Tensor> tensors,
                            std::span<const fulgur_port> ports,
                            const std::string &role);

/// Writes a .npz file, or ROLE_K.pb files into a folder that is made if need
/// be. Throws std::runtime_error.
void writeTensors(const std::string &place, const std::vector<Tensor> &tensors,
                  const std::string &role);

/// The folders test_data_set_N in `folder`, by number; empty if there are none.
std::vector<std::string> dataSets(const std::string &folder);

#endif // FULGUR_TOOLS_TENSORFILE_H
