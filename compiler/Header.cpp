// The C header of a compiled model.
#include "compiler/Header.h"
#include "runtime/fulgur.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace llvm;
using namespace fulgur;

/// Words of C and C++, and names that the headers we include may define as
/// macros.
static bool isWord(StringRef name) {
  static const StringSet<> words = {"alignas",
                                    "alignof",
                                    "and",
                                    "and_eq",
                                    "asm",
                                    "auto",
                                    "bitand",
                                    "bitor",
                                    "bool",
                                    "break",
                                    "case",
                                    "catch",
                                    "char",
                                    "char16_t",
                                    "char32_t",
                                    "char8_t",
                                    "class",
                                    "co_await",
                                    "co_return",
                                    "co_yield",
                                    "compl",
                                    "concept",
                                    "const",
                                    "const_cast",
                                    "consteval",
                                    "constexpr",
                                    "constinit",
                                    "continue",
                                    "decltype",
                                    "default",
                                    "delete",
                                    "do",
                                    "double",
                                    "dynamic_cast",
                                    "else",
                                    "enum",
                                    "explicit",
                                    "export",
                                    "extern",
                                    "false",
                                    "float",
                                    "for",
                                    "friend",
                                    "goto",
                                    "if",
                                    "inline",
                                    "int",
                                    "long",
                                    "mutable",
                                    "namespace",
                                    "new",
                                    "noexcept",
                                    "not",
                                    "not_eq",
                                    "nullptr",
                                    "operator",
                                    "or",
                                    "or_eq",
                                    "private",
                                    "protected",
                                    "public",
                                    "register",
                                    "reinterpret_cast",
                                    "requires",
                                    "restrict",
                                    "return",
                                    "short",
                                    "signed",
                                    "sizeof",
                                    "static",
                                    "static_assert",
                                    "static_cast",
                                    "struct",
                                    "switch",
                                    "template",
                                    "this",
                                    "thread_local",
                                    "throw",
                                    "true",
                                    "try",
                                    "typedef",
                                    "typeid",
                                    "typename",
                                    "typeof",
                                    "typeof_unqual",
                                    "union",
                                    "unsigned",
                                    "using",
                                    "virtual",
                                    "void",
                                    "volatile",
                                    "wchar_t",
                                    "while",
                                    "xor",
                                    "xor_eq",
                                    "NULL",
                                    "linux",
                                    "unix",
                                    "errno",
                                    "offsetof"};
  return words.contains(name);
}

bool fulgur::isIdentifier(StringRef name) {
  return !name.empty() && !isDigit(name[0]) &&
         all_of(name, [](char c) { return isAlnum(c) || c == '_'; }) &&
         !isWord(name);
}

std::string fulgur::toIdentifier(StringRef name, StringRef fallback) {
  std::string result;
  for (char c : name)
    result += isAlnum(c) ? c : '_';
  StringRef trimmed = StringRef(result).trim(
      '_'); // leading underscores belong to the implementation
  if (trimmed.empty())
    return fallback.str();
  result = trimmed.str();
  return isIdentifier(result) ? result : (fallback + "_" + result).str();
}

std::string fulgur::uniqueIdentifier(StringRef name, StringRef fallback,
                                     StringSet<> &taken) {
  std::string first = toIdentifier(name, fallback), result = first;
  for (unsigned i = 2; !taken.insert(result).second; ++i)
    result = first + "_" + std::to_string(i);
  return result;
}

/// A name of the model, fit to stand in a comment.
static std::string inComment(StringRef text) {
  std::string result;
  for (char c : text) {
    bool plain = isPrint(c) || static_cast<unsigned char>(c) >= 0x80;
    bool endsComment = (c == '/' && !result.empty() && result.back() == '*') ||
                       (c == '*' && !result.empty() && result.back() == '/');
    result += !plain || endsComment || c == '\\' || c == '?' ? '_' : c;
  }
  return result;
}

