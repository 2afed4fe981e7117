// What a node says: its attributes and operands, with complaints at the node
// when they are not what the op needs.
#include "frontends/onnx/Core.h"
#include "frontends/onnx/Model.h"
#include "frontends/onnx/TensorData.h"

using namespace mlir;
using namespace fulgur::onnx;

using ::onnx::AttributeProto;

StringRef Site::nameOf(size_t k) const {
  return k < size_t(node.input_size()) ? StringRef(node.input(k)) : StringRef();
}
size_t Site::outputs() const { return node.output_size(); }
StringRef Site::result() const {
  return node.output_size() ? StringRef(node.output(0)) : StringRef();
}
bool Site::wants(size_t output) const {
  return output < outputs() && !node.output(output).empty();
}
StringRef Site::op() const { return node.op_type(); }
int64_t Site::opset() const { return model->opset(node.domain()); }

const AttributeProto *Site::attribute(StringRef name, int type) const {
  for (const AttributeProto &attribute : node.attribute()) {
    if (StringRef(attribute.name()) != name)
      continue;
    if (attribute.type() != type)
      core.fail("attribute '" + name + "' has the wrong type");
    return &attribute;
  }
  return nullptr;
}

bool Site::has(StringRef name) const {
  return llvm::any_of(node.attribute(), [&](const AttributeProto &attribute) {
    return StringRef(attribute.name()) == name;
  });
}

int64_t Site::integer(StringRef name, int64_t otherwise) const {
  const AttributeProto *attribute = this->attribute(name, AttributeProto::INT);
  return attribute ? attribute->i() : otherwise;
}

double Site::real(StringRef name, double otherwise) const {
  const AttributeProto *attribute =
      this->attribute(name, AttributeProto::FLOAT);
  return attribute ? attribute->f() : otherwise;
}

StringRef Site::text(StringRef name, StringRef otherwise) const {
  const AttributeProto *attribute =
      this->attribute(name, AttributeProto::STRING);
  return attribute ? StringRef(attribute->s()) : otherwise;
}

SmallVector<int64_t> Site::integers(StringRef name) const {
  const AttributeProto *attribute = this->attribute(name, AttributeProto::INTS);
  return attribute ? SmallVector<int64_t>(attribute->ints().begin(),
                                          attribute->ints().end())
                   : SmallVector<int64_t>();
}

SmallVector<int64_t> Site::axesOrAll(StringRef name, int64_t rank) const {
  if (has(name))
    return core.axes(integers(name), rank);
  return llvm::to_vector(llvm::seq(rank));
}

SmallVector<double> Site::reals(StringRef name) const {
  const AttributeProto *attribute =
      this->attribute(name, AttributeProto::FLOATS);
  return attribute ? SmallVector<double>(attribute->floats().begin(),
                                         attribute->floats().end())
                   : SmallVector<double>();
}

SmallVector<StringRef> Site::texts(StringRef name) const {
  const AttributeProto *attribute =
      this->attribute(name, AttributeProto::STRINGS);
  SmallVector<StringRef> result;
  if (attribute)
    for (const std::string &text : attribute->strings())
      result.push_back(text);
  return result;
}

std::vector<std::string> Site::strings(StringRef name) const {
  auto found = llvm::find_if(node.attribute(), [&](const AttributeProto &one) {
    return StringRef(one.name()) == name;
  });
  if (found != node.attribute().end() &&
      found->type() == AttributeProto::TENSOR)
    return {found->t().string_data().begin(), found->t().string_data().end()};
  const AttributeProto *attribute =
      this->attribute(name, AttributeProto::STRINGS);
  return attribute ? std::vector<std::string>(attribute->strings().begin(),
                                              attribute->strings().end())
                   : std::vector<std::string>();
}

Tensor Site::tensor(StringRef name) const {
  const AttributeProto *attribute =
      this->attribute(name, AttributeProto::TENSOR);
  return attribute
             ? constantOf(core, model, attribute->t(),
                          node.output_size() ? node.output(0) : node.name())
             : Tensor();
}

DType Site::dtype(StringRef name, DType otherwise) const {
  return DType(integer(name, int64_t(otherwise)));
}

const ::onnx::GraphProto &Site::graph(StringRef name) const {
  const AttributeProto *attribute =
      this->attribute(name, AttributeProto::GRAPH);
  if (!attribute)
    core.fail("attribute '" + name + "' is missing");
  return attribute->g();
}

