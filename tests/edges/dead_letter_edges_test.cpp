// SPDX-License-Identifier: Apache-2.0
// Dead letters are never destroyed, and where they lie nobody else can put a hand in between.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <regex>
#include <set>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/dead_letter.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/own_directory.hpp>
#include <sluice/refused.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

struct Fragile {
  explicit Fragile(std::set<std::uint32_t> deadly) : deadly{std::move(deadly)} {}
  void operator()(const Item& item, Output<Item>& out) const {
    out.push(item);
    if (deadly.contains(item.number)) std::abort();
  }
  std::set<std::uint32_t> deadly;
};

Pipeline fragile(std::set<std::uint32_t> deadly) {
  Pipeline pipeline{"fragile"};
  pipeline.inlet<Item>("in").to<Fragile>("fragile", std::move(deadly)).outlet("out");
  return pipeline;
}

class DeadLetterEdges : public WithProcesses {
 protected:
  DeadLetterEdges() {
    clear_away(directory_);
    fs::create_directories(directory_);
  }
  ~DeadLetterEdges() override { clear_away(directory_); }

  Settings settings(const std::string& retry = {}) const {
    Settings settings = test_settings();
    settings.set("report.path", reports().string());
    if (!retry.empty()) settings.set("poison.retry", retry);
    return settings;
  }
  fs::path reports() const { return directory_ / "reports"; }
  std::string error_of_start(const fs::path& path) const {
    Settings settings = test_settings();
    settings.set("report.path", path.string());
    return error_of([&] {
      Engine engine{fragile({}), settings};
      engine.start();
    });
  }
  std::vector<std::uint32_t> numbers_of(bool retried) const {
    std::vector<std::uint32_t> numbers;
    for (const DeadLetter& letter : find_dead_letters(reports())) {
      Item item;
      std::memcpy(&item, letter.payload.data(), sizeof(item));
      if ((letter.retried_by != 0) == retried) numbers.push_back(item.number);
    }
    return numbers;
  }

  fs::path directory_{fs::temp_directory_path() / ("sluice-letters-" + std::to_string(::getpid()))};
};

// All runs share one directory, and the retry reads where it writes.
TEST_F(DeadLetterEdges, OutliveEveryRetryAndAreMarkedByTheCommitOfTheirs) {
  run_processes<Item>(fragile({3, 5, 7}), items(10, 1), settings());
  EXPECT_THAT(numbers_of(false), ElementsAre(3, 5, 7));
  run_processes<Item>(fragile({8}), items(10, 1), settings());
  EXPECT_THAT(numbers_of(false), ElementsAre(3, 5, 7, 8)) << "a second run has a file of its own";
  const std::vector<Item> out =
      run_processes<Item>(fragile({5}), std::vector<Item>{}, settings(reports().string()));
  EXPECT_THAT(out, ElementsAre(Item{0, 3}, Item{0, 7}, Item{0, 8}));
  EXPECT_THAT(numbers_of(true), ElementsAre(3, 5, 7, 8));
  EXPECT_THAT(numbers_of(false), ElementsAre(5)) << "the letter of the retry that killed again";
  EXPECT_THAT(run_processes<Item>(fragile({}), std::vector<Item>{}, settings(reports().string())),
              ElementsAre(Item{0, 5}));
  EXPECT_THAT(numbers_of(false), SizeIs(0));
  EXPECT_THAT(run_processes<Item>(fragile({}), std::vector<Item>{}, settings(reports().string())), SizeIs(0));
  EXPECT_THAT(find_dead_letters(reports()), SizeIs(5)) << "all that there ever were";
}

