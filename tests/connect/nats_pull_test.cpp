// SPDX-License-Identifier: Apache-2.0
// A pull gives what is there, whatever became of the pulls before it.
#include <chrono>
#include <thread>

#include "nats_world.hpp"
#include "pull.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using detail::NatsPull;

constexpr std::uint64_t kLate = 40;
constexpr std::uint64_t kAll = 100;
constexpr auto kWithin = 40s;

class NatsPulls : public WithNats {
 protected:
  void SetUp() override {
    WithNats::SetUp();
    if (IsSkipped()) return;
    make_stream(server().url(), {"IN", "in.*"});
    send_messages(server().url(), "in.0", std::vector<std::string>(kAll, "a message"));
  }
  void make_consumer(const detail::NatsClient& client) const {
    jsConsumerConfig config;
    jsConsumerConfig_Init(&config);
    config.Name = "reader";
    config.InactiveThreshold = 600'000'000'000;
    config.AckPolicy = js_AckNone;
    jsConsumerInfo* made = nullptr;
    if (js_AddConsumer(&made, client.jetstream(), "IN", &config, nullptr, nullptr) != NATS_OK)
      throw std::runtime_error{"no consumer"};
    jsConsumerInfo_Destroy(made);
  }
};

struct Counts {
  std::uint64_t in = 0;
  std::uint64_t out = 0;
};

Counts counts_of(const detail::NatsClient& client) {
  natsStatistics* statistics = nullptr;
  natsStatistics_Create(&statistics);
  natsConnection_GetStats(client.connection(), statistics);
  Counts counts;
  natsStatistics_GetCounts(statistics, &counts.in, nullptr, &counts.out, nullptr, nullptr);
  natsStatistics_Destroy(statistics);
  return counts;
}

std::uint64_t messages_in(const detail::NatsClient& client) {
  return counts_of(client).in;
}

std::uint64_t sent(const detail::NatsClient& client) {
  return counts_of(client).out;
}

// "ok" if all of them came once, in their order.
std::string take_all(NatsPull& pull, std::chrono::milliseconds within) {
  for (std::uint64_t next = 1; next <= kAll;) {
    NatsPull::Batch batch;
    const natsStatus status = pull.pull({.messages = 64, .bytes = 1 << 23, .within = within}, batch);
    if (status != NATS_OK) return natsStatus_GetText(status);
    if (batch.size() > 64) return "more than was asked for";
    for (const detail::NatsMessagePtr& message : batch) {
      jsMsgMetaData* made = nullptr;
      if (natsMsg_GetMetaData(&made, message.get()) != NATS_OK) return "no message of a stream";
      const detail::JsMetaDataPtr meta{made};
      if (meta->Sequence.Stream != next || meta->Sequence.Consumer != next)
        return "another one instead of " + std::to_string(next);
      ++next;
    }
  }
  return "ok";
}

// A pull for so many messages whose time is over before the server has heard of it; empty, or why there was none. The server stays
// paused.
std::string pull_too_early(NatsProcess& server, NatsPull& pull, std::uint64_t messages) {
  NatsPull::Batch none;
  server.pause();
  const natsStatus status =
      pull.pull({.messages = static_cast<int>(messages), .bytes = 1 << 23, .within = 300ms}, none);
  if (status == NATS_TIMEOUT && none.empty()) return {};
  return std::string{"instead of nothing: "} + natsStatus_GetText(status) + ", " +
         std::to_string(none.size());
}

