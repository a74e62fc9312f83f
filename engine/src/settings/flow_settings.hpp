// SPDX-License-Identifier: Apache-2.0
// The rows of the table of settings that say how events flow: profiles, workers, lanes, batches, waiting,
// memory. Values for the profiles: `latency` spends processors on waiting and keeps what is in flight small,
// `throughput` buffers and batches more, `shared` assumes that the processors belong to others too.
#pragma once

#include <array>

#include "settings/settings_table.hpp"

namespace sluice::detail {

inline constexpr std::array kFlowSettings = {
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
            .may_be_cores = true,
            .example = "4",
            .meaning =
                "Worker processes of a stage. `auto` is the number that the program asks for, and one if it "
                "asks for none; `cores` is one for each core that the other stages and the host leave, "
                "shared out "
                "between the stages that ask so.",
            .trade_off =
                "More workers share the work of a stage, each wants a core of its own, and order holds "
                "only within what one worker gets: within a key."},
    Setting{
        .key = "threads",
        .type = SettingType::count,
        .scope = Scope::single_stage,
        .fallback = "auto",
        .least = "1",
        .most = "4096",
        .may_be_auto = true,
        .example = "4",
        .meaning =
            "Threads of each worker of a stage whose handler is named as Wide<Handler>; its place has as "
            "many processing units. `auto` is the number that the program asks for, and one if it asks "
            "for none. A worker runs no more of them than it has units, nor than the CPU quota pays for.",
        .trade_off =
            "Threads keep the order of the input, also of one key, and share a lane and a commit; workers "
            "share nothing, and do more where a key decides who handles what."},
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
    Setting{.key = "batch.linger",
            .type = SettingType::duration,
            .scope = Scope::every_stage,
            .fallback = "0s",
            .least = "0s",
            .most = "1h",
            .example = "5ms",
            .meaning =
                "How long the events of a source may wait for more of them before they are committed. With 0 "
                "what is "
                "there goes: batches begin with one event and grow as long as the source is quick; they end "
                "when it "
                "has nothing now, waits, or has taken longer than a tick of the coarse clock (1 to 10 ms).",
            .trade_off =
                "A longer time makes fewer and larger commits of a source that is slow; a short one hands "
                "its events "
                "on sooner. A call of the source that blocks holds up what the calls before it made: "
                "Worker::wait_for() does not."},
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
};

}  // namespace sluice::detail
