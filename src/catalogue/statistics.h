/* The few statistics that labels stand on. */
#ifndef FATHOM_CATALOGUE_STATISTICS_H
#define FATHOM_CATALOGUE_STATISTICS_H

#include <stdint.h>

/* ln P(X >= k) where X is the number of marked items among n drawn without replacement from `all`, of which `marked`
 * are marked. 0 for k == 0; -HUGE_VAL where it cannot be. */
double fathom__log_hypergeometric_tail(uint64_t k, uint64_t n, uint64_t marked, uint64_t all);

/* share · ln(share / background): how much a set that covers `share` of a feature's rows sets it apart from others,
 * when it covers `background` of all rows. It grows with what is covered and with how special it is, so that neither
 * "anything" nor a single odd word wins. */
double fathom__information(double share, double background);

#endif
