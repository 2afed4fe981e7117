// What takes windows apart: ConvTranspose, the gradient of a convolution, is
// convolutions of its phases, or, where paddings depend on sizes, a product
// whose columns Col2Im adds up. Each element of an image gathers the windows
// that cover it, so that all of them are computed independently.
#include "frontends/onnx/Fold.h"
#include "frontends/onnx/Phases.h"
#include "frontends/onnx/Window.h"

using namespace mlir;
using namespace fulgur::onnx;

namespace {
/// Where element `at` of an image and tap `tap` meet: the position in the
/// window, the number of the window, and whether there is one.
struct Meeting {
  Scalar position, window, exists;
};

Meeting meet(const Cover &cover, const Scalar &at, const Scalar &tap) {
  auto extent = [&](const Extent &e) {
    return Scalar::extent(*at.body, DType::index, e);
  };
  Scalar padded = at + extent(cover.low), position = tap, window, exists;
  Scalar covered = padded >= 0; // padding may be negative
  padded = maximum(padded, at.like(0));
  if (cover.dilation == 1) {
    Scalar stride = at.like(cover.stride);
    position = remainder(padded, stride) + tap * stride;
    window = padded / stride - tap;
    exists = (position < extent(cover.kernel)) & (window >= 0);
  } else {
    Scalar start = padded - tap * double(cover.dilation);
    window = start / double(cover.stride);
    exists = (start >= 0) & equal(window * double(cover.stride), start);
  }
  exists = exists & covered & (window < extent(cover.count));
  // Reads stay inside the columns where there is none.
  position = minimum(position, extent(cover.kernel - 1));
  window = minimum(maximum(window, at.like(0)), extent(cover.count - 1));
  return {position, window, exists};
}

/// What `meet` says of every element of one dim and one tap, as vectors that
/// broadcast against the image.
SmallVector<Tensor> meetings(const Core &c, const Cover &cover, int64_t tap,
                             size_t dimsBehind) {
  Shape shape(1 + dimsBehind, 1);
  shape[0] = cover.size;
  auto table = [&](DType type, Scalar Meeting::*member) {
    return c.generate(
        shape, type, {}, [&](Body &, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
          return convert(meet(cover, at[0], at[0].like(double(tap))).*member,
                         type);
        });
  };
  return {table(DType::i64, &Meeting::position),
          table(DType::i64, &Meeting::window),
          table(DType::boolean, &Meeting::exists)};
}

/// The sum of all windows that cover each element: `columns` is [N, C, the
/// kernel's dims, the numbers of windows].
Tensor gatherWindows(const Core &c, const Tensor &columns,
                     ArrayRef<Cover> covers) {
  size_t dims = covers.size();
  Shape shape{columns.shape[0], columns.shape[1]}, taps;
  for (const Cover &cover : covers) {
    shape.push_back(cover.size);
    taps.push_back(cover.taps(c.sizes.atoms));
  }
  Value table = c.value(columns);
  // The element of the columns where the dims meet, or 0.
  auto read = [&](Body &body, ArrayRef<Scalar> at, ArrayRef<Meeting> all) {
    SmallVector<Scalar> from(at.take_front(2)), windows;
    Scalar exists = all[0].exists;
    for (const Meeting &m : all) {
      from.push_back(m.position);
      windows.push_back(m.window);
      exists = exists & m.exists;
    }
    from.append(windows);
    Scalar element = c.extract(body, table, columns.type, from);
    return select(exists, element, element.like(0));
  };
  std::optional<int64_t> count = constantCount(taps);
  if (!count || *count > 16)
    return fold(c, shape, taps, columns.type, {}, {},
                [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at,
                    const Scalar &total) {
                  SmallVector<Meeting, 3> all;
                  for (auto [k, cover] : llvm::enumerate(covers))
                    all.push_back(meet(cover, at[2 + k], at[2 + dims + k]));
                  return total + read(body, at, all);
                });
  // Few taps: one expression, and where they meet is looked up.
  SmallVector<Tensor> in;
  SmallVector<size_t> first;
  for (auto [k, cover] : llvm::enumerate(covers)) {
    first.push_back(in.size());
    for (int64_t tap = 0; tap < *taps[k].constant(); ++tap)
      in.append(meetings(c, cover, tap, dims - 1 - k));
  }
  return c.generate(shape, columns.type, in,
                    [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
                      Scalar total;
                      bool any = false;
                      forEachIndex(taps, [&](ArrayRef<int64_t> tap) {
                        SmallVector<Meeting, 3> all;
                        for (size_t k = 0; k < dims; ++k) {
                          ArrayRef<Scalar> own =
                              v.drop_front(first[k] + 3 * tap[k]);
                          all.push_back({own[0], own[1], own[2]});
                        }
                        Scalar element = read(body, at, all);
                        total = any ? total + element : element;
                        any = true;
                      });
                      return total;
                    });
}

Tensor importCol2Im(const Core &c, const Site &s) {
  Tensor x = s[0];
  Shape image = s.extents(1);
  Shape block = s.extents(2);
  size_t dims = block.size();
  if (x.rank() != 3 || image.size() != dims || dims == 0)
    c.fail("needs columns of rank 3 and as many sizes of the image as of the "
           "blocks, not rank " +
           Twine(x.rank()) + ", " + Twine(image.size()) + " and " +
           Twine(dims));
  SmallVector<int64_t> strides = perDim(c, s, "strides", dims, 1, 1),
                       dilations = perDim(c, s, "dilations", dims, 1, 1),
                       pads = perDim(c, s, "pads", 2 * dims, 0, 0);
  SmallVector<Cover> covers;
  Extent blockSize = 1, count = 1;
  for (size_t k = 0; k < dims; ++k) {
    c.sizes.requireAtLeast(block[k], 1, "a block must have elements", c.loc);
    Extent room = image[k] + pads[k] + pads[dims + k] -
                  ((block[k] - 1) * dilations[k] + 1);
    c.sizes.requireAtLeast(room, 0,
                           "a block of '" + c.sizes.atoms.text(block[k]) +
                               "' elements must fit into the image",
                           c.loc);
    Cover cover{block[k],
                strides[k],
                dilations[k],
                pads[k],
                c.sizes.atoms.floorDiv(room, strides[k]) + 1,
                image[k]};
    blockSize *= block[k];
    count *= cover.count;
    covers.push_back(cover);
  }
  c.requireEqual(x.shape[2], count);
  // What cannot be divided is refused by the reshape below.
  Extent channels = c.sizes.atoms.floorDiv(x.shape[1], blockSize);
  Shape shape{x.shape[0], channels};
  for (const Cover &cover : covers)
    shape.push_back(cover.kernel);
  for (const Cover &cover : covers)
    shape.push_back(cover.count);
  return gatherWindows(c, c.reshape(x, shape), covers);
}

/// The sizes and paddings of the result, by the attributes' rules.
SmallVector<Cover> coversOf(const Core &c, const Site &s, const Tensor &x,
                            ArrayRef<int64_t> kernel) {
  size_t dims = kernel.size();
  SmallVector<int64_t> strides = perDim(c, s, "strides", dims, 1, 1),
                       dilations = perDim(c, s, "dilations", dims, 1, 1),
                       pads = perDim(c, s, "pads", 2 * dims, 0, 0),
                       more = perDim(c, s, "output_padding", dims, 0, 0);
  SmallVector<int64_t> sizes = s.integers("output_shape");
  if (sizes.size() == dims + 2) // some exporters count batch and channels
    sizes.erase(sizes.begin(), sizes.begin() + 2);
  if (!sizes.empty() && sizes.size() != dims)
    c.fail("attribute 'output_shape' has " + Twine(sizes.size()) +
           " entries, not " + Twine(dims));
  StringRef automatic = autoPad(c, s);
  bool same = automatic.starts_with("SAME");
  Atoms &atoms = c.sizes.atoms;
  SmallVector<Cover> covers;
  for (size_t k = 0; k < dims; ++k) {
    Extent count = x.shape[2 + k];
    Cover cover{kernel[k], strides[k], dilations[k], pads[k], count, {}};
    c.sizes.requireAtLeast(count, 1, "an empty image has no windows", c.loc);
    Extent whole = (count - 1) * strides[k] + more[k] +
                   ((kernel[k] - 1) * dilations[k] + 1);
    if (sizes.empty() && !same) {
      cover.low = automatic == "VALID" ? 0 : pads[k];
      cover.size = atoms.simplify(
          whole - (automatic == "VALID" ? 0 : pads[k] + pads[dims + k]));
      c.sizes.requireAtLeast(cover.size, 0,
                             "the padding is larger than the result", c.loc);
    } else {
      cover.size = sizes.empty() ? count * strides[k] : Extent(sizes[k]);
      // A result larger than what there is to pad grows at its end, or by
      // negative padding where the model wants it even.
      Extent total = atoms.simplify(whole - cover.size);
      if (!same)
        total = atoms.max(total, 0);
      Extent half = atoms.floorDiv(total, 2);
      cover.low =
          automatic == "SAME_UPPER" ? half : atoms.simplify(total - half);
    }
    covers.push_back(cover);
  }
  return covers;
}

Tensor importConvTranspose(const Core &c, const Site &s) {
  Tensor x = s[0], weights = s[1];
  requireImageAndWeights(c, x, weights);
  SmallVector<Cover> covers = coversOf(c, s, x, kernelOf(c, s, weights));
  int64_t groups = s.integer("group", 1);
  std::optional<Extent> channels =
      groups < 1 ? std::nullopt : x.shape[1].divideExactly(groups);
  if (!channels)
    c.fail("attribute 'group' is " + Twine(groups) + " for " +
           c.sizes.atoms.text(x.shape[1]) + " channels");
  c.requireEqual(x.shape[1], weights.shape[0]);
  DType type = computeType(x.type);
  Tensor bias = s[2] ? c.cast(s[2], type) : Tensor();
  if (auto y = convolveByPhases(c, x, weights, bias, covers, groups))
    return c.cast(*y, x.type);

  x = c.cast(x, type);
  weights = c.cast(weights, type);
  Extent batch = x.shape[0], filters = weights.shape[1], kernel = 1, count = 1;
  Shape shape{batch, filters * groups};
  for (const Cover &cover : covers) {
    kernel *= cover.kernel;
    count *= cover.count;
  }
  Tensor columns;
  if (groups == 1) {
    Tensor rows =
        c.transpose(c.reshape(weights, {*channels, filters * kernel}), {1, 0});
    columns = c.matmul(rows, c.reshape(x, {batch, *channels, count}));
  } else {
    Tensor rows = c.transpose(
        c.reshape(weights, {groups, *channels, filters * kernel}), {0, 2, 1});
    columns = c.matmul(rows, c.reshape(x, {batch, groups, *channels, count}));
  }
  for (const Cover &cover : covers)
    shape.push_back(cover.kernel);
  for (const Cover &cover : covers)
    shape.push_back(cover.count);
  Tensor y = gatherWindows(c, c.reshape(columns, shape), covers);
  return c.cast(bias ? addBias(c, y, bias) : y, s[0].type);
}
} // namespace

void fulgur::onnx::registerTransposedConvolution(OpTable &ops) {
  ops["Col2Im"] = {importCol2Im, 3};
  ops["ConvTranspose"] = {importConvTranspose, 2};
}
