/* Ring replication (docs/REPLICATION.md) for a model checker. README.md says what is modelled; scripts/check-model runs it.
   Host k is the primary of leg k, the neighbour of leg k-1, the third of leg k-2. One machine for each host and leg.
   Transitions have the names of the page, in capitals.

   Nothing in flight is stored. What a correct host has signed is state, and a receiver reads it at any later time: that is an
   asynchronous network that loses nothing of correct hosts. What a faulty host sends is chosen when it is read, within what it
   can sign; it may be STOPped at any time, and then nothing of it is read any more. So a fault is "whatever its kind allows, to
   whom it likes, up to any point". Every run is finite: whatever is to be must be so when nothing can move. */

#ifndef N
#define N 3                 /* hosts */
#endif
#ifndef LEGS
#define LEGS 3
#endif
#ifndef COPIES
#define COPIES 3
#endif
#ifndef EAGER
#define EAGER 0
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef FIRST
#define FIRST FREE          /* kinds of fault tried: FIRST to LAST */
#endif
#ifndef LAST
#define LAST FREE
#endif

/* The rules as the page first had them, one by one: each is to be found wrong. */
/* W_ABSENT  absent(j) only before j revealed             W_OBJECTION  only different outputs activate, an objection does not
   W_PARCEL  a parcel comes from the leg before only      W_REVEALED   who has revealed does not begin anew
   W_NEWEST  chains are ordered by their newest receipt   W_CHAIN      a receipt on another chain breaks a rule
   W_VALIDATION  a validation counts without its signer's own reveal */
/* Mutants: M_NO_COMMIT reveals to who has not committed; M_NO_DIGEST does not hold tensors against the receipt. W_STAYS and
   M_ANY_ORDER are no faults: a copy that holds a chain past a leg plays on in it; a validation of a later copy's receipt counts. */

/* What a copy knows of another: */
#define WAIT 0
#define SAME 1
#define DIFFERS 2
#define BROKE 3
#define ABSENTEE 4
#define OBJECTED 5

/* Kinds of faults: */
#define FREE 1              /* whatever can be signed, in any mixture */
#define CRASH 2             /* as a correct one, to some, up to some point */
#define LIE1 3              /* lies in its outputs */
#define LIE2 4              /* lies otherwise */
#define NO_COMMIT 5
#define NO_REVEAL 6
#define OTHER 7             /* reveals something else than committed */
#define REPEAT 8            /* repeats another's commitment */
#define TWO 9               /* signs two receipts */
#define FALSE_OBJECTION 10
#define LAZY 11             /* validates without computing */
#define NO_PASS 12
#define PASS_OTHER 13       /* passes on other tensors than the standing receipt's */
#define COPIER 14           /* computes nothing, copies what it is shown */

#define IN(k, set) (((set) >> (k)) & 1)
#define K(k) (1 << k)
#ifdef NAMING
#define SOMETIMES 0         /* a liar lies in every leg */
#else
#define SOMETIMES K(LIE1) | K(LIE2)
#endif
#define MAY_SAME(k)     IN(k, SOMETIMES | K(FREE) | K(CRASH) | K(TWO) | K(FALSE_OBJECTION) | K(NO_PASS) | K(PASS_OTHER))
#define MAY_DIFFER(k)   IN(k, K(FREE) | K(LIE1) | K(LIE2) | K(TWO))
#define MAY_BREAK(k)    IN(k, K(FREE) | K(OTHER) | K(REPEAT) | K(LAZY))
#define MAY_VALIDATE(k) IN(k, SOMETIMES | K(FREE) | K(CRASH) | K(TWO) | K(LAZY) | K(NO_PASS) | K(PASS_OTHER) | K(COPIER))
#define MAY_OBJECT(k)   IN(k, K(FREE) | K(FALSE_OBJECTION))
#define MAY_PASS(k)     IN(k, SOMETIMES | K(FREE) | K(CRASH) | K(TWO) | K(LAZY))                /* a chain that verifies, of its own making */
#define LIES(k, v)      IN(k, K(FREE) | (v == 1 -> K(LIE1) | K(TWO) : K(LIE2)))      /* signs a receipt of a lie */
#define VOUCHES(k, v)   IN(k, K(FREE) | K(LAZY) | (v == 1 -> K(LIE1) : K(LIE2)))     /* signs a validation of it */

