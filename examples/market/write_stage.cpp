#include "market/write_stage.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

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

std::filesystem::path part_path(const std::filesystem::path& directory, std::size_t output) {
  return directory / fmt::format(".{}.part", kFiles[output].name);
}

std::string read_all(const std::filesystem::path& path) {
  std::string text(std::filesystem::file_size(path), '\0');
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "rb"), &std::fclose};
  if (file == nullptr || std::fread(text.data(), 1, text.size(), file.get()) != text.size()) {
    throw sluice::Error{{"read", path.string(), sluice::errno_text(), "somebody else has changed it"}};
  }
  return text;
}

void write_all(const std::filesystem::path& path, const std::string& text) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "wb"), &std::fclose};
  if (file == nullptr || std::fwrite(text.data(), 1, text.size(), file.get()) != text.size() ||
      std::fflush(file.get()) != 0) {
    throw sluice::Error{{"write", path.string(), sluice::errno_text(), "make room on its file system"}};
  }
}

void sort_part(const std::filesystem::path& directory, std::size_t output) {
  const std::string part = read_all(part_path(directory, output));
  std::vector<std::string_view> rows;
  for (std::size_t begin = 0; begin < part.size();) {
    const std::size_t end = part.find('\n', begin);
    rows.push_back(std::string_view{part}.substr(begin, end - begin));
    begin = end + 1;
  }
  std::sort(rows.begin(), rows.end());
  std::string text{kFiles[output].header};
  text.push_back('\n');
  for (const std::string_view row : rows) {
    text.append(row.substr(row.find(kKeySeparator) + 1));
    text.push_back('\n');
  }
  const std::filesystem::path final_path = directory / fmt::format("{}.tsv", kFiles[output].name);
  const std::filesystem::path new_path = directory / fmt::format(".{}.new", kFiles[output].name);
  write_all(new_path, text);
  std::filesystem::rename(new_path, final_path);
}

}  // namespace

WriteStage::WriteStage(sluice::Worker& worker, const std::filesystem::path& directory)
    : directory_{directory} {
  if (worker.replicas() > 1) {
    throw sluice::Error{{"write with", fmt::format("{} workers", worker.replicas()),
                         "every output is one sorted file", "leave stage.write.workers at 1"}};
  }
  for (std::size_t output = 0; output < kOutputs; ++output) {
    parts_[output] =
        std::make_unique<sluice::AppendFile>(worker, kFiles[output].name, part_path(directory, output));
  }
}

void WriteStage::operator()(const RowRecord& row) {
  sluice::AppendFile& part = *parts_.at(static_cast<std::size_t>(row.head.output));
  part.append(row.text());
  part.append("\n");
}

void WriteStage::finish() {
  for (std::size_t output = 0; output < kOutputs; ++output) {
    parts_[output]->flush();
    sort_part(directory_, output);
  }
}

void prepare_output(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error || ::access(directory.c_str(), W_OK | X_OK) != 0) {
    throw sluice::Error{{"write into", directory.string(), error ? error.message() : sluice::errno_text(),
                         "name another directory with --out"}};
  }
}

void remove_parts(const std::filesystem::path& directory) {
  for (std::size_t output = 0; output < kOutputs; ++output) {
    std::error_code ignored;  // A part that is left behind does no harm: the next run cuts it off.
    std::filesystem::remove(part_path(directory, output), ignored);
  }
}

}  // namespace market
