// Why unwinding is done here, and not in the traced program: libunwind in the program costs
// 120 ns a call when warm, 4-5 us and eight rt_sigprocmask calls when cold, takes the loader's
// lock (no friend of signal handlers and of children forked from threads), and adds 160-230 us to
// every exec. A copy of the registers and of at most 4 KiB of stack, taken once for each new call
// path, needs nothing foreign in the program. It is also enough: the innermost frames, which a
// report points at, are right even where the copy ends in the middle of the stack.
//
// libunwind's remote interface then does the walk. It asks for memory and registers through the
// functions below, and we answer from the copy (stack) and from the ELF files (code and unwind
// tables), since no such process need exist any more.
#include "analyzer/symbols/unwinder.h"

#include <libunwind-x86_64.h>
#include <string.h>

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "preload/trace/format.h"
#include "preload/trace/stack_copy.h"

// libunwind exports it (perf and others rely on that) but no header declares it.
extern "C" int _Ux86_64_dwarf_search_unwind_table(unw_addr_space_t, unw_word_t ip, unw_dyn_info_t*,
                                                  unw_proc_info_t*, int need_unwind_info,
                                                  void* arg);

namespace ipctrace {
namespace {

constexpr size_t kMaxFrames = 256;

// What a walk read of what it was given, besides rip and rsp: all that its result can depend on.
struct Reads {
  struct Word {
    uint64_t offset, value;  // from rsp, in bytes
  };
  struct Register {
    uint64_t StackCopy::*which;
    uint64_t value;
  };
  std::vector<Word> words;
  std::vector<Register> registers;
};

struct Walk {
  const ModuleMap* modules;
  StackCopy registers;
  std::string stack;            // bytes from registers.rsp upwards
  bool no_information = false;  // a frame without unwind information was met
  Reads reads;

  bool ReadStack(uint64_t offset, uint64_t* value) const {
    if (offset >= stack.size() || stack.size() - offset < sizeof(*value)) return false;
    memcpy(value, stack.data() + offset, sizeof(*value));
    return true;
  }
  bool WouldRead(const Reads& known) const {
    return std::all_of(known.registers.begin(), known.registers.end(),
                       [&](const auto& read) { return registers.*read.which == read.value; }) &&
           std::all_of(known.words.begin(), known.words.end(), [&](const auto& read) {
             uint64_t value = 0;
             return ReadStack(read.offset, &value) && value == read.value;
           });
  }
};

// Walks that were made: many children that were forked alike have stacks that differ only in what
// no walk reads. libunwind takes 1 us a frame, and three system calls.
class Memo {
 public:
  // Null: not known. Valid until the next Add.
  const std::vector<uint64_t>* Find(const Walk& walk) const {
    const auto it = known_.find(KeyOf(walk));
    if (it == known_.end()) return nullptr;
    for (const Known& known : it->second) {
      if (walk.WouldRead(known.reads)) return &known.calls;
    }
    return nullptr;
  }
  void Add(Walk walk, const std::vector<uint64_t>& calls) {
    if (known_.size() >= kMostKeys) known_.clear();
    std::vector<Known>& known = known_[KeyOf(walk)];
    if (known.size() < kMostOfOne) known.push_back({std::move(walk.reads), calls});
  }