/* Places in the deal. */
#define POS(h, l)  (((h) + 2 * N - (l)) % N)
#define HOST(l, p) (((l) + (p)) % N)
#define COPY(h, l) (POS(h, l) < COPIES)
#define AT(l, h)   ((l) * N + (h))
#define SEEN(l, h, j) seen[((l) * N + (h)) * N + (j)]

/* A chain: who signed the standing receipt of each leg so far (a bit each: first or second copy, the first leg's highest), and
   the value of the newest outputs: 0 is right, 1 and 2 are lies. A leg turns its input's value into the same value. 0: none. */
#define CHAIN(s, v)   ((s) * 3 + (v) + 1)
#define SIGNERS(c)    (((c) - 1) / 3)
#define VALUE(c)      (((c) - 1) % 3)
#define EXTENDED(c, p, v) CHAIN(SIGNERS(c) * 2 + (p), v)
#ifdef W_NEWEST
#define EARLIER(a, b) (SIGNERS(a) % 2 < SIGNERS(b) % 2)
#else
#define EARLIER(a, b) (SIGNERS(a) < SIGNERS(b))
#endif

bit bad[N], dead[N];
byte kind[N];
byte opener;
byte one, two;              /* the faulty hosts, where there are two */
byte chain[LEGS * N];       /* the chain a copy goes by; 0: it holds no parcel */
bit committed[LEGS * N];
bit third[LEGS * N];        /* it knows that the third copy is active */
byte seen[LEGS * N * N];
byte outcome[LEGS * N];     /* 0: none; 1, 2: settled on the first, the second copy's receipt; DISPUTED */
bit validated[LEGS * N];    /* it signed a validation of the receipt on which it settled */
#define DISPUTED 3
bit closed;
bit alike;                  /* a faulty host signed a lie, and another faulty copy of the leg validated it */
bit disputed;               /* a correct host ended the query */
#ifdef NAMING
byte objections[LEGS * N];  /* against a host, in a leg: how many correct ones */
#endif
#ifdef COPYING
byte commitment[LEGS * N];  /* the copier's, to each: 0 none, 1 to nothing, 2 to what it was shown */
bit shown[LEGS];            /* the copier has seen an answer of the leg */
#endif
#ifdef DECISIONS
byte decision;              /* the first closing, and whether another chain closed too */
#endif

#define FAULTY(j)     (bad[j] && !dead[j])
#define ACTIVE(l, h)  (COPY(h, l) && (POS(h, l) < 2 || EAGER || third[AT(l, h)]))
#define ACTIVE_TO(l, h, j) (COPY(j, l) && (POS(j, l) < 2 || EAGER || third[AT(l, h)]))
#define PLAYS(l, h)   (!bad[h] && committed[AT(l, h)] && outcome[AT(l, h)] == 0 && !GONE_ON(l, h))
#ifdef W_STAYS
#define GONE_ON(l, h) 0
#else               /* it holds a chain past this leg: it has no more to do here */
#define GONE_ON(l, h) ((l + 1 < LEGS && chain[AT(l + 1, h)] != 0) || (l + 2 < LEGS && chain[AT(l + 2, h)] != 0))
#endif
#define SETTLED(l, h) (!bad[h] && (outcome[AT(l, h)] == 1 || outcome[AT(l, h)] == 2))
#ifdef W_OBJECTION
#define FAILED(x) (x == DIFFERS || x == BROKE || x == ABSENTEE)
#else
#define FAILED(x) (x == DIFFERS || x == BROKE || x == ABSENTEE || x == OBJECTED)
#endif

/* A correct host reveals to each that has committed to it. W_REVEALED: then it stays with its chain. */
#ifdef W_REVEALED
#define REVEALED(l, h) (committed[AT(l, h)] && ((!bad[(h+1)%N] && committed[AT(l, (h+1)%N)]) || (!bad[(h+2)%N] && committed[AT(l, (h+2)%N)])))
#define MAY_BEGIN_ANEW(l, h) (outcome[AT(l, h)] == 0 && !REVEALED(l, h))
#else
#define MAY_BEGIN_ANEW(l, h) (outcome[AT(l, h)] == 0)
#endif
#define WELCOME(l, h, c) (!GONE_ON(l, h) && WELCOME_HERE(l, h, c))
#define WELCOME_HERE(l, h, c) (chain[AT(l, h)] == 0 || (EARLIER(c, chain[AT(l, h)]) && MAY_BEGIN_ANEW(l, h)))
#ifdef M_ANY_ORDER
#define STANDS_AFTER(l, i, p) (POS(i, l) != p)
#else
#define STANDS_AFTER(l, i, p) (POS(i, l) > p)
#endif

