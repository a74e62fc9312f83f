// SPDX-License-Identifier: Apache-2.0
// CSV: which rows become which events, exactly once, and what is reported about the others.
#include <sluice/connect/csv.hpp>

#include "errors.hpp"
#include "kill_count.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/files.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

struct Sale {
  std::uint32_t number = 0;
  std::int64_t cents = 0;
  bool paid = false;
  Text<24> name;
};

const Fields<Sale>& sale() {
  static const Fields<Sale> fields{{"number", &Sale::number},
                                   {"amount", scaled(&Sale::cents, 2)},
                                   {"paid", &Sale::paid, false},
                                   {"name", &Sale::name, false}};
  return fields;
}

class Csv : public WithProcesses {
 protected:
  // What comes of files, and what is reported.
  std::vector<Sale> read(const std::vector<std::string>& paths, std::vector<std::string>& problems) {
    Pipeline pipeline{"csv"};
    pipeline.source<CsvSource<Sale>>("read", FileSourceOptions{.paths = paths}, sale()).outlet("out");
    Settings settings = test_settings();
    settings.set("report.path", (directory_.path() / "reports").string());
    Engine engine{pipeline, settings};
    engine.start();
    Collector<Sale> out{engine, "out"};
    engine.wait();
    problems = engine.stats().problems;
    return out.all();
  }
  // The fault of one row behind the names "number,amount,name".
  std::string fault_of(const std::string& row) {
    std::vector<std::string> problems;
    const std::string path = directory_.write("row.csv", "number,amount,name\n" + row + "\n");
    const std::vector<Sale> all = read({path}, problems);
    EXPECT_EQ(all.size() + problems.size(), 1U);
    return problems.empty() ? std::string{} : problems[0];
  }

  TemporaryDirectory directory_;
  std::vector<std::string> problems_;
};

TEST_F(Csv, TakesColumnsByTheirNamesInAnyOrder) {
  const std::string first =
      directory_.write("a.csv", "number,amount,paid,name\n1,12.34,true,anna\n2,-0.5,0,\n");
  const std::string second = directory_.write(
      "b.csv.gz", gzip("\xef\xbb\xbfname,other,amount,number\r\n\"o, \"\"x\"\"\",z,7,3\r\n"));
  const std::vector<Sale> all = read({first, second}, problems_);
  EXPECT_THAT(problems_, IsEmpty());
  ASSERT_THAT(all, SizeIs(3));
  EXPECT_EQ(all[0].cents, 1234);
  EXPECT_TRUE(all[0].paid);
  EXPECT_EQ(all[0].name, "anna");
  EXPECT_EQ(all[1].cents, -50);
  EXPECT_EQ(all[1].name, "");
  EXPECT_EQ(all[2].number, 3U);
  EXPECT_EQ(all[2].cents, 700);
  EXPECT_EQ(all[2].name, "o, \"x\"");
}

// With the names of the file before it its rows would be others.
TEST_F(Csv, LeavesAFileOutWhoseNamesAreTooLong) {
  const std::string first = directory_.write("a.csv", "number,amount,name\n1,2,anna\n");
  const std::string second =
      directory_.write("b.csv", "amount,number," + std::string(1U << 20U, 'x') + "\n3,4,berta\n");
  const std::string third = directory_.write("c.csv", "name,amount,number\ncarla,6,5\n");
  const std::vector<Sale> all = read({first, second, third}, problems_);
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].number, 1U);
  EXPECT_EQ(all[1].number, 5U);
  EXPECT_THAT(problems_, ElementsAre(HasSubstr("b.csv: its first row is longer than max_line_bytes")));
}

struct Measure {
  double wide = 0;
  float narrow = 0;
};

// As the other formats have it: a sum that took one "nan" would be none for ever.
TEST_F(Csv, TakesDigitsForANumberAndNoWords) {
  const Fields<Measure> fields{{"wide", &Measure::wide}, {"narrow", &Measure::narrow}};
  const std::vector<std::string> good{"0", "-0", "1.5", "-12.25", "007", "1e5", "1E+5", "125e-2", "0.1"};
  const std::vector<std::string> bad{"nan",   "NaN", "-nan",  "nan(1)", "inf", "-Infinity", "1.",
                                     ".5",    "-",   "+1",    " 1",     "1 ",  "1,5",       "0x1p3",
                                     "1e",    "1e+", "1.e5",  "--1",    "1f",  "1e400",     "1e-400",
                                     "1_000", "٣",   "1.5.2", "e5",     "-.5"};
  std::string text = "wide,narrow\n";
  for (const auto* each : {&good, &bad}) {
    for (const std::string& number : *each)
      text.append("\"").append(number).append("\",1\n1,\"").append(number).append("\"\n");
  }
  Pipeline pipeline{"csv"};
  pipeline
      .source<CsvSource<Measure>>("read", FileSourceOptions{.paths = {directory_.write("n.csv", text)}},
                                  fields)
      .outlet("out");
  Engine engine{pipeline, test_settings()};
  engine.start();
  Collector<Measure> out{engine, "out"};
  engine.wait();
  const std::vector<Measure> all = out.all();
  ASSERT_THAT(all, SizeIs(2 * good.size()));
  for (std::size_t i = 0; i < good.size(); ++i) {
    EXPECT_EQ(all[2 * i].wide, std::stod(good[i]));
    EXPECT_EQ(all[2 * i + 1].narrow, std::stof(good[i]));
  }
  EXPECT_EQ(engine.stats().problem_count, 2 * bad.size());
}