static StringRef dtypeName(int32_t dtype) {
  switch (dtype) {
  case FULGUR_FLOAT32:
    return "float32";
  case FULGUR_UINT8:
    return "uint8";
  case FULGUR_INT8:
    return "int8";
  case FULGUR_UINT16:
    return "uint16";
  case FULGUR_INT16:
    return "int16";
  case FULGUR_INT32:
    return "int32";
  case FULGUR_INT64:
    return "int64";
  case FULGUR_BOOL:
    return "bool";
  case FULGUR_STRING:
    return "string";
  case FULGUR_MAP:
    return "map";
  case FULGUR_FLOAT16:
    return "float16";
  case FULGUR_FLOAT64:
    return "float64";
  case FULGUR_UINT32:
    return "uint32";
  case FULGUR_UINT64:
    return "uint64";
  case FULGUR_BFLOAT16:
    return "bfloat16";
  case FULGUR_FLOAT8E4M3FN:
    return "float8e4m3fn";
  case FULGUR_FLOAT8E4M3FNUZ:
    return "float8e4m3fnuz";
  case FULGUR_FLOAT8E5M2:
    return "float8e5m2";
  case FULGUR_FLOAT8E5M2FNUZ:
    return "float8e5m2fnuz";
  case FULGUR_FLOAT8E8M0:
    return "float8e8m0";
  case FULGUR_UINT4:
    return "uint4";
  case FULGUR_INT4:
    return "int4";
  case FULGUR_FLOAT4E2M1:
    return "float4e2m1";
  case FULGUR_UINT2:
    return "uint2";
  case FULGUR_INT2:
    return "int2";
  case FULGUR_FLOAT6E2M3:
    return "float6e2m3";
  case FULGUR_FLOAT6E3M2:
    return "float6e3m2";
  default:
    return "unknown";
  }
}

/// Whether several elements share a byte.
static bool isPacked(int32_t dtype) {
  return dtype == FULGUR_UINT4 || dtype == FULGUR_INT4 ||
         dtype == FULGUR_FLOAT4E2M1 || dtype == FULGUR_UINT2 ||
         dtype == FULGUR_INT2 || dtype == FULGUR_FLOAT6E2M3 ||
         dtype == FULGUR_FLOAT6E3M2;
}

/// The C type of one element, or of what packed ones are in.
static StringRef elementType(int32_t dtype) {
  switch (dtype) {
  case FULGUR_FLOAT32:
    return "float";
  case FULGUR_FLOAT64:
    return "double";
  case FULGUR_STRING:
    return "fulgur_string";
  case FULGUR_INT8:
    return "int8_t";
  case FULGUR_INT16:
    return "int16_t";
  case FULGUR_INT32:
    return "int32_t";
  case FULGUR_INT64:
    return "int64_t";
  case FULGUR_UINT16:
  case FULGUR_FLOAT16:
  case FULGUR_BFLOAT16:
    return "uint16_t";
  case FULGUR_UINT32:
    return "uint32_t";
  case FULGUR_UINT64:
    return "uint64_t";
  default:
    return "uint8_t";
  }
}

namespace {

/// A port and the C names it goes by.
struct NamedPort {
  const ModelInfo::Port &port;
  std::string name;

  std::string shape() const { return shape(port); }

  static std::string shape(const ModelInfo::Port &port) {
    for (auto [dtype, name] : {std::pair(FULGUR_SEQUENCE, "sequence of "),
                               std::pair(FULGUR_OPTIONAL, "optional ")})
      if (port.dtype == dtype)
        return name + shape(port.element.front());
    if (!port.ranked)
      return (dtypeName(port.dtype) + "[...]").str();
    SmallVector<std::string> dims;
    for (const ModelInfo::Dim &dim : port.dims)
      dims.push_back(inComment(dim.text));
    return (dtypeName(port.dtype) + "[" + join(dims, ", ") + "]").str();
  }
};

class HeaderWriter {
public:
  HeaderWriter(const ModelInfo &info, const HeaderOptions &options,
               raw_ostream &os)
      : info(info), options(options), os(os), prefix(options.prefix),
        upper(StringRef(prefix).upper()) {
    StringSet<> taken;
    for (const ModelInfo::Port &port : info.inputs)
      inputs.push_back({port, uniqueIdentifier(port.name, "tensor", taken)});
    for (const ModelInfo::Port &port : info.outputs)
      outputs.push_back({port, uniqueIdentifier(port.name, "tensor", taken)});
  }

