// SPDX-License-Identifier: Apache-2.0
// What the host of a pipeline drawn by chance (any_pipeline.hpp) pushes and pulls. Each life goes on where the pipeline says
// that the one before has left off.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <fmt/format.h>

#include <sluice/sluice.hpp>

#include "any_pipeline.hpp"
#include "any_stages.hpp"

namespace sluice::test {

template <class Event>
class AnyInlet {
 public:
  AnyInlet(Engine& engine, const AnyStage& stage) : inlet_{engine.inlet<Event>(stage.name)}, stage_{stage} {}

  // Pushes a part of what is left; whether there was any, and room for it.
  bool push_some() {
    constexpr int kCalls = 32;
    bool pushed = false;
    for (int call = 0; call < kCalls && !inlet_.closed(); ++call) {
      const std::uint64_t at = inlet_.position();
      if (at >= stage_.events) {
        inlet_.close();
      } else if (push(at) != PushResult::accepted) {
        break;
      }
      pushed = true;
    }
    return pushed;
  }

 private:
  // Records one by one, others up to nine at once.
  PushResult push(std::uint64_t at) {
    if constexpr (std::is_same_v<Event, Parcel>) {
      const Token token = token_of(stage_, at);
      const std::string body = body_of(token);
      return inlet_.try_push(Parcel{token, std::as_bytes(std::span{body})});
    } else {
      std::vector<Event> few;
      for (std::uint64_t next = at; next < stage_.events && next <= at + at % 9; ++next)
        few.push_back(packed<Event>(token_of(stage_, next)));
      return few.size() == 1 ? inlet_.try_push(few.front()) : inlet_.try_push_batch(few);
    }
  }

  Inlet<Event> inlet_;
  const AnyStage& stage_;
};

// Writes a line for each event into a file.
template <class Event>
class AnyOutlet {
 public:
  AnyOutlet(Engine& engine, const AnyStage& stage, const std::filesystem::path& file)
      : outlet_{engine.outlet<Event>(stage.name)} {
    // What a former life has written and not acknowledged comes again. Cut off at once: this life can be lost here, too.
    if (std::filesystem::exists(file)) {
      std::uintmax_t kept = 0;
      std::ifstream lines{file};
      std::string line;
      for (std::uint64_t i = 0; i < outlet_.position() && std::getline(lines, line); ++i)
        kept += line.size() + 1;
      std::filesystem::resize_file(file, kept);
    }
    lines_.open(file, std::ios::app);
  }

  bool pull_some() {
    const std::size_t pulled = outlet_.poll([this](const Event& event) {
      const Token& token = token_in(event);
      lines_ << fmt::format("{} {}\n", token.id, token.weight);
    });
    lines_.flush();
    outlet_.ack();
    return pulled != 0;
  }

 private:
  Outlet<Event> outlet_;
  std::ofstream lines_;
};

template <class Event>
class AnyEnds {
 public:
  AnyEnds(Engine& engine, const AnyPlan& plan, const std::filesystem::path& file) {
    for (const AnyStage& stage : plan.stages) {
      if (stage.shape == Shape::inlet) inlet_.emplace(engine, stage);
      if (stage.shape == Shape::outlet) outlet_.emplace(engine, stage, file);
    }
  }

  bool any() const { return inlet_ || outlet_; }
  bool push_some() { return inlet_ && inlet_->push_some(); }
  bool pull_some() { return outlet_ && outlet_->pull_some(); }

 private:
  std::optional<AnyInlet<Event>> inlet_;
  std::optional<AnyOutlet<Event>> outlet_;
};

}  // namespace sluice::test
