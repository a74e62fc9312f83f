// SPDX-License-Identifier: Apache-2.0
// Databases that are not as they should be: paths, files, directories, locks and disks. Each has its own
// clear word.
#include <csignal>
#include <fcntl.h>
#include <fstream>
#include <functional>
#include <random>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <sluice/connect/sql_sink.hpp>
#include <sluice/connect/sqlite.hpp>

#include "sqlite_world.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class SqliteTrouble : public WithSqlite {
 protected:
  SqliteTrouble() { run("CREATE TABLE t(a, b)"); }

  SqliteOptions options(const std::string& path = {}) const {
    return {.path = path.empty() ? database() : path, .busy = std::chrono::milliseconds{100}};
  }

  // Claims, stores `rows` of 1000 bytes in one batch; what became of it, as "unavailable: ...", "error: ..."
  // or "".
  static std::string outcome_of(const SqliteOptions& options, int rows = 1) {
    const SinkOwner owner{"bank", "book", 0, 1, 0};
    try {
      SqliteStore store{options};
      const SinkClaim claim = store.claim(owner);
      const Statement insert = store.prepare("INSERT INTO t VALUES (?, ?)", 2);
      std::vector<PendingEffect<SqlEffect>> effects;
      effects.reserve(static_cast<std::size_t>(rows));
      for (int row = 0; row < rows; ++row)
        effects.push_back(
            {{0, static_cast<std::uint64_t>(row)}, SqlEffect{insert, row, std::string(1000, 'x')}});
      store.apply({owner, claim.epoch, effects, {}});
    } catch (const Unavailable& away) {
      return std::string{"unavailable: "} + away.what();
    } catch (const Error& error) {
      return std::string{"error: "} + error.what();
    }
    return {};
  }

  // The same in a process of its own, after `prepare`, which may limit that process or take its rights away.
  static std::string outcome_in_child(const std::function<bool()>& prepare,
                                      const std::function<std::string()>& act) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
    const pid_t child = ::fork();
    if (child == 0) {
      std::string text = "the machine does not let us";
      if (prepare()) text = act();
      [[maybe_unused]] const ssize_t written = ::write(ends[1], text.data(), text.size());
      ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char piece[4096];
    for (ssize_t got = 0; (got = ::read(ends[0], piece, sizeof(piece))) > 0;)
      text.append(piece, static_cast<std::size_t>(got));
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    return text;
  }
  // An ordinary user, whom permissions bind.
  static bool become_nobody() {
    constexpr uid_t kNobody = 65'534;
    return ::geteuid() != 0 ||
           (::setresgid(kNobody, kNobody, kNobody) == 0 && ::setresuid(kNobody, kNobody, kNobody) == 0);
  }
  // Everybody's, for a test that runs as root and becomes another.
  void open_to_all() const {
    ::chmod(file("").c_str(), 0777);
    ::chmod(database().c_str(), 0666);
  }
};

TEST_F(SqliteTrouble, WithAPathThatIsNoneIsAnError) {
  for (const char* path : {":memory:", "file:x.db?mode=memory"})
    EXPECT_THAT(outcome_of(options(path)),
                AllOf(StartsWith("error: cannot open the database"), HasSubstr("it is no path")))
        << path;
  EXPECT_THAT(outcome_of(SqliteOptions{}), HasSubstr("it is no path"));
  EXPECT_THAT(outcome_of(options(file(std::string{"a\0b", 3}))), HasSubstr("it is no path"));
  EXPECT_FALSE(std::filesystem::exists(file("a")));
}

TEST_F(SqliteTrouble, WithAValueThatIsBoundByNothingIsAnError) {
  std::uint64_t Item::*const no_member = nullptr;
  EXPECT_THAT(error_of([&] { Sql<Item>("INSERT INTO t VALUES (?1)", no_member); }),
              AllOf(HasSubstr("INSERT INTO t"), HasSubstr("the function is empty")));
}

TEST_F(SqliteTrouble, WithATimeThatIsNoneIsAnError) {
  SqliteOptions wrong = options();
  wrong.busy = -1ms;
  EXPECT_THAT(error_of([&] { SqliteStore{wrong}; }), AllOf(HasSubstr("busy"), HasSubstr("-1 ms")));
  for (const auto limit : {0ms, options().busy, std::chrono::milliseconds::max()}) {
    wrong = options();
    wrong.call_limit = limit;
    EXPECT_THAT(error_of([&] { SqliteStore{wrong}; }), HasSubstr("call_limit"));
  }
}

