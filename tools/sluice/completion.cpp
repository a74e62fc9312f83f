// SPDX-License-Identifier: Apache-2.0
// `sluice completion`: what a shell completes, made of the tables of commands and options.

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "commands.hpp"

namespace sluice::command {
namespace {

// Of each shell: how it keeps a table of words for each command, and the function that offers them.
struct Shell {
  const char* name;
  const char* begin;  // Of the table of that name,
  const char* line;   // the words of one command,
  const char* end;
  const char* function;
  const char* between;  // Two of its patterns.
};

// In each: a word that begins with a dash is an option. Else it is a command, a value or a file, and an option only where there
// can be nothing else. @FILES@ are the commands behind which files are named. What stands behind -- is a program's command line.
constexpr const char* kBash = R"bash(_sluice_program() {
  if declare -F _comp_command_offset >/dev/null; then
    _comp_command_offset "$1"
  elif declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  else
    compopt -o default 2>/dev/null
    # One of a directory is a file.
    [[ $COMP_CWORD != "$1" || "${COMP_WORDS[COMP_CWORD]}" == */* ]] ||
      mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}" | sort -u)
  fi
}
_sluice() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}" command="" files="" value="" next i words
  local -a offered others=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ "${COMP_WORDS[i]}" != -- ]] || { _sluice_program $((i + 1)); return 0; }
    next="${command:+$command }${COMP_WORDS[i]}"
    [[ -z "${_sluice_words[$next]+there}" ]] || command="$next"
  done
  words="${_sluice_words[${command:-sluice}]}"
  case "$command" in
    "config explain") words+=" $(sluice config keys 2>/dev/null | sed 's/.*>.//')" ;;
    "config diff") words+=" balanced latency throughput shared" ;;
    completion) words+=" bash zsh fish" ;;
    stats | serve | park | drain | top) words+=" $(sluice ps 2>/dev/null | sed -n 's/^\([^ :]*\): .*/\1/p')" ;;
  esac
  case "$command" in @FILES@) files=yes ;; esac
  # `--json=x` comes in three words.
  if [[ "$word" == = && "$before" == --* ]]; then
    word="" value=yes
  elif [[ "$before" == = ]]; then
    before="${COMP_WORDS[COMP_CWORD - 2]}" value=yes
  fi
  COMPREPLY=()
  if [[ "$before" == --set ]]; then
    words="stage. $(sluice config keys 2>/dev/null | sed '/</d; s/$/=/')"
    compopt -o nospace 2>/dev/null
  elif [[ "$before" == --profile ]]; then
    words="balanced latency throughput shared"
  elif [[ "$before" == --policy ]]; then
    words="auto compact spread float none"
  elif [[ " ${_sluice_file_options[${command:-sluice}]} " == *" $before "* ]]; then
    compopt -o default 2>/dev/null
    return 0
  elif [[ -n "$value" || " ${_sluice_value_options[${command:-sluice}]} " == *" $before "* ]]; then
    return 0
  elif [[ "$word" != -* ]]; then
    read -rd '' -a offered <<<"$words"
    for next in "${offered[@]}"; do
      [[ "$next" == --* ]] || others+=("$next")
    done
    [[ -z "${others[*]}$files" ]] || words="${others[*]}"
    [[ -z "$files" ]] || compopt -o default 2>/dev/null
  fi
  # Not by `compgen -W`, which expands what it is given: a name may be another user's.
  read -rd '' -a offered <<<"$words"
  for next in "${offered[@]}"; do
    [[ "$next" != "$word"* ]] || COMPREPLY+=("$next")
  done
}
complete -F _sluice sluice
)bash";

constexpr const char* kZsh = R"zsh(_sluice() {
  local command next files value before="${words[CURRENT-1]}" word="${words[CURRENT]}"
  local -i i
  local -a offered others
  for ((i = 2; i < CURRENT; i++)); do
    [[ "${words[i]}" != -- ]] || { shift $i words; (( CURRENT -= i )); _normal; return; }
    next="${command:+$command }${words[i]}"
    (( ! ${+_sluice_words[$next]} )) || command="$next"
  done
  offered=(${(s: :)_sluice_words[${command:-sluice}]})
  case "$command" in
    "config explain") offered+=(${(f)"$(sluice config keys 2>/dev/null | sed 's/.*>.//')"}) ;;
    "config diff") offered+=(balanced latency throughput shared) ;;
    completion) offered+=(bash zsh fish) ;;
    stats | serve | park | drain | top) offered+=(${(f)"$(sluice ps 2>/dev/null | sed -n 's/^\([^ :]*\): .*/\1/p')"}) ;;
  esac
  case "$command" in @FILES@) files=yes ;; esac
  # `--json=x` is one word, of which the part behind the = is completed.
  if [[ "$word" == --*=* ]]; then
    before="${word%%=*}" word="${word#*=}" value=yes
    compset -P 1 "*="
  fi
  if [[ "$before" == --set ]]; then
    offered=(${(f)"$(sluice config keys 2>/dev/null | sed '/</d')"})
    compadd -S = -a offered
    offered=(stage.)
    compadd -S "" -a offered
    return
  elif [[ "$before" == --profile ]]; then
    offered=(balanced latency throughput shared)
    files=
  elif [[ "$before" == --policy ]]; then
    offered=(auto compact spread float none)
    files=
  elif [[ " ${_sluice_file_options[${command:-sluice}]} " == *" $before "* ]]; then
    _files
    return
  elif [[ -n "$value" || " ${_sluice_value_options[${command:-sluice}]} " == *" $before "* ]]; then
    return
  elif [[ "$word" != -* ]]; then
    others=(${offered:#--*})
    [[ -z "$others$files" ]] || offered=($others)
  fi
  compadd -a offered
  [[ -z "$files" ]] || _files
}
if [[ "${funcstack[1]}" == _sluice ]]; then _sluice "$@"; else compdef _sluice sluice; fi
)zsh";

