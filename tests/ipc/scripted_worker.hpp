// SPDX-License-Identifier: Apache-2.0
// A worker whose every result is known beforehand: what crash tests run, kill, recover and audit.
//
// It reads numbers from a lane, keeps state under an undo log, writes records to a second lane and commits,
// in the shapes that real workers use: batches of several events, events given up half-way, commits in the
// midst of an event, the end of the stream. What it must have done after n events is a function of n alone, so
// that an audit needs to know only how many events it says to have consumed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/framing.hpp>
#include <sluice/ipc/lane.hpp>
#include <sluice/ipc/segment.hpp>
#include <sluice/ipc/undo.hpp>

namespace sluice::ipc::test {

struct ScriptedRow {
  std::uint64_t count;
  std::uint64_t last;
  std::uint64_t mixed;
  bool operator==(const ScriptedRow&) const = default;
};

struct ScriptedState {
  std::uint64_t sum;
  std::array<ScriptedRow, 3> rows;
  std::array<char, 5> odd;  // A piece whose length is no multiple of eight.
  std::array<char, 3> padding;
  bool operator==(const ScriptedState&) const = default;
};

// What has been done after some number of events: the reference, in plain code.
struct ScriptedResult {
  std::uint64_t events = 0;
  ScriptedState state{};
  std::string output;  // The bytes of the output lane, framing included.

  void apply(std::uint64_t number);
};

struct ScriptedSizes {
  std::uint64_t events = 12;
  std::size_t input_bytes = 4096;
  std::size_t output_bytes = 4096;
};

// Two regions: the worker's, and a feeder's with the whole input, published before anything starts.
class ScriptedSegment {
 public:
  explicit ScriptedSegment(const ScriptedSizes& sizes);

  // Every byte that a death of the worker can leave behind; a copy of them is put into another segment of
  // the same sizes, to see what a replacement would make of them.
  std::vector<std::byte> worker_bytes() const;
  void set_worker_bytes(const std::vector<std::byte>& bytes);
  bool worker_bytes_are(const std::vector<std::byte>& bytes) const noexcept;

  const Segment& segment() const noexcept { return *segment_; }
  std::uint64_t events() const noexcept { return sizes_.events; }

 private:
  ScriptedSizes sizes_;
  std::unique_ptr<Segment> segment_;
};

class ScriptedWorker {
 public:
  explicit ScriptedWorker(const ScriptedSegment& segment);

  bool recover() noexcept;
  // From the first event that is not consumed yet to the end of the stream.
  void run() noexcept;

  // Empty when exactly the committed events have taken effect, otherwise what is wrong. Brings `result`,
  // which must not be ahead, up to them.
  std::string audit(ScriptedResult& result) const;
  std::uint64_t committed() const noexcept { return commit_.committed(); }
  // Whether the worker died between the linearisation point of a commit and its end.
  bool is_committing() const noexcept;

  // How many events are consumed after 0, 1, 2 ... commits of a run that nothing disturbs.
  static std::vector<std::uint64_t> events_after_commits(std::uint64_t events);

 private:
  void handle(std::uint64_t number) noexcept;
  void change_state(std::uint64_t number) noexcept;
  void push_outputs(std::uint64_t number) noexcept;
  void store_commit(bool split) noexcept;
  std::string audit_output(const ScriptedResult& result) const;

  const ScriptedSegment& segment_;
  UndoLog log_;
  Commit commit_;
  LaneConsumer input_;
  LaneProducer output_;
};

}  // namespace sluice::ipc::test
