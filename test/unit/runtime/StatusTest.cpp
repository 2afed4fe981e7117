// Names, sizes and messages.
#include "DemoRun.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>

namespace {

TEST(Status, everyOneHasItsName) {
  std::set<std::string> names;
  for (int i = FULGUR_OK; i <= FULGUR_VERSION_MISMATCH; ++i)
    names.insert(fulgur_status_name(fulgur_status(i)));
  EXPECT_EQ(names.size(), 11u);
  EXPECT_FALSE(names.contains("unknown status"));
  EXPECT_STREQ(fulgur_status_name(fulgur_status(77)), "unknown status");
}

TEST(Dtype, namesAndSizes) {
  EXPECT_STREQ(fulgur_dtype_name(FULGUR_FLOAT32), "float32");
  EXPECT_STREQ(fulgur_dtype_name(FULGUR_BFLOAT16), "bfloat16");
  EXPECT_EQ(fulgur_dtype_bytes(FULGUR_INT64), 8u);
  EXPECT_EQ(fulgur_dtype_bytes(FULGUR_BOOL), 1u);
  for (int unknown : {-1, 0, 14, 99, 1000}) { // 14 is ONNX's complex64
    EXPECT_EQ(fulgur_dtype_bytes(fulgur_dtype(unknown)), 0u);
    EXPECT_STREQ(fulgur_dtype_name(fulgur_dtype(unknown)), "unknown type");
  }
}

TEST(Message, belongsToItsThread) {
  std::thread([] { EXPECT_STREQ(fulgur_last_message(), ""); }).join();
  DemoRun demo;
  demo.context.arena = nullptr;
  demo.run();
  std::thread([] {
    EXPECT_STREQ(fulgur_last_message(), "");
    DemoRun other;
    other.inputs[0].rank = 1;
    other.run();
    EXPECT_STREQ(fulgur_last_message(),
                 "input 'x': its rank is 1, but the model has 2");
  }).join();
  EXPECT_STREQ(fulgur_last_message(), "the arena is null");
}

} // namespace
