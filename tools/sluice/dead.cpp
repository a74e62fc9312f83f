// SPDX-License-Identifier: Apache-2.0
// `sluice dead`: what became of the events that killed their worker too often, and another try for them.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/dead_letter.hpp>
#include <sluice/detail/clock.hpp>
#include <sluice/detail/counted.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/path.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "bounded_lines.hpp"
#include "commands.hpp"
#include "dead_files.hpp"
#include "frames.hpp"
#include "graph/shown_type.hpp"
#include "json_object.hpp"
#include "letter_line.hpp"
#include "new_file.hpp"
#include "worker/only_debugs.hpp"

namespace sluice::command {
namespace {

namespace fs = std::filesystem;

struct DeadSaid {
  std::string path;
  std::size_t number = 0;
  std::string file;  // Of letters, which an import makes.
};

std::string worker_of(const DeadLetter& letter) {
  return fmt::format("{}/{}", printable(letter.stage), letter.replica);
}

// The rows of a list. Worker, sender and bytes are as wide as what stands in them, within a bound, so that all are known before
// the first is printed, and the time is to the second, so that what usually is the cause has room on a terminal; what else is known of
// a letter `sluice dead show` has. The cause, which may be long, is last.
class LetterRows {
 public:
  void add(const DeadLetter& letter) {
    rows_.push_back({letter.time, worker_of(letter), printable(letter.from),
                     std::to_string(letter.payload.size()), letter.retried_by != 0, printable(letter.cause)});
    widen(worker_, rows_.back().worker);
    widen(from_, rows_.back().from);
    widen(bytes_, rows_.back().bytes);
  }
  void print_all() const {
    print_row("number", "time", "worker", "from", "bytes", "retried", "cause");
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const Row& row = rows_[i];
      print_row(fmt::format("{}", i + 1), second_of(row.time), row.worker, row.from, row.bytes,
                row.retried ? "yes" : "no", row.cause);
    }
  }

 private:
  struct Row {
    std::chrono::system_clock::time_point time;
    std::string worker;
    std::string from;
    std::string bytes;
    bool retried;
    std::string cause;
  };
  static constexpr std::size_t kWidest = 16;

  static std::string second_of(std::chrono::system_clock::time_point time) {
    return fmt::format("{:.19}Z", detail::utc_text(time));
  }
  static void widen(std::size_t& width, const std::string& text) {
    width = std::max(width, std::min(text.size(), kWidest));
  }
  void print_row(std::string_view number, std::string_view time, std::string_view worker,
                 std::string_view from, std::string_view bytes, std::string_view retried,
                 std::string_view cause) const {
    const std::size_t behind_from = 31 + worker_ + from_;
    const std::size_t behind_bytes = behind_from + 1 + bytes_;
    const std::array<std::size_t, 6> fields{6, 28, 30 + worker_, behind_from, behind_bytes, behind_bytes + 8};
    print(fmt::format("{:>6}  {:<20}  {:<{}} {:<{}} {:>{}} {:<7}  {}\n", number, time, worker, worker_, from,
                      from_, bytes, bytes_, retried, cause),
          fields);
  }

  std::vector<Row> rows_;
  std::size_t worker_ = 6;
  std::size_t from_ = 4;
  std::size_t bytes_ = 5;
};

void list(const std::string& path) {
  const Letters letters = letters_in(path);
  if (letters.all.empty()) refuse_unreadable(letters);
  LetterRows rows;
  for (std::size_t number = 1; number <= letters.all.size(); ++number)
    rows.add(letters.read(number));
  rows.print_all();
  refuse_unreadable(letters);
}

// Sixteen bytes a line, as hexdump -C shows them.
std::string dump(std::string_view bytes) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    std::string hex;
    std::string plain;
    for (const char c : bytes.substr(at, 16)) {
      hex += fmt::format("{:02x} ", static_cast<unsigned char>(c));
      plain += c >= ' ' && c <= '~' ? c : '.';
    }
    text += fmt::format("  {:08x}  {:<48} |{}|\n", at, hex, plain);
  }
  return text;
}

void show(const std::string& path, std::size_t number) {
  const Letters letters = letters_in(path);
  const DeadLetter letter = letter_numbered(letters, number, "show dead letter");
  print(fmt::format(
      "worker     {} of {}\nfrom       {} at position {}\ntime       {}\nattempts   {}\ncause      "
      "{}\nretried    {}\n",
      worker_of(letter), letter.replicas, printable(letter.from), letter.position,
      detail::utc_text(letter.time), letter.attempts, printable(letter.cause),
      letter.retried_by != 0 ? "yes" : "no"));
  print(fmt::format("event      {}{}, {}\n", printable(detail::shown_type(letter.type)),
                    letter.record ? " (record)" : "", detail::counted(letter.payload.size(), "byte")));
  print(dump(letter.payload));
  if (letter.backtrace.empty()) return;
  print("backtrace\n");
  std::vector<std::string> frames;
  std::istringstream lines{named_backtrace(letter)};
  for (std::string frame; std::getline(lines, frame);)
    frames.push_back(printable(frame));
  for (const std::string& frame : without_engine(frames))
    print(frame + "\n");
}

