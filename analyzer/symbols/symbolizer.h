// From code addresses to functions, files and lines.
#ifndef IPCTRACE_ANALYZER_SYMBOLS_SYMBOLIZER_H_
#define IPCTRACE_ANALYZER_SYMBOLS_SYMBOLIZER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "analyzer/symbols/elf_image.h"
#include "analyzer/symbols/stacks.h"

namespace ipctrace {

// The symbols of one ELF file; loaded when first asked. Not thread-safe.
class Symbolizer {
 public:
  // With `want_lines` false the debug information is left alone (libc's costs 50 ms to load, and
  // nobody wants to see a line of it).
  Symbolizer(std::shared_ptr<const ElfImage> image, bool want_lines);
  ~Symbolizer();

  // The functions at a link-time address, the innermost inlined one first; at least one frame.
  // Fills function, file, directory and line as far as they are known.
  std::vector<Frame> Lookup(uint64_t address);

  // Whether the file has debug information at all.
  bool HasLines();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_SYMBOLS_SYMBOLIZER_H_
