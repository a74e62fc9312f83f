// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/checkpoint_format.hpp"

#include <algorithm>
#include <charconv>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <tuple>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

constexpr std::string_view kPrefix = "checkpoint-";
constexpr std::string_view kBase = ".base";
constexpr std::string_view kDelta = ".delta";
constexpr std::string_view kPart = ".part";
constexpr std::size_t kDigits = 12;

struct CloseDirectory {
  void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

}  // namespace

std::string to_text(const CheckpointName& name) {
  return fmt::format("{}{:0{}}{}{}", kPrefix, name.number, kDigits,
                     name.kind == CheckpointKind::base ? kBase : kDelta, name.part ? kPart : "");
}

std::optional<CheckpointName> parse_checkpoint_name(std::string_view name) {
  CheckpointName parsed;
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::string_view digits = name.substr(kPrefix.size(), kDigits);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), parsed.number);
  if (error != std::errc{} || end != digits.data() + kDigits) return std::nullopt;
  std::string_view rest = name.substr(kPrefix.size() + kDigits);
  if (rest.ends_with(kPart)) {
    parsed.part = true;
    rest.remove_suffix(kPart.size());
  }
  if (rest != kBase && rest != kDelta) return std::nullopt;
  parsed.kind = rest == kBase ? CheckpointKind::base : CheckpointKind::delta;
  return parsed;
}

bool is_marked_as_ended(const OwnDirectory& directory) {
  if (::faccessat(directory.descriptor(), kEndedMark, F_OK, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno == ENOENT) return false;
  throw CannotRead{{"look for", (directory.path() / kEndedMark).string(), errno_text(),
                    remedy_for(errno, kCheckpointSetting)},
                   errno};
}

std::vector<CheckpointName> checkpoint_names(const OwnDirectory& directory) {
  const auto fail = [&directory] {
    throw CannotRead{{"read the directory", directory.path().string(), errno_text(),
                      remedy_for(errno, kCheckpointSetting)},
                     errno};
  };
  // One of its own, which begins at the beginning.
  Descriptor fd{::openat(directory.descriptor(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!fd) fail();
  const std::unique_ptr<DIR, CloseDirectory> entries{::fdopendir(fd.get())};
  if (entries == nullptr) fail();
  fd.release();
  std::vector<CheckpointName> names;
  errno = 0;
  while (const dirent* entry = ::readdir(entries.get())) {
    if (const auto name = parse_checkpoint_name(entry->d_name)) names.push_back(*name);
    errno = 0;
  }
  if (errno != 0) fail();
  const auto order = [](const CheckpointName& name) { return std::tuple{name.number, name.kind, name.part}; };
  std::sort(names.begin(), names.end(), [&order](const CheckpointName& one, const CheckpointName& other) {
    return order(one) < order(other);
  });
  return names;
}

}  // namespace sluice::detail
