#include "analyzer/report/escape.h"

#include "gtest/gtest.h"

namespace ipctrace {
namespace {

TEST(EscapeTest, PlainTextStays) {
  EXPECT_EQ(EscapeTerminal("read(3) → “grüße” 管道"), "read(3) → “grüße” 管道");
}

TEST(EscapeTest, ControlCharactersBecomeVisible) {
  EXPECT_EQ(EscapeTerminal("\x1b]0;pwn\x07 a\nb\tc\r\x7f"), "\\x1b]0;pwn\\x07 a\\nb\\tc\\r\\x7f");
  EXPECT_EQ(EscapeTerminal(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(EscapeTerminal("\xc2\x9b"
                           "31m"),
            "\\u009b31m")
      << "the one-character CSI";
}

TEST(EscapeTest, TurnedWritingBecomesVisible) {
  EXPECT_EQ(EscapeTerminal("a\u202e"
                           "b\u2066"),
            "a\\u202eb\\u2066");
}

TEST(EscapeTest, BytesThatAreNotUtf8BecomeVisible) {
  EXPECT_EQ(EscapeTerminal("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(EscapeTerminal("\xc3"), "\\xc3");
  EXPECT_EQ(EscapeTerminal("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(EscapeTerminal("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "half a surrogate pair";
  EXPECT_EQ(EscapeTerminal("\xe2\x82x"), "\\xe2\\x82x");
}

TEST(EscapeTest, XmlHasNoMarkupLeft) {
  EXPECT_EQ(EscapeXml("<a href='x'>\"&\x01"), "&lt;a href=&apos;x&apos;&gt;&quot;&amp;\\x01");
}

TEST(EscapeTest, ColumnsAreCodePoints) { EXPECT_EQ(Columns("grüße"), 5u); }

}  // namespace
}  // namespace ipctrace
