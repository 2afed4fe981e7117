// A tensor while the graph is imported: a value of the module, or elements that
// are known and need not be one.
#pragma once
#include "frontends/onnx/Scalar.h"
#include <memory>

namespace fulgur::onnx {

using Shape = llvm::SmallVector<Extent, 4>;

/// Tensors of more elements than this are not followed while importing: sizes
/// are computed with, weights are not.
inline int64_t knownLimit(DType type) { return isReal(type) ? 64 : 4096; }

/// Elements in row-major order.
using Elements = std::vector<Element>;

/// One value of an ONNX graph; empty stands for an optional input that is left
/// out. Most are tensors. Of sequences and optionals, type and shape are those
/// of the elements, whose dims may differ; only the rank of the shape counts.
class Tensor {
public:
  Tensor() = default;
  Tensor(mlir::Value value, DType type, Shape shape)
      : type(type), shape(std::move(shape)),
        state(std::make_shared<State>(State{value, {}})) {}
  Tensor(Elements elements, DType type, Shape shape)
      : type(type), shape(std::move(shape)),
        state(std::make_shared<State>(
            State{mlir::Value(), std::move(elements)})) {}

  explicit operator bool() const { return state != nullptr; }
  int64_t rank() const { return shape.size(); }
  /// The elements, or null when they are not known.
  const Elements *known() const {
    return state->elements ? &*state->elements : nullptr;
  }
  /// The value in the module; null for known elements.
  mlir::Value value() const { return state->value; }
  void setKnown(Elements elements) const {
    state->elements = std::move(elements);
  }

  /// What tells tensors apart that are copies of each other from others.
  const void *identity() const { return state.get(); }
  /// A tensor whose shape is known, at least its rank.
  bool isTensor() const { return !sequence && !optional && ranked; }

  DType type = DType::undefined;
  Shape shape;
  bool sequence = false, optional = false; ///< both: an optional sequence
  bool ranked = true; ///< false: nothing is known of the shape
  bool empty = false; ///< a sequence that is known to hold nothing

private:
  struct State {
    mlir::Value value;
    std::optional<Elements> elements;
  };
  std::shared_ptr<State>
      state; ///< shared by copies, so that a tensor enters the module once
};

} // namespace fulgur::onnx
