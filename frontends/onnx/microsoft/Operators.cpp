#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;

const Extensions &fulgur::onnx::microsoftOperators() {
  static const Extensions all = [] {
    Extensions ops;
    microsoft::activations(ops);
    microsoft::arithmetic(ops);
    microsoft::arrangements(ops);
    microsoft::attentions(ops);
    microsoft::blockQuantized(ops);
    microsoft::convolutions(ops);
    microsoft::experimental(ops);
    microsoft::experts(ops);
    microsoft::groupNorms(ops);
    microsoft::groupQueryAttention(ops);
    microsoft::hashing(ops);
    microsoft::hyperConnections(ops);
    microsoft::normalizations(ops);
    microsoft::packing(ops);
    microsoft::positionBiases(ops);
    microsoft::products(ops);
    microsoft::quantizedProducts(ops);
    microsoft::quantizedTensors(ops);
    microsoft::refusals(ops);
    microsoft::rotations(ops);
    microsoft::sparseAttention(ops);
    microsoft::words(ops);
    return ops;
  }();
  return all;
}
