// The client says that it has nothing more to send, and sends its last line after that.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

class Conversation {
 public:
  explicit Conversation(int fd) : fd_(fd) {}
  ~Conversation() { close(fd_); }
  void Say(const char* text) {
    if (send(fd_, text, strlen(text), MSG_NOSIGNAL) < 0) perror("send");  // EXPECT: socket-wrong-state
  }
  void Finish() { shutdown(fd_, SHUT_WR); }

 private:
  int fd_;
};

int main() {
  int ends[2];
  socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
  if (fork() == 0) {
    close(ends[0]);
    char buffer[64];
    while (read(ends[1], buffer, sizeof(buffer)) > 0) {
    }
    close(ends[1]);
    _exit(0);
  }
  close(ends[1]);
  {
    Conversation talk(ends[0]);
    talk.Say("hello");
    talk.Finish();
    talk.Say("one more thing");
  }
  wait(nullptr);
}
