// Reading from streams.
#include <stdarg.h>
#include <wchar.h>

#include "preload/interpose.h"
#include "preload/stream_acts.h"
#include "preload/undeclared.h"

#undef getc
#undef getchar
#undef getc_unlocked
#undef getchar_unlocked
#undef fgetc_unlocked
#undef getwc
#undef getwchar

namespace ipctrace {

// One character. What the buffer holds is taken from it as libc's own getc does, which leaves no
// room for a call: the slow path is a tail call, and finds the caller's return address and stack
// where they were.
#define GET_RECORDED(name, arguments, stream)          \
  if (HasByte(stream)) return REAL(name) arguments;    \
  StreamRead act(Call::name, stream);                  \
  const int result = REAL(name) arguments;             \
  const char byte = static_cast<char>(result);         \
  act.Leave(result != EOF, result != EOF, &byte);      \
  return result;
#define GET(name, parameters, arguments, stream, may_take)                              \
  namespace {                                                                           \
  __attribute__((noinline)) int Slow_##name parameters {                                \
    GET_RECORDED(name, arguments, stream)                                               \
  }                                                                                     \
  }                                                                                     \
  INTERPOSE(name) parameters {                                                          \
    if (may_take(stream)) return static_cast<unsigned char>(*(stream)->_IO_read_ptr++); \
    return Slow_##name arguments;                                                       \
  }
GET(fgetc, (FILE * stream), (stream), stream, HasByteOfOne)
GET(getc, (FILE * stream), (stream), stream, HasByteOfOne)
GET(_IO_getc, (FILE * stream), (stream), stream, HasByteOfOne)
GET(getchar, (), (), stdin, HasByteOfOne)
GET(fgetc_unlocked, (FILE * stream), (stream), stream, HasByte)
GET(getc_unlocked, (FILE * stream), (stream), stream, HasByte)
GET(getchar_unlocked, (), (), stdin, HasByte)

// What getc_unlocked calls where a program has it inline.
INTERPOSE(__uflow)(FILE* stream) { GET_RECORDED(__uflow, (stream), stream) }

INTERPOSE(__underflow)(FILE* stream) {
  if (HasByte(stream)) return REAL(__underflow)(stream);
  StreamRead act(Call::__underflow, stream);
  const int result = REAL(__underflow)(stream);
  act.Leave(0, result != EOF);
  return result;
}

INTERPOSE(getw)(FILE* stream) {
  if (ReadAhead(stream) >= sizeof(int)) return REAL(getw)(stream);
  StreamRead act(Call::getw, stream);
  const int result = REAL(getw)(stream);
  const bool got = (stream->_flags & (kStreamEof | kStreamError)) == 0;
  act.Leave(got ? sizeof(int) : 0, got, &result);
  return result;
}

namespace {

// Lines: served from the buffer if the newline is in it, or all the caller has room for.
IPCTRACE_INLINE bool HasLine(const FILE* stream, size_t room, int end) {
  const char* const from = stream->_IO_read_ptr;
  if (from >= stream->_IO_read_end) return false;
  const auto ahead = static_cast<size_t>(stream->_IO_read_end - from);
  if (room <= ahead) return true;
  return memchr(from, end, ahead) != nullptr;
}

}  // namespace

#define GETS(name, parameters, arguments, room)                              \
  INTERPOSE(name) parameters {                                               \
    if (room <= 1 || HasLine(stream, static_cast<size_t>(room - 1), '\n')) { \
      return REAL(name) arguments;                                           \
    }                                                                        \
    StreamRead act(Call::name, stream);                                      \
    char* const result = REAL(name) arguments;                               \
    act.LeaveText(result);                                                   \
    return result;                                                           \
  }
GETS(fgets, (char* line, int size, FILE* stream), (line, size, stream), size)
GETS(_IO_fgets, (char* line, int size, FILE* stream), (line, size, stream), size)
GETS(fgets_unlocked, (char* line, int size, FILE* stream), (line, size, stream), size)
GETS(__fgets_chk, (char* line, size_t room, int size, FILE* stream), (line, room, size, stream),
     size)
