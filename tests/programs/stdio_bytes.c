// stdio_bytes SEED FILE: sends text through a pipe by all of stdio's calls, takes it by all of them,
// and writes to FILE what was sent.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned state;

static unsigned roll(unsigned sides) {
  state = state * 1103515245u + 12345u;
  return (state >> 16) % sides;
}

static char chunk[20001];

static int make(int size) {
  for (int i = 0; i < size; i++) chunk[i] = "abcdefghij \n"[roll(12)];
  chunk[size] = '\0';
  return size;
}

static void format(FILE *stream, const char *text, ...) {
  va_list list;
  va_start(list, text);
  vfprintf(stream, text, list);
  va_end(list);
}

static void take_all(FILE *in) {
  static char line[9000];
  char *text = NULL;
  size_t room = 0;
  if (roll(4) == 0) setvbuf(in, NULL, _IONBF, 0);
  for (int more = 1; more;) {
    switch (roll(6)) {
      case 0:
        more = fgetc(in) != EOF;
        break;
      case 1:
        more = fgets(line, 2 + (int)roll(8000), in) != NULL;
        break;
      case 2:
        more = getline(&text, &room, in) >= 0;
        break;
      case 3:
        more = fread(line, 1, 1 + roll(9000), in) != 0;
        break;
      case 4: {
        int character = fgetc(in);
        more = character != EOF;
        ungetc(character, in);
        break;
      }
      case 5:
        more = getdelim(&text, &room, 'd', in) >= 0;
        break;
    }
  }
  free(text);
}

static void send_some(FILE *out, FILE *said) {
  for (int i = 0; i < 60; i++) {
    int size = make((int)(roll(6) == 0 ? roll(20000) : roll(200)));
    switch (roll(7)) {
      case 0:
        fputs(chunk, out);
        fputs(chunk, said);
        break;
      case 1:
        fprintf(out, "%s|%d\n", chunk, i);
        fprintf(said, "%s|%d\n", chunk, i);
        break;
      case 2:
        fwrite(chunk, 1, (size_t)size, out);
        fwrite(chunk, 1, (size_t)size, said);
        break;
      case 3:
        fputc('x', out);
        fputc('x', said);
        break;
      case 4:
        format(out, "%-30.12s%s", chunk, chunk);
        format(said, "%-30.12s%s", chunk, chunk);
        break;
      case 5:
        fflush(out);
        dprintf(fileno(out), "%s!", chunk);
        fprintf(said, "%s!", chunk);
        break;
      case 6:
        putw(0x61626364, out);
        putw(0x61626364, said);
        break;
    }
  }
}

int main(int argc, char **argv) {
  static const int modes[] = {_IOFBF, _IOLBF, _IONBF};
  int ends[2];
  if (argc < 3 || pipe(ends) != 0) return 1;
  state = (unsigned)atoi(argv[1]);
  if (fork() == 0) {
    close(ends[1]);
    take_all(fdopen(ends[0], "r"));
    return 0;
  }
  close(ends[0]);
  FILE *out = fdopen(ends[1], "w");
  int mode = modes[roll(3)];
  setvbuf(out, NULL, mode, mode == _IONBF ? 0 : 4096);
  FILE *said = fopen(argv[2], "w");
  send_some(out, said);
  fclose(said);
  fclose(out);
  wait(NULL);
  return 0;
}
