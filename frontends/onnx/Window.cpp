#include "frontends/onnx/Window.h"

using namespace fulgur::onnx;

SmallVector<int64_t> fulgur::onnx::perDim(const Core &c, const Site &s,
                                          StringRef name, size_t dims,
                                          int64_t otherwise, int64_t least) {
  SmallVector<int64_t> values =
      s.has(name) ? s.integers(name) : SmallVector<int64_t>(dims, otherwise);
  if (values.size() != dims)
    c.fail("attribute '" + name + "' has " + Twine(values.size()) +
           " entries, not " + Twine(dims));
  for (int64_t value : values)
    if (value < least || value > (int64_t(1) << 31))
      c.fail("attribute '" + name + "' holds " + Twine(value));
  return values;
}

StringRef fulgur::onnx::autoPad(const Core &c, const Site &s) {
  StringRef automatic = s.text("auto_pad", "NOTSET");
  if (!llvm::is_contained({"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER", ""},
                          automatic))
    c.fail("auto_pad is '" + automatic +
           "', not one of NOTSET, VALID, SAME_UPPER, SAME_LOWER");
  return automatic;
}

void fulgur::onnx::requireImageAndWeights(const Core &c, const Tensor &x,
                                          const Tensor &weights) {
  if (x.rank() < 3 || weights.rank() != x.rank())
    c.fail("input and weights have the ranks " + Twine(x.rank()) + " and " +
           Twine(weights.rank()));
  if (x.type != weights.type)
    c.fail("input and weights are of types " + name(x.type) + " and " +
           name(weights.type));
}

SmallVector<int64_t> fulgur::onnx::kernelOf(const Core &c, const Site &s,
                                            Tensor &weights) {
  SmallVector<int64_t> kernel, given = s.integers("kernel_shape");
  auto sizes = llvm::MutableArrayRef(weights.shape).drop_front(2);
  if (s.has("kernel_shape") && given.size() != sizes.size())
    c.fail("attribute 'kernel_shape' does not fit weights of shape " +
           c.text(weights.shape));
  for (auto [k, size] : llvm::enumerate(sizes)) {
    if (k < given.size()) {
      c.requireEqual(size, given[k], "attribute 'kernel_shape'");
      size = given[k];
    }
    if (!size.constant())
      c.unsupported("convolutions with weights of a shape that is not constant "
                    "are not supported; give the node the attribute "
                    "kernel_shape, or the weights a shape");
    kernel.push_back(*size.constant());
  }
  return kernel;
}

Tensor fulgur::onnx::addBias(const Core &c, const Tensor &y,
                             const Tensor &bias) {
  c.requireType(bias, bias.type == y.type, name(y.type));
  Shape perChannel(y.rank() - 1, 1);
  c.requireEqual(product(bias.shape), y.shape[1]);
  perChannel[0] = y.shape[1];
  return c.add(y, c.reshape(bias, perChannel));
}

SmallVector<Window, 3> fulgur::onnx::windowsOf(const Core &c, const Site &s,
                                               const Tensor &x,
                                               ArrayRef<int64_t> kernel) {
  size_t dims = kernel.size();
  SmallVector<int64_t> strides = perDim(c, s, "strides", dims, 1, 1),
                       dilations = perDim(c, s, "dilations", dims, 1, 1);
  SmallVector<int64_t> pads = perDim(c, s, "pads", 2 * dims, 0, 0);
  StringRef automatic = autoPad(c, s);
  bool ceiled = s.integer("ceil_mode", 0);
  Atoms &atoms = c.sizes.atoms;
  SmallVector<Window, 3> windows;
  for (size_t k = 0; k < dims; ++k) {
    if (kernel[k] < 1)
      c.fail("a window of size " + Twine(kernel[k]));
    Window w{kernel[k],      strides[k], dilations[k], pads[k],
             pads[dims + k], {},         false};
    Extent size = x.shape[2 + k];
    if (automatic.starts_with("SAME")) {
      w.count = atoms.ceilDiv(size, w.stride);
      Extent total = atoms.max(
          atoms.simplify((w.count - 1) * w.stride + w.reach() - size), 0);
      Extent half = atoms.floorDiv(total, 2);
      w.low = automatic == "SAME_UPPER" ? half : atoms.simplify(total - half);
      w.high = atoms.simplify(total - w.low);
      windows.push_back(w);
      continue;
    }
    if (automatic == "VALID")
      w.low = w.high = 0;
    Extent room = size + w.low + w.high - w.reach();
    if (atoms.upper(room) < 0)
      c.fail("a window that spans " + Twine(w.reach()) +
             " elements is larger than dim " + Twine(k + 2) + " of " +
             c.text(x.shape) + " with its padding");
    c.sizes.requireAtLeast(room, 0,
                           "a window of " + Twine(w.reach()) +
                               " elements must fit into '" + atoms.text(size) +
                               "'",
                           c.loc);
    w.count = atoms.floorDiv(room, w.stride) + 1;
    if (ceiled) { // one window more, unless it would begin in the padding
                  // behind the tensor
      Extent floored = w.count;
      w.count = atoms.min(atoms.ceilDiv(room, w.stride) + 1,
                          atoms.ceilDiv(size + w.low, w.stride));
      w.partial = !(w.count == floored);
      w.high = atoms.max(w.high, atoms.simplify((w.count - 1) * w.stride +
                                                w.reach() - size - w.low));
    }
    windows.push_back(w);
  }
  return windows;
}

Tensor fulgur::onnx::padFor(const Core &c, const Tensor &x,
                            ArrayRef<Window> windows, const Element &number) {
  size_t front = x.rank() - windows.size();
  Shape low(front, 0), high(front, 0);
  for (const Window &w : windows) {
    low.push_back(w.low);
    high.push_back(w.high);
  }
  return c.pad(x, low, high, number);
}
