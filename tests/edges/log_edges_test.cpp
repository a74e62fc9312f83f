// SPDX-License-Identifier: Apache-2.0
// What happens is said when it happens: one line, by a process that holds nothing up, and lost by no death.
#include <fcntl.h>
#include <optional>
#include <regex>
#include <sys/socket.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/process_name.hpp>

#include "log/log.hpp"
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using namespace sluice::detail;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

std::string line_with(std::string_view text, LogFormat format, LogLevel level = LogLevel::warning) {
  const LogLine line{level, "death", "market", "parse/1", text};
  return to_text(line, format, std::chrono::system_clock::time_point{std::chrono::microseconds{1'500'000}});
}

TEST(LogLines, SayWhenAndHowSeriousAndWhichPipeline) {
  EXPECT_EQ(line_with("parse/1 died", LogFormat::text),
            "1970-01-01T00:00:01.500000Z warning market: parse/1 died\n");
  EXPECT_EQ(line_with("parse/1 died", LogFormat::journal, LogLevel::error), "<3>market: parse/1 died\n");
  EXPECT_THAT(
      line_with("parse/1 died", LogFormat::json, LogLevel::info),
      AllOf(StartsWith("{\"schema\":"), HasSubstr(R"("report":"death")"),
            HasSubstr(R"("level":"info","worker":"parse/1","text":"parse/1 died")"), EndsWith("}\n")));
}

TEST(LogLines, AreOneLineEachWhateverTheTextHolds) {
  const std::string_view bad = "a\nb\x1b[31m\xff\"";
  EXPECT_THAT(line_with(bad, LogFormat::text), EndsWith(": a\\nb\\x1b[31m\\xff\"\n"));
  EXPECT_THAT(line_with(bad, LogFormat::json), EndsWith(R"("text":"a\u000ab\u001b[31m\\xff\""})"
                                                        "\n"));
}

TEST(LogLines, AreCutToWhatAPipeTakesInOnePiece) {
  for (const LogFormat format : {LogFormat::text, LogFormat::json, LogFormat::journal}) {
    const std::string line = line_with(std::string(5000, '\x01'), format);
    EXPECT_LE(line.size(), kMostLogBytes);
    EXPECT_THAT(line, HasSubstr("..."));
  }
}

TEST(LogLimits, CountWhatTheyHoldBack) {
  LogLimit limit{2, 10};
  EXPECT_TRUE(limit.allows(1s));
  EXPECT_TRUE(limit.allows(1s));
  EXPECT_FALSE(limit.allows(1s + 50ms));
  EXPECT_TRUE(limit.allows(1s + 150ms)) << "ten a second";
  EXPECT_EQ(limit.take_held_back(), 1U);
  EXPECT_EQ(limit.held_back(), 0U);
}

class SaidToAFile : public WithOutside {};

