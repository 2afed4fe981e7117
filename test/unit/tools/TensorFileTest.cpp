// Tensors to files and back, and files that are not what they should be.
#include "TensorFile.h"
#include "NumpyFile.h"
#include "ProtoFile.h"
#include "ZipFile.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <onnx/onnx_pb.h>
#include <unistd.h>

namespace {

constexpr fulgur_dtype AllTypes[] = {
    FULGUR_FLOAT32, FULGUR_UINT8,   FULGUR_INT8,   FULGUR_UINT16,
    FULGUR_INT16,   FULGUR_INT32,   FULGUR_INT64,  FULGUR_BOOL,
    FULGUR_FLOAT16, FULGUR_FLOAT64, FULGUR_UINT32, FULGUR_UINT64,
    FULGUR_BFLOAT16};

// numpy.savez_compressed(a=arange(12, 'f4').reshape(3, 4), b=array(7, 'i8'))
constexpr char NumpysNpz[] =
    "\x50\x4b\x03\x04\x2d\x00\x00\x00\x08\x00\x00\x00\x21\x00\x2d\x6f\x22\x26"
    "\xff\xff\xff\xff\xff\xff\xff\xff\x05\x00\x14\x00\x61\x2e\x6e\x70\x79\x01"
    "\x00\x10\x00\xb0\x00\x00\x00\x00\x00\x00\x00\x66\x00\x00\x00\x00\x00\x00"
    "\x00\x9b\xec\x17\xea\x1b\x10\xc9\xc8\x50\xc6\x50\xad\x9e\x92\x5a\x9c\x5c"
    "\xa4\x6e\xa5\xa0\x6e\x93\x66\xa2\xae\xa3\xa0\x9e\x96\x5f\x54\x52\x94\x98"
    "\x17\x9f\x5f\x94\x92\x0a\x12\x77\x4b\xcc\x29\x4e\x05\x8a\x17\x67\x24\x16"
    "\xa4\x02\xf9\x1a\xc6\x3a\x0a\x26\x9a\x3a\x0a\xb5\x0a\x64\x03\x2e\x06\x30"
    "\x68\xb0\x07\x12\x0e\x40\x04\xc4\x0d\x40\xbc\x00\x88\x0f\x00\xf1\x03\x20"
    "\x66\x70\x64\x60\x10\x00\x62\x05\x20\x36\x70\x04\x00\x50\x4b\x03\x04\x2d"
    "\x00\x00\x00\x08\x00\x00\x00\x21\x00\x23\xb8\xf0\x6c\xff\xff\xff\xff\xff"
    "\xff\xff\xff\x05\x00\x14\x00\x62\x2e\x6e\x70\x79\x01\x00\x10\x00\x88\x00"
    "\x00\x00\x00\x00\x00\x00\x46\x00\x00\x00\x00\x00\x00\x00\x9b\xec\x17\xea"
    "\x1b\x10\xc9\xc8\x50\xc6\x50\xad\x9e\x92\x5a\x9c\x5c\xa4\x6e\xa5\xa0\x6e"
    "\x93\x69\xa1\xae\xa3\xa0\x9e\x96\x5f\x54\x52\x94\x98\x17\x9f\x5f\x94\x92"
    "\x0a\x12\x77\x4b\xcc\x29\x4e\x05\x8a\x17\x67\x24\x16\xa4\x02\xf9\x1a\x9a"
    "\x3a\x0a\xb5\x0a\x14\x01\x2e\x76\x06\x08\x00\x00\x50\x4b\x01\x02\x2d\x03"
    "\x2d\x00\x00\x00\x08\x00\x00\x00\x21\x00\x2d\x6f\x22\x26\x66\x00\x00\x00"
    "\xb0\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x01"
    "\x00\x00\x00\x00\x61\x2e\x6e\x70\x79\x50\x4b\x01\x02\x2d\x03\x2d\x00\x00"
    "\x00\x08\x00\x00\x00\x21\x00\x23\xb8\xf0\x6c\x46\x00\x00\x00\x88\x00\x00"
    "\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x01\x9d\x00\x00"
    "\x00\x62\x2e\x6e\x70\x79\x50\x4b\x05\x06\x00\x00\x00\x00\x02\x00\x02\x00"
    "\x66\x00\x00\x00\x1a\x01\x00\x00\x00\x00";

struct TensorFile : testing::Test {
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) /
                                 ("fulgur-tensors-" + std::to_string(getpid()));
  TensorFile() { std::filesystem::create_directories(folder); }
  ~TensorFile() override { std::filesystem::remove_all(folder); }
  std::string at(const char *name) const { return folder / name; }

