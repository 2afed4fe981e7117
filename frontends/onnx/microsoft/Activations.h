// Activations that ONNX Runtime fuses into another operator and names in an
// attribute.
#pragma once
#include "frontends/onnx/Core.h"
#include <functional>

namespace fulgur::onnx::microsoft {

using Activation = std::function<Scalar(const Scalar &)>;

/// The activation of that ONNX name; `number` reads one of its parameters, with
/// its default. An empty name is none.
Activation activationCalled(
    const Core &c, StringRef name,
    llvm::function_ref<double(StringRef name, unsigned index, double otherwise)>
        number);

/// What the attribute 'activation' names, with parameters in the list
/// 'activation_params', as fused convolutions have them.
Activation activationWithList(const Core &c, const Site &s);

/// What the attribute 'activation' names, with parameters in attributes of
/// their own ('activation_alpha'), as fused products have them.
Activation activationWithNames(const Core &c, const Site &s);

} // namespace fulgur::onnx::microsoft
