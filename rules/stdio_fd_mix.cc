// stdio-fd-mix: a descriptor is used past the stream that buffers for it.
//
// The library writes down what a stream holds just before its descriptor (or a duplicate of it) is
// used directly, so what is seen there is exact. What another process's stream holds is known for
// certain only when that stream is next seen: until then a suspicion waits.
#include <fcntl.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class StdioFdMix : public Rule {
 public:
  bool Watches(Op op) const override {
    switch (op) {
      case Op::kRead:
      case Op::kWrite:
      case Op::kSeek:
      case Op::kTransfer:
      case Op::kStreamRead:
      case Op::kStreamWrite:
      case Op::kStreamSeek:
      case Op::kStreamState:
        return true;
      default:
        return op == Op::kStreamClose;
    }
  }
  bool WatchesEntry(Op op) const override { return op == Op::kStreamClose; }

  void DidLeave(const Act& act) override {
    switch (act.op) {
      case Op::kStreamState:
      case Op::kStreamRead:
      case Op::kStreamWrite:
      case Op::kStreamSeek:
        if (auto it = act.process->streams.find(act.a); it != act.process->streams.end()) {
          StreamSeen(act, it->second);
        }
        return;
      case Op::kStreamClose: {
        // What is thrown away at fclose was there all along.
        auto it = closing_.find({act.thread->id, act.seq});
        if (it == closing_.end()) return;
        Resolve(*it->second, act.c, true);
        closing_.erase(it);
        return;
      }
      default:
        break;
    }
    if (loaded_.empty() || act.failed() || act.result < 0) return;
    Used(act, act.descriptor);
    if (act.op == Op::kTransfer) Used(act, act.process->Find(static_cast<int>(act.a)));
  }

  void DidEnter(const Act& act) override {
    if (act.op != Op::kStreamClose || suspicions_.empty()) return;
    auto it = act.process->streams.find(act.a);
    if (it != act.process->streams.end()) closing_[{act.thread->id, act.seq}] = it->second;
  }

  void DidFork(const Process& parent, const Process& child, const Act* act) override {
    for (const auto& [address, stream] : child.streams) {
      auto original = parent.streams.find(address);
      bool exact = original != parent.streams.end() && Exact(*original->second);
      Load(child, stream, exact);
    }
  }

 private:
  struct Loaded {
    std::weak_ptr<Stream> stream;
    bool exact = false;  // as seen just now, or no call on the stream since
  };
  struct Suspicion {
    std::shared_ptr<Stream> stream;
    uint64_t read_ahead = 0;
    bool moved = false;  // by lseek: it is one only if the stream goes on with its old bytes
    Finding finding;
  };

  static uint64_t OwnPending(const Stream& stream) {
    return stream.pending > stream.inherited_pending ? stream.pending - stream.inherited_pending
                                                     : 0;
  }

  // Keeps the streams that hold something where their description finds them.
  void Load(const Process& process, const std::shared_ptr<Stream>& stream, bool exact) {
    auto descriptor = process.Find(stream->number);
    if (descriptor == nullptr) return;
    auto& streams = loaded_[descriptor->description->id];
    bool holds = stream->read_ahead > 0 || stream->pending > 0;
    std::erase_if(streams, [&](const Loaded& each) {
      auto known = each.stream.lock();
      return known == nullptr || known == stream;
    });
    if (holds) streams.push_back({stream, exact});
    if (streams.empty()) loaded_.erase(descriptor->description->id);
  }

  bool Exact(const Stream& stream) const {
    for (const auto& [description, streams] : loaded_) {
      for (const Loaded& each : streams) {
        if (each.stream.lock().get() == &stream) return each.exact;
      }
    }
    return false;
  }

  void StreamSeen(const Act& act, const std::shared_ptr<Stream>& stream) {
    Load(*act.process, stream, act.op == Op::kStreamState);
    if (suspicions_.empty()) return;
    switch (act.op) {
      case Op::kStreamState:
        return Resolve(*stream, act.b, false);
      case Op::kStreamRead:
        return Resolve(*stream, 0, true);
      default:  // fflush and fseek bring stream and descriptor together
        std::erase_if(suspicions_, [&](const Suspicion& each) { return each.stream == stream; });
    }
  }

  // The stream was seen again, with so many bytes read ahead: since a suspicion arose they can only
  // have become fewer, unless it read on.
  void Resolve(const Stream& stream, uint64_t read_ahead, bool over) {
    for (size_t i = 0; i < suspicions_.size();) {
      Suspicion& each = suspicions_[i];
      if (each.stream.get() != &stream) {
        ++i;
        continue;
      }
      bool proved = each.moved ? read_ahead < each.read_ahead : read_ahead > 0;
      if (!proved && !over && each.moved) {
        ++i;  // untouched so far
        continue;
      }
      if (proved) Report(std::move(each.finding));
      suspicions_.erase(suspicions_.begin() + static_cast<ptrdiff_t>(i));
    }
  }

  void Used(const Act& act, const std::shared_ptr<Descriptor>& used) {
    if (used == nullptr) return;
    auto it = loaded_.find(used->description->id);
    if (it == loaded_.end()) return;
    std::vector<Loaded> streams = it->second;
    for (const Loaded& each : streams) {
      auto stream = each.stream.lock();
      if (stream == nullptr || stream->death != StreamDeath::kAlive) continue;
      Past(act, used, stream, each.exact);
    }
  }

  bool Related(const Act& act, const Descriptor& used, const Descriptor& under) const {
    if (&used == &under) return true;
    // stdout and stderr in one file, as the shell's 2>&1 has it, are two streams by intention.
    if ((used.number == 1 && under.number == 2) || (used.number == 2 && under.number == 1)) {
      return false;
    }
    if (used.survived_exec != under.survived_exec) return false;
    return &OriginOf(used) == &OriginOf(under);
  }

  // Whether it goes by the description's offset: not where it is given another, or only looks.
  static bool Moves(const Act& act, bool writes) {
    if (act.op != Op::kTransfer) return true;
    return (act.c & (writes ? kTransferOwnTo : kTransferOwnFrom | kTransferTee)) == 0;
  }

  // `act` used a description on which `stream` has something in its buffer, through `used`.
  void Past(const Act& act, const std::shared_ptr<Descriptor>& used,
            const std::shared_ptr<Stream>& stream, bool exact) {
    const Process* owner =
        stream->process_id == act.process->id ? act.process : model().Find(stream->process_id);
    if (owner == nullptr || !owner->alive()) return;
    auto under = owner->Find(stream->number);
    if (under == nullptr || under->description != used->description) return;
    if (!Related(act, *used, *under)) return;
    bool own = owner == act.process;
    bool in_handler = act.thread->open.size() > 0 || (act.flags & kRecordInSignal) != 0;
    bool writes = act.op == Op::kWrite || (act.op == Op::kTransfer && used != act.descriptor);
    if (!Moves(act, writes)) return;
    switch (writes ? Op::kWrite : act.op) {
      case Op::kWrite:
        if (!own || in_handler || OwnPending(*stream) == 0 || act.result == 0) return;
        return Report(Reordered(act, *stream, under));
      case Op::kSeek:
        if (!own) return;
        return Seeked(act, stream, under);
      case Op::kRead:
      case Op::kTransfer:
        if (stream->read_ahead == 0 || (act.op == Op::kRead ? act.a : act.b) == 0) return;
        if ((act.flags & kRecordPeek) != 0) return;
        if (used->object()->kind == ObjectKind::kTerminal) return;
        for (const Suspicion& each : suspicions_) {
          if (each.stream == stream && each.moved) return;  // the program sets the position itself
        }
        if (own && exact) return Report(Skipped(act, *stream, under));
        if (act.process->execed && !owner->execed) return;
        if (suspicions_.size() < 64) {
          suspicions_.push_back({stream, stream->read_ahead, false, Skipped(act, *stream, under)});
        }
        return;
      default:
        return;
    }
  }

  void Seeked(const Act& act, const std::shared_ptr<Stream>& stream,
              const std::shared_ptr<Descriptor>& under) {
    auto offset = static_cast<int64_t>(act.a);
    bool asks = act.b == SEEK_CUR && offset == 0;
    if (asks) return;
    if (OwnPending(*stream) > 0 && (under->description->status_flags & O_APPEND) == 0) {
      return Report(Reordered(act, *stream, under));
    }
    if (stream->read_ahead == 0) return;
    if (act.b == SEEK_CUR && offset != -static_cast<int64_t>(stream->read_ahead)) {
      return Report(Moved(act, *stream, under));
    }
    std::erase_if(suspicions_, [&](const Suspicion& each) { return each.stream == stream; });
    suspicions_.push_back({stream, stream->read_ahead, true, Moved(act, *stream, under)});
  }

  Finding Start(const Act& act, const Stream& stream, const std::shared_ptr<Descriptor>& under) {
    Finding finding;
    finding.site = act.site();
    finding.subjects = SubjectsOf(*under);
    AddSubject(finding.subjects, stream.id);
    AddSteps(finding.story, LifeOf(model(), under));
    if (act.descriptor != nullptr && act.descriptor != under) {
      AddSteps(finding.story, LifeOf(model(), act.descriptor));
    }
    if (stream.last_use.process != 0) {
      AddSteps(finding.story, {StepAt(absl::StrCat(StreamName(stream), " was last used (",
                                                   CallName(stream.last_use.call), ")"),
                                      stream.last_use)});
    }
    return finding;
  }

  Finding Skipped(const Act& act, const Stream& stream, const std::shared_ptr<Descriptor>& under) {
    Finding finding = Start(act, stream, under);
    bool own = act.process->id == stream.process_id;
    finding.message = absl::StrCat(CallOf(act), " while ", own ? "" : "another process's ",
                                   StreamName(stream), " still holds ", Bytes(stream.read_ahead),
                                   " that it has read ahead from the same place: read skips them");
    finding.fix = absl::StrCat("read everything through ", StreamName(stream),
                               " (fread, fgets), or everything with read; if you must change over, "
                               "turn the stream's buffer off with setvbuf right after opening it");
    finding.story.push_back(StepAt(
        absl::StrCat(CallOf(act),
                     act.result == 0
                         ? " and met end-of-file"
                         : absl::StrCat(" and got ", Bytes(static_cast<uint64_t>(act.result))),
                     ", past the ", Bytes(stream.read_ahead), " in the buffer"),
        act.site()));
    return finding;
  }

  Finding Reordered(const Act& act, const Stream& stream,
                    const std::shared_ptr<Descriptor>& under) {
    Finding finding = Start(act, stream, under);
    std::string called = act.op == Op::kTransfer
                             ? CallOf(*act.process, act.call, absl::StrCat(" to fd ", act.a))
                             : CallOf(act);
    finding.message =
        absl::StrCat(called, " while ", Bytes(OwnPending(stream)), " printed to ",
                     StreamName(stream), " still waited in its buffer: ",
                     act.op == Op::kSeek ? "they land at the new position"
                                         : "they come out after what was written later");
    finding.fix = absl::StrCat("call fflush(", stream.number == 1 ? "stdout" : "the stream",
                               ") right before ", CallName(act.call), ", or write this through ",
                               StreamName(stream), " too");
    finding.story.push_back(StepAt(
        absl::StrCat(called, " with ", Bytes(OwnPending(stream)), " not flushed"), act.site()));
    return finding;
  }

  Finding Moved(const Act& act, const Stream& stream, const std::shared_ptr<Descriptor>& under) {
    Finding finding = Start(act, stream, under);
    finding.message = absl::StrCat(CallOf(act), " moved the file offset under ", StreamName(stream),
                                   ", which still hands out the ", Bytes(stream.read_ahead),
                                   " that it had read ahead");
    finding.fix = absl::StrCat("move the stream with fseek or rewind, not its descriptor with ",
                               CallName(act.call));
    finding.story.push_back(StepAt(
        absl::StrCat(CallOf(act), " with ", Bytes(stream.read_ahead), " in the stream's buffer"),
        act.site()));
    return finding;
  }

  // Streams with something in their buffers, by the id of the description under them.
  absl::flat_hash_map<uint64_t, std::vector<Loaded>> loaded_;
  std::vector<Suspicion> suspicions_;
  absl::flat_hash_map<std::pair<uint32_t, uint64_t>, std::shared_ptr<Stream>> closing_;
};

REGISTER_RULE(StdioFdMix, "stdio-fd-mix", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
