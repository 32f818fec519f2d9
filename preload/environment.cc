#include "preload/environment.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
bool NamesLibrary(const char* value) {
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

}  // namespace

char* const* TracedEnvironment(char* const* environment) {
  if (session.chunks == nullptr || session.library[0] == 0) return environment;
  static char* const kNone[] = {nullptr};
  char* const* const from = environment == nullptr ? kNone : environment;
  size_t count = 0;
  size_t preload = ~size_t{0};
  bool has_session = false;
  for (;; ++count) {
    if ((count == 0 || reinterpret_cast<uint64_t>(from + count) % 4096 == 0) &&
        !Readable(from + count, sizeof(char*))) {
      return environment;
    }
    if (from[count] == nullptr) break;
    if (!Readable(from[count], 1)) return environment;
    if (IsPreload(from[count])) preload = count;
    if (IsSession(from[count])) has_session = true;
  }
  const bool has_preload = preload != ~size_t{0};
  const bool named = has_preload && NamesLibrary(from[preload] + kPreloadLength);
  if (has_session && named) return environment;

  ThreadState* const thread = ThisThread();
  const size_t array = (count + 3) * sizeof(char*);
  const size_t bytes = array + sizeof(kPreload) + sizeof(session.library) + sizeof(session.path) +
                       sizeof(kSessionVariable) + 8 +
                       (has_preload ? strlen(from[preload]) : 0);
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
  if (getenv(kSessionVariable) == nullptr) setenv(kSessionVariable, session.path, 0);
  const char* const preload = getenv("LD_PRELOAD");
  if (preload != nullptr && NamesLibrary(preload)) return;
  if (preload == nullptr || preload[0] == 0) {
    setenv("LD_PRELOAD", session.library, 1);
    return;
  }
  const size_t length = strlen(preload) + sizeof(session.library) + 2;
  char* const both = static_cast<char*>(malloc(length));
  if (both == nullptr) return;
  Append(Append(Append(both, session.library), ":"), preload);
  setenv("LD_PRELOAD", both, 1);
  free(both);
}

}  // namespace ipctrace
