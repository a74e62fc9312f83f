// SPDX-License-Identifier: Apache-2.0
// Programs that must not compile, one for each value of MISUSE; 0 is the one that must, so that the others
// fail for their own reason. check_compile_fail.cmake compares what the compiler says.
#include <sluice/sluice.hpp>
#if MISUSE == 0 || MISUSE == 35 || MISUSE == 36
#include <sluice/connect/fields.hpp>
#endif

using sluice::Bytes;
using sluice::Output;

struct Item {
  std::uint32_t key;
};
struct Other {
  std::uint32_t key;
};
struct Handle {
  void operator()(const Item&, Output<Item>& out) const;
  bool finish(Output<Item>& out);
};
struct Padded {
  char a;
  int b;
};
struct Hashed {
  char a;
  double b;
  bool operator==(const Hashed&) const = default;
  std::uint64_t hash(std::uint64_t seed) const { return seed ^ static_cast<std::uint64_t>(a); }
};
struct Line {
  std::uint64_t number;
  std::uint32_t lengths[2];
};
struct Good {
  bool operator()(Output<Item>&);
};
struct Text {
  std::string text;
};
void pass_on(const Item&, Output<Item>&);

void none_and_handlers([[maybe_unused]] sluice::Pipeline& pipeline, [[maybe_unused]] sluice::Worker& worker) {
  [[maybe_unused]] const auto items = pipeline.inlet<Item>("items");
#if MISUSE == 0
  items.by(&Item::key).to<Handle>("handle").outlet("out");
  items.to("lambda", [](const Item& item, Output<Line>& out) { out.push({item.key, {}}); }).outlet("lines");
  items.to("function", {.workers = 2}, pass_on).to<&pass_on>("same").outlet("more");
  pipeline.source<Good>("good");
  pipeline.source("lambda-too", [](Output<Bytes>& out) {
    out.push("text");
    return sluice::SourceState::end;
  });
  worker.table<std::uint32_t, Item>("table", 10);
  worker.table<Hashed, Item>("hashed", 10)[Hashed{}].key = 1;
  items.to("many", [](std::span<const Item> many, Output<Item>& out) { out.push(many); }).outlet("all");
#elif MISUSE == 1  // Another type of event than the stream carries.
  struct HandleOther {
    void operator()(const Other&) const;
  };
  items.to<HandleOther>("handle");
#elif MISUSE == 2  // An event that cannot be copied as bytes.
  pipeline.inlet<Text>("text");
#elif MISUSE == 3  // A handler of such an event.
  struct HandleText {
    void operator()(const Text&) const;
  };
  items.to<HandleText>("handle");
#elif MISUSE == 4  // A key with padding, whose bytes are not its value.
  items.by([](const Item&) { return Padded{}; });
#elif MISUSE == 5  // A source that returns no answer it can be asked for.
  struct Bad {
    int operator()(Output<Item>&);
  };
  pipeline.source<Bad>("bad");
#elif MISUSE == 6  // A class that is no handler: its second parameter is no output.
  struct NoHandler {
    void operator()(const Item&, int);
  };
  items.to<NoHandler>("handle");
#elif MISUSE == 7  // Arguments that the handler does not take.
  struct Demanding {
    explicit Demanding(sluice::Worker&, int);
    void operator()(const Item&) const;
  };
  items.to<Demanding>("handle", std::string{"text"});
#endif
}

void events_keys_and_state([[maybe_unused]] sluice::Pipeline& pipeline,
                           [[maybe_unused]] sluice::Worker& worker) {
  [[maybe_unused]] const auto items = pipeline.inlet<Item>("items");
#if MISUSE == 8  // An event that says where something is, in this process only.
  pipeline.inlet<std::string_view>("view");
#elif MISUSE == 9   // The same as a key that is kept.
  worker.table<std::string_view, int>("table", 10);
#elif MISUSE == 10  // The same as state.
  worker.state<const char*>("pointer");
#elif MISUSE == 11  // State that cannot be copied as bytes.
  worker.state<std::string>("text");
#elif MISUSE == 12  // A key that cannot be compared.
  struct NoEquality {
    std::uint32_t value;
  };
  worker.table<NoEquality, int>("table", 10);
#elif MISUSE == 13  // A key of another type of event.
  items.by(&Other::key);
#elif MISUSE == 15  // A pointer among the members of an event.
  struct Named {
    std::uint64_t number;
    const char* name;
  };
  pipeline.inlet<Named>("named");
#elif MISUSE == 26  // A view among the members of an event.
  struct Labelled {
    char kind[8];
    std::string_view label;
  };
  pipeline.inlet<Labelled>("labelled");
#elif MISUSE == 28  // A key whose equality is its own, without the hash that belongs to it.
  struct Folded {
    char text[8];
    bool operator==(const Folded& other) const { return (text[0] | 0x20) == (other.text[0] | 0x20); }
  };
  worker.table<Folded, int>("table", 10);
#elif MISUSE == 29  // One that can be computed at compile time, and ignores a member.
  struct Noted {
    std::uint32_t key;
    std::uint32_t note;
    constexpr bool operator==(const Noted& other) const { return key == other.key; }
  };
  worker.table<Noted, int>("table", 10);
#elif MISUSE == 34  // One that ties two members together.
  struct Pair {
    std::uint32_t a;
    std::uint32_t b;
    constexpr bool operator==(Pair o) const { return (a == o.a && b == o.b) || (a == o.b && b == o.a); }
  };
  worker.table<Pair, int>("table", 10);
#elif MISUSE == 27  // Only the engine makes a Worker.
  sluice::Worker made{worker};
#endif
}

