// SPDX-License-Identifier: Apache-2.0
// PipeSource: a source whose events are the lines that come through a pipe: standard input, or a FIFO.
//
//     sluice::PipeInput input{"-"};                       // producer | program
//     auto lines = sluice::pipe_source(pipeline, "in", input);
//
// What is read from a pipe is gone from it, so nothing is read that is not committed: the bytes are moved (splice) into one of two
// pipes that the host holds, are looked at there (tee), and are thrown away once their lines are committed. A worker may be
// killed at any instant: each line comes once. With the host go its pipes: what was not committed is lost with them, as what lies
// in any pipe whose readers are gone, and so it is with power. A resumed pipeline says so.
//
// Nobody else may read from the pipe. Standard input ends with its last writer, and a last line without newline is a line; a FIFO
// never ends. A drain leaves what lies in the pipes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sluice/connect/frame.hpp>
#include <sluice/handler.hpp>
#include <sluice/output.hpp>
#include <sluice/pipeline.hpp>
#include <sluice/worker.hpp>

namespace sluice {

namespace detail {
struct PipePair;
}

// In the host, before the start.
class PipeInput {
 public:
  // "-" for standard input, or the path of a FIFO. Throws Error for what is none, or when no pipes are to be had.
  explicit PipeInput(const std::string& path);

  const std::string& name() const noexcept;
  std::vector<int> descriptors() const;

 private:
  friend class PipeSource;
  std::shared_ptr<const detail::PipePair> pipes_;
};

struct PipeSourceOptions {
  // The longest line that is taken; longer ones are left out and reported. It must fit into the lanes behind (lane.bytes) and
  // twice into a pipe: 1 MiB, or what fs.pipe-max-size and fs.pipe-user-pages-soft leave.
  std::uint32_t line_bytes = 16'384;
};

// The frame is the line without its newline. FrameHead::sequence is its number, from 1; those that were left out count.
class PipeSource {
 public:
  PipeSource(Worker& worker, const PipeInput& input, const PipeSourceOptions& options);
  ~PipeSource();
  PipeSource(const PipeSource&) = delete;
  PipeSource& operator=(const PipeSource&) = delete;

  // Throws Error when lanes or pipes are too small for `line_bytes`, or the stage has several workers.
  SourceState operator()(Output<Frame>& out);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Adds the stage `name`, of one worker.
inline Stream<Frame> pipe_source(Pipeline& pipeline, std::string name, const PipeInput& input,
                                 const PipeSourceOptions& options = {}, StageOptions stage = {}) {
  for (const int descriptor : input.descriptors())
    stage.descriptors.push_back(descriptor);
  return pipeline.source<PipeSource>(std::move(name), std::move(stage), input, options);
}

}  // namespace sluice
