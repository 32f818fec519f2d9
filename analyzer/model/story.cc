#include "analyzer/model/story.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ipctrace {
namespace {

// The thing itself, where "the write end of" would be said of an end: "the pipe".
std::string Thing(const Descriptor& descriptor) { return Describe(*descriptor.description); }

bool IsExecStep(const Descriptor& descriptor) {
  return descriptor.survived_exec && descriptor.exec_site.process != 0;
}

// Whether a call of this kind has the descriptor's number for its first argument. Others name it by
// a stream, in a set, or somewhere among their arguments.
bool TakesNumber(Op op) {
  switch (op) {
    case Op::kPoll:
    case Op::kEpollCtl:
    case Op::kTransfer:
    case Op::kMap:
    case Op::kStreamReopen:
    case Op::kStreamClose:
    case Op::kStreamRead:
    case Op::kStreamWrite:
    case Op::kStreamSeek:
    case Op::kStreamSetbuf:
    case Op::kStreamState:
    case Op::kPclose:
    case Op::kDirClose:
      return false;
    default:
      return true;
  }
}

std::vector<std::shared_ptr<Descriptor>> Collect(const Object& object, bool reading, bool writing) {
  std::vector<std::shared_ptr<Descriptor>> found;
  for (const Description* description : object.descriptions) {
    if (object.IsPipe() && !(reading && description->readable()) &&
        !(writing && description->writable())) {
      continue;
    }
    for (const Descriptor* holder : description->holders) {
      if (auto shared = holder->process->Find(holder->number); shared.get() == holder) {
        found.push_back(std::move(shared));
      }
    }
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a->id < b->id; });
  return found;
}

}  // namespace

std::string FdName(const Descriptor& descriptor) { return absl::StrCat("fd ", descriptor.number); }

std::string FdAndEnd(const Descriptor& descriptor) {
  return absl::StrCat("fd ", descriptor.number, ", ", Thing(descriptor));
}

std::string EndWord(const Description& description) {
  const Object& object = *description.object;
  switch (object.kind) {
    case ObjectKind::kPipe:
    case ObjectKind::kFifo:
      if (description.readable() && description.writable()) return "FIFO";
      return description.readable() ? "read end" : "write end";
    case ObjectKind::kSocket:
      if (object.socket.state == SocketState::kListening) return "listening socket";
      return object.socket.state == SocketState::kConnected ? "connection" : "socket";
    case ObjectKind::kFile:
      return "file";
    case ObjectKind::kDirectory:
      return "directory";
    case ObjectKind::kTerminal:
      return "terminal";
    case ObjectKind::kEpoll:
      return "epoll set";
    case ObjectKind::kDevice:
    case ObjectKind::kAnonymous:
    case ObjectKind::kUnknown:
      break;
  }
  return "descriptor";
}

std::string Named(const Process& process) {
  bool is_copy =
      process.parent != nullptr && !process.execed && process.name == process.parent->name;
  return absl::StrCat(is_copy ? "child " : "", Describe(process));
}

std::string InWhom(const Process& process) {
  bool is_copy =
      process.parent != nullptr && !process.execed && process.name == process.parent->name;
  if (is_copy) return "the child";
  if (process.parent == nullptr && !process.children.empty()) return "the parent";
  return process.name.empty() ? "the process" : process.name;
}

std::string CallName(Call call) {
  switch (call) {
    case Call::fact_fcntl_dupfd:
    case Call::fact_fcntl_setfd:
    case Call::fact_fcntl_setfl:
    case Call::fact_fcntl_lock:
      return "fcntl";
    case Call::fact_ioctl_cloexec:
    case Call::fact_ioctl_nonblock:
      return "ioctl";
    case Call::fact_stream_flush:
      return "fflush";
    case Call::fact_process_exit:
      return "exit";
    // What a header's macro or inline function stands for.
    case Call::__getdelim:
      return "getline";
    case Call::__uflow:
    case Call::__underflow:
      return "getc_unlocked";
    case Call::__overflow:
      return "putc_unlocked";
    case Call::__assert_fail:
      return "assert";
    default:
      break;
  }
  std::string name = NameOf(call);
  auto strip_front = [&](const std::string& front) {
    if (name.starts_with(front)) name.erase(0, front.size());
  };
  auto strip_back = [&](const std::string& back) {
    if (name.ends_with(back)) name.resize(name.size() - back.size());
  };
  if (name.starts_with("__")) {
    strip_front("__isoc99_");
    strip_front("__isoc23_");
    strip_front("__");
    strip_back("_chk");
    strip_back("_2");
  }
  strip_front("_IO_");
  strip_back("64");
  return name;
}

