#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Checks of what was installed; the first word says which.
#   check_install.sh programs DIRECTORY NAME...        these are the programs, each tells its version, and so the product's
#   check_install.sh pkg-config DIRECTORY COMPILER     every .pc file names all that its archives need
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
check_pkg_config() {
  export PKG_CONFIG_PATH="$1"
  compiler="$2"
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  echo 'int main() {}' >"$work/main.cpp"
  "$compiler" -c "$work/main.cpp" -o "$work/main.o"
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

check="$1"
shift
case "$check" in
  programs) check_programs "$@" ;;
  pkg-config) check_pkg_config "$@" ;;
  *) fail "there is no check $check" ;;
esac
