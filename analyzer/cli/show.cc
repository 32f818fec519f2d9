// ipctrace show: the events of a kept trace, one a line.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analyzer/cli/commands.h"
#include "analyzer/events/log.h"
#include "analyzer/model/model.h"
#include "analyzer/report/escape.h"
#include "analyzer/report/report.h"
#include "analyzer/report/words.h"
#include "analyzer/symbols/stacks.h"
#include "preload/trace/calls.h"

namespace ipctrace {
namespace {

using Json = nlohmann::ordered_json;

// What the fields a, b and c of a record are called, by act (preload/trace/ops.h). Null: not used,
// or told in another way.
std::array<const char*, 3> FieldNames(Op op) {
  switch (op) {
    case Op::kHello:
      return {"parent", "flags", nullptr};
    case Op::kChildStart:
      return {"parent_process", "parent_thread", nullptr};
    case Op::kThreadStart:
      return {"pthread", "creator", nullptr};
    case Op::kThreadEnd:
      return {"pthread", nullptr, nullptr};
    case Op::kOpenNumbers:
      return {"to_63", "to_127", nullptr};
    case Op::kStreamState:
      return {"stream", "read_ahead", "pending"};
    case Op::kRead:
    case Op::kWrite:
      return {"bytes", nullptr, nullptr};  // b and c are the first bytes moved
    case Op::kReadAt:
    case Op::kWriteAt:
      return {"bytes", "offset", nullptr};
    case Op::kSeek:
      return {"offset", "whence", nullptr};
    case Op::kTransfer:
      return {"to", "bytes", "flags"};
    case Op::kTruncate:
      return {"length", nullptr, nullptr};
    case Op::kStreamOpen:
      return {"stream", "new_fd", "flags"};
    case Op::kStreamReopen:
      return {"stream", "new_fd", "written"};
    case Op::kStreamClose:
      return {"stream", "written", "discarded"};
    case Op::kStreamRead:
      return {"stream", "read", "read_ahead"};
    case Op::kStreamWrite:
      return {"stream", "written", "pending"};
    case Op::kStreamSeek:
      return {"stream", "written", "whence"};
    case Op::kStreamSetbuf:
      return {"stream", "mode", nullptr};
    case Op::kOpen:
      return {"flags", "mode", nullptr};
    case Op::kPipe:
      return {"read_fd", "write_fd", "inode"};
    case Op::kSocket:
      return {"domain", "type", "protocol"};
    case Op::kSocketpair:
      return {"domain", "type", nullptr};
    case Op::kAnonymous:
      return {"kind", "flags", nullptr};
    case Op::kDirOpen:
    case Op::kDirClose:
      return {"dir", nullptr, nullptr};
    case Op::kCloseRange:
      return {"first", "last", "flags"};
    case Op::kDup:
      return {"close_on_exec", "lowest", nullptr};
    case Op::kDup2:
      return {"to", "flags", nullptr};
    case Op::kFdFlags:
      return {"close_on_exec", nullptr, nullptr};
    case Op::kStatusFlags:
      return {"flags", nullptr, nullptr};
    case Op::kListen:
      return {"backlog", nullptr, nullptr};
    case Op::kAccept:
      return {"flags", nullptr, nullptr};
    case Op::kShutdown:
      return {"how", nullptr, nullptr};
    case Op::kSockopt:
      return {"level", "name", "value"};
    case Op::kPoll:
      return {"entries", "timeout_ns", nullptr};
    case Op::kEpollCtl:
      return {"operation", "target", "events"};
    case Op::kEpollWait:
      return {"max_events", "timeout_ns", nullptr};
    case Op::kLockFile:
      return {"mode", "may_wait", "start"};
    case Op::kSpawn:
      return {"child", nullptr, nullptr};
    case Op::kPopen:
      return {"stream", "writes", "child"};
    case Op::kPclose:
      return {"stream", "written", nullptr};
    case Op::kExit:
    case Op::kExitNow:
    case Op::kExitBegin:
      return {"status", nullptr, nullptr};
    case Op::kWait:
      return {"pid", "options", "wait_status"};
    case Op::kKill:
      return {"pid", "signal", nullptr};
    case Op::kSignal:
      return {"signal", "disposition", "flags"};
    case Op::kAlarm:
      return {"first_ns", "interval_ns", nullptr};
    case Op::kPause:
      return {"has_timeout", nullptr, nullptr};
    case Op::kSleep:
      return {"ns", nullptr, nullptr};
    case Op::kThreadCreate:
    case Op::kThreadDetach:
      return {"pthread", nullptr, nullptr};
    case Op::kThreadJoin:
      return {"pthread", "may_not_wait", nullptr};
    case Op::kMutexLock:
      return {"mutex", "owner", nullptr};
    case Op::kNone:
    case Op::kBlob:
    case Op::kModules:
    case Op::kClose:
    case Op::kFile:
    case Op::kProbe:
    case Op::kMap:
    case Op::kBind:
    case Op::kConnect:
    case Op::kFork:
    case Op::kVfork:
    case Op::kExec:
    case Op::kSystem:
    case Op::kUnsafe:
    case Op::kUnlink:
    case Op::kMkfifo:
    case Op::kLibrary:
    case Op::kDescribed:
      break;
  }
  return {nullptr, nullptr, nullptr};
}

bool IsAddress(std::string_view field) {
  return field == "stream" || field == "pthread" || field == "dir" || field == "mutex";
}

std::string SocketAddress(const std::string& bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  sa_family_t family = AF_UNSPEC;
  if (bytes.size() >= sizeof(family)) memcpy(&family, bytes.data(), sizeof(family));
  if (family == AF_INET && bytes.size() >= sizeof(sockaddr_in)) {
    sockaddr_in address;
    memcpy(&address, bytes.data(), sizeof(address));
    inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
    return absl::StrCat(text, ":", ntohs(address.sin_port));
  }
  if (family == AF_INET6 && bytes.size() >= sizeof(sockaddr_in6)) {
    sockaddr_in6 address;
    memcpy(&address, bytes.data(), sizeof(address));
    inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof(text));
    return absl::StrCat("[", text, "]:", ntohs(address.sin6_port));
  }
  if (family == AF_UNIX) {
    std::string path = bytes.substr(std::min(bytes.size(), offsetof(sockaddr_un, sun_path)));
    if (!path.empty() && path[0] == '\0') return "@" + path.substr(1);
    return path.c_str();
  }
  return absl::StrCat("family ", family);
}

std::vector<std::string> Strings(const std::string& bytes) {
  std::vector<std::string> strings;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\0', at), bytes.size());
    strings.push_back(bytes.substr(at, end - at));
    at = end + 1;
  }
  return strings;
}

