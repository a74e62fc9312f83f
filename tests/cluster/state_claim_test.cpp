// SPDX-License-Identifier: Apache-2.0
// Who follows a partition's chain claims it when it is told so: from then on it has all that ever counted, and nobody before it
// stores anything.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/unavailable.hpp>

#include "claim_order.hpp"
#include "owners.hpp"
#include "state_log.hpp"
#include "with_server.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using namespace std::chrono_literals;

class StateClaims : public WithServer {
 protected:
  // Far longer than anything here takes: what waits for the end of a pull shows.
  static constexpr auto kAnswer = 60s;
  static constexpr auto kSoon = 30s;

  StateLog log(const std::string& host, std::chrono::milliseconds answer = kAnswer) const {
    StateLogOptions options;
    options.server.url = server_->url();
    options.server.timeout = answer;
    options.cluster = "test";
    options.host = host;
    return StateLog{options};
  }
  std::filesystem::path file(const std::string& end) const {
    std::filesystem::path path = scratch_ / ("checkpoint-0000000000" + end);
    std::ofstream{path} << "the state " << end;
    return path;
  }
  // As somebody may do at any time.
  void edit_stream(const std::function<void(jsStreamConfig&)>& edit) const {
    const NatsClient client{{.url = server_->url()}, "test", true};
    const JsStreamInfoPtr info = client.stream("SLUICE_test");
    edit(*info->Config);
    ASSERT_EQ(js_UpdateStream(nullptr, client.jetstream(), info->Config, nullptr, nullptr), NATS_OK);
  }
  std::filesystem::path copied() const { return scratch_ / "copied"; }
  static std::string text_of(const std::filesystem::path& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  // Follows as host b; `then` is called in another thread once everything is there for the first time.
  std::optional<FetchedState> follow(ClaimOrder& order, const std::function<void()>& then) {
    std::optional<std::thread> other;
    const auto join = [&other] {
      if (other) other->join();
    };
    try {
      auto fetched = log("b").follow(
          copied(),
          [&](const FetchedState&) {
            if (!other) other.emplace(then);
            return true;
          },
          &order);
      join();
      return fetched;
    } catch (...) {
      join();
      throw;
    }
  }
};

// Who stores makes ready before it has something to store: it finds where the log ends, and is as fenced as one that has not.
TEST_F(StateClaims, AreLookedUpAheadOfWhatIsStored) {
  log("a").claim(1);
  StateLog ships = log("a");
  ships.go_on_with(1);
  const std::uint64_t before = log("a").status()->sequence;
  ships.ready();
  EXPECT_EQ(log("a").status()->sequence, before) << "it stores nothing";
  ships.append(file("11.base"));
  StateLog frozen = log("a");
  frozen.go_on_with(1);
  frozen.ready();
  log("b").claim(2);
  EXPECT_THROW(frozen.append(file("12.base")), Fenced);
  EXPECT_EQ(log("b").status()->epoch, 2U);
  EXPECT_TRUE(log("b").status()->file.empty()) << "nothing stands behind the claim";
  StateLog late = log("a");
  late.go_on_with(1);
  EXPECT_THROW(late.ready(), Fenced);
}

// What the server has lost is claimed once there is something to store.
TEST_F(StateClaims, AreNotMadeByWhoMakesReady) {
  EXPECT_FALSE(log("a").status());
  StateLog ships = log("a");
  ships.go_on_with(7);
  ships.ready();
  EXPECT_FALSE(log("a").status()) << "nobody has ever claimed it";
}

TEST_F(StateClaims, HaveWhatCameBeforeThem) {
  StateLog writer = log("a");
  writer.claim(1);
  writer.append(file("12.base"));
  ClaimOrder order;
  const auto fetched = follow(order, [&] {
    writer.append(file("13.delta"));
    order.give(2);
  });
  ASSERT_TRUE(fetched);
  EXPECT_EQ(fetched->files, 2U);
  EXPECT_EQ(fetched->newest, 13U);
  EXPECT_EQ(text_of(copied() / "checkpoint-000000000013.delta"), "the state 13.delta");
  const auto status = log("c").status();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->epoch, 2U);
  EXPECT_EQ(status->host, "b");
  EXPECT_THROW(writer.append(file("14.delta")), Fenced);
  EXPECT_EQ(*fetched, log("c").fetch(scratch_ / "fresh"));
}

// Whoever stored it may have died before the bucket said so: here there was no bucket yet.
TEST_F(StateClaims, FindWrittenDownThatSomethingWasStored) {
  StateLog writer = log("a");
  writer.claim(1);
  writer.append(file("12.base"));
  NatsServer server;
  server.url = server_->url();
  const Owners owners{server, "test", Owners::Missing::make, "test"};
  EXPECT_FALSE(log("c").was_stored());
  ClaimOrder order;
  bool before_the_claim = false;
  const auto fetched = follow(order, [&] {
    before_the_claim = log("c").was_stored();
    order.give(2);
  });
  ASSERT_TRUE(fetched);
  EXPECT_TRUE(before_the_claim);
  StateLog next = log("b");
  next.go_on_with(2, 12);
  next.append(file("13.delta"));
  purge_stream(server_->url(), "SLUICE_test");
  EXPECT_TRUE(log("c").was_stored()) << "a start would begin anew, though that was seen";
}

TEST_F(StateClaims, WithoutAFollowerWriteDownWhatTheyFind) {
  StateLog writer = log("a");
  writer.claim(1);
  writer.append(file("12.base"));
  NatsServer server;
  server.url = server_->url();
  const Owners owners{server, "test", Owners::Missing::make, "test"};
  StateLog next = log("b");
  next.claim(2);
  EXPECT_FALSE(next.was_stored());
  EXPECT_EQ(next.fetch(copied()).newest, 12U);
  EXPECT_TRUE(next.was_stored());
}

