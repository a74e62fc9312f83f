// SPDX-License-Identifier: Apache-2.0
// market-simulator: a seeded exchange that writes captures in the recorder's format, the same bytes for a
// seed.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <sluice/cli.hpp>

#include "feed.hpp"
#include "instruments.hpp"
#include "malformed.hpp"
#include "writer.hpp"

namespace simulator {
namespace {

struct Options {
  std::string out;
  std::int64_t events = 300'000;
  int instruments = 6;
  int days = 1;
  std::uint64_t seed = 1;
  std::string format = "raw";
  std::int64_t bad = 0;
  std::int64_t gap_every = 3000;
  std::int64_t snapshots = 1;
};

constexpr std::int64_t kFirstDayNs = 1'740'994'200'000'000'000;  // 2025-03-03 09:30:00 UTC.

// An instrument's feed and the record that it has in hand for the merge.
struct Stream {
  const Instrument* instrument;
  Feed feed;
  std::optional<Record> head;
};

// Deals the events out by weight; what rounding leaves goes to the first instrument.
std::vector<std::int64_t> event_shares(const std::vector<Instrument>& instruments, std::int64_t events) {
  std::int64_t weights = 0;
  for (const Instrument& instrument : instruments)
    weights += instrument.weight;
  std::vector<std::int64_t> shares;
  std::int64_t left = events;
  for (const Instrument& instrument : instruments) {
    shares.push_back(events * instrument.weight / std::max<std::int64_t>(weights, 1));
    left -= shares.back();
  }
  shares.front() += left;
  return shares;
}

std::vector<Stream> open_streams(const std::vector<Instrument>& instruments, const Options& options) {
  const std::vector<std::int64_t> shares = event_shares(instruments, options.events);
  if (*std::min_element(shares.begin(), shares.end()) < kMinEventsPerDay * options.days) {
    throw std::runtime_error{"--events is too small: every instrument needs " +
                             std::to_string(kMinEventsPerDay) + " events a day"};
  }
  Random seeds{options.seed};
  std::vector<Stream> streams;
  for (std::size_t index = 0; index < instruments.size(); ++index) {
    const FeedPlan plan{shares[index], options.days,      kFirstDayNs,
                        seeds.next(),  options.gap_every, options.snapshots};
    Stream& stream = streams.emplace_back(Stream{&instruments[index], Feed{instruments[index], plan}, {}});
    stream.head = stream.feed.next();
  }
  return streams;
}

// The stream whose record is the earliest; ties go to the first, null when all are at their end.
Stream* earliest(std::vector<Stream>& streams) {
  Stream* first = nullptr;
  for (Stream& stream : streams) {
    if (!stream.head) continue;
    if (first == nullptr || stream.head->receive_ns < first->head->receive_ns) first = &stream;
  }
  return first;
}

void simulate(const Options& options) {
  const std::vector<Instrument> instruments = make_instruments(options.instruments);
  std::vector<Stream> streams = open_streams(instruments, options);
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  if (error) {
    throw std::runtime_error{"cannot make the directory " + options.out + ": " + error.message() +
                             " (name another with --out)"};
  }
  const auto writer = options.format == "raw" ? raw_writer(options.out) : merged_writer(options.out);

  Random random{~options.seed};
  std::int64_t events_left = options.events;
  std::int64_t bad_left = options.bad;
  while (Stream* stream = earliest(streams)) {
    writer->write(*stream->instrument, *stream->head);
    // Selection sampling: every event is followed by a bad line with the same chance, and their number is
    // exact.
    if (random.below(events_left) < bad_left) {
      writer->write(*stream->instrument, *stream->head, spoil(*stream->head, options.bad - bad_left, random));
      --bad_left;
    }
    --events_left;
    stream->head = stream->feed.next();
  }
  writer->close();
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("--out", options.out, "directory for the capture files")->required();
  app.add_option("--events", options.events, "events in all")
      ->capture_default_str()
      ->check(sluice::detail::count_between(1));
  app.add_option("--instruments", options.instruments, "instruments, at most 18")
      ->capture_default_str()
      ->check(sluice::detail::count_between(1, kMaxInstruments));
  app.add_option("--days", options.days, "days, each with files of its own in the raw format")
      ->capture_default_str()
      ->check(sluice::detail::count_between(1, 365));
  app.add_option("--seed", options.seed, "the same seed gives the same bytes")
      ->capture_default_str()
      ->check(sluice::detail::count_between(0));
  app.add_option("--format", options.format, "raw: VENUE_SYMBOL_DAY.gz; merged: capture.tsv.zst")
      ->capture_default_str()
      ->check(CLI::IsMember({"raw", "merged"}));
  app.add_option("--bad", options.bad, "malformed lines, besides the events")
      ->capture_default_str()
      ->check(sluice::detail::count_between(0));
  app.add_option("--gap-every", options.gap_every, "one depth update in so many is lost on its way")
      ->capture_default_str()
      ->check(sluice::detail::count_between(1, 1'000'000'000));
  app.add_option("--snapshots", options.snapshots, "snapshots of a book in a day, about so many")
      ->capture_default_str()
      ->check(sluice::detail::count_between(1, 1'000'000));
}

}  // namespace
}  // namespace simulator

int main(int argc, char** argv) {
  CLI::App app{"Simulates exchanges and writes what a recorder would have captured.", "market-simulator"};
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", "market-simulator of Sluice " SLUICE_VERSION,
                       "Print the version and exit");
  simulator::Options options;
  simulator::add_options(app, options);
  app.footer(
      "Examples:\n"
      "  market-simulator --out captures\n"
      "  market-simulator --out captures --events 1000000 --instruments 4\n"
      "  market-simulator --out captures --format merged --bad 100 --seed 7");
  try {
    app.parse(argc, argv);
    if (options.bad > options.events) throw CLI::ValidationError{"--bad", "more malformed lines than events"};
  } catch (const CLI::ParseError& error) {
    return sluice::end_of_parse(app, error);
  }
  try {
    simulator::simulate(options);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "market-simulator: %s\n", error.what());
    return 1;
  }
}