TEST_F(DeadLetterEdges, AreForNobodyElse) {
  run_processes<Item>(fragile({3}), items(5, 1), settings());
  struct stat status {};
  ASSERT_EQ(::lstat(reports().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0700U);
  int files = 0;
  for (const auto& entry : fs::directory_iterator{reports()}) {
    ASSERT_EQ(::lstat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0600U) << entry.path();
    ++files;
  }
  EXPECT_EQ(files, 2) << "the letters and the report of the deaths";
}

TEST_F(DeadLetterEdges, AreToldOnceASecondAndAtTheEndHoweverManyThereAre) {
  constexpr std::uint32_t kItems = 90;  // poison.budget has more.
  Pipeline pipeline{"refusing"};
  pipeline.inlet<Item>("in").to("refuse", [](const Item&) { throw Refused{"no"}; });
  const std::string said = (directory_ / "said").string();
  const detail::Descriptor to{::open(said.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
  Settings often = settings();
  often.set("watchdog.tick", "1ms");
  Engine engine{pipeline, often};
  engine.log_to(to.get());
  engine.start();
  const auto start = std::chrono::steady_clock::now();
  auto in = engine.inlet<Item>("in");
  for (std::uint32_t number = 0; number < kItems; ++number) {
    ASSERT_EQ(in.push({0, number}), PushResult::accepted);
    // One after the other, so that the master sees them at several looks.
    ASSERT_TRUE(eventually([&] { return engine.stats().dead_letters() == number + 1; }));
  }
  engine.stop();
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start);
  const std::regex line{"refuse/0 has moved ([0-9]+) events? to the dead letters"};
  std::ifstream file{said};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  unsigned long told = 0;
  long lines = 0;
  for (std::sregex_iterator at{text.begin(), text.end(), line}, end; at != end; ++at, ++lines)
    told += std::stoul((*at)[1]);
  EXPECT_EQ(told, kItems) << text;
  EXPECT_GE(lines, 1);
  EXPECT_LE(lines, 2 + seconds.count()) << text;
}

TEST_F(DeadLetterEdges, AreReadFromNothingThatHasNoEnd) {
  const fs::path pipe = directory_ / "pipe.dead";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const fs::path& path : {fs::path{"/dev/zero"}, pipe}) {
    EXPECT_THAT(error_of([&] { find_dead_letters(path); }), HasSubstr("no regular file"));
    Settings settings = this->settings();
    settings.set("poison.retry", path.string());
    EXPECT_THAT(error_of([&] { Engine{fragile({}), settings}.start(); }), HasSubstr("no regular file"));
  }
  EXPECT_THAT(error_of([&] { find_dead_letters(directory_); }), HasSubstr("no regular file"));
  EXPECT_THAT(error_of([&] { read_dead_letters(directory_); }), HasSubstr("no regular file"));
}

TEST_F(DeadLetterEdges, NeedADirectoryThatIsOursAlone) {
  const fs::path elsewhere = directory_ / "elsewhere";
  fs::create_directories(elsewhere);
  fs::create_directory_symlink(elsewhere, directory_ / "link");
  EXPECT_THAT(error_of_start(directory_ / "link"), HasSubstr("link"));
  fs::create_directories(directory_ / "open");
  ::chmod((directory_ / "open").c_str(), 0777);
  EXPECT_THAT(error_of_start(directory_ / "open"), HasSubstr("other users may write it"));
  std::ofstream{directory_ / "file"} << "x";
  EXPECT_THAT(error_of_start(directory_ / "file"), HasSubstr("no directory"));
  EXPECT_THAT(error_of_start(directory_ / "file" / "below"), HasSubstr("below"));
  EXPECT_THAT(error_of_start("/proc/nowhere"), HasSubstr("/proc"));
  fs::create_directory_symlink(directory_ / "gone" / "volume", directory_ / "dangling");
  EXPECT_THAT(error_of_start(directory_ / "dangling" / "reports"), HasSubstr("cannot be made in"))
      << "when the first event dies it would be too late";
  if (::geteuid() == 0) {
    fs::create_directories(directory_ / "nobodys");
    ASSERT_EQ(::chown((directory_ / "nobodys").c_str(), 65534, 65534), 0);
    EXPECT_THAT(error_of_start(directory_ / "nobodys"), HasSubstr("belongs to another user"));
  }
  EXPECT_TRUE(fs::is_empty(elsewhere));
  EXPECT_THAT(error_of_start(directory_ / "new"), "");
  EXPECT_FALSE(fs::exists(directory_ / "new")) << "made when there is something to put there";
}

// segment.path=/dev/shm/x: whoever guesses the name of the directory must not redirect what is written there.
TEST_F(DeadLetterEdges, OfANamedSegmentFollowNoLinkBesideIt) {
  const fs::path victim = directory_ / "victim";
  fs::create_directories(victim);
  Settings settings = test_settings();
  settings.set("segment.path", (directory_ / "segment").string());
  fs::create_directory_symlink(victim, directory_ / "segment.reports");
  EXPECT_THAT(error_of([&] {
                Engine engine{fragile({3}), settings};
                engine.start();
              }),
              AllOf(HasSubstr("segment.reports"), HasSubstr("link")));
  EXPECT_TRUE(fs::is_empty(victim));
}

TEST_F(DeadLetterEdges, AreNotWrittenThroughALinkOrIntoAnothersFile) {
  const fs::path precious = directory_ / "precious";
  std::ofstream{precious} << "precious\n";
  fs::create_directories(reports());
  ::chmod(reports().c_str(), 0700);
  const detail::OwnDirectory own{reports()};
  fs::create_symlink(precious, reports() / "link");
  EXPECT_THAT(error_of([&] { own.open_file("link"); }), HasSubstr("it is a link"));
  fs::create_hard_link(precious, reports() / "second");
  EXPECT_THAT(error_of([&] { own.open_file("second"); }), HasSubstr("another name"));
  ASSERT_EQ(::mkfifo((reports() / "pipe").c_str(), 0600), 0);
  EXPECT_NE(error_of([&] { own.open_file("pipe"); }), "");
  EXPECT_TRUE(own.open_file("new"));
  std::ifstream file{precious};
  std::string text;
  std::getline(file, text);
  EXPECT_EQ(text, "precious");
}

// The directory of checkpoints is empty after an end, whatever was killed before in the midst of trying it.
TEST_F(DeadLetterEdges, DirectoryHasNothingLeftOfTriesThatWereKilled) {
  fs::create_directories(reports());
  ::chmod(reports().c_str(), 0700);
  int left = 0;
  for (int round = 0; round < 500 && left < 5; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      while (true)
        detail::OwnDirectory::check(reports());
    }
    // As soon as it is seen, so that some are.
    for (int look = 0; look < 1'000 && fs::is_empty(reports()); ++look) {
    }
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    left += fs::is_empty(reports()) ? 0 : 1;
  }
  detail::OwnDirectory::check(reports());
  EXPECT_GT(left, 0) << "none was killed in the midst";
  EXPECT_TRUE(fs::is_empty(reports()));
}

}  // namespace
}  // namespace sluice::test
