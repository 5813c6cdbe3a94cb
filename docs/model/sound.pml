/* The sound of an alarm, which the guard makes: on pumpd's word (Signal), and on its own at a trip.
 *
 * SR-50 asks for a pause; the rules that it has to keep, and the variants:
 *
 *   -DHUSHES   a pause that one alarm was given holds for the next one as well
 *   -DENDLESS  a pause does not end by itself
 *   -DOBEYS    the guard is silent at a trip on the word of a pumpd that does not show it
 *   -DFROZEN   the guard waits for pumpd's word at a trip
 */
#define ALARMS 2
#define PAUSES 2

/* pumpd */
byte shown;   /* alarms that nobody has acknowledged */
bool paused;
bool told;    /* pumpd has heard of the trip */
bool stands;  /* pumpd is frozen, or gone */
bool trouble; /* something that the guard trips on */

/* pump-guard */
bool trip;
bool sounding;

byte alarms, pauses;
bool unheard; /* an alarm, or a trip, that came after the last pause */

inline signal()
{
    /* guard/core.py `_read`: at a trip only a pumpd that shows it may be silent */
#ifdef OBEYS
    sounding = (shown > 0 && !paused)
#else
    if
    :: !trip || told -> sounding = (shown > 0 && !paused)
    :: else
    fi
#endif
}

active proctype pumpd()
{
end:
    do
    :: atomic { !stands && alarms < ALARMS ->
        alarms++; shown++; unheard = true;
#ifndef HUSHES
        paused = false;
#endif
        signal() }
    :: atomic { !stands && trip && !told -> told = true; shown++; paused = false; signal() }
    :: atomic { !stands && shown > 0 && (!trip || told) -> /* acknowledged by a person */
        shown--; if :: shown == 0 -> unheard = false :: else fi; signal() }
    :: atomic { !stands && shown > 0 && !paused && pauses < PAUSES ->
        pauses++; paused = true; unheard = false; signal() }
    od
}

active proctype timer() /* of pumpd */
{
end:
    do
#ifndef ENDLESS
    :: atomic { !stands && paused -> paused = false; signal() } /* its 120 s are over */
#else
    :: false
#endif
    od
}

active proctype world() /* neither of these need ever happen */
{
    if
    :: trouble = true
    :: true
    fi;
    if
    :: stands = true
    :: true
    fi
}

active proctype guard()
{
end:
    do
    :: atomic { trouble && !trip -> trip = true; unheard = true;
#ifndef FROZEN
        sounding = true
#endif
        }
    /* Its wire has ended, or `alive` has: then no word can pause the sound. */
    :: atomic { trip && stands && !sounding -> sounding = true }
    od
}

ltl a_new_alarm_is_heard { [] (unheard -> sounding) }
ltl a_pause_ends { [] (paused -> <> (!paused || stands || sounding)) }
ltl a_trip_without_pumpd_is_heard { [] ((trip && stands) -> <> sounding) }
