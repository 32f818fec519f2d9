// Births, uses and deaths of descriptors.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "analyzer/model/replay.h"

namespace ipctrace {
namespace {

// Sockets and pipes are named by their inode alone: both live in file systems of the kernel's own,
// and pipe() reports no device.
constexpr uint64_t kAnyDevice = 0;

// act.site(), written where it is wanted: this is done three times for each read and write.
void Note(const Act& act, std::optional<Site>* site) {
  if (!*site) site->emplace();
  Site& at = **site;
  at.process = act.process->id;
  at.pid = act.process->pid;
  at.tid = act.thread->tid;
  at.stack = act.stack;
  at.call = act.call;
  at.time = act.enter;
}

}  // namespace

std::vector<FdFact> Facts(const Act& act) {
  const std::string* bytes = act.Blob(BlobTag::kFds);
  return bytes == nullptr ? std::vector<FdFact>() : EntriesOf<FdFact>(*bytes);
}

ObjectKind KindOf(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFIFO:
      return ObjectKind::kFifo;
    case S_IFSOCK:
      return ObjectKind::kSocket;
    case S_IFREG:
      return ObjectKind::kFile;
    case S_IFDIR:
      return ObjectKind::kDirectory;
    case S_IFCHR:
    case S_IFBLK:
      return ObjectKind::kDevice;
    case 0:
      return ObjectKind::kAnonymous;
    default:
      return ObjectKind::kUnknown;
  }
}

std::shared_ptr<Object> Replay::NewObject(ObjectKind kind, const Site& site) {
  auto object = std::make_shared<Object>();
  object->id = m.next_id_++;
  object->kind = kind;
  object->born = site;
  return object;
}

std::shared_ptr<Object> Replay::ObjectOf(const FdFact& fact, const Site& site) {
  ObjectKind kind = KindOf(fact.mode);
  auto find = [&](uint64_t device) -> std::shared_ptr<Object> {
    auto it = m.objects_.find({device, fact.inode});
    return it == m.objects_.end() ? nullptr : it->second.lock();
  };
  if (kind == ObjectKind::kFifo || kind == ObjectKind::kSocket) {
    auto object = find(kAnyDevice);
    if (object != nullptr &&
        (object->kind == ObjectKind::kSocket) == (kind == ObjectKind::kSocket)) {
      return object;
    }
  }
  bool shared = kind != ObjectKind::kAnonymous && kind != ObjectKind::kUnknown;
  if (shared) {
    auto object = find(fact.device);
    if (object != nullptr && (object->mode & S_IFMT) == (fact.mode & S_IFMT)) return object;
  }
  auto object = NewObject(kind, site);
  object->device = fact.device;
  object->inode = fact.inode;
  object->mode = fact.mode;
  if (shared)
    m.objects_[{kind == ObjectKind::kSocket ? kAnyDevice : fact.device, fact.inode}] = object;
  return object;
}

std::shared_ptr<Description> Replay::NewDescription(std::shared_ptr<Object> object,
                                                    int status_flags, const Site& site) {
  auto description = std::shared_ptr<Description>(new Description, [](Description* dying) {
    if (dying->object != nullptr) dying->object->descriptions.erase(dying);
    delete dying;
  });
  description->id = m.next_id_++;
  description->object = std::move(object);
  description->access = status_flags & O_ACCMODE;
  description->status_flags = status_flags & ~O_ACCMODE & ~O_CLOEXEC;
  description->born = site;
  description->object->descriptions.insert(description.get());
  return description;
}

std::shared_ptr<Descriptor> Replay::Add(Process& process, int fd,
                                        std::shared_ptr<Description> description, Birth birth,
                                        const Act& act, std::shared_ptr<Descriptor> from) {
  if (auto still_there = process.Find(fd)) {
    Missed(process, fd, &m.coverage_.missed_deaths);
    Remove(still_there, Death::kVanished, act);
  }
  auto descriptor = std::make_shared<Descriptor>();
  descriptor->id = m.next_id_++;
  descriptor->number = fd;
  descriptor->process = &process;
  descriptor->process_id = process.id;
  descriptor->description = std::move(description);
  descriptor->birth = birth;
  descriptor->born = act.site();
  descriptor->from = std::move(from);
  descriptor->description->holders.insert(descriptor.get());
  if (auto before = process.gone.find(fd); before != process.gone.end()) {
    before->second->predecessor = nullptr;
    descriptor->predecessor = before->second;
  }
  process.table[fd] = descriptor;
  if (birth != Birth::kInherited && m.rules_ != nullptr) m.rules_->DidOpen(descriptor, act);
  return descriptor;
}

