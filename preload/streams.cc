#include "preload/streams.h"

#include <stdio_ext.h>
#include <sys/uio.h>

#include "preload/descriptor_facts.h"
#include "preload/payload.h"
#include "preload/raw.h"
#include "preload/readable.h"

namespace ipctrace {

IPCTRACE_START_DATA constinit std::atomic<NumberMark> number_marks[kStreamTableSize] = {
    NumberMark::kStandard, NumberMark::kStandard, NumberMark::kStandard};
IPCTRACE_START_TABLE uint8_t stream_reported[kStreamTableSize];

namespace {

std::atomic<FILE*> stream_table[kStreamTableSize];  // where NumberMark::kStream
std::atomic<int> stream_top{2};                     // no number above it is marked

void Mark(int fd, NumberMark mark) {
  if (fd > stream_top.load(std::memory_order_relaxed)) stream_top.store(fd);
  number_marks[fd].store(mark, std::memory_order_release);
}

void Enter(int fd, FILE* stream) {
  stream_table[fd].store(stream, std::memory_order_relaxed);
  Mark(fd, NumberMark::kStream);
}

void Remove(int fd) { number_marks[fd].store(NumberMark::kNone, std::memory_order_release); }

bool InTable(int fd) { return static_cast<unsigned>(fd) < kStreamTableSize; }

// A vforked child's descriptors are its own, but this table is its parent's.
bool IsVforked() { return ThisThread()->id.vforks != 0; }

// How glibc's struct _IO_wide_data begins: its header keeps that to itself.
struct WideBuffer {
  const wchar_t *read_ptr, *read_end, *read_base;
  const wchar_t *write_base, *write_ptr;
};

const WideBuffer* WideOf(const FILE* stream) {
  return reinterpret_cast<const WideBuffer*>(stream->_wide_data);
}

uint64_t BytesOf(const wchar_t* from, const wchar_t* to) {
  uint64_t bytes = 0;
  for (; from < to; ++from) {
    const auto character = static_cast<uint32_t>(*from);
    bytes += character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
  }
  return bytes;
}

// Writes a kStreamState if there is something to say. In a threaded program another thread may be
// about to free the stream: there the kernel reads it for us.
IPCTRACE_START_CODE void Report(FILE* stream, int only = -1) {
  alignas(FILE) char copy[sizeof(FILE)];
  const FILE* seen = stream;
  if (session.threaded) {
    iovec local = {copy, sizeof(copy)};
    iovec remote = {stream, sizeof(copy)};
    if (Raw(SYS_process_vm_readv, Raw(SYS_getpid), Address(&local), 1, Address(&remote), 1, 0) !=
        static_cast<long>(sizeof(copy))) {
      return;
    }
    seen = reinterpret_cast<const FILE*>(copy);
  }
  // The buffer of wide characters may be gone, too, where other threads are.
  const uint64_t ahead = session.threaded ? ReadAhead(seen) : AllAhead(seen);
  const uint64_t pending = session.threaded ? Pending(seen) : AllPending(seen);
  const int fd = NumberOf(seen);
  if (!InTable(fd) || (only >= 0 && fd != only)) return;
  const bool empty = ahead == 0 && pending == 0;
  if (empty && stream_reported[fd] == 0) return;
  stream_reported[fd] = empty ? 0 : 1;
  Fact state(Call::fact_stream_state, fd);
  state->a = reinterpret_cast<uint64_t>(stream);
  state->b = ahead;
  state->c = pending;
  const uint64_t bytes = Pending(seen);
  const bool watched = session.payload && bytes != 0 && Watched(fd);
  const size_t recorded = watched || bytes < kPreviewBytes ? bytes : kPreviewBytes;
  if (recorded != 0 && Readable(seen->_IO_write_base, recorded)) {
    state.Blob(watched ? BlobTag::kPayload : BlobTag::kPreview, seen->_IO_write_base, recorded);
  }
  state.Done();
}

}  // namespace

uint64_t WideAhead(const FILE* stream) {
  const WideBuffer* const wide = WideOf(stream);
  if (wide->write_ptr > wide->write_base) return 0;
  return BytesOf(wide->read_ptr, wide->read_end);
}

uint64_t WidePending(const FILE* stream) {
  const WideBuffer* const wide = WideOf(stream);
  return BytesOf(wide->write_base, wide->write_ptr);
}

IPCTRACE_START_CODE FILE* StreamOn(int fd) {
  switch (MarkOf(fd)) {
    case NumberMark::kStandard:
      return fd == 0 ? stdin : fd == 1 ? stdout : stderr;
    case NumberMark::kStream:
      return stream_table[fd].load(std::memory_order_relaxed);
    default:
      return nullptr;
  }
}

void DidOpenStream(FILE* stream) {
  const int fd = NumberOf(stream);
  if (!InTable(fd) || IsVforked()) return;
  Enter(fd, stream);
  stream_reported[fd] = 0;
}

IPCTRACE_START_CODE void WillCloseStream(FILE* stream) {
  if (IsVforked()) return;
  const int top = stream_top.load(std::memory_order_relaxed);
  for (int fd = 0; fd <= top; ++fd) {
    if (StreamOn(fd) == stream) Remove(fd);
  }
}

void DidDupDescriptor(int from, int to) {
  if (!InTable(to) || from == to) return;
  FILE* const stream = InTable(from) ? StreamOn(from) : nullptr;
  FILE* const there = StreamOn(to);
  if (stream == there || IsVforked()) return;
  // A stream of the number's own stays: it will write to whatever the number now means.
  if (there != nullptr && NumberOf(there) == to) return;
  Enter(to, stream);
}

IPCTRACE_START_CODE void DidCloseDescriptor(int fd) {
  if (!InTable(fd)) return;
  if (DropUntold(fd)) return;
  FILE* const there = StreamOn(fd);
  if (there == nullptr || NumberOf(there) == fd || IsVforked()) return;
  Remove(fd);
}

// --- What is told later --------------------------------------------------------------------------

namespace {

// Names of what is open already, be it a pipe.
bool NamesDescriptor(const char* path) {
  return strncmp(path, "/dev/fd/", 8) == 0 || strncmp(path, "/dev/std", 8) == 0 ||
         strncmp(path, "/proc/", 6) == 0;
}

void TellAll() {
  session.untold = false;  // first: another thread may open something meanwhile
  const int top = stream_top.load(std::memory_order_relaxed);
  for (int fd = 0; fd <= top; ++fd) {
    if (IsUntold(fd)) TellDescriptor(fd);
  }
}

}  // namespace

bool MayTellLater(int fd, const char* path) {
  // A FIFO's end counts from its opening on, whether it is used or not.
  if (!InTable(fd) || session.chunks == nullptr || IsVforked() || restrained ||
      session.header->fifos.load(std::memory_order_relaxed) != 0 || NamesDescriptor(path)) {
    return false;
  }
  if (StreamOn(fd) != nullptr) return false;
  Mark(fd, NumberMark::kUntold);
  session.untold = true;
  return true;
}

bool DropUntold(int fd) {
  if (!IsUntold(fd)) return false;
  // The vforking parent has told all that it had: this is no number of a vforked child's.
  Remove(fd);
  return true;
}

void TellDescriptor(int fd) {
  if (!DropUntold(fd)) return;
  FdFact fact;
  if (!DescribeDescriptor(fd, kAskKernel, kAskKernel, &fact)) return;
  if (S_ISFIFO(fact.mode)) NoteFifos();
  Fact described(Call::fact_described, fd);
  described.Blob(BlobTag::kFds, &fact, sizeof(fact));
  described.Done();
}

void TellBefore(Call call, int fd) {
  switch (OpOf(call)) {
    case Op::kOpen:
    case Op::kClose:
    case Op::kCloseRange:
    case Op::kReadAt:
    case Op::kWriteAt:
    case Op::kSeek:
    case Op::kTruncate:
    case Op::kProbe:
    case Op::kFdFlags:
      return;
    case Op::kPoll:
    case Op::kEpollCtl:
    case Op::kTransfer:
      return TellAll();
    default:
      if (IsUntold(fd)) TellDescriptor(fd);
  }
}

IPCTRACE_START_CODE void SampleStreams() {
  if (session.chunks == nullptr) return;
  const int top = stream_top.load(std::memory_order_relaxed);
  if (session.untold) TellAll();
  for (int fd = 0; fd <= top; ++fd) {
    FILE* const stream = StreamOn(fd);
    if (stream != nullptr) Report(stream, fd);
  }
}

void ReportStream(int fd) {
  FILE* const stream = StreamOn(fd);
  if (stream != nullptr) Report(stream);
}

}  // namespace ipctrace
