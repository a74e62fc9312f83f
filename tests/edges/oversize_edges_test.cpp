// SPDX-License-Identifier: Apache-2.0
// An event that does not fit is a dead letter with that reason, not the end; or the end, if the user says so.
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class Oversized : public WithOutside {
 protected:
  // Runs the items 0 to 19, of which those with a number of 7 or 13 do not fit; the letters that come of it.
  std::vector<DeadLetter> letters_of(const Pipeline& pipeline, const std::vector<std::string>& assignments,
                                     std::size_t expected_out) {
    const auto out = run_processes<Item>(
        pipeline, items(20, 1), settings(assignments), [](Engine& engine, std::size_t pushed) {
          if (pushed != 20) return;
          EXPECT_TRUE(eventually([&] { return engine.stats().dead_letters() == 2; }));
        });
    EXPECT_THAT(out, SizeIs(expected_out));
    std::vector<DeadLetter> letters = find_dead_letters(file("reports"));
    EXPECT_THAT(letters, SizeIs(2));
    for (std::size_t i = 0; i < letters.size(); ++i)
      EXPECT_EQ(letters[i].position, (i == 0 ? 7 : 13) * sizeof(Item));
    return letters;
  }
  // The same with `oversize=stop`: what the host is told.
  std::string end_of(const Pipeline& pipeline, std::vector<std::string> assignments) {
    assignments.emplace_back("oversize=stop");
    Engine engine{pipeline, settings(assignments)};
    engine.start();
    Collector<Item> out{engine, "out"};
    auto in = engine.inlet<Item>("in");
    for (const Item& item : items(8, 1))
      std::ignore = in.push(item);
    return error_of([&] { engine.wait_for(kDeadline); });
  }
};

bool is_large(const Item& item) {
  return item.number == 7 || item.number == 13;
}

struct ToText {
  void operator()(const Item& item, Output<Bytes>& out) const {
    const std::string text(is_large(item) ? 5000 : 10, static_cast<char>('a' + item.number));
    out.push(Bytes{text});
  }
};
struct ToItem {
  void operator()(const Bytes& text, Output<Item>& out) const {
    out.push({0, static_cast<std::uint32_t>(text.text()[0] - 'a')});
  }
};

TEST_F(Oversized, RecordForItsLaneIsADeadLetter) {
  Pipeline pipeline{"texts"};
  pipeline.inlet<Item>("in").to<ToText>("text").to<ToItem>("item").outlet("out");
  const std::vector<std::string> small{"stage.item.lane.bytes=4096"};
  EXPECT_THAT(letters_of(pipeline, small, 18),
              Each(Field(&DeadLetter::cause,
                         AllOf(HasSubstr("of a lane of 4KiB"), HasSubstr("stage.item.lane.bytes=8KiB")))));
  EXPECT_THAT(end_of(pipeline, small), HasSubstr("stage.item.lane.bytes=8KiB"));
}

// What is too large for one of the stages behind it, it pushes once more, and short.
struct Shortens {
  void operator()(const Item& item, Output<Bytes>& out) const {
    const std::string text(is_large(item) ? 5000 : 10, static_cast<char>('a' + item.number));
    try {
      out.push(Bytes{text});
    } catch (const Error&) {
      out.push(std::string_view{text}.substr(0, 10));
    }
  }
};

TEST_F(Oversized, RecordThatOneOfSeveralLanesCannotTakeIsInNoneOfThem) {
  Pipeline pipeline{"texts"};
  const auto texts = pipeline.inlet<Item>("in").to<Shortens>("text");
  texts.to<ToItem>("takes-it").outlet("one");
  texts.to<ToItem>("cannot").outlet("other");
  const InlineRun run = run_inline(pipeline, items(20, 1), settings({"stage.cannot.lane.bytes=4096"}));
  EXPECT_THAT(run.events<Item>("one"), SizeIs(20));
  EXPECT_THAT(run.events<Item>("other"), SizeIs(20));
}

struct Many {
  void operator()(const Item& item, Output<Item>& out) const {
    for (int i = 0; i < (is_large(item) ? 600 : 1); ++i)
      out.push(item);
  }
};

TEST_F(Oversized, OutputOfOneEventForItsLaneIsADeadLetter) {
  Pipeline pipeline{"many"};
  pipeline.inlet<Item>("in").to<Many>("many").to<Echo>("echo").outlet("out");
  const std::vector<std::string> small{"stage.echo.lane.slots=512"};
  EXPECT_THAT(letters_of(pipeline, small, 18),
              Each(Field(&DeadLetter::cause, HasSubstr("one event makes more than a lane of 4KiB holds"))));
  EXPECT_THAT(end_of(pipeline, small), HasSubstr("stage.echo.lane.slots"));
}

// The outlet's lanes have no settings of their own: the advice must be one that can be followed.
TEST_F(Oversized, OutputForAnOutletIsAdvisedASettingThatThereIs) {
  Pipeline pipeline{"many"};
  pipeline.inlet<Item>("in").to<Many>("many").outlet("out");
  const std::vector<DeadLetter> letters = letters_of(pipeline, {"lane.slots=512"}, 18);
  EXPECT_THAT(letters, Each(Field(&DeadLetter::cause, HasSubstr("raise lane.slots or lane.bytes"))));
}

class Rows {
 public:
  explicit Rows(Worker& worker) : rows_{worker.table<std::uint32_t, std::uint32_t>("rows", 10)} {}
  void operator()(const Item& item, Output<Item>& out) {
    for (std::uint32_t row = 0; row < (is_large(item) ? 20U : 5U); ++row)
      ++rows_[row];
    out.push(item);
  }

 private:
  Table<std::uint32_t, std::uint32_t> rows_;
};

TEST_F(Oversized, NumberOfRowsForItsTableIsADeadLetterThatLeavesNoRowBehind) {
  Pipeline pipeline{"rows"};
  pipeline.inlet<Item>("in").to<Rows>("rows").outlet("out");
  EXPECT_THAT(letters_of(pipeline, {}, 18),
              Each(Field(&DeadLetter::cause, HasSubstr("all its 10 rows are taken"))));
  EXPECT_THAT(end_of(pipeline, {}), HasSubstr("all its 10 rows are taken"));
}

// Changes many large rows in one event. To make them costs the log little; the first event does.
class Scribble {
 public:
  using Text = std::array<char, 1024>;

  explicit Scribble(Worker& worker) : texts_{worker.table<std::uint32_t, Text>("texts", 32)} {}
  void operator()(const Item& item, Output<Item>& out) {
    for (std::uint32_t text = 0; text < (is_large(item) || item.number == 0 ? 20U : 1U); ++text)
      texts_[text][0] = static_cast<char>(item.number);
    out.push(item);
  }

 private:
  Table<std::uint32_t, Text> texts_;
};

TEST_F(Oversized, ChangeForItsUndoLogIsADeadLetter) {
  Pipeline pipeline{"scribble"};
  pipeline.inlet<Item>("in").to<Scribble>("scribble").outlet("out");
  EXPECT_THAT(letters_of(pipeline, {"undo.bytes=8KiB"}, 18),
              Each(Field(&DeadLetter::cause, HasSubstr("undo.bytes"))));
  EXPECT_THAT(end_of(pipeline, {"undo.bytes=8KiB"}), HasSubstr("undo.bytes"));
}

}  // namespace
}  // namespace sluice::test
