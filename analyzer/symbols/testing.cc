#include "analyzer/symbols/testing.h"

#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

#include "preload/trace/stack_copy.h"

namespace ipctrace {
namespace {

// What stands in for the preload library. Without debug information, as a library would be.
constexpr char kCaptureSource[] = R"(
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
struct { uint32_t id, unused; uint64_t rip, rsp, rbp, rbx, r12, r13, r14, r15; } capture_regs;
extern void* __libc_stack_end;
static int print_module(struct dl_phdr_info* info, size_t size, void* out) {
  uint64_t low = -1ul, high = 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)* p = &info->dlpi_phdr[i];
    if (p->p_type != PT_LOAD) continue;
    if (p->p_vaddr < low) low = p->p_vaddr;
    if (p->p_vaddr + p->p_memsz > high) high = p->p_vaddr + p->p_memsz;
  }
  char exe[4096] = "";
  if (info->dlpi_name[0] == 0) exe[readlink("/proc/self/exe", exe, sizeof exe - 1)] = 0;
  fprintf(out, "%lx %lx %lx %s\n", (long)info->dlpi_addr, (long)(info->dlpi_addr + low),
          (long)(info->dlpi_addr + high), exe[0] ? exe : info->dlpi_name);
  return 0;
}
__attribute__((visibility("hidden"))) void capture_dump(void) {
  FILE* out = fopen(getenv("CAPTURE_MODULES"), "w");
  dl_iterate_phdr(print_module, out);
  fclose(out);
  uint64_t size = (uint64_t)__libc_stack_end - capture_regs.rsp, most = atoi(getenv("CAPTURE_BYTES"));
  if (size > most) size = most;
  out = fopen(getenv("CAPTURE_STACKS"), "a");
  uint64_t total = sizeof capture_regs + size;
  fwrite(&total, sizeof total, 1, out);
  fwrite(&capture_regs, sizeof capture_regs, 1, out);
  fwrite((void*)capture_regs.rsp, size, 1, out);
  fclose(out);
}
asm(".text\n.globl capture\n.type capture,@function\ncapture:\n"
    "mov (%rsp), %rax\n mov %rax, capture_regs+8(%rip)\n lea 8(%rsp), %rax\n"
    "mov %rax, capture_regs+16(%rip)\n mov %rbp, capture_regs+24(%rip)\n"
    "mov %rbx, capture_regs+32(%rip)\n mov %r12, capture_regs+40(%rip)\n"
    "mov %r13, capture_regs+48(%rip)\n mov %r14, capture_regs+56(%rip)\n"
    "mov %r15, capture_regs+64(%rip)\n jmp capture_dump\n.size capture,.-capture\n");
)";

std::string ReadFile(const std::string& path) {
  std::stringstream content;
  content << std::ifstream(path).rdbuf();
  return content.str();
}

}  // namespace

Capture CaptureStacks(const std::string& code, const std::string& compiler, const std::string& file,
                      size_t stack_bytes, bool strip) {
  Capture capture;
  const char* base = getenv("TEST_TMPDIR");
  std::string directory = std::string(base != nullptr ? base : "/tmp") + "/captureXXXXXX";
  if (mkdtemp(directory.data()) == nullptr) return capture;
  char resolved[4096];
  if (realpath(directory.c_str(), resolved) != nullptr) directory = resolved;
  capture.program = directory + "/prog";
  capture.source = directory + "/" + file;
  std::ofstream(capture.source) << code;
  std::ofstream(directory + "/capture.c") << kCaptureSource;
  const std::string build = "cd " + directory + " && gcc -O2 -c capture.c -o capture.o && " +
                            compiler + " -c " + file + " -o prog.o && " +
                            (file.ends_with(".c") ? "gcc" : "g++") +
                            " -pthread prog.o capture.o -o prog" + (strip ? " && strip prog" : "") +
                            " && CAPTURE_MODULES=modules CAPTURE_STACKS=stacks CAPTURE_BYTES=" +
                            std::to_string(stack_bytes) + " ./prog";
  if (system(build.c_str()) != 0) return capture;
  capture.modules = ReadFile(directory + "/modules");
  const std::string stacks = ReadFile(directory + "/stacks");
  for (size_t at = 0; at + 8 <= stacks.size();) {
    uint64_t size;
    memcpy(&size, stacks.data() + at, 8);
    StackCopy copy;
    memcpy(&copy, stacks.data() + at + 8, sizeof(copy));
    const auto bytes = std::string_view(stacks).substr(at + 8, size).substr(sizeof(copy));
    capture.stacks.push_back(PackStack(copy, bytes));
    at += 8 + size;
  }
  return capture;
}

}  // namespace ipctrace
