// Writing to streams.
#include <stdarg.h>
#include <wchar.h>

#include "preload/interpose.h"
#include "preload/stream_acts.h"
#include "preload/undeclared.h"

#undef putc
#undef putchar
#undef putc_unlocked
#undef putchar_unlocked
#undef fputc_unlocked
#undef putwc
#undef putwchar

namespace ipctrace {

// One character, put into the buffer as libc's own putc does; see calls_stream_reads.cc.
#define PUT(name, parameters, arguments, stream, may_put)                               \
  namespace {                                                                           \
  __attribute__((noinline)) int Slow_##name parameters {                                \
    if (HasRoom(stream)) return REAL(name) arguments;                                   \
    StreamWrite act(Call::name, stream);                                                \
    const int result = REAL(name) arguments;                                            \
    const char byte = static_cast<char>(c);                                             \
    act.Leave(1, result != EOF, &byte);                                                 \
    return result;                                                                      \
  }                                                                                     \
  }                                                                                     \
  INTERPOSE(name) parameters {                                                          \
    if (may_put(stream))                                                                \
      return static_cast<unsigned char>(*(stream)->_IO_write_ptr++ = static_cast<char>(c)); \
    return Slow_##name arguments;                                                       \
  }
PUT(fputc, (int c, FILE* stream), (c, stream), stream, HasRoomOfOne)
PUT(putc, (int c, FILE* stream), (c, stream), stream, HasRoomOfOne)
PUT(_IO_putc, (int c, FILE* stream), (c, stream), stream, HasRoomOfOne)
PUT(putchar, (int c), (c), stdout, HasRoomOfOne)
PUT(fputc_unlocked, (int c, FILE* stream), (c, stream), stream, HasRoom)
PUT(putc_unlocked, (int c, FILE* stream), (c, stream), stream, HasRoom)
PUT(putchar_unlocked, (int c), (c), stdout, HasRoom)

INTERPOSE(__overflow)(FILE* stream, int c) {
  StreamWrite act(Call::__overflow, stream);
  const int result = REAL(__overflow)(stream, c);
  const char byte = static_cast<char>(c);
  act.Leave(c == EOF ? 0 : 1, result != EOF || c == EOF, &byte);
  return result;
}

INTERPOSE(putw)(int word, FILE* stream) {
  StreamWrite act(Call::putw, stream);
  const int result = REAL(putw)(word, stream);
  act.Leave(sizeof(int), result == 0, &word);
  return result;
}

#define PUTS(name, parameters, arguments, stream, more)                        \
  INTERPOSE(name) parameters {                                                 \
    const size_t size = strlen(string);                                        \
    if (Fits(stream, string, size) && (more == 0 || FitsLine(stream, size))) { \
      return REAL(name) arguments;                                             \
    }                                                                          \
    StreamWrite act(Call::name, stream);                                       \
    const int result = REAL(name) arguments;                                   \
    act.Leave(size + more, result != EOF, string, more != 0);                  \
    return result;                                                             \
  }

namespace {
// Whether puts's newline fits too, without being the end of a line-buffered line.
bool FitsLine(const FILE* stream, size_t size) {
  bool line_buffered;
  const size_t room = Room(stream, &line_buffered);
  return size + 1 < room && !line_buffered;
}
}  // namespace

PUTS(fputs, (const char* string, FILE* stream), (string, stream), stream, 0)
PUTS(_IO_fputs, (const char* string, FILE* stream), (string, stream), stream, 0)
PUTS(fputs_unlocked, (const char* string, FILE* stream), (string, stream), stream, 0)
PUTS(puts, (const char* string), (string), stdout, 1)
PUTS(_IO_puts, (const char* string), (string), stdout, 1)

// As for fread: single bytes, so that an incomplete last item is counted.
#define FWRITE(name)                                                           \
  INTERPOSE(name)(const void* data, size_t size, size_t count, FILE* stream) { \
    const size_t bytes = size * count;                                         \
    if (bytes == 0 || Fits(stream, data, bytes)) {                             \
      return REAL(name)(data, size, count, stream);                            \
    }                                                                          \
    StreamWrite act(Call::name, stream);                                       \
    const size_t put = REAL(name)(data, 1, bytes, stream);                     \
    act.Leave(put, put == bytes, data);                                        \
    return put == bytes ? count : put / size;                                  \
  }
FWRITE(fwrite)
FWRITE(_IO_fwrite)
FWRITE(fwrite_unlocked)

#define VPRINTF(name, parameters, arguments, stream)                   \
  INTERPOSE(name) parameters {                                         \
    if (FormatFits(stream, format, list)) return REAL(name) arguments; \
    StreamWrite act(Call::name, stream);                               \
    va_list again;                                                     \
    va_copy(again, list);                                              \
    const int result = REAL(name) arguments;                           \
    act.LeaveFormat(result, format, again);                            \
    va_end(again);                                                     \
    return result;                                                     \
  }
VPRINTF(vprintf, (const char* format, va_list list), (format, list), stdout)
VPRINTF(vfprintf, (FILE * stream, const char* format, va_list list), (stream, format, list), stream)
VPRINTF(_IO_vfprintf, (FILE * stream, const char* format, va_list list), (stream, format, list),
        stream)
VPRINTF(__vprintf_chk, (int flag, const char* format, va_list list), (flag, format, list), stdout)
VPRINTF(__vfprintf_chk, (FILE * stream, int flag, const char* format, va_list list),
        (stream, flag, format, list), stream)

