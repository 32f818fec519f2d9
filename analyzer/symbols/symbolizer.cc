#include "analyzer/symbols/symbolizer.h"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <span>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "analyzer/symbols/tail_calls.h"

namespace ipctrace {
namespace {

std::string Demangle(const char* name) {
  if (name == nullptr) return "";
  if (strncmp(name, "_Z", 2) == 0) {
    int status = 0;
    char* demangled = abi::__cxa_demangle(name, nullptr, nullptr, &status);
    if (demangled != nullptr) {
      std::string result = demangled;
      free(demangled);
      return result;
    }
  }
  return name;
}

// What the optimiser split off a function is still that function: "main.part.0", "f.constprop.1".
std::string WithoutSuffix(const char* name) {
  const char* dot = strchr(name, '.');
  return dot != nullptr && dot != name ? std::string(name, dot) : std::string(name);
}

struct SymbolTable {  // both in the file's memory
  std::span<const Elf64_Sym> symbols;
  std::string_view names;  // each ends with NUL
};

struct Symbol {
  const char* name = nullptr;  // in the file's memory
  bool global = false;
};

// Of the names of one address the shortest global one: read, not __libc_read.
bool IsBetter(const Symbol& a, const Symbol& b) {
  if (a.global != b.global) return a.global;
  const std::string_view x = a.name, y = b.name;
  return x.size() != y.size() ? x.size() < y.size() : x < y;
}

struct Range {
  uint64_t low, high;
  size_t unit;
};

// Where a package manager keeps debug information that was split off.
class DebugFile {
 public:
  DebugFile() = default;
  ~DebugFile() {
    if (elf_ != nullptr) elf_end(elf_);
    if (fd_ >= 0) close(fd_);
  }
  DebugFile(const DebugFile&) = delete;

  // By build id, else by .gnu_debuglink beside the file. libdwfl's search is not used: it may go
  // to the network (DEBUGINFOD_URLS), and a report must not wait for that.
  bool Open(Elf* main, const std::string& path) {
    const void* id = nullptr;
    const ssize_t size = dwelf_elf_gnu_build_id_(main, &id);
    if (size > 1) {
      std::string name = "/usr/lib/debug/.build-id/";
      for (ssize_t i = 0; i < size; ++i) {
        absl::StrAppendFormat(&name, "%02x%s", static_cast<const uint8_t*>(id)[i],
                              i == 0 ? "/" : "");
      }
      if (OpenFile(name + ".debug")) return true;
    }
    const std::string link = DebugLink(main);
    if (link.empty() || link.find('/') != std::string::npos) return false;
    const std::string directory = path.substr(0, path.rfind('/') + 1);
    return OpenFile(directory + link) || OpenFile(directory + ".debug/" + link) ||
           OpenFile("/usr/lib/debug" + directory + link);
  }
  Elf* elf() const { return elf_; }

 private:
  static ssize_t dwelf_elf_gnu_build_id_(Elf* elf, const void** id) {
    size_t count = 0;
    if (elf_getphdrnum(elf, &count) != 0) return 0;
    for (size_t i = 0; i < count; ++i) {
      GElf_Phdr header;
      if (gelf_getphdr(elf, static_cast<int>(i), &header) == nullptr || header.p_type != PT_NOTE)
        continue;
      Elf_Data* data =
          elf_getdata_rawchunk(elf, static_cast<int64_t>(header.p_offset), header.p_filesz,
                               header.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
      if (data == nullptr) continue;
      GElf_Nhdr note;
      size_t name, desc;
      for (size_t at = 0; (at = gelf_getnote(data, at, &note, &name, &desc)) > 0;) {
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
            memcmp(static_cast<char*>(data->d_buf) + name, "GNU", 4) == 0) {
          *id = static_cast<char*>(data->d_buf) + desc;
          return note.n_descsz;
        }
      }
    }
    return 0;
  }

  static std::string DebugLink(Elf* elf) {
    size_t names = 0;
    if (elf_getshdrstrndx(elf, &names) != 0) return "";
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf, section)) != nullptr;) {
      GElf_Shdr header;
      if (gelf_getshdr(section, &header) == nullptr) continue;
      const char* name = elf_strptr(elf, names, header.sh_name);
      if (name == nullptr || strcmp(name, ".gnu_debuglink") != 0) continue;
      Elf_Data* data = elf_rawdata(section, nullptr);
      if (data == nullptr || data->d_buf == nullptr) return "";
      return std::string(static_cast<char*>(data->d_buf),
                         strnlen(static_cast<char*>(data->d_buf), data->d_size));
    }
    return "";
  }

  bool OpenFile(const std::string& path) {
    fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) return false;
    elf_ = elf_begin(fd_, ELF_C_READ_MMAP, nullptr);
    if (elf_ != nullptr && elf_kind(elf_) == ELF_K_ELF) return true;
    if (elf_ != nullptr) elf_end(elf_);
    elf_ = nullptr;
    close(fd_);
    fd_ = -1;
    return false;
  }

  int fd_ = -1;
  Elf* elf_ = nullptr;
};

}  // namespace

