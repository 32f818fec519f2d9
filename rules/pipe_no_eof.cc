// pipe-no-eof: a reader waits for an end-of-file that a needless copy of the write end holds back.
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "analyzer/model/cycles.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class PipeNoEof : public Rule {
 public:
  bool Watches(Op op) const override { return false; }

  void DidDeadlock(const Deadlock& deadlock) override {
    for (const Cycle& cycle : CyclesOf(deadlock)) {
      if (cycle.kind == CycleKind::kNoEof && reported_.insert(cycle.at.object->id).second) {
        Tell(cycle);
      }
    }
  }

 private:
  // The clause for one holder: where it should close.
  static std::string Mend(const Wait& at, const Descriptor& copy) {
    const Process& holder = *copy.process;
    std::string what = copy.stream.lock() != nullptr
                           ? absl::StrCat("fclose the stream on fd ", copy.number)
                           : absl::StrCat("close fd ", copy.number);
    if (!copy.object()->IsPipe()) absl::StrAppend(&what, " (or shut it down with SHUT_WR)");
    if (copy.survived_exec) {
      return absl::StrCat(what, " in the child before exec (or make it close-on-exec)");
    }
    bool wrote = copy.usage.writes > 0 || copy.usage.write_bytes > 0;
    // Another thread of the reader's may have written: what one closes is closed for all.
    const bool own = &holder == at.thread->process && !(wrote && holder.threads.size() > 1);
    if (own) {
      return copy.birth == Birth::kInherited
                 ? absl::StrCat(what, " in ", InWhom(holder), ", right after fork")
                 : absl::StrCat(what, " in ", InWhom(holder), " before it begins to read");
    }
    if (copy.birth == Birth::kInherited && !wrote) return HowToClose(copy);
    std::string call;
    for (const Thread* thread : holder.threads) {
      const Act* act = thread->current();
      if (act != nullptr && thread != at.thread) call = CallName(act->call);
    }
    return absl::StrCat(
        what, " in ", InWhom(holder),
        wrote ? " when everything is written, before it calls " : " before it calls ",
        call.empty() ? "anything that waits for the reader" : call);
  }

  // What the reader has printed and not flushed, and somebody of the cycle waits to read; 0:
  // nothing. An end-of-file would make it write that out; so would a flush.
  static uint64_t HeldBack(const Cycle& cycle) {
    for (const auto& [address, stream] : cycle.at.thread->process->streams) {
      auto descriptor = stream->descriptor.lock();
      if (stream->pending == 0 || descriptor == nullptr) continue;
      for (const Wait& wait : cycle.waits) {
        if (wait.goal == Goal::kData && wait.object == descriptor->object()) return stream->pending;
      }
    }
    return 0;
  }

  void Tell(const Cycle& cycle) {
    const Wait& at = cycle.at;
    const Process& reader = *at.thread->process;
    std::vector<std::string> holders, mends;
    for (const auto& copy : at.copies) {
      bool own = copy->process == &reader;
      holders.push_back(absl::StrCat(own ? "the reader itself" : Named(*copy->process), " (fd ",
                                     copy->number, ")"));
      std::string mend = Mend(at, *copy);
      if (std::find(mends.begin(), mends.end(), mend) == mends.end()) mends.push_back(mend);
    }
    const char* end = at.object->IsPipe() ? "the write end of the pipe" : "the other end";
    Finding finding;
    finding.message = absl::StrCat(
        Named(reader), " waits in ", CallText(at), " for an end-of-file that cannot come: ", end,
        " is still open in ", Enumerate(holders), ", and nobody will close it");
    finding.fix = Enumerate(mends);
    finding.fix[0] = static_cast<char>(toupper(finding.fix[0]));
    if (uint64_t held_back = HeldBack(cycle)) {
      absl::StrAppend(&finding.fix, "; if there is more to send before that, let ", Named(reader),
                      " fflush the ", Bytes(held_back), " that it holds back");
    }
    finding.site = SiteOf(cycle);
    finding.cause_stack = at.object->born.stack;
    finding.story = StoryOf(model(), cycle);
    for (const auto& copy : at.copies) {
      std::vector<Step> held = StillHeld(model(), {copy});
      AddSteps(finding.story, std::move(held));
    }
    finding.picture = Picture(cycle.waits);
    finding.subjects = SubjectsOf(cycle);
    Report(std::move(finding));
  }

  std::set<uint64_t> reported_;  // objects
};

REGISTER_RULE(PipeNoEof, "pipe-no-eof", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
