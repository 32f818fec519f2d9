// fd-not-open: EBADF on a number that was never open in this process.
#include <errno.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class FdNotOpen : public Rule {
 public:
  bool Watches(Op op) const override {
    switch (op) {
      // Probes, and what is done to every number there is.
      case Op::kHello:
      case Op::kStreamState:
      case Op::kProbe:
      case Op::kFdFlags:
      case Op::kClose:
      case Op::kCloseRange:
      case Op::kStreamClose:
      case Op::kPclose:
      case Op::kDirClose:
        return false;
      default:
        return true;
    }
  }
  bool WatchesSuccess(Op op) const override { return false; }

  void DidLeave(const Act& act) override {
    if (act.err != EBADF) return;
    switch (act.op) {
      case Op::kDup:
        // F_DUPFD is how a shell finds out whether there is something to save.
        if (act.call == Call::dup) Check(act, act.fd);
        return;
      case Op::kDup2:
        // An installed program does with the numbers what it was told: `sh -c "ls >&7"`.
        if (!IsInstalled(*act.process, act.enter)) Check(act, act.fd);
        return;
      case Op::kTransfer:
        Check(act, act.fd);
        Check(act, static_cast<int>(act.a));
        return;
      case Op::kEpollCtl:
        Check(act, act.fd);
        Check(act, static_cast<int>(act.b));
        return;
      case Op::kPoll:
        if (act.b == 0) return;
        if (const std::string* set = act.Blob(BlobTag::kPoll)) {
          for (size_t at = 0; at + sizeof(PollEntry) <= set->size(); at += sizeof(PollEntry)) {
            PollEntry entry;
            std::memcpy(&entry, set->data() + at, sizeof(entry));
            Check(act, entry.fd);
          }
        }
        return;
      default:
        Check(act, act.fd);
    }
  }

 private:
  void Check(const Act& act, int fd) {
    // 0, 1 and 2 are missing only where whoever started the program took them away.
    if (fd < 3 || act.descriptor != nullptr) return;
    const Process& process = *act.process;
    if (process.table.contains(fd) || process.gone.contains(fd)) return;
    if (CountRepetition(act.stack)) return;

    Finding finding;
    finding.message = absl::StrCat(Named(process), " called ", CallName(act.call), " on fd ", fd,
                                   ", which was never open in this process (EBADF)");
    std::string open_now;
    for (const auto& [number, descriptor] : process.table) {
      if (number < 3) continue;
      absl::StrAppend(&open_now, open_now.empty() ? "" : ", ", number);
      if (open_now.size() > 60) break;
    }
    finding.fix =
        absl::StrCat("Pass the number that open, pipe, socket or accept returned",
                     open_now.empty() ? " (nothing but 0, 1 and 2 was open then)"
                                      : absl::StrCat(" (open were 0, 1, 2 and ", open_now, ")"));
    // Closed by the parent before the child began: the child has the number, not the descriptor.
    if (const Process* parent = process.parent; parent != nullptr && !process.execed) {
      auto it = parent->gone.find(fd);
      if (it != parent->gone.end() && it->second->died.time <= process.born.time) {
        AddSteps(finding.story, LifeOf(model(), it->second));
        finding.fix = absl::StrCat("Close fd ", fd, " in ", InWhom(*parent),
                                   " only after the fork of the child that uses it");
      }
    }
    finding.site = act.site();
    AddLineage(finding.subjects, process);
    AddSteps(finding.story,
             {StepAt(absl::StrCat(CallOf(process, act.call, fd), ", which failed with EBADF"),
                     act.site())});
    Report(std::move(finding));
  }
};

// A child that went on where its parent does has not closed and opened what the parent has.
REGISTER_RULE(FdNotOpen, "fd-not-open", Severity::kError, {"process-child-fallthrough"});

}  // namespace
}  // namespace ipctrace
