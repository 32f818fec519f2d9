// process-zombie: a child that has ended stays in the process table, because its parent never
// waits for it.
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

constexpr Nanos kLong = 500'000'000;

// Acts in which a process goes on with its work even while it sleeps: it waits for what comes next,
// not for what hangs.
bool WaitsForWork(Op op) {
  return op == Op::kAccept || op == Op::kPoll || op == Op::kEpollWait || op == Op::kSleep ||
         op == Op::kPause;
}

class ProcessZombie : public Rule {
 public:
  bool Watches(Op op) const override { return op == Op::kWait; }
  bool WatchesEntry(Op op) const override { return false; }

  // Asked with WNOHANG, and told that none has ended yet.
  void DidLeave(const Act& act) override {
    if (act.result != 0 || act.failed() || (act.b & WNOHANG) == 0) return;
    too_early_[{act.process, static_cast<int32_t>(act.a)}] = act.site();
  }

  void WillEnd(const Process& process) override {
    if (!process.children.empty()) worked_until_[&process] = WorkedUntil(process);
    // Nobody needs to wait for it where the kernel reaps.
    const Process* parent = process.parent;
    if (parent == nullptr || !parent->traced || !parent->alive()) return;
    bool reaped_by_kernel = parent->dispositions[SIGCHLD] == Disposition::kIgnore ||
                            (parent->signal_flags[SIGCHLD] & SA_NOCLDWAIT) != 0;
    if (!reaped_by_kernel) zombies_.push_back(&process);
  }

  void DidFinish() override {
    // One cause is one fork in one parent.
    std::vector<std::vector<const Process*>> causes;
    for (const Process* child : zombies_) {
      if (child->reaped || child->end == EndKind::kUnknown || Lay(*child) < kLong) continue;
      auto same = std::find_if(causes.begin(), causes.end(), [&](const auto& each) {
        return each[0]->parent == child->parent &&
               (each[0]->born.stack == child->born.stack ||
                SamePlace(each[0]->born.stack, child->born.stack));
      });
      if (same == causes.end()) {
        causes.push_back({child});
      } else {
        same->push_back(child);
      }
    }
    for (const auto& children : causes) Report(Zombies(children));
  }

 private:
  // How long it stayed unreaped while its parent had other work.
  Nanos Lay(const Process& child) const {
    const Process& parent = *child.parent;
    if (parent.last_exec.time > child.born.time) return 0;  // a program that knows of no child
    // What it did not come to do because it hung is no mistake of its own.
    bool cut = parent.end == EndKind::kKilled ||
               (CutShort(model()) && parent.end != EndKind::kExited);
    Nanos until = parent.alive() ? model().now() : parent.ended_at;
    if (cut && parent.alive()) until = WorkedUntil(parent);
    if (cut && !parent.alive()) {
      auto it = worked_until_.find(&parent);
      if (it != worked_until_.end()) until = it->second;
    }
    return until - child.ended_at;
  }

  // Until when it was at work: now, unless all its threads hang in something.
  Nanos WorkedUntil(const Process& process) const {
    if (StillWorks(process)) return model().now();
    Nanos until = 0;
    for (const Thread* thread : process.threads) {
      until = std::max(until, thread->current()->enter);
    }
    return until;
  }

  bool StillWorks(const Process& process) const {
    return std::any_of(process.threads.begin(), process.threads.end(), [&](const Thread* thread) {
      return thread->current() == nullptr || WaitsForWork(thread->current()->op);
    });
  }

  Finding Zombies(const std::vector<const Process*>& children) {
    const Process& first = *children[0];
    const Process& parent = *first.parent;
    Nanos longest = 0;
    for (const Process* child : children) longest = std::max(longest, Lay(*child));
    Finding finding;
    finding.site = first.born;
    finding.count = static_cast<int64_t>(children.size());
    const Site* early = children.size() == 1 ? AskedTooEarly(first) : nullptr;
    finding.message = absl::StrCat(
        children.size() == 1 ? absl::StrCat("child ", Describe(first), " has ended and stays")
                             : absl::StrCat(children.size(), " children have ended and stay"),
        " a zombie: ", Describe(parent), " went on for ", Duration(longest),
        early != nullptr
            ? absl::StrCat(" and did not wait for it again after ", CallName(early->call),
                           " with WNOHANG had come too early")
            : absl::StrCat(" and never waited for ", children.size() == 1 ? "it" : "them"));
    // Of popen's command the program does not know the pid, and a handler would take it from
    // pclose.
    finding.fix =
        OpOf(first.born.call) == Op::kPopen
            ? "call pclose on the stream that popen returned, in place of fclose: it waits for the "
              "command"
            : "call waitpid(-1, NULL, WNOHANG) in a loop in a handler for SIGCHLD (with "
              "SA_RESTART), or signal(SIGCHLD, SIG_IGN) before fork if no status is wanted";
    if (early != nullptr) {
      finding.fix =
          "call waitpid again, without WNOHANG, when there is nothing else left to do; or ask now "
          "and then until it returns the child's pid";
      AddSteps(finding.story,
               {StepAt(absl::StrCat(Describe(parent), " called ", CallName(early->call),
                                    " with WNOHANG, before the child had ended"),
                       *early)});
    }
    for (const Process* child : children)
      AddSubject(finding.subjects, SubjectOf(*child));
    for (size_t i = 0; i < children.size() && i < 3; ++i) {
      const Process& child = *children[i];
      AddSteps(finding.story, {StepAt(absl::StrCat(Describe(parent), " made ", Named(child), " (",
                                                   CallName(child.born.call), ")"),
                                      child.born)});
      Site ended;
      ended.process = child.id;
      ended.pid = ended.tid = child.pid;
      ended.time = child.ended_at;
      AddSteps(finding.story, {StepAt(absl::StrCat(Named(child), " ended",
                                                   child.end == EndKind::kExited
                                                       ? absl::StrCat(" with status ", child.status)
                                                       : absl::StrCat(" by signal ", child.status),
                                                   " and became a zombie"),
                                      ended)});
    }
    if (!parent.alive()) {
      Site ended;
      ended.process = parent.id;
      ended.pid = ended.tid = parent.pid;
      ended.time = parent.ended_at;
      AddSteps(finding.story, {StepAt(absl::StrCat(Describe(parent), " ended without a wait",
                                                   early != nullptr ? " for it" : ""),
                                      ended)});
    }
    return finding;
  }

  // The last call that would have reaped the child had it ended by then. Null: there was none.
  const Site* AskedTooEarly(const Process& child) const {
    const Site* last = nullptr;
    for (int32_t asked : {child.pid, int32_t{-1}}) {
      auto it = too_early_.find({child.parent, asked});
      if (it == too_early_.end() || it->second.time < child.born.time) continue;
      if (last == nullptr || it->second.time > last->time) last = &it->second;
    }
    return last;
  }

  // By the process and the pid that it asked for: its last call.
  absl::flat_hash_map<std::pair<const Process*, int32_t>, Site> too_early_;
  std::vector<const Process*> zombies_;                      // at some time
  absl::flat_hash_map<const Process*, Nanos> worked_until_;  // of parents that have ended
};

REGISTER_RULE(ProcessZombie, "process-zombie", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
