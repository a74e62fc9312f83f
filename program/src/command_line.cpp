// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/cli.hpp>
#include <sluice/detail/command_line.hpp>
#include <sluice/detail/journal.hpp>
#include <sluice/detail/nearest.hpp>
#include <sluice/detail/settings_summary.hpp>
#include <sluice/detail/standard_streams.hpp>
#include <sluice/error.hpp>
#include <sluice/main.hpp>
#include <sluice/printable.hpp>
#include <sluice/settings.hpp>

namespace sluice::detail {
namespace {

std::string full_name(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : full_name(*parent) + " " + command.get_name();
}

std::vector<std::string> commands_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* each : command.get_subcommands({})) {
    // One without a group is for no person, and in no help.
    if (!each->get_group().empty()) names.push_back(each->get_name());
  }
  return names;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names)
    text += (text.empty() ? "" : ", ") + name;
  return text;
}

// The option as it was written, and the one that was probably meant.
std::string unknown_option(const CLI::App& command, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& each : option->get_lnames())
      names.push_back("--" + each);
  }
  const std::string near = nearest(name, names);
  return near.empty() ? name : name + "; did you mean " + near + "?";
}

// What stands before `middle`, and behind it; nothing where it does not stand.
std::optional<std::pair<std::string, std::string>> parted(const std::string& text, std::string_view middle) {
  const std::size_t at = text.find(middle);
  if (at == std::string::npos) return std::nullopt;
  return std::pair{text.substr(0, at), text.substr(at + middle.size())};
}

// Of a limit that somebody means; more are those of a type.
constexpr std::size_t kMostDigits = 17;

// "0.100000" as "0.1".
std::string short_number(std::string number) {
  if (number.find('.') == std::string::npos) return number;
  number.erase(number.find_last_not_of('0') + 1);
  if (number.ends_with('.')) number.pop_back();
  return number;
}

// A type as CLI11 names it.
std::string in_words(const std::string& type) {
  return type == "UINT" || type == "INT" || type == "FLOAT" ? "number" : type;
}

// CLI11's words about a value as we say such things; others as they are.
std::string about_value(const CLI::App& command, const std::string& said) {
  constexpr std::string_view kConvert = "Could not convert: ";
  if (const auto parts = parted(said, " = "); parts && said.starts_with(kConvert)) {
    const std::string name = parts->first.substr(kConvert.size());
    const CLI::Option* option = command.get_option_no_throw(name);
    if (option != nullptr && option->get_items_expected() == 0) return name + " takes no value";
    return name + " takes a number" + (parts->second.starts_with('-') ? " that is not below 0" : "") +
           ", not \"" + parts->second + "\"";
  }
  if (const auto name = parted(said, ": Value ")) {
    const auto value = parted(name->second, " not in range ");
    const auto ends = value ? parted(value->second, " to ") : std::nullopt;
    if (!ends) return said;
    if (short_number(ends->second).size() > kMostDigits) {
      return name->first + " takes a number of at least " + short_number(ends->first) + ", not \"" +
             value->first + "\"";
    }
    return name->first + " takes a number from " + short_number(ends->first) + " to " +
           short_number(ends->second) + ", not \"" + value->first + "\"";
  }
  if (const auto parts = parted(said, ": 1 required "); parts && parts->second.ends_with(" missing")) {
    const std::string value = in_words(parts->second.substr(0, parts->second.rfind(' ')));
    const bool open = std::string_view{"AEIOaeio"}.find(value.front()) != std::string_view::npos;
    return parts->first + " lacks its value, " + (open ? "an " : "a ") + value;
  }
  if (const auto parts = parted(said, " requires "))
    return parts->first + " goes with " + parts->second + " only";
  if (const auto parts = parted(said, " excludes "))
    return parts->first + " does not go with " + parts->second;
  return said;
}

constexpr std::size_t kWidth = 80;
constexpr std::size_t kDescriptions = 30;  // Where CLI11 begins what an option is for.

// Where the text of a line begins: the description of an option, or what stands behind the blanks.
std::size_t text_column(std::string_view line) {
  const std::size_t first = line.find_first_not_of(' ');
  if (first == std::string_view::npos) return 0;
  const bool option = first == 2 && line.size() > kDescriptions && line[kDescriptions] != ' ' &&
                      line.substr(kDescriptions - 2, 2) == "  ";
  return option ? kDescriptions : first;
}

void add_fitted(std::string_view line, std::string& text) {
  const std::size_t column = text_column(line);
  std::size_t blanks = 0;
  while (blanks + line.size() > kWidth) {
    const std::size_t cut = line.rfind(' ', kWidth - blanks);
    // A word that is too long by itself stays whole.
    if (cut == std::string_view::npos || cut <= (blanks == 0 ? column : 0)) break;
    text.append(blanks, ' ').append(line.substr(0, cut)).append("\n");
    line.remove_prefix(cut + 1);
    blanks = column;
  }
  text.append(blanks, ' ').append(line).append("\n");
}

// What the page of --help-all has behind the options: all about the settings, where that of --help names them at most.
std::string whole_footer(const std::string& footer) {
  const std::string summary = settings_summary();
  return settings_help() + (footer.starts_with(summary) ? footer.substr(summary.size())
                            : footer.empty()            ? ""
                                                        : "\n" + footer);
}

