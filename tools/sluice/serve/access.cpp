// SPDX-License-Identifier: Apache-2.0
#include "serve/access.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <sys/random.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::command {
namespace {

// "[::1]:9464" has the host "[::1]" and the port "9464".
std::pair<std::string, std::string> host_and_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const bool has_port = colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos;
  std::string host{text.substr(0, has_port ? colon : text.size())};
  std::transform(host.begin(), host.end(), host.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return {host, std::string{has_port ? text.substr(colon + 1) : std::string_view{}}};
}

// A number, not a name that begins with one: "127.0.0.1.example" is an attacker's.
bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "[::1]") return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

// Whether the list of cookies, "a=1; b=2", has this one.
bool has_cookie(std::string_view list, std::string_view wanted) {
  while (!list.empty()) {
    const std::size_t end = list.find(';');
    std::string_view each = list.substr(0, end);
    each.remove_prefix(std::min(each.find_first_not_of(' '), each.size()));
    if (same_secret(each, wanted)) return true;
    list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
  }
  return false;
}

}  // namespace

bool same_secret(std::string_view given, std::string_view wanted) {
  unsigned different = given.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char against = wanted.empty() ? '\0' : wanted[i % wanted.size()];
    different |= static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(against);
  }
  return different == 0;
}

std::string random_text(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) {
    unsigned char byte = 0;
    if (::getrandom(&byte, 1, 0) != 1)
      throw Error{{"draw a random number", "getrandom", errno_text(), "see why the kernel refuses it"}};
    text += fmt::format("{:02x}", byte);
  }
  return text;
}

Access::Access(std::string token, std::string_view at, std::string_view listening, bool is_port)
    : token_{std::move(token)}, named_{host_and_port(at).first}, is_port_{is_port} {
  constexpr std::size_t kSecretBytes = 16;
  // A browser sends the cookies of a host to all its ports: each of ours has one of its own.
  cookie_ = fmt::format("sluice_{}={}", is_port ? host_and_port(listening).second : "socket",
                        random_text(kSecretBytes));
}

bool Access::knows_host(const HttpRequest& request) const {
  if (!token_.empty() || !is_port_ || request.host.empty()) return true;
  const std::string host = host_and_port(request.host).first;
  return is_loopback(host) || host == named_;
}

bool Access::allows(const HttpRequest& request) const {
  constexpr std::string_view kBearer = "Bearer ";
  if (token_.empty()) return true;
  const std::string_view authorization = request.authorization;
  if (authorization.starts_with(kBearer) && same_secret(authorization.substr(kBearer.size()), token_))
    return true;
  return has_cookie(request.cookie, cookie_);
}

bool Access::brings_token(const HttpRequest& request) const {
  return !token_.empty() && same_secret(request.token, token_);
}

std::string Access::cookie() const {
  return cookie_ + "; Path=/; HttpOnly; SameSite=Strict";
}

}  // namespace sluice::command
