// A filter process between two pipes. The parent sends its words, then reads the answer to its end,
// but it has not closed the end by which it sent: the filter never finishes, nor does the parent.
// HANGS
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <string>

namespace {

class Pipe {
 public:
  Pipe() {
    if (pipe(ends_) != 0) perror("pipe");
  }
  int source() const { return ends_[0]; }
  int sink() const { return ends_[1]; }

 private:
  int ends_[2];
};

void Filter(int in, int out) {
  char c;
  while (read(in, &c, 1) == 1) {  // EXPECT: pipe-no-eof
    c = static_cast<char>(toupper(c));
    write(out, &c, 1);
  }
}

}  // namespace

int main() {
  Pipe request, answer;
  if (fork() == 0) {
    close(request.sink());
    close(answer.source());
    Filter(request.source(), answer.sink());
    return 0;
  }
  close(request.source());
  close(answer.sink());

  const std::string words = "mistakes were made";
  write(request.sink(), words.data(), words.size());
  std::string loud;
  char c;
  while (read(answer.source(), &c, 1) == 1) loud += c;
  close(request.sink());
  wait(nullptr);
  printf("%s\n", loud.c_str());
}