class FittedHelp : public CLI::Formatter {
 public:
  explicit FittedHelp(std::string behind) : behind_{std::move(behind)} {}

  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    std::string help = CLI::Formatter::make_help(app, std::move(name), mode);
    if (mode == CLI::AppFormatMode::All) {
      const std::string footer = app->get_footer();
      const std::size_t at = footer.empty() ? std::string::npos : help.rfind(footer);
      if (at != std::string::npos) help.erase(at);
      help.append(at == std::string::npos ? "\n" : "").append(whole_footer(footer)).append("\n");
    }
    return fitted(help);
  }
  // A program is called by its name, however long the path by which it was started.
  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string usage =
        CLI::Formatter::make_usage(app, std::filesystem::path{std::move(name)}.filename().string());
    if (!behind_.empty()) usage.insert(usage.find_last_not_of('\n') + 1, " " + behind_);
    return usage;
  }

 private:
  std::string behind_;
};

}  // namespace

std::string fitted(std::string_view help) {
  std::string text;
  while (!help.empty()) {
    const std::size_t end = std::min(help.find('\n'), help.size());
    // CLI11 has two between groups of options.
    if (end != 0 || !text.ends_with("\n\n")) add_fitted(help.substr(0, end), text);
    help.remove_prefix(std::min(end + 1, help.size()));
  }
  return text;
}

std::shared_ptr<CLI::FormatterBase> help_formatter(std::string behind) {
  return std::make_shared<FittedHelp>(std::move(behind));
}

void add_help_all(CLI::App& app, const std::string& group) {
  if (app.get_option_no_throw("--help-all") != nullptr) return;
  const CLI::FormatterBase& pages = *app.get_formatter();
  const bool own = typeid(pages) != typeid(CLI::Formatter) && typeid(pages) != typeid(FittedHelp);
  if (own) return;
  if (CLI::Option* help = app.get_help_ptr(); help != nullptr) {
    // As CLI11 has it; what a program says in its own words stays.
    if (help->get_description() == "Print this help message and exit")
      help->description("Print this help and exit");
  }
  app.formatter(help_formatter());
  app.set_help_all_flag("--help-all", "The same, with all about the settings")->group(group);
}

const CLI::App& innermost(const CLI::App& program) {
  const CLI::App* command = &program;
  while (!command->get_subcommands().empty())
    command = command->get_subcommands().front();
  return *command;
}

std::string complaint(const CLI::App& command, const CLI::ParseError& error) {
  std::vector<std::string> unknown = command.remaining();
  // What a command falls through with is left at the program.
  for (const CLI::App* each = command.get_parent(); unknown.empty() && each != nullptr;
       each = each->get_parent())
    unknown = each->remaining();
  if (unknown.empty()) {
    const bool lacks_command = error.get_name() == "RequiredError" && !commands_of(command).empty();
    return lacks_command ? "a command is missing: " + joined(commands_of(command))
                         : about_value(command, error.what());
  }
  const auto option = std::find_if(unknown.begin(), unknown.end(),
                                   [](const std::string& word) { return word.starts_with('-'); });
  if (option != unknown.end()) {
    const std::string name = option->substr(0, option->find('='));
    // Before its command CLI11 does not know it.
    if (command.get_option_no_throw(name) != nullptr)
      return name + " stands behind the command that it is for: " + full_name(command) + " " + name;
    return "there is no option " + unknown_option(command, *option);
  }
  const std::string& word = unknown.front();
  const std::vector<std::string> commands = commands_of(command);
  if (commands.empty()) return "unexpected \"" + word + "\"";
  const std::string near = nearest(word, commands);
  return "there is no command \"" + word + "\"" +
         (near.empty() ? ", only " + joined(commands) : "; did you mean " + near + "?");
}

bool was_given_empty(std::string_view name) {
  std::ifstream words{"/proc/self/cmdline", std::ios::binary};
  const std::string empty = std::string{name} + '=';
  for (std::string word; std::getline(words, word, '\0');) {
    if (word == "--") return false;
    if (word == empty) return true;
  }
  return false;
}

CLI::Validator count_between(std::uint64_t least, std::uint64_t most) {
  return {[=](std::string& text) {
            std::uint64_t value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            const bool whole = error == std::errc{} && end == text.data() + text.size();
            if (!whole || value < least || value > most)
              return fmt::format("Value {} not in range {} to {}", text, least, most);
            text = fmt::format("{}", value);
            return std::string{};
          },
          ""};
}

CLI::Validator number_between(double least, double most) {
  return {[=](std::string& text) {
            double value = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
            const bool whole = error == std::errc{} && end == text.data() + text.size();
            if (whole && value >= least && value <= most) return std::string{};
            return fmt::format("Value {} not in range {:f} to {:f}", text, least, most);
          },
          ""};
}

void print_misuse(const CLI::App& command, const std::string& what) {
  say(Priority::error, "sluice: " + printable(what) + "\nTry \"" + full_name(command) + " --help\".\n");
}

bool flush_output() {
  // Before the last of it was written the reason is not known any more.
  const bool failed_before = std::ferror(stdout) != 0;
  errno = 0;
  if (std::fflush(stdout) == 0 && !failed_before) return true;
  const std::string why = errno == 0 ? "" : ": " + errno_text();
  forget_what_was_lost();
  say(Priority::error, "sluice: cannot write to standard output" + why + "\n");
  return false;
}

}  // namespace sluice::detail

namespace sluice {

int end_of_parse(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) {
    app.exit(error);
    return flushed(kExitOk);
  }
  const std::string what = printable(detail::complaint(detail::innermost(app), error));
  // In one line: who quotes the last one quotes the reason.
  detail::say(detail::Priority::error, "error: " + what + " (--help lists the options)\n");
  return kExitUsage;
}

int flushed(int status) {
  return detail::flush_output() || status != kExitOk ? status : kExitFailed;
}

}  // namespace sluice
