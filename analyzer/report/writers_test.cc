#include "analyzer/report/writers.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "analyzer/report/words.h"
#include "gtest/gtest.h"

namespace ipctrace {
namespace {

using Json = nlohmann::json;

std::string ReadFile(const std::string& path) {
  std::stringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

Frame MakeFrame(const std::string& function, int line) {
  Frame frame;
  frame.function = function;
  frame.file = "testdata/prog.c";
  frame.directory = std::filesystem::current_path().string() + "/analyzer/report";
  frame.line = line;
  frame.module = "/tmp/prog";
  frame.offset = 0x1139;
  frame.user = true;
  return frame;
}

ReportSite MakeSite(int32_t pid, Nanos time, int line) {
  ReportSite site;
  site.pid = site.tid = pid;
  site.process = "prog";
  site.call = "read";
  site.time = time;
  site.stack = {std::make_shared<const Frame>(MakeFrame("main", line))};
  site.place = 0;
  return site;
}

// A run with one finding of each severity.
Report Sample() {
  Report report;
  report.argv = {"./prog", "x y"};
  report.ending = {Ending::kStatus, 0};
  report.coverage.heard = true;
  report.coverage.records = 24;
  report.processes = {
      {12, 1, "prog", {"./prog", "x y"}, {Ending::kStatus, 0}, true, 0, 5'000'000},
      {13, 12, "prog", {"./prog", "x y"}, {Ending::kSignal, 13}, true, 250'000, 4'000'000}};

  ReportFinding error;
  error.rule = "pipe-no-eof";
  error.count = 1000;
  error.message = "prog[12] waits for an end-of-file that cannot come";
  error.fix = "close fd 4 in the parent after fork";
  error.fingerprint = "0123456789abcdef";
  error.site = MakeSite(12, 1'234'567, 12);
  error.site.stack.push_back(
      std::make_shared<const Frame>(MakeFrame("pull(int, std::vector<int>)", 9)));
  error.story = {{"prog[12] made the pipe: fd 3 and fd 4", MakeSite(12, 103'000, 6)},
                 {"forked, and both had the pipe", MakeSite(12, 12'000'000'000, 7)},
                 {"a step of nobody", {}}};
  error.picture = {"prog[12] → the pipe → prog[12]"};
  report.findings.push_back(error);

  ReportFinding warning;
  warning.rule = "fd-leak";
  warning.severity = Severity::kWarning;
  warning.message = "descriptors pile up";
  warning.fingerprint = "1123456789abcdef";
  warning.site = MakeSite(13, 2'000'000, 0);
  Frame nameless = MakeFrame("main", 0);
  nameless.file.clear();
  warning.site.stack = {std::make_shared<const Frame>(nameless)};
  report.findings.push_back(warning);

  ReportFinding note;
  note.rule = "socket-serial-server";
  note.severity = Severity::kNote;
  note.message = "one at a time";
  note.fingerprint = "2123456789abcdef";
  report.findings.push_back(note);
  return report;
}

// The same with everything that a hostile program could name.
Report Hostile() {
  Report report = Sample();
  const std::string evil = "\x1b]0;x\x07</failure><script>&'\"\xff\n::error::%0A";
  report.argv = {evil};
  for (ReportFinding& finding : report.findings) {
    finding.message = finding.fix = evil;
    finding.site.process = evil;
    finding.picture = {evil};
    for (auto& frame : finding.site.stack) {
      Frame named = *frame;
      named.file = named.function = named.module = evil;
      frame = std::make_shared<const Frame>(named);
    }
    for (ReportStep& step : finding.story) step.message = step.site.process = evil;
  }
  for (ReportProcess& process : report.processes) process.name = evil;
  report.coverage.holes = {evil};
  report.problems = {evil};
  report.standing = {{evil, report.findings[0].site}};
  report.reason = FinishReason::kTimeout;
  return report;
}

TEST(TextTest, IsAsItWasAgreedOn) {
  const std::string golden = "analyzer/report/testdata/report.txt";
  const std::string text = WriteText(Sample(), {});
  if (const char* update = getenv("UPDATE_GOLDEN")) std::ofstream(update) << text;
  EXPECT_EQ(text, ReadFile(golden)) << "if this is meant: UPDATE_GOLDEN=" << golden;
}

TEST(TextTest, ColoursAreForTerminalsOnly) {
  EXPECT_EQ(WriteText(Sample(), {}).find('\x1b'), std::string::npos);
  WriteOptions color;
  color.color = true;
  EXPECT_NE(WriteText(Sample(), color).find("\x1b[1;31merror:"), std::string::npos);
}

TEST(TextTest, NothingFoundIsSaidWithItsExtent) {
  Report report = Sample();
  report.findings.clear();
  EXPECT_EQ(WriteText(report, {}), "ipctrace: no mistakes found (2 processes, 24 calls)\n");
  report.coverage.records = 1;
  report.processes.resize(1);
  EXPECT_EQ(WriteText(report, {}), "ipctrace: no mistakes found (1 process, 1 call)\n");
}

TEST(TextTest, ARunWithAHoleIsNotCalledClean) {
  Report report = Sample();
  report.findings.clear();
  report.coverage.lost = 3;
  EXPECT_EQ(WriteText(report, {}),
            "ipctrace: not all of the run was seen:\n"
            "    3 records were lost\n"
            "ipctrace: no mistakes found in what was seen (2 processes, 24 calls)\n");
  report.coverage.heard = false;
  EXPECT_NE(WriteText(report, {}).find("nothing can be said about this program"),
            std::string::npos);
}

TEST(TextTest, ATimeoutTellsWhereThreadsStood) {
  Report report = Sample();
  report.findings.clear();
  report.reason = FinishReason::kTimeout;
  report.standing = {{"was in read(3) on the read end of the pipe", MakeSite(12, 2'000'000, 12)}};
  const std::string text = WriteText(report, {});
  EXPECT_NE(
      text.find(
          "    prog[12] was in read(3) on the read end of the pipe, testdata/prog.c:12 in main, "
          "since 2.000 ms\n"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("--timeout"), std::string::npos);
}

TEST(TextTest, AnIpctraceThatFailedHasOneSentenceOfItsOwn) {
  Report report = Sample();
  report.problems = {"cannot write the trace t: No space left on device"};
  std::istringstream lines(WriteText(report, {}));
  std::vector<std::string> own;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("ipctrace: ")) own.push_back(line);
  }
  EXPECT_EQ(
      own, std::vector<std::string>{"ipctrace: cannot write the trace t: No space left on device"});
}

TEST(TextTest, LongStoriesKeepTheirEnds) {
  Report report = Sample();
  report.findings.resize(1);
  report.findings[0].story.clear();
  for (int i = 0; i < 100; ++i)
    report.findings[0].story.push_back({"step " + std::to_string(i) + ".", {}});
  const std::string text = WriteText(report, {});
  EXPECT_NE(text.find("step 19."), std::string::npos);
  EXPECT_EQ(text.find("step 20."), std::string::npos);
  EXPECT_NE(text.find("60 more steps"), std::string::npos);
  EXPECT_EQ(text.find("step 79."), std::string::npos);
  EXPECT_NE(text.find("step 80."), std::string::npos);
  EXPECT_NE(text.find("step 99."), std::string::npos);
}

TEST(HtmlTest, ShowsTheLineTheStoryAndTheRulesPage) {
  const std::vector<RulePage> pages = {
      {"pipe-no-eof", "error", "A reader waits.", "# pipe-no-eof\n\n**error** — A reader waits.\n\n"
                                                  "## What it is\nA `read` <b>waits</b>.\n"}};
  WriteOptions options;
  options.pages = &pages;
  const std::string page = WriteHtml(Sample(), options);
  const auto has = [&](const std::string& text) { return page.find(text) != std::string::npos; };
  EXPECT_TRUE(has("<p class=\"verdict error\">1 error, 1 warning, 1 note</p>")) << page;
  EXPECT_TRUE(has("<span class=\"here\">    12  ")) << page;
  EXPECT_TRUE(has("12000.000 ms") || has("12.000 s"));
  EXPECT_TRUE(has("× 1000"));
  EXPECT_TRUE(has("killed by SIGPIPE"));
  EXPECT_TRUE(has("<h2>What it is</h2>\n<p>A <code>read</code> <!-- raw HTML omitted -->waits"));
  EXPECT_TRUE(has("href=\"#about-pipe-no-eof\""));
  EXPECT_FALSE(has("href=\"#about-fd-leak\"")) << "it has no page";
}

TEST(HtmlTest, WhatWasNotSeenIsNotGood) {
  Report report = Sample();
  report.findings.clear();
  EXPECT_NE(WriteHtml(report, {}).find("verdict good"), std::string::npos);
  report.coverage.lost = 3;
  const std::string page = WriteHtml(report, {});
  EXPECT_NE(page.find("verdict unknown"), std::string::npos);
  EXPECT_NE(page.find("<li>3 records were lost</li>"), std::string::npos);
}

TEST(JsonTest, HasTheAgreedForm) {
  const Json json = Json::parse(WriteJson(Sample(), {}));
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["program"], Json({"./prog", "x y"}));
  EXPECT_EQ(json["exit"], Json({{"status", 0}}));
  const Json& finding = json["findings"][0];
  EXPECT_EQ(finding["rule"], "pipe-no-eof");
  EXPECT_EQ(finding["severity"], "error");
  EXPECT_EQ(finding["count"], 1000);
  EXPECT_EQ(finding["process"], Json({{"pid", 12}, {"name", "prog"}}));
  EXPECT_EQ(finding["thread"], 12);
  EXPECT_EQ(finding["location"]["file"], "testdata/prog.c");
  EXPECT_EQ(finding["story"][0]["location"]["line"], 6);
  EXPECT_EQ(finding["story"][0]["stack"].size(), 1u);
  EXPECT_EQ(json["findings"][1]["location"]["offset"], 0x1139);
  EXPECT_TRUE(json["findings"][2]["location"].is_null());
  EXPECT_EQ(json["processes"][1]["exit"], Json({{"signal", "SIGPIPE"}}));
  EXPECT_EQ(json["coverage"]["traced"], true);
  EXPECT_EQ(json["coverage"]["lost"], 0);
}

TEST(JsonTest, TellsHowTheRunEnded) {
  Report report = Sample();
  report.ending = {Ending::kSignal, 13};
  EXPECT_EQ(Json::parse(WriteJson(report, {}))["exit"], Json({{"signal", "SIGPIPE"}}));
  report.reason = FinishReason::kTimeout;
  EXPECT_EQ(Json::parse(WriteJson(report, {}))["exit"], Json({{"timeout", true}}));
  report.reason = FinishReason::kDeadlock;
  EXPECT_EQ(Json::parse(WriteJson(report, {}))["exit"],
            Json({{"signal", "SIGKILL"}, {"deadlock", true}}));
}

TEST(HostileTextTest, DoesNoHarmInAnyForm) {
  const Report report = Hostile();
  for (const Format& format : Formats()) {
    std::string text;
    format.put(report, {}, [&](std::string_view piece) { text += piece; });
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << format.name;
    EXPECT_EQ(text.find('\x07'), std::string::npos) << format.name;
    EXPECT_EQ(text.find('\xff'), std::string::npos) << format.name;
    EXPECT_EQ(text.find("\n::error::%0A"), std::string::npos) << format.name;
  }
  EXPECT_EQ(WriteJunit(report, {}).find("<script>"), std::string::npos);
  EXPECT_EQ(WriteHtml(report, {}).find("<script>"), std::string::npos);
  EXPECT_TRUE(Json::accept(WriteJson(report, {})));
  EXPECT_TRUE(Json::accept(WriteSarif(report, {})));
}

TEST(JunitTest, CountsWhatFails) {
  const std::string xml = WriteJunit(Sample(), {});
  EXPECT_NE(xml.find("<testsuite name=\"./prog\" tests=\"4\" failures=\"2\" errors=\"0\""),
            std::string::npos)
      << xml;
  EXPECT_NE(xml.find("name=\"pipe-no-eof at testdata/prog.c:12\""), std::string::npos) << xml;
}

TEST(SarifTest, HasLocationsStoryAndFingerprint) {
  const std::vector<RulePage> pages = {
      {"fd-leak", "warning", "Descriptors pile up.", "# fd-leak\n"},
      {"pipe-no-eof", "error", "A reader waits.", "# pipe-no-eof\n"}};
  WriteOptions options;
  options.pages = &pages;
  const Json run = Json::parse(WriteSarif(Sample(), options))["runs"][0];
  const Json& result = run["results"][0];
  EXPECT_EQ(result["ruleIndex"], 1);
  EXPECT_EQ(result["level"], "error");
  EXPECT_EQ(result["locations"][0]["physicalLocation"]["region"]["startLine"], 12);
  EXPECT_EQ(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "testdata/prog.c");
  EXPECT_EQ(result["codeFlows"][0]["threadFlows"][0]["locations"].size(), 3u);
  EXPECT_EQ(result["partialFingerprints"]["ipctrace/v1"], "0123456789abcdef");
  EXPECT_EQ(run["tool"]["driver"]["rules"][1]["id"], "pipe-no-eof");
}

TEST(GithubTest, IsOneCommandALine) {
  const std::string text = WriteGithub(Sample(), {});
  EXPECT_NE(text.find("::error file=testdata/prog.c,line=12,title=pipe-no-eof::prog[12] waits for "
                      "an end-of-file that "
                      "cannot come%0AHow to mend it: close fd 4 in the parent after fork\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("::notice title=ipctrace::1 error, 1 warning, 1 note\n"), std::string::npos)
      << text;
}

TEST(ShortFunctionTest, LeavesOutParameters) {
  EXPECT_EQ(ShortFunction("main"), "main");
  EXPECT_EQ(ShortFunction("shop::Till::Ring(int) const"), "shop::Till::Ring");
  EXPECT_EQ(ShortFunction("(anonymous namespace)::Serve(std::function<void (int)>)"),
            "(anonymous namespace)::Serve");
  EXPECT_EQ(ShortFunction("f<void (int)>(int)"), "f<void (int)>");
  EXPECT_EQ(ShortFunction("main::{lambda(int)#1}::operator()(int) const"),
            "main::{lambda(int)#1}::operator()");
}

}  // namespace
}  // namespace ipctrace
