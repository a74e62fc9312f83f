// SPDX-License-Identifier: Apache-2.0
// AppendFile when it is not alone, when its file is not the one that it was, and when the disk is full.
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <sstream>
#include <sys/resource.h>
#include <sys/stat.h>

#include "pipelines.hpp"
#include "processes.hpp"
#include "small_disk.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Write {
  Write(Worker& worker, const std::string& path) : file{worker, "file", path} {}
  void operator()(const Item& item) { file.append(std::to_string(item.number) + "\n"); }
  AppendFile file;
};

std::string content(const std::string& path) {
  std::ifstream file{path};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class AppendFileEdges : public WithProcesses {
 protected:
  AppendFileEdges() { remove(); }
  ~AppendFileEdges() override { remove(); }
  void remove() const {
    for (const std::string& path : {path_, path_ + ".old"})
      ::unlink(path.c_str());
    ::rmdir((path_ + ".disk").c_str());
  }
  Pipeline pipeline(unsigned workers = 1) const {
    Pipeline pipeline{"write"};
    pipeline.inlet<Item>("in").to<Write>("write", {.workers = workers}, path_);
    return pipeline;
  }

  std::string path_ = testing::TempDir() + "sluice_append_edges_" + std::to_string(::getpid());
};

TEST_F(AppendFileEdges, FollowsNoLinkAndLeavesWhatItLeadsToAsItIs) {
  std::ofstream{path_ + ".old"} << "of somebody else";
  ASSERT_EQ(::symlink((path_ + ".old").c_str(), path_.c_str()), 0);
  Engine engine{pipeline(), test_settings()};
  EXPECT_THAT(error_of([&] { engine.start(); }), AllOf(HasSubstr(path_), HasSubstr("it is a link")));
  EXPECT_EQ(content(path_ + ".old"), "of somebody else");
}

TEST_F(AppendFileEdges, WaitsForNoPipeAndWritesIntoNone) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  for (const bool has_reader : {false, true}) {
    const int reader = has_reader ? ::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    Engine engine{pipeline(), test_settings()};
    EXPECT_THAT(error_of([&] { engine.start(); }),
                AllOf(HasSubstr(path_), HasSubstr("it is no regular file")));
    if (reader >= 0) ::close(reader);
  }
}

TEST_F(AppendFileEdges, RefusesASecondWriterOfItsFile) {
  Engine engine{pipeline(2), test_settings()};
  EXPECT_THAT(error_of([&] { engine.start(); }),
              AllOf(HasSubstr("lock"), HasSubstr(path_), HasSubstr("another worker or program")));
}

TEST_F(AppendFileEdges, RefusesASecondPipelineAndLeavesTheFirstOnesFileAlone) {
  Engine first{pipeline(), test_settings()};
  first.start();
  auto in = first.inlet<Item>("in");
  std::ignore = in.push(Item{0, 1});
  ASSERT_TRUE(eventually([&] { return content(path_) == "1\n"; }));
  Engine second{pipeline(), test_settings()};
  EXPECT_THAT(error_of([&] { second.start(); }), HasSubstr("another worker or program"));
  EXPECT_EQ(content(path_), "1\n");
  std::ignore = in.push(Item{0, 2});
  in.close();
  ASSERT_TRUE(first.wait_for(kDeadline));
  EXPECT_EQ(content(path_), "1\n2\n");
}

// The worker lives on with the file that it has open.
TEST_F(AppendFileEdges, FindsOutThatItsFileWasRemovedMovedReplacedOrCutWhileItIsWritten) {
  const std::string other = path_ + ".old";
  const std::function<void()> harms[] = {[this] { ::unlink(path_.c_str()); },
                                         [&] { ::rename(path_.c_str(), other.c_str()); },
                                         [&] {
                                           std::ofstream{other} << "1\n";
                                           ::rename(other.c_str(), path_.c_str());
                                         },
                                         [this] { std::ignore = ::truncate(path_.c_str(), 0); }};
  for (const auto& harm : harms) {
    remove();
    Engine engine{pipeline(), test_settings()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    std::ignore = in.push(Item{0, 1});
    ASSERT_TRUE(eventually([&] { return content(path_) == "1\n"; }));
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "write/0").events_in == 1; }));
    harm();
    std::ignore = in.push(Item{0, 2});
    in.close();
    EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
                AllOf(HasSubstr(path_), HasSubstr("go on writing")));
  }
}

TEST_F(AppendFileEdges, LeavesAFileAloneThatHasTakenThePlaceOfItsOwn) {
  Engine engine{pipeline(), test_settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push(Item{0, 1});
  ASSERT_TRUE(eventually([&] { return content(path_) == "1\n"; }));
  ASSERT_EQ(::rename(path_.c_str(), (path_ + ".old").c_str()), 0);
  const std::string other = "somebody else's, and longer\n";
  std::ofstream{path_} << other;
  ASSERT_TRUE(engine.signal_worker("write/0", SIGKILL));
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr(path_), HasSubstr("another file has taken its place")));
  EXPECT_EQ(content(path_), other);
  EXPECT_EQ(content(path_ + ".old"), "1\n");
}

// A file that may not grow any more: no room comes back for that.
struct WriteToALimit {
  WriteToALimit(Worker& worker, const std::string& path) : file{worker, "file", path} {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  void operator()(const Item&) { file.append(std::string(600, 'x')); }
  AppendFile file;
};

TEST_F(AppendFileEdges, SaysWhenNothingMoreFitsAndLosesNothingOfWhatDoes) {
  Pipeline full{"full"};
  full.inlet<Item>("in").to<WriteToALimit>("write", path_);
  Engine engine{full, test_settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push(Item{0, 1});
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "write/0").events_in == 1; }));
  std::ignore = in.push(Item{0, 2});
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }), AllOf(HasSubstr("write"), HasSubstr(path_)));
  EXPECT_EQ(content(path_).substr(0, 600), std::string(600, 'x'));
}

struct WritePages {
  WritePages(Worker& worker, const std::string& path) : file{worker, "file", path} {}
  void operator()(const Item& item) { file.append(page(item.number)); }
  static std::string page(std::uint32_t number) { return std::string(4096, static_cast<char>('a' + number)); }
  AppendFile file;
};

// The outside is away then, and comes back: no pipeline ends for that, and no event is to blame.
TEST_F(AppendFileEdges, WaitsForRoomOnADiskThatIsFullAndLosesNothing) {
  const SmallDisk disk{path_ + ".disk", "64k"};
  if (!disk.is_there()) GTEST_SKIP() << "a file system of its own needs root";
  const std::string path = disk.path() / "written";
  Pipeline pages{"pages"};
  pages.inlet<Item>("in").to<WritePages>("write", path);
  Engine engine{pages, test_settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  std::string right;
  for (std::uint32_t number = 0; number < 26; ++number) {
    std::ignore = in.push(Item{0, number});
    right += WritePages::page(number);
  }
  in.close();
  const auto waits = [&] {
    const WorkerStats worker = worker_of(engine, "write/0");
    return worker.verdict == "waiting outside" &&
           worker.outside.find(path + ": No space left on device") != std::string::npos;
  };
  EXPECT_TRUE(eventually(waits));
  ASSERT_TRUE(engine.signal_worker("write/0", SIGKILL));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "write/0").restarts == 1 && waits(); }));
  ASSERT_TRUE(disk.grow("16m"));
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(content(path), right);
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
}

}  // namespace
}  // namespace sluice::test
