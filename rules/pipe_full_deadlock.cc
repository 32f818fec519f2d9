// pipe-full-deadlock: a writer blocks on a full pipe that nobody will ever drain.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
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
    Finding finding;
    std::string full = absl::StrCat(Named(writer), " blocks in ", CallText(at), ": ",
                                    Describe(*at.object), " is full");
    std::string number = end != nullptr ? FdName(*end) : "the other end";
    if (other != nullptr) {
      TellOfReader(cycle, *other, full, number, &finding);
    } else {
      TellOfThreads(cycle, full, number, &finding);
    }
    finding.site = SiteOf(cycle);
    finding.cause_stack = at.object->born.stack;
    finding.story = StoryOf(model(), cycle);
    finding.picture = Picture(cycle.waits);
    finding.subjects = SubjectsOf(cycle);
    Report(std::move(finding));
  }

  static bool IsFor(const Wait& wait, const Process& process) {
    return std::find(wait.holders.begin(), wait.holders.end(), &process) != wait.holders.end();
  }

  // Another process has the end to read from, and waits.
  static void TellOfReader(const Cycle& cycle, const Process& reader, const std::string& full,
                           const std::string& number, Finding* finding) {
    const Process& writer = *cycle.at.thread->process;
    // What it does instead. Rather a wait for the writer than what its other threads do.
    const Wait* excuse = nullptr;
    for (const Wait& wait : cycle.waits) {
      if (wait.thread->process != &reader) continue;
      auto rank = [&](const Wait& each) {
        return each.goal == Goal::kWakeUp                      ? 0
               : each.joins != nullptr || !IsFor(each, writer) ? 1
                                                               : 2;
      };
      if (excuse == nullptr || rank(wait) > rank(*excuse)) excuse = &wait;
    }
    const bool locked = excuse != nullptr && excuse->goal == Goal::kWakeUp;
    finding->message = absl::StrCat(
        full, ", and ", Named(reader), ", which should read it, waits",
        excuse == nullptr ? "" : absl::StrCat(locked ? " at " : " in ", CallText(*excuse)),
        excuse == nullptr || IsFor(*excuse, writer) ? " for the writer" : "");
    const bool wants_another =
        excuse != nullptr && excuse->goal == Goal::kData && IsFor(*excuse, writer);
    if (wants_another && WaitsForSeveral(*excuse)) {
      finding->fix =
          absl::StrCat("In ", InWhom(reader), ", let ", CallName(excuse->act->call), " watch ",
                       number, " too, and read from it whenever it has something");
    } else if (wants_another && excuse->act->fd >= 0) {
      // To read this one first would only turn the hang round.
      finding->fix = absl::StrCat(
          "In ", InWhom(reader), ", wait with poll for fd ", excuse->act->fd, " and ", number,
          ", and read whichever has something; or read ", number, " in a thread of its own");
    } else if (locked) {
      finding->fix = absl::StrCat("Let ", InWhom(reader), " read ", number,
                                  " while the writer writes: nothing that it sleeps for (a lock, a "
                                  "semaphore) may wait until all is written");
    } else {
      const std::string call = excuse != nullptr ? CallName(excuse->act->call) : "wait";
      const std::string kept = KeptEnd(*cycle.at.object, reader);
      finding->fix = kept.empty()
                         ? absl::StrCat("Read ", number, " to its end in ", InWhom(reader),
                                        " before it calls ", call)
                         : absl::StrCat("In ", InWhom(reader), ", close ", kept, ", and then read ",
                                        number, " to its end before it calls ", call);
    }
  }

  static bool WaitsForSeveral(const Wait& wait) {
    return wait.act->op == Op::kPoll || wait.act->op == Op::kEpollWait;
  }

  // The write end that the reader has itself: while it is open there is no end to read to.
  static std::string KeptEnd(const Object& object, const Process& reader) {
    for (const auto& [fd, each] : reader.table) {
      const Description& end = *each->description;
      if (end.object.get() == &object && object.IsPipe() && end.writable() && !end.readable()) {
        return FdAndEnd(*each);
      }
    }
    return "";
  }

  // Only the writer's own process could read.
  static void TellOfThreads(const Cycle& cycle, const std::string& full, const std::string& number,
                            Finding* finding) {
    const Thread* writer = cycle.at.thread;
    const Wait* joins = nullptr;   // another of its threads waits for the end of one
    const Wait* asleep = nullptr;  // or at a lock
    for (const Wait& wait : cycle.waits) {
      if (wait.thread == writer || wait.thread->process != writer->process) continue;
      if (wait.joins != nullptr && (joins == nullptr || wait.joins == writer)) joins = &wait;
      if (wait.goal == Goal::kWakeUp && asleep == nullptr) asleep = &wait;
    }
    if (joins == nullptr && asleep == nullptr) {
      finding->message = absl::StrCat(full, ", and only the writer itself could read from it");
      finding->fix = absl::StrCat("Read from ", number,
                                  " in another process or thread while this one writes, or read "
                                  "before it is full (a pipe holds 64 KiB)");
      return;
    }
    std::vector<std::string> waits;
    for (const Wait* wait : {joins, asleep}) {
      if (wait == nullptr) continue;
      const std::string text = WaitText(*wait);
      waits.emplace_back(absl::StripPrefix(text, Named(*writer->process) + " "));
    }
    finding->message =
        absl::StrCat(full, ", and whoever could read from it waits: ", Enumerate(waits));
    if (asleep != nullptr) {
      finding->fix =
          absl::StrCat("Let another thread read from ", number,
                       " while this one writes: hold no mutex that the reader needs, and "
                       "wake it before the first write");
      return;
    }
    finding->fix = absl::StrCat("Read from ", number, " while this thread writes: before ",
                                CallName(joins->act->call), ", or in a thread of its own");
  }

  std::set<uint64_t> reported_;  // objects
};

REGISTER_RULE(PipeFullDeadlock, "pipe-full-deadlock", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