constexpr const char* kFish =
    R"fish(# Of a command what may stand behind an option, begun as in the third; whether it takes anything.
function _sluice_values
  switch "$argv[2]"
    case --set
      echo stage.
      sluice config keys 2>/dev/null | string match -v '*<*' | string replace -r '$' =
    case --profile
      printf '%s\n' balanced latency throughput shared
    case --policy
      printf '%s\n' auto compact spread float none
    case '*'
      if not contains -- "$argv[2]" (_sluice_file_options "$argv[1]")
        contains -- "$argv[2]" (_sluice_value_options "$argv[1]")
        return
      end
      __fish_complete_path "$argv[3]"
  end
  return 0
end
function _sluice_offer
  set -l before (commandline -opc)
  set -l word (commandline -ct)
  set -l command
  for each in $before[2..-1]
    if test "$each" = --
      set -l behind $before[(contains -i -- -- $before)..-1]
      complete -C (string join -- ' ' (string escape -- $behind) "$word" | string replace -- '-- ' '')
      return
    end
    set -l next (string join -- ' ' $command $each)
    test -z (_sluice_words "$next" | string join -- ' '); or set command $next
  end
  test -n "$command"; or set command sluice
  # What is offered is the whole word.
  if string match -q -- '--*=*' "$word"
    set -l parts (string split -m 1 -- = "$word")
    _sluice_values "$command" "$parts[1]" "$parts[2]" | string replace -r -- '^' "$parts[1]="
    return
  end
  _sluice_values "$command" "$before[-1]" "$word"; and return
  set -l offered (_sluice_words "$command")
  switch "$command"
    case "config explain"
      set -a offered (sluice config keys 2>/dev/null | string replace -r '.*>.' '')
    case "config diff"
      set -a offered balanced latency throughput shared
    case completion
      set -a offered bash zsh fish
    case stats serve park drain top
      set -a offered (sluice ps 2>/dev/null | string replace -rf '^([^ :]*): .*' '$1')
  end
  set -l files
  switch "$command"
    case @FILES@
      set files yes
  end
  if not string match -q -- '-*' "$word"
    set -l others (string match -v -- '--*' $offered)
    if test -n "$others$files"
      set offered $others
    end
  end
  printf '%s\n' $offered
  test -z "$files"; or __fish_complete_path "$word"
