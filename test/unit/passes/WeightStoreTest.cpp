// Constants made by passes: their bytes, their identity, and what may be read
// of other constants.
#include "passes/WeightStore.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/MLIRContext.h"
#include "gtest/gtest.h"

using namespace mlir;

namespace {

struct WeightStoreTest : testing::Test {
  MLIRContext context;
  RankedTensorType type(ArrayRef<int64_t> shape) {
    return RankedTensorType::get(shape, Float32Type::get(&context));
  }
  static ArrayRef<float> floats(ElementsAttr weight) {
    ArrayRef<char> bytes = fulgur::weightBytes(weight);
    return {reinterpret_cast<const float *>(bytes.data()),
            bytes.size() / sizeof(float)};
  }
};

TEST_F(WeightStoreTest, HoldsWhatFillWrites) {
  ElementsAttr weight =
      fulgur::addWeight(type({2, 3}), "w", [](MutableArrayRef<char> bytes) {
        ASSERT_EQ(bytes.size(), 24u);
        auto *numbers = reinterpret_cast<float *>(bytes.data());
        for (int i = 0; i < 6; ++i)
          numbers[i] = float(i);
      });
  EXPECT_EQ(weight.getShapedType(), type({2, 3}));
  ASSERT_EQ(floats(weight).size(), 6u);
  EXPECT_EQ(floats(weight)[5], 5.0f);
}

TEST_F(WeightStoreTest, StartsAsZeros) {
  ElementsAttr weight =
      fulgur::addWeight(type({1024}), "padding", [](MutableArrayRef<char>) {});
  for (float number : floats(weight))
    ASSERT_EQ(number, 0.0f);
}

TEST_F(WeightStoreTest, EqualNamesAreDifferentWeights) {
  auto filled = [&](char byte) {
    return fulgur::addWeight(
        type({1}), "same",
        [=](MutableArrayRef<char> bytes) { llvm::fill(bytes, byte); });
  };
  ElementsAttr a = filled(1), b = filled(2);
  EXPECT_NE(a, b);
  EXPECT_NE(fulgur::weightBytes(a)[0], fulgur::weightBytes(b)[0]);
}

TEST_F(WeightStoreTest, IsAlignedForVectors) {
  ElementsAttr weight =
      fulgur::addWeight(type({3}), "w", [](MutableArrayRef<char>) {});
  EXPECT_EQ(uintptr_t(fulgur::weightBytes(weight).data()) % 64, 0u);
}

TEST_F(WeightStoreTest, ASplatGivesItsOneElement) {
  auto splat = DenseElementsAttr::get(type({100}), 2.5f);
  ASSERT_EQ(floats(splat).size(), 1u);
  EXPECT_EQ(floats(splat)[0], 2.5f);
}

TEST_F(WeightStoreTest, ReleasedWeightsCanStillBeRead) {
  ElementsAttr weight =
      fulgur::addWeight(type({4096}), "w", [](MutableArrayRef<char> bytes) {
        llvm::fill(bytes, char(7));
      });
  fulgur::releaseWeight(weight);
  EXPECT_EQ(fulgur::weightBytes(weight)[16383], char(7));
}

} // namespace
