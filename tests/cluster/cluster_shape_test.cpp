// SPDX-License-Identifier: Apache-2.0
// What the hosts of a cluster agree on, and who is refused.
#include "cluster_shape.hpp"

#include <functional>

#include <gmock/gmock.h>

#include <sluice/error.hpp>

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using detail::ClusterShape;
using testing::AllOf;
using testing::HasSubstr;

const ClusterShape kOrders{6, 1500ms, "orders-0"};

std::string why_not(const std::function<void()>& tried) {
  try {
    tried();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}
std::string why_not_same(const ClusterShape& agreed, const ClusterShape& own) {
  return why_not([&] { detail::require_same("SLUICE_orders_OWNERS", agreed, own); });
}
std::string why_fewer(unsigned known, const ClusterShape& own) {
  return why_not([&] { detail::require_no_fewer("SLUICE_orders_OWNERS", known, own); });
}

TEST(ClusterShapes, AreReadAsTheyWereWritten) {
  EXPECT_EQ(to_text(kOrders), "1 6 1500000000 orders-0");
  EXPECT_EQ(detail::parse_shape(to_text(kOrders)), kOrders);
  for (const char* wrong : {"", "rubbish", "1", "1 6", "1 6 x", "1 6 0", "1 6 -5", "0 6 1500000000"})
    EXPECT_FALSE(detail::parse_shape(wrong)) << wrong;
}

TEST(ClusterShapes, SayByWhichHashTheirInputIsDivided) {
  const auto other = detail::parse_shape("2 6 1500000000 orders-0");
  ASSERT_TRUE(other);
  EXPECT_THAT(
      why_not_same(*other, kOrders),
      HasSubstr("its input is divided by version 2 of sluice::Partitioner, and this program has version 1"));
  EXPECT_EQ(why_not_same(kOrders, kOrders), "");
}

// Versions of before said no name, and read nothing behind the lease.
TEST(ClusterShapes, OfAVersionWithoutANameAreAnybodys) {
  const ClusterShape before{6, 1500ms, {}};
  EXPECT_EQ(to_text(before), "1 6 1500000000");
  EXPECT_EQ(detail::parse_shape("1 6 1500000000"), before);
  EXPECT_EQ(why_not_same(before, kOrders), "");
  EXPECT_THAT(why_not_same(before, {5, 1500ms, "orders-0"}),
              HasSubstr("it has 6 partitions, and this program 5"));
}

TEST(ClusterShapes, ThatDifferAreRefusedWithWhatToDo) {
  EXPECT_EQ(why_not_same(kOrders, kOrders), "");
  EXPECT_THAT(why_not_same(kOrders, {6, 1500ms, "market-0"}),
              AllOf(HasSubstr("SLUICE_orders_OWNERS"), HasSubstr("is the pipeline 'orders-0'"),
                    HasSubstr("is 'market-0'"), HasSubstr("a cluster of its own name")));
  EXPECT_THAT(why_not_same(kOrders, {5, 1500ms, "orders-0"}),
              AllOf(HasSubstr("it has 6 partitions, and this program 5"), HasSubstr("is another cluster")));
  // Nothing else of it changes by that.
  EXPECT_THAT(why_not_same(kOrders, {6, 2s, "orders-0"}),
              AllOf(HasSubstr("a lease of 1500ms, and this one 2s"),
                    HasSubstr("nats kv put SLUICE_orders_OWNERS shape '1 6 2000000000 orders-0'")));
}

TEST(ClusterShapes, OfFewerPartitionsThanAreKnownAreRefused) {
  EXPECT_EQ(why_fewer(0, kOrders), "");
  EXPECT_EQ(why_fewer(6, kOrders), "");
  EXPECT_THAT(why_fewer(8, kOrders),
              HasSubstr("something of its partition 7 is stored, and this program has 6 partitions"));
}

}  // namespace
}  // namespace sluice::test
