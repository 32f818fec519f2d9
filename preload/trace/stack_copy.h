// Stacks as they are in the trace (BlobTag::kStack), for who reads and makes them outside the
// preload library.
#ifndef IPCTRACE_PRELOAD_TRACE_STACK_COPY_H_
#define IPCTRACE_PRELOAD_TRACE_STACK_COPY_H_

#include <string.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "preload/trace/format.h"

namespace ipctrace {

// A blob with all of the words in `bytes`, which are from `copy.rsp` upwards. Of words that are no
// addresses the high bytes are lost.
inline std::string PackStack(const StackCopy& copy, std::string_view bytes) {
  constexpr size_t kBlockBytes = kStackBlockWords * 8;
  std::string blob(reinterpret_cast<const char*>(&copy), sizeof(copy));
  bytes.remove_suffix(bytes.size() % 8);
  for (size_t at = 0; at < bytes.size(); at += kBlockBytes) {
    const size_t words = std::min(kBlockBytes, bytes.size() - at) / 8;
    const uint64_t mask = ~uint64_t{0} >> (kStackBlockWords - words);
    blob.append(reinterpret_cast<const char*>(&mask), sizeof(mask));
    for (size_t word = 0; word < words; ++word) {
      blob.append(bytes.substr(at + word * 8, kStackWordBytes));
    }
  }
  return blob;
}

// The bytes from rsp upwards, with zeros for words that the blob does not have. Of a blob that is
// damaged or cut off, what there is.
inline std::string UnpackStack(std::string_view blob) {
  std::string bytes;
  blob.remove_prefix(std::min(blob.size(), sizeof(StackCopy)));
  while (blob.size() >= 8) {
    uint64_t mask;
    memcpy(&mask, blob.data(), sizeof(mask));
    blob.remove_prefix(8);
    const size_t start = bytes.size();
    bytes.resize(start + kStackBlockWords * 8);
    for (; mask != 0 && blob.size() >= kStackWordBytes; mask &= mask - 1) {
      const auto word = static_cast<size_t>(__builtin_ctzll(mask));
      memcpy(bytes.data() + start + word * 8, blob.data(), kStackWordBytes);
      blob.remove_prefix(kStackWordBytes);
    }
  }
  return bytes;
}

}  // namespace ipctrace

#endif  // IPCTRACE_PRELOAD_TRACE_STACK_COPY_H_