const ::onnx::TypeProto *Site::typeOf(size_t output) const {
  return output < outputs() ? model->typeOf(node.output(output)) : nullptr;
}

std::optional<SmallVector<int64_t>> Site::integers(size_t input,
                                                   StringRef attribute) const {
  std::optional<Shape> given = numbers(input, attribute);
  if (!given)
    return std::nullopt;
  SmallVector<int64_t> result;
  for (const Extent &extent : *given) {
    std::optional<int64_t> constant = extent.constant();
    if (!constant)
      core.unsupported("input '" + nameOf(input) + "' must be constant");
    result.push_back(*constant);
  }
  return result;
}

std::optional<Shape> Site::numbers(size_t input, StringRef attribute) const {
  if ((*this)[input])
    return extents(input);
  if (!has(attribute))
    return std::nullopt;
  Shape result;
  for (int64_t number : integers(attribute))
    result.push_back(number);
  return result;
}

Shape Site::extents(size_t input) const {
  Tensor x = (*this)[input];
  if (isReal(x.type))
    x = core.cast(x, DType::i64); // as the depth of a OneHot may be
  core.requireType(x, isInteger(x.type) || x.type == DType::boolean, "integer");
  if (!x.known())
    return core.dataExtents(x, nameOf(input));
  Shape result;
  for (const Element &element : *x.known())
    result.push_back(core.sizes.atoms.simplify(element.integer));
  return result;
}

Shape Site::sizes(size_t input) const {
  Shape result = extents(input);
  for (auto [k, size] : llvm::enumerate(result))
    core.requireSize(size,
                     "element " + Twine(k) + " of '" + nameOf(input) + "'");
  return result;
}

std::optional<Extent> Site::indexedSize() const {
  for (const ::onnx::NodeProto &user : model->graph().node()) {
    if (user.op_type() != "Gather" || user.input_size() != 2 ||
        user.input(1) != node.output(0))
      continue;
    int64_t axis = 0;
    for (const AttributeProto &attribute : user.attribute())
      axis = attribute.name() == "axis" ? attribute.i() : axis;
    Tensor table = find(user.input(0));
    if (table && axis >= -table.rank() && axis < table.rank())
      return table.shape[axis < 0 ? axis + table.rank() : axis];
  }
  return std::nullopt;
}

/// One element of ONNX's raw bytes.
static Element elementAt(DType type, const char *bytes) {
  auto read = [&](auto zero) {
    std::memcpy(&zero, bytes, sizeof(zero));
    return zero;
  };
  auto half = [&](const llvm::fltSemantics &semantics) {
    APFloat value(semantics, APInt(16, read(uint16_t())));
    bool lost;
    value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lost);
    return Element{0, value.convertToDouble()};
  };
  switch (type) {
  case DType::f32:
    return {0, read(float())};
  case DType::f64:
    return {0, read(double())};
  case DType::f16:
    return half(APFloat::IEEEhalf());
  case DType::bf16:
    return half(APFloat::BFloat());
  case DType::boolean:
    return {int64_t(*bytes != 0)};
  case DType::f8e4m3fn:
  case DType::f8e4m3fnuz:
  case DType::f8e5m2:
  case DType::f8e5m2fnuz:
  case DType::f8e8m0:
    return {int64_t(read(uint8_t()))};
  case DType::i8:
    return {int64_t(read(int8_t()))};
  case DType::u8:
    return {int64_t(read(uint8_t()))};
  case DType::i16:
    return {int64_t(read(int16_t()))};
  case DType::u16:
    return {int64_t(read(uint16_t()))};
  case DType::i32:
    return {int64_t(read(int32_t()))};
  case DType::u32:
    return {int64_t(read(uint32_t()))};
  default:
    return {read(int64_t())};
  }
}

/// The elements of a tensor attribute.
static std::vector<Element> elementsOf(const Model &model,
                                       const ::onnx::TensorProto &proto) {
  DType type = DType(proto.data_type());
  ArrayRef<char> bytes = model.bytes(proto);
  size_t width = std::max<size_t>((bitWidth(type) + 7) / 8, 1);
  std::vector<Element> elements;
  for (size_t at = 0; at + width <= bytes.size(); at += width)
    elements.push_back(elementAt(type, bytes.data() + at));
  return elements;
}

