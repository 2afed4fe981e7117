// Starts fulgurc and waits for it.
#include "RunCompiler.h"

#include <cerrno>
#include <cstring>
#include <spawn.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

namespace fs = std::filesystem;

static fs::path makeFolder() {
  std::string name = fs::temp_directory_path() / "fulgur-run-XXXXXX";
  if (!mkdtemp(name.data()))
    throw std::runtime_error("cannot make a folder like '" + name +
                             "': " + strerror(errno));
  return name;
}

TemporaryFolder::TemporaryFolder() : path(makeFolder()) {}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

int runCompiler(const std::string &model, const std::string &output,
                const std::vector<std::string> &arguments) {
  std::error_code error;
  fs::path beside =
      fs::read_symlink("/proc/self/exe", error).parent_path() / "fulgurc";
  std::string program =
      !error && fs::exists(beside) ? beside.string() : "fulgurc";
  std::vector<std::string> words = {program, model, "-o", output};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char *> pointers;
  for (std::string &word : words)
    pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t child;
  if (int failed = posix_spawnp(&child, program.c_str(), nullptr, nullptr,
                                pointers.data(), environ))
    throw std::runtime_error("cannot start '" + program +
                             "': " + strerror(failed));
  int state = 0;
  while (waitpid(child, &state, 0) < 0)
    if (errno != EINTR)
      throw std::runtime_error(std::string("cannot wait for fulgurc: ") +
                               strerror(errno));
  if (WIFSIGNALED(state))
    throw std::runtime_error("fulgurc was killed by signal " +
                             std::to_string(WTERMSIG(state)));
  return WEXITSTATUS(state);
}
