// SPDX-License-Identifier: Apache-2.0
// AppendFile: the file holds what was committed, no byte more or less, whoever was killed on the way.

#include <fstream>
#include <random>
#include <sstream>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Write {
  Write(Worker& worker, const std::string& path) : file{worker, "file", path} {}
  void operator()(const Item& item) {
    file.append(std::to_string(item.number) + "\n");
    if (item.key == 13) throw std::runtime_error{"unlucky"};
  }
  AppendFile file;
};

class AppendFileTest : public WithProcesses {
 protected:
  AppendFileTest() { ::unlink(path_.c_str()); }
  ~AppendFileTest() override { ::unlink(path_.c_str()); }

  Pipeline pipeline() const {
    Pipeline pipeline{"write"};
    pipeline.inlet<Item>("in").to<Write>("write", path_);
    return pipeline;
  }
  std::string content() const {
    std::ifstream file{path_};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  static std::string lines(std::uint32_t count) {
    std::string text;
    for (std::uint32_t i = 0; i < count; ++i)
      text += std::to_string(i) + "\n";
    return text;
  }

  std::string path_ = testing::TempDir() + "sluice_append_file_" + std::to_string(::getpid());
};

TEST_F(AppendFileTest, HoldsWhatWasAppended) {
  run_inline(pipeline(), items(1000, 1));
  EXPECT_EQ(content(), lines(1000));
}

TEST_F(AppendFileTest, IsMadeAnewByAPipelineThatStarts) {
  run_inline(pipeline(), items(1000, 1));
  run_inline(pipeline(), items(10, 1));
  EXPECT_EQ(content(), lines(10));
}

TEST_F(AppendFileTest, TakesTextLargerThanItsBuffer) {
  struct WriteMuch {
    WriteMuch(Worker& worker, const std::string& path) : file{worker, "file", path} {}
    void operator()(const Item& item) {
      file.append(std::string(std::size_t{item.number} * 700'000, static_cast<char>('a' + item.number)));
    }
    AppendFile file;
  };
  Pipeline much{"much"};
  much.inlet<Item>("in").to<WriteMuch>("write", path_);
  run_inline(much, items(5, 1));
  EXPECT_EQ(content(), std::string(700'000, 'b') + std::string(1'400'000, 'c') + std::string(2'100'000, 'd') +
                           std::string(2'800'000, 'e'));
}

TEST_F(AppendFileTest, DoesNotHoldWhatARolledBackEventAppended) {
  InlineRun run{pipeline()};
  for (std::uint32_t i = 0; i < 10; ++i)
    run.push("in", Item{0, i});
  run.push("in", Item{13, 10});
  EXPECT_THROW(run.run(), std::runtime_error);
  EXPECT_EQ(content(), lines(10));
  EXPECT_THROW(run.run(), std::runtime_error);
  EXPECT_EQ(content(), lines(10));
}

TEST_F(AppendFileTest, IsExactHoweverOftenItsWorkerIsKilled) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  constexpr std::uint32_t kItems = 20'000;
  Engine engine{pipeline(), test_settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  int kills = 0;
  for (std::uint32_t i = 0; i < kItems; ++i) {
    ASSERT_EQ(in.push(Item{0, i}), PushResult::accepted);
    if (random() % 500 == 0 && engine.signal_worker("write/0", SIGKILL)) ++kills;
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(content(), lines(kItems));
  EXPECT_GT(kills, 0);
}

TEST_F(AppendFileTest, CutsOffWhatWasNotCommitted) {
  Engine engine{pipeline(), test_settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (std::uint32_t i = 0; i < 10; ++i)
    std::ignore = in.push(Item{0, i});
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "write/0").events_in == 10; }));
  std::ofstream{path_, std::ios::app} << "what a batch wrote before it died";
  ASSERT_TRUE(engine.signal_worker("write/0", SIGKILL));
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "write/0").incarnation == 2; }));
  std::ignore = in.push(Item{0, 10});
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(content(), lines(11));
}

TEST_F(AppendFileTest, RefusesAFileThatSomebodyHasShortened) {
  Engine engine{pipeline(), test_settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (std::uint32_t i = 0; i < 10; ++i)
    std::ignore = in.push(Item{0, i});
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "write/0").events_in == 10; }));
  ASSERT_EQ(::truncate(path_.c_str(), 3), 0);
  ASSERT_TRUE(engine.signal_worker("write/0", SIGKILL));
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr(path_), HasSubstr("it holds 3 bytes and 20 were committed")));
}

TEST_F(AppendFileTest, ThatCannotBeOpenedMakesTheStartThrow) {
  Pipeline nowhere{"nowhere"};
  nowhere.inlet<Item>("in").to<Write>("write", std::string{"/nowhere/file"});
  Engine engine{nowhere, test_settings()};
  EXPECT_THAT(error_of([&] { engine.start(); }),
              AllOf(HasSubstr("/nowhere/file"), HasSubstr("No such file")));
}

}  // namespace
}  // namespace sluice::test
