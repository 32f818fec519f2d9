// Forbids itself, on pain of death, all system calls but reading, writing and ending. `filtered HOW`:
// prctl, seccomp (the system call, as libseccomp makes it), strict; lenient: all but one that nobody
// makes; refused: what the kernel does not take; no-clock: lets reading the clock end it. What it prints must be the same with and without ipctrace.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALLOW(name)                                              \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),         \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static struct sock_filter few[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(read), ALLOW(write), ALLOW(exit_group), ALLOW(rt_sigreturn),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
static struct sock_filter all[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_swapon, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

int main(int argc, char **argv) {
  struct sock_fprog filter = {sizeof(few) / sizeof(few[0]), few};
  const char *how = argc > 1 ? argv[1] : "";
  int ends[2], result = -1, nothing[2];
  char byte, line[64];
  if (pipe(ends) != 0 || pipe(nothing) != 0) return 1;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (strcmp(how, "lenient") == 0) filter = (struct sock_fprog){sizeof(all) / sizeof(all[0]), all};
  if (strcmp(how, "refused") == 0) filter.len = 0;
  if (strcmp(how, "no-clock") == 0)
    result = prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
  else if (strcmp(how, "strict") == 0)
    result = prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
  else if (strcmp(how, "seccomp") == 0)
    result = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter);
  else
    result = prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
  for (int i = 0; i < 30000; i++) {
    if (write(ends[1], "x", 1) != 1 || read(ends[0], &byte, 1) != 1) return 2;
  }
  long bad = read(ends[1], &byte, 1);
  int length = snprintf(line, sizeof(line), "%s: %d, then %ld\n", how, result, bad);
  write(1, line, (size_t)length);
  if (strcmp(how, "strict") == 0) {
    __asm__ volatile("syscall" : : "a"(SYS_exit), "D"(0) : "rcx", "r11", "memory");
  }
  _exit(7);
}