std::string CallOn(Call call, int fd) {
  switch (call) {
    case Call::fact_fcntl_dupfd:
      return absl::StrCat("fcntl(", fd, ", F_DUPFD)");
    case Call::fact_fcntl_setfd:
      return absl::StrCat("fcntl(", fd, ", F_SETFD)");
    case Call::fact_fcntl_setfl:
      return absl::StrCat("fcntl(", fd, ", F_SETFL)");
    case Call::fact_fcntl_lock:
      return absl::StrCat("fcntl(", fd, ", F_SETLK)");
    case Call::fact_ioctl_cloexec:
      return absl::StrCat("ioctl(", fd, ", FIOCLEX)");
    case Call::fact_ioctl_nonblock:
      return absl::StrCat("ioctl(", fd, ", FIONBIO)");
    default:
      return absl::StrCat(CallName(call), TakesNumber(OpOf(call)) ? "(" : " on fd ", fd,
                          TakesNumber(OpOf(call)) ? ")" : "");
  }
}

const Process* ProcessAt(const Model& model, const Site& site) {
  return site.process == 0 ? nullptr : model.Find(site.process);
}

Step StepAt(std::string message, const Site& site) { return {std::move(message), site}; }

std::string CallOf(const Process& process, Call call, const std::string& rest) {
  return absl::StrCat(Named(process), " called ", CallName(call), rest);
}

std::string CallOf(const Process& process, Call call, int fd) {
  return absl::StrCat(Named(process), " called ", CallOn(call, fd));
}

std::string CallOf(const Act& act) {
  if (act.fd < 0) return CallOf(*act.process, act.call, "");
  if (act.call == Call::fact_fcntl_lock && act.b != 0) {
    return CallOf(*act.process, act.call, absl::StrCat("(", act.fd, ", F_SETLKW)"));
  }
  return CallOf(*act.process, act.call, act.fd);
}

Step BirthStep(const Model& model, const Descriptor& descriptor) {
  const Process& process = *descriptor.process;
  switch (descriptor.birth) {
    case Birth::kOpened: {
      const Object& object = *descriptor.object();
      const char* verb = object.kind == ObjectKind::kSocket && object.socket.accepted ? " accepted "
                         : object.kind == ObjectKind::kSocket || object.kind == ObjectKind::kPipe
                             ? " made "
                             : " opened ";
      return StepAt(
          absl::StrCat(Named(process), verb, Thing(descriptor), ": fd ", descriptor.number),
          descriptor.born);
    }
    case Birth::kDuplicated:
      return StepAt(absl::StrCat(Named(process), " made fd ", descriptor.number, " a copy of fd ",
                                 descriptor.from != nullptr ? descriptor.from->number : -1, " (",
                                 CallName(descriptor.born.call), "), ", Thing(descriptor)),
                    descriptor.born);
    case Birth::kInherited:
      if (descriptor.from != nullptr && descriptor.from->number != descriptor.number) {
        return StepAt(
            absl::StrCat(Named(process), " was given a copy of fd ", descriptor.from->number,
                         " as its fd ", descriptor.number, ", ", Thing(descriptor)),
            process.born.process != 0 ? process.born : descriptor.born);
      }
      return StepAt(absl::StrCat("fork gave ", Named(process), " its own copy of fd ",
                                 descriptor.number, ", ", Thing(descriptor)),
                    process.born.process != 0 ? process.born : descriptor.born);
    case Birth::kReceived:
      return StepAt(absl::StrCat(Named(process), " received ", Thing(descriptor),
                                 " over a socket: fd ", descriptor.number),
                    descriptor.born);
    case Birth::kFound:
      break;
  }
  return StepAt(absl::StrCat(Named(process), " was started with fd ", descriptor.number, ", ",
                             Thing(descriptor)),
                descriptor.born);
}

Step DeathStep(const Model& model, const Descriptor& descriptor) {
  const Process& process = *descriptor.process;
  std::string what = FdName(descriptor);
  switch (descriptor.death) {
    case Death::kAlive:
      return {};
    case Death::kClosed:
    case Death::kClosedByRange:
      return StepAt(
          absl::StrCat(Named(process), " closed ", what, " (", CallName(descriptor.died.call), ")"),
          descriptor.died);
    case Death::kReplaced:
      return StepAt(absl::StrCat(Named(process), " put something else at ", what, " (",
                                 CallName(descriptor.died.call), "), which closed it"),
                    descriptor.died);
    case Death::kExec:
      return StepAt(absl::StrCat(what, " was closed when ", Named(process),
                                 " ran another program (close-on-exec)"),
                    descriptor.died);
    case Death::kExit:
      return StepAt(absl::StrCat(Named(process), " ended with ", what, " still open"),
                    descriptor.died);
    case Death::kVanished:
      break;
  }
  return StepAt(absl::StrCat(what, " of ", Named(process), " was gone"), descriptor.died);
}

std::vector<Step> LifeOf(const Model& model, const std::shared_ptr<Descriptor>& descriptor) {
  std::vector<Step> steps;
  for (const Descriptor* each = descriptor.get(); each != nullptr; each = each->from.get()) {
    steps.push_back(BirthStep(model, *each));
  }
  std::reverse(steps.begin(), steps.end());
  if (IsExecStep(*descriptor)) {
    steps.push_back(
        StepAt(absl::StrCat(FdName(*descriptor), " stayed open when the process became ",
                            Describe(*descriptor->process)),
               descriptor->exec_site));
  }
  if (!descriptor->alive()) steps.push_back(DeathStep(model, *descriptor));
  return steps;
}

