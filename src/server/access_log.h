/* One line of JSON for each request. */
#ifndef FATHOM_SERVER_ACCESS_LOG_H
#define FATHOM_SERVER_ACCESS_LOG_H

#include "server/exchange.h"

void fathom__access_log(struct fathom__exchange *exchange, double seconds, bool broken_off);

#endif
