// SPDX-License-Identifier: Apache-2.0
// The page of `sluice serve` as a browser gets it: whole, with headers that keep foreign scripts out, to those who may have
// it; and its live feed, which no client can hold up.
#include <memory>

#include "http_client.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class ServePage : public WithSocket {
 protected:
  ServeCommand serving(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{socket_, "--http", "127.0.0.1:0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return {arguments, directory_ / "said"};
  }
};

std::string header_of(const std::string& answer, const std::string& name) {
  const std::size_t at = answer.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  const std::size_t begin = at + name.size() + 4;
  return answer.substr(begin, answer.find("\r\n", begin) - begin);
}

TEST_F(ServePage, IsOneAnswerWhoseScriptIsKnownByANumberOfItsOwn) {
  ServeCommand serve = serving();
  ASSERT_TRUE(serve.serves()) << serve.said();
  const std::string page = ask_port(serve.port(), request_for("/"));
  EXPECT_THAT(page, StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(header_of(page, "Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(header_of(page, "X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(header_of(page, "Cache-Control"), "no-store");
  EXPECT_EQ(header_of(page, "Referrer-Policy"), "no-referrer");
  const std::string policy = header_of(page, "Content-Security-Policy");
  EXPECT_THAT(policy, AllOf(StartsWith("default-src 'none'; script-src 'nonce-"), Not(HasSubstr("unsafe")),
                            HasSubstr("frame-ancestors 'none'")));
  const std::string nonce = policy.substr(policy.find("'nonce-") + 7, 32);
  EXPECT_THAT(page, AllOf(HasSubstr("<script nonce=\"" + nonce + "\">"), Not(HasSubstr("{{"))));
  EXPECT_THAT(page, AllOf(HasSubstr("<noscript>"), HasSubstr("sluice stats"), HasSubstr("/metrics")));
  // Nothing of it is elsewhere.
  EXPECT_THAT(page, AllOf(Not(HasSubstr("src=\"")), Not(HasSubstr("https://"))));
  EXPECT_THAT(ask_port(serve.port(), request_for("/")), Not(HasSubstr(nonce)));
  EXPECT_THAT(ask_port(serve.port(), request_for("/", "", "HEAD")),
              AllOf(HasSubstr(" 200 "), Not(HasSubstr("<html"))));
  EXPECT_THAT(ask_port(serve.port(), request_for("/", "", "DELETE")), HasSubstr(" 405 "));
}

TEST_F(ServePage, IsToldOfADeathAtOnceAndOfEachReportOnce) {
  Watched run{settings()};
  ServeCommand serve = serving();
  ASSERT_TRUE(serve.serves()) << serve.said();
  HttpConnection live{serve.port(), request_for("/live")};
  EXPECT_THAT(live.read_until("\"settings\":["),
              AllOf(StartsWith("HTTP/1.1 200 "), HasSubstr("event: stats\ndata: {"),
                    HasSubstr("\"name\":\"counting\",\"stats\":{\"schema\":1,")));
  kill_worker_of(run.engine, "count/1");
  const std::string report = R"(\"report\":\"death\")";
  EXPECT_THAT(live.read_until(report), HasSubstr(report));
  EXPECT_THAT(live.read_until("\"last_death\":{\"cause\":\"killed\""), HasSubstr("\"restarts\":1,"));
  // Those who come later get it as well, and nobody twice.
  HttpConnection later{serve.port(), request_for("/live")};
  EXPECT_THAT(later.read_until("event: stats"), HasSubstr(report));
  kill_worker_of(run.engine, "count/0");
  const std::string second = R"(\"worker\":\"count/0\")";
  const std::string all = live.read_until(second);
  ASSERT_THAT(all, HasSubstr(second));
  EXPECT_EQ(all.find(report, all.find(report) + 1), all.rfind(report));
}

TEST_F(ServePage, GivesHostileTextsAsTextsOfJson) {
  const std::string hostile = "</script>\n\nevent: x\r\"<img src=x onerror=alert(1)>";
  Settings chosen = settings();
  Engine engine{counting_pipeline(1, hostile), chosen};
  engine.start();
  ServeCommand serve = serving();
  ASSERT_TRUE(serve.serves()) << serve.said();
  HttpConnection live{serve.port(), request_for("/live")};
  EXPECT_THAT(live.read_until("\"settings\":["),
              AllOf(HasSubstr("\"name\":\"</script>\\u000a\\u000aevent: x\\u000d\\\"<img"),
                    Not(HasSubstr("\nevent: x"))));
  engine.stop();
}

TEST_F(ServePage, KnowsABrowserByItsCookieAndLetsNobodyElseInWhereThereIsAToken) {
  const std::string token_file = (directory_ / "token").string();
  std::ofstream{token_file} << "secret of ours\n";
  ServeCommand serve = serving({"--token-file", token_file});
  ASSERT_TRUE(serve.serves()) << serve.said();
  const auto ask = [&](const std::string& path, const std::string& header = "") {
    return ask_port(serve.port(), request_for(path, header));
  };
  EXPECT_THAT(ask("/"), AllOf(HasSubstr(" 401 "), HasSubstr("A token is asked for"), HasSubstr("<form")));
  EXPECT_THAT(ask("/?token=secret"),
              AllOf(HasSubstr(" 401 "), HasSubstr("The token is wrong"), Not(HasSubstr("Set-Cookie"))));
  EXPECT_THAT(ask("/live"), HasSubstr(" 401 "));
  EXPECT_THAT(ask("/live?token=secret%20of%20ours"), HasSubstr(" 401 "))
      << "a token in an address is for the page only";
  const std::string let_in = ask("/?token=secret%20of%20ours");
  EXPECT_THAT(let_in, StartsWith("HTTP/1.1 303 "));
  EXPECT_EQ(header_of(let_in, "Location"), "./");
  const std::string cookie = header_of(let_in, "Set-Cookie");
  EXPECT_THAT(cookie,
              AllOf(HasSubstr("; HttpOnly"), HasSubstr("; SameSite=Strict"), Not(HasSubstr("secret"))));
  const std::string kept = cookie.substr(0, cookie.find(';'));
  EXPECT_THAT(ask("/", "Cookie: other=1; " + kept + "\r\n"), HasSubstr(" 200 "));
  EXPECT_THAT(ask("/metrics", "Cookie: " + kept + "\r\n"), HasSubstr(" 200 "));
  EXPECT_THAT(ask("/", "Cookie: " + kept + "0\r\n"), HasSubstr(" 401 "));
  EXPECT_THAT(ask("/", "Authorization: Bearer secret of ours\r\n"), HasSubstr(" 200 "));
  HttpConnection live{serve.port(), request_for("/live", "Cookie: " + kept + "\r\n")};
  EXPECT_THAT(live.read_until("event: stats"), HasSubstr(" 200 "));
}

TEST_F(ServePage, AnswersNoForeignNameAndNoForeignPage) {
  ServeCommand serve = serving();
  ASSERT_TRUE(serve.serves()) << serve.said();
  const auto ask = [&](const std::string& host, const std::string& path = "/") {
    return ask_port(serve.port(), request_for(path, "", "GET", host));
  };
  for (const char* host : {"localhost", "LocalHost:9464", "127.0.0.1:1", "[::1]:9464"})
    EXPECT_THAT(ask(host), HasSubstr(" 200 ")) << host;
  for (const char* host :
       {"example.org", "127.0.0.1.example.org", "localhost.example.org:9464", "10.0.0.1", "[::2]"})
    EXPECT_THAT(ask(host), AllOf(HasSubstr(" 403 "), HasSubstr("no name of this machine"))) << host;
  EXPECT_THAT(ask("example.org", "/metrics"), HasSubstr(" 403 "));
  EXPECT_THAT(ask("example.org", "/health"), HasSubstr(" 403 "));
  EXPECT_THAT(ask_port(serve.port(), request_for("/live", "Sec-Fetch-Site: cross-site\r\n")),
              HasSubstr(" 403 "));
}

TEST_F(ServePage, HasSixteenLiveClientsAtMostAndTakesAnotherOnceOneHasGone) {
  const Watched run{settings()};
  ServeCommand serve = serving();
  ASSERT_TRUE(serve.serves()) << serve.said();
  std::vector<std::unique_ptr<HttpConnection>> clients;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(std::make_unique<HttpConnection>(serve.port(), request_for("/live")));
    ASSERT_THAT(clients.back()->read_until("event: stats"), HasSubstr(" 200 "));
  }
  EXPECT_THAT(ask_port(serve.port(), request_for("/live")),
              AllOf(HasSubstr(" 503 "), HasSubstr("too many live pages")));
  EXPECT_THAT(ask_port(serve.port(), request_for("/metrics")), HasSubstr(" 200 "));
  EXPECT_THAT(ask_port(serve.port(), request_for("/")), HasSubstr(" 200 "));
  clients.pop_back();
  EXPECT_TRUE(eventually([&] {
    HttpConnection next{serve.port(), request_for("/live")};
    return next.read_until("\r\n\r\n").find(" 200 ") != std::string::npos;
  }));
}

TEST_F(ServePage, AnswersWhoAsksThoughManyConnectAndSayNothing) {
  ServeCommand serve = serving();
  ASSERT_TRUE(serve.serves()) << serve.said();
  std::vector<std::unique_ptr<HttpConnection>> silent;
  constexpr std::size_t kMoreThanTheServerTakes = 600;
  silent.reserve(kMoreThanTheServerTakes);
  for (std::size_t i = 0; i < kMoreThanTheServerTakes; ++i)
    silent.push_back(std::make_unique<HttpConnection>(serve.port(), "GET"));
  EXPECT_THAT(ask_port(serve.port(), request_for("/")), HasSubstr(" 200 "));
  EXPECT_TRUE(silent.front()->is_cut_off());
}

TEST_F(ServePage, DropsAReaderThatStopsAndOthersDoNotNotice) {
  Watched run{settings()};
  ServeCommand serve = serving();
  ASSERT_TRUE(serve.serves()) << serve.said();
  constexpr int kLittle = 4096;
  const HttpConnection stopped{serve.port(), request_for("/live"), kLittle};
  HttpConnection live{serve.port(), request_for("/live")};
  // How much the kernel keeps for it is the machine's.
  const auto until = std::chrono::steady_clock::now() + 3 * kDeadline;
  for (std::uint32_t deaths = 1; !stopped.is_cut_off() && std::chrono::steady_clock::now() < until;
       ++deaths) {
    // Each death makes more to be read, and the other one reads it.
    const std::uint32_t before = worker_of(run.engine, "count/0").incarnation;
    ASSERT_TRUE(eventually([&] { return run.engine.signal_worker("count/0", SIGKILL); }));
    ASSERT_TRUE(eventually([&] { return worker_of(run.engine, "count/0").incarnation > before; }));
    const std::string told = "\\\"restarts\\\":" + std::to_string(deaths) + ",";
    ASSERT_THAT(live.read_until(told), HasSubstr(told));
    ASSERT_THAT(ask_port(serve.port(), request_for("/ready")), StartsWith("HTTP/1.1 "));
  }
  EXPECT_TRUE(stopped.is_cut_off());
  EXPECT_FALSE(live.closed());
}

}  // namespace
}  // namespace sluice::test
