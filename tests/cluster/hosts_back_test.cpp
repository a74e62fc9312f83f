// SPDX-License-Identifier: Apache-2.0
// Hosts that were away for a while, and what became of the bucket meanwhile, or before they came.
#include <nats/nats.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "hosts_world.hpp"
#include "owners.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;

class HostsThatWereAway : public Hosts {
 protected:
  // Of one that ends by itself; nothing if it does not.
  static std::optional<int> status_of(Program& program) {
    std::optional<int> status;
    within(60s, [&] { return (status = program.ended()).has_value(); });
    return status;
  }
  // Until it has noticed that nothing comes any more.
  void cut_off(const std::string& name) {
    link(name).pause();
    ASSERT_TRUE(within(60s, [&] { return says(name, "the NATS server at"); }));
  }
};

// A drain waits for that.
TEST_F(HostsThatWereAway, HearThatTheyWereAskedToLeave) {
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "is here"); }));
  cut_off("alpha");
  run_apart([this] {
    detail::Owners owners{{.url = server().url()}, "accounts", detail::Owners::Missing::refuse, "test"};
    owners.look(0ms);
    owners.ask_to_leave("alpha");
    return std::string{};
  });
  link("alpha").resume();
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "was asked to leave"); }));
  EXPECT_EQ(status_of(host("alpha")), 0);
}

// As where the machine of a host is thought to be lost, and another one has been given its name.
TEST_F(HostsThatWereAway, LeaveTheirNameToWhoeverHasItNow) {
  lease_ = "8s";
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 5 with epoch 1"); }));
  cut_off("alpha");
  Program second{{ACCOUNTS_PROGRAM, "host", "--name", "alpha", "--nats", server().url(), "--data",
                  file("second"), "--lease", lease_},
                 file("second.out"),
                 file("second.err")};
  ASSERT_TRUE(
      within(60s, [&] { return second.err().find("partition 5 with epoch 2") != std::string::npos; }));
  link("alpha").resume();
  EXPECT_EQ(status_of(host("alpha")), 1);
  EXPECT_TRUE(says("alpha", "another process is a host of that name"));
  EXPECT_THAT(cluster({"status", "accounts"}), HasSubstr("alpha")) << "after a lease";
  second.ask_to_end();
  EXPECT_EQ(status_of(second), 0) << second.err();
}

// Nobody is told of that by the server.
TEST_F(HostsThatWereAway, WriteAnewWhatSomebodyHasPurged) {
  start_host("alpha");
  ASSERT_TRUE(within(60s, [this] { return says("alpha", "partition 5 with epoch 1"); }));
  purge_stream(server().url(), "KV_SLUICE_accounts_OWNERS");
  EXPECT_TRUE(within(60s, [this] {
    const Said said = told_by_cluster({"status", "accounts", "--json"});
    return said.status == 0 && said.text.find(R"("partition":5,"owner":"alpha")") != std::string::npos;
  })) << told_by_cluster({"status", "accounts"}).text;
}

// As where the server is started again without its store: the state is gone, and to count from nothing is for nobody to begin unasked.
TEST_F(HostsThatWereAway, DoNotBeginAnewWhereTheServerHasLostAll) {
  begin(600, 300);
  start_host("alpha");
  start_host("beta");
  ASSERT_TRUE(within(60s, [this] { return fed() && balances() == 600; }));
  run_apart([this] {
    const detail::NatsClient client{{.url = server().url()}, "test", true};
    for (const char* stream : {"KV_SLUICE_accounts_OWNERS", "SLUICE_accounts"}) {
      if (const natsStatus status = js_DeleteStream(client.jetstream(), stream, nullptr, nullptr);
          status != NATS_OK)
        throw std::runtime_error{natsStatus_GetText(status)};
    }
    return std::string{};
  });
  const auto refused = [this] {
    const Said said = told_by_cluster({"status", "accounts"});
    std::size_t count = 0;
    for (std::size_t at = 0; (at = said.text.find("there are none", at)) != std::string::npos; ++at)
      ++count;
    return count;
  };
  EXPECT_TRUE(within(60s, [&] { return refused() == 6; })) << told_by_cluster({"status", "accounts"}).text;
}

