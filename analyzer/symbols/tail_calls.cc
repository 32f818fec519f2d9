#include "analyzer/symbols/tail_calls.h"

#include <dwarf.h>

#include <algorithm>

namespace ipctrace {
namespace {

// A search that is longer than this finds nothing.
constexpr int kMostSteps = 4096;

bool Flag(Dwarf_Die* die, unsigned int name) {
  Dwarf_Attribute attribute;
  bool value = false;
  return dwarf_formflag(dwarf_attr(die, name, &attribute), &value) == 0 && value;
}

// Whether the compiler says that it wrote down all of a function's jumps. gcc leaves out those by a
// pointer in memory.
bool TellsAllJumps(Dwarf_Die function) {
  return Flag(&function, DW_AT_call_all_calls) || Flag(&function, DW_AT_call_all_tail_calls) ||
         Flag(&function, DW_AT_GNU_all_call_sites) ||
         Flag(&function, DW_AT_GNU_all_tail_call_sites);
}

bool Reference(Dwarf_Die* die, unsigned int name, Dwarf_Die* to) {
  Dwarf_Attribute attribute;
  return dwarf_formref_die(dwarf_attr(die, name, &attribute), to) != nullptr;
}

bool Address(Dwarf_Die* die, unsigned int name, uint64_t* to) {
  Dwarf_Attribute attribute;
  Dwarf_Addr value = 0;
  if (dwarf_formaddr(dwarf_attr(die, name, &attribute), &value) != 0) return false;
  *to = value;
  return true;
}

// The entry that a function's copies and declarations go back to.
Dwarf_Die RootOf(Dwarf_Die die) {
  for (int i = 0; i < 16; ++i) {
    Dwarf_Die next;
    if (!Reference(&die, DW_AT_abstract_origin, &next) &&
        !Reference(&die, DW_AT_specification, &next)) {
      break;
    }
    die = next;
  }
  return die;
}

const char* Text(Dwarf_Die* die, unsigned int name) {
  Dwarf_Attribute attribute;
  return dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
}

// The symbol by which other files know it; empty for a static one.
std::string_view SymbolOf(Dwarf_Die die) {
  const char* name = Text(&die, DW_AT_linkage_name);
  if (name == nullptr) name = Text(&die, DW_AT_MIPS_linkage_name);
  if (name != nullptr) return name;
  Dwarf_Attribute attribute;
  bool external = false;
  if (dwarf_formflag(dwarf_attr_integrate(&die, DW_AT_external, &attribute), &external) != 0 ||
      !external) {
    return "";
  }
  name = Text(&die, DW_AT_name);
  if (name == nullptr) return "";
  std::string_view symbol = name;
  if (symbol.starts_with("__builtin_")) symbol.remove_prefix(sizeof("__builtin_") - 1);
  return symbol;
}

// Whether a program reaches the function `name` by this symbol: fcntl by __fcntl and fcntl64 too.
bool IsNameFor(std::string_view symbol, std::string_view name) {
  if (symbol.starts_with("__") && !name.starts_with("__")) symbol.remove_prefix(2);
  if (!symbol.starts_with(name)) return false;
  symbol.remove_prefix(name.size());
  return symbol.empty() || symbol == "64";
}

// Of several units' copies of an inline function the linker keeps one; the others begin at 0.
bool HasCode(Dwarf_Die* die) {
  Dwarf_Addr base, low, high;
  return dwarf_ranges(die, 0, &base, &low, &high) > 0 && low != 0;
}

}  // namespace

// A walk over all ways from a call to the target, of which there must be one.
struct TailCalls::Search {
  std::vector<uint64_t> way;        // the jumps so far
  std::vector<const void*> on_way;  // the functions that they are in
  std::vector<uint64_t> found;
  int ways = 0;
  int steps = 0;
  bool unsure = false;

