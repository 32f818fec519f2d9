// FILE* streams: which descriptor they sit on, and what their buffers hold as far as was last seen.
#include <fcntl.h>

#include "analyzer/model/replay.h"

namespace ipctrace {

Stream& Replay::StreamOf(const Act& act) {
  auto& slot = act.process->streams[act.a];
  if (slot == nullptr) {
    // stdin, stdout and stderr are there from the beginning.
    slot = std::make_shared<Stream>();
    slot->id = m.next_id_++;
    slot->address = act.a;
    slot->process_id = act.process->id;
    slot->born = act.site();
  }
  // It sits on a number, whatever dup2 puts there. After its close the old descriptor is kept.
  auto descriptor = act.fd >= 0 ? act.process->Find(act.fd) : nullptr;
  if (slot->number != act.fd || slot->descriptor.expired() ||
      (descriptor != nullptr && slot->descriptor.lock() != descriptor)) {
    slot->number = act.fd;
    slot->descriptor = descriptor;
    if (descriptor != nullptr) descriptor->stream = slot;
  }
  return *slot;
}

void Replay::StreamOpened(Act& act) {
  if (act.op == Op::kPopen) Spawned(act);
  if (act.op == Op::kStreamReopen) WrittenAtReopen(act);
  if (act.result == 0) return;
  int fd = act.op == Op::kStreamReopen ? static_cast<int>(act.b) : act.fd;
  if (fd < 0) return;  // fmemopen and the like have no descriptor
  bool is_new = act.op != Op::kStreamOpen || act.b == 1;
  if (is_new) {
    FdFact fact{};
    fact.fd = fd;
    for (const FdFact& each : Facts(act)) {
      if (each.fd == fd) fact = each;
    }
    auto object = ObjectOf(fact, act.site());
    const std::string* path = act.Blob(BlobTag::kPath);
    if (path != nullptr && object->path.empty() && act.op != Op::kPopen &&
        object->kind != ObjectKind::kPipe) {
      object->path = path->c_str();
    }
    if (act.op == Op::kPopen && object->IsPipe()) {
      // The command may have said hello first, with a pipe that nobody knew then.
      object->outside = false;
      for (Description* each : object->descriptions) each->outside = false;
    }
    int access = act.op == Op::kPopen ? (act.b == 1 ? O_WRONLY : O_RDONLY)
                                      : static_cast<int>(fact.status & O_ACCMODE);
    auto description = NewDescription(
        object, access | static_cast<int>(fact.status & (O_NONBLOCK | O_APPEND)), act.site());
    auto descriptor = Add(*act.process, fd, description, Birth::kOpened, act);
    descriptor->close_on_exec = (fact.fd_flags & FD_CLOEXEC) != 0;
  }
  Act on_stream = act;
  on_stream.fd = fd;
  act.process->streams.erase(act.a);  // a FILE may stand where an earlier one stood
  Stream& stream = StreamOf(on_stream);
  stream.born = act.site();
  if (act.op == Op::kPopen) stream.child = static_cast<int32_t>(act.c);
}

// freopen writes out what was meant for the old descriptor.
void Replay::WrittenAtReopen(const Act& act) {
  auto it = act.process->streams.find(act.a);
  if (act.c == 0 || it == act.process->streams.end()) return;
  Flushed(*it->second, act);
  if (act.descriptor != nullptr) ++act.descriptor->usage.writes;
  MovedOut(act, act.descriptor, act.c);
}

void Replay::Flushed(Stream& stream, const Act& act) {
  ++stream.flushes;
  stream.last_flush = act.site();
}

void Replay::StreamUsed(Act& act) {
  if (act.fd < 0) return;  // in memory: what it holds goes nowhere
  Stream& stream = StreamOf(act);
  if (act.b > 0 && act.op != Op::kStreamRead) Flushed(stream, act);
  stream.last_use = act.site();
  auto descriptor = stream.descriptor.lock();
  switch (act.op) {
    case Op::kStreamRead:
      stream.read_ahead = act.c;
      Use(act, descriptor);
      MovedIn(act, descriptor, act.b);
      if (act.result == 0 && act.err == 0 && act.b == 0) MetEnd(descriptor);
      return;
    case Op::kStreamWrite:
      stream.pending = act.c;
      if (act.c == 0 || act.b > 0) stream.inherited_pending = 0;
      if (act.b > 0 || act.err != 0) Use(act, descriptor);
      MovedOut(act, descriptor, act.b);
      return;
    default:  // kStreamSeek
      stream.read_ahead = 0;
      stream.pending = 0;
      stream.inherited_pending = 0;
      Use(act, descriptor);
      MovedOut(act, descriptor, act.b);
      return;
  }
}

void Replay::StreamState(const Act& act) {
  if (act.fd < 0) return;
  Stream& stream = StreamOf(act);
  stream.read_ahead = act.b;
  stream.pending = act.c;
  if (act.c == 0) stream.inherited_pending = 0;
  if (act.call == Call::__fpurge) stream.thrown_away = stream.flushes;
}

void Replay::StreamClosed(Act& act) {
  auto it = act.process->streams.find(act.a);
  if (it == act.process->streams.end()) return;
  std::shared_ptr<Stream> stream = it->second;
  act.process->streams.erase(it);
  if (act.op == Op::kPclose && !act.failed()) WaitedInside(act, stream->child);
  stream->death = StreamDeath::kClosed;
  stream->pending = 0;
  if (act.b > 0) Flushed(*stream, act);
  if (act.b > 0 && act.descriptor != nullptr) {
    ++act.descriptor->usage.writes;
    MovedOut(act, act.descriptor, act.b);
  }
}

}  // namespace ipctrace
