#include "preload/stream_acts.h"

#include "preload/raw.h"

namespace ipctrace {
namespace {

// What was written still stands in the buffer, at `base`.
void SayFlushed(FILE* stream, const char* base, uint64_t before, uint64_t after) {
  Fact flush(Call::fact_stream_flush, NumberOf(stream));
  flush->result = 1;
  flush->a = reinterpret_cast<uint64_t>(stream);
  flush->b = before - after;
  flush->c = after;
  if (stream->_mode <= 0 && base == stream->_IO_write_base) {
    const size_t bytes = before - after;
    if (session.payload && Watched(NumberOf(stream)))
      flush.Blob(BlobTag::kPayload, base, bytes);
    else
      flush.Blob(BlobTag::kPreview, base, bytes < kPreviewBytes ? bytes : kPreviewBytes);
  }
  flush.Done();
}

void NoteState(const FILE* stream, uint64_t bytes) {
  const int fd = NumberOf(stream);
  if (static_cast<unsigned>(fd) < kStreamTableSize) stream_reported[fd] = bytes != 0;
}

}  // namespace

void StreamCount::Begin(FILE* stream, Record* record) {
  if (session.threaded || session.chunks == nullptr || NumberOf(stream) < 0) return;
  // Between reading and writing libc seeks, and the difference is no count.
  if (Pending(stream) != 0 || ReadAhead(stream) != 0) {
    const bool writing = Pending(stream) != 0;
    if (writing == (ReadAhead(stream) != 0)) return;
  }
  stream_ = stream;
  given_ = stream->_offset < 0;
  if (given_) {
    const long offset = Raw(SYS_lseek, NumberOf(stream), 0, SEEK_CUR);
    stream->_offset = offset >= 0 ? offset : 0;
    record->c = kCountedStream;
  }
  start_ = stream->_offset;
}

bool StreamCount::End(uint64_t* bytes) {
  if (stream_ == nullptr) return false;
  const int64_t now = stream_->_offset;
  if (given_) stream_->_offset = -1;
  if (now < start_)
    return false;  // libc forgets it at end-of-file, and where a file is appended to
  *bytes = static_cast<uint64_t>(now - start_);
  return true;
}

void SayWritten(FILE* stream, uint64_t bytes) {
  Fact written(Call::fact_stream_flush, NumberOf(stream));
  written->result = 1;
  written->a = reinterpret_cast<uint64_t>(stream);
  written->b = bytes;
  written->c = AllPending(stream);
  written.Done();
}

void StreamRead::Before() {
  act_->a = reinterpret_cast<uint64_t>(stream_);
  read_ptr_ = stream_->_IO_read_ptr;
  read_end_ = stream_->_IO_read_end;
  ahead_ = AllAhead(stream_);
  error_ = stream_->_flags & kStreamError;
  // Reading from a terminal first writes out a line-buffered stdout.
  stdout_pending_ =
      (stream_->_flags & (kStreamLineBuffered | kStreamUnbuffered)) != 0 && stream_ != stdout
          ? AllPending(stdout)
          : 0;
  act_.Enter();
}

// The buffer was filled again if the end moved, or reading went back behind where it was.
bool StreamRead::Refilled() const {
  return ahead_ == 0 || stream_->_IO_read_end != read_end_ || stream_->_IO_read_ptr < read_ptr_;
}

// The bytes that came from the descriptor: what the program was given beyond the old read-ahead,
// and the new read-ahead. Where it is not known what the program was given, what the buffer was
// filled with.
void StreamRead::RecordBytes(uint64_t bytes, uint64_t consumed, const char* data) {
  const char *first = data, *second = stream_->_IO_read_ptr;
  uint64_t of_first = 0;
  if (data != nullptr) {
    first += ahead_;
    of_first = consumed > ahead_ ? consumed - ahead_ : 0;
    if (consumed < ahead_) second += ahead_ - consumed;
  } else {
    second = stream_->_IO_read_base;
  }
  if (of_first > bytes) of_first = bytes;
  uint64_t of_second = bytes - of_first;
  if ((stream_->_flags & kStreamInBackup) != 0 ||
      of_second > static_cast<uint64_t>(stream_->_IO_read_end - second))
    return;
  BlobTag tag = BlobTag::kPayload;
  if (!session.payload || !Watched(NumberOf(stream_))) {
    tag = BlobTag::kPreview;
    if (of_first > kPreviewBytes) of_first = kPreviewBytes;
    if (of_second > kPreviewBytes - of_first) of_second = kPreviewBytes - of_first;
  }
  if (act_.lost()) return;
  BlobWriter writer(act_.thread(), act_.record(), tag);
  writer.Write(first, of_first);
  writer.Write(second, of_second);
  writer.Finish();
}

void StreamRead::Leave(uint64_t consumed, bool got, const void* data) {
  const int saved = errno;
  if (act_.Return(got)) {
    const uint64_t ahead = AllAhead(stream_);
    uint64_t bytes;
    if (consumed != kUnknown) {
      bytes = consumed + ahead > ahead_ ? consumed + ahead - ahead_ : 0;
    } else if (!count_.End(&bytes)) {
      act_.Mark(kRecordInexact);
      // How much came is known for the last filling only, and there is seldom another.
      bytes = Refilled() && (stream_->_flags & kStreamInBackup) == 0
                  ? static_cast<uint64_t>(stream_->_IO_read_end - stream_->_IO_read_base)
                  : 0;
      if (ahead_ == 0 && !got && (stream_->_flags & kStreamEof) != 0) bytes = 0;
    }
    act_->b = bytes;
    act_->c = ahead;
    // scanf may have filled the buffer more than once, and then these are not all.
    if (bytes > 0 && consumed != kUnknown)
      RecordBytes(bytes, consumed, static_cast<const char*>(data));
    if (!got && error_ == 0 && (stream_->_flags & kStreamError) != 0) act_->err = saved;
    NoteState(stream_, ahead);
  }
  act_.Done();
  if (stdout_pending_ != 0 && AllPending(stdout) < stdout_pending_) {
    SayFlushed(stdout, stdout->_IO_write_base, stdout_pending_, AllPending(stdout));
  }
}

void StreamRead::LeaveText(const char* text, size_t more) {
  if (text == nullptr) return Leave(0, false);
  uint64_t consumed = strlen(text) + more;
  // A NUL byte among them ends the string too early. As much, at least, was taken: the old
  // read-ahead, and what is gone of the last filling.
  if (Refilled() && (stream_->_flags & kStreamInBackup) == 0) {
    const uint64_t least =
        ahead_ + static_cast<uint64_t>(stream_->_IO_read_ptr - stream_->_IO_read_base);
    if (consumed < least) consumed = least;
  }
  Leave(consumed, true, more == 0 ? text : nullptr);
}

void StreamWrite::Before() {
  act_->a = reinterpret_cast<uint64_t>(stream_);
  pending_ = AllPending(stream_);
  errno_ = errno;
  RecordPending(act_, stream_);
  act_.Enter();
}

void StreamWrite::LeaveCounted(bool success) {
  const int saved = errno;
  if (act_.Return(success)) {
    uint64_t bytes = 0;
    if (!count_.End(&bytes)) act_.Mark(kRecordInexact);
    act_->b = bytes;
    act_->c = AllPending(stream_);
    if (!success) act_->err = saved;
    NoteState(stream_, act_->c);
  }
  act_.Done();
}

void StreamWrite::LeaveFormat(int result, const char* format, va_list list) {
  const uint64_t produced = result > 0 ? static_cast<uint64_t>(result) : 0;
  if (__builtin_expect(session.payload && produced > Pending(stream_), 0) &&
      Watched(NumberOf(stream_))) {
    // Some of it is written already, and nowhere else to be found.
    const FormattedAgain again(result, format, list, errno_);
    return Leave(produced, result >= 0, again.text());
  }
  Leave(produced, result >= 0);
}

void StreamWrite::Leave(uint64_t produced, bool success, const void* data, bool newline) {
  const int saved = errno;
  if (act_.Return(success)) {
    const uint64_t pending = AllPending(stream_);
    const uint64_t all = pending_ + (success ? produced : 0);
    act_->b = all > pending ? all - pending : 0;
    act_->c = pending;
    if (act_->b > pending_)
      RecordBytes(act_->b - pending_, produced, static_cast<const char*>(data), newline);
    if (!success) act_->err = saved;
    NoteState(stream_, pending);
  }
  act_.Done();
}

// What the call put out and wrote: `bytes` of `produced`, of which a newline at the end may not be
// in `data`.
void StreamWrite::RecordBytes(uint64_t bytes, uint64_t produced, const char* data, bool newline) {
  if (data == nullptr) {
    // A line that was written out at its end still stands in the buffer; of several, the last.
    const char* const base = stream_->_IO_write_base;
    if ((stream_->_flags & kStreamLineBuffered) == 0 || bytes != produced ||
        Pending(stream_) != 0 ||
        pending_ + produced > static_cast<uint64_t>(stream_->_IO_buf_end - base) ||
        memchr(base, '\n', pending_ + produced) != base + pending_ + produced - 1)
      return;
    data = base + pending_;
    newline = false;
  }
  if (act_.lost()) return;
  uint64_t of_data = newline ? produced - 1 : produced;
  const bool all = session.payload && Watched(NumberOf(stream_));
  if (!all) {
    if (of_data > bytes) of_data = bytes;
    newline = newline && of_data < bytes;
    if (of_data > kPreviewBytes) {
      of_data = kPreviewBytes;
      newline = false;
    }
  }
  BlobWriter writer(act_.thread(), act_.record(), all ? BlobTag::kPayload : BlobTag::kPreview);
  writer.Write(data, of_data);
  if (newline) writer.Write("\n", 1);
  writer.Finish();
}

ManyStreams::ManyStreams() {
  FILE* last = nullptr;
  for (int fd = 0; fd < kStreamTableSize; ++fd) {
    FILE* const stream = StreamOn(fd);
    if (stream == nullptr || stream == last || count_ == kMost) continue;
    last = stream;
    const uint64_t pending = AllPending(stream);
    if (pending == 0) continue;
    streams_[count_] = stream;
    base_[count_] = stream->_IO_write_base;
    pending_[count_++] = pending;
  }
}

void ManyStreams::Report() {
  for (int i = 0; i < count_; ++i) {
    const uint64_t after = AllPending(streams_[i]);
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
    while (*format >= '0' && *format <= '9' && width < 10000)
      width = width * 10 + (*format++ - '0');
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
