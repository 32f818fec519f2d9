// The JSON report, version 1 (README.md, "The JSON report"). Members are only ever added.
#include <nlohmann/json.hpp>

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

Json FindingJson(const ReportFinding& finding) {
  Json json = {{"rule", finding.rule},
               {"severity", SeverityName(finding.severity)},
               {"count", finding.count},
               {"message", finding.message},
               {"fix", finding.fix}};
  AddSite(finding.site, &json);
  Json story = Json::array();
  for (const ReportStep& step : finding.story) {
    Json entry = {{"message", step.message}};
    AddSite(step.site, &entry);
    story.push_back(std::move(entry));
  }
  json["story"] = std::move(story);
  if (!finding.picture.empty()) json["picture"] = finding.picture;
  json["fingerprint"] = finding.fingerprint;
  return json;
}

}  // namespace

std::string WriteJson(const Report& report, const WriteOptions&) {
  Json json = {{"version", 1}, {"program", report.argv}, {"exit", ExitJson(report)}};
  json["findings"] = Json::array();
  for (const ReportFinding& finding : report.findings)
    json["findings"].push_back(FindingJson(finding));
  json["processes"] = Json::array();
  for (const ReportProcess& process : report.processes) {
    json["processes"].push_back(
        {{"pid", process.pid},
         {"ppid", process.ppid},
         {"name", process.name},
         {"argv", process.argv},
         {"exit", EndingJson(process.ending)},
         {"alive", process.ending.kind == Ending::kAlive},
         {"traced", process.traced},
         {"started_ns", process.started},
         {"ended_ns", process.ended_at == 0 ? Json(nullptr) : Json(process.ended_at)}});
  }
  const Coverage& coverage = report.coverage;
  json["coverage"] = {{"traced", coverage.heard},
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
  if (!report.standing.empty()) {
    json["standing"] = Json::array();
    for (const ReportStep& step : report.standing) {
      Json entry = {{"message", step.message}};
      AddSite(step.site, &entry);
      json["standing"].push_back(std::move(entry));
    }
  }
  if (!report.problems.empty()) json["problems"] = report.problems;
  // What is not UTF-8 (names and paths may be anything) becomes U+FFFD.
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ipctrace
