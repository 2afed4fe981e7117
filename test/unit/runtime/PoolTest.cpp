// The default executor: every task exactly once, whoever asks, however often.
#include "fulgur.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace {

/// A pool with a C++ face.
struct Pool {
  fulgur_executor *executor;
  explicit Pool(int32_t threads) : executor(fulgur_pool_create(threads)) {}
  ~Pool() { fulgur_pool_destroy(executor); }
  template <typename Body> void forEach(int64_t count, Body body) {
    executor->parallel_for(
        executor, count,
        [](void *argument, int64_t i) { (*static_cast<Body *>(argument))(i); },
        &body);
  }
};

TEST(Pool, everyTaskOnce) {
  for (int32_t threads : {0, 1, 2, 3, 8}) {
    Pool pool(threads);
    ASSERT_TRUE(pool.executor);
    for (int64_t count : {0, 1, 2, 7, 1000}) {
      std::vector<int> runs(count); // plain ints: the join must order them
      pool.forEach(count, [&](int64_t i) { ++runs[i]; });
      EXPECT_EQ(std::ranges::count(runs, 1), count);
    }
  }
}

TEST(Pool, negativeCountIsNoTask) {
  Pool pool(2);
  pool.forEach(-5, [](int64_t) { FAIL(); });
}

TEST(Pool, manyLoops) {
  // Loops of changing length and argument, fast after one another: a late
  // worker meets the next loop while it still looks at the last one.
  Pool pool(4);
  int64_t total = 0, expected = 0;
  for (int loop = 0; loop < 20000; ++loop) {
    int64_t count = 1 + loop % 9;
    std::vector<int64_t> results(count);
    pool.forEach(count, [&results, loop](int64_t i) { results[i] = loop + i; });
    for (int64_t i = 0; i < count; ++i) {
      total += results[i];
      expected += loop + i;
    }
  }
  EXPECT_EQ(total, expected);
}

TEST(Pool, wakesSleepers) {
  Pool pool(2);
  for (int loop = 0; loop < 20; ++loop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2)); // they sleep now
    std::atomic<int> both = 0;
    // Neither task ends before the other has begun, so two threads are needed.
    pool.forEach(2, [&](int64_t) {
      ++both;
      while (both < 2)
        std::this_thread::yield();
    });
    EXPECT_EQ(both, 2);
  }
}

TEST(Pool, threadsKeepTheirShares) {
  // As long as everybody is there, a thread gets the same tasks in every loop,
  // and neighbours: what it wrote last time is in its own cache.
  constexpr int64_t threads = 3, each = 4;
  Pool pool(threads);
  std::vector<std::thread::id> before(threads * each);
  int kept = 0;
  for (int loop = 0; loop < 100; ++loop) {
    std::atomic<int> begun = 0;
    std::vector<std::atomic<int>> tasks(threads);
    std::vector<std::thread::id> ran(threads * each);
    pool.forEach(threads * each, [&](int64_t i) {
      ran[i] = std::this_thread::get_id();
      ++begun;
      // No thread is through with its share before all are in their last tasks.
      if (++tasks[i / each] == each)
        while (begun < threads * each)
          std::this_thread::yield();
    });
    bool together = ran[0] == std::this_thread::get_id();
    for (int64_t i = 0; i < threads * each; ++i)
      together &= ran[i] == ran[i / each * each];
    kept += together && ran == before;
    before = ran;
  }
  // One that was still looking at others' shares may have begun with these.
  EXPECT_GT(kept, 50);
}

TEST(Pool, unequalSharesAreSharedOut) {
  // All the work is in the caller's share: others are not done before it is.
  Pool pool(2);
  for (int loop = 0; loop < 20; ++loop) {
    std::atomic<int> both = 0;
    pool.forEach(8, [&](int64_t i) {
      if (i >= 2)
        return;
      ++both;
      while (both < 2)
        std::this_thread::yield();
    });
    EXPECT_EQ(both, 2);
  }
}

TEST(Pool, loopsInsideTasks) {
  Pool pool(3);
  for (int loop = 0; loop < 200; ++loop) {
    std::vector<std::vector<int>> runs(8, std::vector<int>(8));
    pool.forEach(8, [&](int64_t i) {
      std::thread::id self = std::this_thread::get_id();
      pool.forEach(8, [&](int64_t k) {
        ++runs[i][k];
        EXPECT_EQ(std::this_thread::get_id(), self);
      });
    });
    for (const std::vector<int> &row : runs)
      EXPECT_EQ(std::ranges::count(row, 1), 8);
  }
}

TEST(Pool, severalCallers) {
  Pool pool(3);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&pool] {
      for (int loop = 0; loop < 2000; ++loop) {
        std::vector<int> runs(10);
        pool.forEach(10, [&](int64_t i) { ++runs[i]; });
        ASSERT_EQ(std::ranges::count(runs, 1), 10);
      }
    });
  for (std::thread &caller : callers)
    caller.join();
}

TEST(Pool, comesAndGoes) {
  for (int i = 0; i < 200; ++i) {
    Pool pool(4);
    std::atomic<int> runs = 0;
    if (i % 2)
      pool.forEach(4, [&](int64_t) { ++runs; });
    EXPECT_EQ(runs, i % 2 * 4);
  }
  fulgur_pool_destroy(nullptr);
}

TEST(Pool, refusesOddThreadCounts) {
  EXPECT_EQ(fulgur_pool_create(-1), nullptr);
  EXPECT_STREQ(
      fulgur_last_message(),
      "a pool of -1 threads was asked for, but 0 to 4096 are possible");
}

} // namespace
