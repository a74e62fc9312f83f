// SPDX-License-Identifier: Apache-2.0
#include "market/output_files.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <deque>
#include <fcntl.h>
#include <memory>
#include <string>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "market/bar_rows.hpp"

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

std::filesystem::path new_path(const std::filesystem::path& directory, Output output) {
  return directory / fmt::format(".{}.new", name_of(output));
}

void write_all(const std::filesystem::path& path, const std::string& text) {
  // Its name can be foretold: a link that somebody has put there is taken away, and not followed. So is what a process
  // that was killed has left.
  ::unlink(path.c_str());
  constexpr int kNew = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const int descriptor = ::open(path.c_str(), kNew, 0644);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{
      descriptor < 0 ? nullptr : ::fdopen(descriptor, "wb"), &std::fclose};
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
  std::deque<std::string> made;
  if (output == Output::bars) rows = merge_bars(std::move(rows), made);
  std::string text{file_of(output).header};
  text.push_back('\n');
  for (const std::string_view row : rows) {
    text.append(row.substr(row.find(kKeySeparator) + 1));
    text.push_back('\n');
  }
  write_all(new_path(directory, output), text);
}

bool are_written(const std::filesystem::path& directory) {
  for (std::size_t output = 0; output < kOutputs; ++output) {
    std::error_code error;
    if (!std::filesystem::exists(new_path(directory, static_cast<Output>(output)), error)) return false;
  }
  return true;
}

void publish(const std::filesystem::path& directory) {
  for (std::size_t i = 0; i < kOutputs; ++i) {
    const auto output = static_cast<Output>(i);
    const std::filesystem::path path = directory / fmt::format("{}.tsv", name_of(output));
    std::error_code error;
    std::filesystem::rename(new_path(directory, output), path, error);
    if (error) throw sluice::Error{{"publish", path.string(), error.message(), "run the program again"}};
  }
}

void remove_new_files(const std::filesystem::path& directory) {
  for (std::size_t output = 0; output < kOutputs; ++output) {
    std::error_code ignored;  // What is left behind does no harm: it is never taken for an answer.
    std::filesystem::remove(new_path(directory, static_cast<Output>(output)), ignored);
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

OutputLock::OutputLock(const std::filesystem::path& directory)
    : fd_{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)} {
  // A run that was killed lets go a little later: its workers hold the lock as well, and die with it.
  constexpr auto kPatience = std::chrono::seconds{2};
  constexpr auto kPause = std::chrono::milliseconds{10};
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (fd_ < 0 || ::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    const bool held = fd_ >= 0 && (reason == EWOULDBLOCK || reason == EINTR);
    if (held && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(kPause);
      continue;
    }
    if (fd_ >= 0) ::close(fd_);
    throw sluice::Error{{"write into", directory.string(),
                         held ? "another run writes into it" : sluice::errno_text(reason),
                         "wait for its end, or name another directory with --out"}};
  }
}

OutputLock::~OutputLock() {
  ::close(fd_);
}

}  // namespace market
