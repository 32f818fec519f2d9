#include "analyzer/live/kernel.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "preload/trace/format.h"
#include "preload/trace/stack_copy.h"

namespace ipctrace {
namespace {

// The file's text, up to four kilobytes; empty where there is none to read.
std::string TextOf(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  char text[4096];
  ssize_t length = read(fd, text, sizeof(text));
  close(fd);
  return length <= 0 ? "" : std::string(text, static_cast<size_t>(length));
}

// A line of /proc/PID/maps: "start-end perms offset major:minor inode path".
struct Mapping {
  uint64_t start = 0, end = 0;
  bool shared = false;
  uint64_t device = 0, inode = 0;
};

// The first mapping that `wanted` says yes to.
template <typename Wanted>
std::optional<Mapping> FindMapping(int32_t pid, const Wanted& wanted) {
  std::ifstream maps(absl::StrCat("/proc/", pid, "/maps"));
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping;
    char permissions[5];
    unsigned major, minor;
    if (sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s %*x %x:%x %" SCNu64, &mapping.start,
               &mapping.end, permissions, &major, &minor, &mapping.inode) != 6) {
      continue;
    }
    mapping.shared = permissions[3] == 's';
    mapping.device = makedev(major, minor);
    if (wanted(mapping)) return mapping;
  }
  return std::nullopt;
}

// The fields of /proc/.../stat from the third on; empty where there are none to read.
std::string FieldsOf(const std::string& path) {
  std::string line = TextOf(path);
  // The name, in parentheses, may itself hold any character.
  size_t end = line.rfind(") ");
  return end == std::string::npos ? "" : line.substr(end + 2);
}

// The system calls in which an act of this op waits; none where it is not known which.
struct WaitingCalls {
  std::vector<long> numbers;
  bool on_descriptor = true;  // the first argument is the descriptor
};
WaitingCalls WaitingCallsOf(Op op) {
  switch (op) {
    case Op::kRead:
    case Op::kStreamRead:
      return {{SYS_read, SYS_readv, SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg}};
    case Op::kWrite:
    case Op::kStreamWrite:
    case Op::kStreamClose:
      return {{SYS_write, SYS_writev, SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_vmsplice}};
    case Op::kTransfer:  // some name the source first, some the target
      return {{SYS_splice, SYS_tee, SYS_sendfile, SYS_copy_file_range}, false};
    case Op::kExit:  // which of the streams is not known
      return {{SYS_write, SYS_writev}, false};
    case Op::kPoll:
      return {{SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6, SYS_restart_syscall}, false};
    case Op::kEpollWait:
      return {{SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2}};
    case Op::kWait:
      return {{SYS_wait4, SYS_waitid}, false};
    case Op::kSystem:
    case Op::kPclose:
      return {{SYS_wait4}, false};
    case Op::kThreadJoin:
    case Op::kMutexLock:
      return {{SYS_futex}, false};
    case Op::kLockFile:
      return {{SYS_flock, SYS_fcntl}};
    case Op::kAccept:
      return {{SYS_accept, SYS_accept4}};
    case Op::kConnect:
      return {{SYS_connect}};
    case Op::kOpen:
    case Op::kStreamOpen:
      return {{SYS_open, SYS_openat, SYS_openat2}, false};
    default:
      return {{}, false};
  }
}

// The state letter; '\0' where there is none.
char StateOf(const std::string& path) {
  std::string fields = FieldsOf(path);
  return fields.empty() ? '\0' : fields[0];
}

// The system call that a task is in: "202 0x7f... 0x80 ... SP PC", its number, six arguments, the
// stack pointer and the program counter. "running" or "-1 SP PC" in none. A single empty word where
// it may not be read.
std::vector<std::string> SyscallOf(const std::string& task) {
  return absl::StrSplit(TextOf(task + "/syscall"), absl::ByAnyChar(" \n"));
}

}  // namespace

bool WaitsIn(int32_t pid, int32_t tid, Op op, int fd) {
  std::string task = absl::StrCat("/proc/", pid, "/task/", tid);
  char state = StateOf(task + "/stat");
  if (state != 'S' && state != 'D') return false;
  WaitingCalls calls = WaitingCallsOf(op);
  std::vector<std::string> words = SyscallOf(task);
  long number;
  if (calls.numbers.empty() || words[0].empty()) return true;
  if (!absl::SimpleAtoi(words[0], &number)) return false;
  if (std::find(calls.numbers.begin(), calls.numbers.end(), number) == calls.numbers.end()) {
    return false;
  }
  uint64_t first;
  return !calls.on_descriptor || fd < 0 || words.size() < 2 ||
         (absl::SimpleHexAtoi(words[1], &first) && static_cast<int>(first) == fd);
}

