#include "analyzer/cli/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace ipctrace {
namespace {

constexpr int kMaxInterpreters = 5;  // a script's interpreter may be a script: the kernel's limit

absl::Status CannotTrace(const std::string& path, const std::string& why) {
  return absl::FailedPreconditionError(absl::StrCat("cannot trace ", path, ": ", why));
}

class File {
 public:
  explicit File(const std::string& path)
      : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  int fd() const { return fd_; }
  // As many bytes as there are.
  std::string Read(uint64_t offset, size_t size) const {
    std::string bytes(size, '\0');
    const ssize_t got = pread(fd_, bytes.data(), size, static_cast<off_t>(offset));
    bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return bytes;
  }
  template <typename T>
  bool ReadOne(uint64_t offset, T* value) const {
    return pread(fd_, value, sizeof(T), static_cast<off_t>(offset)) ==
           static_cast<ssize_t>(sizeof(T));
  }

 private:
  int fd_;
};

// Whether the kernel makes the loader ignore LD_PRELOAD for it (AT_SECURE).
bool RaisesPrivileges(const std::string& path, const struct stat& status) {
  if ((status.st_mode & S_ISUID) && status.st_uid != getuid()) return true;
  if ((status.st_mode & S_ISGID) && (status.st_mode & S_IXGRP) && status.st_gid != getgid())
    return true;
  char capabilities[64];
  return getuid() != 0 &&
         getxattr(path.c_str(), "security.capability", capabilities, sizeof(capabilities)) > 0;
}

// Notes the libraries among the program's needs that insist on being loaded first.
void ReadNeeds(const File& file, const std::vector<Elf64_Phdr>& segments, Program* program) {
  const auto offset_of = [&](uint64_t address) -> uint64_t {
    for (const Elf64_Phdr& s : segments) {
      if (s.p_type == PT_LOAD && address >= s.p_vaddr && address - s.p_vaddr < s.p_filesz) {
        return s.p_offset + (address - s.p_vaddr);
      }
    }
    return 0;
  };
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type != PT_DYNAMIC || segment.p_filesz > (1 << 20)) continue;
    const std::string bytes = file.Read(segment.p_offset, segment.p_filesz);
    uint64_t strings = 0;
    std::vector<uint64_t> needed;
    for (size_t at = 0; at + sizeof(Elf64_Dyn) <= bytes.size(); at += sizeof(Elf64_Dyn)) {
      Elf64_Dyn entry;
      memcpy(&entry, bytes.data() + at, sizeof(entry));
      if (entry.d_tag == DT_NULL) break;
      if (entry.d_tag == DT_STRTAB) strings = offset_of(entry.d_un.d_ptr);
      if (entry.d_tag == DT_NEEDED) needed.push_back(entry.d_un.d_val);
    }
    for (const uint64_t name : needed) {
      const std::string text = file.Read(strings + name, 256);
      const std::string library(text.c_str());
      // gcc's AddressSanitizer ends a program in which it is not the first library. By its bare
      // name the loader looks for it where it would look for the program.
      if (library.starts_with("libasan.so")) program->preloads.push_back(library);
    }
  }
}

absl::Status Inspect(const std::string& path, int depth, Program* program) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    return absl::NotFoundError(absl::StrCat("cannot run ", path, ": ", strerror(errno)));
  }
  if (S_ISDIR(status.st_mode))
    return absl::NotFoundError(absl::StrCat("cannot run ", path, ": it is a directory"));
  if (!S_ISREG(status.st_mode) || access(path.c_str(), X_OK) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot run ", path, ": Permission denied (it is not executable)"));
  }
  const File file(path);
  if (file.fd() < 0) {
    // Executable but not readable: nothing is known of it, and it may well be traced.
    return errno == EACCES
               ? absl::OkStatus()
               : absl::NotFoundError(absl::StrCat("cannot run ", path, ": ", strerror(errno)));
  }
  const std::string start = file.Read(0, 4096);
  if (start.starts_with("#!")) {
    if (depth >= kMaxInterpreters) return absl::OkStatus();  // execve will say ELOOP
    std::string line = start.substr(2, start.find('\n') - 2);
    const size_t first = line.find_first_not_of(" \t");
    if (first == std::string::npos) return absl::OkStatus();
    line.erase(0, first);
    const std::string interpreter = line.substr(0, line.find_first_of(" \t\r"));
    const absl::Status inner = Inspect(interpreter, depth + 1, program);
    if (inner.ok()) return inner;
    return absl::Status(inner.code(), absl::StrCat(path, " is a script: ", inner.message()));
  }
  // Set-user-ID counts for programs only; the kernel takes no notice of it on scripts.
  if (RaisesPrivileges(path, status)) {
    return CannotTrace(
        path,
        "it is a set-user-ID program (or has capabilities), into which nothing may be loaded");
  }
  if (!start.starts_with(ELFMAG)) {
    program->shell_script = depth == 0;
    return absl::OkStatus();
  }
  if (start.size() < sizeof(Elf64_Ehdr)) return CannotTrace(path, "it is a damaged program file");
  Elf64_Ehdr header;
  memcpy(&header, start.data(), sizeof(header));
  if (header.e_ident[EI_CLASS] == ELFCLASS32) return CannotTrace(path, "it is a 32-bit program");
  if (header.e_machine != EM_X86_64)
    return CannotTrace(path, "it is a program for another kind of machine");
  std::vector<Elf64_Phdr> segments;
  bool dynamic = false;
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!file.ReadOne(header.e_phoff + static_cast<uint64_t>(i) * sizeof(segment), &segment)) break;
    dynamic |= segment.p_type == PT_INTERP;
    segments.push_back(segment);
  }
  if (!dynamic)
    return CannotTrace(path, "it is statically linked, and nothing can be loaded into it");
  ReadNeeds(file, segments, program);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Program> FindProgram(const std::string& name, const char* search) {
  Program program;
  if (name.empty()) return absl::NotFoundError("cannot run \"\": No such file or directory");
  if (name.find('/') != std::string::npos) {
    program.path = name;
  } else {
    std::string_view rest = search != nullptr ? search : "/bin:/usr/bin";
    std::string refused;
    for (bool more = true; more && program.path.empty();) {
      const size_t colon = rest.find(':');
      const std::string directory(rest.substr(0, colon));
      more = colon != std::string_view::npos;
      rest.remove_prefix(more ? colon + 1 : rest.size());
      const std::string path = directory.empty() ? "./" + name : directory + "/" + name;
      struct stat status;
      if (stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) continue;
      if (access(path.c_str(), X_OK) == 0) {
        program.path = path;
      } else if (refused.empty()) {
        refused = path;
      }
    }
    if (program.path.empty()) {
      if (!refused.empty()) {
        return absl::PermissionDeniedError(
            absl::StrCat("cannot run ", refused, ": Permission denied (it is not executable)"));
      }
      return absl::NotFoundError(
          absl::StrCat("cannot run ", name, ": No such file or directory in PATH"));
    }
  }
  const absl::Status status = Inspect(program.path, 0, &program);
  if (!status.ok()) return status;
  return program;
}

std::string PreloadValue(const Program& program, const std::string& library, const char* before) {
  std::string value;
  for (const std::string& first : program.preloads) absl::StrAppend(&value, first, ":");
  absl::StrAppend(&value, library);
  if (before != nullptr && *before != '\0') absl::StrAppend(&value, ":", before);
  return value;
}

}  // namespace ipctrace
