/* Put before ggml's AMX products. The header of gcc 12 tells the compiler that loading a tile configuration reads 8 of its 64 bytes, so the stores of
 * the tiles' shapes are left out and the first product of a quantised matrix dies on an illegal instruction. This one says what is read. */
#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#undef _tile_loadconfig
#define _tile_loadconfig(config) __asm__ volatile("ldtilecfg %0" : : "m"(*(const char(*)[64])(config)))
#endif
