// SPDX-License-Identifier: Apache-2.0
// FileSource that goes on with a file later: it knows it again by what survives a boot, and no other.
#include "file_source_world.hpp"
#include "mounted_anew.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using FileSourceRestore = FileSources;

TEST_F(FileSourceRestore, BeginsAFileThatWasWrittenAnewWhileThePipelineWasParkedAndSaysSo) {
  Settings kept = settings();
  kept.set("segment.path", path("segment"));
  append("log", "one\n");
  {
    Following log{path("log"), kept};
    ASSERT_TRUE(log.has(1));
    log.engine().park();
  }
  std::filesystem::resize_file(path("log"), 0);
  append("log", "two\nthree\n");
  Following log{path("log"), kept};
  ASSERT_TRUE(log.has(2));
  EXPECT_THAT(texts(log.drain()), ElementsAre("two", "three"));
  EXPECT_THAT(log.engine().stats().problems, ElementsAre(HasSubstr("it is read from its beginning")));
}

// By each way to write it: a file that is read, one that was read, a directory, and a log that is followed.
TEST_F(FileSourceRestore, KnowsAFileByEachSpellingOfItsPath) {
  std::filesystem::create_directory(path("d"));
  append("d/in-a-directory", numbered(0, 5, "line"));
  append("a", numbered(5, 10, "line"));
  append("b", numbered(10, 3'000, "line"));
  const std::string link = path("link");
  std::filesystem::create_symlink(path(""), link);
  const auto from_here = [](const std::string& whole) {
    return std::filesystem::path{whole}.lexically_relative(std::filesystem::current_path()).string();
  };
  const auto all_from = [](const std::function<std::string(const char*)>& spelled) {
    return FileSourceOptions{.paths = {spelled("d"), spelled("a"), spelled("b")}};
  };
  const FileSourceOptions whole = all_from([this](const char* name) { return path(name); });
  const FileSourceOptions relative = all_from([&](const char* name) { return from_here(path(name)); });
  const FileSourceOptions linked = all_from([&](const char* name) { return link + "/" + name; });
  for (const auto& [before, then] : {std::pair{whole, relative}, {relative, whole}, {whole, linked}}) {
    std::filesystem::remove(path("segment"));
    Settings kept = settings();
    kept.set("segment.path", path("segment"));
    std::vector<std::string> read;
    const auto take = [&read](const Bytes& line) { read.emplace_back(line.text()); };
    {
      const Pipeline pipeline = reading(before);
      Engine engine{pipeline, kept};
      engine.start();
      auto out = engine.outlet<Bytes>("out");
      ASSERT_TRUE(eventually([&] { return out.poll(take, 1'000 - read.size()), read.size() == 1'000; }));
      out.ack();
      engine.park();
    }
    const Pipeline pipeline = reading(then);
    Engine engine{pipeline, kept};
    engine.start();
    auto out = engine.outlet<Bytes>("out");
    EXPECT_TRUE(eventually([&] { return out.poll(take), out.ended(); }));
    read = texts(read);
    ASSERT_EQ(read.size(), 3'000U) << then.paths.front();
    for (std::size_t line = 0; line < read.size(); ++line)
      ASSERT_EQ(read[line], "line " + std::to_string(line));
    EXPECT_THAT(engine.stats().problems, ::testing::IsEmpty());
  }
}

TEST_F(FileSourceRestore, KnowsALogThatIsFollowedByEachSpellingOfItsPath) {
  Settings kept = settings();
  kept.set("segment.path", path("segment"));
  append("log", "one\n");
  {
    Following log{path("log"), kept};
    ASSERT_TRUE(log.has(1));
    log.engine().park();
  }
  rename("log", "log.1");
  append("log.1", "two\n");
  append("log", "three\n");
  Following log{
      std::filesystem::path{path("log")}.lexically_relative(std::filesystem::current_path()).string(), kept};
  ASSERT_TRUE(log.has(2));
  EXPECT_THAT(texts(log.drain()), ElementsAre("two", "three"));
  EXPECT_THAT(log.problems(), ::testing::IsEmpty());
}

// As after a boot: the file and its inode are the same, the number of its file system is not.
TEST_F(FileSourceRestore, GoesOnInAFileWhoseFileSystemWasMountedAnew) {
  MountedAnew mounted{path("")};
  total_loss::Host host{{}, [&] {
                          std::ofstream said{path("said")};
                          if (!mounted.mount()) return void(said << "not allowed");
                          Settings kept = settings();
                          kept.set("segment.path", path("segment"));
                          append("mounted/log", "one\n");
                          {
                            Following log{path("mounted/log"), kept};
                            if (!log.has(1)) said << "it reads nothing";
                            log.engine().park();
                          }
                          if (!mounted.mount_anew()) return void(said << "not allowed");
                          append("mounted/log", "two\n");
                          Following log{path("mounted/log"), kept};
                          if (!log.has(1)) said << "it does not go on";
                          for (const std::string& text : texts(log.drain()))
                            said << text << "\n";
                          for (const std::string& problem : log.engine().stats().problems)
                            said << problem << "\n";
                        }};
  ASSERT_TRUE(host.wait_for_end(kDeadline));
  std::ifstream file{path("said")};
  const std::string said{std::istreambuf_iterator<char>{file}, {}};
  if (said == "not allowed") GTEST_SKIP() << "a file system of its own needs root";
  EXPECT_EQ(said, "two\n");
}

}  // namespace
}  // namespace sluice::test
