// SPDX-License-Identifier: Apache-2.0
// Who may ask `sluice serve` for what. Pure but for the secret, which is drawn once.
//
// Programs show the token as a bearer. A browser shows it once, in the address, and gets a cookie for it: a number that
// this process has drawn, so that the browser keeps no token. Where there is no token only this machine reaches the
// server, and a browser of this machine may do so for a foreign page whose name an attacker points here: such a page
// gives itself away by the name that it asks for.
#pragma once

#include <string>
#include <string_view>

#include "serve/http_server.hpp"

namespace sluice::command {

class Access {
 public:
  // `token`: empty where none is asked for. `at`: what the user named, `listening`: where that is, with its port. `is_port`:
  // it is no Unix socket, which browsers cannot reach.
  Access(std::string token, std::string_view at, std::string_view listening, bool is_port);

  // The request's own name for this server is one of this machine, or there is a token.
  bool knows_host(const HttpRequest& request) const;
  // By bearer or by cookie; everybody where there is no token.
  bool allows(const HttpRequest& request) const;
  // It brings a token in its address: what it gets for a right one is `cookie()`.
  bool brings_token(const HttpRequest& request) const;
  // For Set-Cookie.
  std::string cookie() const;

 private:
  std::string token_;
  std::string named_;  // The host that the user named.
  bool is_port_;
  std::string cookie_;  // "name=secret"
};

// Takes as long for a text that is wrong at its end as for one that is wrong at its beginning.
bool same_secret(std::string_view given, std::string_view wanted);
// So many random bytes, in hex.
std::string random_text(std::size_t bytes);

}  // namespace sluice::command
