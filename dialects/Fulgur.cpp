// Verifiers and interfaces of the fulgur dialect.
#include "dialects/Fulgur.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace fulgur;

#include "dialects/FulgurDialect.cpp.inc"
#include "dialects/FulgurEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/FulgurAttributes.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/FulgurTypes.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/Fulgur.cpp.inc"

void FulgurDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/FulgurAttributes.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/FulgurTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/Fulgur.cpp.inc"
      >();
}

/// `<kind = "gemm", tile = [6, 2], lanes = 8>`; what has its default value is
/// left out.
void ScheduleAttr::print(AsmPrinter &printer) const {
  printer << "<kind = \"" << getKind() << '"';
  if (!getTile().empty()) {
    printer << ", tile = [";
    llvm::interleaveComma(getTile(), printer.getStream());
    printer << ']';
  }
  auto number = [&](StringRef name, int64_t value, int64_t usual) {
    if (value != usual)
      printer << ", " << name << " = " << value;
  };
  number("lanes", getLanes(), 1);
  number("unroll", getUnroll(), 1);
  number("pack", getPack(), 0);
  number("grain", getGrain(), 1);
  printer << '>';
}

Attribute ScheduleAttr::parse(AsmParser &parser, Type) {
  std::string kind;
  SmallVector<int64_t> tile;
  int64_t lanes = 1, unroll = 1, pack = 0, grain = 1;
  auto field = [&]() -> ParseResult {
    StringRef name;
    if (parser.parseKeyword(&name) || parser.parseEqual())
      return failure();
    if (name == "kind")
      return parser.parseString(&kind);
    if (name == "tile")
      return parser.parseCommaSeparatedList(AsmParser::Delimiter::Square, [&] {
        return parser.parseInteger(tile.emplace_back());
      });
    if (name == "lanes")
      return parser.parseInteger(lanes);
    if (name == "unroll")
      return parser.parseInteger(unroll);
    if (name == "pack")
      return parser.parseInteger(pack);
    if (name == "grain")
      return parser.parseInteger(grain);
    return parser.emitError(parser.getCurrentLocation())
           << "a schedule has no field '" << name << "'";
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, field))
    return {};
  return get(parser.getContext(),
             parser.getBuilder().getStringAttr(kind).getValue(), tile, lanes,
             unroll, pack, grain);
}

/// Checks that `axis` names a dim of `input`; row operations normalise or
/// reduce from it on.
static LogicalResult verifyAxis(Operation *op, Value input, int64_t axis) {
  int64_t rank = cast<RankedTensorType>(input.getType()).getRank();
  if (axis < 0 || axis >= rank)
    return op->emitOpError()
           << "axis " << axis << " is outside a tensor of rank " << rank;
  return success();
}

/// Checks that `parameter` has the shape of the dims of `input` from `axis` on.
static LogicalResult verifyTrailing(Operation *op, Value input, Value parameter,
                                    int64_t axis, StringRef name) {
  auto trailing =
      cast<RankedTensorType>(input.getType()).getShape().drop_front(axis);
  auto shape = cast<RankedTensorType>(parameter.getType()).getShape();
  if (failed(verifyCompatibleShape(trailing, shape)))
    return op->emitOpError()
           << name << " has the type " << parameter.getType()
           << ", not the shape of the dims from axis " << axis << " on";
  return success();
}

LogicalResult SoftmaxOp::verify() {
  return verifyAxis(*this, getInput(), getAxis());
}

LogicalResult RMSNormOp::verify() {
  if (failed(verifyAxis(*this, getInput(), getAxis())))
    return failure();
  return verifyTrailing(*this, getInput(), getScale(), getAxis(), "scale");
}

LogicalResult LayerNormOp::verify() {
  if (failed(verifyAxis(*this, getInput(), getAxis())) ||
      failed(verifyTrailing(*this, getInput(), getScale(), getAxis(), "scale")))
    return failure();
  return getBias()
             ? verifyTrailing(*this, getInput(), getBias(), getAxis(), "bias")
             : success();
}

YieldOp KernelOp::yield() {
  return cast<YieldOp>(bodyBlock()->getTerminator());
}

/// The tensor type that stands for an operand in the body: the operand's own,
/// or that of the buffer it became.
static Type bodyType(Type type) {
  if (auto memref = dyn_cast<MemRefType>(type))
    return RankedTensorType::get(memref.getShape(), memref.getElementType());
  return type;
}

void BufferOp::getEffects(
    SmallVectorImpl<MemoryEffects::EffectInstance> &effects) {
  if (getSegment() == Segment::output)
    effects.emplace_back(MemoryEffects::Write::get());
}

LogicalResult KernelOp::verify() {
  Block *block = bodyBlock();
  if (block->getNumArguments() != getNumOperands())
    return emitOpError() << "has " << getNumOperands()
                         << " operands but a body with "
                         << block->getNumArguments() << " arguments";
  for (auto [argument, operand] :
       llvm::zip(block->getArguments(), getOperands()))
    if (argument.getType() != bodyType(operand.getType()))
      return emitOpError() << "argument " << argument.getArgNumber()
                           << " of the body is " << argument.getType()
                           << ", its operand " << operand.getType();
  if (yield().getValues().size() != getOuts().size())
    return emitOpError() << "yields " << yield().getValues().size()
                         << " values to " << getOuts().size()
                         << " destinations";
  for (auto [value, out] : llvm::zip(yield().getValues(), getOuts()))
    if (value.getType() != bodyType(out.getType()))
      return emitOpError() << "yields " << value.getType()
                           << " to a destination of type " << out.getType();
  return success();
}

void KernelOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  for (OpOperand &operand : getInputsMutable())
    if (isa<MemRefType>(operand.get().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), &operand,
                           SideEffects::DefaultResource::get());
  for (OpOperand &operand : getOutsMutable())
    if (isa<MemRefType>(operand.get().getType()))
      effects.emplace_back(MemoryEffects::Write::get(), &operand,
                           SideEffects::DefaultResource::get());
}
