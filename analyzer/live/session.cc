#include "analyzer/live/session.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "analyzer/live/follower.h"
#include "analyzer/live/kernel.h"
#include "analyzer/model/waits.h"
#include "preload/trace/session_file.h"

namespace ipctrace {
namespace {

// How often we look when nothing comes, and how long threads must have been at rest before they
// are looked at: short against the 200 ms in which a deadlock is to be reported, long against a
// process that lost its processor for a moment.
constexpr absl::Duration kIdlePeriod = absl::Milliseconds(7);
constexpr absl::Duration kHeldPeriod = absl::Milliseconds(1);
constexpr Nanos kCheckPeriod = 20'000'000;
constexpr Nanos kRest = 60'000'000;
constexpr Nanos kLookShare = 400;
constexpr Nanos kLongestLook = 1'000'000'000;
// Chunks at first: what a busy thread writes in some 10 ms, while we sleep at most kIdlePeriod. The
// fewer there are, the sooner a writer comes back to memory that is mapped and in its cache; where
// they are not enough the follower adds more.
constexpr uint32_t kStock = 192;
// How many of them have their pages when the program starts: many programs need no more.
constexpr uint32_t kReady = 16;

}  // namespace

struct LiveSession::Impl {
  std::string path;
  SessionHeader* header = nullptr;
  int fd = -1;
  int epoll = -1;
  std::unique_ptr<TraceClock> clock;
  std::unique_ptr<Follower> follower;
  SessionConfig config;
  bool announced = false;

  struct Known {
    uint32_t process;
    int pidfd;
  };
  absl::flat_hash_map<int32_t, Known> living;  // by pid
  absl::flat_hash_map<int32_t, uint32_t> ids;  // pid -> latest trace id, of the dead too
  bool heard = false;
  absl::Duration sleep = absl::ZeroDuration();

  // Deadlock candidates, and since when they are unchanged: (thread id, seq of its call or, of a
  // parked one, Parked::switches).
  std::vector<std::pair<uint32_t, uint64_t>> candidates;
  Nanos candidates_since = 0;
  Nanos checked_at = 0;
  bool verified = false;
  std::set<uint32_t> reported;  // threads

  // What the kernel counted of the first process: before the session (a shell that became the
  // program may have written a here-document), and since.
  std::optional<BytesMoved> moved_before = BytesMoved();
  std::optional<BytesMoved> moved;

  // The mapping, as it was made: the program can overwrite what the header says.
  char* mapping = nullptr;
  size_t mapping_bytes = 0;

  ~Impl() {
    follower.reset();
    for (auto& [pid, known] : living) close(known.pidfd);
    if (epoll >= 0) close(epoll);
    if (fd >= 0) close(fd);
    if (header != nullptr) {
      header->analyzer_state.store(static_cast<uint32_t>(AnalyzerState::kGone));
      munmap(mapping, mapping_bytes);
    }
    if (!path.empty()) unlink(path.c_str());
  }

  // Of the first chunks as many again as were taken get their pages before writers take them.
  void Populate() {
    const uint64_t taken = follower->claimed();
    follower->Populate(taken < kStock ? std::min<uint32_t>(kReady + 2 * taken, kStock) : kStock);
  }

  Nanos Now() const { return clock->ToNanos(clock->Ticks()); }

  void DidAppear(uint32_t process, int32_t pid) {
    heard = true;
    ids[pid] = process;
    auto it = living.find(pid);
    if (it != living.end()) {
      it->second.process = process;  // after exec
      return;
    }
    auto pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (pidfd < 0) {
      follower->DidDie(process, pid, -1);  // gone already
      return;
    }
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<uint32_t>(pid);
    epoll_ctl(epoll, EPOLL_CTL_ADD, pidfd, &event);
    living[pid] = {process, pidfd};
  }

  void DidVanish(int32_t pid) {
    auto it = living.find(pid);
    if (it == living.end()) return;
    Known gone = it->second;
    living.erase(it);
    close(gone.pidfd);                                    // leaves the epoll set with it
    follower->DidDie(gone.process, pid, EndStatus(pid));  // others may appear meanwhile
  }

