// SPDX-License-Identifier: Apache-2.0
// FileSink after a restore from a checkpoint that is older than what was published.
#include "file_sink_world.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class FileSinkRestore : public FileSinks, public ::testing::WithParamInterface<const char*> {
 protected:
  Settings checkpointed() const { return after_checkpoints({std::string{"outside.after="} + GetParam()}); }
  // Each life may have files of another suffix.
  Pipeline rolling(unsigned life) const {
    RollingFileOptions rolling = options();
    rolling.rotate_bytes = 300;
    rolling.sync = FileSync::publish;
    rolling.suffix = suffixes_[life];
    return archive(rolling);
  }

  // Up to item `end`, batch by batch, so that there are several files.
  void push_to(Engine& engine, std::uint64_t end) const {
    auto in = engine.inlet<Item>("in");
    for (std::uint64_t next = in.position(); next < end; ++next) {
      ASSERT_EQ(in.push(all_[next]), PushResult::accepted);
      if (next % 10 != 9) continue;  // All ends are behind such a one.
      const std::string line = text_of_item(all_[next]) + "\n";
      ASSERT_TRUE(eventually([&] { return text().find(line) != std::string::npos; })) << line;
    }
  }
  // Everything is lost at a checkpoint with `first` items, and again once those up to `second` were written. What is left
  // is that checkpoint, and the files.
  void lose_twice(std::uint64_t first, std::uint64_t second) const {
    {
      Engine engine{rolling(0), checkpointed()};
      engine.start();
      push_to(engine, first);
      const std::uint64_t before = engine.stats().checkpoints.written;
      ASSERT_TRUE(eventually([&] { return engine.stats().checkpoints.written > before + 1; }));
      engine.stop();
    }
    fs::copy(file("checkpoints"), file("kept"));
    {
      Engine engine{rolling(1), checkpointed()};
      engine.start();
      ASSERT_EQ(engine.inlet<Item>("in").position(), first);
      push_to(engine, second);
      engine.stop();
    }
    clear_away(file("checkpoints"));
    fs::rename(file("kept"), file("checkpoints"));
  }
  void go_on() const {
    Engine engine{rolling(2), checkpointed()};
    engine.start();
    push_to(engine, all_.size());
    engine.inlet<Item>("in").close();
    ASSERT_TRUE(engine.wait_for(kDeadline));
  }
  std::string error_of_going_on() const {
    return error_of([&] {
      Engine engine{rolling(2), checkpointed()};
      engine.start();
      engine.inlet<Item>("in").close();
      engine.wait_for(kDeadline);
    });
  }
  // Of all files, also of what is not published. One may lose its .part while it is looked for.
  std::string text() const {
    std::string text;
    for (const std::string& name : names()) {
      if (!name.ends_with(".manifest")) text += bytes_of(file("out/" + name));
    }
    return text;
  }
  void expect_all_once() const {
    EXPECT_EQ(text(), lines_of_key(all_, {0}));
    std::size_t published = 0;
    for (const std::string& name : names())
      published += name.ends_with(".manifest") || name.ends_with(".part") ? 0U : 1U;
    EXPECT_EQ(names().size(), published + 1);
    EXPECT_EQ(lines_of(file("out/items-0.manifest")).size(), published);
  }

  std::vector<Item> all_ = items(500, 1);
  std::array<std::string, 3> suffixes_{"log", "log", "log"};
};

// The checkpoint is in the midst of the second file.
TEST_P(FileSinkRestore, TakesBackWhatWasPublishedBehindTheCheckpoint) {
  lose_twice(90, 400);
  ASSERT_TRUE(fs::exists(file("out/items-0-000005.log")));
  go_on();
  expect_all_once();
}

TEST_P(FileSinkRestore, InTheFirstFileTakesBackAllThatWasPublished) {
  lose_twice(10, 300);
  go_on();
  expect_all_once();
}

TEST_P(FileSinkRestore, TakesBackWhatWasPublishedUnderOtherNames) {
  suffixes_ = {"log", "text", "data"};
  lose_twice(90, 400);
  ASSERT_TRUE(fs::exists(file("out/items-0-000005.text")));
  go_on();
  expect_all_once();
  EXPECT_FALSE(fs::exists(file("out/items-0-000005.text")));
}

TEST_P(FileSinkRestore, LeavesAFileOfAnotherAloneAndSaysWhatToDo) {
  lose_twice(90, 400);
  const std::string name = "out/items-0-000006.log";
  ASSERT_TRUE(fs::exists(file(name)));
  fs::remove(file(name));
  { std::ofstream{file(name)} << "mine"; }
  EXPECT_THAT(error_of_going_on(), AllOf(HasSubstr(file(name)), HasSubstr("move it away")));
  EXPECT_EQ(bytes_of(file(name)), "mine");
  fs::rename(file(name), file("moved"));
  go_on();
  expect_all_once();
}

TEST_P(FileSinkRestore, WithoutTheFileThatWasBegunIsAnErrorUntilItIsBack) {
  lose_twice(90, 400);
  std::string last;  // What the checkpoint is in the midst of.
  for (const std::string& name : names()) {
    if (bytes_of(file("out/" + name)).find(text_of_item(all_[89]) + "\n") != std::string::npos) last = name;
  }
  ASSERT_TRUE(last.ends_with(".log")) << last;
  fs::rename(file("out/" + last), file("moved"));
  EXPECT_THAT(error_of_going_on(), AllOf(HasSubstr(last), HasSubstr("put the file back")));
  fs::rename(file("moved"), file("out/" + last));
  go_on();
  expect_all_once();
}

INSTANTIATE_TEST_SUITE_P(OutsideAfter, FileSinkRestore, ::testing::Values("commit", "checkpoint"),
                         [](const auto& info) { return std::string{info.param}; });

}  // namespace
}  // namespace sluice::test
