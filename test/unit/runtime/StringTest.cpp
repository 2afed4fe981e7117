// Operators on strings.
#include "Half.h"
#include "ProgramRun.h"
#include "Regex.h"

#include <gtest/gtest.h>

#include <cmath>

namespace {

#define EXPECT_FAILS(call, status, message)                                    \
  do {                                                                         \
    EXPECT_EQ(call, status);                                                   \
    EXPECT_STREQ(fulgur_last_message(), message);                              \
  } while (false)

using Dims = std::vector<int64_t>;
using Texts = std::vector<std::string>;
const char *const node = "node 'n'";

/// Runs `body` on inputs in slots 0, 1, ... and gives what is in slot 9.
struct StringRun : ProgramRun {
  std::deque<std::vector<fulgur_string>> kept;

  int32_t add(Dims dims, std::vector<const char *> texts) {
    kept.push_back(strings(texts));
    return input<fulgur_string>(dims, kept.back(), FULGUR_STRING);
  }
  const fulgur_tensor &result(fulgur_dtype dtype,
                              std::function<int32_t(fulgur_frame *)> body) {
    release();
    outputs.clear(), outputPorts.clear(), outputSlots.clear();
    output(9, dtype);
    this->body = std::move(body);
    EXPECT_EQ(run(), FULGUR_OK) << fulgur_last_message();
    return outputs[0];
  }
};

TEST(StringConcat, broadcasts) {
  StringRun run;
  run.add({2, 1}, {"a", "b"});
  run.add({3}, {"x", "", "ß"});
  const fulgur_tensor &all = run.result(FULGUR_STRING, [](fulgur_frame *f) {
    return fulgur__string_concat(f, 9, 0, 1, node);
  });
  EXPECT_EQ(run.dims(all), (Dims{2, 3}));
  EXPECT_EQ(run.texts(all), (Texts{"ax", "a", "aß", "bx", "b", "bß"}));
}

TEST(StringEqual, broadcasts) {
  StringRun run;
  run.add({2, 2}, {"a", "b", "c", "a"});
  run.add({}, {"a"});
  run.add({3}, {"a", "b", "c"});
  const fulgur_tensor &same = run.result(FULGUR_BOOL, [](fulgur_frame *f) {
    return fulgur__string_equal(f, 9, 1, 0, node);
  });
  EXPECT_EQ(run.values<uint8_t>(same), (std::vector<uint8_t>{1, 0, 0, 1}));
  run.body = [](fulgur_frame *f) {
    return fulgur__string_equal(f, 9, 0, 2, node);
  };
  run.release();
  EXPECT_FAILS(run.run(), FULGUR_INVALID_DIMS,
               "node 'n': operands with dims [2, 2] and [3] cannot be "
               "broadcast");
}

Texts splitted(const char *text, const char *delimiter, int64_t maxsplit = -1) {
  StringRun run;
  run.add({1}, {text});
  run.output(8, FULGUR_INT64, 1);
  Texts pieces = run.texts(run.result(FULGUR_STRING, [&](fulgur_frame *f) {
    return fulgur__string_split(f, 9, 8, 0, delimiter, maxsplit, node);
  }));
  return pieces;
}

TEST(StringSplit, splitsAsPythonDoes) {
  EXPECT_EQ(splitted("a.b.c", "."), (Texts{"a", "b", "c"}));
  EXPECT_EQ(splitted("a.b.c", ".", 1), (Texts{"a", "b.c"}));
  EXPECT_EQ(splitted("a..c", "."), (Texts{"a", "", "c"}));
  EXPECT_EQ(splitted(".", "."), (Texts{"", ""}));
  EXPECT_EQ(splitted("", "."), Texts{""});
  EXPECT_EQ(splitted("eggs; milk; ", "; "), (Texts{"eggs", "milk", ""}));
  EXPECT_EQ(splitted("abc", "."), Texts{"abc"});
  EXPECT_EQ(splitted("abc", ".", 0), Texts{"abc"});
  EXPECT_EQ(splitted("  a  b c ", nullptr), (Texts{"a", "b", "c"}));
  EXPECT_EQ(splitted("  a  b c ", "", 1), (Texts{"a", "b c "}));
  EXPECT_EQ(splitted("a\u00A0b\u3000c", ""), (Texts{"a", "b", "c"}));
  EXPECT_EQ(splitted("", ""), Texts{});
  EXPECT_EQ(splitted("  ", ""), Texts{});
}

TEST(StringSplit, padsAndCounts) {
  StringRun run;
  run.add({2, 1}, {"a b c", "d"});
  run.output(8, FULGUR_INT64, 2);
  run.output(9, FULGUR_STRING, 3);
  run.body = [](fulgur_frame *f) {
    return fulgur__string_split(f, 9, 8, 0, nullptr, -1, node);
  };
  ASSERT_EQ(run.run(), FULGUR_OK);
  EXPECT_EQ(run.values<int64_t>(run.outputs[0]), (std::vector<int64_t>{3, 1}));
  EXPECT_EQ(run.dims(run.outputs[0]), (Dims{2, 1}));
  EXPECT_EQ(run.dims(run.outputs[1]), (Dims{2, 1, 3}));
  EXPECT_EQ(run.texts(run.outputs[1]), (Texts{"a", "b", "c", "d", "", ""}));
}

TEST(StringNormalize, removesAndChanges) {
  StringRun run;
  run.add({1, 4}, {"Monday", "TUESDAY", "Übermut", "monday"});
  run.add({2}, {"monday", "Monday"});
  int32_t stop = run.add({1}, {"monday"});
  auto normalized = [&](int32_t slot, int32_t action, int32_t sensitive) {
    return run.texts(run.result(FULGUR_STRING, [=](fulgur_frame *f) {
      return fulgur__string_normalize(f, 9, slot, stop, action, sensitive,
                                      node);
    }));
  };
  EXPECT_EQ(normalized(0, 1, 1), (Texts{"monday", "tuesday", "übermut"}));
  EXPECT_EQ(normalized(0, 2, 0), (Texts{"TUESDAY", "ÜBERMUT"}));
  EXPECT_EQ(run.dims(run.outputs[0]), (Dims{1, 2}));
  EXPECT_EQ(normalized(1, 0, 1), Texts{"Monday"});
  EXPECT_EQ(normalized(1, 0, 0), Texts{""});
  EXPECT_EQ(run.dims(run.outputs[0]), Dims{1});
}

TEST(StringConstant, pointsIntoTheModel) {
  StringRun run;
  const int64_t bytes[] = {2, 0, 1, 1}, dims[] = {2, 2};
  const fulgur_tensor &all = run.result(FULGUR_STRING, [&](fulgur_frame *f) {
    return fulgur__string_constant(f, 9, "ab\0c", bytes, 2, dims, node);
  });
  EXPECT_EQ(run.dims(all), (Dims{2, 2}));
  EXPECT_EQ(run.texts(all), (Texts{"ab", "", std::string("\0", 1), "c"}));
}

TEST(StringFind, mapsByStringsAndNumbers) {
  StringRun run;
  run.add({4}, {"b", "x", "a", "c"});
  std::vector<double> numbers = {-0.0, NAN, 3, 7}, numberKeys = {NAN, 0, 3};
  run.input<double>({4}, numbers, FULGUR_FLOAT64);
  int32_t keys = run.add({4}, {"a", "b", "c", "a"}),
          names = run.add({3}, {"nothing", "zero", "three"}),
          other = run.add({}, {"?"});
  std::vector<int64_t> values = {1, 2, 3, 4}, fallback = {-1};
  int32_t to = run.input<int64_t>({4}, values, FULGUR_INT64),
          otherwise = run.input<int64_t>({1}, fallback, FULGUR_INT64),
          from = run.input<double>({3}, numberKeys, FULGUR_FLOAT64);
  const fulgur_tensor &found = run.result(FULGUR_INT64, [&](fulgur_frame *f) {
    return fulgur__string_find(f, 9, 0, keys, to, otherwise, node);
  });
  EXPECT_EQ(run.values<int64_t>(found), (std::vector<int64_t>{2, -1, 1, 3}));
  const fulgur_tensor &named = run.result(FULGUR_STRING, [&](fulgur_frame *f) {
    return fulgur__string_find(f, 9, 1, from, names, other, node);
  });
  EXPECT_EQ(run.texts(named), (Texts{"zero", "nothing", "three", "?"}));
  run.release();
  run.body = [&](fulgur_frame *f) {
    return fulgur__string_find(f, 9, 0, from, names, other, node);
  };
  EXPECT_FAILS(run.run(), FULGUR_INVALID_VALUE,
               "node 'n': its table does not fit its input");
}

template <typename T> Texts written(std::vector<T> values, fulgur_dtype dtype) {
  StringRun run;
  run.input<T>({int64_t(values.size())}, values, dtype);
  return run.texts(run.result(FULGUR_STRING, [](fulgur_frame *f) {
    return fulgur__string_from(f, 9, 0, node);
  }));
}

TEST(StringCast, writesTheShortestNumber) {
  EXPECT_EQ(written<float>({0.1f, 1, -2.5f, 1e-5f, 1e16f, 123456792.0f, 0,
                            -0.0f, 0.001f, 3.4028235e38f, INFINITY, -INFINITY,
                            NAN, 0.47892547f},
                           FULGUR_FLOAT32),
            (Texts{"0.1", "1.0", "-2.5", "1e-05", "1e+16", "1.2345679e+08",
                   "0.0", "-0.0", "0.001", "3.4028235e+38", "INF", "-INF",
                   "NaN", "0.47892547"}));
  EXPECT_EQ(
      written<double>({0.1, 1.0 / 3, 5e-324, 1e15, 1.5e300}, FULGUR_FLOAT64),
      (Texts{"0.1", "0.3333333333333333", "5e-324", "1000000000000000.0",
             "1.5e+300"}));
  EXPECT_EQ(written<uint16_t>({0x3C00, 0x2E66, 0x0001, 0x7BFF}, FULGUR_FLOAT16),
            (Texts{"1.0", "0.1", "6e-08", "6.55e+04"}));
  EXPECT_EQ(written<int64_t>({INT64_MIN, 0, 7}, FULGUR_INT64),
            (Texts{"-9223372036854775808", "0", "7"}));
  EXPECT_EQ(written<uint64_t>({UINT64_MAX}, FULGUR_UINT64),
            Texts{"18446744073709551615"});
  EXPECT_EQ(written<uint8_t>({0, 1}, FULGUR_BOOL), (Texts{"False", "True"}));
}

template <typename T>
std::vector<T> readAs(std::vector<const char *> texts, fulgur_dtype dtype) {
  StringRun run;
  run.add({int64_t(texts.size())}, texts);
  return run.values<T>(run.result(dtype, [=](fulgur_frame *f) {
    return fulgur__string_to(f, 9, 0, dtype, node);
  }));
}

TEST(StringCast, readsNumbers) {
  EXPECT_EQ(
      readAs<float>({"3.14", " 1e-5 ", "1E8", "-INF", "+inf", "1000"},
                    FULGUR_FLOAT32),
      (std::vector<float>{3.14f, 1e-5f, 1e8f, -INFINITY, INFINITY, 1000}));
  EXPECT_TRUE(std::isnan(readAs<double>({"NaN"}, FULGUR_FLOAT64)[0]));
  EXPECT_EQ(readAs<int32_t>({"-17", "100.5", "1e3"}, FULGUR_INT32),
            (std::vector<int32_t>{-17, 100, 1000}));
  EXPECT_EQ(readAs<uint64_t>({"18446744073709551615"}, FULGUR_UINT64),
            (std::vector<uint64_t>{UINT64_MAX}));
  EXPECT_EQ(readAs<uint8_t>({"1", "0", "True", "false"}, FULGUR_BOOL),
            (std::vector<uint8_t>{1, 0, 1, 0}));
  EXPECT_EQ(readAs<uint16_t>({"0.1", "65520", "6e-8", "-2"}, FULGUR_FLOAT16),
            (std::vector<uint16_t>{0x2E66, 0x7C00, 0x0001, 0xC000}));
  EXPECT_EQ(readAs<uint16_t>({"1", "3.14159"}, FULGUR_BFLOAT16),
            (std::vector<uint16_t>{0x3F80, 0x4049}));
  StringRun run;
  run.add({2}, {"1", "1x"});
  run.output(9, FULGUR_INT8, 1);
  run.body = [](fulgur_frame *f) {
    return fulgur__string_to(f, 9, 0, FULGUR_INT8, node);
  };
  EXPECT_FAILS(run.run(), FULGUR_INVALID_VALUE,
               "node 'n': element 1, '1x', is no int8");
}

TEST(Half, roundTrips) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits)
    if (double value = fulgur__from_half(uint16_t(bits)); value == value)
      EXPECT_EQ(fulgur__to_half(value), bits);
  EXPECT_EQ(fulgur__to_half(1 + 0x1p-11), 0x3C00); // a tie, to even
  EXPECT_EQ(fulgur__to_half(1 + 3 * 0x1p-11), 0x3C02);
  EXPECT_EQ(fulgur__to_half(0x1p-25), 0);
}

