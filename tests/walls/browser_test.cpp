// SPDX-License-Identifier: Apache-2.0
// The page of `sluice serve` in a real Chromium, which is told what to do by its remote debugging pipe: JSON, a zero byte
// behind each message. Source: the Chrome DevTools Protocol.
#include <array>
#include <cstdlib>

#include <sluice/printable.hpp>

#include "http_client.hpp"

namespace sluice::test {
namespace {

// A headless browser with one page.
class Browser {
 public:
  // Of its two pipes this process writes to the first and reads from the second.
  explicit Browser(const fs::path& directory)
      : child_{[&] { return become_chromium(pipes_, directory / "browser"); }} {
    pipes_.to_child[0].reset();
    pipes_.from_child[1].reset();
    const std::string target = word_after(ask("Target.createTarget", R"({"url":"about:blank"})"), "targetId");
    session_ = word_after(ask("Target.attachToTarget", R"({"targetId":")" + target + R"(","flatten":true})"),
                          "sessionId");
  }
  ~Browser() {
    ask("Browser.close", "{}");
    child_.ending();
  }
  Browser(const Browser&) = delete;
  Browser& operator=(const Browser&) = delete;

  // From the next page on.
  void run_no_scripts() { ask("Emulation.setScriptExecutionDisabled", R"({"value":true})"); }
  void go_to(const std::string& address) { ask("Page.navigate", R"({"url":)" + json_text(address) + "}"); }
  // Of the window, in pixels.
  void have_width(int width) {
    ask("Emulation.setDeviceMetricsOverride",
        R"({"height":900,"deviceScaleFactor":1,"mobile":false,"width":)" + std::to_string(width) + "}");
  }
  // Whether the expression of JavaScript becomes true, and whether it is.
  bool sees(const std::string& expression) {
    return eventually([&] { return finds(expression); });
  }
  bool finds(const std::string& expression) {
    const std::string asked = R"({"returnByValue":true,"expression":)" + json_text(expression) + "}";
    return ask("Runtime.evaluate", asked).find("\"value\":true") != std::string::npos;
  }
  // What the page says, for a failed expectation.
  std::string text() {
    return ask("Runtime.evaluate", R"({"returnByValue":true,"expression":"document.body.innerText"})");
  }

 private:
  struct Pipes {
    std::array<detail::Descriptor, 2> to_child = make();
    std::array<detail::Descriptor, 2> from_child = make();
    static std::array<detail::Descriptor, 2> make() {
      int ends[2] = {-1, -1};
      EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
      return {detail::Descriptor{ends[0]}, detail::Descriptor{ends[1]}};
    }
  };

  static int become_chromium(const Pipes& pipes, const std::string& directory) {
    // Out of the way of 3 and 4, which are its ends.
    constexpr int kAbove = 10;
    const int in = ::fcntl(pipes.to_child[0].get(), F_DUPFD_CLOEXEC, kAbove);
    const int out = ::fcntl(pipes.from_child[1].get(), F_DUPFD_CLOEXEC, kAbove);
    const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int standard : {0, 1, 2})
      ::dup2(nowhere, standard);
    ::dup2(in, 3);
    ::dup2(out, 4);
    const std::string profile = "--user-data-dir=" + directory;
    ::execlp("chromium", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe", profile.c_str(),
             static_cast<char*>(nullptr));
    return 127;
  }

  // The text member of that name.
  static std::string word_after(const std::string& json, const std::string& name) {
    const std::string before = "\"" + name + "\":\"";
    const std::size_t at = json.find(before);
    if (at == std::string::npos) return {};
    return json.substr(at + before.size(), json.find('"', at + before.size()) - at - before.size());
  }

  // The answer, or what it was until the browser ended. Events that come before are passed over.
  std::string ask(const std::string& method, const std::string& parameters) {
    const std::string id = "{\"id\":" + std::to_string(++asked_) + ",";
    std::string message = id + R"("method":")" + method + R"(","params":)" + parameters;
    if (!session_.empty() && !method.starts_with("Browser."))
      message += R"(,"sessionId":")" + session_ + "\"";
    message.append("}").push_back('\0');
    if (::write(pipes_.to_child[1].get(), message.data(), message.size()) < 0) return {};
    while (true) {
      const std::size_t end = read_.find('\0');
      if (end != std::string::npos) {
        std::string answer = read_.substr(0, end);
        read_.erase(0, end + 1);
        if (answer.starts_with(id)) return answer;
        continue;
      }
      pollfd entry{pipes_.from_child[0].get(), POLLIN, 0};
      char piece[4096];
      if (::poll(&entry, 1, static_cast<int>(std::chrono::milliseconds{kDeadline}.count())) != 1)
        return read_;
      const ssize_t got = ::read(pipes_.from_child[0].get(), piece, sizeof(piece));
      if (got <= 0) return read_;
      read_.append(piece, static_cast<std::size_t>(got));
    }
  }

