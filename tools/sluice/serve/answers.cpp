// SPDX-License-Identifier: Apache-2.0
#include "serve/answers.hpp"

#include <string>
#include <string_view>

#include <fmt/format.h>

#include <sluice/printable.hpp>

#include "presence.hpp"
#include "serve/metrics_text.hpp"
#include "serve/page.hpp"

namespace sluice::command {
namespace {

constexpr const char* kPlain = "text/plain; charset=utf-8";
constexpr const char* kHtml = "text/html; charset=utf-8";

// Each of them why a pipeline is not so; empty: it is.
std::string why_not_healthy(const Stats& stats) {
  if (stats.state != "running" && stats.state != "starting") return stats.state;
  return stopped_master_text(stats);
}
std::string why_not_ready(const Stats& stats) {
  if (!is_ready(stats)) return stats.state == "running" ? "not all stages are at work" : stats.state;
  return stopped_master_text(stats);
}

// A line for each pipeline; 503 when one of them is not as it is asked for, or was named and cannot be judged.
HttpAnswer judged(WatchedPipelines& watched, std::string (*why_not)(const Stats&)) {
  HttpAnswer answer;
  for (const Exposed& each : watched.look()) {
    const std::string why = why_not(each.stats);
    if (!why.empty()) answer.status = 503;
    answer.body += fmt::format("{}: {}\n", printable(each.name), why.empty() ? "ok" : why);
  }
  for (const std::string& name : watched.missing()) {
    answer.status = 503;
    answer.body += fmt::format("{}: not running\n", printable(name));
  }
  // It runs; how, only another `sluice` can tell. Of all that there are, those that can be judged are.
  for (const std::string& refusal : watched.refusals()) {
    if (!watched.all()) answer.status = 503;
    answer.body += fmt::format("{}\n", printable(refusal));
  }
  if (answer.body.empty()) answer.body = "no pipeline is running\n";
  return answer;
}

// Nothing is fetched from elsewhere, nothing is framed, no script runs but what has the nonce, and none of that may make
// markup of a text.
std::string policy(std::string_view nonce) {
  return fmt::format(
      "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; img-src data:; connect-src 'self'; "
      "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
      "trusted-types 'none'",
      nonce);
}

HttpAnswer page() {
  constexpr std::size_t kNonceBytes = 16;
  const std::string nonce = random_text(kNonceBytes);
  std::string text{kPage};
  for (std::size_t at = 0; (at = text.find(kNonce, at)) != std::string::npos;)
    text.replace(at, kNonce.size(), nonce);
  return {200, kHtml, std::move(text), {{"Content-Security-Policy", policy(nonce)}}, nullptr};
}

// For people; a form without script, whose answer is the page or this again.
HttpAnswer question(bool wrong) {
  return {
      401,
      kHtml,
      fmt::format("<!doctype html>\n<html lang=\"en\"><meta name=\"viewport\" content=\"width=device-width\">"
                  "<title>Sluice</title>\n<h1>Sluice</h1>\n<p>{}: it stands in the file that `sluice serve "
                  "--token-file` names.</p>\n<form action=\"./\"><label>Token <input name=\"token\" "
                  "type=\"password\" autocomplete=\"off\" required autofocus></label> "
                  "<button>Show the page</button></form>\n</html>\n",
                  wrong ? "The token is wrong" : "A token is asked for"),
      {{"WWW-Authenticate", "Bearer"}, {"Content-Security-Policy", policy("none")}},
      nullptr};
}

HttpAnswer live(LiveFeed& feed, const HttpRequest& request) {
  // Another site could not read it, but would take places from those who can.
  if (!request.fetch_site.empty() && request.fetch_site != "same-origin" && request.fetch_site != "none")
    return {403, kPlain, "only the page of this server may ask for this\n", {}, nullptr};
  return {200, "text/event-stream", {}, {{"X-Accel-Buffering", "no"}}, feed.reader()};
}

}  // namespace

HttpAnswer answer(WatchedPipelines& watched, LiveFeed& feed, const Access& access,
                  const HttpRequest& request) {
  const std::string& path = request.path;
  if (!access.knows_host(request)) {
    return {403,
            kPlain,
            fmt::format(
                "asked for as {}, which is no name of this machine: ask for 127.0.0.1 or localhost, or give "
                "`sluice serve` a --token-file\n",
                printable(cut_text(request.host, 100))),
            {},
            nullptr};
  }
  if (path == "/health") return judged(watched, why_not_healthy);
  if (path == "/ready") return judged(watched, why_not_ready);
  if (path != "/" && path != "/metrics" && path != "/live")
    return {404, kPlain, "there are /, /metrics, /health and /ready\n", {}, nullptr};
  if (path == "/" && access.brings_token(request))
    return {303, kPlain, "./\n", {{"Location", "./"}, {"Set-Cookie", access.cookie()}}, nullptr};
  if (!access.allows(request)) {
    if (path == "/") return question(!request.token.empty());
    return {401,
            kPlain,
            "the token is missing or wrong: Authorization: Bearer TOKEN\n",
            {{"WWW-Authenticate", "Bearer"}},
            nullptr};
  }
  if (path == "/live") return live(feed, request);
  if (path == "/metrics") {
    const std::vector<Exposed> seen = watched.look();
    return {200, kMetricsType, metrics_text(seen, watched.down()), {}, nullptr};
  }
  return page();
}

}  // namespace sluice::command
