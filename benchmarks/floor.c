/* The least lateness that this kernel gives: a thread that sleeps until absolute deadlines. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static long period_ns, ticks;
static long *late_ns;

static void *loop(void *unused) {
  struct timespec at, now;
  (void)unused;
  clock_gettime(CLOCK_MONOTONIC, &at);
  for (long tick = 0; tick < ticks; tick++) {
    at.tv_nsec += period_ns;
    while (at.tv_nsec >= 1000000000L) at.tv_nsec -= 1000000000L, at.tv_sec++;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL)) {}
    clock_gettime(CLOCK_MONOTONIC, &now);
    late_ns[tick] = (now.tv_sec - at.tv_sec) * 1000000000L + now.tv_nsec - at.tv_nsec;
  }
  return NULL;
}

int main(int argc, char **argv) {
  pthread_t thread;
  pthread_attr_t attributes;
  struct sched_param priority = {.sched_priority = 40};
  if (argc != 3) return 2;
  period_ns = atol(argv[1]), ticks = atol(argv[2]);
  late_ns = calloc(ticks, sizeof *late_ns);
  for (long tick = 0; tick < ticks; tick++) late_ns[tick] = 1;
  mlockall(MCL_CURRENT | MCL_FUTURE);
  pthread_attr_init(&attributes);
  pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
  pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
  pthread_attr_setschedparam(&attributes, &priority);
  if (pthread_create(&thread, &attributes, loop, NULL)) {
    fprintf(stderr, "no real-time priority\n");
    if (pthread_create(&thread, NULL, loop, NULL)) return 1;
  }
  pthread_join(thread, NULL);
  for (long tick = 0; tick < ticks; tick++) printf("%ld\n", late_ns[tick]);
  return 0;
}
