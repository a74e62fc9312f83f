// SPDX-License-Identifier: Apache-2.0
// The program of docs/guide/wide.md. The guide has the same text, and wide_test.cpp compares the two and kills its worker.
#pragma once

// [guide]
#include <string>

#include <sluice/sluice.hpp>
#include <sluice/wide.hpp>

// Slow for a core, and in the order of the input for all who come after.
class Digest {
 public:
  explicit Digest(unsigned rounds) : rounds_{rounds} {}

  void operator()(const sluice::Bytes& line, sluice::Output<sluice::Bytes>& digests) const {
    thread_local std::string text;  // One for each thread: what it holds means nothing to the next event.
    std::uint64_t hash = 14695981039346656037U;
    for (unsigned round = 0; round < rounds_; ++round) {
      for (const char letter : line.text())
        hash = (hash ^ static_cast<unsigned char>(letter)) * 1099511628211U;
    }
    text.assign(line.text()).append(" ").append(std::to_string(hash));
    digests.push(text);
  }

 private:
  unsigned rounds_;
};

inline sluice::Pipeline digest_pipeline() {
  sluice::Pipeline pipeline{"digest"};
  pipeline.inlet<sluice::Bytes>("lines")
      .to<sluice::Wide<Digest>>("digest", {.threads = 2}, 1000U)  // Two units, or as many as there are.
      .outlet("digests");
  return pipeline;
}
// [guide]
