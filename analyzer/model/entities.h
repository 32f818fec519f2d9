// The things of a traced run, on the lecture's three levels:
//
//   Descriptor (a number in one process)  ->  Description (the kernel's open file description,
//   shared by dup and fork)  ->  Object (pipe, socket, file, terminal ...)
//
// and beside them Process, Thread and Stream (a FILE* on a descriptor). The model creates and
// changes them; rules read them, and may keep an entity alive by its shared_ptr. Ids are unique in
// a run over all kinds and never reused.
#ifndef IPCTRACE_ANALYZER_MODEL_ENTITIES_H_
#define IPCTRACE_ANALYZER_MODEL_ENTITIES_H_

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
#include "analyzer/findings/finding.h"
#include "preload/trace/format.h"

namespace ipctrace {

struct Process;
struct Thread;
struct Descriptor;
struct Description;
struct Object;
struct Stream;

// In order of birth, and quick to leave: there may be ten thousand, of /dev/null, say, or of what
// ten thousand children inherited.
struct ByBirth {
  template <typename T>
  bool operator()(const T* a, const T* b) const {
    return a->id < b->id;
  }
};
template <typename T>
using BirthSet = absl::btree_set<T*, ByBirth>;

enum class ObjectKind : uint8_t {
  kUnknown,
  kPipe,
  kFifo,
  kSocket,
  kFile,
  kDirectory,
  kTerminal,
  kDevice,
  kAnonymous,
  kEpoll,
};

// One queue of bytes: a pipe, or one direction of a connection.
struct Queue {
  uint64_t written = 0;  // bytes of all completed writes
  uint64_t read = 0;     // bytes of all completed reads
  // Somebody read by a call of which only the last filling of its buffer is known (a scanf up to
  // end-of-file, or on a stream that threads share): more than `read` was read.
  bool inexact = false;
  // A read may be seen to return before the write that fed it; never negative.
  uint64_t Unread() const { return written > read ? written - read : 0; }
  std::optional<Site> last_write, last_read;
  uint32_t last_writer = 0, last_reader = 0;  // process ids
};

enum class SocketState : uint8_t {
  kNew,
  kBound,
  kListening,
  kConnecting,
  kConnected,
  kFailed,
};

struct SocketInfo {
  int domain = 0, type = 0, protocol = 0;  // type without SOCK_NONBLOCK and SOCK_CLOEXEC
  SocketState state = SocketState::kNew;
  std::string local, peer;          // "127.0.0.1:80", "[::1]:80", a path, "@abstract"; empty: none
  std::weak_ptr<Object> other_end;  // the peer socket where it is in the run
  bool met = false;                 // it has had one, which may be gone
  std::weak_ptr<Object> listener;   // the listener that accepted it
  // A stream socket that has connected: in whose queue it waited to be accepted. Where that has
  // happened in the run, other_end is known too.
  std::weak_ptr<Object> queued_on;
  bool accepted = false;
  // bind() gave it an address of the program's choice, by which others may know it. Else the kernel
  // chose one.
  bool named = false;
  bool unlinked = false;  // its path is gone, and nobody can connect to it any more
  bool reuse_address = false;
  bool shut_read = false, shut_write = false;  // own shutdown()
  int backlog = 0;
  bool receive_timeout = false, send_timeout = false;  // SO_RCVTIMEO, SO_SNDTIMEO are set
  uint32_t connections = 0;                            // accepted so far (listener)
  Queue incoming;                                      // what the peer sent to this end
  Queue outgoing;       // what this end sent while its peer is not known to the run
  Nanos told = -1;      // and when it did so last
  bool stream() const;  // SOCK_STREAM (or SEQPACKET)
};

// A file lock that is held: flock(2) locks belong to a description, fcntl(2) locks to a process.
struct FileLock {
  uint64_t owner = 0;  // Description::id or Process::id
  bool by_process = false;
  bool exclusive = false;
};

enum class Birth : uint8_t {
  kOpened,      // open, pipe, socket, accept ...
  kDuplicated,  // dup, dup2, F_DUPFD: `from` is the original
  kInherited,   // fork: `from` is the parent's
  kReceived,    // SCM_RIGHTS
  kFound,       // was there when the program started, from outside the run
};

enum class Death : uint8_t {
  kAlive,
  kClosed,
  kClosedByRange,
  kReplaced /* dup2 */,
  kExec,
  kExit,
  kVanished,
};

// Who let go of an end last.
struct LastHolder {
  const Process* process = nullptr;  // null: nobody has yet
  uint64_t descriptor = 0;           // its id
  int number = -1;
  Death how = Death::kAlive;
  Site site;
  bool survived_exec = false;  // it had come to that program over an exec
  bool used = false;           // by a call on this number
  Site used_last;              // if so
};

struct Object {
  uint64_t id = 0;
  ObjectKind kind = ObjectKind::kUnknown;
  uint64_t device = 0, inode = 0;
  uint32_t mode = 0;      // st_mode
  bool described = true;  // false: it was opened, and what it is will be told when it is used
  std::string path;       // as opened; empty for what has no name
  Site born;              // process 0: it was there before the run, or came from outside
  // Somebody who is not traced may hold it too (inherited from outside the run, a named FIFO's
  // or listener's clients, a static program, a descriptor sent away).
  bool outside = false;
  bool made_here = false;  // a FIFO with a name: a process of the run made it
  // Live descriptions of it, weak: they own the object, not the reverse. Use Holders().
  BirthSet<Description> descriptions;

  // Of a pipe: a process that has let go of it had both read from it and written to it. What goes
  // through it is passed round.
  bool passes_round = false;

  // By whom an end that reads, and one that writes, was let go of last. For sockets both are the
  // same.
  LastHolder last_reader, last_writer;

  Queue queue;        // pipes and FIFOs
  SocketInfo socket;  // sockets
  AnonymousKind anonymous{};
  // epoll: what it watches, and EPOLL* events, by the number under which it was added.
  std::map<int, std::pair<std::weak_ptr<Description>, uint32_t>> interest;
  std::vector<FileLock> locks;  // held now

  bool IsPipe() const { return kind == ObjectKind::kPipe || kind == ObjectKind::kFifo; }
};

// The kernel's open file description.
struct Description {
  uint64_t id = 0;
  std::shared_ptr<Object> object;
  int access = 0;        // O_RDONLY, O_WRONLY or O_RDWR
  int status_flags = 0;  // O_NONBLOCK, O_APPEND ...
  bool outside = false;  // holders that are not traced may share it
  Site born;
  BirthSet<Descriptor> holders;  // live descriptors

  bool readable() const;  // access allows reading
  bool writable() const;
  bool nonblocking() const;
};

// How a descriptor was used, by reads, writes and the like through its own number.
struct Usage {
  uint64_t reads = 0, writes = 0;  // calls that succeeded or met EOF or an error other than EBADF
  uint64_t read_bytes = 0, write_bytes = 0;
  uint64_t other = 0;   // accept, connect, poll, lseek, shutdown, sendfile, epoll_ctl ...
  uint64_t passed = 0;  // dup'ed from, sent, or standing at a number below 3 at exec
  std::optional<Site> first, last;  // any of the first three
  std::optional<Site> sent;         // the last message (SCM_RIGHTS) that took it along
  bool Used() const { return reads + writes + other > 0; }
};

// close(2)s in a row by one thread: of neighbouring numbers, from one place.
struct CloseRun {
  int length = 0;
  int blanks = 0;  // of these, on numbers that were never open in this program image
};

// A call on a number after its descriptor was closed, while nothing else stood there: it failed.
struct LateCall {
  Op op = Op::kNone;
  Site site;
  std::shared_ptr<const CloseRun> run;  // for close: the run it was part of
};

struct Descriptor {
  uint64_t id = 0;
  int number = -1;
  Process* process = nullptr;  // valid for the whole run
  uint32_t process_id = 0;
  std::shared_ptr<Description> description;
  bool close_on_exec = false;
  Birth birth = Birth::kOpened;
  Site born;
  std::shared_ptr<Descriptor> from;  // for kDuplicated and kInherited
  Death death = Death::kAlive;
  Site died;                   // valid unless alive
  bool survived_exec = false;  // inherited by the present program image over an exec
  Site exec_site;              // the exec it survived last
  Usage usage;
  std::weak_ptr<Stream> stream;  // the FILE* that sits on it
  // What had this number before in this program image. Its own predecessor is forgotten.
  std::shared_ptr<Descriptor> predecessor;
  std::vector<LateCall> late;  // the first few

  const std::shared_ptr<Object>& object() const { return description->object; }
  bool alive() const { return death == Death::kAlive; }
};

enum class StreamDeath : uint8_t { kAlive, kClosed, kDescriptorGone, kExec, kExit };

// A FILE*.
struct Stream {
  uint64_t id = 0;
  uint64_t address = 0;
  uint32_t process_id = 0;
  std::weak_ptr<Descriptor> descriptor;
  int number = -1;
  Site born;
  uint64_t read_ahead = 0;  // bytes in its buffer that the program has not taken, when last seen
  uint64_t pending = 0;     // output that is not written yet, when last seen
  uint64_t inherited_pending = 0;  // of these, how many came by fork from the parent's copy
  uint32_t inherited_from = 0;     // that parent's process id
  uint64_t flushes = 0;            // how often buffered output was written out, also by exit
  Site last_flush;
  std::optional<uint64_t> thrown_away;  // __fpurge emptied it, after so many flushes
  int32_t child = 0;                    // popen: the pid of the command
  Site last_use;                        // the last call on the stream that left a record
  StreamDeath death = StreamDeath::kAlive;
};

// What a thread is doing. One of these is alive for each unfinished call.
struct Act {
  Call call = Call::fact_none;
  Op op = Op::kNone;
  uint8_t flags = 0;  // RecordFlags
  Process* process = nullptr;
  Thread* thread = nullptr;
  uint64_t seq = 0;  // number of the record in its thread
  Nanos enter = 0;
  Nanos leave = 0;  // valid in DidLeave
  int fd = -1;
  int64_t result = 0;
  int err = 0;
  uint64_t a = 0, b = 0, c = 0;  // by Op (preload/trace/ops.h)
  uint32_t stack = 0;
  // The descriptor `fd` named when the call was entered; null where it was not open.
  std::shared_ptr<Descriptor> descriptor;
  // Its data (addresses, paths, poll sets), by tag. Small.
  std::vector<std::pair<BlobTag, std::string>> blobs;