// All that a call was given and gave back, by name.
Json Arguments(const Event& event, const Blobs& blobs) {
  Json arguments = Json::object();
  const Op op = OpOf(event.call);
  const auto names = FieldNames(op);
  const uint64_t values[] = {event.a, event.b, event.c};
  for (size_t i = 0; i < 3; ++i) {
    if (names[i] == nullptr) continue;
    if (IsAddress(names[i])) {
      arguments[names[i]] = absl::StrFormat("0x%x", values[i]);
    } else {
      arguments[names[i]] = static_cast<int64_t>(values[i]);
    }
  }
  if (op == Op::kHello || op == Op::kChildStart) arguments["process"] = event.process;
  if (op == Op::kSocketpair) {
    arguments["fds"] = {static_cast<int32_t>(event.c), static_cast<int32_t>(event.c >> 32)};
  }
  if ((op == Op::kRead || op == Op::kWrite) && event.result > 0) {
    char first[16];
    memcpy(first, &event.b, 8);
    memcpy(first + 8, &event.c, 8);
    arguments["data"] =
        std::string(first, static_cast<size_t>(std::min<int64_t>(event.result, 16)));
  }
  for (const auto& [tag, bytes] : blobs) {
    switch (tag) {
      case BlobTag::kPath:
        arguments["path"] = bytes;
        break;
      case BlobTag::kArgv:
        arguments["argv"] = Strings(bytes);
        break;
      case BlobTag::kExe:
        arguments["exe"] = bytes;
        break;
      case BlobTag::kCwd:
        arguments["cwd"] = bytes;
        break;
      case BlobTag::kLocal:
        arguments["local"] = SocketAddress(bytes);
        break;
      case BlobTag::kPeer:
        arguments["peer"] = SocketAddress(bytes);
        break;
      case BlobTag::kPayload:
      case BlobTag::kPreview: {
        // A stream's may be in two parts.
        Json& all = arguments[tag == BlobTag::kPayload ? "payload" : "preview"];
        all = all.is_null() ? bytes : all.get<std::string>() + bytes;
        break;
      }
      case BlobTag::kSentFds: {
        Json& fds = arguments["sent_fds"] = Json::array();
        for (const auto fd : EntriesOf<int32_t>(bytes)) fds.push_back(fd);
        break;
      }
      case BlobTag::kPoll:
      case BlobTag::kPollReady: {
        Json& entries = arguments[tag == BlobTag::kPoll ? "poll" : "ready"] = Json::array();
        for (const auto& entry : EntriesOf<PollEntry>(bytes)) {
          entries.push_back(
              {{"fd", entry.fd}, {"events", entry.events}, {"revents", entry.revents}});
        }
        break;
      }
      case BlobTag::kFds: {
        Json& fds = arguments["open"] = Json::array();
        for (const auto& fact : EntriesOf<FdFact>(bytes)) {
          fds.push_back({{"fd", fact.fd},
                         {"mode", fact.mode},
                         {"inode", fact.inode},
                         {"flags", fact.status},
                         {"close_on_exec", (fact.fd_flags & FD_CLOEXEC) != 0}});
        }
        break;
      }
      case BlobTag::kModules:
      case BlobTag::kStack:
      case BlobTag::kDispositions:
        break;
    }
  }
  return arguments;
}

