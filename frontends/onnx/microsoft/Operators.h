// The families of ONNX Runtime's operators; a file here enters its own.
#pragma once
#include "frontends/onnx/Extension.h"

namespace fulgur::onnx::microsoft {

void activations(Extensions &);
void arithmetic(Extensions &);
void arrangements(Extensions &);
void attentions(Extensions &);
void blockQuantized(Extensions &);
void convolutions(Extensions &);
void experimental(Extensions &);
void experts(Extensions &);
void groupNorms(Extensions &);
void groupQueryAttention(Extensions &);
void hashing(Extensions &);
void hyperConnections(Extensions &);
void normalizations(Extensions &);
void packing(Extensions &);
void positionBiases(Extensions &);
void products(Extensions &);
void quantizedProducts(Extensions &);
void quantizedTensors(Extensions &);
void refusals(Extensions &);
void rotations(Extensions &);
void sparseAttention(Extensions &);
void words(Extensions &);

} // namespace fulgur::onnx::microsoft
