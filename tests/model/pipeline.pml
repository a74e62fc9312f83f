/* SPDX-License-Identifier: Apache-2.0 */
/* Why exactly-once holds whatever dies: lanes, commit, undo log and recovery of ipc/, store by store.
 *
 * A source worker, a worker in the middle and a worker at the end, over two lanes of two slots; a master that
 * replaces workers, and a supervisor that replaces the master. Before any store any two workers may die, or one of
 * them twice, also while it recovers; and so may the master, once. The source makes EVENTS events in batches of
 * up to two; the last of them is its last word, published by the commit that ends the stream. The middle changes
 * two words of state for each and publishes what follows from them; with SPLIT twice for the third event, which so
 * fills the lane in its midst.
 *
 * Every wait blocks on its condition and every run is finite (`check finite`), so a state without a successor is
 * either the good end or an event that never arrives: Spin's check for invalid end states covers progress as well.
 *
 * What is left out, and why that is sound:
 * - Others run only between accesses to cursors. All else is words that only their owner reads, or slots
 *   outside what the cursors show to the other side; that they are is among the promises. What a process
 *   does to them commutes with all that others do.
 * - A death strikes just before a store. Between two stores nobody could tell where it struck.
 * - Positions count events, not bytes: a ring is mapped twice in a row, so that events do not wrap.
 * - A death leaves a prefix of the stores in program order (commit.hpp says why); live peers see stores in
 *   that order too, since release and acquire forbid the others at every place with a label. The mutants
 *   TAIL_BEFORE_SLOT, SLOT_READ_BEFORE_TAIL, ENDED_BEFORE_TAIL and TAIL_READ_BEFORE_ENDED are what would be
 *   allowed without them.
 * - A cursor that a commit would store again as it was is not in its record: nobody could tell.
 * - A waiting process looks again as soon as its condition holds: that it is woken is for wake.pml to show.
 * - That a process is dead is a fact here, as it is for whoever asks a pidfd.
 * - Corrupt regions and other routes than one to one are for the tests of the code.
 *
 * The protocol itself is in pipeline_ipc.pml, the worker around it in pipeline_worker.pml. A mutant is this text with
 * one macro defined; the file `mutants` says what each of them changes. */

#define EVENTS 3
#ifndef WORKER_DEATHS
#define WORKER_DEATHS 2
#endif
#ifndef MASTER_DEATHS
#define MASTER_DEATHS 1
#endif
#define BATCH 2
#define CAPACITY 2
#define ENTRIES 10

#define SOURCE 0
#define MIDDLE 1
#define LAST 2

/* What the middle publishes for the n-th event, and the k-th event that the last worker so gets. */
#define SQUARE(n) ((n) * (n))
#ifdef SPLIT
#define OUTPUTS(n) (1 + ((n) > 2))
#define OUTPUTS_UP_TO(n) ((n) + ((n) > 2))
#define EXPECTED(k) ((k) < 3 -> 2 * SQUARE((k) + 1) : 2 * SQUARE(3) + (k) - 2)
#else
#define OUTPUTS(n) 1
#define OUTPUTS_UP_TO(n) (n)
#define EXPECTED(k) (2 * SQUARE((k) + 1))
#endif

/* The lanes: worker l produces lane l, worker l + 1 consumes it. */
byte tail[2], head[2];
bool ended[2];
bool finished[3];
byte slot[4];
#define IN (me - 1)
#define OUT me

/* Words of a region's cursor area, as the commit record names them. */
#define TAIL 0
#define ENDED 1
#define HEAD 2
#define FINISHED 3
#define CURSORS 4

/* What the kernel knows of each worker's process, and whom the master has registered. */
mtype = {killed, forked, working, exited};
mtype process[3] = forked;
bool registered[3] = true;
byte worker_deaths = WORKER_DEATHS;

#ifdef PARK
/* In the master's region: what is asked. In each worker's: that it stands still. The kernel: the master has killed
 * them. `lives` bounds the starts. */
bool parking, stands[3], all_killed;
byte lives = 1;
#endif

/* What must hold: the runner tells which promise a mutant breaks. */
#define PROMISE(text, condition) \
  if :: (condition) :: else -> printf("broken: "); printf(text); printf("\n"); assert(false) fi

