// A reply whose head goes through stdio and whose body goes by sendfile: the body comes first.
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void reply(int connection, int page, size_t length) {
  FILE* out = fdopen(connection, "w");
  off_t from = 0;
  fprintf(out, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
  sendfile(connection, page, &from, length);  // EXPECT: stdio-fd-mix
  fclose(out);
}

int main(void) {
  int ends[2];
  char text[256];
  FILE* page = tmpfile();
  if (page == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
  fputs("<p>hello</p>", page);
  fflush(page);
  if (fork() == 0) {
    close(ends[0]);
    reply(ends[1], fileno(page), 12);
    _exit(0);
  }
  close(ends[1]);
  while (read(ends[0], text, sizeof(text)) > 0) continue;
  close(ends[0]);
  wait(NULL);
  fclose(page);
  return 0;
}
