// The bare form. The analyzer must be nobody's child: it is the child of a child that ends at once.
// Both are made by clone with no signal for their end, so that the program gets no SIGCHLD and no
// wait of its own can meet them, and the intermediate one is reaped here by what only such children
// answer to (__WCLONE).
#include "preload/bare.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "preload/raw.h"
#include "preload/recorder.h"
#include "preload/session.h"

namespace ipctrace {
namespace {

constexpr int kAnalyzersPipe = 3;  // where the analyzer tells that the session is ready
constexpr int kStartSeconds = 20;

char* Append(char* out, const char* text) {
  while (*text != 0) *out++ = *text++;
  *out = 0;
  return out;
}

char* AppendNumber(char* out, long number) {
  char digits[24];
  int count = 0;
  do digits[count++] = static_cast<char>('0' + number % 10);
  while ((number /= 10) != 0);
  while (count != 0) *out++ = digits[--count];
  *out = 0;
  return out;
}

const char* Variable(char* const* environment, const char* name) {
  const size_t length = strlen(name);
  for (; *environment != nullptr; ++environment) {
    if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=') {
      return *environment + length + 1;
    }
  }
  return nullptr;
}

bool Complain(const char* what, const char* more) {
  char line[1024];
  char* out = Append(line, "ipctrace: the program runs untraced: ");
  out = Append(out, what);
  const size_t room = sizeof(line) - static_cast<size_t>(out - line) - 2;
  const size_t length = strnlen(more, room);
  memcpy(out, more, length);
  out += length;
  *out++ = '\n';
  Raw(SYS_write, 2, Address(line), out - line);
  return false;
}

bool FindAnalyzer(char* const* environment, char* path, size_t size) {
  const char* const given = Variable(environment, kAnalyzerVariable);
  if (given != nullptr && given[0] != 0) {
    if (strlen(given) >= size) return false;
    Append(path, given);
    return Raw(SYS_faccessat, AT_FDCWD, Address(path), X_OK) == 0;
  }
  // Beside the library itself, wherever the link that named it may be.
  char library[512];
  const long fd = Raw(SYS_openat, AT_FDCWD, Address(session.library), O_PATH | O_CLOEXEC);
  if (fd < 0) return false;
  char link[64];
  AppendNumber(Append(link, "/proc/self/fd/"), fd);
  const long length =
      Raw(SYS_readlinkat, AT_FDCWD, Address(link), Address(library), sizeof(library) - 1);
  Raw(SYS_close, fd);
  if (length <= 0) return false;
  library[length] = 0;
  char* const slash = strrchr(library, '/');
  if (slash == nullptr) return false;
  slash[1] = 0;
  for (const char* place : {"../bin/ipctrace", "ipctrace", "../analyzer/ipctrace"}) {
    if (strlen(library) + strlen(place) >= size) return false;
    Append(Append(path, library), place);
    if (Raw(SYS_faccessat, AT_FDCWD, Address(path), X_OK) == 0) return true;
  }
  return false;
}

// A name for the session's file that nobody can guess, in the first directory that can be used.
bool ChoosePath(char* const* environment, char* path) {
  uint8_t random[16];
  if (Raw(SYS_getrandom, Address(random), sizeof(random), 0) != sizeof(random)) return false;
  const char* const temporary = Variable(environment, "TMPDIR");
  for (const char* directory : {"/dev/shm", temporary, "/tmp"}) {
    if (directory == nullptr || directory[0] != '/' || strlen(directory) > 128) continue;
    if (Raw(SYS_faccessat, AT_FDCWD, Address(directory), W_OK | X_OK) != 0) continue;
    char* out = Append(Append(path, directory), "/ipctrace-");
    for (uint8_t byte : random) {
      *out++ = "0123456789abcdef"[byte >> 4];
      *out++ = "0123456789abcdef"[byte & 15];
    }
    *out = 0;
    return true;
  }
  return false;
}

// In the process that becomes the analyzer. Its memory is a copy: the environment can be changed.
[[noreturn]] void BecomeAnalyzer(char* analyzer, const char* path, long program, int pipe,
                                 char** environment) {
  const uint64_t none = 0;
  Raw(SYS_rt_sigprocmask, SIG_SETMASK, Address(&none), 0, 8);
  struct {
    void (*handler)(int);
    uint64_t flags;
    void* restorer;
    uint64_t mask;
  } standard = {};
  for (int signal = 1; signal < 65; ++signal) {
    Raw(SYS_rt_sigaction, signal, Address(&standard), 0, 8);
  }
  Raw(SYS_setsid);
  const long high = Raw(SYS_fcntl, pipe, F_DUPFD, 10);
  const long null = Raw(SYS_openat, AT_FDCWD, Address("/dev/null"), O_RDWR);
  Raw(SYS_dup3, high, kAnalyzersPipe, 0);
  if (null > 0) Raw(SYS_dup3, null, 0, 0);
  if (null != 1) Raw(SYS_dup3, 0, 1, 0);
  Raw(SYS_close_range, kAnalyzersPipe + 1, ~0u, 0);
  char** kept = environment;
  for (char** entry = environment; *entry != nullptr; ++entry) {
    if (strncmp(*entry, "LD_PRELOAD=", 11) != 0 &&
        strncmp(*entry, kSessionVariable, sizeof(kSessionVariable) - 1) != 0) {
      *kept++ = *entry;
    }
  }
  *kept = nullptr;
  char session_option[320];
  Append(Append(session_option, "--session="), path);
  char pid_option[32];
  AppendNumber(Append(pid_option, "--pid="), program);
  char attach[] = "attach";
  char* arguments[] = {analyzer, attach, session_option, pid_option, nullptr};
  Raw(SYS_execve, Address(analyzer), Address(arguments), Address(environment));
  Raw(SYS_write, kAnalyzersPipe, Address("0cannot start the analyzer"), 26);
  for (;;) Raw(SYS_exit_group, 1);
}

// Waits for the analyzer's answer and reads it as text. False: none came.
bool ReadAnswer(long pipe, char* answer, size_t size) {
  pollfd ready = {static_cast<int>(pipe), POLLIN, 0};
  size_t length = 0;
  for (;;) {
    timespec left = {kStartSeconds, 0};
    const long found = Raw(SYS_ppoll, Address(&ready), 1, Address(&left), 0, 8);
    if (found == -EINTR) continue;
    if (found <= 0) break;
    const long got = Raw(SYS_read, pipe, Address(answer + length),
                         static_cast<long>(size - 1 - length));
    if (got == -EINTR) continue;
    if (got <= 0) break;
    length += static_cast<size_t>(got);
    if (answer[0] == '1' || length == size - 1) break;
  }
  while (length != 0 && answer[length - 1] == '\n') --length;
  answer[length] = 0;
  return length != 0;
}

// Later programs of an untraced run shall not each complain again: where the library was the only
// one, it leaves the environment.
bool GiveUp(char** environment) {
  for (; *environment != nullptr; ++environment) {
    if (strncmp(*environment, "LD_PRELOAD=", 11) == 0 && strpbrk(*environment, ": ") == nullptr) {
      for (char** entry = environment; *entry != nullptr; ++entry) *entry = entry[1];
      return false;
    }
  }
  return false;
}

}  // namespace

