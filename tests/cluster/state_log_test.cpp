// SPDX-License-Identifier: Apache-2.0
// The log of a partition's checkpoints on a real server: what is stored comes back, whoever is not the last to have claimed it stores
// nothing, and whatever dies in the midst leaves a whole chain.
#include "state_log.hpp"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/unavailable.hpp>

#include "cutting_proxy.hpp"
#include "model.hpp"
#include "owners.hpp"
#include "state_stream.hpp"
#include "with_server.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class StateLogs : public WithServer {
 protected:
  StateLogOptions options(const std::string& host = "a", const std::string& url = {}) const {
    StateLogOptions options;
    options.server.url = url.empty() ? server_->url() : url;
    options.server.timeout = 8s;
    options.cluster = "test";
    options.partition = 3;
    options.host = host;
    return options;
  }
  StateLog claimed(std::uint64_t epoch, const std::string& host = "a") const {
    StateLog log{options(host)};
    log.claim(epoch);
    return log;
  }
  // A server that makes the stream for two at once may close the connection of one.
  static void connect(StateLog& log) {
    for (int tries = 0; tries < 500; ++tries) {
      if (error_of([&] { static_cast<void>(log.status()); }) == "none") return;
      std::this_thread::sleep_for(20ms);
    }
    FAIL() << "it cannot connect";
  }
  // A file as a writer of checkpoints would have left it, with bytes that tell what it is.
  std::filesystem::path file(const std::string& end, std::size_t bytes) const {
    std::filesystem::path path = scratch_ / ("checkpoint-0000000000" + end);
    std::string text(bytes, '\0');
    for (std::size_t at = 0; at < bytes; ++at)
      text[at] = static_cast<char>((at * 31 + bytes + at / 509) % 251);
    std::ofstream{path} << text;
    return path;
  }
  static std::string text_of(const std::filesystem::path& path) {
    return {std::istreambuf_iterator<char>{std::ifstream{path}.rdbuf()}, {}};
  }
  std::filesystem::path fetched() const { return scratch_ / "fetched"; }
  void expect_fetched(const std::filesystem::path& file) const {
    EXPECT_TRUE(text_of(fetched() / file.filename()) == text_of(file)) << file.filename();
  }
  template <class Call>
  static std::string error_of(Call&& call) {
    try {
      call();
    } catch (const std::exception& error) {
      return error.what();
    }
    return "none";
  }
};

TEST_F(StateLogs, GiveBackWhatWasStored) {
  constexpr std::size_t kPart = std::size_t{512} << 10;
  StateLog log = claimed(1);
  EXPECT_EQ(log.fetch(fetched()), FetchedState{}) << "nothing was stored";
  const auto base = file("12.base", 3 * kPart + 1);
  const auto delta = file("13.delta", kPart);
  const auto small = file("14.delta", 1);
  for (const auto& each : {base, delta, small})
    log.append(each);
  StateLog other = claimed(2, "b");
  EXPECT_EQ(other.fetch(fetched()), (FetchedState{3, 4 * kPart + 2}));
  for (const auto& each : {base, delta, small})
    expect_fetched(each);
  EXPECT_EQ(other.status()->bytes, 4 * kPart + 2);
}

// Larger ones would be refused again and again.
TEST_F(StateLogs, AreFetchedFromAServerThatAllowsSmallPulls) {
  server_.reset();
  const std::string limits = R"(", limits { max_request_batch: 2 } })";
  server_ = std::make_unique<NatsProcess>(
      scratch_ / "limited", "jetstream { store_dir: \"" + (scratch_ / "small").string() + limits, false);
  const auto base = file("12.base", 5'000'000);
  claimed(1).append(base);
  EXPECT_EQ(claimed(2, "b").fetch(fetched()), (FetchedState{1, 5'000'000}));
  expect_fetched(base);
}

