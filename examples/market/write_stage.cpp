// SPDX-License-Identifier: Apache-2.0
#include "market/write_stage.hpp"

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "market/output_files.hpp"

namespace market {
namespace {

std::filesystem::path part_path(const std::filesystem::path& directory, std::size_t output) {
  return directory / fmt::format(".{}.part", name_of(static_cast<Output>(output)));
}

std::string read_all(const std::filesystem::path& path) {
  std::string text(std::filesystem::file_size(path), '\0');
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "rb"), &std::fclose};
  if (file == nullptr || std::fread(text.data(), 1, text.size(), file.get()) != text.size()) {
    throw sluice::Error{{"read", path.string(), sluice::errno_text(), "somebody else has changed it"}};
  }
  return text;
}

void sort_part(const std::filesystem::path& directory, std::size_t output) {
  const std::string part = read_all(part_path(directory, output));
  std::vector<std::string_view> rows;
  for (std::size_t begin = 0; begin < part.size();) {
    const std::size_t end = part.find('\n', begin);
    rows.push_back(std::string_view{part}.substr(begin, end - begin));
    begin = end + 1;
  }
  write_sorted(directory, static_cast<Output>(output), std::move(rows));
}

}  // namespace

WriteStage::WriteStage(sluice::Worker& worker, const std::filesystem::path& directory, std::uint64_t readers)
    : worker_{worker},
      directory_{directory},
      readers_{readers},
      ended_readers_{worker.state<std::uint64_t>("ended-readers")},
      rejected_{worker.state<std::uint64_t>("rejected-lines")} {
  if (worker.replicas() > 1) {
    throw sluice::Error{{"write with", fmt::format("{} workers", worker.replicas()),
                         "every output is one sorted file", "leave stage.write.workers at 1"}};
  }
  for (std::size_t output = 0; output < kOutputs; ++output) {
    parts_[output] = std::make_unique<sluice::AppendFile>(worker, name_of(static_cast<Output>(output)),
                                                          part_path(directory, output));
  }
}

void WriteStage::operator()(const RowRecord& row) {
  if (row.head.output == Output::end_of_input) return ended_readers_.set(*ended_readers_ + 1);
  if (row.head.output == Output::rejected) rejected_.set(*rejected_ + 1);
  sluice::AppendFile& part = *parts_.at(static_cast<std::size_t>(row.head.output));
  part.append(row.text());
  part.append("\n");
}

void WriteStage::finish() {
  // What an earlier run has left is no answer of this one.
  remove_new_files(directory_);
  if (*ended_readers_ < readers_) {
    worker_.report("the input was not read to its end: no answers are published");
    return;
  }
  for (std::size_t output = 0; output < kOutputs; ++output) {
    parts_[output]->flush();
    sort_part(directory_, output);
  }
  report_all_rejected();
}

void WriteStage::report_all_rejected() {
  const std::uint64_t counted = parts_[static_cast<std::size_t>(Output::event_counts)]->length_bytes();
  if (counted != 0 || *rejected_ == 0) return;
  worker_.report(fmt::format("all {} lines were rejected; {} says why", *rejected_,
                             (directory_ / "rejected.tsv").string()));
}

void remove_parts(const std::filesystem::path& directory) {
  for (std::size_t output = 0; output < kOutputs; ++output) {
    std::error_code ignored;  // A part that is left behind does no harm: the next run cuts it off.
    std::filesystem::remove(part_path(directory, output), ignored);
  }
  remove_new_files(directory);
}

}  // namespace market