  void write() {
    os << "/* Model '" << inComment(info.name) << "', made by "
       << options.producer << " from " << inComment(options.source) << " for "
       << options.target << "; do not edit. */\n";
    os << "#ifndef FULGUR_MODEL_" << upper << "_H\n#define FULGUR_MODEL_"
       << upper << "_H\n\n#include <fulgur.h>\n\n";
    os << "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";
    example();
    explainStates();
    constants();
    ports("inputs", inputs);
    ports("outputs", outputs);
    functions();
    for (const NamedPort &port : inputs)
      inputSetter(port);
    for (const NamedPort &port : outputs)
      if (!info.program || !port.port.isMadeOfPieces())
        outputSetter(port);
    if (info.program)
      release();
    os << "#ifdef __cplusplus\n}\n#endif\n#endif /* FULGUR_MODEL_" << upper
       << "_H */\n";
  }

private:
  /// What the outputs begin as: the run of a program looks for buffers in them.
  StringRef zeros() { return info.program ? " = {0}" : ""; }

  void example() {
    os << "/* How to run it (every call returns a fulgur_status; " << prefix
       << "_last_message() says what was wrong):\n *\n";
    os << formatv(
        " *   {0}_inputs in; {0}_outputs out{1}; fulgur_context context;\n",
        prefix, zeros());
    for (const NamedPort &port : inputs)
      os << formatv(" *   {0}_set_{1}(&in, {1}{2});\n", prefix, port.name,
                    dimList(port, /*typed=*/false));
    if (info.program)
      return programExample();
    if (info.arenaIsConstant())
      os << formatv(" *   size_t arena_bytes = {0}_ARENA_BYTES;\n", upper);
    else
      os << formatv(" *   size_t arena_bytes; {0}_plan(&in, &out, "
                    "&arena_bytes);  // and the outputs' dims\n",
                    prefix);
    for (auto [number, port] : enumerate(outputs))
      if (const NamedPort *input = stateOf(number))
        os << formatv(" *   {0}_set_{1}(&out, {2}, in.{2}.bytes);\n", prefix,
                      port.name, input->name);
      else
        os << formatv(" *   {0}_set_{1}(&out, {1}, sizeof {1});\n", prefix,
                      port.name);
    os << " *   fulgur_context_init(&context);\n";
    os << " *   context.arena = aligned_alloc(FULGUR_ALIGNMENT, arena_bytes), "
          "context.arena_bytes = arena_bytes;\n";
    mapWeights();
    os << formatv(" *   if ({0}_run(&context, &in, &out) != FULGUR_OK) "
                  "puts({0}_last_message());\n */\n\n",
                  prefix);
  }

  /// The input that the output is one buffer with, or null.
  const NamedPort *stateOf(size_t output) const {
    for (const ModelInfo::State &state : info.states)
      if (size_t(state.output) == output)
        return &inputs[state.input];
    return nullptr;
  }