  Pipes pipes_;
  ipc::test::Child child_;
  std::string session_;
  std::string read_;
  int asked_ = 0;
};

constexpr const char* kHostileText = "<b>no</b> markup";

struct Picky {
  void operator()(const Item& item, Output<Item>& out) const {
    if (item.number == 13) throw std::runtime_error{kHostileText};
    out.push(item);
  }
};

Pipeline picky_pipeline() {
  Pipeline pipeline{"<img src=x onerror=hurt=1>"};
  pipeline.inlet<Item>("in").by(&Item::key).to<Picky>("pick", {.workers = 2}).outlet("out");
  return pipeline;
}

struct PassOn {
  void operator()(const Item& item, Output<Item>& out) const { out.push(item); }
};

// Stages beside each other, and flows that pass them.
Pipeline broad_pipeline() {
  Pipeline pipeline{"broad"};
  const auto in = pipeline.inlet<Item>("in");
  const auto first = in.to<PassOn>("first");
  auto all = in.merge(first);
  for (int i = 0; i < 5; ++i)
    all = all.merge(first.to<PassOn>("beside" + std::to_string(i), {.workers = i == 2 ? 23U : 1U}));
  all.to<PassOn>("last").outlet("out");
  return pipeline;
}

// Of each line of the flow every point is within no box, and next to a point before it.
constexpr const char* kLinesAreBetweenBoxes = R"((() => {
  const svg = document.querySelector('#graph svg');
  if (svg === null) return false;
  const boxes = [...svg.querySelectorAll('rect.box')].map((box) => {
    const at = box.parentNode.transform.baseVal[0].matrix;
    return {x: at.e + 1, y: at.f + 1, right: at.e + box.width.baseVal.value - 1, foot: at.f + box.height.baseVal.value - 1};
  });
  const lines = [...svg.querySelectorAll('path.lane')];
  return boxes.length === 9 && lines.length === 14 && lines.every((line) => {
    let before = line.getPointAtLength(0);
    for (let length = 1; length < line.getTotalLength(); ++length) {
      const at = line.getPointAtLength(length);
      if (boxes.some((box) => at.x > box.x && at.x < box.right && at.y > box.y && at.y < box.foot)) return false;
      if (Math.hypot(at.x - before.x, at.y - before.y) > 2) return false;
      before = at;
    }
    return true;
  });
})())";

// Notes when the first death of pick/0 is on the page, and the second, and so on.
constexpr const char* kNotesDeaths = R"((() => {
  window.shown = [];
  new MutationObserver(() => {
    const deaths = [...document.querySelectorAll('#events li')].filter((line) => line.innerText.includes('pick/0 killed'));
    while (window.shown.length < deaths.length) window.shown.push(Date.now());
  }).observe(document.querySelector('#events'), {childList: true, subtree: true, characterData: true});
  return true;
})())";

class ServeBrowser : public WithSocket {};

