#include "server/access_log.h"
#include "base/json.h"
#include "base/memory.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <time.h>

/* The client's address and port, without looking names up. */
static void write_client(char *out, size_t size, const struct fathom__exchange *exchange) {
    char host[INET6_ADDRSTRLEN] = "?", port[8] = "?";
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info && info->client_addr) {
        const bool six = info->client_addr->sa_family == AF_INET6;
        (void)getnameinfo(info->client_addr, six ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in), host,
                          sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    }
    snprintf(out, size, "%s %s", host, port);
}

static void write_time(char *out, size_t size) {
    struct timespec now;
    struct tm parts;
    char seconds[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out, size, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

void fathom__access_log(struct fathom__exchange *exchange, double seconds, bool broken_off) {
    fathom_server *server = exchange->server;
    char client[INET6_ADDRSTRLEN + 16], when[64], *line = NULL;
    if (!server->options.log) return;
    write_client(client, sizeof client, exchange);
    write_time(when, sizeof when);
    json_t *entry = json_pack("{s:s, s:s, s:o, s:o, s:I, s:I, s:f, s:b}", "time", when, "client", client, "method",
                              fathom__json_string(exchange->method, strlen(exchange->method)), "path",
                              fathom__json_string(exchange->path, strlen(exchange->path)), "status",
                              (json_int_t)exchange->http_status, "bytes", (json_int_t)exchange->sent, "seconds",
                              seconds, "broken_off", (int)broken_off);
    if (entry && fathom__json_text(&line, entry, false) == FATHOM_OK) {
        pthread_mutex_lock(&server->log_lock);
        server->options.log(line, server->options.payload);
        pthread_mutex_unlock(&server->log_lock);
    }
    json_decref(entry);
    fathom_free(line);
}