  void Announce(EventSink* sink) {
    if (announced) return;
    announced = true;
    Event event;
    event.kind = EventKind::kRun;
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    event.a =
        static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
    std::string argv;
    for (const std::string& word : config.argv) absl::StrAppend(&argv, word, std::string(1, '\0'));
    event.blobs.emplace_back(BlobTag::kArgv, std::move(argv));
    sink->Take(event);
  }

  // The threads that looked parked where they were all that kept others from a deadlock.
  ParkedThreads parked;
  absl::flat_hash_map<const Thread*, Parked> parked_states;
  Nanos look_again = 0;

  void LookForParked(const Model& model, Nanos now);
  void TellParked(const Thread& thread, EventSink* sink);
  bool Verify(const Model& model, const std::vector<const Thread*>& threads, EventSink* sink);
};

LiveSession::LiveSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LiveSession::~LiveSession() = default;

std::string LiveSession::NewPath() {
  uint64_t random[2];
  if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
    random[0] = static_cast<uint64_t>(getpid());
    random[1] = static_cast<uint64_t>(time(nullptr));
  }
  std::string name = absl::StrCat("/ipctrace-", absl::Hex(random[0], absl::kZeroPad16),
                                  absl::Hex(random[1], absl::kZeroPad16));
  const char* temporary = getenv("TMPDIR");
  for (const char* folder : {"/dev/shm", temporary, "/tmp", "/var/tmp", "."}) {
    struct statvfs space;
    if (folder == nullptr || access(folder, W_OK) != 0 || statvfs(folder, &space) != 0) continue;
    // Memory for a few hundred threads at least; more is taken as it is needed.
    if (space.f_bavail * space.f_frsize >= (size_t{4} << 20)) return folder + name;
  }
  return "/tmp" + name;
}

absl::StatusOr<std::unique_ptr<LiveSession>> LiveSession::Create(const std::string& path,
                                                                 const SessionConfig& config) {
  auto impl = std::make_unique<Impl>();
  impl->config = config;
  // A limit on file sizes is meant for the program; and each process of it takes one descriptor
  // here.
  for (auto resource : {RLIMIT_FSIZE, RLIMIT_NOFILE}) {
    rlimit limit;
    if (getrlimit(resource, &limit) == 0) {
      limit.rlim_cur = limit.rlim_max;
      setrlimit(resource, &limit);
    }
  }
  // First of all: its rate will be known the sooner.
  impl->clock = std::make_unique<TraceClock>(ChooseClock());
  std::string error;
  size_t bytes = config.bytes == 0 ? kDefaultSessionSize : config.bytes;
  impl->header = CreateSession(path, bytes, impl->clock->kind(), &error, kStock);
  if (impl->header == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("The trace cannot be set up: ", error, "."));
  }
  impl->path = path;
  impl->mapping = SessionStart(impl->header);
  impl->mapping_bytes = impl->header->file_bytes;
  impl->header->options = config.options;
  std::copy(config.payload_ports.begin(), config.payload_ports.end(), impl->header->payload_ports);
  impl->header->first_pid = config.first_pid;
  if (config.first_pid != 0) impl->moved_before = BytesMovedBy(config.first_pid);
  impl->fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  impl->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (impl->fd < 0 || impl->epoll < 0) {
    return absl::ResourceExhaustedError(
        absl::StrCat("The trace cannot be read: ", strerror(errno), "."));
  }
  impl->follower = std::make_unique<Follower>(impl->header, impl->fd, impl->clock.get());
  impl->follower->on_process = [raw = impl.get()](uint32_t process, int32_t pid) {
    raw->DidAppear(process, pid);
  };
  impl->Populate();
  impl->header->analyzer_state.store(static_cast<uint32_t>(AnalyzerState::kFollowing));
  return std::unique_ptr<LiveSession>(new LiveSession(std::move(impl)));
}

