#include "analyzer/findings/checks.h"

#include <vector>

#include "gtest/gtest.h"

namespace ipctrace {
namespace {

TEST(ChecksTest, EveryRuleIsOnByDefault) {
  EXPECT_TRUE(Enabled("", "pipe-no-eof"));
  EXPECT_TRUE(Enabled("*", "pipe-no-eof"));
  EXPECT_TRUE(Enabled(" , ", "pipe-no-eof"));
}

TEST(ChecksTest, TheLastGlobThatMatchesDecides) {
  EXPECT_TRUE(Enabled("-*,pipe-*", "pipe-no-eof"));
  EXPECT_FALSE(Enabled("-*,pipe-*", "fd-leak"));
  EXPECT_FALSE(Enabled("pipe-*,-pipe-no-eof", "pipe-no-eof"));
  EXPECT_TRUE(Enabled("pipe-*,-pipe-no-eof", "pipe-broken"));
  EXPECT_FALSE(Enabled("pipe-*,-*", "pipe-broken"));
}

TEST(ChecksTest, AFirstGlobThatTakesAwayLeavesTheRest) {
  EXPECT_FALSE(Enabled("-fd-leak", "fd-leak"));
  EXPECT_TRUE(Enabled("-fd-leak", "pipe-broken"));
}

TEST(ChecksTest, AFirstGlobThatAddsIsTheOnlyOne) {
  EXPECT_TRUE(Enabled("fd-leak", "fd-leak"));
  EXPECT_FALSE(Enabled("fd-leak", "fd-leak-2"));
  EXPECT_FALSE(Enabled("fd-leak", "pipe-broken"));
}

TEST(ChecksTest, StarsStandForAnything) {
  EXPECT_TRUE(Enabled("-*,*-leak", "socket-conn-leak"));
  EXPECT_TRUE(Enabled("-*,s*c*-*k", "socket-conn-leak"));
  EXPECT_FALSE(Enabled("-*,*-lea", "socket-conn-leak"));
  EXPECT_FALSE(Enabled("-*,*-leak*x", "socket-conn-leak"));
}

TEST(ChecksTest, AnIdleGlobIsFound) {
  const std::vector<std::string> ids = {"fd-leak", "pipe-broken"};
  EXPECT_EQ(FirstIdleGlob("-*,pipe-*", ids), "");
  EXPECT_EQ(FirstIdleGlob("-*,pype-*", ids), "pype-*");
}

}  // namespace
}  // namespace ipctrace
