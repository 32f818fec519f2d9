// A thread holds the mutex while another one forks. The child has the locked mutex and not the
// thread that would unlock it.
// HANGS
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t is_locked, may_unlock;

static void* hold(void* unused) {
  pthread_mutex_lock(&mutex);
  sem_post(&is_locked);
  sem_wait(&may_unlock);
  pthread_mutex_unlock(&mutex);
  return unused;
}

int main(void) {
  pthread_t holder;
  sem_init(&is_locked, 0, 0);
  sem_init(&may_unlock, 0, 0);
  pthread_create(&holder, NULL, hold, NULL);
  sem_wait(&is_locked);
  pid_t child = fork();
  if (child == 0) {
    pthread_mutex_lock(&mutex);  // EXPECT: process-fork-threads=error
    _exit(0);
  }
  sem_post(&may_unlock);
  pthread_join(holder, NULL);
  waitpid(child, NULL, 0);
  return 0;
}
