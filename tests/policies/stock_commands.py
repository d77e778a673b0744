"""Several of LeRobot's commands in one process, one after the other, each by its own entry point: importing
LeRobot takes longer than any of them.

python stock_commands.py '[["lerobot-eval", "--policy.path=...", ...], ["lerobot-rollout", ...]]'
"""

import json
import sys
from importlib.metadata import entry_points

for words in json.loads(sys.argv[1]):
    (command,) = entry_points(group="console_scripts", name=words[0])
    sys.argv = words
    command.load()()
