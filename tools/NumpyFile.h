// numpy's .npy arrays and .npz archives.
#ifndef FULGUR_TOOLS_NUMPYFILE_H
#define FULGUR_TOOLS_NUMPYFILE_H

#include "Tensor.h"

/// The array in a .npy file. Throws std::runtime_error.
Tensor readNpy(const std::string &path);

/// The arrays in a .npz file, named as there. Throws std::runtime_error.
std::vector<Tensor> readNpz(const std::string &path);

/// Writes a .npz file. Throws std::runtime_error.
void writeNpz(const std::string &path, const std::vector<Tensor> &tensors);

/// Writes a .npy file. Throws std::runtime_error.
void writeNpy(const std::string &path, const Tensor &tensor);

#endif // FULGUR_TOOLS_NUMPYFILE_H
