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

LogicalResult DequantizeOp::verify() {
  RankedTensorType type = resultType();
  int64_t rank = type.getRank(), axis = getAxis(), block = getBlock(),
          bits = getBits(), pack = getPack();
  if (rank < 2 || axis < rank - 2 || axis >= rank)
    return emitOpError() << "axis " << axis << " is not one of the last two of "
                         << rank << " dims";
  if ((bits != 4 && bits != 8) || block < 1 || pack < 0)
    return emitOpError() << "has codes of " << bits << " bits in blocks of "
                         << block << " and panels of " << pack;
  if (int64_t perByte = getPerByte();
      perByte != 1 && (perByte != 2 || bits != 4 || pack > 0))
    return emitOpError() << "has " << perByte << " codes of " << bits
                         << " bits in a byte";
  if (!isa<FloatType>(type.getElementType()))
    return emitOpError() << "gives " << type.getElementType()
                         << ", which is no floating-point type";
  SmallVector<int64_t> codes(type.getShape()), scales(type.getShape()), zeros;
  if (pack) {
    int64_t other = type.getDimSize(otherDim()), steps = codes[axis];
    codes.truncate(rank - 2);
    scales.truncate(rank - 2);
    codes.append({llvm::divideCeilSigned(other, pack),
                  llvm::divideCeilSigned(steps, depth()), pack, 4});
    scales.append({llvm::divideCeilSigned(other, pack),
                   llvm::divideCeilSigned(steps, block), pack});
    zeros = scales;
  } else {
    scales[axis] = llvm::divideCeilSigned(scales[axis], block);
    zeros = scales;
    zeros.back() = llvm::divideCeilSigned(zeros.back(), getPerByte());
    codes.back() = llvm::divideCeilSigned(codes.back(), getPerByte());
  }
  auto codesType = cast<RankedTensorType>(getCodes().getType());
  if (!pack && codesType.getRank() == rank &&
      codesType.getShape().back() > codes.back())
    codes.back() = codesType.getShape().back();
  if (codesType.getShape() != ArrayRef(codes) ||
      !codesType.getElementType().isInteger(8))
    return emitOpError() << "codes have the type " << codesType << ", not "
                         << RankedTensorType::get(
                                codes, IntegerType::get(getContext(), 8));
  auto scaleType = cast<RankedTensorType>(getScale().getType());
  if (scaleType.getShape() != ArrayRef(scales) ||
      !isa<FloatType>(scaleType.getElementType()))
    return emitOpError() << "scales have the type " << scaleType << ", not "
                         << type.clone(scales);
  if (!getZero())
    return success();
  auto zeroType = cast<RankedTensorType>(getZero().getType());
  if (zeroType.getElementType().isInteger(8)
          ? zeroType.getShape() == ArrayRef(zeros)
          : zeroType.getShape() == ArrayRef(scales) &&
                isa<FloatType>(zeroType.getElementType()))
    return success();
  return emitOpError() << "zeros have the type " << zeroType;
}

DequantizeOp::Place DequantizeOp::codeAt(ArrayRef<int64_t> element) {
  Place place{llvm::to_vector(element)};
  if (int64_t pack = getPack()) {
    int64_t other = element[otherDim()], step = element[getAxis()];
    place.index.truncate(element.size() - 2);
    place.index.append({other / pack, step / depth(), other % pack, step % 4});
    place.shift = step % depth() / 4 * 4;
    return place;
  }
  place.index.back() /= getPerByte();
  place.shift = element.back() % getPerByte() * getBits();
  return place;
}

DequantizeOp::Place DequantizeOp::scaleAt(ArrayRef<int64_t> element) {
  Place place{llvm::to_vector(element)};
  int64_t block = element[getAxis()] / int64_t(getBlock());
  if (int64_t pack = getPack()) {
    int64_t other = element[otherDim()];
    place.index.truncate(element.size() - 2);
    place.index.append({other / pack, block, other % pack});
  } else {
    place.index[getAxis()] = block;
  }
  return place;
}

DequantizeOp::Place DequantizeOp::zeroAt(ArrayRef<int64_t> element) {
  Place place = scaleAt(element);
  if (getPack() || !getElementTypeOrSelf(getZero()).isInteger(8))
    return place;
  place.shift = place.index.back() % getPerByte() * getBits();
  place.index.back() /= getPerByte();
  return place;
}

int64_t DequantizeOp::decode(uint8_t byte, unsigned shift) {
  uint64_t code = byte >> shift & llvm::maskTrailingOnes<uint64_t>(getBits());
  return getIsSigned() ? llvm::SignExtend64(code, getBits()) : int64_t(code);
}

LogicalResult SoftmaxOp::verify() {
  return verifyAxis(*this, getInput(), getAxis());
}

