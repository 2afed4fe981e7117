// fulgur-run and fulgur-bench as a user calls them.
#include "NumpyFile.h"
#include "TensorFile.h"
#include "Xxh64.h"
#include "ZipFile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <sys/wait.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace {

const std::string Demo = DEMOS "/demo.so ";

struct Command : testing::Test {
  fs::path folder = fs::path(testing::TempDir()) /
                    ("fulgur-command-" + std::to_string(getpid()));
  std::string output;

  Command() {
    fs::create_directories(folder);
    std::vector<Tensor> inputs, outputs;
    inputs.push_back(Tensor::zeros("x", FULGUR_FLOAT32, {2, 3}));
    inputs.push_back(Tensor::zeros("ids", FULGUR_INT64, {2, 3}));
    inputs.push_back(Tensor::zeros("scale", FULGUR_FLOAT32, {4}));
    outputs.push_back(Tensor::zeros("y", FULGUR_FLOAT32, {2, 3}));
    outputs.push_back(Tensor::zeros("sum", FULGUR_FLOAT32, {2}));
    for (int i = 0; i < 6; ++i) { // all exact in float32
      inputs[0].setNumber(i, i);
      inputs[1].setNumber(i, i % 4);
      outputs[0].setNumber(i, i * (i % 4 + 1) + 0.5);
      outputs[1].setNumber(i / 3,
                           outputs[1].number(i / 3) + i * (i % 4 + 1) + 0.5);
    }
    for (int i = 0; i < 4; ++i)
      inputs[2].setNumber(i, i + 1);
    for (const char *set : {"sets/test_data_set_0", "sets/test_data_set_1"}) {
      writeTensors(folder / set, inputs, "input");
      writeTensors(folder / set, outputs, "output");
    }
    writeTensors(folder / "in.npz", inputs, "input");
    writeTensors(folder / "out.npz", outputs, "output");
    outputs[0].setNumber(4, 5.6);
    writeTensors(folder / "wrong.npz", outputs, "output");
  }
  ~Command() override { fs::remove_all(folder); }

  /// Runs in the folder; the exit status, and `output` for both streams.
  int run(const std::string &command) {
    output.clear();
    FILE *pipe = popen(
        ("cd '" + folder.string() + "' && " + command + " 2>&1").c_str(), "r");
    for (char text[4096]; fgets(text, sizeof text, pipe);)
      output += text;
    int state = pclose(pipe);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  }
  int model(const std::string &arguments) {
    return run(TOOLS "/fulgur-run " + Demo + arguments);
  }
  int bench(const std::string &arguments) {
    return run(TOOLS "/fulgur-bench " + Demo + arguments);
  }
  bool says(const std::string &text) const {
    return output.find(text) != std::string::npos;
  }
};

TEST_F(Command, comparesOneSet) {
  EXPECT_EQ(model("--inputs sets/test_data_set_0 --compare out.npz"), 0);
  EXPECT_TRUE(
      says("y float32[2x3]: max abs = 0, max relative = 0, rms = 0: ok"))
      << output;
}

TEST_F(Command, comparesAllSets) {
  EXPECT_EQ(model("--inputs sets --compare sets --threads 2 --runs 3"), 0);
  EXPECT_TRUE(says("test_data_set_1:\n")) << output;
}

TEST_F(Command, failsOutsideTheTolerance) {
  EXPECT_EQ(model("--inputs in.npz --compare wrong.npz"), 4);
  EXPECT_TRUE(says(": FAIL\n")) << output;
  EXPECT_EQ(model("--inputs in.npz --compare wrong.npz --rtol 1e-3"), 4);
  EXPECT_TRUE(says(": FAIL (element 4 is 4.5 instead of 5.5999999")) << output;
  EXPECT_EQ(model("--inputs in.npz --compare wrong.npz --atol 2"), 0);
  EXPECT_EQ(model("-q --inputs in.npz --compare wrong.npz --max-relative 1"),
            0);
  EXPECT_EQ(output, "");
}

TEST_F(Command, writesOutputs) {
  EXPECT_EQ(model("--inputs in.npz --outputs new.npz"), 0);
  EXPECT_TRUE(says("sum float32[2]: min = ")) << output;
  EXPECT_EQ(readFile(folder / "new.npz"), readFile(folder / "out.npz"));
  EXPECT_EQ(model("--inputs in.npz --outputs new"), 0);
  EXPECT_EQ(readFile(folder / "new/output_1.pb"),
            readFile(folder / "sets/test_data_set_0/output_1.pb"));
  EXPECT_EQ(model("--inputs sets --outputs all"), 0);
  EXPECT_TRUE(fs::exists(folder / "all/test_data_set_1/output_0.pb"));
}

TEST_F(Command, reportsBadInputs) {
  EXPECT_EQ(model("--inputs out.npz"), 1);
  EXPECT_EQ(output, "fulgur-run: error: the model has 3 inputs ('x', 'ids', "
                    "'scale'), but 2 are given ('y', 'sum')\n");
  writeNpy(folder / "x.npy", Tensor::zeros("", FULGUR_FLOAT32, {2, 65}));
  EXPECT_EQ(model("-i x=@x.npy ids=@x.npy scale=@x.npy"), 1);
  EXPECT_EQ(output, "fulgur-run: error: input 'x': dim 1 (sequence) is 65, but "
                    "must be from 1 to 64\n");
}