  template <typename Call> std::string failure(Call call) {
    try {
      call();
    } catch (const std::runtime_error &error) {
      std::string message = error.what();
      for (size_t at;
           (at = message.find(folder.string() + "/")) != message.npos;)
        message.erase(at, folder.string().size() + 1);
      return message;
    }
    return "no failure";
  }
};

Tensor counting(std::string name, fulgur_dtype dtype,
                std::vector<int64_t> dims) {
  Tensor tensor = Tensor::zeros(std::move(name), dtype, std::move(dims));
  for (int64_t i = 0; i < tensor.elements(); ++i)
    tensor.setNumber(i, double(i));
  return tensor;
}

void expectSame(const Tensor &a, const Tensor &b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.type(), b.type());
  EXPECT_EQ(memcmp(a.data.data(), b.data.data(), a.data.size()), 0);
}

TEST_F(TensorFile, npzKeepsEveryType) {
  std::vector<Tensor> tensors;
  for (fulgur_dtype dtype : AllTypes)
    tensors.push_back(counting(fulgur_dtype_name(dtype), dtype, {2, 3}));
  tensors.push_back(counting("scalar", FULGUR_INT64, {}));
  tensors.push_back(counting("empty", FULGUR_FLOAT32, {4, 0, 2}));
  tensors.push_back(counting("line/with.odd name", FULGUR_FLOAT32, {100}));
  writeNpz(at("all.npz"), tensors);
  std::vector<Tensor> read = readNpz(at("all.npz"));
  ASSERT_EQ(read.size(), tensors.size());
  for (size_t i = 0; i < read.size(); ++i)
    expectSame(read[i], tensors[i]);
}

TEST_F(TensorFile, npyRoundTrip) {
  writeNpy(at("x.npy"), counting("", FULGUR_FLOAT64, {7}));
  expectSame(readNpy(at("x.npy")), counting("", FULGUR_FLOAT64, {7}));
}

TEST_F(TensorFile, protoKeepsEveryType) {
  for (fulgur_dtype dtype : AllTypes) {
    writeProto(at("x.pb"), counting("x", dtype, {2, 3}));
    expectSame(readProto(at("x.pb")), counting("x", dtype, {2, 3}));
  }
}

TEST_F(TensorFile, protoTypedLists) {
  for (fulgur_dtype dtype : AllTypes) {
    Tensor expected = counting("x", dtype, {2, 2});
    onnx::TensorProto proto;
    proto.set_name("x");
    proto.set_data_type(dtype);
    proto.add_dims(2);
    proto.add_dims(2);
    for (int i = 0; i < 4; ++i) {
      uint16_t bits;
      memcpy(&bits, expected.data.data() + 2 * i, 2);
      if (dtype == FULGUR_FLOAT32)
        proto.add_float_data(float(i));
      else if (dtype == FULGUR_FLOAT64)
        proto.add_double_data(i);
      else if (dtype == FULGUR_INT64)
        proto.add_int64_data(i);
      else if (dtype == FULGUR_UINT32 || dtype == FULGUR_UINT64)
        proto.add_uint64_data(uint64_t(i));
      else if (dtype == FULGUR_FLOAT16 || dtype == FULGUR_BFLOAT16)
        proto.add_int32_data(bits);
      else if (dtype == FULGUR_BOOL)
        proto.add_int32_data(i != 0);
      else
        proto.add_int32_data(i);
    }
    writeFile(at("x.pb"), proto.SerializeAsString());
    expectSame(readProto(at("x.pb")), expected);
  }
}

TEST_F(TensorFile, numpysOwnNpz) {
  writeFile(at("n.npz"), std::string(NumpysNpz, sizeof NumpysNpz - 1));
  std::vector<Tensor> read = readNpz(at("n.npz"));
  ASSERT_EQ(read.size(), 2u);
  expectSame(read[0], counting("a", FULGUR_FLOAT32, {3, 4}));
  EXPECT_EQ(read[1].type(), "int64[]");
  EXPECT_EQ(read[1].number(0), 7);
}

TEST_F(TensorFile, everyDamageOfAnNpzIsAnError) {
  // No changed byte and no cut may crash or give other elements silently.
  std::string good(NumpysNpz, sizeof NumpysNpz - 1);
  for (size_t i = 0; i < good.size(); ++i) {
    writeFile(at("cut.npz"), good.substr(0, i));
    EXPECT_NE(failure([&] { readNpz(at("cut.npz")); }), "no failure") << i;
    std::string bad = good;
    bad[i] = char(bad[i] ^ 0x55);
    writeFile(at("bad.npz"), bad);
    try {
      std::vector<Tensor> read = readNpz(at("bad.npz"));
      if (read.size() == 2) // the byte meant nothing, or a name
        EXPECT_EQ(read[0].number(11), 11);
    } catch (const std::exception &) {
    }
  }
}

