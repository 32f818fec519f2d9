// Sockets: their states, and which two ends are one connection.
//
// TCP ends meet by their addresses, the lecture's 5-tuple seen from both sides. A client of an
// AF_UNIX listener has mostly no address of its own: there the listener's queue decides, which is
// first in, first out (unix(7)).
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "analyzer/model/replay.h"

namespace ipctrace {
namespace {

FdFact FactOf(const Act& act, int fd) {
  for (const FdFact& fact : Facts(act)) {
    if (fact.fd == fd) return fact;
  }
  FdFact none{};
  none.fd = fd;
  none.mode = S_IFSOCK;
  return none;
}

}  // namespace

std::string AddressOf(const std::string* bytes) {
  sa_family_t family;
  if (bytes == nullptr || bytes->size() < sizeof(family)) return "";
  std::memcpy(&family, bytes->data(), sizeof(family));
  char text[INET6_ADDRSTRLEN];
  if (family == AF_INET && bytes->size() >= sizeof(sockaddr_in)) {
    sockaddr_in address;
    std::memcpy(&address, bytes->data(), sizeof(address));
    inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
    return absl::StrCat(text, ":", ntohs(address.sin_port));
  }
  if (family == AF_INET6 && bytes->size() >= sizeof(sockaddr_in6)) {
    sockaddr_in6 address;
    std::memcpy(&address, bytes->data(), sizeof(address));
    if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
      inet_ntop(AF_INET, address.sin6_addr.s6_addr + 12, text, sizeof(text));
      return absl::StrCat(text, ":", ntohs(address.sin6_port));
    }
    inet_ntop(AF_INET6, &address.sin6_addr, text, sizeof(text));
    return absl::StrCat("[", text, "]:", ntohs(address.sin6_port));
  }
  if (family == AF_UNIX) {
    std::string path = bytes->substr(offsetof(sockaddr_un, sun_path));
    if (path.empty()) return "";
    if (path[0] == '\0') return absl::StrCat("@", path.substr(1));
    return path.c_str();
  }
  return "";
}

void Replay::SocketMade(Act& act) {
  if (act.failed()) return;
  auto fd = static_cast<int>(act.result);
  auto object = ObjectOf(FactOf(act, fd), act.site());
  object->kind = ObjectKind::kSocket;
  SocketInfo& socket = object->socket;
  socket.domain = static_cast<int>(act.a);
  socket.type = static_cast<int>(act.b) & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
  socket.protocol = static_cast<int>(act.c);
  int flags = (act.b & SOCK_NONBLOCK) != 0 ? (O_RDWR | O_NONBLOCK) : O_RDWR;
  auto descriptor =
      Add(*act.process, fd, NewDescription(object, flags, act.site()), Birth::kOpened, act);
  descriptor->close_on_exec = (act.b & SOCK_CLOEXEC) != 0;
}

void Replay::SocketpairMade(Act& act) {
  if (act.failed()) return;
  int numbers[2] = {static_cast<int>(act.c & 0xffffffff), static_cast<int>(act.c >> 32)};
  std::shared_ptr<Object> ends[2];
  for (int i = 0; i < 2; ++i) {
    ends[i] = ObjectOf(FactOf(act, numbers[i]), act.site());
    ends[i]->kind = ObjectKind::kSocket;
    ends[i]->socket.domain = static_cast<int>(act.a);
    ends[i]->socket.type = static_cast<int>(act.b) & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    ends[i]->socket.state = SocketState::kConnected;
  }
  for (int i = 0; i < 2; ++i) {
    ends[i]->socket.other_end = ends[1 - i];
    ends[i]->socket.met = true;
    int flags = (act.b & SOCK_NONBLOCK) != 0 ? (O_RDWR | O_NONBLOCK) : O_RDWR;
    auto descriptor = Add(*act.process, numbers[i], NewDescription(ends[i], flags, act.site()),
                          Birth::kOpened, act);
    descriptor->close_on_exec = (act.b & SOCK_CLOEXEC) != 0;
  }
}

void Replay::Bound(Act& act) {
  Use(act, act.descriptor);
  if (act.failed() || act.descriptor == nullptr) return;
  SocketInfo& socket = act.descriptor->object()->socket;
  if (socket.state == SocketState::kNew) socket.state = SocketState::kBound;
  socket.local = AddressOf(act.Blob(BlobTag::kLocal));
  std::string asked = AddressOf(act.Blob(BlobTag::kPeer));
  if (socket.local.empty()) socket.local = asked;
  socket.named = !asked.empty() && !asked.ends_with(":0");
  if (!socket.stream()) m.bound_[socket.local] = act.descriptor->object();
}

void Replay::Listened(Act& act) {
  Use(act, act.descriptor);
  if (act.failed() || act.descriptor == nullptr) return;
  auto object = act.descriptor->object();
  SocketInfo& socket = object->socket;
  socket.state = SocketState::kListening;
  socket.backlog = static_cast<int>(act.a);
  if (socket.local.empty()) socket.local = AddressOf(act.Blob(BlobTag::kLocal));
  m.listeners_[socket.local] = object;
}