// As behind a server that is slow: with libnats' own pull the next one waits for all the time that it may.
TEST_F(NatsPulls, GiveWhatCameTooLateForTheOneBefore) {
  const std::string said = run_apart([this]() -> std::string {
    const detail::NatsClient client{{.url = server().url()}, "test", true};
    make_consumer(client);
    NatsPull pull{client, "IN", "reader"};
    std::string fault = pull_too_early(server(), pull, kLate);
    const std::uint64_t before = messages_in(client);
    server().resume();
    if (!fault.empty()) return fault;
    const auto begin = std::chrono::steady_clock::now();
    while (messages_in(client) < before + kLate) {
      if (std::chrono::steady_clock::now() - begin > 60s) return "nothing came";
      std::this_thread::sleep_for(1ms);
    }
    const auto asked = std::chrono::steady_clock::now();
    const std::string all = take_all(pull, kWithin);
    return std::chrono::steady_clock::now() - asked < kWithin / 2 ? all : "it waited though all was there";
  });
  EXPECT_EQ(said, "ok");
}

// Waits until the client has sent something more, or a second has passed: who goes on with an open request sends nothing.
void await_a_request(const detail::NatsClient& client, std::uint64_t before) {
  const auto begin = std::chrono::steady_clock::now();
  while (sent(client) == before && std::chrono::steady_clock::now() - begin < 1s)
    std::this_thread::sleep_for(1ms);
}

// Everything that is there answers the request before it, which asked for more than that: its own is not answered at all.
TEST_F(NatsPulls, EndWithWhatTheOneBeforeWasStillToBring) {
  const std::string said = run_apart([this]() -> std::string {
    const detail::NatsClient client{{.url = server().url()}, "test", true};
    make_consumer(client);
    NatsPull pull{client, "IN", "reader"};
    std::string fault = pull_too_early(server(), pull, 2 * kAll);
    const std::uint64_t before = sent(client);
    std::thread resume{[this, &client, before] {
      await_a_request(client, before);
      server().resume();
    }};
    const auto asked = std::chrono::steady_clock::now();
    NatsPull::Batch batch;
    natsStatus second = NATS_TIMEOUT;
    // It may be told at once that the one before it takes all.
    while (second == NATS_TIMEOUT && std::chrono::steady_clock::now() - asked < kWithin / 2)
      second = pull.pull({.messages = 2 * kAll, .bytes = 1 << 23, .within = kWithin}, batch);
    const bool waited = std::chrono::steady_clock::now() - asked >= kWithin / 2;
    resume.join();
    if (!fault.empty()) return fault;
    if (second != NATS_OK) return natsStatus_GetText(second);
    return waited ? "it waited though something was there" : "ok";
  });
  EXPECT_EQ(said, "ok");
}

// As of a partition that is claimed while the copy of its checkpoints waits for the next one: the claim is what comes next.
TEST_F(NatsPulls, ThatWereWokenGoOnWithTheirRequest) {
  const std::string said = run_apart([this]() -> std::string {
    const detail::NatsClient client{{.url = server().url()}, "test", true};
    make_consumer(client);
    NatsPull pull{client, "IN", "reader"};
    if (std::string all = take_all(pull, kWithin); all != "ok") return all;
    const std::uint64_t idle = sent(client);
    std::thread wake{[&client, &pull, idle] {
      await_a_request(client, idle);
      pull.wake();
    }};
    NatsPull::Batch batch;
    const natsStatus woken = pull.pull({.messages = 64, .bytes = 1 << 23, .within = kWithin}, batch);
    wake.join();
    if (woken != NATS_TIMEOUT || !batch.empty()) return "it was not woken";
    const std::uint64_t before = sent(client);
    std::thread send{[this, &client, before] {
      await_a_request(client, before);
      send_messages(server().url(), "in.0", {"another"});
    }};
    const auto asked = std::chrono::steady_clock::now();
    const natsStatus next = pull.pull({.messages = 64, .bytes = 1 << 23, .within = kWithin}, batch);
    const bool waited = std::chrono::steady_clock::now() - asked >= kWithin / 2;
    send.join();
    if (next != NATS_OK || batch.size() != 1) return natsStatus_GetText(next);
    return waited ? "it waited though something was there" : "ok";
  });
  EXPECT_EQ(said, "ok");
}

}  // namespace
}  // namespace sluice::test
