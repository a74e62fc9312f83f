/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol of ipc/, step by step: undo.hpp, commit.hpp and lane.hpp, as a worker of the pipeline runs them. */

inline check_lane(l) {
  PROMISE("head <= tail <= head + capacity", head[l] <= tail[l] && tail[l] <= head[l] + CAPACITY)
}

inline store_cursor(word, value) {
  if
  :: word == ENDED -> ended[OUT] = true /* [lane.ended] */
  :: word == TAIL ->
     PROMISE("a cursor never goes back", tail[OUT] <= value);
     tail[OUT] = value; /* [lane.tail] */
     check_lane(OUT)
  :: word == HEAD ->
     PROMISE("a cursor never goes back", head[IN] <= value);
     head[IN] = value; /* [lane.head] */
     check_lane(IN)
  :: word == FINISHED -> finished[me] = true; over = true
  fi
}

/* What nobody reads again before it is written becomes 0, so that states that differ in nothing else are one. */
inline clear_record() {
  i = 0;
  do
  :: i < CURSORS -> record_word[i] = 0; record_value[i] = 0; i++
  :: else -> break
  od;
  i = 0; record_count = 0; record_undo_base = 0; record_undo_tail = 0
}
inline clear_entries() {
  i = undo_tail;
  do
  :: i < ENTRIES -> undo_old[i] = 0; undo_word[i] = 0; i++
  :: else -> break
  od;
  i = 0
}

/* ---- undo.hpp */

inline note_and_change(word, value) {
#ifdef NOTE_AFTER_CHANGE
  before_change = state[word];
  STORE(state[word] = value);
  STORE(undo_old[undo_tail] = before_change);
  STORE(undo_word[undo_tail] = word);
  STORE(undo_tail++; before_change = 0)
#elif defined(TAIL_BEFORE_ENTRY)
  STORE(undo_tail++);
  STORE(undo_old[undo_tail - 1] = state[word]);
  STORE(undo_word[undo_tail - 1] = word);
  STORE(state[word] = value)
#else
  STORE(undo_old[undo_tail] = state[word]);
  STORE(undo_word[undo_tail] = word);
  STORE(undo_tail++); /* [undo.tail] */
  STORE(state[word] = value)
#endif
}

inline roll_back() {
  PROMISE("base <= tail <= capacity in the undo log", undo_base <= undo_tail && undo_tail <= ENTRIES);
#ifdef OLDEST_ENTRY_FIRST
  i = undo_base;
  do
  :: i < undo_tail -> STORE(state[undo_word[i]] = undo_old[i]); i++
  :: else -> break
  od;
  STORE(undo_tail = undo_base)
#else
  do /* [undo.tail] [undo.restored] */
  :: undo_tail > undo_base ->
#ifdef GIVEN_UP_BEFORE_RESTORED
     STORE(undo_tail--);
     STORE(state[undo_word[undo_tail]] = undo_old[undo_tail])
#else
     STORE(state[undo_word[undo_tail - 1]] = undo_old[undo_tail - 1]);
     STORE(undo_tail--; clear_entries()) /* [undo.restored] */
#endif
  :: else -> break
  od
#endif
}

inline restart() {
#ifdef TAIL_BEFORE_BASE
  STORE(undo_tail = record_undo_tail);
  STORE(undo_base = record_undo_base)
#else
  STORE(undo_base = record_undo_base);
  STORE(undo_tail = record_undo_tail; clear_entries()) /* [undo.tail] */
#endif
}

/* ---- commit.hpp */

inline move(word, value) {
  STORE(record_word[count] = word; record_value[count] = value; count++)
#ifdef RECORD_BEFORE_APPLIED
  ;
  if
  :: count == 1 && applied != committed -> STORE(applied = committed)
  :: else
  fi
#endif
}

inline finish() {
#ifdef APPLIED_BEFORE_CURSORS
  STORE(applied = committed);
#endif
  i = 0;
  do
  :: i < record_count -> SHOW(store_cursor(record_word[i], record_value[i]); i++)
  :: else -> break
  od;
  if
  :: undo_tail != 0 -> restart()
  :: else
  fi
#if !defined(APPLIED_BEFORE_CURSORS) && !defined(RECORD_BEFORE_APPLIED)
  ;
  STORE(applied = committed; clear_record()) /* [commit.applied] */
#endif
}

