// Messages that libc itself puts out: to stderr, which it writes past every other hook (warn, err,
// error, assert), and to the system's log. What goes to stderr is counted by what it consists of.
#include <err.h>
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <syslog.h>

#include "preload/descriptor_facts.h"
#include "preload/interpose.h"
#include "preload/raw.h"
#include "preload/stream_acts.h"
#include "preload/streams.h"
#include "preload/undeclared.h"

namespace ipctrace {
namespace {

size_t LengthOf(const char* text) { return text == nullptr ? 0 : strlen(text); }

size_t ErrorLength(int error) { return LengthOf(LIBC(strerrordesc_np)(error)); }

size_t FormattedLength(const char* format, va_list original) {
  va_list list;
  va_copy(list, original);
  const int length = vsnprintf(nullptr, 0, format, list);
  va_end(list);
  return length < 0 ? 0 : static_cast<size_t>(length);
}

// The caller's frame, which a call made on behalf of its caller has to name.
#define CALLER                                             \
  reinterpret_cast<uint64_t>(__builtin_return_address(0)), \
      reinterpret_cast<uint64_t>(__builtin_dwarf_cfa())

// "program: message: error", of which vwarnx leaves out the last.
void Warn(Call call, bool with_error, const char* format, va_list list, uint64_t return_address,
          uint64_t sp) {
  const int saved = errno;
  size_t bytes = LengthOf(LIBC_DATA(program_invocation_short_name)) + 3;
  if (format != nullptr) bytes += FormattedLength(format, list) + (with_error ? 2 : 0);
  if (with_error) bytes += ErrorLength(saved);
  StreamWrite act(call, stderr, return_address, sp);
  errno = saved;
  with_error ? REAL(vwarn)(format, list) : REAL(vwarnx)(format, list);
  act.Leave(bytes, true);
  errno = saved;
}

[[noreturn]] void Exit(int status, uint64_t return_address, uint64_t sp) {
  Act act(Call::exit, -1, 0, return_address, sp);
  act->a = static_cast<uint64_t>(static_cast<int64_t>(status));
  act.Enter();
  act.Forget();
  REAL(exit)(status);
  __builtin_unreachable();
}

}  // namespace

#define WARN(name, with_error)                          \
  INTERPOSE(name)(const char* format, ...) {            \
    va_list list;                                       \
    va_start(list, format);                             \
    Warn(Call::name, with_error, format, list, CALLER); \
    va_end(list);                                       \
  }
WARN(warn, true)
WARN(warnx, false)

#define VWARN(name, with_error)                         \
  INTERPOSE(name)(const char* format, va_list list) {   \
    Warn(Call::name, with_error, format, list, CALLER); \
  }
VWARN(vwarn, true)
VWARN(vwarnx, false)

#define ERR(name, with_error)                            \
  INTERPOSE(name)(int status, const char* format, ...) { \
    va_list list;                                        \
    va_start(list, format);                              \
    Warn(Call::name, with_error, format, list, CALLER);  \
    va_end(list);                                        \
    Exit(status, CALLER);                                \
  }
ERR(err, true)
ERR(errx, false)

#define VERR(name, with_error)                                    \
  INTERPOSE(name)(int status, const char* format, va_list list) { \
    Warn(Call::name, with_error, format, list, CALLER);           \
    Exit(status, CALLER);                                         \
  }
VERR(verr, true)
VERR(verrx, false)

// --- error ---------------------------------------------------------------------------------------
//
// There is no form that takes a va_list, so the message is made here and passed on as "%s".

namespace {

class Message {
 public:
  Message(const char* format, va_list list) {
    size_ = FormattedLength(format, list) + 1;
    if (size_ > sizeof(some_)) {
      const long memory = Raw(SYS_mmap, 0, static_cast<long>(size_), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory < 0 && memory > -4096) {
        size_ = sizeof(some_);
      } else {
        text_ = reinterpret_cast<char*>(memory);
      }
    }
    vsnprintf(text_, size_, format, list);
  }
  ~Message() {
    if (text_ != some_) Raw(SYS_munmap, Address(text_), static_cast<long>(size_));
  }
  const char* text() const { return text_; }

