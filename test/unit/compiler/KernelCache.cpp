// Files of the cache: whole, damaged, of another key, and where there is no
// room.
#include "compiler/KernelCache.h"
#include "llvm/Support/FileSystem.h"
#include <fstream>
#include <gtest/gtest.h>

using namespace fulgur;
using namespace llvm;

static UnitCode someCode() {
  UnitCode code;
  for (int i = 0; i < 5000; ++i)
    code.object.push_back(char(i * 7));
  code.frames = {{"f", 64}, {"g", 4096}};
  return code;
}

TEST(KernelCache, GivesBackWhatWasKept) {
  SmallString<128> folder;
  ASSERT_FALSE(sys::fs::createUniqueDirectory("fulgur-cache", folder));
  KernelCache cache(folder);
  EXPECT_FALSE(cache.find("abc"));
  cache.keep("abc", someCode());
  std::optional<UnitCode> code = cache.find("abc");
  ASSERT_TRUE(code);
  EXPECT_EQ(code->object, someCode().object);
  EXPECT_EQ(code->frames, someCode().frames);
  EXPECT_EQ(cache.asked(), 2u);
  EXPECT_EQ(cache.found(), 1u);
  EXPECT_EQ(cache.problem(), "");
  sys::fs::remove_directories(folder);
}

TEST(KernelCache, TakesNoDamagedFile) {
  SmallString<128> folder;
  ASSERT_FALSE(sys::fs::createUniqueDirectory("fulgur-cache", folder));
  KernelCache cache(folder);
  cache.keep("abc", someCode());
  std::string path = (folder + "/llvmcache-abc").str();
  std::string content;
  {
    std::ifstream in(path, std::ios::binary);
    content.assign(std::istreambuf_iterator<char>(in), {});
  }
  auto foundIn = [&](StringRef bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), bytes.size());
    return cache.find("abc").has_value();
  };
  EXPECT_TRUE(foundIn(content));
  for (size_t at = 0; at < content.size(); at += 41) {
    std::string damaged = content;
    damaged[at] ^= 4;
    EXPECT_FALSE(foundIn(damaged)) << "byte " << at;
    EXPECT_FALSE(foundIn(StringRef(content).take_front(at)));
  }
  EXPECT_TRUE(foundIn(content));
  // The file of another key under this name.
  ASSERT_FALSE(sys::fs::rename(path, folder + "/llvmcache-xyz"));
  EXPECT_FALSE(cache.find("xyz"));
  sys::fs::remove_directories(folder);
}

TEST(KernelCache, SaysOnceThatThereIsNoRoom) {
  KernelCache cache("/dev/null/kernels");
  cache.keep("abc", someCode());
  EXPECT_EQ(cache.problem(),
            "cannot make folder '/dev/null/kernels': Not a directory");
  EXPECT_FALSE(cache.find("abc"));
}
