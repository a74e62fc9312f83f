/* SPDX-License-Identifier: Apache-2.0 */
/* A worker of the pipeline: its handlers, the worker loop around them, and its region with what dies beside it. */

/* What holds whenever a batch is whole: after recovery and after a commit. */
inline check_state() {
  d_step {
    PROMISE("base <= tail <= capacity in the undo log", undo_base <= undo_tail && undo_tail <= ENTRIES);
    if
    :: me == SOURCE -> PROMISE("state is a function of the consumed prefix", state[0] == tail[SOURCE])
    :: me == MIDDLE ->
       PROMISE("state is a function of the consumed prefix",
               state[0] == SQUARE(head[SOURCE]) && state[1] == head[SOURCE]);
       PROMISE("outputs and inputs change together", tail[MIDDLE] == OUTPUTS_UP_TO(head[SOURCE]))
    :: me == LAST -> PROMISE("state is a function of the consumed prefix", state[0] == head[MIDDLE])
    fi
  }
}

inline produce() {
  d_step { entered = false; undo_boundary = undo_tail };
  note_and_change(0, state[0] + 1);
  push(state[0])
}

inline consume() {
  d_step {
    touched_in = true; entered = false; undo_boundary = undo_tail;
#ifdef SLOT_READ_BEFORE_TAIL
    event = early;
#else
    event = slot[2 * IN + next_in % 2];
#endif
    if
    :: me == MIDDLE -> PROMISE("no event is lost, doubled or out of order", event == state[1] + 1)
    :: me == LAST -> PROMISE("no event is lost, doubled or out of order", event == EXPECTED(state[0]))
    fi
  };
  if
  :: me == MIDDLE ->
     note_and_change(0, state[0] + 2 * event - 1);
     j = 0;
     do
     :: j < OUTPUTS(event) -> push(2 * state[0] + j); j++
     :: else -> break
     od;
     note_and_change(1, state[1] + 1)
  :: me == LAST -> note_and_change(0, state[0] + 1)
  fi;
  d_step { next_in++; j = 0; event = 0 }
#ifdef HEAD_BEFORE_COMMIT
  ;
  SHOW(store_cursor(HEAD, next_in))
#endif
}

/* All events but the last, which is the source's last word. */
inline produce_batch() {
  do
  :: handled < BATCH && state[0] < EVENTS - 1 -> produce(); d_step { handled++; done++ }
  :: handled == BATCH || state[0] == EVENTS - 1 || handled > 0 -> break /* Nothing now, or the end. */
  od;
  input_ended = state[0] == EVENTS - 1
}

inline consume_batch() {
  do
  :: handled < BATCH ->
     if
     :: limit == next_in -> refresh()
     :: else
     fi;
     if
     :: limit == next_in -> break
     :: else -> consume(); d_step { handled++; done++ }
     fi
  :: else -> break
  od
}

/* The end takes no commit of its own: a replacement sees it again. */
inline note_end() {
  if
  :: limit == next_in && !looked -> refresh()
  :: else
  fi;
  d_step {
    looked = false;
    input_ended = ended_seen && limit == next_in;
    PROMISE("a stream ends behind its last event",
            !input_ended || next_in == (me == MIDDLE -> EVENTS : OUTPUTS_UP_TO(EVENTS)))
  }
}

inline resume() {
  d_step {
    over = finished[me];
    if
    :: me != LAST ->
       next_out = tail[OUT]; ends_out = ended[OUT];
       room_end = next_out /* Assume full: the first push looks. */
    :: else
    fi;
    if
    :: me != SOURCE ->
       next_in = head[IN]; limit = next_in
    :: else -> input_ended = state[0] == EVENTS - 1
    fi
  }
}

#ifdef PARK
/* Stands still to its end, if it is asked to. */
inline stand_still() {
  others_run ! 0;
  if
  :: parking ->
     PROMISE("who stands still has committed what it has handled", handled == 0 && done == 0 && committed == applied);
     SHOW(stands[me] = true);
     all_killed;
     goto dead
  :: else
  fi
}
#endif

/* All that is not in the region. */
inline forget() {
  next_out = 0; ends_out = false; room_end = 0; boundary = 0; entered = false;
  next_in = 0; limit = 0; ended_seen = false; looked = false; input_ended = false;
  count = 0; published = 0; undo_boundary = 0; kept = false; touched_in = false; touched_out = false;
  finishing = false; over = false;
  handled = 0; done = 0; event = 0; i = 0; j = 0; early = 0; before_change = 0
}

#ifdef PARK
#define OR_PARKING || parking
#else
#define OR_PARKING
#endif

proctype worker(byte me) {
  /* The region, as far as nobody else reads it. */
  byte committed, applied;
  byte record_count, record_undo_base, record_undo_tail;
  byte record_word[CURSORS], record_value[CURSORS];
  byte undo_base, undo_tail;
  byte undo_word[ENTRIES], undo_old[ENTRIES];
  byte state[2];
  /* What dies with the process. */
  byte next_out, room_end, boundary;
  bool entered, ends_out;
  byte next_in, limit;
  bool ended_seen, looked, input_ended;
  byte count, published, undo_boundary;
  bool kept, touched_in, touched_out, finishing, over;
  byte handled, done, event, i, j, early, before_change;

end_born: /* The region of a worker that died after its last commit may be left as it is. */
  atomic {
#ifdef WORKS_UNREGISTERED
    process[me] == forked -> process[me] = working;
#else
    process[me] == forked && registered[me] -> process[me] = working;
#endif
#ifdef CURSORS_READ_BEFORE_RECOVERY
    resume();
    recover();
#else
    recover();
    resume();
#endif
    check_state();
    do
    :: over -> break
    :: else ->
#if defined(PARK) && !defined(STANDS_UNCOMMITTED)
       stand_still();
#endif
       if
       :: input_ended ->
          if
          :: me == SOURCE -> produce(); done++
          :: else
          fi;
          if
          :: me != LAST -> end_output()
          :: else
          fi;
          finishing = true; handled++
       :: !input_ended && me == SOURCE -> produce_batch()
       :: !input_ended && me != SOURCE -> consume_batch(); note_end()
       fi;
#ifdef STANDS_UNCOMMITTED
       stand_still();
#endif
       if
       :: handled > 0 ->
          store_commit(false);
          d_step { boundary = 0; entered = false; handled = 0; undo_boundary = 0 };
          check_state()
       :: handled == 0 && me != SOURCE && !input_ended -> tail[IN] != next_in || ended[IN] OR_PARKING
       :: handled == 0 && (me == SOURCE || input_ended)
       fi
    od;
    process[me] = exited;
    goto gone;
dead:
    forget();
    process[me] = killed;
    goto end_born
  }
gone:
  skip
}
