#include "analyzer/cli/tracing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "analyzer/cli/commands.h"
#include "analyzer/cli/pages.h"
#include "analyzer/findings/checks.h"
#include "analyzer/protocol/parser.h"
#include "analyzer/protocol/tracker.h"
#include "analyzer/report/escape.h"
#include "analyzer/report/writers.h"

namespace ipctrace {
namespace {

constexpr size_t kWriteBytes = 64 << 10;

absl::Status WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      // The program made its terminal or pipe non-blocking, and ours with it.
      usleep(1000);
      continue;
    }
    if (written <= 0) return absl::UnavailableError(strerror(errno));
    text.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

bool WantsColor(ColorMode mode, int fd) {
  if (mode != ColorMode::kAuto) return mode == ColorMode::kAlways;
  const char* no_color = getenv("NO_COLOR");
  const char* terminal = getenv("TERM");
  return isatty(fd) && (no_color == nullptr || *no_color == '\0') && terminal != nullptr &&
         strcmp(terminal, "dumb") != 0;
}

}  // namespace

int Fail(const std::string& sentence) {
  const absl::Status status =
      WriteAll(STDERR_FILENO, "ipctrace: " + EscapeTerminal(sentence) + "\n");
  status.IgnoreError();  // there is nowhere else to say it
  return kExitFailure;
}

ReportFile::~ReportFile() {
  if (fd_ > STDERR_FILENO) close(fd_);
}

absl::Status ReportFile::Open(const Options& options) {
  options_ = options;
  if (options.output.empty() || options.output == "-") {
    fd_ = options.output.empty() ? STDERR_FILENO : STDOUT_FILENO;
    return absl::OkStatus();
  }
  name_ = options.output;
  fd_ = open(name_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
  if (fd_ < 0)
    return absl::UnavailableError(
        absl::StrCat("cannot write the report ", name_, ": ", strerror(errno)));
  // Where descriptors 0 to 2 were closed, the file must not come to stand for one of them.
  if (fd_ <= STDERR_FILENO) {
    const int moved = fcntl(fd_, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd_);
    fd_ = moved;
  }
  return absl::OkStatus();
}

absl::Status ReportFile::Write(const Report& report) {
  const Format* format = FindFormat(options_.format.empty() ? "text" : options_.format);
  WriteOptions how;
  how.color = WantsColor(options_.color, fd_);
  how.pages = &Pages();
  // A device or a FIFO can neither be wound back nor cut.
  if (!name_.empty() && lseek(fd_, 0, SEEK_SET) == 0 && ftruncate(fd_, 0) != 0 && errno != EINVAL) {
    return absl::UnavailableError(
        absl::StrCat("cannot write the report ", name_, ": ", strerror(errno)));
  }
  absl::Status status;
  std::string pending;  // a short report is written in one call
  format->put(report, how, [&](std::string_view piece) {
    pending += piece;
    if (pending.size() < kWriteBytes) return;
    if (status.ok()) status = WriteAll(fd_, pending);
    pending.clear();
  });
  if (status.ok()) status = WriteAll(fd_, pending);
  if (status.ok()) return status;
  return absl::UnavailableError(absl::StrCat("cannot write the report", name_.empty() ? "" : " ",
                                             name_, ": ", status.message()));
}

absl::Status LoadProtocols(const Options& options) {
  std::vector<std::shared_ptr<const protocol::Protocol>> protocols;
  for (const std::string& name : options.protocols) {
    std::vector<std::string> warnings;
    auto loaded = protocol::Load(name, &warnings);
    for (const std::string& warning : warnings) Fail(warning);
    if (!loaded.ok()) return loaded.status();
    protocols.push_back(*std::move(loaded));
  }
  protocol::SetLoadedProtocols(std::move(protocols));
  return absl::OkStatus();
}

void ChoosePayload(const Options& options, SessionConfig* config) {
  if (options.payload) {
    config->options |= kOptionPipePayload | kOptionSocketPayload;
    return;
  }
  std::set<uint16_t> ports;
  for (const auto& each : protocol::LoadedProtocols()) {
    const protocol::Watch watch = each->Watches();
    if (watch.pipes) config->options |= kOptionPipePayload;
    if (!watch.sockets) continue;
    config->options |= kOptionSocketPayload;
    ports.insert(static_cast<uint16_t>(watch.port));
  }
  if (ports.count(0) == 0 && ports.size() <= kMostPayloadPorts)
    config->payload_ports.assign(ports.begin(), ports.end());
}

Tracing::Tracing(const Options& options)
    : options_(options),
      store_(*new FindingStore(&stacks_, &RegisteredRules())),
      analysis_(*new Analysis(&stacks_, &store_,
                              [&](std::string_view id) { return Enabled(options_.checks, id); })) {}

absl::Status Tracing::Open() {
  std::vector<std::string_view> ids;
  for (const RuleInfo& rule : RegisteredRules()) ids.push_back(rule.id);
  for (const RulePage& page : Pages()) ids.push_back(page.id);
  const std::string idle = FirstIdleGlob(options_.checks, ids);
  if (!idle.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--checks names \"", idle, "\", and no rule is called so (ipctrace rules lists them)"));
  }
  if (const absl::Status status = file_.Open(options_); !status.ok()) return status;
  if (options_.trace.empty()) return absl::OkStatus();
  auto log = EventLogWriter::Create(options_.trace);
  if (!log.ok()) return log.status();
  log_ = *std::move(log);
  return absl::OkStatus();
}

void Tracing::Take(const Event& event) {
  if (log_ != nullptr) log_->Take(event);
  analysis_.Take(event);
}

Report Tracing::MakeReport(FinishReason reason) {
  Report report = BuildReport(model(), store_, &stacks_, reason);
  // With both rules off nobody has judged anything, and nobody wanted to.
  if (!Enabled(options_.checks, "protocol-violation") &&
      !Enabled(options_.checks, "protocol-incomplete"))
    return report;
  const auto tracker = protocol::Tracker::Of(&model());
  if (const size_t count = tracker->WithoutPayload(); count > 0) {
    report.problems.push_back(absl::StrCat(
        count, count == 1 ? " conversation" : " conversations",
        " cannot be held against the protocol: the trace has only the first bytes of what was sent "
        "(record it with run --protocol=FILE or --payload=full)"));
  } else {
    for (std::string& phrase : tracker->Unjudged())
      report.coverage.holes.push_back(std::move(phrase));
  }
  return report;
}

bool Tracing::Finish(Report report) {
  if (log_ != nullptr) {
    const absl::Status status = log_->Flush(/*finish=*/true);
    if (!status.ok()) report.problems.emplace_back(status.message());
  }
  const absl::Status status = file_.Write(report);
  if (!status.ok()) {
    Fail(std::string(status.message()));
    return false;
  }
  // In a form for machines nobody reads the problems at once.
  if (!options_.format.empty() && options_.format != "text") {
    for (const std::string& problem : report.problems) Fail(problem);
  } else if (!file_.is_stream()) {
    for (const std::string& problem : report.problems) Fail(problem);
  }
  return report.problems.empty();
}

int FindingsStatus(const Options& options, const Report& report, int otherwise) {
  if (!options.fail_on.has_value() && !options.error_exitcode.has_value()) return otherwise;
  const Severity least = options.fail_on.value_or(Severity::kError);
  const bool failed = std::any_of(report.findings.begin(), report.findings.end(),
                                  [&](const ReportFinding& f) { return f.severity >= least; });
  return failed ? options.error_exitcode.value_or(1) : otherwise;
}

}  // namespace ipctrace
