// SPDX-License-Identifier: Apache-2.0
// The table of all settings. Values for the profiles: `latency` spends processors on waiting and keeps what
// is in flight small, `throughput` buffers and batches more, `shared` assumes that the processors belong to
// others too.

#include "settings/settings_table.hpp"

#include <algorithm>
#include <array>

namespace sluice::detail {
namespace {

constexpr std::array kTable = {
    Setting{.key = "profile",
            .type = SettingType::choice,
            .fallback = "balanced",
            .choices = "balanced|latency|throughput|shared",
            .example = "latency",
            .meaning =
                "Named set of values that the other settings start from. `balanced` sleeps when idle; "
                "`latency` spins; `throughput` batches more; `shared` is for few processors, containers and "
                "CI, and never spins.",
            .trade_off = "A profile only replaces defaults: every setting can still be set one by one."},
    Setting{.key = "profile.file",
            .type = SettingType::text,
            .fallback = "",
            .example = "/etc/sluice/market.conf",
            .meaning =
                "File with settings of your own, a line `key = value` each. A line that begins with # is a "
                "comment, and so is what follows a # after a space. Empty for no file.",
            .trade_off = "It overrides the profile, and is overridden by the environment."},
    Setting{.key = "workers",
            .type = SettingType::count,
            .scope = Scope::single_stage,
            .fallback = "auto",
            .least = "1",
            .most = "4M",  // The most processes that the kernel can tell apart.
            .may_be_auto = true,
            .example = "4",
            .meaning =
                "Worker processes of a stage. `auto` is the number that the program asks for, and one if it "
                "asks for none.",
            .trade_off =
                "More workers share the work of a stage, each wants a core of its own, and order holds "
                "only within what one worker gets: within a key."},
    Setting{.key = "lane.slots",
            .type = SettingType::count,
            .scope = Scope::every_stage,
            .fallback = "4096",
            .latency = "1024",
            .throughput = "65536",
            .shared = "512",
            .least = "2",
            .most = "1T",
            .example = "64K",
            .meaning = "Events that a lane into a stage holds, for events of fixed size. The size in bytes "
                       "that this comes to is rounded up to a power of two, and to 4KiB at least.",
            .trade_off =
                "A large lane rides out bursts and pauses of its consumer; a small one stays in the cache "
                "and bounds how long an event can wait in it."},
    Setting{.key = "lane.bytes",
            .type = SettingType::bytes,
            .scope = Scope::every_stage,
            .fallback = "1MiB",
            .throughput = "8MiB",
            .shared = "256KiB",
            .least = "4KiB",
            .most = "1TiB",
            .example = "2MiB",
            .meaning = "Size of a lane into a stage, for records of bytes. It is rounded up to a power of "
                       "two; no record can be larger than its lane. The default and the profile give way to "
                       "what the program asks for.",
            .trade_off =
                "A large lane rides out bursts and holds large records; a small one stays in the cache."},
    Setting{
        .key = "lane.full",
        .type = SettingType::choice,
        .scope = Scope::every_stage,
        .fallback = "block",
        .choices = "block|drop_newest|fail",
        .example = "drop_newest",
        .meaning = "What happens to an event for a lane that is full. `block` makes the producer wait, "
                   "`drop_newest` drops the event and counts it, `fail` makes it an error of the producer.",
        .trade_off = "`block` loses nothing and slows the producers down to the pace of the slowest stage; "
                     "`drop_newest` keeps the pace and loses events."},
    Setting{.key = "batch.events",
            .type = SettingType::count,
            .scope = Scope::every_stage,
            .fallback = "256",
            .latency = "32",
            .throughput = "2048",
            .least = "1",
            .most = "1T",
            .example = "64",
            .meaning =
                "Events that a worker takes at most between two commits. A batch is what is there: no event "
                "waits for a batch to fill.",
            .trade_off =
                "Large batches make the commit cheaper; small ones hand results on sooner, and repeat less "
                "work when a worker dies."},
    Setting{
        .key = "wait.strategy",
        .type = SettingType::choice,
        .scope = Scope::every_stage,
        .fallback = "sleep",
        .latency = "spin",
        .choices = "spin|yield|sleep",
        .example = "spin",
        .meaning =
            "How a worker waits for events or for room. `spin` polls for ever; `yield` spins, then offers "
            "its processor to others between polls; `sleep` spins, yields, then sleeps until it is woken.",
        .trade_off =
            "`spin` reacts within a fraction of a microsecond and keeps a processor busy even when idle; "
            "`sleep` costs nothing when idle, and tens of microseconds to wake up."},
    Setting{.key = "wait.spin",
            .type = SettingType::duration,
            .scope = Scope::every_stage,
            .fallback = "20us",
            .throughput = "50us",
            .shared = "0s",
            .least = "0s",
            .most = "1h",
            .example = "100us",
            .meaning = "How long the strategies `yield` and `sleep` spin before their next step.",
            .trade_off =
                "Longer spinning catches the next event without a system call, and takes the processor "
                "from others in the meantime."},
    Setting{
        .key = "wait.yield",
        .type = SettingType::duration,
        .scope = Scope::every_stage,
        .fallback = "50us",
        .throughput = "200us",
        .shared = "0s",
        .least = "0s",
        .most = "1h",
        .example = "200us",
        .meaning = "How long the strategy `sleep` yields, after spinning, before it sleeps.",
        .trade_off = "Longer yielding avoids waking up from sleep, and keeps the processor from resting."},
    Setting{.key = "wait.preempt",
            .type = SettingType::choice,
            .scope = Scope::every_stage,
            .fallback = "no",
            .latency = "yes",
            .choices = "yes|no",
            .example = "yes",
            .meaning =
                "Whether a worker that is woken interrupts another one that it shares a processor with. "
                "With `no` it waits until that one has nothing to do or has had its turn.",
            .trade_off =
                "`yes` hands an event on as soon as it is there; `no` lets batches grow meanwhile, and takes "
                "a tenth less processor time where workers share one. Nothing changes where they do not."},
    Setting{.key = "state.bytes",
            .type = SettingType::bytes,
            .scope = Scope::every_stage,
            .fallback = "8MiB",
            .least = "4KiB",
            .most = "1TiB",
            .example = "64MiB",
            .meaning = "Memory for the recoverable state of each worker of a stage: its values and keyed "
                       "tables. The default and the profile give way to what the program asks for.",
            .trade_off =
                "It is set aside at the start, used or not; state that does not fit is an error at the "
                "start."},
    Setting{.key = "undo.bytes",
            .type = SettingType::bytes,
            .scope = Scope::every_stage,
            .fallback = "1MiB",
            .throughput = "8MiB",
            .least = "4KiB",
            .most = "1TiB",
            .example = "4MiB",
            .meaning = "Memory of each worker for the old bytes of what a batch changes in its state.",
            .trade_off =
                "It bounds how much state one batch can change; more is set aside at the start, used or "
                "not."},
    Setting{.key = "table.rows",
            .type = SettingType::count,
            .scope = Scope::every_stage,
            .fallback = "auto",
            .least = "1",
            .most = "1T",
            .may_be_auto = true,
            .example = "100K",
            .meaning =
                "Rows that each keyed table of a stage can hold. `auto` is the number that the handler asks "
                "for.",
            .trade_off = "A full table is an error, and rows take their room in state.bytes."},
    Setting{
        .key = "segment.path",
        .type = SettingType::text,
        .fallback = "",
        .example = "/dev/shm/market",
        .meaning =
            "File that holds the pipeline's memory. With one, a pipeline that loses all its processes at "
            "once is resumed by the next start, with nothing lost or doubled. The file is removed when "
            "the pipeline has finished and its outlets are empty, and kept after a failure and after "
            "Engine::stop(). Empty for memory that ends with its processes.",
        .trade_off =
            "In /dev/shm it costs nothing and lasts until the machine is started anew; on a disk it "
            "lasts no longer, and is written out besides. Each pipeline wants a file of its own, and only "
            "the same pipeline with the same sizes can go on with it."},
    Setting{.key = "watchdog.tick",
            .type = SettingType::duration,
            .fallback = "10ms",
            .latency = "1ms",
            .shared = "20ms",
            .least = "100us",
            .most = "1min",
            .example = "5ms",
            .meaning =
                "How often the watchdog looks at the progress of every worker. A death is seen at once, "
                "whatever the tick.",
            .trade_off = "A short tick finds a stall sooner and wakes the master more often."},
    Setting{.key = "watchdog.deadline",
            .type = SettingType::duration,
            .scope = Scope::every_stage,
            .fallback = "1s",
            .shared = "5s",
            .least = "1ms",
            .most = "24h",
            .example = "200ms",
            .meaning =
                "How long a worker of a stage may take for one event. Past it the worker has stalled, and is "
                "killed and replaced.",
            .trade_off = "A short deadline ends a stall sooner, and may kill a worker that is only slow."},
    Setting{.key = "restart.budget",
            .type = SettingType::count,
            .fallback = "5",
            .least = "0",
            .most = "1M",
            .example = "20",
            .meaning =
                "Restarts that a worker may have within restart.window. One more stops the pipeline with a "
                "report; 0 stops it at the first death. A death that an event is blamed for does not count: "
                "poison.attempts says what becomes of that event.",
            .trade_off =
                "A large budget outlives trouble that passes; a small one stops sooner what cannot work."},
    Setting{.key = "restart.spent",
            .type = SettingType::choice,
            .fallback = "stop",
            .choices = "stop|shed",
            .example = "shed",
            .meaning =
                "What happens when the budget of a worker is spent. `stop` stops the pipeline with a report; "
                "`shed` goes on without that worker: what it had published is still used, what is in its "
                "lanes and what is meant for it is lost, counted once its lane is full.",
            .trade_off =
                "To stop loses nothing and does nothing; to shed keeps up the rest of the work without the "
                "share of one worker."},
    Setting{.key = "restart.window",
            .type = SettingType::duration,
            .fallback = "10s",
            .least = "1ms",
            .most = "24h",
            .example = "1min",
            .meaning = "The time over which restarts are counted against restart.budget.",
            .trade_off = "A long window remembers more restarts, and so is stricter."},
    Setting{.key = "restart.backoff",
            .type = SettingType::duration,
            .fallback = "1ms",
            .least = "0s",
            .most = "1h",
            .example = "10ms",
            .meaning =
                "Pause before the restart of a worker that died without achieving anything. Each further "
                "one in a row waits twice as long, with jitter, up to restart.backoff_max. A worker that "
                "had committed something, or had lived for restart.stable, is restarted at once.",
            .trade_off =
                "A long pause spares the machine while a worker keeps dying, and keeps its events waiting."},
    Setting{.key = "restart.backoff_max",
            .type = SettingType::duration,
            .fallback = "1s",
            .least = "0s",
            .most = "1h",
            .example = "5s",
            .meaning = "The longest pause between two restarts of a worker.",
            .trade_off = "As for restart.backoff, which it bounds."},
    Setting{.key = "restart.stable",
            .type = SettingType::duration,
            .fallback = "10s",
            .least = "1ms",
            .most = "24h",
            .example = "1min",
            .meaning = "How long a worker must live to be restarted at once, even if it achieved nothing.",
            .trade_off = "A long time keeps the pauses up for an idle worker that dies now and then."},
    Setting{
        .key = "poison.attempts",
        .type = SettingType::count,
        .scope = Scope::every_stage,
        .fallback = "3",
        .least = "0",
        .most = "1000",
        .example = "1",
        .meaning =
            "How often an event may kill the worker that handles it: by a crash, an exception, its use of "
            "memory, or a stall that the watchdog ended. Then it is moved to the dead letters and the flow "
            "goes on. 0 moves no event: the deaths count against restart.budget.",
        .trade_off =
            "More attempts outlive trouble that passes, such as a service that is away; each costs a "
            "restart of the worker."},
    Setting{.key = "poison.budget",
            .type = SettingType::count,
            .fallback = "100",
            .least = "0",
            .most = "1M",
            .example = "10",
            .meaning =
                "Events that a worker may move to the dead letters within restart.window. One more stops the "
                "pipeline with a report.",
            .trade_off = "A small budget stops sooner where the handler is at fault and not the events."},
    Setting{
        .key = "poison.retry",
        .type = SettingType::text,
        .fallback = "",
        .example = "sluice-reports/market-20270101T120000-4711",
        .meaning =
            "Dead letters of an earlier run, a file or a directory of them, that the workers of their stages "
            "handle once more before their first input. Empty for none.",
        .trade_off =
            "Each takes effect exactly once in the run that retries it, and knows nothing of what an "
            "earlier retry did."},
    Setting{
        .key = "report.path",
        .type = SettingType::text,
        .fallback = "auto",
        .example = "/var/lib/market/reports",
        .meaning =
            "Directory for dead letters and reports of deaths, made when there is something to put there. "
            "`auto` is sluice-reports/NAME-TIME-PID in the current directory, or with a segment.path that "
            "path "
            "with .reports behind it.",
        .trade_off =
            "A directory of your own keeps the reports where you look for them; each run needs one for "
            "itself, since dead letters are written anew by a pipeline that starts anew."},
    Setting{.key = "observe.socket",
            .type = SettingType::text,
            .fallback = "auto",
            .example = "/run/market/observe.sock",
            .meaning =
                "Unix socket at which observers such as `sluice stats` get a look at the running pipeline: "
                "processes of its user, and of root. `auto` is NAME.PID.sock in $XDG_RUNTIME_DIR/sluice or "
                "/tmp/sluice-UID; `off` is none. Where `auto` cannot make one the pipeline runs without; a "
                "path that cannot be made is an error.",
            .trade_off =
                "An observer costs nobody anything. A path of your own in a directory that others can reach "
                "lets them knock; they are refused and reported."},
    Setting{.key = "host.death",
            .type = SettingType::choice,
            .fallback = "stop",
            .choices = "stop|drain",
            .example = "drain",
            .meaning =
                "What becomes of a pipeline whose host has died. `stop` kills its processes at once. `drain` "
                "handles what the host had pushed, ends the sources, and ends the pipeline when all is done; "
                "what is published for the host and finds no room is dropped and counted.",
            .trade_off = "`stop` leaves nothing running; `drain` loses nothing that was pushed."},
    Setting{.key = "placement.policy",
            .type = SettingType::choice,
            .fallback = "compact",
            .throughput = "spread",
            .shared = "none",
            .choices = "compact|spread|none",
            .example = "spread",
            .meaning =
                "Where workers are pinned. `compact` puts neighbouring stages on cores close to each other, "
                "`spread` on cores far apart, `none` leaves them to the kernel.",
            .trade_off =
                "`compact` makes the way between stages short; `spread` gives each worker more cache and "
                "memory bandwidth; `none` suits processors that others use too."},
    Setting{
        .key = "power.latency",
        .type = SettingType::choice,
        .fallback = "leave",
        .latency = "try",
        .choices = "leave|try|hold",
        .example = "hold",
        .meaning =
            "Whether processors are kept out of deep idle states while the pipeline runs, by holding "
            "/dev/cpu_dma_latency at 0. `leave` does not, `try` does so where this user may, and with "
            "`hold` it is an error at the start if it cannot be done. It ends with the last process of the "
            "pipeline.",
        .trade_off = "Whoever sleeps is woken in a few microseconds instead of tens; all processors of the "
                     "machine take more power while they have nothing to do."},
    Setting{.key = "stats.interval",
            .type = SettingType::duration,
            .fallback = "1s",
            .least = "10ms",
            .most = "24h",
            .example = "5s",
            .meaning = "How often the table of stages is printed while a program runs on a terminal.",
            .trade_off = "More often is livelier; the workers do not notice either way."},
};

}  // namespace

std::span<const Setting> settings_table() noexcept {
  return kTable;
}

std::size_t row_of(std::string_view key) noexcept {
  const auto* found = std::ranges::find(kTable, key, &Setting::key);
  return found == kTable.end() ? kNoRow : static_cast<std::size_t>(found - kTable.begin());
}

std::string_view value_in_profile(const Setting& setting, std::string_view profile) noexcept {
  std::string_view value;
  if (profile == "latency") value = setting.latency;
  if (profile == "throughput") value = setting.throughput;
  if (profile == "shared") value = setting.shared;
  return value.empty() ? setting.fallback : value;
}

}  // namespace sluice::detail
