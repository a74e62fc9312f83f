// SPDX-License-Identifier: Apache-2.0
// Files to files with checkpoints, of which one is kept, through losses of everything at random instants: what a run has
// published is exact, from its first start on. A run that is lost before its first checkpoint is another one.
#include <iostream>
#include <random>
#include <set>

#include <sluice/connect/file_source.hpp>

#include "file_sink_world.hpp"
#include "kill_count.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

class FileSinksThatAreLost : public FileSinks {
 protected:
  static constexpr int kLines = 400'000;

  FileSinksThatAreLost() {
    std::ofstream in{file("lines")};
    for (int line = 0; line < kLines; ++line)
      in << "line " << line << "\n";
  }
  Settings kept() const {
    return settings({"checkpoint.path=" + file("checkpoints"), "checkpoint.every=20ms", "checkpoint.sync=no",
                     "checkpoint.keep=1", "state.bytes=1MiB", "undo.bytes=64KiB", "lane.bytes=64KiB",
                     "log.level=off"});
  }
  // To the end, or until it is lost.
  void live() const {
    RollingFileOptions rolling = options();
    rolling.compression = FileCompression::zstd;
    rolling.level = 1;
    rolling.rotate_bytes = 20'000;
    Pipeline pipeline{"copy"};
    pipeline.source<FileSource>("read", FileSourceOptions{.paths = {file("lines")}})
        .to<FileSink<FileRecord>>("items", rolling,
                                  [](const FileRecord& line) { return std::string{line.text()}; });
    Engine engine{pipeline, kept()};
    engine.start();
    log_line(file("lives"), "one more");
    engine.wait();
  }
  // Before a life: with no checkpoint to go on with it begins another run, and what is there is none of its own.
  void note_run() {
    std::error_code none;
    // One that had come to its end, and was lost while its checkpoints were removed, is gone on with by nobody either.
    const bool ended = fs::exists(file("checkpoints/checkpoints.ended"));
    for (const auto& entry : fs::directory_iterator{file("checkpoints"), none}) {
      const std::string name = entry.path().filename().string();
      if (!ended && name.starts_with("checkpoint-") && !name.ends_with(".part")) return;
    }
    const std::vector<std::string> before = names();
    of_former_runs_ = {before.begin(), before.end()};
    ++runs_;
  }
  std::string published_by_this_run() const {
    std::string text;
    for (const std::string& name : names()) {
      if (!of_former_runs_.contains(name) && name.ends_with(".zst"))
        text += unpacked(bytes_of(file("out/" + name)));
    }
    return text;
  }

  std::set<std::string> of_former_runs_;
  int runs_ = 0;
};

TEST_F(FileSinksThatAreLost, AreExactFromTheFirstStartOfTheirRunOn) {
  const unsigned losses = kills_asked(12);
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random{seed};
  for (unsigned loss = 0; loss < losses; ++loss) {
    note_run();
    const std::size_t lives = lines_of(file("lives")).size();
    total_loss::Host host{{}, [this] { live(); }};
    // How long a start takes depends on what else the machine does: by then no checkpoint was there to go on with.
    ASSERT_TRUE(eventually([&] { return lines_of(file("lives")).size() != lives; }));
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 150'000});
    host.kill(loss % 2 == 0);
    ASSERT_TRUE(host.gone());
  }
  note_run();
  total_loss::Host host{{}, [this] { live(); }};
  ASSERT_TRUE(host.wait_for_end(kDeadline));
  EXPECT_EQ(host.status(), 0);
  std::string all;
  for (int line = 0; line < kLines; ++line)
    all += "line " + std::to_string(line) + "\n";
  EXPECT_TRUE(published_by_this_run() == all) << published_by_this_run().size() << " bytes of " << all.size();
  std::cout << losses << " losses, " << runs_ << " runs\n";
}

}  // namespace
}  // namespace sluice::test
