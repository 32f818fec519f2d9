// process-zombie: a child that has ended stays in the process table, because its parent never
// waits for it.
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
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
  bool Watches(Op op) const override { return false; }

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
    finding.message = absl::StrCat(
        children.size() == 1 ? absl::StrCat("child ", Describe(first), " has ended and stays")
                             : absl::StrCat(children.size(), " children have ended and stay"),
        " a zombie: ", Describe(parent), " went on for ", Duration(longest),
        " and never waited for ", children.size() == 1 ? "it" : "them");
    finding.fix =
        "call waitpid(-1, NULL, WNOHANG) in a loop in a handler for SIGCHLD (with SA_RESTART), or "
        "signal(SIGCHLD, SIG_IGN) before fork if no status is wanted";
    for (const Process* child : children)
      AddSubject(finding.subjects, (uint64_t{1} << 63) | child->id);
    for (size_t i = 0; i < children.size() && i < 3; ++i) {
      const Process& child = *children[i];
      AddSteps(finding.story, {StepAt(absl::StrCat(Describe(parent), " made ", Named(child), " (",
                                                   NameOf(child.born.call), ")"),
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
      AddSteps(finding.story,
               {StepAt(absl::StrCat(Describe(parent), " ended without a wait"), ended)});
    }
    return finding;
  }

  std::vector<const Process*> zombies_;                      // at some time
  absl::flat_hash_map<const Process*, Nanos> worked_until_;  // of parents that have ended
};

REGISTER_RULE(ProcessZombie, "process-zombie", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