TEST_F(TensorFile, columnMajorArrays) {
  std::string header =
      "{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3), }";
  std::string content("\x93NUMPY\1\0", 8);
  content += char(header.size());
  content += '\0';
  content += header;
  for (int32_t value : {0, 3, 1, 4, 2, 5})
    content.append(reinterpret_cast<const char *>(&value), 4);
  writeFile(at("f.npy"), content);
  expectSame(readNpy(at("f.npy")), counting("", FULGUR_INT32, {2, 3}));
}

TEST_F(TensorFile, badArrays) {
  auto message = [&](const std::string &header, const std::string &elements) {
    writeFile(at("x.npy"), std::string("\x93NUMPY\1\0", 8) +
                               char(header.size()) + '\0' + header + elements);
    return failure([&] { readNpy(at("x.npy")); });
  };
  const std::string is = "'x.npy' is no readable .npy array: ";
  EXPECT_EQ(message("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}",
                    "12345678"),
            is + "it has 8 bytes of elements, but its shape needs 12");
  EXPECT_EQ(
      message("{'descr': '>f4', 'fortran_order': False, 'shape': (3,)}", ""),
      is + "its element type is '>f4'");
  EXPECT_EQ(message("{'descr': [('a', '<f4')], 'shape': (3,)}", ""),
            is + "its elements are records");
  EXPECT_EQ(message("{'descr': '<f4'}", ""), is + "its header has no 'shape'");
  EXPECT_EQ(message("{'descr': '<f4', 'shape': (99999999999999999999,)}", ""),
            is + "its shape is too large");
  EXPECT_EQ(message("{'descr': '<f4', 'shape': (1000000000000000,)}", ""),
            is + "it has 0 bytes of elements, but its shape needs "
                 "4000000000000000");
  EXPECT_EQ(message("{'descr': '<f4', 'shape': (4611686018427387904, 4)}", ""),
            "tensor '' has dims that are negative or too large");
  writeFile(at("x.npy"), "hello");
  EXPECT_EQ(failure([&] { readNpy(at("x.npy")); }),
            is + "it does not begin with numpy's magic");
}

TEST_F(TensorFile, badProtos) {
  writeFile(at("x.pb"), "\xff\xff");
  EXPECT_EQ(failure([&] { readProto(at("x.pb")); }),
            "'x.pb' is no TensorProto");
  onnx::TensorProto proto;
  proto.set_data_type(onnx::TensorProto::COMPLEX64);
  writeFile(at("x.pb"), proto.SerializeAsString());
  EXPECT_EQ(failure([&] { readProto(at("x.pb")); }),
            "'x.pb' has element type 14, which is not known");
  proto.set_data_type(onnx::TensorProto::FLOAT);
  proto.add_dims(3);
  proto.set_raw_data("abc");
  writeFile(at("x.pb"), proto.SerializeAsString());
  EXPECT_EQ(failure([&] { readProto(at("x.pb")); }),
            "'x.pb' has 3 bytes of elements, but its dims need 12");
  EXPECT_EQ(failure([&] { readProto(at("none.pb")); }),
            "cannot read 'none.pb'");
}

TEST_F(TensorFile, folders) {
  std::vector<Tensor> tensors;
  for (int i = 0; i < 12; ++i) // input_10 comes after input_9
    tensors.push_back(counting("t" + std::to_string(i), FULGUR_INT64, {i}));
  writeTensors(at("test_data_set_0"), tensors, "input");
  std::vector<Tensor> read = readTensors({at("test_data_set_0")}, "input");
  ASSERT_EQ(read.size(), 12u);
  EXPECT_EQ(read[11].name, "t11");
  EXPECT_EQ(dataSets(folder), std::vector{at("test_data_set_0")});
  EXPECT_EQ(failure([&] { readTensors({at("test_data_set_0")}, "output"); }),
            "'test_data_set_0' has neither output_0.pb nor .npy files");
  std::filesystem::remove(at("test_data_set_0/input_3.pb"));
  EXPECT_EQ(failure([&] { readTensors({at("test_data_set_0")}, "input"); }),
            "'test_data_set_0' has input_4.pb, but no input_3.pb");
}

