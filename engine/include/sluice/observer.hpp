// SPDX-License-Identifier: Apache-2.0
// Observer: looks at a pipeline that another process runs, and can change nothing of it.
//
//     sluice::Observer market = sluice::Observer::attach("market");
//     std::fputs(to_text(market.stats(), {}, 0).c_str(), stdout);
//
// For any process of the same user, or of root, at any time; used by one thread at a time. The pipeline is
// asked once, when the observer attaches; from then on it does not know of it, whatever becomes of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <sluice/end.hpp>
#include <sluice/settings.hpp>
#include <sluice/stats.hpp>

namespace sluice {

struct RunningPipeline {  // One that Observer::running() has found.
  std::string name;       // With the pid of its host: "market.4711".
  std::string socket;     // What Observer::attach() takes.
};

// All that can be told of a pipeline at one moment.
struct Snapshot {
  Stats stats;
  std::vector<LaneStats> lanes;
};

class Observer {
 public:
  // `pipeline` is the path of a socket, with a slash in it, or the name of a pipeline whose socket is where
  // observe.socket=auto has it: "market", or "market.4711" where several have that name. Blocks until the
  // master answers, some seconds at most. Throws Error: there is none, several have the name, it belongs to
  // another user, another version runs it.
  static Observer attach(const std::string& pipeline);
  // What runs as this user, as far as observe.socket is `auto`; in order of names, empty if there is nothing.
  // Removes the sockets of dead pipelines that it meets. Throws nothing; does not block.
  static std::vector<RunningPipeline> running();

  Observer(Observer&&) noexcept;
  Observer& operator=(Observer&&) noexcept;
  ~Observer();

  // None of these but snapshot() blocks, makes a system call or throws for what the pipeline wrote: it is checked
  // before it is used.

  // The name that the program gave it.
  const std::string& pipeline() const noexcept;
  // The settings that it runs with, and where each value came from, as its host resolved them at its start.
  const std::vector<SettingValue>& settings() const noexcept;
  // As Engine::stats(). After the end of the pipeline it goes on to give the last numbers.
  Stats stats() const;
  // The same without latencies, whose histograms are most of what stats() reads: for who looks many times a second.
  Stats counts() const;
  // It has come to an end that its master knew of.
  bool over() const noexcept;
  // Which end.
  End end() const noexcept;

  // The same with what costs more: the lanes one by one, records in them counted, and what the kernel says of each
  // worker's process, which asks for some files below /proc and lets the kernel walk through the process's memory.
  Snapshot snapshot() const;

 private:
  struct Parts;
  explicit Observer(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

// For operators: asks the master of a pipeline, named as for Observer::attach(), to park or to drain it, and
// returns once it has heard that; watch the end with an Observer attached before. To park a pipeline without
// segment.path is to drain it. Block some seconds at most; throw Error as Observer::attach() does.
void ask_to_park(const std::string& pipeline);
void ask_to_drain(const std::string& pipeline);

}  // namespace sluice
