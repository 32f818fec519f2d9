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

#include "preload/trace/format.h"
#include "preload/trace/stack_copy.h"

// libunwind exports it (perf and others rely on that) but no header declares it.
extern "C" int _Ux86_64_dwarf_search_unwind_table(unw_addr_space_t, unw_word_t ip, unw_dyn_info_t*,
                                                  unw_proc_info_t*, int need_unwind_info,
                                                  void* arg);

namespace ipctrace {
namespace {

constexpr size_t kMaxFrames = 256;

struct Walk {
  const ModuleMap* modules;
  StackCopy registers;
  std::string stack;            // bytes from registers.rsp upwards
  bool no_information = false;  // a frame without unwind information was met
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
  const Walk* walk = static_cast<const Walk*>(arg);
  const uint64_t offset = address - walk->registers.rsp;
  if (offset < walk->stack.size() && walk->stack.size() - offset >= sizeof(*value)) {
    memcpy(value, walk->stack.data() + offset, sizeof(*value));
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
  const StackCopy& registers = static_cast<const Walk*>(arg)->registers;
  switch (number) {
    // An address in the call itself, where the return address may lie behind the function's end.
    case UNW_X86_64_RIP:
      *value = registers.rip - 1;
      return 0;
    case UNW_X86_64_RSP:
      *value = registers.rsp;
      return 0;
    case UNW_X86_64_RBP:
      *value = registers.rbp;
      return 0;
    case UNW_X86_64_RBX:
      *value = registers.rbx;
      return 0;
    case UNW_X86_64_R12:
      *value = registers.r12;
      return 0;
    case UNW_X86_64_R13:
      *value = registers.r13;
      return 0;
    case UNW_X86_64_R14:
      *value = registers.r14;
      return 0;
    case UNW_X86_64_R15:
      *value = registers.r15;
      return 0;
    default:
      return -UNW_EBADREG;  // a call does not preserve the others
  }
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
  std::vector<uint64_t> calls;
  Walk walk{&modules, {}, {}};
  if (blob.size() < sizeof(StackCopy)) return calls;
  memcpy(&walk.registers, blob.data(), sizeof(StackCopy));
  walk.stack = UnpackStack(blob);
  calls.push_back(walk.registers.rip - 1);

  unw_cursor_t cursor;
  const unw_addr_space_t space = AddressSpace(modules);
  if (space == nullptr || unw_init_remote(&cursor, space, &walk) != 0) return calls;
  unw_word_t last_sp = walk.registers.rsp, ip = 0, sp = 0;
  while (calls.size() < kMaxFrames) {
    const bool from_signal = ip != 0 && IsSignalReturn(modules, ip);
    walk.no_information = false;
    if (unw_step(&cursor) <= 0) break;
    // Without unwind information libunwind guesses by rbp. A wrong frame is worse than none.
    if (walk.no_information && !from_signal) break;
    if (unw_get_reg(&cursor, UNW_X86_64_RIP, &ip) != 0 || ip == 0) break;
    if (unw_get_reg(&cursor, UNW_X86_64_RSP, &sp) != 0) break;
    // A stack grows one way; only a signal's alternate stack lies elsewhere.
    if (sp <= last_sp && !from_signal) break;
    last_sp = sp;
    if (modules.Find(ip) == nullptr) break;
    calls.push_back(from_signal ? ip : ip - 1);
  }
  return calls;
}

}  // namespace ipctrace