class Show : public EventSink {
 public:
  explicit Show(bool json) : json_(json) {}

  void Take(const Event& event) override {
    if (static_cast<size_t>(event.call) >= kCallCount) return;
    const auto key = std::make_pair(event.thread, event.seq);
    switch (event.kind) {
      case EventKind::kEnter:
        // Before the model sees it: a close still has its descriptor.
        open_[key] = {event, Lineage(event.process, event.fd)};
        model_.Take(event);
        return;
      case EventKind::kLeave:
      case EventKind::kAbandon: {
        Entered entered;
        const auto it = open_.find(key);
        if (it != open_.end()) {
          entered = std::move(it->second);
          open_.erase(it);
        } else {
          entered = {event,
                     Lineage(event.process, event.fd)};  // a fact: complete when it was written
        }
        model_.Take(event);
        Print(entered, &event);
        return;
      }
      default:
        break;
    }
    model_.Take(event);
    if (!json_) Observed(event);
  }

  // The calls that never returned.
  void Finish() {
    for (const auto& [key, entered] : open_) Print(entered, nullptr);
  }
  bool written() const { return written_; }

 private:
  struct Entered {
    Event event;
    std::string lineage;  // what its descriptor was
  };

  // "the write end of the pipe, inherited from prog[12]".
  std::string Lineage(uint32_t process_id, int fd) {
    const Process* process = model_.Find(process_id);
    const std::shared_ptr<Descriptor> descriptor =
        process == nullptr || fd < 0 ? nullptr : process->Find(fd);
    if (descriptor == nullptr || descriptor->description == nullptr) return "";
    std::string text = Describe(*descriptor->description);
    switch (descriptor->birth) {
      case Birth::kOpened:
        break;
      case Birth::kDuplicated:
        if (descriptor->from != nullptr)
          text += absl::StrCat(", a copy of ", descriptor->from->number);
        break;
      case Birth::kInherited:
        if (process->parent != nullptr) text += ", inherited from " + Describe(*process->parent);
        break;
      case Birth::kReceived:
        text += ", received over a socket";
        break;
      case Birth::kFound:
        text += ", from before the run";
        break;
    }
    return text;
  }

