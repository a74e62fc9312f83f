// SPDX-License-Identifier: Apache-2.0
// Of the two pipes one is current: what is in it behind `taken_bytes` is not committed, and nothing else is. The other one has
// only what is committed, or a copy of what is in the current one: it is emptied before it is used, by whoever comes first.
//
//     input --splice--> current --tee--> lines --> commit {the other one is current} --> what was current is emptied
//
// Killed anywhere, a replacement reads in its state which one is current, empties the other, and looks into that one:
//
//     before the splice    the bytes are in the input                    they are taken from there
//     behind it            they are in the current pipe                  they are looked at again
//     before the commit    nothing of them was seen by anybody           the same
//     behind it            they are in the one that is no longer current they are thrown away, perhaps for the second time
//
// No whole line is taken before its newline is there, so that what is moved ends at one, unless it is the beginning of one line.
#include "sluice/connect/pipe_source.hpp"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/units.hpp>

#include "pipe_pair.hpp"

namespace sluice {

using namespace detail;

namespace {

// Of a call.
constexpr std::size_t kMostLines = 32;
constexpr std::uint64_t kMostBytes = std::uint64_t{16} << 10;
constexpr std::uint64_t kBesideALine = 256;

struct PipeState {
  std::uint64_t input = 0;        // PipePair::number; 0: none yet.
  std::uint64_t current = 0;      // Of the two pipes.
  std::uint64_t taken_bytes = 0;  // Of what is in it.
  std::uint64_t lines = 0;
  std::uint64_t skipping = 0;  // The line is too long, and goes on.
};

}  // namespace

PipeInput::PipeInput(const std::string& path) : pipes_{std::make_shared<const PipePair>(path)} {}

const std::string& PipeInput::name() const noexcept {
  return pipes_->name;
}

std::vector<int> PipeInput::descriptors() const {
  std::vector<int> all{pipes_->input.get()};
  for (const Pipe& pipe : pipes_->kept) {
    all.push_back(pipe.out.get());
    all.push_back(pipe.in.get());
  }
  return all;
}

struct PipeSource::Parts {
  Parts(Worker& worker_of_it, std::shared_ptr<const PipePair> pipes_of_it,
        const PipeSourceOptions& options_of_it)
      : worker{worker_of_it},
        pipes{std::move(pipes_of_it)},
        options{options_of_it},
        state{worker_of_it.state<PipeState>("pipe")},
        scratch{pipes->kept[0].capacity_bytes} {
    check();
    if (!pipes->ends) worker.declare_endless();
    worker.after_commit([this](bool whole) {
      if (turned && (whole || !turned_in_this_call)) turn_is_committed = true;
    });
    if (state->input != pipes->number) return;
    throw_away(other());
    content = look_into(current().out.get(), scratch, pipes->name);
  }

  const Pipe& current() const { return pipes->kept[state->current % 2]; }
  const Pipe& other() const { return pipes->kept[(state->current + 1) % 2]; }
  void check() const;
  void check_lanes(const Output<Frame>& out);
  void begin();
  bool empty_other();
  bool fill();
  void make_room();
  bool has_lines() const;
  void take(Output<Frame>& out);
  void turn();

