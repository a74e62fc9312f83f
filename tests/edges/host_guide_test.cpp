// SPDX-License-Identifier: Apache-2.0
// The program of docs/guide/host.md is right: however often the host is killed, it has each answer once.
#include "host_guide.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sys/prctl.h>

#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

struct Square {
  void operator()(const Question& question, Output<Answer>& out) const {
    out.push({question.number, question.number * question.number});
  }
};

class HostGuide : public WithProcesses {
 protected:
  HostGuide() {
    const fs::path parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : fs::temp_directory_path();
    std::string name = (parent / "sluice-host-guide-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~HostGuide() override { clear_away(directory_); }
  void begin_anew() const {
    clear_away(directory_);
    fs::create_directory(directory_);
  }

  std::string answers() const { return (directory_ / "answers").string(); }

  // One life of the host; 0 once it has come to its end.
  int live(std::uint64_t count) const {
    Pipeline pipeline{"questions"};
    pipeline.inlet<Question>("questions").to<Square>("square", {.workers = 2}).outlet("answers");
    Settings settings = test_settings();
    settings.set("segment.path", (directory_ / "segment").string());
    settings.set("lane.slots", "512");
    settings.set("state.bytes", "64KiB");
    settings.set("undo.bytes", "64KiB");
    Engine engine{pipeline, settings};
    // The workers of the life before it may be on their way out: the segment is theirs so long.
    engine.start();
    ask(engine, count, answers());
    engine.wait();
    return 0;
  }

  pid_t fork_host(std::uint64_t count) const {
    std::fflush(nullptr);
    const pid_t host = ::fork();
    if (host != 0) return host;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    try {
      ::_exit(live(count));
    } catch (const Error&) {
      ::_exit(1);
    } catch (...) {
      ::_exit(2);
    }
  }

  std::uint64_t answers_written() const {
    std::error_code absent;
    const std::uintmax_t bytes = fs::file_size(answers(), absent);
    return absent ? 0 : bytes / sizeof(Answer);
  }

  fs::path directory_;
};

// When a host is killed: once it has that many more answers than it began with, and this much later.
struct Moment {
  std::uint64_t more_answers;
  std::chrono::microseconds later;
};

// The first ones have most of their work in front of them then; others die while they start, or take it up again.
Moment draw_moment(std::mt19937& random, std::uint64_t count) {
  const std::uint64_t more = random() % 3 == 0 ? 0 : 1 + random() % (count / 32);
  return {more, std::chrono::microseconds{random() % 5000}};
}

TEST_F(HostGuide, HasEachAnswerOnceHoweverOftenItIsKilled) {
  constexpr std::uint64_t kCount = 300'000;
  constexpr unsigned kKills = 15;
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  bool done = false;
  unsigned killed = 0;
  const auto until = std::chrono::steady_clock::now() + 2 * kDeadline;
  while (!done && std::chrono::steady_clock::now() < until) {
    const Moment moment = draw_moment(random, kCount);
    const std::uint64_t enough = answers_written() + moment.more_answers;
    const pid_t host = fork_host(kCount);
    int status = 0;
    bool ended = false;
    // Enough is enough: the last one may go on.
    while (!ended && (killed >= kKills || answers_written() < enough)) {
      ended = ::waitpid(host, &status, WNOHANG) == host;
      if (!ended) std::this_thread::sleep_for(200us);
    }
    if (!ended) {
      std::this_thread::sleep_for(moment.later);
      ::kill(host, SIGKILL);
      ::waitpid(host, &status, 0);
      // It may have come to its end just before.
      if (WIFSIGNALED(status)) ++killed;
    }
    ASSERT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    // It was quicker than whoever was to kill it: that was none.
    if (done && killed == 0) {
      begin_anew();
      done = false;
    }
  }
  ASSERT_TRUE(done);
  std::ifstream file{answers(), std::ios::binary};
  std::vector<std::uint32_t> times(kCount);
  for (Answer answer{}; file.read(reinterpret_cast<char*>(&answer), sizeof(answer));) {
    ASSERT_LT(answer.number, kCount);
    EXPECT_EQ(answer.square, answer.number * answer.number);
    ++times[answer.number];
  }
  EXPECT_EQ(std::count(times.begin(), times.end(), 1U), static_cast<std::ptrdiff_t>(kCount));
}

std::string text_in(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

TEST_F(HostGuide, ShowsThisProgram) {
  const std::string program = text_in(SLUICE_SOURCE_DIRECTORY "/tests/edges/host_guide.hpp");
  const std::string mark = "// [guide]\n";
  const std::size_t begin = program.find(mark) + mark.size();
  const std::string shown = program.substr(begin, program.find(mark, begin) - begin);
  EXPECT_NE(text_in(SLUICE_SOURCE_DIRECTORY "/docs/guide/host.md").find("```cpp\n" + shown + "```"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice::test
