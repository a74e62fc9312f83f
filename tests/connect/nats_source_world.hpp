// SPDX-License-Identifier: Apache-2.0
// What the tests of NatsSource share: a stream IN, messages that are numbers, and what a run read of them.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <vector>

#include <sluice/connect/nats_source.hpp>

#include "nats_world.hpp"

namespace sluice::test {

inline std::vector<std::string> numbered(unsigned from, unsigned to) {
  std::vector<std::string> texts;
  texts.reserve(to - from);
  for (unsigned i = from; i < to; ++i)
    texts.push_back(std::to_string(i));
  return texts;
}

class NatsSourceTest : public WithNats {
 protected:
  void SetUp() override {
    WithNats::SetUp();
    if (IsSkipped()) return;
    make_stream(server().url(), {"IN", "in.*"});
    random_.seed(std::random_device{}());
  }
  NatsSourceOptions options(bool follow = false) {
    NatsSourceOptions options;
    options.server.url = server().url();
    options.stream = "IN";
    options.follow = follow;
    return options;
  }
  static Pipeline reading(const NatsSourceOptions& options) {
    Pipeline pipeline{"reading"};
    pipeline.source<NatsSource>("read", options).outlet("out");
    return pipeline;
  }
  void send(const std::vector<std::string>& texts, const std::string& subject = "in.a") {
    send_messages(server().url(), subject, texts);
  }
  // What a run gave; what it said when it failed is in said_.
  std::vector<std::string> read(const NatsSourceOptions& options, const Settings& settings) {
    Engine engine{reading(options), settings};
    said_.clear();
    try {
      engine.start();
    } catch (const std::exception& error) {
      said_ = error.what();
      return {};
    }
    Collector<Bytes> out{engine, "out"};
    try {
      EXPECT_TRUE(engine.wait_for(kDeadline));
    } catch (const std::exception& error) {
      said_ = error.what();
    }
    return out.all();
  }
  std::vector<std::string> read(const NatsSourceOptions& options) { return read(options, settings()); }

  // A pipeline is parked behind 100 messages; the settings go on with it.
  Settings parked_behind_a_hundred(const std::string& subject = {}) {
    Settings kept = settings();
    kept.set("segment.path", file("segment"));
    send(numbered(0, 100));
    NatsSourceOptions follow = options(true);
    follow.subject = subject;
    Engine engine{reading(follow), kept};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    EXPECT_TRUE(eventually([&] { return out.count() == 100; }));
    engine.park();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    return kept;
  }

  // A run that reads `count` messages, which are sent while it runs, with `hurt` at random instants; then it drains.
  std::vector<std::string> read_while(const NatsSourceOptions& options, unsigned count,
                                      const std::function<bool(Engine&)>& hurt) {
    Engine engine{reading(options), settings({"restart.budget=1000000", "batch.events=64"})};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    send(numbered(0, count / 2));
    std::size_t next_hurt = 100;
    bool enough = false;
    unsigned sent = count / 2;
    while (!enough) {
      EXPECT_TRUE(eventually([&] { return out.count() >= std::min<std::size_t>(next_hurt, sent); }));
      enough = hurt(engine);
      next_hurt = out.count() + random_() % 100;
      if (!enough && out.count() + 200 > sent) {
        send(numbered(sent, sent + 500));
        sent += 500;
      }
    }
    EXPECT_TRUE(eventually([&] { return out.count() >= sent; })) << out.count() << " of " << sent;
    engine.drain();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    sent_ = sent;
    return out.all();
  }

  std::mt19937 random_;
  std::string said_;
  unsigned sent_ = 0;
};

}  // namespace sluice::test
