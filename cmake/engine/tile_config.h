/* Put before ggml's AMX products, for two defects.
 *
 * The header of gcc 12 tells the compiler that loading a tile configuration reads 8 of its 64 bytes, so the stores of the tiles' shapes are left out and
 * the first product of a quantised matrix dies on an illegal instruction. The macro below says what is read.
 *
 * ggml configures a thread's tiles once and remembers that it did. oneDNN releases the tiles after each of its products, so that a thread that uses both
 * dies at ggml's next one. The calls `ggml_tile_config_init()` become calls of a function that always loads the configuration (some ten cycles a product);
 * the definition, whose parameter list is `(void)`, keeps existing under another name. */
#if defined(__AMX_TILE__) && defined(__GNUC__)
#include <immintrin.h>
#if !defined(__clang__)
#undef _tile_loadconfig
#define _tile_loadconfig(config) __asm__ volatile("ldtilecfg %0" : : "m"(*(const char(*)[64])(config)))
#endif

static inline void fathom_load_tiles(void) {
    struct {
        unsigned char palette, start_row, reserved[14];
        unsigned short bytes[16];
        unsigned char rows[16];
    } tiles __attribute__((aligned(64))) = {1, 0, {0}, {64, 64, 32, 32, 64, 64, 64, 64}, {8, 8, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&tiles);
}
#define ggml_tile_config_init(parameters) FATHOM_TILES_##parameters
#define FATHOM_TILES_void ggml_tiles_init_once(void)
#define FATHOM_TILES_ fathom_load_tiles()
#endif
