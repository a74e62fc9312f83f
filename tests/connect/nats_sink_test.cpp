// SPDX-License-Identifier: Apache-2.0
// NatsSink, with a real server: what arrives, what a subject of two writers gets, and what bad input gets.
#include "cutting_proxy.hpp"
#include "nats_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class NatsSinkTest : public WithNats {
 protected:
  static Pipeline sending(const NatsSinkOptions& options, unsigned workers = 1,
                          const std::string& name = "sending") {
    Pipeline pipeline{name};
    pipeline.inlet<Bytes>("in")
        .by([](const Bytes& event) { return event.text().size(); })
        .to<NatsSink>("out", {.workers = workers}, options);
    return pipeline;
  }
  // Runs it on the texts; what it said when it failed.
  std::string run(const Pipeline& pipeline, const std::vector<std::string>& texts, const Settings& settings) {
    try {
      Engine engine{pipeline, settings};
      engine.start();
      auto in = engine.inlet<Bytes>("in");
      for (const std::string& text : texts)
        std::ignore = in.push(Bytes{std::string_view{text}});
      in.close();
      EXPECT_TRUE(engine.wait_for(kDeadline));
      return {};
    } catch (const std::exception& error) {
      return error.what();
    }
  }
  std::string run(const NatsSinkOptions& options,
                  const std::vector<std::string>& texts = {"one", "two", "three"}) {
    return run(sending(options), texts, settings());
  }
  static std::vector<std::string> data_of(const std::vector<StreamMessage>& messages) {
    std::vector<std::string> data;
    data.reserve(messages.size());
    for (const StreamMessage& message : messages)
      data.push_back(message.data);
    return data;
  }
  std::vector<std::string> arrived() { return data_of(messages_of(server().url(), "OUT")); }
  static std::vector<std::string> numbers(unsigned count) {
    std::vector<std::string> texts;
    texts.reserve(count);
    for (unsigned i = 0; i < count; ++i)
      texts.push_back(std::to_string(i));
    return texts;
  }
};

TEST_F(NatsSinkTest, SendsEachEventOnceAndInOrder) {
  make_stream(server().url(), {"OUT", "out.*"});
  EXPECT_EQ(run(sink_options(), numbers(5000)), "");
  EXPECT_EQ(arrived(), numbers(5000));
}