std::vector<double> Site::numbers(StringRef name) const {
  if (!has(name))
    return {};
  const AttributeProto &found =
      *llvm::find_if(node.attribute(), [&](const AttributeProto &attribute) {
        return StringRef(attribute.name()) == name;
      });
  std::vector<double> result;
  if (found.type() == AttributeProto::INTS)
    result.assign(found.ints().begin(), found.ints().end());
  else if (found.type() != AttributeProto::TENSOR)
    for (double number : reals(name))
      result.push_back(number);
  else
    for (const Element &element : elementsOf(*model, found.t()))
      result.push_back(isReal(tensorType(name))
                           ? element.real
                           : double(*element.integer.constant()));
  return result;
}

SmallVector<int64_t> Site::wholeNumbers(StringRef name) const {
  SmallVector<int64_t> result;
  if (const AttributeProto *found = attribute(name, AttributeProto::TENSOR))
    if (!isReal(tensorType(name)))
      for (const Element &element : elementsOf(*model, found->t()))
        result.push_back(*element.integer.constant());
  return result;
}

DType Site::tensorType(StringRef name) const {
  const AttributeProto *found = attribute(name, AttributeProto::TENSOR);
  return found ? DType(found->t().data_type()) : DType::undefined;
}

/// Element k of packed raw data, the first of which are in the low bits, as a
/// byte.
static uint8_t unpacked(DType type, ArrayRef<char> bytes, int64_t k) {
  unsigned width = bitWidth(type), shift = k * width % 8;
  int64_t at = k * width / 8;
  unsigned bits = uint8_t(bytes[at]) >> shift;
  if (shift + width > 8)
    bits |= uint8_t(bytes[at + 1]) << (8 - shift);
  bits &= (1u << width) - 1;
  bool isNegative = !isUnsigned(type) && bits >> (width - 1);
  return isNegative ? bits | (0xffu << width) : bits;
}

Tensor fulgur::onnx::constantOf(const Core &core,
                                const std::shared_ptr<const Model> &model,
                                const ::onnx::TensorProto &proto,
                                StringRef name) {
  DType type = DType(proto.data_type());
  if (type == DType::string)
    return stringConstant(
        core,
        SmallVector<std::string>(proto.string_data().begin(),
                                 proto.string_data().end()),
        SmallVector<int64_t>(proto.dims().begin(), proto.dims().end()));
  if (!bitWidth(type))
    core.unsupported("tensor '" + name + "' is of type " +
                     fulgur::onnx::name(type) + ", which is not supported");
  Shape shape(proto.dims().begin(), proto.dims().end());
  std::optional<int64_t> count = elementCount(
      SmallVector<int64_t>(proto.dims().begin(), proto.dims().end()));
  ArrayRef<char> bytes = model->bytes(proto);
  size_t width = (bitWidth(type) + 7) / 8;
  std::optional<int64_t> size =
      count ? storageBytes(proto.data_type(), *count) : std::nullopt;
  if (!size || int64_t(bytes.size()) != *size)
    core.fail("tensor '" + name + "' of shape " + core.text(shape) +
              " does not have the bytes that its shape asks for");
  std::optional<Elements> known;
  if (*count <= knownLimit(type)) {
    known.emplace();
    for (int64_t k = 0; k < *count; ++k)
      known->push_back(
          !isPacked(type) ? elementAt(type, bytes.data() + k * width)
          : isUnsigned(type)
              ? Element{int64_t(unpacked(type, bytes, k))}
              : Element{int64_t(int8_t(unpacked(type, bytes, k)))});
  }
  if (*count <= 64)
    return Tensor(std::move(*known), type, shape);
  // The blob points into the file and keeps the model, which holds the mapping,
  // alive.
  AsmResourceBlob blob;
  if (isPacked(type)) {
    blob = HeapAsmResourceBlob::allocate(*count, width);
    for (int64_t k = 0; k < *count; ++k)
      blob.getMutableData()[k] = char(unpacked(type, bytes, k));
  } else {
    blob = AsmResourceBlob(
        bytes, width, [model](void *, size_t, size_t) {},
        /*dataIsMutable=*/false);
  }
  auto attribute = DenseResourceElementsAttr::get(core.typeOf(shape, type),
                                                  name, std::move(blob));
  Tensor result =
      core.tensor(arith::ConstantOp::create(core.builder, core.loc, attribute),
                  type, shape);
  if (known)
    result.setKnown(std::move(*known));
  return result;
}
