// Numbers in the tools: 16-bit floats, comparison, dims, statistics, random.
#include "CompareTensors.h"
#include "DimExpression.h"
#include "LatencyStatistics.h"
#include "RandomInputs.h"

#include <gtest/gtest.h>

#include <cmath>

namespace {

Tensor floats(std::vector<double> values, fulgur_dtype dtype = FULGUR_FLOAT32) {
  Tensor tensor = Tensor::zeros("x", dtype, {int64_t(values.size())});
  for (size_t i = 0; i < values.size(); ++i)
    tensor.setNumber(int64_t(i), values[i]);
  return tensor;
}

TEST(Tensor, halves) {
  Tensor half = Tensor::zeros("x", FULGUR_FLOAT16, {1});
  for (uint32_t bits = 0; bits < 65536; ++bits) { // all of them, there and back
    uint16_t before = uint16_t(bits), after;
    memcpy(half.data.data(), &before, 2);
    double value = half.number(0);
    half.setNumber(0, value);
    memcpy(&after, half.data.data(), 2);
    if (std::isnan(value))
      EXPECT_TRUE(std::isnan(half.number(0)));
    else
      EXPECT_EQ(before, after);
  }
  EXPECT_EQ(floats({65519}, FULGUR_FLOAT16).number(0), 65504);
  EXPECT_EQ(floats({65520}, FULGUR_FLOAT16).number(0), INFINITY);
  EXPECT_EQ(floats({1 + 0x1p-11}, FULGUR_FLOAT16).number(0), 1); // ties to even
  EXPECT_EQ(floats({1 + 0x1.8p-10}, FULGUR_FLOAT16).number(0), 1 + 0x1p-9);
}

TEST(Tensor, bfloats) {
  EXPECT_EQ(floats({1.0 / 3}, FULGUR_BFLOAT16).number(0), 0.333984375);
  EXPECT_TRUE(std::isnan(floats({NAN}, FULGUR_BFLOAT16).number(0)));
  EXPECT_EQ(floats({-INFINITY}, FULGUR_BFLOAT16).number(0), -INFINITY);
}

TEST(Tensor, refusesImpossibleTypes) {
  EXPECT_THROW(Tensor::zeros("x", fulgur_dtype(14), {1}), std::runtime_error);
  EXPECT_THROW(Tensor::zeros("x", FULGUR_INT8, {-1}), std::runtime_error);
  EXPECT_THROW(Tensor::zeros("x", FULGUR_INT8, std::vector<int64_t>(9, 1)),
               std::runtime_error);
}

TEST(Compare, relativeToLargest) {
  Difference difference =
      compareTensors(floats({100, 0.001}), floats({100, 0.002}), {});
  EXPECT_TRUE(difference.ok);
  EXPECT_NEAR(difference.maxAbsolute, 0.001, 1e-9);
  EXPECT_NEAR(difference.maxRelative, 1e-5, 1e-11);
  EXPECT_FALSE(compareTensors(floats({100.1}), floats({100}), {}).ok);
}

TEST(Compare, elementwise) {
  Tolerance tolerance;
  tolerance.rtol = 0.01;
  Difference difference =
      compareTensors(floats({100, 0.001}), floats({100, 0.002}), tolerance);
  EXPECT_FALSE(difference.ok);
  EXPECT_EQ(difference.firstWrong, 1);
  tolerance.atol = 0.01;
  EXPECT_TRUE(
      compareTensors(floats({100, 0.001}), floats({100, 0.002}), tolerance).ok);
}

TEST(Compare, oddNumbers) {
  EXPECT_TRUE(
      compareTensors(floats({NAN, INFINITY}), floats({NAN, INFINITY}), {}).ok);
  EXPECT_FALSE(compareTensors(floats({NAN}), floats({1}), {}).ok);
  EXPECT_FALSE(compareTensors(floats({1}), floats({NAN}), {}).ok);
  EXPECT_FALSE(compareTensors(floats({-INFINITY}), floats({INFINITY}), {}).ok);
  EXPECT_FALSE(compareTensors(floats({0.1}), floats({0}), {}).ok);
  EXPECT_TRUE(compareTensors(floats({}), floats({}), {}).ok);
}

TEST(Compare, integersMustBeEqual) {
  EXPECT_FALSE(compareTensors(floats({30001}, FULGUR_INT64),
                              floats({30000}, FULGUR_INT64), {})
                   .ok);
}

TEST(Compare, typesMustBeEqual) {
  try {
    compareTensors(floats({1}), floats({1, 2}), {});
    FAIL();
  } catch (const std::runtime_error &error) {
    EXPECT_STREQ(error.what(), "output 'x' is float32[1], but its reference is "
                               "float32[2]");
  }
}

TEST(Compare, strings) {
  Tensor a = Tensor::strings("x", {2}, {"one", ""}),
         b = Tensor::strings("x", {2}, {"one", "two"});
  EXPECT_TRUE(compareTensors(a, a, {}).ok);
  Difference difference = compareTensors(a, b, {});
  EXPECT_FALSE(difference.ok);
  EXPECT_EQ(difference.wrong, "element 1 is '' instead of 'two'");
  EXPECT_FALSE(sameBits(a, b));
  EXPECT_TRUE(sameBits(a, Tensor::copy("y", a.view())));
}

Tensor sequence(std::vector<double> first, std::vector<double> second) {
  std::vector<Tensor> parts;
  parts.push_back(floats(first));
  parts.push_back(floats(second));
  parts[0].name = "x[0]", parts[1].name = "x[1]";
  return Tensor::container("x", FULGUR_SEQUENCE, std::move(parts));
}

TEST(Compare, sequences) {
  Tensor a = sequence({1}, {2, 3}), b = sequence({1}, {2, 4});
  Difference difference = compareTensors(a, b, {});
  EXPECT_FALSE(difference.ok);
  EXPECT_EQ(difference.maxAbsolute, 1);
  EXPECT_EQ(difference.wrong, "'x[1]' differs");
  Tensor copied = Tensor::copy("y", a.view());
  EXPECT_EQ(copied.type(), "sequence[2]");
  EXPECT_EQ(copied.parts[1].name, "y[1]");
  EXPECT_TRUE(compareTensors(copied, a, {}).ok);
  EXPECT_TRUE(sameBits(copied, a));
  EXPECT_FALSE(sameBits(copied, b));
  EXPECT_THROW(compareTensors(a, sequence({1}, {2}), {}), std::runtime_error);
}

TEST(DimExpression, evaluates) {
  auto valueOf = [](const std::string &name) -> std::optional<int64_t> {
    if (name == "past_sequence")
      return 7;
    if (name == "sequence")
      return 3;
    if (name == "a strange name")
      return 11;
    return std::nullopt;
  };
  auto value = [&](const char *text) {
    return evaluateDim(text, valueOf).value_or(-1);
  };
  EXPECT_EQ(value("384"), 384);
  EXPECT_EQ(value("past_sequence + sequence"), 10);
  EXPECT_EQ(value("2*(sequence+1)-past_sequence"), 1);
  EXPECT_EQ(value("past_sequence // 2 * 2"), 6);
  EXPECT_EQ(value("past_sequence - 1 - 1"), 5);
  EXPECT_EQ(value("a strange name"), 11);
  for (const char *bad : {"", "unknown", "sequence +", "(sequence", "1 / 0",
                          "sequence sequence", "9223372036854775807 + 1", "1x"})
    EXPECT_EQ(evaluateDim(bad, valueOf), std::nullopt) << bad;
}

TEST(LatencyStatistics, percentiles) {
  Latencies latencies;
  for (int i = 1000; i > 0; --i)
    latencies.milliseconds.push_back(i);
  latencies.cpuMilliseconds = 2000;
  LatencyStatistics statistics(latencies);
  EXPECT_EQ(statistics.min, 1);
  EXPECT_EQ(statistics.max, 1000);
  EXPECT_EQ(statistics.mean, 500.5);
  EXPECT_EQ(statistics.median, 500);
  EXPECT_EQ(statistics.p90, 900);
  EXPECT_EQ(statistics.p99, 990);
  EXPECT_EQ(statistics.p999, 999);
  EXPECT_EQ(statistics.cpuMean, 2);
  EXPECT_NEAR(statistics.throughput, 1.998, 1e-3);
  latencies.milliseconds = {5};
  EXPECT_EQ(LatencyStatistics(latencies).p999, 5);
}

TEST(RandomInputs, fitTheModel) {
  const fulgur_dim dims[] = {{-1, 0, "n"}, {-1, -1, "n + past"}};
  const fulgur_port ports[] = {{"x", FULGUR_FLOAT32, 2, dims, nullptr},
                               {"ids", FULGUR_INT64, 1, dims, nullptr}};
  const fulgur_symbol symbols[] = {{"n", 0, 9, FULGUR_FROM_DIM, 0, 0},
                                   {"past", 4, 9, FULGUR_FROM_DIM, 0, 0}};
  fulgur_model model = {};
  model.inputs = ports;
  model.n_inputs = 2;
  model.symbols = symbols;
  model.n_symbols = 2;
  RandomOptions options;
  options.dims["n"] = 5;
  std::vector<Tensor> inputs = randomInputs(model, options);
  EXPECT_EQ(inputs[0].type(), "float32[5x9]");
  EXPECT_EQ(inputs[1].type(), "int64[5]");
  for (int64_t i = 0; i < 45; ++i)
    EXPECT_LE(std::fabs(inputs[0].number(i)), 1);
  options.range = {7, 7};
  inputs = randomInputs(model, options);
  EXPECT_EQ(inputs[0].number(3), 7);
  EXPECT_EQ(inputs[1].number(3), 7);
  const fulgur_dim unknown[] = {{-1, -1, "rows"}};
  const fulgur_port port = {"y", FULGUR_FLOAT32, 1, unknown, nullptr};
  model.inputs = &port;
  model.n_inputs = 1;
  try {
    randomInputs(model, options);
    FAIL();
  } catch (const std::runtime_error &error) {
    EXPECT_STREQ(error.what(),
                 "input 'y': the size of dim 'rows' is not known; "
                 "give it with --dim 'rows=N'");
  }
}

} // namespace