/// Whether it matches; throws what is wrong with the pattern.
bool matches(std::string pattern, std::string text) {
  std::vector<std::max_align_t> memory(
      fulgur__regex_bytes(pattern.data(), pattern.size()) /
          sizeof(std::max_align_t) +
      1);
  const char *problem = nullptr;
  fulgur_regex *regex = fulgur__regex_compile(pattern.data(), pattern.size(),
                                              memory.data(), &problem);
  if (!regex)
    throw std::string(problem);
  return fulgur__regex_match(regex, text.data(), text.size()) != 0;
}

std::string problem(const std::string &pattern) {
  try {
    matches(pattern, "");
  } catch (const std::string &text) {
    return text;
  }
  return "";
}

TEST(Regex, matchesWholeTexts) {
  for (auto [pattern, text] :
       std::vector<std::pair<const char *, const char *>>{
           {"abc", "abc"},
           {"", ""},
           {"a|bc|", "bc"},
           {"a|bc|", ""},
           {"(ab)*c+d?", "ababcc"},
           {"a{2,3}", "aaa"},
           {"a{2,}", "aaaaa"},
           {"a{0}b", "b"},
           {"x{,3}", "x{,3}"},
           {"(a*)*", "aaa"},
           {"(a|b*)+c", "abbac"},
           {"(|a)+", "aaa"},
           {R"((\W|^)[\w.\-]{0,25}@(yahoo|gmail)\.com(\W|$))",
            "account@gmail.com"},
           {R"([\w.\-]{0,25}@(?:yahoo|gmail)\.com)", "not.an-email@gmail.com"},
           {"[^a-c]+", "xyz\n"},
           {"[]a-]+", "]-a"},
           {"[[:alpha:][:^word:]]+", "aZ!"},
           {R"([^\D5]+)", "12346789"},
           {R"(\d\D\s\S\w\W)", "1a b_-"},
           {R"(\x41\x{1F600}\101\Qa.b*\E\.)", "A😀Aa.b*."},
           {".", "é"},
           {"[à-ü]{2}", "éè"},
           {"(?i)straße[A-C]", "STRAßEb"},
           {"(?i:É)x", "éx"},
           {"(?s).", "\n"},
           {"a(?m)^b|a\n^b$", "a\nb"},
           {R"(\Afoo\b bar\z)", "foo bar"},
           {R"(a\Bb)", "ab"},
           {"(?P<year>[0-9]+)-(?<m>..?)", "2024-7"},
           {"a*?b+?c??", "aabb"},
           {"((((((((((a))))))))))", "a"}})
    EXPECT_TRUE(matches(pattern, text)) << pattern;
  for (auto [pattern, text] :
       std::vector<std::pair<const char *, const char *>>{{"abc", "abcd"},
                                                          {"abc", "ab"},
                                                          {"a{2,3}", "aaaa"},
                                                          {"a{2,3}", "a"},
                                                          {".", "\n"},
                                                          {"(?i:a)b", "AB"},
                                                          {"a$b", "a\nb"},
                                                          {"[^a]", "a"},
                                                          {"(?i)[^a]", "A"},
                                                          {R"(\bfoo\B)", "foo"},
                                                          {"\\w", "é"}})
    EXPECT_FALSE(matches(pattern, text)) << pattern;
  EXPECT_TRUE(matches(std::string("a\0b", 3), std::string("a\0b", 3)));
  EXPECT_TRUE(matches(".", "\xff"));
}

