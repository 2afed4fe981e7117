// TensorProto, SequenceProto and OptionalProto files: input_0.pb and the like,
// of ONNX's test data sets.
#ifndef FULGUR_TOOLS_PROTOFILE_H
#define FULGUR_TOOLS_PROTOFILE_H

#include "Tensor.h"

/// Reads what `port` takes: a sequence, an optional, or, as without a port, a
/// tensor. Throws std::runtime_error.
Tensor readProto(const std::string &path, const fulgur_port *port = nullptr);

/// Writes the message that suits the tensor's type. Throws std::runtime_error.
void writeProto(const std::string &path, const Tensor &tensor);

#endif // FULGUR_TOOLS_PROTOFILE_H
