#include <unistd.h>

int main(void) {
	int fd[2];
	char buf[16];
	pipe(fd);
	if (fork() == 0) {
		close(fd[1]);
		while (read(fd[0], buf, sizeof buf) > 0) continue;
		return 0;
	}
	while (read(fd[0], buf, sizeof buf) > 0) continue;  /* the line in question */
	return 0;
}
