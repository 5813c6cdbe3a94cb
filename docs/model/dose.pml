/* One dose, from a client's request to its end, over lost replies, impatience and crashes.
 *
 * The rules: the request id is durable; the intent is durable before the first step, with the most
 * that can move; a recovery closes what is open with its two bounds and drives nothing. Each rule
 * has a variant without it, and each variant has to break a property:
 *
 *   -DFORGETS_ID    the id is kept in memory alone
 *   -DSTEPS_FIRST   a step goes out before the row that allows it
 *   -DRESUMES       a recovery drives what is left of an open dose
 */
#define DOSE    3 /* steps */
#define SENDS   3 /* the client asks so often, always with the same id */
#define CRASHES 2 /* of pumpd */

mtype = { none, open, closed }

/* Durable: the ledger. */
mtype state = none; /* of the dose that was entered last */
bool entered;       /* an intent with this request id is there */
byte low, high;     /* confirmed and maximum of all rows together */

/* The truth at the motor. */
byte moved;

byte crashes;
chan requests = [SENDS] of { bit };
chan replies = [SENDS] of { bit };

/* pumpd may die here: after every durable write and after every step. */
#define MAY_DIE if :: crashes < CRASHES -> crashes++; goto start :: true fi

active proctype client()
{
    byte sent;
    bool answered;

    do
    :: sent < SENDS && !answered -> sent++; requests!1 /* impatient: it waits for nothing */
    :: sent < SENDS && !answered -> sent++             /* or the request is lost */
    :: replies?_ -> answered = true
    :: replies?_ -> skip                               /* the reply is lost */
    :: sent == SENDS || answered -> break
    od;
end:
    do
    :: replies?_
    od
}

active proctype pumpd()
{
    byte step;
    bool remembered; /* what the program knows, and a crash forgets */

start:
    atomic { remembered = false; step = 0 }
    do /* what the dead program had in its socket may be lost with it */
    :: requests?_
    :: break
    od;
    if
    :: state == open ->
#ifdef RESUMES
        step = low;
        do
        :: step < DOSE ->
            moved++;
            MAY_DIE;
            atomic { step++; low++ }
            MAY_DIE
        :: else -> break
        od;
#endif
        state = closed; /* UNCERTAIN, unless low is high */
        MAY_DIE
    :: else
    fi;

end:
    do
    :: requests?_ ->
        if
        :: entered || remembered -> skip /* the same id has the same outcome */
        :: else ->
#ifdef FORGETS_ID
            atomic { state = open; remembered = true; high = high + DOSE }
#else
#ifdef STEPS_FIRST
            atomic { state = open; entered = true }
#else
            atomic { state = open; entered = true; high = high + DOSE }
#endif
#endif
            MAY_DIE;
            step = 0;
            do
            :: step < DOSE ->
                moved++;
                MAY_DIE;
#ifdef STEPS_FIRST
                atomic { step++; low++; high++ }
#else
                atomic { step++; low++ }
#endif
                MAY_DIE
            :: else -> break
            od;
            state = closed;
            MAY_DIE
        fi;
        if
        :: nfull(replies) -> replies!1
        :: full(replies)
        fi
    od
}

ltl never_more_than_the_dose { [] (moved <= DOSE) }
ltl the_truth_is_within_the_bounds { [] (state == none || (low <= moved && moved <= high)) }
