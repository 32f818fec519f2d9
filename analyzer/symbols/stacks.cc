#include "analyzer/symbols/stacks.h"

#include <ctype.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "analyzer/symbols/elf_image.h"
#include "analyzer/symbols/fork_copies.h"
#include "analyzer/symbols/symbolizer.h"
#include "analyzer/symbols/unwinder.h"
#include "preload/trace/calls.h"
#include "preload/trace/format.h"

namespace ipctrace {
namespace {

// Copies of stacks are unwound when somebody asks, which for most nobody does. Past this many
// bytes of copies all are, and only the return addresses kept.
constexpr size_t kMaxPendingBytes = size_t{32} << 20;

std::string_view BaseName(std::string_view path) {
  return path.substr(path.rfind('/') + 1);  // npos + 1 is 0
}

bool IsSystemModule(const Module& module) {
  if (module.executable) return false;
  if (module.path.empty() || module.path[0] != '/' || InSystemLibraries(module.path)) return true;
  // A toolchain's own runtime, wherever it is installed.
  const std::string_view name = BaseName(module.path);
  for (const std::string_view prefix :
       {"libipctrace.so", "libc.so", "libstdc++.so", "libc++.so", "libc++abi.so", "libgcc_s.so",
        "ld-linux", "libpthread", "libasan.so", "libtsan.so", "libubsan.so", "liblsan.so"}) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

bool IsSystemHeader(std::string_view file) {
  return file.starts_with("/usr/include/") || file.starts_with("/usr/lib/gcc/") ||
         file.starts_with("/usr/lib/llvm") || file.starts_with("/usr/lib/clang/");
}

// Code that the compiler's driver links into every program, and the sanitizers' interceptors that
// clang links into it statically.
bool IsRuntimeFunction(std::string_view name) {
  for (const std::string_view prefix : {"__interceptor_", "___interceptor_", "__asan_", "__tsan_",
                                        "__ubsan_", "__msan_", "__sanitizer_"}) {
    if (name.starts_with(prefix)) return true;
  }
  return name == "_start" || name.starts_with("__sanitizer::") || name.starts_with("__asan::") ||
         name.starts_with("__tsan::");
}

// Whether a function is the program's thin cover of a libc call, by the ways in which such covers
// are named: Close, xclose, safe_close, close_or_die. The caller's line tells more than the one
// line on which all of the program's closes are made.
bool IsWrapperName(std::string_view function) {
  const size_t parenthesis = function.find('(');
  if (parenthesis != std::string_view::npos) function = function.substr(0, parenthesis);
  static const auto* const kNames = [] {
    auto* names = new absl::flat_hash_map<std::string, bool>;
    for (size_t i = 0; i < kCallCount; ++i) {
      if (kCallOps[i] > Op::kStreamState) names->emplace(NameOf(static_cast<Call>(i)), true);
    }
    return names;
  }();
  std::string lower;
  for (const char c : function) lower += static_cast<char>(tolower(static_cast<unsigned char>(c)));
  if (lower != function && kNames->contains(lower)) return true;  // Close
  for (const std::string_view prefix : {"x", "safe_", "checked_", "must_"}) {
    if (lower.starts_with(prefix) && kNames->contains(lower.substr(prefix.size()))) return true;
  }
  for (const std::string_view suffix : {"_or_die", "_or_exit", "_checked", "_safe", "_wrapper"}) {
    if (lower.ends_with(suffix) &&
        kNames->contains(lower.substr(0, lower.size() - suffix.size()))) {
      return true;
    }
  }
  return false;
}

}  // namespace

struct Stacks::Impl {
  // An ELF file as it was when a process loaded it. A path may come to name another file later.
  using FileKey = std::tuple<std::string, dev_t, ino_t, int64_t /* mtime, ns */>;

