// Whether two calls of fork are copies that a compiler made of one, where no debug information
// says.
//
// An optimiser unrolls loops and splits paths: one `fork()` of the source may stand several times
// in the code. What can be told from code alone is where the child goes on: with 0 in rax, the test
// of the result is decided. Two calls in one function whose children go on at the same instruction
// fork children for the same work.
#ifndef IPCTRACE_ANALYZER_SYMBOLS_FORK_COPIES_H_
#define IPCTRACE_ANALYZER_SYMBOLS_FORK_COPIES_H_

#include <cstdint>

#include "analyzer/symbols/elf_image.h"

namespace ipctrace {

// Both link-time addresses within the calls' last bytes (return address - 1). False also where the
// code is not of a kind that is understood.
bool AreCopiesOfOneFork(const ElfImage& image, uint64_t call_a, uint64_t call_b);

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_SYMBOLS_FORK_COPIES_H_