struct Symbolizer::Impl {
  struct Function {
    uint64_t low, high;
    Dwarf_Die die;
  };
  struct Unit {
    Dwarf_Die lines;  // the skeleton, where the rest is in a .dwo file
    Dwarf_Die scopes;
    std::string directory;
    bool functions_loaded = false;
    std::vector<Function> functions;  // by address
  };

  std::shared_ptr<const ElfImage> image;
  bool want_lines;
  bool symbols_loaded = false, lines_loaded = false;
  Elf* elf = nullptr;
  DebugFile debug_file;
  bool debug_opened = false;
  Dwarf* dwarf = nullptr;
  std::vector<Unit> units;
  std::vector<Range> ranges;
  std::vector<SymbolTable> symbol_tables;
  std::unique_ptr<TailCalls> tail_calls;

  ~Impl() {
    if (dwarf != nullptr) dwarf_end(dwarf);
    if (elf != nullptr) elf_end(elf);
  }

  bool OpenElf() {
    if (elf == nullptr && image != nullptr) {
      elf_version(EV_CURRENT);
      elf = elf_memory(image->data(), image->size());
    }
    return elf != nullptr;
  }

  Elf* DebugElf() {
    if (!debug_opened && OpenElf()) debug_file.Open(elf, image->path());
    debug_opened = true;
    return debug_file.elf();
  }

  // All files are of 64 bits (ElfImage), but what lies in the place of debug information may not
  // be.
  void FindSymbolsOf(Elf* from) {
    if (from == nullptr || gelf_getclass(from) != ELFCLASS64) return;
    for (Elf_Scn* section = nullptr; (section = elf_nextscn(from, section)) != nullptr;) {
      const Elf64_Shdr* header = elf64_getshdr(section);
      if (header == nullptr || (header->sh_type != SHT_SYMTAB && header->sh_type != SHT_DYNSYM)) {
        continue;
      }
      const Elf_Data* symbols = elf_getdata(section, nullptr);
      Elf_Scn* strings = elf_getscn(from, header->sh_link);
      const Elf_Data* names = strings == nullptr ? nullptr : elf_getdata(strings, nullptr);
      if (symbols == nullptr || names == nullptr) continue;
      const std::string_view text(static_cast<const char*>(names->d_buf), names->d_size);
      if (text.empty() || text.back() != '\0') continue;
      symbol_tables.push_back({{static_cast<const Elf64_Sym*>(symbols->d_buf),
                                symbols->d_size / sizeof(Elf64_Sym)},
                               text});
    }
  }

