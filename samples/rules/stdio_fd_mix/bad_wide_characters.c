// Wide characters wait in a buffer of their own, and become bytes when that is written out.
#include <locale.h>
#include <stdio.h>
#include <unistd.h>
#include <wchar.h>

int main(void) {
  wchar_t line[64];
  char rest[64];
  FILE* file = tmpfile();
  if (setlocale(LC_ALL, "C.UTF-8") == NULL || file == NULL) return 1;
  if (write(fileno(file), "first\nsecond\n", 13) != 13) return 1;
  lseek(fileno(file), 0, SEEK_SET);
  if (fgetws(line, 64, file) == NULL) return 1;
  read(fileno(file), rest, sizeof(rest));  // EXPECT: stdio-fd-mix
  fclose(file);
  wprintf(L"erst %ls", line);
  write(1, "dann\n", 5);  // EXPECT: stdio-fd-mix
  return 0;
}