absl::Duration LiveSession::Step(EventSink* sink) {
  Impl& self = *impl_;
  self.Announce(sink);
  self.header->heartbeat.fetch_add(1, std::memory_order_relaxed);
  self.Populate();
  size_t count = self.follower->Poll(sink);
  epoll_event gone[64];
  int deaths = epoll_wait(self.epoll, gone, 64, 0);
  for (int i = 0; i < deaths; ++i) self.DidVanish(static_cast<int32_t>(gone[i].data.u32));
  if (count > 64 || deaths > 0) {
    self.sleep = absl::ZeroDuration();
  } else if (self.follower->held_back()) {
    self.sleep = kHeldPeriod;  // others write on
  } else {
    self.sleep = std::min(kIdlePeriod, self.sleep * 2 + absl::Microseconds(200));
  }
  return self.sleep;
}

// A thread that computes cannot be told from one that is parked but by asking the kernel, again and
// again: of a processor's time that takes one part in kLookShare at most.
void LiveSession::Impl::LookForParked(const Model& model, Nanos now) {
  if (now < look_again) return;
  parked.clear();
  parked_states.clear();
  for (const Thread* thread : MayBeDeadlocked(model, now)) {
    const Process& process = *thread->process;
    if (thread->current() != nullptr) continue;
    const std::optional<Parked> state = ParkedAt(process.pid, thread->tid);
    // A thread that the model does not know might wake it.
    if (!state || CountThreads(process.pid) != process.threads.size()) continue;
    parked_states[thread] = *state;
    std::vector<const Process*>& wakers = parked[thread];
    for (const auto& [pid, other] : model.alive()) {
      if (other == &process || (state->inode != 0 && Maps(pid, state->device, state->inode))) {
        wakers.push_back(other);
      }
    }
  }
  const Nanos end = Now();
  look_again = end + std::min(kLookShare * (end - now), kLongestLook);
}

void LiveSession::Impl::TellParked(const Thread& thread, EventSink* sink) {
  if (thread.current() != nullptr) return;
  Event event;
  event.kind = EventKind::kParked;
  event.time = Now();
  event.process = thread.process->id;
  event.thread = thread.id;
  event.pid = thread.process->pid;
  event.tid = thread.tid;
  std::string stack = StackOfParked(event.pid, event.tid);
  if (!stack.empty()) {
    event.stack = header->next_stack.fetch_add(1);
    memcpy(stack.data() + offsetof(StackCopy, id), &event.stack, sizeof(event.stack));
    event.blobs.emplace_back(BlobTag::kStack, std::move(stack));
  }
  sink->Take(event);
}

// Whether the kernel agrees that the threads wait where the model says, and that nobody unknown
// holds what they wait for.
bool LiveSession::Impl::Verify(const Model& model, const std::vector<const Thread*>& threads,
                               EventSink* sink) {
  std::vector<uint32_t> ids;
  for (const Thread* thread : threads) {
    ids.push_back(thread->id);
    if (thread->current() == nullptr) {
      const Parked& state = parked_states[thread];
      if (ParkedAt(thread->process->pid, thread->tid) != state) return false;
      for (const int32_t pid : state.inode != 0 ? AllPids() : std::vector<int32_t>()) {
        if (!model.alive().contains(pid) && Maps(pid, state.device, state.inode)) return false;
      }
      continue;
    }
    const Act* act = thread->current();
    // The thread that is waited for may not have done anything yet, or be about to be gone.
    if (act->op == Op::kThreadJoin &&
        CountThreads(thread->process->pid) != thread->process->threads.size()) {
      return false;
    }
    int fd = act->descriptor != nullptr ? act->descriptor->number : -1;
    if (!WaitsIn(thread->process->pid, thread->tid, act->op, fd)) return false;
  }
  Deadlock deadlock = DeadlockOf(model, ids);
  // Per inode, who may hold it by the model.
  absl::flat_hash_map<uint64_t, std::pair<const Object*, absl::flat_hash_set<int32_t>>> expected;
  for (const Wait& wait : deadlock.waits) {
    for (const auto& copy : wait.copies) {
      const Object* object = copy->object().get();
      if (object->inode == 0) continue;
      auto& entry = expected[object->inode];
      entry.first = object;
      for (const Description* description : object->descriptions) {
        for (const Descriptor* holder : description->holders)
          entry.second.insert(holder->process->pid);
      }
    }
  }
  absl::flat_hash_set<uint64_t> inodes;
  for (auto& [inode, entry] : expected) inodes.insert(inode);
  if (inodes.empty()) return true;
  bool agreed = true;
  for (const Holder& holder : HoldersOf(inodes)) {
    auto& [object, pids] = expected[holder.inode];
    if (pids.contains(holder.pid)) continue;
    agreed = false;
    Event event;
    event.kind = EventKind::kHolders;
    event.time = Now();
    event.pid = holder.pid;
    event.a = object->device;
    event.b = object->inode;
    sink->Take(event);
  }
  return agreed;
}