LogicalResult RoundBlocksOp::verify() {
  auto type = cast<RankedTensorType>(getInput().getType());
  if (!type.getElementType().isF32() || type.getRank() == 0)
    return emitOpError() << "takes a tensor of f32 with a last dim, not "
                         << type;
  int64_t size = type.getShape().back(), block = getBlock();
  if (block < 1 || ShapedType::isDynamic(size) || size % block != 0)
    return emitOpError() << "has a last dim of " << type
                         << " that is no whole number of blocks of " << block;
  return success();
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

/// Checks one operand's map: its dims are loops that the operand may have, in
/// any order, each at most once, or size 1 at 0.
static LogicalResult verifyMap(AttentionOp op, AffineMap map, Type type,
                               StringRef name, ArrayRef<unsigned> needed,
                               ArrayRef<unsigned> forbidden) {
  int64_t rank = cast<RankedTensorType>(type).getRank();
  if (map.getNumDims() != op.numLoops() || map.getNumSymbols() ||
      map.getNumResults() != rank ||
      !map.isProjectedPermutation(/*allowZeroInResults=*/true))
    return op.emitOpError() << "the map of " << name << ", "
                            << AffineMapAttr::get(map) << ", does not pick "
                            << rank << " of the " << op.numLoops() << " loops";
  for (unsigned loop : needed)
    if (!map.isFunctionOfDim(loop))
      return op.emitOpError()
             << "the map of " << name << " has to have loop " << loop;
  for (unsigned loop : forbidden)
    if (map.isFunctionOfDim(loop))
      return op.emitOpError()
             << "the map of " << name << " may not have loop " << loop;
  return success();
}

LogicalResult AttentionOp::verify() {
  SmallVector<AffineMap> maps = mapList();
  size_t expected =
      4 + getExtras().size() + (getSink() ? 1 : 0) + (getOffsets() ? 1 : 0);
  if (maps.size() != expected)
    return emitOpError() << "has " << maps.size() << " maps for " << expected
                         << " operands and results";
  if (maps.back().getNumDims() < 4)
    return emitOpError() << "has fewer than four loops";
  unsigned i = queryLoop(), d = depthLoop(), j = keyLoop(), n = columnLoop();
  if (failed(verifyMap(*this, maps[0], getQuery().getType(), "the query",
                       {i, d}, {j, n})) ||
      failed(verifyMap(*this, maps[1], getKey().getType(), "the key", {j, d},
                       {i, n})) ||
      failed(verifyMap(*this, maps[2], getValue().getType(), "the value",
                       {j, n}, {i, d})) ||
      failed(verifyMap(*this, maps.back(), getResult().getType(), "the result",
                       {i, n}, {d, j})))
    return failure();
  for (auto [extra, map] : llvm::zip(getExtras(), ArrayRef(maps).drop_front(3)))
    if (failed(verifyMap(*this, map, extra.getType(), "an extra operand", {},
                         {d, n})))
      return failure();
  if (getSink() &&
      failed(verifyMap(*this, maps[3 + getExtras().size()], getSink().getType(),
                       "the sink", {}, {d, j, n})))
    return failure();
  if (getOffsets() &&
      failed(verifyMap(*this, maps[maps.size() - 2], getOffsets().getType(),
                       "the offsets", {}, {i, d, j, n})))
    return failure();
  // Every operand agrees on the sizes of the loops.
  SmallVector<int64_t> sizes(numLoops(), ShapedType::kDynamic);
  SmallVector<Type> types{getQuery().getType(), getKey().getType(),
                          getValue().getType()};
  llvm::append_range(types, getExtras().getTypes());
  if (getSink())
    types.push_back(getSink().getType());
  if (getOffsets())
    types.push_back(getOffsets().getType());
  types.push_back(getResult().getType());
  for (auto [map, type] : llvm::zip(maps, types))
    for (auto [expr, size] :
         llvm::zip(map.getResults(), cast<RankedTensorType>(type).getShape())) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      if (!dim || ShapedType::isDynamic(size))
        continue;
      int64_t &known = sizes[dim.getPosition()];
      if (!ShapedType::isDynamic(known) && known != size)
        return emitOpError()
               << "loop " << dim.getPosition() << " has the size " << known
               << " in one operand and " << size << " in another";
      known = size;
    }
  if (getWindow() && (!getOffset() || *getWindow() < 1))
    return emitOpError() << "has a window, which needs an offset and a "
                            "positive size";
  if (getOffsets() && !getOffset())
    return emitOpError() << "has offsets, which need one that they add to";
  if (getZeroEmptyRows() && getAverageEmptyRows())
    return emitOpError() << "has two results for rows that see nothing";
  return success();
}

LogicalResult AttentionOp::verifyRegions() {
  Block &body = getScore().front();
  SmallVector<Type> expected{getElementTypeOrSelf(getResult().getType()),
                             IndexType::get(getContext()),
                             IndexType::get(getContext())};
  for (Type type : getExtras().getTypes())
    expected.push_back(getElementTypeOrSelf(type));
  SmallVector<Type> actual = llvm::to_vector(body.getArgumentTypes());
  if (!actual.empty()) // the product may be wider than what it is made of
    expected[0] = actual[0];
  if (actual != expected || !isa<FloatType>(actual[0]))
    return emitOpError() << "the score's arguments are not the product, two "
                            "indices and an element of each extra operand";
  auto yield = dyn_cast<YieldOp>(body.getTerminator());
  if (!yield || yield.getValues().size() != 1 ||
      yield.getValues()[0].getType() != body.getArgument(0).getType())
    return emitOpError() << "the score does not yield one number of the type "
                            "of the product";
  return success();
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
    if (isa<MemRefType>(operand.get().getType())) {
      if (getKeeps())
        effects.emplace_back(MemoryEffects::Read::get(), &operand,
                             SideEffects::DefaultResource::get());
      effects.emplace_back(MemoryEffects::Write::get(), &operand,
                           SideEffects::DefaultResource::get());
    }
}
