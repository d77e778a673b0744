"""Several of LeRobot's commands (and ours) in one process, one after the other, each by its own entry point:
importing LeRobot takes longer than any of them.

python stock_commands.py '[["lerobot-eval", "--policy.path=...", ...], ["lerobot-rollout", ...]]'
"""

import json
import sys
from importlib.metadata import entry_points

for words in json.loads(sys.argv[1]):
    (command,) = entry_points(group="console_scripts", name=words[0])
    sys.argv = words
    try:
        command.load()()
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise
