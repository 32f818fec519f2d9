// The trace: the one contract between the preload library, which writes it, and the analyzer.
//
// A session is one file, mapped MAP_SHARED by every traced process and by the analyzer:
//
//   chunk 0 | chunk 1 | ... | ring of free chunks | SessionHeader
//
// The last chunks are used first. The end of a mapping lies beside the program's libraries, so that
// what is used shares their page tables, of which each costs a new process more than 1 us.
//
// A chunk belongs to one thread at a time. The thread appends Records to it with no atomic
// operation that another thread could contend for. When the chunk is full it takes the next one
// from the ring: one fetch_add on `claimed` gives a ticket t, and ring slot t % chunk_count holds
// the chunk as soon as the analyzer has put one there (slot value RingSlot(lap, chunk) with
// lap = t / chunk_count + 1; the file is created with chunks in the ring at lap 1). The
// analyzer reads a chunk as it fills, and when all its records are complete zeroes it and puts it
// back: ring[freed % chunk_count] = RingSlot(freed / chunk_count + 1, chunk), then ++freed.
//
// Whoever writes a record goes through these states (Record::head, one aligned 32-bit store each):
//
//   kEmpty -> kClaimed -> kEntered -> kReturning -> kReturned      (or -> kAbandoned)
//
// kClaimed is stored before the entry clock is read and kReturning before the return clock is read,
// so that a reader which sees neither knows that whatever comes will carry a later time than its
// own clock. A thread that hangs is a thread whose last record stays kEntered. Facts that are
// complete when they are written go from kClaimed straight to kReturned (leave == enter).
//
// All integers are native-endian; the file never leaves the machine. The kept trace
// (analyzer/log) is another format, which does.
#ifndef IPCTRACE_PRELOAD_TRACE_FORMAT_H_
#define IPCTRACE_PRELOAD_TRACE_FORMAT_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ipctrace {

// Environment variable that carries the path of the session's file to the processes of the run.
inline constexpr char kSessionVariable[] = "IPCTRACE_SESSION";
// Environment variable with the user's options for the bare LD_PRELOAD form (k=v:k=v).
inline constexpr char kOptionsVariable[] = "IPCTRACE_OPTIONS";
// Overrides where the preload library looks for the analyzer's binary (else: ../bin/ipctrace or
// ./ipctrace beside the library, then build-tree neighbours).
inline constexpr char kAnalyzerVariable[] = "IPCTRACE_ANALYZER";

inline constexpr uint64_t kSessionMagic = 0x3143525443504900;  // "\0IPCTRC1"
inline constexpr uint32_t kFormatVersion = 5;  // part of kContractVersion (calls.h)

inline constexpr size_t kRecordSize = 64;
inline constexpr size_t kChunkSize = 8192;
inline constexpr size_t kRecordsPerChunk =
    kChunkSize / kRecordSize - 1;  // after the chunk's header
inline constexpr size_t kDefaultSessionSize = size_t{64} << 20;
inline constexpr size_t kSessionHeaderBytes = 4096;  // the file's last page

enum class ClockKind : uint32_t { kTsc = 1, kMonotonicNs = 2 };

inline constexpr size_t kPreviewBytes = 40;     // of a BlobTag::kPreview
inline constexpr size_t kMostPayloadPorts = 4;  // SessionHeader::payload_ports

// Bits of SessionHeader::options.
enum SessionOptions : uint64_t {
  kOptionPipePayload = 1,    // record all bytes (BlobTag::kPayload) that go through pipes
  kOptionBareForm = 2,       // the session's first process waits at its end for `report_done`
  kOptionSocketPayload = 4,  // record all bytes that go through sockets, of payload_ports
};

enum class AnalyzerState : uint32_t {
  kStarting = 0,
  kFollowing = 1,
  kGone = 2,  // nobody reads any more: writers drop records at once, wait for nothing
};

struct SessionHeader {
  uint64_t magic;
  uint32_t version;       // kContractVersion
  uint32_t ring_bytes;  // before this header
  uint64_t file_bytes;
  uint32_t chunk_count;
  ClockKind clock;
  int32_t analyzer_pid;
  uint64_t options;
  int32_t first_pid;  // bare form: the process that started the session; 0 under `ipctrace run`
  std::atomic<uint32_t> populated;  // so many chunks, the last ones, are known to have their memory
  uint16_t payload_ports[kMostPayloadPorts];  // at one end or the other; all 0: any socket
  // Set by the traced process that first makes a FIFO or finds one; see kDescribed in ops.h.
  std::atomic<uint32_t> fifos;

  // Written by the analyzer.
  alignas(64) std::atomic<uint32_t> analyzer_state;  // AnalyzerState
  std::atomic<uint32_t> heartbeat;    // grows at least every 100 ms while the analyzer lives
  std::atomic<uint32_t> report_done;  // futex: 1 when the report has been printed
  std::atomic<uint32_t> first_ended;  // set by the first process when it begins to wait for that
  std::atomic<uint64_t> freed;        // tickets for which a chunk was put into the ring
  std::atomic<uint32_t> freed_futex;  // low bits of `freed`; woken when `starving` is not 0

  // Written by traced processes.
  alignas(64) std::atomic<uint64_t> claimed;  // tickets taken
  alignas(64) std::atomic<uint32_t> starving;      // writers that wait for a chunk
  std::atomic<uint32_t> next_process;              // the next process id (from 1)
  std::atomic<uint32_t> next_thread;               // the next thread id (from 1)
  std::atomic<uint32_t> next_stack;                // the next stack id (from 1)
  std::atomic<uint64_t> lost;                      // records dropped: no space or no analyzer
  std::atomic<uint64_t> untraced_execs;            // execs into what cannot load the library
};