  void Print(const Entered& entered, const Event* leave) {
    const Event& enter = entered.event;
    Event whole = leave != nullptr ? *leave : enter;
    if (whole.fd < 0 && OpOf(whole.call) != Op::kStreamOpen) whole.fd = enter.fd;
    if (whole.stack == 0) whole.stack = enter.stack;
    Blobs blobs;
    if (&enter != leave) blobs = enter.blobs;
    if (leave != nullptr && leave->time != enter.time) {
      blobs.insert(blobs.end(), leave->blobs.begin(), leave->blobs.end());
    }
    if (leave != nullptr && blobs.empty()) blobs = leave->blobs;
    const bool returned = leave != nullptr && leave->kind == EventKind::kLeave;
    json_ ? PrintJson(enter, whole, blobs, returned) : PrintText(entered, whole, blobs, returned);
  }

  void PrintJson(const Event& enter, const Event& whole, const Blobs& blobs, bool returned) {
    Json stack = Json::array();
    for (const auto& frame : stacks_.Frames(whole.stack)) {
      Json entry = Json::object();
      if (frame->line != 0) entry = {{"file", frame->file}, {"line", frame->line}};
      if (!frame->function.empty()) entry["function"] = frame->function;
      if (frame->line == 0) {
        entry["module"] = frame->module;
        entry["offset"] = frame->offset;
      }
      stack.push_back(std::move(entry));
    }
    const Json line = {{"pid", whole.pid},
                       {"tid", whole.tid},
                       {"enter_ns", enter.time},
                       {"return_ns", returned ? Json(whole.time) : Json(nullptr)},
                       {"call", NameOf(whole.call)},
                       {"fd", whole.fd < 0 ? Json(nullptr) : Json(whole.fd)},
                       {"args", Arguments(whole, blobs)},
                       {"result", returned ? Json(whole.result) : Json(nullptr)},
                       {"errno", returned ? Json(whole.err) : Json(nullptr)},
                       {"stack", std::move(stack)}};
    Write(line.dump(-1, ' ', false, Json::error_handler_t::replace));
  }

  void PrintText(const Entered& entered, const Event& whole, const Blobs& blobs, bool returned) {
    const Event& enter = entered.event;
    const Op op = OpOf(whole.call);
    std::string call = NameOf(whole.call);
    std::string given;
    if (whole.fd >= 0 && op != Op::kPipe) given = std::to_string(whole.fd);
    const Json arguments = Arguments(whole, blobs);
    for (const auto& [name, value] : arguments.items()) {
      const bool plain = value.is_string();
      // Values of arguments, escaped: a string may be anything.
      const std::string text = plain ? "\"" + value.get<std::string>() + "\""
                                     : value.dump(-1, ' ', false, Json::error_handler_t::replace);
      given += (given.empty() ? "" : ", ") + name + "=" +
               (plain && IsAddress(name) ? value.get<std::string>() : text);
    }
    const bool fact = op <= Op::kStreamState;
    std::string line = Head(enter.time, whole) + "  " +
                       (fact ? "· " + call + (given.empty() ? "" : " " + EscapeTerminal(given))
                             : call + "(" + EscapeTerminal(given) + ")");
    if (!returned) {
      line += " … never returned";
    } else if (!fact) {
      line += " = " + std::to_string(whole.result);
      const char* error = whole.err != 0 ? strerrorname_np(whole.err) : nullptr;
      if (error != nullptr) line += std::string(" ") + error;
      if (whole.time - enter.time >= 1'000'000) {
        line += absl::StrFormat("  <%.3f ms>", static_cast<double>(whole.time - enter.time) / 1e6);
      }
    }
    std::string about = entered.lineage;
    // A new descriptor is named by what it now is.
    const bool gives_descriptor = op == Op::kOpen || op == Op::kSocket || op == Op::kAccept ||
                                  op == Op::kDup || op == Op::kDup2 || op == Op::kAnonymous;
    if (returned && gives_descriptor && whole.result >= 0) {
      about = Lineage(whole.process, static_cast<int>(whole.result));
    }
    if (op == Op::kPipe) about.clear();  // its fd field holds flags
    if (!about.empty()) line += "  [" + EscapeTerminal(about) + "]";
    if (const Frame* place = stacks_.Place(whole.stack)) {
      const std::string text = PlaceText(place);
      if (!text.empty()) line += "  at " + EscapeTerminal(text.substr(text.rfind('/') + 1));
      if (!place->function.empty()) line += " " + EscapeTerminal(ShortFunction(place->function));
    }
    Write(line);
  }

