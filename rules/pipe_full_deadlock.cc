// pipe-full-deadlock: a writer blocks on a full pipe that nobody will ever drain.
#include <set>

#include "absl/strings/str_cat.h"
#include "analyzer/model/cycles.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class PipeFullDeadlock : public Rule {
 public:
  bool Watches(Op op) const override { return false; }

  void DidDeadlock(const Deadlock& deadlock) override {
    for (const Cycle& cycle : CyclesOf(deadlock)) {
      if (cycle.kind == CycleKind::kFullPipe && reported_.insert(cycle.at.object->id).second) {
        Tell(cycle);
      }
    }
  }

 private:
  void Tell(const Cycle& cycle) {
    const Wait& at = cycle.at;
    const Process& writer = *at.thread->process;
    const Process* other = nullptr;  // who should read
    const Descriptor* end = nullptr;
    for (const auto& copy : at.copies) {
      if (copy == nullptr) continue;
      if (end == nullptr) end = copy.get();
      if (copy->process != &writer) {
        other = copy->process;
        end = copy.get();
        break;
      }
    }
    const Wait* excuse = nullptr;  // what that one does instead
    for (const Wait& wait : cycle.waits) {
      if (other != nullptr && wait.thread->process == other) excuse = &wait;
    }
    Finding finding;
    std::string full = absl::StrCat(Named(writer), " blocks in ", CallText(at), ": ",
                                    Describe(*at.object), " is full");
    std::string number = end != nullptr ? absl::StrCat("fd ", end->number) : "the other end";
    if (other == nullptr) {
      finding.message = absl::StrCat(full, ", and only the writer itself could read from it");
      finding.fix = absl::StrCat("Read from ", number,
                                 " in another process or thread while this one writes, or read "
                                 "before the pipe is full (it holds 64 KiB)");
    } else {
      finding.message = absl::StrCat(
          full, ", and ", Named(*other), ", which should read it, waits ",
          excuse != nullptr ? absl::StrCat("in ", CallText(*excuse)) : "", " for the writer");
      finding.fix =
          absl::StrCat("Read ", number, " to its end in ", InWhom(*other), " before it calls ",
                       excuse != nullptr ? CallName(excuse->act->call) : "wait");
    }
    finding.site = SiteOf(cycle);
    finding.cause_stack = at.object->born.stack;
    finding.story = StoryOf(model(), cycle);
    finding.picture = Picture(cycle.waits);
    finding.subjects = SubjectsOf(cycle);
    Report(std::move(finding));
  }

  std::set<uint64_t> reported_;  // objects
};

REGISTER_RULE(PipeFullDeadlock, "pipe-full-deadlock", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
