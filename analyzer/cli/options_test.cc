#include "analyzer/cli/options.h"

#include "gtest/gtest.h"

namespace ipctrace {
namespace {

using Strings = std::vector<std::string>;

TEST(OptionsTest, OptionsEndWhereTheProgramBegins) {
  Options options;
  ASSERT_TRUE(ParseArguments(kRun,
                             {"--format=json", "--checks", "-*,pipe-*", "--", "prog", "--format=x"},
                             &options)
                  .ok());
  EXPECT_EQ(options.format, "json");
  EXPECT_EQ(options.checks, "-*,pipe-*");
  EXPECT_EQ(options.arguments, (Strings{"prog", "--format=x"}));

  Options without;
  ASSERT_TRUE(ParseArguments(kRun, {"prog", "--", "x"}, &without).ok());
  EXPECT_EQ(without.arguments, (Strings{"prog", "--", "x"}));
}

TEST(OptionsTest, ValuesAreRead) {
  Options options;
  ASSERT_TRUE(ParseArguments(kRun,
                             {"--timeout=1.5", "--fail-on=warning", "--error-exitcode=9",
                              "--linger=0", "--on-deadlock=wait", "--color=never"},
                             &options)
                  .ok());
  EXPECT_EQ(options.timeout, absl::Milliseconds(1500));
  EXPECT_EQ(options.fail_on, Severity::kWarning);
  EXPECT_EQ(options.error_exitcode, 9);
  EXPECT_EQ(options.linger, absl::ZeroDuration());
  EXPECT_EQ(options.on_deadlock, OnDeadlock::kWait);
  EXPECT_EQ(options.color, ColorMode::kNever);
}

std::string Error(CommandSet command, const Strings& arguments) {
  Options options;
  return std::string(ParseArguments(command, arguments, &options).message());
}

TEST(OptionsTest, WhatIsWrongIsNamed) {
  EXPECT_EQ(Error(kRun, {"--nonsense"}), "there is no option --nonsense here");
  EXPECT_EQ(Error(kRun, {"-x"}), "there is no option -x here");
  EXPECT_EQ(Error(kReport, {"--timeout=3"}), "there is no option --timeout here");
  EXPECT_EQ(Error(kRun, {"--format=poem"}),
            "--format cannot be \"poem\": it takes text, html, json, junit, sarif or github");
  EXPECT_EQ(Error(kShow, {"--format=json"}), "--format cannot be \"json\": it takes text or jsonl");
  EXPECT_NE(Error(kRun, {"--timeout"}), "");
  for (const char* value : {"soon", "0", "-1", "nan", "inf", "1s", ""}) {
    EXPECT_NE(Error(kRun, {std::string("--timeout=") + value}), "") << value;
  }
  for (const char* value : {"x", "256", "-1", "1.5", ""}) {
    EXPECT_NE(Error(kRun, {std::string("--error-exitcode=") + value}), "") << value;
  }
}

TEST(OptionsTest, TheBareFormsOptionsComeFromOneVariable) {
  Options options;
  EXPECT_TRUE(ParseEnvironment("checks=-*,pipe-*:format=json::output=r.json", &options).ok());
  EXPECT_EQ(options.checks, "-*,pipe-*");
  EXPECT_EQ(options.format, "json");
  EXPECT_EQ(options.output, "r.json");
}

TEST(OptionsTest, OneWrongOptionOfTheBareFormDoesNotHideTheOthers) {
  Options options;
  const absl::Status status = ParseEnvironment("nonsense=1:timeout=3:format=json", &options);
  EXPECT_EQ(status.message(), "there is no option nonsense (in IPCTRACE_OPTIONS) here");
  EXPECT_EQ(options.format, "json");
}

TEST(OptionsTest, TheHelpHasEveryOptionOfItsCommand) {
  const std::string help = OptionsHelp(kRun);
  for (const char* name : {"--checks=GLOBS", "--format=FORM", "--output=FILE", "--trace=FILE",
                           "--timeout=SECONDS", "--fail-on=SEVERITY", "--error-exitcode=N",
                           "--color=WHEN", "--on-deadlock=WHAT", "--linger=SECONDS"}) {
    EXPECT_NE(help.find(name), std::string::npos) << name;
  }
  EXPECT_EQ(OptionsHelp(kReport).find("--timeout"), std::string::npos);
}

}  // namespace
}  // namespace ipctrace
