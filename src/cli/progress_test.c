/* How fast it goes, in units that leave something to read. */
#include "base/scratch.h"
#include "cli/cli.h"
#include "tests/support/check.h"
#include <string.h>
#include <unistd.h>

static void rates_have_digits(void **state) {
    (void)state;
    static const struct {
        double rate;
        const char *line;
    } cases[] = {{1234.4, "  1234 answers/s"}, {12.6, "  13 answers/s"},    {2.34, "  2.3 answers/s"},
                 {0.4, "  24 answers/min"},    {0.02, "  1.2 answers/min"}, {0.01, "  36 answers/h"},
                 {0.001, "  3.6 answers/h"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct fathom_progress progress = {
            .stage = "rate", .unit = "answers", .done = 4, .total = 4, .units_per_second = cases[i].rate};
        char text[200] = "", line[100];
        const int before = dup(STDERR_FILENO);
        FILE *file = fopen(scratch("said"), "w+");
        assert_true(before >= 0 && file);
        assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
        const int status = cli_progress(&progress, NULL);
        dup2(before, STDERR_FILENO);
        close(before);
        rewind(file);
        assert_true(fread(text, 1, sizeof text - 1, file) > 0);
        fclose(file);
        snprintf(line, sizeof line, "%s\n", cases[i].line);
        assert_int_equal(status, 0);
        if (strlen(text) < strlen(line) || strcmp(text + strlen(text) - strlen(line), line) != 0)
            fail_msg("%s: %s", cases[i].line, text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_have_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