void Replay::Vanish(const std::shared_ptr<Descriptor>& descriptor, Death how, const Site& site) {
  descriptor->death = how;
  descriptor->died = site;
  descriptor->description->holders.erase(descriptor.get());
  const Description& end = *descriptor->description;
  LastHolder last;
  last.process = descriptor->process;
  last.descriptor = descriptor->id;
  last.number = descriptor->number;
  last.how = how;
  last.site = site;
  last.survived_exec = descriptor->survived_exec;
  last.used = descriptor->usage.Used();
  if (descriptor->usage.last) last.used_last = *descriptor->usage.last;
  if (end.readable()) end.object->last_reader = last;
  if (end.writable()) end.object->last_writer = last;
  if (end.object->IsPipe() && last.used && !end.object->passes_round) {
    end.object->passes_round = UsesBothWays(*descriptor->process, *end.object);
  }
  // The last holder's going releases flock(2) locks, and any close of the file fcntl(2) locks.
  Object& object = *descriptor->object();
  if (!object.locks.empty()) {
    std::erase_if(object.locks, [&](const FileLock& lock) {
      return lock.by_process ? lock.owner == descriptor->process_id
                             : lock.owner == descriptor->description->id &&
                                   descriptor->description->holders.empty();
    });
  }
}

void Replay::Remove(const std::shared_ptr<Descriptor>& descriptor, Death how, const Act& act) {
  if (m.rules_ != nullptr) m.rules_->WillClose(descriptor, how, act);
  Vanish(descriptor, how, act.site());
  Process& process = *descriptor->process;
  process.gone[descriptor->number] = descriptor;
  process.table.erase(descriptor->number);
}

void Replay::Use(const Act& act, const std::shared_ptr<Descriptor>& descriptor) {
  if (descriptor == nullptr) return;
  Usage& usage = descriptor->usage;
  switch (act.op) {
    case Op::kRead:
    case Op::kReadAt:
    case Op::kStreamRead:
      ++usage.reads;
      break;
    case Op::kWrite:
    case Op::kWriteAt:
    case Op::kStreamWrite:
      ++usage.writes;
      break;
    default:
      ++usage.other;
  }
  Note(act, &usage.last);
  if (!usage.first) usage.first = usage.last;
}

void Replay::NoteLate(const Act& act) {
  constexpr size_t kMostLate = 8;
  // What it was called on; the call's close run, if it is a close.
  auto note = [&](int fd) {
    if (fd < 0 || act.process->table.contains(fd)) return;
    auto it = act.process->gone.find(fd);
    if (it == act.process->gone.end()) return;
    Descriptor& closed = *it->second;
    if (closed.death == Death::kVanished || closed.late.size() >= kMostLate) return;
    closed.late.push_back(
        {act.op, act.site(), act.op == Op::kClose ? act.thread->closes : nullptr});
  };
  switch (act.op) {
    case Op::kPoll:
      // poll reports POLLNVAL; select fails. Without a wait it may be a question only.
      if (act.b == 0) return;
      if (const std::string* set =
              act.Blob(act.err == EBADF ? BlobTag::kPoll : BlobTag::kPollReady)) {
        for (const PollEntry& entry : EntriesOf<PollEntry>(*set)) {
          if (act.err == EBADF || (entry.revents & POLLNVAL) != 0) note(entry.fd);
        }
      }
      return;
    // Questions whether a number is open, and the preparations of those who sweep over all numbers.
    case Op::kProbe:
    case Op::kFdFlags:
    // A FILE* whose descriptor was closed behind it: a mistake of another kind.
    case Op::kStreamClose:
    case Op::kPclose:
      return;
    case Op::kDup:
      if (act.err == EBADF && act.call == Call::dup) note(act.fd);
      return;
    case Op::kTransfer:
      if (act.err != EBADF) return;
      note(act.fd);
      if (static_cast<int>(act.a) != act.fd) note(static_cast<int>(act.a));
      return;
    case Op::kEpollCtl:
      if (act.err != EBADF) return;
      note(act.fd);
      if (act.a != 2 /* EPOLL_CTL_DEL */) note(static_cast<int>(act.b));
      return;
    default:
      if (act.err == EBADF) note(act.fd);
  }
}

