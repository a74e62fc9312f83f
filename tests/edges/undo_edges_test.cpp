// SPDX-License-Identifier: Apache-2.0
// Undo logs at their edges: state that one event changes again and again, and events that fit alone and not with others.
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class UndoEdges : public WithOutside {
 protected:
  // No directory is made for none.
  std::vector<DeadLetter> letters() const {
    const std::string reports = file("reports");
    return std::filesystem::exists(reports) ? find_dead_letters(reports) : std::vector<DeadLetter>{};
  }
};

// Writes many lines in its last word.
class LinePrinter {
 public:
  LinePrinter(Worker& worker, const std::filesystem::path& path)
      : file_{worker, "file", path}, lines_{worker.state<std::uint64_t>("lines")} {}
  void operator()(const Item&) {}
  void finish() {
    for (int line = 0; line < 50'000; ++line) {
      file_.append("line\n");
      ++lines_.edit();
    }
  }

 private:
  AppendFile file_;
  Recoverable<std::uint64_t> lines_;
};

TEST_F(UndoEdges, LastWordOfFiftyThousandLinesFitsASmallLog) {
  Pipeline pipeline{"printer"};
  const std::filesystem::path path = file("lines");
  pipeline.inlet<Item>("in").to<LinePrinter>("print", path);
  run_inline(pipeline, items(3, 1), settings({"undo.bytes=4KiB"}));
  EXPECT_EQ(std::filesystem::file_size(path), 250'000U);
}

// An event changes as many texts of a kibibyte as its number says; the log has room for seven of them.
class Texts {
 public:
  using Text = std::array<char, 1024>;

  explicit Texts(Worker& worker)
      : starts_{worker.state<std::uint64_t>("starts")},
        texts_{worker.table<std::uint32_t, Text>("texts", 32)} {
    ++starts_.edit();
  }
  void operator()(const Item& item, Output<Item>& out) {
    for (std::uint32_t text = 0; text < item.number; ++text)
      ++texts_[text][0];
    const Text* first = texts_.find(0);
    out.push({first != nullptr ? static_cast<std::uint32_t>((*first)[0]) : 0, item.number});
  }

 private:
  Recoverable<std::uint64_t> starts_;
  Table<std::uint32_t, Text> texts_;
};

// The same, with an effect outside before each commit.
class FlushedTexts {
 public:
  explicit FlushedTexts(Worker& worker) : texts_{worker} {
    worker.before_commit([] {});
  }
  void operator()(const Item& item, Output<Item>& out) { texts_(item, out); }

 private:
  Texts texts_;
};

// Handlers that catch what their state throws: one logs it and goes on, one makes another exception of it.
template <class Handler>
class GoesOn {
 public:
  explicit GoesOn(Worker& worker) : handler_{worker} {}
  void operator()(const Item& item, Output<Item>& out) {
    try {
      handler_(item, out);
    } catch (const std::exception&) {
      return;
    }
  }

 private:
  Handler handler_;
};
template <class Handler>
class Wraps {
 public:
  explicit Wraps(Worker& worker) : handler_{worker} {}
  void operator()(const Item& item, Output<Item>& out) {
    try {
      handler_(item, out);
    } catch (const std::exception& error) {
      throw std::runtime_error{std::string{"wrapped: "} + error.what()};
    }
  }

 private:
  Handler handler_;
};

// Takes many events at once, and goes on behind those that do not fit.
class SpansOfTexts {
 public:
  explicit SpansOfTexts(Worker& worker) : texts_{worker} {}
  void operator()(std::span<const Item> items, Output<Item>& out) {
    try {
      for (const Item& item : items)
        texts_(item, out);
    } catch (const std::exception&) {
      return;
    }
  }

 private:
  Texts texts_;
};

std::vector<Item> sizes_of_events() {
  std::vector<Item> events{{0, 7}};  // Makes the rows; all later ones change them.
  for (std::uint32_t i = 0; i < 60; ++i)
    events.push_back({0, i % 3 == 2 ? 6U : 1U + i % 3});
  return events;
}

void expect_each_once(const std::vector<Item>& out) {
  const std::vector<Item> sent = sizes_of_events();
  ASSERT_EQ(out.size(), sent.size());
  for (std::uint32_t i = 0; i < out.size(); ++i) {
    EXPECT_EQ(out[i].number, sent[i].number);
    EXPECT_EQ(out[i].key, i + 1) << "each event takes effect once";
  }
}

template <class Handler>
Pipeline texts_pipeline() {
  Pipeline pipeline{"texts"};
  pipeline.inlet<Item>("in").to<Handler>("texts").outlet("out");
  return pipeline;
}

const std::vector<std::string> kSmallLog{"undo.bytes=8KiB", "lane.slots=4K"};

TEST_F(UndoEdges, EventThatFitsAloneIsHandledAlone) {
  const auto out = run_processes<Item>(texts_pipeline<Texts>(), sizes_of_events(), settings(kSmallLog));
  expect_each_once(out);
  EXPECT_THAT(letters(), IsEmpty());
}

TEST_F(UndoEdges, EventOfAStageWithFlushesThatFitsAloneIsHandledAlone) {
  const auto out =
      run_processes<Item>(texts_pipeline<FlushedTexts>(), sizes_of_events(), settings(kSmallLog));
  expect_each_once(out);
  EXPECT_THAT(letters(), IsEmpty());
}

TEST_F(UndoEdges, RunInlineHandlesAloneWhatFitsAlone) {
  expect_each_once(
      run_inline(texts_pipeline<Texts>(), sizes_of_events(), settings(kSmallLog)).events<Item>("out"));
  expect_each_once(
      run_inline(texts_pipeline<FlushedTexts>(), sizes_of_events(), settings(kSmallLog)).events<Item>("out"));
}

// It finds the log full of those before it, and the Error does not come out of its handler: nothing of it is lost for that.
template <class Handler>
class CaughtUndo : public UndoEdges {};
using Catchers =
    ::testing::Types<GoesOn<Texts>, Wraps<Texts>, GoesOn<FlushedTexts>, Wraps<FlushedTexts>, SpansOfTexts>;
TYPED_TEST_SUITE(CaughtUndo, Catchers);

TYPED_TEST(CaughtUndo, EventThatFitsAloneTakesEffectOnceWhateverItsHandlerCatches) {
  const auto out =
      run_processes<Item>(texts_pipeline<TypeParam>(), sizes_of_events(), this->settings(kSmallLog));
  expect_each_once(out);
  EXPECT_THAT(this->letters(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(this->file("reports/deaths.jsonl"))) << "no worker dies for it";
  expect_each_once(run_inline(texts_pipeline<TypeParam>(), sizes_of_events(), this->settings(kSmallLog))
                       .template events<Item>("out"));
}

TYPED_TEST(CaughtUndo, EventThatDoesNotFitAloneIsADeadLetterWhateverItsHandlerCatches) {
  const std::vector<Item> events{{0, 20}, {0, 1}, {0, 20}, {0, 1}};
  const auto out = run_processes<Item>(
      texts_pipeline<TypeParam>(), events, this->settings(kSmallLog), [](Engine& engine, std::size_t pushed) {
        if (pushed != 4) return;
        EXPECT_TRUE(eventually([&] { return engine.stats().dead_letters() == 1; }));
      });
  EXPECT_THAT(out, SizeIs(3));
  const std::vector<DeadLetter> found = this->letters();
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].position, 2 * sizeof(Item));
  EXPECT_THAT(found[0].cause, HasSubstr("undo.bytes"));
}

// Its handler notes something whenever it is made: that must not make the event look as if it shared the log with others.
TEST_F(UndoEdges, EventThatDoesNotFitAloneIsRefusedInTheEnd) {
  // The first one makes the rows, which costs the log little.
  const std::vector<Item> events{{0, 20}, {0, 1}, {0, 20}, {0, 1}};
  const auto out = run_processes<Item>(
      texts_pipeline<Texts>(), events, settings(kSmallLog), [](Engine& engine, std::size_t pushed) {
        if (pushed != 4) return;
        EXPECT_TRUE(eventually([&] { return engine.stats().dead_letters() == 1; }));
      });
  EXPECT_THAT(out, SizeIs(3));
  const std::vector<DeadLetter> found = letters();
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].position, 2 * sizeof(Item));
  EXPECT_THAT(found[0].cause, HasSubstr("undo.bytes"));
  EXPECT_THAT(error_of([&] { run_inline(texts_pipeline<Texts>(), events, settings(kSmallLog)); }),
              HasSubstr("undo.bytes"));
}

}  // namespace
}  // namespace sluice::test
