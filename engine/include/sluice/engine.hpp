// SPDX-License-Identifier: Apache-2.0
// Engine: runs a pipeline. What a program embeds.
//
//     sluice::Engine engine{market};                 // settings from the environment
//     engine.start();
//     auto in = engine.inlet<Line>("lines");
//     in.push(line);
//     engine.drain();
//
// Only the process that made it acts on it, one thread at a time; inlets and outlets may have a thread each.
// In a child of that process everything throws Error, and to destroy the copy does nothing to the pipeline:
// fork, or call daemon(), before the engine is made. A host that becomes another program (exec) has left its
// pipeline as one that died has: host.death. (A child that it forked, and that is still that program, hides
// the exec until it ends.) The library never ends the host's process and installs no signal handler in it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/checkpoint_shipper.hpp>
#include <sluice/end.hpp>
#include <sluice/host_ends.hpp>
#include <sluice/pinning/place.hpp>
#include <sluice/pipeline.hpp>
#include <sluice/settings.hpp>
#include <sluice/stats.hpp>

namespace sluice {

class Engine {
 public:
  // Checks the settings against the pipeline, plans the places and reserves the addresses of the segment.
  // Starts nothing. `pipeline` may go afterwards. Throws Error: a setting that does not fit, no processing
  // unit allowed, a segment larger than the memory that is there. Takes milliseconds, for the topology of the
  // machine.
  explicit Engine(const Pipeline& pipeline, const Settings& settings = Settings::from_environment());
  // stop(), if the pipeline still runs. Blocks until its processes are gone, 7 s at most. Throws nothing.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Before start(): where the log goes, an open file of this process that stays open until the end; standard error
  // otherwise, and -1 for nowhere. What is said, and how: log.level, log.format. A file that takes nothing for a while
  // holds up nothing: lines are held back, and counted. Throws Error once it was started.
  void log_to(int descriptor);
  // Before start(): what is shown with the pipeline's numbers (Stats::facts, `sluice stats` and `serve`), such as which share of
  // a larger whole it is. `name`: small letters, digits and '_', as a label of Prometheus, and none of its own (`pipeline`). A fact
  // that is told twice has the last value. Throws Error for another name, and once it was started.
  void describe(std::string_view name, std::string_view value);
  // Before start(): each checkpoint counts once `shipper` has returned for it. What start() finds in checkpoint.path it
  // takes for shipped: who goes on elsewhere has fetched what was shipped into an empty directory. `parked` is called once a
  // pipeline that is being parked has shipped its last one, by the thread that waits for its end: nothing takes effect behind
  // that, and who goes on elsewhere need not wait until this memory is gone. Throws Error once it was started; start() does
  // without checkpoint.path.
  void ship_checkpoints(CheckpointShipper shipper, std::function<void()> parked = {});
  // Before start(), as often as wanted: makes the memory of the pipeline, and restores the newest checkpoint of checkpoint.path
  // into it, so that start() has only to restore what has come there since. For who stands by while the pipeline runs elsewhere;
  // another process fetches the checkpoints meanwhile. False: there is none yet. Blocks as long as it takes, by threads
  // that are gone when it returns. Throws Error as start() does, without checkpoint.path, and with segment.path.
  bool restore_ahead();
  // Once. Forks the supervisor, which forks the master, which forks the workers; returns when all workers are
  // at work. Blocks meanwhile: for the pages of the segment, and for the constructors of the handlers, which
  // the watchdog bounds (and until run() hears a signal). Throws Error: it was started before, this process runs threads already, there is not
  // enough memory, a handler could not be constructed (with its message), the file that segment.path names
  // cannot be taken over; that file is as before then.
  void start();

  // The inlet or outlet of that name, as often as wanted: all that are given for one name are the same end.
  // After start(); valid while the engine lives. Throw Error when there is no such name or it carries another
  // type, or before start().
  template <Event T>
  Inlet<T> inlet(std::string_view name) {
    return Inlet<T>{inlet_end(name, detail::EventType::of<T>())};
  }
  template <Event T>
  Outlet<T> outlet(std::string_view name) {
    return Outlet<T>{outlet_end(name, detail::EventType::of<T>())};
  }

