#include "preload/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/interpose.h"
#include "preload/raw.h"
#include "preload/readable.h"
#include "preload/session.h"

namespace ipctrace {
namespace {

constexpr char kPreload[] = "LD_PRELOAD=";
constexpr size_t kPreloadLength = sizeof(kPreload) - 1;
constexpr size_t kSessionLength = sizeof(kSessionVariable) - 1;

bool IsSession(const char* entry) {
  return strncmp(entry, kSessionVariable, kSessionLength) == 0 && entry[kSessionLength] == '=';
}
bool IsPreload(const char* entry) { return strncmp(entry, kPreload, kPreloadLength) == 0; }

// Whether LD_PRELOAD's value names this library in a way that still holds in another directory.
IPCTRACE_START_CODE bool NamesLibrary(const char* value) {
  if (strcmp(value, session.library) == 0) return true;  // most often so
  const char* base = strrchr(session.library, '/');
  base = base == nullptr ? session.library : base + 1;
  if (strstr(value, session.library) != nullptr) return true;
  const char* found = strstr(value, base);
  return found != nullptr && (found == value || found[-1] == ':' || found[-1] == ' ');
}

char* Append(char* out, const char* text) {
  const size_t length = strlen(text);
  memcpy(out, text, length + 1);
  return out + length;
}

IPCTRACE_START_CODE bool IsAccessible(const char* path, int mode) {
  constexpr int kEffective = 0x200;  // AT_EACCESS
  const long result = Raw(439 /* SYS_faccessat2 */, AT_FDCWD, Address(path), mode, kEffective);
  return result == 0 ||
         (result == -ENOSYS && Raw(SYS_faccessat, AT_FDCWD, Address(path), mode) == 0);
}

// LD_PRELOAD's value without this library, into `out`.
char* AppendOthers(char* out, const char* value) {
  char* const start = out;
  *out = 0;
  while (*value != 0) {
    const size_t length = strcspn(value, ": ");
    char name[sizeof(session.library)];
    const bool fits = length < sizeof(name);
    if (fits) {
      memcpy(name, value, length);
      name[length] = 0;
    }
    if (length != 0 && !(fits && NamesLibrary(name))) {
      if (out != start) *out++ = ':';
      memcpy(out, value, length);
      out[length] = 0;
    }
    out += strlen(out);
    value += length + (value[length] != 0);
  }
  return out;
}

// Who has changed its root or its user does not reach the session's file either, which is its
// owner's alone. So the library's is asked for once, in a process or its parent.
IPCTRACE_START_CODE bool AreFilesInReach() {
  if (!IsAccessible(session.path, R_OK | W_OK)) return false;
  ReachLibrary();
  return session.library_reached;
}

}  // namespace

IPCTRACE_START_CODE void ReachLibrary() {
  if (!session.library_reached) session.library_reached = IsAccessible(session.library, R_OK);
}

IPCTRACE_START_CODE char* const* TracedEnvironment(char* const* environment, bool traceable) {
  if (session.chunks == nullptr) return environment;
  const bool traced = AreFilesInReach();
  if (!traced || !traceable) session.header->untraced_execs.fetch_add(1);
  if (session.library[0] == 0 || restrained) return environment;
  static char* const kNone[] = {nullptr};
  char* const* const from = environment == nullptr ? kNone : environment;
  size_t count = 0;
  size_t preload = ~size_t{0};
  bool has_session = false;
  uint64_t readable_page = 0;  // the strings lie one behind the other: a page is asked about once
  for (;; ++count) {
    if ((count == 0 || reinterpret_cast<uint64_t>(from + count) % 4096 == 0) &&
        !Readable(from + count, sizeof(char*))) {
      return environment;
    }
    if (from[count] == nullptr) break;
    const uint64_t page = reinterpret_cast<uint64_t>(from[count]) / 4096;
    if (page != readable_page && !Readable(from[count], 1)) return environment;
    readable_page = page;
    if (IsPreload(from[count])) preload = count;
    if (IsSession(from[count])) has_session = true;
  }
  const bool has_preload = preload != ~size_t{0};
  const bool named = has_preload && NamesLibrary(from[preload] + kPreloadLength);
  if (traced ? has_session && named : !named) return environment;

  ThreadState* const thread = ThisThread();
  const size_t array = (count + 3) * sizeof(char*);
  const size_t bytes = array + sizeof(kPreload) + sizeof(session.library) + sizeof(session.path) +
                       sizeof(kSessionVariable) + 8 + (has_preload ? strlen(from[preload]) : 0);
  if (thread->exec_bytes < bytes) {
    if (thread->exec_bytes != 0) Raw(SYS_munmap, Address(thread->exec_memory), thread->exec_bytes);
    thread->exec_bytes = 0;
    const size_t pages = (bytes + 4095) / 4096 * 4096;
    const long memory =
        Raw(SYS_mmap, 0, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory < 0 && memory > -4096) return environment;
    thread->exec_memory = reinterpret_cast<void*>(memory);
    thread->exec_bytes = pages;
  }
  auto** const result = static_cast<char**>(thread->exec_memory);
  char* text = static_cast<char*>(thread->exec_memory) + array;
  memcpy(result, from, count * sizeof(char*));
  if (!traced) {
    char* const value = Append(text, kPreload);
    result[preload] = text;
    if (AppendOthers(value, from[preload] + kPreloadLength) == value) {
      result[preload] = result[--count];
    }
    result[count] = nullptr;
    return result;
  }
  if (!named) {
    result[has_preload ? preload : count++] = text;
    text = Append(Append(text, kPreload), session.library);
    if (has_preload && from[preload][kPreloadLength] != 0) {
      text = Append(Append(text, ":"), from[preload] + kPreloadLength);
    }
    ++text;
  }
  if (!has_session) {
    result[count++] = text;
    text = Append(Append(Append(text, kSessionVariable), "="), session.path);
  }
  result[count] = nullptr;
  return result;
}

void EnsureEnvironment() {
  if (session.chunks == nullptr || session.library[0] == 0) return;
  if (LIBC(getenv)(kSessionVariable) == nullptr) LIBC(setenv)(kSessionVariable, session.path, 0);
  const char* const preload = LIBC(getenv)("LD_PRELOAD");
  if (preload != nullptr && NamesLibrary(preload)) return;
  if (preload == nullptr || preload[0] == 0) {
    LIBC(setenv)("LD_PRELOAD", session.library, 1);
    return;
  }
  const size_t length = strlen(preload) + sizeof(session.library) + 2;
  char* const both = static_cast<char*>(LIBC(malloc)(length));
  if (both == nullptr) return;
  Append(Append(Append(both, session.library), ":"), preload);
  LIBC(setenv)("LD_PRELOAD", both, 1);
  LIBC(free)(both);
}

}  // namespace ipctrace
