// Loops over time: states that one step hands to the next, and a row of each
// result that every step writes.
#pragma once
#include "frontends/onnx/Core.h"

namespace fulgur::onnx {

/// Row `at` of a tensor along its first dim, without that dim; the tensor must
/// be a value already.
Tensor rowAt(const Core &c, const Tensor &x, const Scalar &at);

class Steps {
public:
  explicit Steps(const Core &c) : c(c) {}

  /// The tensor as a value in front of the loop. Whatever a step uses must be
  /// one.
  Tensor before(const Tensor &x) const {
    return c.tensor(c.value(x), x.type, x.shape);
  }

  struct Result {
    SmallVector<Tensor> rows, states;
  };
  /// What happens at one step, given the states before it; `inner` builds
  /// inside of the loop.
  using Step = llvm::function_ref<Result(const Core &inner, const Scalar &step,
                                         ArrayRef<Tensor> states)>;
  /// The results, [count, ...row] each, and the states after the last step. All
  /// rows have the type of the first state.
  SmallVector<Tensor> run(const Extent &count, ArrayRef<Shape> rows,
                          ArrayRef<Tensor> states, Step step,
                          bool backwards = false) const;

private:
  const Core &c;
};

} // namespace fulgur::onnx