// The ring's slot for a ticket. Slot 0 is the last one: those of a short run lie beside the header.
inline std::atomic<uint64_t>& SlotFor(SessionHeader* header, uint64_t ticket,
                                      uint32_t chunk_count) {
  return *(reinterpret_cast<std::atomic<uint64_t>*>(header) - 1 - ticket % chunk_count);
}
inline constexpr uint64_t RingSlot(uint64_t lap, uint32_t chunk) { return lap << 32 | chunk; }
inline constexpr uint64_t SlotLap(uint64_t slot) { return slot >> 32; }
inline constexpr uint32_t SlotChunk(uint64_t slot) { return static_cast<uint32_t>(slot); }

// The first line of a chunk. `lap` is stored last and tells the analyzer that the rest is valid.
struct alignas(64) ChunkHeader {
  std::atomic<uint32_t> lap;  // low bits of the lap under which it was claimed; 0: not yet
  uint32_t process;           // process id in the trace (unique in the session, unlike a pid)
  uint32_t thread;            // thread id in the trace
  int32_t pid;
  int32_t tid;
  uint32_t unused;
  uint64_t first_seq;  // number in its thread, from 0, of the chunk's first record
};

enum class RecordState : uint8_t {
  kEmpty = 0, kClaimed = 1, kEntered = 2, kReturning = 3, kReturned = 4,
  kAbandoned = 5,  // a longjmp left the call; it will never return
};

// Bits of the flags byte.
enum RecordFlags : uint8_t {
  kRecordPeek = 1,      // MSG_PEEK: the bytes stay
  kRecordDontWait = 2,  // MSG_DONTWAIT or the like: cannot block
  kRecordBlobEnd = 4,   // last piece of a blob
  kRecordWaitAll = 32,  // MSG_WAITALL: does not return before it has all
  kRecordInexact = 16,  // a stream's call that may have moved more than its record says
  kRecordInSignal = 8,  // made by a call nested in another record's call: a signal handler's
};

// One call. 64 bytes: a cache line.
struct alignas(64) Record {
  std::atomic<uint32_t> head;  // call | flags << 16 | state << 24
  uint32_t stack;              // id of the stack it was called from; 0: not known
  uint64_t enter;              // clock ticks
  uint64_t leave;              // clock ticks; valid when kReturned
  int32_t fd;
  int32_t err;
  int64_t result;
  uint64_t a, b, c;  // by Op: ops.h
};

inline constexpr uint32_t Head(uint16_t call, uint8_t flags, RecordState state) {
  return call | uint32_t{flags} << 16 | uint32_t{static_cast<uint8_t>(state)} << 24;
}
inline constexpr uint16_t HeadCall(uint32_t head) { return static_cast<uint16_t>(head); }
inline constexpr uint8_t HeadFlags(uint32_t head) { return static_cast<uint8_t>(head >> 16); }
inline constexpr RecordState HeadState(uint32_t head) {
  return static_cast<RecordState>(static_cast<uint8_t>(head >> 24));
}

// What a call has besides its fixed fields follows it in its thread as blob pieces, which name
// their owner, since a signal handler's records may stand between. Blobs known at entry are
// written before the owner becomes kEntered, the others before it becomes kReturned.
enum class BlobTag : uint16_t {
  kPath = 1,
  kArgv,       // NUL-terminated strings
  kExe,
  kCwd,
  kModules,    // lines: "<load bias hex> <start hex> <end hex> <path>\n"
  kFds,        // FdFact[]
  kSentFds,    // int32_t[]
  kLocal,      // struct sockaddr
  kPeer,       // struct sockaddr
  kPayload,
  kStack,      // StackCopy, then blocks of the words from its rsp upwards
  kPoll,       // PollEntry[]
  kPollReady,  // PollEntry[]
  kDispositions,  // uint64_t ignored, uint64_t handled: bit (signal - 1)
  kPreview,    // the first bytes of a stream's transfer, where there is no kPayload
};

inline constexpr size_t kBlobPieceBytes = 48;

struct alignas(64) BlobRecord {
  std::atomic<uint32_t> head;  // Call::kBlob, kReturned, kRecordBlobEnd on the last piece
  uint32_t owner;              // low 32 bits of the owner's number in its thread
  BlobTag tag;
  uint16_t length;  // bytes used of `data`
  uint32_t offset;  // of this piece in the blob
  uint8_t data[kBlobPieceBytes];
};

// One open descriptor, as fstat(2) and fcntl(2) tell.
struct FdFact {
  int32_t fd;
  uint32_t mode;      // st_mode
  uint64_t device;    // st_dev
  uint64_t inode;     // st_ino
  uint32_t status;    // F_GETFL, or what follows from the call that made it
  uint32_t fd_flags;  // F_GETFD
};

struct PollEntry {
  int32_t fd;
  int16_t events;
  int16_t revents;
};

// Registers at a call, as the caller sees them when it has returned.
struct StackCopy {
  uint32_t id;
  uint32_t unused;
  uint64_t rip, rsp, rbp, rbx, r12, r13, r14, r15;
};
inline constexpr size_t kStackCopyBytes = 4096;  // at most this much of the stack
// What follows a StackCopy: of each so many words from rsp upwards a mask of those that may be
// addresses (bit 0: the first), and then of each of these the low bytes, which are all that an
// address has. The others are of no use to an unwinder.
inline constexpr size_t kStackBlockWords = 64;
inline constexpr size_t kStackWordBytes = 6;

static_assert(sizeof(Record) == kRecordSize && sizeof(BlobRecord) == kRecordSize &&
              sizeof(ChunkHeader) == kRecordSize && sizeof(FdFact) == 32 && sizeof(PollEntry) == 8);

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_TRACE_FORMAT_H_
