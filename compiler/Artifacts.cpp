// Which files a compilation makes, and under which names.
#include "compiler/Artifacts.h"
#include "compiler/Failure.h"
#include "compiler/Header.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace fulgur;

static constexpr std::pair<Artifact, StringLiteral> suffixes[] = {
    {Artifact::object, ".o"},
    {Artifact::archive, ".a"},
    {Artifact::shared, ".so"},
    {Artifact::header, ".h"},
    {Artifact::weights, ".weights"},
    {Artifact::pkgConfig, ".pc"},
    {Artifact::llvm, ".ll"},
    {Artifact::assembly, ".s"},
    {Artifact::mlir, ".mlir"},
    {Artifact::reportData, ".report.json"},
    {Artifact::reportPage, ".report.html"}};

StringRef fulgur::suffixOf(Artifact artifact) {
  for (auto &[known, suffix] : suffixes)
    if (known == artifact)
      return suffix;
  llvm_unreachable("unknown artifact");
}

static bool isText(Artifact artifact) {
  return artifact == Artifact::header || artifact == Artifact::llvm ||
         artifact == Artifact::assembly || artifact == Artifact::mlir ||
         artifact == Artifact::pkgConfig || artifact == Artifact::reportData;
}

static bool needsWeights(Artifact artifact) {
  return artifact == Artifact::object || artifact == Artifact::archive ||
         artifact == Artifact::shared;
}

Expected<Plan> fulgur::planArtifacts(const Options &options) {
  if (options.input.empty())
    return fail(ExitCode::usage,
                "no input file; say 'fulgurc model.onnx -o out/m'");
  StringRef inputStem =
      options.input == "-" ? "model" : sys::path::stem(options.input);
  std::string output = options.output;
  if (output.empty())
    output = options.stopAfter ? "-" : inputStem.str();

  Plan plan;
  std::vector<Artifact> artifacts = options.artifacts;
  if (options.stopAfter && !artifacts.empty())
    return fail(ExitCode::usage,
                "--compile-to writes MLIR; it does not go with --emit");
  if (options.stopAfter)
    artifacts = {Artifact::mlir};

  // A known suffix names one file; anything else is the stem of all.
  std::optional<Artifact> named;
  plan.stem = output;
  if (output != "-") {
    if (StringRef(output).ends_with("/") || sys::fs::is_directory(output)) {
      SmallString<128> path(output);
      sys::path::append(path, inputStem);
      plan.stem = std::string(path);
    }
    StringRef extension = sys::path::extension(plan.stem);
    if (extension == ".onnx")
      return fail(ExitCode::usage,
                  "-o '" + output +
                      "' would overwrite a model; name a stem such as 'out/m'");
    for (auto &[artifact, suffix] : suffixes)
      if (extension == suffix)
        named = artifact;
    if (named && (artifacts.empty() ||
                  (artifacts.size() == 1 && artifacts[0] == *named))) {
      artifacts = {*named};
      plan.files[*named] = plan.stem;
    }
    if (options.stopAfter)
      plan.files[Artifact::mlir] =
          named || !extension.empty() ? plan.stem : plan.stem + ".mlir";
    if (named)
      plan.stem = plan.stem.substr(0, plan.stem.size() - extension.size());
  }
  if (artifacts.empty())
    artifacts = {Artifact::object,    Artifact::archive,   Artifact::shared,
                 Artifact::header,    Artifact::pkgConfig, Artifact::reportData,
                 Artifact::reportPage};
  if (options.weights == WeightsMode::file && any_of(artifacts, needsWeights))
    artifacts.push_back(Artifact::weights);
  if (options.weights == WeightsMode::embed &&
      is_contained(artifacts, Artifact::weights))
    return fail(ExitCode::usage, "a weights file needs --weights=file; the "
                                 "weights are embedded otherwise");
  if (output == "-" && (artifacts.size() != 1 || !isText(artifacts[0])))
    return fail(ExitCode::usage,
                "only one text goes to the standard output; choose it with "
                "--emit=header, llvm, asm, mlir or pc, or --compile-to");
  for (Artifact artifact : artifacts)
    plan.files.try_emplace(
        artifact, output == "-" ? "-" : plan.stem + suffixOf(artifact).str());

  plan.prefix = options.prefix;
  if (plan.prefix.empty())
    plan.prefix = toIdentifier(
        output == "-" ? inputStem : sys::path::filename(plan.stem), "model");
  if (!isIdentifier(plan.prefix) ||
      StringRef(plan.prefix).starts_with("fulgur"))
    return fail(ExitCode::usage, "prefix '" + plan.prefix +
                                     "' is not a C identifier that a model may "
                                     "use; give another with --prefix");
  return plan;
}
