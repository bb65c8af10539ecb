/* Who may come in. */
#ifndef FATHOM_SERVER_ACCESS_H
#define FATHOM_SERVER_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

/* Whether two texts are equal, in a time that depends on the length of `given` alone. */
bool fathom__same_secret(const char *given, const char *secret);
/* Whether an address is one of this machine only. */
bool fathom__is_loopback(const char *address);
/* Whether a Host header names the server: an address (a name is what a hostile page would use), "localhost", or one of
 * the names, with any port. */
bool fathom__host_allowed(const char *host, const char *const *names, size_t n_names);
/* Whether an Origin header is the host itself, over HTTP or HTTPS, or one of the origins. */
bool fathom__origin_allowed(const char *origin, const char *host, const char *const *origins, size_t n_origins);
/* Whether bytes nest objects and arrays at most `most` deep, strings apart. */
bool fathom__json_depth_allowed(const char *bytes, size_t length, size_t most);

#endif
