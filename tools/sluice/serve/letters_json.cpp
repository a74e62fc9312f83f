// SPDX-License-Identifier: Apache-2.0
#include "serve/letters_json.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <vector>

#include <sluice/dead_letter.hpp>
#include <sluice/detail/clock.hpp>
#include <sluice/detail/json_parts.hpp>
#include <sluice/error.hpp>

namespace sluice::command {
namespace {

namespace fs = std::filesystem;
using detail::JsonParts;

// So that a look at them takes some milliseconds.
constexpr std::uintmax_t kMostBytes = std::uintmax_t{8} << 20;
constexpr std::size_t kMostLetters = 50;

// Why the letters there are not read; empty.
std::string objection_to(const std::string& directory) {
  std::uintmax_t bytes = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{directory, error}) {
    if (entry.path().extension() != ".dead") continue;
    std::error_code none;
    if (!entry.is_regular_file(none)) return entry.path().string() + " is no file";
    bytes += entry.file_size(none);
  }
  return bytes > kMostBytes ? "their files are larger than what this page reads" : "";
}

std::string letter_json(const DeadLetter& letter, std::size_t number) {
  JsonParts json;
  json.member("number", std::to_string(number));
  json.text_member("time", detail::utc_text(letter.time));
  json.text_member("worker", letter.stage + "/" + std::to_string(letter.replica));
  json.text_member("from", letter.from);
  // As a text: it may be more than the page's numbers hold.
  json.text_member("position", std::to_string(letter.position));
  json.text_member("type", letter.type);
  json.member("bytes", std::to_string(letter.payload.size()));
  json.member("attempts", std::to_string(letter.attempts));
  json.text_member("cause", letter.cause);
  json.text_member("backtrace", letter.backtrace);
  json.member("retried", letter.retried_by != 0 ? "true" : "false");
  return json.object();
}

}  // namespace

std::string letters_json(const std::string& directory) {
  JsonParts json;
  json.text_member("path", directory);
  std::string error = objection_to(directory);
  std::vector<DeadLetter> letters;
  try {
    std::error_code none;
    if (error.empty() && fs::is_directory(directory, none)) letters = find_dead_letters(directory);
  } catch (const Error& failed) {
    error = failed.what();
  }
  JsonParts list;
  const std::size_t shown = std::min(letters.size(), kMostLetters);
  for (std::size_t i = 0; i < shown; ++i) {
    const std::size_t number = letters.size() - i;
    list.add(letter_json(letters[number - 1], number));
  }
  json.member("count", std::to_string(letters.size()));
  json.member("letters", list.array());
  json.text_member("error", error);
  return json.object();
}

}  // namespace sluice::command
