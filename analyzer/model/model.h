// The run, replayed: processes, their descriptor tables, what the descriptors refer to, and which
// bytes went where. Fed with events in order (analyzer/events); tells the rules what happened.
//
// Not thread-safe. Entities live as long as somebody can still ask for them: processes for the
// whole run, the others while something refers to them.
#ifndef IPCTRACE_ANALYZER_MODEL_MODEL_H_
#define IPCTRACE_ANALYZER_MODEL_MODEL_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "analyzer/events/event.h"
#include "analyzer/model/entities.h"
#include "analyzer/model/rule.h"

namespace ipctrace {

class Stacks;

// What a run missed; a run with a hole is never called clean.
struct Coverage {
  uint64_t records = 0;         // calls seen
  uint64_t lost = 0;            // records dropped by the traced processes
  uint64_t untraced_execs = 0;  // programs started that cannot load the library
  uint64_t missed_births = 0;   // descriptors open at the end that nobody was seen to open
  uint64_t missed_deaths = 0;   // closed, or given out again, though nobody was seen to close them
  std::vector<std::string> missed;  // some of both, in words
  uint64_t written = 0;         // bytes, by write(2) and its kin; at most
  bool written_known = true;    // nobody ended in the middle of a stream's call, and there is no
                                // Valgrind or sanitizer
  uint64_t read = 0;            // bytes, by read(2) and its kin; at most
  bool read_known = true;       // the same, and nothing of libc was called that reads its own files
  uint64_t read_before = 0;     // what the kernel had counted of it when the first process began
  uint64_t kernel_read = 0;     // what it counted since
  uint64_t kernel_written = 0;  // what the kernel counted of that in the first process and those
                                // that were waited for
  bool heard = false;           // some process said hello
  std::vector<std::string> holes;  // in words, one each
};

class Model {
 public:
  // `stacks` may be null (tests): then nothing is handed to it.
  explicit Model(Stacks* stacks);
  ~Model();
  // Whom to tell. Null: nobody. Not owned.
  void SetRules(RuleSet* rules) { rules_ = rules; }

  void Take(const Event& event);

  // All processes of the run, in the order in which they began.
  const std::vector<Process*>& processes() const { return order_; }
  const Process* Find(uint32_t process_id) const;
  const Thread* FindThread(uint32_t thread_id) const;
  const Process* FindAlive(int32_t pid) const;
  // Those that live, by pid.
  const absl::flat_hash_map<int32_t, Process*>& alive() const { return alive_; }
  // Live objects with this kernel identity; null if none.
  std::shared_ptr<Object> FindObject(uint64_t device, uint64_t inode) const;

  // Whether a process of the run has made the FIFO of this name.
  bool MadeFifo(const std::string& path) const;
  // Live, by its address: a listener; or another socket that is bound. Null if none is known.
  std::shared_ptr<Object> FindListener(const std::string& address) const;
  std::shared_ptr<Object> FindBound(const std::string& address) const;
  // When the run last wrote to where others can read it: a file, a terminal, a peer that is not in
  // the run. What the kernel has thought up since then, a port say, nobody outside can know.
  Nanos told_outside() const;

  Nanos now() const { return now_; }
  const Coverage& coverage() const { return coverage_; }
  const std::vector<std::string>& argv() const { return argv_; }
  int64_t wall_start_ns() const { return wall_start_ns_; }
  bool finished() const { return finished_; }
  FinishReason finish_reason() const { return finish_reason_; }
  // The first process, and how it ended; null before its hello.
  const Process* first() const { return order_.empty() ? nullptr : order_.front(); }

 private:
  friend class Replay;  // model/replay_*.cc: one function for each act

  // Who an event is of; null where nothing is known of them yet.
  Process* ProcessOf(const Event& event) const {
    return event.process < process_by_id_.size() ? process_by_id_[event.process] : nullptr;
  }
  Thread* ThreadOf(const Event& event) const {
    return event.thread < thread_by_id_.size() ? thread_by_id_[event.thread].get() : nullptr;
  }
  Process* AddProcess(uint32_t id, int32_t pid);
  Thread* AddThread(uint32_t id, int32_t tid, Process* process);
  void KeepStacks(const Event& event) {
    if (!event.blobs.empty() && stacks_ != nullptr) KeepBlobs(event);
  }
  void KeepBlobs(const Event& event);
  void Enter(const Event& event);
  void Leave(const Event& event);
  void Abandon(const Event& event);
  void Observe(const Event& event);

  Stacks* stacks_;
  RuleSet* rules_ = nullptr;
  Nanos now_ = 0;
  uint64_t next_id_ = 1;
  Coverage coverage_;
  std::vector<std::string> argv_;
  int64_t wall_start_ns_ = 0;
  bool finished_ = false;
  FinishReason finish_reason_ = FinishReason::kEnded;

  std::deque<std::unique_ptr<Process>> owned_processes_;
  std::vector<Process*> order_;
  std::vector<Process*> process_by_id_;  // an exec'ed image has a new trace id for the same process
  std::vector<std::unique_ptr<Thread>> thread_by_id_;
  absl::flat_hash_map<int32_t, Process*> alive_;  // by pid
  // Children that were not waited for yet, by pid; the latest of each.
  absl::flat_hash_map<int32_t, Process*> unreaped_;
  std::vector<std::unique_ptr<Act>> spare_acts_;

  // Tables as they were when a fork was entered, by (thread, seq), until the child has begun.
  struct ForkPoint {
    Process* parent;
    std::map<int, std::shared_ptr<Descriptor>> table;
    Site site;
    uint64_t stack = 0;
    int32_t pid = 0;  // the child's, once the parent knows
  };
  std::map<std::pair<uint32_t, uint64_t>, ForkPoint> forks_;

  absl::flat_hash_map<std::pair<uint64_t, uint64_t>, std::weak_ptr<Object>> objects_;  // dev, inode
  absl::flat_hash_map<std::string, std::weak_ptr<Object>> ends_;       // "local|peer" of sockets
  absl::flat_hash_map<std::string, std::weak_ptr<Object>> listeners_;  // by address
  absl::flat_hash_map<std::string, std::weak_ptr<Object>> bound_;      // datagram sockets, likewise
  absl::flat_hash_set<std::string> fifos_;  // made by the run: their names
  Nanos told_outside_ = -1;
  // Connections that somebody wrote to before their client's connect was seen to return: whether
  // that one is of the run shows then. The last few.
  std::deque<std::shared_ptr<Object>> unmet_;
  // What travels in a message and has not come out of one yet: alive, and nobody's. Meanwhile its
  // object is one of the outside's, where `was_outside` says what it is else.
  struct InFlight {
    std::shared_ptr<Description> description;
    bool was_outside;
  };
  std::deque<InFlight> in_flight_;
  // AF_UNIX clients that connected and are not accepted yet, by the listener's address.
  absl::flat_hash_map<std::string, std::deque<std::weak_ptr<Object>>> unix_queue_;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_MODEL_MODEL_H_
