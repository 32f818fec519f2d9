#include "analyzer/symbols/stacks.h"

#include <stddef.h>
#include <string.h>

#include <string>
#include <vector>

#include "analyzer/symbols/testing.h"
#include "gtest/gtest.h"
#include "preload/trace/format.h"
#include "preload/trace/stack_copy.h"

namespace ipctrace {
namespace {

constexpr char kNested[] =
    "void capture(void);\n"                                                       // 1
    "__attribute__((noinline)) void inner(int n) {\n"                             // 2
    "  capture();\n"                                                              // 3
    "  __asm__ volatile(\"\" : : \"r\"(n));\n"                                    // 4
    "}\n"                                                                         // 5
    "static inline __attribute__((always_inline)) void middle(int n) {\n"         // 6
    "  inner(n + 1);\n"                                                           // 7
    "}\n"                                                                         // 8
    "__attribute__((noinline)) void outer(int n) {\n"                             // 9
    "  char room[64];\n"                                                          // 10
    "  __asm__ volatile(\"\" : : \"r\"(room) : \"rbx\", \"r12\", \"memory\");\n"  // 11
    "  middle(n);\n"                                                              // 12
    "  __asm__ volatile(\"\" : : \"r\"(room) : \"memory\");\n"                    // 13
    "}\n"                                                                         // 14
    "int main(int argc, char** argv) {\n"                                         // 15
    "  outer(argc);\n"                                                            // 16
    "  return argv == 0;\n"                                                       // 17
    "}\n";                                                                        // 18

std::string Text(const std::vector<Frame>& frames, bool user_only = true) {
  std::string text;
  for (const Frame& frame : frames) {
    if (user_only && !frame.user) continue;
    text += frame.function + ":" + std::to_string(frame.line) + " ";
  }
  return text;
}

std::vector<Frame> FramesOf(const Capture& capture, size_t index = 0) {
  Stacks stacks;
  stacks.SetModules(1, capture.modules);
  if (index >= capture.stacks.size()) return {};
  stacks.Add(7, 1, capture.stacks[index], "capture");
  std::vector<Frame> frames;
  for (const auto& frame : stacks.Frames(7)) frames.push_back(*frame);
  return frames;
}

class NestedTest : public testing::TestWithParam<const char*> {};

TEST_P(NestedTest, FramesAreFunctionsAndLinesWithInlinedOnes) {
  const Capture capture = CaptureStacks(kNested, GetParam());
  const std::vector<Frame> frames = FramesOf(capture);
  EXPECT_EQ(Text(frames), "inner:3 middle:7 outer:12 main:16 ");
  ASSERT_FALSE(frames.empty());
  EXPECT_EQ(frames[0].file, "prog.c");
  EXPECT_EQ(frames[0].directory + "/prog.c", capture.source);
  EXPECT_EQ(frames[0].module, capture.program);
  EXPECT_GT(frames.size(), 4u) << "libc's frames outside main";
  EXPECT_FALSE(frames.back().user) << "_start";
}

INSTANTIATE_TEST_SUITE_P(Compilers, NestedTest,
                         testing::Values("gcc -O0 -g", "gcc -O2 -g",
                                         "gcc -O3 -g -fomit-frame-pointer", "gcc -O2 -gdwarf-4",
                                         "gcc -O2 -g -fno-pie", "gcc -O2 -g -gsplit-dwarf",
                                         "clang -O0 -g", "clang -O2 -g"));

TEST(StacksTest, WithoutDebugInformationThereAreFunctions) {
  const std::vector<Frame> frames = FramesOf(CaptureStacks(kNested, "gcc -O2"));
  EXPECT_EQ(Text(frames), "inner:0 outer:0 main:0 ");
  for (const Frame& frame : frames) EXPECT_EQ(frame.file, "");
}

TEST(StacksTest, AStrippedProgramHasModuleAndOffset) {
  const Capture capture = CaptureStacks(kNested, "gcc -O2", "prog.c", 4096, /*strip=*/true);
  const std::vector<Frame> frames = FramesOf(capture);
  ASSERT_GE(frames.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(frames[i].function, "");
    EXPECT_EQ(frames[i].module, capture.program);
    EXPECT_GT(frames[i].offset, 0u);
    EXPECT_LT(frames[i].offset, 0x10000u);
    EXPECT_TRUE(frames[i].user);
  }
}

TEST(StacksTest, ACopyThatEndsEarlyGivesItsInnermostFrames) {
  const Capture capture = CaptureStacks(kNested, "gcc -O2 -g");
  ASSERT_EQ(capture.stacks.size(), 1u);
  const std::string all = Text(FramesOf(capture));
  StackCopy copy;
  memcpy(&copy, capture.stacks[0].data(), sizeof(copy));
  const std::string words = UnpackStack(capture.stacks[0]);
  for (size_t bytes = 0; bytes < 400; bytes += 8) {
    Capture cut = capture;
    cut.stacks[0] = PackStack(copy, words.substr(0, bytes));
    const std::string some = Text(FramesOf(cut));
    EXPECT_EQ(all.substr(0, some.size()), some);
    EXPECT_EQ(some.substr(0, 8), "inner:3 ");
  }
}

// What was unwound once is known of all stacks that a walk reads alike, and of no others.
TEST(StacksTest, AStackThatDiffersIsUnwoundAnewWhereItMatters) {
  const Capture capture = CaptureStacks(kNested, "gcc -O2 -g", "prog.c", 512);
  ASSERT_FALSE(capture.stacks.empty());
  const std::string& blob = capture.stacks[0];
  const std::string raw = blob.substr(0, sizeof(StackCopy)) + UnpackStack(blob);
  Stacks knows;  // the undamaged stack, when it is asked for others
  knows.SetModules(1, capture.modules);
  knows.Add(1, 1, blob, "capture");
  const std::string whole = Text(FramesOf(capture), false);
  uint32_t id = 1;
  int other = 0;
  for (size_t at = offsetof(StackCopy, rip); at + 8 <= raw.size(); at += 8) {
    std::string damaged = raw;
    damaged[at + 4] ^= 1;  // no address of the program's
    StackCopy copy;
    memcpy(&copy, damaged.data(), sizeof(copy));
    const std::string changed = PackStack(copy, damaged.substr(sizeof(copy)));
    Stacks new_one;
    new_one.SetModules(1, capture.modules);
    new_one.Add(1, 1, changed, "capture");
    knows.Frames(1);
    knows.Add(++id, 1, changed, "capture");
    auto text_of = [](Stacks& stacks, uint32_t stack) {
      std::vector<Frame> frames;
      for (const auto& frame : stacks.Frames(stack)) frames.push_back(*frame);
      return Text(frames, false);
    };
    EXPECT_EQ(text_of(knows, id), text_of(new_one, 1)) << "byte " << at;
    other += text_of(new_one, 1) != whole;
  }
  EXPECT_GT(other, 4) << "return addresses";
}

TEST(StacksTest, DamagedStacksAndModulesDoNoHarm) {
  const Capture capture = CaptureStacks(kNested, "gcc -O2 -g");
  ASSERT_EQ(capture.stacks.size(), 1u);
  uint32_t random = 1;
  for (int round = 0; round < 300; ++round) {
    Capture damaged = capture;
    for (int i = 0; i < 20; ++i) {
      random = random * 1664525 + 1013904223;
      const size_t at = random % damaged.stacks[0].size();
      damaged.stacks[0][at] = static_cast<char>(random >> 24);
    }
    random = random * 1664525 + 1013904223;
    damaged.modules[random % damaged.modules.size()] ^= static_cast<char>(random >> 28);
    FramesOf(damaged);
  }
  Stacks stacks;
  stacks.SetModules(1,
                    "not a module\n\n12 13\nff ee dd x\n0 1000 2000 /dev/null\n0 3000 4000 \xff\n");
  stacks.Add(1, 1, "short");
  stacks.Add(2, 99, capture.stacks[0]);
  EXPECT_TRUE(stacks.Frames(1).empty());
  EXPECT_EQ(stacks.Place(2), nullptr);
  EXPECT_EQ(stacks.Place(3), nullptr);
}

TEST(StacksTest, CppNamesAreDemangledAndHeadersAreNotTheUsers) {
  const Capture capture = CaptureStacks(
      "#include <algorithm>\n"
      "#include <vector>\n"
      "extern \"C\" void capture(void);\n"
      "namespace shop {\n"
      "struct Till { int sum; void Ring(int n) { sum += n; capture(); } };\n"
      "}\n"
      "int main() {\n"
      "  std::vector<int> prices(1);\n"
      "  shop::Till till{};\n"
      "  std::for_each(prices.begin(), prices.end(), [&](int n) {\n"
      "    till.Ring(n); });\n"
      "  return till.sum;\n"
      "}\n",
      "g++ -O0 -g", "prog.cc");
  const std::vector<Frame> frames = FramesOf(capture);
  ASSERT_GE(frames.size(), 4u);
  EXPECT_EQ(frames[0].function, "shop::Till::Ring(int)");
  EXPECT_EQ(frames[1].line, 11);
  EXPECT_FALSE(frames[2].user) << frames[2].file << " is a system header";
  EXPECT_EQ(frames[3].function, "main");
  EXPECT_EQ(frames[3].line, 10);
}

// clang describes what is in a namespace inside of that.
TEST(StacksTest, WhatIsInlinedInANamespaceIsAFrameOfItsOwn) {
  const Capture capture = CaptureStacks(
      "extern \"C\" void capture(void);\n"
      "namespace shop {\n"
      "static inline __attribute__((always_inline)) void Ring() {\n"
      "  capture(); }\n"
      "__attribute__((noinline)) void Sell(int n) {\n"
      "  if (n > 0) Ring();\n"
      "  __asm__ volatile(\"\"); }\n"
      "}\n"
      "int main(int argc, char**) {\n"
      "  shop::Sell(argc);\n"
      "  return 0; }\n",
      "clang++ -O2 -g", "prog.cc");
  EXPECT_EQ(Text(FramesOf(capture)), "shop::Ring():4 shop::Sell(int):6 main:10 ");
}

TEST(StacksTest, ASignalHandlersFramesGoOnInTheInterruptedFunction) {
  const Capture capture = CaptureStacks(
      "#include <signal.h>\n"
      "void capture(void);\n"
      "void handler(int n) { (void)n; capture(); }\n"
      "int* volatile nothing;\n"
      "__attribute__((noinline)) void interrupted(void) {\n"
      "  __asm__ volatile(\"ud2\");\n"
      "}\n"
      "#include <stdlib.h>\n"
      "void last(int n) { (void)n; capture(); exit(0); }\n"
      "int main(void) {\n"
      "  signal(SIGILL, last);\n"
      "  interrupted();\n"
      "}\n");
  EXPECT_EQ(Text(FramesOf(capture)), "last:9 interrupted:6 main:12 ");
}

TEST(StacksTest, TheLastCallOfANoreturnFunctionIsItsOwn) {
  const Capture capture = CaptureStacks(
      "#include <stdlib.h>\n"
      "void capture(void);\n"
      "__attribute__((noreturn)) void stop(void) asm(\"stop\");\n"
      "__attribute__((noinline, noreturn)) void die(void) { stop(); }\n"
      "__attribute__((noinline)) void after(void) {}\n"
      "void stop(void) { capture(); exit(0); }\n"
      "int main(void) { die(); }\n",
      "gcc -O1 -g");
  EXPECT_EQ(Text(FramesOf(capture)), "stop:6 die:4 main:7 ");
}

TEST(StacksTest, ThePlaceIsTheCallerOfAWrapper) {
  const Capture capture = CaptureStacks(
      "void capture(void);\n"
      "void Close(int fd) { (void)fd; capture(); }\n"
      "void close_all(int fd) { (void)fd; capture(); }\n"
      "int main(void) {\n"
      "  Close(3);\n"
      "  close_all(3);\n"
      "  return 0; }\n");
  ASSERT_EQ(capture.stacks.size(), 2u);
  Stacks stacks;
  stacks.SetModules(1, capture.modules);
  stacks.CopyModules(1, 2);
  stacks.Add(1, 2, capture.stacks[0]);
  stacks.Add(2, 2, capture.stacks[1]);
  ASSERT_NE(stacks.Place(1), nullptr);
  EXPECT_EQ(stacks.Place(1)->line, 5);
  EXPECT_EQ(stacks.Place(2)->line, 3);
  EXPECT_FALSE(stacks.SamePlace(1, 2));
  EXPECT_TRUE(stacks.SamePlace(1, 1));
}

TEST(StacksTest, CopiesOfALineAreOnePlace) {
  const Capture capture = CaptureStacks(
      "void capture(void);\n"
      "int main(void) {\n"
      "#define TWICE capture(); capture()\n"
      "  TWICE;\n"
      "  capture();\n"
      "  return 0; }\n");
  ASSERT_EQ(capture.stacks.size(), 3u);
  Stacks stacks;
  stacks.SetModules(1, capture.modules);
  for (uint32_t i = 0; i < 3; ++i) stacks.Add(i + 1, 1, capture.stacks[i]);
  EXPECT_TRUE(stacks.SamePlace(1, 2));
  EXPECT_FALSE(stacks.SamePlace(1, 3));
}

TEST(StacksTest, WithoutLinesTwoForksAreOneWhereTheirChildrenGoOnAtOneInstruction) {
  const Capture capture = CaptureStacks(R"(
.globl main
.type main, @function
.bss
turn: .long 0
.text
main: .cfi_startproc
        push %rbx
        .cfi_def_cfa_offset 16
        call capture  # 1
        test %eax, %eax
        je child
        jmp parent
second: call capture
        mov %eax, %ebx
        cmp $-1, %eax
        je parent
        test %ebx, %ebx
        jg parent
        jmp child
third:  call capture
        test %eax, %eax
        jne child
        jmp parent
fourth: call capture
        jmp child
child:  nop
parent: incl turn(%rip)
        cmpl $1, turn(%rip)
        je second
        cmpl $2, turn(%rip)
        je third
        cmpl $3, turn(%rip)
        je fourth
        cmpl $4, turn(%rip)
        jne done
        call elsewhere
done:   xor %edi, %edi
        call exit
        .cfi_endproc
elsewhere: .cfi_startproc
        push %rbx
        .cfi_def_cfa_offset 16
        call capture  # 5
        test %eax, %eax
        je child
        jmp done
        .cfi_endproc
)",
                                        "gcc", "prog.s", 4096, true);
  ASSERT_GE(capture.stacks.size(), 5u);
  Stacks stacks;
  stacks.SetModules(1, capture.modules);
  for (uint32_t i = 0; i < 5; ++i) {
    stacks.Add(i + 1, 1, capture.stacks[i], "fork");
    stacks.Add(i + 11, 1, capture.stacks[i], "vfork");
  }
  EXPECT_TRUE(stacks.SamePlace(1, 2));
  EXPECT_TRUE(stacks.SameStack(1, 2));
  EXPECT_FALSE(stacks.SamePlace(11, 12));
  EXPECT_FALSE(stacks.SamePlace(1, 3));
  EXPECT_TRUE(stacks.MayBeSamePlace(1, 3));
  EXPECT_FALSE(stacks.SamePlace(1, 4));  // goes on there whatever the result is
  EXPECT_FALSE(stacks.SamePlace(1, 5));
  EXPECT_FALSE(stacks.MayBeSamePlace(1, 5));
}

class JumpTest : public testing::TestWithParam<const char*> {
 protected:
  // The user's frames of each stack, one line each. Lines count from 4, behind what is put before.
  static std::string Frames(const std::string& code) {
    const Capture capture = CaptureStacks(
        "void capture(void);\n#define F __attribute__((noinline))\n"
        "#define BUSY __asm__ volatile(\"\" : : : \"memory\")\n" +
            code,
        std::string(GetParam()) + " -g");
    std::string text;
    for (size_t i = 0; i < capture.stacks.size(); ++i) text += Text(FramesOf(capture, i)) + "\n";
    return text;
  }
};

INSTANTIATE_TEST_SUITE_P(Compilers, JumpTest,
                         testing::Values("gcc -O0", "gcc -O2", "gcc -O2 -gdwarf-4",
                                         "gcc -O2 -gsplit-dwarf", "gcc -O2 -fno-pie", "clang -O2"));

TEST_P(JumpTest, AFunctionWhoseLastCallIsAJumpHasItsFrame) {
  EXPECT_EQ(Frames("F void inner(void) { BUSY;\n"
                   "  capture(); }\n"
                   "F void outer(void) { BUSY;\n"
                   "  inner(); }\n"
                   "int main(void) {\n"
                   "  outer();\n"
                   "  BUSY; return 0; }\n"),
            "inner:5 outer:7 main:9 \n");
}

TEST_P(JumpTest, SoHasMain) {
  EXPECT_EQ(Frames("F int inner(void) { BUSY; capture();\n"
                   "  BUSY; return 0; }\n"
                   "int main(void) { BUSY;\n"
                   "  return inner(); }\n"),
            "inner:4 main:7 \n");
}

TEST_P(JumpTest, SoHasAFunctionInTheMiddleAndOneThatWasInlined) {
  EXPECT_EQ(Frames("F void inner(void) { capture();\n"
                   "  BUSY; }\n"
                   "static inline __attribute__((always_inline)) void inlined(void) {\n"
                   "  inner(); }\n"
                   "F static void middle(int n) { BUSY; (void)n;\n"
                   "  inlined(); }\n"
                   "int main(int argc, char** argv) {\n"
                   "  middle(argc);\n"
                   "  BUSY; return argv == 0; }\n"),
            "inner:4 inlined:7 middle:9 main:11 \n");
}

TEST_P(JumpTest, OfTwoWaysNoneIsGuessed) {
  const std::string frames = Frames(
      "F void left(void) { BUSY;\n"
      "  capture(); }\n"
      "F void right(void) { BUSY; BUSY; __asm__ volatile(\"nop\");\n"
      "  capture(); }\n"
      "F void either(int n) { BUSY;\n"
      "  if (n) left(); else right(); }\n"
      "int main(int argc, char** argv) {\n"
      "  either(argc);\n"
      "  BUSY; return argv == 0; }\n");
  const std::string_view optimised = GetParam();
  EXPECT_EQ(frames, optimised == "gcc -O0" ? "left:5 either:9 main:11 \n" : "main:11 \n");
}

TEST_P(JumpTest, WhereAPointerLeadsIsNotGuessed) {
  const std::string frames = Frames(
      "void (*volatile hook)(void) = capture;\n"
      "F void either(int n) { BUSY;\n"
      "  if (n > 5) capture(); else hook(); }\n"
      "int main(int argc, char** argv) {\n"
      "  either(argc);\n"
      "  BUSY; return argv == 0; }\n");
  const std::string_view optimised = GetParam();
  EXPECT_EQ(frames, optimised == "gcc -O0" ? "either:6 main:8 \n" : "main:8 \n");
}

TEST_P(JumpTest, ACallOfTheFunctionItselfHasNoOtherFrame) {
  EXPECT_EQ(Frames("F void other(void) { BUSY;\n"
                   "  capture(); }\n"
                   "int main(void) {\n"
                   "  capture();\n"
                   "  other();\n"
                   "  BUSY; return 0; }\n"),
            "main:7 \nother:5 main:8 \n");
}

TEST(StacksTest, AJumpOfAMemberFunctionHasItsFrame) {
  const Capture capture = CaptureStacks(
      "extern \"C\" void capture(void);\n"
      "namespace shop {\n"
      "struct Till {\n"
      "  __attribute__((noinline)) void Ring(int n); int sum; };\n"
      "void Till::Ring(int n) {\n"
      "  sum += n;\n"
      "  capture(); }\n"
      "}\n"
      "int main() {\n"
      "  shop::Till till{};\n"
      "  till.Ring(3);\n"
      "  return till.sum != 3; }\n",
      "g++ -O2 -g", "prog.cc");
  EXPECT_EQ(Text(FramesOf(capture)), "shop::Till::Ring(int):7 main:11 ");
}

}  // namespace
}  // namespace ipctrace
