"""What stock LeRobot finds of Vantage: weights, policies, worlds.

    --sample_weighting.type=vantage     the credit ledger's weights in lerobot-train (below)
    --policy.type=vantage_small         the small vision-language-action policy (modeling_vantage_small.py)
    --policy.path of `vantage watch`    a checkpoint with p_v beside it (modeling_vantage_watch.py)
    --env.type=vantage_metaworld        MetaWorld as `vantage run` plays it (env_vantage_metaworld.py)
    --env.type=vantage_bimanual         two arms with soft objects (env_vantage_bimanual.py)

LeRobot imports every installed distribution named lerobot_policy_*; this one teaches it a further kind of
sample weighting too (weights.py):

    lerobot-train --dataset.root=runs/ledger/view --sample_weighting.type=vantage ...
    lerobot-train ... --sample_weighting.type=vantage \
        --sample_weighting.progress_path=round-03/4-weights.parquet

The first trains on what `vantage weights --view` wrote, and draws as Vantage does; the second on any one data
set that a ledger describes.
"""

# These register themselves with LeRobot.
from .configuration_vantage_small import VantageSmallConfig as VantageSmallConfig
from .configuration_vantage_watch import VantageWatchConfig as VantageWatchConfig
from .env_vantage_bimanual import VantageBimanualConfig as VantageBimanualConfig
from .env_vantage_metaworld import VantageMetaWorldConfig as VantageMetaWorldConfig
from .weights import LedgerWeights as LedgerWeights
from .weights import make_sample_weighter as make_sample_weighter
