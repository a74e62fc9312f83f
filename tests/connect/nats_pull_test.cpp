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

std::uint64_t messages_in(const detail::NatsClient& client) {
  natsStatistics* statistics = nullptr;
  natsStatistics_Create(&statistics);
  natsConnection_GetStats(client.connection(), statistics);
  std::uint64_t in = 0;
  natsStatistics_GetCounts(statistics, &in, nullptr, nullptr, nullptr, nullptr);
  natsStatistics_Destroy(statistics);
  return in;
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

// As behind a server that is slow: with libnats' own pull the next one waits for all the time that it may.
TEST_F(NatsPulls, GiveWhatCameTooLateForTheOneBefore) {
  const std::string said = run_apart([this]() -> std::string {
    const detail::NatsClient client{{.url = server().url()}, "test", true};
    make_consumer(client);
    NatsPull pull{client, "IN", "reader"};
    NatsPull::Batch none;
    server().pause();
    const natsStatus first = pull.pull({.messages = kLate, .bytes = 1 << 23, .within = 300ms}, none);
    const std::uint64_t before = messages_in(client);
    server().resume();
    if (first != NATS_TIMEOUT || !none.empty())
      return std::string{"instead of nothing: "} + natsStatus_GetText(first) + ", " +
             std::to_string(none.size());
    const auto begin = std::chrono::steady_clock::now();
    while (messages_in(client) < before + kLate) {
      if (std::chrono::steady_clock::now() - begin > 60s) return "nothing came";
      std::this_thread::sleep_for(1ms);
    }
    constexpr auto kWithin = 40s;
    const auto asked = std::chrono::steady_clock::now();
    const std::string all = take_all(pull, kWithin);
    return std::chrono::steady_clock::now() - asked < kWithin ? all : "it waited though all was there";
  });
  EXPECT_EQ(said, "ok");
}

}  // namespace
}  // namespace sluice::test
