// SPDX-License-Identifier: Apache-2.0
// A program of which an output leads nowhere, for `sluice config lint`.
#include <sluice/main.hpp>
#include <sluice/sluice.hpp>

namespace {

struct Half {
  sluice::SourceState operator()(sluice::Output<int>&, sluice::Output<long>&) {
    return sluice::SourceState::end;
  }
};

struct Take {
  void operator()(const int&) const {}
};

}  // namespace

int main(int argc, char** argv) {
  sluice::Pipeline pipeline{"loose"};
  auto [read, unread] = pipeline.source<Half>("half");
  read.to<Take>("take");
  return sluice::main(argc, argv, pipeline);
}