#define NONE_SETTLED(l) (!SETTLED(l, 0) && !SETTLED(l, 1) && !SETTLED(l, 2))
#ifdef NO_EXCUSE    /* P5: to be found */
#define EXCUSE 0
#else
#define EXCUSE alike
#endif

inline COMPUTE(l, h) { skip }   /* the value of its chain: nothing to store */
inline COMMIT(l, h) {
    committed[AT(l, h)] = 1;
    if
    :: COPIES == 3 && POS(h, l) == 2 -> for (k : 0 .. N-1) { third[AT(l, k)] = 1 }
    :: else
    fi
}
inline REVEAL(l, h, j) { skip } /* stored nowhere: whoever has committed may read what h committed to */

#ifdef NAMING
#define FORGET(l, h) skip
#else               /* what is not read any more is kept at one value */
#define FORGET(l, h) d_step { SEEN(l, h, 0) = WAIT; SEEN(l, h, 1) = WAIT; SEEN(l, h, 2) = WAIT }
#endif
/* A chain that verifies has come: begin with it, or anew. */
inline TAKE_OVER(l, h, c) {
    assert(bad[h] || VALUE(c) == 0 || alike);                                                           /* P1 */
    chain[AT(l, h)] = c;
    FORGET(l, h);
#ifndef W_STAYS
    if :: l > 0 -> FORGET(l - 1, h) :: else fi;
    if :: l > 1 -> FORGET(l - 2, h) :: else fi;
#endif
    if
    :: !bad[h] && ACTIVE(l, h) -> COMPUTE(l, h); COMMIT(l, h)
    :: else
    fi
}
/* The standing receipt of leg l is that of copy p. Its holder goes on with it, if it is of the next leg too. */
inline SETTLE(l, h, p) {
    outcome[AT(l, h)] = p + 1;
    FORGET(l, h);
    PASS_ON(l, h, p)
}
inline PASS_ON(l, h, p) {       /* to itself here; the others read it when they TAKE_OVER */
    if
    :: l + 1 < LEGS && COPY(h, l + 1) && WELCOME(l + 1, h, EXTENDED(chain[AT(l, h)], p, VALUE(chain[AT(l, h)]))) ->
        TAKE_OVER(l + 1, h, EXTENDED(chain[AT(l, h)], p, VALUE(chain[AT(l, h)])))
    :: else
    fi
}
inline VALIDATE(l, h, j) {
#ifdef COPYING
    assert(!NONE_SETTLED(l) || !bad[j]);                                                            /* P6 */
#endif
    validated[AT(l, h)] = 1;
    SETTLE(l, h, POS(j, l))
}
inline OBJECT(l, h, j) {
#ifdef NAMING
    objections[AT(l, j)]++;
#else
    skip
#endif
}

/* What COMPARE finds. */
inline FOUND(l, h, j, what) {
    SEEN(l, h, j) = what;
    if
    :: what == SAME && POS(j, l) < POS(h, l) && outcome[AT(l, h)] == 0 -> VALIDATE(l, h, j)
    :: what == DIFFERS -> OBJECT(l, h, j)
    :: else
    fi
#ifndef SLOW
    assert(what == SAME || bad[j])                                        /* no correct host is named by a correct one */
#endif
}
#ifdef NAMING
#define COMPARES(l, h) (!bad[h] && committed[AT(l, h)])
#else
#define COMPARES(l, h) PLAYS(l, h)
#endif
#define READS(l, h, j) (COMPARES(l, h) && SEEN(l, h, j) == WAIT && FAULTY(j) && ACTIVE_TO(l, h, j))
#define COMPARE(l, h, b) \
    :: COMPARES(l, h) && SEEN(l, h, b) == WAIT && !bad[b] && committed[AT(l, b)] && chain[AT(l, b)] == chain[AT(l, h)] -> \
        REVEAL(l, b, h); j = b; what = SAME \
    COMPARE_CHAINS(l, h, b) \
    COMPARE_FAULTY(l, h, b)
