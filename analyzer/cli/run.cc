// ipctrace run: starts the program with the library in it, follows it, and reports.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "analyzer/cli/commands.h"
#include "analyzer/cli/job.h"
#include "analyzer/cli/program.h"
#include "analyzer/cli/tracing.h"
#include "analyzer/live/kernel.h"
#include "analyzer/live/session.h"
#include "preload/trace/format.h"

extern char** environ;

namespace ipctrace {
namespace {

// The resource limits as ipctrace found them. A session raises some for itself, and the program
// gets them as they were.
class Limits {
 public:
  Limits() {
    for (size_t i = 0; i < kLimits.size(); ++i)
      has_limit_[i] = getrlimit(kLimits[i], &limits_[i]) == 0;
  }
  // In the child, before exec.
  void Restore() const {
    for (size_t i = 0; i < kLimits.size(); ++i) {
      if (has_limit_[i]) setrlimit(kLimits[i], &limits_[i]);
    }
  }

 private:
  static constexpr std::array kLimits = {RLIMIT_FSIZE, RLIMIT_NOFILE};
  std::array<rlimit, kLimits.size()> limits_{};
  std::array<bool, kLimits.size()> has_limit_{};
};

// The library: where it is installed, beside the binary, or in the build tree.
absl::StatusOr<std::string> FindLibrary() {
  if (const char* path = getenv("IPCTRACE_LIBRARY"); path != nullptr && *path != '\0') {
    if (access(path, R_OK) == 0) return std::string(path);
    return absl::NotFoundError(
        absl::StrCat("cannot read ", path, ", which IPCTRACE_LIBRARY names: ", strerror(errno)));
  }
  char self[4096];
  const ssize_t size = readlink("/proc/self/exe", self, sizeof(self));
  std::string directory(self, size > 0 ? static_cast<size_t>(size) : 0);
  directory.resize(directory.rfind('/') == std::string::npos ? 0 : directory.rfind('/'));
  const std::string parent = directory.substr(0, directory.rfind('/'));
  for (const std::string& path : {parent + "/lib/libipctrace.so", directory + "/libipctrace.so",
                                  parent + "/preload/libipctrace.so"}) {
    if (access(path.c_str(), R_OK) != 0) continue;
    if (path.find_first_of(" :") == std::string::npos) return path;
    return absl::FailedPreconditionError(
        absl::StrCat("the library's path ", path,
                     " has a space or a colon in it, which LD_PRELOAD cannot carry"));
  }
  return absl::NotFoundError(
      absl::StrCat("libipctrace.so is neither in ", parent, "/lib nor beside ipctrace"));
}

// The program's environment: ours, but for LD_PRELOAD and the session.
std::vector<std::string> Environment(const std::string& preload, const std::string& session) {
  const std::string session_name = absl::StrCat(kSessionVariable, "=");
  std::vector<std::string> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (!text.starts_with("LD_PRELOAD=") && !text.starts_with(session_name))
      variables.emplace_back(text);
  }
  variables.push_back("LD_PRELOAD=" + preload);
  variables.push_back(session_name + session);
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Starts the program: same process group, same terminal, same descriptors, signals as they were.
absl::StatusOr<pid_t> Start(const Program& program, std::vector<std::string> argv,
                            std::vector<std::string> environment, const Job& job,
                            const Limits& limits) {
  std::vector<std::string> shell = {"sh", program.path};
  if (program.shell_script) shell.insert(shell.end(), argv.begin() + 1, argv.end());
  std::vector<char*> arguments = Pointers(program.shell_script ? shell : argv);
  std::vector<char*> variables = Pointers(environment);
  const char* path = program.shell_script ? "/bin/sh" : program.path.c_str();

  // Close-on-exec, so the program never has them. `failure` carries execve's errno. `start` is
  // closed when the analyzer is out of the process group: before, the program could signal it.
  int failure[2], start[2];
  if (pipe2(failure, O_CLOEXEC) != 0 || pipe2(start, O_CLOEXEC) != 0)
    return absl::InternalError(absl::StrCat("cannot make a pipe: ", strerror(errno)));
  const pid_t pid = fork();
  if (pid == 0) {
    close(start[1]);
    char nothing;
    while (read(start[0], &nothing, 1) > 0) {
    }
    job.RestoreSignals();
    limits.Restore();
    execve(path, arguments.data(), variables.data());
    const int error = errno;
    [[maybe_unused]] const ssize_t written = write(failure[1], &error, sizeof(error));
    _exit(kExitFailure);
  }
  int error = pid < 0 ? errno : 0;
  job.Leave();
  close(start[0]);
  close(start[1]);
  close(failure[1]);
  if (pid > 0 && read(failure[0], &error, sizeof(error)) > 0) waitpid(pid, nullptr, 0);
  close(failure[0]);
  if (pid < 0) return absl::InternalError(absl::StrCat("cannot fork: ", strerror(error)));
  if (error != 0)
    return absl::InternalError(absl::StrCat("cannot run ", argv[0], ": ", strerror(error)));
  return pid;
}

// Whether `pid` came from this process, by however many forks, and still is.
bool IsDescendant(pid_t pid) {
  const pid_t self = getpid();
  for (int i = 0; i < 1000 && pid > 1; ++i) {
    if (pid == self) return true;
    pid = ParentOf(pid);
  }
  return false;
}

class Run {
 public:
  Run(const Options& options, Job job)
      : options_(options), job_(std::move(job)), tracing_(options) {}

