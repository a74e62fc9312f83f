// SPDX-License-Identifier: Apache-2.0
// Names of suites and files, checked.

#include "bench_options.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "settings/settings_names.hpp"

namespace sluice::bench {
namespace {

Suite suite_named(const std::string& name) {
  std::vector<std::string> names;
  for (const Suite& suite : all_suites()) {
    if (suite.name == name) return suite;
    names.emplace_back(suite.name);
  }
  const std::string near = detail::nearest(name, names);
  throw Error{{"run", fmt::format("suite '{}'", name), "there is no such suite",
               near.empty() ? fmt::format("there are {}", fmt::join(names, ", "))
                            : fmt::format("did you mean {}?", near)}};
}

}  // namespace

std::vector<Suite> suites_asked(const BenchWords& words) {
  std::vector<Suite> suites;
  for (const std::string& name : words.suites) {
    const Suite suite = suite_named(name);
    if (std::ranges::find(suites, suite.name, &Suite::name) == suites.end()) suites.push_back(suite);
  }
  if (!suites.empty()) return suites;
  for (const Suite& suite : all_suites()) {
    if (words.peers || suite.name != "peers") suites.push_back(suite);
  }
  return suites;
}

OutputFile::OutputFile(const std::string& path)
    : path_{path}, fd_{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)} {
  if (fd_ < 0) throw Error{{"write", path, errno_text(), "name a file in a directory that you may write to"}};
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_{std::move(other.path_)}, fd_{std::exchange(other.fd_, -1)} {}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
}

void OutputFile::write(const std::string& text) {
  const auto fail = [this] { throw Error{{"write", path_, errno_text(), ""}}; };
  struct stat status {};
  // A pipe or a terminal has no length to cut.
  if (::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode) && ::ftruncate(fd_, 0) != 0) fail();
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(fd_, text.data() + done, text.size() - done);
    if (written < 0 && errno != EINTR) fail();
    if (written > 0) done += static_cast<std::size_t>(written);
  }
  if (::close(std::exchange(fd_, -1)) != 0) fail();
}

std::string program_directory() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
}

}  // namespace sluice::bench
