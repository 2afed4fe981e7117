// What a compilation writes: objects, libraries, weights, headers, reports.
#include "compiler/Compilation.h"
#include "compiler/Compile.h"
#include "compiler/Header.h"
#include "compiler/Link.h"
#include "compiler/Weights.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace fulgur;
using llvm::Error;
using llvm::Expected;

Error Compilation::saveTemp(const Twine &name,
                            llvm::function_ref<void(raw_ostream &)> print) {
  if (options.saveTemps.empty())
    return Error::success();
  if (std::error_code reason =
          llvm::sys::fs::create_directories(options.saveTemps))
    return failFile("create folder", options.saveTemps, reason);
  SmallString<128> path(options.saveTemps);
  llvm::sys::path::append(path, files.prefix + "." + name);
  return writeFile(path, print);
}

Error Compilation::writeText(Artifact artifact,
                             llvm::function_ref<void(raw_ostream &)> print) {
  const std::string &path = files.files.at(artifact);
  if (path == "-") {
    print(llvm::outs());
    llvm::outs().flush();
    return Error::success();
  }
  Expected<std::string> temporary = outputs.stage(path);
  return temporary ? writeFile(*temporary, print) : temporary.takeError();
}

Error Compilation::writeMlir() {
  (*module)->setAttr(stageAttr, StringAttr::get(&context, stageName(reached)));
  llvm::scope_exit remove([&] { (*module)->removeAttr(stageAttr); });
  return writeText(Artifact::mlir, [&](raw_ostream &os) { module->print(os); });
}

Error Compilation::writeWeights() {
  if (!wants(Artifact::weights))
    return Error::success();
  phases.begin("weights");
  Expected<std::string> path = outputs.stage(files.files.at(Artifact::weights));
  if (!path)
    return path.takeError();
  Expected<uint64_t> hash = writeWeightsFile(info, *path);
  if (!hash)
    return hash.takeError();
  weightsHash = *hash;
  weightsFile = *path;
  return Error::success();
}

/// Writes the object: what the code generator made, the weights behind it,
/// and then, into the descriptor, the numbers that are known only now.
Error Compilation::writeObject() {
  if (!wantsObject())
    return Error::success();
  phases.begin("object");
  auto field = [&](size_t at) {
    return offsetOfSymbol(code.object, symbols->model, at);
  };
  Expected<uint64_t> stackAt = field(offsetof(fulgur_model, stack_bytes)),
                     hashAt = field(offsetof(fulgur_model, weights_hash));
  if (!stackAt || !hashAt)
    return llvm::joinErrors(stackAt.takeError(), hashAt.takeError());
  llvm::support::endian::write64le(code.object.data() + *stackAt,
                                   code.stackBytes);
  if (weightsHash)
    llvm::support::endian::write64le(code.object.data() + *hashAt,
                                     *weightsHash);
  bool embeds = embedsWeights() && info.weightsBytes > 0;
  if (embeds) {
    Expected<uint64_t> offset =
        fillSection(code.object, symbols->weightsSection);
    if (!offset)
      return offset.takeError();
  }

  // Also made when only m.so or m.a is wanted; what has no final name is
  // removed at the end.
  std::string path = wants(Artifact::object) ? files.files.at(Artifact::object)
                                             : files.stem + ".o";
  Expected<std::string> temporary =
      wants(Artifact::object) ? outputs.stage(path) : outputs.scratch(path);
  if (!temporary)
    return temporary.takeError();
  objectFile = *temporary;
  std::error_code reason;
  llvm::raw_fd_ostream os(objectFile, reason);
  if (reason)
    return failFile("write", path, reason);
  os.write(code.object.data(), code.object.size());
  if (embeds) {
    Expected<uint64_t> hash = writeSegment(info, os);
    if (!hash)
      return hash.takeError();
    char bytes[8];
    llvm::support::endian::write64le(bytes, *hash);
    os.pwrite(bytes, sizeof bytes, *hashAt);
  }
  os.close();
  reason = os.error();
  os.clear_error();
  return reason ? failFile("write", path, reason) : Error::success();
}

/// libfulgur_rt.a stands beside the compiler: in ../lib when installed as
/// when built.
Expected<std::string> Compilation::findRuntime() const {
  if (!options.runtimeLibrary.empty())
    return options.runtimeLibrary;
  SmallString<128> path(llvm::sys::path::parent_path(
      llvm::sys::path::parent_path(options.programPath)));
  llvm::sys::path::append(path, "lib", "libfulgur_rt.a");
  if (llvm::sys::fs::exists(path))
    return std::string(path);
  return fail(ExitCode::model, "cannot make a shared library: '" + path +
                                   "' does not exist; name libfulgur_rt.a with "
                                   "--runtime, or use --emit without 'so'");
}