namespace {

// The connected sets of a deadlock, by who waits for whom.
std::vector<std::vector<uint32_t>> Components(const Deadlock& deadlock) {
  absl::flat_hash_map<const Process*, std::vector<uint32_t>> threads_of;
  std::vector<uint32_t> threads;
  absl::flat_hash_map<uint32_t, uint32_t> root;
  auto find = [&](uint32_t id) {
    while (root[id] != id) id = root[id] = root[root[id]];
    return id;
  };
  for (const Wait& wait : deadlock.waits) {
    if (root.emplace(wait.thread->id, wait.thread->id).second) threads.push_back(wait.thread->id);
    threads_of[wait.thread->process].push_back(wait.thread->id);
  }
  for (const Wait& wait : deadlock.waits) {
    auto join = [&](uint32_t other) {
      if (root.contains(other)) root[find(other)] = find(wait.thread->id);
    };
    if (wait.joins != nullptr) join(wait.joins->id);
    for (const Process* holder : wait.holders) {
      for (uint32_t other : threads_of[holder]) join(other);
    }
  }
  absl::flat_hash_map<uint32_t, std::vector<uint32_t>> sets;
  for (uint32_t id : threads) sets[find(id)].push_back(id);
  std::vector<std::vector<uint32_t>> components;
  for (auto& [id, set] : sets) components.push_back(std::move(set));
  std::sort(components.begin(), components.end());
  return components;
}

// Without the sets that wait at locks, if also for each other's end: they are no affair of ours.
std::vector<const Thread*> ThatWaitForIpc(const Model& model,
                                          const std::vector<const Thread*>& threads) {
  std::vector<uint32_t> ids;
  for (const Thread* thread : threads) ids.push_back(thread->id);
  std::vector<const Thread*> kept;
  for (const auto& component : Components(DeadlockOf(model, ids))) {
    const Deadlock deadlock = DeadlockOf(model, component);
    auto is_parked = [](const Wait& wait) { return wait.goal == Goal::kWakeUp; };
    auto is_ipc = [&](const Wait& wait) { return !is_parked(wait) && wait.joins == nullptr; };
    if (std::any_of(deadlock.waits.begin(), deadlock.waits.end(), is_parked) &&
        std::none_of(deadlock.waits.begin(), deadlock.waits.end(), is_ipc)) {
      continue;
    }
    for (const uint32_t id : component) kept.push_back(model.FindThread(id));
  }
  std::sort(kept.begin(), kept.end(),
            [](const Thread* a, const Thread* b) { return a->id < b->id; });
  return kept;
}

}  // namespace

