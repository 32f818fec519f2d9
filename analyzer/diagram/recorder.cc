#include "analyzer/diagram/recorder.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "analyzer/model/story.h"

namespace ipctrace::diagram {
namespace {

constexpr Nanos kBlockedFrom = 1'000'000;  // a shorter wait is no span
constexpr size_t kShown = 40;              // bytes of a message

bool IsStream(const Object& object) {
  return object.kind == ObjectKind::kSocket && object.socket.stream();
}
bool Followed(const Object& object) { return object.IsPipe() || IsStream(object); }

bool Waits(const Act& act) {
  switch (act.op) {
    case Op::kRead:
    case Op::kWrite:
    case Op::kStreamRead:
    case Op::kStreamWrite:
    case Op::kAccept:
    case Op::kConnect:
    case Op::kWait:
    case Op::kPoll:
    case Op::kEpollWait:
    case Op::kSleep:
    case Op::kThreadJoin:
    case Op::kTransfer:
      return true;
    default:
      return false;
  }
}

std::string Quoted(std::string bytes, uint64_t size) {
  if (bytes.empty()) return Bytes(size);
  bytes.resize(std::min<uint64_t>({bytes.size(), size, kShown}));
  return absl::StrCat("\"", bytes, "\"", bytes.size() < size ? "… " : " ", Bytes(size));
}

// The first bytes of what a call moved, and how many there were.
std::string First(const Act& act, uint64_t size) {
  std::string bytes;
  for (const auto& [tag, part] : act.blobs) {
    const bool is_bytes = tag == BlobTag::kPayload || tag == BlobTag::kPreview;
    if (is_bytes && bytes.size() < kShown) bytes += part.substr(0, kShown);
  }
  const bool raw = act.op == Op::kRead || act.op == Op::kWrite;
  if (bytes.empty() && raw && (act.b != 0 || act.c != 0 || act.call == Call::write)) {
    bytes.resize(16);
    memcpy(bytes.data(), &act.b, 8);
    memcpy(bytes.data() + 8, &act.c, 8);
  }
  return Quoted(std::move(bytes), size);
}

std::string ErrorOf(const Act& act) {
  return act.failed() ? absl::StrCat(": ", strerrorname_np(act.err)) : "";
}

}  // namespace

// --- Calls

void Recorder::DidEnter(const Act& act) {
  if (act.op == Op::kExit) ExitFlushes(act);
}

void Recorder::DidLeave(const Act& act) {
  Blocked(act, act.leave);
  const auto about = act.descriptor == nullptr ? nullptr : act.descriptor->object();
  switch (act.op) {
    case Op::kStreamState: {
      const std::string* bytes = act.Blob(BlobTag::kPayload);
      if (bytes == nullptr) bytes = act.Blob(BlobTag::kPreview);
      pending_[{act.process->id, act.a}] = bytes == nullptr ? "" : bytes->substr(0, kShown);
      return;
    }
    case Op::kWrite:
    case Op::kStreamWrite:
    case Op::kStreamSeek:
    case Op::kStreamClose:
    case Op::kPclose:
      return DidWrite(act);
    case Op::kTransfer:
      DidWrite(act);
      return DidRead(act);
    case Op::kRead:
    case Op::kStreamRead:
      return DidRead(act);
    case Op::kConnect:
      if (about == nullptr || !IsStream(*about)) return;
      Event(act, absl::StrCat("connect to ", about->socket.peer, ErrorOf(act)), "connect", about);
      user_[about->id] = act.process->id;
      return;
    case Op::kListen:
      if (about != nullptr && !act.failed())
        Event(act, absl::StrCat("listens on ", about->socket.local), "listen", about);
      return;
    case Op::kAccept:
      return DidAccept(act);
    case Op::kPipe:
      if (act.failed()) return;
      if (const auto end = act.process->Find(static_cast<int>(act.a)); end != nullptr)
        Event(act, absl::StrCat("pipe: fd ", act.a, " reads, fd ", act.b, " writes"), "pipe",
              end->object());
      return;
    case Op::kSocketpair:
      if (act.failed()) return;
      if (const auto end = act.process->Find(static_cast<int>(act.c & 0xffffffff));
          end != nullptr) {
        Event(act, absl::StrCat("socketpair: fd ", act.c & 0xffffffff, " and fd ", act.c >> 32),
              "socketpair", end->object());
      }
      return;
    case Op::kShutdown:
      if (about == nullptr || act.failed()) return;
      Event(act,
            absl::StrCat("shuts down fd ", act.fd,
                         act.a == SHUT_RD   ? " for reading"
                         : act.a == SHUT_WR ? " for writing"
                                            : " for both"),
            "shutdown", about);
      return;
    case Op::kSockopt: {
      if (about == nullptr || act.failed() || act.a != SOL_SOCKET || act.b != SO_LINGER) return;
      const bool aborts =
          (act.c & 0xffffffff) != 0 && act.c >> 32 == 0;  // struct linger {on, seconds}
      if (aborts)
        aborting_.insert(about->id);
      else
        aborting_.erase(about->id);
      return;
    }
    default:
      return;
  }
}

void Recorder::DidAccept(const Act& act) {
  if (act.failed()) return;
  const auto made = act.process->Find(static_cast<int>(act.result));
  if (made == nullptr) return;
  Item item;
  item.kind = Item::kConnect;
  item.time = act.leave;
  item.sort = "accept";
  item.text = absl::StrCat("connection accepted as fd ", act.result);
  Entry& entry = Put(act, std::move(item), made->object());
  entry.from_peer_of = made->object()->id;
  entry.to_process = entry.process;
  entry.to_thread = entry.thread;
  Meet(made->object());
}

void Recorder::Wrote(const Act& act, const std::shared_ptr<Object>& object, uint64_t size,
                     std::string text) {
  Item item;
  item.kind = Item::kMessage;
  item.time = act.enter;
  item.sort = "message";
  item.text = std::move(text);
  uint64_t& offset = written_[object->id];
  sent_.push_back({items_.size(), object->id, offset, offset + size, object->IsPipe()});
  offset += size;
  user_[object->id] = act.process->id;
  Meet(object);
  Put(act, std::move(item), object);
}

void Recorder::DidWrite(const Act& act) {
  const auto descriptor =
      act.op == Op::kTransfer ? act.process->Find(static_cast<int>(act.a)) : act.descriptor;
  if (descriptor == nullptr || !Followed(*descriptor->object())) return;
  const auto object = descriptor->object();
  if (act.failed()) {
    if (act.err == EPIPE || act.err == ECONNRESET) {
      Event(act,
            absl::StrCat(CallName(act.call), " meets ", strerrorname_np(act.err),
                         act.err == ECONNRESET ? " (RST)" : ""),
            "broken", object);
    }
    return;
  }
  const bool raw = act.op == Op::kWrite || act.op == Op::kTransfer;
  const uint64_t size = raw ? static_cast<uint64_t>(std::max<int64_t>(act.result, 0)) : act.b;
  if (size > 0) Wrote(act, object, size, First(act, size));
}

// exit writes out what the streams hold; the facts just before say what that is.
void Recorder::ExitFlushes(const Act& act) {
  for (const auto& [address, stream] : act.process->streams) {
    const auto descriptor = act.process->Find(stream->number);
    if (descriptor == nullptr || stream->pending == 0 || !Followed(*descriptor->object())) continue;
    const auto known = pending_.find({act.process->id, address});
    Wrote(act, descriptor->object(), stream->pending,
          Quoted(known == pending_.end() ? "" : known->second, stream->pending) +
              ", written by exit");
  }
}

void Recorder::DidRead(const Act& act) {
  if (act.descriptor == nullptr || (act.flags & kRecordPeek) != 0) return;
  const auto object = act.descriptor->object();
  if (!Followed(*object)) return;
  if (IsStream(*object)) {
    user_[object->id] = act.process->id;
    Meet(object);
  }
  if (act.failed()) {
    if (act.err == ECONNRESET) Event(act, "meets a reset (RST)", "reset", object);
    return;
  }
  const bool left_there = act.op == Op::kTransfer && (act.c & kTransferTee) != 0;
  const uint64_t size = act.op == Op::kStreamRead ? act.b
                        : left_there              ? 0
                                     : static_cast<uint64_t>(std::max<int64_t>(act.result, 0));
  if (size == 0) {
    const bool asked = act.op == Op::kStreamRead || (act.op == Op::kRead && act.a != 0);
    if (act.result == 0 && asked)
      Event(act, absl::StrCat("end-of-file on fd ", act.fd), "eof", object);
    return;
  }
  uint64_t from = object->id;
  if (!object->IsPipe()) {
    const auto it = peer_.find(object->id);
    if (it == peer_.end()) {
      Item item;
      item.time = act.leave;
      item.sort = "from outside";
      item.text = "gets from outside the run " + First(act, size);
      Put(act, std::move(item), object);
      return;
    }
    from = it->second;
  }
  uint64_t& offset = read_[from];
  taken_[from].push_back({offset, offset + size, act.process->id, act.thread->id, act.leave});
  offset += size;
  readers_[from] = act.process->id;
}

void Recorder::Blocked(const Act& act, Nanos until) {
  if (!Waits(act) || until - act.enter < kBlockedFrom) return;
  Item item;
  item.kind = Item::kBlocked;
  item.time = act.enter;
  item.sort = absl::StrCat("blocked ", CallName(act.call));
  item.text = absl::StrCat(act.op == Op::kSleep ? "" : "waits in ", CallName(act.call),
                           act.fd >= 0 ? absl::StrCat("(", act.fd, ")") : "", " for ",
                           Duration(until - act.enter));
  Put(act, std::move(item), act.descriptor == nullptr ? nullptr : act.descriptor->object());
}

// --- Ends

// Whether the connection is reset when `last`, or all that the process `only` has, is closed.
bool Recorder::Resets(const std::shared_ptr<Object>& object, const Process* only,
                      const Descriptor* last, std::string* why) {
  if (!IsStream(*object) || object->socket.state != SocketState::kConnected) return false;
  for (const Description* description : object->descriptions) {
    if (description->outside) return false;
    for (const Descriptor* holder : description->holders) {
      if (only != nullptr ? holder->process_id != only->id : holder != last) return false;
    }
  }
  const uint64_t unread = object->socket.incoming.Unread();
  if (unread == 0 && aborting_.count(object->id) == 0) return false;
  *why = unread > 0 ? Bytes(unread) + " unread" : "SO_LINGER of 0 s";
  return true;
}

void Recorder::WillClose(const std::shared_ptr<Descriptor>& descriptor, Death how, const Act& act) {
  const auto object = descriptor->object();
  if (!Followed(*object)) return;
  if (IsStream(*object)) Meet(object);
  std::string why;
  const bool resets = Resets(object, nullptr, descriptor.get(), &why);
  Entry& entry =
      Event(act,
            absl::StrCat("closes fd ", descriptor->number, ", ", Describe(*descriptor->description),
                         resets ? absl::StrCat(": RST (", why, ")") : ""),
            "close", object, act.enter);
  if (!resets) return;
  entry.item.kind = Item::kConnect;
  entry.to_peer_of = object->id;
}

void Recorder::WillEnd(const Process& process) {
  for (const Thread* thread : process.threads) {
    for (const auto& act : thread->open) Blocked(*act, model().now());
  }
  Item item;
  item.time = model().now();
  item.sort = "end";
  const char* const signal =
      process.end == EndKind::kKilled ? sigabbrev_np(process.status) : nullptr;
  item.text = process.end == EndKind::kKilled
                  ? absl::StrCat("killed by SIG", signal == nullptr ? "?" : signal)
                  : absl::StrCat("exits with ", process.status);
  PutOn(process.id, 0, std::move(item), nullptr);
  std::set<uint64_t> seen;
  for (const auto& [number, descriptor] : process.table) {
    std::string why;
    const auto object = descriptor->object();
    if (!seen.insert(object->id).second || !Resets(object, &process, nullptr, &why)) continue;
    Item reset;
    reset.kind = Item::kConnect;
    reset.time = model().now();
    reset.sort = "reset at exit";
    reset.text = absl::StrCat("its end closes fd ", number, ", ",
                              Describe(*descriptor->description), ": RST (", why, ")");
    PutOn(process.id, 0, std::move(reset), object).to_peer_of = object->id;
  }
}

void Recorder::DidFinish() {
  for (const Process* process : model().processes()) {
    for (const Thread* thread : process->threads) {
      for (const auto& act : thread->open) {
        if (!process->alive() || !Waits(*act)) continue;
        Item item;
        item.kind = Item::kBlocked;
        item.time = act->enter;
        item.sort = "hang";
        item.text =
            absl::StrCat(CallName(act->call), act->fd >= 0 ? absl::StrCat("(", act->fd, ")") : "",
                         " never returned: it waited for ", Duration(model().now() - act->enter));
        PutOn(process->id, thread->id, std::move(item),
              act->descriptor == nullptr ? nullptr : act->descriptor->object());
      }
    }
  }
}

// --- Processes

void Recorder::DidFork(const Process& parent, const Process& child, const Act* act) {
  Item item;
  item.kind = Item::kFork;
  item.time = model().now();
  item.text = "fork";
  item.sort = "fork";
  const bool known = act != nullptr && act->thread != nullptr && act->process == &parent;
  PutOn(parent.id, known ? act->thread->id : 0, std::move(item), nullptr).child = &child;
}

void Recorder::DidExec(const Process& process, const Act* act) {
  Item item;
  item.time = model().now();
  item.text = absl::StrCat("exec ", process.name);
  item.sort = "exec";
  PutOn(process.id, 0, std::move(item), nullptr);
}

// --- What the protocols say

void Recorder::DidSay(uint64_t object, uint64_t begin, uint64_t end, const std::string& message,
                      const std::string& state) {
  if (said_[object].size() < (1 << 20)) said_[object].push_back({begin, end, message, state});
}

void Recorder::DidComplain(uint64_t object, uint64_t offset, const protocol::Complaint& complaint) {
  complaints_.push_back({object, offset, complaint.message, complaint.site, complaint.incomplete});
}

// --- Entries

Recorder::Entry& Recorder::Put(const Act& act, Item item, const std::shared_ptr<Object>& about) {
  return PutOn(act.process->id, act.thread->id, std::move(item), about);
}

Recorder::Entry& Recorder::PutOn(uint32_t process, uint32_t thread, Item item,
                                 const std::shared_ptr<Object>& about) {
  Entry entry;
  entry.item = std::move(item);
  entry.process = process;
  entry.thread = thread;
  if (about != nullptr) {
    entry.about = Describe(*about);
    std::string& known = connection_of_[about->id];
    if (known.empty()) known = entry.about;
  }
  items_.push_back(std::move(entry));
  return items_.back();
}

Recorder::Entry& Recorder::Event(const Act& act, std::string text, std::string sort,
                                 const std::shared_ptr<Object>& about, Nanos time) {
  Item item;
  item.time = time >= 0 ? time : act.leave;
  item.text = std::move(text);
  item.sort = std::move(sort);
  return Put(act, std::move(item), about);
}

// Remembers who is at the other end, while that is there.
void Recorder::Meet(const std::shared_ptr<Object>& socket) {
  const auto other = socket->socket.other_end.lock();
  if (other == nullptr) return;
  peer_[socket->id] = other->id;
  peer_[other->id] = socket->id;
  for (const auto& end : {socket, other}) {
    if (end->born.process != 0) user_.emplace(end->id, end->born.process);
  }
}

}  // namespace ipctrace::diagram