// This process becomes that program.
[[noreturn]] void become(const std::vector<std::string>& program) {
  std::vector<char*> words;
  words.reserve(program.size() + 1);
  for (const std::string& word : program)
    words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::fflush(nullptr);
  ::execvp(words.front(), words.data());
  throw Error{{"run", program.front(), errno_text(), "name a program that is there"}};
}

void retry(const std::string& path, const std::vector<std::string>& program) {
  if (program.empty()) {
    throw Error{{"retry the dead letters in", path, "there is no program behind --",
                 "sluice dead retry PATH -- PROGRAM ARGUMENTS..."}};
  }
  // Whatever is wrong with them is told before anything starts.
  const Letters letters = letters_in(path);
  refuse_unreadable(letters);
  if (std::all_of(letters.all.begin(), letters.all.end(),
                  [](const Letters::Place& each) { return each.place.retried; })) {
    throw Error{{"retry the dead letters in", path, "all of them have been retried",
                 "those that killed again are in the reports of that run"}};
  }
  ::setenv("SLUICE_POISON_RETRY", detail::absolute_path(letters.place).c_str(), 1);
  become(program);
}

// The debugger runs the program, which then handles that letter instead of its pipeline (host/debug_letter.hpp).
void debug(const DeadSaid& said, const std::vector<std::string>& program) {
  if (program.empty()) {
    throw Error{{"debug the dead letters in", said.path, "there is no program behind --",
                 "sluice dead debug PATH NUMBER -- gdb --args PROGRAM ARGUMENTS..."}};
  }
  const Letters letters = letters_in(said.path);
  const DeadLetter letter = letter_numbered(letters, said.number, "debug dead letter");
  ::setenv(detail::kDebugFileVariable, detail::absolute_path(letter.file).c_str(), 1);
  ::setenv(detail::kDebugOffsetVariable, std::to_string(letter.offset).c_str(), 1);
  become(program);
}

void export_letters(const std::string& path) {
  const Letters letters = letters_in(path);
  refuse_unreadable(letters);
  for (std::size_t number = 1; number <= letters.all.size(); ++number)
    print_exactly(line_of(letters.read(number)) + "\n");
}

