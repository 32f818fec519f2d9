// From the copy of a stack to return addresses.
#ifndef IPCTRACE_ANALYZER_SYMBOLS_UNWINDER_H_
#define IPCTRACE_ANALYZER_SYMBOLS_UNWINDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "analyzer/symbols/elf_image.h"

namespace ipctrace {

struct Module {
  uint64_t bias = 0;  // load address less link-time address
  uint64_t start = 0, end = 0;
  std::string path;
  bool executable = false;                // the program itself
  std::shared_ptr<const ElfImage> image;  // null: the file cannot be read
};

// What a process had loaded, by address.
class ModuleMap {
 public:
  // `text`: lines "<load bias hex> <start hex> <end hex> <path>\n"; the first is the program. What
  // is not such a line is passed over. `open_image` opens files, and is asked once a line.
  template <typename OpenImage>
  ModuleMap(std::string_view text, const OpenImage& open_image);

  const Module* Find(uint64_t address) const;
  // The program itself; null where it is not known.
  const Module* program() const;
  // Another one for each that is made.
  uint64_t id() const { return id_; }

 private:
  static bool ParseLine(std::string_view line, Module* module);
  static uint64_t NewId();
  void Sort();
  uint64_t id_ = NewId();
  std::vector<Module> modules_;
};

// The addresses of the calls that were active, innermost first: return addresses less one (but
// the interrupted instruction itself where a signal handler stands inside), so that each lies in
// the call. `blob` is a BlobTag::kStack (preload/trace/format.h).
//
// Where the copy ends too early, or unwind information is missing or makes no sense, the walk ends:
// what is returned is right as far as it goes.
std::vector<uint64_t> Unwind(const ModuleMap& modules, std::string_view blob);

template <typename OpenImage>
ModuleMap::ModuleMap(std::string_view text, const OpenImage& open_image) {
  for (bool first = true; !text.empty();) {
    const size_t newline = text.find('\n');
    Module module;
    if (ParseLine(text.substr(0, newline), &module)) {
      module.executable = first;
      module.image = open_image(module.path);
      modules_.push_back(std::move(module));
    }
    first = false;
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
  }
  Sort();
}

}  // namespace ipctrace

#endif  // IPCTRACE_ANALYZER_SYMBOLS_UNWINDER_H_
