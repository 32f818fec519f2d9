// A menu that asks again after each answer it does not understand, also after end-of-file. The
// stream remembers the end and makes no system call any more.
// STDIN: 1\n2\n
#include <cstdio>

int main() {
  int choice = 0;
  int errors = 0;
  while (errors < 10) {
    if (scanf("%d", &choice) != 1) ++errors;  // EXPECT: io-read-past-eof
  }
}
