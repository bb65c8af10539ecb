#include <base/error.h>
#include <base/hash.h>
#include <base/scratch.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_xxh3_of_nothing(void **state) {
    (void)state;
    fathom__hash *hash = NULL;
    char text[33];
    assert_int_equal(fathom__hash_open(&hash), FATHOM_OK);
    fathom__hash_text(text, hash);
    /* The value that the algorithm's specification gives for an empty input and seed 0. */
    assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
    fathom__hash_close(hash);
    fathom__hash_close(NULL);
}

static void test_parts_do_not_matter(void **state) {
    (void)state;
    enum { LENGTH = 5000 };
    static unsigned char bytes[LENGTH];
    char whole[33], parts[33], early[33];
    for (size_t i = 0; i < LENGTH; i++)
        bytes[i] = (unsigned char)(i * 31 >> 3);
    fathom__hash *hash = NULL;
    assert_int_equal(fathom__hash_open(&hash), FATHOM_OK);
    fathom__hash_add(hash, bytes, LENGTH);
    fathom__hash_text(whole, hash);
    fathom__hash_close(hash);
    assert_int_equal(fathom__hash_open(&hash), FATHOM_OK);
    for (size_t done = 0, step = 1; done < LENGTH; done += step, step = step * 2 + 1) {
        if (step > LENGTH - done) step = LENGTH - done;
        fathom__hash_add(hash, bytes + done, step);
        fathom__hash_text(early, hash);
    }
    fathom__hash_text(parts, hash);
    fathom__hash_close(hash);
    assert_string_equal(parts, whole);
    assert_int_equal(strlen(whole), 32);
}

static void test_sha256(void **state) {
    (void)state;
    static char million[1000000];
    char text[65];
    assert_int_equal(fathom__sha256_file(text, scratch_text("empty", "")), FATHOM_OK);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(fathom__sha256_file(text, scratch_text("abc", "abc")), FATHOM_OK);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    /* FIPS 180's two-block message and its million a's. */
    assert_int_equal(
        fathom__sha256_file(text, scratch_text("two", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
        FATHOM_OK);
    assert_string_equal(text, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    memset(million, 'a', sizeof million);
    assert_int_equal(fathom__sha256_file(text, scratch_file("million", million, sizeof million)), FATHOM_OK);
    assert_string_equal(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    assert_int_equal(fathom__sha256_file(text, scratch("none")), FATHOM_ERROR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xxh3_of_nothing),
        cmocka_unit_test(test_parts_do_not_matter),
        cmocka_unit_test(test_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
