// SPDX-License-Identifier: Apache-2.0
#include "rotating_log.hpp"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <new>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace sluice::test {
namespace {

// Seen by all processes of the test.
struct Script {
  char directory[256] = {};
  Rotation how = Rotation::at_once;
  std::uint32_t second_at = 0;
  pid_t test = 0;
  bool begun = false;
  std::atomic<bool> armed{false};
  std::atomic<std::uint32_t> calls{0};
  std::atomic<std::uint32_t> rotations{0};
  std::atomic<int> next_step{0};  // Of a rotation that is begun; 0: of none.
};

// Null when there is nothing to do. Of the test, which starts all other processes.
Script* script = nullptr;

std::string path_of(const std::string& name) {
  return std::string{script->directory} + "/" + name;
}

constexpr int kOldest = 4;

void write_log(const std::string& text) {
  const int fd = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path_of("log").c_str(),
                                            O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  [[maybe_unused]] const ssize_t written = ::write(fd, text.data(), text.size());
  ::close(fd);
}

// The one behind the last rotation.
void make_log() {
  write_log(RotatingLog::texts().at(++script->rotations));
}

// The oldest first, so that nothing is overwritten; false if there is none of that age.
bool make_older(int number) {
  const std::string younger = number == 1 ? "log" : "log." + std::to_string(number - 1);
  return ::rename(path_of(younger).c_str(), path_of("log." + std::to_string(number)).c_str()) == 0;
}

// One thing that can be seen.
void step() {
  bool done = false;
  while (!done) {
    const int number = kOldest + 1 - script->next_step++;
    if (number == 0) {
      script->next_step = 0;
      return make_log();
    }
    done = make_older(number);
  }
}

void rotate_now() {
  script->next_step = 1;
  while (script->next_step != 0)
    step();
}

void rotate_as_asked() {
  if (script->how == Rotation::step_by_step) {
    script->next_step = 1;
    return step();
  }
  rotate_now();
  if (script->how == Rotation::and_a_death) ::kill(::getpid(), SIGKILL);
}

void before_a_call() {
  if (script->next_step != 0) step();
  // Counted before it is done: who is killed then has done it.
  if (std::exchange(script->begun, true)) {
    if (++script->calls == script->second_at) {
      while (script->next_step != 0)
        step();
      rotate_as_asked();
    }
    return;
  }
  // Here, too, so that it stands in the log before that is rotated.
  write_log(RotatingLog::texts()[0]);
  rotate_now();
  rotate_as_asked();
}

bool is_asked() {
  return script != nullptr && script->armed && ::getpid() != script->test;
}

void before_a_call_about(const char* path) {
  const int error = errno;
  if (is_asked() && std::string_view{path}.starts_with(path_of("log"))) before_a_call();
  errno = error;
}

void before_a_read_of(DIR* directory) {
  const int error = errno;
  if (is_asked()) {
    char path[sizeof(script->directory)] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(::dirfd(directory));
    if (::readlink(link.c_str(), path, sizeof(path) - 1) > 0 && std::string_view{path} == script->directory)
      before_a_call();
  }
  errno = error;
}

}  // namespace

RotatingLog::RotatingLog(const std::string& directory) {
  void* const memory =
      ::mmap(nullptr, sizeof(Script), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::runtime_error{"mmap"};
  script = new (memory) Script{};
  script->test = ::getpid();
  char real[PATH_MAX];
  if (::realpath(directory.c_str(), real) == nullptr || directory != real ||
      directory.size() >= sizeof(script->directory))
    throw std::runtime_error{"a directory by its real and short name is asked for, not " + directory};
  std::strcpy(script->directory, directory.c_str());
}

RotatingLog::~RotatingLog() {
  ::munmap(std::exchange(script, nullptr), sizeof(Script));
}

void RotatingLog::rotate(std::uint32_t calls, Rotation how) {
  script->second_at = calls;
  script->how = how;
  script->armed = true;
}

const std::array<std::string, 4>& RotatingLog::texts() {
  static const std::array<std::string, 4> texts{"two\n", "three\n", "four\n", "five\n"};
  return texts;
}

std::uint32_t RotatingLog::rotations() const {
  return script->rotations;
}

std::uint32_t RotatingLog::calls() const {
  return script->calls;
}

}  // namespace sluice::test

// In the place of the C library's, for all of the program.
extern "C" {

int statx(int directory, const char* path, int flags, unsigned mask, struct statx* status) noexcept {
  sluice::test::before_a_call_about(path);
  return static_cast<int>(::syscall(SYS_statx, directory, path, flags, mask, status));
}

int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    va_list more;
    va_start(more, flags);
    mode = va_arg(more, mode_t);
    va_end(more);
  }
  sluice::test::before_a_call_about(path);
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

dirent* readdir(DIR* directory) {
  using Function = dirent* (*)(DIR*);
  static const auto next = reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "readdir"));
  sluice::test::before_a_read_of(directory);
  return next(directory);
}
}
