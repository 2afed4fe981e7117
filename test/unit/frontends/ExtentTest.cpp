// Sizes of dims as polynomials: canonical form, exact division, rounding,
// bounds, what requirements make equal, and their text.
#include "frontends/onnx/Extent.h"
#include <gtest/gtest.h>
#include <stdexcept>

using namespace fulgur::onnx;

namespace {
struct ExtentTest : testing::Test {
  Atoms atoms;
  Extent b = atoms.symbol("batch"), s = atoms.symbol("sequence"),
         p = atoms.symbol("past", 0, 512);
};

TEST_F(ExtentTest, EqualPolynomialsAreEqual) {
  EXPECT_EQ((b + s) * (b - s), b * b - s * s);
  EXPECT_EQ(b * s * 12 - s * b * 12, Extent(0));
  EXPECT_NE(b, s);
  EXPECT_EQ(Extent(3).constant(), 3);
  EXPECT_EQ((s - s + 7).constant(), 7);
  EXPECT_FALSE(s.constant());
}

TEST_F(ExtentTest, DividesExactly) {
  EXPECT_EQ((b * s * 384).divideExactly(b * 12), s * 32);
  EXPECT_EQ((b * s + b * p).divideExactly(s + p), b);
  EXPECT_EQ(Extent(0).divideExactly(s), Extent(0));
  EXPECT_FALSE((b * s).divideExactly(p));
  EXPECT_FALSE((b * 3).divideExactly(2));
  EXPECT_FALSE(b.divideExactly(0));
}

TEST_F(ExtentTest, RoundsDownAndUp) {
  EXPECT_EQ(atoms.floorDiv(7, 2), Extent(3));
  EXPECT_EQ(atoms.floorDiv(-7, 2), Extent(-4));
  EXPECT_EQ(atoms.ceilDiv(7, 2), Extent(4));
  EXPECT_EQ(atoms.floorDiv(s * 4 + 1, 2), s * 2);
  EXPECT_EQ(atoms.ceilDiv(s * 2 - 1, 2), s);
  EXPECT_EQ(atoms.mod(s * 4 + 1, 2), Extent(1));
  EXPECT_EQ(atoms.mod(-7, 2), Extent(1));
  EXPECT_EQ(atoms.floorDiv(s, 2), atoms.floorDiv(s, 2)) << "made once";
  EXPECT_EQ(atoms.floorDiv(p, 1024), Extent(0))
      << "the range of 'past' says so";
}

TEST_F(ExtentTest, RoundsDownOnce) {
  // Convolutions of windows of 3 and strides of 2, one behind the other.
  Extent once = atoms.floorDiv(s - 3, 2) + 1;
  EXPECT_EQ(atoms.floorDiv(once - 3, 2) + 1, atoms.floorDiv(s + 1, 4) - 1);
  EXPECT_EQ(atoms.floorDiv(atoms.floorDiv(s, 2), 5), atoms.floorDiv(s, 10));
  EXPECT_EQ(atoms.floorDiv(atoms.floorDiv(s, 2) + b, 5),
            atoms.floorDiv(s + b * 2, 10));
  EXPECT_EQ(atoms.floorDiv(s - 7, 2), atoms.floorDiv(s + 1, 2) - 4);
  EXPECT_EQ(atoms.mod(s - 7, 2), atoms.mod(s + 1, 2));
  EXPECT_FALSE(atoms.floorDiv(atoms.floorDiv(s, 2) * 3, 5) ==
               atoms.floorDiv(s * 3, 10));
}

TEST_F(ExtentTest, RequirementsReachWhatIsDivided) {
  Extent rows = atoms.floorDiv(s - 10, 5) + 1;
  Extent chosen = atoms.select(atoms.less(s, 24), 1, s);
  atoms.restrict(rows, 4, Atoms::kMax);
  EXPECT_EQ(atoms.lower(s), 25);
  EXPECT_EQ(atoms.simplify(chosen), s);
  EXPECT_EQ(atoms.max(0, atoms.floorDiv(s, 8) - 3), atoms.floorDiv(s, 8) - 3);
  atoms.restrict(rows, Atoms::kMin, 6);
  EXPECT_EQ(atoms.upper(s), 39);
}

TEST_F(ExtentTest, ChoosesExtremaByBounds) {
  EXPECT_EQ(atoms.max(s, 1), s);
  EXPECT_EQ(atoms.min(s + p, s), s);
  EXPECT_EQ(atoms.max(s - p, s), s);
  Extent least = atoms.min(s, 64);
  EXPECT_EQ(atoms.upper(least), 64);
  EXPECT_EQ(least, atoms.min(64, s));
}

TEST_F(ExtentTest, KnowsBounds) {
  EXPECT_TRUE(atoms.knownAtLeast(s + p, s));
  EXPECT_FALSE(atoms.knownAtLeast(s, s + p));
  EXPECT_TRUE(atoms.knownDifferent(b, -1));
  EXPECT_FALSE(atoms.knownDifferent(b, 1));
  EXPECT_TRUE(atoms.knownDifferent(b * 4, 6));
  EXPECT_FALSE(atoms.knownDifferent(b * 4 + s * 6, 20));
  EXPECT_EQ(atoms.lower(p * -2 + 3), -1021);
  EXPECT_EQ(atoms.upper(b * s), Atoms::kMax);
}

TEST_F(ExtentTest, RequirementsReplaceAtoms) {
  Extent total = atoms.symbol("total");
  atoms.unite(total, p + s);
  EXPECT_EQ(atoms.simplify(total * b), b * p + b * s);
  EXPECT_TRUE(atoms.knownEqual(total - p, s));
  atoms.unite(atoms.floorDiv(s, 2), 5);
  EXPECT_EQ(atoms.simplify(atoms.floorDiv(s, 2) + 1), Extent(6));
  atoms.unite(b * s, p * p);
  EXPECT_TRUE(atoms.knownEqual(p * p, s * b));
}

TEST_F(ExtentTest, OfTwoSymbolsTheLaterGoes) {
  atoms.unite(b, s);
  EXPECT_EQ(atoms.simplify(s), b);
  EXPECT_EQ(atoms.simplify(b), b);
}

TEST_F(ExtentTest, WhatIsKnownBeforeARunStaysSo) {
  Extent rows = atoms.runtime("rows", 100);
  EXPECT_TRUE(atoms.isRuntime(atoms.floorDiv(rows * s, 2)));
  EXPECT_EQ(atoms.upper(rows), 100);
  atoms.unite(b, rows + 1);
  EXPECT_EQ(atoms.simplify(b), b);
  atoms.unite(s, rows);
  EXPECT_EQ(atoms.simplify(rows), s);
}

TEST_F(ExtentTest, ReadsAndWritesText) {
  EXPECT_EQ(atoms.parse("2"), Extent(2));
  EXPECT_EQ(atoms.parse("batch"), b);
  EXPECT_EQ(atoms.parse("past + sequence"), p + s);
  EXPECT_EQ(atoms.parse("2*(sequence - 1)//2"), s - 1);
  EXPECT_EQ(atoms.parse("Max(1, sequence)"), s);
  EXPECT_EQ(atoms.parse("-3 + batch"), b - 3);
  for (Extent e : {b * s * 2 - 1, atoms.floorDiv(s, 2) * b + 3,
                   atoms.mod(s + p, 8), atoms.min(s, p), Extent(-4)})
    EXPECT_EQ(atoms.parse(atoms.text(e)), e) << atoms.text(e);
}

TEST_F(ExtentTest, OtherTextIsOneSymbol) {
  for (const char *text :
       {"unk__12?", "a b", "s//0", "(", "99999999999999999999"}) {
    Extent e = atoms.parse(text);
    ASSERT_TRUE(e.atom()) << text;
    EXPECT_EQ(atoms[*e.atom()].name, text);
  }
}

TEST_F(ExtentTest, OverflowIsAnError) {
  EXPECT_THROW(Extent(Atoms::kMax) * 2, std::overflow_error);
  EXPECT_THROW(Extent(Atoms::kMax) + 1, std::overflow_error);
}
} // namespace

