// pipe-broken: a write after the last reader was gone.
#include <errno.h>
#include <signal.h>

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class PipeBroken : public Rule {
 public:
  bool Watches(Op op) const override { return IsWrite(op) || op == Op::kAccept || op == Op::kExit; }
  bool WatchesEntry(Op op) const override { return op == Op::kExit; }
  bool WatchesSuccess(Op op) const override { return op == Op::kAccept; }

  // What exit writes out, it writes after its record: the buffer of a stream, filled where that was
  // used last.
  void DidEnter(const Act& act) override {
    if (act.op != Op::kExit) return;
    const Process& process = *act.process;
    for (const auto& [address, stream] : process.streams) {
      auto descriptor = process.Find(stream->number);
      if (stream->pending == 0 || descriptor == nullptr || !Applies(*descriptor)) continue;
      Site site = stream->last_use.stack != 0 ? stream->last_use : act.site();
      exits_[process.id] = {&process, site, descriptor};
    }
  }

  void DidLeave(const Act& act) override {
    if (act.op == Op::kAccept) {
      if (!act.failed()) served_on_[act.process->id] = act.leave;
      return;
    }
    if (act.err != EPIPE) return;
    auto descriptor =
        act.op == Op::kTransfer ? act.process->Find(static_cast<int>(act.a)) : act.descriptor;
    if (descriptor != nullptr) Meet(*act.process, act.site(), descriptor, /*died=*/false);
  }

  void WillEnd(const Process& process) override {
    if (process.end == EndKind::kExited ||
        (process.end == EndKind::kKilled && process.status != SIGPIPE)) {
      exits_.erase(process.id);
      return;
    }
    if (auto exit = exits_.find(process.id); exit != exits_.end()) {
      Dead dead = exit->second;
      exits_.erase(exit);
      if (!HasReader(*dead.descriptor->object())) return Died(std::move(dead));
    }
    for (const Thread* thread : process.threads) {
      for (auto act = thread->open.rbegin(); act != thread->open.rend(); ++act) {
        auto descriptor = WrittenTo(process, **act);
        if (descriptor == nullptr || HasReader(*descriptor->object())) continue;
        return Died({&process, (*act)->site(), descriptor});
      }
    }
  }

  void DidFinish() override {
    for (const Dead& dead : unknown_) {
      bool other_end = dead.process->end == EndKind::kExited ||
                       (dead.process->end == EndKind::kKilled && dead.process->status != SIGPIPE);
      if (!other_end && dead.process->end == EndKind::kKilled) {
        Meet(*dead.process, dead.site, dead.descriptor, /*died=*/true);
      }
    }
    // A server cannot know that a client will hang up. One that takes the error for the news it
    // is, closes, and serves the next one, has done all it can.
    for (auto& [id, pending] : pending_) {
      auto served = served_on_.find(pending.descriptor->process_id);
      bool handled = pending.finding.count == 1 && pending.descriptor->death == Death::kClosed &&
                     served != served_on_.end() && served->second > pending.finding.site.time;
      Report(handled ? Severity::kNote : Severity::kError, std::move(pending.finding));
    }
  }

 private:
  struct Dead {
    const Process* process;
    Site site;
    std::shared_ptr<Descriptor> descriptor;
  };
  struct Pending {
    std::shared_ptr<Descriptor> descriptor;
    Finding finding;
  };

  void Died(Dead dead) {
    if (dead.process->end == EndKind::kKilled) {
      Meet(*dead.process, dead.site, dead.descriptor, /*died=*/true);
    } else {
      unknown_.push_back(std::move(dead));  // how it ended is learned later
    }
  }

  static bool IsWrite(Op op) {
    return op == Op::kWrite || op == Op::kStreamWrite || op == Op::kStreamClose ||
           op == Op::kPclose || op == Op::kStreamSeek || op == Op::kTransfer;
  }

  static bool HasReader(const Object& object) {
    if (object.IsPipe()) return object.outside || !Readers(object).empty();
    auto other = object.socket.other_end.lock();
    return other != nullptr && !Holders(*other).empty();
  }

  // What an unfinished call was writing to, if it is a pipe or a connection.
  static std::shared_ptr<Descriptor> WrittenTo(const Process& process, const Act& act) {
    std::shared_ptr<Descriptor> to;
    if (act.op == Op::kTransfer) {
      to = process.Find(static_cast<int>(act.a));
    } else if (IsWrite(act.op)) {
      to = act.descriptor;
    }
    return to != nullptr && Applies(*to) ? to : nullptr;
  }

  // Only what has a reader: after one's own shutdown, or before connect, it is another mistake.
  static bool Applies(const Descriptor& descriptor) {
    const Object& object = *descriptor.object();
    if (object.IsPipe()) return descriptor.description->writable();
    return object.kind == ObjectKind::kSocket && object.socket.stream() &&
           object.socket.state == SocketState::kConnected && !object.socket.shut_write;
  }

  // Its own output, which somebody else gave it and somebody else reads: `yes | head`.
  static bool IsInheritedOutput(const Descriptor& descriptor) {
    if (FromOutside(descriptor)) return true;
    if (descriptor.number != 1 && descriptor.number != 2) return false;
    const LastHolder& reader = descriptor.object()->last_reader;
    return descriptor.survived_exec || (reader.survived_exec && reader.number == 0);
  }

  void Meet(const Process& process, const Site& site, const std::shared_ptr<Descriptor>& descriptor,
            bool died) {
    if (!Applies(*descriptor)) return;
    const Object& object = *descriptor->object();
    auto pending = pending_.find(descriptor->id);
    if (pending != pending_.end()) {
      ++pending->second.finding.count;
      return;
    }
    if (CountRepetition(site.stack)) return;

    auto other = object.socket.other_end.lock();
    const LastHolder& reader = object.IsPipe()    ? object.last_reader
                               : other != nullptr ? other->last_reader
                                                  : LastHolder();
    Finding finding;
    std::string who = Named(process);
    std::string what = absl::StrCat(who, " wrote to fd ", descriptor->number, ", ",
                                    object.IsPipe() ? "a pipe" : Describe(object));
    finding.message = absl::StrCat(
        what, object.IsPipe() ? " that nobody reads any more" : " whose other end is closed",
        died ? ", and was killed by SIGPIPE" : ": it failed with EPIPE (Broken pipe)");
    if (reader.process == nullptr) {
      finding.fix = "Keep the reading end open until the writer is done";
    } else if (reader.process == &process) {
      finding.fix =
          absl::StrCat("Keep a read end open where somebody reads until the last write: fd ",
                       reader.number, " in ", InWhom(process), " was the last one");
    } else {
      finding.fix = absl::StrCat(
          "Let ", InWhom(*reader.process), " read to end-of-file before it ",
          reader.how == Death::kExit ? "ends" : absl::StrCat("closes fd ", reader.number),
          died ? "; or stop writing when it has gone: ignore SIGPIPE and check write's result for "
                 "EPIPE"
               : ", or stop writing when it has gone");
    }
    finding.site = site;
    finding.story = LifeOf(model(), descriptor);
    if (reader.process != nullptr) {
      std::string verb = reader.how == Death::kExit
                             ? absl::StrCat(" ended, and with it its fd ", reader.number)
                         : reader.how == Death::kReplaced
                             ? absl::StrCat(" put something else at its fd ", reader.number)
                             : absl::StrCat(" closed fd ", reader.number);
      AddSteps(finding.story,
               {StepAt(absl::StrCat(Named(*reader.process), verb,
                                    object.IsPipe() ? ", the last read end" : ", the other end"),
                       reader.site)});
    }
    AddSteps(finding.story,
             {StepAt(absl::StrCat(what, died ? ": SIGPIPE killed it" : ": EPIPE"), site)});
    finding.subjects = {object.id};
    if (other != nullptr) AddSubject(finding.subjects, other->id);
    // A read end that was closed by mistake is the cause.
    if (reader.process != nullptr) AddSubject(finding.subjects, reader.descriptor);
    if (IsInheritedOutput(*descriptor)) {
      Report(Severity::kNote, std::move(finding));
    } else if (!died && object.kind == ObjectKind::kSocket && object.socket.accepted) {
      pending_.emplace(descriptor->id, Pending{descriptor, std::move(finding)});
    } else {
      Report(std::move(finding));
    }
  }

  std::map<uint32_t, Dead> exits_;  // by process
  std::vector<Dead> unknown_;
  std::map<uint64_t, Pending> pending_;  // by descriptor
  std::map<uint32_t, Nanos> served_on_;  // by process: its last accept
};

REGISTER_RULE(PipeBroken, "pipe-broken", Severity::kError,
              {"fd-use-after-close", "fd-double-close"});

}  // namespace
}  // namespace ipctrace