  /// What the caller does with states from run to run.
  void explainStates() {
    if (info.states.empty())
      return;
    os << "/* Inputs and outputs that are one buffer, a state, which is yours "
          "and stays from run to run. Give the same data\n * as input and as "
          "output, with the dims of the whole buffer:\n *\n";
    for (const ModelInfo::State &state : info.states) {
      const NamedPort &input = inputs[state.input];
      os << formatv(" *   {0} = {1}: {2}", input.name,
                    outputs[state.output].name, input.shape());
      if (state.scalesOf >= 0)
        os << formatv(", a scale for each row of {0}: a number is its byte "
                      "times the scale",
                      inputs[state.scalesOf].name);
      os << "\n";
    }
    os << " *\n * Its first rows are in use, as many as the dims or data of "
          "other inputs say; a run appends to them, and leaves\n * the others "
          "alone. Begin with none in use (or with the rows that you have), and "
          "say in each next run how\n * many there are now. A run that would "
          "need more rows than the buffer has fails. */\n\n";
  }

  void programExample() {
    os << " *   fulgur_context_init(&context);\n";
    mapWeights();
    os << formatv(" *   if ({0}_run(&context, &in, &out) != FULGUR_OK) "
                  "puts({0}_last_message());\n",
                  prefix);
    if (!outputs.empty())
      os << formatv(" *   ... out.{0}.data, out.{0}.dims ...\n",
                    outputs.front().name);
    os << formatv(" *   {0}_release(&context, &out);\n *\n", prefix);
    os << " * Not all sizes of this model are known before it runs: the run "
          "takes memory from context.allocator (libc's when\n"
          " * it is NULL), also for outputs whose data is NULL. Begin with "
          "zeros, release after each run. */\n\n";
  }

  void mapWeights() {
    if (!options.embedWeights && info.weightsBytes)
      os << formatv(" *   fulgur_weights_map(&{0}_model, \"{1}\", 0, "
                    "&context.weights, &context.weights_bytes);\n",
                    prefix, inComment(options.weightsFile));
  }

  void constants() {
    if (info.program)
      os << formatv("#define {0}_ARENA_BYTES 0u /* the run allocates what it "
                    "needs */\n",
                    upper);
    else if (info.arenaIsConstant())
      os << formatv(
          "#define {0}_ARENA_BYTES {1}u /* scratch memory of one run */\n",
          upper, std::max<int64_t>(info.arenaBytes, 0));
    else
      os << formatv("/* {0}_ARENA_BYTES: the scratch memory of one run depends "
                    "on the symbols; {1}_plan() computes it. */\n",
                    upper, prefix);
    os << formatv("#define {0}_STACK_BYTES {1}u /* at most, on each thread "
                  "inside a run */\n",
                  upper, options.stackBytes);
    os << formatv("#define {0}_WEIGHTS_BYTES UINT64_C({1}) /* {2} */\n\n",
                  upper, info.weightsBytes,
                  options.embedWeights
                      ? "embedded"
                      : "in " + inComment(options.weightsFile));
    if (info.symbols.empty())
      return;
    os << "/* Symbolic dims, by their index in " << prefix
       << "_model.symbols. */\nenum {\n";
    StringSet<> taken;
    for (auto [i, symbol] : enumerate(info.symbols)) {
      if (symbol.source == FULGUR_FROM_RUN)
        continue; // of no use to the caller
      os << formatv("  {0}_SYMBOL_{1} = {2}, /* \"{3}\": {4}..", upper,
                    StringRef(uniqueIdentifier(StringRef(symbol.name).upper(),
                                               "DIM", taken)),
                    i, inComment(symbol.name), symbol.min);
      if (symbol.max != INT64_MAX)
        os << symbol.max;
      os << " */\n";
    }
    os << formatv("  {0}_SYMBOLS = {1}\n};\n\n", upper, info.symbols.size());
  }

  void ports(StringRef kind, ArrayRef<NamedPort> ports) {
    os << formatv("typedef struct {0}_{1} {{\n", prefix, kind);
    for (const NamedPort &port : ports)
      os << formatv("  fulgur_tensor {0}; /* \"{1}\" {2} */\n", port.name,
                    inComment(port.port.name), port.shape());
    if (ports.empty())
      os << "  char none;\n";
    os << formatv("} {0}_{1};\n\n", prefix, kind);
  }