void Replay::NoteClose(const Act& act) {
  Thread& thread = *act.thread;
  int step = act.fd - thread.closes_fd;
  if (thread.closes == nullptr || thread.closes_stack != act.stack || (step != 1 && step != -1)) {
    thread.closes = std::make_shared<CloseRun>();
  }
  thread.closes_stack = act.stack;
  thread.closes_fd = act.fd;
  ++thread.closes->length;
  if (act.descriptor == nullptr && act.fd >= 0 && !act.process->gone.contains(act.fd)) {
    ++thread.closes->blanks;
  }
}

void Replay::MovedIn(const Act& act, const std::shared_ptr<Descriptor>& from, uint64_t bytes) {
  if (from == nullptr) return;
  from->usage.read_bytes += bytes;
  Object& object = *from->object();
  Queue* queue = object.IsPipe()                      ? &object.queue
                 : object.kind == ObjectKind::kSocket ? &object.socket.incoming
                                                      : nullptr;
  if (queue == nullptr) return;
  queue->read += bytes;
  queue->inexact |= act.op == Op::kStreamRead && (act.flags & kRecordInexact) != 0;
  Note(act, &queue->last_read);
  queue->last_reader = act.process->id;
}

void Replay::MetEnd(const std::shared_ptr<Descriptor>& from) {
  if (from == nullptr) return;
  Object& object = *from->object();
  if (object.IsPipe()) {
    object.queue.read = std::max(object.queue.read, object.queue.written);
  } else if (object.kind == ObjectKind::kSocket && object.socket.stream()) {
    Queue& queue = object.socket.incoming;
    queue.read = std::max(queue.read, queue.written);
  }
}

// Whether somebody who is not in the run can read what is written there.
bool Replay::LeavesTheRun(const Act& act, const Object& object) const {
  if (object.outside) return true;
  switch (object.kind) {
    case ObjectKind::kPipe:
    case ObjectKind::kAnonymous:
    case ObjectKind::kEpoll:
      return false;
    case ObjectKind::kFifo:
      return !object.made_here;
    case ObjectKind::kDevice:
      return object.path != "/dev/null";
    case ObjectKind::kSocket: {
      const SocketInfo& socket = object.socket;
      if (socket.met || socket.queued_on.lock() != nullptr) return false;
      if (socket.stream()) return true;
      std::string to = AddressOf(act.Blob(BlobTag::kPeer));
      return m.FindBound(to.empty() ? socket.peer : to) == nullptr;
    }
    default:
      return true;
  }
}

// A server's first words may be seen before the connect that they answer has returned.
void Replay::ToldUnmet(const std::shared_ptr<Object>& connection) {
  constexpr size_t kMostUnmet = 64;
  if (connection->socket.told < 0) m.unmet_.push_back(connection);
  connection->socket.told = m.now_;
  if (m.unmet_.size() <= kMostUnmet) return;
  Nanos& oldest = m.unmet_.front()->socket.told;
  m.told_outside_ = std::max(m.told_outside_, oldest);
  oldest = -1;
  m.unmet_.pop_front();
}

void Replay::MovedOut(const Act& act, const std::shared_ptr<Descriptor>& to, uint64_t bytes) {
  if (to == nullptr || bytes == 0) return;
  Object& object = *to->object();
  // A stream on a read end has thrown away what it could not write.
  if (object.IsPipe() && !to->description->writable()) return;
  to->usage.write_bytes += bytes;
  std::shared_ptr<Object> other_end;
  Queue* queue = nullptr;
  if (object.IsPipe()) {
    queue = &object.queue;
  } else if (object.kind == ObjectKind::kSocket) {
    other_end = object.socket.other_end.lock();
    queue = other_end != nullptr ? &other_end->socket.incoming : &object.socket.outgoing;
  }
  if (LeavesTheRun(act, object)) {
    if (object.kind == ObjectKind::kSocket && object.socket.accepted) {
      ToldUnmet(to->object());
    } else {
      m.told_outside_ = m.now_;
    }
  }
  if (queue == nullptr) return;
  queue->written += bytes;
  Note(act, &queue->last_write);
  queue->last_writer = act.process->id;
}

void Replay::NameObject(Object& object, const std::string& path) {
  // Who opens /dev/fd/N gives a pipe no name by which others could find it.
  if (object.path.empty() && object.kind != ObjectKind::kPipe) object.path = path;
  if (object.kind == ObjectKind::kFifo) object.made_here |= m.MadeFifo(path);
}