end
complete -c sluice -f -a '(_sluice_offer)'
)fish";

constexpr Shell kShells[] = {
    {"bash", "declare -gA {}=(\n", "  [\"{}\"]=\"{}\"\n", ")\n", kBash, " | "},
    {"zsh", "typeset -gA {0}\n{0}=(\n", "  '{}' '{}'\n", ")\n", kZsh, " | "},
    {"fish", "function {}\n  switch $argv[1]\n", "    case '{}'\n      string split ' ' -- '{}'\n",
     "  end\nend\n", kFish, " "},
};

// What of each command is offered: the table's name in each shell.
struct Table {
  const char* name;
  std::string detail::CompletedCommand::*words;
};
constexpr Table kTables[] = {
    {"_sluice_words", &detail::CompletedCommand::words},
    {"_sluice_file_options", &detail::CompletedCommand::file_options},
    {"_sluice_value_options", &detail::CompletedCommand::value_options},
};

// Of the program and of those beside it, which say for themselves what they take.
std::vector<detail::CompletedCommand> all_commands(const CLI::App& program) {
  std::vector<detail::CompletedCommand> commands = detail::completed_commands(program);
  for (detail::CompletedCommand& beside : completed_beside()) {
    const auto same = [&beside](const detail::CompletedCommand& each) { return each.path == beside.path; };
    const auto found = std::find_if(commands.begin(), commands.end(), same);
    if (found == commands.end()) {
      commands.push_back(std::move(beside));
    } else {
      *found = std::move(beside);
    }
  }
  return commands;
}

std::string completion_for(const CLI::App& program, const Shell& shell) {
  // What zsh finds in its directory of functions it reads when it needs it: by this line.
  std::string text = shell.name == std::string{"zsh"} ? "#compdef sluice\n" : "";
  text.append("# Made by `sluice completion`.\n");
  const std::vector<detail::CompletedCommand> commands = all_commands(program);
  for (const Table& table : kTables) {
    text.append(fmt::format(fmt::runtime(shell.begin), table.name));
    for (const detail::CompletedCommand& each : commands) {
      if ((each.*table.words).empty()) continue;
      text.append(
          fmt::format(fmt::runtime(shell.line), each.path.empty() ? "sluice" : each.path, each.*table.words));
    }
    text.append(shell.end);
  }
  std::string with_files;
  for (const detail::CompletedCommand& each : commands) {
    if (each.files)
      with_files.append(with_files.empty() ? "" : shell.between).append("\"" + each.path + "\"");
  }
  std::string function = shell.function;
  constexpr std::string_view kFiles = "@FILES@";
  function.replace(function.find(kFiles), kFiles.size(), with_files);
  return text.append(function);
}

}  // namespace

void add_completion(CLI::App& program) {
  CLI::App* command = program.add_subcommand("completion", "Print what a shell needs to complete this");
  const auto asked = std::make_shared<std::string>("bash");
  command->add_option("shell", *asked, "bash, zsh or fish")->type_name("SHELL")->capture_default_str();
  end_help(*command, "",
           {"source <(sluice completion)", "sluice completion zsh > ~/.zfunc/_sluice",
            "sluice completion fish > ~/.config/fish/completions/sluice.fish"});
  command->callback([&program, asked] {
    for (const Shell& shell : kShells) {
      if (shell.name == *asked) return print_exactly(completion_for(program, shell));
    }
    throw Error{{"complete the words of the shell", *asked, "it is none of those that are known",
                 "name bash, zsh or fish"}};
  });
}

}  // namespace sluice::command
