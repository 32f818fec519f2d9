// fd-leak: descriptors from one call site pile up.
//
// What is open when a process ends is grouped by the place that opened it. A pile is three or more
// of which each was used for the last time before the next was opened: nobody had a use for them
// any more, and they were kept. What two calls of one pipe() or socketpair() gave counts once.
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class FdLeak : public Rule {
 public:
  bool Watches(Op op) const override { return false; }

  // A pipe's other end may be closed by now; what it was used for counts all the same.
  void WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how,
                 const Act& act) override {
    const Object& object = *descriptor->object();
    bool half = object.IsPipe() || (object.kind == ObjectKind::kSocket &&
                                    OpOf(descriptor->born.call) == Op::kSocketpair);
    if (!half || descriptor->birth != Birth::kOpened) return;
    Half key{descriptor->process_id, descriptor->born.tid, descriptor->born.time};
    bool other_is_open =
        std::any_of(act.process->table.begin(), act.process->table.end(), [&](const auto& entry) {
          const Descriptor& each = *entry.second;
          return &each != descriptor.get() && each.born.time == descriptor->born.time &&
                 each.born.tid == descriptor->born.tid;
        });
    if (!other_is_open) {
      closed_half_.erase(key);
    } else if (descriptor->usage.last) {
      Nanos& last = closed_half_[key];
      last = std::max(last, descriptor->usage.last->time);
    }
  }

  void WillEnd(const Process& process) override { Look(process); }

  void DidFinish() override {
    for (Verdict& verdict : verdicts_) {
      // Ended in the middle of a hang, it had no chance to close what it still meant to.
      if (verdict.killed && model().finish_reason() == FinishReason::kDeadlock) continue;
      Report(verdict.severity, std::move(verdict.finding));
    }
  }

 private:
  static constexpr size_t kPile = 3;
  static constexpr size_t kUnusedPile = 8;
  static constexpr size_t kShownSteps = 6;

  // What one call opened.
  struct Unit {
    std::vector<std::shared_ptr<Descriptor>> ends;
    Nanos born = 0;
    Nanos last_use = -1;  // -1: never
    const Object* object = nullptr;
  };
  struct Group {
    uint32_t stack = 0;
    std::vector<Unit> units;  // in order of birth
  };

  static bool WasOpened(const Descriptor& descriptor) {
    switch (descriptor.birth) {
      case Birth::kOpened:
      case Birth::kReceived:
        return true;
      case Birth::kDuplicated:
        // dup2 puts a descriptor where it is wanted; dup and F_DUPFD make new ones.
        return OpOf(descriptor.born.call) == Op::kDup;
      case Birth::kInherited:
      case Birth::kFound:
        break;
    }
    return false;
  }

  // Kept for good reason, whatever it was last used for.
  static bool HasReason(const Descriptor& descriptor) {
    const Object& object = *descriptor.object();
    // A lock is held by keeping the file open.
    for (const FileLock& lock : object.locks) {
      if (lock.owner == (lock.by_process ? descriptor.process_id : descriptor.description->id))
        return true;
    }
    switch (object.kind) {
      case ObjectKind::kSocket: {
        const SocketInfo& socket = object.socket;
        if (!socket.stream()) return socket.state == SocketState::kBound;
        if (socket.state == SocketState::kListening || socket.state == SocketState::kBound)
          return true;
        // A connection whose peer is still there may go on at any time.
        auto other = socket.other_end.lock();
        return other != nullptr &&
               std::any_of(other->descriptions.begin(), other->descriptions.end(),
                           [&](const Description* end) {
                             return !end->holders.empty() && !AllIn(*end, *descriptor.process);
                           });
      }
      case ObjectKind::kTerminal:
      case ObjectKind::kEpoll:
        return true;
      default:
        return false;
    }
  }

  static bool AllIn(const Description& end, const Process& process) {
    return std::all_of(end.holders.begin(), end.holders.end(),
                       [&](const Descriptor* holder) { return holder->process == &process; });
  }

  void Look(const Process& process) {
    if (!process.traced) return;
    std::vector<const Object*> watched;  // by a live epoll set
    for (const auto& [fd, descriptor] : process.table) {
      for (const auto& [number, entry] : descriptor->object()->interest) {
        if (auto description = entry.first.lock()) watched.push_back(description->object.get());
      }
    }
    std::vector<Group> groups, kept;
    for (const auto& [fd, descriptor] : process.table) {
      if (!WasOpened(*descriptor) || descriptor->survived_exec || descriptor->born.stack == 0)
        continue;
      // Handed on, to a program that was started with it. But a dup that was only put back in its
      // old place (dup2) has done its work.
      if (descriptor->usage.passed > 0 && !descriptor->usage.Used() && !descriptor->usage.sent &&
          descriptor->birth != Birth::kDuplicated) {
        continue;
      }
      const Object* object = descriptor->object().get();
      if (std::find(watched.begin(), watched.end(), object) != watched.end()) continue;
      Add(GroupOf(HasReason(*descriptor) ? kept : groups, descriptor->born.stack), descriptor);
    }
    for (Group& group : groups) Judge(process, group);
    for (const Group& group : kept) Mention(process, group.units);
  }

  Group& GroupOf(std::vector<Group>& groups, uint32_t stack) {
    for (Group& group : groups) {
      if (group.stack == stack) return group;
    }
    for (Group& group : groups) {
      if (SamePlace(group.stack, stack)) return group;
    }
    groups.push_back({stack, {}});
    return groups.back();
  }

  void Add(Group& group, const std::shared_ptr<Descriptor>& descriptor) {
    Nanos last = -1;
    if (descriptor->usage.last) last = descriptor->usage.last->time;
    if (descriptor->usage.sent) last = std::max(last, descriptor->usage.sent->time);
    // What is read from a directory's stream leaves no trace.
    if (descriptor->object()->kind == ObjectKind::kDirectory)
      last = std::max(last, descriptor->born.time);
    for (Unit& unit : group.units) {
      if (unit.born == descriptor->born.time && unit.ends[0]->born.tid == descriptor->born.tid) {
        unit.ends.push_back(descriptor);
        unit.last_use = std::max(unit.last_use, last);
        return;
      }
    }
    Unit unit;
    unit.ends = {descriptor};
    unit.born = descriptor->born.time;
    unit.last_use = last;
    unit.object = descriptor->object().get();
    auto half = closed_half_.find({descriptor->process_id, descriptor->born.tid, unit.born});
    if (half != closed_half_.end()) unit.last_use = std::max(unit.last_use, half->second);
    group.units.push_back(std::move(unit));
  }

  void Judge(const Process& process, Group& group) {
    auto& units = group.units;
    std::sort(units.begin(), units.end(),
              [](const Unit& a, const Unit& b) { return a.born < b.born; });
    // Of each, whether it was done with before the next came.
    std::vector<const Unit*> pile;
    size_t unused = 0, same_object = 0;
    for (size_t i = 0; i < units.size(); ++i) {
      bool last = i + 1 == units.size();
      if (!last && units[i].last_use >= units[i + 1].born) continue;
      pile.push_back(&units[i]);
      if (units[i].last_use < 0) ++unused;
      if (units[i].object == units[0].object) ++same_object;
    }
    // Most must be so: where only some are, it is a cache.
    bool piles_up = pile.size() >= kPile && pile.size() * 5 >= units.size() * 4;
    // What was opened and not used yet may be for later: three log files. Not so the same one
    // again and again, or a great many.
    if (unused + 1 >= pile.size() && same_object < kPile && pile.size() < kUnusedPile)
      piles_up = false;
    if (piles_up) {
      Tell(process, pile);
    } else {
      Mention(process, units);
    }
  }

  void Tell(const Process& process, const std::vector<const Unit*>& pile) {
    const Descriptor& first = *pile[0]->ends[0];
    std::string call = OpenerOf(first);
    Finding finding;
    finding.message = absl::StrCat(
        Named(process), " left ", pile.size(), " descriptors open that ", call,
        " made at one place: each was done with before the next was opened, and none was closed");
    std::string what = pile[0]->ends.size() > 1 ? "both ends"
                       : first.object()->IsPipe()
                           ? absl::StrCat("the ", EndWord(*first.description))
                           : std::string("it");
    finding.fix = absl::StrCat(HowToLetGo(first, what),
                               " each time round, on every way out, before the next one is opened");
    finding.site = first.born;
    Nanos begin = pile.front()->born;
    for (size_t i = 0; i < pile.size(); ++i) {
      const Descriptor& end = *pile[i]->ends[0];
      if (i < kShownSteps || i + 1 == pile.size()) {
        AddSteps(finding.story,
                 {StepAt(absl::StrCat(BirthStep(model(), end).message, " (", i + 1, " open)"),
                         end.born)});
      }
      for (const auto& each : pile[i]->ends) AddSubject(finding.subjects, each->id);
    }
    finding.picture = Chart(pile, begin);
    Severity level = IsInstalled(process, process.ended_at) ? Severity::kNote : severity();
    verdicts_.push_back({level, process.end != EndKind::kExited, std::move(finding)});
  }

  // libstdc++ opens its file streams by fopen64: they are not told from those of a program that
  // was compiled for large files.
  static bool MayBeCppStream(const Descriptor& first) { return first.born.call == Call::fopen64; }

  static std::string OpenerOf(const Descriptor& first) {
    return absl::StrCat(CallName(first.born.call),
                        MayBeCppStream(first) ? " (or a C++ file stream)" : "");
  }

  static std::string HowToLetGo(const Descriptor& first, const std::string& what) {
    if (OpOf(first.born.call) == Op::kPopen) return "Call pclose";
    if (OpOf(first.born.call) == Op::kDirOpen) return "Call closedir";
    if (first.stream.lock() == nullptr) return absl::StrCat("Close ", what);
    return MayBeCppStream(first) ? "Call fclose (a C++ stream: close(), or let it be destroyed)"
                                 : "Call fclose";
  }

  // How many were open, over time.
  static std::vector<std::string> Chart(const std::vector<const Unit*>& pile, Nanos begin) {
    constexpr size_t kRows = 6;
    std::vector<std::string> rows;
    size_t step = std::max<size_t>(1, (pile.size() + kRows - 1) / kRows);
    for (size_t i = step - 1; i < pile.size(); i += step) {
      std::string count = absl::StrCat(i + 1);
      count.insert(0, count.size() < 6 ? 6 - count.size() : 0, ' ');
      std::string bar;
      for (size_t j = 0; j <= (i * 30) / pile.size(); ++j) bar += "█";
      rows.push_back(
          absl::StrCat(count, " open after ", (pile[i]->born - begin) / 1000000, " ms  ", bar));
    }
    return rows;
  }

  // Pipe ends and connections in use are left to exit by many.
  static bool IsMentioned(const Object& object) {
    switch (object.kind) {
      case ObjectKind::kFile:
      case ObjectKind::kDevice:
      case ObjectKind::kDirectory:
      case ObjectKind::kFifo:
        return true;
      case ObjectKind::kSocket:
        return object.socket.state == SocketState::kListening;
      default:
        return false;
    }
  }

  // One line of advice for what else a program leaves open. Close-on-exec is the mark of an author
  // who thought of its descriptors' lives.
  void Mention(const Process& process, const std::vector<Unit>& units) {
    const Descriptor& first = *units[0].ends[0];
    if (process.end != EndKind::kExited || !IsMentioned(*first.object())) return;
    if (process.execed || first.close_on_exec || IsInstalled(process, process.ended_at)) return;
    if (first.birth != Birth::kOpened) return;
    // Nobody closes stdin, stdout and stderr, whatever was put there.
    if (first.number <= 2) return;
    Finding finding;
    finding.message = absl::StrCat(Named(process), " ended with ", FdAndEnd(first), ", still open");
    finding.fix = absl::StrCat(HowToLetGo(first, "it"),
                               " when it is done with; the end of the process closed it");
    finding.site = first.born;
    finding.story = {BirthStep(model(), first)};
    for (const Unit& unit : units) {
      for (const auto& each : unit.ends) AddSubject(finding.subjects, each->id);
    }
    finding.count = static_cast<int64_t>(units.size());
    verdicts_.push_back({Severity::kNote, false, std::move(finding)});
  }

  struct Verdict {
    Severity severity;
    bool killed;
    Finding finding;
  };
  using Half = std::tuple<uint32_t, int32_t, Nanos>;  // process, and the call that opened both
  std::map<Half, Nanos> closed_half_;                 // last use of a closed one
  std::vector<Verdict> verdicts_;
};

REGISTER_RULE(FdLeak, "fd-leak", Severity::kWarning, {"socket-conn-leak"});

}  // namespace
}  // namespace ipctrace
