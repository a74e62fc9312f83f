// SPDX-License-Identifier: Apache-2.0
// A PostgreSQL server of a program's own: data in a temporary directory, a socket there, a free port of 127.0.0.1. For tests
// and drills: nothing is synced to the disk.
//
// The programs are those of Debian's package postgresql-15 (or of SLUICE_POSTGRES_BIN); they refuse to run as root, so that root
// becomes the user postgres or nobody for them. The server is no child of this process, and does not survive it: a guard
// process ends it and removes its directory, whatever kills this one.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

struct pg_conn;

namespace sluice::test {

class PostgresServer {
 public:
  // Where the server's programs are; nothing when this machine has none.
  static std::optional<std::filesystem::path> programs();

  // Makes a cluster and starts it. `cache`: a directory where the fresh cluster is kept for the next program, since making one takes
  // a second; empty: not kept. `configuration`: lines of postgresql.conf. Throws std::runtime_error with the server's log.
  explicit PostgresServer(const std::filesystem::path& cache = {},
                          const std::vector<std::string>& configuration = {});
  // One that follows another, whose configuration lets it (wal_level, max_wal_senders), until it is promoted: SELECT pg_promote().
  struct StandbyOf {
    const PostgresServer& primary;
  };
  explicit PostgresServer(StandbyOf standby);
  ~PostgresServer();
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;

  // Returns once it answers. On the same port each time.
  void start();
  // Both are over when no process of it is left. The first kills the postmaster and all its processes at any instant; the second
  // lets it end as an administrator does who is in a hurry (pg_ctl stop -m fast).
  void kill();
  void stop();
  // Stops all its processes where they are, and lets them go on.
  void freeze();
  void thaw();
  bool running() const { return postmaster_ != 0; }
  pid_t postmaster() const { return postmaster_; }

  // As user "sluice", who may do everything, without a password: by the Unix socket, and by TCP.
  std::string url(const std::string& database = "postgres") const;
  std::string tcp_url(const std::string& database = "postgres") const;
  int port() const { return port_; }
  const std::filesystem::path& directory() const { return directory_; }

  // Who is let in: the lines of pg_hba.conf, from now on.
  void let_in(const std::string& lines);
  // A connection of the test's.
  class Session {
   public:
    explicit Session(const std::string& url);
    // Runs statements; the rows of the last one, "a|b" a line. Throws std::runtime_error.
    std::string query(const std::string& sql) const;

   private:
    struct Finish {
      void operator()(pg_conn* session) const;
    };
    std::unique_ptr<pg_conn, Finish> session_;
  };
  // The same in a connection of its own.
  std::string query(const std::string& sql) const { return Session{url()}.query(sql); }
  // What it has said.
  std::string log() const;

 private:
  struct User {
    uid_t uid;
    gid_t gid;
  };
  static std::optional<User> other_user();

  void make_directory();
  void run(const std::string& program, const std::vector<std::string>& words) const;
  void make_cluster(const std::filesystem::path& cache, const std::vector<std::string>& configuration);
  void initdb(const std::filesystem::path& data) const;
  bool try_to_start();
  void wait_until_gone(const std::vector<pid_t>& processes) const;
  void start_guard();
  [[noreturn]] void guard(int line) const;
  [[noreturn]] static void execute(const std::vector<std::string>& command,
                                   const std::filesystem::path& output);

  std::filesystem::path directory_;
  std::filesystem::path data_;
  int port_ = 0;
  pid_t postmaster_ = 0;
  std::vector<pid_t> frozen_;
  int guard_ = -1;  // Its end tells the guard that we are gone.
};

}  // namespace sluice::test
