// SPDX-License-Identifier: Apache-2.0
// `sluice serve`: metrics for Prometheus, and answers to "are you well" and "are you ready".

#include <algorithm>
#include <arpa/inet.h>
#include <cstdio>
#include <fstream>
#include <memory>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include <fmt/format.h>

#include <sluice/connect/listener.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "commands.hpp"
#include "serve/http_server.hpp"
#include "serve/metrics_text.hpp"
#include "serve/watched_pipelines.hpp"

namespace sluice::command {
namespace {

struct ServeSaid {
  std::vector<std::string> pipelines;
  std::string at = "127.0.0.1:9464";
  std::string token_file;
};

// Whether only processes of this machine reach it.
bool is_local(int socket) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof(address);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return false;
  if (address.ss_family == AF_UNIX) return true;
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    return (ntohl(in.sin_addr.s_addr) >> 24U) == 127;
  }
  const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
  return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

std::string token_in(const std::string& path) {
  if (path.empty()) return {};
  std::ifstream file{path};
  std::string token;
  if (!std::getline(file, token) || token.empty())
    throw Error{{"read the token in", path, file ? "its first line is empty" : "it cannot be read", ""}};
  return token;
}

// Takes as long for a token that is wrong at its end as for one that is wrong at its beginning.
bool same(std::string_view given, std::string_view wanted) {
  unsigned different = given.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i)
    different |= static_cast<unsigned char>(given[i]) ^ static_cast<unsigned char>(wanted[i % wanted.size()]);
  return different == 0;
}

// A line for each pipeline; 503 when one of them is not as `is_well` wants it, or was named and is not there.
template <class IsWell>
HttpAnswer judged(WatchedPipelines& watched, IsWell&& is_well) {
  HttpAnswer answer;
  for (const Exposed& each : watched.look()) {
    const bool well = is_well(each.stats);
    if (!well) answer.status = 503;
    answer.body += fmt::format("{}: {}\n", printable(each.name),
                               well                            ? "ok"
                               : each.stats.state == "running" ? "not all stages are at work"
                                                               : each.stats.state);
  }
  for (const std::string& name : watched.missing()) {
    answer.status = 503;
    answer.body += fmt::format("{}: not running\n", printable(name));
  }
  if (answer.body.empty()) answer.body = "no pipeline is running\n";
  return answer;
}

HttpAnswer answer(WatchedPipelines& watched, const std::string& token, const std::string& path,
                  std::string_view authorization) {
  constexpr std::string_view kBearer = "Bearer ";
  if (path == "/health")
    return judged(watched,
                  [](const Stats& stats) { return stats.state == "running" || stats.state == "starting"; });
  if (path == "/ready") return judged(watched, is_ready);
  if (path == "/") return {200, "text/plain; charset=utf-8", "Sluice: /metrics /health /ready\n"};
  if (path != "/metrics")
    return {404, "text/plain; charset=utf-8", "there are /metrics, /health and /ready\n"};
  if (!token.empty() &&
      (!authorization.starts_with(kBearer) || !same(authorization.substr(kBearer.size()), token))) {
    return {401, "text/plain; charset=utf-8", "the token is missing or wrong: Authorization: Bearer TOKEN\n"};
  }
  return {200, kMetricsType, metrics_text(watched.look())};
}

[[noreturn]] void serve(const ServeSaid& said) {
  const std::string token = token_in(said.token_file);
  const Listener listener{said.at, {.patience = std::chrono::nanoseconds{0}}};
  if (token.empty() && !is_local(listener.descriptor())) {
    throw Error{{"serve metrics at", said.at, "others than this machine reach it, and there is no token",
                 "give --token-file, or serve at 127.0.0.1"}};
  }
  WatchedPipelines watched{said.pipelines};
  HttpServer server{listener, [&](const std::string& path, const std::string& authorization) {
                      return answer(watched, token, path, authorization);
                    }};
  std::fprintf(stderr, "serving /metrics, /health and /ready at %s\n", printable(listener.address()).c_str());
  while (true)
    server.run_once();
}

}  // namespace

void add_serve(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("serve", "Metrics of running pipelines for Prometheus, and health");
  const auto said = std::make_shared<ServeSaid>();
  command->add_option("pipelines", said->pipelines, "Their names, or paths of their sockets (observe.socket)")
      ->type_name("NAME|SOCKET");
  command->add_option("--http", said->at, "Where: HOST:PORT or unix:PATH")
      ->type_name("ADDRESS")
      ->capture_default_str();
  command->add_option("--token-file", said->token_file, "Its first line is the bearer token for /metrics")
      ->type_name("FILE");
  end_help(*command, "Without a name: all that this user runs. It only looks, and ends by a signal.",
           {"sluice serve market", "sluice serve --http unix:/run/sluice/metrics.sock",
            "sluice serve --http '*:9464' --token-file /etc/sluice/token"});
  command->callback([said] { serve(*said); });
}

}  // namespace sluice::command
