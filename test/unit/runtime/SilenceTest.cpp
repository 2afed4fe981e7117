// A run on the calling thread allocates nothing, takes no lock and asks the
// system for nothing.
#include "DemoRun.h"
#include "ForbiddenCalls.h"

#include <gtest/gtest.h>

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/seccomp.h>

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool Sanitized = true;
#elif defined(__has_feature)
constexpr bool Sanitized =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool Sanitized = false;
#endif

TEST(Silence, counterCounts) {
  int before = forbidden_calls;
  fulgur_pool_destroy(fulgur_pool_create(1));
  EXPECT_GT(forbidden_calls, before);
}

TEST(Silence, noForbiddenCalls) {
  DemoRun demo(8, 8);
  int before = forbidden_calls;
  fulgur_status status = demo.run();
  int after = forbidden_calls;
  EXPECT_EQ(status, FULGUR_OK);
  EXPECT_EQ(after, before);
}

/// Strict seccomp kills the process at any system call but read, write, exit.
TEST(Silence, noSystemCalls) {
  if (Sanitized)
    GTEST_SKIP() << "sanitizers make system calls of their own";
  DemoRun demo(8, 8);
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
      syscall(SYS_exit, 77);
    syscall(SYS_exit, demo.run() == FULGUR_OK ? 0 : 1);
  }
  int state = 0;
  ASSERT_EQ(waitpid(child, &state, 0), child);
  if (WIFEXITED(state) && WEXITSTATUS(state) == 77)
    GTEST_SKIP() << "this system has no strict seccomp";
  EXPECT_TRUE(WIFEXITED(state)) << "killed by signal " << WTERMSIG(state);
  EXPECT_EQ(WEXITSTATUS(state), 0);
}

} // namespace
