"""Numbers that the HABC paper (arXiv 2606.17043) publishes -> what pages and tables show beside ours."""

VIABLE = 0.6
"""The paper calls a start viable where p_v(s_0) is above this (Fig. 4, left)."""

MEAN_G_SUCCESS = (0.76, 0.68, 0.86)
"""Mean g on successful rollouts, by the paper's own three tasks (Appendix G)."""

MEAN_G_RESCUE = (1.0, 1.1, 0.95)
"""Mean g on interventions with intervention reweighting, by task (Appendix G)."""

RECAP_PASSING = (0.22, 0.27, 0.19)
"""Share of the autonomous windows that pass Imit-Recap's filter, by task (Appendix B)."""