  struct File {
    std::shared_ptr<const ElfImage> image;
    std::unique_ptr<Symbolizer> symbolizer;
    absl::flat_hash_map<uint64_t, FrameList> frames;  // by link-time address
    // By the call and what was called: its address, or its symbol.
    absl::flat_hash_map<std::tuple<uint64_t, uint64_t, std::string_view>, std::vector<uint64_t>>
        jumps;
  };

  struct Stack {
    std::shared_ptr<const ModuleMap> modules;
    std::string blob;             // until it is unwound
    std::vector<uint64_t> calls;  // afterwards
    std::string_view called;      // by the innermost of them
    bool unwound = false;
    uint64_t sp = 0;  // where it was taken: deeper in a recursion it is another
    bool named = false;
    uint32_t place = 0;
    FrameList frames;
  };

  absl::flat_hash_map<FileKey, std::shared_ptr<const ElfImage>> images;
  absl::flat_hash_map<const ElfImage*, std::unique_ptr<File>> files;
  // What is outside of them: (path, whether it is the program, link-time address).
  absl::flat_hash_map<std::tuple<std::string, bool, uint64_t>, FrameList> unreadable;
  absl::flat_hash_map<uint32_t, std::shared_ptr<const ModuleMap>> processes;
  absl::node_hash_map<uint32_t, Stack> stacks;
  std::vector<uint32_t> pending;
  size_t pending_bytes = 0;

  std::shared_ptr<const ElfImage> OpenImage(const std::string& path) {
    struct stat status;
    if (path.empty() || path[0] != '/' || stat(path.c_str(), &status) != 0) return nullptr;
    const int64_t mtime = status.st_mtim.tv_sec * int64_t{1000000000} + status.st_mtim.tv_nsec;
    auto [it, is_new] = images.try_emplace(FileKey(path, status.st_dev, status.st_ino, mtime));
    if (is_new) it->second = ElfImage::Open(path);
    return it->second;
  }

  void UnwindStack(Stack* stack) {
    if (stack->unwound) return;
    stack->unwound = true;
    if (stack->modules != nullptr) stack->calls = Unwind(*stack->modules, stack->blob);
    pending_bytes -= stack->blob.size();
    std::string().swap(stack->blob);
  }

  // Of a module whose image can be read.
  File& FileOf(const Module& module) {
    std::unique_ptr<File>& file = files[module.image.get()];
    if (file == nullptr) {
      file = std::make_unique<File>();
      file->image = module.image;
      file->symbolizer = std::make_unique<Symbolizer>(module.image, !IsSystemModule(module));
    }
    return *file;
  }

  // `module` is null for an address in none.
  const FrameList& FramesAt(const Module* module, uint64_t call) {
    if (module == nullptr || module->image == nullptr) return UnreadableAt(module, call);
    const uint64_t address = call - module->bias;
    File& file = FileOf(*module);
    auto [it, is_new] = file.frames.try_emplace(address);
    if (!is_new) return it->second;
    const bool system = IsSystemModule(*module);
    for (Frame& frame : file.symbolizer->Lookup(address)) {
      frame.module = module->path;
      frame.offset = address;
      frame.user = !system && !IsSystemHeader(frame.file) && !IsRuntimeFunction(frame.function);
      it->second.push_back(std::make_shared<const Frame>(std::move(frame)));
    }
    return it->second;
  }

  const FrameList& UnreadableAt(const Module* module, uint64_t call) {
    static const FrameList* const kNowhere = new FrameList{std::make_shared<const Frame>()};
    if (module == nullptr) return *kNowhere;
    const uint64_t address = call - module->bias;
    FrameList& frames = unreadable[{module->path, module->executable, address}];
    if (frames.empty()) {
      Frame frame;
      frame.module = module->path;
      frame.offset = address;
      frame.user = !IsSystemModule(*module);
      frames.push_back(std::make_shared<const Frame>(std::move(frame)));
    }
    return frames;
  }

