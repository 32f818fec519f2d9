// The server insists on a whole header (MSG_WAITALL); the client has sent half of one and waits
// for the answer. That there are bytes in between does not help.
// HANGS
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HEADER = 64 };

int main(void) {
  int ends[2];
  char header[HEADER] = "GET", answer[8];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  pid_t client = fork();
  if (client == 0) {
    close(ends[0]);
    send(ends[1], header, HEADER / 2, 0);
    recv(ends[1], answer, sizeof(answer), 0);  // EXPECT-EITHER: ipc-deadlock
    _exit(0);
  }
  close(ends[1]);
  if (recv(ends[0], header, HEADER, MSG_WAITALL) == HEADER)  // EXPECT-EITHER: ipc-deadlock
    send(ends[0], "ok", 2, 0);
  close(ends[0]);
  waitpid(client, NULL, 0);
  return 0;
}