  void functions() {
    os << formatv("extern const fulgur_model {0}_model;\n\n", prefix);
    os << "/* Checks the inputs' dtypes, ranks and dims; writes the arena's "
          "size and the outputs' dtypes, ranks and dims (upper bounds where a "
          "dim depends on data"
       << (info.program ? ", -1 where only the run can tell" : "") << "). */\n";
    os << formatv("fulgur_status {0}_plan(const {0}_inputs *inputs, "
                  "{0}_outputs *outputs, size_t *arena_bytes);\n\n",
                  prefix);
    os << "/* Runs the model once, after checking everything."
       << (info.program ? " Outputs without data are allocated; a buffer that "
                          "is too small makes\n * FULGUR_BUFFER_TOO_SMALL, "
                          "with all outputs' dims written."
                        : "")
       << " */\n";
    os << formatv("fulgur_status {0}_run(const fulgur_context *context, const "
                  "{0}_inputs *inputs, {0}_outputs *outputs);\n\n",
                  prefix);
    os << "/* The sentence about the last call of this model that failed on "
          "this thread. */\n";
    os << formatv("const char *{0}_last_message(void);\n\n", prefix);
  }

  /// For each dim that is not a number, the name of the parameter that stands
  /// for it; dims that are the same share one.
  SmallVector<std::string> dimNames(const NamedPort &port,
                                    SmallVectorImpl<std::string> &parameters) {
    StringSet<> taken;
    for (StringRef other : {"inputs", "outputs", "data"})
      taken.insert(other);
    StringMap<std::string> known;
    SmallVector<std::string> names;
    for (const ModelInfo::Dim &dim : port.port.dims) {
      if (dim.value >= 0) {
        names.push_back(std::to_string(dim.value));
        continue;
      }
      std::string &name = known[dim.text];
      if (name.empty() || dim.text == "?") {
        name = uniqueIdentifier(dim.text, "dim", taken);
        parameters.push_back(name);
      }
      names.push_back(name);
    }
    return names;
  }

  std::string dimList(const NamedPort &port, bool typed) {
    SmallVector<std::string> parameters;
    dimNames(port, parameters);
    std::string list;
    for (const std::string &name : parameters)
      list += (typed ? ", int64_t " : ", ") + name;
    return list;
  }

  void inputSetter(const NamedPort &port) {
    if (!port.port.element.empty())
      return containerSetter(port);
    if (!port.port.ranked)
      return unrankedSetter(port);
    SmallVector<std::string> parameters, dims = dimNames(port, parameters);
    StringRef type = elementType(port.port.dtype);
    bool isState = llvm::any_of(info.states, [&](const auto &state) {
      return &inputs[state.input] == &port;
    });
    os << formatv("/* \"{0}\" {1}, row by row{2}. */\n",
                  inComment(port.port.name), port.shape(),
                  isState ? "; a state, which the run changes" : "");
    os << formatv("static inline void {0}_set_{1}({0}_inputs *inputs, {4}{2} "
                  "*data{3}) {{\n",
                  prefix, port.name, type, dimList(port, true),
                  isState ? "" : "const ");
    os << formatv("  fulgur_tensor *tensor = &inputs->{0};\n  tensor->data = "
                  "(void *)(uintptr_t)data;\n",
                  port.name);
    os << formatv(
        "  tensor->dtype = (fulgur_dtype){0};\n  tensor->rank = {1};\n",
        port.port.dtype, port.port.dims.size());
    bool packed = isPacked(port.port.dtype);
    std::string bytes = packed ? "(size_t)1" : ("sizeof(" + type + ")").str();
    for (auto [i, dim] : enumerate(dims)) {
      os << formatv("  tensor->dims[{0}] = {1};\n", i, dim);
      bytes += formatv(" * (size_t)tensor->dims[{0}]", i).str();
    }
    if (packed)
      bytes = "fulgur_storage_bytes(tensor->dtype, " + bytes + ")";
    os << formatv("  tensor->bytes = {0};\n}\n\n", bytes);
  }