  Site site() const;  // where it was called, at the time of entry
  const std::string* Blob(BlobTag tag) const;
  bool failed() const { return err != 0; }
};

// What a poll, select or epoll_wait watches, and for which events (of poll's kinds, which epoll's
// are too).
struct Watched {
  std::shared_ptr<Descriptor> descriptor;  // of the act's process, if that has one (still)
  uint32_t events = 0;
};
std::vector<Watched> WatchedBy(const Act& act);

// A blob as an array of T; a torn last element is left out.
template <typename T>
std::vector<T> EntriesOf(const std::string& bytes) {
  std::vector<T> entries(bytes.size() / sizeof(T));
  std::memcpy(entries.data(), bytes.data(), entries.size() * sizeof(T));
  return entries;
}

struct Thread {
  uint32_t id = 0;  // in the trace
  int32_t tid = 0;
  Process* process = nullptr;
  uint64_t pthread = 0;  // its pthread_t, once known
  uint32_t creator = 0;  // thread id
  Site born;
  bool ended = false;
  bool detached = false, joined = false;
  std::shared_ptr<CloseRun> closes;  // that it is in; and the last one's place and number
  uint32_t closes_stack = 0;
  int closes_fd = -1;
  std::vector<std::unique_ptr<Act>>
      open;  // unfinished calls, innermost last (signal handlers nest)
  uint32_t parked_stack = 0;  // where it slept at a lock, in a deadlock; 0: not known
  // The call it is in, or null: it runs the program's own code.
  const Act* current() const { return open.empty() ? nullptr : open.back().get(); }
};

enum class EndKind : uint8_t { kAlive, kExited, kKilled, kUnknown };

struct Process {
  uint32_t id = 0;  // in the trace
  int32_t pid = 0, ppid = 0;
  Process* parent = nullptr;  // the process that forked it, if traced; valid for the whole run
  std::string name;           // of the program: last part of its path
  std::vector<std::string> argv;
  std::string exe;
  bool traced = true;  // false: known only by a fork, spawn or wait; never said hello
  // Program images it ran before the present one, each until when; a fork's begin with its
  // parent's.
  std::vector<std::pair<Nanos, std::string>> past_images;
  bool execed = false;  // runs another program image than the one it was forked with
  Nanos started = 0, ended_at = 0;
  Site born;       // the fork, vfork or spawn in the parent
  Site last_exec;  // of the present image
  EndKind end = EndKind::kAlive;
  int status = 0;  // exit status or signal number
  bool reaped = false;
  Site reaped_at;
  std::map<int, std::shared_ptr<Descriptor>> table;
  // The last descriptor that had this number in this program image, and is gone.
  absl::flat_hash_map<int, std::shared_ptr<Descriptor>> gone;
  absl::flat_hash_map<uint64_t, std::shared_ptr<Stream>> streams;  // by FILE*
  std::vector<Thread*> threads;                                    // live ones
  std::vector<Process*> children;                                  // all
  std::array<Disposition, 65> dispositions{};
  std::array<int, 65> signal_flags{};  // sa_flags
  Nanos alarm_at = -1;                 // when a pending alarm or timer expires first; -1: none
  Nanos alarm_interval = 0;            // and how often thereafter; 0: once
  int threads_to_come = 0;             // were made, and have not begun
  bool libc_keeps = false;             // called what may keep a descriptor of libc's own open
  int vfork_child_of = 0;  // shares its parent's memory until exec: the parent's process id

  bool alive() const { return end == EndKind::kAlive; }
  std::shared_ptr<Descriptor> Find(int fd) const;
  // The path of the program that it ran at that time.
  const std::string& ImageAt(Nanos when) const;
};

// Whether the process has read from the pipe and written to it, by ends that it holds or has
// closed.
bool UsesBothWays(const Process& process, const Object& pipe);

// Human words -------------------------------------------------------------------------------------

// "the read end of the pipe", "the connection 127.0.0.1:5000 → 127.0.0.1:41112", "\"out.txt\"".
std::string Describe(const Description& description);
std::string Describe(const Object& object);
// "server[12]": the program's name and pid.
std::string Describe(const Process& process);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_MODEL_ENTITIES_H_