TEST_F(ServeBrowser, ShowsADeathAndADeadLetterAsTextsToWhoBroughtTheToken) {
  if (std::system("command -v chromium > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "chromium is not installed: tools/setup page";
  std::signal(SIGPIPE, SIG_IGN);
  Engine engine{picky_pipeline(), settings()};
  engine.describe("owner", kHostileText);
  engine.start();
  const std::string token_file = (directory_ / "token").string();
  std::ofstream{token_file} << "open & shut\n";
  ServeCommand serve{{socket_, "--http", "127.0.0.1:0", "--token-file", token_file}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  Browser browser{directory_};
  browser.go_to("http://127.0.0.1:" + std::to_string(serve.port()) + "/?token=open%20%26%20shut");
  EXPECT_TRUE(browser.sees("document.querySelector('#workers')?.innerText.includes('pick/1') === true"))
      << browser.text();
  EXPECT_TRUE(browser.sees("location.search === ''"));
  EXPECT_TRUE(browser.sees("document.querySelector('#facts').innerText === 'owner <b>no</b> markup'"))
      << browser.text();
  EXPECT_TRUE(browser.sees("document.querySelectorAll('#events li').length === 0"));

  kill_worker_of(engine, "pick/0");
  EXPECT_TRUE(browser.sees("document.querySelector('#events')?.innerText.includes('pick/0 killed') === true"))
      << browser.text();

  const auto tells_of_stopped = [&browser](bool is) {
    return browser.sees("document.querySelector('#counts').innerText.includes('the master is stopped') === " +
                        std::string{is ? "true" : "false"});
  };
  ::kill(master_of(engine), SIGSTOP);
  EXPECT_TRUE(tells_of_stopped(true)) << browser.text();
  ::kill(master_of(engine), SIGCONT);
  EXPECT_TRUE(tells_of_stopped(false)) << browser.text();

  auto in = engine.inlet<Item>("in");
  EXPECT_EQ(in.push({0, 13}), PushResult::accepted);
  EXPECT_TRUE(browser.sees("document.querySelector('#letters').innerText.includes('<b>no</b> markup')"))
      << browser.text();
  EXPECT_TRUE(browser.sees("document.querySelector('#name').innerText === '<img src=x onerror=hurt=1>'"))
      << browser.text();
  EXPECT_TRUE(
      browser.sees("document.querySelector('main img, main b') === null && window.hurt === undefined"));
  engine.stop();
}

// Most of several, one behind the other: the rest of the machine may be ahead of the browser for a moment.
TEST_F(ServeBrowser, ShowsADeathWithinASecond) {
  if (std::system("command -v chromium > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "chromium is not installed: tools/setup page";
  std::signal(SIGPIPE, SIG_IGN);
  Engine engine{picky_pipeline(), settings()};
  engine.start();
  ServeCommand serve{{socket_, "--http", "127.0.0.1:0"}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  Browser browser{directory_};
  browser.go_to("http://127.0.0.1:" + std::to_string(serve.port()) + "/");
  ASSERT_TRUE(browser.sees("document.querySelector('#workers')?.innerText.includes('pick/1') === true"));
  ASSERT_TRUE(browser.finds(kNotesDeaths));
  constexpr int kKills = 5;
  int soon = 0;
  for (int kill = 0; kill < kKills; ++kill) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const std::string killed = std::to_string(std::chrono::floor<std::chrono::milliseconds>(now).count());
    kill_worker_of(engine, "pick/0");
    std::string shown = "window.shown[" + std::to_string(kill) + "]";
    ASSERT_TRUE(browser.sees(shown + " !== undefined")) << browser.text();
    if (browser.finds(shown.append(" - ").append(killed).append(" < 1000"))) ++soon;
  }
  EXPECT_GT(soon, kKills / 2);
  engine.stop();
}

TEST_F(ServeBrowser, DrawsTheFlowWithLinesThatGoThroughNoBoxInAnyWidth) {
  if (std::system("command -v chromium > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "chromium is not installed: tools/setup page";
  std::signal(SIGPIPE, SIG_IGN);
  Engine engine{broad_pipeline(), settings()};
  engine.start();
  ServeCommand serve{{socket_, "--http", "127.0.0.1:0"}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  Browser browser{directory_};
  browser.go_to("http://127.0.0.1:" + std::to_string(serve.port()) + "/");
  for (const int width : {400, 320, 600, 800, 1400}) {
    browser.have_width(width);
    EXPECT_TRUE(browser.sees("innerWidth === " + std::to_string(width))) << width;
    EXPECT_TRUE(browser.sees(kLinesAreBetweenBoxes)) << width;
  }
  engine.stop();
}

TEST_F(ServeBrowser, WithoutScriptsSaysWhatThereIsInsteadAndShowsNothingThatWouldNotWork) {
  if (std::system("command -v chromium > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "chromium is not installed: tools/setup page";
  std::signal(SIGPIPE, SIG_IGN);
  const Watched run{settings()};
  ServeCommand serve{{socket_, "--http", "127.0.0.1:0"}, directory_ / "said"};
  ASSERT_TRUE(serve.serves()) << serve.said();
  Browser browser{directory_};
  browser.run_no_scripts();
  browser.go_to("http://127.0.0.1:" + std::to_string(serve.port()) + "/");
  EXPECT_TRUE(browser.sees("document.body?.innerText.includes('This page needs JavaScript') === true"))
      << browser.text();
  EXPECT_TRUE(browser.sees("document.body.innerText.includes('sluice stats')")) << browser.text();
  EXPECT_TRUE(browser.sees("document.querySelector('noscript a[href=metrics]') !== null")) << browser.text();
  EXPECT_TRUE(
      browser.sees("[...document.querySelectorAll('button')].every(each => each.offsetParent === null)"))
      << browser.text();
  EXPECT_EQ(run.engine.stats().masters, 1U);
}

}  // namespace
}  // namespace sluice::test