std::optional<Parked> ParkedAt(int32_t pid, int32_t tid) {
  const std::string task = absl::StrCat("/proc/", pid, "/task/", tid);
  if (StateOf(task + "/stat") != 'S') return std::nullopt;
  const std::vector<std::string> words = SyscallOf(task);
  uint64_t address, operation, timeout;
  if (words.size() < 5 || words[0] != absl::StrCat(SYS_futex) ||
      !absl::SimpleHexAtoi(words[1], &address) || !absl::SimpleHexAtoi(words[2], &operation) ||
      !absl::SimpleHexAtoi(words[4], &timeout) || timeout != 0) {
    return std::nullopt;
  }
  const uint64_t command = operation & FUTEX_CMD_MASK;
  if (command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET) return std::nullopt;
  Parked parked;
  int counts = 0;
  for (absl::string_view line : absl::StrSplit(TextOf(task + "/status"), '\n')) {
    uint64_t count;
    if ((absl::ConsumePrefix(&line, "voluntary_ctxt_switches:") ||
         absl::ConsumePrefix(&line, "nonvoluntary_ctxt_switches:")) &&
        absl::SimpleAtoi(line, &count)) {
      parked.switches += count;
      ++counts;
    }
  }
  if (counts != 2) return std::nullopt;
  if ((operation & FUTEX_PRIVATE_FLAG) != 0) return parked;
  const auto mapping = FindMapping(
      pid, [address](const Mapping& each) { return each.start <= address && address < each.end; });
  if (!mapping) return std::nullopt;
  if (mapping->shared) {
    parked.device = mapping->device;
    parked.inode = mapping->inode;
  }
  return parked;
}

std::string StackOfParked(int32_t pid, int32_t tid) {
  const std::vector<std::string> words = SyscallOf(absl::StrCat("/proc/", pid, "/task/", tid));
  StackCopy copy{};
  if (words.size() < 9 || !absl::SimpleHexAtoi(words[7], &copy.rsp) ||
      !absl::SimpleHexAtoi(words[8], &copy.rip)) {
    return "";
  }
  const int memory = open(absl::StrCat("/proc/", pid, "/mem").c_str(), O_RDONLY | O_CLOEXEC);
  if (memory < 0) return "";
  char bytes[kStackCopyBytes];
  const ssize_t length = pread(memory, bytes, sizeof(bytes), static_cast<off_t>(copy.rsp));
  close(memory);
  return length <= 0 ? "" : PackStack(copy, {bytes, static_cast<size_t>(length)});
}

size_t CountThreads(int32_t pid) {
  std::error_code error;
  const std::filesystem::directory_iterator tasks(absl::StrCat("/proc/", pid, "/task"), error);
  return static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
}

bool Maps(int32_t pid, uint64_t device, uint64_t inode) {
  return FindMapping(pid,
                     [=](const Mapping& each) {
                       return each.shared && each.device == device && each.inode == inode;
                     })
      .has_value();
}

std::vector<int32_t> AllPids() {
  std::vector<int32_t> pids;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    int32_t pid;
    if (absl::SimpleAtoi(entry.path().filename().string(), &pid)) pids.push_back(pid);
  }
  return pids;
}

int EndStatus(int32_t pid) {
  std::vector<std::string> fields =
      absl::StrSplit(FieldsOf(absl::StrCat("/proc/", pid, "/stat")), ' ');
  constexpr size_t kExitCode = 52 - 3;
  int status;
  if (fields.size() <= kExitCode || fields[0] != "Z") return -1;
  return absl::SimpleAtoi(fields[kExitCode], &status) ? status : -1;
}

std::optional<BytesMoved> BytesMovedBy(int32_t pid) {
  BytesMoved moved;
  int found = 0;
  for (absl::string_view line : absl::StrSplit(TextOf(absl::StrCat("/proc/", pid, "/io")), '\n')) {
    if (absl::ConsumePrefix(&line, "rchar: ")) found += absl::SimpleAtoi(line, &moved.read);
    if (absl::ConsumePrefix(&line, "wchar: ")) found += absl::SimpleAtoi(line, &moved.written);
  }
  return found == 2 ? std::make_optional(moved) : std::nullopt;
}

int32_t ParentOf(int32_t pid) {
  std::vector<std::string> fields =
      absl::StrSplit(FieldsOf(absl::StrCat("/proc/", pid, "/stat")), ' ');
  int32_t parent;
  return fields.size() > 1 && absl::SimpleAtoi(fields[1], &parent) ? parent : 0;
}

bool Exists(int32_t pid) {
  char state = StateOf(absl::StrCat("/proc/", pid, "/stat"));
  return state != '\0' && state != 'Z' && state != 'X';
}

std::vector<Holder> HoldersOf(const absl::flat_hash_set<uint64_t>& inodes) {
  std::vector<Holder> holders;
  for (const int32_t pid : AllPids()) {
    std::string folder = absl::StrCat("/proc/", pid, "/fd");
    DIR* descriptors = opendir(folder.c_str());
    if (descriptors == nullptr) continue;
    while (const dirent* entry = readdir(descriptors)) {
      char target[64];
      ssize_t length = readlinkat(dirfd(descriptors), entry->d_name, target, sizeof(target) - 1);
      if (length <= 0) continue;
      target[length] = '\0';
      // "pipe:[123]" or "socket:[123]"
      const char* bracket = strchr(target, '[');
      if (bracket == nullptr ||
          (strncmp(target, "pipe:", 5) != 0 && strncmp(target, "socket:", 7) != 0)) {
        continue;
      }
      uint64_t inode = strtoull(bracket + 1, nullptr, 10);
      if (inodes.contains(inode)) holders.push_back({inode, pid});
    }
    closedir(descriptors);
  }
  return holders;
}

}  // namespace ipctrace