bool StartAnalyzer(char** environment) {
  char analyzer[640];
  char path[256];
  if (!FindAnalyzer(environment, analyzer, sizeof(analyzer))) {
    Complain("its analyzer, ipctrace, was not found beside ", session.library);
    return GiveUp(environment);
  }
  if (!ChoosePath(environment, path)) {
    Complain("no directory for its trace can be written to", "");
    return GiveUp(environment);
  }
  int ends[2];
  if (Raw(SYS_pipe2, Address(ends), O_CLOEXEC) != 0) {
    Complain("no descriptor is free", "");
    return GiveUp(environment);
  }
  const long program = Raw(SYS_getpid);
  const long child = Raw(SYS_clone, 0, 0, 0, 0, 0);
  if (child == 0) {
    if (Raw(SYS_clone, 0, 0, 0, 0, 0) == 0) {
      BecomeAnalyzer(analyzer, path, program, ends[1], environment);
    }
    for (;;) Raw(SYS_exit_group, 0);
  }
  Raw(SYS_close, ends[1]);
  char answer[512] = "";
  const bool answered = child > 0 && ReadAnswer(ends[0], answer, sizeof(answer));
  Raw(SYS_close, ends[0]);
  if (child > 0) {
    while (Raw(SYS_wait4, child, 0, static_cast<long>(__WCLONE), 0) == -EINTR) {
    }
  }
  if (!answered || answer[0] != '1') {
    Complain(answered ? "" : "its analyzer did not start: ", answered ? answer + 1 : analyzer);
    return GiveUp(environment);
  }
  if (!MapSession(path)) {
    Complain("its trace cannot be opened: ", path);
    return GiveUp(environment);
  }
  session.first_of_bare = true;
  return true;
}

void WaitForReport() {
  if (!session.first_of_bare || Raw(SYS_getpid) != session.pid) return;
  session.first_of_bare = false;
  SessionHeader* const header = session.header;
  header->first_ended.store(1);
  Raw(SYS_futex, Address(&header->first_ended), FUTEX_WAKE, 0x7fffffff);
  uint32_t beat = header->heartbeat.load();
  int still = 0;  // tenths of a second without a sign of life
  while (header->report_done.load() == 0 &&
         header->analyzer_state.load() != static_cast<uint32_t>(AnalyzerState::kGone)) {
    const timespec wait = {0, 100000000};
    Raw(SYS_futex, Address(&header->report_done), FUTEX_WAIT, 0, Address(&wait));
    if (header->heartbeat.load() != beat) {
      beat = header->heartbeat.load();
      still = 0;
    } else if (++still >= 100 ||
               (still >= 10 && Raw(SYS_kill, header->analyzer_pid, 0) == -ESRCH)) {
      return;
    }
  }
}

}  // namespace ipctrace
