// fclose closes the pipe of a command; only pclose waits for the command, too.
// SAYS: call pclose on the stream that popen returned
#include <stdio.h>
#include <unistd.h>

int main(void) {
  char line[64];
  FILE *command = popen("echo ready", "r");  // EXPECT: process-zombie
  if (command == NULL) return 1;
  while (fgets(line, sizeof(line), command) != NULL) fputs(line, stdout);
  fclose(command);
  for (int i = 0; i < 8; i++) usleep(100000);
  return 0;
}