  // "     0.103 ms  prog[12]        ".
  std::string Head(Nanos time, const Event& event) const {
    const Process* process = model_.Find(event.process);
    std::string who = (process != nullptr ? EscapeTerminal(process->name) : std::string()) + "[" +
                      std::to_string(event.pid) + "]";
    if (event.tid != event.pid) who += "/" + std::to_string(event.tid);
    if (const size_t columns = Columns(who); columns < 18)
      who.resize(who.size() + 18 - columns, ' ');
    return absl::StrFormat("%11.3f ms  %s", static_cast<double>(time) / 1e6, who);
  }

  void Observed(const Event& event) {
    switch (event.kind) {
      case EventKind::kDeath: {
        std::string how = "is gone";
        const int status = static_cast<int>(event.c);
        if (event.result == 1 && WIFSIGNALED(status))
          how = "was killed by " + SignalName(WTERMSIG(status));
        if (event.result == 1 && WIFEXITED(status))
          how = absl::StrFormat("exited with %d", WEXITSTATUS(status));
        Write(Head(event.time, event) + "  · " + how);
        break;
      }
      case EventKind::kParked:
        Write(Head(event.time, event) + "  · sleeps at a mutex, condition variable or semaphore");
        break;
      case EventKind::kDeadlock: {
        std::string threads;
        for (const auto& [tag, bytes] : event.blobs) {
          if (tag != BlobTag::kPayload) continue;
          for (const auto id : EntriesOf<uint32_t>(bytes)) {
            const Thread* thread = model_.FindThread(id);
            if (thread != nullptr) threads += " " + std::to_string(thread->tid);
          }
        }
        Write(absl::StrFormat("%11.3f ms  · these threads can never go on:%s",
                              static_cast<double>(event.time) / 1e6, threads));
        break;
      }
      case EventKind::kFinish:
        Write(
            absl::StrFormat("%11.3f ms  · the run is over", static_cast<double>(event.time) / 1e6));
        break;
      default:
        break;
    }
  }

  void Write(const std::string& line) {
    written_ = written_ && fwrite(line.data(), 1, line.size(), stdout) == line.size() &&
               fputc('\n', stdout) != EOF;
  }

  const bool json_;
  Stacks stacks_;
  Model model_{&stacks_};
  std::map<std::pair<uint32_t, uint64_t>, Entered> open_;
  bool written_ = true;
};

}  // namespace

int ShowCommand(const Options& options) {
  if (options.arguments.size() != 1) return Fail("show needs the name of one trace");
  Show show(options.format == "jsonl");
  const absl::Status read = ReadEventLog(options.arguments[0], &show);
  show.Finish();
  if (!show.written() || fflush(stdout) != 0) return Fail("cannot write to standard output");
  return read.ok() ? 0 : Fail(std::string(read.message()));
}

}  // namespace ipctrace