bool LiveSession::CheckDeadlock(const Model& model, EventSink* sink) {
  Impl& self = *impl_;
  if (!self.heard) return false;
  Nanos now = self.Now();
  if (now - self.checked_at < kCheckPeriod) return false;
  self.checked_at = now;
  self.LookForParked(model, now);
  std::vector<const Thread*> threads =
      ThatWaitForIpc(model, FindDeadlocked(model, now, self.parked));
  std::vector<std::pair<uint32_t, uint64_t>> candidates;
  for (const Thread* thread : threads) {
    const Act* act = thread->current();
    candidates.emplace_back(thread->id,
                            act != nullptr ? act->seq : self.parked_states[thread].switches);
  }
  if (candidates != self.candidates) {
    self.candidates = std::move(candidates);
    self.candidates_since = now;
    self.verified = false;
    return false;
  }
  if (candidates.empty() || now - self.candidates_since < kRest) return false;
  if (!self.verified) {
    if (!self.Verify(model, threads, sink)) {
      self.candidates_since = now;
      return false;
    }
    self.verified = true;
    std::vector<uint32_t> ids;
    for (const Thread* thread : threads) ids.push_back(thread->id);
    // A thread that came to wait for a set already reported is no new deadlock.
    for (const auto& component : Components(DeadlockOf(model, ids))) {
      bool is_new = std::none_of(component.begin(), component.end(),
                                 [&](uint32_t id) { return self.reported.contains(id); });
      self.reported.insert(component.begin(), component.end());
      if (!is_new) continue;
      for (const uint32_t id : component) self.TellParked(*model.FindThread(id), sink);
      Event event;
      event.kind = EventKind::kDeadlock;
      event.time = now;
      event.blobs.emplace_back(BlobTag::kPayload,
                               std::string(reinterpret_cast<const char*>(component.data()),
                                           component.size() * sizeof(uint32_t)));
      sink->Take(event);
    }
  }
  const Process* first = model.first();
  if (first != nullptr && first->alive()) return Stuck(*first, threads);
  return std::all_of(model.alive().begin(), model.alive().end(), [&](const auto& entry) {
    return Stuck(*entry.second, threads) && !entry.second->threads.empty();
  });
}

bool LiveSession::heard() const { return impl_->heard; }

std::vector<int32_t> LiveSession::LivePids() const {
  std::vector<int32_t> pids;
  for (const auto& [pid, known] : impl_->living) pids.push_back(pid);
  std::sort(pids.begin(), pids.end());
  return pids;
}

bool LiveSession::Knows(int32_t pid) const { return impl_->ids.contains(pid); }

bool LiveSession::OthersLive(const Model& model, int32_t first_pid) const {
  auto lives = [&](const auto& entry) { return entry.first != first_pid; };
  if (std::any_of(impl_->living.begin(), impl_->living.end(), lives)) return true;
  return std::any_of(model.alive().begin(), model.alive().end(), [&](const auto& entry) {
    return lives(entry) && !entry.second->traced && Exists(entry.first);
  });
}

void LiveSession::WillReap(int32_t pid) {
  std::optional<BytesMoved> moved = BytesMovedBy(pid);
  if (!moved || !impl_->moved_before) return;
  moved->written -= impl_->moved_before->written;
  impl_->moved = moved;
}

void LiveSession::DidEnd(int32_t pid, int wait_status, EventSink* sink) {
  impl_->follower->Poll(sink);  // it may never have been looked at
  auto it = impl_->ids.find(pid);
  if (it == impl_->ids.end()) return;  // never said hello
  uint32_t process = it->second;
  impl_->DidVanish(pid);
  impl_->follower->DidDie(process, pid, wait_status);
  impl_->follower->Poll(sink);
}

bool LiveSession::FirstProcessWaits() const { return impl_->header->first_ended.load() != 0; }

void LiveSession::Finish(EventSink* sink, FinishReason reason) {
  Impl& self = *impl_;
  self.Announce(sink);
  self.header->analyzer_state.store(static_cast<uint32_t>(AnalyzerState::kGone));
  self.follower->Drain(sink);
  Event coverage;
  coverage.kind = EventKind::kCoverage;
  coverage.time = self.Now();
  coverage.a = self.follower->broken() ? 1 : self.header->lost.load();
  coverage.b = self.follower->broken() ? 0 : self.header->untraced_execs.load();
  if (self.moved) {
    coverage.c = self.moved->written + 1;
    coverage.result = static_cast<int64_t>(self.moved->read);
  }
  sink->Take(coverage);
  Event finish;
  finish.kind = EventKind::kFinish;
  finish.time = self.Now();
  finish.a = static_cast<uint64_t>(reason);
  sink->Take(finish);
}

void LiveSession::ReportDone() {
  impl_->header->report_done.store(1);
  syscall(SYS_futex, &impl_->header->report_done, FUTEX_WAKE, std::numeric_limits<int>::max(),
          nullptr, nullptr, 0);
}

}  // namespace ipctrace
