#include "analyzer/report/report.h"

#include <string.h>

#include <algorithm>

#include "absl/strings/str_join.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

std::string Plural(uint64_t n, const char* one, const char* many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

ReportSite MakeSite(const Site& site, const Model& model, Stacks* stacks) {
  ReportSite result;
  result.pid = site.pid;
  result.tid = site.tid;
  if (const Process* process = model.Find(site.process)) result.process = process->name;
  if (site.call != Call::fact_none) result.call = NameOf(site.call);
  result.time = site.time;
  result.stack = stacks->Frames(site.stack);
  result.place = stacks->PlaceIndex(site.stack);
  return result;
}

Ending EndingOf(const Process& process) {
  switch (process.end) {
    case EndKind::kAlive:
      return {Ending::kAlive, 0};
    case EndKind::kExited:
      return {Ending::kStatus, process.status};
    case EndKind::kKilled:
      return {Ending::kSignal, process.status};
    case EndKind::kUnknown:
      break;
  }
  return {Ending::kUnknown, 0};
}

// "read(3)", "waits in waitpid".
std::string Standing(const Thread& thread) {
  const Act* act = thread.current();
  if (act == nullptr) return "ran its own code";
  std::string text =
      "was in " + (act->fd >= 0 ? CallOn(act->call, act->fd) : CallName(act->call));
  if (act->descriptor != nullptr) text += " on " + Describe(*act->descriptor->description);
  return text;
}

}  // namespace

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? "SIG" + std::string(name) : "SIG" + std::to_string(signal);
}

std::vector<std::string> Report::Holes() const {
  std::vector<std::string> holes;
  if (!coverage.heard) holes.push_back("the program was not traced: no process of it said hello");
  if (coverage.lost > 0)
    holes.push_back(Plural(coverage.lost, "record was lost", "records were lost"));
  if (coverage.untraced_execs > 0) {
    holes.push_back(Plural(coverage.untraced_execs, "program was", "programs were") +
                    " started that cannot be traced (static, set-user-ID or 32-bit)");
  }
  const std::string missed =
      coverage.missed.empty() ? "" : " (" + absl::StrJoin(coverage.missed, ", ") + ")";
  if (coverage.missed_births > 0) {
    holes.push_back(Plural(coverage.missed_births, "descriptor was", "descriptors were") +
                    " open in the end that nobody was seen to open" + missed);
  }
  if (coverage.missed_deaths > 0) {
    holes.push_back(Plural(coverage.missed_deaths, "descriptor was", "descriptors were") +
                    " closed unseen" + missed);
  }
  if (coverage.written_known && coverage.kernel_written > coverage.written) {
    holes.push_back("the kernel counted " + std::to_string(coverage.kernel_written) +
                    " bytes written, of which " + std::to_string(coverage.written) +
                    " were seen: the rest went past libc (a system call of the program's own, "
                    "io_uring)");
  }
  if (coverage.written_known && coverage.read_known && coverage.kernel_read > coverage.read) {
    holes.push_back("the kernel counted " + std::to_string(coverage.kernel_read) +
                    " bytes read, of which at most " + std::to_string(coverage.read) +
                    " were seen: the rest went past libc (a system call of the program's own, "
                    "io_uring)");
  }
  for (const std::string& hole : coverage.holes) holes.push_back(hole);
  if (reason == FinishReason::kAnalyzerCut) holes.push_back("the trace ends before the run did");
  return holes;
}

int64_t Report::Count(Severity severity) const {
  return std::count_if(findings.begin(), findings.end(),
                       [&](const ReportFinding& f) { return f.severity == severity; });
}

Report BuildReport(const Model& model, const FindingStore& findings, Stacks* stacks,
                   FinishReason reason) {
  Report report;
  report.argv = model.argv();
  report.reason = reason;
  report.coverage = model.coverage();
  if (model.first() != nullptr) report.ending = EndingOf(*model.first());

  for (FindingStore::Resolved& resolved : findings.Resolve()) {
    ReportFinding finding;
    finding.rule = resolved.finding.rule;
    finding.severity = resolved.finding.severity;
    finding.count = resolved.finding.count;
    finding.message = std::move(resolved.finding.message);
    finding.fix = std::move(resolved.finding.fix);
    finding.site = MakeSite(resolved.finding.site, model, stacks);
    for (Step& step : resolved.finding.story) {
      finding.story.push_back({std::move(step.message), MakeSite(step.site, model, stacks)});
    }
    finding.picture = std::move(resolved.finding.picture);
    finding.fingerprint = std::move(resolved.fingerprint);
    report.findings.push_back(std::move(finding));
  }

  const bool ended_from_outside = report.reason == FinishReason::kTimeout ||
                                  report.reason == FinishReason::kDeadlock ||
                                  report.reason == FinishReason::kInterrupted;
  for (const Process* process : model.processes()) {
    report.processes.push_back({process->pid, process->ppid, process->name, process->argv,
                                EndingOf(*process), process->traced, process->started,
                                process->alive() ? 0 : process->ended_at});
    if (!process->alive() || !ended_from_outside) continue;
    for (const Thread* thread : process->threads) {
      if (thread->ended) continue;
      Site site;
      if (thread->current() != nullptr) site = thread->current()->site();
      site.process = process->id;
      site.pid = process->pid;
      site.tid = thread->tid;
      report.standing.push_back({Standing(*thread), MakeSite(site, model, stacks)});
    }
  }
  return report;
}

}  // namespace ipctrace
