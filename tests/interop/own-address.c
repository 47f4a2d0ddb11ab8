/* Several routers share this machine, each on a loopback address of its own.
 * A router that cannot be told which address to dial from would dial from
 * 127.0.0.1, and its peers would not recognise it.  Preloaded, this library
 * binds outgoing TCP sockets to the address in OWN_ADDRESS first, unless they
 * go to 127.0.0.1 (a service or a proxy) or leave the loopback network.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

typedef int (*connect_call)(int, const struct sockaddr *, socklen_t);

/* Whether this is a stream to another router of the machine. */
static int goes_to_router(int socket, const struct sockaddr *to)
{
    struct sockaddr_in peer;
    int kind = 0;
    socklen_t room = sizeof kind;

    if (!to || to->sa_family != AF_INET)
        return 0;
    if (getsockopt(socket, SOL_SOCKET, SO_TYPE, &kind, &room) || kind != SOCK_STREAM)
        return 0;
    memcpy(&peer, to, sizeof peer);
    in_addr_t address = ntohl(peer.sin_addr.s_addr);
    return (address >> 24) == IN_LOOPBACKNET && address != INADDR_LOOPBACK;
}

int connect(int socket, const struct sockaddr *to, socklen_t length)
{
    connect_call next = (connect_call)dlsym(RTLD_NEXT, "connect");
    const char *own = getenv("OWN_ADDRESS");
    struct sockaddr_in local;

    memset(&local, 0, sizeof local);
    local.sin_family = AF_INET;
    if (own && inet_aton(own, &local.sin_addr) && goes_to_router(socket, to))
        bind(socket, (const struct sockaddr *)&local, sizeof local); /* bound already: it stays as it is */
    return next(socket, to, length);
}
