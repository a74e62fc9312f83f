// SPDX-License-Identifier: Apache-2.0
// `sluice completion`: what a shell completes, made of the tables of commands and options.

#include <string>

#include "commands.hpp"

namespace sluice::command {
namespace {

constexpr const char* kFunction = R"bash(_sluice() {
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

void add_words(const CLI::App& command, const std::string& path, std::string& text) {
  text.append("  [\"").append(path.empty() ? "sluice" : path).append("\"]=\"").append(words_of(command));
  text.append("\"\n");
  for (const CLI::App* each : command.get_subcommands({}))
    add_words(*each, path + (path.empty() ? "" : " ") + each->get_name(), text);
}

}  // namespace

void add_completion(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("completion", "Print what the shell bash needs to complete this");
  end_help(
      *command, "",
      {"source <(sluice completion)", "sluice completion > ~/.local/share/bash-completion/completions/sluice",
       "sluice completion | sudo tee /etc/bash_completion.d/sluice"});
  command->callback([&program] {
    std::string text = "# Made by `sluice completion`.\ndeclare -gA _sluice_words=(\n";
    add_words(program, "", text);
    print(text.append(")\n").append(kFunction));
  });
}

}  // namespace sluice::command
