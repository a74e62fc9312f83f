// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/injected_variables.hpp"

#include <algorithm>
#include <array>
#include <unistd.h>

#include "settings/settings_names.hpp"

namespace sluice::detail {
namespace {

constexpr std::array<std::string_view, 3> kProtocols{"tcp", "udp", "sctp"};

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_address(std::string_view text) {
  return text.find_first_of(".:") != std::string_view::npos &&
         text.find_first_not_of("0123456789abcdefABCDEF.:") == std::string_view::npos;
}

bool is_protocol(std::string_view text) {
  return std::ranges::find(kProtocols, text) != kProtocols.end();
}

// "tcp://10.3.104.46:80"
bool is_url(std::string_view text) {
  const std::size_t end = text.find("://");
  return end != std::string_view::npos && is_protocol(text.substr(0, end)) &&
         text.find_last_of(':') > end + 2 && is_number(text.substr(text.find_last_of(':') + 1));
}

// Takes the last word off a name: "_ADDR" of "SLUICE_PORT_80_TCP_ADDR".
std::string_view take_word(std::string_view& name) {
  const std::size_t at = name.find_last_of('_');
  if (at == std::string_view::npos) return {};
  const std::string_view word = name.substr(at + 1);
  name = name.substr(0, at);
  return word;
}

// "..._PORT_80_TCP"
bool names_a_port(std::string_view name) {
  const std::string_view protocol = take_word(name);
  const bool known = protocol == "TCP" || protocol == "UDP" || protocol == "SCTP";
  return known && is_number(take_word(name)) && name.ends_with("_PORT");
}

}  // namespace

bool is_injected(std::string_view name, std::string_view value) {
  if (name.ends_with("_SERVICE_HOST")) return is_address(value);
  if (name.find("_SERVICE_PORT") != std::string_view::npos) return is_number(value);
  if (name.ends_with("_PORT") && is_url(value)) return true;
  if (names_a_port(name)) return is_url(value);
  std::string_view rest = name;
  const std::string_view what = take_word(rest);
  if (!names_a_port(rest)) return false;
  if (what == "PROTO") return is_protocol(value);
  return what == "PORT" ? is_number(value) : what == "ADDR" && is_address(value);
}

std::vector<std::string> injected_variables() {
  std::vector<std::string> names;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string_view name = text.substr(0, text.find('='));
    if (name.size() == text.size() || !name.starts_with("SLUICE_")) continue;
    if (!find_variable(name).ok() && is_injected(name, text.substr(name.size() + 1)))
      names.emplace_back(name);
  }
  return names;
}

}  // namespace sluice::detail