void Replay::WasDescribed(const Act& act, const FdFact& fact) {
  auto descriptor = act.process->Find(fact.fd);
  if (descriptor == nullptr || descriptor->object()->described) return;
  Description& description = *descriptor->description;
  std::shared_ptr<Object> before = std::move(description.object);
  before->descriptions.erase(&description);
  description.object = ObjectOf(fact, before->born);
  description.object->descriptions.insert(&description);
  NameObject(*description.object, before->path);
  // The rules took it for a file.
  if (description.object->IsPipe() && m.rules_ != nullptr) m.rules_->DidOpen(descriptor, act);
}

void Replay::Opened(Act& act) {
  if (act.failed()) return;
  int fd = act.op == Op::kDirOpen ? act.fd : static_cast<int>(act.result);
  if (fd < 0) return;
  if (act.op == Op::kDirOpen && act.b == 0) return Use(act, act.descriptor);  // fdopendir
  FdFact fact{};
  fact.fd = fd;
  for (const FdFact& each : Facts(act)) {
    if (each.fd == fd) fact = each;
  }
  std::shared_ptr<Object> object;
  const std::string* path = act.Blob(BlobTag::kPath);
  if (act.op == Op::kOpen && act.Blob(BlobTag::kFds) == nullptr) {
    // It will be described when it is used. Until then it is what is opened most.
    object = NewObject((act.a & O_DIRECTORY) != 0 ? ObjectKind::kDirectory : ObjectKind::kFile,
                       act.site());
    object->described = false;
  } else {
    object = ObjectOf(fact, act.site());
  }
  if (path != nullptr) NameObject(*object, path->c_str());
  int flags = static_cast<int>(act.op == Op::kOpen ? act.a : act.b);
  int access = O_RDONLY;
  if (act.op == Op::kAnonymous) {
    object->anonymous = static_cast<AnonymousKind>(act.a);
    if (object->anonymous == AnonymousKind::kEpoll) object->kind = ObjectKind::kEpoll;
    if (object->anonymous == AnonymousKind::kPty) object->kind = ObjectKind::kTerminal;
    access = O_RDWR;
  } else if (act.op == Op::kOpen) {
    access = flags & O_ACCMODE;
  }
  auto description = NewDescription(
      object, access | (flags & (O_NONBLOCK | O_APPEND | O_PATH)), act.site());
  if (act.call == Call::fact_new_standard) {  // libc's dup2 onto it
    if (auto before = act.process->Find(fd)) Remove(before, Death::kReplaced, act);
  }
  auto descriptor = Add(*act.process, fd, description, Birth::kOpened, act);
  // All of the anonymous kinds spell close-on-exec as O_CLOEXEC.
  descriptor->close_on_exec = act.op == Op::kDirOpen || (flags & O_CLOEXEC) != 0;
}

void Replay::Piped(Act& act) {
  if (act.failed()) return;
  auto pipe = NewObject(ObjectKind::kPipe, act.site());
  pipe->inode = act.c;
  pipe->mode = S_IFIFO;
  if (act.c != 0) m.objects_[{kAnyDevice, act.c}] = pipe;
  int flags = act.fd == -1 ? 0 : act.fd;
  int numbers[2] = {static_cast<int>(act.a), static_cast<int>(act.b)};
  for (int end = 0; end < 2; ++end) {
    auto description = NewDescription(
        pipe, (end == 0 ? O_RDONLY : O_WRONLY) | (flags & (O_NONBLOCK | O_DIRECT)), act.site());
    auto descriptor = Add(*act.process, numbers[end], description, Birth::kOpened, act);
    descriptor->close_on_exec = (flags & O_CLOEXEC) != 0;
  }
}

void Replay::CloseEntered(Act& act) {
  switch (act.op) {
    case Op::kClose:
    case Op::kDirClose:
    case Op::kStreamClose:
    case Op::kPclose:
    case Op::kStreamReopen:
      // What a stream still has to write is counted when it returns; the descriptor goes now.
      if (act.descriptor != nullptr) Remove(act.descriptor, Death::kClosed, act);
      return;
    case Op::kDup2:
      if (act.descriptor != nullptr && static_cast<int>(act.a) != act.fd) {
        if (auto target = act.process->Find(static_cast<int>(act.a))) {
          Remove(target, Death::kReplaced, act);
        }
      }
      return;
    case Op::kCloseRange: {
      bool only_marks = (act.c & CLOSE_RANGE_CLOEXEC) != 0;
      std::vector<std::shared_ptr<Descriptor>> hit;
      for (auto& [fd, descriptor] : act.process->table) {
        if (static_cast<uint64_t>(fd) >= act.a && static_cast<uint64_t>(fd) <= act.b) {
          hit.push_back(descriptor);
        }
      }
      for (auto& descriptor : hit) {
        if (only_marks) {
          descriptor->close_on_exec = true;
        } else {
          Remove(descriptor, Death::kClosedByRange, act);
        }
      }
      return;
    }
    default:
      return;
  }
}

