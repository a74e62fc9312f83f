#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs, and checks of what was installed; the first word says which.
#   check_install.sh install CMAKE BUILD PREFIX [OPTION...]    what an earlier tree installed there is not for the checks
#   check_install.sh programs DIRECTORY NAME...        these are the programs, each tells its version, and so the product's
#   check_install.sh pkg-config DIRECTORY COMPILER     every .pc file names all that its archives need
#   check_install.sh help PROGRAM...                   help fits 80 columns and ends with three examples, of every command too
#   check_install.sh packages PREFIX DEBIAN VERSION    packages of this version take all of it, and nothing that is not there
set -eu

fail() {
  printf 'check_install.sh: %s\n' "$*" >&2
  exit 1
}

check_programs() {
  directory="$1"
  shift
  found="$(cd "$directory" && printf '%s ' * | sed 's/ $//')"
  if [ "$#" -gt 0 ] && [ "$found" != "$*" ]; then fail "in $directory there are: $found; not: $*"; fi
  for program in "$directory"/*; do
    said="$(timeout 60 "$program" --version)" || fail "$program --version ends with status $?"
    printf '%s\n' "$said" | grep -Eq '^[^ ].*[0-9]+\.[0-9]+\.[0-9]+$' || fail "$program --version says: $said"
  done
}

# A program that has everything of one archive and nothing else of ours resolves every name, or the file lacks something.
# It is compiled as a project without CMake does it.
check_pkg_config() {
  export PKG_CONFIG_PATH="$1"
  compiler="$2"
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  cat >"$work/main.cpp" <<'END'
#include <cstdio>
#include <sluice/units.hpp>
int main() { std::printf("%s\n", sluice::format_count(12).c_str()); }
END
  # shellcheck disable=SC2046
  "$compiler" -std=c++20 "$work/main.cpp" -o "$work/main" $(pkg-config --cflags --libs --static sluice)
  [ "$("$work/main")" = 12 ] || fail "the program by pkg-config says: $("$work/main")"
  # shellcheck disable=SC2046
  "$compiler" -std=c++20 -c "$work/main.cpp" -o "$work/main.o" $(pkg-config --cflags sluice)
  count=0
  for file in "$PKG_CONFIG_PATH"/*.pc; do
    name="$(basename "$file" .pc)"
    own="$(sed -n 's/^Libs: -L[^ ]* *//p' "$file" | tr ' ' '\n' | grep '^-lsluice_' || true)"
    [ -n "$own" ] || fail "$file names no archive"
    for kind in --libs "--libs --static"; do
      # shellcheck disable=SC2086
      libs="$(pkg-config --print-errors $kind "$name")" || fail "pkg-config $kind $name"
      # shellcheck disable=SC2086
      "$compiler" "$work/main.o" -o "$work/main" "-L$(pkg-config --variable=libdir "$name")" \
        -Wl,--whole-archive $own -Wl,--no-whole-archive $libs || fail "a program by $name ($kind) does not link"
      [ "$name" = sluice ] || break  # Once is enough: they all stand on the same.
    done
    count=$((count + 1))
  done
  [ "$count" -ge 2 ] || fail "only $count .pc files in $PKG_CONFIG_PATH"
}

# check_help PROGRAM COMMAND...
check_help() {
  text="$(timeout 60 "$@" --help)" || fail "$* --help ends with status $?"
  long="$(printf '%s\n' "$text" | grep -E '^.{81}' || true)"
  [ -z "$long" ] || fail "$* --help has lines of more than 80 columns: $long"
  end="$(printf '%s\n' "$text" | tail -n 4 | sed 's/^  [^ ].*/  example/' | tr '\n' '|')"
  case "$end" in
    "Examples:|  example|  example|  example|") ;;
    *) fail "$* --help does not end with three examples: $text" ;;
  esac
  checked=$((checked + 1))
  # A command that another program answers for is asked as that program.
  for command in $(printf '%s\n' "$text" | sed -n '/^Subcommands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p'); do
    [ "$command" = bench ] || check_help "$@" "$command"
  done
}

# Of every command of PROGRAM, its last option without the last letter.
check_typos() {
  option="$(timeout 60 "$@" --help | sed -n 's/^  \(--[a-z-]*[a-z]\)\([ ,].*\|$\)/\1/p' | tail -n 1)"
  if [ -n "$option" ] && [ "$option" != --version ]; then
    said="$("$@" "${option%?}" 2>&1)" && fail "$* ${option%?} is taken for something"
    case "$said" in
      *"did you mean $option?"*) ;;
      *) fail "$* ${option%?} says: $said" ;;
    esac
  fi
  for command in $("$@" --help | sed -n '/^Subcommands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p'); do
    [ "$command" = bench ] || check_typos "$@" "$command"
  done
}

# Each is started by a path that is longer than a line.
check_helps() {
  checked=0
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  far="$work/a-directory-whose-name-is-longer-than-most/and-another-one-below-it-that-is-no-shorter"
  mkdir -p "$far"
  for each in "$@"; do
    ln -s "$each" "$far/"
    check_help "$far/${each##*/}"
  done
  [ "$checked" -gt "$#" ] || fail "only $checked helps were looked at"
  check_typos "$1"
}

# The packages' lists are of what is installed below /usr, where libraries have a directory for each kind of machine.
check_packages() {
  prefix="$1"
  debian="$2"
  version="$(sed -n '1s/^sluice (\(.*\)) .*/\1/p' "$debian/changelog")"
  [ "$version" = "$3" ] || fail "$debian/changelog is of version $version, the tree is $3"
  patterns="$(cat "$debian"/*.install)"
  set -f  # They are not names of files here.
  all="$(cd "$prefix" && find . -type f | sed -e 's|^\./|usr/|' -e 's|^usr/lib/|usr/lib/machine/|')"
  used=""
  for file in $all; do
    found=""
    for pattern in $patterns; do
      # shellcheck disable=SC2254
      case "$file" in
        $pattern | $pattern/*) found="$pattern" ;;
      esac
    done
    [ -n "$found" ] || fail "$file is in no package: see $debian/*.install"
    case " $used " in
      *" $found "*) ;;
      *) used="$used $found" ;;
    esac
  done
  for pattern in $patterns; do
    case " $used " in
      *" $pattern "*) ;;
      *) fail "$pattern of $debian/*.install is nothing that is installed" ;;
    esac
  done
}

# install CMAKE BUILD PREFIX [OPTION...]
install_anew() {
  cmake="$1"
  build="$2"
  prefix="$3"
  shift 3
  rm -rf "$prefix"
  "$cmake" --install "$build" --prefix "$prefix" "$@"
}

check="$1"
shift
case "$check" in
  install) install_anew "$@" ;;
  programs) check_programs "$@" ;;
  pkg-config) check_pkg_config "$@" ;;
  help) check_helps "$@" ;;
  packages) check_packages "$@" ;;
  *) fail "there is no check $check" ;;
esac
