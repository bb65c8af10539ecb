/* Stands in for the page where it could not be built. */
#include "server/page.h"

static const unsigned char index_page[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Fathom</title>\n"
    "<h1>This server has no page</h1>\n"
    "<p>Fathom was built without node and npm, which bundle it. The routes that <a href=\"/openapi.json\">openapi.json</a> "
    "describes are all there.</p>\n</html>\n";

const struct fathom__page_file fathom__page_files[] = {
    {"/", "text/html; charset=utf-8", index_page, sizeof index_page - 1},
};
const size_t fathom__n_page_files = sizeof fathom__page_files / sizeof fathom__page_files[0];
