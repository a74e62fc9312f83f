// SPDX-License-Identifier: Apache-2.0
// The rows of the table of settings that say how a pipeline is cared for: what watches it, what happens when
// something dies, who may look, where it runs. The profiles are as in flow_settings.hpp.
#pragma once

#include <array>

#include "settings/settings_table.hpp"

namespace sluice::detail {

inline constexpr std::array kCareSettings = {
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
    Setting{.key = "watchdog.drill",
            .type = SettingType::flag,
            .fallback = "no",
            .example = "yes",
            .meaning =
                "Whether SIGUSR2 makes a worker hang until the watchdog ends it, to see what becomes of it. "
                "Otherwise the signal is ignored. Chaos that stalls workers sets it.",
            .trade_off = "With it a stray signal to the process group stands all workers still."},
    Setting{
        .key = "latency.sample",
        .type = SettingType::count,
        .scope = Scope::every_stage,
        .fallback = "off",
        .least = "100",
        .most = "1G",
        .may_be_off = true,
        .example = "1000",
        .meaning =
            "Of how many events of a stage one is timed: how long it waited in its lane, and how long the "
            "handler took. `off` times none.",
        .trade_off = "With 1000 a worker reads the clock three times in a thousand events; with off it "
                     "does nothing. `sluice stats` and `sluice serve` show what came of it."},
    Setting{
        .key = "restart.budget",
        .type = SettingType::count,
        .fallback = "5",
        .least = "0",
        .most = "1M",
        .example = "20",
        .meaning =
            "Deaths of its own doing that a worker may die within restart.window. One more stops the "
            "pipeline with a report; 0 stops it at the first one. A kill from outside does not count, "
            "unless the worker has never become ready, nor does a death that an event is blamed for: "
            "poison.attempts says what becomes of that event. But SIGPIPE and SIGXFSZ always count, since "
            "the next event would die of them too: a reader is gone, a file is at its limit.",
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
    Setting{.key = "oversize",
            .type = SettingType::choice,
            .scope = Scope::every_stage,
            .fallback = "dead_letter",
            .choices = "dead_letter|stop",
            .example = "stop",
            .meaning = "What becomes of an event that does not fit: its handler pushes a record larger than "
                       "the lane, or more "
                       "than a lane holds, needs a row of a table that is full, or changes more than the "
                       "undo log holds. "
                       "`dead_letter` treats it as one that kills its worker (poison.attempts), with that "
                       "reason; `stop` stops "
                       "the pipeline.",
            .trade_off = "A dead letter keeps the flow going past an input that nobody expected; a stop is "
                         "for programs whose "
                         "answers are worth nothing if one event is missing."},
    Setting{
        .key = "outside.patience",
        .type = SettingType::duration,
        .scope = Scope::every_stage,
        .fallback = "0s",
        .least = "0s",
        .most = "8760h",
        .example = "1h",
        .meaning =
            "How long a worker waits for the outside to come back, once its handler has thrown "
            "sluice::Unavailable, before the pipeline stops with the text of that. Each commit of events in "
            "between begins it anew. 0 waits for ever; `sluice stats` shows for what, and since when.",
        .trade_off =
            "Waiting loses nothing and holds up the stages before; giving up tells somebody sooner."},
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
        .key = "crash.budget",
        .type = SettingType::count,
        .scope = Scope::every_stage,
        .fallback = "auto",
        .least = "0",
        .most = "1M",
        .may_be_auto = true,
        .example = "5",
        .meaning =
            "Crashes (SIGSEGV, SIGABRT and their like) of all workers of a stage within crash.window, "
            "blamed on events or not. One more stops the pipeline with a report. `auto` is 20 for a stage "
            "whose program says that its input is hostile (StageOptions::hostile_input), and no limit for "
            "others.",
        .trade_off =
            "A small budget leaves an attacker few tries at the same addresses, which all replacements "
            "of a stage share; and whoever can crash the stage can stop the pipeline."},
    Setting{.key = "crash.window",
            .type = SettingType::duration,
            .fallback = "1h",
            .least = "1s",
            .most = "8760h",
            .example = "24h",
            .meaning = "The time over which crashes are counted against crash.budget.",
            .trade_off = "A long window remembers more crashes, and so is stricter."},
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
            "`auto` is sluice-reports/NAME-TIME-PID in the current directory, or with a segment.path or a "
            "checkpoint.path that path with .reports behind it.",
        .trade_off = "A directory of your own keeps the reports where you look for them, those of several "
                     "runs as well. It "
                     "must be one that nobody else may write: what is in it holds events."},
    Setting{
        .key = "log.level",
        .type = SettingType::choice,
        .fallback = "warning",
        .choices = "off|error|warning|info",
        .example = "info",
        .meaning =
            "What a pipeline says on standard error when it happens: `error` is dead letters, lost reports "
            "and what ends the pipeline; `warning` also every death, stall, takeover and wait for the "
            "outside; `info` also how it ended when nothing happened. `off` says nothing, and has no "
            "process for it.",
        .trade_off = "The log holds nothing up: what cannot be written soon enough is counted, and told."},
    Setting{
        .key = "log.format",
        .type = SettingType::choice,
        .fallback = "auto",
        .choices = "auto|text|json",
        .example = "json",
        .meaning =
            "How a line of the log looks: a text with time and level, or an object of JSON as in the "
            "reports. `auto` is a text, with the priorities of systemd's journal if standard error is one.",
        .trade_off = "A text is for people, JSON for what collects logs."},
    Setting{
        .key = "observe.socket",
        .type = SettingType::text,
        .fallback = "auto",
        .example = "/run/market/observe.sock",
        .meaning =
            "Unix socket at which observers such as `sluice stats` get a look at the running pipeline: "
            "processes of its user, and of root. `auto` is NAME.PID.sock in $XDG_RUNTIME_DIR/sluice or "
            "/tmp/sluice-UID; `off` is none. Where `auto` cannot make one the pipeline runs without; a "
            "path that cannot be made is an error.",
        .trade_off =
            "An observer costs the pipeline nothing. A path of your own in a directory that others can reach "
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
    Setting{
        .key = "core.segment",
        .type = SettingType::choice,
        .fallback = "control",
        .choices = "control|all",
        .example = "all",
        .meaning =
            "What of the shared segment a core dump holds. `control` is what each process says of itself: "
            "progress, cursors, commit record. `all` adds state and lanes of all processes.",
        .trade_off =
            "`all` shows the state that a crash met, in a file of the size of the segment: no replacement "
            "starts before the kernel has written it."},
    Setting{.key = "master.priority",
            .type = SettingType::choice,
            .fallback = "raised",
            .choices = "raised|normal",
            .example = "normal",
            .meaning =
                "How the supervisor, the master and a replacement until it is at work are scheduled, and "
                "the agent of a cluster's host. `raised` takes nice -15 where the user may, and short "
                "slices; `normal` leaves them as the host is.",
            .trade_off =
                "`raised` replaces a worker sooner where all cores are busy; `normal` never goes before what "
                "else the machine has to do."},
    Setting{.key = "oom.score",
            .type = SettingType::count,
            .fallback = "100",
            .least = "0",
            .most = "1000",
            .example = "500",
            .meaning =
                "How much likelier than the host a worker is taken when memory runs out: what it adds to its "
                "oom_score_adj, a thousandth of the memory each. 0 leaves it as the host's.",
            .trade_off =
                "A worker is replaced and a host is not, so workers go first; with a large value they go "
                "before everything else on the machine, too."},
    Setting{.key = "memory.huge",
            .type = SettingType::choice,
            .fallback = "auto",
            .choices = "auto|never|2M|1G",
            .example = "2M",
            .meaning =
                "Which huge pages state and lanes get. `auto` is for those of 16 MiB and more: pages of the "
                "machine's pool where enough are free, else the kernel puts pages of 2 MiB together behind "
                "the start (Linux 6.1 and later), else they stay small, and `sluice stats` says why. `2M` "
                "and `1G` take them from the pool for all that holds one, or are an error at the start; a "
                "segment with a segment.path cannot have those. `never` is none.",
            .trade_off =
                "A page fault, and an entry of the TLB, for 2 MiB instead of 4 KiB: large states are read "
                "faster, above all by replacements. Pages of the pool are taken from other programs that "
                "count on them; put together behind the start, they cost a copy of the memory."},
    Setting{
        .key = "memory.lock",
        .type = SettingType::flag,
        .fallback = "no",
        .example = "yes",
        .meaning = "Whether the segment is locked into memory (mlock), so that nothing of it is ever swapped "
                   "out: by the host while it lives, and by a process of its own (sluice-memory) while the "
                   "pipeline does. More than RLIMIT_MEMLOCK grants is an error at the start.",
        .trade_off = "No worker waits for a disk; the memory is taken from everything else on the machine."},
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
        .trade_off =
            "A sleeping worker is woken in a few microseconds instead of tens; all processors of the "
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

}  // namespace sluice::detail