  std::vector<uint64_t> Result() {
    if (ways != 1 || unsure) return {};
    std::reverse(found.begin(), found.end());
    return std::move(found);
  }
};

void TailCalls::AddSites(Dwarf_Die* parent, std::vector<CallSite>* sites) {
  Dwarf_Die child;
  if (dwarf_child(parent, &child) != 0) return;
  do {
    switch (dwarf_tag(&child)) {
      case DW_TAG_lexical_block:
      case DW_TAG_inlined_subroutine:
        AddSites(&child, sites);
        break;
      case DW_TAG_call_site:
      case DW_TAG_GNU_call_site: {
        CallSite site{};
        site.jump = Flag(&child, DW_AT_call_tail_call) || Flag(&child, DW_AT_GNU_tail_call);
        if (Address(&child, DW_AT_call_return_pc, &site.return_address) ||
            (dwarf_tag(&child) == DW_TAG_GNU_call_site &&
             Address(&child, DW_AT_low_pc, &site.return_address))) {
          site.address = site.return_address - 1;
        } else if (!Address(&child, DW_AT_call_pc, &site.address)) {
          break;
        }
        site.direct = Reference(&child, DW_AT_call_origin, &site.callee) ||
                      Reference(&child, DW_AT_abstract_origin, &site.callee);
        sites->push_back(site);
        break;
      }
      default:
        break;
    }
  } while (dwarf_siblingof(&child, &child) == 0);
}

const std::vector<TailCalls::CallSite>& TailCalls::SitesOf(const Dwarf_Die& function) {
  const auto [it, is_new] = sites_.try_emplace(function.addr);
  if (is_new) {
    Dwarf_Die parent = function;
    AddSites(&parent, &it->second);
  }
  return it->second;
}

void TailCalls::AddFunctions(Dwarf_Die* parent) {
  Dwarf_Die child;
  if (dwarf_child(parent, &child) != 0) return;
  do {
    switch (dwarf_tag(&child)) {
      case DW_TAG_namespace:
      case DW_TAG_class_type:
      case DW_TAG_structure_type:
        AddFunctions(&child);
        break;
      case DW_TAG_subprogram: {
        if (!HasCode(&child)) break;
        by_entry_[RootOf(child).addr].push_back(child);
        const std::string_view symbol = SymbolOf(child);
        if (!symbol.empty()) by_name_[std::string(symbol)].push_back(child);
        break;
      }
      default:
        break;
    }
  } while (dwarf_siblingof(&child, &child) == 0);
}

void TailCalls::LoadFunctions() {
  if (functions_loaded_) return;
  functions_loaded_ = true;
  for (Dwarf_Die& unit : units_) AddFunctions(&unit);
}

const std::vector<Dwarf_Die>& TailCalls::CodeOf(const Dwarf_Die& function) {
  static const auto* const kNone = new std::vector<Dwarf_Die>;
  LoadFunctions();
  const auto here = by_entry_.find(RootOf(function).addr);
  if (here != by_entry_.end()) return here->second;
  const auto elsewhere = by_name_.find(std::string(SymbolOf(function)));
  return elsewhere != by_name_.end() ? elsewhere->second : *kNone;
}

bool TailCalls::IsTarget(const Dwarf_Die& callee, const Target& target) {
  if (target.function == nullptr) return IsNameFor(SymbolOf(callee), target.name);
  if (RootOf(callee).addr == RootOf(*target.function).addr) return true;
  // Declared in one unit, written in another.
  const std::string_view symbol = SymbolOf(callee);
  return !symbol.empty() && symbol == SymbolOf(*target.function);
}

void TailCalls::FollowCallee(const Dwarf_Die& callee, const Target& target, Search* search) {
  for (const Dwarf_Die& code : CodeOf(callee)) Follow(code, target, search);
}

void TailCalls::Follow(const Dwarf_Die& function, const Target& target, Search* search) {
  if (search->unsure || ++search->steps > kMostSteps || !TellsAllJumps(function)) {
    search->unsure = true;
    return;
  }
  if (std::find(search->on_way.begin(), search->on_way.end(), function.addr) !=
      search->on_way.end()) {
    return;
  }
  search->on_way.push_back(function.addr);
  for (const CallSite& site : SitesOf(function)) {
    if (!site.jump) continue;
    if (!site.direct) {
      search->unsure = true;
      break;
    }
    search->way.push_back(site.address);
    if (IsTarget(site.callee, target)) {
      ++search->ways;
      search->found = search->way;
    } else {
      FollowCallee(site.callee, target, search);
    }
    search->way.pop_back();
  }
  search->on_way.pop_back();
}

std::vector<uint64_t> TailCalls::Jumps(const Dwarf_Die& caller, uint64_t return_address,
                                       const Target& target) {
  for (const CallSite& site : SitesOf(caller)) {
    if (site.return_address != return_address || site.jump) continue;
    if (!site.direct || IsTarget(site.callee, target)) return {};
    Search search;
    FollowCallee(site.callee, target, &search);
    return search.Result();
  }
  return {};
}

std::vector<uint64_t> TailCalls::JumpsFrom(std::string_view function, const Target& target) {
  LoadFunctions();
  const auto it = by_name_.find(std::string(function));
  if (it == by_name_.end()) return {};
  Search search;
  for (const Dwarf_Die& code : it->second) Follow(code, target, &search);
  return search.Result();
}

}  // namespace ipctrace