#ifdef W_CHAIN
#define COMPARE_CHAINS(l, h, b) \
    :: PLAYS(l, h) && SEEN(l, h, b) == WAIT && !bad[b] && committed[AT(l, b)] && chain[AT(l, b)] != chain[AT(l, h)] -> j = b; what = BROKE
#else
#define COMPARE_CHAINS(l, h, b)
#endif
#ifdef COPYING
#define COMPARE_FAULTY(l, h, b) \
    :: READS(l, h, b) && commitment[AT(l, h)] == 1 -> j = b; what = BROKE \
    :: READS(l, h, b) && commitment[AT(l, h)] == 2 -> j = b; what = SAME
#else
#define COMPARE_FAULTY(l, h, b) \
    :: READS(l, h, b) && MAY_SAME(kind[b]) -> j = b; what = SAME \
    :: READS(l, h, b) && MAY_DIFFER(kind[b]) -> j = b; what = DIFFERS \
    :: READS(l, h, b) && MAY_BREAK(kind[b]) -> j = b; what = BROKE
#endif

/* A validation by i has come, of the receipt of copy p: it counts if i's own receipt is in, and the same. */
#ifdef W_VALIDATION
#define COUNTS(l, h, i) (ACTIVE_TO(l, h, i) && SEEN(l, h, i) != ABSENTEE)
#else
#define COUNTS(l, h, i) (SEEN(l, h, i) == SAME)
#endif
#define KNOWN(l, h, p) (HOST(l, p) == h || bad[HOST(l, p)] || (committed[AT(l, HOST(l, p))] && chain[AT(l, HOST(l, p))] == chain[AT(l, h)]))
#ifdef LEARNING     /* P6: that the first to settle does not rest on one that computed nothing */
#define COUNTED(l) assert(!NONE_SETTLED(l))
#else
#define COUNTED(l) skip
#endif
#define VOUCHED(l, h, i, p) (PLAYS(l, h) && FAULTY(i) && MAY_VALIDATE(kind[i]) && COUNTS(l, h, i) && STANDS_AFTER(l, i, p) && KNOWN(l, h, p))
#define HEAR(l, h, i) \
    :: PLAYS(l, h) && !bad[i] && COPY(i, l) && validated[AT(l, i)] && COUNTS(l, h, i) && chain[AT(l, i)] == chain[AT(l, h)] -> \
        p = outcome[AT(l, i)] - 1 \
    :: VOUCHED(l, h, i, 0) -> COUNTED(l); p = 0 \
    :: VOUCHED(l, h, i, 1) -> COUNTED(l); p = 1

/* Patience is over. With correct hosts it is long enough, but under SLOW. */
#ifdef SLOW
#define LOST(j) 1
#elif defined(NAMING)
#define LOST(j) 0           /* the liar answers in time */
#else
#define LOST(j) bad[j]
#endif
#ifdef W_ABSENT
#define OWES(l, h, j) (SEEN(l, h, j) == WAIT)
#else
#define OWES(l, h, j) (SEEN(l, h, j) == WAIT || (SEEN(l, h, j) == SAME && POS(j, l) > POS(h, l)))
#endif
#define ABSENT(l, h, j) \
    :: atomic { PLAYS(l, h) && ACTIVE_TO(l, h, j) && OWES(l, h, j) && LOST(j) -> SEEN(l, h, j) = ABSENTEE }
/* A false objection has come. */
#define OBJECTION(l, h, j) \
    :: atomic { PLAYS(l, h) && SEEN(l, h, j) == SAME && FAULTY(j) && MAY_OBJECT(kind[j]) -> SEEN(l, h, j) = OBJECTED }

