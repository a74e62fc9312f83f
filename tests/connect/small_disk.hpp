// SPDX-License-Identifier: Apache-2.0
// A disk that is full soon, and gets room later: a tmpfs that nobody sees but this process and those that it starts from then on.
#pragma once

#include <cerrno>
#include <filesystem>
#include <sched.h>
#include <string>
#include <sys/mount.h>

namespace sluice::test {

class SmallDisk {
 public:
  // At a directory that it makes. Of no use where this user may not mount anything: then it is not there.
  SmallDisk(std::filesystem::path at, const std::string& size) : at_{std::move(at)} {
    std::filesystem::create_directories(at_);
    mounted_ = ::unshare(CLONE_NEWNS) == 0 &&
               ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               ::mount("none", at_.c_str(), "tmpfs", 0, ("mode=0777,size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(at_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool is_there() const noexcept { return mounted_; }
  const std::filesystem::path& path() const noexcept { return at_; }
  bool grow(const std::string& size) const {
    return ::mount("none", at_.c_str(), "tmpfs", MS_REMOUNT, ("mode=0777,size=" + size).c_str()) == 0;
  }

 private:
  std::filesystem::path at_;
  bool mounted_ = false;
};

}  // namespace sluice::test
