// Follows the shared trace while it is written and merges the threads' records into one order.
//
// Every event has a time: of entry or of return (event.h), by a clock that all processors share.
// What a thread has not published yet can only carry a later time than the moment at which we
// looked and saw neither kClaimed nor kReturning (format.h): that moment, less a margin for stores
// under way between processors, is the horizon. Everything before it is complete, and is handed on
// in order of time. A thread that lost its processor within a record is another matter:
//
//   kClaimed    the clock was read, but the call has not begun. It is entered when it is seen to
//               be, which is later than the clock said: after all that was handed on before.
//   kReturning  the call has had its effect, which others may have seen. The horizon is held back
//               at what the thread was last seen to do; but not for ever: a thread that was stopped
//               or killed right there is passed over, and its return comes late.
//
// Releases are ordered by entry and acquisitions by return, because the model lets a release take
// effect on kEnter and an acquisition on kLeave.
#ifndef IPCTRACE_ANALYZER_LIVE_FOLLOWER_H_
#define IPCTRACE_ANALYZER_LIVE_FOLLOWER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "analyzer/events/event.h"
#include "analyzer/live/clock.h"
#include "preload/trace/format.h"

namespace ipctrace {

class Follower {
 public:
  // `header` is the mapped session and `fd` its file, open for reading; neither is owned.
  Follower(SessionHeader* header, int fd, const TraceClock* clock);
  ~Follower();

  // Called for each process when its first record is seen.
  std::function<void(uint32_t process, int32_t pid)> on_process;

  // Hands on what is complete. Returns the number of events.
  size_t Poll(EventSink* sink);
  // The process is gone: what it left unfinished stays so. Its descriptors' end is ordered after
  // all that it wrote. `status` is a wait status, or -1 where it is not known.
  void DidDie(uint32_t process, int32_t pid, int status);
  // Hands on everything there is, complete or not: the writers are gone or stopped.
  void Drain(EventSink* sink);

  // Makes the pages of so many chunks, the last ones, come into being in the analyzer's time. Where
  // that fails (a full disk, an old kernel) writers do so, or not, when they take them.
  void Populate(uint32_t chunks);
  // How many chunks writers have taken so far.
  uint64_t claimed() const { return header_->claimed.load(std::memory_order_relaxed); }

  // Whether events that have come were not handed on yet: all wait for a thread that was last seen
  // within a record, or they were too many.
  bool held_back() const { return held_back_; }
  // The traced program has overwritten the session: what came after is lost.
  bool broken() const { return broken_; }

 private:
  struct Chunk {
    uint32_t index;
    Record* records;  // in the session, or in `copy`
    uint64_t first_seq;
    int open = 0;                    // records in it that are not finished
    std::unique_ptr<Record[]> copy;  // set: the chunk itself was given back
  };
  struct Open {
    Record* record;
    uint64_t seq;
    Chunk* chunk;
    Blobs later;  // blobs that came after the entry
  };
  // One thread's records.
  struct Stream {
    uint32_t process, thread;
    int32_t pid, tid;
    std::deque<std::unique_ptr<Chunk>> chunks;  // not yet recycled, in order
    size_t current = 0;                         // of `chunks`: where `next` is
    uint64_t next = 0;                          // number of the next record to look at
    // The chunk in which `next` was found last, and the number of its first record.
    Chunk* here = nullptr;
    uint64_t here_seq = 1;
    bool moved = false;  // on to another chunk, since Recycle
    std::vector<Open> open;
    uint64_t last = 0;        // ticks of the last event handed on
    uint64_t stalled_at = 0;  // since when the horizon is held back here; 0: it is not
    // As WatchOthers saw it: the first record not published, and since when the one before it has
    // been kReturning (0: it is not).
    uint64_t tail = 0, returning_since = 0;
    bool ended = false;       // the thread has said that it ends
    bool dead = false;        // nothing more will be written
    // The next event, as found by Peek.
    EventKind kind{};
    uint64_t time = 0;
  };
  struct Passing {  // a death, waiting for its turn
    uint64_t time;
    uint32_t process;
    int32_t pid;
    int status;
  };

  void LearnRate();
  void TakeChunks();
  void TakeTickets();
  bool TakeChunk(uint64_t ticket);
  void Began(uint32_t process, int32_t pid);
  // The record at stream.next; null where its chunk is not known yet.
  Record* Next(Stream& stream) {
    const uint64_t index = stream.next - stream.here_seq;
    return index < kRecordsPerChunk ? &stream.here->records[index] : FindNext(stream);
  }
  Record* FindNext(Stream& stream);
  // The record of that number, which is not before stream.next.
  Record* At(Stream& stream, uint64_t seq) {
    const uint64_t index = seq - stream.here_seq;
    return index < kRecordsPerChunk ? &stream.here->records[index] : Find(stream, seq, nullptr);
  }
  Record* Find(Stream& stream, uint64_t seq, Chunk** chunk);
  Record* TakeBlobs(Stream& stream, RecordState* state);
  // Finds the next event of the stream. False: none now; `bound` is lowered where one may yet come
  // with an earlier time than the horizon.
  bool Peek(Stream& stream, uint64_t now, uint64_t* bound);
  bool LookForMore(Stream& stream, RecordState top, RecordState state);
  void WatchOthers(uint64_t now);
  void Emit(Stream& stream, EventSink* sink);
  void CollectBlobs(Stream& stream, uint64_t owner, Blobs* blobs);
  void Recycle(Stream& stream);
  void Free(const Chunk& chunk);
  void RefillRing();
  void KeepStock();
  void CopyOut();
  void CopyOut(Stream& stream, Chunk& chunk);
  size_t Merge(EventSink* sink, bool drain);
  void FreeDead();

  ChunkHeader* ChunkAt(uint32_t index) {
    return reinterpret_cast<ChunkHeader*>(reinterpret_cast<char*>(first_chunk_) +
                                          uint64_t{index} * kChunkSize);
  }
  bool IsIntact();

  SessionHeader* header_;
  int fd_;
  const TraceClock* clock_;
  // As the session was made: the program can overwrite what the header says.
  const uint32_t chunk_count_;
  ChunkHeader* const first_chunk_;
  uint64_t freed_;
  bool broken_ = false;
  uint64_t taken_ = 0;  // tickets whose chunk we know
  struct Ticket {
    uint64_t number;
    uint64_t seen;  // ticks
  };
  std::vector<Ticket> waiting_;  // claimed, their chunk's header not yet written; ascending
  std::vector<std::pair<uint32_t, int32_t>> begun_;  // processes and pids on_process is to hear of
  std::vector<uint32_t> free_;                       // chunks to be put into the ring
  uint32_t fresh_;  // so many, the last ones, have been in it
  uint32_t populated_ = 0;  // so many have their pages
  bool may_populate_ = true;
  absl::flat_hash_map<uint32_t, std::unique_ptr<Stream>> streams_;  // by thread id
  absl::flat_hash_map<int32_t, std::vector<Stream*>> of_pid_;       // the same, by their pid
  absl::flat_hash_map<uint32_t, int32_t> processes_;                // id -> pid
  std::vector<Passing> deaths_;
  absl::flat_hash_map<int32_t, uint32_t> images_;  // pid -> its latest process id
  uint64_t looked_for_dead_ = 0;                   // ticks
  bool draining_ = false;
  bool held_back_ = false;  // the last Merge left some of what has come
  size_t copies_ = 0;       // chunks with a copy
  uint64_t margin_ = 0, patience_ = 0;  // ticks; 0 until LearnRate
  Event event_;  // reused
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_LIVE_FOLLOWER_H_
