// SPDX-License-Identifier: Apache-2.0
// FileSource that goes on with a file later: it knows it again by what survives a boot, and no other.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "file_source_world.hpp"
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
  for (const char* name : {"disk", "other", "mounted"})
    std::filesystem::create_directory(path(name));
  const std::string layers =
      "lowerdir=" + path("disk/low") + ",upperdir=" + path("disk/up") + ",workdir=" + path("disk/work");
  const auto mounted = [&](const char* type, const char* where, const char* options) {
    return ::mount("none", path(where).c_str(), type, 0, options) == 0;
  };
  const auto device = [&] {
    struct stat status {};
    return ::stat(path("mounted/log").c_str(), &status) == 0 ? status.st_dev : 0;
  };
  total_loss::Host host{{}, [&] {
                          std::ofstream said{path("said")};
                          if (::unshare(CLONE_NEWNS) != 0 ||
                              ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                              !mounted("tmpfs", "disk", nullptr))
                            return void(said << "not allowed");
                          for (const char* name : {"disk/low", "disk/up", "disk/work"})
                            std::filesystem::create_directory(path(name));
                          if (!mounted("overlay", "mounted", layers.c_str()))
                            return void(said << "not allowed");
                          Settings kept = settings();
                          kept.set("segment.path", path("segment"));
                          append("mounted/log", "one\n");
                          const auto before = device();
                          {
                            Following log{path("mounted/log"), kept};
                            if (!log.has(1)) said << "it reads nothing";
                            log.engine().park();
                          }
                          // Another takes the number.
                          if (::umount2(path("mounted").c_str(), MNT_DETACH) != 0 ||
                              !mounted("tmpfs", "other", nullptr) ||
                              !mounted("overlay", "mounted", layers.c_str()) || device() == before)
                            return void(said << "not allowed");
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
