// process-fork-threads: fork in a process with several threads copies one thread and all the locks,
// also those that another thread holds. Until exec the child may call only what is
// async-signal-safe (signal-safety(7)).
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class ProcessForkThreads : public Rule {
 public:
  bool Watches(Op op) const override {
    switch (op) {
      case Op::kUnsafe:
      case Op::kMutexLock:
      case Op::kStreamOpen:
      case Op::kStreamReopen:
      case Op::kStreamClose:
      case Op::kStreamRead:
      case Op::kStreamWrite:
      case Op::kStreamSeek:
      case Op::kDirOpen:
      case Op::kPopen:
      case Op::kSystem:
      case Op::kThreadCreate:
      case Op::kThreadEnd:
      case Op::kThreadJoin:
      case Op::kLibrary:
      case Op::kExitBegin:
      case Op::kExitNow:
      case Op::kExec:
        return true;
      default:
        return false;
    }
  }

  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    if (child.execed || OpOf(child.born.call) != Op::kFork) return;
    size_t others = parent.threads.empty() ? 0 : parent.threads.size() - 1;
    if (auto it = created_.find(&parent); it != created_.end()) {
      others = std::max(others, it->second.size());
    }
    if (others > 0) children_[&child] = {&child, others, false};
  }

  // A thread is there when pthread_create returns, even if it has not yet done anything.
  void DidLeave(const Act& act) override {
    if (act.failed()) return;
    if (act.op == Op::kThreadCreate) {
      // It may have ended before pthread_create returned.
      if (ended_early_.erase({act.process, act.a}) == 0) created_[act.process].insert(act.a);
    } else if (act.op == Op::kThreadEnd || (act.op == Op::kThreadJoin && act.result == 0)) {
      const auto it = created_.find(act.process);
      const bool known = it != created_.end() && it->second.erase(act.a) > 0;
      if (!known && act.op == Op::kThreadEnd) ended_early_.insert({act.process, act.a});
    }
  }

  void DidEnter(const Act& act) override {
    if (children_.empty()) return;
    auto it = children_.find(act.process);
    if (it == children_.end() || it->second.told) return;
    Child& child = it->second;
    if (act.op == Op::kExitNow || act.op == Op::kExec) {
      // printf into a buffer leaves no other trace.
      for (const auto& [address, stream] : act.process->streams) {
        if (stream->pending <= stream->inherited_pending) continue;
        return Unsafe(child, absl::StrCat("printed to ", StreamName(*stream)), act.site());
      }
      return;
    }
    if (act.op == Op::kThreadEnd || act.op == Op::kThreadJoin) return;
    if (act.op == Op::kMutexLock) return;  // only if it hangs
    Unsafe(child, absl::StrCat("called ", CallName(act.call)), act.site());
  }

  void DidExec(const Process& process, const Act* act) override {
    children_.erase(&process);
    created_.erase(&process);
  }
  void WillEnd(const Process& process) override {
    created_.erase(&process);
    auto it = children_.find(&process);
    if (it == children_.end()) return;
    if (process.end == EndKind::kKilled || process.end == EndKind::kUnknown) NoteHang(it->second);
    if (it->second.hang.process == 0) children_.erase(it);
  }

  void DidDeadlock(const Deadlock& deadlock) override {
    for (const Wait& wait : deadlock.waits) {
      auto it = children_.find(wait.thread->process);
      if (wait.goal != Goal::kNever || it == children_.end() || it->second.hangs) continue;
      Child& child = it->second;
      child.hangs = true;
      child.hang = wait.act->site();
      Report(Severity::kError, Hang(child));
    }
  }

  void DidFinish() override {
    for (auto& [process, child] : children_) {
      if (process->alive()) NoteHang(child);
      if (child.hangs) continue;
      if (child.hang.process != 0 && CutShort(model())) Report(Severity::kError, Hang(child));
    }
  }

 private:
  struct Child {
    const Process* process = nullptr;
    size_t others = 0;  // threads of its parent that it does not have
    bool told = false;
    bool hangs = false;  // proved, and told
    Site hang;
    Op hang_op = Op::kNone;
  };

  // Whether its last thread is in a call that only takes a lock.
  static void NoteHang(Child& child) {
    for (const Thread* thread : child.process->threads) {
      const Act* act = thread->current();
      if (act == nullptr || (act->op != Op::kMutexLock && act->op != Op::kUnsafe)) continue;
      child.hang = act->site();
      child.hang_op = act->op;
    }
  }

  Finding Start(const Child& child) {
    Finding finding;
    finding.subjects = {SubjectOf(*child.process)};
    finding.fix =
        "let the child do nothing but exec or _exit (posix_spawn does just that), or fork "
        "before the first thread is started";
    AddSteps(finding.story,
             {StepAt(absl::StrCat("fork made ", Named(*child.process), " while ", child.others,
                                  child.others == 1 ? " other thread was" : " other threads were",
                                  " alive"),
                     child.process->born)});
    return finding;
  }

  void Unsafe(Child& child, const std::string& what, const Site& site) {
    child.told = true;
    Finding finding = Start(child);
    finding.site = child.process->born;
    finding.message = absl::StrCat(
        Named(*child.process), " ", what, ", which is not async-signal-safe, after a fork with ",
        child.others, child.others == 1 ? " other thread" : " other threads",
        " alive: had one of them held a lock of libc's just then, the child would hang");
    AddSteps(finding.story, {StepAt(absl::StrCat(Named(*child.process), " ", what), site)});
    // Nobody who reads this will mend redis, which saves its data in such a child.
    Report(IsInstalled(*child.process, child.process->born.time) ? Severity::kNote : severity(),
           std::move(finding));
  }

  Finding Hang(const Child& child) {
    Finding finding = Start(child);
    finding.site = child.hang;
    finding.message =
        absl::StrCat(Named(*child.process), " waits for a lock in ", CallName(child.hang.call),
                     " that another thread held at fork: that thread does not exist in the child, "
                     "so nobody will "
                     "ever release it");
    AddSteps(finding.story, {StepAt(absl::StrCat(Named(*child.process), " called ",
                                                 CallName(child.hang.call), " and never returned"),
                                    child.hang)});
    return finding;
  }

  // Threads (pthread_t) that were made and have not ended.
  absl::flat_hash_map<const Process*, absl::flat_hash_set<uint64_t>> created_;
  absl::flat_hash_set<std::pair<const Process*, uint64_t>> ended_early_;
  absl::flat_hash_map<const Process*, Child> children_;  // that have not called exec
};

REGISTER_RULE(ProcessForkThreads, "process-fork-threads", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
