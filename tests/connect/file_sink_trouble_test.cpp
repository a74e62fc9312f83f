// SPDX-License-Identifier: Apache-2.0
// FileSink where directories, names and disks are not as they should be.
#include <csignal>
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>

#include "file_sink_world.hpp"
#include "support/clear_away.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FileSinkTrouble : public FileSinks {
 protected:
  static std::string outcome_of(const RollingFileOptions& options) {
    return error_of([&] { run_inline(archive(options), items(10, 1)); });
  }
};

TEST_F(FileSinkTrouble, WithADirectoryThatIsMissingIsAnError) {
  RollingFileOptions none = options();
  none.directory = file("none");
  EXPECT_THAT(outcome_of(none),
              AllOf(HasSubstr(file("none")), HasSubstr("No such file"), HasSubstr("make it")));
  none.directory = "";
  EXPECT_THAT(outcome_of(none), HasSubstr("path is empty"));
}

TEST_F(FileSinkTrouble, WithoutAFunctionForItsLinesIsAnError) {
  Pipeline pipeline{"archive"};
  pipeline.inlet<Item>("in").to<FileSink<Item>>("items", {}, options(),
                                                std::function<std::string(const Item&)>{});
  EXPECT_THAT(error_of([&] { run_inline(pipeline, items(10, 1)); }), HasSubstr("the function is empty"));
}

struct Heading {
  Heading(Worker& worker, const RollingFileOptions& options) : file{worker, options} {
    file.append_line("number");
  }
  void operator()(const Item& item) { file.append_line(text_of_item(item)); }
  RollingFile file;
};

// Each process of the worker would write one.
TEST_F(FileSinkTrouble, WithALineOfNoEventIsAnError) {
  Pipeline pipeline{"archive"};
  pipeline.inlet<Item>("in").to<Heading>("items", {}, options());
  EXPECT_THAT(error_of([&] { run_inline(pipeline, items(10, 1)); }),
              AllOf(HasSubstr("items-0-000001.log"), HasSubstr("no event is in the handler")));
}

TEST_F(FileSinkTrouble, WithNamesThatLeadElsewhereIsAnError) {
  for (const char* name : {"../x", "a/b", ".hidden", "a b"}) {
    RollingFileOptions bad = options();
    bad.name = name;
    EXPECT_THAT(outcome_of(bad), HasSubstr("a part of a file's name")) << name;
    bad = options();
    bad.suffix = name;
    EXPECT_THAT(outcome_of(bad), HasSubstr("a part of a file's name")) << name;
  }
  RollingFileOptions bad = options();
  bad.compression = FileCompression::zstd;
  bad.level = 99;
  EXPECT_THAT(outcome_of(bad), HasSubstr("level 99"));
}

TEST_F(FileSinkTrouble, WithALinkInItsPlaceWritesNothingThroughIt) {
  fs::create_symlink(file("victim"), file("out/items-0.manifest"));
  EXPECT_THAT(outcome_of(options()), HasSubstr("items-0.manifest"));
  EXPECT_FALSE(fs::exists(file("victim")));
}

TEST_F(FileSinkTrouble, WithAnotherWriterIsAnError) {
  { const std::ofstream empty{file("out/items-0.manifest")}; }
  const int fd = ::open(file("out/items-0.manifest").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
  EXPECT_THAT(outcome_of(options()), HasSubstr("another worker or program writes these files"));
  ::close(fd);
}

TEST_F(FileSinkTrouble, WithAFileOfThePublishedNameLeavesThatAlone) {
  Engine engine{archive(options()), settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push({0, 1});
  EXPECT_TRUE(eventually([&] { return fs::exists(file("out/items-0-000001.log.part")); }));
  { std::ofstream{file("out/items-0-000001.log")} << "mine"; }
  in.close();
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr("another file of that name"), HasSubstr("with .part")));
  EXPECT_EQ(bytes_of(file("out/items-0-000001.log")), "mine");
  EXPECT_EQ(bytes_of(file("out/items-0-000001.log.part")), "0 1\n");
}