#define OTHER_ACTIVE(l, h) HOST(l, 1 - POS(h, l))
#define ACTIVATE(l, h) \
    :: atomic { COPIES == 3 && POS(h, l) < 2 && PLAYS(l, h) && !third[AT(l, h)] && !EAGER && \
        FAILED(SEEN(l, h, OTHER_ACTIVE(l, h))) -> third[AT(l, h)] = 1 } \
    :: atomic { COPIES == 3 && POS(h, l) < 2 && PLAYS(l, h) && !third[AT(l, h)] && !EAGER && FAULTY(HOST(l, 2)) -> third[AT(l, h)] = 1 } \
    :: atomic { COPIES == 3 && POS(h, l) == 2 && !bad[h] && !third[AT(l, h)] && !EAGER && chain[AT(l, h)] != 0 && \
        (ASKED(l, HOST(l, 0)) || ASKED(l, HOST(l, 1))) -> third[AT(l, h)] = 1; COMPUTE(l, h); COMMIT(l, h) }
#define ASKED(l, j) ((!bad[j] && third[AT(l, j)]) || FAULTY(j))

#define GONE(l, h, p) (HOST(l, p) == h || FAILED(SEEN(l, h, HOST(l, p))))
#define DISPUTE(l, h) \
    :: atomic { PLAYS(l, h) && GONE(l, h, 0) && GONE(l, h, 1) && (COPIES == 2 || ((EAGER || third[AT(l, h)]) && GONE(l, h, 2))) -> \
        outcome[AT(l, h)] = DISPUTED; FORGET(l, h); disputed = 1 }

/* Where a chain for leg l comes from: the opener; a correct copy that settled the leg before; another copy of this leg; a faulty
   host that validated the receipt of a correct copy; two faulty copies of the leg before. */
#define OPENED CHAIN(0, 0)
#define OPEN(l, h) \
    :: l == 0 && (!bad[opener] || !dead[opener]) && WELCOME(l, h, OPENED) -> c = OPENED
#define FROM_BEFORE(l, h, j) \
    :: l > 0 && SETTLED(l - 1, j) && COPY(j, l - 1) && WELCOME(l, h, STANDING(l - 1, j)) -> c = STANDING(l - 1, j)
#define STANDING(l, j) EXTENDED(chain[AT(l, j)], outcome[AT(l, j)] - 1, VALUE(chain[AT(l, j)]))
#ifdef W_PARCEL
#define FROM_COPY(l, h, j)
#else
#define FROM_COPY(l, h, j) \
    :: !bad[j] && COPY(j, l) && chain[AT(l, j)] != 0 && WELCOME(l, h, chain[AT(l, j)]) -> c = chain[AT(l, j)]
#endif
/* x validated the receipt of correct copy p of leg l-1, and passes it on. */
#define FORGED(l, p) EXTENDED(chain[AT(l - 1, HOST(l - 1, p))], p, VALUE(chain[AT(l - 1, HOST(l - 1, p))]))
#define CAN_FORGE(l, x, p) (l > 0 && FAULTY(x) && COPY(x, l - 1) && MAY_PASS(kind[x]) && MAY_VALIDATE(kind[x]) && STANDS_AFTER(l - 1, x, p) && \
    p < COPIES && !bad[HOST(l - 1, p)] && committed[AT(l - 1, HOST(l - 1, p))])
#define FROM_FAULTY(l, h, x, p) \
    :: CAN_FORGE(l, x, p) && WELCOME(l, h, FORGED(l, p)) -> c = FORGED(l, p)
#ifdef M_NO_DIGEST
#define FROM_OTHER(l, h, x, j) \
    :: l > 0 && FAULTY(x) && COPY(x, l - 1) && kind[x] == PASS_OTHER && SETTLED(l - 1, j) && chain[AT(l, h)] == 0 -> \
        c = EXTENDED(chain[AT(l - 1, j)], outcome[AT(l - 1, j)] - 1, 1)
#else
#define FROM_OTHER(l, h, x, j)  /* other tensors have another digest than the standing receipt states: refused */
#endif
/* x signed a receipt of value v on the chain of y, which validated it. */
#define COLLUDED(l, x, y, v) EXTENDED(chain[AT(l - 1, y)], POS(x, l - 1), v)
#define CAN_COLLUDE(l, x, y, v) (l > 0 && bad[x] && bad[y] && COPY(x, l - 1) && COPY(y, l - 1) && chain[AT(l - 1, y)] != 0 && POS(x, l - 1) < 2 && \
    STANDS_AFTER(l - 1, y, POS(x, l - 1)) && \
    (v == VALUE(chain[AT(l - 1, y)]) -> (MAY_SAME(kind[x]) && MAY_VALIDATE(kind[y])) : (LIES(kind[x], v) && VOUCHES(kind[y], v))))