TEST_F(NatsSinkTest, SendsAnyBytes) {
  make_stream(server().url(), {"OUT", "out.*"});
  const std::vector<std::string> texts{"", std::string("\0\r\n\xff", 4), std::string(500'000, 'x')};
  Settings large = settings({"lane.bytes=4MiB"});
  EXPECT_EQ(run(sending(sink_options()), texts, large), "");
  EXPECT_EQ(arrived(), texts);
}

TEST_F(NatsSinkTest, GivesEachWorkerASubject) {
  make_stream(server().url(), {"OUT", "out.*"});
  EXPECT_EQ(run(sending(sink_options(), 2), {"a", "bb", "c", "dd", "eee", "f"}, settings()), "");
  std::map<std::string, std::vector<std::string>> by_subject;
  for (const StreamMessage& message : messages_of(server().url(), "OUT"))
    by_subject[message.subject].push_back(message.data);
  std::vector<std::string> all;
  for (const auto& [subject, texts] : by_subject) {
    EXPECT_THAT(subject, testing::AnyOf("out.0", "out.1"));
    all.insert(all.end(), texts.begin(), texts.end());
  }
  EXPECT_EQ(sorted(all), (std::vector<std::string>{"a", "bb", "c", "dd", "eee", "f"}));
}

TEST_F(NatsSinkTest, BeginsBehindWhatAnEarlierRunSent) {
  make_stream(server().url(), {"OUT", "out.*"});
  EXPECT_EQ(run(sink_options(), {"one", "two"}), "");
  EXPECT_EQ(run(sink_options(), {"one", "two"}), "");
  EXPECT_THAT(arrived(), ElementsAre("one", "two", "one", "two"));
}

TEST_F(NatsSinkTest, GetsThroughWhileStrangersSendToOtherSubjectsOfItsStream) {
  make_stream(server().url(), {"OUT", "*.*"});
  Engine engine{sending(sink_options()), settings()};
  engine.start();
  auto in = engine.inlet<Bytes>("in");
  const std::vector<std::string> texts = numbers(3000);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::ignore = in.push(Bytes{std::string_view{texts[i]}});
    if (i % 600 == 0) send_messages(server().url(), "strange.er", numbers(200));
  }
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  std::vector<StreamMessage> own = messages_of(server().url(), "OUT");
  std::erase_if(own, [](const StreamMessage& message) { return message.subject != "out.0"; });
  EXPECT_EQ(data_of(own), texts);
}

TEST_F(NatsSinkTest, EndsWhenAnotherSendsToItsSubject) {
  make_stream(server().url(), {"OUT", "out.*"});
  std::string said;
  try {
    Engine engine{sending(sink_options()), settings()};
    engine.start();
    auto in = engine.inlet<Bytes>("in");
    std::ignore = in.push(Bytes{std::string_view{"one"}});
    EXPECT_TRUE(eventually([&] { return count_of(server().url(), "OUT") == 1; }));
    send_messages(server().url(), "out.0", {"strange"});
    std::ignore = in.push(Bytes{std::string_view{"two"}});
    in.close();
    engine.wait_for(kDeadline);
  } catch (const std::exception& error) {
    said = error.what();
  }
  EXPECT_THAT(said, AllOf(HasSubstr("out.0"), HasSubstr("another writer"), HasSubstr("shared_subject")));
  EXPECT_THAT(arrived(), ElementsAre("one", "strange"));
}

TEST_F(NatsSinkTest, SharesASubjectWhenToldTo) {
  make_stream(server().url(), {"OUT", "out.*"});
  NatsSinkOptions options = sink_options();
  options.subject = "out.all";
  EXPECT_THAT(run(sending(options, 2), {"a", "bb"}, settings()),
              AllOf(HasSubstr("2 workers"), HasSubstr("{replica}"), HasSubstr("shared_subject")));
  options.shared_subject = true;
  EXPECT_EQ(run(sending(options, 2), {"a", "bb", "ccc", "dddd"}, settings()), "");
  EXPECT_EQ(sorted(arrived()), (std::vector<std::string>{"a", "bb", "ccc", "dddd"}));
}

TEST_F(NatsSinkTest, RefusesMessagesThatAreTooLarge) {
  make_stream(server().url(), {.name = "OUT", .subject = "out.*", .max_message_bytes = 1000});
  Engine engine{sending(sink_options()), settings()};
  engine.start();
  auto in = engine.inlet<Bytes>("in");
  for (const std::string& text : {std::string{"one"}, std::string(2000, 'x'), std::string{"two"}})
    std::ignore = in.push(Bytes{std::string_view{text}});
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(arrived(), ElementsAre("one", "two"));
  const WorkerStats out = worker_of(engine, "out/0");
  EXPECT_EQ(out.dead_letters, 1U);
  EXPECT_EQ(out.restarts, 0U);
}

// Sends a message where no event is handled: in its constructor, or by the clock.
class UnaskedMessage {
 public:
  UnaskedMessage(Worker& worker, const NatsSinkOptions& options, bool at_once) : sink_{worker, options} {
    if (at_once) sink_.publish("unasked");
    worker.when_idle([this] { sink_.publish("unasked"); });
  }
  void operator()(const Bytes& event) { sink_(event); }

 private:
  NatsSink sink_;
};

TEST_F(NatsSinkTest, RefusesAMessageOfNoEvent) {
  make_stream(server().url(), {"OUT", "out.*"});
  for (const bool at_once : {true, false}) {
    Pipeline pipeline{"unasked"};
    pipeline.inlet<Bytes>("in").to<UnaskedMessage>("out", sink_options(), at_once);
    Engine engine{pipeline, settings()};
    EXPECT_THAT(error_of([&] {
                  engine.start();
                  std::ignore = engine.inlet<Bytes>("in").push(Bytes{std::string_view{"one"}});
                  engine.wait_for(kDeadline);
                }),
                AllOf(HasSubstr("the subject out.0 of the stream OUT"),
                      HasSubstr("no event is in the handler"), HasSubstr("TimerSource")));
  }
  const std::vector<std::string> stored = arrived();
  EXPECT_EQ(std::count(stored.begin(), stored.end(), "unasked"), 0);
}

TEST_F(NatsSinkTest, WaitsForRoomInAStreamThatIsFull) {
  make_stream(server().url(), {.name = "OUT", .subject = "out.*", .max_messages = 10, .discard_new = true});
  Engine engine{sending(sink_options()), settings()};
  engine.start();
  auto in = engine.inlet<Bytes>("in");
  for (const std::string& text : numbers(12))
    std::ignore = in.push(Bytes{std::string_view{text}});
  in.close();
  EXPECT_TRUE(eventually([&] {
    const WorkerStats out = worker_of(engine, "out/0");
    return out.verdict == "waiting outside" && out.outside.find("maximum messages") != std::string::npos;
  })) << worker_of(engine, "out/0").outside;
  EXPECT_THAT(arrived(), SizeIs(10));
  delete_message(server().url(), "OUT", 1);
  delete_message(server().url(), "OUT", 2);
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(arrived(), (std::vector<std::string>{"2", "3", "4", "5", "6", "7", "8", "9", "10", "11"}));
}

TEST_F(NatsSinkTest, SaysWhatIsWrongWithTheStream) {
  EXPECT_THAT(run(sink_options()),
              AllOf(HasSubstr("stream OUT"), HasSubstr("no such stream"), HasSubstr("127.0.0.1")));
  make_stream(server().url(), {"OUT", "other.*"});
  EXPECT_THAT(run(sink_options()),
              AllOf(HasSubstr("does not take the subject out.0"), HasSubstr("nats stream edit")));
  make_stream(server().url(), {.name = "QUEUE", .subject = "out.*", .work_queue = true});
  NatsSinkOptions options = sink_options();
  options.stream = "QUEUE";
  EXPECT_THAT(run(options), AllOf(HasSubstr("stream QUEUE"), HasSubstr("retention `limits`")));
  options.subject = "out.*";
  EXPECT_THAT(run(options), HasSubstr("no subject to send to"));
  options.subject = "out.{worker}";
  EXPECT_THAT(run(options), HasSubstr("{worker}"));
}

// What it has stored for that is taken away again.
TEST_F(NatsSinkTest, RefusesAServerThatStoresMessagesWhateverTheyExpect) {
  make_stream(server().url(), {"OUT", "out.*"});
  CuttingProxy proxy{server().port(), 1};
  proxy.take_expectations();
  NatsSinkOptions options = sink_options();
  options.server.url = proxy.nats_url();
  EXPECT_THAT(run(options), AllOf(HasSubstr("whatever they expect"), HasSubstr("use nats-server")));
  EXPECT_THAT(arrived(), IsEmpty());
}

TEST_F(NatsSinkTest, SaysThatJetStreamIsOff) {
  serve("", false);
  EXPECT_THAT(run(sink_options()), AllOf(HasSubstr("JetStream is not enabled"), HasSubstr("-js")));
}

TEST_F(NatsSinkTest, SaysThatAPasswordIsWrongAndNotWhichOne) {
  serve("authorization { user: bank, password: right }");
  NatsSinkOptions options = sink_options();
  options.server.user = "bank";
  options.server.password = "very-secret";
  EXPECT_THAT(run(options),
              AllOf(HasSubstr("Authorization"), HasSubstr("127.0.0.1"), Not(HasSubstr("very-secret"))));
  options.server = {};
  options.server.url = "nats://bank:very-secret@127.0.0.1:" + std::to_string(server().port());
  EXPECT_THAT(run(options),
              AllOf(HasSubstr("Authorization"), HasSubstr("127.0.0.1"), Not(HasSubstr("very-secret"))));
}

TEST_F(NatsSinkTest, WaitsForAServerThatIsAway) {
  make_stream(server().url(), {"OUT", "out.*"});
  server().kill();
  Engine engine{sending(sink_options()), settings({"restart.budget=0"})};
  engine.start();
  auto in = engine.inlet<Bytes>("in");
  for (const std::string& text : numbers(100))
    std::ignore = in.push(Bytes{std::string_view{text}});
  in.close();
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "out/0").verdict == "waiting outside"; }));
  EXPECT_THAT(worker_of(engine, "out/0").outside, HasSubstr(server().url()));
  server().start();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(arrived(), numbers(100));
}