TEST_F(SqliteTrouble, WithADirectoryThatIsMissingIsAnError) {
  EXPECT_THAT(outcome_of(options(file("none/book.db"))),
              AllOf(HasSubstr("its directory " + file("none")), HasSubstr("No such file"),
                    HasSubstr("make the directory")));
  SqliteOptions made = options(file("none/book.db"));
  made.schema = "CREATE TABLE t(a, b)";
  EXPECT_THAT(outcome_of(made), HasSubstr("No such file"));
}

TEST_F(SqliteTrouble, WithADatabaseThatIsMissingIsAnErrorAndMakesNone) {
  EXPECT_THAT(outcome_of(options(file("bok.db"))),
              AllOf(HasSubstr("it does not exist"), HasSubstr("SqliteOptions::schema")));
  EXPECT_FALSE(std::filesystem::exists(file("bok.db")));
}

TEST_F(SqliteTrouble, WithWhatIsNoFileIsAnError) {
  EXPECT_THAT(outcome_of(options(file(""))), HasSubstr("it is a directory"));
  std::filesystem::create_directory(file("dir"));
  EXPECT_THAT(outcome_of(options(file("dir"))), HasSubstr("it is a directory"));
  ASSERT_EQ(::mkfifo(file("fifo").c_str(), 0600), 0);
  EXPECT_THAT(outcome_of(options(file("fifo"))), HasSubstr("it is no regular file"));
}

TEST_F(SqliteTrouble, WithALinkIsAnErrorAndWritesNothingThroughIt) {
  std::filesystem::create_symlink(database(), file("link.db"));
  EXPECT_THAT(outcome_of(options(file("link.db"))), HasSubstr("it is a symbolic link"));
  SqliteOptions made = options(file("dangling.db"));
  made.schema = "CREATE TABLE t(a, b)";
  std::filesystem::create_symlink(file("victim"), made.path);
  EXPECT_THAT(outcome_of(made), HasSubstr("it is a symbolic link"));
  EXPECT_FALSE(std::filesystem::exists(file("victim")));
  // Directories may be links: /var/run is one.
  std::filesystem::create_directory_symlink(file(""), file("here"));
  EXPECT_THAT(outcome_of(options(file("here/book.db"))), IsEmpty());
}

TEST_F(SqliteTrouble, WithWhatIsNoDatabaseIsAnErrorAndLeavesItAlone) {
  const std::string text(5000, 'x');
  { std::ofstream{file("letter.txt")} << text; }
  EXPECT_THAT(outcome_of(options(file("letter.txt"))),
              AllOf(StartsWith("error: "), HasSubstr("file is not a database")));
  std::ifstream letter{file("letter.txt")};
  EXPECT_EQ((std::string{std::istreambuf_iterator<char>{letter}, {}}), text);
}

TEST_F(SqliteTrouble, WithATableThatIsMissingIsAnError) {
  run("DROP TABLE t");
  EXPECT_THAT(outcome_of(options()), AllOf(StartsWith("error: "), HasSubstr("no such table: t")));
}

TEST_F(SqliteTrouble, WithATableOfOursThatIsSomebodyElsesIsAnError) {
  run("CREATE TABLE sluice_owner(shoe_size)");
  EXPECT_THAT(outcome_of(options()),
              AllOf(StartsWith("error: "), HasSubstr("sluice_owner"), HasSubstr("no such column")));
}

TEST_F(SqliteTrouble, WithADirectoryThatCannotBeWrittenIsAnError) {
  open_to_all();
  ::chmod(file("").c_str(), 0555);
  const std::string outcome = outcome_in_child(become_nobody, [this] { return outcome_of(options()); });
  ::chmod(file("").c_str(), 0777);
  EXPECT_THAT(outcome, AllOf(StartsWith("error: "), HasSubstr("Permission denied"),
                             HasSubstr("two more beside the database")));
}

TEST_F(SqliteTrouble, WithAFileThatCannotBeWrittenIsAnError) {
  open_to_all();
  ::chmod(database().c_str(), 0444);
  const std::string outcome = outcome_in_child(become_nobody, [this] { return outcome_of(options()); });
  EXPECT_THAT(outcome, AllOf(StartsWith("error: "), HasSubstr("it can only be read")));
}