#define COLLUDE_AS(l, h, x, y, v) \
    :: CAN_COLLUDE(l, x, y, v) && WELCOME(l, h, COLLUDED(l, x, y, v)) -> \
        alike = (alike || v != VALUE(chain[AT(l - 1, y)])); c = COLLUDED(l, x, y, v)
#define COLLUDE(l, h, x, y) COLLUDE_AS(l, h, x, y, 0) COLLUDE_AS(l, h, x, y, 1) COLLUDE_AS(l, h, x, y, 2)
#if FAULTS == 2
#define FROM_COLLUDERS(l, h) COLLUDE(l, h, one, two) COLLUDE(l, h, two, one)
#else
#define FROM_COLLUDERS(l, h)
#endif
#define NEXT(h) ((h + 1) % N)
#define AFTER(h) ((h + 2) % N)

proctype machine(byte l, h) {
    byte k, c, j, what, p;
end:
    do
    :: atomic {             /* a parcel comes */
        if
        OPEN(l, h)
        FROM_BEFORE(l, h, NEXT(h)) FROM_BEFORE(l, h, AFTER(h))
        FROM_COPY(l, h, NEXT(h)) FROM_COPY(l, h, AFTER(h))
        FROM_FAULTY(l, h, NEXT(h), 0) FROM_FAULTY(l, h, NEXT(h), 1) FROM_FAULTY(l, h, AFTER(h), 0) FROM_FAULTY(l, h, AFTER(h), 1)
        FROM_OTHER(l, h, NEXT(h), AFTER(h)) FROM_OTHER(l, h, AFTER(h), NEXT(h))
        FROM_COLLUDERS(l, h)
        fi;
        TAKE_OVER(l, h, c);
        c = 0; k = 0
       }
    :: atomic {             /* a reveal comes */
        if
        COMPARE(l, h, NEXT(h)) COMPARE(l, h, AFTER(h))
        fi;
        FOUND(l, h, j, what);
        j = 0; what = 0; k = 0
       }
    :: atomic {             /* a validation comes */
        if
        HEAR(l, h, NEXT(h)) HEAR(l, h, AFTER(h))
        fi;
        SETTLE(l, h, p);
        p = 0; k = 0
       }
    OBJECTION(l, h, NEXT(h)) OBJECTION(l, h, AFTER(h))
    ABSENT(l, h, NEXT(h)) ABSENT(l, h, AFTER(h))
    ACTIVATE(l, h)
    DISPUTE(l, h)
    od
}

/* A correct copy of Genesis, or any reader of a decision that a faulty one closed: CLOSE with the first chain that verifies. */
inline CLOSE(c) {
    assert(VALUE(c) == 0 || EXCUSE);                                                                    /* P1 */
#ifdef DECISIONS
    assert(decision == 0 || decision == c);
    decision = c;
#endif
    closed = 1
}
#ifdef DECISIONS    /* and the next, if it is another */
#define READS_ON(c) (decision != c)
#else
#define READS_ON(c) (!closed)
#endif
#define CLOSING(j) \
    :: atomic { SETTLED(LEGS - 1, j) && COPY(j, LEGS - 1) && READS_ON(STANDING(LEGS - 1, j)) -> CLOSE(STANDING(LEGS - 1, j)) } \
    :: atomic { CAN_FORGE(LEGS, j, 0) && READS_ON(FORGED(LEGS, 0)) -> CLOSE(FORGED(LEGS, 0)) } \
    :: atomic { CAN_FORGE(LEGS, j, 1) && READS_ON(FORGED(LEGS, 1)) -> CLOSE(FORGED(LEGS, 1)) }
#define CLOSE_AS(x, y, v) \
    :: atomic { CAN_COLLUDE(LEGS, x, y, v) && READS_ON(COLLUDED(LEGS, x, y, v)) -> \
        alike = (alike || v != VALUE(chain[AT(LEGS - 1, y)])); CLOSE(COLLUDED(LEGS, x, y, v)) }
#define CLOSE_PAIR(x, y) CLOSE_AS(x, y, 0) CLOSE_AS(x, y, 1) CLOSE_AS(x, y, 2)
#if FAULTS == 2
#define CLOSING_BY_COLLUDERS CLOSE_PAIR(one, two) CLOSE_PAIR(two, one)
#else
#define CLOSING_BY_COLLUDERS
#endif
proctype genesis() {
end:
    do
    CLOSING(0) CLOSING(1) CLOSING(2)
    CLOSING_BY_COLLUDERS
    od
}

