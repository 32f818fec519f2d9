#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "analyzer/diagram/timeline.h"
#include "analyzer/protocol/parser.h"

namespace ipctrace::diagram {
namespace {

constexpr char kHostile[] =
    "\x1b[31m<script>alert('x')</script>\"; end\n--> %% #35; \xff\xfe\xe2\x80\xae ]]>&amp; "
    "participant p9";

Diagram Hostile() {
  Diagram diagram;
  diagram.lifelines = {kHostile, "server[2]"};
  for (const Item::Kind kind : {Item::kMessage, Item::kConnect, Item::kFork, Item::kEvent,
                                Item::kBlocked, Item::kViolation}) {
    Item item;
    item.kind = kind;
    item.from = 0;
    item.to = 1;
    item.text = kHostile;
    diagram.items.push_back(item);
  }
  return diagram;
}

TEST(DiagramTest, PayloadCannotReachTheTerminal) {
  const std::string text = WriteText(Hostile());
  EXPECT_FALSE(absl::StrContains(text, "\x1b"));
  EXPECT_FALSE(absl::StrContains(text, "\xff"));
  EXPECT_FALSE(absl::StrContains(text, "\xe2\x80\xae"));
}

TEST(DiagramTest, PayloadCannotBreakOutOfMermaid) {
  const std::string text = WriteMermaid(Hostile());
  EXPECT_FALSE(absl::StrContains(text, "<script"));
  EXPECT_FALSE(absl::StrContains(text, "%%"));
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    EXPECT_FALSE(absl::StartsWith(line, "participant"));
    // The only `end` is the one that closes a rect.
    EXPECT_TRUE(!absl::StrContains(line, " end") || line == "  end") << std::string(line);
  }
  EXPECT_EQ(EscapeMermaid("a;b#c\"<>"), "a#59;b#35;c#34;#60;#62;");
}

TEST(DiagramTest, PayloadCannotBreakOutOfSvg) {
  const std::string svg = WriteSvg(Hostile());
  EXPECT_FALSE(absl::StrContains(svg, "<script"));
  EXPECT_FALSE(absl::StrContains(svg, "\x1b"));
  EXPECT_FALSE(absl::StrContains(svg, "alert('x')"));
}

TEST(DiagramTest, RepetitionsFold) {
  Diagram diagram;
  diagram.lifelines = {"a", "b"};
  for (int i = 0; i < 5000; ++i) {
    Item item;
    item.kind = Item::kMessage;
    item.from = 0;
    item.to = 1;
    item.sort = "request";
    item.text = absl::StrCat("request ", i);
    diagram.items.push_back(item);
    std::swap(item.from, item.to);
    item.sort = "reply";
    diagram.items.push_back(item);
  }
  Fold(&diagram);
  EXPECT_EQ(diagram.items.size(), 5u);
  EXPECT_TRUE(absl::StrContains(WriteText(diagram), "× 4,998 more"));
}

TEST(DiagramTest, AStateMachineIsDrawnInEachForm) {
  std::vector<std::string> warnings;
  const auto protocol = *protocol::Load("echo", &warnings);
  protocol::Coverage coverage(*protocol);
  coverage.states[0] = 1;
  coverage.transitions[0][0] = 2;
  const std::string mermaid = WriteStatesMermaid(*protocol, &coverage);
  EXPECT_TRUE(absl::StartsWith(mermaid, "stateDiagram-v2\n"));
  EXPECT_TRUE(absl::StrContains(mermaid, "class s0 covered"));
  EXPECT_FALSE(absl::StrContains(mermaid, "class s1 covered"));
  EXPECT_TRUE(absl::StrContains(WriteStatesSvg(*protocol, &coverage), "</svg>"));
  EXPECT_TRUE(absl::StrContains(WriteStatesText(*protocol, nullptr), "client sends request"));
}

}  // namespace
}  // namespace ipctrace::diagram
