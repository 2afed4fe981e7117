// Weights files, good and bad, and the hash in them.
#include "DemoRun.h"
#include "Xxh64.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <unistd.h>

namespace {

uint64_t hashOf(const void *data, size_t bytes) {
  fulgur_xxh64 hash;
  fulgur_xxh64_init(&hash);
  fulgur_xxh64_update(&hash, data, bytes);
  return fulgur_xxh64_digest(&hash);
}

TEST(Xxh64, knownNumbers) {
  EXPECT_EQ(hashOf("", 0), 0xef46db3751d8e999u);
  EXPECT_EQ(hashOf("a", 1), 0xd24ec4f1a98c6e5bu);
  EXPECT_EQ(hashOf("abc", 3), 0x44bc2cf5ad770999u);
  const char *text = "Nobody inspects the spammish repetition";
  EXPECT_EQ(hashOf(text, strlen(text)), 0xfbcea83c8a378bf1u);
}

TEST(Xxh64, piecesMakeTheWhole) {
  unsigned char data[200];
  for (int i = 0; i < 200; ++i)
    data[i] = static_cast<unsigned char>(i * 37);
  for (size_t piece = 1; piece < 100; ++piece) {
    fulgur_xxh64 hash;
    fulgur_xxh64_init(&hash);
    for (size_t at = 0; at < 200; at += piece)
      fulgur_xxh64_update(&hash, data + at, std::min(piece, 200 - at));
    EXPECT_EQ(fulgur_xxh64_digest(&hash), hashOf(data, 200));
  }
}

TEST(Xxh64, ofTheDemoModel) {
  EXPECT_EQ(hashOf(demo_model.embedded_weights, demo_model.weights_bytes),
            demo_model.weights_hash);
}

/// A weights file for the demo model, for tests to spoil.
struct WeightsFile : testing::Test {
  float weights[16] = {0.5f, 1, 2, 3};
  fulgur_weights_header header = {};
  DemoRun demo{2, 3};
  std::string path = testing::TempDir() + "fulgur-weights-" +
                     std::to_string(getpid()) + ".weights";
  const void *mapped = nullptr;
  size_t bytes = 0;

  WeightsFile() {
    memcpy(header.magic, FULGUR_WEIGHTS_MAGIC, 8);
    header.version = FULGUR_WEIGHTS_VERSION;
    header.header_bytes = FULGUR_WEIGHTS_HEADER_BYTES;
    header.payload_bytes = sizeof weights;
    header.hash = hashOf(weights, sizeof weights);
    demo.model.embedded_weights = nullptr;
    demo.model.weights_hash = header.hash;
  }
  ~WeightsFile() override { remove(path.c_str()); }

  void write(size_t payload = sizeof(weights)) {
    std::string content(FULGUR_WEIGHTS_HEADER_BYTES, '\0');
    memcpy(content.data(), &header, sizeof header);
    content.append(reinterpret_cast<const char *>(weights), payload);
    FILE *file = fopen(path.c_str(), "wb");
    ASSERT_TRUE(file);
    fwrite(content.data(), 1, content.size(), file);
    fclose(file);
  }