TEST(Regex, takesLinearTime) {
  std::string text(20000, 'a');
  EXPECT_FALSE(matches("(a*)*b", text));
  EXPECT_TRUE(matches("(a|aa)+", text));
  EXPECT_TRUE(matches("a{0,1000}", std::string(1000, 'a')));
}

TEST(Regex, refuses) {
  EXPECT_EQ(problem("*a"), "there is nothing to repeat");
  EXPECT_EQ(problem("a**"), "there is nothing to repeat");
  EXPECT_EQ(problem("(a"), "a group has no )");
  EXPECT_EQ(problem("a)"), "a ) has no group");
  EXPECT_EQ(problem("[a"), "a class has no ]");
  EXPECT_EQ(problem("[b-a]"), "a range of a class is empty");
  EXPECT_EQ(problem("[[:what:]]"), "a named class is not known");
  EXPECT_EQ(problem("a\\"), "it ends with a backslash");
  EXPECT_EQ(problem("\\y"), "an escape is not known");
  EXPECT_EQ(problem("\\xZ"), "a hexadecimal escape is not complete");
  EXPECT_EQ(problem("\\1"), "references to groups are not possible");
  EXPECT_EQ(problem("\\pL"), "classes of Unicode properties are not supported");
  EXPECT_EQ(problem("(?=a)"), "a group's flags are not known");
  EXPECT_EQ(problem("a{2,1}"),
            "a repetition has more turns at least than at most");
  EXPECT_EQ(problem("a{1001}"), "a repetition has more than 1000 turns");
  EXPECT_EQ(problem("((a{1000}){1000}){1000}"), "it is too large");
  EXPECT_EQ(problem(std::string(1000, '(') + std::string(1000, ')')),
            "groups are too deep");
}

