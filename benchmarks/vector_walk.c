/* The package's own tables walked by hand-written AVX-512: sixteen walkers in two vectors, mean residence times. */
#include <immintrin.h>
#include <stdint.h>

typedef struct {
    __m512i word, a, b, count;
    __m512d clock;
} lanes;

static inline void hop(const uint64_t *table, lanes *l) {
    __m512i x = l->a, y = l->b; /* xorshift128+ */
    __m512i bits = _mm512_add_epi64(x, y);
    l->a = y;
    x = _mm512_xor_si512(x, _mm512_slli_epi64(x, 23));
    l->b = _mm512_xor_si512(_mm512_xor_si512(x, y), _mm512_xor_si512(_mm512_srli_epi64(x, 18), _mm512_srli_epi64(y, 5)));
    __m512i shift = _mm512_and_si512(_mm512_srli_epi64(l->word, 27), _mm512_set1_epi64(63));
    __m512i slot = _mm512_srlv_epi64(_mm512_srli_epi64(bits, 1), shift);
    __m512i row = _mm512_and_si512(l->word, _mm512_set1_epi64((1 << 27) - 1));
    __m512i at = _mm512_slli_epi64(_mm512_add_epi64(row, slot), 2);
    __m512i rest = _mm512_sllv_epi64(bits, _mm512_xor_si512(shift, _mm512_set1_epi64(63)));
    __m512i threshold = _mm512_i64gather_epi64(at, table, 8);
    l->clock = _mm512_add_pd(l->clock, _mm512_i64gather_pd(_mm512_add_epi64(at, _mm512_set1_epi64(3)), table, 8));
    __mmask8 second = _mm512_cmpge_epu64_mask(rest, threshold);
    __m512i which = _mm512_mask_add_epi64(_mm512_add_epi64(at, _mm512_set1_epi64(1)), second, at, _mm512_set1_epi64(2));
    l->word = _mm512_i64gather_epi64(which, table, 8);
    l->count = _mm512_add_epi64(l->count, _mm512_srai_epi64(l->word, 33));
}

double vector_walk(int64_t hops, const uint64_t *table, const uint64_t *words) {
    lanes l[2];
    for (int i = 0; i < 2; i++) {
        l[i].word = _mm512_loadu_si512(words + 8 * i);
        l[i].a = _mm512_add_epi64(_mm512_set1_epi64(0x9E3779B97F4A7C15 + i), _mm512_mullo_epi64(l[i].word, _mm512_set1_epi64(0x94D049BB133111EB)));
        l[i].b = _mm512_add_epi64(_mm512_set_epi64(11, 22, 33, 44, 55, 66, 77, 88), _mm512_set1_epi64(0xBF58476D1CE4E5B9));
        l[i].count = _mm512_setzero_si512();
        l[i].clock = _mm512_setzero_pd();
    }
    for (int64_t k = 0; k < hops; k++) {
        hop(table, &l[0]);
        hop(table, &l[1]);
    }
    double clock = 0.0;
    for (int i = 0; i < 2; i++) clock += _mm512_reduce_add_pd(l[i].clock) + 1e-300 * _mm512_reduce_add_epi64(l[i].count);
    return clock;
}
