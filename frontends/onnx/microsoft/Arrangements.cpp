// Operators that arrange elements; most are ONNX's under another name or in an
// older form.
#include "frontends/onnx/microsoft/Operators.h"

using namespace fulgur::onnx;

namespace {
/// Windows along a dim, each laid out along a new last one.
Tensor importUnfold(const Core &c, const Site &s) {
  Tensor x = s[0];
  int64_t size = s.integer("size", 1), step = s.integer("step", 1),
          axis = c.axis(s.integer("dim", -1), x.rank());
  if (size < 1 || step < 1)
    c.fail("size and step are " + Twine(size) + " and " + Twine(step) +
           ", not both positive");
  Atoms &atoms = c.sizes.atoms;
  const Extent all = x.shape[axis];
  c.sizes.requireAtLeast(all, size,
                         "'" + atoms.text(all) +
                             "' elements must be at least "
                             "the " +
                             Twine(size) + " of a window",
                         c.loc);
  Shape shape(x.shape);
  shape[axis] = atoms.floorDiv(all - size, step) + 1;
  shape.push_back(size);
  mlir::Value table = c.value(x);
  return c.generate(shape, x.type, {},
                    [&](Body &body, ArrayRef<Scalar>, ArrayRef<Scalar> at) {
                      SmallVector<Scalar> from(at.drop_back());
                      from[axis] = at[axis] * double(step) + at.back();
                      return c.extract(body, table, x.type, from);
                    });
}

/// Boxes of images, each resized to the same size with its corners kept.
Tensor importCrop(const Core &c, const Site &s) {
  Tensor x = s[0], boxes = s[1], images = s[2];
  Shape size = s.extents(3);
  StringRef mode = s.text("mode", "bilinear");
  if (x.rank() != 4 || boxes.rank() != 2 || size.size() != 2 ||
      (mode != "bilinear" && mode != "nearest"))
    c.fail("needs images of rank 4, boxes of rank 2, a size of two numbers "
           "and a mode 'bilinear' or 'nearest', not '" +
           mode + "'");
  double outside = s.real("extrapolation_value", 0);
  c.checkIndices(images, x.shape[0], "the images");
  mlir::Value table = c.value(x), box = c.value(boxes);
  Tensor image = c.unsqueeze(images, {1, 2, 3});
  return c.generate(
      {boxes.shape[0], x.shape[1], size[0], size[1]}, x.type, {image},
      [&](Body &body, ArrayRef<Scalar> v, ArrayRef<Scalar> at) {
        auto corner = [&](double k) {
          return c.extract(body, box, boxes.type,
                           {at[0], Scalar::constant(body, DType::index, k)});
        };
        // Where a row or column of the result lies in the image.
        auto place = [&](double first, const Extent &count, const Extent &from,
                         const Scalar &index) {
          Scalar a = corner(first), b = corner(first + 2);
          auto real = [&](const Extent &e) {
            return convert(Scalar::extent(body, DType::index, e), a.type);
          };
          Scalar last = real(from - 1);
          if (count.is(1))
            return (a + b) * last * 0.5;
          return a * last +
                 convert(index, a.type) * ((b - a) * last / real(count - 1));
        };
        Scalar y = place(0, size[0], x.shape[2], at[2]),
               px = place(1, size[1], x.shape[3], at[3]);
        auto limit = [&](const Extent &e, const Scalar &like) {
          return convert(Scalar::extent(body, DType::index, e - 1), like.type);
        };
        Scalar bottom = limit(x.shape[2], y), right = limit(x.shape[3], px);
        Scalar inside = (y >= 0) & (y <= bottom) & (px >= 0) & (px <= right);
        auto element = [&](const Scalar &row, const Scalar &column) {
          auto within = [](const Scalar &p, const Scalar &most) {
            return convert(
                convert(maximum(minimum(p, most), p.like(0)), DType::i64),
                DType::index);
          };
          return c.extract(body, table, x.type,
                           {convert(v[0], DType::index), at[1],
                            within(row, bottom), within(column, right)});
        };
        Scalar result;
        if (mode == "nearest") { // halves away from 0
          result = element(floor(y + 0.5), floor(px + 0.5));
        } else {
          Scalar top = floor(y), left = floor(px), down = y - top,
                 along = px - left;
          Scalar above = element(top, left) +
                         (element(top, ceil(px)) - element(top, left)) * along;
          Scalar below =
              element(ceil(y), left) +
              (element(ceil(y), ceil(px)) - element(ceil(y), left)) * along;
          result = above + (below - above) * down;
        }
        return select(inside, result, result.like(outside));
      });
}
} // namespace

void microsoft::arrangements(Extensions &ops) {
  constexpr const char *anything =
      "where T: float|double|float16|bfloat16|int8|int16|int32|int64|uint8|"
      "uint16|uint32|uint64|bool|string";
  auto any = [&](const char *interface) {
    return (Twine(interface) + " " + anything).str();
  };
  ops.expand(any("ExpandDims (T X, int32 axis) => (T Y)"),
             "wide = Cast <to = 7> (axis) one = Constant <value_ints = [1]> () "
             "axes = Reshape(wide, one) Y = Unsqueeze(X, axes)");
  ops.expand(any("GatherND (T data, I indices) => (T output)") +
                 ", I: int32|int64",
             "wide = Cast <to = 7> (indices) output = GatherND(data, wide)");
  ops.expand("GridSample <align_corners: int = 0, mode: string = bilinear, "
             "padding_mode: string = zeros> (T X, T Grid) => (T Y)",
             "Y = GridSample <align_corners: int = @align_corners, "
             "mode: string = @mode, padding_mode: string = @padding_mode> "
             "(X, Grid)");
  ops.expand("Pad <mode: string = constant> (T data, int64 pads, T? value) "
             "=> (T output)",
             "output = Pad <mode: string = @mode> (data, pads, value)");
  ops.expand(any("Range (T start, T limit, T? delta) => (T Y)"),
             "first = ReduceSum <keepdims = 0> (start) "
             "last = ReduceSum <keepdims = 0> (limit) "
             "step = ReduceSum <keepdims = 0> (delta) "
             "Y = Range(first, last, step)",
             "one = Constant <value_int = 1> () "
             "first = ReduceSum <keepdims = 0> (start) "
             "last = ReduceSum <keepdims = 0> (limit) "
             "step = CastLike(one, first) Y = Range(first, last, step)");
  ops.expand(any("TorchEmbedding (T weight, int64 indices, "
                 "int64? padding_idx, bool? scale_grad_by_freq) => (T Y)"),
             "Y = Gather(weight, indices)");
  ops.expand(any("Trilu <upper: int = 1> (T X, int64? k) => (T Y like X)"),
             "Y = Trilu <upper: int = @upper> (X, k)");
  ops.expand(any("Unique (T x) => (T y, int64 idx, int64 counts)"),
             "y, first, idx, counts = Unique <sorted = 0> (x)");
  ops.add(any("UnfoldTensor <dim: int = -1, size: int, step: int = 1> "
              "(T input) => (T output)"),
          importUnfold);
  ops.add("CropAndResize <extrapolation_value: float = 0, "
          "mode: string = bilinear> (T X, T rois, I batch_indices, "
          "I crop_size) => (T Y) where I: int32",
          importCrop);
}
