#include "analyzer/findings/store.h"

#include <string>
#include <vector>

#include "analyzer/symbols/testing.h"
#include "gtest/gtest.h"

namespace ipctrace {
namespace {

// Stacks 1 to 4 are of lines 4, 5, 5 (again, by a macro) and 6; stack 9 is of line 4 too, taken by
// another process.
class FindingStoreTest : public testing::Test {
 protected:
  static const Capture& Program() {
    static const Capture* const capture =
        new Capture(CaptureStacks("void capture(void);\n"
                                  "#define TWICE capture(); capture()\n"
                                  "int main(void) {\n"
                                  "  capture();\n"
                                  "  TWICE;\n"
                                  "  capture();\n"
                                  "  return 0; }\n"));
    return *capture;
  }

  void SetUp() override {
    ASSERT_EQ(Program().stacks.size(), 4u);
    Load(&stacks_);
  }

  static void Load(Stacks* stacks) {
    stacks->SetModules(1, Program().modules);
    stacks->CopyModules(1, 2);
    for (uint32_t i = 0; i < 4; ++i) stacks->Add(i + 1, 1, Program().stacks[i]);
    stacks->Add(9, 2, Program().stacks[0]);
  }

  static Finding Make(std::string_view rule, uint32_t stack, std::vector<uint64_t> subjects = {},
                      Severity severity = Severity::kError) {
    Finding finding;
    finding.rule = rule;
    finding.severity = severity;
    finding.message = std::string(rule);
    finding.site.stack = stack;
    finding.subjects = std::move(subjects);
    return finding;
  }

  std::string Summary(const FindingStore& store) {
    std::string text;
    for (const auto& [finding, fingerprint] : store.Resolve()) {
      const Frame* place = stacks_.Place(finding.site.stack);
      text += std::string(finding.rule) + ":" + std::to_string(place == nullptr ? 0 : place->line) +
              "x" + std::to_string(finding.count) + " ";
    }
    return text;
  }

  Stacks stacks_;
  std::vector<RuleInfo> rules_ = {
      {"a-strong", Severity::kError, {}, nullptr},
      {"b-weak", Severity::kWarning, {"a-strong"}, nullptr},
  };
  FindingStore store_{&stacks_, &rules_};
};

TEST_F(FindingStoreTest, TheSamePlaceIsOneFindingWithACount) {
  store_.Add(Make("a-strong", 1));
  store_.Add(Make("a-strong", 9));
  store_.Add(Make("a-strong", 2));
  store_.Add(Make("a-strong", 3));
  EXPECT_EQ(Summary(store_), "a-strong:4x2 a-strong:5x2 ");
}

TEST_F(FindingStoreTest, AnotherCauseIsAnotherFinding) {
  Finding one = Make("a-strong", 1), other = Make("a-strong", 1);
  one.cause_stack = 2;
  other.cause_stack = 4;
  store_.Add(one);
  store_.Add(other);
  EXPECT_EQ(Summary(store_), "a-strong:4x1 a-strong:4x1 ");
  const auto resolved = store_.Resolve();
  EXPECT_NE(resolved[0].fingerprint, resolved[1].fingerprint);
}

TEST_F(FindingStoreTest, RepetitionsAreCountedByStack) {
  EXPECT_FALSE(store_.CountRepetition("a-strong", 1, 0));
  store_.Add(Make("a-strong", 1));
  EXPECT_TRUE(store_.CountRepetition("a-strong", 1, 0));
  EXPECT_FALSE(store_.CountRepetition("a-strong", 1, 2));
  EXPECT_FALSE(store_.CountRepetition("b-weak", 1, 0));
  EXPECT_FALSE(store_.CountRepetition("a-strong", 9, 0))
      << "not seen yet: the rule makes a finding";
  EXPECT_EQ(Summary(store_), "a-strong:4x2 ");
}

TEST_F(FindingStoreTest, ARuleYieldsWhereSubjectsAreShared) {
  store_.Add(Make("b-weak", 1, {10, 11}, Severity::kWarning));
  store_.Add(Make("b-weak", 4, {12}, Severity::kWarning));
  EXPECT_EQ(Summary(store_), "b-weak:4x1 b-weak:6x1 ");
  store_.Add(Make("a-strong", 2, {11}));
  EXPECT_EQ(Summary(store_), "a-strong:5x1 b-weak:6x1 ");
}

TEST_F(FindingStoreTest, OnlyTheOccurrencesWithASharedSubjectYield) {
  for (uint64_t subject = 1; subject <= 20; ++subject) {
    Finding finding = Make("b-weak", 1, {subject}, Severity::kWarning);
    finding.message = std::to_string(subject);
    store_.Add(finding);
  }
  store_.Add(Make("a-strong", 2, {1, 2}));
  EXPECT_EQ(Summary(store_), "a-strong:5x1 b-weak:4x18 ");
  EXPECT_EQ(store_.Resolve()[1].finding.message, "3");
}

TEST_F(FindingStoreTest, ErrorsComeFirstThenFileAndLineWhateverTheOrderOfArrival) {
  store_.Add(Make("z-note", 1, {}, Severity::kNote));
  store_.Add(Make("a-strong", 4));
  store_.Add(Make("c-other", 1));
  store_.Add(Make("b-weak", 2, {}, Severity::kWarning));
  EXPECT_EQ(Summary(store_), "c-other:4x1 a-strong:6x1 b-weak:5x1 z-note:4x1 ");
}

TEST_F(FindingStoreTest, TheMostSevereOccurrenceSpeaks) {
  store_.Add(Make("a-strong", 1, {}, Severity::kNote));
  store_.Add(Make("a-strong", 1, {}, Severity::kError));
  ASSERT_EQ(store_.Resolve().size(), 1u);
  EXPECT_EQ(store_.Resolve()[0].finding.severity, Severity::kError);
}

TEST_F(FindingStoreTest, FingerprintsAreTheSameFromRunToRun) {
  Stacks others;
  Load(&others);
  FindingStore another(&others, &rules_);
  Finding first = Make("a-strong", 1, {77});
  first.site.pid = 100;
  Finding second = Make("a-strong", 9, {88});
  second.site.pid = 200;
  second.site.time = 12345;
  store_.Add(first);
  another.Add(second);
  EXPECT_EQ(store_.Resolve()[0].fingerprint, another.Resolve()[0].fingerprint);
  EXPECT_EQ(store_.Resolve()[0].fingerprint.size(), 16u);
}

TEST_F(FindingStoreTest, AnUnknownPlaceIsToldByItsCall) {
  Finding one = Make("a-strong", 0), other = Make("a-strong", 0);
  one.site.call = Call::read;
  other.site.call = Call::write;
  store_.Add(one);
  store_.Add(one);
  store_.Add(other);
  EXPECT_EQ(store_.Resolve().size(), 2u);
}

}  // namespace
}  // namespace ipctrace