#define PRINTF(name, parameters, real, arguments, stream) \
  INTERPOSE(name) parameters {                            \
    va_list list;                                         \
    va_start(list, format);                               \
    int result;                                           \
    if (FormatFits(stream, format, list)) {               \
      result = REAL(real) arguments;                      \
    } else {                                              \
      StreamWrite act(Call::name, stream);                \
      va_list again;                                      \
      va_copy(again, list);                               \
      result = REAL(real) arguments;                      \
      act.LeaveFormat(result, format, again);             \
      va_end(again);                                      \
    }                                                     \
    va_end(list);                                         \
    return result;                                        \
  }
PRINTF(printf, (const char* format, ...), vfprintf, (stdout, format, list), stdout)
PRINTF(fprintf, (FILE * stream, const char* format, ...), vfprintf, (stream, format, list), stream)
PRINTF(_IO_printf, (const char* format, ...), vfprintf, (stdout, format, list), stdout)
PRINTF(_IO_fprintf, (FILE * stream, const char* format, ...), vfprintf, (stream, format, list),
       stream)
PRINTF(__printf_chk, (int flag, const char* format, ...), __vfprintf_chk,
       (stdout, flag, format, list), stdout)
PRINTF(__fprintf_chk, (FILE * stream, int flag, const char* format, ...), __vfprintf_chk,
       (stream, flag, format, list), stream)

// Wide characters: how many bytes one becomes is the stream's business.
#define PUTW(name, parameters, arguments, stream) \
  INTERPOSE(name) parameters {                    \
    StreamWrite act(Call::name, stream);          \
    act.Count();                                  \
    const wint_t result = REAL(name) arguments;   \
    act.LeaveCounted(result != WEOF);             \
    return result;                                \
  }
PUTW(fputwc, (wchar_t c, FILE* stream), (c, stream), stream)
PUTW(putwc, (wchar_t c, FILE* stream), (c, stream), stream)
PUTW(putwchar, (wchar_t c), (c), stdout)
PUTW(fputwc_unlocked, (wchar_t c, FILE* stream), (c, stream), stream)
PUTW(putwc_unlocked, (wchar_t c, FILE* stream), (c, stream), stream)
PUTW(putwchar_unlocked, (wchar_t c), (c), stdout)
PUTW(__woverflow, (FILE * stream, wint_t c), (stream, c), stream)

#define PUTWS(name, parameters, arguments, stream) \
  INTERPOSE(name) parameters {                     \
    StreamWrite act(Call::name, stream);           \
    act.Count();                                   \
    const int result = REAL(name) arguments;       \
    act.LeaveCounted(result >= 0);                 \
    return result;                                 \
  }
PUTWS(fputws, (const wchar_t* string, FILE* stream), (string, stream), stream)
PUTWS(fputws_unlocked, (const wchar_t* string, FILE* stream), (string, stream), stream)
PUTWS(vwprintf, (const wchar_t* format, va_list list), (format, list), stdout)
PUTWS(vfwprintf, (FILE * stream, const wchar_t* format, va_list list), (stream, format, list),
      stream)
PUTWS(__vwprintf_chk, (int flag, const wchar_t* format, va_list list), (flag, format, list), stdout)
PUTWS(__vfwprintf_chk, (FILE * stream, int flag, const wchar_t* format, va_list list),
      (stream, flag, format, list), stream)

#define WPRINTF(name, parameters, real, arguments, stream) \
  INTERPOSE(name) parameters {                             \
    StreamWrite act(Call::name, stream);                   \
    act.Count();                                           \
    va_list list;                                          \
    va_start(list, format);                                \
    const int result = REAL(real) arguments;               \
    va_end(list);                                          \
    act.LeaveCounted(result >= 0);                         \
    return result;                                         \
  }
WPRINTF(wprintf, (const wchar_t* format, ...), vfwprintf, (stdout, format, list), stdout)
WPRINTF(fwprintf, (FILE * stream, const wchar_t* format, ...), vfwprintf, (stream, format, list),
        stream)
WPRINTF(__wprintf_chk, (int flag, const wchar_t* format, ...), __vfwprintf_chk,
        (stdout, flag, format, list), stdout)
WPRINTF(__fwprintf_chk, (FILE * stream, int flag, const wchar_t* format, ...), __vfwprintf_chk,
        (stream, flag, format, list), stream)

// perror writes through a stream of its own on stderr's descriptor; its length is not told.
INTERPOSE(perror)(const char* text) {
  const int saved = errno;
  StreamWrite act(Call::perror, stderr);
  errno = saved;
  REAL(perror)(text);
  const size_t prefix = text != nullptr && *text != 0 ? strlen(text) + 2 : 0;
  act.Leave(
      prefix + strlen(LIBC(strerrordesc_np)(saved) != nullptr ? LIBC(strerrordesc_np)(saved) : "") +
          1,
      true);
}

// --- Writing out ---------------------------------------------------------------------------------

#define FFLUSH(name)                                                                 \
  INTERPOSE(name)(FILE * stream) {                                                   \
    if (stream == nullptr) return FlushAll(REAL(name));                              \
    if (AllPending(stream) == 0 && AllAhead(stream) == 0) return REAL(name)(stream); \
    StreamWrite act(Call::name, stream);                                             \
    const int result = REAL(name)(stream);                                           \
    act.Leave(0, result == 0);                                                       \
    return result;                                                                   \
  }

namespace {
int FlushAll(int (*real)(FILE*)) {
  ManyStreams streams;
  const int result = real(nullptr);
  const int saved = errno;
  streams.Report();
  errno = saved;
  return result;
}
}  // namespace

FFLUSH(fflush)
FFLUSH(_IO_fflush)
FFLUSH(fflush_unlocked)

INTERPOSE(_IO_flush_all)() {
  ManyStreams streams;
  const int result = REAL(_IO_flush_all)();
  streams.Report();
  return result;
}

INTERPOSE(_flushlbf)() {
  ManyStreams streams;
  REAL(_flushlbf)();
  streams.Report();
}

}  // namespace ipctrace