// The log writer as it is, in a child of the test.
TEST_F(SaidToAFile, TheLastWordIsNeverHeldBackForComingTooSoon) {
  const Descriptor to{::open(file("said").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
  LogChannel channel = LogChannel::open(to.get());
  const Descriptor self = open_pidfd(::getpid());
  const pid_t writer = ::fork();
  if (writer == 0) {
    channel.write_out(self);
    ::_exit(0);
  }
  const LogSettings settings;
  Log log{channel, settings, "too\nmany"};
  for (int i = 0; i < 1000; ++i)
    log.say(LogLevel::warning, "death", {}, "a worker died");
  log.last_word(LogLevel::error, "end", "failed");
  channel.let_go();
  int status = -1;
  ASSERT_EQ(::waitpid(writer, &status, 0), writer);
  EXPECT_EQ(status, 0);
  const std::vector<std::string> lines = lines_of(file("said"));
  ASSERT_GT(lines.size(), 100U);
  EXPECT_LT(lines.size(), 1000U);
  EXPECT_THAT(lines.back(), EndsWith(" error too\\nmany: failed"));
  EXPECT_THAT(lines[lines.size() - 2], HasSubstr("lines of the log were held back"));
}

// What is said, without a writer: the channel keeps it.
TEST(LogLimits, OfErrorsAreApartAndWhatWasHeldBackIsSaidOnceThereIsRoom) {
  const Descriptor nowhere{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  const LogChannel channel = LogChannel::open(nowhere.get());
  const LogSettings settings;
  Log log{channel, settings, "burst"};
  int warnings = 0;
  while (warnings < 10'000 && log.say(LogLevel::warning, "death", {}, "a worker died"))
    ++warnings;
  EXPECT_LT(warnings, 10'000);
  EXPECT_TRUE(log.say(LogLevel::error, "dead letter", {}, "an event is lost"));
  const int receiving = channel.descriptors()[1];
  const auto received = [receiving] {
    std::string all;
    char line[kMostLogBytes];
    for (ssize_t got = 0; (got = ::recv(receiving, line, sizeof(line), MSG_DONTWAIT)) > 0;)
      all.append(line, static_cast<std::size_t>(got));
    return all;
  };
  EXPECT_THAT(received(), HasSubstr("an event is lost"));
  while (log.say(LogLevel::warning, "death", {}, "a worker died")) {
  }
  received();
  EXPECT_TRUE(eventually([&] {
    log.look();
    return received().find("held back") != std::string::npos;
  }));
}

// Deaths without end, as of a service that is away.
TEST(LogLimits, AreToldOnceASecondAtMost) {
  const Descriptor nowhere{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
  const LogChannel channel = LogChannel::open(nowhere.get());
  const LogSettings settings;
  Log log{channel, settings, "burst"};
  const int receiving = channel.descriptors()[1];
  const auto start = std::chrono::steady_clock::now();
  std::size_t said = 0;
  std::size_t told = 0;
  while (std::chrono::steady_clock::now() < start + 2500ms) {
    if (!log.say(LogLevel::warning, "death", {}, "a worker died")) std::this_thread::sleep_for(1ms);
    char line[kMostLogBytes];
    for (ssize_t got = 0; (got = ::recv(receiving, line, sizeof(line), MSG_DONTWAIT)) > 0; ++said) {
      const std::string_view text{line, static_cast<std::size_t>(got)};
      told += text.find("held back") == std::string_view::npos ? 0U : 1U;
    }
  }
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - start);
  EXPECT_GT(said, 100U);
  EXPECT_GE(told, 1U);
  EXPECT_LE(told, static_cast<std::size_t>(seconds.count()) + 1);
}

class Call {
 public:
  Call(Worker&, const std::string& service) : service_{service} {}
  void operator()(const Item& item, Output<Item>& out) const {
    if (!std::filesystem::exists(service_)) throw Unavailable{"the service does not answer"};
    out.push(item);
  }

 private:
  std::string service_;
};

class Saying : public WithOutside {
 protected:
  struct Throws {
    void operator()(const Item& item, Output<Item>& out) const {
      if (item.number == 3) throw std::runtime_error{"no such\nitem"};
      out.push(item);
    }
  };
  // A pipeline that passes items on, started; what it says goes into a file.
  Engine& start(const std::vector<std::string>& assignments = {}) {
    Pipeline pipeline{"spoken"};
    pipeline.inlet<Item>("in").to<Throws>("check").outlet("out");
    start(pipeline, assignments, -1);
    return *engine_;
  }
  void start(const Pipeline& pipeline, const std::vector<std::string>& assignments, int to) {
    said_ = Descriptor{::open(file("said").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
    engine_.emplace(pipeline, settings(assignments));
    engine_->log_to(to < 0 ? said_.get() : to);
    engine_->start();
  }
  std::string said() const {
    std::string text;
    for (const std::string& line : lines_of(file("said")))
      text.append(line).append("\n");
    return text;
  }
  bool says(const std::string& words) const {
    return eventually([&] { return said().find(words) != std::string::npos; });
  }
  // Waits for the replacement as well.
  void kill_worker(const std::string& name) {
    const std::uint64_t restarts = worker_of(*engine_, name).restarts;
    engine_->signal_worker(name, SIGKILL);
    ASSERT_TRUE(eventually([&] {
      const WorkerStats now = worker_of(*engine_, name);
      return now.restarts > restarts && now.pid > 0;
    }));
  }
  // The process that writes the log; 0 while there is none.
  pid_t log_writer() const {
    for (const pid_t pid : children_of(supervisor_of(*engine_))) {
      std::ifstream name{"/proc/" + std::to_string(pid) + "/comm"};
      std::string text;
      std::getline(name, text);
      if (text == kLogWriterName) return pid;
    }
    return 0;
  }
  void push(std::uint32_t from, std::uint32_t to) {
    auto in = engine_->inlet<Item>("in");
    for (std::uint32_t number = from; number < to; ++number)
      ASSERT_EQ(in.push({0, number}), PushResult::accepted);
  }

  Descriptor said_;
  std::optional<Engine> engine_;
};

TEST_F(Saying, OfADeathFromOutsideComesAtOnceAndNamesTheReplacement) {
  start();
  // One that has achieved nothing is replaced after a pause.
  push(0, 1);
  ASSERT_TRUE(eventually([&] { return worker_of(*engine_, "check/0").events_in == 1; }));
  kill_worker("check/0");
  EXPECT_TRUE(says("warning spoken: check/0 died: signal 9 (Killed), from outside; replaced (restart 1)\n"))
      << said();
  engine_->stop();
  EXPECT_TRUE(says("warning spoken: stopped, with 1 restart of workers, 0 dead letters\n")) << said();
}

TEST_F(Saying, OfADeadLetterNamesTheEventTheReasonAndTheFile) {
  start({"poison.attempts=2"});
  push(0, 5);
  EXPECT_TRUE(says("error spoken: check/0 has moved 1 event to the dead letters in " + file("reports")))
      << said();
  EXPECT_THAT(said(),
              AllOf(HasSubstr("its handler threw: no such\\nitem; in the event"),
                    HasSubstr("attempt 1 of 2; "), HasSubstr("attempt 2 of 2: it becomes a dead letter; ")));
  engine_->stop();
}

TEST_F(Saying, OfAStallNamesTheDeadline) {
  start({"watchdog.deadline=100ms"});
  // One that hangs where it waits for events harms nobody until there is one.
  ASSERT_TRUE(engine_->signal_worker("check/0", SIGUSR2));
  push(0, 1);
  EXPECT_TRUE(says("check/0 stalled: ")) << said();
  EXPECT_TRUE(says("the watchdog ended it")) << said();
  engine_->stop();
}

TEST_F(Saying, OfAWorkerThatIsStoppedSaysHowItGoesOnAndThatItDoes) {
  start({"watchdog.deadline=1s"});
  ASSERT_TRUE(engine_->signal_worker("check/0", SIGSTOP));
  push(0, 1);
  EXPECT_TRUE(
      says("check/0 is stopped, by a signal or a debugger, and left alone; its events wait (kill -CONT "))
      << said();
  engine_->signal_worker("check/0", SIGCONT);
  EXPECT_TRUE(says("check/0 goes on: it is stopped no more")) << said();
  engine_->stop();
}

TEST_F(Saying, OfAWaitForTheOutsideSaysWhenItIsOver) {
  Pipeline pipeline{"client"};
  const std::string service = file("service");
  pipeline.inlet<Item>("in").to<Call>("call", {}, service).outlet("out");
  start(pipeline, {}, -1);
  push(0, 1);
  EXPECT_TRUE(says("warning client: call/0 waits outside: the service does not answer\n")) << said();
  std::ofstream{service} << "here";
  EXPECT_TRUE(says("warning client: call/0 goes on: the outside is there again\n")) << said();
  EXPECT_TRUE(eventually([this] { return worker_of(*engine_, "call/0").time.outside >= 1ms; }));
  engine_->stop();
  EXPECT_TRUE(says("warning client: stopped, with 0 restarts of workers, 0 dead letters, ")) << said();
  EXPECT_TRUE(says("s of waiting outside\n")) << said();
}

// A database that is locked says so only after seconds.
struct TriesForLong {
  void operator()(const Item&) const {
    std::this_thread::sleep_for(100ms);
    throw Unavailable{"the service does not answer"};
  }
};

TEST_F(Saying, OfTheTimeThatAWorkerHasSpentCountsTriesAsWaitingForTheOutside) {
  Pipeline pipeline{"client"};
  pipeline.inlet<Item>("in").to<TriesForLong>("call");
  start(pipeline, {}, -1);
  push(0, 1);
  WorkerStats worker;
  EXPECT_TRUE(eventually([&] { return (worker = worker_of(*engine_, "call/0")).outside_for >= 1s; }));
  EXPECT_GE(4 * worker.time.outside, 3 * worker.outside_for);
  engine_->stop();
}

TEST_F(Saying, GoesOnAfterTheDeathsOfMasterSupervisorAndLogWriter) {
  start();
  ::kill(master_of(*engine_), SIGKILL);
  EXPECT_TRUE(says("the master died, and another has taken over: it found 1 worker at work\n")) << said();
  const pid_t supervisor = supervisor_of(*engine_);
  ::kill(supervisor, SIGKILL);
  EXPECT_TRUE(says("the supervisor died, and the master has taken its place\n")) << said();
  pid_t writer = 0;
  ASSERT_TRUE(
      eventually([&] { return supervisor_of(*engine_) != supervisor && (writer = log_writer()) != 0; }));
  ::kill(writer, SIGKILL);
  kill_worker("check/0");
  EXPECT_TRUE(says("check/0 died: ")) << said();
  engine_->stop();
}

// What was said while nobody wrote is not lost.
TEST_F(Saying, IsNotLostWithTheLogWriter) {
  start();
  pid_t stopped = 0;
  ASSERT_TRUE(eventually([&] { return (stopped = log_writer()) != 0; }));
  ::kill(stopped, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return is_stopped(stopped); }));
  kill_worker("check/0");
  kill_worker("check/0");
  EXPECT_THAT(said(), Not(HasSubstr("restart 2")));
  ::kill(stopped, SIGKILL);
  EXPECT_TRUE(says("restart 1)")) << said();
  EXPECT_TRUE(says("restart 2)")) << said();
  engine_->stop();
}

TEST_F(Saying, ToWhatNobodyReadsHoldsNothingUpAndIsCounted) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  Descriptor reading{ends[0]};
  const Descriptor writing{ends[1]};
  const std::string stuffing(4096, 'x');
  while (::write(writing.get(), stuffing.data(), stuffing.size()) > 0) {
  }
  Pipeline pipeline{"spoken"};
  pipeline.inlet<Item>("in").to<Throws>("check").outlet("out");
  start(pipeline, {}, writing.get());
  for (int i = 0; i < 150; ++i)
    kill_worker("check/0");
  std::string text;
  const bool told = eventually([&] {
    std::array<char, 65536> bytes;
    const ssize_t got = ::read(reading.get(), bytes.data(), bytes.size());
    if (got > 0) text.append(bytes.data(), static_cast<std::size_t>(got));
    if (text.find("(restart 1)") == std::string::npos) return false;
    kill_worker("check/0");  // With room again, the next line says what was not said.
    return text.find("lines of the log were held back") != std::string::npos;
  });
  EXPECT_TRUE(told) << text.substr(
      text.find_first_not_of('x') == std::string::npos ? 0 : text.find_first_not_of('x'));
  engine_->stop();
}

TEST_F(Saying, NothingTakesNoProcess) {
  start({"log.level=off"});
  kill_worker("check/0");
  EXPECT_EQ(log_writer(), 0);
  engine_->stop();
  EXPECT_THAT(said(), IsEmpty());
}

TEST_F(Saying, NothingHappenedIsOnlySaidWhenAskedFor) {
  start();
  engine_->drain();
  EXPECT_THAT(said(), IsEmpty());
}

TEST_F(Saying, InJsonIsAnObjectALine) {
  start({"log.format=json", "log.level=info"});
  kill_worker("check/0");
  engine_->drain();
  const std::vector<std::string> lines = lines_of(file("said"));
  ASSERT_EQ(lines.size(), 2U) << said();
  EXPECT_THAT(lines[0],
              MatchesRegex(R"(\{"schema":[0-9]+,"report":"death","time":"[^"]+Z","pipeline":"spoken",.*\})"));
  EXPECT_THAT(lines[1], HasSubstr(R"("report":"end")"));
}

TEST_F(Saying, CannotBeSentToWhatIsNotOpen) {
  Pipeline pipeline{"spoken"};
  pipeline.inlet<Item>("in").to<Throws>("check").outlet("out");
  Engine engine{pipeline, settings()};
  constexpr int kNone = 987'654;
  EXPECT_THROW(engine.log_to(kNone), Error);
  engine.log_to(-1);
}

TEST_F(Saying, CannotBeSentElsewhereOnceItHasBegun) {
  start();
  EXPECT_THROW(engine_->log_to(2), Error);
  engine_->stop();
}

}  // namespace
}  // namespace sluice::test