void Replay::Meet(const std::shared_ptr<Object>& end) {
  SocketInfo& socket = end->socket;
  if (socket.local.empty() || socket.peer.empty()) return;
  m.ends_[absl::StrCat(socket.local, "|", socket.peer)] = end;
  auto it = m.ends_.find(absl::StrCat(socket.peer, "|", socket.local));
  if (it == m.ends_.end()) return;
  if (auto other = it->second.lock()) {
    if (other == end || other->socket.other_end.lock() != nullptr) return;
    Pair(end, other);
  }
}

void Replay::Pair(const std::shared_ptr<Object>& a, const std::shared_ptr<Object>& b) {
  a->socket.other_end = b;
  b->socket.other_end = a;
  for (const auto& end : {a, b}) {
    end->socket.met = true;
    if (end->socket.told < 0) continue;
    end->socket.told = -1;
    std::erase(m.unmet_, end);
  }
  // What either sent before the other was known.
  for (auto [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    Queue& sent = from->socket.outgoing;
    to->socket.incoming.written += sent.written;
    if (sent.last_write) to->socket.incoming.last_write = sent.last_write;
    if (sent.last_writer != 0) to->socket.incoming.last_writer = sent.last_writer;
    sent = Queue();
  }
}

void Replay::Accepted(Act& act) {
  Use(act, act.descriptor);
  if (act.failed()) return;
  auto fd = static_cast<int>(act.result);
  auto object = ObjectOf(FactOf(act, fd), act.site());
  object->kind = ObjectKind::kSocket;
  SocketInfo& socket = object->socket;
  socket.state = SocketState::kConnected;
  socket.accepted = true;
  socket.local = AddressOf(act.Blob(BlobTag::kLocal));
  socket.peer = AddressOf(act.Blob(BlobTag::kPeer));
  if (act.descriptor != nullptr) {
    auto listener = act.descriptor->object();
    socket.domain = listener->socket.domain;
    socket.type = listener->socket.type;
    socket.listener = listener;
    ++listener->socket.connections;
    if (socket.domain == AF_UNIX) {
      auto& queue = m.unix_queue_[listener->socket.local];
      while (!queue.empty() && socket.other_end.lock() == nullptr) {
        if (auto client = queue.front().lock()) Pair(object, client);
        queue.pop_front();
      }
    }
  }
  auto descriptor =
      Add(*act.process, fd,
          NewDescription(object, (act.a & SOCK_NONBLOCK) != 0 ? (O_RDWR | O_NONBLOCK) : O_RDWR,
                         act.site()),
          Birth::kOpened, act);
  descriptor->close_on_exec = (act.a & SOCK_CLOEXEC) != 0;
  Meet(object);
}

void Replay::ConnectEntered(Act& act) {
  if (act.descriptor == nullptr) return;
  auto object = act.descriptor->object();
  SocketInfo& socket = object->socket;
  std::string peer = AddressOf(act.Blob(BlobTag::kPeer));
  if (socket.stream() &&
      (socket.state == SocketState::kNew || socket.state == SocketState::kBound)) {
    socket.state = SocketState::kConnecting;
    socket.peer = peer;
    if (socket.domain == AF_UNIX) m.unix_queue_[peer].push_back(object);
  }
}

void Replay::Connected(Act& act) {
  Use(act, act.descriptor);
  if (act.descriptor == nullptr) return;
  auto object = act.descriptor->object();
  SocketInfo& socket = object->socket;
  bool done = !act.failed() || act.err == EISCONN;
  bool under_way = act.err == EINPROGRESS || act.err == EALREADY || act.err == EINTR;
  if (!socket.stream()) {
    if (done) socket.peer = AddressOf(act.Blob(BlobTag::kPeer));
    return;
  }
  if (!done && !under_way) {
    if (socket.state == SocketState::kConnecting) socket.state = SocketState::kFailed;
    if (socket.domain == AF_UNIX) {
      auto& queue = m.unix_queue_[socket.peer];
      std::erase_if(queue, [&](const auto& each) { return each.lock() == object; });
    }
    return;
  }
  // A connect under way is as good as made for pairing: it is known whom it will meet.
  socket.state = done || socket.state == SocketState::kConnected ? SocketState::kConnected
                                                                 : SocketState::kConnecting;
  std::string local = AddressOf(act.Blob(BlobTag::kLocal));
  if (!local.empty()) socket.local = local;
  if (done) socket.queued_on = m.FindListener(socket.peer);
  if (socket.domain != AF_UNIX) Meet(object);
}

void Replay::WasShutDown(const Act& act) {
  Use(act, act.descriptor);
  if (act.failed() || act.descriptor == nullptr) return;
  SocketInfo& socket = act.descriptor->object()->socket;
  socket.shut_read |= act.a == SHUT_RD || act.a == SHUT_RDWR;
  socket.shut_write |= act.a == SHUT_WR || act.a == SHUT_RDWR;
}

void Replay::OptionWasSet(const Act& act) {
  if (act.failed() || act.descriptor == nullptr || act.a != SOL_SOCKET) return;
  SocketInfo& socket = act.descriptor->object()->socket;
  if (act.b == SO_REUSEADDR) socket.reuse_address = (act.c & 0xffffffff) != 0;
  if (act.b == SO_RCVTIMEO) socket.receive_timeout = act.c != 0;
  if (act.b == SO_SNDTIMEO) socket.send_timeout = act.c != 0;
}

}  // namespace ipctrace
