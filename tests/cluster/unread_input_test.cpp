// SPDX-License-Identifier: Apache-2.0
// Input for partitions that there are none of is found, and nothing else is.
#include "unread_input.hpp"

#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "state_log.hpp"
#include "state_stream.hpp"
#include "with_server.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Reads = std::map<unsigned, std::vector<SourceRead>>;

TEST(SubjectsOfPartitions, HaveTheNumberInOnePlace) {
  EXPECT_EQ(subjects_of_all("orders.3", 3), "orders.*");
  EXPECT_EQ(subjects_of_all("3.new", 3), "*.new");
  EXPECT_EQ(subjects_of_all("shop.3.orders.>", 3), "shop.*.orders.>");
  for (const char* without : {"orders.4", "orders.3.3", "orders.3x", "orders", ">", ""})
    EXPECT_FALSE(subjects_of_all(without, 3)) << without;
}

TEST(SubjectsOfPartitions, AreMatchedAsNatsDoes) {
  EXPECT_TRUE(is_of("orders.3", "orders.3"));
  EXPECT_TRUE(is_of("orders.3", "orders.*"));
  EXPECT_TRUE(is_of("orders.3.new", "orders.>"));
  EXPECT_TRUE(is_of("orders", ">"));
  EXPECT_FALSE(is_of("orders", "orders.>"));
  EXPECT_FALSE(is_of("orders.3", "orders"));
  EXPECT_FALSE(is_of("orders.3.new", "orders.*"));
  EXPECT_FALSE(is_of("orders.3", "orders.3.new"));
}

class UnreadInputs : public WithServer {
 protected:
  ~UnreadInputs() override { client_.reset(); }
  void SetUp() override {
    WithServer::SetUp();
    if (server_ == nullptr) return;
    make_stream(server_->url(), {.name = "ORDERS", .subject = "orders.>"});
    for (const char* subject : {"orders.0", "orders.1", "orders.2", "orders.10", "orders.3.new", "orders.x"})
      send_messages(server_->url(), subject, {"a", "b"});
    NatsServer where;
    where.url = server_->url();
    client_ = std::make_unique<NatsClient>(where, "test", true);
  }
  static Reads reads_of(unsigned partitions) {
    Reads reads;
    for (unsigned number = 0; number < partitions; ++number)
      reads[number] = {{"ORDERS", "orders." + std::to_string(number), 1}};
    return reads;
  }

  std::unique_ptr<NatsClient> client_;
};

TEST_F(UnreadInputs, AreThoseOfHigherNumbersThanThereArePartitions) {
  EXPECT_THAT(unread_input(*client_, reads_of(11), 11), IsEmpty());
  EXPECT_THAT(unread_input(*client_, reads_of(2), 2), ElementsAre(UnreadInput{"ORDERS", "orders.2", 2, 4}));
  // One that has told nothing yet is there all the same.
  EXPECT_THAT(unread_input(*client_, reads_of(1), 3), ElementsAre(UnreadInput{"ORDERS", "orders.10", 1, 2}));
  EXPECT_THAT(unread_input(*client_, {}, 2), IsEmpty());
}

TEST_F(UnreadInputs, AreNoneThatSomebodyReads) {
  Reads reads = reads_of(2);
  reads[1].push_back({"ORDERS", "orders.>", 1});
  EXPECT_THAT(unread_input(*client_, reads, 2), IsEmpty());
  EXPECT_THAT(unread_input(*client_, {{0, {{"ORDERS", ">", 1}}}}, 1), IsEmpty());
}

TEST_F(UnreadInputs, OfAStreamThatIsGoneAreAnError) {
  EXPECT_THROW(unread_input(*client_, {{0, {{"GONE", "gone.0", 1}}}}, 1), Error);
}

// By their subjects: a claim is there as soon as one is started.
TEST_F(UnreadInputs, AreNotWhatTheChainsAreCountedBy) {
  EXPECT_EQ(stored_partitions(*client_, "test"), 0U) << "there is no stream";
  for (const unsigned partition : {0U, 7U}) {
    StateLogOptions options;
    options.server.url = server_->url();
    options.cluster = "test";
    options.partition = partition;
    options.host = "a";
    StateLog{options}.claim(1);
  }
  EXPECT_EQ(stored_partitions(*client_, "test"), 8U);
  send_messages(server_->url(), "sluice.test.state.x", {"of somebody else"});
  EXPECT_EQ(stored_partitions(*client_, "test"), 8U);
}

}  // namespace
}  // namespace sluice::test
