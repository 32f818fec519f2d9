// An ELF file in memory: what unwinding and symbols read of it.
#ifndef IPCTRACE_ANALYZER_SYMBOLS_ELF_IMAGE_H_
#define IPCTRACE_ANALYZER_SYMBOLS_ELF_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ipctrace {

// The binary search table of call frame information (.eh_frame_hdr), in link-time addresses.
struct UnwindTable {
  uint64_t header = 0;  // of .eh_frame_hdr: what the table's entries are relative to
  uint64_t table = 0;   // of the first entry
  uint64_t count = 0;   // entries of 8 bytes; 0: there is none that can be used
};

class ElfImage {
 public:
  // Opens a 64-bit x86 ELF file. Null where `path` is not one that can be read.
  static std::unique_ptr<ElfImage> Open(const std::string& path);
  ~ElfImage();
  ElfImage(const ElfImage&) = delete;

  const std::string& path() const { return path_; }
  // The file's bytes. They may be altered (libelf wants them so): they are this process's own.
  char* data() const { return data_; }
  size_t size() const { return size_; }
  const UnwindTable& unwind_table() const { return unwind_table_; }

  // Copies `n` bytes from the link-time address `address` of a loaded segment; false where that
  // is not in the file.
  bool Read(uint64_t address, void* to, size_t n) const;
  // Whether two link-time addresses are in the same piece of code with call frame information of
  // its own: a function, or the part of one that a compiler set apart as seldom run.
  bool InOneFunction(uint64_t a, uint64_t b) const;

 private:
  struct Segment {
    uint64_t address, offset, size;
  };

  ElfImage() = default;
  bool Parse();
  void ParseUnwindTable(uint64_t header, uint64_t size);
  // How many of the unwind table's functions start at the address or before it.
  uint64_t StartsUpTo(uint64_t address) const;

  std::string path_;
  char* data_ = nullptr;
  size_t size_ = 0;
  bool mapped_ = false;
  std::vector<Segment> segments_;
  UnwindTable unwind_table_;
};

// Whether the path is in a directory of the system's libraries (/lib, /usr/lib, /lib64 ...).
bool InSystemLibraries(std::string_view path);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_SYMBOLS_ELF_IMAGE_H_
