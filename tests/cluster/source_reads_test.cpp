// SPDX-License-Identifier: Apache-2.0
// How far a partition is behind its input: what its newest checkpoint says of its sources, and what the server has behind that.
#include "source_reads.hpp"

#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "state_log.hpp"
#include "with_server.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::HasSubstr;

TEST(SourceReads, AreTextInTheHeaderOfACheckpoint) {
  const std::string text = to_source_reads({{"orders/0", "nats ORDERS orders.3", 18},
                                            {"file/0", "file /var/lib/x", 5},
                                            {"two/0", "nats TWO", 5},
                                            {"all/0", "nats ALL >", 1}});
  EXPECT_EQ(text, "ORDERS orders.3 18 ALL > 1");
  EXPECT_EQ(parse_source_reads(text), (std::vector<SourceRead>{{"ORDERS", "orders.3", 18}, {"ALL", ">", 1}}));
  EXPECT_TRUE(parse_source_reads("").empty());
  for (const char* wrong :
       {"ORDERS", "ORDERS orders.3", "ORDERS orders.3 x", "ORDERS orders.3 1x", "A > 1 B"})
    EXPECT_TRUE(parse_source_reads(wrong).empty()) << wrong;
  EXPECT_LE(parse_source_reads(to_source_reads(std::vector<ReadPosition>(100, {"a", "nats A >", 1}))).size(),
            16U);
}

class SourceLags : public WithServer {
 protected:
  ~SourceLags() override { client_.reset(); }
  void SetUp() override {
    WithServer::SetUp();
    if (server_ == nullptr) return;
    make_stream(server_->url(), {.name = "ORDERS", .subject = "orders.*"});
    // 1 to 30, in turn.
    for (int i = 0; i < 15; ++i) {
      send_messages(server_->url(), "orders.0", {std::string(100, 'a')});
      send_messages(server_->url(), "orders.1", {std::string(100, 'b')});
    }
    NatsServer where;
    where.url = server_->url();
    client_ = std::make_unique<NatsClient>(where, "test", true);
  }
  std::optional<PartitionLag> lag(const std::string& reads) {
    return lag_behind(*client_, parse_source_reads(reads));
  }

  StateLogOptions options(const std::string& host) const {
    StateLogOptions options;
    options.server.url = server_->url();
    options.cluster = "test";
    options.partition = 3;
    options.host = host;
    return options;
  }
  // "12.base": a checkpoint's file.
  std::filesystem::path file(const std::string& end, std::uintmax_t bytes) const {
    std::filesystem::path path = scratch_ / ("checkpoint-0000000000" + end);
    std::ofstream(path).close();
    std::filesystem::resize_file(path, bytes);
    return path;
  }
  std::string reads() const { return state_log_status(*client_, "test", 3)->reads; }

  std::unique_ptr<NatsClient> client_;
};

TEST_F(SourceLags, AreWhatTheStreamHasOfTheSubjectBehindTheCheckpoint) {
  EXPECT_FALSE(lag("")) << "there is no source that tells it";
  EXPECT_EQ(lag("ORDERS orders.0 1")->events, 15U);
  EXPECT_EQ(lag("ORDERS orders.0 2")->events, 14U);
  EXPECT_EQ(lag("ORDERS orders.1 2")->events, 15U);
  EXPECT_EQ(lag("ORDERS orders.0 21")->events, 5U);
  EXPECT_EQ(lag("ORDERS > 21")->events, 10U);
  EXPECT_EQ(lag("ORDERS orders.0 21 ORDERS orders.1 29")->events, 6U);
  EXPECT_EQ(lag("ORDERS orders.0 30")->events, 0U);
  EXPECT_EQ(lag("ORDERS orders.0 31")->events, 0U);
  // Each has a hundred bytes and some of the server's own.
  EXPECT_GT(lag("ORDERS orders.0 21")->bytes, 500U);
  EXPECT_LT(lag("ORDERS orders.0 21")->bytes, 1000U);
  delete_message(server_->url(), "ORDERS", 25);
  EXPECT_EQ(lag("ORDERS orders.0 21")->events, 4U);
  EXPECT_EQ(client_->find_stream("ORDERS")->State.Consumers, 0) << "something is left there";
}

// Whoever owns it, and if nobody does.
TEST_F(SourceLags, GoWithTheNewestCheckpointThatIsWhole) {
  StateLog log{options("a")};
  log.claim(1);
  EXPECT_EQ(reads(), "");
  log.append(file("12.base", 100), 0, "ORDERS > 18");
  EXPECT_EQ(reads(), "ORDERS > 18");
  log.append(file("13.delta", 5), 0, "ORDERS > 19");
  EXPECT_EQ(reads(), "ORDERS > 19");
  // One that is given up in its midst does not count, though its first parts are stored. A hole: it is cut long before its end.
  const auto large = file("14.delta", std::uintmax_t{1} << 30);
  const std::uint64_t before = log.status()->sequence;
  std::thread cut{[&] {
    NatsServer where;
    where.url = server_->url();
    const NatsClient looker{where, "looker", true};
    while (state_log_status(looker, "test", 3)->sequence < before + 2)
      std::this_thread::yield();
    std::filesystem::resize_file(large, 10);
  }};
  EXPECT_THROW(log.append(large, 0, "ORDERS > 90"), Error);
  cut.join();
  EXPECT_GT(log.status()->sequence, before);
  EXPECT_EQ(reads(), "ORDERS > 19");
  StateLog{options("b")}.claim(2);
  EXPECT_EQ(reads(), "ORDERS > 19");
}

TEST_F(SourceLags, AreAllThatAWorkQueueHas) {
  make_stream(server_->url(), {.name = "QUEUE", .subject = "queue.*", .work_queue = true});
  send_messages(server_->url(), "queue.0", {"a", "b", "c"});
  send_messages(server_->url(), "queue.1", {"d"});
  EXPECT_EQ(lag("QUEUE queue.0 9")->events, 3U);
  EXPECT_EQ(lag("QUEUE > 9")->events, 4U);
  EXPECT_EQ(lag("QUEUE queue.2 1")->events, 0U);
}

TEST_F(SourceLags, AreUnknownOfAStreamThatIsGone) {
  try {
    lag("GONE > 1");
    FAIL() << "there is no such stream";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("the stream GONE"));
  }
}

}  // namespace
}  // namespace sluice::test
