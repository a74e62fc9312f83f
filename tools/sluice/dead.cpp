// SPDX-License-Identifier: Apache-2.0
// `sluice dead`: what became of the events that killed their worker too often, and another try for them.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/dead_letter.hpp>
#include <sluice/detail/clock.hpp>
#include <sluice/detail/path.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "commands.hpp"

namespace sluice::command {
namespace {

namespace fs = std::filesystem;

struct DeadSaid {
  std::string path;
  std::size_t number = 0;
};

struct Letters {
  fs::path place;  // A file, or the directory that they lie in.
  std::vector<DeadLetter> all;
  std::vector<std::string> unreadable;  // Why, for each file that is none of them.
};

std::vector<fs::path> files_of_letters(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{directory, error}) {
    if (entry.path().extension() == ".dead") files.push_back(entry.path());
  }
  if (error) {
    throw Error{
        {"list the directory", printable(directory.string()), error.message(), "name one that can be read"}};
  }
  std::sort(files.begin(), files.end());
  return files;
}

// A pipe would be waited for, and a device has no end.
void require_regular(const fs::path& file) {
  std::error_code none;
  if (fs::is_regular_file(file, none) || !fs::exists(file, none)) return;
  throw Error{{"read dead letters from", printable(file.string()), "it is no regular file",
               "name a file of dead letters, or a directory of them"}};
}

// The directory itself or, since each run has one of its own, the only one in it that has letters.
fs::path place_of(const std::string& path) {
  std::error_code none;
  if (!fs::is_directory(path, none) || !files_of_letters(path).empty()) return path;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator{path, none}) {
    if (entry.is_directory(none) && !files_of_letters(entry.path()).empty()) found.push_back(entry.path());
  }
  if (found.empty()) return path;
  if (found.size() == 1) return found.front();
  std::sort(found.begin(), found.end());
  std::string names;
  for (const fs::path& each : found)
    names += (names.empty() ? "" : ", ") + printable(each.string());
  throw Error{{"find dead letters in", printable(path), "there are none, but in directories below it",
               "name one of them: " + names}};
}

Letters letters_in(const std::string& path) {
  Letters letters{.place = place_of(path), .all = {}, .unreadable = {}};
  std::error_code none;
  if (!fs::is_directory(letters.place, none)) {
    require_regular(letters.place);
    letters.all = find_dead_letters(letters.place);
  } else {
    for (const fs::path& file : files_of_letters(letters.place)) {
      try {
        require_regular(file);
        std::vector<DeadLetter> found = find_dead_letters(file);
        std::move(found.begin(), found.end(), std::back_inserter(letters.all));
      } catch (const Error& error) {
        letters.unreadable.emplace_back(error.what());
      }
    }
    std::stable_sort(letters.all.begin(), letters.all.end(),
                     [](const DeadLetter& one, const DeadLetter& other) { return one.time < other.time; });
  }
  if (letters.all.empty() && letters.unreadable.empty()) {
    throw Error{
        {"find dead letters in", path, "there are none", "name the directory that the pipeline told"}};
  }
  return letters;
}

void refuse_unreadable(const Letters& letters) {
  if (letters.unreadable.empty()) return;
  std::string why;
  for (const std::string& each : letters.unreadable)
    why += (why.empty() ? "" : "; ") + each;
  throw Error{
      {"read all of", printable(letters.place.string()), why, "move what is no file of letters away"}};
}

std::string worker_of(const DeadLetter& letter) {
  return fmt::format("{}/{}", printable(letter.stage), letter.replica);
}

void list(const std::string& path) {
  const Letters found = letters_in(path);
  const std::vector<DeadLetter>& letters = found.all;
  if (letters.empty()) refuse_unreadable(found);
  print(fmt::format("{:>6}  {:<27}  {:<16} {:<16} {:>14} {:>9} {:>8}  {:<7}  {}\n", "number", "time",
                    "worker", "from", "position", "bytes", "attempts", "retried", "cause"));
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const DeadLetter& letter = letters[i];
    print(fmt::format("{:>6}  {:<27}  {:<16} {:<16} {:>14} {:>9} {:>8}  {:<7}  {}\n", i + 1,
                      detail::utc_text(letter.time), worker_of(letter), printable(letter.from),
                      letter.position, letter.payload.size(), letter.attempts,
                      letter.retried_by != 0 ? "yes" : "no", printable(letter.cause)));
  }
  refuse_unreadable(found);
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
  const std::vector<DeadLetter> letters = letters_in(path).all;
  if (number == 0 || number > letters.size()) {
    throw Error{{"show dead letter", std::to_string(number),
                 fmt::format("there are {} in {}", letters.size(), path),
                 "name the number that `sluice dead list` gives it"}};
  }
  const DeadLetter& letter = letters[number - 1];
  print(fmt::format(
      "worker     {} of {}\nfrom       {} at position {}\ntime       {}\nattempts   {}\ncause      "
      "{}\nretried    {}\n",
      worker_of(letter), letter.replicas, printable(letter.from), letter.position,
      detail::utc_text(letter.time), letter.attempts, printable(letter.cause),
      letter.retried_by != 0 ? "yes" : "no"));
  print(fmt::format("event      {}{}, {} bytes\n", printable(letter.type), letter.record ? " (record)" : "",
                    letter.payload.size()));
  print(dump(letter.payload));
  if (letter.backtrace.empty()) return;
  print("backtrace\n");
  std::istringstream frames{named_backtrace(letter)};
  for (std::string frame; std::getline(frames, frame);)
    print(printable(frame) + "\n");
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
                  [](const DeadLetter& each) { return each.retried_by != 0; })) {
    throw Error{{"retry the dead letters in", path, "all of them have been retried",
                 "those that killed again are in the reports of that run"}};
  }
  ::setenv("SLUICE_POISON_RETRY", detail::absolute_path(letters.place).c_str(), 1);
  std::vector<char*> words;
  words.reserve(program.size() + 1);
  for (const std::string& word : program)
    words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  std::fflush(nullptr);
  ::execvp(words.front(), words.data());
  throw Error{{"run", program.front(), errno_text(), "name a program that is there"}};
}

CLI::App* add(CLI::App& parent, const char* name, const char* purpose,
              const std::shared_ptr<DeadSaid>& said) {
  CLI::App* command = parent.add_subcommand(name, purpose);
  command->add_option("path", said->path, "A file of dead letters, or a directory of them")
      ->required()
      ->type_name("PATH");
  return command;
}

}  // namespace

void add_dead(CLI::App& program, std::vector<std::string> behind_dashes) {
  CLI::App* dead =
      program.add_subcommand("dead", "Events that killed their worker too often: list, show, retry");
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
  one->add_option("number", said->number, "Its number in the list")->required()->type_name("NUMBER");
  end_help(*one, kPath,
           {"sluice dead show sluice-reports 1", "sluice dead show sluice-reports/words.dead 2",
            "sluice dead show sluice-reports 1 | less"});
  one->callback([said] { show(said->path, said->number); });
  CLI::App* again = add(*dead, "retry", "Run a program whose pipeline handles the dead letters first", said);
  end_help(
      *again,
      "sluice dead retry PATH -- PROGRAM ARGUMENTS...\nThe workers that the letters were for handle them "
      "once more before their first input; one that kills its worker again becomes a dead letter of that "
      "run.",
      {"sluice dead retry sluice-reports -- build/words",
       "sluice dead retry sluice-reports/words.dead -- build/words",
       "sluice dead retry sluice-reports -- market --input *.gz --out OUT"});
  again->callback([said, behind = std::move(behind_dashes)] { retry(said->path, behind); });
}

}  // namespace sluice::command