TEST_F(SqliteTrouble, WithALockOfAnotherIsUnavailableOnceItsPatienceIsOver) {
  OtherConnection other{database()};
  other.run("PRAGMA journal_mode=WAL; BEGIN IMMEDIATE");
  const auto before = std::chrono::steady_clock::now();
  EXPECT_THAT(outcome_of(options()),
              AllOf(StartsWith("unavailable: the database " + database() + " is locked by another"),
                    HasSubstr("for longer than 100 ms")));
  EXPECT_GE(std::chrono::steady_clock::now() - before, 100ms);
  other.run("COMMIT");
  EXPECT_THAT(outcome_of(options()), IsEmpty());
}

TEST_F(SqliteTrouble, WithALockThatIsGivenUpInTimeIsNone) {
  OtherConnection other{database()};
  other.run("PRAGMA journal_mode=WAL; BEGIN IMMEDIATE");
  std::thread gives_up{[&] {
    std::this_thread::sleep_for(50ms);
    other.run("COMMIT");
  }};
  SqliteOptions patient = options();
  patient.busy = 30s;
  EXPECT_THAT(outcome_of(patient), IsEmpty());
  gives_up.join();
}

TEST_F(SqliteTrouble, WithADatabaseThatAnotherHasForItselfIsUnavailable) {
  OtherConnection other{database()};
  other.run("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; INSERT INTO t VALUES (0, 0)");
  EXPECT_THAT(outcome_of(options()), AllOf(StartsWith("unavailable: "), HasSubstr("is locked by another")));
  other.run("COMMIT");
  EXPECT_THAT(outcome_of(options()), StartsWith("unavailable: ")) << "it keeps its lock until it is closed";
  { const OtherConnection closed = std::move(other); }
  EXPECT_THAT(outcome_of(options()), IsEmpty());
}

TEST_F(SqliteTrouble, WithReadersIsNone) {
  OtherConnection reader{database()};
  reader.run("PRAGMA journal_mode=WAL; BEGIN");
  EXPECT_THAT(reader.rows("SELECT * FROM t"), IsEmpty());
  EXPECT_THAT(outcome_of(options()), IsEmpty());
  EXPECT_THAT(reader.rows("SELECT * FROM t"), IsEmpty()) << "it sees what there was when it began";
  reader.run("COMMIT");
  EXPECT_THAT(reader.rows("SELECT * FROM t"), SizeIs(1));
}

TEST_F(SqliteTrouble, WithAFileThatHasBecomeAnotherIsAnErrorAndNothingIsWrittenIntoTheVoid) {
  const SinkOwner owner{"bank", "book", 0, 1, 0};
  SqliteStore store{options()};
  const SinkClaim claim = store.claim(owner);
  const Statement insert = store.prepare("INSERT INTO t VALUES (?, ?)");
  const std::vector<PendingEffect<SqlEffect>> effects{{{0, 0}, SqlEffect{insert, 1, 1}}};
  std::filesystem::rename(database(), file("moved.db"));
  EXPECT_THAT(error_of([&] {
                store.apply({owner, claim.epoch, effects, {}});
              }),
              AllOf(HasSubstr("No such file"), HasSubstr("removed or renamed")));
  run("CREATE TABLE t(a, b)");
  EXPECT_THAT(error_of([&] {
                store.apply({owner, claim.epoch, effects, {}});
              }),
              HasSubstr("another file has taken its place"));
  EXPECT_THAT(rows("SELECT * FROM t"), IsEmpty());
}

// Past it a write fails, as with a quota.
TEST_F(SqliteTrouble, WithALimitOfItsFilesIsUnavailableAndLeavesNothingBehind) {
  const std::string outcome = outcome_in_child(
      [] {
        constexpr rlimit kLimit{1 << 20, 1 << 20};
        std::signal(SIGXFSZ, SIG_IGN);
        return ::setrlimit(RLIMIT_FSIZE, &kLimit) == 0;
      },
      [this] { return outcome_of(options(), 4000); });
  EXPECT_THAT(outcome, AllOf(StartsWith("unavailable: the database " + database()),
                             HasSubstr("disk I/O error"), HasSubstr("File too large")));
  EXPECT_THAT(rows("SELECT * FROM t"), IsEmpty());
  EXPECT_THAT(outcome_of(options()), IsEmpty()) << "and it goes on";
  expect_sound();
}