GETS(__fgets_unlocked_chk, (char* line, size_t room, int size, FILE* stream),
     (line, room, size, stream), size)

#define GETS_STDIN(name, parameters, arguments)                        \
  INTERPOSE(name) parameters {                                         \
    if (HasLine(stdin, ~size_t{0}, '\n')) return REAL(name) arguments; \
    StreamRead act(Call::name, stdin);                                 \
    char* const result = REAL(name) arguments;                         \
    act.LeaveText(result, 1);                                          \
    return result;                                                     \
  }
GETS_STDIN(gets, (char* line), (line))
GETS_STDIN(_IO_gets, (char* line), (line))
GETS_STDIN(__gets_chk, (char* line, size_t room), (line, room))

// Blocks. libc multiplies size and count, reads bytes, and divides; asked for single bytes it tells
// how many of a last, incomplete item it took.
#define FREAD(name, parameters, prefix)                             \
  INTERPOSE(name) parameters {                                      \
    const size_t bytes = size * count;                              \
    if (bytes == 0 || bytes <= ReadAhead(stream))                   \
      return REAL(name)(FREAD_##prefix size, count, stream);        \
    StreamRead act(Call::name, stream);                             \
    const size_t got = REAL(name)(FREAD_##prefix 1, bytes, stream); \
    act.Leave(got, got != 0, data);                                 \
    return got == bytes ? count : got / size;                       \
  }
#define FREAD_PLAIN data,
#define FREAD_CHECKED data, room,
FREAD(fread, (void* data, size_t size, size_t count, FILE* stream), PLAIN)
FREAD(_IO_fread, (void* data, size_t size, size_t count, FILE* stream), PLAIN)
FREAD(fread_unlocked, (void* data, size_t size, size_t count, FILE* stream), PLAIN)
FREAD(__fread_chk, (void* data, size_t room, size_t size, size_t count, FILE* stream), CHECKED)
FREAD(__fread_unlocked_chk, (void* data, size_t room, size_t size, size_t count, FILE* stream),
      CHECKED)

#define GETDELIM(name, parameters, arguments, end)                        \
  INTERPOSE(name) parameters {                                            \
    if (HasLine(stream, ~size_t{0}, end)) return REAL(name) arguments;    \
    StreamRead act(Call::name, stream);                                   \
    const ssize_t result = REAL(name) arguments;                          \
    act.Leave(result > 0 ? static_cast<uint64_t>(result) : 0, result > 0, \
              result > 0 ? *line : nullptr);                              \
    return result;                                                        \
  }
GETDELIM(getline, (char** line, size_t* size, FILE* stream), (line, size, stream), '\n')
GETDELIM(getdelim, (char** line, size_t* size, int end, FILE* stream), (line, size, end, stream),
         end)
GETDELIM(__getdelim, (char** line, size_t* size, int end, FILE* stream), (line, size, end, stream),
         end)

#define VSCANF(name, parameters, arguments, stream) \
  INTERPOSE(name) parameters {                      \
    StreamRead act(Call::name, stream);             \
    act.Count();                                    \
    const int result = REAL(name) arguments;        \
    act.Leave(StreamRead::kUnknown, result > 0);    \
    return result;                                  \
  }
#define SCANF(name, parameters, stream, real)            \
  INTERPOSE(name) parameters {                           \
    StreamRead act(Call::name, stream);                  \
    act.Count();                                         \
    va_list list;                                        \
    va_start(list, format);                              \
    const int result = REAL(real)(stream, format, list); \
    va_end(list);                                        \
    act.Leave(StreamRead::kUnknown, result > 0);         \
    return result;                                       \
  }
VSCANF(vscanf, (const char* format, va_list list), (format, list), stdin)
VSCANF(vfscanf, (FILE * stream, const char* format, va_list list), (stream, format, list), stream)
VSCANF(__isoc99_vscanf, (const char* format, va_list list), (format, list), stdin)
VSCANF(__isoc99_vfscanf, (FILE * stream, const char* format, va_list list), (stream, format, list),
       stream)
VSCANF(__isoc23_vscanf, (const char* format, va_list list), (format, list), stdin)
VSCANF(__isoc23_vfscanf, (FILE * stream, const char* format, va_list list), (stream, format, list),
       stream)
SCANF(scanf, (const char* format, ...), stdin, vfscanf)
SCANF(fscanf, (FILE * stream, const char* format, ...), stream, vfscanf)
SCANF(__isoc99_scanf, (const char* format, ...), stdin, __isoc99_vfscanf)
SCANF(__isoc99_fscanf, (FILE * stream, const char* format, ...), stream, __isoc99_vfscanf)
SCANF(__isoc23_scanf, (const char* format, ...), stdin, __isoc23_vfscanf)
SCANF(__isoc23_fscanf, (FILE * stream, const char* format, ...), stream, __isoc23_vfscanf)

// Wide characters: how many bytes one took is the stream's business.

#define GETW(name, parameters, arguments, stream)    \
  INTERPOSE(name) parameters {                       \
    StreamRead act(Call::name, stream);              \
    act.Count();                                     \
    const wint_t result = REAL(name) arguments;      \
    act.Leave(StreamRead::kUnknown, result != WEOF); \
    return result;                                   \
  }
GETW(fgetwc, (FILE * stream), (stream), stream)
GETW(getwc, (FILE * stream), (stream), stream)
GETW(getwchar, (), (), stdin)
GETW(fgetwc_unlocked, (FILE * stream), (stream), stream)
GETW(getwc_unlocked, (FILE * stream), (stream), stream)
GETW(getwchar_unlocked, (), (), stdin)
GETW(__wuflow, (FILE * stream), (stream), stream)
GETW(__wunderflow, (FILE * stream), (stream), stream)

#define GETWS(name, parameters, arguments)              \
  INTERPOSE(name) parameters {                          \
    StreamRead act(Call::name, stream);                 \
    act.Count();                                        \
    wchar_t* const result = REAL(name) arguments;       \
    act.Leave(StreamRead::kUnknown, result != nullptr); \
    return result;                                      \
  }
GETWS(fgetws, (wchar_t * line, int size, FILE* stream), (line, size, stream))
GETWS(fgetws_unlocked, (wchar_t * line, int size, FILE* stream), (line, size, stream))
GETWS(__fgetws_chk, (wchar_t * line, size_t room, int size, FILE* stream),
      (line, room, size, stream))
GETWS(__fgetws_unlocked_chk, (wchar_t * line, size_t room, int size, FILE* stream),
      (line, room, size, stream))

VSCANF(vwscanf, (const wchar_t* format, va_list list), (format, list), stdin)
VSCANF(vfwscanf, (FILE * stream, const wchar_t* format, va_list list), (stream, format, list),
       stream)
VSCANF(__isoc99_vwscanf, (const wchar_t* format, va_list list), (format, list), stdin)
VSCANF(__isoc99_vfwscanf, (FILE * stream, const wchar_t* format, va_list list),
       (stream, format, list), stream)
VSCANF(__isoc23_vwscanf, (const wchar_t* format, va_list list), (format, list), stdin)
VSCANF(__isoc23_vfwscanf, (FILE * stream, const wchar_t* format, va_list list),
       (stream, format, list), stream)
SCANF(wscanf, (const wchar_t* format, ...), stdin, vfwscanf)
SCANF(fwscanf, (FILE * stream, const wchar_t* format, ...), stream, vfwscanf)
SCANF(__isoc99_wscanf, (const wchar_t* format, ...), stdin, __isoc99_vfwscanf)
SCANF(__isoc99_fwscanf, (FILE * stream, const wchar_t* format, ...), stream, __isoc99_vfwscanf)
SCANF(__isoc23_wscanf, (const wchar_t* format, ...), stdin, __isoc23_vfwscanf)
SCANF(__isoc23_fwscanf, (FILE * stream, const wchar_t* format, ...), stream, __isoc23_vfwscanf)

ALSO(__vfscanf, vfscanf);

}  // namespace ipctrace
