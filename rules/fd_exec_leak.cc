// fd-exec-leak: a descriptor crosses exec into a program that never uses it.
//
// A descriptor above 2 that survives an exec for the first time is a candidate. It is acquitted
// when anybody uses it afterwards: the program itself by number, by a duplicate or by opening the
// same object anew (/dev/fd/7), or a process that got it from there. The candidates' descendants
// are looked at when they go.
#include <sys/socket.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class FdExecLeak : public Rule {
 public:
  bool Watches(Op op) const override { return false; }

  void DidExec(const Process& process, const Act* act) override { Look(process); }
  // A spawned program is seen only when it says hello.
  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    if (child.traced) Look(child);
  }

  void DidOpen(const std::shared_ptr<Descriptor>& descriptor, const Act& act) override {
    if (candidates_.empty()) return;
    if (descriptor->birth == Birth::kDuplicated && descriptor->from != nullptr) {
      Acquit(*descriptor->from);
    } else if (descriptor->birth == Birth::kOpened) {
      for (const auto& [fd, other] : act.process->table) {
        if (other != descriptor && other->object() == descriptor->object()) Acquit(*other);
      }
    }
  }

  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how,
                 const Act& act) override {
    if (!candidates_.empty() && Used(*descriptor)) Acquit(*descriptor);
  }

  void WillEnd(const Process& process) override {
    if (candidates_.empty()) return;
    for (const auto& [fd, descriptor] : process.table) {
      if (Used(*descriptor)) Acquit(*descriptor);
    }
  }

  void DidFinish() override {
    for (const Process* process : model().processes()) {
      for (const auto& [fd, descriptor] : process->table) {
        if (Used(*descriptor)) Acquit(*descriptor);
      }
      // Who may have used what is not seen.
      if (!process->traced && process->parent != nullptr) {
        for (const auto& [fd, descriptor] : process->table) Acquit(*descriptor);
        untraced_.insert(process);
      }
    }
    // One exec that leaks several is one mistake.
    std::map<uint64_t, std::vector<const Candidate*>> by_exec;
    for (const auto& [id, candidate] : candidates_) {
      if (Stands(candidate)) by_exec[candidate.image].push_back(&candidate);
    }
    for (auto& [image, leaked] : by_exec) Tell(leaked);
  }

 private:
  struct Candidate {
    std::shared_ptr<Descriptor> descriptor;
    const Process* process = nullptr;
    uint64_t image = 0;   // counts execs
    std::string program;  // what was run
    Site exec;
    uint64_t uses_before = 0;  // by the program that ran it
  };

  static uint64_t Uses(const Descriptor& descriptor) {
    const Usage& usage = descriptor.usage;
    return usage.reads + usage.writes + usage.other;
  }

  bool Used(const Descriptor& descriptor) const {
    auto candidate = candidates_.find(descriptor.id);
    return Uses(descriptor) > (candidate == candidates_.end() ? 0 : candidate->second.uses_before);
  }

  // A use of the descriptor, or of what was made of it after the exec. A duplicate from before is
  // another one: `dup2(pipe[1], 1)` is used, and pipe[1] was forgotten.
  void Acquit(const Descriptor& descriptor) {
    Nanos made = std::numeric_limits<Nanos>::max();
    for (const Descriptor* each = &descriptor; each != nullptr; each = each->from.get()) {
      auto it = candidates_.find(each->id);
      if (it != candidates_.end() && made >= it->second.exec.time) candidates_.erase(it);
      made = each->born.time;
    }
  }

  // Handed over by name: "/dev/fd/63", "--status-fd=3".
  static bool IsNamed(const Process& process, int fd) {
    std::string number = absl::StrCat(fd);
    for (size_t i = 1; i < process.argv.size(); ++i) {
      const std::string& argument = process.argv[i];
      if (argument == number && i > 1 && process.argv[i - 1].find("fd") != std::string::npos) {
        return true;
      }
      for (size_t at = argument.find(number); at != std::string::npos;
           at = argument.find(number, at + 1)) {
        size_t end = at + number.size();
        if (end < argument.size() && isdigit(static_cast<unsigned char>(argument[end]))) continue;
        if (argument.substr(0, at).find("fd") != std::string::npos) return true;
      }
    }
    return false;
  }

  void Look(const Process& process) {
    ++image_;
    for (const auto& [fd, descriptor] : process.table) {
      if (fd < 3 || !descriptor->survived_exec || candidates_.contains(descriptor->id)) continue;
      if (descriptor->from != nullptr && descriptor->birth == Birth::kInherited &&
          descriptor->from->survived_exec) {
        continue;  // it crossed an exec before
      }
      if (!seen_.insert(descriptor->id).second) continue;
      if (descriptor->birth == Birth::kFound || FromOutside(*descriptor)) continue;
      const Descriptor& origin = OriginOf(*descriptor);
      if (origin.birth == Birth::kReceived) continue;
      if (IsNamed(process, fd)) continue;
      if (WasPlaced(*descriptor)) continue;
      if (!Matters(*descriptor->object())) continue;
      Candidate candidate;
      candidate.descriptor = descriptor;
      candidate.process = &process;
      candidate.image = image_;
      candidate.program = process.name;
      candidate.exec = descriptor->exec_site;
      candidate.uses_before = Uses(*descriptor);
      candidates_.emplace(descriptor->id, std::move(candidate));
    }
  }

  // dup2 to a number of one's choice says that it is meant for what comes.
  static bool WasPlaced(const Descriptor& descriptor) {
    for (const Descriptor* each = &descriptor; each != nullptr; each = each->from.get()) {
      if (each->birth == Birth::kDuplicated) return OpOf(each->born.call) == Op::kDup2;
      if (each->birth != Birth::kInherited) return false;
    }
    return false;
  }

  // What nobody can name may be a library's own.
  static bool Matters(const Object& object) {
    return object.kind != ObjectKind::kUnknown && object.kind != ObjectKind::kTerminal;
  }

  bool Stands(const Candidate& candidate) const {
    const Process& process = *candidate.process;
    // A run that was cut short proves nothing about what a program would still have done.
    if (model().finish_reason() != FinishReason::kEnded && process.end != EndKind::kExited) {
      return false;
    }
    if (process.end == EndKind::kAlive || process.end == EndKind::kUnknown) return false;
    return std::none_of(untraced_.begin(), untraced_.end(),
                        [&](const Process* untraced) { return untraced->parent == &process; });
  }

  void Tell(const std::vector<const Candidate*>& leaked) {
    const Candidate& first = *leaked[0];
    const Process& process = *first.process;
    const Descriptor& descriptor = *first.descriptor;
    std::vector<std::string> names, numbers;
    bool listens = false, pipe = false;
    for (const Candidate* each : leaked) {
      const Descriptor& end = *each->descriptor;
      names.push_back(FdAndEnd(end));
      numbers.push_back(FdName(end));
      listens |= end.object()->socket.state == SocketState::kListening;
      pipe |= end.object()->IsPipe();
    }
    const char* harm = pipe      ? "so others cannot see it closed while that program runs"
                       : listens ? "so the port stays taken while that program runs"
                                 : "so it stays open while that program runs";
    Finding finding;
    finding.message =
        absl::StrCat(Enumerate(names), leaked.size() > 1 ? " were" : " was", " still open when ",
                     first.program, "[", process.pid, "] was started by exec, which never used ",
                     leaked.size() > 1 ? "them" : "it", ", ", harm);
    // In a child: the fork; in the process that opened it: the exec.
    bool inherited = descriptor.birth == Birth::kInherited && process.born.stack != 0;
    const std::string it = leaked.size() > 1 ? "them" : "it";
    std::string or_else =
        absl::StrCat("close ", it, inherited ? " in the child" : "", " before exec");
    // No code of the user's runs between these and the program.
    switch (inherited ? OpOf(process.born.call) : Op::kNone) {
      case Op::kSystem:
      case Op::kPopen:
        or_else = absl::StrCat("set FD_CLOEXEC with fcntl(fd, F_SETFD, FD_CLOEXEC): ",
                               CallName(process.born.call), " leaves no other place to close ", it);
        break;
      case Op::kSpawn:
        or_else = absl::StrCat("close ", it, " with posix_spawn_file_actions_addclose");
        break;
      default:
        break;
    }
    finding.fix =
        absl::StrCat("Open ", Enumerate(numbers),
                     " with O_CLOEXEC (pipe2, SOCK_CLOEXEC, \"e\" for fopen), or ", or_else);
    finding.site = inherited ? process.born : first.exec;
    finding.cause_stack = OriginOf(descriptor).born.stack;
    for (const Candidate* each : leaked) {
      AddSteps(finding.story, LifeOf(model(), each->descriptor));
      for (uint64_t id : SubjectsOf(*each->descriptor)) AddSubject(finding.subjects, id);
      // Where the parent itself forgot to close it, that is the mistake.
      const auto& from = each->descriptor->from;
      if (from != nullptr) AddSubject(finding.subjects, from->id);
    }
    // Whose mistake it is: that of the program that ran the other.
    bool installed = process.parent != nullptr && descriptor.birth == Birth::kInherited
                         ? IsInstalled(*process.parent, process.born.time)
                         : IsInstalled(process, first.exec.time);
    Report(installed ? Severity::kNote : severity(), std::move(finding));
  }

  std::map<uint64_t, Candidate> candidates_;  // by descriptor
  std::set<uint64_t> seen_;
  std::set<const Process*> untraced_;
  uint64_t image_ = 0;
};

REGISTER_RULE(FdExecLeak, "fd-exec-leak", Severity::kWarning,
              {"pipe-no-eof", "pipe-full-deadlock", "ipc-deadlock", "fd-leak", "socket-conn-leak"});

}  // namespace
}  // namespace ipctrace
