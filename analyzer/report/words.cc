#include "analyzer/report/words.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace ipctrace {

std::string PlaceText(const Frame* place) {
  if (place == nullptr) return "";
  if (place->line != 0) return place->file + ":" + std::to_string(place->line);
  if (place->module.empty()) return "";
  return absl::StrFormat("%s+0x%x", place->module.substr(place->module.rfind('/') + 1),
                         place->offset);
}

std::string ShortFunction(std::string_view function) {
  int depth = 0;  // in <> and {}
  for (size_t i = 0; i < function.size(); ++i) {
    const char c = function[i];
    if (function.substr(i).starts_with("operator")) {
      const size_t parenthesis = function.find('(', i + 10);  // past "operator()"
      if (depth == 0) return std::string(function.substr(0, parenthesis));
    }
    if (c == '<' || c == '{') ++depth;
    if ((c == '>' || c == '}') && depth > 0) --depth;
    if (c == '(' && depth == 0) {
      if (!function.substr(i).starts_with("(anonymous namespace)"))
        return std::string(function.substr(0, i));
      i += 20;
    }
  }
  return std::string(function);
}

std::string CountsText(const Report& report) {
  std::string text;
  for (const Severity severity : {Severity::kError, Severity::kWarning, Severity::kNote}) {
    const int64_t n = report.Count(severity);
    text += (text.empty() ? "" : ", ") + std::to_string(n) + " " +
            std::string(SeverityName(severity)) + (n == 1 ? "" : "s");
  }
  return text;
}

std::string PlaceAndFunction(const Frame* place) {
  std::string text = PlaceText(place);
  if (place != nullptr && !place->function.empty())
    absl::StrAppend(&text, " in ", ShortFunction(place->function));
  return text;
}

std::string TimeText(Nanos time) {
  if (time < 10'000'000'000) return absl::StrFormat("%.3f ms", static_cast<double>(time) / 1e6);
  return absl::StrFormat("%.3f s", static_cast<double>(time) / 1e9);
}

std::string ProcessText(const ReportSite& site) {
  if (site.pid == 0) return "";
  std::string text = absl::StrCat(site.process, "[", site.pid, "]");
  if (site.tid != 0 && site.tid != site.pid) absl::StrAppend(&text, " thread ", site.tid);
  return text;
}

std::string StepText(const ReportStep& step) {
  const bool named = step.site.pid == 0 ||
                     step.message.find(absl::StrCat("[", step.site.pid, "]")) != std::string::npos;
  return named ? step.message : ProcessText(step.site) + "  " + step.message;
}

std::string ExtentText(const Report& report) {
  const size_t processes = report.processes.size();
  const uint64_t calls = report.coverage.records;
  return absl::StrCat(processes, processes == 1 ? " process, " : " processes, ", calls,
                      calls == 1 ? " call" : " calls");
}

std::string OutcomeText(const Report& report) {
  if (report.reason == FinishReason::kTimeout)
    return "the program did not end in the time that --timeout allows, and was ended";
  if (report.reason == FinishReason::kDeadlock)
    return "the program hangs: what it waits for can never come";
  if (report.ending.kind == Ending::kSignal)
    return "the program was killed by " + SignalName(report.ending.number);
  return "";
}

std::string VerdictText(const Report& report) {
  if (!report.findings.empty()) return CountsText(report);
  if (!report.coverage.heard) return "nothing can be said about this program";
  return absl::StrCat("no mistakes found", report.complete() ? "" : " in what was seen", " (",
                      ExtentText(report), ")");
}

std::string StandingTitle(const Report& report) {
  const bool hung = report.reason == FinishReason::kDeadlock;
  if (report.standing.empty() || (hung && report.Count(Severity::kError) > 0)) return "";
  return report.reason == FinishReason::kTimeout ? "When the time was up"
         : hung                                  ? "When nothing could go on"
                                                 : "When it was interrupted";
}

}  // namespace ipctrace
