// SPDX-License-Identifier: Apache-2.0
#include "rotated_files.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>

#include <zstd.h>

#include <sluice/connect/detail/byte_source.hpp>
#include <sluice/error.hpp>

#include "decoder.hpp"

namespace sluice::detail {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 2> kReadable{".gz", ".zst"};
constexpr std::array<std::string_view, 6> kUnreadable{".bz2", ".xz", ".lz4", ".Z", ".lzma", ".zip"};
constexpr std::array<std::string_view, 3> kWords{".old", ".bak", ".prev"};

// A directory that changes while it is read may not show a file that is renamed: it is read until two looks agree.
constexpr int kLooks = 8;
constexpr std::size_t kReadAtOnce = std::size_t{64} << 10;

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// The name, without what says how it is compressed.
std::string_view uncompressed(std::string_view name) {
  for (const std::string_view end : kReadable) {
    if (name.ends_with(end)) return name.substr(0, name.size() - end.size());
  }
  for (const std::string_view end : kUnreadable) {
    if (name.ends_with(end)) return name.substr(0, name.size() - end.size());
  }
  return name;
}

// ".1", "-20260101", "_2026-01-01T00:00:00+02".
bool is_number_or_date(std::string_view text) {
  if (text.size() < 2 || std::string_view{".-_"}.find(text.front()) == std::string_view::npos) return false;
  return std::any_of(text.begin(), text.end(), is_digit) && std::all_of(text.begin(), text.end(), [](char c) {
           return is_digit(c) || std::string_view{".-_:+TZ"}.find(c) != std::string_view::npos;
         });
}

// What stands before the end ".log": other logs have numbers there, too, of ports for one.
bool is_small_number_or_date(std::string_view text) {
  constexpr std::size_t kMostDigits = 3;
  constexpr std::ptrdiff_t kDigitsOfDate = 8;
  if (!is_number_or_date(text)) return false;
  const auto digits = std::count_if(text.begin(), text.end(), is_digit);
  return digits >= kDigitsOfDate ||
         (text.front() == '.' && text.size() <= kMostDigits + 1 && digits + 1 == std::ssize(text));
}

// Of "log.12": 12; none of a date. Numbers grow with age.
std::optional<unsigned> age_in(std::string_view name) {
  name = uncompressed(name);
  std::size_t digits = 0;
  while (digits < name.size() && is_digit(name[name.size() - 1 - digits]))
    ++digits;
  if (digits == 0 || digits > 4 || digits == name.size() || name[name.size() - 1 - digits] != '.')
    return std::nullopt;
  return static_cast<unsigned>(std::stoul(std::string{name.substr(name.size() - digits)}));
}

bool is_older(const FileThere& one, const FileThere& other) {
  if (one.status.written_ns != other.status.written_ns)
    return one.status.written_ns < other.status.written_ns;
  const auto age = age_in(one.path);
  const auto age_of_other = age_in(other.path);
  if (age && age_of_other && *age != *age_of_other) return *age > *age_of_other;
  return one.path < other.path;
}

std::optional<std::vector<FileThere>> rotated_at_one_look(const std::string& path) {
  const fs::path log = fs::absolute(path);
  std::vector<FileThere> found;
  std::error_code error;
  fs::directory_iterator entry{log.parent_path(), error};
  for (; !error && entry != fs::directory_iterator{}; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!is_rotated_name(name, log.filename().string())) continue;
    const auto status = status_of(entry->path().string());
    std::error_code gone;
    if (status && status->regular)
      found.push_back({entry->path().string(), *status, entry->is_symlink(gone)});
  }
  throw_if_away(error.value(), log.parent_path().string());
  if (error) return std::nullopt;
  const auto is_being_compressed = [&](const FileThere& file) {
    const std::string_view plain = uncompressed(file.path);
    return plain != file.path && std::any_of(found.begin(), found.end(),
                                             [&](const FileThere& other) { return other.path == plain; });
  };
  std::vector<FileThere> whole;
  std::copy_if(found.begin(), found.end(), std::back_inserter(whole),
               [&](const FileThere& file) { return !is_being_compressed(file); });
  std::sort(whole.begin(), whole.end(), is_older);
  return whole;
}

