// SPDX-License-Identifier: Apache-2.0
// Programs that must not compile, one for each value of MISUSE; 0 is the one that must, so that the others
// fail for their own reason. check_compile_fail.cmake compares what the compiler says.
#include <sluice/sluice.hpp>

struct Item {
  std::uint32_t key;
};
struct Other {
  std::uint32_t key;
};
struct Handle {
  void operator()(const Item&, sluice::Output<Item>& out) const;
};
struct HandleOther {
  void operator()(const Other&) const;
};
struct Text {
  std::string text;
};
struct HandleText {
  void operator()(const Text&) const;
};
struct Padded {
  char a;
  int b;
};
struct Good {
  bool operator()(sluice::Output<Item>&);
};
struct Bad {
  int operator()(sluice::Output<Item>&);
};
struct NoHandler {
  void operator()(int, int);
};
struct Demanding {
  explicit Demanding(sluice::Worker&, int);
  void operator()(const Item&) const;
};
struct NoEquality {
  std::uint32_t value;
};

void misuse(sluice::Pipeline& pipeline, sluice::Worker& worker) {
  const auto items = pipeline.inlet<Item>("items");
#if MISUSE == 0
  items.by(&Item::key).to<Handle>("handle").outlet("out");
  pipeline.source<Good>("good");
  worker.table<std::uint32_t, Item>("table", 10);
#elif MISUSE == 1   // Another type of event than the stream carries.
  items.to<HandleOther>("handle");
#elif MISUSE == 2   // An event that cannot be copied as bytes.
  pipeline.inlet<Text>("text");
#elif MISUSE == 3   // A handler of such an event.
  items.to<HandleText>("handle");
#elif MISUSE == 4   // A key with padding, whose bytes are not its value.
  items.by([](const Item&) { return Padded{}; });
#elif MISUSE == 5   // A source that returns no answer it can be asked for.
  pipeline.source<Bad>("bad");
#elif MISUSE == 6   // A class that is no handler.
  items.to<NoHandler>("handle");
#elif MISUSE == 7   // Arguments that the handler does not take.
  items.to<Demanding>("handle", std::string{"text"});
#elif MISUSE == 8   // An event that says where something is, in this process only.
  pipeline.inlet<std::string_view>("view");
#elif MISUSE == 9   // The same as a key that is kept.
  worker.table<std::string_view, int>("table", 10);
#elif MISUSE == 10  // The same as state.
  worker.state<const char*>("pointer");
#elif MISUSE == 11  // State that cannot be copied as bytes.
  worker.state<std::string>("text");
#elif MISUSE == 12  // A key that cannot be compared.
  worker.table<NoEquality, int>("table", 10);
#elif MISUSE == 13  // A key of another type of event.
  items.by(&Other::key);
#endif
  (void)items;
  (void)worker;
}
