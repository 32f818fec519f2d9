// Sockets: births, addresses, and bytes with what travels beside them.
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "preload/descriptor_facts.h"
#include "preload/hot_act.h"
#include "preload/interpose.h"
#include "preload/payload.h"
#include "preload/raw.h"
#include "preload/readable.h"
#include "preload/streams.h"
#include "preload/undeclared.h"

namespace ipctrace {
namespace {

uint8_t MessageFlags(int flags) {
  return static_cast<uint8_t>(((flags & MSG_PEEK) != 0 ? kRecordPeek : 0) |
                              ((flags & MSG_DONTWAIT) != 0 ? kRecordDontWait : 0) |
                              ((flags & MSG_WAITALL) != 0 ? kRecordWaitAll : 0));
}

// An address that the program gave.
void BlobGiven(Act& act, BlobTag tag, const sockaddr* address, socklen_t length) {
  if (address == nullptr || length < sizeof(sa_family_t) || length > sizeof(sockaddr_storage)) {
    return;
  }
  if (!act.lost() && Readable(address, length)) act.Blob(tag, address, length);
}

// An address that the kernel knows: `call` is getsockname or getpeername.
void BlobKernels(Act& act, BlobTag tag, long call, int fd) {
  alignas(8) char address[sizeof(sockaddr_un) + 2];
  socklen_t length = sizeof(address);
  if (act.lost() || Raw(call, fd, Address(address), Address(&length)) != 0) return;
  if (length > sizeof(address)) length = sizeof(address);
  act.Blob(tag, address, length);
}

}  // namespace

INTERPOSE(socket)(int domain, int type, int protocol) {
  Act act(Call::socket, -1);
  act->a = static_cast<uint32_t>(domain);
  act->b = static_cast<uint32_t>(type);
  act->c = static_cast<uint32_t>(protocol);
  act.Enter();
  const int fd = REAL(socket)(domain, type, protocol);
  if (act.Return(fd) && fd >= 0) {
    BlobNewDescriptor(act, fd, O_RDWR | ((type & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0),
                      (type & SOCK_CLOEXEC) != 0 ? FD_CLOEXEC : 0);
  }
  act.Done();
  return fd;
}

INTERPOSE(socketpair)(int domain, int type, int protocol, int* ends) {
  Act act(Call::socketpair, -1);
  act->a = static_cast<uint32_t>(domain);
  act->b = static_cast<uint32_t>(type);
  act.Enter();
  const int result = REAL(socketpair)(domain, type, protocol, ends);
  if (act.Return(result) && result == 0) {
    const uint32_t status = O_RDWR | ((type & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0);
    const uint32_t fd_flags = (type & SOCK_CLOEXEC) != 0 ? FD_CLOEXEC : 0;
    FdFact facts[2] = {};
    DescribeDescriptor(ends[0], status, fd_flags, &facts[0]);
    DescribeDescriptor(ends[1], status, fd_flags, &facts[1]);
    act->c = static_cast<uint32_t>(ends[0]) | uint64_t{static_cast<uint32_t>(ends[1])} << 32;
    act.Blob(BlobTag::kFds, facts, sizeof(facts));
  }
  act.Done();
  return result;
}

INTERPOSE(bind)(int fd, const sockaddr* address, socklen_t length) {
  Act act(Call::bind, fd);
  BlobGiven(act, BlobTag::kPeer, address, length);
  act.Enter();
  const int result = REAL(bind)(fd, address, length);
  if (act.Return(result) && result == 0) BlobKernels(act, BlobTag::kLocal, SYS_getsockname, fd);
  act.Done();
  return result;
}

INTERPOSE(listen)(int fd, int backlog) {
  Act act(Call::listen, fd);
  act->a = static_cast<uint64_t>(int64_t{backlog});
  act.Enter();
  const int result = REAL(listen)(fd, backlog);
  if (act.Return(result) && result == 0) BlobKernels(act, BlobTag::kLocal, SYS_getsockname, fd);
  act.Done();
  return result;
}

namespace {
int LeaveAccept(Act& act, int fd, int flags) {
  if (act.Return(fd) && fd >= 0) {
    BlobNewDescriptor(act, fd, O_RDWR | ((flags & SOCK_NONBLOCK) != 0 ? O_NONBLOCK : 0),
                      (flags & SOCK_CLOEXEC) != 0 ? FD_CLOEXEC : 0);
    BlobKernels(act, BlobTag::kLocal, SYS_getsockname, fd);
    BlobKernels(act, BlobTag::kPeer, SYS_getpeername, fd);
  }
  act.Done();
  return fd;
}
}  // namespace

INTERPOSE(accept)(int fd, sockaddr* address, socklen_t* length) {
  Act act(Call::accept, fd);
  act.Enter();
  return LeaveAccept(act, REAL(accept)(fd, address, length), 0);
}

INTERPOSE(accept4)(int fd, sockaddr* address, socklen_t* length, int flags) {
  Act act(Call::accept4, fd);
  act->a = static_cast<uint32_t>(flags);
  act.Enter();
  return LeaveAccept(act, REAL(accept4)(fd, address, length, flags), flags);
}

INTERPOSE(connect)(int fd, const sockaddr* address, socklen_t length) {
  Act act(Call::connect, fd);
  BlobGiven(act, BlobTag::kPeer, address, length);
  act.Enter();
  const int result = REAL(connect)(fd, address, length);
  if (act.Return(result) && (result == 0 || act->err == EINPROGRESS)) {
    BlobKernels(act, BlobTag::kLocal, SYS_getsockname, fd);
  }
  act.Done();
  return result;
}

INTERPOSE(shutdown)(int fd, int how) {
  Act act(Call::shutdown, fd);
  act->a = static_cast<uint32_t>(how);
  act.Enter();
  return act.Leave(REAL(shutdown)(fd, how));
}

INTERPOSE(setsockopt)(int fd, int level, int name, const void* value, socklen_t length) {
  Act act(Call::setsockopt, fd);
  act->a = static_cast<uint32_t>(level);
  act->b = static_cast<uint32_t>(name);
  if (!act.lost() && value != nullptr && length != 0 && Readable(value, length < 8 ? length : 8)) {
    memcpy(&act->c, value, length < 8 ? length : 8);
    // A time has two halves: that it is not zero may be in the other one.
    timeval time;
    bool is_time = level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO);
    if (is_time && length >= sizeof(time) && Readable(value, sizeof(time))) {
      memcpy(&time, value, sizeof(time));
      act->c = static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec);
    }
  }
  act.Enter();
  return act.Leave(REAL(setsockopt)(fd, level, name, value, length));
}

INTERPOSE(getsockopt)(int fd, int level, int name, void* value, socklen_t* length) {
  Act act(Call::getsockopt, fd);
  act->a = static_cast<uint32_t>(level);
  act->b = static_cast<uint32_t>(name);
  act.Enter();
  return act.Leave(REAL(getsockopt)(fd, level, name, value, length));
}

// --- Bytes ---------------------------------------------------------------------------------------

INTERPOSE_BYTES(send, (int fd, const void* data, size_t size, int flags), (fd, data, size, flags),
                MessageFlags(flags))
INTERPOSE_BYTES(recv, (int fd, void* data, size_t size, int flags), (fd, data, size, flags),
                MessageFlags(flags))
INTERPOSE_BYTES(__recv_chk, (int fd, void* data, size_t size, size_t room, int flags),
                (fd, data, size, room, flags), MessageFlags(flags))

INTERPOSE(sendto)(int fd, const void* data, size_t size, int flags, const sockaddr* address,
                  socklen_t length) {
  BeforeRawUse(fd);
  Act act(Call::sendto, fd, MessageFlags(flags));
  act->a = size;
  BlobGiven(act, BlobTag::kPeer, address, length);
  act.Enter();
  return LeaveBytes(act, REAL(sendto)(fd, data, size, flags, address, length), data, size);
}

namespace {
ssize_t LeaveFrom(Act& act, ssize_t moved, const void* data, size_t size, const sockaddr* address,
                  const socklen_t* length) {
  if (act.Return(moved) && moved >= 0) {
    const auto bytes = static_cast<size_t>(moved);
    if (moved > 0) RecordPayload(act, data, bytes < size ? bytes : size);
    if (address != nullptr && length != nullptr) BlobGiven(act, BlobTag::kPeer, address, *length);
  }
  act.Done();
  return moved;
}
}  // namespace

INTERPOSE(recvfrom)(int fd, void* data, size_t size, int flags, sockaddr* address,
                    socklen_t* length) {
  BeforeRawUse(fd);
  Act act(Call::recvfrom, fd, MessageFlags(flags));
  act->a = size;
  act.Enter();
  return LeaveFrom(act, REAL(recvfrom)(fd, data, size, flags, address, length), data, size, address,
                   length);
}

INTERPOSE(__recvfrom_chk)(int fd, void* data, size_t size, size_t room, int flags,
                          sockaddr* address, socklen_t* length) {
  BeforeRawUse(fd);
  Act act(Call::__recvfrom_chk, fd, MessageFlags(flags));
  act->a = size;
  act.Enter();
  return LeaveFrom(act, REAL(__recvfrom_chk)(fd, data, size, room, flags, address, length), data,
                   size, address, length);
}

namespace {

uint64_t MessageBytes(const msghdr* message) {
  return Readable(message, sizeof(*message)) ? VectorBytes(message->msg_iov, message->msg_iovlen)
                                             : 0;
}

// Calls `visit` with every descriptor that travels with the message.
template <typename Visit>
void ForEachDescriptor(const msghdr* message, Visit visit) {
  if (message->msg_control == nullptr || message->msg_controllen < sizeof(cmsghdr) ||
      !Readable(message->msg_control, message->msg_controllen)) {
    return;
  }
  auto* const writable = const_cast<msghdr*>(message);
  for (cmsghdr* part = CMSG_FIRSTHDR(writable); part != nullptr;
       part = CMSG_NXTHDR(writable, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count && i < 256; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      visit(fd);
    }
  }
}

void EnterSend(Act& act, const msghdr* message) {
  act->a = MessageBytes(message);
  if (!act.lost() && Readable(message, sizeof(*message))) {
    BlobGiven(act, BlobTag::kPeer, static_cast<const sockaddr*>(message->msg_name),
              message->msg_namelen);
    bool any = false;
    BlobWriter writer(act.thread(), act.record(), BlobTag::kSentFds);
    ForEachDescriptor(message, [&](int fd) {
      writer.Write(&fd, sizeof(fd));
      any = true;
    });
    if (any) writer.Finish();
  }
  act.Enter();
}

// After a success: the message is known to be readable.
void RecordReceived(Act& act, const msghdr* message, size_t moved) {
  if (act.lost()) return;
  if (moved > 0) RecordVectorPayload(act, message->msg_iov, message->msg_iovlen, moved);
  BlobGiven(act, BlobTag::kPeer, static_cast<const sockaddr*>(message->msg_name),
            message->msg_namelen);
  bool any = false;
  BlobWriter writer(act.thread(), act.record(), BlobTag::kFds);
  ForEachDescriptor(message, [&](int fd) {
    FdFact fact;
    if (!DescribeDescriptor(fd, kAskKernel, kAskKernel, &fact)) return;
    writer.Write(&fact, sizeof(fact));
    any = true;
  });
  if (any) writer.Finish();
}

}  // namespace

INTERPOSE(sendmsg)(int fd, const msghdr* message, int flags) {
  BeforeRawUse(fd);
  Act act(Call::sendmsg, fd, MessageFlags(flags));
  EnterSend(act, message);
  const ssize_t moved = REAL(sendmsg)(fd, message, flags);
  if (act.Return(moved) && moved > 0) {
    RecordVectorPayload(act, message->msg_iov, message->msg_iovlen, static_cast<size_t>(moved));
  }
  act.Done();
  return moved;
}

INTERPOSE(recvmsg)(int fd, msghdr* message, int flags) {
  BeforeRawUse(fd);
  Act act(Call::recvmsg, fd, MessageFlags(flags));
  if (!act.lost()) act->a = MessageBytes(message);
  act.Enter();
  const ssize_t moved = REAL(recvmsg)(fd, message, flags);
  if (act.Return(moved) && moved >= 0) RecordReceived(act, message, static_cast<size_t>(moved));
  act.Done();
  return moved;
}

// Several messages in one call: the bytes of all, the preview of the first.
INTERPOSE(sendmmsg)(int fd, mmsghdr* messages, unsigned count, int flags) {
  BeforeRawUse(fd);
  Act act(Call::sendmmsg, fd, MessageFlags(flags));
  const bool readable = count <= 1024 && Readable(messages, count * sizeof(mmsghdr));
  if (readable && !act.lost()) {
    for (unsigned i = 0; i < count; ++i) act->a += MessageBytes(&messages[i].msg_hdr);
  }
  act.Enter();
  const int sent = REAL(sendmmsg)(fd, messages, count, flags);
  if (act.Return(sent) && sent > 0 && readable) {
    int64_t bytes = 0;
    for (int i = 0; i < sent; ++i) bytes += messages[i].msg_len;
    act->result = bytes;
  }
  act.Done();
  return sent;
}

INTERPOSE(recvmmsg)(int fd, mmsghdr* messages, unsigned count, int flags, timespec* timeout) {
  BeforeRawUse(fd);
  Act act(Call::recvmmsg, fd, MessageFlags(flags));
  act.Enter();
  const int got = REAL(recvmmsg)(fd, messages, count, flags, timeout);
  if (act.Return(got) && got > 0) {
    int64_t bytes = 0;
    for (int i = 0; i < got; ++i) bytes += messages[i].msg_len;
    act->result = bytes;
    RecordReceived(act, &messages[0].msg_hdr, messages[0].msg_len);
  }
  act.Done();
  return got;
}

ALSO(__connect, connect);
ALSO(__send, send);

}  // namespace ipctrace
