#include "analyzer/live/kernel.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace ipctrace {
namespace {

// The fields of /proc/.../stat from the third on; empty where there are none to read.
std::string FieldsOf(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "";
  char text[1024];
  ssize_t length = read(fd, text, sizeof(text));
  close(fd);
  if (length <= 0) return "";
  std::string line(text, static_cast<size_t>(length));
  // The name, in parentheses, may itself hold any character.
  size_t end = line.rfind(") ");
  return end == std::string::npos ? "" : line.substr(end + 2);
}

// The state letter; '\0' where there is none.
char StateOf(const std::string& path) {
  std::string fields = FieldsOf(path);
  return fields.empty() ? '\0' : fields[0];
}

}  // namespace

bool Sleeps(int32_t pid, int32_t tid) {
  char state = StateOf(absl::StrCat("/proc/", pid, "/task/", tid, "/stat"));
  return state == 'S' || state == 'D';
}

int EndStatus(int32_t pid) {
  std::vector<std::string> fields =
      absl::StrSplit(FieldsOf(absl::StrCat("/proc/", pid, "/stat")), ' ');
  constexpr size_t kExitCode = 52 - 3;
  int status;
  if (fields.size() <= kExitCode || fields[0] != "Z") return -1;
  return absl::SimpleAtoi(fields[kExitCode], &status) ? status : -1;
}

bool Exists(int32_t pid) {
  char state = StateOf(absl::StrCat("/proc/", pid, "/stat"));
  return state != '\0' && state != 'Z' && state != 'X';
}

std::vector<Holder> HoldersOf(const absl::flat_hash_set<uint64_t>& inodes) {
  std::vector<Holder> holders;
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return holders;
  while (const dirent* process = readdir(proc)) {
    int32_t pid;
    if (!absl::SimpleAtoi(process->d_name, &pid)) continue;
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
      if (bracket == nullptr || (strncmp(target, "pipe:", 5) != 0 && strncmp(target, "socket:", 7) != 0)) {
        continue;
      }
      uint64_t inode = strtoull(bracket + 1, nullptr, 10);
      if (inodes.contains(inode)) holders.push_back({inode, pid});
    }
    closedir(descriptors);
  }
  closedir(proc);
  return holders;
}

}  // namespace ipctrace
