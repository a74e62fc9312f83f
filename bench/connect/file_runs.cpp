// SPDX-License-Identifier: Apache-2.0
// Files: FileSink beside a program that writes the same lines, a write for each batch; FileSource beside one that reads them by
// std::getline. Neither brings anything to the disk.
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <unistd.h>

#include <sluice/connect/file_sink.hpp>
#include <sluice/connect/file_source.hpp>
#include <sluice/error.hpp>
#include <sluice/sluice.hpp>

#include "guarded_directory.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

class FileRun {
 public:
  void empty() const {
    for (const auto& entry : std::filesystem::directory_iterator{directory_.path()})
      std::filesystem::remove(entry);
  }

  void plain(std::uint64_t rows) const {
    const std::string path = directory_.path() / "plain.log";
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) throw Error{{"write", path, errno_text(), ""}};
    std::string batch;
    for (std::uint64_t number = 0; number < rows;) {
      batch.clear();
      for (std::uint64_t i = 0; i < kRowsABatch && number < rows; ++i)
        batch.append(stored_line(number++)).append("\n");
      if (::write(fd, batch.data(), batch.size()) != static_cast<ssize_t>(batch.size()))
        throw Error{{"write", path, errno_text(), ""}};
    }
    ::close(fd);
  }

  void sink(const Stream<StoredRow>& rows) const {
    rows.to<FileSink<StoredRow>>("store",
                                 RollingFileOptions{.directory = directory_.path(), .sync = FileSync::none},
                                 [](const StoredRow& row) { return stored_line(row); });
  }

  StoredSum sum() const {
    StoredSum sum;
    for (const auto& entry : std::filesystem::directory_iterator{directory_.path()}) {
      if (entry.path().extension() != ".log") continue;
      std::ifstream file{entry.path()};
      for (std::string line; std::getline(file, line); ++sum.rows)
        sum.numbers += std::stoull(line);
    }
    return sum;
  }

  std::string written(std::uint64_t rows) const {
    std::string path = directory_.path() / "lines";
    if (std::filesystem::exists(path)) return path;
    std::ofstream file{path};
    for (std::uint64_t number = 0; number < rows; ++number)
      file << stored_line(number) << '\n';
    return path;
  }

 private:
  GuardedDirectory directory_{"file"};
};

void read_by_source(const std::string& path, std::uint64_t rows) {
  Pipeline pipeline{"bench"};
  pipeline.source<FileSource>("read", FileSourceOptions{.paths = {path}})
      .to<CountRead<FileRecord>>("count", rows);
  run_to_its_end(pipeline);
}

void read_by_getline(const std::string& path, std::uint64_t rows) {
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);)
    note_read(line, rows);
}

}  // namespace

std::vector<StoreRuns> file_runs(bool quick) {
  const auto run = std::make_shared<FileRun>();
  return {{"file_sink", "sync:none", quick ? 200'000U : 4'000'000U, [run] { run->empty(); },
           [run](const Stream<StoredRow>& stream) { run->sink(stream); },
           [run](std::uint64_t count) { run->plain(count); }, [run] { return run->sum(); }}};
}

std::vector<SourceRuns> file_source_runs(bool quick) {
  const auto run = std::make_shared<FileRun>();
  const std::uint64_t rows = quick ? 200'000 : 1'000'000;
  return {{"file_source", "lines", rows, [run, rows] { run->written(rows); },
           [run, rows] { read_by_source(run->written(rows), rows); },
           [run, rows] { read_by_getline(run->written(rows), rows); }}};
}

}  // namespace sluice::bench
