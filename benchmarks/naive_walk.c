/* Kinetic Monte Carlo on a graph as one would first write it: one walker, cumulative rates, a linear scan, a logarithm. */
#include <math.h>
#include <stdint.h>

static uint64_t s[4] = {0x9E3779B97F4A7C15u, 0xBF58476D1CE4E5B9u, 0x94D049BB133111EBu, 0x2545F4914F6CDD1Du};

static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

static double uniform(void) { /* xoshiro256+ */
    uint64_t result = s[0] + s[3], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return ((result >> 11) + 0.5) * 0x1p-53;
}

double naive_walk(int64_t hops, int64_t site, const int64_t *first, const int64_t *target, const double *cumulative,
                  const double *total, const double *step, int exponential, double *moved) {
    double clock = 0.0, x = 0.0, y = 0.0, z = 0.0;
    for (int64_t k = 0; k < hops; k++) {
        int64_t e = first[site];
        double sought = uniform() * total[site];
        while (cumulative[e] <= sought && e + 1 < first[site + 1]) e++;
        clock += (exponential ? -log(uniform()) : 1.0) / total[site];
        x += step[3 * e];
        y += step[3 * e + 1];
        z += step[3 * e + 2];
        site = target[e];
    }
    moved[0] = x;
    moved[1] = y;
    moved[2] = z;
    return clock;
}
