// SPDX-License-Identifier: Apache-2.0
// Engine: runs a pipeline. What a program embeds.
//
//     sluice::Engine engine{market};                 // settings from the environment
//     engine.start();
//     auto in = engine.inlet<Line>("lines");
//     in.push(line);
//     engine.drain();
//
// Used by one thread at a time, but for inlets and outlets, which have a thread each. The library never ends
// the host's process and installs no signal handler in it.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/host_ends.hpp>
#include <sluice/pipeline.hpp>
#include <sluice/settings.hpp>
#include <sluice/stats.hpp>

namespace sluice {

class Engine {
 public:
  // Checks the settings against the pipeline and reserves its segment. Throws Error.
  explicit Engine(const Pipeline& pipeline, const Settings& settings = Settings::from_environment());
  // stop(), if the pipeline still runs.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Forks the master, and it the workers; returns when all of them are at work. Throws Error: this process
  // runs threads already, there is not enough memory, a handler could not be constructed (with its message),
  // the file that segment.path names cannot be taken over; that file is as before then.
  void start();

  // After start(). Throw Error when there is no such name or it carries another type.
  template <Event T>
  Inlet<T> inlet(std::string_view name) {
    return Inlet<T>{inlet_end(name, EventType::of<T>())};
  }
  template <Event T>
  Outlet<T> outlet(std::string_view name) {
    return Outlet<T>{outlet_end(name, EventType::of<T>())};
  }

  // Closes all inlets, and waits until the sources have come to their end and everything is handled. A host
  // that has outlets pulls from them meanwhile: wait_for() in turn with poll(). Throws Error with the report
  // when the pipeline failed. It closes the inlets from this thread: no other may be pushing then.
  void wait();
  // The same for at most `limit`, without closing the inlets; true when the pipeline has ended.
  bool wait_for(std::chrono::nanoseconds limit);
  // wait(), with sources that end at once: what they and the inlets have accepted until now is handled.
  void drain();
  // The request of drain(), without the wait.
  void begin_drain();
  // Kills all processes of the pipeline; what is in its lanes is given up, unless segment.path keeps it.
  void stop();

  // This start went on with what a former life of the pipeline left in the file that segment.path names.
  bool resumed() const noexcept;
  bool over() const;
  Stats stats() const;
  // Where every process was placed, what the kernel granted, and remarks; a table for people.
  std::string placement() const;

  // Sends `signal` to the worker of that name ("parse/0"), for drills. False when it has no process now.
  bool signal_worker(std::string_view worker, int signal);

 private:
  HostInlet& inlet_end(std::string_view name, const EventType& type);
  HostOutlet& outlet_end(std::string_view name, const EventType& type);

  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace sluice
