// Captured stacks, and the places in source they stand for.
#ifndef IPCTRACE_ANALYZER_SYMBOLS_STACKS_H_
#define IPCTRACE_ANALYZER_SYMBOLS_STACKS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ipctrace {

struct Frame {
  std::string module;     // path of the ELF file; empty: unknown
  uint64_t offset = 0;    // of the call (return address - 1) in the module: its link-time address
  std::string function;   // demangled; empty: unknown
  std::string file;       // as the debug information has it; empty: none
  std::string directory;  // where a relative `file` starts: the compiler's working directory
  int line = 0;
  bool user = false;  // the user's own code: not a system library's, not a header's inline of one
};

// Innermost first; inlined functions are frames of their own, and so are those whose last call was
// compiled to a jump, where it is sure which they were. Stacks that come by the same call share its
// frame.
using FrameList = std::vector<std::shared_ptr<const Frame>>;

// Keeps copies of stacks and unwinds and symbolizes them when asked. Not thread-safe.
class Stacks {
 public:
  Stacks();
  ~Stacks();

  // What is loaded in a process (text of a [Modules] blob, preload/trace/format.h), from now on.
  void SetModules(uint32_t process, std::string_view text);
  // `child` was forked from `parent`: it has the same modules until it says otherwise.
  void CopyModules(uint32_t parent, uint32_t child);
  // A captured stack: `blob` is a BlobTag::kStack. `called`, which outlives this, is the symbol of
  // the function whose call it was taken at; empty: not known.
  void Add(uint32_t id, uint32_t process, std::string_view blob, std::string_view called = "");

  // Empty for an unknown id. The reference is valid until the next non-const call.
  const FrameList& Frames(uint32_t id);
  // The frame a report points at: the innermost of the user's own code, else the innermost. Null
  // for an unknown id. Valid as long as this is.
  const Frame* Place(uint32_t id);
  // Its index in Frames; -1 for an unknown id.
  int PlaceIndex(uint32_t id);
  // Whether the places of both stacks are the same: the same code address in the same module, or
  // (a line may be compiled to several copies) the same line of the same function. Without debug
  // information, also two calls of fork that are copies of one by their code (fork_copies.h).
  bool SamePlace(uint32_t a, uint32_t b);
  // Whether they are, or lie in one function whose lines are not known: could be copies of one
  // line.
  bool MayBeSamePlace(uint32_t a, uint32_t b);
  // Whether they are the same calls at the same depth, in one process or in a process and its fork:
  // a recursion that comes by the same line again is another stack.
  bool SameStack(uint32_t a, uint32_t b);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_SYMBOLS_STACKS_H_