std::optional<std::uint64_t> zstd_text_bytes(ByteSource& source) {
  constexpr std::size_t kFrameHeader = ByteSource::kMinimumMost;
  source.fill(kFrameHeader);
  const unsigned long long bytes = ::ZSTD_getFrameContentSize(source.data(), source.size());
  if (bytes == ZSTD_CONTENTSIZE_UNKNOWN || bytes == ZSTD_CONTENTSIZE_ERROR) return std::nullopt;
  return bytes;
}

// RFC 1952: a gzip member ends with the length of its text.
std::optional<std::uint64_t> gzip_text_bytes(const ByteSource& source, std::uint64_t file_bytes) {
  unsigned char end[4];
  if (file_bytes < sizeof(end) ||
      source.read_at(file_bytes - sizeof(end), reinterpret_cast<char*>(end), sizeof(end)) != sizeof(end))
    return std::nullopt;
  return end[0] | std::uint64_t{end[1]} << 8U | std::uint64_t{end[2]} << 16U | std::uint64_t{end[3]} << 24U;
}

}  // namespace

bool is_of_unreadable_kind(std::string_view name) {
  return std::any_of(kUnreadable.begin(), kUnreadable.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

bool is_rotated_name(std::string_view name, std::string_view log) {
  name = uncompressed(name);
  if (name.starts_with(log)) {
    const std::string_view rest = name.substr(log.size());
    if (is_number_or_date(rest) || std::find(kWords.begin(), kWords.end(), rest) != kWords.end()) return true;
  }
  const std::size_t dot = log.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  const std::string_view end = log.substr(dot);
  return name.size() > dot + end.size() && name.starts_with(log.substr(0, dot)) && name.ends_with(end) &&
         is_small_number_or_date(name.substr(dot, name.size() - dot - end.size()));
}

std::optional<std::vector<FileThere>> rotated_files(const std::string& path) {
  auto found = rotated_at_one_look(path);
  for (int looks = 1; found && looks < kLooks; ++looks) {
    auto again = rotated_at_one_look(path);
    const bool same = again && std::equal(found->begin(), found->end(), again->begin(), again->end(),
                                          [](const FileThere& one, const FileThere& other) {
                                            return is(one.status, other.status.device, other.status.inode);
                                          });
    found = std::move(again);
    if (same) break;
  }
  return found;
}

TextOfFile::TextOfFile(const std::string& path, FileDescriptor opened, std::uint64_t file_bytes)
    : path_{path}, source_{std::make_unique<ByteSource>(std::move(opened))} {
  if (starts_gzip(*source_)) {
    told_bytes_ = gzip_text_bytes(*source_, file_bytes);
    compressed_ = in_32_bits_ = true;
  } else if (starts_zstd(*source_)) {
    told_bytes_ = zstd_text_bytes(*source_);
    compressed_ = true;
  } else {
    bytes_ = file_bytes;
  }
  decoder_ = make_decoder(*source_, 0);
  head_.resize(kHeadBytes);
  std::size_t had = 0;
  for (std::size_t got = 1; got > 0 && had < head_.size(); had += got)
    got = decoder_->read(head_.data() + had, head_.size() - had);
  head_.resize(had);
  throw_if_away(source_->error_number(), path_);
  if (!decoder_->failure().empty())
    throw Error{{"read the file", path, decoder_->failure(), "look whether it is damaged"}};
}

TextOfFile::TextOfFile(TextOfFile&&) noexcept = default;
TextOfFile::~TextOfFile() = default;

bool TextOfFile::has_bytes(std::uint64_t count) {
  if (told_bytes_ == (in_32_bits_ ? count & 0xffff'ffff : count)) return true;
  if (!bytes_) read_to_end();
  return bytes_ == count;
}

// One that is damaged has as many as come before that.
void TextOfFile::read_to_end() {
  std::string piece(kReadAtOnce, '\0');
  while (decoder_->read(piece.data(), piece.size()) > 0) {
  }
  throw_if_away(source_->error_number(), path_);
  bytes_ = decoder_->produced_bytes();
}

std::optional<TextOfFile> text_of(const FileThere& file) {
  const std::string& path = file.path;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return std::nullopt;
  if (fd < 0) throw_if_away(errno, path);
  if (fd < 0) throw Error{{"open the file", path, errno_text(), "check the path and the right to read it"}};
  FileDescriptor opened = FileDescriptor::owned(fd);
  const auto status = status_of(fd);
  if (!status || !is(*status, file.status.device, file.status.inode)) return std::nullopt;
  return TextOfFile{path, std::move(opened), status->size_bytes};
}

}  // namespace sluice::detail
