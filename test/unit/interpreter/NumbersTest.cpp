// Formats, arith and math.
#include "Run.h"
#include <cmath>
#include <limits>

using fulgur::interpreter::Format;

TEST(Format, RoundsToTheNearestEven) {
  Format half(Format::f16, 16), brain(Format::bf16, 16),
      single(Format::f32, 32);
  EXPECT_EQ(half.round(2049), 2048);
  EXPECT_EQ(half.round(2051), 2052);
  EXPECT_EQ(half.round(65519), 65504);
  EXPECT_EQ(half.round(65520), INFINITY);
  EXPECT_EQ(half.round(0x1p-25), 0);
  EXPECT_EQ(half.round(0x1.8p-25), 0x1p-24);
  EXPECT_EQ(brain.round(257), 256);
  EXPECT_EQ(brain.round(259), 260);
  EXPECT_EQ(single.round(16777217), 16777216);
}

TEST(Format, EveryPatternOfSixteenBitsComesBack) {
  for (Format format : {Format(Format::f16, 16), Format(Format::bf16, 16)})
    for (int64_t pattern = -32768; pattern < 32768; ++pattern) {
      double value = format.decode(pattern);
      if (std::isnan(value))
        continue;
      EXPECT_EQ(format.encode(value), pattern);
      EXPECT_EQ(format.round(value), value);
    }
}

TEST(Format, IntegersWrap) {
  Format byte(Format::integer, 8), boolean(Format::integer, 1);
  EXPECT_EQ(byte.wrap(200), -56);
  EXPECT_EQ(byte.asUnsigned(-56), 200u);
  EXPECT_EQ(boolean.wrap(1), -1);
  EXPECT_EQ(boolean.bytes(), 1);
}

TEST(Arith, FloatsAreRoundedOnceToTheirFormat) {
  expectNumbers("f16", R"(
    %a = arith.constant 2048.0 : f16
    %b = arith.constant 1.0 : f16
    %c = arith.addf %a, %b : f16
    return %c : f16 )",
                {2048});
  expectNumbers("f32", R"(
    %a = arith.constant 1.0 : f32
    %b = arith.constant 3.0 : f32
    %c = arith.divf %a, %b : f32
    return %c : f32 )",
                {1.0f / 3.0f});
}

TEST(Arith, IntegersWrapAndDivideAsTheirSignSays) {
  expectNumbers("vector<6xi8>", R"(
    %a = arith.constant dense<[127, -7, -7, 7, -128, 3]> : vector<6xi8>
    %b = arith.constant dense<[1, 2, -2, -2, -1, 3]> : vector<6xi8>
    %c = arith.addi %a, %b : vector<6xi8>
    return %c : vector<6xi8> )",
                {-128, -5, -9, 5, 127, 6});
  expectNumbers("vector<3xi8>", R"(
    %a = arith.constant dense<[-7, -7, 7]> : vector<3xi8>
    %b = arith.constant dense<[2, -2, -2]> : vector<3xi8>
    %c = arith.floordivsi %a, %b : vector<3xi8>
    return %c : vector<3xi8> )",
                {-4, 3, -4});
  expectNumbers("vector<3xi8>", R"(
    %a = arith.constant dense<[-7, -7, 7]> : vector<3xi8>
    %b = arith.constant dense<[2, -2, -2]> : vector<3xi8>
    %c = arith.ceildivsi %a, %b : vector<3xi8>
    return %c : vector<3xi8> )",
                {-3, 4, -3});
  expectNumbers("i8", R"(
    %a = arith.constant -56 : i8
    %b = arith.constant 3 : i8
    %c = arith.divui %a, %b : i8
    return %c : i8 )",
                {66});
  expectEnd("i32", R"(
    %a = arith.constant 1 : i32
    %b = arith.constant 0 : i32
    %c = arith.divsi %a, %b : i32
    return %c : i32 )",
            "'arith.divsi' divides 1 by 0");
}

TEST(Arith, ComparisonsKnowNaNsAndSigns) {
  expectNumbers("vector<2xi1>", R"(
    %nan = arith.constant dense<[0x7fc00000, 0x3f800000]> : vector<2xf32>
    %one = arith.constant dense<1.0> : vector<2xf32>
    %c = arith.cmpf ueq, %nan, %one : vector<2xf32>
    return %c : vector<2xi1> )",
                {-1, -1});
  expectNumbers("i1", R"(
    %a = arith.constant -1 : i32
    %b = arith.constant 1 : i32
    %c = arith.cmpi ult, %a, %b : i32
    return %c : i1 )",
                {0});
  expectNumbers("f32", R"(
    %a = arith.constant 0x7fc00000 : f32
    %b = arith.constant 1.0 : f32
    %c = arith.maxnumf %a, %b : f32
    return %c : f32 )",
                {1});
}

TEST(Arith, ConversionsAreThoseOfTheBits) {
  expectNumbers("i32", R"(
    %a = arith.constant 1.0 : f32
    %b = arith.bitcast %a : f32 to i32
    return %b : i32 )",
                {0x3f800000});
  expectNumbers("i64", R"(
    %a = arith.constant true
    %b = arith.extui %a : i1 to i64
    return %b : i64 )",
                {1});
  expectNumbers("bf16", R"(
    %a = arith.constant 257.0 : f32
    %b = arith.truncf %a : f32 to bf16
    return %b : bf16 )",
                {256});
}

TEST(Math, FunctionsAreThoseOfTheCLibrary) {
  expectNumbers("f64", R"(
    %a = arith.constant 0.5 : f64
    %b = math.erf %a : f64
    return %b : f64 )",
                {std::erf(0.5)});
  expectNumbers("vector<4xf32>", R"(
    %a = arith.constant dense<[0.5, 1.5, 2.5, -0.5]> : vector<4xf32>
    %b = math.roundeven %a : vector<4xf32>
    return %b : vector<4xf32> )",
                {0, 2, 2, 0});
  expectNumbers("i32", R"(
    %a = arith.constant 1 : i32
    %b = math.ctlz %a : i32
    return %b : i32 )",
                {31});
  // Once rounded: 1 + 2^-23 squared is 1 + 2^-22 + 2^-46.
  expectNumbers("f32", R"(
    %a = arith.constant 1.00000011920928955 : f32
    %b = arith.constant -1.0000002384185791 : f32
    %c = math.fma %a, %a, %b : f32
    return %c : f32 )",
                {0x1p-46});
}
