#include "analyzer/model/model.h"

#include <errno.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_split.h"
#include "analyzer/model/replay.h"
#include "analyzer/model/waits.h"
#include "analyzer/symbols/stacks.h"

namespace ipctrace {
namespace {

// The loader gives the executable no name: the hello has it.
std::string NameExecutable(std::string modules, const std::string& exe) {
  size_t end = modules.find('\n');
  if (end != std::string::npos && end > 0 && modules[end - 1] == ' ') modules.insert(end, exe);
  return modules;
}

bool IsForTheModel(BlobTag tag) { return tag != BlobTag::kStack && tag != BlobTag::kModules; }

template <typename T>
void Grow(std::vector<T>& by_id, uint32_t id) {
  if (by_id.size() <= id) by_id.resize(id + 1 + id / 2);
}

// Trace ids are dense, counted from 1. A damaged trace must not make us allocate the world.
constexpr uint32_t kMostIds = 1 << 28;

// The function that the program called: what fcntl and ioctl do is recorded under names of its own.
std::string_view FunctionCalled(Call call) {
  const std::string_view name = NameOf(call);
  return name.starts_with("fcntl_") || name.starts_with("ioctl_") ? name.substr(0, 5) : name;
}

}  // namespace

Model::Model(Stacks* stacks) : stacks_(stacks) {}
Model::~Model() = default;

const Process* Model::Find(uint32_t process_id) const {
  return process_id < process_by_id_.size() ? process_by_id_[process_id] : nullptr;
}

const Thread* Model::FindThread(uint32_t thread_id) const {
  return thread_id < thread_by_id_.size() ? thread_by_id_[thread_id].get() : nullptr;
}

const Process* Model::FindAlive(int32_t pid) const {
  auto it = alive_.find(pid);
  return it == alive_.end() ? nullptr : it->second;
}

std::shared_ptr<Object> Model::FindObject(uint64_t device, uint64_t inode) const {
  auto it = objects_.find({device, inode});
  return it == objects_.end() ? nullptr : it->second.lock();
}

namespace {

// As it is compared: "./a" is "a".
std::string FifoName(const std::string& path) {
  size_t begin = 0;
  while (path.compare(begin, 2, "./") == 0) begin += 2;
  return path.substr(begin);
}

template <typename Map>
std::shared_ptr<Object> Live(const Map& map, const std::string& key) {
  auto it = map.find(key);
  auto object = it == map.end() ? nullptr : it->second.lock();
  return object == nullptr || object->descriptions.empty() ? nullptr : object;
}

}  // namespace

Nanos Model::told_outside() const {
  Nanos told = told_outside_;
  for (const auto& connection : unmet_) told = std::max(told, connection->socket.told);
  return told;
}

bool Model::MadeFifo(const std::string& path) const { return fifos_.contains(FifoName(path)); }

std::shared_ptr<Object> Model::FindListener(const std::string& address) const {
  auto listens = [](const std::shared_ptr<Object>& object) {
    return object != nullptr && object->socket.state == SocketState::kListening;
  };
  if (auto exact = Live(listeners_, address); listens(exact)) return exact;
  std::string port = address.substr(std::min(address.size(), address.rfind(':')));
  for (const char* any : {"0.0.0.0", "[::]"}) {
    auto object = port.empty() ? nullptr : Live(listeners_, any + port);
    if (listens(object)) return object;
  }
  return nullptr;
}

std::shared_ptr<Object> Model::FindBound(const std::string& address) const {
  if (auto exact = Live(bound_, address)) return exact;
  std::string port = address.substr(std::min(address.size(), address.rfind(':')));
  for (const char* any : {"0.0.0.0", "[::]"}) {
    if (port.empty()) break;
    if (auto object = Live(bound_, any + port)) return object;
  }
  return nullptr;
}

Process* Model::AddProcess(uint32_t id, int32_t pid) {
  owned_processes_.push_back(std::make_unique<Process>());
  Process* process = owned_processes_.back().get();
  process->id = id;
  process->pid = pid;
  process->started = now_;
  order_.push_back(process);
  if (id != 0) {
    Grow(process_by_id_, id);
    process_by_id_[id] = process;
  }
  alive_[pid] = process;
  return process;
}

Thread* Model::AddThread(uint32_t id, int32_t tid, Process* process) {
  Grow(thread_by_id_, id);
  auto& slot = thread_by_id_[id];
  slot = std::make_unique<Thread>();
  slot->id = id;
  slot->tid = tid;
  slot->process = process;
  process->threads.push_back(slot.get());
  return slot.get();
}

void Model::Take(const Event& event) {
  now_ = std::max(now_, event.time);
  switch (event.kind) {
    case EventKind::kEnter:
      return Enter(event);
    case EventKind::kLeave:
      return Leave(event);
    case EventKind::kAbandon:
      return Abandon(event);
    default:
      return Observe(event);
  }
}

// Hands the stacks and modules that came with an event to their keeper.
void Model::KeepBlobs(const Event& event) {
  for (const auto& [tag, bytes] : event.blobs) {
    if (tag == BlobTag::kStack && bytes.size() >= sizeof(StackCopy)) {
      StackCopy copy;
      std::memcpy(&copy, bytes.data(), sizeof(copy));
      stacks_->Add(copy.id, event.process, bytes, FunctionCalled(event.call));
    } else if (tag == BlobTag::kModules) {
      const Process* process = Find(event.process);
      std::string exe = process == nullptr ? "" : process->exe;
      for (const auto& [other, text] : event.blobs) {
        if (other == BlobTag::kExe) exe = text.c_str();
      }
      stacks_->SetModules(event.process, NameExecutable(bytes, exe));
    }
  }
}

void Model::Enter(const Event& event) {
  if (event.process == 0 || event.process >= kMostIds || event.thread == 0 ||
      event.thread >= kMostIds) {
    return;
  }
  KeepStacks(event);
  Op op = OpOf(event.call);
  Replay replay(*this);

  Process* process = ProcessOf(event);
  Thread* thread = ThreadOf(event);
  if (op == Op::kHello || op == Op::kChildStart || process == nullptr || thread == nullptr) {
    // The first record of an image, a child or a thread makes its process and thread; a process
    // whose beginning is missing is taken as it comes.
    Act first;
    first.call = event.call;
    first.op = op;
    first.enter = first.leave = event.time;
    first.a = event.a, first.b = event.b, first.c = event.c;
    first.result = event.result;
    first.stack = event.stack;
    first.blobs = event.blobs;
    Thread stand_in;
    stand_in.id = event.thread, stand_in.tid = event.tid;
    Process unknown;
    unknown.id = event.process, unknown.pid = event.pid;
    first.process = &unknown;
    first.thread = &stand_in;
    if (op == Op::kHello) {
      replay.Hello(first, event.process);
    } else if (op == Op::kChildStart) {
      replay.ChildStart(first);
    } else if (process == nullptr) {
      AddProcess(event.process, event.pid);
    }
    process = process_by_id_[event.process];
    thread = ThreadOf(event);
    if (thread == nullptr) {
      thread = AddThread(event.thread, event.tid, process);
      thread->born.process = process->id;
      thread->born.pid = process->pid;
      thread->born.time = event.time;
    }
  }
  if (!process->alive() || thread->ended) return;

  std::unique_ptr<Act> act;
  if (!spare_acts_.empty()) {
    act = std::move(spare_acts_.back());
    spare_acts_.pop_back();
    act->blobs.clear();
  } else {
    act = std::make_unique<Act>();
  }
  act->call = event.call;
  act->op = op;
  act->flags = event.flags;
  act->process = process;
  act->thread = thread;
  act->seq = event.seq;
  act->enter = event.time;
  act->leave = 0;
  act->fd = event.fd;
  act->result = 0;
  act->err = 0;
  act->a = event.a, act->b = event.b, act->c = event.c;
  act->stack = event.stack;
  act->descriptor = event.fd >= 0 ? process->Find(event.fd) : nullptr;
  for (const auto& blob : event.blobs) {
    if (IsForTheModel(blob.first)) act->blobs.push_back(blob);
  }
  ++coverage_.records;
  Act& entered = *act;
  thread->open.push_back(std::move(act));
  if (rules_ != nullptr) rules_->DidEnter(entered);
  replay.Enter(entered);
}

void Model::Leave(const Event& event) {
  Thread* thread = ThreadOf(event);
  if (thread == nullptr) return;
  KeepStacks(event);
  // Signal handlers nest, so it is the last one but for damage.
  auto it = std::find_if(thread->open.rbegin(), thread->open.rend(),
                         [&](const auto& act) { return act->seq == event.seq; });
  if (it == thread->open.rend()) return;
  // Nobody returns from exit. While it writes out what the streams hold, the thread is in it.
  if ((*it)->op == Op::kExit && (*it)->process->alive()) return;
  std::unique_ptr<Act> act = std::move(*it);
  thread->open.erase(std::next(it).base());
  act->leave = event.time;
  act->flags = event.flags;
  act->fd = event.fd;
  act->result = event.result;
  act->err = event.err;
  act->a = event.a, act->b = event.b, act->c = event.c;
  if (event.stack != 0) act->stack = event.stack;
  for (const auto& blob : event.blobs) {
    if (IsForTheModel(blob.first)) act->blobs.push_back(blob);
  }
  if (!act->process->alive()) return;
  Replay replay(*this);
  replay.Count(*act);
  replay.Leave(*act);
  if (act->op == Op::kClose) replay.NoteClose(*act);
  if (act->err == EBADF || act->op == Op::kPoll) replay.NoteLate(*act);
  if (rules_ != nullptr) rules_->DidLeave(*act);
  act->descriptor.reset();
  spare_acts_.push_back(std::move(act));
}

void Model::Abandon(const Event& event) {
  Thread* thread = ThreadOf(event);
  if (thread == nullptr) return;
  Replay replay(*this);
  std::erase_if(thread->open, [&](const auto& act) {
    if (act->seq != event.seq) return false;
    replay.Unfinished(*act);
    return true;
  });
}

void Model::Observe(const Event& event) {
  Replay replay(*this);
  auto text = [&](BlobTag tag) -> std::string {
    for (const auto& [its_tag, bytes] : event.blobs) {
      if (its_tag == tag) return bytes;
    }
    return "";
  };
  switch (event.kind) {
    case EventKind::kRun: {
      wall_start_ns_ = static_cast<int64_t>(event.a);
      std::string argv = text(BlobTag::kArgv);
      if (!argv.empty() && argv.back() == '\0') argv.pop_back();
      argv_ = absl::StrSplit(argv, '\0');
      break;
    }
    case EventKind::kDeath: {
      Process* process = ProcessOf(event);
      if (process == nullptr) break;
      int status = static_cast<int>(event.c);
      if (event.result != 1) {
        replay.EndProcess(*process, EndKind::kUnknown, process->status);
      } else if ((status & 0x7f) == 0) {
        replay.EndProcess(*process, EndKind::kExited, status >> 8 & 0xff);
      } else {
        replay.EndProcess(*process, EndKind::kKilled, status & 0x7f);
      }
      break;
    }
    case EventKind::kDeadlock: {
      Deadlock deadlock = DeadlockOf(*this, EntriesOf<uint32_t>(text(BlobTag::kPayload)));
      if (!deadlock.waits.empty()) replay.Rules([&](Rule& rule) { rule.DidDeadlock(deadlock); });
      break;
    }
    case EventKind::kParked:
      KeepStacks(event);
      if (Thread* thread = ThreadOf(event); thread != nullptr) thread->parked_stack = event.stack;
      break;
    case EventKind::kHolders:
      if (auto object = FindObject(event.a, event.b)) object->outside = true;
      break;
    case EventKind::kCoverage:
      coverage_.lost = event.a;
      coverage_.untraced_execs = event.b;
      coverage_.kernel_written = event.c == 0 ? 0 : event.c - 1;
      coverage_.kernel_read =
          std::max(static_cast<uint64_t>(event.result), coverage_.read_before) -
          coverage_.read_before;
      for (absl::string_view line :
           absl::StrSplit(text(BlobTag::kPath), '\n', absl::SkipEmpty())) {
        coverage_.holes.emplace_back(line);
      }
      break;
    case EventKind::kFinish:
      finished_ = true;
      finish_reason_ = static_cast<FinishReason>(event.a);
      replay.Rules([](Rule& rule) { rule.DidFinish(); });
      break;
    case EventKind::kEnter:
    case EventKind::kLeave:
    case EventKind::kAbandon:
      break;
  }
}

// Acts at entry and at return ---------------------------------------------------------------------

void Replay::Enter(Act& act) {
  switch (act.op) {
    case Op::kClose:
    case Op::kCloseRange:
    case Op::kStreamClose:
    case Op::kPclose:
    case Op::kDirClose:
    case Op::kDup2:
    case Op::kStreamReopen:
      return CloseEntered(act);
    case Op::kFork:
    case Op::kVfork:
    case Op::kSpawn:
    case Op::kPopen:
    case Op::kSystem:
      return ForkEntered(act);
    case Op::kExitNow:
      // The kernel keeps eight bits of it. abort's is the signal, which comes next.
      return EndProcess(*act.process, EndKind::kExited,
                        static_cast<int>(act.call == Call::abort ? act.a : act.a & 0xff));
    case Op::kExit: {
      act.process->status = static_cast<int>(act.a & 0xff);
      // What the streams hold is written now. If that blocks, the process is alive in this act.
      bool may_block = false;
      for (auto& [address, stream] : act.process->streams) {
        // Whatever stands at its number now: dup2 may have put it there.
        auto descriptor = act.process->Find(stream->number);
        if (stream->pending == 0 || descriptor == nullptr) continue;
        Flushed(*stream, act);
        MovedOut(act, descriptor, stream->pending);
        m.coverage_.written += stream->pending;
        const Object& object = *descriptor->object();
        may_block |= object.IsPipe() || object.kind == ObjectKind::kSocket;
      }
      if (!may_block) EndProcess(*act.process, EndKind::kExited, act.process->status);
      return;
    }
    case Op::kConnect:
      return ConnectEntered(act);
    case Op::kWrite:
      return Sent(act);
    case Op::kOpenNumbers:
      return CompareNumbers(act);
    case Op::kThreadCreate:
      // Its first word may come before the call returns, or after the process has ended.
      ++act.process->threads_to_come;
      return;
    case Op::kDescribed:
      for (const FdFact& fact : Facts(act)) WasDescribed(act, fact);
      return;
    case Op::kStreamState:
      return StreamState(act);
    case Op::kThreadStart:
      if (act.process->threads_to_come > 0) --act.process->threads_to_come;
      act.thread->pthread = act.a;
      act.thread->creator = static_cast<uint32_t>(act.b);
      return;
    default:
      return;
  }
}

void Replay::Leave(Act& act) {
  switch (act.op) {
    case Op::kRead:
    case Op::kReadAt:
      if (!act.failed() || act.err != EBADF) Use(act, act.descriptor);
      if (!act.failed() && (act.flags & kRecordPeek) == 0 && act.result > 0) {
        MovedIn(act, act.descriptor, static_cast<uint64_t>(act.result));
      }
      if (!act.failed() && act.result == 0 && act.a > 0) MetEnd(act.descriptor);
      return Received(act);
    case Op::kWrite:
    case Op::kWriteAt:
      Use(act, act.descriptor);
      if (act.failed()) return NotSent(act);
      return MovedOut(act, act.descriptor, static_cast<uint64_t>(act.result));
    case Op::kTransfer: {
      auto to = act.process->Find(static_cast<int>(act.a));
      Use(act, act.descriptor);
      Use(act, to);
      if (act.failed() || act.result <= 0) return;
      if ((act.c & kTransferTee) == 0)
        MovedIn(act, act.descriptor, static_cast<uint64_t>(act.result));
      return MovedOut(act, to, static_cast<uint64_t>(act.result));
    }
    case Op::kStreamOpen:
    case Op::kStreamReopen:
    case Op::kPopen:
      return StreamOpened(act);
    case Op::kStreamClose:
    case Op::kPclose:
      return StreamClosed(act);
    case Op::kStreamRead:
    case Op::kStreamWrite:
    case Op::kStreamSeek:
      return StreamUsed(act);
    case Op::kStreamSetbuf:
      StreamOf(act);
      return;
    case Op::kOpen:
    case Op::kAnonymous:
    case Op::kDirOpen:
      return Opened(act);
    case Op::kPipe:
      return Piped(act);
    case Op::kSocket:
      return SocketMade(act);
    case Op::kSocketpair:
      return SocketpairMade(act);
    case Op::kDup:
    case Op::kDup2:
      return Duplicated(act);
    case Op::kFdFlags:
      if (!act.failed() && act.descriptor != nullptr) act.descriptor->close_on_exec = act.a != 0;
      return;
    case Op::kStatusFlags:
      if (!act.failed() && act.descriptor != nullptr) {
        act.descriptor->description->status_flags = static_cast<int>(act.a);
      }
      return;
    case Op::kBind:
      return Bound(act);
    case Op::kListen:
      return Listened(act);
    case Op::kAccept:
      return Accepted(act);
    case Op::kConnect:
      return Connected(act);
    case Op::kShutdown:
      return WasShutDown(act);
    case Op::kSockopt:
      return OptionWasSet(act);
    case Op::kEpollCtl: {
      Use(act, act.descriptor);
      auto target = act.process->Find(static_cast<int>(act.b));
      if (act.failed() || act.descriptor == nullptr || target == nullptr) return;
      auto& interest = act.descriptor->object()->interest;
      if (act.a == 2 /* EPOLL_CTL_DEL */) {
        interest.erase(static_cast<int>(act.b));
      } else {
        interest[static_cast<int>(act.b)] = {target->description, static_cast<uint32_t>(act.c)};
      }
      return Use(act, target);
    }
    case Op::kPoll:
      if (const std::string* set = act.Blob(BlobTag::kPoll)) {
        for (const PollEntry& entry : EntriesOf<PollEntry>(*set)) {
          if (entry.fd >= 0) Use(act, act.process->Find(entry.fd));
        }
      }
      return;
    case Op::kSeek:
    case Op::kTruncate:
    case Op::kFile:
    case Op::kMap:
    case Op::kLockFile:
    case Op::kEpollWait:
      Use(act, act.descriptor);
      if (act.op == Op::kLockFile) FileLocked(act);
      return;
    case Op::kFork:
    case Op::kVfork:
      return ForkReturned(act);
    case Op::kSpawn:
      return Spawned(act);
    case Op::kSystem:
      m.forks_.erase({act.thread->id, act.seq});
      for (Process* child : act.process->children) {
        if (child->born.call == act.call && child->born.tid == act.thread->tid &&
            child->started >= act.enter && !child->reaped) {
          WaitedInside(act, child->pid);
        }
      }
      return;
    case Op::kWait:
      return Waited(act);
    case Op::kSignal:
      if (!act.failed() && act.a < act.process->dispositions.size()) {
        act.process->dispositions[act.a] = static_cast<Disposition>(act.b);
        act.process->signal_flags[act.a] = static_cast<int>(act.c);
      }
      return;
    case Op::kAlarm:
      act.process->alarm_at = act.a == 0 ? -1 : act.leave + static_cast<Nanos>(act.a);
      act.process->alarm_interval = static_cast<Nanos>(act.b);
      return;
    case Op::kThreadCreate:
      if (act.result != 0) --act.process->threads_to_come;
      return;
    case Op::kThreadEnd:
      return EndThread(*act.thread);
    case Op::kThreadJoin:
      if (act.result == 0) {
        for (Thread* thread : act.process->threads) {
          if (thread->pthread == act.a && !thread->ended) return EndThread(*thread);
        }
      }
      return;
    case Op::kUnlink:
      if (const std::string* path = act.Blob(BlobTag::kPath); path != nullptr && !act.failed()) {
        auto listener = m.listeners_.find(path->c_str());
        auto object = listener == m.listeners_.end() ? nullptr : listener->second.lock();
        if (object != nullptr) object->socket.unlinked = true;
      }
      return;
    case Op::kMkfifo:
      if (const std::string* path = act.Blob(BlobTag::kPath); path != nullptr && !act.failed()) {
        m.fifos_.insert(FifoName(path->c_str()));
      }
      return;
    // Nothing to change: what they release or start was done at entry, or they only ask or wait.
    case Op::kNone:
    case Op::kBlob:
    case Op::kHello:
    case Op::kModules:
    case Op::kChildStart:
    case Op::kThreadStart:
    case Op::kOpenNumbers:
    case Op::kDescribed:
    case Op::kStreamState:
    case Op::kClose:
    case Op::kCloseRange:
    case Op::kDirClose:
    case Op::kProbe:
    case Op::kExec:
    case Op::kExit:
    case Op::kExitNow:
    case Op::kExitBegin:
    case Op::kKill:
    case Op::kPause:
    case Op::kSleep:
    case Op::kThreadDetach:
    case Op::kMutexLock:
    case Op::kUnsafe:
    case Op::kLibrary:
      return;
  }
}

}  // namespace ipctrace
