"""Numbers that papers publish -> what pages and tables show beside ours.

The paper is HABC's (arXiv 2606.17043) where no other is named.
"""

VIABLE = 0.6
"""The paper calls a start viable where p_v(s_0) is above this (Fig. 4, left)."""

MEAN_G_SUCCESS = (0.76, 0.68, 0.86)
"""Mean g on successful rollouts, by the paper's own three tasks (Appendix G)."""

MEAN_G_RESCUE = (1.0, 1.1, 0.95)
"""Mean g on interventions with intervention reweighting, by task (Appendix G)."""

RECAP_PASSING = (0.22, 0.27, 0.19)
"""Share of the autonomous windows that pass Imit-Recap's filter, by task (Appendix B)."""

PPO_SUCCESS = 0.93
"""Success on MT10 that the paper of chunked PPO with self behaviour cloning (arXiv 2509.25718) reports for
its VLA."""

PPO_STEPS = 42.17
"""Control steps of a success that it reports, under rules that we do not know."""