TEST_F(TensorFile, stringsSequencesAndOptionals) {
  std::vector<Tensor> parts;
  parts.push_back(counting("a", FULGUR_FLOAT16, {2, 3}));
  parts.push_back(counting("b", FULGUR_FLOAT16, {0}));
  std::vector<Tensor> inner, none;
  inner.push_back(Tensor::container("q", FULGUR_SEQUENCE, std::move(parts)));
  std::vector<Tensor> tensors;
  tensors.push_back(Tensor::strings("s", {2, 1}, {"ä", std::string("\0", 1)}));
  tensors.push_back(
      Tensor::container("full", FULGUR_OPTIONAL, std::move(inner)));
  tensors.push_back(
      Tensor::container("none", FULGUR_OPTIONAL, std::move(none)));
  tensors.push_back(Tensor::copy("seq", tensors[1].parts[0].view()));
  writeTensors(at("set"), tensors, "input");

  const fulgur_port ports[] = {{"s", FULGUR_STRING, 2, nullptr, nullptr},
                               {"full", FULGUR_OPTIONAL, 1, nullptr, nullptr},
                               {"none", FULGUR_OPTIONAL, 1, nullptr, nullptr},
                               {"seq", FULGUR_SEQUENCE, 1, nullptr, nullptr}};
  std::vector<Tensor> read = readTensors({at("set")}, "input", ports);
  ASSERT_EQ(read.size(), 4u);
  EXPECT_EQ(read[0].string(0), "ä");
  EXPECT_EQ(read[0].string(1).size(), 1u);
  EXPECT_EQ(read[0].type(), "string[2x1]");
  EXPECT_EQ(read[1].type(), "optional[1]");
  EXPECT_EQ(read[1].parts[0].type(), "sequence[2]");
  EXPECT_EQ(read[1].parts[0].parts[0].number(5), 5);
  EXPECT_EQ(read[2].type(), "optional[0]");
  EXPECT_EQ(read[3].parts[1].type(), "float16[0]");
  read = readTensors({"seq=@" + at("set/input_3.pb")}, "input", ports);
  EXPECT_EQ(read[0].type(), "sequence[2]");
  EXPECT_EQ(failure([&] { writeTensors(at("x.npz"), tensors, "output"); }),
            "'s' is a string, which .npy and .npz files cannot hold; write "
            "into a folder instead");
}

TEST_F(TensorFile, maps) {
  std::vector<Tensor> numbered, named, maps;
  numbered.push_back(counting("k", FULGUR_INT64, {3}));
  numbered.push_back(counting("v", FULGUR_FLOAT32, {3}));
  named.push_back(Tensor::strings("k", {1}, {"ä"}));
  named.push_back(counting("v", FULGUR_FLOAT64, {1}));
  maps.push_back(Tensor::container("a", FULGUR_MAP, std::move(numbered)));
  maps.push_back(Tensor::container("b", FULGUR_MAP, std::move(named)));
  std::vector<Tensor> tensors;
  tensors.push_back(Tensor::container("s", FULGUR_SEQUENCE, std::move(maps)));
  writeTensors(at("maps"), tensors, "output");

  const fulgur_port ports[] = {{"s", FULGUR_SEQUENCE, 1, nullptr, nullptr}};
  std::vector<Tensor> read = readTensors({at("maps")}, "output", ports);
  ASSERT_EQ(read[0].parts.size(), 2u);
  EXPECT_EQ(read[0].parts[0].type(), "map[2]");
  EXPECT_EQ(read[0].parts[0].parts[0].number(2), 2);
  EXPECT_EQ(read[0].parts[0].parts[1].number(2), 2);
  EXPECT_EQ(read[0].parts[1].parts[0].string(0), "ä");
  EXPECT_EQ(read[0].parts[1].parts[1].type(), "float64[1]");
}

TEST_F(TensorFile, arranges) {
  const fulgur_port ports[] = {{"a", FULGUR_INT64, 1, nullptr, nullptr},
                               {"b", FULGUR_INT64, 1, nullptr, nullptr}};
  auto arranged = [&](std::vector<std::string> names) {
    std::vector<Tensor> tensors;
    for (const std::string &name : names)
      tensors.push_back(counting(name, FULGUR_INT64, {int(tensors.size())}));
    std::string text;
    for (Tensor &tensor : arrange(std::move(tensors), ports, "input"))
      text += tensor.name + tensor.type() + " ";
    return text;
  };
  EXPECT_EQ(arranged({"b", "a"}), "aint64[1] bint64[0] ");
  EXPECT_EQ(arranged({"", ""}), "aint64[0] bint64[1] ");
  EXPECT_EQ(arranged({"arr_0", "arr_1"}), "aint64[0] bint64[1] ");
  EXPECT_EQ(failure([&] { arranged({"a", "c"}); }),
            "'c' is no input of the model; it has 'a', 'b'");
  EXPECT_EQ(failure([&] { arranged({"a", "a"}); }), "input 'a' is given twice");
  EXPECT_EQ(failure([&] { arranged({"a"}); }), "input 'b' is not given");
  EXPECT_EQ(failure([&] { arranged({"", "", ""}); }),
            "the model has 2 inputs ('a', 'b'), but 3 are given (without "
            "names)");
}

} // namespace