TEST_F(Csv, KeepsNewlinesWithinQuotes) {
  const std::string path =
      directory_.write("a.csv", "number,\"amount\",name\n1,1,\"two\nlines\"\n2,2,\"\n\n\"\n3,3,x\n");
  const std::vector<Sale> all = read({path}, problems_);
  EXPECT_THAT(problems_, IsEmpty());
  ASSERT_THAT(all, SizeIs(3));
  EXPECT_EQ(all[0].name, "two\nlines");
  EXPECT_EQ(all[1].name, "\n\n");
  EXPECT_EQ(all[2].number, 3U);
}

// As other readers of CSV do it: the last lines of files that people made are often blank. In a file of one column it is a value.
TEST_F(Csv, PassesOverBlankLines) {
  const std::string path = directory_.write("a.csv", "number,amount,name\n1,1,a\n\n2,2,b\r\n\r\n\n");
  EXPECT_THAT(read({path}, problems_), SizeIs(2));
  EXPECT_THAT(problems_, IsEmpty());
  struct One {
    std::uint32_t number = 0;
  };
  detail::CsvReader one{Fields<One>{{"number", &One::number}}.named()};
  EXPECT_EQ(one.read_names("number"), "");
  EXPECT_FALSE(one.is_blank(""));
}

// All of such a file would be its first row, and none of its rows missing.
TEST_F(Csv, ReportsAFileWhoseLinesEndByCarriageReturnsAlone) {
  const std::string path = directory_.write("a.csv", "number,amount,name\r1,1,a\r2,2,b\r");
  EXPECT_THAT(read({path}, problems_), IsEmpty());
  EXPECT_THAT(problems_, ElementsAre(HasSubstr("its first row: column 3: a carriage return within a field")));
}

TEST_F(Csv, ReportsRowsThatMakeNoEvent) {
  EXPECT_EQ(fault_of("1,2,x"), "");
  EXPECT_EQ(fault_of("1,2,"), "");
  EXPECT_THAT(fault_of("1,2"), HasSubstr("row.csv, line 2: 2 columns, and the first row has 3"));
  EXPECT_THAT(fault_of("1,2,x,y"), HasSubstr("4 columns"));
  EXPECT_THAT(fault_of(",2,x"), HasSubstr("number: it is missing"));
  EXPECT_THAT(fault_of("\"\",2,x"), HasSubstr("number: no whole number"));
  EXPECT_THAT(fault_of("x,2,x"), HasSubstr("number: no whole number of 32 bits and not negative: x"));
  EXPECT_THAT(fault_of("1,2.345,x"),
              HasSubstr("amount: it has too many digits behind the point (2 are kept): 2.345"));
  EXPECT_THAT(fault_of("1,2,a\"b"), HasSubstr("column 3: a quote within a field"));
  EXPECT_THAT(fault_of("1,\"2\"3,x"), HasSubstr("column 2: something behind its quotes"));
  EXPECT_THAT(fault_of("1,2,a name that is far too long for it"), HasSubstr("name: 34 bytes, more than 24"));
}

TEST_F(Csv, LosesNoRowsBehindOneWithAStrayQuote) {
  const std::string path = directory_.write("a.csv",
                                            "number,amount,name\n1,1,5\" pipe\n2,2,x\n3,3,a\"b\n4,4,\"y\"\n"
                                            "5,5,\"a\"b\"c\n6,6,z\n");
  const std::vector<Sale> all = read({path}, problems_);
  EXPECT_THAT(problems_,
              ElementsAre(HasSubstr("line 2: column 3: a quote within a field: it was left out"),
                          HasSubstr("line 4: column 3: a quote within a field: it was left out"),
                          HasSubstr("line 6: column 3: something behind its quotes: it was left out")));
  ASSERT_THAT(all, SizeIs(3));
  EXPECT_EQ(all[0].number, 2U);
  EXPECT_EQ(all[1].number, 4U);
  EXPECT_EQ(all[2].number, 6U);
}

