// pipe-wrong-end: read from the end for writing, or written to the end for reading.
#include <errno.h>
#include <fcntl.h>

#include "absl/strings/str_cat.h"
#include "analyzer/model/model.h"
#include "analyzer/model/rule.h"
#include "analyzer/model/story.h"

namespace ipctrace {
namespace {

class PipeWrongEnd : public Rule {
 public:
  bool Watches(Op op) const override {
    return op == Op::kRead || op == Op::kWrite || op == Op::kStreamRead || op == Op::kStreamWrite ||
           op == Op::kReadAt || op == Op::kWriteAt || op == Op::kTransfer || op == Op::kStreamOpen;
  }
  bool WatchesSuccess(Op op) const override { return false; }

  void DidLeave(const Act& act) override {
    if (act.err == 0) return;
    switch (act.op) {
      case Op::kRead:
      case Op::kReadAt:
      case Op::kStreamRead:
        if (act.err == EBADF) Check(act, act.descriptor, /*reads=*/true);
        return;
      case Op::kWrite:
      case Op::kWriteAt:
      case Op::kStreamWrite:
        if (act.err == EBADF) Check(act, act.descriptor, /*reads=*/false);
        return;
      case Op::kTransfer:
        if (act.err != EBADF) return;
        Check(act, act.descriptor, true);
        Check(act, act.process->Find(static_cast<int>(act.a)), false);
        return;
      case Op::kStreamOpen: {
        // fdopen refuses a mode that the descriptor does not have.
        if (act.err != EINVAL || act.b != 0) return;
        int access = static_cast<int>(act.c & O_ACCMODE);
        if (access != O_WRONLY) Check(act, act.descriptor, true);
        if (access != O_RDONLY) Check(act, act.descriptor, false);
        return;
      }
      default:
        return;
    }
  }

 private:
  void Check(const Act& act, const std::shared_ptr<Descriptor>& descriptor, bool reads) {
    if (descriptor == nullptr || !descriptor->object()->IsPipe()) return;
    const Description& end = *descriptor->description;
    if (reads ? end.readable() : end.writable()) return;
    // A program that was started with the wrong end cannot help it: whoever put it there can.
    Site site = act.site();
    const Descriptor* given = nullptr;  // what it put there
    bool foreign = IsInstalled(*act.process, act.enter);
    for (const Descriptor* each = descriptor.get();
         each != nullptr && (descriptor->survived_exec || foreign); each = each->from.get()) {
      const Process* process = ProcessAt(model(), each->born);
      if (each->born.stack != 0 &&
          (process == nullptr || !IsInstalled(*process, each->born.time))) {
        site = each->born;
        given = each;
        break;
      }
    }
    uint32_t cause = descriptor->object()->born.stack;
    if (CountRepetition(site.stack, cause)) return;

    std::string other;
    for (const auto& [fd, each] : act.process->table) {
      if (each->object() == descriptor->object() && each->description != descriptor->description &&
          (reads ? each->description->readable() : each->description->writable())) {
        other = absl::StrCat("fd ", fd);
      }
    }
    Finding finding;
    finding.message = absl::StrCat(
        Named(*act.process), reads ? " reads from fd " : " writes to fd ", descriptor->number,
        ", which is the ", EndWord(end), end.object->path.empty() ? " of a pipe (" : " of a FIFO (",
        CallName(act.call), " fails)");
    finding.fix = Fix(act, *descriptor, given, reads, other);
    finding.site = site;
    finding.cause_stack = cause;
    finding.story = LifeOf(model(), descriptor);
    AddSteps(finding.story, {StepAt(absl::StrCat(CallOf(act), ", which failed: fd ",
                                                 descriptor->number, " is ", Describe(end)),
                                    act.site())});
    finding.subjects = SubjectsOf(*descriptor);
    Report(std::move(finding));
  }

  // By how the end was made. `given`: by whom started the program, if not null. `other` is the one
  // that would do, where the process has it.
  static std::string Fix(const Act& act, const Descriptor& descriptor, const Descriptor* given,
                         bool reads, const std::string& other) {
    const std::string wanted = reads ? "reading" : "writing";
    switch (OpOf(OriginOf(descriptor).born.call)) {
      case Op::kPipe: {
        const std::string role =
            absl::StrCat("the end for ", wanted, reads ? " from" : " to", " is index ",
                         reads ? 0 : 1, " of what pipe() filled");
        if (given != nullptr && given->birth != Birth::kDuplicated) {
          return absl::StrCat("Give ", InWhom(*act.process),
                              " the other end of the pipe in place of ", FdName(*given), ": ",
                              role);
        }
        if (descriptor.survived_exec) {
          return absl::StrCat("Put the other end of the pipe at fd ", descriptor.number,
                              " (dup2) before exec: ", role);
        }
        if (!other.empty()) return absl::StrCat("Use ", other, " here: ", role);
        return absl::StrCat("Use the other end of the pipe here (", role, "), and keep it open in ",
                            InWhom(*act.process));
      }
      case Op::kPopen:
        return absl::StrCat("Call popen with \"", reads ? "r" : "w", "\" for ", wanted,
                            reads ? " what the command prints" : " to the command",
                            ": what it returns goes one way only");
      case Op::kStreamOpen:
      case Op::kOpen:
        if (!other.empty() && !descriptor.survived_exec) {
          return absl::StrCat("Use ", other, " here, which was opened for ", wanted);
        }
        return OpOf(OriginOf(descriptor).born.call) == Op::kOpen
                   ? absl::StrCat("Open the FIFO with ", reads ? "O_RDONLY" : "O_WRONLY",
                                  " where it is meant for ", wanted)
                   : absl::StrCat("Open the FIFO with mode \"", reads ? "r" : "w",
                                  "\" where it is meant for ", wanted);
      default:
        return other.empty() ? absl::StrCat("Use an end that is open for ", wanted)
                             : absl::StrCat("Use ", other, " here, which is open for ", wanted);
    }
  }
};

REGISTER_RULE(PipeWrongEnd, "pipe-wrong-end", Severity::kError, {});

}  // namespace
}  // namespace ipctrace
