#include "analyzer/symbols/fork_copies.h"

#include <cstring>
#include <optional>

namespace ipctrace {
namespace {

// Follows a child from the return of its fork through what moves and tests the result, up to the
// first instruction of any other kind. Encodings: Intel SDM, volume 2.
class ChildPath {
 public:
  ChildPath(const ElfImage& image, uint64_t return_address)
      : image_(image), at_(return_address), zero_(1u << kRax) {}

  // Empty where the child's way does not depend on the result.
  std::optional<uint64_t> Entry() {
    for (int i = 0; i < kMaxInstructions && Step(); ++i) {
    }
    return branched_ ? std::optional(at_) : std::nullopt;
  }

 private:
  static constexpr int kMaxInstructions = 16;
  static constexpr unsigned kRax = 0;

  // Goes over one instruction; false where it is not one that is understood.
  bool Step() {
    uint8_t code[8] = {};
    if (!image_.Read(at_, code, sizeof(code))) return false;
    unsigned rex = 0, n = 0;
    if ((code[0] & 0xf0) == 0x40) rex = code[n++];
    const uint8_t opcode = code[n], modrm = code[n + 1];
    const unsigned reg = (modrm >> 3 & 7) | (rex & 4) << 1, rm = (modrm & 7) | (rex & 1) << 3;
    const bool registers = modrm >> 6 == 3;
    if (opcode == 0x89 && registers) {  // mov reg, rm
      zero_ = Has(reg) ? zero_ | 1u << rm : zero_ & ~(1u << rm);
      at_ += n + 2;
      return true;
    }
    if (opcode == 0x89 && modrm >> 6 == 1) {  // mov reg, displacement8(rm)
      at_ += n + 3 + ((modrm & 7) == 4);      // a SIB byte, as for rsp
      return true;
    }
    if (opcode == 0x85 && registers && reg == rm && Has(reg)) {  // test reg, reg
      compared_with_ = 0;
      at_ += n + 2;
      return true;
    }
    if (opcode == 0x83 && registers && (modrm >> 3 & 7) == 7 && Has(rm)) {  // cmp imm8, rm
      compared_with_ = static_cast<int8_t>(code[n + 2]);
      at_ += n + 3;
      return true;
    }
    if (opcode == 0xeb) {
      at_ += 2 + static_cast<int8_t>(code[1]);
      return true;
    }
    if (opcode == 0xe9) return Jump(code + 1, 5, true);
    if ((opcode & 0xf0) == 0x70) {
      const std::optional<bool> taken = IsTaken(opcode & 0xf);
      if (!taken) return false;
      branched_ = true;
      at_ += 2 + (*taken ? static_cast<int8_t>(code[1]) : 0);
      return true;
    }
    if (opcode == 0x0f && (code[1] & 0xf0) == 0x80) {
      const std::optional<bool> taken = IsTaken(code[1] & 0xf);
      if (!taken) return false;
      branched_ = true;
      return Jump(code + 2, 6, *taken);
    }
    return false;
  }

  bool Has(unsigned reg) const { return (zero_ >> reg & 1) != 0; }

  bool Jump(const uint8_t* displacement, unsigned length, bool taken) {
    int32_t by;
    memcpy(&by, displacement, sizeof(by));
    at_ += length + (taken ? by : 0);
    return true;
  }

  // Of a conditional jump behind a comparison of 0 with `compared_with_`.
  std::optional<bool> IsTaken(unsigned condition) const {
    if (!compared_with_) return std::nullopt;
    const int other = *compared_with_;
    bool holds;
    switch (condition & ~1u) {
      case 0x4:  // equal
        holds = other == 0;
        break;
      case 0x8:  // negative (the difference does not overflow)
      case 0xc:  // less
        holds = other > 0;
        break;
      case 0xe:  // less or equal
        holds = other >= 0;
        break;
      default:
        return std::nullopt;
    }
    return (condition & 1) != 0 ? !holds : holds;
  }

  const ElfImage& image_;
  uint64_t at_;
  uint32_t zero_;  // a bit for each register that holds the result
  std::optional<int> compared_with_;
  bool branched_ = false;
};

}  // namespace

bool AreCopiesOfOneFork(const ElfImage& image, uint64_t call_a, uint64_t call_b) {
  if (!image.InOneFunction(call_a, call_b)) return false;
  const std::optional<uint64_t> entry = ChildPath(image, call_a + 1).Entry();
  return entry && entry == ChildPath(image, call_b + 1).Entry();
}

}  // namespace ipctrace