// Its connection stays, so that no start finds it out.
TEST_F(NatsSinkTest, EndsWhenTheStreamLosesWhatItSentWhileItIsAtWork) {
  const std::function<void()> purge = [&] { purge_stream(server().url(), "OUT"); };
  const std::function<void()> make_anew = [&] {
    delete_stream(server().url(), "OUT");
    make_stream(server().url(), {"OUT", "out.*"});
  };
  make_stream(server().url(), {"OUT", "out.*"});
  const std::vector<std::pair<std::function<void()>, NatsRemoved>> losses{
      {purge, NatsRemoved::stop}, {make_anew, NatsRemoved::stop}, {purge, NatsRemoved::go_on}};
  for (const auto& [lose, on_removed] : losses) {
    NatsSinkOptions options = sink_options();
    options.on_removed = on_removed;
    const std::uint64_t before = count_of(server().url(), "OUT");
    std::string said;
    try {
      Engine engine{sending(options), settings()};
      engine.start();
      auto in = engine.inlet<Bytes>("in");
      std::ignore = in.push(Bytes{std::string_view{"one"}});
      EXPECT_TRUE(eventually([&] {
        return count_of(server().url(), "OUT") == before + 1 && worker_of(engine, "out/0").events_in == 1;
      }));
      lose();
      std::ignore = in.push(Bytes{std::string_view{"two"}});
      in.close();
      EXPECT_TRUE(engine.wait_for(kDeadline));
    } catch (const std::exception& error) {
      said = error.what();
    }
    if (on_removed == NatsRemoved::stop) {
      EXPECT_THAT(said, AllOf(HasSubstr("out.0"), HasSubstr("removed"), HasSubstr("on_removed")));
      EXPECT_THAT(arrived(), IsEmpty());
    } else {
      EXPECT_EQ(said, "");
      EXPECT_THAT(arrived(), ElementsAre("two"));
    }
  }
}

