// SPDX-License-Identifier: Apache-2.0
#include "names.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

std::string_view next_token(std::string_view& rest) noexcept {
  const std::size_t dot = rest.find('.');
  const std::string_view token = rest.substr(0, dot);
  rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
  return token;
}

std::string word_for(std::string_view word, std::string_view text, const Worker& worker) {
  if (word == "pipeline") return worker.pipeline();
  if (word == "stage") return worker.stage();
  if (word == "replica") return std::to_string(worker.replica());
  throw Error{{"use the name", std::string{text}, fmt::format("it has {{{}}} in it", word),
               "only {pipeline}, {stage} and {replica} stand for something"}};
}

}  // namespace

std::string named_for(std::string_view text, const Worker& worker) {
  std::string name;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t open = text.find('{', at);
    const std::size_t close = open == std::string_view::npos ? open : text.find('}', open);
    if (close == std::string_view::npos) {
      name.append(text.substr(at));
      break;
    }
    name.append(text.substr(at, open - at));
    name.append(word_for(text.substr(open + 1, close - open - 1), text, worker));
    at = close + 1;
  }
  return name;
}

bool is_subject(std::string_view subject) noexcept {
  if (subject.empty() || subject.front() == '.' || subject.back() == '.') return false;
  if (subject.find("..") != std::string_view::npos) return false;
  return std::all_of(subject.begin(), subject.end(), [](char letter) {
    return static_cast<unsigned char>(letter) > ' ' && letter != '*' && letter != '>' && letter != '\x7f';
  });
}

bool takes_subject(std::string_view pattern, std::string_view subject) noexcept {
  while (!pattern.empty() && !subject.empty()) {
    const std::string_view wanted = next_token(pattern);
    if (wanted == ">") return true;
    if (const std::string_view token = next_token(subject); wanted != "*" && wanted != token) return false;
  }
  return pattern.empty() && subject.empty();
}

}  // namespace sluice::detail
