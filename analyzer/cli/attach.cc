// ipctrace attach: the analyzer of the bare form, LD_PRELOAD=libipctrace.so ./program.
//
// The library's constructor starts it in the first process of a run, out of the program's sight,
// and waits until descriptor 3 says that the session is there. Standard error is the program's own.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "analyzer/cli/commands.h"
#include "analyzer/cli/tracing.h"
#include "analyzer/live/session.h"
#include "preload/trace/format.h"

namespace ipctrace {
namespace {

constexpr int kReadyFd = 3;

// The library goes on when it has read this: "1", or "0" and why not.
void Answer(const std::string& text) {
  [[maybe_unused]] const ssize_t written = write(kReadyFd, text.data(), text.size());
  close(kReadyFd);
}

std::vector<std::string> CommandLine(int32_t pid) {
  std::stringstream content;
  content << std::ifstream(absl::StrCat("/proc/", pid, "/cmdline")).rdbuf();
  std::vector<std::string> argv;
  for (std::string argument; std::getline(content, argument, '\0');) argv.push_back(argument);
  return argv;
}

class Attached {
 public:
  explicit Attached(const Options& options) : options_(options), tracing_(options) {}

  int Main(const absl::Status& options_status) {
    // 1. The session; the program waits for it, and must not wait in vain.
    SessionConfig config;
    config.argv = CommandLine(options_.pid);
    config.options = kOptionBareForm;
    ChoosePayload(options_, &config);
    config.first_pid = options_.pid;
    absl::Status opened = options_status.ok() ? tracing_.Open() : options_status;
    auto session = LiveSession::Create(options_.session, config);
    if (!session.ok() || !opened.ok()) {
      const absl::Status& status = session.ok() ? opened : session.status();
      Answer(absl::StrCat("0", status.message()));
      return Fail(std::string(status.message()));
    }
    session_ = *std::move(session);
    process_fd_ = static_cast<int>(syscall(SYS_pidfd_open, options_.pid, 0));
    Answer("1");

    // 2. Follow the program until it waits for the report, or is gone.
    const FinishReason reason = Follow();
    if (session_->FirstProcessWaits()) session_->WillReap(options_.pid);
    session_->Finish(&tracing_, reason);

    // 3. Report, and let it go.
    const bool told = Conclude(reason);
    session_->ReportDone();
    return told ? 0 : kExitFailure;
  }

 private:
  bool Gone() const {
    if (process_fd_ < 0) return kill(options_.pid, 0) != 0 && errno == ESRCH;
    pollfd process{process_fd_, POLLIN, 0};
    return poll(&process, 1, 0) > 0;
  }

  void Sleep(absl::Duration pause, bool ended) {
    pause = std::min(pause, absl::Milliseconds(ended ? 10 : 50));
    pollfd process{ended ? -1 : process_fd_, POLLIN, 0};
    poll(&process, 1, std::max<int>(1, static_cast<int>(absl::ToInt64Milliseconds(pause))));
  }

  FinishReason Follow() {
    absl::Time linger_until = absl::InfiniteFuture();
    while (true) {
      const bool ended = Gone() || session_->FirstProcessWaits();
      const absl::Duration pause = session_->Step(&tracing_);
      const bool quiet = pause > absl::ZeroDuration();
      if (ended && linger_until == absl::InfiniteFuture())
        linger_until = absl::Now() + options_.linger;
      if (ended && quiet && !session_->OthersLive(tracing_.model(), options_.pid))
        return FinishReason::kEnded;
      if (absl::Now() >= linger_until) return FinishReason::kEnded;
      if (quiet && session_->CheckDeadlock(tracing_.model(), &tracing_)) {
        if (ended) return FinishReason::kEnded;  // what is left will never end
        SayItHangs();
        if (options_.on_deadlock == OnDeadlock::kEnd) {
          KillAll();
          return FinishReason::kDeadlock;
        }
      }
      if (quiet) Sleep(pause, ended);
    }
  }

  // The report comes while the program hangs; the user then ends it with ^C.
  void SayItHangs() {
    if (said_.has_value() || options_.on_deadlock == OnDeadlock::kEnd) return;
    Report report = tracing_.MakeReport(FinishReason::kDeadlock);
    said_ = Fingerprints(report);
    tracing_.file().Write(report).IgnoreError();
  }

  static std::vector<std::string> Fingerprints(const Report& report) {
    std::vector<std::string> all;
    for (const ReportFinding& finding : report.findings) all.push_back(finding.fingerprint);
    return all;
  }

  void KillAll() {
    for (const int32_t pid : session_->LivePids()) kill(pid, SIGKILL);
  }

  bool Conclude(FinishReason reason) {
    Report report = tracing_.MakeReport(reason);
    // What a stream was told while the program hung need not be told again.
    if (said_.has_value() && tracing_.file().is_stream() && *said_ == Fingerprints(report))
      return true;
    return tracing_.Finish(std::move(report));
  }

  const Options& options_;
  Tracing tracing_;
  std::unique_ptr<LiveSession> session_;
  int process_fd_ = -1;
  std::optional<std::vector<std::string>> said_;
};

}  // namespace

int AttachCommand(const Options& given) {
  // Nothing that the user types at the program is meant for its analyzer.
  for (const int number : {SIGINT, SIGQUIT, SIGHUP, SIGPIPE, SIGTSTP, SIGTTOU})
    signal(number, SIG_IGN);
  fcntl(kReadyFd, F_SETFD, FD_CLOEXEC);
  if (given.session.empty() || given.pid == 0)
    return Fail("attach is for the library alone: use ipctrace run");
  Options options = given;
  absl::Status status;
  if (const char* text = getenv(kOptionsVariable)) status = ParseEnvironment(text, &options);
  if (status.ok()) status = LoadProtocols(options);
  return Attached(options).Main(status);
}

}  // namespace ipctrace