void keys_and_merges([[maybe_unused]] sluice::Pipeline& pipeline, [[maybe_unused]] sluice::Worker& worker) {
  [[maybe_unused]] const auto items = pipeline.inlet<Item>("items");
#if MISUSE == 37  // One with padding, whose bytes are not its value.
  struct Mixed {
    char a;
    int b;
    bool operator==(const Mixed&) const = default;
  };
  worker.table<Mixed, int>("table", 10)[Mixed{}] = 1;
#elif MISUSE == 38  // A number whose bytes are not its value.
  worker.table<double, int>("table", 10)[0.5] = 1;
#elif MISUSE == 39  // Text that lies elsewhere.
  worker.table<std::string, int>("table", 10);
#elif MISUSE == 40  // Text that cannot be copied by an assignment.
  worker.table<char[8], int>("table", 10);
#elif MISUSE == 41  // Streams of two types of events.
  items.merge(pipeline.inlet<Other>("others"));
#elif MISUSE == 43  // A route that no stream has.
  items.by(&Item::key);
  items.to<Handle>("handle");
#elif MISUSE == 44
  items.broadcast();
#elif MISUSE == 45  // Streams that are not joined.
  items.merge(pipeline.inlet<Item>("more"));
#endif
}

void shapes([[maybe_unused]] sluice::Pipeline& pipeline, [[maybe_unused]] sluice::Worker& worker) {
  [[maybe_unused]] const auto items = pipeline.inlet<Item>("items");
#if MISUSE == 14  // A last word of another shape, which would never be said.
  struct FinishesAlone {
    void operator()(const Item&, Output<Item>& out);
    void finish();
  };
  items.to<FinishesAlone>("handle");
#elif MISUSE == 16  // Two ways to be called.
  struct Twice {
    void operator()(const Item&, Output<Item>& out);
    void operator()(const Other&, Output<Item>& out);
  };
  items.to<Twice>("handle");
#elif MISUSE == 17  // A source that has nothing to push to.
  struct Mute {
    bool operator()();
  };
  pipeline.source<Mute>("mute");
#elif MISUSE == 18  // A handler that nobody else may make.
  class Closed {
   public:
    void operator()(const Item&) const;

   private:
    Closed();
  };
  items.to<Closed>("handle");
#elif MISUSE == 42  // What it returns would go nowhere.
  struct Returns {
    Item operator()(const Item& item) const { return item; }
  };
  items.to<Returns>("handle");
#elif MISUSE == 19  // A copy of an output.
  struct ByValue {
    void operator()(const Item&, Output<Item> out);
  };
  items.to<ByValue>("handle");
#endif
}

void wide_handlers([[maybe_unused]] sluice::Pipeline& pipeline, [[maybe_unused]] sluice::Worker& worker) {
  [[maybe_unused]] const auto items = pipeline.inlet<Item>("items");
#if MISUSE == \
    33  // State that is recovered, an object that changes, a span, a last word: each has a sentence of its own.
  struct Counts {
    explicit Counts(sluice::Worker&);
    void operator()(std::span<const Item>, Output<Item>&);
    void finish(Output<Item>&);
  };
  items.to<sluice::Wide<Counts>>("count", {.threads = 2});
#endif
}

void callables([[maybe_unused]] sluice::Pipeline& pipeline, [[maybe_unused]] sluice::Worker& worker) {
  [[maybe_unused]] const auto items = pipeline.inlet<Item>("items");
#if MISUSE == 20  // A lambda whose captures would be lost with its worker.
  std::uint64_t count = 0;
  items.to("count", [&count](const Item&) { ++count; });
#elif MISUSE == 21  // A lambda that does not say what it takes.
  items.to("any", [](const auto&) {});
#elif MISUSE == 22  // A class without a call.
  items.to<Item>("handle");
#elif MISUSE == 23  // An event that the handler would change.
  struct Changes {
    void operator()(Item& item);
  };
  items.to<Changes>("handle");
#elif MISUSE == 24  // A handler that takes no event.
  items.to<Good>("handle");
#elif MISUSE == 25  // An output of what is no event.
  struct PushesText {
    void operator()(const Item&, Output<std::string>& out);
  };
  items.to<PushesText>("handle");
#elif MISUSE == 30  // Many events that the handler would change.
  items.to("many", [](std::span<Item>) {});
#elif MISUSE == 31  // Many records.
  pipeline.inlet<Bytes>("bytes").to("many", [](std::span<const Bytes>) {});
#elif MISUSE == 32  // Many events of another type.
  items.to("many", [](std::span<const Other>) {});
#endif
}

#if MISUSE == 0 || MISUSE == 35 || MISUSE == 36
struct Wide {
#if MISUSE == 35  // More bits than text is read into.
  unsigned __int128 number;
#elif MISUSE == 36
  long double number;
#else
  std::uint64_t number;
#endif
};
const sluice::Fields<Wide> wide{{"number", &Wide::number}};
#endif
