/* Leases and the guard's hand-shake: pumpd, its disk, the guard, the stepper, a person.
 *
 * The rules, and the variant that leaves each of them out:
 *
 *   -DGIVES_AT_ONCE  pumpd gives a lease on before it is durable
 *   -DSKIPS_GUARD    the stepper has a lease before the guard has said that it took it
 *   -DEAGER          pumpd keeps more than two leases open
 *   -DDEAF           a lease that crossed a stop is taken all the same
 *   -DFORGIVES       a trip clears itself when its cause is over
 *   -DREARMS         any re-arm clears a trip, also one that no person has acknowledged
 *   -DTRUSTS         the guard does not miss a stepper that has fallen silent
 */
#define LEASE     2 /* steps */
#define OPEN      2 /* leases at most */
#define PROGRAMME 6 /* steps */
#define BLOWS     2 /* crashes, clean restarts and freezes together */
#define STOPS     1

mtype = { lease, rearm, stop }

/* Durable: the ledger's rows of this run. */
byte leased;  /* steps that may go out */
byte counted; /* of these, what count rows have closed */

/* The guard. */
byte known; /* steps of the leases it has taken */
bool trip;
bool enable;

/* The stepper. */
bool stepping; /* the program is there */
bool frozen;
bool wants;    /* ENABLE, as its last beat said */
byte issued;
byte left;     /* of the leases it holds */
byte stops;    /* that it has obeyed */

/* What nobody in the pump knows: for the properties. */
byte moved;
bool unacknowledged; /* a trip that no person has seen */
byte stale;          /* steps held from leases that were sent before a stop that is obeyed */
byte blows;
bool pumpd_is_up;
bool ended_badly;
bool acknowledged;

chan disk = [OPEN] of { bit };
chan done = [OPEN] of { bit };
chan to_guard = [OPEN] of { mtype, bool };
chan taken = [OPEN] of { bit };
chan to_stepper = [OPEN + STOPS] of { mtype, byte };

inline trip_now() { trip = true; enable = false; unacknowledged = true }
inline stepper_is_gone() { stepping = false; frozen = false; wants = false; left = 0; stale = 0 }
inline flush() {
    do
    :: disk?_
    :: done?_
    :: to_guard?_, _
    :: taken?_
    :: to_stepper?_, _
    :: empty(disk) && empty(done) && empty(to_guard) && empty(taken) && empty(to_stepper) -> break
    od
}

/* Slow as it likes: what waits here is a stall. */
active proctype ledger()
{
end:
    do
    :: atomic { disk?[_] && nfull(done) -> disk?_; counted = issued - issued % LEASE;
                leased = leased + LEASE; done!1 }
    od
}

active proctype pumpd()
{
    byte asked;      /* steps of the leases that were asked for in this run */
    byte heard;      /* stops that pumpd knows of */
    bool urgent;

start: /* a run begins: a new stepper, and the guard is re-armed */
    atomic {
        !ended_badly || acknowledged ->
        stepper_is_gone();
        flush();
        asked = 0; heard = 0; urgent = false;
        leased = 0; counted = 0; issued = 0; known = 0; stops = 0; enable = false;
        if
        :: acknowledged -> trip = false; unacknowledged = false
        :: else ->
#ifdef REARMS
            trip = false
#else
            skip
#endif
        fi;
        acknowledged = false; ended_badly = false;
        stepping = true; pumpd_is_up = true
    }

end:
    do
    :: atomic {
#ifdef EAGER
        asked < PROGRAMME && nfull(disk) && nfull(to_stepper) ->
#else
        asked < PROGRAMME && asked - (issued - issued % LEASE) < OPEN * LEASE &&
            nfull(disk) && nfull(to_stepper) ->
#endif
        asked = asked + LEASE; disk!1;
#ifdef GIVES_AT_ONCE
        to_stepper!lease, heard; known = known + LEASE
#endif
        }
    :: atomic { done?[_] && nfull(to_guard) && nfull(to_stepper) ->
        done?_;
#ifndef GIVES_AT_ONCE
        to_guard!lease, false;
#ifdef SKIPS_GUARD
        to_stepper!lease, heard
#endif
#endif
        }
    :: atomic { taken?[_] && nfull(to_stepper) ->
        taken?_;
#ifndef SKIPS_GUARD
        to_stepper!lease, heard
#endif
        }
    /* A stop is sent by another thread, straight to the stepper; the engine hears of it later. */
    :: atomic { heard < STOPS && !urgent && nfull(to_stepper) -> to_stepper!stop, 0; urgent = true }
    :: atomic { urgent -> heard++; urgent = false }
    /* It is killed, and the stepper dies with it; the guard sees the end of its wire. */
    :: atomic { blows < BLOWS -> blows++; pumpd_is_up = false; ended_badly = true;
                stepper_is_gone(); trip_now(); flush(); goto start }
    /* Or it ends cleanly, and comes back without a person. */
    :: atomic { blows < BLOWS && !trip -> blows++; stepper_is_gone(); enable = false; flush();
                goto start }
    /* Or a person, or systemd, starts it again beside a guard that has tripped. */
    :: atomic { blows < BLOWS && trip -> blows++; stepper_is_gone(); flush(); goto start }
    od
}

active proctype person()
{
end:
    do
    :: atomic { unacknowledged && !acknowledged -> acknowledged = true }
    od
}

active proctype guard()
{
end:
    do
    :: atomic { to_guard?[lease, _] && nfull(taken) ->
        to_guard?_, _; known = known + LEASE; taken!1 }
    :: atomic { wants && !trip && stepping && pumpd_is_up && !enable -> enable = true }
    :: atomic { enable && !wants -> enable = false }
#ifndef TRUSTS
    :: atomic { stepping && frozen && enable -> trip_now() }
#endif
#ifdef FORGIVES
    :: atomic { trip && stepping && !frozen -> trip = false }
#endif
    od
}

active proctype stepper()
{
    byte epoch;

end:
    do
    /* Mail first: a stop that is here is obeyed before a deadline is looked at. */
    :: atomic { stepping && !frozen && to_stepper?[stop, _] ->
        to_stepper?_, _; stops++;
        left = 0; stale = 0 }
    :: atomic { stepping && !frozen && to_stepper?[lease, _] ->
        to_stepper?_, epoch;
        if
#ifdef DEAF
        :: true -> left = left + LEASE;
            if :: epoch != stops -> stale = stale + LEASE :: else fi
#else
        :: epoch == stops -> left = left + LEASE
        :: else /* void */
#endif
        fi;
        epoch = 0 }
    :: atomic { stepping && !frozen && wants != (left > 0) -> wants = (left > 0) } /* a beat */
    :: atomic { stepping && !frozen && left > 0 && wants && enable && empty(to_stepper) ->
        issued++; moved++; left--;
        assert(issued <= leased);       /* paper before metal */
        assert(issued <= known);        /* the second channel knew of it */
        assert(stale == 0);             /* nothing from before a stop */
        assert(!trip);
        assert(leased - counted <= OPEN * LEASE);
        if :: moved > 2 * PROGRAMME -> moved = 0 :: else fi }
    :: atomic { stepping && !frozen && blows < BLOWS -> blows++; frozen = true }
    :: atomic { frozen && trip -> frozen = false }
    od
}

ltl a_trip_is_latched { [] (!(unacknowledged && enable)) }
ltl doubt_is_two_leases_at_most { [] (leased - counted <= OPEN * LEASE) }
ltl silence_ends_enable { [] ((frozen && enable) -> <> !enable) }
