// SPDX-License-Identifier: Apache-2.0
// `sluice completion`: what a shell completes, made of the tables of commands and options.

#include <memory>
#include <string>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "commands.hpp"

namespace sluice::command {
namespace {

// Of each shell: how it keeps the words behind each command, and the function that offers them.
struct Shell {
  const char* name;
  const char* begin;  // Of the words,
  const char* line;   // those of one command,
  const char* end;
  const char* function;
};

constexpr const char* kBash = R"bash(_sluice() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD - 1]}" command="" next i words
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ "${COMP_WORDS[i]}" != -- ]] || return 0  # Behind it stands another program.
    next="${command:+$command }${COMP_WORDS[i]}"
    [[ -z "${_sluice_words[$next]+there}" ]] || command="$next"
  done
  words="${_sluice_words[${command:-sluice}]}"
  case "$command" in
    "config explain") words+=" $(sluice config keys 2>/dev/null)" ;;
    "config diff") words+=" balanced latency throughput shared" ;;
    stats | serve | park | drain | top) words+=" $(sluice ps 2>/dev/null | sed -n 's/^\([^ :]*\): .*/\1/p')" ;;
  esac
  if [[ "$before" == --set ]]; then
    words="$(sluice config keys 2>/dev/null | sed 's/$/=/')"
    compopt -o nospace 2>/dev/null
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _sluice sluice
)bash";

constexpr const char* kZsh = R"zsh(_sluice() {
  local command next
  local -i i
  local -a offered
  for ((i = 2; i < CURRENT; i++)); do
    [[ "${words[i]}" != -- ]] || { _files; return; }  # Behind it stands another program.
    next="${command:+$command }${words[i]}"
    (( ! ${+_sluice_words[$next]} )) || command="$next"
  done
  offered=(${(s: :)_sluice_words[${command:-sluice}]})
  case "$command" in
    "config explain") offered+=(${(f)"$(sluice config keys 2>/dev/null)"}) ;;
    "config diff") offered+=(balanced latency throughput shared) ;;
    stats | serve | park | drain | top) offered+=(${(f)"$(sluice ps 2>/dev/null | sed -n 's/^\([^ :]*\): .*/\1/p')"}) ;;
  esac
  if [[ "${words[CURRENT-1]}" == --set ]]; then
    offered=(${(f)"$(sluice config keys 2>/dev/null)"})
    compadd -S = -a offered
    return
  fi
  compadd -a offered
  _files
}
if [[ "${funcstack[1]}" == _sluice ]]; then _sluice "$@"; else compdef _sluice sluice; fi
)zsh";

constexpr const char* kFish = R"fish(function _sluice_offer
  set -l before (commandline -opc)
  set -l command
  for word in $before[2..-1]
    test "$word" != --; or return  # Behind it stands another program.
    set -l next (string join -- ' ' $command $word)
    test -z (_sluice_words "$next" | string join -- ' '); or set command $next
  end
  if test "$before[-1]" = --set
    sluice config keys 2>/dev/null | string replace -r '$' =
    return
  end
  test -n "$command"; or set command sluice
  _sluice_words "$command"
  switch "$command"
    case "config explain"
      sluice config keys 2>/dev/null
    case "config diff"
      printf '%s\n' balanced latency throughput shared
    case stats serve park drain top
      sluice ps 2>/dev/null | string replace -rf '^([^ :]*): .*' '$1'
  end
end
complete -c sluice -a '(_sluice_offer)'
)fish";

constexpr Shell kShells[] = {
    {"bash", "declare -gA _sluice_words=(\n", "  [\"{}\"]=\"{}\"\n", ")\n", kBash},
    {"zsh", "typeset -gA _sluice_words\n_sluice_words=(\n", "  '{}' '{}'\n", ")\n", kZsh},
    {"fish", "function _sluice_words\n  switch $argv[1]\n", "    case '{}'\n      string split ' ' -- '{}'\n",
     "  end\nend\n", kFish},
};

std::string words_of(const CLI::App& command) {
  std::string words;
  for (const CLI::App* each : command.get_subcommands({}))
    words.append(words.empty() ? "" : " ").append(each->get_name());
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames())
      words.append(words.empty() ? "" : " ").append("--").append(name);
  }
  return words;
}

void add_words(const CLI::App& command, const std::string& path, const char* line, std::string& text) {
  text.append(fmt::format(fmt::runtime(line), path.empty() ? "sluice" : path, words_of(command)));
  for (const CLI::App* each : command.get_subcommands({}))
    add_words(*each, path + (path.empty() ? "" : " ") + each->get_name(), line, text);
}

std::string completion_for(const CLI::App& program, const Shell& shell) {
  // What zsh finds in its directory of functions it reads when it needs it: by this line.
  std::string text = shell.name == std::string{"zsh"} ? "#compdef sluice\n" : "";
  text.append("# Made by `sluice completion`.\n").append(shell.begin);
  add_words(program, "", shell.line, text);
  return text.append(shell.end).append(shell.function);
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
