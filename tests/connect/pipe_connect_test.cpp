// SPDX-License-Identifier: Apache-2.0
// PipeSource: each line that comes through a pipe is an event once, whatever kills its worker.
#include <fcntl.h>
#include <iostream>
#include <random>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <thread>

#include <sluice/connect/pipe_source.hpp>

#include "tcp_peer.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Standard input is a pipe for as long as this lives.
class PipedIn {
 public:
  PipedIn() : kept_{::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)} {
    int ends[2] = {-1, -1};
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    EXPECT_EQ(::dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    ::close(ends[0]);
    in = ends[1];
  }
  ~PipedIn() {
    end();
    ::dup2(kept_, STDIN_FILENO);
    ::close(kept_);
  }
  PipedIn(const PipedIn&) = delete;
  PipedIn& operator=(const PipedIn&) = delete;
  void end() {
    if (in >= 0) ::close(in);
    in = -1;
  }

  int in = -1;

 private:
  int kept_;
};

class Pipes : public WithOutside {
 protected:
  Pipes() : fifo_{file("fifo")} { EXPECT_EQ(::mkfifo(fifo_.c_str(), 0600), 0); }
  ~Pipes() override {
    if (in_ >= 0) ::close(in_);
  }

  void start(const std::string& path, const PipeSourceOptions& options = {}, unsigned workers = 1) {
    start(path, settings(), options, workers);
  }
  void start(const std::string& path, const Settings& with, const PipeSourceOptions& options = {},
             unsigned workers = 1) {
    engine_.reset();
    input_.emplace(path);
    if (path == fifo_ && in_ < 0) in_ = ::open(fifo_.c_str(), O_WRONLY | O_CLOEXEC);
    Pipeline pipeline{"pipes"};
    pipe_source(pipeline, "in", *input_, options, {.workers = workers}).to<ShowFrame>("show").outlet("out");
    engine_ = std::make_unique<Engine>(pipeline, with);
    engine_->start();
    out_ = std::make_unique<Collector<Bytes>>(*engine_, "out");
  }
  void write(std::string_view text) const { write_to(in_, text); }
  static void write_to(int fd, std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = ::write(fd, text.data(), text.size());
      ASSERT_GT(written, 0);
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  bool shows(std::size_t lines) const {
    return eventually([&] { return out_->count() >= lines; });
  }
  // Nothing is left in the pipe itself.
  bool all_is_taken() const {
    return eventually([&] {
      int bytes = -1;
      return ::ioctl(in_, FIONREAD, &bytes) == 0 && bytes == 0;
    });
  }
  std::vector<std::string> drained() {
    engine_->drain();
    return out_->all();
  }

  std::string fifo_;
  int in_ = -1;
  std::optional<PipeInput> input_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Collector<Bytes>> out_;
};

TEST_F(Pipes, HandOnEachLineAndEndWithStandardInput) {
  PipedIn standard;
  start("-");
  write_to(standard.in, "one\n\ntw");
  EXPECT_TRUE(shows(2)) << "at once";
  write_to(standard.in, "o\nno newline");
  standard.end();
  engine_->wait();
  EXPECT_THAT(out_->all(), ElementsAre(" 1 one", " 2 ", " 3 two", " 4 no newline"));
}

TEST_F(Pipes, HoldALineUntilItIsWholeHoweverItComes) {
  start(fifo_, {.line_bytes = 4'000});
  const std::string line(3'000, 'x');
  for (std::size_t byte = 0; byte < 600; ++byte) {  // Each of them takes a place of the pipe that holds it.
    write(line.substr(byte, 1));
    ASSERT_TRUE(all_is_taken());
    if (byte % 100 == 50) {
      const std::uint32_t incarnation = worker_of(*engine_, "in/0").incarnation;
      ASSERT_TRUE(engine_->signal_worker("in/0", SIGKILL));
      ASSERT_TRUE(eventually([&] { return worker_of(*engine_, "in/0").incarnation != incarnation; }));
    }
  }
  write(line.substr(600) + "\nnext\n");
  EXPECT_TRUE(shows(2));
  EXPECT_THAT(drained(), ElementsAre(" 1 " + line, " 2 next"));
  EXPECT_THAT(engine_->stats().problems, IsEmpty());
}

TEST_F(Pipes, LeaveOutALineThatIsTooLongAndSaySo) {
  start(fifo_, {.line_bytes = 100});
  write("one\n" + std::string(101, 'x') + "\n" + std::string(100, 'y') + "\n" + std::string(300, 'z'));
  ASSERT_TRUE(shows(2));
  ASSERT_TRUE(all_is_taken());
  write(std::string(300'000, 'z') + "\nlast\n");
  ASSERT_TRUE(shows(3));
  EXPECT_THAT(drained(), ElementsAre(" 1 one", " 3 " + std::string(100, 'y'), " 5 last"));
  EXPECT_THAT(engine_->stats().problems, ElementsAre(HasSubstr("line 2: more than 100 bytes"),
                                                     HasSubstr("line 4: more than 100 bytes")));
}

TEST_F(Pipes, GiveEachLineOnceWhileTheirWorkerIsKilled) {
  const std::size_t kills = kills_or(60);
  constexpr std::size_t kLinesAKill = 400;
  Settings small = settings();
  small.set("lane.bytes", "16KiB");
  PipedIn standard;
  start("-", small, {.line_bytes = 1'000});
  const auto line_of = [](std::size_t number) {
    return std::to_string(number) + std::string(number * 7919 % 300, 'x');
  };
  std::thread writer{[&] {
    std::mt19937 random{std::random_device{}()};
    std::string text;
    for (std::size_t number = 1; number <= kills * kLinesAKill; ++number) {
      text += line_of(number) + "\n";
      if (text.size() < 1 + random() % 5'000) continue;
      // Anywhere in a line.
      const std::size_t piece = 1 + random() % text.size();
      write_to(standard.in, text.substr(0, piece));
      text.erase(0, piece);
    }
    write_to(standard.in, text);
    standard.end();
  }};
  std::mt19937 random{std::random_device{}()};
  for (std::size_t kill = 0; kill < kills; ++kill) {
    EXPECT_TRUE(eventually([&] { return out_->count() >= kill * kLinesAKill; }));
    const std::uint32_t incarnation = worker_of(*engine_, "in/0").incarnation;
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 1'000});
    engine_->signal_worker("in/0", SIGKILL);
    EXPECT_TRUE(eventually([&] {
      return worker_of(*engine_, "in/0").incarnation != incarnation || out_->count() == kills * kLinesAKill;
    }));
  }
  writer.join();
  engine_->wait();
  const std::vector<std::string> all = out_->all();
  ASSERT_THAT(all, SizeIs(kills * kLinesAKill));
  for (std::size_t number = 1; number <= kills * kLinesAKill; ++number)
    ASSERT_EQ(all[number - 1], " " + std::to_string(number) + " " + line_of(number));
  EXPECT_THAT(engine_->stats().problems, IsEmpty());
  std::cout << kills << " kills, " << all.size() << " lines\n";
}

TEST_F(Pipes, OfAHostBeforeAreSaidToBeLost) {
  Settings kept = settings();
  kept.set("segment.path", file("segment"));
  start(fifo_, kept);
  write("one\n");
  ASSERT_TRUE(shows(1));
  engine_->park();
  start(fifo_, kept);
  write("two\n");
  ASSERT_TRUE(shows(1));
  EXPECT_THAT(drained(), ElementsAre(" 2 two"));
  EXPECT_THAT(engine_->stats().problems, ElementsAre(HasSubstr("behind line 1 and not committed is lost")));
}

TEST_F(Pipes, AreRefusedWhereTheyCannotBeExact) {
  std::ofstream{file("file")} << "text";
  EXPECT_THAT(error_of([&] { PipeInput{file("file")}; }), HasSubstr("it is no pipe"));
  EXPECT_THAT(error_of([&] { PipeInput{file("nothing")}; }), HasSubstr("No such file"));
  const auto error_with = [&](const PipeSourceOptions& options, unsigned workers) {
    return error_of([&] {
      start(fifo_, options, workers);
      engine_->wait();
    });
  };
  EXPECT_THAT(error_with({}, 2), HasSubstr("several workers"));
  EXPECT_THAT(error_with({.line_bytes = 600'000}, 1), HasSubstr("lower `line_bytes`"));
}

}  // namespace
}  // namespace sluice::test
