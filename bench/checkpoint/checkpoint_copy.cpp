// SPDX-License-Identifier: Apache-2.0
// The plain way: all rows are copied while nobody changes them, and the copy is written, fsynced and given its name.
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

#include "checkpoint_run.hpp"

namespace sluice::bench {

using detail::monotonic_now;
namespace {

void check(bool done, const char* what, const std::filesystem::path& path) {
  if (!done) throw Error{{what, path.string(), errno_text(), "set TMPDIR to a directory with more room"}};
}

void write_all(int file, const std::vector<KeptRow>& rows, const std::filesystem::path& path) {
  const auto* const bytes = reinterpret_cast<const std::byte*>(rows.data());
  const std::size_t size = rows.size() * sizeof(KeptRow);
  for (std::size_t at = 0; at < size;) {
    const ssize_t written = ::write(file, bytes + at, size - at);
    check(written > 0, "write", path);
    at += static_cast<std::size_t>(written);
  }
}

void publish(const std::vector<KeptRow>& rows, const std::filesystem::path& directory) {
  const auto part = directory / "rows.part";
  const detail::Descriptor file{::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  check(static_cast<bool>(file), "make", part);
  write_all(file.get(), rows, part);
  check(::fsync(file.get()) == 0, "fsync", part);
  std::filesystem::rename(part, directory / "rows");
  const detail::Descriptor names{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  check(static_cast<bool>(names) && ::fsync(names.get()) == 0, "fsync", directory);
}

std::vector<KeptRow> restored(const std::filesystem::path& path, std::size_t count) {
  std::vector<KeptRow> rows(count);
  const detail::Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  check(static_cast<bool>(file), "open", path);
  auto* const bytes = reinterpret_cast<std::byte*>(rows.data());
  const std::size_t size = count * sizeof(KeptRow);
  for (std::size_t at = 0; at < size;) {
    const ssize_t got = ::read(file.get(), bytes + at, size - at);
    check(got > 0, "read", path);
    at += static_cast<std::size_t>(got);
  }
  return rows;
}

}  // namespace

void checkpoints_by_copy(const CheckpointRun& run, const std::filesystem::path& directory,
                         CheckpointFigures& figures) {
  Changes changes{run};
  std::vector<KeptRow> rows = changes.next();
  std::vector<KeptRow> copy(rows.size());
  copy = rows;
  publish(copy, directory);
  const std::uint64_t before = bytes_written_so_far();
  for (std::uint32_t round = 0; round < run.rounds; ++round) {
    for (const KeptRow& row : changes.next())
      rows[row.key] = row;
    const auto start = monotonic_now();
    copy = rows;
    const auto copied = monotonic_now();
    publish(copy, directory);
    figures.add({.pause = copied - start, .durable = monotonic_now() - start});
  }
  figures.written_bytes = bytes_written_so_far() - before;
  const auto start = monotonic_now();
  const std::vector<KeptRow> found = restored(directory / "rows", rows.size());
  figures.restored = monotonic_now() - start;
  std::uint64_t sum = 0;
  for (const KeptRow& row : found)
    sum += sum_of(row);
  figures.all_rows_had = monotonic_now() - start;
  if (sum != changes.sum())
    throw Error{
        {"restore", directory.string(), "the rows are not those that were copied", "report it as a bug"}};
}

}  // namespace sluice::bench
