// SPDX-License-Identifier: Apache-2.0
// Loads the shared object, lets its pipeline run and unloads it, three times in one process. Nothing may be
// left behind: no process, no descriptor, no mapping, no signal handler, no code that would run at exit.
//
// usage: loader plugin.so      status 0, or 1 with what is wrong on stderr
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kRounds = 3 };

static int failures = 0;

static void fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  ++failures;
}

// Mappings of files. With a name only those with it in theirs.
static unsigned count_mappings(const char* name) {
  FILE* maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) return 0;
  unsigned count = 0;
  char line[4608];
  while (fgets(line, sizeof(line), maps) != NULL) {
    if (strchr(line, '/') != NULL && (name == NULL || strstr(line, name) != NULL)) ++count;
  }
  fclose(maps);
  return count;
}

static unsigned count_descriptors(void) {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == NULL) return 0;
  unsigned count = 0;
  while (readdir(directory) != NULL)
    ++count;
  closedir(directory);
  return count;
}

// This process is also the parent of every process that loses its own. A process that is about to end gets a
// while.
static void look_for_processes(int round) {
  enum { kPatienceMs = 5000 };
  for (int waited = 0; waited < kPatienceMs; ++waited) {
    const pid_t child = waitpid(-1, NULL, WNOHANG | __WALL);
    if (child < 0 && errno == ECHILD) return;
    if (child == 0) usleep(1000);
  }
  fail("round %d: a process is left", round);
}

static void read_handlers(struct sigaction* handlers) {
  for (int signal = 1; signal < NSIG; ++signal) {
    memset(&handlers[signal], 0, sizeof(handlers[signal]));
    sigaction(signal, NULL, &handlers[signal]);
  }
}

static void compare_handlers(int round, const struct sigaction* before) {
  struct sigaction now[NSIG];
  read_handlers(now);
  for (int signal = 1; signal < NSIG; ++signal)
    if (now[signal].sa_handler != before[signal].sa_handler ||
        now[signal].sa_flags != before[signal].sa_flags) {
      fail("round %d: signal %d is handled in another way than before", round, signal);
    }
}

static void run_once(int round, const char* plugin) {
  void* library = dlopen(plugin, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fail("round %d: %s", round, dlerror());
    return;
  }
  if (dlsym(library, "_ZN6sluice6Engine5startEv") != NULL) fail("round %d: sluice is exported", round);
  int (*run_pipeline)(void) = (int (*)(void))dlsym(library, "run_pipeline");
  const int status = run_pipeline == NULL ? -1 : run_pipeline();
  if (status != 0) fail("round %d: run_pipeline() gives %d", round, status);
  if (dlclose(library) != 0) fail("round %d: %s", round, dlerror());
}

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: loader plugin.so\n");
    return 2;
  }
  const char* plugin = argv[1];
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const unsigned descriptors = count_descriptors();
  unsigned mappings = 0;
  struct sigaction handlers[NSIG];
  read_handlers(handlers);
  for (int round = 1; round <= kRounds; ++round) {
    run_once(round, plugin);
    look_for_processes(round);
    if (count_mappings(plugin) != 0) fail("round %d: the plugin is still mapped", round);
    if (count_mappings("memfd:") != 0) fail("round %d: the segment is still mapped", round);
    // The run-time library of C++ stays once it is there; nothing is added to it by the next rounds.
    if (round == 1) mappings = count_mappings(NULL);
    if (count_mappings(NULL) != mappings)
      fail("round %d: there are more mappings than after the first", round);
    if (count_descriptors() != descriptors) fail("round %d: descriptors are left open", round);
    compare_handlers(round, handlers);
  }
  if (failures == 0) printf("%d rounds, nothing left\n", kRounds);
  return failures == 0 ? 0 : 1;
}
