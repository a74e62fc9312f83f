// SPDX-License-Identifier: Apache-2.0
// A temporary directory that goes with the suite, however that ends, and a server that may stand in it.
//
// A process of its own looks after both: no child of the suite, which looks after each run whether any process is left. It
// ends them once the suite and all that it has forked are gone, by a pipe that closes.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

namespace sluice::bench {

class GuardedDirectory {
 public:
  // `become_server` is called in a process that has nothing else to do, and does not return if all is well.
  using Server = std::function<void(const std::filesystem::path& directory)>;

  // A directory for each `name`. Throws Error where none can be made.
  explicit GuardedDirectory(const std::string& name, const Server& become_server = {});
  ~GuardedDirectory();
  GuardedDirectory(const GuardedDirectory&) = delete;
  GuardedDirectory& operator=(const GuardedDirectory&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  int alive_ = -1;
};

}  // namespace sluice::bench
