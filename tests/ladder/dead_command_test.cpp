// SPDX-License-Identifier: Apache-2.0
// `sluice dead export`, `import` and `debug`: a letter goes out and comes back as it was, nothing else is taken for one, and a
// debugger sees its handler die.
#include <random>

#include <sluice/dead_letter.hpp>

#include "commands.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

class DeadCommand : public WithCommands {
 protected:
  // The program dies of "question", and has a letter.
  void make_a_letter() const {
    write("lines.txt", "to be is the question\n");
    EXPECT_EQ(run("dead-letters --quiet").status, 1);
    EXPECT_EQ(text_of("survived.txt"), kSurvived);
  }
  void write_letters(const std::string& name, const std::vector<DeadLetter>& letters) const {
    std::string bytes;
    for (const DeadLetter& letter : letters)
      bytes += encode(letter);
    write(name, bytes);
  }
  static DeadLetter letter_of(const std::string& payload) {
    DeadLetter letter;
    letter.stage = "split";
    letter.replica = 2;
    letter.replicas = 3;
    letter.from = "read/0";
    letter.position = 18'446'744'073'709'551'615U;
    letter.type = "sluice::Bytes";
    letter.record = true;
    letter.attempts = 3;
    letter.signal = 11;
    letter.cause = "signal 11 \"here\"\n\x1b[31m\\";
    letter.backtrace = "a+0x1\nb+0x2\n";
    letter.time = std::chrono::system_clock::time_point{std::chrono::nanoseconds{1'700'000'000'123'456'789}};
    letter.payload = payload;
    return letter;
  }
  // Of a file that `sluice dead import` is given.
  std::string refusal_of(const std::string& lines) const {
    write("lines.jsonl", lines);
    const Ran ran = run("sluice dead import lines.jsonl made.dead");
    EXPECT_EQ(ran.status, 2) << ran.out;
    EXPECT_FALSE(fs::exists(file("made.dead"))) << ran.out;
    EXPECT_FALSE(fs::exists(file("made.dead.part"))) << ran.out;
    return ran.out;
  }

  static constexpr const char* kSurvived = "to\nbe\nis\nthe\n";
};

// Another program under the name, as after a build, has other functions at the same places.
TEST_F(DeadCommand, ShowsNoNamesOfAProgramThatWasRebuilt) {
  write("lines.txt", "to be is the question\n");
  ASSERT_EQ(run("cp \"$(command -v dead-letters)\" mortal && ./mortal --quiet").status, 1);
  EXPECT_THAT(run("sluice dead show sluice-reports 1").out,
              AllOf(HasSubstr("in mortal\n"), Not(HasSubstr("rebuilt"))));
  ASSERT_EQ(run("cp \"$(command -v two-outputs)\" mortal").status, 0);
  EXPECT_THAT(run("sluice dead show sluice-reports 1").out,
              AllOf(HasSubstr("/mortal+0x"), HasSubstr("was rebuilt since"), Not(HasSubstr("in mortal\n"))));
  ASSERT_EQ(run("cp \"$(command -v dead-letters)\" mortal").status, 0);
  EXPECT_THAT(run("sluice dead show sluice-reports 1").out, HasSubstr("in mortal\n")) << "it is back";
}

