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
