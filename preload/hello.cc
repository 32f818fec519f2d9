#include "preload/hello.h"

#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <time.h>

#include "preload/descriptor_facts.h"
#include "preload/raw.h"
#include "preload/readable.h"
#include "preload/recorder.h"

// Every sanitizer's runtime has it.
extern "C" void __sanitizer_report_error_summary(const char*) __attribute__((weak));

namespace ipctrace {
namespace {

constexpr int kMostAsked = 256;  // descriptors that one poll asks about

struct DirectoryEntry {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[1];
};

IPCTRACE_START_CODE size_t Hex(char* out, uint64_t value) {
  size_t digits = 1;
  while (digits < 16 && value >> (4 * digits) != 0) ++digits;
  for (size_t i = 0; i < digits; ++i) {
    out[i] = "0123456789abcdef"[value >> (4 * (digits - 1 - i)) & 15];
  }
  return digits;
}

IPCTRACE_START_CODE void WriteObject(BlobWriter* writer, uint64_t bias, const ElfW(Phdr) * segments,
                                     int count, const char* path) {
  uint64_t start = ~uint64_t{0};
  uint64_t end = 0;
  for (int i = 0; i < count; ++i) {
    const ElfW(Phdr)& segment = segments[i];
    if (segment.p_type != PT_LOAD) continue;
    if (bias + segment.p_vaddr < start) start = bias + segment.p_vaddr;
    if (bias + segment.p_vaddr + segment.p_memsz > end) {
      end = bias + segment.p_vaddr + segment.p_memsz;
    }
  }
  if (start >= end) return;
  char line[64];
  size_t used = Hex(line, bias);
  line[used++] = ' ';
  used += Hex(line + used, start);
  line[used++] = ' ';
  used += Hex(line + used, end);
  line[used++] = ' ';
  writer->Write(line, used);
  writer->Write(path, strlen(path));
  writer->Write("\n", 1);
}

IPCTRACE_START_CODE int WriteModule(dl_phdr_info* info, size_t, void* argument) {
  WriteObject(static_cast<BlobWriter*>(argument), info->dlpi_addr, info->dlpi_phdr,
              info->dlpi_phnum, info->dlpi_name);
  return 0;
}

IPCTRACE_START_CODE void WriteModules(ThreadState* thread, const Record* owner) {
  BlobWriter writer(thread, owner, BlobTag::kModules);
  dl_iterate_phdr(WriteModule, &writer);
  writer.Finish();
}

IPCTRACE_START_CODE void WriteLink(Fact& fact, BlobTag tag, const char* link) {
  char path[1024];
  const long length = Raw(SYS_readlinkat, AT_FDCWD, Address(link), Address(path), sizeof(path));
  if (length > 0) fact.Blob(tag, path, static_cast<size_t>(length));
}

// What is open when a program starts is not close-on-exec.
IPCTRACE_START_CODE void WriteDescriptor(BlobWriter& writer, int fd) {
  FdFact found;
  if (DescribeDescriptor(fd, kAskKernel, 0, &found)) writer.Write(&found, sizeof(found));
}

// Where the kernel's table of descriptors has no more than `few` places (a multiple of 64), select
// ignores larger numbers; otherwise it finds bad ones, or all of the next 64 are open.
IPCTRACE_START_CODE bool HasPlaces(int few) {
  uint64_t beyond[kMostAsked / 64 + 1] = {};
  beyond[few / 64] = ~uint64_t{0};
  timeval now = {};
  return Raw(SYS_select, few + 64, Address(beyond), 0, 0, Address(&now)) == 0;
}

// Without /proc, whose first use costs a new process 30 us: poll tells of all numbers at once which
// are open. False, with nothing written: cannot tell.
IPCTRACE_START_CODE bool WriteFewDescriptors(BlobWriter& writer) {
  const int few = HasPlaces(64) ? 64 : kMostAsked;
  if (few != 64 && !HasPlaces(few)) return false;
  pollfd entries[kMostAsked + 1];
  for (int fd = 0; fd <= few; ++fd) entries[fd] = {fd, 0, 0};
  timespec at_once = {};
  if (Raw(SYS_ppoll, Address(entries), few + 1, Address(&at_once), 0, 8) < 0) return false;
  if ((entries[few].revents & POLLNVAL) == 0) return false;
  for (int fd = 0; fd < few; ++fd) {
    if ((entries[fd].revents & POLLNVAL) == 0) WriteDescriptor(writer, fd);
  }
  return true;
}

// False: /proc is not there.
IPCTRACE_START_CODE bool WriteDescriptors(Fact& fact) {
  BlobWriter writer(fact.thread(), fact.record(), BlobTag::kFds);
  if (WriteFewDescriptors(writer)) {
    writer.Finish();
    return true;
  }
  const long directory =
      Raw(SYS_openat, AT_FDCWD, Address("/proc/self/fd"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) {
    // No /proc, or no number left: the first numbers are what can be asked for one by one.
    for (int fd = 0; fd < 1024; ++fd) WriteDescriptor(writer, fd);
    writer.Finish();
    return false;
  }
  alignas(8) char entries[2048];
  for (;;) {
    const long bytes = Raw(SYS_getdents64, directory, Address(entries), sizeof(entries));
    if (bytes <= 0) break;
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(entries + at);
      at += entry->length;
      if (entry->name[0] < '0' || entry->name[0] > '9') continue;
      int fd = 0;
      for (const char* digit = entry->name; *digit != 0; ++digit) fd = fd * 10 + (*digit - '0');
      if (fd != directory) WriteDescriptor(writer, fd);
    }
  }
  Raw(SYS_close, directory);
  writer.Finish();
  return true;
}

// The executable's path. The kernel passes on the name that exec was given, which costs nothing to
// read, where /proc/self/exe costs 20 us; but for a script it is the script's, and then it stands
// among the first arguments too.
IPCTRACE_START_CODE void WriteExecutable(Fact& fact, int argc, char** argv, const char* directory,
                                         long length) {
  const auto* name = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  bool plain = name != nullptr && name[0] != 0 && strncmp(name, "/dev/fd/", 8) != 0 &&
               strncmp(name, "/proc/", 6) != 0 && (name[0] == '/' || length > 1);
  for (int i = 1; plain && i < argc && i < 4; ++i) plain = strcmp(argv[i], name) != 0;
  if (!plain) return WriteLink(fact, BlobTag::kExe, "/proc/self/exe");
  BlobWriter writer(fact.thread(), fact.record(), BlobTag::kExe);
  if (name[0] != '/') {
    writer.Write(directory, static_cast<size_t>(length - 1));
    writer.Write("/", 1);
    while (name[0] == '.' && name[1] == '/') name += 2;
  }
  writer.Write(name, strlen(name));
  writer.Finish();
}

// A new image has no handlers, and of the signals it may ignore these are the ones that matter to
// an IPC rule or that shells, nohup and daemons set. Each costs a system call.
constexpr uint64_t Bit(int signal) { return uint64_t{1} << (signal - 1); }
constexpr uint64_t kSignals = Bit(SIGHUP) | Bit(SIGINT) | Bit(SIGQUIT) | Bit(SIGPIPE) |
                              Bit(SIGALRM) | Bit(SIGTERM) | Bit(SIGCHLD);

IPCTRACE_START_CODE void WriteDispositions(Fact& fact) {
  struct {
    void (*handler)(int);
    uint64_t flags;
    void* restorer;
    uint64_t mask;
  } action;
  uint64_t dispositions[2] = {};
  for (uint64_t left = kSignals; left != 0; left &= left - 1) {
    const int signal = __builtin_ctzll(left) + 1;
    if (Raw(SYS_rt_sigaction, signal, 0, Address(&action), 8) != 0) continue;
    if (action.handler == SIG_DFL) continue;
    dispositions[action.handler == SIG_IGN ? 0 : 1] |= Bit(signal);
  }
  fact.Blob(BlobTag::kDispositions, dispositions, sizeof(dispositions));
}

// How many bytes the kernel has counted as read by this process; 0 where it does not tell.
uint64_t ReadSoFar() {
  const long fd = Raw(SYS_openat, AT_FDCWD, Address("/proc/self/io"), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  char text[64];
  const long length = Raw(SYS_read, fd, Address(text), sizeof(text));
  Raw(SYS_close, fd);
  constexpr char kField[] = "rchar: ";
  constexpr long kSkip = sizeof(kField) - 1;
  if (length <= kSkip || memcmp(text, kField, kSkip) != 0) return 0;
  uint64_t bytes = 0;
  for (long i = kSkip; i < length && text[i] >= '0' && text[i] <= '9'; ++i) {
    bytes = bytes * 10 + static_cast<uint64_t>(text[i] - '0');
  }
  return bytes + static_cast<uint64_t>(length);  // this one was counted after it was told
}

}  // namespace

IPCTRACE_START_CODE void SampleNumbers() {
  constexpr int kNumbers = 128;
  // What other threads did while this process was forked is not known to have been before or after.
  if (session.chunks == nullptr || session.child_of_threads) return;
  pollfd entries[kNumbers];
  for (int fd = 0; fd < kNumbers; ++fd) entries[fd] = {fd, 0, 0};
  timespec at_once = {};
  // Fails where RLIMIT_NOFILE is lower.
  if (Raw(SYS_ppoll, Address(entries), kNumbers, Address(&at_once), 0, 8) < 0) return;
  uint64_t open[kNumbers / 64] = {};
  for (int fd = 0; fd < kNumbers; ++fd) {
    if ((entries[fd].revents & POLLNVAL) == 0) open[fd / 64] |= uint64_t{1} << fd % 64;
  }
  Fact numbers(Call::fact_open_numbers, -1);
  numbers->a = open[0];
  numbers->b = open[1];
  numbers.Done();
}

IPCTRACE_START_CODE void SayHello(ThreadState* thread, int argc, char** argv, bool first) {
  Fact hello(thread, Call::fact_hello, -1);
  hello->a = static_cast<uint64_t>(Raw(SYS_getppid));
  hello->b = first ? uint64_t{kHelloFirst} : 0;
  {
    BlobWriter writer(thread, hello.record(), BlobTag::kArgv);
    size_t total = 0;
    for (int i = 0; i < argc && total < 16384; ++i) {
      const size_t length = strlen(argv[i]) + 1;
      total += length;
      writer.Write(argv[i], length < 4096 ? length : 4096);
      if (length > 4096) writer.Write("", 1);
    }
    writer.Finish();
  }
  char path[1024];
  const long length = Raw(SYS_getcwd, Address(path), sizeof(path));
  WriteExecutable(hello, argc, argv, path, length);
  if (length > 1) hello.Blob(BlobTag::kCwd, path, static_cast<size_t>(length - 1));
  WriteModules(thread, hello.record());
  if (!WriteDescriptors(hello)) hello->b |= kHelloNoProc;
  if (session.valgrind || __sanitizer_report_error_summary != nullptr) hello->b |= kHelloOwnCalls;
  WriteDispositions(hello);
  // The first use of /proc costs a process some 30 us: only once in a run.
  if (first) hello->c = ReadSoFar();
  hello.Done();
}

void SayModulesUnlocked(ThreadState* thread) {
  if (_r_debug.r_state != r_debug::RT_CONSISTENT) return;
  session.loads_pending = false;
  Fact fact(thread, Call::fact_modules, -1);
  if (fact.record() == &lost_record) return;
  BlobWriter writer(thread, fact.record(), BlobTag::kModules);
  for (const link_map* map = _r_debug.r_map; map != nullptr; map = map->l_next) {
    if (map == _r_debug.r_map) {  // the executable: its headers need not lie at its bias
      WriteObject(&writer, map->l_addr, reinterpret_cast<const ElfW(Phdr)*>(getauxval(AT_PHDR)),
                  static_cast<int>(getauxval(AT_PHNUM)), "");
      continue;
    }
    const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(map->l_addr);
    if (map->l_addr == 0 || !Readable(header, sizeof(*header)) ||
        memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
      continue;
    }
    WriteObject(&writer, map->l_addr,
                reinterpret_cast<const ElfW(Phdr)*>(map->l_addr + header->e_phoff), header->e_phnum,
                map->l_name);
  }
  writer.Finish();
  fact.Done();
}

void SayModules() {
  Fact fact(Call::fact_modules);
  if (fact.record() == &lost_record) return;
  WriteModules(fact.thread(), fact.record());
  fact.Done();
}

}  // namespace ipctrace
