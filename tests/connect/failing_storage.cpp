// SPDX-License-Identifier: Apache-2.0
#include "failing_storage.hpp"

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice::test {
namespace {

struct Shared {
  std::atomic<int> error;  // Of all calls.
  std::atomic<FailingCall> only;
  std::atomic<int> sync_error;  // Of the next fsync() or syncfs().
  std::atomic<unsigned> failed;
  char directory[4096];
};

// Made before anything is forked, and the same in all of it.
Shared& shared() {
  static Shared* const memory =
      new (::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
          Shared{};
  return *memory;
}
Shared& made_at_once = shared();

bool is_below(std::string_view path) {
  const std::string_view directory = made_at_once.directory;
  return !directory.empty() && path.starts_with(directory);
}

bool is_below(int file) {
  if (made_at_once.directory[0] == '\0') return false;
  char link[64];
  char path[4096];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
  const ssize_t bytes = ::readlink(link, path, sizeof(path));
  return bytes > 0 && is_below(std::string_view{path, static_cast<std::size_t>(bytes)});
}

bool fails(int error) {
  if (error == 0) return false;
  made_at_once.failed.fetch_add(1);
  errno = error;
  return true;
}
template <class Where>
bool is_away(Where where, FailingCall call = FailingCall::any) {
  const int error = made_at_once.error.load();
  const FailingCall only = made_at_once.only.load();
  return error != 0 && (only == FailingCall::any || only == call) && is_below(where) && fails(error);
}

}  // namespace

void take_storage_away(const std::string& directory, int error, FailingCall only) {
  std::strncpy(made_at_once.directory, directory.c_str(), sizeof(Shared::directory) - 1);
  made_at_once.only.store(only);
  made_at_once.error.store(error);
}
void back_again() {
  made_at_once.error.store(0);
}
void fail_next_sync(const std::string& directory, int error) {
  std::strncpy(made_at_once.directory, directory.c_str(), sizeof(Shared::directory) - 1);
  made_at_once.sync_error.store(error);
}
unsigned failed_calls() {
  return made_at_once.failed.load();
}

}  // namespace sluice::test

// In the place of the C library's.
extern "C" {

ssize_t pread(int file, void* to, size_t bytes, off_t at) {
  if (sluice::test::is_away(file, sluice::test::FailingCall::pread)) return -1;
  return ::syscall(SYS_pread64, file, to, bytes, at);
}
ssize_t pwrite(int file, const void* from, size_t bytes, off_t at) {
  if (sluice::test::is_away(file)) return -1;
  return ::syscall(SYS_pwrite64, file, from, bytes, at);
}
int fsync(int file) {
  struct stat status {};
  if (sluice::test::is_away(file)) return -1;
  if (sluice::test::made_at_once.sync_error.load() != 0 && sluice::test::is_below(file) &&
      ::fstat(file, &status) == 0 && S_ISREG(status.st_mode) &&
      sluice::test::fails(sluice::test::made_at_once.sync_error.exchange(0)))
    return -1;
  return static_cast<int>(::syscall(SYS_fsync, file));
}
int syncfs(int file) {
  if (sluice::test::is_away(file)) return -1;
  if (sluice::test::made_at_once.sync_error.load() != 0 && sluice::test::is_below(file) &&
      sluice::test::fails(sluice::test::made_at_once.sync_error.exchange(0)))
    return -1;
  return static_cast<int>(::syscall(SYS_syncfs, file));
}
int faccessat(int directory, const char* path, int mode, int flags) {
  if (sluice::test::is_away(directory, sluice::test::FailingCall::faccessat)) return -1;
  return static_cast<int>(::syscall(SYS_faccessat2, directory, path, mode, flags));
}
int statx(int directory, const char* path, int flags, unsigned mask, struct statx* status) {
  const std::string_view named = path;
  if (named.empty() ? sluice::test::is_away(directory) : sluice::test::is_away(named)) return -1;
  return static_cast<int>(::syscall(SYS_statx, directory, path, flags, mask, status));
}

}  // extern "C"
