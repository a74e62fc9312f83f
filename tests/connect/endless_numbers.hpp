// SPDX-License-Identifier: Apache-2.0
// A source for pipelines that are lost as a whole: what comes out is 0, 1, 2 and so on, each once.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <sluice/sluice.hpp>

namespace sluice::test {

class EndlessNumbers {
 public:
  explicit EndlessNumbers(Worker& worker) : worker_{worker}, next_{worker.state<std::uint64_t>("next")} {}
  bool operator()(Output<Bytes>& out) {
    for (int i = 0; i < 8; ++i)
      out.push(std::to_string(next_.edit()++));
    worker_.wait_for(std::chrono::microseconds{200});
    return true;
  }

 private:
  Worker& worker_;
  Recoverable<std::uint64_t> next_;
};

}  // namespace sluice::test