/* `split`: only what was done before the event in the handler. */
inline store_commit(split) {
  count = 0;
  published = (split && entered -> boundary : next_out);
  kept = split && undo_boundary < undo_tail;
#ifdef SPLIT_PUBLISHES_HALF_AN_EVENT
  published = next_out;
#endif
#ifdef SPLIT_EMPTIES_LOG
  kept = false;
#endif
  if
  :: touched_out ->
#ifdef ENDED_BEFORE_TAIL
     if :: ends_out -> move(ENDED, 1) :: else fi;
     move(TAIL, published)
#else
     move(TAIL, published);
     if :: ends_out -> move(ENDED, 1) :: else fi
#endif
  :: else
  fi;
  if
  :: touched_in -> move(HEAD, next_in)
  :: else
  fi;
  if
  :: finishing -> move(FINISHED, 1)
  :: else
  fi;
  STORE(record_undo_base = (kept -> undo_boundary : 0));
  STORE(record_undo_tail = (kept -> undo_tail : 0));
#ifdef COMMITTED_BEFORE_RECORD
  STORE(committed++);
  STORE(record_count = count);
#else
  STORE(record_count = count);
  STORE(committed++); /* [commit.committed] */
#endif
  finish();
  d_step {
    undo_boundary = undo_base;
    touched_out = split && entered && boundary != next_out;
    touched_in = split && me != SOURCE;
    done = 0; count = 0; published = 0; kept = false
  }
}

inline recover() {
#ifndef NO_REDO
  if
  :: committed != applied -> /* [commit.committed] */
#ifdef RECORD_BEFORE_APPLIED
     finish();
     STORE(applied = committed)
#else
     PROMISE("committed is applied or one more", committed == applied + 1);
     finish()
#endif
  :: else
  fi;
#endif
#ifndef NO_UNDO
  roll_back()
#else
  skip
#endif
}

/* ---- lane.hpp */

#ifdef CAPACITY_OFF_BY_ONE
#define ROOM (CAPACITY + 1)
#else
#define ROOM CAPACITY
#endif

inline push(value) {
  if
  :: !entered -> entered = true; boundary = next_out
  :: else
  fi;
  if
  :: next_out + 1 > room_end ->
     LOOK(room_end = head[OUT] + ROOM); /* [lane.head] */
     if
     :: next_out + 1 > room_end ->
        /* publish_before_event() of the worker loop: commits the events before this one, so that the others go on. */
        if
        :: done > 0 -> store_commit(true)
        :: else
        fi;
#if defined(PARK) && !defined(WAITS_FOR_ROOM_IN_A_PARK)
        if
        :: d_step { next_out + 1 <= head[OUT] + ROOM -> room_end = head[OUT] + ROOM } /* [lane.head] */
        :: parking -> SHOW(stands[me] = true); all_killed; goto dead /* wait_for_room() of the worker loop. */
        fi
#else
        d_step { next_out + 1 <= head[OUT] + ROOM -> room_end = head[OUT] + ROOM } /* [lane.head] */
#endif
     :: else
     fi
  :: else
  fi;
  PROMISE("a slot is written before tail covers it", next_out >= tail[OUT]);
  PROMISE("a slot is written again only after head has passed", next_out < head[OUT] + CAPACITY);
#ifdef TAIL_BEFORE_SLOT
  SHOW(store_cursor(TAIL, next_out + 1));
  others_run ! 0;
#endif
  STORE(slot[2 * OUT + next_out % 2] = value; next_out++; touched_out = true)
}

inline end_output() {
  STORE(PROMISE("a stream ends once", !ends_out && !ended[OUT]); ends_out = true; touched_out = true)
}

inline refresh() {
#ifdef SLOT_READ_BEFORE_TAIL
  early = slot[2 * IN + next_in % 2];
#endif
#ifdef TAIL_READ_BEFORE_ENDED
  LOOK(limit = tail[IN]);
  LOOK(ended_seen = ended[IN]);
#else
  LOOK(ended_seen = ended[IN]); /* [lane.ended] */
  LOOK(limit = tail[IN]); /* [lane.tail] */
#endif
  looked = limit == next_in
}