#ifdef COPYING
#ifdef M_NO_COMMIT
#define COMMITTED_TO(l, h) 1
#else
#define COMMITTED_TO(l, h) (commitment[AT(l, h)] != 0)
#endif
/* It needs an answer before it can commit to it: from a host that reveals to it, which is one that it committed to; or from a
   validation, or tensors that go on, once a correct host has settled. */
proctype copier(byte l, x, h) {
end:
    do
    :: atomic { FAULTY(x) && ACTIVE_TO(l, h, x) && COPY(h, l) && commitment[AT(l, h)] == 0 -> commitment[AT(l, h)] = 1 }
    :: atomic { FAULTY(x) && ACTIVE_TO(l, h, x) && COPY(h, l) && commitment[AT(l, h)] == 0 && shown[l] -> commitment[AT(l, h)] = 2 }
    :: atomic { FAULTY(x) && !shown[l] && committed[AT(l, h)] && ACTIVE_TO(l, h, x) && COMMITTED_TO(l, h) -> shown[l] = 1 }
    :: atomic { FAULTY(x) && !shown[l] && SETTLED(l, h) -> shown[l] = 1 }
    od
}
#endif

proctype stop(byte h) {
    atomic { !dead[h] -> dead[h] = 1 }
}

#define ALIKE(x, y, v) (LIES(kind[x], v) && VOUCHES(kind[y], v))
#define ANY_OPENED ((!bad[0] && chain[AT(0, 0)]) || (!bad[1] && chain[AT(0, 1)]) || (!bad[2] && chain[AT(0, 2)]))

init {
    byte h, l, x;
    atomic {
#if FAULTS > 0
        select(x : 0 .. N-1);
        bad[x] = 1;
        select(h : FIRST .. LAST);
        kind[x] = h;
#endif
#if FAULTS == 2
        select(l : 1 .. N-1);
        bad[(x + l) % N] = 1;
        select(h : FIRST .. LAST);
        kind[(x + l) % N] = h;
        one = x;
        two = (x + l) % N;
#ifdef UNLIKE       /* no pair of which one signs a lie that the other validates */
        if
        :: ALIKE(one, two, 1) || ALIKE(one, two, 2) || ALIKE(two, one, 1) || ALIKE(two, one, 2) -> goto end
        :: else
        fi;
#endif
#endif
        select(opener : 0 .. COPIES-1);
        run genesis();
        for (h : 0 .. N-1) {
            for (l : 0 .. LEGS-1) {
                if
                :: COPY(h, l) && (!bad[h] || FAULTS == 2) -> run machine(l, h)
                :: else
                fi
            }
#if !defined(NAMING) && FAULTS < 2  /* what a faulty one may do it need not do: only what must be asks for a STOP */
            if
            :: bad[h] -> run stop(h)
            :: else
            fi
#endif
        }
#ifdef COPYING
        for (l : 0 .. LEGS-1) {
            run copier(l, x, (x + 1) % N);
            run copier(l, x, (x + 2) % N);
        }
#endif
        h = 0; l = 0; x = 0;
    }
    /* Nothing can move any more. */
    timeout;
#if (FAULTS < 2) && !defined(SLOW)
#if COPIES == 3
    assert(!ANY_OPENED || closed);                                                                      /* P2 */
    assert(!disputed);
#else
    assert(!ANY_OPENED || closed || disputed);                                                          /* P3 */
    /* and no correct copy waits for ever in a leg that it plays */
    for (h : 0 .. N-1) {
        for (l : 0 .. LEGS-1) {
            assert(!PLAYS(l, h));
        }
    }
#endif
#endif
#ifdef NAMING
    for (h : 0 .. N-1) {
        for (l : 0 .. LEGS-1) {
            if
            :: !bad[h] -> assert(objections[AT(l, h)] + FAULTS < 2)
            :: bad[h] && ACTIVE(l, h) -> assert(objections[AT(l, h)] == 2)                                 /* P4 */
            :: else
            fi
        }
    }
#endif
end:
    skip
}
