// TensorProto files: input_0.pb and the like, of ONNX's test data sets.
#ifndef FULGUR_TOOLS_PROTOFILE_H
#define FULGUR_TOOLS_PROTOFILE_H

#include "Tensor.h"

/// Throws std::runtime_error.
Tensor readProto(const std::string &path);

/// Throws std::runtime_error.
void writeProto(const std::string &path, const Tensor &tensor);

#endif // FULGUR_TOOLS_PROTOFILE_H
