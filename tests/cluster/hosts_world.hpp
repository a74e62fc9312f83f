// SPDX-License-Identifier: Apache-2.0
// Hosts of a cluster for the tests, and payments that go through them: every balance once, in order, and right.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cluster_world.hpp"

namespace sluice::test {

class Hosts : public ClusterTest {
 protected:
  // Payments go in at a rate, and balances are read, until both are done.
  void begin(std::uint64_t count, unsigned rate) {
    feed_ = load("feed", "payments", count, {"--rate", std::to_string(rate), "--accounts", "50"});
    collect_ = load("collect", "balances", count, {"--patience", "90"});
  }
  std::uint64_t payments() { return count_of(server().url(), "PAYMENTS"); }
  std::uint64_t balances() { return count_of(server().url(), "BALANCES"); }
  bool fed() {
    if (!feed_) return true;
    const auto status = feed_->ended();
    if (!status) return false;
    EXPECT_EQ(*status, 0) << feed_->err();
    feed_.reset();
    return true;
  }
  void end() {
    ASSERT_TRUE(within(100s, [this] { return fed(); }));
    EXPECT_EQ(collect_->wait(), 0) << text_of(file("collect.err"));
    const auto expected = this->expected("payments");
    const auto found = this->found("balances");
    EXPECT_EQ(expected.size(), found.size());
    EXPECT_TRUE(expected == found) << "other balances than one machine has";
  }
  bool says(const std::string& host, const std::string& what) const {
    return text_of(file(host + ".err")).find(what) != std::string::npos;
  }
  // That another host has its partitions: its agent from the bucket, or one of its partitions from its chain of checkpoints,
  // or from what its successor has sent.
  bool has_noticed(const std::string& host) const {
    return says(host, " belongs to beta now") || says(host, "fenced: ") ||
           says(host, "is of a process of this worker");
  }
  // Each of them owns something: one that owns nothing is missed by nobody.
  bool own(const std::vector<std::string>& names) const {
    return within(60s, [&] {
      return std::all_of(names.begin(), names.end(),
                         [this](const std::string& name) { return says(name, "with epoch"); });
    });
  }
  bool flows(std::uint64_t from) {
    return within(60s, [this, from] { return balances() > from || (fed() && balances() == payments()); });
  }

  std::unique_ptr<Program> feed_;
  std::unique_ptr<Program> collect_;
};

}  // namespace sluice::test