// As where the server has lost the consumer by which a host looks at the bucket: all others seem to be silent.
TEST_F(HostsThatWereAway, JudgeNobodyWhileTheyDoNotHearThemselves) {
  lease_ = "2s";
  for (const char* name : {"alpha", "beta"})
    start_host(name);
  ASSERT_TRUE(own({"alpha", "beta"}));
  begin(1'500, 200);
  ASSERT_TRUE(flows(100));
  EXPECT_GE(delete_consumers(server().url(), "KV_SLUICE_accounts_OWNERS"), 2U);
  for (const char* name : {"alpha", "beta"}) {
    EXPECT_TRUE(within(60s, [&] { return says(name, "own heartbeats do not come back"); }));
    EXPECT_TRUE(within(60s, [&] { return says(name, "has reached the server again"); }));
  }
  end();
  EXPECT_FALSE(says("alpha", ", after beta") || says("beta", ", after alpha"));
}

// As `nats stream edit` does at any time; a host that joins would refuse it. What was stored since, and let something out, could not be gone
// on with.
TEST_F(HostsThatWereAway, SayThatTheStreamForgetsByNowAndStoreNothing) {
  start_host("alpha");
  begin(3'000, 200);
  ASSERT_TRUE(flows(200));
  const auto keep = [this](std::int64_t messages) {
    run_apart([this, messages] {
      const detail::NatsClient client{{.url = server().url()}, "test", true};
      const detail::JsStreamInfoPtr info = client.stream("SLUICE_accounts");
      info->Config->MaxMsgsPerSubject = messages;
      const natsStatus status = js_UpdateStream(nullptr, client.jetstream(), info->Config, nullptr, nullptr);
      return status == NATS_OK ? std::string{} : throw std::runtime_error{natsStatus_GetText(status)};
    });
  };
  keep(1);
  EXPECT_TRUE(within(60s, [this] {
    return says("alpha",
                "the stream SLUICE_accounts is not what it was: it removes messages by their number");
  }));
  // Six partitions, each of which looks once a second.
  std::uint64_t before = 0;
  EXPECT_TRUE(within(60s, [&] {
    if (std::exchange(before, balances()) == balances() && before != 0) return true;
    std::this_thread::sleep_for(1500ms);
    return false;
  })) << "what is stored there lets something out";
  keep(-1);
  EXPECT_TRUE(within(60s, [this] { return says("alpha", "are again as they should be"); }));
  // What was forgotten is there again once each of them has stored a base: nobody could go on with it before.
  const auto times = [this](std::string_view what) {
    const std::string said = text_of(file("alpha.err"));
    int found = 0;
    for (std::size_t at = said.find(what); at != std::string::npos; at = said.find(what, at + 1))
      ++found;
    return found;
  };
  ASSERT_TRUE(
      within(60s, [&] { return times(" before it were not") >= times(": no checkpoint was made, and "); }));
  ASSERT_TRUE(flows(before + 50));
  lose_host("alpha");
  start_host("beta");
  end();
}

TEST_F(HostsThatWereAway, RefuseABucketThatForgets) {
  run_apart([this] {
    const detail::NatsClient client{{.url = server().url()}, "test", true};
    kvConfig config;
    kvConfig_Init(&config);
    config.Bucket = "SLUICE_accounts_OWNERS";
    config.TTL = 3'600'000'000'000;
    kvStore* made = nullptr;
    const natsStatus status = js_CreateKeyValue(&made, client.jetstream(), &config);
    const detail::KvStorePtr store{made};
    return status == NATS_OK ? std::string{} : throw std::runtime_error{natsStatus_GetText(status)};
  });
  Program& alpha = start_host("alpha");
  EXPECT_EQ(status_of(alpha), 1);
  EXPECT_THAT(alpha.err(), HasSubstr("it forgets what nobody has written for a while (ttl)"));
}

}  // namespace
}  // namespace sluice::test