  int Main() {
    // 1. What could go wrong is found out before the program runs.
    if (options_.arguments.empty())
      return Fail("run needs a program: ipctrace run [options] -- PROGRAM ARGS");
    const auto program = FindProgram(options_.arguments[0], getenv("PATH"));
    if (!program.ok()) return Fail(std::string(program.status().message()));
    const auto library = FindLibrary();
    if (!library.ok()) return Fail(std::string(library.status().message()));
    if (const absl::Status status = tracing_.Open(); !status.ok())
      return Fail(std::string(status.message()));

    // 2. The session, then the program in it.
    const std::string path = LiveSession::NewPath();
    SessionConfig config;
    config.argv = options_.arguments;
    ChoosePayload(options_, &config);
    auto session = LiveSession::Create(path, config);
    if (!session.ok()) return Fail(std::string(session.status().message()));
    session_ = *std::move(session);
    const auto pid = Start(
        *program, options_.arguments,
        Environment(PreloadValue(*program, *library, getenv("LD_PRELOAD")), path), job_, limits_);
    if (!pid.ok()) return Fail(std::string(pid.status().message()));
    pid_ = *pid;

    // 3. Follow it to its end, or to the reason for ending it.
    const FinishReason reason = Follow();
    session_->Finish(&tracing_, reason);
    if (reason != FinishReason::kEnded && !job_.front_gone()) KillAll();

    // 4. Report.
    return Conclude(reason);
  }

 private:
  // Hands on what has come, and sleeps until there may be more (or a signal came). Returns whether
  // everything that can be known now is known.
  bool Step() {
    // Once it has ended there may be nothing to wait for: that is found out first.
    if (ended_) Wait(std::min(pause_, absl::Milliseconds(20)));
    pause_ = session_->Step(&tracing_);
    JudgeSignals();
    if (!ended_) {
      if (job_.ShouldContinue()) kill(pid_, SIGCONT);
      Wait(pause_);
      if (ended_) pause_ = absl::ZeroDuration();  // what came meanwhile is looked at now
    }
    return pause_ > absl::ZeroDuration();
  }

  // For as long, or until a signal came.
  void Wait(absl::Duration pause) {
    pollfd signals[] = {{job_.signals_fd(), POLLIN, 0}, {job_.front_fd(), POLLIN, 0}};
    if (poll(signals, 2, pause == absl::ZeroDuration() ? 0 : WaitMilliseconds(pause)) > 0)
      TakeSignals();
  }

  static int WaitMilliseconds(absl::Duration pause) {
    return static_cast<int>(std::clamp<int64_t>(absl::ToInt64Milliseconds(pause), 1, 100));
  }

  void TakeSignals() {
    for (const Job::Signal& signal : job_.TakeSignals()) {
      if (signal.number == SIGCHLD) {
        Reap();
      } else {
        told_to_end_.push_back(signal);
      }
    }
    if (job_.front_gone()) front_gone_since_ = std::min(front_gone_since_, absl::Now());
  }

  // Who sent a signal is looked up when all is read that it did before.
  void JudgeSignals() {
    for (const Job::Signal& signal : told_to_end_) {
      const bool from_run =
          signal.sender != 0 && (session_->Knows(signal.sender) || IsDescendant(signal.sender));
      if (!from_run) end_signal_ = signal.number;
    }
    told_to_end_.clear();
  }

