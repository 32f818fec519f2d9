// libc's functions that no header declares, or only where the program asks for them.
#ifndef IPCTRACE_PRELOAD_UNDECLARED_H_
#define IPCTRACE_PRELOAD_UNDECLARED_H_

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <wchar.h>

extern "C" {
int __open_2(const char*, int);
int __open64_2(const char*, int);
int __openat_2(int, const char*, int);
int __openat64_2(int, const char*, int);
ssize_t __read_chk(int, void*, size_t, size_t);
ssize_t __pread_chk(int, void*, size_t, off_t, size_t);
ssize_t __pread64_chk(int, void*, size_t, off64_t, size_t);
ssize_t __recv_chk(int, void*, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void*, size_t, size_t, int, sockaddr*, socklen_t*);
int __poll_chk(pollfd*, nfds_t, int, size_t);
int __ppoll_chk(pollfd*, nfds_t, const timespec*, const sigset_t*, size_t);
void __longjmp_chk(__jmp_buf_tag*, int) __attribute__((noreturn));
__sighandler_t bsd_signal(int, __sighandler_t) noexcept;
int __dprintf_chk(int, int, const char*, ...);
int __vdprintf_chk(int, int, const char*, va_list);

void __vsyslog_chk(int, int, const char*, va_list);
void __syslog_chk(int, int, const char*, ...);

int __posix_getopt(int, char* const*, const char*) noexcept;
int __mq_open_2(const char*, int);
int __xmknod(int, const char*, mode_t, dev_t*);
int __xmknodat(int, int, const char*, mode_t, dev_t*);

void __assert(const char*, const char*, int) noexcept __attribute__((noreturn));
void __assert_perror_fail(int, const char*, unsigned, const char*) noexcept
    __attribute__((noreturn));
void __assert_fail(const char*, const char*, unsigned, const char*) noexcept
    __attribute__((noreturn));

int __uflow(FILE*);
int __underflow(FILE*);
int __overflow(FILE*, int);
wint_t __wuflow(FILE*);
wint_t __wunderflow(FILE*);
wint_t __woverflow(FILE*, wint_t);
int _IO_getc(FILE*);
int _IO_putc(int, FILE*);
int _IO_puts(const char*);
int _IO_fputs(const char*, FILE*);
char* _IO_fgets(char*, int, FILE*);
size_t _IO_fread(void*, size_t, size_t, FILE*);
size_t _IO_fwrite(const void*, size_t, size_t, FILE*);
int _IO_fflush(FILE*);
int _IO_fclose(FILE*);
FILE* _IO_fopen(const char*, const char*);
FILE* _IO_fdopen(int, const char*);
FILE* _IO_popen(const char*, const char*);
int _IO_vfprintf(FILE*, const char*, va_list);
char* gets(char*);
char* _IO_gets(char*);
int _IO_printf(const char*, ...);
int _IO_fprintf(FILE*, const char*, ...);
int _IO_flush_all();
void _flushlbf();
int _IO_fsetpos(FILE*, const fpos_t*);
int _IO_fsetpos64(FILE*, const fpos64_t*);
int _IO_setvbuf(FILE*, char*, int, size_t);
void _IO_setbuffer(FILE*, char*, size_t);
char* __gets_chk(char*, size_t);
char* __fgets_chk(char*, size_t, int, FILE*);
char* __fgets_unlocked_chk(char*, size_t, int, FILE*);
size_t __fread_chk(void*, size_t, size_t, size_t, FILE*);
size_t __fread_unlocked_chk(void*, size_t, size_t, size_t, FILE*);
ssize_t __getdelim(char**, size_t*, int, FILE*);
int __printf_chk(int, const char*, ...);
int __fprintf_chk(FILE*, int, const char*, ...);
int __vprintf_chk(int, const char*, va_list);
int __vfprintf_chk(FILE*, int, const char*, va_list);
int __wprintf_chk(int, const wchar_t*, ...);
int __fwprintf_chk(FILE*, int, const wchar_t*, ...);
int __vwprintf_chk(int, const wchar_t*, va_list);
int __vfwprintf_chk(FILE*, int, const wchar_t*, va_list);
int __isoc99_scanf(const char*, ...);
int __isoc99_fscanf(FILE*, const char*, ...);
int __isoc99_vscanf(const char*, va_list);
int __isoc99_vfscanf(FILE*, const char*, va_list);
int __isoc23_scanf(const char*, ...);
int __isoc23_fscanf(FILE*, const char*, ...);
int __isoc23_vscanf(const char*, va_list);
int __isoc23_vfscanf(FILE*, const char*, va_list);
int __isoc99_wscanf(const wchar_t*, ...);
int __isoc99_fwscanf(FILE*, const wchar_t*, ...);
int __isoc99_vwscanf(const wchar_t*, va_list);
int __isoc99_vfwscanf(FILE*, const wchar_t*, va_list);
int __isoc23_wscanf(const wchar_t*, ...);
int __isoc23_fwscanf(FILE*, const wchar_t*, ...);
int __isoc23_vwscanf(const wchar_t*, va_list);
int __isoc23_vfwscanf(FILE*, const wchar_t*, va_list);
wchar_t* __fgetws_chk(wchar_t*, size_t, int, FILE*);
wchar_t* __fgetws_unlocked_chk(wchar_t*, size_t, int, FILE*);
}

#endif  // IPCTRACE_PRELOAD_UNDECLARED_H_