TEST(StringMatch, namesTheNode) {
  StringRun run;
  run.add({2}, {"ab", "b"});
  EXPECT_EQ(run.values<uint8_t>(run.result(FULGUR_BOOL,
                                           [](fulgur_frame *f) {
                                             return fulgur__string_match(
                                                 f, 9, 0, "a.", node);
                                           })),
            (std::vector<uint8_t>{1, 0}));
  run.release();
  run.body = [](fulgur_frame *f) {
    return fulgur__string_match(f, 9, 0, "(", node);
  };
  EXPECT_FAILS(run.run(), FULGUR_INVALID_VALUE,
               "node 'n': pattern '(': a group has no )");
  EXPECT_EQ(run.allocator.live, 0);
}

TEST(ZipMap, namesTheColumnsOfEachRow) {
  StringRun run;
  std::vector<float> scores{1, 2, 3, 4};
  int32_t keys = run.add({2}, {"a", "ß"}), more = run.add({3}, {"a", "b", "c"}),
          x = run.input<float>({2, 2}, scores, FULGUR_FLOAT32);
  const fulgur_port map = {"m", FULGUR_MAP, 1, nullptr, nullptr};
  run.output(9, FULGUR_SEQUENCE, 1, &map);
  run.body = [&](fulgur_frame *f) {
    return fulgur__zip_map(f, 9, x, keys, node);
  };
  ASSERT_EQ(run.run(), FULGUR_OK) << fulgur_last_message();
  ASSERT_EQ(run.outputs[0].dims[0], 2);
  const fulgur_tensor &second = StringRun::element(run.outputs[0], 1);
  EXPECT_EQ(second.dtype, FULGUR_MAP);
  EXPECT_EQ(run.texts(StringRun::element(second, 0)), (Texts{"a", "ß"}));
  EXPECT_EQ(run.values<float>(StringRun::element(second, 1)),
            (std::vector<float>{3, 4}));
  run.release();
  EXPECT_EQ(run.allocator.live, 0);
  run.body = [&](fulgur_frame *f) {
    return fulgur__zip_map(f, 9, x, more, node);
  };
  EXPECT_FAILS(run.run(), FULGUR_INVALID_VALUE,
               "node 'n': there are 3 keys for 2 columns");
}

} // namespace