Error Compilation::writeLibraries() {
  if (wants(Artifact::archive)) {
    phases.begin("archive");
    Expected<std::string> path =
        outputs.stage(files.files.at(Artifact::archive));
    if (!path)
      return path.takeError();
    std::string member = (llvm::sys::path::filename(files.stem) + ".o").str();
    auto exported = symbols->exported();
    if (Error error = writeArchive(*path, objectFile, member, exported))
      return error;
  }
  if (!wantsShared())
    return Error::success();
  phases.begin("link");
  std::string final = wants(Artifact::shared) ? files.files.at(Artifact::shared)
                                              : files.stem + ".so";
  Expected<std::string> runtime = findRuntime();
  if (!runtime)
    return runtime.takeError();
  Expected<std::string> path =
      wants(Artifact::shared) ? outputs.stage(final) : outputs.scratch(final);
  if (!path)
    return path.takeError();
  sharedFile = *path;
  SharedLibrary library;
  library.path = *path;
  library.soname = llvm::sys::path::filename(final).str();
  library.object = objectFile;
  library.runtimeLibrary = *runtime;
  llvm::append_range(library.exports, symbols->exported());
  library.linker = options.linker;
  return linkShared(library, target);
}

/// Says how far the outputs are from those of the same model in float32.
Error Compilation::measureAccuracy() {
  if (!options.measureAccuracy)
    return Error::success();
  phases.begin("accuracy");
  Expected<Accuracy> accuracy =
      options.measureAccuracy(sharedFile, weightsFile);
  if (!accuracy)
    return accuracy.takeError();
  for (const OutputError &error : accuracy->outputs)
    diagnostics.note(
        llvm::formatv("accuracy: output '{0}' is at most {1:E2} from float32, "
                      "{2:E2} of its largest value (rms {3:E2}), on {4}",
                      error.output, error.maxAbsolute, error.maxRelative,
                      error.rms, accuracy->data)
            .str());
  report.accuracy = std::move(*accuracy);
  return Error::success();
}

Error Compilation::writeHeaderAndPkgConfig() {
  phases.begin("header");
  if (wants(Artifact::header)) {
    HeaderOptions header;
    header.prefix = files.prefix;
    header.source = llvm::sys::path::filename(options.input).str();
    header.producer = producer();
    header.target = shownTarget();
    header.stackBytes = code.stackBytes;
    header.embedWeights = embedsWeights();
    header.weightsFile =
        (llvm::sys::path::filename(files.stem) + suffixOf(Artifact::weights))
            .str();
    if (Error error = writeText(Artifact::header, [&](raw_ostream &os) {
          writeHeader(info, header, os);
        }))
      return error;
  }
  if (!wants(Artifact::pkgConfig))
    return Error::success();
  return writeText(Artifact::pkgConfig, [&](raw_ostream &os) {
    StringRef name = llvm::sys::path::filename(files.stem);
    os << "Name: " << name << "\nDescription: a model compiled by "
       << producer() << "\nVersion: " FULGUR_VERSION "\n"
       << "Cflags: -I${pcfiledir}\nLibs: ${pcfiledir}/" << name
       << ".a -lfulgur_rt -pthread -lm\n";
  });
}

Error Compilation::writeReport() {
  if (!wants(Artifact::reportData) && !wants(Artifact::reportPage))
    return Error::success();
  phases.end();
  report.model = info.name;
  report.source = llvm::sys::path::filename(options.input).str();
  report.producer = producer();
  report.target = shownTarget();
  report.arenaIsConstant = info.arenaIsConstant();
  report.stackBytes = code.stackBytes;
  report.weightsBytes = info.weightsBytes;
  for (const ModelInfo::Weight &weight : info.weights) {
    auto type = cast<ShapedType>(weight.value.getType());
    std::string name, shown;
    if (auto resource = dyn_cast<DenseResourceElementsAttr>(weight.value))
      name = resource.getRawHandle().getKey().str();
    llvm::raw_string_ostream(shown) << type;
    report.weights.push_back(
        {name, shown,
         uint64_t(type.getNumElements()) *
             llvm::divideCeil(type.getElementTypeBitWidth(), 8)});
  }
  llvm::sort(report.weights, [](auto &a, auto &b) {
    return std::tie(b.bytes, a.name) < std::tie(a.bytes, b.name);
  });
  constexpr size_t shownWeights = 20;
  if (report.weights.size() > shownWeights)
    report.weights.resize(shownWeights);
  for (auto &[name, seconds] : phases.past())
    report.phases.push_back({name, seconds});
  if (wants(Artifact::reportData))
    if (Error error = writeText(Artifact::reportData, [&](raw_ostream &os) {
          os << llvm::formatv("{0:2}\n", report.json());
        }))
      return error;
  return !wants(Artifact::reportPage)
             ? Error::success()
             : writeText(Artifact::reportPage,
                         [&](raw_ostream &os) { report.writeHtml(os); });
}

/// -MD: a rule for make and ninja.
Error Compilation::writeDependencies() {
  if (!options.dependencies && options.dependencyFile.empty())
    return Error::success();
  std::string path = options.dependencyFile.empty() ? files.stem + ".d"
                                                    : options.dependencyFile;
  Expected<std::string> temporary = outputs.stage(path);
  if (!temporary)
    return temporary.takeError();
  auto escape = [](StringRef name) {
    std::string result;
    for (char c : name) {
      if (c == ' ' || c == '#')
        result += '\\';
      if (c == '$')
        result += '$';
      result += c;
    }
    return result;
  };
  return writeFile(*temporary, [&](raw_ostream &os) {
    for (auto &[artifact, file] : files.files)
      if (file != "-")
        os << escape(file) << ' ';
    os << ": " << escape(options.input) << '\n';
  });
}