  void Reap() {
    if (ended_) return;
    siginfo_t info = {};
    if (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        info.si_pid == pid_) {
      session_->WillReap(pid_);
    }
    for (int status; waitpid(pid_, &status, WNOHANG | WUNTRACED | WCONTINUED) == pid_;) {
      if (WIFSTOPPED(status)) {
        job_.DidStop(WSTOPSIG(status));
      } else if (WIFCONTINUED(status)) {
        job_.DidContinue();
      } else {
        ended_ = true;
        wait_status_ = status;
        session_->DidEnd(pid_, status, &tracing_);
        return;
      }
    }
  }

  FinishReason Follow() {
    const absl::Time start = absl::Now();
    absl::Time linger_until = absl::InfiniteFuture();
    while (true) {
      const bool quiet = Step();
      if (ended_ && linger_until == absl::InfiniteFuture())
        linger_until = absl::Now() + options_.linger;
      if (ended_ && quiet && !session_->OthersLive(tracing_.model(), pid_))
        return FinishReason::kEnded;
      if (absl::Now() >= linger_until) return FinishReason::kEnded;
      if (end_signal_ != 0) return FinishReason::kInterrupted;
      // What has killed the front was for all of the group, or for ipctrace alone.
      if (!ended_ && absl::Now() - front_gone_since_ >= absl::Milliseconds(200))
        return FinishReason::kInterrupted;
      if (absl::Now() - start >= options_.timeout)
        return ended_ ? FinishReason::kEnded : FinishReason::kTimeout;
      if (!quiet || !session_->CheckDeadlock(tracing_.model(), &tracing_)) continue;
      if (options_.on_deadlock != OnDeadlock::kWait) {
        if (!ended_) return FinishReason::kDeadlock;
        // The first process ended as it should; the ones it left behind hang for ever.
        left_behind_hang_ = true;
        return FinishReason::kEnded;
      }
      SayItHangs();
    }
  }

  // --on-deadlock=wait: the report comes at once, and again when the run is over.
  void SayItHangs() {
    if (said_it_hangs_) return;
    said_it_hangs_ = true;
    tracing_.file().Write(tracing_.MakeReport(FinishReason::kDeadlock)).IgnoreError();
  }

  void KillAll() {
    const int signal = end_signal_ != 0 ? end_signal_ : SIGKILL;  // one that hangs heeds no other
    for (const int32_t pid : session_->LivePids()) {
      if (pid != pid_) kill(pid, signal);
    }
    if (ended_) return;
    kill(pid_, signal);
    for (int i = 0; i < 50 && waitpid(pid_, nullptr, WNOHANG) == 0; ++i)
      absl::SleepFor(absl::Milliseconds(20));
    kill(pid_, SIGKILL);
  }

  int Conclude(FinishReason reason) {
    if (left_behind_hang_) KillAll();
    Report report = tracing_.MakeReport(reason);
    // wait(2) is surer than the trace.
    if (ended_ && WIFEXITED(wait_status_))
      report.ending = {Ending::kStatus, WEXITSTATUS(wait_status_)};
    if (ended_ && WIFSIGNALED(wait_status_))
      report.ending = {Ending::kSignal, WTERMSIG(wait_status_)};
    int status = kExitTimeout;
    if (reason == FinishReason::kInterrupted) status = 128 + end_signal_;
    if (reason == FinishReason::kEnded) {
      status = WIFSIGNALED(wait_status_) ? 128 + WTERMSIG(wait_status_) : WEXITSTATUS(wait_status_);
    }
    status = FindingsStatus(options_, report, status);
    if (!session_->heard() ||
        !report.coverage.heard) {  // not at all, or not to the end of its hello
      report.problems.push_back(absl::StrCat("could not trace ", options_.arguments[0],
                                             ": the library in it never said hello"));
    }
    return tracing_.Finish(std::move(report)) ? status : kExitFailure;
  }

  const Options& options_;
  Job job_;
  Limits limits_;
  Tracing tracing_;
  std::unique_ptr<LiveSession> session_;
  pid_t pid_ = 0;
  std::vector<Job::Signal> told_to_end_;  // by whom is not yet judged
  int end_signal_ = 0;                    // SIGTERM or SIGHUP from outside the run
  absl::Time front_gone_since_ = absl::InfiniteFuture();
  bool ended_ = false;
  absl::Duration pause_ = absl::ZeroDuration();  // before the next look
  int wait_status_ = 0;
  bool said_it_hangs_ = false, left_behind_hang_ = false;
};

}  // namespace

int RunCommand(const Options& options) {
  if (const absl::Status status = LoadProtocols(options); !status.ok())
    return Fail(std::string(status.message()));
  auto job = Job::Split();
  if (!job.ok()) return Fail(std::string(job.status().message()));
  return Run(options, *std::move(job)).Main();
}

}  // namespace ipctrace
