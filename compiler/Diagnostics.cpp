// What the user is told, as lines a person reads or JSON a program reads.
#include "compiler/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/JSON.h"
#include <cstdlib>
#include <unistd.h>

using namespace mlir;
using namespace fulgur;

/// Takes the place from `location`; names closer to the operation win.
static void addPlace(Location location, Place &place) {
  if (auto fused = dyn_cast<FusedLoc>(location)) {
    for (Location part : fused.getLocations())
      addPlace(part, place);
  } else if (auto call = dyn_cast<CallSiteLoc>(location)) {
    addPlace(call.getCallee(), place);
    addPlace(call.getCaller(), place);
  } else if (auto name = dyn_cast<NameLoc>(location)) {
    if (place.node.empty())
      place.node = name.getName().str();
    addPlace(name.getChildLoc(), place);
  } else if (auto file = dyn_cast<FileLineColLoc>(location)) {
    if (!place.file.empty())
      return;
    place.file = file.getFilename().str();
    if (file.getLine() > 0) // text has lines, models have not
      place.file += ":" + std::to_string(file.getLine()) + ":" +
                    std::to_string(file.getColumn());
  }
}

Place fulgur::placeOf(Location location) {
  Place place;
  addPlace(location, place);
  // The frontend names a node "name (Op)" so that one string travels through
  // all passes.
  StringRef node = place.node;
  size_t open = node.rfind(" (");
  if (open != StringRef::npos && node.ends_with(")")) {
    place.op = node.substr(open + 2).drop_back().str();
    place.node = node.take_front(open).str();
  }
  return place;
}

Diagnostics::Diagnostics(const Options &options, llvm::raw_ostream &os)
    : os(os), json(options.diagnostics == DiagnosticsFormat::json),
      quiet(options.quiet), verbose(options.verbose) {
  bool toStderr = &os == &llvm::errs();
  terminal = toStderr && !json && isatty(STDERR_FILENO);
  const char *noColor = std::getenv("NO_COLOR");
  color = !json && (options.color == When::always ||
                    (options.color == When::automatic && terminal &&
                     !(noColor && *noColor)));
}

void Diagnostics::attach(MLIRContext &taken) {
  context = &taken;
  handler = taken.getDiagEngine().registerHandler(
      [this](Diagnostic &diagnostic) { report(diagnostic); });
}

void Diagnostics::detach() {
  if (context)
    context->getDiagEngine().eraseHandler(handler);
  context = nullptr;
}

void Diagnostics::report(Diagnostic &diagnostic) {
  report(diagnostic.getSeverity(), placeOf(diagnostic.getLocation()),
         diagnostic.str());
  if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
    for (Diagnostic &note : diagnostic.getNotes())
      report(DiagnosticSeverity::Note, placeOf(note.getLocation()), note.str());
}

static StringRef severityName(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Error:
    return "error";
  case DiagnosticSeverity::Warning:
    return "warning";
  case DiagnosticSeverity::Remark:
    return "remark";
  case DiagnosticSeverity::Note:
    return "note";
  }
  llvm_unreachable("unknown severity");
}

static raw_ostream::Colors severityColor(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Error:
    return raw_ostream::RED;
  case DiagnosticSeverity::Warning:
    return raw_ostream::MAGENTA;
  default:
    return raw_ostream::CYAN;
  }
}

/// A message is one line, whatever names the model brings along.
static std::string oneLine(StringRef text) {
  std::string line;
  for (char c : text.trim()) {
    if (c == '\n')
      line += "; ";
    else if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f)
      line += c;
    else
      line += '?';
  }
  return line;
}

void Diagnostics::report(DiagnosticSeverity severity, const Place &place,
                         StringRef message) {
  if (severity == DiagnosticSeverity::Error) {
    ++errorCount;
    last = place;
  }
  if ((quiet && severity == DiagnosticSeverity::Warning) ||
      (!verbose && severity == DiagnosticSeverity::Remark))
    return;
  print(severity, place, message);
}

void Diagnostics::remark(const Place &place, StringRef message) {
  print(DiagnosticSeverity::Remark, place, message);
}

void Diagnostics::print(DiagnosticSeverity severity, const Place &place,
                        StringRef message) {
  progress("");
  if (json) {
    llvm::json::Object object{{"severity", severityName(severity)},
                              {"message", llvm::json::fixUTF8(message)}};
    if (!place.file.empty())
      object["file"] = llvm::json::fixUTF8(place.file);
    if (!place.node.empty())
      object["node"] = llvm::json::fixUTF8(place.node);
    if (!place.op.empty())
      object["op"] = llvm::json::fixUTF8(place.op);
    os << llvm::json::Value(std::move(object)) << '\n';
    return;
  }
  os << (place.file.empty() ? "fulgurc" : oneLine(place.file)) << ": ";
  if (!place.node.empty()) {
    os << "node '" << oneLine(place.node) << "'";
    if (!place.op.empty())
      os << " (" << oneLine(place.op) << ")";
    os << ": ";
  }
  if (color) {
    os.enable_colors(true);
    os.changeColor(severityColor(severity), /*Bold=*/true);
  }
  os << severityName(severity) << ":";
  if (color)
    os.resetColor();
  os << ' ' << oneLine(message) << '\n';
}

void Diagnostics::progress(StringRef line) {
  if (!terminal || quiet || verbose || (line.empty() && !progressShown))
    return;
  os << "\r\033[K" << line;
  os.flush();
  progressShown = !line.empty();
}