 private:
  char some_[512];
  char* text_ = some_;
  size_t size_;
};

size_t PrefixLength() {
  return LIBC_DATA(error_print_progname) == nullptr
             ? LengthOf(LIBC_DATA(program_invocation_name)) + 2
             : 0;
}

}  // namespace

INTERPOSE(error)(int status, int number, const char* format, ...) {
  const int saved = errno;
  va_list list;
  va_start(list, format);
  {
    const Message message(format, list);
    ManyStreams others;
    StreamWrite act(Call::error, stderr);
    errno = saved;
    REAL(error)(0, number, "%s", message.text());
    act.Leave(
        PrefixLength() + strlen(message.text()) + (number != 0 ? 2 + ErrorLength(number) : 0) + 1,
        true);
    others.Report();
  }
  va_end(list);
  if (status != 0) Exit(status, CALLER);
}

INTERPOSE(error_at_line)
(int status, int number, const char* file, unsigned line, const char* format, ...) {
  const int saved = errno;
  const unsigned before = LIBC_DATA(error_message_count);
  va_list list;
  va_start(list, format);
  {
    const Message message(format, list);
    ManyStreams others;
    StreamWrite act(Call::error_at_line, stderr);
    errno = saved;
    REAL(error_at_line)(0, number, file, line, "%s", message.text());
    size_t bytes =
        PrefixLength() + strlen(message.text()) + (number != 0 ? 2 + ErrorLength(number) : 0) + 1;
    if (LIBC_DATA(error_print_progname) == nullptr) --bytes;  // "program:" with no space
    if (file != nullptr) {
      bytes += static_cast<size_t>(LIBC(snprintf)(nullptr, 0, "%s:%u: ", file, line));
    } else {
      ++bytes;
    }
    act.Leave(LIBC_DATA(error_message_count) != before ? bytes : 0, true);
    others.Report();
  }
  va_end(list);
  if (status != 0) Exit(status, CALLER);
}

INTERPOSE(psignal)(int signal, const char* text) {
  StreamWrite act(Call::psignal, stderr);
  REAL(psignal)(signal, text);
  const size_t prefix = text != nullptr && *text != 0 ? strlen(text) + 2 : 0;
  const char* const name = LIBC(strsignal)(signal);
  act.Leave(prefix + LengthOf(name) + 1, true);
}

// libc writes and aborts in one, so the record of the write is complete before.
#define ASSERT(name, parameters, arguments, format, ...)                                          \
  INTERPOSE(name) parameters {                                                                    \
    {                                                                                             \
      const size_t program = LengthOf(LIBC_DATA(program_invocation_short_name));                  \
      const size_t bytes = static_cast<size_t>(LIBC(snprintf)(nullptr, 0, format, __VA_ARGS__)) + \
                           (program != 0 ? program + 2 : 0);                                      \
      StreamWrite act(Call::name, stderr);                                                        \
      act.Leave(bytes, true);                                                                     \
    }                                                                                             \
    SampleStreams();                                                                              \
    Act act(Call::abort, -1);                                                                     \
    act->a = static_cast<uint64_t>(int64_t{-SIGABRT});                                            \
    act.Enter();                                                                                  \
    act.Forget();                                                                                 \
    REAL(name) arguments;                                                                         \
    __builtin_unreachable();                                                                      \
  }
#define FUNCTION function != nullptr ? function : "", function != nullptr ? ": " : ""
ASSERT(__assert_fail,
       (const char* assertion, const char* file, unsigned line, const char* function),
       (assertion, file, line, function), "%s:%u: %s%sAssertion `%s' failed.\n", file, line,
       FUNCTION, assertion)
ASSERT(__assert, (const char* assertion, const char* file, int line), (assertion, file, line),
       "%s:%d: Assertion `%s' failed.\n", file, line, assertion)
ASSERT(__assert_perror_fail, (int error, const char* file, unsigned line, const char* function),
       (error, file, line, function), "%s:%u: %s%sUnexpected error: %s.\n", file, line, FUNCTION,
       LIBC(strerrordesc_np)(error))

// --- Wrong options -------------------------------------------------------------------------------

#define GETOPT(name, parameters, arguments)                           \
  INTERPOSE(name) parameters {                                        \
    if (LIBC_DATA(opterr) == 0) return REAL(name) arguments;                     \
    Record unused;                                                    \
    StreamCount count;                                                \
    count.Begin(stderr, &unused);                                     \
    const int result = REAL(name) arguments;                          \
    const int saved = errno;                                          \
    uint64_t bytes = 0;                                               \
    if (!count.End(&bytes) && result == '?') NoteInside(#name, true); \
    if (bytes != 0) SayWritten(stderr, bytes);                        \
    errno = saved;                                                    \
    return result;                                                    \
  }
GETOPT(getopt, (int count_of, char* const* words, const char* letters), (count_of, words, letters))
GETOPT(__posix_getopt, (int count_of, char* const* words, const char* letters),
       (count_of, words, letters))
GETOPT(getopt_long,
       (int count_of, char* const* words, const char* letters, const option* names, int* index),
       (count_of, words, letters, names, index))
GETOPT(getopt_long_only,
       (int count_of, char* const* words, const char* letters, const option* names, int* index),
       (count_of, words, letters, names, index))

// --- The system's log ----------------------------------------------------------------------------
//
// libc keeps a socket for it, and does not say under which number: it is the lowest one that was
// free before a call and is a socket after it.

namespace {

std::atomic<int> log_socket{-1};

class LogCall {
 public:
  LogCall() {
    if (log_socket.load() >= 0) return;
    while (free_ < 1024 && Raw(SYS_fcntl, free_, F_GETFD) >= 0) ++free_;
  }
  ~LogCall() {
    FdFact fact;
    if (free_ == 1024 || log_socket.load() >= 0) return;
    if (!DescribeDescriptor(free_, kAskKernel, kAskKernel, &fact) || !S_ISSOCK(fact.mode)) return;
    log_socket.store(free_);
    Fact made(Call::fact_log_socket);
    made->a = 1;  // AF_UNIX
    made->b = 2;  // SOCK_DGRAM
    made->result = free_;
    made.Blob(BlobTag::kFds, &fact, sizeof(fact));
    made.Done();
  }

 private:
  int free_ = 0;
};

}  // namespace

INTERPOSE(openlog)(const char* name, int options, int facility) {
  LogCall log;
  Act act(Call::openlog, -1);
  act.Enter();
  REAL(openlog)(name, options, facility);
  act.Leave(0);
}

#define VSYSLOG(name, parameters, arguments) \
  INTERPOSE(name) parameters {               \
    const int saved = errno;                 \
    LogCall log;                             \
    Act act(Call::name, -1);                 \
    act.Enter();                             \
    errno = saved;                           \
    REAL(name) arguments;                    \
    act.Leave(0);                            \
  }
VSYSLOG(vsyslog, (int priority, const char* format, va_list list), (priority, format, list))
VSYSLOG(__vsyslog_chk, (int priority, int flag, const char* format, va_list list),
        (priority, flag, format, list))

#define SYSLOG(name, last, parameters, real, arguments) \
  INTERPOSE(name) parameters {                          \
    const int saved = errno;                            \
    LogCall log;                                        \
    Act act(Call::name, -1);                            \
    act.Enter();                                        \
    va_list list;                                       \
    va_start(list, last);                               \
    errno = saved;                                      \
    REAL(real) arguments;                               \
    va_end(list);                                       \
    act.Leave(0);                                       \
  }
SYSLOG(syslog, format, (int priority, const char* format, ...), vsyslog, (priority, format, list))
SYSLOG(__syslog_chk, format, (int priority, int flag, const char* format, ...), __vsyslog_chk,
       (priority, flag, format, list))

INTERPOSE(closelog)() {
  const int fd = log_socket.exchange(-1);
  if (fd < 0) return REAL(closelog)();
  Act act(Call::closelog, fd);
  act.Enter();
  REAL(closelog)();
  act.Leave(0);
}

}  // namespace ipctrace
