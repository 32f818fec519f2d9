#include "preload/stream_acts.h"

namespace ipctrace {
namespace {

// What was written still stands in the buffer, at `base`.
void SayFlushed(FILE* stream, const char* base, uint64_t before, uint64_t after) {
  Fact flush(Call::fact_stream_flush, stream->_fileno);
  flush->result = 1;
  flush->a = reinterpret_cast<uint64_t>(stream);
  flush->b = before - after;
  flush->c = after;
  if (session.payload && base == stream->_IO_write_base)
    flush.Blob(BlobTag::kPayload, base, before - after);
  flush.Done();
}

void NoteState(const FILE* stream, uint64_t bytes) {
  const int fd = stream->_fileno;
  if (static_cast<unsigned>(fd) < kStreamTableSize) stream_reported[fd] = bytes != 0;
}

}  // namespace

void StreamRead::Before() {
  act_->a = reinterpret_cast<uint64_t>(stream_);
  read_ptr_ = stream_->_IO_read_ptr;
  read_end_ = stream_->_IO_read_end;
  ahead_ = ReadAhead(stream_);
  error_ = stream_->_flags & kStreamError;
  // Reading from a terminal first writes out a line-buffered stdout.
  stdout_pending_ =
      (stream_->_flags & (kStreamLineBuffered | kStreamUnbuffered)) != 0 && stream_ != stdout
          ? Pending(stdout)
          : 0;
  act_.Enter();
}

void StreamRead::Leave(uint64_t consumed, bool got) {
  const int saved = errno;
  if (act_.Return(got)) {
    const uint64_t ahead = ReadAhead(stream_);
    uint64_t bytes;
    if (consumed != kUnknown) {
      bytes = consumed + ahead > ahead_ ? consumed + ahead - ahead_ : 0;
    } else {
      // The buffer was filled again if the end moved, or reading went back behind where it was; how
      // much came is known for the last filling only, and there is seldom another.
      const bool refilled = ahead_ == 0 || stream_->_IO_read_end != read_end_ ||
                            stream_->_IO_read_ptr < read_ptr_;
      bytes = refilled && (stream_->_flags & kStreamInBackup) == 0
                  ? static_cast<uint64_t>(stream_->_IO_read_end - stream_->_IO_read_base)
                  : 0;
      if (ahead_ == 0 && !got && (stream_->_flags & kStreamEof) != 0) bytes = 0;
    }
    act_->b = bytes;
    act_->c = ahead;
    if (!got && error_ == 0 && (stream_->_flags & kStreamError) != 0) act_->err = saved;
    NoteState(stream_, ahead);
  }
  act_.Done();
  if (stdout_pending_ != 0 && Pending(stdout) < stdout_pending_) {
    SayFlushed(stdout, stdout->_IO_write_base, stdout_pending_, Pending(stdout));
  }
}

void StreamWrite::Before() {
  act_->a = reinterpret_cast<uint64_t>(stream_);
  pending_ = Pending(stream_);
  RecordPending(act_, stream_);
  act_.Enter();
}

void StreamWrite::LeaveFormat(int result, const char* format, va_list list) {
  const uint64_t produced = result > 0 ? static_cast<uint64_t>(result) : 0;
  if (__builtin_expect(session.payload && produced > Pending(stream_), 0)) {
    // Some of it is written already, and nowhere else to be found.
    const int saved = errno;
    char text[4096];
    const bool whole = vsnprintf(text, sizeof(text), format, list) == result &&
                       produced < sizeof(text);
    errno = saved;
    return Leave(produced, result >= 0, whole ? text : nullptr);
  }
  Leave(produced, result >= 0);
}

void StreamWrite::Leave(uint64_t produced, bool success, const void* data) {
  const int saved = errno;
  if (act_.Return(success)) {
    const uint64_t pending = Pending(stream_);
    const uint64_t all = pending_ + (success ? produced : 0);
    act_->b = all > pending ? all - pending : 0;
    act_->c = pending;
    if (session.payload && act_->b > pending_ && data != nullptr)
      act_.Blob(BlobTag::kPayload, data, produced);
    if (!success) act_->err = saved;
    NoteState(stream_, pending);
  }
  act_.Done();
}

ManyStreams::ManyStreams() {
  FILE* last = nullptr;
  for (const auto& entry : stream_table) {
    FILE* const stream = entry.load(std::memory_order_relaxed);
    if (stream == nullptr || stream == last || count_ == kMost) continue;
    last = stream;
    if (Pending(stream) == 0) continue;
    streams_[count_] = stream;
    base_[count_] = stream->_IO_write_base;
    pending_[count_++] = Pending(stream);
  }
}

void ManyStreams::Report() {
  for (int i = 0; i < count_; ++i) {
    const uint64_t after = Pending(streams_[i]);
    if (after < pending_[i]) SayFlushed(streams_[i], base_[i], pending_[i], after);
  }
}

bool FormatFits(const FILE* stream, const char* format, va_list original) {
  bool line_buffered;
  const size_t room = Room(stream, &line_buffered);
  if (room == 0 || stream->_mode > 0) return false;
  va_list list;
  va_copy(list, original);
  size_t need = 0;
  bool fits = true;
  for (; fits && *format != 0; ++format) {
    if (*format != '%') {
      fits = ++need < room && !(line_buffered && *format == '\n');
      continue;
    }
    ++format;
    while (*format == '-' || *format == '+' || *format == ' ' || *format == '0') ++format;
    size_t width = 0;
    size_t precision = 6;
    bool precise = false;
    while (*format >= '0' && *format <= '9' && width < 10000) width = width * 10 + (*format++ - '0');
    if (*format == '.') {
      precision = 0;
      precise = true;
      ++format;
      while (*format >= '0' && *format <= '9' && precision < 10000) {
        precision = precision * 10 + (*format++ - '0');
      }
    }
    bool is_long = false;
    while (*format == 'l' || *format == 'h' || *format == 'z') is_long |= *format++ == 'l';
    size_t length = 0;
    switch (*format) {
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
      case 'p':
        (void)va_arg(list, long);
        length = 24 + (precise ? precision : 0);
        break;
      case 'c': {
        const int character = va_arg(list, int);
        length = 1;
        fits = !is_long && !(line_buffered && character == '\n');
        break;
      }
      case 's': {
        const char* const string = va_arg(list, const char*);
        if (is_long || string == nullptr) {
          fits = false;
          break;
        }
        length = strnlen(string, precise && precision < room ? precision : room);
        fits = !(line_buffered && memchr(string, '\n', length) != nullptr);
        break;
      }
      case 'f':
      case 'e':
      case 'g':
        (void)va_arg(list, double);
        length = 330 + precision;
        break;
      case '%':
        length = 1;
        break;
      default:
        fits = false;
    }
    if (*format == 0) break;
    need += length > width ? length : width;
    fits = fits && need < room;
  }
  va_end(list);
  return fits;
}

}  // namespace ipctrace