  Worker& worker;
  std::shared_ptr<const PipePair> pipes;
  PipeSourceOptions options;
  Recoverable<PipeState> state;
  Pipe scratch;
  std::string content;           // Of the current pipe.
  std::string content_of_other;  // Once that is current.
  bool at_end = false;           // Nothing comes behind it.
  bool turned = false;           // The other pipe has something that is committed, or will be,
  bool turned_in_this_call = false;
  bool turn_is_committed = false;  // and it is.
  bool checked = false;
};

void PipeSource::Parts::check() const {
  if (worker.replicas() != 1)
    throw Error{{"read from the pipe", pipes->name, "its stage has several workers, and a line is of one",
                 "give the stage one worker"}};
  const int least =
      std::min({scratch.capacity_bytes, pipes->kept[0].capacity_bytes, pipes->kept[1].capacity_bytes});
  if (std::uint64_t{options.line_bytes} * 2 > static_cast<std::uint64_t>(least))
    throw Error{{"take lines of up to", format_bytes(options.line_bytes),
                 fmt::format("a pipe takes {} bytes, and two of them must find room", least),
                 "lower `line_bytes`, or raise fs.pipe-user-pages-soft and fs.pipe-max-size"}};
}

void PipeSource::Parts::check_lanes(const Output<Frame>& out) {
  if (std::exchange(checked, true) || options.line_bytes <= out.most_body_bytes()) return;
  throw Error{
      {"take lines of up to", format_bytes(options.line_bytes),
       fmt::format("a lane behind stage {} takes {} bytes of one", worker.stage(), out.most_body_bytes()),
       "raise lane.bytes or lower `line_bytes`"}};
}

// Another host has made the pipes.
void PipeSource::Parts::begin() {
  if (state->input != 0)
    worker.report(
        fmt::format("what an earlier host had taken from {} behind line {} and not committed is lost",
                    pipes->name, state->lines));
  PipeState first;
  first.input = pipes->number;
  first.lines = state->lines;
  state.set(first);
}

// False while it cannot be.
bool PipeSource::Parts::empty_other() {
  if (!turned) return true;
  if (!turn_is_committed)
    worker.wait_for(std::chrono::nanoseconds{0});  // Which commits what earlier calls did.
  if (!turn_is_committed) return false;
  throw_away(other());
  turned = turn_is_committed = false;
  content = std::exchange(content_of_other, {});
  return true;
}

// More of the input into the current pipe: as far as its last newline if it has one. False when there is nothing now.
bool PipeSource::Parts::fill() {
  const int input = pipes->input.get();
  const bool last = has_no_writer(input);
  const std::string more = look_into(input, scratch, pipes->name);
  if (more.empty()) {
    at_end = last;
    return at_end;
  }
  const std::size_t newline = more.rfind('\n');
  const std::size_t wanted = newline == std::string::npos ? more.size() : newline + 1;
  const std::size_t moved = move_bytes(input, current(), wanted, pipes->name);
  content.append(more, 0, moved);
  if (moved == 0) make_room();
  return true;
}

// Each small piece takes a place of the pipe: they are put together in the other one.
void PipeSource::Parts::make_room() {
  content_of_other = content.substr(state->taken_bytes);
  if (content_of_other.empty())
    throw Error{{"take from the pipe", pipes->name, "what was in it is gone: somebody else reads from it",
                 "let nobody else read from it"}};
  const ssize_t written = ::write(other().in.get(), content_of_other.data(), content_of_other.size());
  if (written < 0 || static_cast<std::size_t>(written) != content_of_other.size())
    throw Error{
        {"write into", "a pipe", written < 0 ? errno_text() : "it has no room", "lower `line_bytes`"}};
  turn();
}

bool PipeSource::Parts::has_lines() const {
  const std::string_view rest = std::string_view{content}.substr(state->taken_bytes);
  if (rest.empty()) return false;
  return at_end || state->skipping != 0 || rest.size() > options.line_bytes || rest.find('\n') != rest.npos;
}

void PipeSource::Parts::take(Output<Frame>& out) {
  std::uint64_t room = std::min(out.most_body_bytes() / 8, kMostBytes);
  for (std::size_t lines = 0; lines < kMostLines && has_lines(); ++lines) {
    const std::string_view rest = std::string_view{content}.substr(state->taken_bytes);
    const std::size_t newline = rest.find('\n');
    const bool ends = newline != rest.npos;
    const std::string_view line = rest.substr(0, newline);
    const std::uint64_t needed = line.size() + kBesideALine;
    if (lines != 0 && needed > room) return;
    room -= std::min(room, needed);
    if (state->skipping != 0) {
      if (ends) state.edit(&PipeState::skipping) = 0;
    } else if (line.size() > options.line_bytes) {
      worker.report(fmt::format("{}, line {}: more than {} bytes: it was left out", pipes->name,
                                state->lines + 1, options.line_bytes));
      ++state.edit(&PipeState::lines);
      if (!ends) state.edit(&PipeState::skipping) = 1;
    } else {
      FrameHead head;
      head.sequence = ++state.edit(&PipeState::lines);
      out.push(head, line);
    }
    state.edit(&PipeState::taken_bytes) += line.size() + (ends ? 1 : 0);
  }
  if (state->taken_bytes == content.size()) turn();
}

// By the commit that this call is part of.
void PipeSource::Parts::turn() {
  state.edit(&PipeState::current) = (state->current + 1) % 2;
  state.edit(&PipeState::taken_bytes) = 0;
  turned = turned_in_this_call = true;
}

PipeSource::PipeSource(Worker& worker, const PipeInput& input, const PipeSourceOptions& options)
    : parts_{std::make_unique<Parts>(worker, input.pipes_, options)} {}
PipeSource::~PipeSource() = default;

SourceState PipeSource::operator()(Output<Frame>& out) {
  Parts& parts = *parts_;
  parts.check_lanes(out);
  parts.turned_in_this_call = false;
  if (parts.state->input != parts.pipes->number) {
    parts.begin();
    return SourceState::more;
  }
  if (!parts.empty_other()) return SourceState::nothing_now;
  while (!parts.has_lines()) {
    if (parts.fill()) {
      if (parts.turned) return SourceState::more;
      if (parts.at_end && !parts.has_lines()) return SourceState::end;
      continue;
    }
    if (!parts.worker.wait_for(parts.pipes->input.get(), std::chrono::hours{1}))
      return SourceState::nothing_now;
  }
  parts.take(out);
  return SourceState::more;
}

}  // namespace sluice