TEST_F(NatsSinkTest, SaysThatATimeLimitIsNone) {
  NatsSinkOptions options = sink_options();
  options.server.timeout = 0ms;
  EXPECT_THAT(run(options), AllOf(HasSubstr("NatsServer::timeout = 0 ms"), HasSubstr("at least 1 ms")));
}

TEST_F(NatsSinkTest, EndsWhenTheStreamHasLostWhatItSent) {
  make_stream(server().url(), {"OUT", "out.*"});
  Settings kept = settings();
  kept.set("segment.path", file("segment"));
  {
    Engine engine{sending(sink_options()), kept};
    engine.start();
    auto in = engine.inlet<Bytes>("in");
    std::ignore = in.push(Bytes{std::string_view{"one"}});
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "out/0").events_in == 1; }));
    engine.park();
    EXPECT_TRUE(engine.wait_for(kDeadline));
  }
  purge_stream(server().url(), "OUT");
  EXPECT_THAT(run(sending(sink_options()), {"two"}, kept),
              AllOf(HasSubstr("out.0"), HasSubstr("removed"), HasSubstr("on_removed")));
  NatsSinkOptions options = sink_options();
  options.on_removed = NatsRemoved::go_on;
  EXPECT_EQ(run(sending(options), {"three"}, kept), "");
  EXPECT_THAT(arrived(), testing::Contains("three"));
}

}  // namespace
}  // namespace sluice::test
