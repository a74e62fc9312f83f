// SPDX-License-Identifier: Apache-2.0
#include "market/output_files.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace market {
namespace {

struct OutputFile {
  std::string_view name;
  std::string_view header;
};
constexpr std::array<OutputFile, kOutputs> kFiles{{
    {"event_counts", "venue\tsymbol\tkind\tcount"},
    {"trades",
     "venue\tsymbol\ttrades\tqty_sum\tnotional_sum\tbuyer_maker\tfirst_px\tlast_px\tmin_px\tmax_px\t"
     "trade_id_gaps"},
    {"bars_1s", "venue\tsymbol\tsec\topen\thigh\tlow\tclose\tvolume\ttrades"},
    {"book",
     "venue\tsymbol\tsnapshot_id\tdropped_pre_snapshot\tapplied_updates\tsequence_gaps\tlast_u\tbest_bid\t"
     "best_bid_qty\tbest_ask\tbest_ask_qty\tbid_levels\task_levels\tbid_qty_sum\task_qty_sum"},
    {"last_ticker", "venue\tsymbol\tbid\tbid_qty\task\task_qty\tu"},
    {"rejected", "file\tline\treason"},
}};

const OutputFile& file_of(Output output) {
  return kFiles.at(static_cast<std::size_t>(output));
}

void write_all(const std::filesystem::path& path, const std::string& text) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "wb"), &std::fclose};
  if (file == nullptr || std::fwrite(text.data(), 1, text.size(), file.get()) != text.size() ||
      std::fflush(file.get()) != 0) {
    throw sluice::Error{{"write", path.string(), sluice::errno_text(), "make room on its file system"}};
  }
}

}  // namespace

std::string_view name_of(Output output) {
  return file_of(output).name;
}

void write_sorted(const std::filesystem::path& directory, Output output, std::vector<std::string_view> rows) {
  std::sort(rows.begin(), rows.end());
  std::string text{file_of(output).header};
  text.push_back('\n');
  for (const std::string_view row : rows) {
    text.append(row.substr(row.find(kKeySeparator) + 1));
    text.push_back('\n');
  }
  const std::filesystem::path new_path = directory / fmt::format(".{}.new", name_of(output));
  write_all(new_path, text);
  std::filesystem::rename(new_path, directory / fmt::format("{}.tsv", name_of(output)));
}

void prepare_output(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error || ::access(directory.c_str(), W_OK | X_OK) != 0) {
    throw sluice::Error{{"write into", directory.string(), error ? error.message() : sluice::errno_text(),
                         "name another directory with --out"}};
  }
}

}  // namespace market
