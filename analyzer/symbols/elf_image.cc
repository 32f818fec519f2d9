#include "analyzer/symbols/elf_image.h"

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ipctrace {
namespace {

// Of .eh_frame_hdr: the only encodings that linkers write, and libunwind's search can read.
constexpr uint8_t kUdata4 = 0x03;
constexpr uint8_t kDatarelSdata4 = 0x3b;

bool ReadAll(int fd, char* to, size_t size) {
  for (size_t done = 0; done < size;) {
    const ssize_t got = pread(fd, to + done, size - done, static_cast<off_t>(done));
    if (got <= 0) return false;
    done += static_cast<size_t>(got);
  }
  return true;
}

}  // namespace

bool InSystemLibraries(std::string_view path) {
  for (const std::string_view directory : {"/lib/", "/usr/lib/", "/lib64/", "/usr/lib64/",
                                           "/lib32/", "/usr/lib32/", "/usr/libexec/"}) {
    if (path.substr(0, directory.size()) == directory) return true;
  }
  return false;
}

std::unique_ptr<ElfImage> ElfImage::Open(const std::string& path) {
  // Non-blocking, since a path from the traced program may name anything, a FIFO too.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return nullptr;
  struct stat status;
  std::unique_ptr<ElfImage> image(new ElfImage);
  bool ok = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
            static_cast<size_t>(status.st_size) > sizeof(Elf64_Ehdr);
  if (ok) {
    image->path_ = path;
    image->size_ = static_cast<size_t>(status.st_size);
    // What lies under /usr is replaced by renaming, and is mapped. Other files may be written over
    // in place (cp of a fresh build), and a mapping would then end in SIGBUS: those are read, as
    // far as their size allows.
    image->mapped_ = image->size_ > (size_t{256} << 20) || path.compare(0, 5, "/usr/") == 0 ||
                     InSystemLibraries(path);
    if (image->mapped_) {
      void* memory = mmap(nullptr, image->size_, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
      image->data_ = memory == MAP_FAILED ? nullptr : static_cast<char*>(memory);
      ok = image->data_ != nullptr;
    } else {
      image->data_ = static_cast<char*>(malloc(image->size_));
      ok = image->data_ != nullptr && ReadAll(fd, image->data_, image->size_);
    }
  }
  close(fd);
  if (!ok || !image->Parse()) return nullptr;
  return image;
}

ElfImage::~ElfImage() {
  if (mapped_ && data_ != nullptr) munmap(data_, size_);
  if (!mapped_) free(data_);
}

bool ElfImage::Parse() {
  Elf64_Ehdr header;
  memcpy(&header, data_, sizeof(header));
  if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_machine != EM_X86_64 || header.e_phentsize != sizeof(Elf64_Phdr)) {
    return false;
  }
  const uint64_t table = header.e_phnum * sizeof(Elf64_Phdr);
  if (header.e_phoff > size_ || table > size_ - header.e_phoff) return false;
  Elf64_Phdr eh_frame{};
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    memcpy(&segment, data_ + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_type == PT_LOAD && segment.p_offset <= size_ &&
        segment.p_filesz <= size_ - segment.p_offset) {
      segments_.push_back({segment.p_vaddr, segment.p_offset, segment.p_filesz});
    }
    if (segment.p_type == PT_GNU_EH_FRAME) eh_frame = segment;
  }
  if (eh_frame.p_type == PT_GNU_EH_FRAME) ParseUnwindTable(eh_frame.p_vaddr, eh_frame.p_memsz);
  return true;
}

void ElfImage::ParseUnwindTable(uint64_t header, uint64_t size) {
  uint8_t start[12];  // version, three encodings, address of .eh_frame, number of entries
  if (size < sizeof(start) || !Read(header, start, sizeof(start))) return;
  const bool four_byte_pointer = (start[1] & 0x0f) == 0x03 || (start[1] & 0x0f) == 0x0b;
  if (start[0] != 1 || !four_byte_pointer || start[2] != kUdata4 || start[3] != kDatarelSdata4) {
    return;
  }
  uint32_t count;
  memcpy(&count, start + 8, sizeof(count));
  unwind_table_ = {header, header + sizeof(start),
                   count <= (size - sizeof(start)) / 8 ? count : (size - sizeof(start)) / 8};
}

bool ElfImage::Read(uint64_t address, void* to, size_t n) const {
  for (const Segment& segment : segments_) {
    const uint64_t offset = address - segment.address;
    if (offset < segment.size && n <= segment.size - offset) {
      memcpy(to, data_ + segment.offset + offset, n);
      return true;
    }
  }
  return false;
}

uint64_t ElfImage::StartsUpTo(uint64_t address) const {
  uint64_t low = 0, high = unwind_table_.count;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    int32_t start = 0;  // relative to the header; sorted
    if (!Read(unwind_table_.table + 8 * middle, &start, sizeof(start))) return 0;
    if (unwind_table_.header + start <= address) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

bool ElfImage::InOneFunction(uint64_t a, uint64_t b) const {
  const uint64_t function = StartsUpTo(a);
  return function != 0 && function == StartsUpTo(b);
}

}  // namespace ipctrace
