/* What a request must be before its route sees it. A refusal is the exchange's reply, and no error. */
#ifndef FATHOM_SERVER_REQUEST_CHECK_H
#define FATHOM_SERVER_REQUEST_CHECK_H

#include "server/exchange.h"

/* Of its head: who sends it, where to, with what. */
int fathom__request_check_head(struct fathom__exchange *exchange, const struct fathom__route *route, bool other_method);
/* Of its body, which becomes exchange->request. */
int fathom__request_check_body(struct fathom__exchange *exchange);

#endif
