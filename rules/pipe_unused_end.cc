// pipe-unused-end: a process keeps a pipe end that it never uses until it exits.
//
// What counts is the whole life of a pipe: who used which end. So every descriptor of a pipe is
// kept until all of them are gone, and judged then.
#include <sys/socket.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class PipeUnusedEnd : public Rule {
 public:
  // What a process does that stays; one that only forks and exits is no holder to speak of.
  bool Watches(Op op) const override {
    return op == Op::kWait || op == Op::kSleep || op == Op::kPause || op == Op::kThreadJoin ||
           IsExit(op);
  }
  void DidEnter(const Act& act) override {
    if (IsExit(act.op)) {
      left_.try_emplace(act.process, act.stack);
    } else {
      busy_.insert(act.process);
    }
  }

  void DidOpen(const std::shared_ptr<Descriptor>& descriptor, const Act& act) override {
    if (Concerns(*descriptor->object())) Keep(descriptor);
  }

  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    for (const auto& [fd, descriptor] : child.table) {
      if (Concerns(*descriptor->object())) Keep(descriptor);
    }
  }

  void WillEnd(const Process& process) override {
    auto used = [](const auto& entry) { return Used(*entry.second); };
    if (std::any_of(process.table.begin(), process.table.end(), used) ||
        std::any_of(process.gone.begin(), process.gone.end(), used)) {
      busy_.insert(&process);
    }
  }

  void DidFinish() override {
    for (auto& [id, channel] : channels_) Judge(channel);
  }

 private:
  struct Channel {
    std::vector<std::shared_ptr<Descriptor>> ends;
  };
  struct Order {
    bool operator()(const Process* a, const Process* b) const { return a->id < b->id; }
  };
  // Which sides of a channel a descriptor is: to read from and to write to; of a socket pair, the
  // one socket and the other.
  enum Side : unsigned { kFirst = 1, kSecond = 2 };

  static bool IsExit(Op op) { return op == Op::kExitBegin || op == Op::kExitNow; }

  static bool Concerns(const Object& object) {
    if (object.IsPipe()) return !object.outside;
    return object.kind == ObjectKind::kSocket && object.socket.domain == AF_UNIX &&
           !object.socket.accepted && object.socket.other_end.lock() != nullptr &&
           object.socket.peer.empty() && object.socket.local.empty();
  }

  static bool Used(const Descriptor& descriptor) {
    const Usage& usage = descriptor.usage;
    return usage.Used() || usage.read_bytes > 0 || usage.write_bytes > 0;
  }

  static unsigned SideOf(const Descriptor& descriptor) {
    const Object& object = *descriptor.object();
    if (!object.IsPipe()) {
      auto other = object.socket.other_end.lock();
      return other == nullptr || object.id < other->id ? kFirst : kSecond;
    }
    unsigned first = kFirst, second = kSecond;
    return (descriptor.description->readable() ? first : 0) |
           (descriptor.description->writable() ? second : 0);
  }

  void Keep(const std::shared_ptr<Descriptor>& descriptor) {
    const Object& object = *descriptor->object();
    uint64_t key = object.id;
    if (!object.IsPipe()) {
      if (auto other = object.socket.other_end.lock()) key = std::min(key, other->id);
    }
    channels_[key].ends.push_back(descriptor);
    if (channels_.size() > kManyChannels && channels_.size() > 2 * judged_at_) JudgeFinished();
  }

  // A long run must not keep every pipe of its past.
  void JudgeFinished() {
    std::erase_if(channels_, [&](auto& entry) {
      auto& ends = entry.second.ends;
      if (std::any_of(ends.begin(), ends.end(), [](const auto& end) { return end->alive(); })) {
        return false;
      }
      Judge(entry.second);
      return true;
    });
    judged_at_ = channels_.size();
  }

  void Judge(const Channel& channel) {
    bool pipe = channel.ends[0]->object()->IsPipe();
    std::map<const Process*, unsigned, Order> used, kept;
    std::map<const Process*, std::vector<std::shared_ptr<Descriptor>>, Order> kept_ends;
    for (const auto& end : channel.ends) {
      if (!end->process->traced) return;  // nobody saw what it did with its ends
      if (Used(*end)) used[end->process] |= SideOf(*end);
    }
    for (const auto& end : channel.ends) {
      const Process& process = *end->process;
      if (end->death != Death::kExit || process.end != EndKind::kExited) continue;
      if (end->survived_exec || end->number < 3 || Used(*end)) continue;
      if (end->birth == Birth::kFound || end->birth == Birth::kReceived || FromOutside(*end))
        continue;
      // One's own open of a FIFO is meant: a server's dummy writer, so that it sees no end-of-file.
      if (end->object()->kind == ObjectKind::kFifo && end->birth == Birth::kOpened) continue;
      if ((used[&process] & SideOf(*end)) != 0) continue;  // by another number
      if (IsHandedOn(channel, *end) || IsForAll(channel, *end)) continue;
      kept[&process] |= SideOf(*end);
      kept_ends[&process].push_back(end);
    }
    // Between processes only: the two sides are used by different ones.
    for (const auto& [process, sides] : kept) {
      bool matters = false;
      for (const auto& [first, its_sides] : used) {
        for (const auto& [second, other_sides] : used) {
          matters |= first != second && (its_sides & kFirst) != 0 && (other_sides & kSecond) != 0;
        }
      }
      if (!matters || !busy_.contains(process)) continue;
      unsigned own = used[process];
      if (own == (kFirst | kSecond)) continue;
      if (!pipe) {
        // A socket pair's other end in a process that uses one: it will not see its peer hang up.
        bool other_uses =
            std::any_of(used.begin(), used.end(), [&, process = process](const auto& each) {
              return each.first != process && (each.second & kept[process]) != 0;
            });
        if (own == 0 || !other_uses) continue;
      }
      Tell(channel, *process, own, kept_ends[process], pipe);
    }
  }

  // A write end kept to be given to children that are still to come.
  static bool IsHandedOn(const Channel& channel, const Descriptor& end) {
    const Process& process = *end.process;
    Nanos first_use = -1;
    for (const auto& other : channel.ends) {
      if (other->process == &process && other->usage.first &&
          (first_use < 0 || other->usage.first->time < first_use)) {
        first_use = other->usage.first->time;
      }
    }
    return std::any_of(channel.ends.begin(), channel.ends.end(), [&](const auto& other) {
      return other->from.get() == &end && other->birth == Birth::kInherited && Used(*other) &&
             first_use >= 0 && other->process->born.time > first_use;
    });
  }

  // What several that were forked at the same place used was given to them all for use. This one
  // had no occasion: nothing to log, say. So it is where a single one of them used it, if that one
  // did on other channels whatever this one did, and this one has no other part in the pipe.
  bool IsForAll(const Channel& channel, const Descriptor& end) {
    if (end.birth != Birth::kInherited) return false;
    std::set<const Process*> users;
    for (const auto& other : channel.ends) {
      const Process& sibling = *other->process;
      if (&sibling == end.process || sibling.parent != end.process->parent) continue;
      if (!Used(*other) || (SideOf(*other) & SideOf(end)) == 0) continue;
      if (DoTheSame(sibling, *end.process)) users.insert(&sibling);
    }
    if (users.size() != 1) return users.size() > 1;
    return DoesNoMore(*end.process, **users.begin());
  }

  // Whether `other` used each side of a channel that `process` used.
  bool DoesNoMore(const Process& process, const Process& other) const {
    return std::all_of(channels_.begin(), channels_.end(), [&](const auto& entry) {
      unsigned its = 0, others = 0;
      for (const auto& end : entry.second.ends) {
        if (!Used(*end)) continue;
        if (end->process == &process) its |= SideOf(*end);
        if (end->process == &other) others |= SideOf(*end);
      }
      return (its & ~others) == 0;
    });
  }

  // Whether two children were forked for the same work: by the same line. Where that cannot be
  // told, those that also leave by the same call pass for it.
  bool DoTheSame(const Process& a, const Process& b) {
    if (SamePlace(a.born.stack, b.born.stack)) return true;
    if (!MayBeSamePlace(a.born.stack, b.born.stack)) return false;
    auto left_a = left_.find(&a), left_b = left_.find(&b);
    return left_a != left_.end() && left_b != left_.end() &&
           SamePlace(left_a->second, left_b->second);
  }

  // Whether the process had used the pipe for the last time by then.
  static bool WasDone(const Channel& channel, const Descriptor& its, Nanos when) {
    bool used = false;
    for (const auto& end : channel.ends) {
      if (end->process != its.process || !end->usage.last) continue;
      if (end->usage.last->time > when) return false;
      used = true;
    }
    return used;
  }

  void Tell(const Channel& channel, const Process& process, unsigned own,
            const std::vector<std::shared_ptr<Descriptor>>& kept, bool pipe) {
    // Where it should have been closed: after the fork by which it got it, or after the last by
    // which it gave it away.
    const Descriptor& first = *kept[0];
    Site site = WhereToClose(first);
    bool inherited = first.birth == Birth::kInherited;
    if (!inherited) {
      for (const auto& end : channel.ends) {
        if (end->birth == Birth::kInherited && end->process->born.process == process.id &&
            end->process->born.stack != 0) {
          site = end->process->born;
        }
      }
    }
    uint32_t cause = first.object()->born.stack;

    std::vector<std::string> names, numbers;
    for (const auto& end : kept) {
      names.push_back(
          absl::StrCat(pipe ? absl::StrCat("the ", EndWord(*end->description)) : "the end", " fd ",
                       end->number));
      numbers.push_back(absl::StrCat("fd ", end->number));
    }
    unsigned sides = 0;
    for (const auto& end : kept) sides |= SideOf(*end);
    const char* harm =
        !pipe              ? "so it will never see the other side hang up"
        : own == kFirst    ? "so it will never see end-of-file when the writers are gone"
        : own == kSecond   ? "so it will get no SIGPIPE when the readers are gone, but block"
        : sides == kFirst  ? "so the writers would not learn that the readers are gone"
        : sides == kSecond ? "so the readers cannot see end-of-file while it lives"
                           : "so the others see neither end-of-file nor SIGPIPE while it lives";
    Finding finding;
    finding.message = absl::StrCat(
        Named(process), " kept ", Enumerate(names), " of a ", pipe ? "pipe" : "socket pair",
        " open until it exited and never used ", kept.size() > 1 ? "them" : "it", ", ", harm);
    finding.fix = absl::StrCat(
        "Close ", Enumerate(numbers), " in ", InWhom(process),
        inherited ? ", right after fork" : ", after the fork of the child that uses it");
    finding.site = site;
    finding.cause_stack = cause;
    for (const auto& end : kept) AddSteps(finding.story, LifeOf(model(), end));
    for (const auto& end : channel.ends) {
      if (!Used(*end)) continue;
      AddSteps(finding.story, {StepAt(absl::StrCat(Named(*end->process), " used ", FdAndEnd(*end)),
                                      end->usage.first ? *end->usage.first : end->born)});
      if (finding.story.size() > kLongStory) break;
    }
    for (const auto& end : kept) {
      for (uint64_t id : SubjectsOf(*end)) AddSubject(finding.subjects, id);
      // Where the parent was done with the pipe before it forked, its not closing it is the cause.
      if (inherited && end->from != nullptr && WasDone(channel, *end->from, process.born.time)) {
        AddSubject(finding.subjects, end->from->id);
      }
    }
    Report(IsInstalled(process, process.ended_at) ? Severity::kNote : severity(),
           std::move(finding));
  }

  static constexpr size_t kManyChannels = 256;
  static constexpr size_t kLongStory = 16;

  std::map<uint64_t, Channel> channels_;
  size_t judged_at_ = 0;
  std::set<const Process*> busy_;            // did something but fork and exit
  std::map<const Process*, uint32_t> left_;  // by which call: its stack
};

REGISTER_RULE(PipeUnusedEnd, "pipe-unused-end", Severity::kWarning,
              {"pipe-no-eof", "pipe-full-deadlock", "ipc-deadlock", "pipe-wrong-end", "fd-leak"});

}  // namespace
}  // namespace ipctrace
