// SPDX-License-Identifier: Apache-2.0
#include "resource_watch.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <unistd.h>

#include <fmt/format.h>

namespace chaos_test {
namespace {

constexpr std::chrono::milliseconds kBetweenLooks{20};

// A leak of one at each restart would be far beyond these; who hurts the pipeline from within its host holds a descriptor of
// each process while it does.
constexpr std::size_t kFewDescriptors = 48;
constexpr std::size_t kFewKib = 512;

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
    // What has just been forked, be it by a master or by a supervisor, still has all that its parent has. A dumper reads
    // a program's symbols and ends: its looks tell how far it has come.
    using enum sluice::detail::ProcessKind;
    if (process.kind == newborn || process.kind == dumper) continue;
    note(std::string{name_of(process.kind)}, third, process.pid);
  }
  return progress_;
}

void ResourceWatch::note(const std::string& kind, std::size_t third, pid_t pid) {
  const std::size_t descriptors = descriptors_of(pid);
  const std::size_t bytes = private_bytes_of(pid);
  if (descriptors == 0 || bytes == 0) return;
  Third& now = kinds_[kind][third];
  ++now.descriptors[descriptors];
  ++now.private_kib[bytes >> 10U];
}

std::size_t ResourceWatch::median(const Seen& seen) {
  std::size_t looks = 0;
  for (const auto& [figure, times] : seen)
    looks += times;
  std::size_t below = 0;
  for (const auto& [figure, times] : seen) {
    below += times;
    if (below * 2 >= looks) return figure;
  }
  return 0;
}

std::vector<std::string> ResourceWatch::leaks() const {
  std::vector<std::string> leaks;
  const auto compare = [&leaks](const std::string& kind, const Seen& early, const Seen& late, std::size_t few,
                                std::string_view what) {
    if (early.empty() || late.empty() || median(late) <= median(early) + few) return;
    leaks.push_back(fmt::format("{}: {} {} early, {} late", kind, median(early), what, median(late)));
  };
  for (const auto& [kind, thirds] : kinds_) {
    compare(kind, thirds.front().descriptors, thirds.back().descriptors, kFewDescriptors, "descriptors");
    compare(kind, thirds.front().private_kib, thirds.back().private_kib, kFewKib, "KiB of its own");
  }
  return leaks;
}

std::string ResourceWatch::summary() const {
  std::string text = "early/late, descriptors and KiB:";
  for (const auto& [kind, thirds] : kinds_) {
    const Third& early = thirds.front();
    const Third& late = thirds.back();
    if (early.descriptors.empty() || late.descriptors.empty()) continue;
    text += fmt::format(" {} {}/{} {}/{}", kind, median(early.descriptors), median(late.descriptors),
                        median(early.private_kib), median(late.private_kib));
  }
  return text;
}

}  // namespace chaos_test
