// io-seek-on-stream: positions on what has none: a pipe, a FIFO, a socket.
//
// A program that was started with its descriptor, or opened by name a FIFO that somebody else made,
// cannot know what it has got and may well try: that is worth a note. On a pipe, socket or FIFO of
// its own making it knows. A program that came with the system tries on purpose: perl's streams
// seek back what they have read ahead, and keep it where that fails.
#include <errno.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class IoSeekOnStream : public Rule {
 public:
  bool Watches(Op op) const override {
    return op == Op::kSeek || op == Op::kStreamSeek || op == Op::kReadAt || op == Op::kWriteAt;
  }
  bool WatchesSuccess(Op op) const override { return false; }

  void DidLeave(const Act& act) override {
    if (act.err != ESPIPE || act.descriptor == nullptr) return;
    // The test for seekability.
    if (act.op == Op::kSeek && act.b == SEEK_CUR && act.a == 0) return;
    // Between reading and writing, C asks for a seek that moves nothing.
    if (act.op == Op::kStreamSeek && act.c == SEEK_CUR) return;
    const Descriptor& descriptor = *act.descriptor;
    const Object& object = *descriptor.object();
    if (!object.IsPipe() && object.kind != ObjectKind::kSocket) return;
    if (CountRepetition(act.stack)) return;
    bool own = !descriptor.survived_exec && !FromOutside(descriptor) &&
               (object.path.empty() || object.made_here);
    Finding finding;
    finding.site = act.site();
    finding.message = absl::StrCat(Named(*act.process), " called ", CallName(act.call), " on fd ",
                                   act.fd, ", ", Describe(*descriptor.description),
                                   ": it has no position, and the call failed with ESPIPE");
    finding.fix =
        act.op == Op::kWriteAt
            ? "use write: what goes into a pipe or socket comes out in order"
            : "keep what you have read in memory if you need it again: bytes come out of a pipe "
              "or socket once";
    finding.subjects = SubjectsOf(descriptor);
    AddSteps(finding.story, LifeOf(model(), act.descriptor));
    AddSteps(finding.story, {StepAt(absl::StrCat(CallOf(act), " and got ESPIPE"), act.site())});
    own = own && !IsInstalled(*act.process, act.enter);
    Report(own ? Severity::kError : Severity::kNote, std::move(finding));
  }
};

REGISTER_RULE(IoSeekOnStream, "io-seek-on-stream", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