void Replay::Duplicated(Act& act) {
  if (act.failed()) return;
  int fd = static_cast<int>(act.result);
  if (act.descriptor == nullptr || fd < 0) return;
  ++act.descriptor->usage.passed;
  if (fd == act.fd) return;
  auto descriptor =
      Add(*act.process, fd, act.descriptor->description, Birth::kDuplicated, act, act.descriptor);
  descriptor->close_on_exec = act.op == Op::kDup ? act.a == 1 : (act.b & O_CLOEXEC) != 0;
}

void Replay::Sent(const Act& act) {
  const std::string* numbers = act.Blob(BlobTag::kSentFds);
  if (numbers == nullptr) return;
  for (int32_t fd : EntriesOf<int32_t>(*numbers)) {
    auto descriptor = act.process->Find(fd);
    if (descriptor == nullptr) continue;
    ++descriptor->usage.passed;
    descriptor->usage.sent = act.site();
    const auto& object = descriptor->object();
    auto other = std::find_if(m.in_flight_.begin(), m.in_flight_.end(), [&](const auto& each) {
      return each.description->object == object;
    });
    bool was_outside = other != m.in_flight_.end() ? other->was_outside : object->outside;
    m.in_flight_.push_back({descriptor->description, was_outside});
    object->outside = true;
  }
}

void Replay::NotSent(const Act& act) {
  const std::string* numbers = act.Blob(BlobTag::kSentFds);
  if (numbers == nullptr) return;
  for (int32_t fd : EntriesOf<int32_t>(*numbers)) {
    if (auto descriptor = act.process->Find(fd))
      TakeInFlight(descriptor->object().get(), descriptor->description->access);
  }
}

std::shared_ptr<Description> Replay::TakeInFlight(const Object* object, int access) {
  auto it = std::find_if(m.in_flight_.begin(), m.in_flight_.end(), [&](const auto& each) {
    return each.description->object.get() == object && each.description->access == access;
  });
  if (it == m.in_flight_.end()) return nullptr;
  auto [description, was_outside] = std::move(*it);
  m.in_flight_.erase(it);
  bool others = std::any_of(m.in_flight_.begin(), m.in_flight_.end(), [&](const auto& each) {
    return each.description->object.get() == object;
  });
  if (!others) description->object->outside = was_outside;
  return description;
}

void Replay::Received(Act& act) {
  if (act.Blob(BlobTag::kFds) == nullptr) return;
  for (const FdFact& fact : Facts(act)) {
    auto object = ObjectOf(fact, act.site());
    // It shares the sender's description, if the sender is one of ours.
    auto description = TakeInFlight(object.get(), static_cast<int>(fact.status & O_ACCMODE));
    for (Description* known : object->descriptions) {
      if (description == nullptr && !known->holders.empty() &&
          known->access == static_cast<int>(fact.status & O_ACCMODE)) {
        description = (*known->holders.begin())->description;
      }
    }
    if (description == nullptr) {
      description = NewDescription(object, static_cast<int>(fact.status), act.site());
      description->outside = object->outside = true;
    }
    auto descriptor = Add(*act.process, fact.fd, description, Birth::kReceived, act);
    descriptor->close_on_exec = (fact.fd_flags & FD_CLOEXEC) != 0;
  }
}

void Replay::FileLocked(const Act& act) {
  if (act.failed() || act.descriptor == nullptr) return;
  bool by_process = static_cast<int64_t>(act.c) != -1;
  uint64_t owner = by_process ? act.process->id : act.descriptor->description->id;
  auto& locks = act.descriptor->object()->locks;
  std::erase_if(locks, [&](const FileLock& lock) {
    return lock.owner == owner && lock.by_process == by_process;
  });
  if (act.a != 0) locks.push_back({owner, by_process, act.a == 2});
}

}  // namespace ipctrace