TEST_F(DeadCommand, ExportsLettersAndImportsThemAsTheyWere) {
  std::mt19937 random{7};
  std::vector<DeadLetter> letters;
  for (const char* const payload :
       {"", "plain", "two\nlines", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80", "no text: \xff\xc3",
        "\\x41 \\\\x41", "turned \xe2\x80\xae around", "\x1b[31m"})
    letters.push_back(letter_of(payload));
  for (int size = 0; size < 50; ++size) {
    std::string bytes;
    for (int i = 0; i < size; ++i)
      bytes += static_cast<char>(random());
    letters.push_back(letter_of(bytes));
  }
  for (std::size_t i = 1; i < letters.size(); i += 2)  // The others are as a former version wrote them.
    letters[i].event = {0x123456789abcdef0, 1000 + i};
  write_letters("all.dead", letters);
  const Ran out = run("sluice dead export all.dead > all.jsonl && sluice dead import all.jsonl again.dead");
  EXPECT_EQ(out.status, 0) << out.out;
  EXPECT_EQ(out.out, "58 dead letters in again.dead\n");
  EXPECT_EQ(text_of("again.dead"), text_of("all.dead"));
  EXPECT_EQ(fs::status(file("again.dead")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  const std::string lines = text_of("all.jsonl");
  EXPECT_THAT(lines,
              AllOf(HasSubstr(R"("schema":1,"stage":"split","replica":2,"replicas":3,"from":"read/0",)"),
                    HasSubstr(R"("position":"18446744073709551615")"),
                    HasSubstr(R"("event":"123456789.171.823.752.1001","type")"),
                    HasSubstr(R"("encoding":"utf-8","payload":"plain"})"),
                    HasSubstr(R"("time":"2023-11-14T22:13:20.123456Z","time_ns":"1700000000123456789")"),
                    HasSubstr(R"("encoding":"base64","payload":"bm8gdGV4dDog/8M="})")));
  EXPECT_THAT(lines, Not(HasSubstr("\x1b")));
  EXPECT_EQ(run("cat all.jsonl | sluice dead import - third.dead").status, 0);
  EXPECT_EQ(text_of("third.dead"), text_of("all.dead"));
}

TEST_F(DeadCommand, HoldsOneLetterAtATime) {
  constexpr std::size_t kLetters = 64;
  constexpr std::size_t kBytes = std::size_t{1} << 20;
  std::string bytes;
  for (std::size_t i = 0; i < kLetters; ++i)
    bytes += encode(letter_of(std::string(kBytes, static_cast<char>('a' + i % 26))));
  write("all.dead", bytes);
  const std::string within = within_mib(96);
  EXPECT_EQ(run(within + "sluice dead list all.dead | wc -l").out, "65\n");
  EXPECT_EQ(run(within + "sluice dead show all.dead 27 | grep -c '|aaaaaaaaaaaaaaaa|'").out, "65536\n");
  const Ran ran = run(within +
                      "sluice dead export all.dead > all.jsonl && "
                      "sluice dead import all.jsonl again.dead && cmp all.dead again.dead");
  EXPECT_EQ(ran.status, 0) << ran.out;
}

// What a shell has read itself, its children with it, the kernel tells (proc(5), rchar).
TEST_F(DeadCommand, ListsLettersReadingEachOnce) {
  constexpr std::size_t kLetters = 16;
  constexpr std::size_t kBytes = std::size_t{1} << 20;
  std::string bytes;
  for (std::size_t i = 0; i < kLetters; ++i)
    bytes += encode(letter_of(std::string(kBytes, 'a')));
  write("all.dead", bytes);
  const Ran ran = run("sluice dead list all.dead > list.txt; sed -n 's/^rchar: //p' /proc/$$/io");
  ASSERT_EQ(ran.status, 0) << ran.out;
  const unsigned long long read = std::stoull(ran.out);
  EXPECT_GT(read, kLetters * kBytes);
  EXPECT_LT(read, kLetters * kBytes * 3 / 2);
}

TEST_F(DeadCommand, ImportsWhatRetryTakes) {
  make_a_letter();
  EXPECT_EQ(
      run("sluice dead export sluice-reports > letters.jsonl && sluice dead import letters.jsonl again.dead")
          .status,
      0);
  fs::rename(file("sluice-reports"), file("first"));
  write("lines.txt", "that\n");
  const Ran retried = run("sluice dead retry again.dead -- dead-letters --quiet");
  EXPECT_EQ(retried.status, 1) << retried.out;
  EXPECT_THAT(run("sluice dead list sluice-reports").out, HasSubstr("signal 11 (Segmentation fault)"));
  EXPECT_THAT(run("sluice dead show sluice-reports 1").out, HasSubstr("attempts   6"));
  EXPECT_EQ(text_of("survived.txt"), "that\n");
  EXPECT_THAT(run("sluice dead export again.dead").out, HasSubstr(R"("retried":true)"));
}

TEST_F(DeadCommand, ImportsNothingOfLinesThatAreNotAllLetters) {
  write_letters("one.dead", {letter_of("plain")});
  const std::string line = run("sluice dead export one.dead").out;
  const auto with = [&](const std::string& what, const std::string& by) {
    std::string changed = line;
    const std::size_t at = changed.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    return changed.replace(at, what.size(), by);
  };
  EXPECT_THAT(
      refusal_of(line + with("\"schema\":1", "\"schema\":2")),
      AllOf(HasSubstr("line 2 of lines.jsonl"), HasSubstr("its schema is 2, and this program reads 1"),
            HasSubstr("nothing was imported")));
  for (const std::size_t bytes : {line.size() - 2, line.size() / 2, std::size_t{1}})
    EXPECT_THAT(refusal_of(line + line.substr(0, bytes)), AllOf(HasSubstr("line 2"), HasSubstr("cut off")))
        << bytes;
  EXPECT_THAT(refusal_of(with("\"from\"", "\"form\"")), HasSubstr("it has no member \"from\""));
  EXPECT_THAT(refusal_of(with("\"replica\":2", "\"replica\":3")), HasSubstr("it is of worker 3 of 3"));
  EXPECT_THAT(refusal_of(with("\"replica\":2", "\"replica\":-2")), HasSubstr("no such number"));
  EXPECT_THAT(refusal_of(with("\"record\":true", "\"record\":1")), HasSubstr("is no flag"));
  EXPECT_THAT(refusal_of(with("\"record\":true", "\"record\":false")), HasSubstr("its payload has 5 bytes"));
  for (const char* const name : {"1.2", "1.2.3.4.5", "x", "123456789.256.0.0.1"}) {
    EXPECT_THAT(refusal_of(with("\"type\"", "\"event\":\"" + std::string{name} + "\",\"type\"")),
                HasSubstr("no name of an event"));
  }
  EXPECT_THAT(refusal_of(with("utf-8", "latin-1")), HasSubstr("neither \"utf-8\" nor \"base64\""));
  EXPECT_THAT(refusal_of(with("utf-8", "base64")), HasSubstr("base64 comes in fours"));
  EXPECT_THAT(refusal_of(with("plain",
                              "pl\xff"
                              "in")),
              HasSubstr("is no UTF-8"));
  EXPECT_THAT(refusal_of(with("plain", "\\ud800")), HasSubstr("line 1 of"));
  EXPECT_THAT(refusal_of("[1]\n"), HasSubstr("there is no '{'"));
  EXPECT_THAT(refusal_of(""), HasSubstr("there is no line in it"));
  EXPECT_THAT(refusal_of(line + "\n" + line), HasSubstr("line 2"));
  EXPECT_THAT(
      run("rm lines.jsonl; truncate -s 100M lines.jsonl && sluice dead import lines.jsonl made.dead").out,
      HasSubstr("longer than a letter whose payload has 67108864 bytes"));
  write("lines.jsonl", line);
  write("there.dead", "mine");
  EXPECT_THAT(run("sluice dead import lines.jsonl there.dead").out, HasSubstr("File exists"));
  EXPECT_EQ(text_of("there.dead"), "mine");
  EXPECT_FALSE(fs::exists(file("there.dead.part")));
  EXPECT_THAT(run("sluice dead import lines.jsonl letters").out, HasSubstr("does not end in .dead"));
  EXPECT_THAT(run("sluice dead import /dev/zero made.dead").out, HasSubstr("no regular file"));
}

TEST_F(DeadCommand, LeavesNothingOfAnImportThatIsKilledAndDoesTheNext) {
  write_letters("one.dead", {letter_of("plain")});
  const Ran killed =
      run("sluice dead export one.dead > all.jsonl; mkfifo fifo; mkdir made; sluice dead import - "
          "made/again.dead < fifo & "
          "exec 3> fifo; cat all.jsonl >&3; until ls -l /proc/$!/fd | grep -q /made/; do sleep 0.01; done; "
          "kill -KILL $!; wait; exec 3>&-; ls made; sluice dead import all.jsonl made/again.dead && ls made");
  EXPECT_EQ(killed.status, 0) << killed.out;
  EXPECT_THAT(killed.out, testing::EndsWith("1 dead letter in made/again.dead\nagain.dead\n"));
  EXPECT_EQ(text_of("made/again.dead"), text_of("one.dead"));
}

TEST_F(DeadCommand, WritesOverNoFileThatAnotherHasMadeMeanwhile) {
  write_letters("one.dead", {letter_of("plain")});
  const Ran late =
      run("sluice dead export one.dead > all.jsonl; mkfifo fifo; mkdir made; (sluice dead import - "
          "made/again.dead < fifo; "
          "echo status $?) & exec 3> fifo; cat all.jsonl >&3; echo other > made/again.dead; exec 3>&-; wait; "
          "ls made");
  EXPECT_THAT(late.out, AllOf(HasSubstr("made/again.dead: File exists (name one that is not there yet)"),
                              testing::EndsWith("status 2\nagain.dead\n")));
  EXPECT_EQ(text_of("made/again.dead"), "other\n");
}

TEST_F(DeadCommand, ShowsTheNamesOfABacktraceOfAProgramThatWasFoundInPath) {
  make_a_letter();
  const std::string shown = run("cd / && sluice dead show '" + file("sluice-reports").string() + "' 1").out;
  EXPECT_THAT(shown, HasSubstr("Write::operator()(sluice::Text<32"));
}

TEST_F(DeadCommand, SaysInOneLineWhatOfTheEngineIsBelowTheHandler) {
  make_a_letter();
  const std::string shown = run("sluice dead show sluice-reports 1").out;
  EXPECT_THAT(shown, AllOf(HasSubstr("Write::operator()"), HasSubstr("HandlerRunner<Write"),
                           Not(HasSubstr("WorkerLoop")), Not(HasSubstr(" main+"))));
  EXPECT_THAT(shown, testing::ContainsRegex("\n\\.\\.\\. [0-9]+ frames of the engine\n$"));
  const std::string report = run("sluice deaths show sluice-reports 1").out;
  EXPECT_THAT(report, AllOf(HasSubstr("Write::operator()"), Not(HasSubstr("WorkerLoop"))));
  EXPECT_THAT(report, testing::ContainsRegex("\n  \\.\\.\\. [0-9]+ frames of the engine\n$"));
  EXPECT_THAT(run("sluice deaths list sluice-reports --json").out, HasSubstr("WorkerLoop"))
      << "programs get all";
}

TEST_F(DeadCommand, RunsTheHandlerOnOneLetterSoThatItDiesUnderAnyProgram) {
  make_a_letter();
  const Ran ran =
      run(R"(sluice dead debug sluice-reports 1 -- sh -c '"$@"; echo "status $?"' sh dead-letters --quiet)");
  EXPECT_THAT(ran.out, HasSubstr("status 139"));
  EXPECT_EQ(text_of("survived.txt"), kSurvived) << "what an AppendFile holds is left alone";
  EXPECT_THAT(run("sluice dead list sluice-reports").out, HasSubstr(" no ")) << "it is not retried";
  EXPECT_THAT(run("sluice dead debug sluice-reports 2 -- dead-letters").out, HasSubstr("there is 1 in"));
  EXPECT_THAT(run("sluice dead debug sluice-reports 1").out, HasSubstr("there is no program behind --"));
  EXPECT_THAT(run("sluice dead debug sluice-reports 1 -- copy").out,
              HasSubstr("retry it with a pipeline whose stage takes such events"));
}

TEST_F(DeadCommand, SaysThatTheHandlerOfALetterHasNotDied) {
  make_a_letter();
  EXPECT_EQ(run("sluice dead export sluice-reports > out.jsonl").status, 0);
  std::string line = text_of("out.jsonl");
  const std::string question = "cXVlc3Rpb24";  // "question" as base64, up to a digit that it shares.
  ASSERT_NE(line.find(question), std::string::npos);
  line.replace(line.find(question), question.size(), "Y3Vlc3Rpb24");
  write("out.jsonl", line);
  EXPECT_EQ(run("sluice dead import out.jsonl other.dead").status, 0);
  EXPECT_THAT(run("sluice dead debug other.dead 1 -- dead-letters").out,
              HasSubstr("its handler has not died, and made 0 events of it"));
  EXPECT_EQ(text_of("survived.txt"), kSurvived);
}

TEST_F(DeadCommand, ShowsADebuggerTheLineInWhichTheHandlerDies) {
  if (run("gdb -batch -ex run --args true").out.find("exited normally") == std::string::npos)
    GTEST_SKIP() << "there is no gdb that can run a program";
  make_a_letter();
  const Ran ran =
      run("sluice dead debug sluice-reports 1 -- gdb -batch -ex run -ex bt --args dead-letters --quiet");
  EXPECT_THAT(ran.out, AllOf(HasSubstr("SIGSEGV"), testing::ContainsRegex("at .*06_dead_letters.cpp:1[01]")));
}

}  // namespace
}  // namespace sluice::test
