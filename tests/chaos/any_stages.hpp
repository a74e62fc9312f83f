// SPDX-License-Identifier: Apache-2.0
// The handlers of a pipeline drawn by chance (any_pipeline.hpp), for events of 16 and of 64 B and for records.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/append_file.hpp>
#include <sluice/refused.hpp>
#include <sluice/sluice.hpp>

#include "any_groups.hpp"
#include "any_pipeline.hpp"

namespace sluice::test {

// An event of 64 B, which can be seen to be whole.
struct Crate {
  Token token;
  std::array<std::uint64_t, 6> rest{};
};

inline Crate crate_of(const Token& token) {
  Crate crate{token, {}};
  for (std::uint64_t& each : crate.rest)
    each = mixed(token.id, token.weight + static_cast<std::uint64_t>(&each - crate.rest.data()));
  return crate;
}

using Parcel = Record<Token>;

inline std::string body_of(const Token& token) {
  const std::uint64_t number = mixed(token.id, token.weight);
  const std::size_t bytes = number % (number % 32 == 0 ? 2000 : 60);
  return std::string(bytes, static_cast<char>('a' + number % 26));
}

template <class Event>
Event packed(const Token& token) {
  if constexpr (std::is_same_v<Event, Token>) {
    return token;
  } else {
    return crate_of(token);
  }
}

inline const Token& token_in(const Token& token) {
  return token;
}
// One that is damaged ends the process: no letter would be right.
inline const Token& token_in(const Crate& crate) {
  if (crate_of(crate.token).rest != crate.rest) std::_Exit(1);
  return crate.token;
}
inline const Token& token_in(const Parcel& parcel) {
  if (parcel.text() != body_of(parcel.head)) std::_Exit(1);
  return parcel.head;
}

template <class Event>
void push_to(Output<Event>& out, const Token& token) {
  if constexpr (std::is_same_v<Event, Parcel>) {
    out.push(token, body_of(token));
  } else {
    out.push(packed<Event>(token));
  }
}

// All of them at once, if they are no records.
template <class Event>
void push_to(Output<Event>& out, const std::vector<Token>& tokens) {
  if constexpr (std::is_same_v<Event, Parcel>) {
    for (const Token& token : tokens)
      push_to(out, token);
  } else {
    std::vector<Event> events;
    events.reserve(tokens.size());
    for (const Token& token : tokens)
      events.push_back(packed<Event>(token));
    out.push(events);
  }
}

class AnyWork {
 public:
  AnyWork(Worker& worker, AnyStage stage)
      : worker_{worker},
        stage_{std::move(stage)},
        handled_{worker.state<std::uint64_t>("handled")},
        rows_{worker.table<std::uint64_t, std::uint64_t>("rows", 256)},
        groups_{worker} {
    if (stage_.faults.flushes) worker.before_commit([] {});
  }

 protected:
  // `push(output, token)` hands on what it makes.
  template <class Push>
  void handle(const Token& token, Push&& push) {
    const Faults& faults = stage_.faults;
    const std::uint64_t fate = fate_of(stage_, token);
    if (faults.away && ++calls_ % 700 == 0) throw Unavailable{"the outside is away"};
    if (throws_at(faults, fate)) throw std::runtime_error{"not this one"};
    if (refuses_at(faults, fate)) throw Refused{"not this one"};
    if (crashes_at(faults, fate)) std::abort();
    if (exits_at(faults, fate)) std::exit(static_cast<int>(fate % 3));
    if (stumbles_at(faults, fate) && worker_.incarnation() < 3) std::abort();
    made_.clear();
    make_of(stage_, token, made_);
    for (const auto& [output, made] : made_)
      push(output, made);
    ++handled_.edit();
    if (stage_.work == Work::count) ++rows_[key_of(stage_, token)];
    if (stage_.work == Work::gather) {
      groups_.add(key_of(stage_, token), token, [&](std::uint64_t key, std::uint64_t events) {
        for (; events != 0; --events)
          push(0, said_of(stage_, key));
      });
    }
    if (throws_late_at(faults, fate)) throw std::runtime_error{"not this one, late"};
  }
  // A few of those that it says at its end; whether there are more.
  template <class Push>
  bool say(Push&& push) {
    if (stage_.work == Work::gather) {
      return groups_.take_one([&](std::uint64_t key, std::uint64_t events) {
        for (; events != 0; --events)
          push(said_of(stage_, key));
      });
    }
    for (int few = 0; few < 8; ++few) {
      std::uint64_t slot = 0;
      while (slot < rows_.slots() && rows_.slot(slot) == nullptr)
        ++slot;
      if (slot == rows_.slots()) return false;
      const std::uint64_t key = rows_.slot(slot)->key;
      push(said_of(stage_, key));
      if (--rows_[key] == 0) rows_.erase(key);
    }
    return true;
  }

