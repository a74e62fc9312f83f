// SPDX-License-Identifier: Apache-2.0
// NatsSink in a pipeline that is restored from a checkpoint: its worker may have had more lives before the loss than the checkpoint
// knows of, and what the last of them sent is its own all the same.
#include <nats/nats.h>
#include <random>

#include <sluice/connect/nats_source.hpp>

#include "endless_numbers.hpp"
#include "nats_world.hpp"
#include "position_header.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

class NatsRestores : public WithNats {
 protected:
  // Checkpoints count once they are in `elsewhere`, and none does while there is a file `hold`.
  std::unique_ptr<Engine> start(const std::string& checkpoints) {
    Pipeline pipeline{"restored"};
    pipeline.inlet<Bytes>("in").to<NatsSink>("out", sink_options());
    auto engine = std::make_unique<Engine>(
        pipeline, settings({"checkpoint.path=" + checkpoints, "checkpoint.every=5ms", "checkpoint.sync=no",
                            "outside.after=checkpoint", "log.level=off"}));
    if (checkpoints == elsewhere()) return started(std::move(engine));
    engine->ship_checkpoints([hold = file("hold"), to = elsewhere()](const ShippedCheckpoint& checkpoint) {
      if (std::filesystem::exists(hold)) throw Error{{"ship", "a checkpoint", "it is held", ""}};
      std::filesystem::copy_file(checkpoint.file, std::filesystem::path{to} / checkpoint.file.filename());
    });
    return started(std::move(engine));
  }
  static std::unique_ptr<Engine> started(std::unique_ptr<Engine> engine) {
    engine->start();
    return engine;
  }
  std::string elsewhere() const { return file("elsewhere"); }
  static void push(Engine& engine, unsigned from, unsigned to) {
    auto in = engine.inlet<Bytes>("in");
    for (unsigned number = from; number < to; ++number)
      ASSERT_EQ(in.push(Bytes{std::string_view{text_of(number)}}), PushResult::accepted);
  }
  // All as long as each other, so that their positions are equally far apart.
  static std::string text_of(unsigned number) { return "event " + std::to_string(1000 + number); }

  // The positions of the last message that has any, and of that before it.
  std::vector<detail::PositionHeader> positions() {
    std::istringstream lines{run_apart([url = server().url()] {
      natsConnection* connection = nullptr;
      jsCtx* js = nullptr;
      natsConnection_ConnectTo(&connection, url.c_str());
      natsConnection_JetStream(&js, connection, nullptr);
      std::string text;
      for (std::uint64_t sequence = 1;; ++sequence) {
        natsMsg* message = nullptr;
        if (js_GetMsg(&message, js, "OUT", sequence, nullptr, nullptr) != NATS_OK) return text;
        const char* header = nullptr;
        if (natsMsgHeader_Get(message, detail::kPositionHeader, &header) == NATS_OK)
          text.append(header).append("\n");
      }
    })};
    std::vector<detail::PositionHeader> found;
    for (std::string line; std::getline(lines, line);)
      found.push_back(detail::read_header(line).value());
    return found;
  }
  void send(const detail::PositionHeader& position, const std::string& text) {
    run_apart([&, url = server().url()] {
      natsConnection* connection = nullptr;
      jsCtx* js = nullptr;
      natsMsg* message = nullptr;
      natsConnection_ConnectTo(&connection, url.c_str());
      natsConnection_JetStream(&js, connection, nullptr);
      natsMsg_Create(&message, "out.0", nullptr, text.data(), static_cast<int>(text.size()));
      natsMsgHeader_Set(message, detail::kPositionHeader, detail::to_header(position).c_str());
      if (js_PublishMsg(nullptr, js, message, nullptr, nullptr) != NATS_OK) throw std::runtime_error{"send"};
      return std::string{};
    });
  }
  bool arrive(unsigned count) {
    return eventually([&] { return count_of(server().url(), "OUT") >= count; });
  }
};

