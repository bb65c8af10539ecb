#include "server/access.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { LONGEST_HOST = 256, LOOPBACK_NETWORK = 127 };

bool fathom__same_secret(const char *given, const char *secret) {
    const size_t n = strlen(given), length = strlen(secret);
    unsigned char different = n != length || length == 0;
    for (size_t i = 0; i < n; i++)
        different |= (unsigned char)(given[i] ^ secret[length ? i % length : 0]);
    return different == 0;
}

bool fathom__is_loopback(const char *address) {
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, address, &four) == 1) return ntohl(four.s_addr) >> 24 == LOOPBACK_NETWORK;
    return inet_pton(AF_INET6, address, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* The name or address of "name", "name:port", "[address]" or "[address]:port". */
static bool split_host(char out[LONGEST_HOST], bool *bracketed, const char *host) {
    *bracketed = host[0] == '[';
    const char *begin = host + *bracketed, *end = strchr(begin, *bracketed ? ']' : ':');
    if (*bracketed && !end) return false;
    if (!end) end = begin + strlen(begin);
    const char *port = end + *bracketed;
    if (*port != '\0' && (*port != ':' || strspn(port + 1, "0123456789") != strlen(port + 1))) return false;
    const size_t length = (size_t)(end - begin);
    if (length == 0 || length >= LONGEST_HOST) return false;
    memcpy(out, begin, length);
    out[length] = '\0';
    return true;
}

bool fathom__host_allowed(const char *host, const char *const *names, size_t n_names) {
    char name[LONGEST_HOST];
    unsigned char address[sizeof(struct in6_addr)];
    bool bracketed = false;
    if (!host || !split_host(name, &bracketed, host)) return false;
    if (bracketed) return inet_pton(AF_INET6, name, address) == 1;
    if (inet_pton(AF_INET, name, address) == 1 || strcasecmp(name, "localhost") == 0) return true;
    for (size_t i = 0; i < n_names; i++)
        if (strcasecmp(name, names[i]) == 0) return true;
    return false;
}

bool fathom__origin_allowed(const char *origin, const char *host, const char *const *origins, size_t n_origins) {
    for (size_t i = 0; i < n_origins; i++)
        if (strcasecmp(origin, origins[i]) == 0) return true;
    const char *scheme_end = strstr(origin, "://");
    if (!scheme_end || !host) return false;
    const size_t length = (size_t)(scheme_end - origin);
    const bool web =
        (length == 4 && strncasecmp(origin, "http", 4) == 0) || (length == 5 && strncasecmp(origin, "https", 5) == 0);
    return web && strcasecmp(scheme_end + 3, host) == 0;
}

bool fathom__json_depth_allowed(const char *bytes, size_t length, size_t most) {
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        const char c = bytes[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > most) return false;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}
