// libc's functions that read files of their own (the locale's, the time zone's, those of users,
// hosts and services), some of which keep one open until a later call, and some of which write.
//
// What they do is no act of the program's. But whoever compares what was seen with what the kernel
// counted has to know that they were called. So the first call of each leaves a fact with its name,
// and every later one goes straight on: two instructions, all arguments as they are.
#include <string.h>

#include <cstdint>

#include "preload/interpose.h"
#include "preload/recorder.h"

namespace ipctrace {

IPCTRACE_START_CODE void NoteInside(const char* name, bool writes) {
  const int saved = errno;
  Fact inside(Call::fact_inside, -1);
  inside->c = writes;
  inside.Blob(BlobTag::kPath, name, strlen(name));
  inside.Done();
  errno = saved;
}

// From the thunks: says it, and where to go on.
extern "C" __attribute__((visibility("hidden"), used)) IPCTRACE_START_CODE void* ipctrace_inside(
    const char* name, void** real, uint64_t writes) {
  void* const function = FindReal(name);
  // Before the start there is nobody to tell: sanitizers set themselves up then, and call some of
  // these.
  if (!session.started) return function;
  NoteInside(name, writes != 0);
  return *real = function;
}

// Saves what may hold an argument; none of these functions takes a floating-point one.
__asm__(
    ".section ipctrace_start, \"ax\", @progbits\n"
    ".type ipctrace_first_inside, @function\n"
    "ipctrace_first_inside:\n"  // r10: its name, r11: where its address is kept
    "  .cfi_startproc\n"
    "  pushq %rax\n  .cfi_adjust_cfa_offset 8\n"
    "  pushq %rdi\n  .cfi_adjust_cfa_offset 8\n"
    "  pushq %rsi\n  .cfi_adjust_cfa_offset 8\n"
    "  pushq %rdx\n  .cfi_adjust_cfa_offset 8\n"
    "  pushq %rcx\n  .cfi_adjust_cfa_offset 8\n"
    "  pushq %r8\n  .cfi_adjust_cfa_offset 8\n"
    "  pushq %r9\n  .cfi_adjust_cfa_offset 8\n"
    "  movq %r10, %rdi\n"
    "  movq %r11, %rsi\n"
    "  movzbl -1(%r10), %edx\n"
    "  call ipctrace_inside\n"
    "  movq %rax, %r11\n"
    "  popq %r9\n  .cfi_adjust_cfa_offset -8\n"
    "  popq %r8\n  .cfi_adjust_cfa_offset -8\n"
    "  popq %rcx\n  .cfi_adjust_cfa_offset -8\n"
    "  popq %rdx\n  .cfi_adjust_cfa_offset -8\n"
    "  popq %rsi\n  .cfi_adjust_cfa_offset -8\n"
    "  popq %rdi\n  .cfi_adjust_cfa_offset -8\n"
    "  popq %rax\n  .cfi_adjust_cfa_offset -8\n"
    "  jmp *%r11\n"
    "  .cfi_endproc\n"
    ".size ipctrace_first_inside, .-ipctrace_first_inside\n");

// A byte before the name tells whether it writes.
#define THUNK(name, writes, section)       \
  __asm__(                                 \
      ".section .rodata\n"                 \
      "  .byte " #writes                   \
      "\n"                                 \
      ".Lname_" #name ": .string \"" #name \
      "\"\n"                               \
      ".section .bss.functions_inside, \"aw\", @nobits\n" \
      "  .balign 8\n"                      \
      ".Lreal_" #name                      \
      ": .skip 8\n"                        \
      section "\n"                         \
      ".globl " #name                      \
      "\n"                                 \
      ".type " #name ", @function\n" #name \
      ":\n"                                \
      "  .cfi_startproc\n"                 \
      "  movq .Lreal_" #name               \
      "(%rip), %r11\n"                     \
      "  testq %r11, %r11\n"               \
      "  jz 1f\n"                          \
      "  jmp *%r11\n"                      \
      "1:\n"                               \
      "  leaq .Lname_" #name               \
      "(%rip), %r10\n"                     \
      "  leaq .Lreal_" #name               \
      "(%rip), %r11\n"                     \
      "  jmp ipctrace_first_inside\n"      \
      "  .cfi_endproc\n"                   \
      ".size " #name ", .-" #name "\n")
#define READS(name) THUNK(name, 0, ".text")
#define WRITES(name) THUNK(name, 1, ".text")
#define IPCTRACE_START_SECTION \
  ".section ipctrace_start, \"ax\", @progbits"  // most programs call it

// Locales, messages, character sets.
THUNK(setlocale, 0, IPCTRACE_START_SECTION);
READS(newlocale);
READS(__newlocale);
READS(catopen);
READS(iconv_open);
READS(getdate);
READS(getdate_r);

// Time zones.
READS(tzset);
READS(localtime);
READS(localtime_r);
READS(mktime);
READS(timelocal);
READS(ctime);
READS(ctime_r);
READS(strftime);
READS(strftime_l);
READS(__strftime_l);
READS(wcsftime);
READS(wcsftime_l);
READS(__wcsftime_l);

// Users and groups.
READS(getpwnam);
READS(getpwnam_r);
READS(getpwuid);
READS(getpwuid_r);
READS(getpwent);
READS(getpwent_r);
READS(setpwent);
READS(endpwent);
READS(fgetpwent);
READS(fgetpwent_r);
READS(getpw);
WRITES(putpwent);
READS(getgrnam);
READS(getgrnam_r);
READS(getgrgid);
READS(getgrgid_r);
READS(getgrent);
READS(getgrent_r);
READS(setgrent);
READS(endgrent);
READS(fgetgrent);
READS(fgetgrent_r);
WRITES(putgrent);
READS(getgrouplist);
READS(initgroups);
READS(getspnam);
READS(getspnam_r);
READS(getspent);
READS(getspent_r);
READS(setspent);
READS(endspent);
READS(fgetspent);
READS(fgetspent_r);
WRITES(putspent);
READS(getsgnam);
READS(getsgnam_r);
READS(getsgent);
READS(getsgent_r);
READS(setsgent);
READS(endsgent);
READS(fgetsgent);
READS(fgetsgent_r);
WRITES(putsgent);
READS(lckpwdf);
READS(ulckpwdf);
READS(getusershell);
READS(setusershell);
READS(endusershell);
READS(getlogin);
READS(getlogin_r);
READS(__getlogin_r_chk);
READS(cuserid);
WRITES(getpass);
READS(getnetgrent);
READS(getnetgrent_r);
READS(setnetgrent);
READS(endnetgrent);
READS(innetgr);
READS(getaliasent);
READS(getaliasent_r);
READS(getaliasbyname);
READS(getaliasbyname_r);
READS(setaliasent);
READS(endaliasent);

// Who is logged in.
READS(getutent);
READS(getutent_r);
READS(getutid);
READS(getutid_r);
READS(getutline);
READS(getutline_r);
READS(setutent);
READS(endutent);
WRITES(pututline);
READS(getutxent);
READS(getutxid);
READS(getutxline);
READS(setutxent);
READS(endutxent);
WRITES(pututxline);
WRITES(updwtmp);
WRITES(updwtmpx);
WRITES(login);
WRITES(logout);
WRITES(logwtmp);

// Hosts, networks, services.
READS(gethostbyname);
READS(gethostbyname_r);
READS(gethostbyname2);
READS(gethostbyname2_r);
READS(gethostbyaddr);
READS(gethostbyaddr_r);
READS(gethostent);
READS(gethostent_r);
READS(sethostent);
READS(endhostent);
READS(gethostid);
WRITES(sethostid);
READS(getaddrinfo_a);
READS(getnameinfo);
READS(getservbyname);
READS(getservbyname_r);
READS(getservbyport);
READS(getservbyport_r);
READS(getservent);
READS(getservent_r);
READS(setservent);
READS(endservent);
READS(getprotobyname);
READS(getprotobyname_r);
READS(getprotobynumber);
READS(getprotobynumber_r);
READS(getprotoent);
READS(getprotoent_r);
READS(setprotoent);
READS(endprotoent);
READS(getnetbyname);
READS(getnetbyname_r);
READS(getnetbyaddr);
READS(getnetbyaddr_r);
READS(getnetent);
READS(getnetent_r);
READS(setnetent);
READS(endnetent);
READS(getrpcbyname);
READS(getrpcbyname_r);
READS(getrpcbynumber);
READS(getrpcbynumber_r);
READS(getrpcent);
READS(getrpcent_r);
READS(setrpcent);
READS(endrpcent);
READS(ether_hostton);
READS(ether_ntohost);
WRITES(rcmd);
WRITES(rcmd_af);
WRITES(rexec);
WRITES(rexec_af);
READS(rresvport);
READS(rresvport_af);
READS(ruserok);
READS(ruserok_af);
READS(iruserok);
READS(iruserok_af);
READS(ruserpass);
READS(__res_init);
READS(__res_ninit);
READS(res_query);
READS(res_search);
READS(res_querydomain);
READS(res_send);
READS(res_nquery);
READS(res_nsearch);
READS(res_nquerydomain);
READS(res_nsend);

// The system.
READS(getfsent);
READS(getfsspec);
READS(getfsfile);
READS(setfsent);
READS(endfsent);
READS(getttyent);
READS(getttynam);
READS(setttyent);
READS(endttyent);
READS(ttyname);
READS(ttyname_r);
READS(__ttyname_r_chk);
READS(ttyslot);
READS(getmntent);
READS(getmntent_r);
READS(__getmntent_r);
WRITES(addmntent);
READS(getloadavg);
READS(get_nprocs);
READS(get_nprocs_conf);
THUNK(sysconf, 0, IPCTRACE_START_SECTION);
READS(__sysconf);
READS(pathconf);
READS(fpathconf);
READS(statvfs);
READS(statvfs64);
READS(fstatvfs);
READS(fstatvfs64);
READS(pthread_getattr_np);
WRITES(posix_fallocate);
WRITES(posix_fallocate64);

// Trees of directories, which stay open between the calls; patterns with users' names.
READS(fts_open);
READS(fts_read);
READS(fts_children);
READS(fts_close);
READS(fts64_open);
READS(fts64_read);
READS(fts64_children);
READS(fts64_close);
READS(glob);
READS(glob64);
READS(wordexp);

// What loads libraries: to unwind a stack, libgcc_s.
READS(dlmopen);
READS(pthread_cancel);
READS(pthread_exit);
READS(thrd_exit);
READS(backtrace);
READS(__backtrace);

// What uses a thread of libc's own.
READS(aio_read);
READS(aio_read64);
READS(mq_notify);

// Profiles and statistics.
WRITES(_mcleanup);
WRITES(malloc_stats);
WRITES(malloc_info);
WRITES(muntrace);

// Messages, through streams of libc's choice.
WRITES(fmtmsg);
WRITES(psiginfo);
WRITES(herror);
WRITES(argp_parse);
WRITES(argp_help);
WRITES(argp_state_help);
WRITES(argp_usage);
WRITES(argp_error);
WRITES(argp_failure);

}  // namespace ipctrace
