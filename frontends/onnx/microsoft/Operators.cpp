#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;

const Extensions &fulgur::onnx::microsoftOperators() {
  static const Extensions all = [] {
    Extensions ops;
    microsoft::activations(ops);
    microsoft::attentions(ops);
    microsoft::convolutions(ops);
    microsoft::groupQueryAttention(ops);
    microsoft::normalizations(ops);
    microsoft::products(ops);
    microsoft::refusals(ops);
    microsoft::rotations(ops);
    return ops;
  }();
  return all;
}
