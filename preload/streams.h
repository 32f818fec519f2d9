// Streams (FILE*) as far as descriptors are concerned: which stream sits on which number, and what
// it holds in its buffer. A lock-free table; the streams themselves are only looked at.
//
// The table also has the numbers that were opened and about which the trace is not told yet what
// they are. To ask the kernel costs more than all else that is done for an open, and many files are
// only looked at by calls that fail on what is no file, or not at all.
#ifndef IPCTRACE_PRELOAD_STREAMS_H_
#define IPCTRACE_PRELOAD_STREAMS_H_

#include <stdio.h>

#include <atomic>
#include <cstdint>

#include "preload/recorder.h"

namespace ipctrace {

inline constexpr int kStreamTableSize = 1024;

enum class NumberMark : uint8_t {
  kNone,
  kStandard,  // stdin, stdout or stderr, as at the start
  kStream,    // there is a stream on it, or on the descriptor that it is a duplicate of
  kUntold,    // the trace is to be told what it is (Op::kDescribed)
};
extern std::atomic<NumberMark> number_marks[kStreamTableSize] __attribute__((visibility("hidden")));
inline NumberMark MarkOf(int fd) { return number_marks[fd].load(std::memory_order_acquire); }
inline bool IsUntold(int fd) {
  return static_cast<unsigned>(fd) < kStreamTableSize && MarkOf(fd) == NumberMark::kUntold;
}
FILE* StreamOn(int fd);

// Bit set: the last kStreamState of that stream was not "empty".
extern uint8_t stream_reported[kStreamTableSize] __attribute__((visibility("hidden")));

// glibc's flags, which its headers keep to themselves.
inline constexpr int kStreamUnbuffered = 0x2;
inline constexpr int kStreamEof = 0x10;
inline constexpr int kStreamError = 0x20;
inline constexpr int kStreamInBackup = 0x100;
inline constexpr int kStreamLineBuffered = 0x200;
inline constexpr int kStreamPutting = 0x800;
inline constexpr int kStreamOfFile = 0x2000;
inline constexpr int kStreamNeedsLock = 0x80;  // in _flags2

// The descriptor's number; -1 for a stream in memory, whose _fileno may be anything.
inline int NumberOf(const FILE* stream) {
  return (stream->_flags & kStreamOfFile) != 0 ? stream->_fileno : -1;
}

// Bytes read from the descriptor and not yet given to the program; in a stream of wide characters,
// those that are no characters yet.
inline uint64_t ReadAhead(const FILE* stream) {
  if (stream->_IO_write_ptr > stream->_IO_write_base) return 0;
  uint64_t bytes = static_cast<uint64_t>(stream->_IO_read_end - stream->_IO_read_ptr);
  if ((stream->_flags & kStreamInBackup) != 0) {
    bytes += static_cast<uint64_t>(stream->_IO_save_end - stream->_IO_save_base);
  }
  return bytes;
}

// Bytes the program has put out and the descriptor has not yet got; in a stream of wide characters,
// those that are bytes already.
inline uint64_t Pending(const FILE* stream) {
  return stream->_IO_write_ptr > stream->_IO_write_base
             ? static_cast<uint64_t>(stream->_IO_write_ptr - stream->_IO_write_base)
             : 0;
}

// What waits in a stream's buffer of wide characters, as bytes of UTF-8.
uint64_t WideAhead(const FILE* stream) IPCTRACE_COLD;
uint64_t WidePending(const FILE* stream) IPCTRACE_COLD;

// Both together.
inline uint64_t AllAhead(const FILE* stream) {
  return ReadAhead(stream) + (__builtin_expect(stream->_mode > 0, 0) ? WideAhead(stream) : 0);
}
inline uint64_t AllPending(const FILE* stream) {
  return Pending(stream) + (__builtin_expect(stream->_mode > 0, 0) ? WidePending(stream) : 0);
}

void DidOpenStream(FILE* stream);
void WillCloseStream(FILE* stream);
void DidDupDescriptor(int from, int to);
void DidCloseDescriptor(int fd);

// An open at `path` gave `fd`. True: what it is will be told before it is used. False: it must be
// told at once.
bool MayTellLater(int fd, const char* path);
// Nothing is to be told of it any more. False: nothing was.
bool DropUntold(int fd) IPCTRACE_COLD;

// kStreamState of every stream that holds something, and all that is yet to be told: before fork,
// exec and the end.
void SampleStreams();

// kStreamState of the stream on `fd`, if it holds something or last did: before the descriptor is
// used past it.
void ReportStream(int fd) IPCTRACE_COLD;
IPCTRACE_INLINE bool HasEntry(int fd) {
  return __builtin_expect(static_cast<unsigned>(fd) < kStreamTableSize, 1) &&
         __builtin_expect(MarkOf(fd) != NumberMark::kNone, 0);
}
IPCTRACE_INLINE void BeforeRawUse(int fd) {
  if (!HasEntry(fd)) return;
  if (IsUntold(fd)) return TellDescriptor(fd);
  ReportStream(fd);
}
// The same before a call that fails with ESPIPE on what has no position: only then is it told.
IPCTRACE_INLINE void BeforePositionedUse(int fd) {
  if (HasEntry(fd) && !IsUntold(fd)) ReportStream(fd);
}
template <typename T>
IPCTRACE_INLINE T AfterPositionedUse(int fd, T result) {
  if (__builtin_expect(result == -1, 0) && errno == ESPIPE) TellDescriptor(fd);
  return result;
}
// The same before the number is closed, by close or dup2. Once it is, it may be given to others.
IPCTRACE_INLINE void BeforeClose(int fd) {
  if (HasEntry(fd) && !DropUntold(fd)) ReportStream(fd);
}

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_STREAMS_H_
