/* SPDX-License-Identifier: Apache-2.0 */
/* Why nobody sleeps for ever beside work to do: the handshake of control.hpp, under store buffers.
 *
 * A producer and a consumer share a lane of one slot, so that either of them sleeps again and again and is woken
 * by the other. Before any step one of them may die, twice in all; a replacement takes over. A wait here has no
 * bound, so that a ring that is lost is a state without a successor, which Spin reports.
 *
 * Every store to a word that the other side reads goes through a buffer of its process, first in, first out,
 * that reaches the memory at any later time: x86's order. A full fence waits until the buffer is empty. The
 * sleeper's counter is stored like any other word, although x86 would fence there: other machines would not.
 * A far fence waits for its own buffer, then for a moment at which the other's is empty.
 *
 * What is left out, and why that is sound:
 * - How an event takes effect once is for pipeline.pml; here a cursor is all there is to publish.
 * - The words before the cursor: the buffer keeps their order, as release and acquire do on other machines.
 * - A process sees its own stores at once: it keeps them in private variables, and a replacement begins when
 *   the buffer is empty, for that is what a confirmed death means.
 * - Spinning before the sleep: it is to look several times, and a look may be as late as it likes.
 * - The bound of a second on a real wait, and counting what came without a ring: they would hide what is sought.
 * - Threads of a host that share a doorbell: one sleeper a process.
 *
 * A mutant is this text with one macro defined; the file `mutants` says what each of them changes. */

#define EVENTS 3
#define CAPACITY 1
#ifndef WORKER_DEATHS
#define WORKER_DEATHS 2
#endif
#define PRODUCER 0
#define CONSUMER 1
#define PEER (1 - me)

/* The memory. */
mtype = {cursor_word, sleeping_word, may_sleep_word};
byte cursor[2];
bool sleeping[2];
bool may_sleep[2]; /* The wakefulness of control.hpp: whether neighbours must fence to ask. */
chan buffer[2] = [5] of {mtype, byte};

/* What the kernel keeps: an eventfd each. */
bool bell[2];
bool blocked[2];

byte worker_deaths = WORKER_DEATHS;
byte published_by[2]; /* For the promise only. */

#define PROMISE(text, condition) \
  if :: (condition) :: else -> printf("broken: "); printf(text); printf("\n"); assert(false) fi

/* One step. SIGKILL may come before it. */
#define STEP(...) if :: d_step { __VA_ARGS__ } :: d_step { worker_deaths > 0 -> worker_deaths-- }; goto dead fi
#define SOMETHING_TO_DO (me == PRODUCER -> own < cursor[CONSUMER] + CAPACITY : cursor[PRODUCER] != own)

inline to_memory(who) {
  d_step {
    buffer[who] ? word, value ->
    if
    :: word == cursor_word -> cursor[who] = value
    :: word == sleeping_word -> sleeping[who] = value
    :: word == may_sleep_word -> may_sleep[who] = value
    fi;
    word = 0; value = 0
  }
}
active proctype memory() {
  mtype word;
  byte value;
end:
  do
  :: to_memory(PRODUCER)
  :: to_memory(CONSUMER)
  od
}

inline ring(who) {
#ifdef RINGS_ARE_FORGOTTEN
  STEP(bell[who] = blocked[who])
#else
  STEP(bell[who] = true)
#endif
}

inline full_fence() {
  STEP(skip);
  empty(buffer[me])
}

/* A full fence in everybody, one after the other, at any time between its call and its end. */
inline far_fence() {
  STEP(skip);
#ifndef NO_FAR_FENCE
  empty(buffer[me]);
  empty(buffer[PEER])
#else
  skip
#endif
}

inline fall_asleep() {
  if
  :: !knows_may_sleep ->
     STEP(buffer[me] ! may_sleep_word, 1);
     far_fence(); /* [sleep.far_fence] pairs with publish(). */
     knows_may_sleep = true
  :: knows_may_sleep
  fi;
  STEP(buffer[me] ! sleeping_word, 1);
#ifndef NO_FENCE_IN_SLEEPER
  full_fence() /* [sleep.fence] pairs with publish(). */
#else
  skip
#endif
}

inline wake_up() {
  STEP(buffer[me] ! sleeping_word, 0)
}

/* Said at any time while awake. */
inline stay_awake() {
  STEP(buffer[me] ! may_sleep_word, 0; knows_may_sleep = false)
}

inline wait() {
  do
  :: SOMETHING_TO_DO -> break
  :: !SOMETHING_TO_DO ->
     fall_asleep();
     if
#ifndef NO_SECOND_LOOK
     :: SOMETHING_TO_DO -> skip
     :: !SOMETHING_TO_DO ->
#else
     :: true ->
#endif
        STEP(blocked[me] = true);
        bell[me];
        STEP(bell[me] = false; blocked[me] = false)
     fi;
     wake_up()
  od;
  if
  :: knows_may_sleep -> stay_awake()
  :: true
  fi
}

inline publish() {
#ifdef ASKS_BEFORE_PUBLISHING
  asleep = sleeping[PEER];
#endif
  STEP(
    buffer[me] ! cursor_word, own + 1;
    PROMISE("no event is published twice", own == published_by[me]);
    own++; published_by[me] = own);
#ifndef ASKS_BEFORE_PUBLISHING
  if
  :: may_sleep[PEER] -> /* [sleep.far_fence] pairs with fall_asleep(). */
#ifndef NO_FENCE_IN_WAKER
     full_fence(); /* [sleep.fence] pairs with fall_asleep(). */
#endif
     asleep = sleeping[PEER]
  :: !may_sleep[PEER]
  fi;
#endif
  if
  :: asleep -> ring(PEER)
  :: else
  fi;
  asleep = false
}

proctype worker(byte me) {
  byte own;
  bool asleep, replaces, knows_may_sleep;

born:
#ifdef UNCONFIRMED_DEATH
  own = cursor[me];
#else
  atomic { empty(buffer[me]) -> own = cursor[me] };
#endif
  STEP(buffer[me] ! sleeping_word, 0); /* nobody_sleeps() */
#ifndef DROWSY_BY_HEARSAY
  STEP(buffer[me] ! may_sleep_word, 0);
#else
  STEP(buffer[me] ! may_sleep_word, 0; knows_may_sleep = true);
#endif
#ifndef NO_RINGS_AFTER_DEATH
  if
  :: replaces -> ring(PEER)
  :: else
  fi;
#endif
  do
  :: own < EVENTS -> wait(); publish()
  :: else -> break
  od;
  goto gone;
dead:
  atomic {
    own = 0; asleep = false; knows_may_sleep = false; replaces = true; blocked[me] = false
  };
  goto born;
gone:
  skip
}

init {
  atomic {
    run worker(PRODUCER);
    run worker(CONSUMER)
  }
}
