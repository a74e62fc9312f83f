// SPDX-License-Identifier: Apache-2.0
// What tests of a partition's chain have in common: a nats-server of their own, and a directory for it and for files.
#pragma once

#include <filesystem>
#include <memory>
#include <stdlib.h>
#include <string>

#include <gtest/gtest.h>

#include "nats_server.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

// Skips its tests where there is no nats-server.
class WithServer : public testing::Test {
 protected:
  WithServer() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-chain-XXXXXX").string();
    scratch_ = ::mkdtemp(name.data());
  }
  ~WithServer() override {
    server_.reset();
    clear_away(scratch_);
  }
  void SetUp() override {
    if (!has_nats_server())
      GTEST_SKIP() << "nats-server is not here: apt install nats-server, or tools/setup";
    stay_here_once_libnats_is_used();
    server_ = std::make_unique<NatsProcess>(scratch_ / "nats");
  }

  std::filesystem::path scratch_;
  std::unique_ptr<NatsProcess> server_;
};

}  // namespace sluice::test
