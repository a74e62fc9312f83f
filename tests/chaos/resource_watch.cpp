// SPDX-License-Identifier: Apache-2.0
#include "resource_watch.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <fmt/format.h>

namespace chaos_test {
namespace {

constexpr std::chrono::milliseconds kBetweenLooks{20};

// One moment differs from another by a replacement that is being made; a leak of one at each restart would be
// far beyond it.
constexpr std::size_t kDescriptorsOfAMoment = 16;
constexpr std::size_t kBytesOfAMoment = std::size_t{512} << 10U;

}  // namespace

std::size_t descriptors_of(pid_t pid) {
  std::error_code gone;
  std::size_t count = 0;
  for (std::filesystem::directory_iterator entry{fmt::format("/proc/{}/fd", pid), gone}, end;
       !gone && entry != end; entry.increment(gone))
    ++count;
  return count;
}

std::size_t private_bytes_of(pid_t pid) {
  std::ifstream file{fmt::format("/proc/{}/status", pid)};
  for (std::string word; file >> word;) {
    std::size_t kib = 0;
    if (word == "RssAnon:" && file >> kib) return kib << 10U;
  }
  return 0;
}

double ResourceWatch::look(const std::function<double()>& progress) {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_look_) return progress_;
  next_look_ = now + kBetweenLooks;
  progress_ = progress();
  const auto third = static_cast<std::size_t>(std::clamp(progress_, 0.0, 0.999) * 3);
  note("host", third, ::getpid());
  for (const sluice::detail::FoundProcess& process : processes_.look(::getpid())) {
    // What has just been forked, be it by a master or by a supervisor, still has all that its parent has.
    if (process.kind == sluice::detail::ProcessKind::newborn) continue;
    note(std::string{name_of(process.kind)}, third, process.pid);
  }
  return progress_;
}

void ResourceWatch::note(const std::string& kind, std::size_t third, pid_t pid) {
  const std::size_t descriptors = descriptors_of(pid);
  const std::size_t bytes = private_bytes_of(pid);
  if (descriptors == 0 || bytes == 0) return;
  Most& most = kinds_[kind][third];
  ++most.looks;
  most.descriptors = std::max(most.descriptors, descriptors);
  most.private_bytes = std::max(most.private_bytes, bytes);
}

std::vector<std::string> ResourceWatch::leaks() const {
  std::vector<std::string> leaks;
  for (const auto& [kind, thirds] : kinds_) {
    const Most& early = thirds.front();
    const Most& late = thirds.back();
    if (early.looks == 0 || late.looks == 0) continue;
    if (late.descriptors > early.descriptors + kDescriptorsOfAMoment)
      leaks.push_back(
          fmt::format("{}: {} descriptors early, {} late", kind, early.descriptors, late.descriptors));
    if (late.private_bytes > early.private_bytes + kBytesOfAMoment)
      leaks.push_back(fmt::format("{}: {} KiB of its own early, {} KiB late", kind,
                                  early.private_bytes >> 10U, late.private_bytes >> 10U));
  }
  return leaks;
}

std::string ResourceWatch::summary() const {
  std::string text = "early/late, descriptors and KiB:";
  for (const auto& [kind, thirds] : kinds_) {
    const Most& early = thirds.front();
    const Most& late = thirds.back();
    if (early.looks == 0 || late.looks == 0) continue;
    text += fmt::format(" {} {}/{} {}/{}", kind, early.descriptors, late.descriptors,
                        early.private_bytes >> 10U, late.private_bytes >> 10U);
  }
  return text;
}

}  // namespace chaos_test
