// SPDX-License-Identifier: Apache-2.0
// What hosts tell each other in a bucket is read by a host of any locale.
#include "support/foreign_locale.hpp"

#include <gmock/gmock.h>

#include "assignment.hpp"
#include "cluster_shape.hpp"
#include "failing.hpp"
#include "members.hpp"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class ForeignLocale : public testing::Test {
 private:
  const ForeignNumbers french_;
};

TEST_F(ForeignLocale, OfAHostHidesNoHeartbeat) {
  const detail::HostBeat beat{.life = 1'234, .count = 567'890, .leaving = true};
  EXPECT_EQ(detail::parse_host_beat(detail::to_text(beat)), beat);
}

TEST_F(ForeignLocale, OfAHostHidesNoOwner) {
  const detail::PartitionEntry entry{
      .state = detail::PartitionEntry::State::owned, .owner = "a", .epoch = 123};
  EXPECT_EQ(detail::parse_partition_entry(detail::to_text(entry)), entry);
}

TEST_F(ForeignLocale, OfAHostHidesNoFailure) {
  const detail::FailingEntry entry{
      .since_ns = 1'700'000'000'000'000'000, .failures = 5, .given_up = {"a", "b"}, .text = "it fails"};
  EXPECT_EQ(detail::parse_failing_entry(detail::to_text(entry)), entry);
}

TEST_F(ForeignLocale, OfAHostHidesNoShape) {
  const detail::ClusterShape shape{.partitions = 64, .lease = 1500ms, .pipeline = "accounts"};
  EXPECT_EQ(detail::parse_shape(detail::to_text(shape)), shape);
}

}  // namespace
}  // namespace sluice::test
