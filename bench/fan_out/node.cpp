// SPDX-License-Identifier: Apache-2.0
// The fan-out by Node's cluster module, as a child: peers/node_cluster.js does the work and measures it.
#include <cstdio>
#include <memory>
#include <string>

#include "fan_out/processes.hpp"

namespace sluice::bench {
namespace {

int run_node(std::uint64_t events, std::size_t pack) {
  const std::string command = std::string{SLUICE_NODE} + " " + SLUICE_NODE_CLUSTER_SCRIPT + " " +
                              std::to_string(events) + " " + std::to_string(kFanOutWorkers) + " " +
                              std::to_string(pack);
  ::alarm(kLongestProcessSeconds);  // Of this process; who waits for it then kills the rest.
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> output{::popen(command.c_str(), "r"), &::pclose};
  unsigned long long counted = 0;
  unsigned long long sum = 0;
  double seconds = 0;
  if (output == nullptr || std::fscanf(output.get(), "%llu %llu %lf", &counted, &sum, &seconds) != 3)
    return 1;
  told().begin();
  told().end(counted, sum);
  told().last_ns.store(told().first_ns.load() + static_cast<std::int64_t>(seconds * 1e9));
  return 0;
}

const AddFanOut kNode{
    {"peer:node_cluster", 40'000, [](std::uint64_t events) { return run_node(events, 1); }}};
const AddFanOut kPacked{
    {"peer:node_cluster_packed", 300'000, [](std::uint64_t events) { return run_node(events, kPack); }}};

}  // namespace
}  // namespace sluice::bench