  /// Maps and loads, expecting failure; the message without the path.
  std::string failure(int verify = 0) {
    EXPECT_EQ(
        fulgur_weights_map(&demo.model, path.c_str(), verify, &mapped, &bytes),
        FULGUR_INVALID_WEIGHTS);
    std::string message = fulgur_last_message();
    EXPECT_EQ(
        fulgur_weights_load(&demo.model, path.c_str(), verify, &mapped, &bytes),
        FULGUR_INVALID_WEIGHTS);
    EXPECT_EQ(fulgur_last_message(), message);
    size_t at = message.find(path);
    EXPECT_NE(at, std::string::npos) << message;
    return at == std::string::npos ? message
                                   : message.replace(at, path.size(), "FILE");
  }
};

TEST_F(WeightsFile, mapsAndLoadsAndRuns) {
  write();
  for (auto *get : {fulgur_weights_map, fulgur_weights_load})
    for (int verify : {0, 1}) {
      ASSERT_EQ(get(&demo.model, path.c_str(), verify, &mapped, &bytes),
                FULGUR_OK)
          << fulgur_last_message();
      EXPECT_EQ(bytes, sizeof weights);
      EXPECT_EQ(memcmp(mapped, weights, sizeof weights), 0);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(mapped) %
                    (get == fulgur_weights_load ? 2u << 20 : 4096u),
                0u);
      demo.context.weights = mapped;
      demo.context.weights_bytes = bytes;
      EXPECT_EQ(demo.run(), FULGUR_OK) << fulgur_last_message();
      EXPECT_TRUE(demo.right());
      fulgur_weights_unmap(mapped, bytes);
    }
  fulgur_weights_unmap(nullptr, 0);
}

TEST_F(WeightsFile, missing) {
  EXPECT_EQ(failure(), "cannot open 'FILE': No such file or directory");
}

TEST_F(WeightsFile, tooShort) {
  FILE *file = fopen(path.c_str(), "wb");
  fputs("FULGURW1", file);
  fclose(file);
  EXPECT_EQ(failure(), "'FILE' is not a weights file: it is no regular file of "
                       "at least 4096 bytes");
}

TEST_F(WeightsFile, folder) {
  path = "/";
  EXPECT_EQ(failure(), "'FILE' is not a weights file: it is no regular file of "
                       "at least 4096 bytes");
  path.clear();
}

TEST_F(WeightsFile, otherMagic) {
  header.magic[0] = 'X';
  write();
  EXPECT_EQ(failure(),
            "'FILE' is not a weights file: it does not begin with FULGURW1");
}

TEST_F(WeightsFile, otherVersion) {
  header.version = 2;
  write();
  EXPECT_EQ(failure(), "'FILE' has version 2 with a header of 4096 bytes, but "
                       "this runtime reads version 1 with 4096 bytes");
}

TEST_F(WeightsFile, ofAnotherModel) {
  header.hash = 0x123;
  demo.model.weights_hash = 0x456;
  write();
  EXPECT_EQ(failure(), "'FILE' holds 64 bytes of weights with hash "
                       "0000000000000123, but model 'demo' has 64 bytes with "
                       "hash 0000000000000456");
}

TEST_F(WeightsFile, truncated) {
  write(60);
  EXPECT_EQ(failure(), "'FILE' is damaged: 60 bytes of weights follow its "
                       "header, which promises 64");
}

TEST_F(WeightsFile, changedByte) {
  weights[9] = 1;
  write();
  EXPECT_EQ(fulgur_weights_map(&demo.model, path.c_str(), 0, &mapped, &bytes),
            FULGUR_OK);
  fulgur_weights_unmap(mapped, bytes);
  EXPECT_TRUE(
      failure(1).starts_with("'FILE' is damaged: its weights hash to "));
}

TEST_F(WeightsFile, wrongArguments) {
  EXPECT_EQ(fulgur_weights_map(nullptr, "", 0, &mapped, &bytes),
            FULGUR_INVALID_ARGUMENT);
  EXPECT_STREQ(fulgur_last_message(), "fulgur_weights_map: 'model' is null");
  EXPECT_EQ(fulgur_weights_map(&demo.model, "", 0, nullptr, &bytes),
            FULGUR_INVALID_ARGUMENT);
  EXPECT_EQ(fulgur_weights_load(&demo.model, nullptr, 0, &mapped, &bytes),
            FULGUR_INVALID_ARGUMENT);
  EXPECT_STREQ(fulgur_last_message(), "fulgur_weights_load: 'path' is null");
  demo.model.abi_version = 3;
  EXPECT_EQ(fulgur_weights_map(&demo.model, "", 0, &mapped, &bytes),
            FULGUR_VERSION_MISMATCH);
}

} // namespace