// What its last life had in the socket is stored once the restored worker has looked where to go on.
TEST_F(NatsRestores, TakeWhatALaterLifeOfTheirWorkerHadSentForTheirOwn) {
  make_stream(server().url(), {"OUT", "out.*"});
  std::filesystem::create_directory(elsewhere());
  std::filesystem::permissions(elsewhere(), std::filesystem::perms::owner_all);
  std::uint32_t last_life = 0;
  {
    const auto engine = start(file("checkpoints"));
    push(*engine, 0, 10);
    ASSERT_TRUE(arrive(10));
    std::ofstream{file("hold")} << "";
    ASSERT_TRUE(eventually([&] { return engine->stats().checkpoints.failures > 0; }));
    for (int death = 0; death < 3; ++death) {
      const WorkerStats before = worker_of(*engine, "out/0");
      kill_worker_of(*engine, "out/0");
      ASSERT_TRUE(eventually([&] {
        const WorkerStats now = worker_of(*engine, "out/0");
        return now.pid > 1 && now.incarnation > before.incarnation;
      }));
    }
    last_life = worker_of(*engine, "out/0").incarnation;
    engine->stop();
  }
  std::filesystem::remove(file("hold"));
  const auto engine = start(elsewhere());
  ASSERT_TRUE(engine->resumed());
  ASSERT_LT(worker_of(*engine, "out/0").incarnation, last_life);
  auto sent = positions();
  ASSERT_EQ(sent.size(), 10U);
  detail::PositionHeader next = sent.back();
  // Nothing of its predecessors, dead as they are, tells it from the restored one.
  next.turn = sent.back().turn + 1;
  next.sent.front().position += next.sent.front().position - sent[8].sent.front().position;
  send(next, text_of(10));
  push(*engine, 10, 20);
  engine->inlet<Bytes>("in").close();
  EXPECT_TRUE(engine->wait_for(kDeadline));
  std::vector<std::string> found;
  for (const StreamMessage& message : messages_of(server().url(), "OUT"))
    found.push_back(message.data);
  std::vector<std::string> expected;
  for (unsigned number = 0; number < 20; ++number)
    expected.push_back(text_of(number));
  EXPECT_EQ(found, expected);
}

// Two hosts go on from one checkpoint: the one that it is of was stopped meanwhile, and then has reason to make its worker anew.
TEST_F(NatsRestores, LeaveTheirPlaceToALaterLifeOfTheirRun) {
  make_stream(server().url(), {"OUT", "out.*"});
  std::filesystem::create_directory(elsewhere());
  std::filesystem::permissions(elsewhere(), std::filesystem::perms::owner_all);
  total_loss::Host zombie{{}, [&] {
                            const auto engine = start(file("checkpoints"));
                            push(*engine, 0, 10);
                            if (arrive(10)) log_line(file("done"), "ten");
                            eventually([&] { return std::filesystem::exists(file("go on")); });
                            engine->signal_worker("out/0", SIGKILL);
                            log_line(file("end"), error_of([&] { engine->wait_for(kDeadline); }));
                          }};
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(file("done")); }));
  zombie.stop();
  const auto heir = start(elsewhere());
  ASSERT_TRUE(heir->resumed());
  push(*heir, 10, 20);
  ASSERT_TRUE(arrive(20));
  log_line(file("go on"), "now");
  zombie.go_on();
  ASSERT_TRUE(zombie.wait_for_end(kDeadline));
  EXPECT_TRUE(zombie.gone());
  ASSERT_EQ(lines_of(file("end")).size(), 1U);
  EXPECT_THAT(lines_of(file("end")).front(), ::testing::HasSubstr("a later start of the same run"));
  push(*heir, 20, 30);
  heir->inlet<Bytes>("in").close();
  EXPECT_TRUE(heir->wait_for(kDeadline)) << "the zombie has taken the place back";
  EXPECT_EQ(count_of(server().url(), "OUT"), 30U);
}