  void AddFrames(const Module* module, uint64_t call, FrameList* to) {
    const FrameList& frames = FramesAt(module, call);
    to->insert(to->end(), frames.begin(), frames.end());
  }

  // Whether libc's call with this index is the one that calls main: the outermost of libc's.
  bool CallsMain(const Stack& stack, size_t index) {
    const Module* module = stack.modules->Find(stack.calls[index]);
    for (size_t i = index; i < stack.calls.size() && i <= index + 1; ++i) {
      if (stack.modules->Find(stack.calls[i]) != module) return false;
      if (FramesAt(module, stack.calls[i]).back()->function == "__libc_start_main") return true;
    }
    return false;
  }

  // The calls that were jumps between the call with this index, in `module`, and what is inside it,
  // in `inner`.
  void AddJumps(Stack* stack, size_t index, const Module* module, const Module* inner) {
    if (module == nullptr || module->image == nullptr) return;
    uint64_t call = stack->calls[index] - module->bias;
    if (IsSystemModule(*module)) {
      const Module* program = stack->modules->program();
      if (program == nullptr || program->image == nullptr || (index != 0 && inner != program) ||
          !CallsMain(*stack, index)) {
        return;
      }
      module = program;
      call = 0;
    }
    Symbolizer::Callee callee;
    if (index == 0) {
      if (stack->called.empty()) return;
      callee.symbol = stack->called;
    } else {
      if (inner != module) return;
      callee.address = stack->calls[index - 1] - module->bias;
    }
    for (const uint64_t jump : JumpsTo(FileOf(*module), call, callee)) {
      AddFrames(module, jump + module->bias, &stack->frames);
    }
  }

  static const std::vector<uint64_t>& JumpsTo(File& file, uint64_t call,
                                              const Symbolizer::Callee& callee) {
    auto [it, is_new] = file.jumps.try_emplace({call, callee.address, callee.symbol});
    if (is_new) it->second = file.symbolizer->Jumps(call, callee);
    return it->second;
  }

  Stack* Find(uint32_t id) {
    const auto it = stacks.find(id);
    if (it == stacks.end()) return nullptr;
    Stack& stack = it->second;
    if (stack.named) return &stack;
    stack.named = true;
    UnwindStack(&stack);
    const Module* inner = nullptr;
    for (size_t i = 0; i < stack.calls.size(); ++i) {
      const Module* module = stack.modules->Find(stack.calls[i]);
      AddJumps(&stack, i, module, inner);
      AddFrames(module, stack.calls[i], &stack.frames);
      inner = module;
    }
    stack.frames.shrink_to_fit();
    stack.place = ChoosePlace(stack.frames);
    return &stack;
  }

  // The file that both places lie in, where no debug information tells their lines. Null: none.
  const ElfImage* SharedWithoutLines(const Frame& a, const Frame& b, const Stack& stack) const {
    if (a.line != 0 || b.line != 0 || a.module != b.module) return nullptr;
    for (const uint64_t call : stack.calls) {
      const Module* module = stack.modules->Find(call);
      if (module != nullptr && module->path == a.module) return module->image.get();
    }
    return nullptr;
  }