 private:
  Worker& worker_;
  AnyStage stage_;
  Recoverable<std::uint64_t> handled_;
  Table<std::uint64_t, std::uint64_t> rows_;
  AnyGroups groups_;
  Made made_;
  std::uint64_t calls_ = 0;
};

template <class Event>
class AnyEach : private AnyWork {
 public:
  using AnyWork::AnyWork;
  void operator()(const Event& event, Output<Event>& out) {
    handle(token_in(event), [&](std::size_t, const Token& made) { push_to(out, made); });
  }
  bool finish(Output<Event>& out) {
    return say([&](const Token& said) { push_to(out, said); });
  }
};

template <class Event>
class AnySpans : private AnyWork {
 public:
  using AnyWork::AnyWork;
  void operator()(std::span<const Event> events, Output<Event>& out) {
    for (const Event& event : events)
      handle(token_in(event), [&](std::size_t, const Token& made) { push_to(out, made); });
  }
  bool finish(Output<Event>& out) {
    return say([&](const Token& said) { push_to(out, said); });
  }
};

template <class Event>
class AnySplit : private AnyWork {
 public:
  using AnyWork::AnyWork;
  void operator()(const Event& event, Output<Event>& even, Output<Event>& odd) {
    handle(token_in(event),
           [&](std::size_t output, const Token& made) { push_to(output == 0 ? even : odd, made); });
  }
};

template <class Event>
class AnySource {
 public:
  AnySource(Worker& worker, AnyStage stage)
      : worker_{worker}, stage_{std::move(stage)}, made_{worker.state<std::uint64_t>("made")} {}
  bool operator()(Output<Event>& out) {
    const std::uint64_t number = *made_ * worker_.replicas() + worker_.replica();
    if (number >= stage_.events) return false;
    // A few, as many as it is: each call of one source pushes one, of the other one up to seven.
    std::vector<Token> few;
    const std::uint64_t most = stage_.seed % 2 == 0 ? 1 : 1 + number % 7;
    for (std::uint64_t next = number; few.size() < most && next < stage_.events; next += worker_.replicas()) {
      few.push_back(token_of(stage_, next));
      ++made_.edit();
    }
    push_to(out, few);
    return true;
  }

 private:
  Worker& worker_;
  AnyStage stage_;
  Recoverable<std::uint64_t> made_;
};

// Writes each into a file of its worker.
template <class Event>
class AnySink : private AnyWork {
 public:
  AnySink(Worker& worker, const AnyStage& stage, const std::filesystem::path& directory)
      : AnyWork{worker, stage}, file_{worker, "file", directory / fmt::format("sink.{}", worker.replica())} {}
  void operator()(const Event& event) {
    const Token& token = token_in(event);
    file_.append(fmt::format("{} {}\n", token.id, token.weight));
    handle(token, [](std::size_t, const Token&) {});
  }

 private:
  AppendFile file_;
};

}  // namespace sluice::test
