// io-read-past-eof: reading on and on after end-of-file.
//
// The first read that returns 0 tells of end-of-file; three more in a row, with nothing between
// that waits or brings data, show that nobody has looked. A terminal, a device, a FIFO (somebody
// may open it again) and a file that somebody still writes can bring more. In a program that came
// with the system it is worth a note: bzip2 looks for another end-of-file where it has met one.
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

constexpr int kMany = 1 + 3;

class IoReadPastEof : public Rule {
 public:
  bool Watches(Op op) const override {
    switch (op) {
      case Op::kRead:
      case Op::kStreamRead:
      case Op::kSeek:
      case Op::kStreamSeek:
      case Op::kPoll:
      case Op::kEpollWait:
      case Op::kSleep:
      case Op::kPause:
      case Op::kWait:
      case Op::kAccept:
      case Op::kConnect:
      case Op::kThreadJoin:
        return true;
      default:
        return false;
    }
  }

  void DidLeave(const Act& act) override {
    bool reads = act.op == Op::kRead || act.op == Op::kStreamRead;
    bool nothing =
        reads && act.result == 0 && !act.failed() && (act.op == Op::kStreamRead || act.a > 0);
    if (!nothing) {
      if (!ends_.empty()) ends_.erase(act.thread->id);
      return;
    }
    if (act.descriptor == nullptr) return;
    auto& ends = ends_[act.thread->id];
    End& end = ends[act.descriptor->id];
    if (++end.reads == 1) {
      end.first = act.site();
      return;
    }
    if (end.reads < kMany || end.told) {
      if (end.told && act.stack == end.told_stack) CountRepetition(act.stack);
      return;
    }
    if (CanBringMore(*act.descriptor)) return;
    end.told = true;
    end.told_stack = act.stack;
    Report(IsInstalled(*act.process, act.enter) ? Severity::kNote : severity(), Past(act, end));
  }

 private:
  struct End {
    int reads = 0;
    Site first;
    bool told = false;
    uint32_t told_stack = 0;
  };

  static bool CanBringMore(const Descriptor& descriptor) {
    const Object& object = *descriptor.object();
    switch (object.kind) {
      case ObjectKind::kPipe:
        return false;
      case ObjectKind::kFifo:
        return !object.path.empty();  // without a name it is a pipe from outside
      case ObjectKind::kSocket:
        return !object.socket.stream() && object.socket.type != 0;
      case ObjectKind::kFile:
        for (const Description* each : object.descriptions) {
          if (each->writable() && !each->holders.empty() && each != descriptor.description.get())
            return true;
        }
        return false;
      default:
        return true;
    }
  }

  Finding Past(const Act& act, const End& end) {
    Finding finding;
    finding.site = act.site();
    finding.message = absl::StrCat(Named(*act.process), " goes on with ", CallName(act.call),
                                   " on fd ", act.fd, ", ", Describe(*act.descriptor->description),
                                   ", after end-of-file: it has returned nothing ", end.reads,
                                   " times in a row, and always will");
    finding.fix = absl::StrCat(
        "leave the loop where ", CallName(act.call),
        act.op == Op::kRead ? " returns 0" : " reports end-of-file (EOF, NULL or 0 items)",
        ": that is end-of-file, not an empty message");
    finding.subjects = SubjectsOf(*act.descriptor);
    AddSteps(finding.story, LifeOf(model(), act.descriptor));
    AddSteps(
        finding.story,
        {StepAt("end-of-file was reported here for the first time", end.first),
         StepAt(absl::StrCat(CallOf(act), " for the ", end.reads, "th time since"), act.site())});
    return finding;
  }

  // By thread, of the descriptors on which it has met end-of-file since it last waited or got data.
  absl::flat_hash_map<uint32_t, absl::flat_hash_map<uint64_t, End>> ends_;
};

REGISTER_RULE(IoReadPastEof, "io-read-past-eof", Severity::kWarning, {});

}  // namespace
}  // namespace ipctrace
