// From code addresses to functions, files and lines.
#ifndef IPCTRACE_ANALYZER_SYMBOLS_SYMBOLIZER_H_
#define IPCTRACE_ANALYZER_SYMBOLS_SYMBOLIZER_H_

#include <cstdint>
#include <memory>
#include <string_view>
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

  // Where a call came to in the end: at an address of this file, or (0) in a function of another
  // file, by its symbol.
  struct Callee {
    uint64_t address = 0;
    std::string_view symbol;
  };
  // The calls that the optimiser made into jumps, between the call at `call` (return address - 1;
  // 0: the beginning of main) and `callee`, innermost first; see tail_calls.h. All are link-time
  // addresses.
  std::vector<uint64_t> Jumps(uint64_t call, const Callee& callee);

  // Whether the file has debug information at all.
  bool HasLines();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_SYMBOLS_SYMBOLIZER_H_