TEST(ExtentOfData, ComparisonsAndChoices) {
  Atoms atoms;
  Extent n = atoms.symbol("n", 1), v = atoms.value("v[0]", -9, 9);
  EXPECT_EQ(atoms.equal(n, n), Extent(1));
  EXPECT_EQ(atoms.equal(n, 0), Extent(0));
  EXPECT_EQ(atoms.less(v, 10), Extent(1));
  EXPECT_EQ(atoms.less(n, 1), Extent(0));
  Extent open = atoms.equal(v, -1), size = atoms.select(open, n, v);
  EXPECT_EQ(atoms.text(size), "select(equal(v[0], -1), n, v[0])");
  EXPECT_EQ(atoms.parse(atoms.text(size)), size);
  EXPECT_TRUE(atoms.isData(size));
  EXPECT_FALSE(atoms.isData(n));
  Extent counted = atoms.select(atoms.less(v, 0), v + 9, v);
  EXPECT_EQ(atoms.lower(counted), 0);
  atoms.unite(v, -1);
  EXPECT_EQ(atoms.simplify(size), n);
}

TEST(ExtentOfData, Broadcast) {
  Atoms atoms;
  Extent n = atoms.symbol("n"), m = atoms.symbol("m");
  EXPECT_EQ(atoms.broadcast(n, 1), n);
  EXPECT_EQ(atoms.broadcast(n, 5), Extent(5));
  Extent both = atoms.broadcast(n, m);
  EXPECT_EQ(atoms.text(both), "select(equal(n, 1), m, n)");
  EXPECT_EQ(atoms.broadcast(both, n), both);
  EXPECT_EQ(atoms.broadcast(m, both), both);
  EXPECT_TRUE(atoms.mayBroadcast(n, m));
  EXPECT_FALSE(atoms.mayBroadcast(n, atoms.min(n, 64)));
  EXPECT_FALSE(atoms.mayBroadcast(n + 1, m + 1));
  // As a slice of the last l of 64 is written: 64 - max(0, 64 - l).
  Extent l = atoms.symbol("l", 0);
  EXPECT_FALSE(
      atoms.mayBroadcast(Extent(64) - atoms.max(0, Extent(64) - l), l));
  EXPECT_TRUE(atoms.mayBroadcast(l, atoms.floorDiv(l + 1, 2)));
  Extent one = Extent(1) - atoms.max(0, Extent(1) - l);
  EXPECT_EQ(one, atoms.min(l, 1));
  EXPECT_TRUE(atoms.mayBroadcast(l, one));
  EXPECT_EQ(atoms.broadcast(l, one), l);
  EXPECT_EQ(atoms.broadcast(one, l), l);
}
