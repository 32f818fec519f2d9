// Calls that an optimiser made into jumps, and that so left no frame on the stack.
//
//   int close_it(int fd) { return close(fd); }     // jmp close
//   int main(void) { close_it(3); }                // call close_it
//
// The return address that `close` finds is main's. The debug information has each call that a
// function makes, with what it calls and whether it is a jump: main's call there is of close_it,
// not of close, and the one jump from close_it to close is how it must have come there. Where there
// is no such way, or more than one, or a jump through a pointer that may lead anywhere, nothing is
// said.
#ifndef IPCTRACE_ANALYZER_SYMBOLS_TAIL_CALLS_H_
#define IPCTRACE_ANALYZER_SYMBOLS_TAIL_CALLS_H_

#include <elfutils/libdw.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"

namespace ipctrace {

// Over the compilation units of one file. Reads what it is asked for, once. Not thread-safe.
class TailCalls {
 public:
  // `units`: the entries that hold the functions. They outlive this.
  explicit TailCalls(std::vector<Dwarf_Die> units) : units_(std::move(units)) {}

  // What was called in the end: a function of the file, or one from outside, by its symbol's name.
  struct Target {
    const Dwarf_Die* function = nullptr;
    std::string_view name;
  };

  // The jumps between the call in `caller` that returns to `return_address` and `target`, as
  // link-time addresses within each of the calls, innermost first. Empty where there are none, or
  // none can be told for sure.
  std::vector<uint64_t> Jumps(const Dwarf_Die& caller, uint64_t return_address,
                              const Target& target);
  // The same from the beginning of the function that a symbol of this name stands for.
  std::vector<uint64_t> JumpsFrom(std::string_view function, const Target& target);

 private:
  struct CallSite {
    uint64_t address;         // within the call
    uint64_t return_address;  // 0: not known, as for clang's jumps
    bool jump;
    bool direct;
    Dwarf_Die callee;  // if direct
  };
  struct Search;

  const std::vector<CallSite>& SitesOf(const Dwarf_Die& function);
  static void AddSites(Dwarf_Die* parent, std::vector<CallSite>* sites);
  // The code of a function: several copies where the optimiser cloned it, none where it is not in
  // this file.
  const std::vector<Dwarf_Die>& CodeOf(const Dwarf_Die& function);
  void LoadFunctions();
  void AddFunctions(Dwarf_Die* parent);
  bool IsTarget(const Dwarf_Die& callee, const Target& target);
  void Follow(const Dwarf_Die& function, const Target& target, Search* search);
  void FollowCallee(const Dwarf_Die& callee, const Target& target, Search* search);

  std::vector<Dwarf_Die> units_;
  // By the address of the entry in memory, which is the same however it was come by.
  absl::node_hash_map<const void*, std::vector<CallSite>> sites_;
  bool functions_loaded_ = false;
  absl::flat_hash_map<const void*, std::vector<Dwarf_Die>> by_entry_;
  absl::flat_hash_map<std::string, std::vector<Dwarf_Die>> by_name_;
};

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_SYMBOLS_TAIL_CALLS_H_