TEST_F(SqliteTrouble, WithAFullDiskIsUnavailableUntilThereIsRoom) {
  const std::string disk = file("disk");
  std::filesystem::create_directory(disk);
  const uid_t user = ::geteuid();
  const std::string outcome = outcome_in_child(
      [&] {
        if (::unshare(user == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) return false;
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
        return ::mount("none", disk.c_str(), "tmpfs", 0, "size=512k") == 0;
      },
      [&] {
        SqliteOptions made = options(disk + "/book.db");
        made.schema = "CREATE TABLE IF NOT EXISTS t(a, b)";
        std::string text = outcome_of(made, 4000);
        ::mount("none", disk.c_str(), "tmpfs", MS_REMOUNT, "size=64m");
        text.append("; then: ").append(outcome_of(made, 4000)).append(";");
        text.append(OtherConnection{made.path}.rows("SELECT count(*) FROM t").front());
        return text;
      });
  if (outcome == "the machine does not let us")
    GTEST_SKIP() << "a file system of its own needs root, or user namespaces";
  EXPECT_THAT(outcome, AllOf(StartsWith("unavailable: the database " + disk),
                             HasSubstr("database or disk is full"), HasSubstr("; then: ;4000")));
}

// What a pipeline makes, of which the table takes each key once.
struct Numbered {
  std::uint64_t number = 0;
  std::uint64_t key = 0;
};

class Numbering {
 public:
  Numbering(Worker& worker, bool slow)
      : worker_{worker}, slow_{slow}, next_{worker.state<std::uint64_t>("next")} {}
  SourceState operator()(Output<Numbered>& out) {
    if (slow_) worker_.wait_for(std::chrono::milliseconds{3});  // Six lives end long before it does.
    if (*next_ == 2'000) return SourceState::end;
    out.push({*next_, *next_ % 20 == 19 ? 0 : *next_});
    ++next_.edit();
    return SourceState::more;
  }

 private:
  Worker& worker_;
  bool slow_;
  Recoverable<std::uint64_t> next_;
};

// The store has passed a row that it refused, and the letter of that is behind the checkpoint that the next life begins
// with.
TEST_F(SqliteTrouble, OfRefusedRowsIsALetterEachHoweverOftenEverythingIsLost) {
  run("CREATE TABLE numbered(number INTEGER, key INTEGER UNIQUE)");
  const std::uint64_t seed = std::random_device{}();
  std::mt19937_64 random{seed};
  Settings kept = after_checkpoints({"checkpoint.every=20ms", "batch.events=8", "poison.budget=100000"});
  const auto live = [&](bool last) {
    Pipeline pipeline{"numbers"};
    pipeline.source<Numbering>("numbers", !last)
        .to<SqlSink<SqliteStore, Numbered>>(
            "book", {}, options(),
            Sql<Numbered>{"INSERT INTO numbered VALUES (?, ?)", &Numbered::number, &Numbered::key});
    Engine engine{pipeline, kept};
    engine.start();
    // Without one the next life would begin anew.
    if (!eventually([&] { return engine.resumed() || engine.stats().checkpoints.written > 0; })) return;
    log_line(file("lives"), "life");
    if (!last) ::pause();
    if (!engine.wait_for(kDeadline)) ::_exit(3);
  };
  const auto letters = [this] {
    return std::filesystem::exists(file("reports")) ? find_dead_letters(file("reports")).size() : 0;
  };
  for (int life = 0; life < 6; ++life) {
    const std::size_t lives = lines_of(file("lives")).size();
    const std::size_t had = letters();
    total_loss::Host host{{}, [&] { live(false); }};
    ASSERT_TRUE(eventually([&] { return lines_of(file("lives")).size() != lives && letters() > had; }));
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 20'000});
    host.kill(life % 2 == 0);
    ASSERT_TRUE(host.gone());
  }
  total_loss::Host host{{}, [&] { live(true); }};
  ASSERT_TRUE(host.wait_for_end(kDeadline));
  ASSERT_EQ(host.status(), 0);
  EXPECT_THAT(rows("SELECT count(*), count(DISTINCT number) FROM numbered"), ElementsAre("1900|1900"))
      << "seed " << seed;
  EXPECT_EQ(letters(), 100U) << "seed " << seed;
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);  // The other tests of this program count what comes to them.
}

}  // namespace
}  // namespace sluice::test