/* A worker runs alone from one of these points to the next. */
chan others_run = [0] of {bit};
active proctype scheduler() {
end:
  do
  :: others_run ? 0
  od
}

/* A store to the own region. SIGKILL may come before it. */
#define STORE(...) if :: d_step { __VA_ARGS__ } :: d_step { worker_deaths > 0 -> worker_deaths-- }; goto dead fi
/* A store that others see. */
#define SHOW(...) others_run ! 0; STORE(__VA_ARGS__)
/* A read of what others change. */
#define LOOK(...) others_run ! 0; d_step { __VA_ARGS__ }

#include "pipeline_ipc.pml"
#include "pipeline_worker.pml"

/* Forks replacements. A forked child works only once it stands in the register; if the master dies before, the
 * child dies with it (PR_SET_PDEATHSIG). All that a new master knows is the register and what the kernel says. */
#ifdef UNCONFIRMED_DEATH
#define IS_DEAD(w) true
#else
#define IS_DEAD(w) (process[w] == killed)
#endif
#define IS_OVER(w) (process[w] == exited || (process[w] == killed && finished[w]))
#define MASTER_STORE(...) if :: d_step { __VA_ARGS__ } :: deaths > 0 -> goto dead fi
#ifdef TWO_MASTERS
#define UNSEEN
#else
#define UNSEEN atomic /* Others look at nothing of this before the child is registered. */
#endif
#ifdef PARK
#define REPLACES !parking &&
#else
#define REPLACES
#endif
#define LOOK_AFTER(w) \
  :: UNSEEN { \
       REPLACES process[w] != exited && (IS_DEAD(w) || !registered[w]) -> \
       if \
       :: registered[w] -> MASTER_STORE(registered[w] = false) \
       :: else \
       fi; \
       MASTER_STORE(PROMISE("a region has one owner", process[w] == killed); process[w] = forked); \
       MASTER_STORE(registered[w] = true) \
     }
#define PARENT_DIED(w) \
  if \
  :: process[w] == forked -> process[w] = killed \
  :: process[w] != forked || registered[w] \
  fi

#ifdef PARK
#define STANDS(w) (process[w] == exited || process[w] == killed || (process[w] == working && stands[w]))
#define IS_GONE(w) (process[w] == exited || process[w] == killed)
#define NEXT_LIFE(w) \
  stands[w] = false; \
  if \
  :: process[w] == killed -> process[w] = forked; registered[w] = true \
  :: else \
  fi
#endif

proctype master(byte deaths) {
born:
  do
  LOOK_AFTER(SOURCE)
  LOOK_AFTER(MIDDLE)
  LOOK_AFTER(LAST)
#ifdef PARK
  :: lives > 0 && !parking -> MASTER_STORE(parking = true)
  :: parking && !all_killed && STANDS(SOURCE) && STANDS(MIDDLE) && STANDS(LAST) -> MASTER_STORE(all_killed = true)
  :: lives > 0 && all_killed && IS_GONE(SOURCE) && IS_GONE(MIDDLE) && IS_GONE(LAST) ->
     atomic { /* The next start: resume.cpp. */
       lives--; all_killed = false;
#ifndef PARK_REMEMBERED
       parking = false;
#endif
       NEXT_LIFE(SOURCE); NEXT_LIFE(MIDDLE); NEXT_LIFE(LAST)
     }
#endif
  :: IS_OVER(SOURCE) && IS_OVER(MIDDLE) && IS_OVER(LAST) -> break
  od;
  PROMISE("every event arrives", tail[0] == EVENTS && tail[1] == OUTPUTS_UP_TO(EVENTS) &&
          head[0] == tail[0] && head[1] == tail[1] && ended[0] && ended[1]);
  goto gone;
dead:
  deaths--;
  atomic {
    PARENT_DIED(SOURCE);
    PARENT_DIED(MIDDLE);
    PARENT_DIED(LAST)
  };
  goto born; /* The supervisor forks it anew once its pidfd says that it is dead. */
gone:
  skip
}

init {
  atomic {
    run worker(SOURCE);
    run worker(MIDDLE);
    run worker(LAST);
    run master(MASTER_DEATHS)
#ifdef TWO_MASTERS
    ;
    run master(MASTER_DEATHS)
#endif
  }
}