  /// A sequence or an optional: an array of tensors that the caller fills.
  void containerSetter(const NamedPort &port) {
    bool optional = port.port.dtype == FULGUR_OPTIONAL;
    os << formatv("/* \"{0}\" {1}: {2}, which must stay until the run is over; "
                  "of each set\n * data, bytes, dtype, rank and dims. */\n",
                  inComment(port.port.name), port.shape(),
                  optional ? "its value, or NULL" : "`count` elements");
    os << formatv("static inline void {0}_set_{1}({0}_inputs *inputs, const "
                  "fulgur_tensor *{2}) {{\n",
                  prefix, port.name,
                  optional ? "value" : "elements, int64_t count");
    os << formatv("  fulgur_tensor *tensor = &inputs->{0};\n"
                  "  tensor->data = (void *)(uintptr_t){1};\n"
                  "  tensor->dtype = (fulgur_dtype){2};\n"
                  "  tensor->rank = 1;\n  tensor->dims[0] = {3};\n"
                  "  tensor->bytes = (size_t)tensor->dims[0] * "
                  "sizeof(fulgur_tensor);\n}\n\n",
                  port.name, optional ? "value" : "elements", port.port.dtype,
                  optional ? "value ? 1 : 0" : "count");
  }

  void unrankedSetter(const NamedPort &port) {
    StringRef type = elementType(port.port.dtype);
    os << formatv("/* \"{0}\" {1}, row by row, with `rank` dims. */\n",
                  inComment(port.port.name), port.shape());
    os << formatv("static inline void {0}_set_{1}({0}_inputs *inputs, const "
                  "{2} *data, int32_t rank, const int64_t *dims) {{\n",
                  prefix, port.name, type);
    os << formatv("  fulgur_tensor *tensor = &inputs->{0};\n"
                  "  tensor->data = (void *)(uintptr_t)data;\n"
                  "  tensor->dtype = (fulgur_dtype){1};\n"
                  "  tensor->rank = rank;\n  tensor->bytes = sizeof({2});\n"
                  "  for (int32_t i = 0; i < rank; ++i) {{\n"
                  "    tensor->dims[i] = dims[i];\n"
                  "    tensor->bytes *= (size_t)dims[i];\n  }\n}\n\n",
                  port.name, port.port.dtype, type);
  }

  /// Gives back all outputs that a program's run allocated.
  void release() {
    os << "/* Gives back the outputs that the run allocated. Do not call it "
          "with buffers of your own in `outputs`. */\n";
    os << formatv("static inline void {0}_release(const fulgur_context "
                  "*context, {0}_outputs *outputs) {{\n",
                  prefix);
    for (const NamedPort &port : outputs)
      os << formatv("  fulgur_release(context, &outputs->{0});\n", port.name);
    if (outputs.empty())
      os << "  (void)context, (void)outputs;\n";
    os << "}\n\n";
  }

  void outputSetter(const NamedPort &port) {
    os << formatv(
        "/* \"{0}\" {1}; `bytes` is the size of the buffer at `data`. */\n",
        inComment(port.port.name), port.shape());
    os << formatv("static inline void {0}_set_{1}({0}_outputs *outputs, {2} "
                  "*data, size_t bytes) {{\n",
                  prefix, port.name, elementType(port.port.dtype));
    os << formatv(
        "  outputs->{0}.data = data;\n  outputs->{0}.bytes = bytes;\n}\n\n",
        port.name);
  }

  const ModelInfo &info;
  const HeaderOptions &options;
  raw_ostream &os;
  std::string prefix, upper;
  std::vector<NamedPort> inputs, outputs;
};

} // namespace

void fulgur::writeHeader(const ModelInfo &info, const HeaderOptions &options,
                         raw_ostream &os) {
  HeaderWriter(info, options, os).write();
}