  static uint32_t ChoosePlace(const FrameList& frames) {
    uint32_t place = 0;
    while (place < frames.size() && !frames[place]->user) ++place;
    if (place == frames.size()) return 0;
    if (IsWrapperName(frames[place]->function)) {
      for (uint32_t caller = place + 1; caller < frames.size(); ++caller) {
        if (frames[caller]->user) return caller;
      }
    }
    return place;
  }
};

Stacks::Stacks() : impl_(new Impl) {}
Stacks::~Stacks() = default;

void Stacks::SetModules(uint32_t process, std::string_view text) {
  impl_->processes[process] = std::make_shared<ModuleMap>(
      text, [this](const std::string& path) { return impl_->OpenImage(path); });
}

void Stacks::CopyModules(uint32_t parent, uint32_t child) {
  const auto it = impl_->processes.find(parent);
  if (it == impl_->processes.end()) return;
  std::shared_ptr<const ModuleMap> modules = it->second;
  impl_->processes[child] = std::move(modules);
}

void Stacks::Add(uint32_t id, uint32_t process, std::string_view blob, std::string_view called) {
  const auto modules = impl_->processes.find(process);
  auto [it, is_new] = impl_->stacks.try_emplace(id);
  if (!is_new) return;
  if (modules != impl_->processes.end()) it->second.modules = modules->second;
  it->second.blob = blob;
  it->second.called = called;
  if (blob.size() >= sizeof(StackCopy)) {
    StackCopy copy;
    std::memcpy(&copy, blob.data(), sizeof(copy));
    it->second.sp = copy.rsp;
  }
  impl_->pending_bytes += blob.size();
  impl_->pending.push_back(id);
  if (impl_->pending_bytes < kMaxPendingBytes) return;
  for (const uint32_t waiting : impl_->pending) impl_->UnwindStack(&impl_->stacks[waiting]);
  impl_->pending.clear();
}

const FrameList& Stacks::Frames(uint32_t id) {
  static const FrameList* const kNone = new FrameList;
  const Impl::Stack* stack = impl_->Find(id);
  return stack == nullptr ? *kNone : stack->frames;
}

int Stacks::PlaceIndex(uint32_t id) {
  const Impl::Stack* stack = impl_->Find(id);
  return stack == nullptr || stack->frames.empty() ? -1 : static_cast<int>(stack->place);
}

const Frame* Stacks::Place(uint32_t id) {
  const Impl::Stack* stack = impl_->Find(id);
  return stack == nullptr || stack->frames.empty() ? nullptr : stack->frames[stack->place].get();
}

bool Stacks::SamePlace(uint32_t a, uint32_t b) {
  if (a == b) return true;
  const Frame* const place_a = Place(a);
  const Frame* const place_b = Place(b);
  if (place_a == nullptr || place_b == nullptr || place_a->module != place_b->module) return false;
  if (place_a->offset == place_b->offset) return true;
  if (place_a->line != 0) {
    return place_a->line == place_b->line && place_a->file == place_b->file &&
           place_a->function == place_b->function;
  }
  const Impl::Stack& stack = *impl_->Find(a);
  if (stack.called != "fork" || impl_->Find(b)->called != "fork") return false;
  const ElfImage* const image = impl_->SharedWithoutLines(*place_a, *place_b, stack);
  return image != nullptr && AreCopiesOfOneFork(*image, place_a->offset, place_b->offset);
}

bool Stacks::MayBeSamePlace(uint32_t a, uint32_t b) {
  if (SamePlace(a, b)) return true;
  const Frame* const place_a = Place(a);
  const Frame* const place_b = Place(b);
  if (place_a == nullptr || place_b == nullptr) return false;
  const ElfImage* const image = impl_->SharedWithoutLines(*place_a, *place_b, *impl_->Find(a));
  return image != nullptr && image->InOneFunction(place_a->offset, place_b->offset);
}

bool Stacks::SameStack(uint32_t a, uint32_t b) {
  if (a == b) return true;
  const Impl::Stack* const stack_a = impl_->Find(a);
  const Impl::Stack* const stack_b = impl_->Find(b);
  if (stack_a == nullptr || stack_b == nullptr || stack_a->sp != stack_b->sp) return false;
  const std::vector<uint64_t>&calls_a = stack_a->calls, &calls_b = stack_b->calls;
  if (calls_a.empty() || calls_a.size() != calls_b.size()) return false;
  if (!std::equal(calls_a.begin() + 1, calls_a.end(), calls_b.begin() + 1)) return false;
  // The innermost call may have been compiled to several copies.
  return calls_a[0] == calls_b[0] || SamePlace(a, b);
}

}  // namespace ipctrace
