// SPDX-License-Identifier: Apache-2.0
// The fan-out over any kind of message channel between processes: a link to each worker, and one link on
// which all of them answer.
//
// A Link gives Sender and Receiver, opened in the process that uses them, with send(data, bytes) and
// receive(data, most bytes), which returns bytes; both block. Messages carry one event, or kPack of them.
#pragma once

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "fan_out/fan_out.hpp"

namespace sluice::bench {

inline constexpr unsigned kLongestProcessSeconds = 10;  // Then it ends itself, whatever it waits for.

template <class Message, class Sender>
class Packer {
 public:
  Packer(Sender& sender, std::size_t pack) : sender_{sender}, pack_{pack} { messages_.reserve(pack); }
  void push(const Message& message) {
    messages_.push_back(message);
    if (messages_.size() == pack_) flush();
  }
  void flush() {
    if (!messages_.empty()) sender_.send(messages_.data(), messages_.size() * sizeof(Message));
    messages_.clear();
  }

 private:
  Sender& sender_;
  std::size_t pack_;
  std::vector<Message> messages_;
};

// ZeroMQ tries again only after 100 ms when nobody is there to be connected to.
inline void await_receivers(unsigned count) {
  while (told().receivers.load() < count)  // The alarm of each process ends it.
    ::usleep(100);
}

// Whoever sends keeps its end open until all is gathered. ZeroMQ (4.3) forgets what it has not read from a
// socket yet, the stop among it, when the other end hangs up while the receiver is at its high-water mark.
inline void await_gathered() {
  while (told().last_ns.load() == 0)  // The alarm of each process ends it.
    ::usleep(100);
}

template <class Link>
void work_on(const Link& in, const Link& out, std::size_t pack) {
  typename Link::Receiver receiver{in};
  ++told().receivers;
  await_receivers(kFanOutWorkers + 1);
  typename Link::Sender sender{out};
  Packer<FanResult, typename Link::Sender> results{sender, pack};
  std::array<FanEvent, kPack> events{};
  for (bool stopped = false; !stopped;) {
    const std::size_t count = receiver.receive(events.data(), pack * sizeof(FanEvent)) / sizeof(FanEvent);
    if (count == 0) ::_exit(1);
    for (std::size_t i = 0; i < count; ++i) {
      stopped = events[i].words[0] == kStopWord;
      results.push(stopped ? FanResult{kStopWord, 0} : handle(events[i]));
    }
    results.flush();
  }
  await_gathered();
}

template <class Link>
void gather(const Link& in, std::size_t pack) {
  typename Link::Receiver receiver{in};
  ++told().receivers;
  std::array<FanResult, kPack> results{};
  std::uint64_t counted = 0;
  std::uint64_t sum = 0;
  for (unsigned stopped = 0; stopped < kFanOutWorkers;) {
    const std::size_t count = receiver.receive(results.data(), pack * sizeof(FanResult)) / sizeof(FanResult);
    if (count == 0) ::_exit(1);
    for (std::size_t i = 0; i < count; ++i) {
      if (results[i].number == kStopWord) {
        ++stopped;
      } else {
        ++counted;
        sum += results[i].checksum;
      }
    }
  }
  told().end(counted, sum);
}

template <class Link>
void deal(const std::vector<Link>& links, std::uint64_t events, std::size_t pack) {
  await_receivers(kFanOutWorkers + 1);
  std::vector<typename Link::Sender> senders;
  senders.reserve(links.size());
  for (const Link& link : links)
    senders.emplace_back(link);
  std::vector<Packer<FanEvent, typename Link::Sender>> packers;
  packers.reserve(senders.size());
  for (auto& sender : senders)
    packers.emplace_back(sender, pack);
  told().begin();
  for (std::uint64_t number = 0; number < events; ++number)
    packers[number / pack % packers.size()].push(make_fan_event(static_cast<std::uint32_t>(number)));
  FanEvent stop{};
  stop.words[0] = kStopWord;
  for (auto& packer : packers) {
    packer.push(stop);
    packer.flush();
  }
  await_gathered();
}

// Messages of `pack` events each.
template <class Link>
int fan_out_by(std::uint64_t events, std::size_t pack) {
  std::vector<Link> to_workers(kFanOutWorkers);
  const Link to_gatherer;
  std::vector<pid_t> children;
  const auto start = [&children](auto&& body) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(kLongestProcessSeconds);
      body();
      ::_exit(0);
    }
    children.push_back(child);
  };
  start([&] { gather(to_gatherer, pack); });
  for (const Link& link : to_workers)
    start([&] { work_on(link, to_gatherer, pack); });
  ::alarm(kLongestProcessSeconds);
  deal(to_workers, events, pack);
  int failed = 0;
  for (const pid_t child : children) {
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) failed = 1;
  }
  return failed;
}

}  // namespace sluice::bench