void AddSteps(std::vector<Step>& story, std::vector<Step> steps) {
  for (Step& step : steps) {
    if (step.message.empty()) continue;
    bool known = std::any_of(story.begin(), story.end(), [&](const Step& each) {
      return each.message == step.message && each.site.stack == step.site.stack &&
             each.site.time == step.site.time;
    });
    if (!known) story.push_back(std::move(step));
  }
  std::stable_sort(story.begin(), story.end(),
                   [](const Step& a, const Step& b) { return a.site.time < b.site.time; });
}

const Descriptor& OriginOf(const Descriptor& descriptor) {
  const Descriptor* origin = &descriptor;
  while (origin->from != nullptr) origin = origin->from.get();
  return *origin;
}

bool FromOutside(const Descriptor& descriptor) {
  const Descriptor& origin = OriginOf(descriptor);
  return origin.birth == Birth::kFound ||
         (origin.birth == Birth::kReceived && origin.description->outside);
}

bool DescendsFrom(const Descriptor& descriptor, const Descriptor& ancestor) {
  for (const Descriptor* each = &descriptor; each != nullptr; each = each->from.get()) {
    if (each == &ancestor) return true;
  }
  return false;
}

std::vector<std::shared_ptr<Descriptor>> Readers(const Object& object) {
  return Collect(object, true, false);
}

std::vector<std::shared_ptr<Descriptor>> Writers(const Object& object) {
  return Collect(object, false, true);
}

std::vector<std::shared_ptr<Descriptor>> Holders(const Object& object) {
  return Collect(object, true, true);
}

std::vector<Step> StillHeld(const Model& model,
                            const std::vector<std::shared_ptr<Descriptor>>& holders) {
  std::vector<Step> steps;
  for (const auto& holder : holders) {
    if (holder == nullptr) continue;
    Step step = BirthStep(model, *holder);
    step.message = absl::StrCat(Named(*holder->process), " still had ", FdAndEnd(*holder));
    step.site.time = model.now();
    steps.push_back(std::move(step));
  }
  return steps;
}

Site WhereToClose(const Descriptor& descriptor) {
  const Process& process = *descriptor.process;
  if (descriptor.birth == Birth::kInherited && process.born.process != 0) return process.born;
  return descriptor.born;
}

std::string HowToClose(const Descriptor& descriptor) {
  const Process& process = *descriptor.process;
  if (descriptor.birth == Birth::kInherited) {
    return absl::StrCat("close fd ", descriptor.number, " in ", InWhom(process), ", right after ",
                        process.execed ? "fork, before exec" : "fork");
  }
  if (descriptor.birth == Birth::kDuplicated && descriptor.from != nullptr) {
    return absl::StrCat("close fd ", descriptor.number, " in ", InWhom(process),
                        " as soon as the copy of fd ", descriptor.from->number,
                        " is no longer needed");
  }
  return absl::StrCat("close fd ", descriptor.number, " in ", InWhom(process),
                      process.children.empty() ? " when it is no longer needed" : " after fork");
}

std::vector<uint64_t> SubjectsOf(const Descriptor& descriptor) {
  return {descriptor.id, descriptor.object()->id};
}

void AddSubject(std::vector<uint64_t>& subjects, uint64_t id) {
  if (std::find(subjects.begin(), subjects.end(), id) == subjects.end()) subjects.push_back(id);
}

uint64_t SubjectOf(const Process& process) { return uint64_t{1} << 63 | process.id; }

void AddLineage(std::vector<uint64_t>& subjects, const Process& process) {
  for (const Process* each = &process; each != nullptr; each = each->parent) {
    AddSubject(subjects, SubjectOf(*each));
    if (each->execed) break;
  }
}

bool IsInstalled(const Process& process, Nanos when) {
  const std::string& image = process.ImageAt(when);
  for (const char* folder :
       {"/usr/bin/", "/bin/", "/usr/sbin/", "/sbin/", "/usr/lib", "/lib", "/usr/share/"}) {
    if (image.starts_with(folder)) return true;
  }
  return false;
}

std::string Bytes(uint64_t count) { return absl::StrCat(count, count == 1 ? " byte" : " bytes"); }

std::string StreamName(const Stream& stream) {
  bool standard = OpOf(stream.born.call) != Op::kStreamOpen;
  if (standard && stream.number == 0) return "stdin";
  if (standard && stream.number == 1) return "stdout";
  if (standard && stream.number == 2) return "stderr";
  return absl::StrCat("the stream on fd ", stream.number);
}

std::string Duration(Nanos time) {
  if (time >= 1'000'000'000) return absl::StrCat((time + 5'000'000) / 10'000'000 / 100.0, " s");
  if (time >= 1'000'000) return absl::StrCat((time + 500'000) / 1'000'000, " ms");
  return absl::StrCat((time + 50'000) / 100'000 / 10.0, " ms");
}

bool CutShort(const Model& model) {
  return model.finished() && model.finish_reason() != FinishReason::kEnded;
}

std::string Enumerate(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : i + 1 == names.size() ? " and " : ", ", names[i]);
  }
  return text;
}

}  // namespace ipctrace
