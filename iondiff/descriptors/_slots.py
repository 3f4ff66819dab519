"""Where everything stands in the flat arrays that planner and kernels share.

`integers` and `reals` hold the plan: a header, then records found through offsets. `work` (double or single),
`whole` and `wide` (always double) are scratch of one thread: what one atom needs between its two passes.
"""

# Header of `integers`.
(
    PRECISION, N_SPECIES, N_MEMBERS, N_CUTOFFS, CUTOFF_KINDS, CUTOFF_RADII, ELEMENTS, MOST_FUNCTIONS,
    MOST_CHANNELS, MOST_RADIAL, MOST_ROWS, MOST_GROUPS, SAME_ROWS, MIXED_ROWS, VECTORS, MOMENTS, WIDEST,
    DEPTH, THREADS, MONOMIALS, SHELL_ROWS, HEADER,
) = range(22)  # fmt: skip
# Header of `reals`.
REACH, REALS_HEADER = range(2)

# Record of one element.
(
    E_FUNCTIONS, E_CHANNELS, E_TERMS, E_TERMS_AT, E_TERMS_REAL, E_RADIAL, E_RADIAL_AT, E_RADIAL_REAL,
    E_GROUPS, E_GROUPS_AT, E_SHELLS, E_SHELLS_AT, E_BELLS, E_SCALING, E_LAYERS, E_LAYERS_AT, E_WEIGHTS,
    E_ENERGY, E_SIZE,
) = range(19)  # fmt: skip

# Record of a group of pairs: followed by (degree, channel, root, multiple) of every eta, which is `multiple`
# times the eta numbered `root`, then by (eta, channel) of every power.
P_FIRST, P_SECOND, P_CUTOFF, P_NARROW, P_ETAS, P_POWERS, P_REAL, P_SIZE = range(8)
# Record of a shell of moments: followed by (first, second, degree, channel) of every pair of elements.
M_CUTOFF, M_DEGREE, M_PAIRS, M_REAL, M_SIZE = range(5)

# Rows of `work`, one number a neighbour; then two rows a cutoff function: value, derivative over value and r.
X, Y, Z, R, INVERSE, GX, GY, GZ, GD, SQUARE, STRETCH, CUTOFFS = range(12)

# What an element's compact bells need: counts, then rows (kind, core or cutoff, bent), sums (species, row,
# channel), and where the groups of pairs stand.
B_ROWS, B_SUMS, B_GROUPS, B_REAL, B_SIZE = range(5)
# A group of pairs: then a core an angular bell, a row a third side, (row, angle, third, channel) a function.
F_FIRST, F_SECOND, F_ANGLES, F_THIRDS, F_FUNCTIONS, F_REAL, F_SIZE = range(7)
