// Output files: all or nothing.
#include "compiler/Outputs.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include <gtest/gtest.h>

using namespace fulgur;
using namespace llvm;

namespace {
struct OutputsTest : testing::Test {
  void SetUp() override {
    ASSERT_FALSE(sys::fs::createUniqueDirectory("fulgur-outputs", folder));
  }
  void TearDown() override { sys::fs::remove_directories(folder); }

  std::string in(StringRef name) { return (folder + "/" + name).str(); }
  static void write(StringRef path) {
    std::error_code reason;
    raw_fd_ostream(path, reason) << "x";
    ASSERT_FALSE(reason);
  }
  SmallString<128> folder;
};
} // namespace

TEST_F(OutputsTest, CommitGivesFinalNames) {
  Outputs outputs;
  Expected<std::string> temporary = outputs.stage(in("a/b/m.o"));
  ASSERT_TRUE(bool(temporary));
  write(*temporary);
  EXPECT_FALSE(sys::fs::exists(in("a/b/m.o")));
  ASSERT_FALSE(bool(outputs.commit()));
  EXPECT_TRUE(sys::fs::exists(in("a/b/m.o")));
  EXPECT_FALSE(sys::fs::exists(*temporary));
}

TEST_F(OutputsTest, NothingRemainsWithoutCommit) {
  {
    Outputs outputs;
    Expected<std::string> temporary = outputs.stage(in("a/b/m.o"));
    ASSERT_TRUE(bool(temporary));
    write(*temporary);
  }
  EXPECT_FALSE(sys::fs::exists(in("a")));
}

TEST_F(OutputsTest, AnOldFileSurvivesAFailure) {
  write(in("m.o"));
  {
    Outputs outputs;
    Expected<std::string> temporary = outputs.stage(in("m.o"));
    ASSERT_TRUE(bool(temporary));
  }
  EXPECT_TRUE(sys::fs::exists(in("m.o")));
}

TEST_F(OutputsTest, ScratchFilesGo) {
  Outputs outputs;
  Expected<std::string> temporary = outputs.scratch(in("m.o"));
  ASSERT_TRUE(bool(temporary));
  write(*temporary);
  ASSERT_FALSE(bool(outputs.commit()));
  EXPECT_FALSE(sys::fs::exists(*temporary));
  EXPECT_FALSE(sys::fs::exists(in("m.o")));
}