// Everything is lost again and again, with its memory, and after deaths of the worker that no checkpoint knows of.
TEST_F(NatsRestores, AfterLossesOfEverythingNeitherLoseNorRepeat) {
  make_stream(server().url(), {"OUT", "out.*"});
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  const auto live = [&](bool last) {
    Pipeline pipeline{"restored"};
    pipeline.source<EndlessNumbers>("numbers").to<NatsSink>("out", sink_options());
    Engine engine{pipeline, settings({"restart.budget=1000000", "batch.events=32", "state.bytes=64KiB",
                                      "watchdog.deadline=20s", "log.level=off", "checkpoint.sync=no",
                                      "checkpoint.path=" + file("checkpoints"), "checkpoint.every=3ms",
                                      "outside.after=checkpoint"})};
    engine.start();
    log_line(file("lives"), engine.resumed() ? "resumed" : "new");
    for (int turn = 0; !last || turn < 5; ++turn) {
      if (engine.wait_for(std::chrono::microseconds{random() % 10'000})) return;
      engine.signal_worker("out/0", SIGKILL);
    }
    engine.drain();
  };
  const unsigned losses = std::max(kills_wanted(200) / 20, 5U);
  for (unsigned loss = 0; loss < losses; ++loss) {
    const std::size_t lives = lines_of(file("lives")).size();
    const auto instant = random() % 60'000;
    total_loss::Host host{{}, [&] { live(false); }};
    ASSERT_TRUE(eventually([&] { return lines_of(file("lives")).size() != lives; }));
    std::this_thread::sleep_for(std::chrono::microseconds{instant});
    host.kill(loss % 2 == 0);
    EXPECT_TRUE(host.gone());
    EXPECT_NE(host.status(), 0) << "it had ended before";
  }
  total_loss::Host host{{}, [&] { live(true); }};
  ASSERT_TRUE(host.wait_for_end(kDeadline));
  EXPECT_EQ(host.status(), 0);
  EXPECT_EQ(lines_of(file("lives")).back(), "resumed");
  const auto messages = messages_of(server().url(), "OUT");
  EXPECT_FALSE(messages.empty());
  std::uint64_t next = 0;
  for (const StreamMessage& message : messages)
    ASSERT_EQ(message.data, std::to_string(next++));
  std::cout << losses << " losses of everything, " << next << " messages\n";
}

// Everything is lost while it reads a stream and sends to another.
class NatsFromStreamToStream : public WithNats, public testing::WithParamInterface<bool> {
 protected:
  static constexpr unsigned kMessages = 20'000;

  // With its memory, which checkpoints are for, or without.
  Settings kept() const {
    const std::vector<std::string> assignments{"restart.budget=1000000", "batch.events=32",
                                               "state.bytes=256KiB", "watchdog.deadline=20s",
                                               "log.level=off"};
    if (GetParam()) return after_checkpoints(assignments);
    Settings all = settings(assignments);
    all.set("segment.path", file("segment"));
    return all;
  }
  // Until it is told that all is there, or is lost.
  void live() {
    NatsSourceOptions from;
    from.server.url = server().url();
    from.stream = "IN";
    Pipeline pipeline{"copy"};
    pipeline.source<NatsSource>("read", from).to<NatsSink>("out", sink_options());
    Engine engine{pipeline, kept()};
    engine.start();
    log_line(file("lives"), "one more");
    EXPECT_TRUE(
        total_loss::within(10 * kDeadline, [this] { return std::filesystem::exists(file("enough")); }));
    engine.drain();
  }
};

TEST_P(NatsFromStreamToStream, LossesOfEverythingNeitherLoseNorRepeat) {
  make_stream(server().url(), {"OUT", "out.*"});
  make_stream(server().url(), {"IN", "in"});
  std::vector<std::string> numbers;
  for (unsigned number = 0; number < kMessages; ++number)
    numbers.push_back(std::to_string(number));
  send_messages(server().url(), "in", numbers);
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  const unsigned losses = std::max(kills_wanted(200) / 20, 5U);
  for (unsigned loss = 0; loss < losses; ++loss) {
    const std::size_t lives = lines_of(file("lives")).size();
    total_loss::Host host{{}, [&] { live(); }};
    ASSERT_TRUE(eventually([&] { return lines_of(file("lives")).size() != lives; }));
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 60'000});
    host.kill(loss % 2 == 0);
    EXPECT_TRUE(host.gone());
  }
  total_loss::Host host{{}, [&] { live(); }};
  EXPECT_TRUE(eventually([&] { return count_of(server().url(), "OUT") >= kMessages; }));
  log_line(file("enough"), "yes");
  ASSERT_TRUE(host.wait_for_end(kDeadline));
  EXPECT_EQ(host.status(), 0);
  std::vector<std::string> found;
  for (const StreamMessage& message : messages_of(server().url(), "OUT"))
    found.push_back(message.data);
  EXPECT_TRUE(found == numbers) << found.size() << " messages of " << numbers.size();
}

INSTANTIATE_TEST_SUITE_P(WithTheirMemoryAndWithout, NatsFromStreamToStream, testing::Bool());

}  // namespace
}  // namespace sluice::test
