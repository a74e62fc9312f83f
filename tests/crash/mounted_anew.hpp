// SPDX-License-Identifier: Apache-2.0
// A file system that is mounted anew, as after a boot: its files and their inodes are the same, the number of its device is not.
//
// Used by tests, in a process of their own (total_loss::Host): the mounts are that process's alone, and go with it.
#pragma once

#include <filesystem>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/stat.h>

namespace sluice::test {

class MountedAnew {
 public:
  // Lays it under `scratch`, a directory.
  explicit MountedAnew(std::filesystem::path scratch) : scratch_{std::move(scratch)} {
    for (const char* name : {"disk", "other", "mounted"})
      std::filesystem::create_directory(scratch_ / name);
  }

  std::filesystem::path path() const { return scratch_ / "mounted"; }
  // Once, and later again; false where that is not allowed.
  bool mount() {
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        !mounted("tmpfs", "disk", ""))
      return false;
    for (const char* name : {"disk/low", "disk/up", "disk/work"})
      std::filesystem::create_directory(scratch_ / name);
    return overlay();
  }
  bool mount_anew() {
    const auto before = device();
    // Another takes the number.
    return ::umount2(path().c_str(), MNT_DETACH) == 0 && mounted("tmpfs", "other", "") && overlay() &&
           device() != before;
  }

 private:
  bool mounted(const char* type, const char* where, const std::string& options) const {
    return ::mount("none", (scratch_ / where).c_str(), type, 0, options.c_str()) == 0;
  }
  bool overlay() const {
    const std::string disk = (scratch_ / "disk").string();
    return mounted("overlay", "mounted",
                   "lowerdir=" + disk + "/low,upperdir=" + disk + "/up,workdir=" + disk + "/work") &&
           ::chmod(path().c_str(), 0700) == 0;
  }
  dev_t device() const {
    struct stat status {};
    return ::stat(path().c_str(), &status) == 0 ? status.st_dev : 0;
  }

  std::filesystem::path scratch_;
};

}  // namespace sluice::test