 private:
  static constexpr size_t kMostKeys = 1024, kMostOfOne = 8;
  struct Known {
    Reads reads;
    std::vector<uint64_t> calls;
  };
  // Modules, rip, rsp, and how much of the stack there is.
  using Key = std::tuple<uint64_t, uint64_t, uint64_t, size_t>;
  static Key KeyOf(const Walk& walk) {
    return {walk.modules->id(), walk.registers.rip, walk.registers.rsp, walk.stack.size()};
  }
  absl::flat_hash_map<Key, std::vector<Known>> known_;
};

int FindProcInfo(unw_addr_space_t space, unw_word_t ip, unw_proc_info_t* info, int need_unwind_info,
                 void* arg) {
  Walk* walk = static_cast<Walk*>(arg);
  const Module* module = walk->modules->Find(ip);
  if (module == nullptr || module->image == nullptr || module->image->unwind_table().count == 0) {
    walk->no_information = true;
    return -UNW_ENOINFO;
  }
  const UnwindTable& table = module->image->unwind_table();
  unw_dyn_info_t tables{};
  tables.format = UNW_INFO_FORMAT_REMOTE_TABLE;
  tables.start_ip = module->start;
  tables.end_ip = module->end;
  tables.u.rti.segbase = module->bias + table.header;
  tables.u.rti.table_data = module->bias + table.table;
  tables.u.rti.table_len = table.count;  // in words of 8 bytes, as large as an entry
  const int error =
      _Ux86_64_dwarf_search_unwind_table(space, ip, &tables, info, need_unwind_info, arg);
  if (error < 0) walk->no_information = true;
  return error;
}

// libunwind takes the structure it hands out from a pool of its own that it gives nobody access
// to: some hundred bytes a frame stay taken. Stacks unwinds only what a report needs, and once.
void PutUnwindInfo(unw_addr_space_t, unw_proc_info_t*, void*) {}

int GetDynInfoListAddr(unw_addr_space_t, unw_word_t*, void*) { return -UNW_ENOINFO; }

int AccessMemory(unw_addr_space_t, unw_word_t address, unw_word_t* value, int write, void* arg) {
  if (write) return -UNW_EINVAL;
  Walk* walk = static_cast<Walk*>(arg);
  const uint64_t offset = address - walk->registers.rsp;
  if (walk->ReadStack(offset, value)) {
    walk->reads.words.push_back({offset, *value});
    return 0;
  }
  const Module* module = walk->modules->Find(address);
  if (module == nullptr || module->image == nullptr) return -UNW_EINVAL;
  // The last word of a segment may be cut off by its end.
  char bytes[sizeof(*value)] = {};
  if (!module->image->Read(address - module->bias, bytes, sizeof(bytes))) {
    size_t n = 0;
    while (n < sizeof(bytes) && module->image->Read(address - module->bias + n, bytes + n, 1)) ++n;
    if (n == 0) return -UNW_EINVAL;
  }
  memcpy(value, bytes, sizeof(bytes));
  return 0;
}

int AccessRegister(unw_addr_space_t, unw_regnum_t number, unw_word_t* value, int write, void* arg) {
  if (write) return -UNW_EREADONLYREG;
  Walk* walk = static_cast<Walk*>(arg);
  uint64_t StackCopy::*which;
  switch (number) {
    // An address in the call itself, where the return address may lie behind the function's end.
    case UNW_X86_64_RIP:
      *value = walk->registers.rip - 1;
      return 0;
    case UNW_X86_64_RSP:
      *value = walk->registers.rsp;
      return 0;
    case UNW_X86_64_RBP:
      which = &StackCopy::rbp;
      break;
    case UNW_X86_64_RBX:
      which = &StackCopy::rbx;
      break;
    case UNW_X86_64_R12:
      which = &StackCopy::r12;
      break;
    case UNW_X86_64_R13:
      which = &StackCopy::r13;
      break;
    case UNW_X86_64_R14:
      which = &StackCopy::r14;
      break;
    case UNW_X86_64_R15:
      which = &StackCopy::r15;
      break;
    default:
      return -UNW_EBADREG;  // a call does not preserve the others
  }
  *value = walk->registers.*which;
  walk->reads.registers.push_back({which, *value});
  return 0;
}

int AccessFloat(unw_addr_space_t, unw_regnum_t, unw_fpreg_t*, int, void*) { return -UNW_EBADREG; }
int Resume(unw_addr_space_t, unw_cursor_t*, void*) { return -UNW_EINVAL; }
int GetProcName(unw_addr_space_t, unw_word_t, char*, size_t, unw_word_t*, void*) {
  return -UNW_ENOINFO;
}

// Whether `ip` is libc's trampoline to which a signal handler returns: "mov $15, %rax; syscall".
// Of what is outside it, the address is of an interrupted instruction, not of a call.
bool IsSignalReturn(const ModuleMap& modules, uint64_t ip) {
  static constexpr char kCode[] = "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05";
  char code[sizeof(kCode) - 1];
  const Module* module = modules.Find(ip);
  return module != nullptr && module->image != nullptr &&
         module->image->Read(ip - module->bias, code, sizeof(code)) &&
         memcmp(code, kCode, sizeof(code)) == 0;
}

// One for all processes, that keeps what it found out of those it was asked for last: libunwind has
// no way to move what it knows to other addresses.
unw_addr_space_t AddressSpace(const ModuleMap& modules) {
  static unw_accessors_t accessors = {
      FindProcInfo, PutUnwindInfo, GetDynInfoListAddr, AccessMemory, AccessRegister,
      AccessFloat,  Resume,        GetProcName,
  };
  static const unw_addr_space_t space = [] {
    const unw_addr_space_t created = unw_create_addr_space(&accessors, 0);
    if (created != nullptr) unw_set_caching_policy(created, UNW_CACHE_GLOBAL);
    return created;
  }();
  static uint64_t last = 0;
  if (space != nullptr && last != modules.id()) unw_flush_cache(space, 0, 0);
  last = modules.id();
  return space;
}

std::vector<uint64_t> Calls(Walk* walk) {
  std::vector<uint64_t> calls = {walk->registers.rip - 1};
  unw_cursor_t cursor;
  const unw_addr_space_t space = AddressSpace(*walk->modules);
  if (space == nullptr || unw_init_remote(&cursor, space, walk) != 0) return calls;
  unw_word_t last_sp = walk->registers.rsp, ip = 0, sp = 0;
  while (calls.size() < kMaxFrames) {
    const bool from_signal = ip != 0 && IsSignalReturn(*walk->modules, ip);
    walk->no_information = false;
    if (unw_step(&cursor) <= 0) break;
    // Without unwind information libunwind guesses by rbp. A wrong frame is worse than none.
    if (walk->no_information && !from_signal) break;
    if (unw_get_reg(&cursor, UNW_X86_64_RIP, &ip) != 0 || ip == 0) break;
    if (unw_get_reg(&cursor, UNW_X86_64_RSP, &sp) != 0) break;
    // A stack grows one way; only a signal's alternate stack lies elsewhere.
    if (sp <= last_sp && !from_signal) break;
    last_sp = sp;
    if (walk->modules->Find(ip) == nullptr) break;
    calls.push_back(from_signal ? ip : ip - 1);
  }
  return calls;
}

}  // namespace

bool ModuleMap::ParseLine(std::string_view line, Module* module) {
  const char* at = line.data();
  const char* const end = at + line.size();
  for (uint64_t* number : {&module->bias, &module->start, &module->end}) {
    const auto [after, error] = std::from_chars(at, end, *number, 16);
    if (error != std::errc() || after == end || *after != ' ') return false;
    at = after + 1;
  }
  module->path.assign(at, end);
  return module->start < module->end;
}

uint64_t ModuleMap::NewId() {
  static uint64_t last = 0;
  return ++last;
}

void ModuleMap::Sort() {
  std::sort(modules_.begin(), modules_.end(),
            [](const Module& a, const Module& b) { return a.start < b.start; });
}

const Module* ModuleMap::Find(uint64_t address) const {
  auto it = std::upper_bound(modules_.begin(), modules_.end(), address,
                             [](uint64_t a, const Module& m) { return a < m.start; });
  if (it == modules_.begin()) return nullptr;
  --it;
  return address < it->end ? &*it : nullptr;
}

const Module* ModuleMap::program() const {
  const auto it = std::find_if(modules_.begin(), modules_.end(),
                               [](const Module& module) { return module.executable; });
  return it == modules_.end() ? nullptr : &*it;
}

std::vector<uint64_t> Unwind(const ModuleMap& modules, std::string_view blob) {
  static Memo* const memo = new Memo;
  Walk walk{&modules, {}, {}};
  if (blob.size() < sizeof(StackCopy)) return {};
  memcpy(&walk.registers, blob.data(), sizeof(StackCopy));
  walk.stack = UnpackStack(blob);
  if (const std::vector<uint64_t>* known = memo->Find(walk)) return *known;
  std::vector<uint64_t> calls = Calls(&walk);
  memo->Add(std::move(walk), calls);
  return calls;
}

}  // namespace ipctrace