TEST_F(Command, reportsBadLibraries) {
  EXPECT_EQ(run(TOOLS "/fulgur-run out.npz"), 1);
  EXPECT_TRUE(says("fulgur-run: error: cannot load 'out.npz': ")) << output;
  EXPECT_EQ(model("--model-symbol other"), 1);
  EXPECT_TRUE(says("has no symbol 'other'")) << output;
  EXPECT_EQ(run(TOOLS "/fulgur-run --inputs in.npz"), 2);
}

TEST_F(Command, mapsWeights) {
  const std::string model = TOOLS "/fulgur-run " DEMOS "/demo_file.so ";
  EXPECT_EQ(run(model + "--inputs in.npz"), 1);
  EXPECT_TRUE(says("demo_file.weights': No such file")) << output;
  float weights[16] = {0.5f};
  fulgur_xxh64 hash;
  fulgur_xxh64_init(&hash);
  fulgur_xxh64_update(&hash, weights, sizeof weights);
  fulgur_weights_header header = {};
  memcpy(header.magic, FULGUR_WEIGHTS_MAGIC, 8);
  header.version = FULGUR_WEIGHTS_VERSION;
  header.header_bytes = FULGUR_WEIGHTS_HEADER_BYTES;
  header.payload_bytes = sizeof weights;
  header.hash = fulgur_xxh64_digest(&hash);
  std::string content(reinterpret_cast<char *>(&header), sizeof header);
  content.resize(FULGUR_WEIGHTS_HEADER_BYTES);
  content.append(reinterpret_cast<char *>(weights), sizeof weights);
  writeFile(folder / "w", content);
  EXPECT_EQ(run(model + "--weights w --verify-weights --inputs in.npz "
                        "--compare out.npz"),
            0)
      << output;
}

TEST_F(Command, compilesFirst) {
  // A compiler that is a script shows what it is asked for.
  fs::copy(TOOLS "/fulgur-run", folder / "fulgur-run");
  writeFile(folder / "fulgurc", "#!/bin/sh\n[ \"$4\" = -O2 ] || exit 3\n[ $2 = "
                                "-o ] && cp $1 $3.so\n");
  fs::permissions(folder / "fulgurc", fs::perms::all);
  const std::string command =
      "./fulgur-run --compile " + Demo + "--inputs in.npz --compare out.npz";
  EXPECT_EQ(run(command + " --compile-args=-O2"), 0) << output;
  EXPECT_EQ(run(command), 3) << output;
  fs::remove(folder / "fulgurc");
  EXPECT_EQ(run("PATH=/nowhere " + command), 1);
  EXPECT_TRUE(says("cannot start 'fulgurc'")) << output;
}

TEST_F(Command, measures) {
  EXPECT_EQ(bench("--dim batch=2 --dim sequence=8 --duration 0 --warmup 0 "
                  "--iterations 50 --threads 2 --json b.json"),
            0);
  EXPECT_TRUE(says("Inputs: x float32[2x8] ids int64[2x8] scale float32[4]\n"))
      << output;
  EXPECT_TRUE(says("Throughput: ") && says(" qps (50 runs") &&
              says("Latency: min = ") && says("p99.9 = ") &&
              says("First result: "))
      << output;
  EXPECT_NE(readFile(folder / "b.json").find("\"name\": \"demo_p99.9\""),
            std::string::npos);
}

TEST_F(Command, measuresInterleaved) {
  EXPECT_EQ(bench("--inputs in.npz --duration 0 --warmup 0 --iterations 20 "
                  "--compare " DEMOS "/demo_slow.so"),
            0);
  EXPECT_TRUE(says("Difference: 'y' max relative = 0\n") &&
              says("Ratio of medians: "))
      << output;
}

TEST_F(Command, benchReportsBadArguments) {
  EXPECT_EQ(bench("--dim batch"), 2);
  EXPECT_TRUE(says("'batch' is not NAME=N")) << output;
  EXPECT_EQ(bench("--random-range 5"), 2);
  EXPECT_TRUE(says("'5' is not LO..HI")) << output;
  EXPECT_EQ(bench("--random-range 4..9 --duration 0"), 1);
  EXPECT_TRUE(says("index outside axis 0 of 'scale'")) << output;
}

TEST_F(Command, helpFitsAScreen) {
  for (const char *tool : {"run", "bench"}) {
    EXPECT_EQ(run(std::string(TOOLS "/fulgur-") + tool + " --help"), 0);
    EXPECT_LE(std::ranges::count(output, '\n'), 60);
    EXPECT_TRUE(says("EXAMPLES") && says("EXIT STATUS"));
    EXPECT_EQ(run(std::string(TOOLS "/fulgur-") + tool + " --version"), 0);
  }
}

} // namespace
