#include "analyzer/model/entities.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "absl/strings/str_cat.h"

namespace ipctrace {

bool SocketInfo::stream() const { return type == SOCK_STREAM || type == SOCK_SEQPACKET; }

bool Description::readable() const { return access != O_WRONLY; }
bool Description::writable() const { return access != O_RDONLY; }
bool Description::nonblocking() const { return (status_flags & O_NONBLOCK) != 0; }

Site Act::site() const {
  Site site;
  site.process = process->id;
  site.pid = process->pid;
  site.tid = thread->tid;
  site.stack = stack;
  site.call = call;
  site.time = enter;
  return site;
}

std::vector<Watched> WatchedBy(const Act& act) {
  std::vector<Watched> watched;
  if (act.op == Op::kEpollWait) {
    if (act.descriptor == nullptr) return watched;
    for (const auto& [fd, entry] : act.descriptor->object()->interest) {
      const auto description = entry.first.lock();
      if (description == nullptr || description->holders.empty()) continue;
      auto descriptor = act.process->Find(fd);
      if (descriptor == nullptr || descriptor->description != description) {
        const Descriptor* holder = *description->holders.begin();
        descriptor = holder->process->Find(holder->number);
      }
      watched.push_back({std::move(descriptor), entry.second});
    }
    return watched;
  }
  const std::string* set = act.op == Op::kPoll ? act.Blob(BlobTag::kPoll) : nullptr;
  if (set == nullptr) return watched;
  for (const PollEntry& entry : EntriesOf<PollEntry>(*set)) {
    auto descriptor = entry.fd >= 0 ? act.process->Find(entry.fd) : nullptr;
    if (descriptor != nullptr)
      watched.push_back({std::move(descriptor), static_cast<uint16_t>(entry.events)});
  }
  return watched;
}

const std::string* Act::Blob(BlobTag tag) const {
  for (const auto& [its_tag, bytes] : blobs) {
    if (its_tag == tag) return &bytes;
  }
  return nullptr;
}

std::shared_ptr<Descriptor> Process::Find(int fd) const {
  auto it = table.find(fd);
  return it == table.end() ? nullptr : it->second;
}

const std::string& Process::ImageAt(Nanos when) const {
  for (const auto& [until, image] : past_images) {
    if (when < until) return image;
  }
  return exe;
}

bool UsesBothWays(const Process& process, const Object& pipe) {
  bool reads = false, writes = false;
  auto look = [&](const Descriptor& each) {
    if (each.object().get() != &pipe) return;
    reads |= each.usage.read_bytes > 0;
    writes |= each.usage.write_bytes > 0;
  };
  for (const auto& [fd, each] : process.table) look(*each);
  for (const auto& [fd, each] : process.gone) look(*each);
  return reads && writes;
}

std::string Describe(const Object& object) {
  switch (object.kind) {
    case ObjectKind::kPipe:
      return "the pipe";
    case ObjectKind::kFifo:
      // Without a name it is popen's, or what a shell made before the run.
      return object.path.empty() ? "the pipe" : absl::StrCat("the FIFO \"", object.path, "\"");
    case ObjectKind::kSocket: {
      const SocketInfo& socket = object.socket;
      if (socket.state == SocketState::kListening) {
        return socket.local.empty() ? "the listening socket"
                                    : absl::StrCat("the listening socket on ", socket.local);
      }
      if (!socket.peer.empty() && !socket.local.empty()) {
        return absl::StrCat("the connection ", socket.local, " → ", socket.peer);
      }
      if (!socket.peer.empty()) return absl::StrCat("the connection to ", socket.peer);
      if (!socket.local.empty()) return absl::StrCat("the socket on ", socket.local);
      return socket.domain == AF_UNIX && socket.state == SocketState::kConnected ? "the socket pair"
                                                                                 : "the socket";
    }
    case ObjectKind::kTerminal:
      return "the terminal";
    case ObjectKind::kEpoll:
      return "the epoll set";
    case ObjectKind::kDirectory:
      return object.path.empty() ? "a directory"
                                 : absl::StrCat("the directory \"", object.path, "\"");
    case ObjectKind::kFile:
    case ObjectKind::kDevice:
      return object.path.empty() ? "a file" : absl::StrCat("\"", object.path, "\"");
    case ObjectKind::kAnonymous:
      switch (object.anonymous) {
        case AnonymousKind::kEventfd:
          return "the eventfd";
        case AnonymousKind::kTimerfd:
          return "the timerfd";
        case AnonymousKind::kSignalfd:
          return "the signalfd";
        case AnonymousKind::kInotify:
          return "the inotify descriptor";
        case AnonymousKind::kMemfd:
          return "the memfd";
        case AnonymousKind::kPidfd:
          return "the pidfd";
        default:
          break;
      }
      break;
    case ObjectKind::kUnknown:
      break;
  }
  return object.path.empty() ? "a descriptor of unknown kind"
                             : absl::StrCat("\"", object.path, "\"");
}

std::string Describe(const Description& description) {
  const Object& object = *description.object;
  if (!object.IsPipe() || (description.readable() && description.writable())) {
    return Describe(object);
  }
  return absl::StrCat(description.readable() ? "the read end of " : "the write end of ",
                      Describe(object));
}

std::string Describe(const Process& process) {
  return absl::StrCat(process.name.empty() ? "process" : process.name, "[", process.pid, "]");
}

}  // namespace ipctrace