  // An end that this program has not asked for is an Error in all of these: stopped by its master, parked or
  // drained by an operator; end() says which.
  //
  // Closes all inlets, and blocks until the sources have come to their end and everything is handled, however
  // long that takes; dead letters are handled, too: stats() counts them. A host that has outlets pulls from them meanwhile: wait_for() in turn with poll(). Other
  // threads may be pushing: what was accepted is handled, and then they hear `ended`. Throws Error with the report when the
  // pipeline failed, when it was stopped by another than this engine, and when it was not started. With checkpoint.path
  // and no segment.path also when the checkpoint of its end could not be written, for as long as there is something to
  // be taken from the outlets: that is possible still, and wait() is right once it is done.
  void wait();
  // The same for at most `limit` (zero or less: looks once; until run() hears a signal), without closing the inlets. True when the
  // pipeline has ended; then it has blocked until its processes are gone.
  bool wait_for(std::chrono::nanoseconds limit);
  // wait(), with sources that end at once: what they and the inlets have accepted until now is handled.
  // Blocks and throws as wait() does. A drain stays asked for: with segment.path, the next start of a pipeline
  // that has not come to its end goes on with it, and its inlets are closed. The file goes once everything is
  // handled and pulled.
  void drain();
  // The request of drain(), without the wait; closes the inlets. Nothing when the pipeline does not run. Does
  // not block. Throws Error for a lane whose consumer wrote what is out of range.
  void begin_drain();
  // With segment.path: all workers stop at their next commit and end, and everything is kept in the file; the
  // next start goes on there, sources too. No stage says its last word. With checkpoint.path the same is in a last
  // checkpoint; Error if it cannot be written and there is no file. Without either: drain(). Blocks until all
  // processes are gone: as long as the longest event takes. It does not close the inlets: other threads may be
  // pushing, and their pushes say `ended` from some event on. Throws as wait() does.
  void park();
  // The request of park(), without the wait. Does not block.
  void begin_park();
  // Kills all processes of the pipeline; what is in its lanes is given up, unless segment.path keeps it. How
  // much that is, as left_behind() has it. Blocks until they are gone, 7 s at most. Nothing when the pipeline
  // does not run.
  LeftBehind stop();

  // How it ended, without a wait.
  End end() const;
  // Sources and inlets come to their end: drain() was asked for, by this program, by an operator, or in a former
  // life of the pipeline.
  bool draining() const;
  // A drain has ended a source before its own end (Worker::declare_endless()): the results are not whole. Known once the
  // pipeline has drained. sluice::run says so by its status.
  bool interrupted() const;
  // After the end: the events in the lanes, which no process handles now.
  LeftBehind left_behind() const;

  // This start went on with what a former life of the pipeline left in the file that segment.path names, or in its last
  // checkpoint (checkpoint.path); and which of them, for people: empty after a start from nothing.
  bool resumed() const noexcept;
  const std::string& resumed_from() const noexcept;
  // Where the next start finds what is not finished: that file, or else the directory of its checkpoints. Empty: nowhere,
  // which a file that was removed or replaced while the pipeline ran comes to, and an end before the first checkpoint.
  const std::string& kept_in() const noexcept;
  // The pipeline has come to an end, good or bad: wait() says which. Looks at the segment only.
  bool over() const;
  // What it does now. Reads the segment, disturbs no process, does not block; some microseconds a worker.
  // From the constructor on, also after the end.
  Stats stats() const;
  // Where every process was placed, what the kernel granted, and remarks; a table for people. A system call
  // for each process.
  std::string placement() const;

  // Where the plan has the host: the units that it leaves to its threads, and the node that feeds the first stage. After
  // start(), which has the last word on it. Does not block.
  pinning::Place place_of_host() const;
  // Binds the calling thread, and those that it starts later, to that place; whether the kernel granted all of it.
  // After start(), in the thread that pushes or pulls; a host that has bound itself before start() is planned around and
  // needs it not. A place of one core is claimed as the workers' are. Some system calls. Throws Error before the start.
  bool bind_host() const;

  // Sends `signal`, a number as kill(2) takes it, to the worker of that name ("parse/0"), for drills. False
  // when it has no process now. Throws Error when there is no such worker. Does not block.
  bool signal_worker(std::string_view worker, int signal);

 private:
  detail::HostInlet& inlet_end(std::string_view name, const detail::EventType& type);
  detail::HostOutlet& outlet_end(std::string_view name, const detail::EventType& type);

  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace sluice
