// A tuning database is JSON: {"format": "fulgur-tuning-1", "kernels": [{"key",
// "cpu", "schedule", ...}]}, where a key is kernelKey()'s. fulgur-bench writes
// it.
#include "compiler/Tuning.h"
#include "compiler/Failure.h"
#include "compiler/Outputs.h"
#include "compiler/Stage.h"
#include "passes/kernel/Tuning.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace fulgur;
using llvm::Error;
namespace json = llvm::json;

static constexpr llvm::StringLiteral format = "fulgur-tuning-1";

static Error failDatabase(StringRef path, const llvm::Twine &reason) {
  return fail(ExitCode::model, "'" + path + "' is not a tuning database: " +
                                   reason + "; fulgur-bench --tune makes one");
}

Error fulgur::readTuning(StringRef path, StringRef cpu, ModuleOp module) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  if (!buffer)
    return failFile("read", path, buffer.getError());
  llvm::Expected<json::Value> parsed = json::parse((*buffer)->getBuffer());
  if (!parsed)
    return failDatabase(path, llvm::toString(parsed.takeError()));
  const json::Object *database = parsed->getAsObject();
  if (!database || database->getString("format") != StringRef(format))
    return failDatabase(path, "its \"format\" is not \"" + format + "\"");
  const json::Array *kernels = database->getArray("kernels");
  if (!kernels)
    return failDatabase(path, "it has no list \"kernels\"");
  Builder builder(module.getContext());
  NamedAttrList tuned;
  for (auto [number, value] : llvm::enumerate(*kernels)) {
    const json::Object *kernel = value.getAsObject();
    auto text = [&](StringRef name) {
      return kernel ? kernel->getString(name) : std::nullopt;
    };
    if (!text("key") || !text("cpu") || !text("schedule"))
      return failDatabase(path, "kernel " + llvm::Twine(number) +
                                    " lacks a key, a cpu or a schedule");
    if (*text("cpu") == cpu)
      tuned.set(*text("key"), builder.getStringAttr(*text("schedule")));
  }
  module->setAttr(kTunedAttr, tuned.getDictionary(module.getContext()));
  return Error::success();
}

Error fulgur::writeTrials(ModuleOp module, StringRef folder, StringRef cpu) {
  if (std::error_code reason = llvm::sys::fs::create_directories(folder))
    return failFile("create folder", folder, reason);
  json::Array trials;
  SmallVector<ModuleOp> modules;
  module.walk([&](ModuleOp trial) {
    if (trial->hasAttr(kTrialAttr))
      modules.push_back(trial);
  });
  for (ModuleOp trial : modules) {
    auto about = trial->getAttrOfType<DictionaryAttr>(kTrialAttr);
    json::Object sizes;
    for (NamedAttribute size : about.getAs<DictionaryAttr>("sizes"))
      sizes[size.getName().strref()] =
          cast<IntegerAttr>(size.getValue()).getInt();
    std::string file = (*trial.getSymName() + ".mlir").str();
    auto text = [&](StringRef name) {
      return about.getAs<StringAttr>(name).str();
    };
    trials.push_back(
        json::Object{{"file", file},
                     {"key", text("key")},
                     {"kernel", text("kernel")},
                     {"operands", text("operands")},
                     {"uses", about.getAs<IntegerAttr>("uses").getInt()},
                     {"schedule", text("schedule")},
                     {"sizes", std::move(sizes)}});
    trial->setAttr("fulgur.stage", StringAttr::get(trial.getContext(),
                                                   stageName(Stage::graph)));
    SmallString<128> path(folder);
    llvm::sys::path::append(path, file);
    if (Error error =
            writeFile(path, [&](raw_ostream &os) { trial.print(os); }))
      return error;
  }
  SmallString<128> path(folder);
  llvm::sys::path::append(path, "index.json");
  return writeFile(path, [&](raw_ostream &os) {
    os << llvm::formatv(
        "{0:2}\n",
        json::Value(json::Object{{"cpu", cpu}, {"trials", std::move(trials)}}));
  });
}
