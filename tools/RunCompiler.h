// fulgur-run --compile: the compiler as a child process.
#ifndef FULGUR_TOOLS_RUNCOMPILER_H
#define FULGUR_TOOLS_RUNCOMPILER_H

#include <filesystem>
#include <string>
#include <vector>

/// A folder that goes with this object.
class TemporaryFolder {
public:
  /// Throws std::runtime_error.
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  const std::filesystem::path path;
};

/// Runs `fulgurc MODEL -o OUTPUT ARGUMENTS...`, the one beside this program or
/// else on the PATH, and returns its exit status. Throws std::runtime_error
/// when it cannot be started or is killed.
int runCompiler(const std::string &model, const std::string &output,
                const std::vector<std::string> &arguments);

#endif // FULGUR_TOOLS_RUNCOMPILER_H