// Whether it is about to ask for more then, or waits for an answer, or rests.
TEST_F(StateClaims, ComeAtOnceWhateverTheFollowerWaitsFor) {
  std::mt19937 dice{1};
  log("a").claim(1);
  for (std::uint64_t epoch = 2; epoch < 12; ++epoch) {
    ClaimOrder order;
    const auto begin = std::chrono::steady_clock::now();
    const auto fetched = follow(order, [&] {
      std::this_thread::sleep_for(std::chrono::milliseconds{dice() % 30});
      order.give(epoch);
    });
    EXPECT_LT(std::chrono::steady_clock::now() - begin, kSoon) << "it waited for the end of a pull";
    ASSERT_TRUE(fetched);
    EXPECT_EQ(fetched->files, 0U);
    EXPECT_EQ(log("c").status()->epoch, epoch);
  }
}

TEST_F(StateClaims, ThatWereOrderedBeforeAnythingIsThereAreMade) {
  StateLog writer = log("a");
  writer.claim(1);
  writer.append(file("12.base"));
  ClaimOrder order;
  order.give(2);
  const auto fetched = follow(order, [] {});
  ASSERT_TRUE(fetched);
  EXPECT_EQ(fetched->newest, 12U);
  EXPECT_THROW(writer.append(file("13.delta")), Fenced);
}

TEST_F(StateClaims, OfAnEpochThatIsOverAreRefused) {
  StateLog writer = log("a");
  writer.claim(5);
  writer.append(file("12.base"));
  ClaimOrder order;
  EXPECT_THROW(follow(order, [&] { order.give(5); }), Fenced);
  EXPECT_EQ(text_of(copied() / "checkpoint-000000000012.base"), "the state 12.base")
      << "it is a copy as ever";
  writer.append(file("13.delta"));
}

// What it reads with is gone then.
TEST_F(StateClaims, AreMadeByAnotherConnectionWhereTheirOwnIsLost) {
  StateLog writer = log("a");
  writer.claim(1);
  writer.append(file("12.base"));
  ClaimOrder order;
  std::atomic<bool> all_is_there{false};
  // The server is killed by the thread that started it: it would die with any other.
  auto follower = std::async(std::launch::async, [&]() -> std::optional<FetchedState> {
    try {
      return log("b", 5s).follow(
          copied(),
          [&](const FetchedState&) {
            all_is_there = true;
            return true;
          },
          &order);
    } catch (const Unavailable&) {
      return std::nullopt;  // It has noticed before it was told: whoever waits for it tries it anew.
    }
  });
  while (!all_is_there && follower.wait_for(1ms) != std::future_status::ready) {
  }
  server_->kill();
  server_->start();
  order.give(2);
  if (const auto fetched = follower.get(); fetched) {
    EXPECT_EQ(fetched->newest, 12U);
    EXPECT_EQ(log("c").status()->epoch, 2U);
  }
  EXPECT_EQ(log("c").fetch(copied()).newest, 12U);
}

// A limit of the stream's, and not of the server's; also one that was set while the log was at work.
TEST_F(StateClaims, AreFollowedByMessagesOfTheSizeThatTheStreamTakes) {
  const std::string text(100'000, 'x');
  const auto large = [&](const std::string& end) {
    std::filesystem::path path = file(end);
    std::ofstream{path} << text;
    return path;
  };
  stay_here_once_libnats_is_used();
  StateLog writer = log("a");
  writer.claim(1);
  writer.append(large("12.base"));
  const auto allow = [this](std::int32_t bytes) {
    edit_stream([bytes](jsStreamConfig& config) { config.MaxMsgSize = bytes; });
  };
  allow(8192);
  // That it is refused shows what the stream is by now.
  EXPECT_THROW(writer.append(large("13.delta")), Error);
  writer.append(large("14.base"));
  EXPECT_EQ(log("b").fetch(copied()).files, 1U);
  EXPECT_EQ(text_of(copied() / "checkpoint-000000000014.base"), text);
  allow(100);
  EXPECT_THROW(writer.append(large("15.delta")), Error);
  EXPECT_THROW(
      {
        try {
          writer.append(large("16.base"));
        } catch (const Error& error) {
          EXPECT_NE(error.parts().why.find("it takes no message of more than 100 bytes"), std::string::npos)
              << error.what();
          throw;
        }
      },
      Error);
}

// The server would go on to take each checkpoint, and forget those before.
TEST_F(StateClaims, StoreNothingInAStreamThatForgetsByNow) {
  stay_here_once_libnats_is_used();
  StateLog writer = log("a");
  writer.claim(1);
  writer.append(file("12.base"));
  const auto keep = [this](std::int64_t messages) {
    edit_stream([messages](jsStreamConfig& config) { config.MaxMsgsPerSubject = messages; });
    std::this_thread::sleep_for(1100ms);  // It is looked at once a second.
  };
  const auto error_of = [&](const std::string& end) -> std::string {
    try {
      writer.append(file(end));
      return "none";
    } catch (const Error& error) {
      return error.what();
    }
  };
  keep(1);
  for (const char* end : {"13.delta", "14.base"})
    EXPECT_NE(error_of(end).find("it removes messages by their number"), std::string::npos) << error_of(end);
  keep(-1);
  EXPECT_EQ(error_of("15.base"), "none");
  EXPECT_EQ(error_of("16.delta"), "none");
  EXPECT_EQ(log("b").fetch(copied()).files, 2U);
}

}  // namespace
}  // namespace sluice::test
