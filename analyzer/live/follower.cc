#include "analyzer/live/follower.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "preload/trace/calls.h"
#include "preload/trace/session_file.h"

namespace ipctrace {
namespace {

constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
// Stores become visible to other processors within tens of nanoseconds.
constexpr Nanos kMargin = 5'000;
// How long a record may be neither entered nor not: its thread may have lost its processor.
constexpr Nanos kPatience = 50'000'000;
// After so many times that, a thread that took a ticket and never its chunk was killed there.
constexpr uint64_t kGivenUp = 200;
// How many records ahead of the one that is read memory is told of.
constexpr size_t kAhead = 8;
// How many events are handed on before free chunks are seen to again: what takes some 3 ms.
constexpr size_t kMostAtOnce = 16384;
// How many chunks are added at a time where all are held by threads.
constexpr uint32_t kMoreChunks = 256;
// How many are copied out of the session at most: 32 MiB.
constexpr size_t kMostCopies = 4096;

uint32_t LoadHead(const Record* record) { return record->head.load(std::memory_order_acquire); }

}  // namespace

Follower::Follower(SessionHeader* header, int fd, const TraceClock* clock)
    : header_(header),
      fd_(fd),
      clock_(clock),
      chunk_count_(header->chunk_count),
      first_chunk_(SessionChunk(header, 0)),
      freed_(header->freed.load(std::memory_order_relaxed)),
      fresh_(static_cast<uint32_t>(header->freed.load(std::memory_order_relaxed))) {}

Follower::~Follower() = default;

// A program that writes all over its memory writes over the session too. From then on nothing in it
// is to be believed: not even enough to go on without it.
bool Follower::IsIntact() {
  broken_ = broken_ || header_->magic != kSessionMagic || header_->version != kContractVersion ||
            header_->freed.load(std::memory_order_relaxed) != freed_;
  if (broken_) header_->analyzer_state.store(static_cast<uint32_t>(AnalyzerState::kGone));
  return !broken_;
}

// Not before it is needed: the clock would have to wait, and the program has yet to be started.
void Follower::LearnRate() {
  if (patience_ != 0) return;
  margin_ = clock_->FromNanos(kMargin);
  patience_ = clock_->FromNanos(kPatience);
}

// Finds the chunks that threads have taken since the last look, and whose they are.
void Follower::TakeChunks() {
  if (!IsIntact()) return;
  TakeTickets();
  if (!free_.empty()) RefillRing();
  // Told only now: what they call may come back here.
  for (auto [process, pid] : std::exchange(begun_, {})) {
    if (on_process) on_process(process, pid);
  }
}

void Follower::TakeTickets() {
  const uint64_t now = clock_->Ticks();
  const uint64_t claimed = header_->claimed.load(std::memory_order_acquire);
  while (taken_ < claimed && taken_ < freed_) waiting_.push_back({taken_++, now});
  std::erase_if(waiting_, [&](const Ticket& ticket) {
    return TakeChunk(ticket.number) || now - ticket.seen > kGivenUp * patience_;
  });
}

bool Follower::TakeChunk(uint64_t ticket) {
  uint64_t slot = SlotFor(header_, ticket, chunk_count_).load(std::memory_order_acquire);
  uint32_t index = SlotChunk(slot);
  if (index >= chunk_count_) {
    broken_ = true;
    return false;
  }
  ChunkHeader* chunk = ChunkAt(index);
  auto lap = static_cast<uint32_t>(SlotLap(slot));
  if (lap == 1 && chunk_count_ - 1 - index >= populated_) {
    // Its page may not be there, and to touch it on a full disk would kill us.
    uint32_t its_lap = 0;
    auto offset = reinterpret_cast<char*>(chunk) - reinterpret_cast<char*>(first_chunk_);
    if (pread(fd_, &its_lap, sizeof(its_lap), offset) != sizeof(its_lap) || its_lap != lap) {
      return false;
    }
  }
  if (chunk->lap.load(std::memory_order_acquire) != lap) return false;
  auto& stream = streams_[chunk->thread];
  if (stream == nullptr) {
    stream = std::make_unique<Stream>();
    stream->process = chunk->process;
    stream->thread = chunk->thread;
    stream->pid = chunk->pid;
    stream->tid = chunk->tid;
    of_pid_[stream->pid].push_back(stream.get());
    if (processes_.emplace(chunk->process, chunk->pid).second) Began(chunk->process, chunk->pid);
  }
  auto taken = std::make_unique<Chunk>();
  taken->index = index;
  taken->records = ChunkRecords(chunk);
  taken->first_seq = chunk->first_seq;
  // A thread's second chunk may be seen first, where it took both while we looked.
  auto place =
      std::upper_bound(stream->chunks.begin(), stream->chunks.end(), taken,
                       [](const auto& a, const auto& b) { return a->first_seq < b->first_seq; });
  stream->chunks.insert(place, std::move(taken));
  return true;
}

void Follower::Began(uint32_t process, int32_t pid) {
  auto [image, is_new] = images_.emplace(pid, process);
  if (!is_new) {
    // After exec, or a pid given out again: the threads that had it are no more.
    for (Stream* stream : of_pid_[pid]) {
      if (stream->process < process) stream->dead = true;
    }
    image->second = std::max(image->second, process);
  }
  begun_.emplace_back(process, pid);
}

Record* Follower::FindNext(Stream& stream) {
  Chunk* chunk = nullptr;
  Record* record = Find(stream, stream.next, &chunk);
  if (record != nullptr) {
    stream.here = chunk;
    stream.here_seq = chunk->first_seq;
    stream.moved = true;
  }
  return record;
}

Record* Follower::Find(Stream& stream, uint64_t seq, Chunk** chunk) {
  for (size_t i = stream.current; i < stream.chunks.size(); ++i) {
    Chunk* candidate = stream.chunks[i].get();
    if (seq < candidate->first_seq) return nullptr;
    if (seq < candidate->first_seq + kRecordsPerChunk) {
      if (chunk != nullptr) *chunk = candidate;
      return &candidate->records[seq - candidate->first_seq];
    }
  }
  return nullptr;
}

namespace {

// Adds a piece to the blob it continues.
void AddPiece(const BlobRecord& piece, Blobs* blobs) {
  size_t length = std::min<size_t>(piece.length, kBlobPieceBytes);
  const char* data = reinterpret_cast<const char*>(piece.data);
  if (piece.offset > 0) {
    for (auto it = blobs->rbegin(); it != blobs->rend(); ++it) {
      if (it->first == piece.tag && it->second.size() == piece.offset) {
        it->second.append(data, length);
        return;
      }
    }
  }
  blobs->emplace_back(piece.tag, std::string(data, length));
}

bool IsBlob(uint32_t head) { return HeadCall(head) == static_cast<uint16_t>(Call::fact_blob); }
bool Published(RecordState state) { return state >= RecordState::kEntered; }

}  // namespace

// The blobs of the record just entered stand behind it.
void Follower::CollectBlobs(Stream& stream, uint64_t owner, Blobs* blobs) {
  while (Record* record = Next(stream)) {
    uint32_t head = LoadHead(record);
    if (!Published(HeadState(head)) || !IsBlob(head)) return;
    const auto& piece = *reinterpret_cast<const BlobRecord*>(record);
    if (piece.owner != static_cast<uint32_t>(owner)) return;
    AddPiece(piece, blobs);
    ++stream.next;
  }
}

// Blobs that came when their owner had long been entered. Returns what follows them (or null), in
// the state in which it was seen not to be a published blob: a moment later it may be one.
Record* Follower::TakeBlobs(Stream& stream, RecordState* state) {
  *state = RecordState::kEmpty;
  while (Record* record = Next(stream)) {
    uint32_t head = LoadHead(record);
    *state = HeadState(head);
    if (!Published(*state) || !IsBlob(head)) return record;
    const auto& piece = *reinterpret_cast<const BlobRecord*>(record);
    for (Open& open : stream.open) {
      if (piece.owner == static_cast<uint32_t>(open.seq)) AddPiece(piece, &open.later);
    }
    ++stream.next;
    *state = RecordState::kEmpty;
  }
  return nullptr;
}

// Where a record is complete and its blobs go on to the end of the last chunk that is known, looks
// for another one: if there is one, it was claimed before the record was complete. Returns whether
// it looked.
bool Follower::LookForMore(Stream& stream, RecordState top, RecordState state) {
  // A ticket that no chunk was put into the ring for is a writer that waits for one.
  if (draining_ || stream.dead ||
      (waiting_.empty() &&
       std::min(header_->claimed.load(std::memory_order_acquire), freed_) <= taken_)) {
    return false;
  }
  if (Published(state)) {
    uint64_t seq = stream.next;
    const Record* record;
    do {
      record = At(stream, ++seq);
    } while (record != nullptr && Published(HeadState(LoadHead(record))) &&
             IsBlob(LoadHead(record)));
    if (record != nullptr) return false;
  } else if (top != RecordState::kReturned || Next(stream) != nullptr) {
    return false;
  }
  TakeTickets();
  return true;
}

bool Follower::Peek(Stream& stream, uint64_t now, uint64_t* bound) {
  if (broken_) return false;
  // The innermost call's state is read before what stands behind it: once it has returned, its
  // blobs and all that its signal handlers did are there.
  RecordState top = RecordState::kEmpty;
  if (!stream.open.empty()) top = HeadState(LoadHead(stream.open.back().record));
  RecordState state;
  Record* record = TakeBlobs(stream, &state);
  if (state > RecordState::kAbandoned || top > RecordState::kAbandoned) {
    broken_ = true;
    return false;
  }
  if (LookForMore(stream, top, state)) record = TakeBlobs(stream, &state);
  if (top == RecordState::kAbandoned) {
    stream.kind = EventKind::kAbandon;
    stream.time = stream.last;
  } else if (top == RecordState::kReturned &&
             !(Published(state) && record->enter < stream.open.back().record->leave)) {
    stream.kind = EventKind::kLeave;
    stream.time = stream.open.back().record->leave;
  } else if (Published(state)) {
    stream.kind = EventKind::kEnter;
    stream.time = record->enter;
  } else {
    if (top != RecordState::kReturning || stream.dead) {
      // A call that is claimed has not begun: what has been handed on by now comes before it.
      if (state == RecordState::kClaimed) stream.last = std::max(stream.last, now - margin_);
      stream.stalled_at = 0;
      return false;
    }
    if (stream.stalled_at == 0) {
      stream.stalled_at =
          stream.tail == stream.next && stream.returning_since != 0 ? stream.returning_since : now;
    }
    if (now - stream.stalled_at < patience_) *bound = std::min(*bound, stream.last);
    return false;
  }
  stream.stalled_at = 0;
  stream.time = std::max(stream.time, stream.last);
  return true;
}

// While one thread holds the others back, what they wrote is not looked at: which of them stand
// still within a record too, is, so that their patience does not begin when it is their turn.
void Follower::WatchOthers(uint64_t now) {
  for (auto& [thread, stream] : streams_) {
    if (stream->chunks.empty()) continue;
    const Chunk& last = *stream->chunks.back();
    const uint64_t end = last.first_seq + kRecordsPerChunk;
    uint64_t tail = std::min(std::max({stream->tail, stream->next, last.first_seq}), end);
    while (tail < end && Published(HeadState(LoadHead(&last.records[tail - last.first_seq])))) {
      ++tail;
    }
    uint32_t head = 0;
    for (uint64_t seq = tail; seq > last.first_seq; --seq) {
      head = LoadHead(&last.records[seq - 1 - last.first_seq]);
      if (!IsBlob(head)) break;
    }
    const bool returning = HeadState(head) == RecordState::kReturning;
    if (!returning) {
      stream->returning_since = 0;
    } else if (tail != stream->tail || stream->returning_since == 0) {
      stream->returning_since = now;
    }
    stream->tail = tail;
  }
}

void Follower::Emit(Stream& stream, EventSink* sink) {
  Event& event = event_;
  event.kind = stream.kind;
  event.process = stream.process;
  event.thread = stream.thread;
  event.pid = stream.pid;
  event.tid = stream.tid;
  event.time = clock_->ToNanos(stream.time);
  if (!event.blobs.empty()) event.blobs.clear();
  stream.last = stream.time;
  Record* record;
  if (stream.kind == EventKind::kEnter) {
    record = Next(stream);
    // It comes from another processor's cache: the sooner it is asked for, the shorter the wait.
    __builtin_prefetch(record + kAhead);
    Chunk* const chunk = stream.here;
    event.seq = stream.next++;
    ++chunk->open;
    CollectBlobs(stream, event.seq, &event.blobs);
    stream.open.push_back({record, event.seq, chunk, {}});
  } else {
    Open& open = stream.open.back();
    record = open.record;
    event.seq = open.seq;
    if (!open.later.empty()) event.blobs = std::move(open.later);
  }
  uint32_t head = LoadHead(record);
  event.call = static_cast<Call>(HeadCall(head) < kCallCount ? HeadCall(head) : 0);
  event.flags = HeadFlags(head);
  event.stack = record->stack;
  event.fd = record->fd;
  event.result = record->result;
  event.err = record->err;
  event.a = record->a, event.b = record->b, event.c = record->c;
  if (event.call == Call::fact_thread_end) stream.ended = true;
  if (stream.kind != EventKind::kEnter) {
    --stream.open.back().chunk->open;
    stream.open.pop_back();
  }
  sink->Take(event);
  if (stream.moved || stream.current != 0 || stream.next - stream.here_seq >= kRecordsPerChunk) {
    Recycle(stream);
  }
}

// Gives back the chunks that are read and in which nothing is unfinished.
void Follower::Recycle(Stream& stream) {
  stream.moved = false;
  while (stream.current < stream.chunks.size() &&
         stream.next >= stream.chunks[stream.current]->first_seq + kRecordsPerChunk) {
    ++stream.current;
  }
  while (stream.current > 0 && stream.chunks.front()->open == 0) {
    Free(*stream.chunks.front());
    stream.chunks.pop_front();
    --stream.current;
  }
}

void Follower::Free(const Chunk& chunk) {
  if (chunk.copy != nullptr) {
    --copies_;
    return;
  }
  std::memset(static_cast<void*>(ChunkAt(chunk.index)), 0, kChunkSize);
  free_.push_back(chunk.index);
  RefillRing();
}

// Puts free chunks into the ring: each into the slot of a ticket to come, and only when the ticket
// that had the slot a lap before has its chunk.
void Follower::RefillRing() {
  if (!IsIntact()) return;
  uint64_t ticket = freed_;
  uint32_t count = chunk_count_;
  size_t put = 0;
  for (; put < free_.size(); ++put, ++ticket) {
    if (!waiting_.empty() && ticket >= waiting_.front().number + count) break;
    SlotFor(header_, ticket, count)
        .store(RingSlot(ticket / count + 1, free_[put]), std::memory_order_release);
  }
  if (put == 0) return;
  free_.erase(free_.begin(), free_.begin() + static_cast<ptrdiff_t>(put));
  freed_ = ticket;
  header_->freed.store(ticket, std::memory_order_release);
  header_->freed_futex.fetch_add(1, std::memory_order_seq_cst);
  if (header_->starving.load(std::memory_order_seq_cst) != 0) {
    syscall(SYS_futex, &header_->freed_futex, FUTEX_WAKE, std::numeric_limits<int>::max(), nullptr,
            nullptr, 0);
  }
}

// Sees to it that writers find free chunks.
void Follower::KeepStock() {
  if (broken_) return;
  auto is_enough = [&] {
    const uint64_t claimed = header_->claimed.load(std::memory_order_relaxed);
    return !free_.empty() || freed_ > claimed + kMoreChunks / 4;
  };
  if (is_enough()) return;
  if (held_back_) CopyOut();
  if (is_enough()) return;
  // There are more threads than chunks, of which each holds one, however little it writes; or we
  // are not fast enough.
  const uint32_t more = std::min(kMoreChunks, chunk_count_ - fresh_);
  Populate(fresh_ + more);
  for (uint32_t i = 0; i < more; ++i) free_.push_back(chunk_count_ - 1 - fresh_++);
  RefillRing();
}

void Follower::Populate(uint32_t chunks) {
  if (chunks <= populated_ || !may_populate_) return;
  may_populate_ = madvise(ChunkAt(chunk_count_ - chunks), (chunks - populated_) * kChunkSize,
                          MADV_POPULATE_WRITE) == 0;
  if (!may_populate_) return;
  populated_ = chunks;
  header_->populated.store(chunks, std::memory_order_release);
}

// While one thread that lost its processor within a record holds the others' back, and while that
// is made up for, what they write is kept here. Used chunks are better for them than ever new ones,
// whose pages the kernel would have to make, and each process to map.
void Follower::CopyOut() {
  for (auto& [thread, stream] : streams_) {
    for (size_t i = stream->current; i + 1 < stream->chunks.size(); ++i) {
      Chunk& chunk = *stream->chunks[i];
      if (copies_ >= kMostCopies) return;
      if (chunk.copy == nullptr) CopyOut(*stream, chunk);
    }
  }
}

void Follower::CopyOut(Stream& stream, Chunk& chunk) {
  Record* const records = chunk.records;
  for (size_t i = 0; i < kRecordsPerChunk; ++i) {
    if (HeadState(LoadHead(&records[i])) < RecordState::kReturned) return;
  }
  auto copy = std::make_unique<Record[]>(kRecordsPerChunk);
  std::memcpy(static_cast<void*>(copy.get()), records, kRecordsPerChunk * sizeof(Record));
  for (Open& open : stream.open) {
    if (open.chunk == &chunk) open.record = copy.get() + (open.record - records);
  }
  chunk.records = copy.get();
  Free(chunk);
  chunk.copy = std::move(copy);
  ++copies_;
}

size_t Follower::Merge(EventSink* sink, bool drain) {
  LearnRate();
  uint64_t now = clock_->Ticks();
  uint64_t bound = drain ? kNever : now - margin_;
  draining_ = drain;
  TakeChunks();
  if (held_back_) WatchOthers(now);
  if (broken_) {
    for (auto& [thread, stream] : streams_) stream->dead = true;
  }
  // To look at one stream may show others, which have nothing yet that is due.
  std::vector<Stream*> streams, ready;
  streams.reserve(streams_.size());
  for (auto& [thread, stream] : streams_) streams.push_back(stream.get());
  for (Stream* stream : streams) {
    uint64_t unbound = kNever;
    if (Peek(*stream, now, drain ? &unbound : &bound)) ready.push_back(stream);
  }
  held_back_ = !drain && bound < now - margin_;
  auto later = [](const Stream* a, const Stream* b) {
    return a->time != b->time ? a->time > b->time : a->thread > b->thread;
  };
  std::make_heap(ready.begin(), ready.end(), later);
  std::sort(deaths_.begin(), deaths_.end(),
            [](const Passing& a, const Passing& b) { return a.time < b.time; });
  size_t count = 0;
  auto pass_deaths = [&](uint64_t until) {
    size_t passed = 0;
    while (passed < deaths_.size() && deaths_[passed].time <= until) {
      const Passing& death = deaths_[passed++];
      Event event;
      event.kind = EventKind::kDeath;
      event.process = death.process;
      event.pid = death.pid;
      event.time = clock_->ToNanos(death.time);
      event.result = death.status == -1 ? 0 : 1;
      event.c = static_cast<uint32_t>(death.status);
      sink->Take(event);
      ++count;
    }
    deaths_.erase(deaths_.begin(), deaths_.begin() + static_cast<ptrdiff_t>(passed));
  };
  const size_t most = drain ? std::numeric_limits<size_t>::max() : kMostAtOnce;
  while (!ready.empty() && ready.front()->time <= bound && count < most) {
    std::pop_heap(ready.begin(), ready.end(), later);
    Stream* stream = ready.back();
    // One thread often has many events before any other's next: no need to go through the heap.
    uint64_t until = ready.size() > 1 ? ready.front()->time : bound;
    bool more;
    do {
      if (!deaths_.empty()) pass_deaths(stream->time - 1);
      Emit(*stream, sink);
      ++count;
      uint64_t unbound = kNever;
      more = Peek(*stream, now, drain ? &unbound : &bound);
    } while (more && stream->time < until && stream->time <= bound && count < most);
    if (more) {
      std::push_heap(ready.begin(), ready.end(), later);
    } else {
      ready.pop_back();
    }
  }
  if (count >= most) {
    held_back_ = true;
  } else if (!deaths_.empty()) {
    pass_deaths(bound);
  }
  return count;
}

size_t Follower::Poll(EventSink* sink) {
  const bool began = taken_ > 0 || header_->claimed.load(std::memory_order_relaxed) > 0;
  if (!began && deaths_.empty() && IsIntact()) return 0;
  size_t count = Merge(sink, false);
  KeepStock();
  if (clock_->Ticks() - looked_for_dead_ > patience_) FreeDead();
  return count;
}

// Threads that are gone leave chunks behind.
void Follower::FreeDead() {
  if (broken_) return;
  looked_for_dead_ = clock_->Ticks();
  std::vector<uint32_t> done;
  for (auto& [thread, stream] : streams_) {
    if (stream->ended && !stream->dead && syscall(SYS_tgkill, stream->pid, stream->tid, 0) != 0 &&
        errno == ESRCH) {
      stream->dead = true;
    }
    uint64_t bound = kNever;
    if (!stream->dead || Peek(*stream, 0, &bound)) continue;
    for (auto& chunk : stream->chunks) Free(*chunk);
    done.push_back(thread);
  }
  for (uint32_t thread : done) {
    auto stream = streams_.find(thread);
    auto others = of_pid_.find(stream->second->pid);
    std::erase(others->second, stream->second.get());
    if (others->second.empty()) of_pid_.erase(others);
    streams_.erase(stream);
  }
}

void Follower::DidDie(uint32_t process, int32_t pid, int status) {
  LearnRate();
  TakeChunks();
  if (auto streams = of_pid_.find(pid); streams != of_pid_.end()) {
    // An exec'ed image has another id in the trace, but the same pid.
    for (Stream* stream : streams->second) {
      if (stream->process <= process) stream->dead = true;
    }
  }
  deaths_.push_back({clock_->Ticks(), process, pid, status});
}

void Follower::Drain(EventSink* sink) {
  while (Merge(sink, true) > 0) {
  }
}

}  // namespace ipctrace