TEST_F(FileSinkTrouble, WithAFullDiskMakesItWaitUntilThereIsRoom) {
  const std::string disk = file("disk");
  fs::create_directory(disk);
  total_loss::Host host{{}, [&] {
                          if (::unshare(CLONE_NEWNS) != 0 ||
                              ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                              ::mount("none", disk.c_str(), "tmpfs", 0, "size=64k") != 0) {
                            log_line(log(), "not allowed");
                            return;
                          }
                          RollingFileOptions small = options();
                          small.directory = disk;
                          Engine engine{archive(small), settings({"restart.budget=0"})};
                          engine.start();
                          auto in = engine.inlet<Item>("in");
                          for (const Item& item : items(11'000, 1))
                            std::ignore = in.push(item);
                          in.close();
                          if (!eventually([&] {
                                return worker_of(engine, "items/0").outside.find("No space left") !=
                                       std::string::npos;
                              }))
                            log_line(log(), "it did not wait");
                          ::mount("none", disk.c_str(), "tmpfs", MS_REMOUNT, "size=16m");
                          engine.wait();
                          if (bytes_of(disk + "/items-0-000001.log") != lines_of_key(items(11'000, 1), {0}))
                            log_line(log(), "it is another text");
                        }};
  ASSERT_TRUE(host.wait_for_end(kDeadline));
  EXPECT_EQ(host.status(), 0);
  if (lines_of(log()) == std::vector<std::string>{"not allowed"})
    GTEST_SKIP() << "a file system of its own needs root";
  EXPECT_THAT(lines_of(log()), IsEmpty());
}

TEST_F(FileSinkTrouble, WithAPartThatIsRemovedOrCutMeanwhileIsAnErrorAndNoSuccess) {
  const std::string part = file("out/items-0-000001.log.part");
  const auto outcome = [&](const std::function<void()>& disturb) {
    clear_away(file("out"));
    fs::create_directory(file("out"));
    Engine engine{archive(options()), settings()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    std::ignore = in.push({0, 1});
    EXPECT_TRUE(eventually([&] { return bytes_of(part) == "0 1\n"; }));
    disturb();
    return error_of([&] {
      std::ignore = in.push({0, 2});
      engine.wait();
    });
  };
  EXPECT_THAT(outcome([&] { fs::remove(part); }), AllOf(HasSubstr(part), HasSubstr("No such file")));
  EXPECT_THAT(outcome([&] { fs::resize_file(part, 0); }),
              AllOf(HasSubstr(part), HasSubstr("0 bytes and 4 were written")));
  const auto replace = [&] {
    fs::rename(part, file("elsewhere"));
    std::ofstream{part} << "something else";
  };
  EXPECT_THAT(outcome(replace), AllOf(HasSubstr(part), HasSubstr("another file")));
  EXPECT_THAT(outcome([&] { fs::remove(file("out/items-0.manifest")); }), HasSubstr("items-0.manifest"));
}

// It is not looked at for each batch: what is missing shows at the end.
TEST_F(FileSinkTrouble, WithAPartThatIsCutBetweenTwoLooksIsAnErrorAndNoSuccess) {
  const std::string part = file("out/items-0-000001.log.part");
  Engine engine{archive(options()), settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  const auto push = [&](std::uint32_t number) {
    std::ignore = in.push({0, number});
    return eventually([&] { return worker_of(engine, "items/0").events_in == number; });
  };
  ASSERT_TRUE(push(1) && push(2));
  fs::resize_file(part, 0);
  EXPECT_THAT(error_of([&] {
                std::ignore = in.push({0, 3});
                in.close();
                engine.wait_for(kDeadline);
              }),
              AllOf(HasSubstr(part), HasSubstr("were written")));
  EXPECT_FALSE(fs::exists(file("out/items-0-000001.log")));
}

TEST_F(FileSinkTrouble, WithAPartThatHasBecomeAnotherIsAnErrorOfTheReplacement) {
  Engine engine{archive(options()), settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push({0, 1});
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "items/0").events_in == 1; }));
  fs::rename(file("out/items-0-000001.log.part"), file("moved"));
  { std::ofstream{file("out/items-0-000001.log.part")} << "0 1\nmore"; }
  EXPECT_TRUE(engine.signal_worker("items/0", SIGKILL));
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }), HasSubstr("another file has taken its place"));
  EXPECT_EQ(bytes_of(file("out/items-0-000001.log.part")), "0 1\nmore");
}

}  // namespace
}  // namespace sluice::test
