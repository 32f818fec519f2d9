// Processes and threads: how they begin, what they take over, how they end.
//
// A forked child's table is its parent's as of the moment the parent entered fork: later the parent
// may already have closed what the child holds. After exec the new image reports what it found
// open, and the model reconciles itself with that: what it did not know of, it takes as found.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_split.h"
#include "analyzer/model/replay.h"
#include "analyzer/symbols/stacks.h"

namespace ipctrace {
namespace {

// What libc has to say of a heap or a stack that it finds damaged, before it ends the process.
constexpr uint64_t kWrittenByAbort = 1024;

std::string BaseName(const std::string& path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 == 0
}

// Name and arguments from what a hello carries.
void Name(Process& process, const Act& act) {
  if (const std::string* argv = act.Blob(BlobTag::kArgv)) {
    std::string text = *argv;
    if (!text.empty() && text.back() == '\0') text.pop_back();
    process.argv = absl::StrSplit(text, '\0');
  }
  if (const std::string* exe = act.Blob(BlobTag::kExe)) process.exe = exe->c_str();
  process.name = BaseName(!process.exe.empty()   ? process.exe
                          : process.argv.empty() ? std::string()
                                                 : process.argv[0]);
}

// The exec that one of its threads is in; null: none is.
const Act* OpenExec(const Process& process) {
  for (const Thread* thread : process.threads) {
    for (const auto& act : thread->open) {
      if (act->op == Op::kExec) return act.get();
    }
  }
  return nullptr;
}

// A process of which only its parent's word was known gets its id; so does all that it has.
void Identify(Process& process, uint32_t id) {
  process.id = id;
  for (auto& [fd, descriptor] : process.table) descriptor->process_id = id;
  for (auto& [address, stream] : process.streams) stream->process_id = id;
}

}  // namespace

void Replay::ForkEntered(const Act& act) {
  Model::ForkPoint point;
  point.parent = act.process;
  point.table = act.process->table;
  point.site = act.site();
  m.forks_[{act.thread->id, act.seq}] = std::move(point);
}

namespace {

// A child's copies of its parent's descriptors and streams.
void Inherit(Replay& replay, Process& child, const Process& parent,
             const std::map<int, std::shared_ptr<Descriptor>>& table, const Act& act) {
  for (const auto& [fd, original] : table) {
    auto copy = replay.Add(child, fd, original->description, Birth::kInherited, act, original);
    copy->close_on_exec = original->close_on_exec;
    copy->survived_exec = original->survived_exec;
    copy->exec_site = original->exec_site;
  }
  child.dispositions = parent.dispositions;
  child.signal_flags = parent.signal_flags;
  child.libc_keeps = parent.libc_keeps;
  for (const auto& [address, stream] : parent.streams) {
    auto copy = std::make_shared<Stream>(*stream);
    copy->id = replay.NewId();
    copy->process_id = child.id;
    copy->inherited_pending = stream->pending;
    copy->inherited_from = parent.id;
    copy->flushes = 0;
    copy->thrown_away.reset();
    copy->child = 0;
    auto descriptor = child.Find(stream->number);
    copy->descriptor = descriptor;
    if (descriptor != nullptr) descriptor->stream = copy;
    child.streams[address] = copy;
  }
}

}  // namespace

void Replay::ChildStart(Act& act) {
  // act: a=parent's process id, b=parent's thread id, c=seq of its fork record.
  uint32_t id = act.process->id;
  int32_t pid = act.process->pid;
  auto parent_id = static_cast<uint32_t>(act.a);
  auto it = m.forks_.find({static_cast<uint32_t>(act.b), act.c});
  Process* parent = parent_id < m.process_by_id_.size() ? m.process_by_id_[parent_id] : nullptr;
  Process* child = m.alive_.contains(pid) ? m.alive_[pid] : nullptr;
  if (child != nullptr && child->alive() && !child->traced && child->parent == parent) {
    // The parent's fork returned first and made a stand-in.
    Identify(*child, id);
    child->traced = true;
    if (m.process_by_id_.size() <= id) m.process_by_id_.resize(id + 1 + id / 2);
    m.process_by_id_[id] = child;
    if (it != m.forks_.end()) m.forks_.erase(it);
    if (m.stacks_ != nullptr) m.stacks_->CopyModules(parent_id, id);
    return;
  }
  if (child != nullptr && child->alive()) EndProcess(*child, EndKind::kUnknown, 0);  // pid reused
  child = m.AddProcess(id, pid);
  child->parent = parent;
  if (m.stacks_ != nullptr) m.stacks_->CopyModules(parent_id, id);
  if (parent == nullptr) return;
  child->ppid = parent->pid;
  child->name = parent->name;
  child->argv = parent->argv;
  child->exe = parent->exe;
  Adopt(*parent, *child);
  Act as_child = AsProcess(act, *child);
  if (it != m.forks_.end()) {
    child->born = it->second.site;
    Inherit(*this, *child, *parent, it->second.table, as_child);
    it->second.table.clear();
    it->second.pid = pid;
  } else {
    Inherit(*this, *child, *parent, parent->table, as_child);
  }
  Rules([&](Rule& rule) { rule.DidFork(*parent, *child, &as_child); });
}

Act Replay::AsProcess(const Act& act, Process& process) {
  Act copy = act;
  copy.process = &process;
  return copy;
}

void Replay::ForkReturned(const Act& act) {
  auto it = m.forks_.find({act.thread->id, act.seq});
  if (it == m.forks_.end()) return;
  auto pid = static_cast<int32_t>(act.result);
  Model::ForkPoint point = std::move(it->second);
  m.forks_.erase(it);
  if (act.failed() || pid <= 0 || point.pid == pid) return;  // failed, or the child has begun
  StandIn(act, pid, point);
}

// A child of which only its parent's word is known yet: it may say hello or begin later, or never,
// if it cannot be traced. Until then it counts as untraced.
void Replay::StandIn(const Act& act, int32_t pid, const Model::ForkPoint& point) {
  if (auto known = m.alive_.find(pid); known != m.alive_.end() && known->second->alive()) {
    if (known->second->parent == act.process || known->second->started >= act.enter) return;
    EndProcess(*known->second, EndKind::kUnknown, 0);
  }
  Process* child = m.AddProcess(0, pid);
  child->parent = act.process;
  child->ppid = act.process->pid;
  child->traced = false;
  child->name = act.process->name;
  child->argv = act.process->argv;
  child->exe = act.process->exe;
  child->born = point.site;
  Adopt(*act.process, *child);
  Act as_child = AsProcess(act, *child);
  Inherit(*this, *child, *act.process, point.table, as_child);
  if (act.op == Op::kFork || act.op == Op::kVfork) {
    Rules([&](Rule& rule) { rule.DidFork(*act.process, *child, &act); });
  }
}

void Replay::Spawned(const Act& act) {
  auto it = m.forks_.find({act.thread->id, act.seq});
  if (it == m.forks_.end()) return;
  Model::ForkPoint point = std::move(it->second);
  m.forks_.erase(it);
  auto pid = static_cast<int32_t>(act.op == Op::kPopen ? act.c : act.a);
  if (pid > 0) StandIn(act, pid, point);
}

void Replay::Hello(Act& act, uint32_t trace_id) {
  int32_t pid = act.process->pid;
  auto known = m.alive_.find(pid);
  Process* process = known == m.alive_.end() ? nullptr : known->second;
  std::vector<FdFact> facts = Facts(act);
  auto ppid = static_cast<int32_t>(act.a);
  if (process != nullptr && process->traced && OpenExec(*process) == nullptr &&
      process->ppid != ppid && process->ppid != 0) {
    EndProcess(*process, EndKind::kUnknown, 0);  // its pid was given out again
    process = nullptr;
  }
  m.coverage_.heard = true;
  CountImage(act, process == nullptr && m.order_.empty());
  if (m.process_by_id_.size() <= trace_id) m.process_by_id_.resize(trace_id + 1 + trace_id / 2);

  if (process == nullptr) {
    process = m.AddProcess(trace_id, pid);
    process->ppid = ppid;
    if (auto parent = m.alive_.find(ppid); parent != m.alive_.end()) {
      process->parent = parent->second;
      process->born.process = parent->second->id;
      process->born.pid = ppid;
      process->born.time = act.enter;
      Adopt(*parent->second, *process);
      for (const Thread* thread : parent->second->threads) {
        const Act* current = thread->current();
        if (current != nullptr && (current->op == Op::kSpawn || current->op == Op::kPopen ||
                                   current->op == Op::kSystem)) {
          process->born = current->site();
        }
      }
    }
    Name(*process, act);
    Act own = AsProcess(act, *process);
    for (const FdFact& fact : facts) Found(*process, fact, own);
    Dispositions(*process, act);
    if (process->parent != nullptr) {
      Rules([&](Rule& rule) { rule.DidFork(*process->parent, *process, &own); });
    }
    return;
  }

  // The same process, a new program.
  m.process_by_id_[trace_id] = process;
  if (process->id == 0) Identify(*process, trace_id);
  process->traced = true;
  process->execed = true;
  process->libc_keeps = false;
  const Act* exec = OpenExec(*process);
  Act own = AsProcess(act, *process);
  if (exec != nullptr) {
    own = AsProcess(*exec, *process);
    own.blobs.insert(own.blobs.end(), act.blobs.begin(), act.blobs.end());
  }
  process->last_exec = own.site();
  process->past_images.emplace_back(act.enter, process->exe);
  const auto before = process->table;
  std::vector<std::shared_ptr<Descriptor>> lost;
  for (auto& [fd, descriptor] : process->table) {
    auto fact = std::find_if(facts.begin(), facts.end(),
                             [&, number = fd](const FdFact& each) { return each.fd == number; });
    uint64_t inode = descriptor->object()->inode;
    if (fact == facts.end() || (inode != 0 && inode != fact->inode)) {
      // Not known to be complete: keep what was not marked close-on-exec.
      bool complete = (act.b & kHelloNoProc) == 0;
      if (complete || descriptor->close_on_exec) lost.push_back(descriptor);
    }
  }
  for (auto& descriptor : lost) Remove(descriptor, Death::kExec, own);
  process->gone.clear();  // of no meaning to the new image
  for (auto& [fd, descriptor] : process->table) descriptor->predecessor = nullptr;
  for (auto& [fd, descriptor] : process->table) {
    descriptor->survived_exec = true;
    descriptor->exec_site = own.site();
    if (fd < 3) ++descriptor->usage.passed;
    if (descriptor->from != nullptr) ++descriptor->from->usage.passed;
  }
  for (const FdFact& fact : facts) {
    if (process->table.contains(fact.fd)) {
      WasDescribed(own, fact);
    } else {
      Found(*process, fact, own, &before);
    }
  }
  for (auto& [address, stream] : process->streams) stream->death = StreamDeath::kExec;
  process->streams.clear();
  for (Disposition& disposition : process->dispositions) {
    if (disposition == Disposition::kHandler) disposition = Disposition::kDefault;
  }
  Dispositions(*process, act);
  Name(*process, act);
  Rules([&](Rule& rule) { rule.DidExec(*process, exec != nullptr ? &own : nullptr); });
  std::vector<Thread*> threads = process->threads;
  for (Thread* thread : threads) EndThread(*thread);
}

void Replay::Dispositions(Process& process, const Act& act) {
  const std::string* bytes = act.Blob(BlobTag::kDispositions);
  if (bytes == nullptr) return;
  auto sets = EntriesOf<uint64_t>(*bytes);
  if (sets.size() < 2) return;
  for (int signal = 1; signal <= 64; ++signal) {
    uint64_t bit = uint64_t{1} << (signal - 1);
    process.dispositions[signal] = (sets[0] & bit) != 0   ? Disposition::kIgnore
                                   : (sets[1] & bit) != 0 ? Disposition::kHandler
                                                          : Disposition::kDefault;
  }
}

void Replay::Found(Process& process, const FdFact& fact, const Act& act,
                   const std::map<int, std::shared_ptr<Descriptor>>* before) {
  // It was there before the exec under another number (a spawn's file actions are not seen), or it
  // came from the parent, under this number or another, or from outside.
  std::shared_ptr<Descriptor> from;
  auto look = [&](const std::map<int, std::shared_ptr<Descriptor>>& table) {
    for (auto& [fd, candidate] : table) {
      if (candidate->object()->inode != fact.inode || fact.inode == 0) continue;
      if (candidate->description->access != static_cast<int>(fact.status & O_ACCMODE)) continue;
      if (fd == fact.fd || from == nullptr) from = candidate;
    }
  };
  if (before != nullptr) look(*before);
  const bool own_copy = from != nullptr;
  if (from == nullptr && process.parent != nullptr) look(process.parent->table);
  std::shared_ptr<Description> description;
  std::shared_ptr<Object> object;
  if (from != nullptr) {
    description = from->description;
    ++from->usage.passed;
  } else {
    object = ObjectOf(fact, Site());
    // One that the run knows is somebody's of ours, by a way that was not seen.
    for (Description* known : object->descriptions) {
      if (!known->holders.empty() && known->access == static_cast<int>(fact.status & O_ACCMODE)) {
        description = (*known->holders.begin())->description;
      }
    }
  }
  if (description == nullptr) {
    // The other end of a pipe of ours is ours too: popen made both.
    bool ours = object->IsPipe() && !object->descriptions.empty() && !object->outside;
    description = NewDescription(object, static_cast<int>(fact.status), Site());
    if (!ours) {
      description->outside = object->outside = true;
      if (object->kind == ObjectKind::kSocket) object->socket.state = SocketState::kConnected;
    }
  }
  auto descriptor = Add(process, fact.fd, description,
                        own_copy          ? Birth::kDuplicated
                        : from != nullptr ? Birth::kInherited
                                          : Birth::kFound,
                        act, from);
  // The program that was started has no line of its own for it: what started it has.
  if (from != nullptr && act.stack == 0) descriptor->born = process.born;
  descriptor->close_on_exec = (fact.fd_flags & FD_CLOEXEC) != 0;
  if (from != nullptr || process.execed) {
    descriptor->survived_exec = true;
    descriptor->exec_site = act.site();
  }
}

void Replay::EndThread(Thread& thread) {
  thread.ended = true;
  thread.open.clear();
  std::erase(thread.process->threads, &thread);
}

void Replay::EndProcess(Process& process, EndKind end, int status) {
  if (end == EndKind::kKilled && status == SIGABRT && process.end != EndKind::kKilled) {
    m.coverage_.written += kWrittenByAbort;
  }
  if (!process.alive()) {
    // A killed process may have been seen to vanish before its status was known.
    // One that called abort has ended for the rules; how, is known now.
    const bool aborted = process.status == -SIGABRT && end == EndKind::kKilled;
    if ((process.end == EndKind::kUnknown && end != EndKind::kUnknown) || aborted) {
      process.end = end;
      process.status = status;
    }
    return;
  }
  process.end = end;
  process.status = status;
  process.ended_at = m.now_;
  for (const Thread* thread : process.threads) {
    for (const auto& act : thread->open) Unfinished(*act);
  }
  Rules([&](Rule& rule) { rule.WillEnd(process); });
  Site site;
  site.process = process.id;
  site.pid = site.tid = process.pid;
  site.time = m.now_;
  for (auto& [fd, descriptor] : process.table) Vanish(descriptor, Death::kExit, site);
  process.table.clear();
  process.gone.clear();
  for (auto& [address, stream] : process.streams) stream->death = StreamDeath::kExit;
  process.streams.clear();
  std::vector<Thread*> threads = process.threads;
  for (Thread* thread : threads) {
    thread->ended = true;
    std::erase(process.threads, thread);
  }
  if (auto it = m.alive_.find(process.pid); it != m.alive_.end() && it->second == &process) {
    m.alive_.erase(it);
  }
}

void Replay::Adopt(Process& parent, Process& child) {
  parent.children.push_back(&child);
  m.unreaped_[child.pid] = &child;
}

Process* Replay::Unreaped(const Process& parent, int32_t pid) {
  auto it = m.unreaped_.find(pid);
  if (it != m.unreaped_.end() && it->second->parent == &parent) return it->second;
  // Given out again before the wait was seen to return.
  for (auto child = parent.children.rbegin(); child != parent.children.rend(); ++child) {
    if ((*child)->pid == pid && !(*child)->reaped) return *child;
  }
  return nullptr;
}

void Replay::Reap(Process& child, const Act& act) {
  child.reaped = true;
  child.reaped_at = act.site();
  if (auto it = m.unreaped_.find(child.pid); it != m.unreaped_.end() && it->second == &child) {
    m.unreaped_.erase(it);
  }
  Rules([&](Rule& rule) { rule.DidReap(*act.process, child, act); });
}

void Replay::Waited(const Act& act) {
  if (act.result <= 0) return;
  auto pid = static_cast<int32_t>(act.result);
  Process* child = Unreaped(*act.process, pid);
  if (child == nullptr) return;
  auto status = static_cast<int>(act.c);
  if (WIFSTOPPED(status) || WIFCONTINUED(status)) return;
  if (WIFEXITED(status)) {
    EndProcess(*child, EndKind::kExited, WEXITSTATUS(status));
    child->end = EndKind::kExited;
    child->status = WEXITSTATUS(status);
  } else if (WIFSIGNALED(status)) {
    EndProcess(*child, EndKind::kKilled, WTERMSIG(status));
    child->end = EndKind::kKilled;
    child->status = WTERMSIG(status);
  }
  if ((act.b & WNOWAIT) != 0) return;
  Reap(*child, act);
}

void Replay::WaitedInside(const Act& act, int32_t pid) {
  Process* child = Unreaped(*act.process, pid);
  if (child == nullptr) return;
  EndProcess(*child, EndKind::kUnknown, 0);
  Reap(*child, act);
}

}  // namespace ipctrace
