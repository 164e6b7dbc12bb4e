/* Small random markets for the tests of the audit, and mechanisms that are broken on purpose. */
#pragma once

#include "market/audit.h"

enum { TEST_AUDIT_MOST = 8 };

typedef struct test_audit_market {
  ef_market market; /* points into this struct */
  double bid[TEST_AUDIT_MOST];
  int64_t demand[TEST_AUDIT_MOST];
} test_audit_market;

/* 2 to 7 bidders, scarce or ample, with and without costs; a pure function of `seed`. */
void test_audit_market_make(uint64_t seed, test_audit_market *m);

/* Audits `count` such markets with c = 2 and 4 further coins; `demands` as in the specification. */
void test_audit_sum(const ef_mechanism *mechanism, double vickrey_prob, bool demands, uint64_t count,
                    ef_audit *sum);

/* AERIA in variant T built anew from the functions of the core, with one fault planted. */
typedef enum test_fault {
  TEST_SOUND,
  TEST_NO_CAPACITY,
  TEST_NO_FLOOR,
  TEST_PAY_AS_BID,
  TEST_ONE_MORE,
  TEST_ONE_LESS,
  TEST_ROUND_UP,
  TEST_OFF_GRID,
  TEST_OWN_BID,
  TEST_FEE,
  TEST_LOSER_PAYS,
  TEST_FAULTS
} test_fault;

/* A mechanism that calls itself "aeria-t" and claims what that claims. */
ef_mechanism test_audit_broken(test_fault fault);
