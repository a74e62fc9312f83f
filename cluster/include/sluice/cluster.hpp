// SPDX-License-Identifier: Apache-2.0
// A cluster: several hosts that act as one. The work is split into partitions, each a pipeline of its own with a number, which
// one host at a time runs; when a host dies, others go on with its partitions where their checkpoints stand, and nothing that
// was seen outside is lost, repeated or changed.
//
//     sluice::Pipeline partition(const sluice::Partition& own) {
//       sluice::Pipeline pipeline{"orders-" + own.text()};
//       pipeline.source<sluice::NatsSource>("in", sluice::NatsSourceOptions{
//               .server = own.server, .stream = "ORDERS", .subject = "orders." + own.text()})
//           .by(&account_of).to<Book>("book")
//           .to<sluice::NatsSink>("out", sluice::NatsSinkOptions{
//               .server = own.server, .stream = "BOOKED", .subject = "booked." + own.text()});
//       return pipeline;
//     }
//     int main(int argc, char** argv) {
//       return sluice::cluster_main(argc, argv, {.name = "orders", .partitions = 16, .pipeline = partition});
//     }
//
// `orders host --nats nats://broker:4222 --data /var/lib/orders` on each machine is the cluster. JetStream carries input and output, the
// partitions' checkpoints (the stream SLUICE_orders) and who owns what (the bucket SLUICE_orders_OWNERS). docs/guide/cluster.md has
// what that asks of the server, and what is promised.
#pragma once

#include <functional>
#include <string>

#include <sluice/connect/nats_server.hpp>
#include <sluice/pipeline.hpp>

namespace sluice {

// What a pipeline is made for.
struct Partition {
  unsigned number = 0;
  unsigned count = 1;  // Of the cluster's partitions.
  std::string cluster{};
  NatsServer server{};  // As the command line has it, for sources and sinks.

  std::string text() const { return std::to_string(number); }
};

struct Cluster {  // What all hosts of a cluster have in common.
  // Letters, digits, '-' and '_', at most 32.
  std::string name{};
  unsigned partitions = 1;  // For good: another number is another cluster.
  // The same on all hosts. Its name differs for each partition, since several run on one host. It has sources, and neither
  // inlets nor outlets; its sources go on from recoverable state, as NatsSource does.
  std::function<Pipeline(const Partition&)> pipeline{};
};

// The whole program, for main() to return: `host` joins the cluster and stays until SIGTERM or SIGINT, upon which it leaves what
// it has to the others. Every partition runs in a process of its own, which is this program again. Gives an exit status; throws no
// Error.
int cluster_main(int argc, char** argv, const Cluster& cluster);

}  // namespace sluice
