// Wide characters are lost like others.
#include <locale.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wchar.h>

int main(void) {
  if (setlocale(LC_ALL, "C.UTF-8") == NULL) return 1;
  if (fork() == 0) {
    wprintf(L"größer als %d\n", 41);
    _exit(0);  // EXPECT: stdio-lost-output
  }
  wait(NULL);
  fputws(L"fertig\n", stdout);
  return 0;
}
