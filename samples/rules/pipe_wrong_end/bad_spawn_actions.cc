// The command's standard output is to be the pipe, but the file action names the end for reading.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

int main() {
  int fds[2];
  pipe2(fds, O_CLOEXEC);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fds[0], STDOUT_FILENO);
  char name[] = "echo", word[] = "hello";
  char* arguments[] = {name, word, nullptr};
  pid_t pid;
  posix_spawnp(&pid, name, &actions, nullptr, arguments, environ);  // EXPECT: pipe-wrong-end
  posix_spawn_file_actions_destroy(&actions);
  close(fds[1]);
  char answer[16];
  read(fds[0], answer, sizeof(answer));
  close(fds[0]);
  waitpid(pid, nullptr, 0);
}
