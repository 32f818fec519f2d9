// How much a stream's call moved between its buffer and its descriptor. libc does not tell, but the
// buffer's pointers before and after do:
//
//   read from the descriptor = given to the program - read-ahead before + read-ahead after
//   written to it            = pending before + put out by the program - pending after
//
// A call that cannot touch the descriptor, because the buffer holds or takes all of it, leaves no
// record and costs a comparison.
#ifndef IPCTRACE_PRELOAD_STREAM_ACTS_H_
#define IPCTRACE_PRELOAD_STREAM_ACTS_H_

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "preload/payload.h"
#include "preload/recorder.h"
#include "preload/streams.h"

namespace ipctrace {

IPCTRACE_INLINE bool HasByte(const FILE* stream) {
  return __builtin_expect(stream->_IO_read_ptr < stream->_IO_read_end, 1);
}
IPCTRACE_INLINE bool HasRoom(const FILE* stream) {
  return __builtin_expect(stream->_IO_write_ptr < stream->_IO_write_end, 1);
}
// The same where no other thread can be at the stream: libc sets the flag in all of them when it
// makes the first thread.
IPCTRACE_INLINE bool HasByteOfOne(const FILE* stream) {
  return HasByte(stream) && __builtin_expect((stream->_flags2 & kStreamNeedsLock) == 0, 1);
}
IPCTRACE_INLINE bool HasRoomOfOne(const FILE* stream) {
  return HasRoom(stream) && __builtin_expect((stream->_flags2 & kStreamNeedsLock) == 0, 1);
}

// Bytes that can be put out without anything being written; with `line_buffered`, as long as there
// is no newline among them.
inline size_t Room(const FILE* stream, bool* line_buffered) {
  constexpr int kLine = kStreamLineBuffered | kStreamPutting;
  *line_buffered = (stream->_flags & kLine) == kLine;
  if ((stream->_flags & kStreamUnbuffered) != 0) return 0;
  const char* const end = *line_buffered ? stream->_IO_buf_end : stream->_IO_write_end;
  return end > stream->_IO_write_ptr ? static_cast<size_t>(end - stream->_IO_write_ptr) : 0;
}

inline bool Fits(const FILE* stream, const void* data, size_t size) {
  bool line_buffered;
  if (size >= Room(stream, &line_buffered)) return false;
  return !line_buffered || memchr(data, '\n', size) == nullptr;
}

// Whether the output of a printf is sure to fit. Knows the conversions that are in common use and
// says no to the others.
bool FormatFits(const FILE* stream, const char* format, va_list list);

// What a stream holds when a call is entered that may write it out: all of it where a protocol
// watches, else its beginning. The payload of the record is this and, at return, what the call
// itself put out; of both together the first bytes are what was written.
inline void RecordPending(Act& act, const FILE* stream) {
  const size_t pending = Pending(stream);
  if (pending == 0) return;
  if (__builtin_expect(session.payload, 0) && Watched(NumberOf(stream)))
    return act.Blob(BlobTag::kPayload, stream->_IO_write_base, pending);
  act.Blob(BlobTag::kPreview, stream->_IO_write_base,
           pending < kPreviewBytes ? pending : kPreviewBytes);
}

// What a call moves between a stream and its descriptor, counted by libc itself: it keeps the
// descriptor's offset up to date in a stream whose offset it knows, also where the descriptor has
// none. So the stream is given one for the time of the call. The recorder takes it back where the
// call is left by a jump (AbandonDeeper).
//
// Not where other threads may use the stream meanwhile.
class StreamCount {
 public:
  void Begin(FILE* stream, Record* record);
  // False: not known.
  bool End(uint64_t* bytes);

 private:
  FILE* stream_ = nullptr;
  int64_t start_ = 0;
  bool given_ = false;
};

// Says that a call of libc's has written to a stream past all other hooks.
void SayWritten(FILE* stream, uint64_t bytes);

// A read, where libc tells how many bytes it gave (`consumed` of Leave).
class StreamRead {
 public:
  IPCTRACE_INLINE StreamRead(Call call, FILE* stream)
      : StreamRead(call, stream, reinterpret_cast<uint64_t>(__builtin_return_address(0)),
                   reinterpret_cast<uint64_t>(__builtin_dwarf_cfa())) {}
  IPCTRACE_INLINE StreamRead(Call call, FILE* stream, uint64_t return_address, uint64_t sp)
      : act_(call, NumberOf(stream), 0, return_address, sp), stream_(stream) {
    Before();
  }

  // For calls that do not tell: before the call.
  void Count() { count_.Begin(stream_, act_.record()); }

  static constexpr uint64_t kUnknown = ~uint64_t{0};
  // `data` is what was given to the program, `consumed` bytes, where it is at hand.
  void Leave(uint64_t consumed, bool got, const void* data = nullptr);
  // For strings, which may have NUL bytes in them.
  void LeaveText(const char* text, size_t more = 0);

 private:
  void Before();
  bool Refilled() const;
  void RecordBytes(uint64_t bytes, uint64_t consumed, const char* data);
  Act act_;
  FILE* stream_;
  const char* read_ptr_;
  const char* read_end_;
  uint64_t ahead_;
  uint64_t stdout_pending_;
  int error_;
  StreamCount count_;
};

// A write, where libc tells how many bytes it took.
class StreamWrite {
 public:
  IPCTRACE_INLINE StreamWrite(Call call, FILE* stream)
      : StreamWrite(call, stream, reinterpret_cast<uint64_t>(__builtin_return_address(0)),
                    reinterpret_cast<uint64_t>(__builtin_dwarf_cfa())) {}
  IPCTRACE_INLINE StreamWrite(Call call, FILE* stream, uint64_t return_address, uint64_t sp)
      : act_(call, NumberOf(stream), 0, return_address, sp), stream_(stream) {
    Before();
  }
  // `data` is what was put out, where it is at hand; with `newline`, all but a newline at its end.
  void Leave(uint64_t produced, bool success, const void* data = nullptr, bool newline = false);
  // For calls that do not tell: before the call, and after it.
  void Count() { count_.Begin(stream_, act_.record()); }
  void LeaveCounted(bool success);
  // For printf and kin: `list` is a copy of the one that was printed.
  void LeaveFormat(int result, const char* format, va_list list);

 private:
  void Before();
  void RecordBytes(uint64_t bytes, uint64_t produced, const char* data, bool newline);
  Act act_;
  FILE* stream_;
  uint64_t pending_;
  int errno_;
  StreamCount count_;
};

// For calls that write out several streams: what they had pending before, and kStreamWrite facts
// for those that have less of it afterwards.
class ManyStreams {
 public:
  ManyStreams();
  void Report();

 private:
  static constexpr int kMost = 16;
  FILE* streams_[kMost];
  uint64_t pending_[kMost];
  const char* base_[kMost];
  int count_ = 0;
};

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_STREAM_ACTS_H_
