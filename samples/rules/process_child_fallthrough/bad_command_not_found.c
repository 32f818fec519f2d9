// A small shell: where a command is not found, the child does not end, and is a second shell, which
// takes the next commands from the first.
// STDIN: no-such-command\ntrue\n
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
  char line[64];
  setbuf(stdin, NULL);
  while (fgets(line, sizeof(line), stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    pid_t pid = fork();  // EXPECT: process-child-fallthrough
    if (pid == 0) {
      execlp(line, line, (char *)NULL);
      perror(line);
    } else {
      waitpid(pid, NULL, 0);
    }
  }
  return 0;
}
