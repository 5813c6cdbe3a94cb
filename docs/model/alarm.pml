/* One kind of alarm on the board: raised for a cause, latched until a person has acknowledged it and
 * the cause is gone, and shown without waiting for the disk.
 *
 * -DEVENT makes its cause a moment (a trip) and not a condition that lasts (a low reservoir).
 * The variants:
 *
 *   -DFORGETS   an alarm goes when its cause goes
 *   -DHIDES     an acknowledged alarm goes although its cause stands
 *   -DRINGS_ON  an acknowledged alarm is raised again while its cause stands
 *   -DSWALLOWS  a new event is taken for the old one, whose acknowledgement is on its way to the disk
 *   -DWAITS     an alarm is shown when it is on the disk
 */
#define CAUSES 2 /* one after the other */

/* The book: durable rows. */
bool there, current, acked; /* `current`: its cause stands */

/* Rows on their way to the disk, which keeps their order. */
bool rising, acking, clearing;

bool cause;
bool heard = true; /* pumpd has looked at the cause */
byte causes;

#ifdef WAITS
#define SHOWN (there && !acked)
#else
#define SHOWN (rising || (there && !acked))
#endif
#define LISTED (SHOWN || there)

inline gone() { there = false; assert(acked && !current) }

active proctype world()
{
end:
    do
    :: atomic { !cause && heard && causes < CAUSES -> cause = true; heard = false; causes++ }
#ifndef EVENT
    :: atomic { cause && heard -> cause = false }
#endif
    od
}

active proctype ledger()
{
end:
    do
    :: atomic { acking && !rising || acking && there ->
        acking = false; acked = true;
#ifdef HIDES
        there = false
#else
        if :: !current && !clearing -> gone() :: else fi
#endif
        }
    :: atomic { clearing && !acking ->
        clearing = false; current = false;
#ifdef FORGETS
        gone()
#else
        if :: acked -> gone() :: else fi
#endif
        }
    :: atomic { rising && !acking && !clearing ->
        rising = false; there = true; current = true; acked = false }
    :: true -> break /* from here on it stands still */
    od
}

/* engine/alarms.py: raise_, clear and acknowledge, once a turn. */
active proctype pumpd()
{
end:
    do
    :: atomic { cause && !rising &&
#ifdef RINGS_ON
        !(there && current && !acked)
#else
#ifdef SWALLOWS
        !(there && current)
#else
        !(there && current && !clearing)
#endif
#endif
        ->
        assert(!(there && current && acked && !clearing));
        rising = true; heard = true;
#ifdef EVENT
        cause = false
#endif
        }
    :: atomic { cause && !heard && (rising || there && current
#ifndef SWALLOWS
                && !clearing
#endif
                ) ->
        heard = true;
#ifdef EVENT
        cause = false;
        assert(rising || !acking) /* a person has not seen this one yet */
#endif
        }
#ifndef EVENT
    :: atomic { !cause && heard && there && current && !clearing && !rising -> clearing = true }
#endif
    od
}

active proctype person()
{
end:
    do
    :: atomic { there && !acked && !acking && SHOWN ->
        acking = true;
#ifdef EVENT
        clearing = true
#endif
        }
    od
}

ltl a_cause_is_listed { [] ((cause && heard) -> LISTED) }
ltl it_is_shown_though_the_disk_stands { [] ((cause && !heard) -> <> (SHOWN || acked)) }