TEST_F(Csv, SaysHowManyLinesAFieldThatIsNotClosedTakesAlong) {
  const std::string path =
      directory_.write("a.csv", "number,amount,name\n1,1,\"open\n2,2,x\n3,3,y\n4,4,\"z\"\n5,5,w\n");
  const std::vector<Sale> all = read({path}, problems_);
  EXPECT_THAT(problems_,
              ElementsAre(HasSubstr("line 2: column 3: something behind its quotes: it and 3 more within "
                                    "its quotes were left out")));
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].number, 5U);
}

TEST_F(Csv, LeavesOutARowThatIsTooLongWithTheNewlinesInItsQuotes) {
  std::string lines;  // Which would be rows, if they stood alone.
  while (lines.size() < 1'000'000)
    lines += "7,7,within\n";
  const std::string path = directory_.write(
      "a.csv", "number,amount,name\n1,1,a\n2,2,\"" + lines + "\"\"\n" + lines + "\"\n3,3,b\n");
  const std::vector<Sale> all = read({path}, problems_);
  EXPECT_THAT(problems_, ElementsAre(HasSubstr("line 3: 20000")));
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].number, 1U);
  EXPECT_EQ(all[1].number, 3U);
}

TEST_F(Csv, IsNotReadFromPrefixedRecords) {
  Pipeline pipeline{"csv"};
  const std::string path = directory_.write("a.csv", "number\n");
  pipeline
      .source<CsvSource<Sale>>(
          "read", FileSourceOptions{.paths = {path}, .framing = Framing::length_prefixed}, sale())
      .outlet("out");
  EXPECT_THAT(error_of([&] {
                Engine engine{pipeline, test_settings()};
                engine.start();
                engine.wait();
              }),
              HasSubstr("rows are lines"));
}

TEST_F(Csv, LeavesOutFilesWhoseNamesDoNotFit) {
  const std::string missing = directory_.write("a.csv", "number,name\n1,x\n");
  const std::string twice = directory_.write("b.csv", "number,amount,amount\n1,2,3\n");
  const std::string empty = directory_.write("c.csv", "");
  const std::string good = directory_.write("d.csv", "number,amount\n4,2\n");
  const std::vector<Sale> all = read({missing, twice, empty, good}, problems_);
  EXPECT_THAT(problems_, ElementsAre(HasSubstr("a.csv: it has no column amount: it was left out"),
                                     HasSubstr("b.csv: it has two columns amount")));
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_EQ(all[0].number, 4U);
}

TEST_F(Csv, MakesEachRowAnEventOnceWhileItsWorkerIsKilled) {
  constexpr std::uint32_t kRowsAKill = 1'000;
  const std::uint32_t rows = (kills_asked(28) + 2) * kRowsAKill;
  std::string plain = "number,name,amount\n";
  std::string other = "amount,number\n";
  for (std::uint32_t row = 0; row < rows; ++row) {
    (row % 2 == 0 ? plain : other) +=
        row % 2 == 0 ? std::to_string(row) + ",\"a\n\",1.25\n" : "1.25," + std::to_string(row) + "\n";
  }
  Pipeline pipeline{"csv"};
  pipeline
      .source<CsvSource<Sale>>("read",
                               FileSourceOptions{.paths = {directory_.write("a.csv", plain),
                                                           directory_.write("b.csv.zst", zstd(other))}},
                               sale())
      .outlet("out");
  // Lanes so small that the source cannot run ahead of the host, which kills it at every thousandth row.
  Settings settings = test_settings();
  settings.set("lane.slots", "256");
  Engine engine{pipeline, settings};
  engine.start();
  auto out = engine.outlet<Sale>("out");
  std::vector<Sale> all;
  all.reserve(rows);
  for (std::size_t next = kRowsAKill; !out.ended();) {
    out.wait(100ms);
    out.poll([&](const Sale& sale) { all.push_back(sale); });
    // One that has read everything is not replaced.
    if (all.size() < next || next > rows - 2 * kRowsAKill) continue;
    const std::uint32_t incarnation = worker_of(engine, "read/0").incarnation;
    if (!engine.signal_worker("read/0", SIGKILL)) continue;
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "read/0").incarnation != incarnation; }));
    next += kRowsAKill;
  }
  engine.wait();
  EXPECT_GT(worker_of(engine, "read/0").restarts + 3, rows / kRowsAKill);
  ASSERT_THAT(all, SizeIs(rows));
  for (std::uint32_t row = 0; row < rows; ++row) {
    const std::uint32_t number = row < rows / 2 ? 2 * row : 2 * (row - rows / 2) + 1;
    ASSERT_EQ(all[row].number, number);
    ASSERT_EQ(all[row].cents, 125);
  }
  EXPECT_THAT(engine.stats().problems, IsEmpty());
}

}  // namespace
}  // namespace sluice::test
