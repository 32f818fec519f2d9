// Finds the functions that the interposers stand before: what dlsym(RTLD_NEXT) finds, but without
// its locks and its 200 ns a name, so that it can wait for the first call, in whatever context that
// comes. Only objects loaded at start-up are searched; they are never unloaded.
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>

#include "preload/interpose.h"

namespace ipctrace {

__attribute__((section(".bss.functions"))) void* real_functions[kCallCount];

namespace {

constexpr uint32_t GnuHash(const char* name) {
  uint32_t hash = 5381;
  for (; *name != 0; ++name) hash = hash * 33 + static_cast<unsigned char>(*name);
  return hash;
}

struct Hashes {
  uint32_t of[kCallCount];
};
constexpr Hashes MakeHashes() {
  Hashes hashes = {};
  for (size_t i = 0; i < kCallCount; ++i) hashes.of[i] = GnuHash(NameOf(static_cast<Call>(i)));
  return hashes;
}
constexpr Hashes kHashes = MakeHashes();

struct Object {
  const char* strings;
  const ElfW(Sym) * symbols;
  const uint16_t* versions;
  const uint32_t* hash;
};

// The loader relocates d_ptr in place in most objects, but not in the vdso.
template <typename T>
void Set(const link_map* map, const ElfW(Dyn) * entry, const T** field) {
  const auto address = entry->d_un.d_ptr;
  *field = reinterpret_cast<const T*>(address < map->l_addr ? address + map->l_addr : address);
}

IPCTRACE_START_CODE void* FindIn(const link_map* map, const char* name, uint32_t hash,
                                 bool data = false) {
  Object object = {};
  for (const ElfW(Dyn)* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry) {
    switch (entry->d_tag) {
      case DT_STRTAB:
        Set(map, entry, &object.strings);
        break;
      case DT_SYMTAB:
        Set(map, entry, &object.symbols);
        break;
      case DT_VERSYM:
        Set(map, entry, &object.versions);
        break;
      case DT_GNU_HASH:
        Set(map, entry, &object.hash);
        break;
    }
  }
  if (object.hash == nullptr || object.strings == nullptr || object.symbols == nullptr) {
    return nullptr;
  }
  const uint32_t buckets = object.hash[0];
  const uint32_t first = object.hash[1];
  const uint32_t words = object.hash[2];
  const uint32_t shift = object.hash[3];
  if (buckets == 0 || words == 0) return nullptr;
  const auto* bloom = reinterpret_cast<const uint64_t*>(object.hash + 4);
  const auto* bucket = reinterpret_cast<const uint32_t*>(bloom + words);
  const uint64_t word = bloom[hash / 64 % words];
  if ((word >> hash % 64 & word >> (hash >> shift) % 64 & 1) == 0) return nullptr;
  uint32_t index = bucket[hash % buckets];
  if (index < first) return nullptr;
  const uint32_t* chain = bucket + buckets;
  for (;; ++index) {
    const uint32_t entry = chain[index - first];
    const ElfW(Sym)& symbol = object.symbols[index];
    const bool hidden = object.versions != nullptr && (object.versions[index] & 0x8000) != 0;
    if ((entry | 1) == (hash | 1) && symbol.st_shndx != SHN_UNDEF && !hidden &&
        strcmp(object.strings + symbol.st_name, name) == 0) {
      const int type = ELF64_ST_TYPE(symbol.st_info);
      const auto address = map->l_addr + symbol.st_value;
      if (data) return type == STT_OBJECT ? reinterpret_cast<void*>(address) : nullptr;
      if (type == STT_GNU_IFUNC) return reinterpret_cast<void* (*)()>(address)();
      if (type == STT_FUNC || type == STT_NOTYPE) return reinterpret_cast<void*>(address);
    }
    if ((entry & 1) != 0) return nullptr;
  }
}

long Missing() {
  errno = ENOSYS;
  return -1;
}

const link_map* OwnMap() {
  for (const link_map* map = _r_debug.r_map; map != nullptr; map = map->l_next) {
    if (map->l_ld == _DYNAMIC) return map;
  }
  return nullptr;
}

IPCTRACE_START_CODE void* FindNext(const char* name, uint32_t hash) {
  void* function = nullptr;
  const link_map* map = OwnMap();
  for (map = map == nullptr ? nullptr : map->l_next; map != nullptr && function == nullptr;
       map = map->l_next) {
    function = FindIn(map, name, hash);
  }
  return function != nullptr ? function : reinterpret_cast<void*>(Missing);
}

}  // namespace

IPCTRACE_START_CODE void* FindReal(Call call) {
  const auto index = static_cast<size_t>(call);
  return real_functions[index] = FindNext(NameOf(call), kHashes.of[index]);
}

IPCTRACE_START_CODE void* FindReal(const char* name) { return FindNext(name, GnuHash(name)); }

IPCTRACE_START_CODE void* FindData(const char* name) {
  void* found = nullptr;
  const uint32_t hash = GnuHash(name);
  for (const link_map* map = _r_debug.r_map; map != nullptr && found == nullptr;
       map = map->l_next) {
    found = FindIn(map, name, hash, true);
  }
  return found;
}

}  // namespace ipctrace