// What `sluice dead export` has written, or standard input.
detail::Descriptor open_lines(const std::string& from) {
  constexpr const char* kWhat = "lines of letters";
  constexpr const char* kRemedy = "name a file, or - for standard input";
  if (from != "-") require_regular(from, kWhat, kRemedy);
  // Standard input as a descriptor of its own, which one may close.
  detail::Descriptor lines{from == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                       : ::open(from.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (lines) return lines;
  throw Error{{fmt::format("read {} from", kWhat), printable(from), errno_text(), kRemedy}};
}

// In a directory they would not be found by another name.
std::size_t import_letters(const std::string& from, const fs::path& file) {
  if (file.extension() != ".dead")
    throw Error{{"write dead letters into", printable(file.string()), "its name does not end in .dead",
                 "name it so"}};
  const detail::Descriptor opened = open_lines(from);
  NewFile made{file, "dead letters"};
  std::size_t number = 0;
  for (BoundedLines lines{opened.get(), kMostLineBytes}; lines.next();) {
    ++number;
    try {
      DeadLetter letter = letter_of(lines.text());
      // One of a clock that is ahead would be none of those that a start finds there.
      letter.time = std::min(letter.time, std::chrono::system_clock::now());
      made.write(encode(letter));
    } catch (const JsonFault& fault) {
      throw Error{{"import line " + std::to_string(number) + " of", printable(from), printable(fault.why),
                   "give lines that `sluice dead export` has written; nothing was imported"}};
    }
  }
  if (number == 0)
    throw Error{
        {"import", printable(from), "there is no line in it", "give what `sluice dead export` has written"}};
  made.publish();
  return number;
}

CLI::App* add(CLI::App& parent, const char* name, const char* purpose,
              const std::shared_ptr<DeadSaid>& said) {
  CLI::App* command = parent.add_subcommand(name, purpose);
  command->add_option("path", said->path, "A file of dead letters, or a directory of them")
      ->required()
      ->check(not_empty())
      ->type_name("PATH");
  return command;
}

void add_exchange(CLI::App& dead, const std::shared_ptr<DeadSaid>& said) {
  CLI::App* out = add(dead, "export", "All dead letters as lines of JSON, payloads too", said);
  end_help(*out,
           "A payload stands as text where it is UTF-8, else as base64. docs/reference/dead-letters.md has "
           "the members.",
           {"sluice dead export sluice-reports > letters.jsonl",
            "sluice dead export reports | jq -r 'select(.retried | not) | .cause'",
            "sluice dead export reports | jq -c '.payload |= sub(\"a\"; \"b\")' >b.jsonl"});
  out->callback([said] { export_letters(said->path); });
  CLI::App* in = dead.add_subcommand("import", "Make a file of dead letters from lines of JSON");
  in->add_option("lines", said->path, "What `sluice dead export` has written; - for standard input")
      ->required()
      ->check(not_empty())
      ->type_name("LINES");
  in->add_option("file", said->file, "The file to make, FILE.dead")
      ->required()
      ->check(not_empty())
      ->type_name("FILE");
  end_help(*in, "A line that is no letter is an error, and no file is made then.",
           {"sluice dead import letters.jsonl again.dead",
            "sluice dead export a.dead | head -n 1 | sluice dead import - first.dead",
            "jq -c 'select(.stage == \"parse\")' a.jsonl | sluice dead import - p.dead"});
  in->callback([said] {
    const std::size_t letters = import_letters(said->path, said->file);
    print(fmt::format("{} dead letter{} in {}\n", letters, letters == 1 ? "" : "s", printable(said->file)));
  });
}

}  // namespace

void add_dead(CLI::App& program, std::vector<std::string> behind_dashes) {
  CLI::App* dead =
      program.add_subcommand("dead", "Events that killed their worker: list, show, retry, debug");
  dead->require_subcommand(1);
  constexpr const char* kPath =
      "A pipeline that moves events to the dead letters tells the PATH when it ends.";
  end_help(*dead, kPath,
           {"sluice dead list sluice-reports", "sluice dead show sluice-reports 1",
            "sluice dead retry sluice-reports -- build/words --quiet"});
  const auto said = std::make_shared<DeadSaid>();
  CLI::App* all = add(*dead, "list", "A line for each dead letter, in order of time", said);
  end_help(*all, kPath,
           {"sluice dead list sluice-reports", "sluice dead list sluice-reports/words.dead",
            "sluice dead list sluice-reports | wc -l"});
  all->callback([said] { list(said->path); });
  CLI::App* one = add(*dead, "show", "All about one dead letter", said);
  one->add_option("number", said->number, "Its number in the list")
      ->required()
      ->type_name("NUMBER")
      ->check(at_least_one());
  end_help(*one, kPath,
           {"sluice dead show sluice-reports 1", "sluice dead show sluice-reports/words.dead 2",
            "sluice dead show sluice-reports 1 | less"});
  one->callback([said] { show(said->path, said->number); });
  CLI::App* again = add(*dead, "retry", "Run a program whose pipeline handles the dead letters first", said);
  again->formatter(detail::help_formatter("-- PROGRAM ARGUMENTS..."));
  end_help(
      *again,
      "The workers that the letters were for handle them "
      "once more before their first input; one that kills its worker again becomes a dead letter of that "
      "run. PROGRAM runs as ever: its sources are read too, from the beginning if its last run came to its "
      "end. Give it input that is not handled yet, or none.",
      {"sluice dead retry sluice-reports -- build/words",
       "sluice dead retry sluice-reports/words.dead -- build/words",
       "sluice dead retry sluice-reports -- market --input *.gz --out OUT"});
  again->callback([said, behind_dashes] { retry(said->path, behind_dashes); });
  CLI::App* debugged = add(*dead, "debug", "Run a debugger whose program handles one dead letter", said);
  debugged->formatter(detail::help_formatter("-- DEBUGGER PROGRAM ARGUMENTS..."));
  debugged->add_option("number", said->number, "Its number in the list")
      ->required()
      ->type_name("NUMBER")
      ->check(at_least_one());
  end_help(
      *debugged,
      "Instead of starting its pipeline "
      "PROGRAM makes the handler of the letter's worker in its own process, gives it the letter, and dies "
      "in the same line. The state of the handler is new. Segments, checkpoints and reports are left "
      "alone, and an AppendFile writes into memory; what else a handler does outside it does.",
      {"sluice dead debug sluice-reports 1 -- gdb --args build/words",
       "sluice dead debug reports 1 -- gdb -batch -ex run -ex bt --args ./words",
       "sluice dead debug sluice-reports 1 -- valgrind build/words"});
  debugged->callback([said, behind = std::move(behind_dashes)] { debug(*said, behind); });
  add_exchange(*dead, said);
}

}  // namespace sluice::command
