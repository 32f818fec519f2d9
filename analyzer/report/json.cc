// The JSON report, version 1 (README.md, "The JSON report"). Members are only ever added.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_replace.h"
#include "analyzer/report/writers.h"

namespace ipctrace {
namespace {

using Json = nlohmann::ordered_json;

Json FrameJson(const Frame& frame) {
  Json json = Json::object();
  if (frame.line != 0) {
    json["file"] = frame.file;
    json["line"] = frame.line;
  }
  if (!frame.function.empty()) json["function"] = frame.function;
  if (frame.line == 0 && !frame.module.empty()) {
    json["module"] = frame.module;
    json["offset"] = frame.offset;
  }
  return json;
}

Json ProcessJson(const ReportSite& site) {
  if (site.pid == 0) return nullptr;
  return {{"pid", site.pid}, {"name", site.process}};
}

void AddSite(const ReportSite& site, Json* json) {
  (*json)["process"] = ProcessJson(site);
  if (site.tid != 0) (*json)["thread"] = site.tid;
  (*json)["location"] = site.Place() == nullptr ? Json(nullptr) : FrameJson(*site.Place());
  if (!site.call.empty()) (*json)["call"] = site.call;
  if (site.pid != 0) (*json)["time_ns"] = site.time;
  Json stack = Json::array();
  for (const auto& frame : site.stack) stack.push_back(FrameJson(*frame));
  (*json)["stack"] = std::move(stack);
}

Json EndingJson(const Ending& ending) {
  switch (ending.kind) {
    case Ending::kStatus:
      return {{"status", ending.number}};
    case Ending::kSignal:
      return {{"signal", SignalName(ending.number)}};
    case Ending::kAlive:
    case Ending::kUnknown:
      break;
  }
  return nullptr;
}

Json ExitJson(const Report& report) {
  switch (report.reason) {
    case FinishReason::kTimeout:
      return {{"timeout", true}};
    // The program hung, and was ended by ipctrace.
    case FinishReason::kDeadlock:
      if (report.ending.kind != Ending::kStatus) return {{"signal", "SIGKILL"}, {"deadlock", true}};
      break;
    default:
      break;
  }
  return EndingJson(report.ending);
}

Json StepJson(const ReportStep& step) {
  Json entry = {{"message", step.message}};
  AddSite(step.site, &entry);
  return entry;
}

Json FindingJson(const ReportFinding& finding) {
  Json json = {{"rule", finding.rule},
               {"severity", SeverityName(finding.severity)},
               {"count", finding.count},
               {"message", finding.message},
               {"fix", finding.fix}};
  AddSite(finding.site, &json);
  Json story = Json::array();
  for (const ReportStep& step : finding.story) story.push_back(StepJson(step));
  json["story"] = std::move(story);
  if (!finding.picture.empty()) json["picture"] = finding.picture;
  json["fingerprint"] = finding.fingerprint;
  return json;
}

Json ReportProcessJson(const ReportProcess& process) {
  return {{"pid", process.pid},
          {"ppid", process.ppid},
          {"name", process.name},
          {"argv", process.argv},
          {"exit", EndingJson(process.ending)},
          {"alive", process.ending.kind == Ending::kAlive},
          {"traced", process.traced},
          {"started_ns", process.started},
          {"ended_ns", process.ended_at == 0 ? Json(nullptr) : Json(process.ended_at)}};
}

Json CoverageJson(const Report& report) {
  const Coverage& coverage = report.coverage;
  return {{"traced", coverage.heard},
          {"complete", report.complete()},
          {"calls", coverage.records},
          {"lost", coverage.lost},
          {"untraced_execs", coverage.untraced_execs},
          {"missed_births", coverage.missed_births},
          {"missed_deaths", coverage.missed_deaths},
          {"written_bytes", coverage.written},
          {"kernel_written_bytes", coverage.kernel_written},
          {"read_bytes", coverage.read},
          {"kernel_read_bytes", coverage.kernel_read},
          {"read_compared", coverage.written_known && coverage.read_known},
          {"holes", report.Holes()}};
}

// Puts an object's members as they are made: of a list with ten thousand entries, there is one at a
// time.
class ObjectWriter {
 public:
  explicit ObjectWriter(const Put& put) : put_(put) {}
  void Add(std::string_view name, const Json& value) {
    Begin(name);
    PutIndented(value, 1);
  }
  template <typename Entry>
  void AddList(std::string_view name, const std::vector<Entry>& list,
               Json (*make)(const Entry& entry)) {
    Begin(name);
    put_("[");
    for (const Entry& entry : list) {
      put_(&entry == &list.front() ? "\n  " : ",\n  ");
      PutIndented(make(entry), 2);
    }
    put_(list.empty() ? "]" : "\n ]");
  }
  void End() { put_(is_first_ ? "{}\n" : "\n}\n"); }

 private:
  void Begin(std::string_view name) {
    put_(is_first_ ? "{\n \"" : ",\n \"");
    put_(name);
    put_("\": ");
    is_first_ = false;
  }
  void PutIndented(const Json& value, size_t depth) {
    // What is not UTF-8 (names and paths may be anything) becomes U+FFFD. A newline in a string is
    // escaped: each of the text begins a line.
    const std::string text = value.dump(1, ' ', false, Json::error_handler_t::replace);
    put_(absl::StrReplaceAll(text, {{"\n", "\n" + std::string(depth, ' ')}}));
  }

  const Put& put_;
  bool is_first_ = true;
};

}  // namespace

void PutJson(const Report& report, const WriteOptions&, const Put& put) {
  ObjectWriter json(put);
  json.Add("version", 1);
  json.Add("program", report.argv);
  json.Add("exit", ExitJson(report));
  json.AddList("findings", report.findings, FindingJson);
  json.AddList("processes", report.processes, ReportProcessJson);
  json.Add("coverage", CoverageJson(report));
  if (!report.standing.empty()) json.AddList("standing", report.standing, StepJson);
  if (!report.problems.empty()) json.Add("problems", report.problems);
  json.End();
}

}  // namespace ipctrace
