// The report for people: one page that needs nothing else.
#include "compiler/Report.h"
#include "llvm/Support/FormatVariadic.h"

using namespace llvm;
using namespace fulgur;

static std::string escape(StringRef text) {
  std::string result;
  raw_string_ostream os(result);
  printHTMLEscaped(json::fixUTF8(text), os);
  return result;
}

static std::string bytesText(double bytes) {
  for (StringRef unit : {"B", "KiB", "MiB"}) {
    if (bytes < 1024)
      return formatv("{0:F1} {1}", bytes, unit);
    bytes /= 1024;
  }
  return formatv("{0:F2} GiB", bytes);
}

static std::string countText(const std::optional<int64_t> &count) {
  if (!count)
    return "by symbols";
  return *count < 1000000 ? formatv("{0}", *count).str()
                          : formatv("{0:F1} M", *count / 1e6).str();
}

static void row(raw_ostream &os, StringRef tag, ArrayRef<std::string> cells) {
  os << "<tr>";
  for (const std::string &cell : cells)
    os << '<' << tag << '>' << cell << "</" << tag << '>';
  os << "</tr>\n";
}

/// When which piece of the arena is in use: time goes right, addresses go down.
static void timeline(raw_ostream &os, const Report::Arena &arena) {
  int64_t end = 1;
  for (const Report::Buffer &buffer : arena.buffers)
    end = std::max(end, buffer.last + 1);
  constexpr double width = 1000, height = 320;
  double perStep = width / end,
         perByte = height / std::max<double>(arena.bytes, 1);
  os << formatv("<svg viewBox='0 0 {0} {1}' preserveAspectRatio='none'>\n",
                width, height);
  for (auto [i, buffer] : enumerate(arena.buffers))
    os << formatv("<rect x='{0:F1}' y='{1:F1}' width='{2:F1}' height='{3:F1}' "
                  "fill='hsl({4},60%,65%)'><title>{5}: {6} at {7}</title>"
                  "</rect>\n",
                  buffer.first * perStep, buffer.offset * perByte,
                  (buffer.last - buffer.first + 1) * perStep,
                  buffer.bytes * perByte, i * 47 % 360, escape(buffer.node),
                  bytesText(buffer.bytes), buffer.offset);
  os << "</svg>\n";
}

void Report::writeHtml(raw_ostream &os) const {
  os << "<!DOCTYPE html>\n<html><head><meta charset='utf-8'><title>"
     << escape(model) << "</title>\n<style>\n"
     << "body { font: 14px sans-serif; max-width: 75em; margin: 2em auto; }\n"
     << "table { border-collapse: collapse; }\n"
     << "td, th { text-align: left; padding: 2px 12px 2px 0; vertical-align: "
        "top; border-bottom: 1px solid #ddd; }\n"
     << "td.n { text-align: right; }\n"
     << "svg { width: 100%; height: 320px; border: 1px solid #999; }\n"
     << "</style></head><body>\n";
  os << formatv("<h1>{0}</h1>\n<p>From {1} by {2} for {3}.</p>\n",
                escape(model), escape(source), escape(producer),
                escape(target));

  os << "<h2>Sizes</h2>\n<table>\n";
  row(os, "td", {"weights", bytesText(weightsBytes)});
  for (const Code &each : code)
    row(os, "td", {"code for " + escape(each.cpu), bytesText(each.bytes)});
  row(os, "td", {"stack of a thread, at most", bytesText(stackBytes)});
  os << "</table>\n";

  if (accuracy) {
    os << formatv("<h2>Accuracy</h2>\n<p>Differences from the same model in "
                  "float32, on {0}.</p>\n<table>\n",
                  escape(accuracy->data));
    row(os, "th", {"output", "type", "largest", "of the largest value", "rms"});
    for (const OutputError &error : accuracy->outputs)
      row(os, "td",
          {escape(error.output), escape(error.type),
           formatv("{0:E2}", error.maxAbsolute).str(),
           formatv("{0:E2}", error.maxRelative).str(),
           formatv("{0:E2}", error.rms).str()});
    os << "</table>\n";
  }

  os << "<h2>Kernels</h2>\n<table>\n";
  row(os, "th",
      {"function", "kind", "schedule", "calls", "operations", "operands",
       "code", "nodes"});
  for (const Kernel &kernel : kernels) {
    std::string nodes;
    constexpr size_t shown = 4;
    for (const std::string &node : ArrayRef(kernel.nodes).take_front(shown))
      nodes += (nodes.empty() ? "" : ", ") + escape(node);
    if (kernel.nodes.size() > shown)
      nodes += formatv(" and {0} more", kernel.nodes.size() - shown);
    row(os, "td",
        {escape(kernel.function), escape(kernel.kind), escape(kernel.schedule),
         std::to_string(kernel.calls), countText(kernel.operations),
         kernel.bytes ? bytesText(*kernel.bytes) : "by symbols",
         bytesText(kernel.codeBytes), nodes});
  }
  os << "</table>\n";

  os << "<h2>Remarks</h2>\n";
  if (remarks.empty())
    os << "<p>None: every pass did all that it looked for.</p>\n";
  else
    os << "<table>\n";
  for (const RemarkEntry &remark : remarks)
    row(os, "td",
        {escape(remark.place.node), escape(remark.place.op),
         escape(remark.pass), escape(remark.reason)});
  if (!remarks.empty())
    os << "</table>\n";

  os << "<h2>Memory</h2>\n";
  for (const Arena &arena : arenas) {
    double slack = arena.leastBytes ? 100.0 * (arena.bytes - arena.leastBytes) /
                                          arena.leastBytes
                                    : 0;
    os << formatv("<p>The arena has {0}{1}; at most {2} are in use at a time "
                  "({3:F1} % more than that). Time goes right, addresses "
                  "down.</p>\n",
                  bytesText(arena.bytes),
                  arenaIsConstant ? "" : " for typical sizes",
                  bytesText(arena.leastBytes), slack);
    timeline(os, arena);
  }

  os << "<h2>Largest weights</h2>\n<table>\n";
  for (const Weight &weight : weights)
    row(os, "td",
        {escape(weight.name), escape(weight.type), bytesText(weight.bytes)});
  os << "</table>\n<h2>Compile time</h2>\n<table>\n";
  for (const Phase &phase : phases)
    row(os, "td", {phase.name, formatv("{0:F3} s", phase.seconds).str()});
  os << "</table>\n</body></html>\n";
}