TEST_F(StateLogs, KeepNothingThatIsBeforeTheLastWholeBase) {
  StateLog log = claimed(1);
  StateLogOptions options = this->options();
  options.partition = 4;
  StateLog beside{options};
  beside.claim(1);
  beside.append(file("01.base", 10));
  for (int number = 10; number < 40; number += 3) {
    const auto base = file(std::to_string(number) + ".base", 700'000);
    const auto delta = file(std::to_string(number + 1) + ".delta", 10);
    log.append(base);
    log.append(delta);
    EXPECT_EQ(log.fetch(fetched()), (FetchedState{2, 700'010}));
    expect_fetched(base);
    expect_fetched(delta);
    EXPECT_EQ(count_of(server_->url(), "SLUICE_test"), 3U + 1U) << "and another partition's";
  }
  EXPECT_EQ(beside.fetch(fetched()), (FetchedState{1, 10}));
}

// A base that was given up is not what a successor goes on with: what is before it stays until another one is whole.
TEST_F(StateLogs, KeepWhatIsWholeWhileBasesAreGivenUp) {
  StateLog log = claimed(1);
  const auto base = file("12.base", 100);
  const auto delta = file("13.delta", 50);
  log.append(base);
  log.append(delta);
  // Each becomes shorter while it is stored.
  for (const char* end : {"14.base", "15.base"}) {
    const auto large = file(end, 0);
    std::filesystem::resize_file(large, std::size_t{1} << 30);  // A hole: it is cut long before its end.
    const std::uint64_t before = log.status()->sequence;
    std::thread cut{[&] {
      const NatsClient looker{options().server, "looker", true};
      while (state_log_status(looker, "test", 3)->sequence < before + 2)
        std::this_thread::yield();
      std::filesystem::resize_file(large, 10);
    }};
    EXPECT_THAT(error_of([&] { log.append(large); }), HasSubstr("it is shorter than it was"));
    cut.join();
  }
  StateLog other = claimed(2, "b");
  EXPECT_EQ(other.fetch(fetched()), (FetchedState{2, 150}));
  expect_fetched(base);
  expect_fetched(delta);
}

TEST_F(StateLogs, SayWhatIsStoredLast) {
  StateLog log{options()};
  EXPECT_FALSE(log.status());
  log.claim(5);
  EXPECT_EQ(log.status()->epoch, 5U);
  EXPECT_EQ(log.status()->host, "a");
  EXPECT_EQ(log.status()->file, "");
  log.append(file("12.base", 600'000));
  log.append(file("13.delta", 5));
  const StateLogStatus status = *log.status();
  EXPECT_EQ(status.file, "checkpoint-000000000013.delta");
  EXPECT_EQ(status.part, "1/1");
  EXPECT_EQ(status.bytes, 600'005U);
  EXPECT_EQ(claimed(6, "b").status()->bytes, 600'005U) << "a takeover reads it";
  EXPECT_GT(claimed(7, "b").status()->time_ns, status.time_ns);
}

TEST_F(StateLogs, RefuseWhoeverHadThemBefore) {
  StateLog frozen = claimed(7, "a");
  frozen.append(file("12.base", 10));
  StateLog successor = claimed(8, "b");
  EXPECT_THROW(frozen.append(file("13.delta", 10)), Fenced);
  EXPECT_THAT(error_of([&] { frozen.append(file("14.base", 10)); }),
              testing::AllOf(HasSubstr("host b"), HasSubstr("epoch 8"), HasSubstr("epoch 7")));
  EXPECT_THROW(frozen.claim(7), Fenced);
  EXPECT_THROW(StateLog{options("c")}.claim(8), Fenced) << "the same epoch is not higher";
  StateLog late{options("a")};
  late.go_on_with(7);
  EXPECT_THROW(late.append(file("14.base", 10)), Fenced);
  EXPECT_EQ(successor.fetch(fetched()), (FetchedState{1, 10}));
  successor.append(file("15.base", 20));
  EXPECT_EQ(successor.fetch(fetched()), (FetchedState{1, 20}));
}

TEST_F(StateLogs, GoOnInAnotherProcessOfTheSameEpoch) {
  claimed(7).append(file("12.base", 10));
  StateLog next{options()};
  next.go_on_with(7);
  EXPECT_THAT(error_of([&] { next.append(file("13.delta", 10)); }),
              HasSubstr("goes with one that is not stored"));
  next.append(file("14.base", 20));
  next.append(file("15.delta", 1));
  EXPECT_EQ(next.fetch(fetched()), (FetchedState{2, 21}));
  StateLog unclaimed{options()};
  unclaimed.go_on_with(9);
  EXPECT_THAT(error_of([&] { unclaimed.append(file("16.base", 1)); }), HasSubstr("not of epoch 9"));
}

TEST_F(StateLogs, AreClaimedByOneOfTwoThatTryAtOnce) {
  for (std::uint64_t round = 0; round < 20; ++round) {
    const std::uint64_t epoch = 2 * round + 1;
    const bool same = round % 2 == 0;
    std::atomic<int> ready{0};
    std::atomic<unsigned> won{0};
    const auto claim = [&](const char* host, std::uint64_t wanted, unsigned bit) {
      StateLog log{options(host)};
      connect(log);
      for (++ready; ready < 2;) {
      }
      try {
        log.claim(wanted);
        won |= bit;
      } catch (const Fenced&) {
      }
    };
    std::thread one{claim, "a", epoch, 1U};
    std::thread other{claim, "b", same ? epoch : epoch + 1, 2U};
    one.join();
    other.join();
    EXPECT_TRUE(same ? won == 1U || won == 2U : (won & 2U) != 0) << won << ": the higher one always";
    const StateLogStatus last = *StateLog{options()}.status();
    EXPECT_EQ(last.epoch, same ? epoch : epoch + 1);
    EXPECT_EQ(last.host, (won & 2U) != 0 ? "b" : "a");
  }
}

// Connections that are cut in the midst of what is sent, or of what is answered.
TEST_F(StateLogs, StoreOnceWhateverBecomesOfTheAnswers) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  CuttingProxy proxy{server_->port(), seed, 1'500'000, 4'000};
  StateLog log{options("a", proxy.nats_url())};
  proxy.cut(15);
  std::uint64_t epoch = 0;
  std::vector<std::filesystem::path> chain;
  for (unsigned number = 10; proxy.cuts() < 15 && number < 99; ++number) {
    const bool base = chain.empty();
    const auto next = file(std::to_string(number) + (base ? ".base" : ".delta"), base ? 1'300'000 : 530'000);
    try {
      if (epoch == 0) log.claim(1);
      epoch = 1;
      log.append(next);
      chain.push_back(next);
    } catch (const Unavailable&) {
      chain.clear();  // It has failed, whatever is stored: a base comes next.
    }
    if (chain.empty() || chain.size() % 4 != 0) continue;
    StateLog reader{options("b")};
    EXPECT_EQ(reader.fetch(fetched()).files, chain.size());
    for (const auto& each : chain)
      expect_fetched(each);
    chain.clear();
  }
  EXPECT_EQ(proxy.cuts(), 15U);
}

// Frozen longer than its writer waits for an answer: what was sent is stored once it goes on.
TEST_F(StateLogs, FindTheirOwnMessageWhereTheAnswerCameTooLate) {
  StateLogOptions impatient = options();
  impatient.server.timeout = 300ms;
  claimed(1);
  StateLog log{impatient};
  connect(log);
  log.go_on_with(1);
  const auto base = file("12.base", 600'000);
  server_->pause();
  std::thread later{[&] {
    std::this_thread::sleep_for(450ms);
    server_->resume();
  }};
  const std::string error = error_of([&] { log.append(base); });
  later.join();
  // On a machine that has something else to do it may have given up by then.
  if (error != "none") {
    StateLog patient{options()};
    patient.go_on_with(1);
    patient.append(file("13.base", 600'000));
  }
  EXPECT_EQ(StateLog{options("b")}.fetch(fetched()), (FetchedState{1, 600'000}));
  EXPECT_EQ(count_of(server_->url(), "SLUICE_test"), 2U);
}

// Of a try that was given up, since nothing was heard of it.
TEST_F(StateLogs, PutABaseBehindTheirOwnMessageThatArrivesLate) {
  StateLog log = claimed(1);
  run_apart([this] {
    const NatsClient client{options().server, "late", true};
    const NatsMessagePtr claim = last_state_message(client, "test", 3);
    StateMessage headers = *read_state_message(claim.get());
    headers.file = "checkpoint-000000000011.delta";
    headers.part = headers.parts = 1;
    natsMsg* late = nullptr;
    natsMsg_Create(&late, state_subject("test", 3).c_str(), nullptr, "late", 4);
    write_headers(late, headers);
    const natsStatus status = js_PublishMsg(nullptr, client.jetstream(), late, nullptr, nullptr);
    natsMsg_Destroy(late);
    return status == NATS_OK ? std::string{} : throw std::runtime_error{"not stored"};
  });
  const auto base = file("12.base", 700'000);
  EXPECT_EQ(error_of([&] { log.append(base); }), "none");
  EXPECT_EQ(StateLog{options("b")}.fetch(fetched()).files, 1U);
  expect_fetched(base);
}

TEST_F(StateLogs, ThrowUnavailableWhileTheServerIsAwayAndGoOnBehindIt) {
  StateLog log = claimed(1);
  log.append(file("12.base", 10));
  server_->kill();
  EXPECT_THROW(log.append(file("13.delta", 10)), Unavailable);
  EXPECT_THROW(static_cast<void>(log.status()), Unavailable);
  server_->start();
  EXPECT_THAT(error_of([&] { log.append(file("14.delta", 10)); }),
              HasSubstr("goes with one that is not stored"));
  log.append(file("15.base", 20));
  EXPECT_EQ(log.fetch(fetched()), (FetchedState{1, 20}));
}

TEST_F(StateLogs, GoOnThroughARestartOfTheServer) {
  StateLog log = claimed(1);
  log.append(file("12.base", 10));
  server_->kill();
  server_->start();
  log.append(file("13.delta", 10));
  EXPECT_EQ(log.fetch(fetched()), (FetchedState{2, 20}));
}

TEST_F(StateLogs, AreRefusedWhereTheServerHasLostSomething) {
  StateLog log = claimed(1);
  log.append(file("12.base", 1'200'000));
  const auto messages = messages_of(server_->url(), "SLUICE_test");
  delete_message(server_->url(), "SLUICE_test", messages[1].sequence);
  EXPECT_THAT(error_of([&] { log.fetch(fetched()); }), HasSubstr("messages of it were lost"));
  delete_stream(server_->url(), "SLUICE_test");
  EXPECT_THAT(error_of([&] { log.append(file("13.delta", 1)); }), HasSubstr("there is none"));
  EXPECT_THAT(error_of([&] { log.append(file("14.base", 1)); }), HasSubstr("it is empty"));
}

// Who has the partition by the bucket has all of it; who had it stores nothing.
TEST_F(StateLogs, AreBegunAnewByTheirOwnerWhereTheServerHasLostThem) {
  StateLog log = claimed(1);
  log.append(file("12.base", 10));
  Owners owners{options().server, "test", Owners::Missing::make, "test"};
  owners.look(0ms);
  const auto owned_with = [&](std::uint64_t epoch) {
    return owners.change(3, {PartitionEntry::State::owned, "a", epoch, {}, owners.view().entry(3).revision});
  };
  ASSERT_TRUE(owned_with(2));
  purge_stream(server_->url(), "SLUICE_test");
  EXPECT_THAT(error_of([&] { log.append(file("13.delta", 1)); }), HasSubstr("it is empty, and was not"));
  EXPECT_THAT(error_of([&] { log.append(file("13.base", 1)); }), HasSubstr("epoch 1 was claimed there"));
  ASSERT_TRUE(owned_with(1));
  log.append(file("15.base", 20));
  log.append(file("16.delta", 5));
  EXPECT_TRUE(log.was_stored());
  EXPECT_EQ(claimed(2).fetch(fetched()), (FetchedState{2, 25}));
}

TEST_F(StateLogs, AreNoStrangersPlace) {
  StateLog log = claimed(1);
  send_messages(server_->url(), "sluice.test.state.3", {"hello"});
  EXPECT_THAT(error_of([&] { log.append(file("12.base", 1)); }), HasSubstr("somebody else"));
  EXPECT_THAT(error_of([&] { claimed(2); }), HasSubstr("somebody else"));
}

TEST_F(StateLogs, RefuseAStreamThatWouldLoseThem) {
  const auto refused = [&](const std::function<void(StreamShape&)>& change) {
    StreamShape shape{.name = "SLUICE_test", .subject = "sluice.test.state.*"};
    change(shape);
    make_stream(server_->url(), shape);
    std::string error = error_of([&] { claimed(1); });
    delete_stream(server_->url(), "SLUICE_test");
    return error;
  };
  EXPECT_THAT(refused([](StreamShape& shape) { shape.max_messages = 10; }), HasSubstr("by their number"));
  EXPECT_THAT(refused([](StreamShape& shape) { shape.work_queue = true; }), HasSubstr("consumed"));
  EXPECT_THAT(refused([](StreamShape& shape) { shape.max_age_ns = 1'000'000'000'000; }), HasSubstr("age"));
  EXPECT_THAT(refused([](StreamShape& shape) { shape.subject = "sluice.test.state.3"; }),
              HasSubstr("subjects"));
  EXPECT_EQ(refused([](StreamShape&) {}), "none");
}

}  // namespace
}  // namespace sluice::test