  // A report asks for a few addresses of a file: to go through its tables for each takes less time
  // than to sort them.
  std::string SymbolAt(uint64_t address) {
    if (!symbols_loaded && OpenElf()) {
      FindSymbolsOf(elf);
      FindSymbolsOf(DebugElf());
    }
    symbols_loaded = true;
    uint64_t start = 0;  // of the function that begins last, up to the address
    Symbol best{};       // of its names
    for (const SymbolTable& table : symbol_tables) {
      for (const Elf64_Sym& symbol : table.symbols) {
        if (symbol.st_value > address || symbol.st_value < start) continue;
        const int type = ELF64_ST_TYPE(symbol.st_info);
        if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF ||
            symbol.st_name >= table.names.size() || table.names[symbol.st_name] == '\0') {
          continue;
        }
        if (symbol.st_value > start) best = {};
        start = symbol.st_value;
        if (symbol.st_size != 0 && address - start >= symbol.st_size) continue;
        const Symbol candidate{table.names.data() + symbol.st_name,
                               ELF64_ST_BIND(symbol.st_info) != STB_LOCAL};
        if (best.name == nullptr || IsBetter(candidate, best)) best = candidate;
      }
    }
    return best.name == nullptr ? "" : Demangle(WithoutSuffix(best.name).c_str());
  }

  void LoadLines() {
    if (lines_loaded) return;
    lines_loaded = true;
    if (!want_lines || !OpenElf()) return;
    dwarf = dwarf_begin_elf(elf, DWARF_C_READ, nullptr);
    if (dwarf == nullptr && DebugElf() != nullptr) {
      dwarf = dwarf_begin_elf(DebugElf(), DWARF_C_READ, nullptr);
    }
    if (dwarf == nullptr) return;
    // Not by dwarf_addrdie: it needs .debug_aranges, which clang does not write.
    Dwarf_CU* cu = nullptr;
    Dwarf_Die die, split;
    uint8_t type = 0;
    while (dwarf_get_units(dwarf, cu, &cu, nullptr, &type, &die, &split) == 0) {
      if (type != DW_UT_compile && type != DW_UT_skeleton) continue;
      Unit unit{die, die, "", false, {}};
      if (type == DW_UT_skeleton && split.addr != nullptr) unit.scopes = split;
      Dwarf_Attribute attribute;
      const char* directory =
          dwarf_formstring(dwarf_attr_integrate(&die, DW_AT_comp_dir, &attribute));
      if (directory != nullptr) unit.directory = directory;
      Dwarf_Addr base = 0, low = 0, high = 0;
      for (ptrdiff_t at = 0; (at = dwarf_ranges(&die, at, &base, &low, &high)) > 0;) {
        if (low < high) ranges.push_back({low, high, units.size()});
      }
      units.push_back(std::move(unit));
    }
    std::sort(ranges.begin(), ranges.end(),
              [](const Range& a, const Range& b) { return a.low < b.low; });
  }

  Unit* UnitAt(uint64_t address) {
    LoadLines();
    auto it = std::upper_bound(ranges.begin(), ranges.end(), address,
                               [](uint64_t a, const Range& r) { return a < r.low; });
    // Ranges hardly ever overlap; a few steps back find the one that holds the address.
    for (int i = 0; i < 8 && it != ranges.begin(); ++i) {
      --it;
      if (address < it->high) return &units[it->unit];
    }
    return nullptr;
  }

  static void SetFile(const Unit& unit, const char* path, Frame* frame) {
    if (path == nullptr) return;
    frame->file = path;
    frame->directory = unit.directory;
    // libdw puts the compiler's directory in front; reports show what the compiler was told.
    const std::string prefix = unit.directory + "/";
    if (prefix.size() > 1 && frame->file.size() > prefix.size() &&
        frame->file.compare(0, prefix.size(), prefix) == 0) {
      frame->file.erase(0, prefix.size());
    }
    while (frame->file.compare(0, 2, "./") == 0) frame->file.erase(0, 2);
  }

  static void SetLine(const Unit& unit, uint64_t address, Frame* frame) {
    Dwarf_Die die = unit.lines;
    Dwarf_Line* line = dwarf_getsrc_die(&die, address);
    if (line == nullptr) return;
    int number = 0;
    dwarf_lineno(line, &number);
    if (number == 0) {
      // Code that belongs to no line; the one before it is the nearest truth.
      Dwarf_Lines* lines = nullptr;
      size_t count = 0;
      if (dwarf_getsrclines(&die, &lines, &count) != 0) return;
      Dwarf_Addr best = 0;
      for (size_t i = 0; i < count; ++i) {
        Dwarf_Line* candidate = dwarf_onesrcline(lines, i);
        Dwarf_Addr at = 0;
        int n = 0;
        if (dwarf_lineaddr(candidate, &at) == 0 && dwarf_lineno(candidate, &n) == 0 && n != 0 &&
            at <= address && at >= best) {
          best = at;
          line = candidate;
          number = n;
        }
      }
      if (number == 0) return;
    }
    frame->line = number;
    SetFile(unit, dwarf_linesrc(line, nullptr, nullptr), frame);
  }

  static std::string FunctionName(Dwarf_Die* die) {
    Dwarf_Attribute attribute;
    const char* linkage =
        dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute));
    if (linkage == nullptr) {
      linkage = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute));
    }
    if (linkage != nullptr) return Demangle(WithoutSuffix(linkage).c_str());
    const char* name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attribute));
    return name == nullptr ? "" : name;
  }

  // The functions of a unit, found once: dwarf_getscopes goes through all of them for each address.
  static void LoadFunctions(Unit* unit) {
    if (unit->functions_loaded) return;
    unit->functions_loaded = true;
    AddFunctions(unit->scopes, unit);
    std::sort(unit->functions.begin(), unit->functions.end(),
              [](const Function& a, const Function& b) { return a.low < b.low; });
  }

  static void AddFunctions(Dwarf_Die parent, Unit* unit) {
    Dwarf_Die die;
    for (int more = dwarf_child(&parent, &die); more == 0; more = dwarf_siblingof(&die, &die)) {
      const int tag = dwarf_tag(&die);
      if (tag == DW_TAG_namespace) AddFunctions(die, unit);
      if (tag != DW_TAG_subprogram) continue;
      Dwarf_Addr base = 0, low = 0, high = 0;
      for (ptrdiff_t at = 0; (at = dwarf_ranges(&die, at, &base, &low, &high)) > 0;) {
        if (low < high) unit->functions.push_back({low, high, die});
      }
    }
  }

  // The function whose code is at the address; null where that is not known.
  static const Dwarf_Die* FunctionAt(Unit* unit, uint64_t address) {
    LoadFunctions(unit);
    auto it = std::upper_bound(unit->functions.begin(), unit->functions.end(), address,
                               [](uint64_t a, const Function& f) { return a < f.low; });
    if (it == unit->functions.begin() || address >= (--it)->high) return nullptr;
    return &it->die;
  }

  // The function at the address and the entries inside it that the address is in: blocks and
  // functions that were inlined. The innermost comes last.
  static std::vector<Dwarf_Die> ScopesAt(Unit* unit, uint64_t address) {
    std::vector<Dwarf_Die> scopes;
    const Dwarf_Die* function = FunctionAt(unit, address);
    if (function == nullptr) return scopes;
    scopes.push_back(*function);
    Dwarf_Die die;
    for (int more = dwarf_child(&scopes.back(), &die); more == 0;) {
      if (dwarf_haspc(&die, address) > 0) {
        scopes.push_back(die);
        more = dwarf_child(&scopes.back(), &die);
      } else {
        more = dwarf_siblingof(&die, &die);
      }
    }
    return scopes;
  }

  // The frames from debug information; empty where there is none for the address.
  std::vector<Frame> FromDebugInformation(uint64_t address) {
    std::vector<Frame> frames;
    Unit* unit = UnitAt(address);
    if (unit == nullptr) return frames;
    Frame next;
    SetLine(*unit, address, &next);

    std::vector<Dwarf_Die> scopes = ScopesAt(unit, address);
    for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope) {
      const int tag = dwarf_tag(&*scope);
      if (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine) continue;
      next.function = FunctionName(&*scope);
      frames.push_back(next);
      if (tag == DW_TAG_subprogram) break;
      next = Frame();
      Dwarf_Attribute attribute;
      Dwarf_Word file = 0, line = 0;
      dwarf_formudata(dwarf_attr(&*scope, DW_AT_call_file, &attribute), &file);
      dwarf_formudata(dwarf_attr(&*scope, DW_AT_call_line, &attribute), &line);
      next.line = static_cast<int>(line);
      Dwarf_Files* files = nullptr;
      size_t n = 0;
      if (dwarf_getsrcfiles(&unit->lines, &files, &n) == 0 && file < n) {
        SetFile(*unit, dwarf_filesrc(files, file, nullptr, nullptr), &next);
      }
    }
    if (frames.empty() && next.line != 0) frames.push_back(next);
    return frames;
  }

  const Dwarf_Die* FunctionAt(uint64_t address) {
    Unit* unit = UnitAt(address);
    return unit == nullptr ? nullptr : FunctionAt(unit, address);
  }

  std::vector<uint64_t> Jumps(uint64_t call, const Callee& callee) {
    const Dwarf_Die* caller = call == 0 ? nullptr : FunctionAt(call);
    if (call != 0 && caller == nullptr) return {};
    TailCalls::Target target{nullptr, callee.symbol};
    if (callee.address != 0) {
      target.function = FunctionAt(callee.address);
      if (target.function == nullptr) return {};
    }
    LoadLines();
    if (tail_calls == nullptr) {
      std::vector<Dwarf_Die> scopes;
      for (const Unit& unit : units) scopes.push_back(unit.scopes);
      tail_calls = std::make_unique<TailCalls>(std::move(scopes));
    }
    return call != 0 ? tail_calls->Jumps(*caller, call + 1, target)
                     : tail_calls->JumpsFrom("main", target);
  }
};

Symbolizer::Symbolizer(std::shared_ptr<const ElfImage> image, bool want_lines)
    : impl_(new Impl{std::move(image), want_lines}) {}
Symbolizer::~Symbolizer() = default;

bool Symbolizer::HasLines() {
  impl_->LoadLines();
  return !impl_->ranges.empty();
}

std::vector<uint64_t> Symbolizer::Jumps(uint64_t call, const Callee& callee) {
  return impl_->Jumps(call, callee);
}

std::vector<Frame> Symbolizer::Lookup(uint64_t address) {
  std::vector<Frame> frames = impl_->FromDebugInformation(address);
  if (frames.empty()) frames.emplace_back();
  if (frames.back().function.empty()) frames.back().function = impl_->SymbolAt(address);
  return frames;
}

}  // namespace ipctrace
