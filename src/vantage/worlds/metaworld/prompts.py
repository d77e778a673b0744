"""What a person would tell the robot: one distinct sentence per task of MetaWorld, and per shared scene."""

from types import MappingProxyType

PROMPTS = MappingProxyType(
    {
        "assembly-v3": "put the ring over the peg",
        "basketball-v3": "throw the ball into the hoop",
        "bin-picking-v3": "move the cube from the left bin to the right bin",
        "box-close-v3": "put the lid on the box",
        "button-press-topdown-v3": "press the button from above",
        "button-press-topdown-wall-v3": "press the button behind the wall from above",
        "button-press-v3": "press the button on the front",
        "button-press-wall-v3": "press the front button behind the wall",
        "coffee-button-v3": "press the button of the coffee machine",
        "coffee-pull-v3": "pull the mug away from the coffee machine",
        "coffee-push-v3": "push the mug under the coffee machine",
        "dial-turn-v3": "turn the dial",
        "disassemble-v3": "take the ring off the peg",
        "door-close-v3": "close the door",
        "door-lock-v3": "lock the door",
        "door-open-v3": "open the door",
        "door-unlock-v3": "unlock the door",
        "drawer-close-v3": "close the drawer",
        "drawer-open-v3": "open the drawer",
        "faucet-close-v3": "turn the faucet off",
        "faucet-open-v3": "turn the faucet on",
        "hammer-v3": "hammer the nail into the wall",
        "hand-insert-v3": "put your hand into the hole",
        "handle-press-side-v3": "press the sideways handle down",
        "handle-press-v3": "press the handle down",
        "handle-pull-side-v3": "pull the sideways handle up",
        "handle-pull-v3": "pull the handle up",
        "lever-pull-v3": "pull the lever up",
        "peg-insert-side-v3": "insert the peg into the hole in the side of the box",
        "peg-unplug-side-v3": "unplug the peg from the side of the box",
        "pick-out-of-hole-v3": "take the puck out of the hole",
        "pick-place-v3": "pick up the puck and bring it to the goal",
        "pick-place-wall-v3": "pick up the puck and bring it over the wall to the goal",
        "plate-slide-back-side-v3": "slide the plate sideways out of the cabinet",
        "plate-slide-back-v3": "slide the plate back out of the cabinet",
        "plate-slide-side-v3": "slide the plate sideways into the cabinet",
        "plate-slide-v3": "slide the plate into the cabinet",
        "push-back-v3": "pull the puck back to the goal",
        "push-v3": "push the puck to the goal",
        "push-wall-v3": "push the puck around the wall to the goal",
        "reach-v3": "reach the goal",
        "reach-wall-v3": "reach the goal behind the wall",
        "shelf-place-v3": "put the block on the shelf",
        "soccer-v3": "push the ball into the soccer goal",
        "stick-pull-v3": "pull the thermos with the stick",
        "stick-push-v3": "push the thermos with the stick",
        "sweep-into-v3": "sweep the block into the hole",
        "sweep-v3": "sweep the block off the table",
        "window-close-v3": "close the window",
        "window-open-v3": "open the window",
    }
)

ALIKE_PROMPTS = MappingProxyType(
    {
        "reach-v3": "reach the top of the green pole with the gripper",
        "push-v3": "push the blue puck to the foot of the green pole",
        "pick-place-v3": "pick up the blue puck and lift it to the top of the green pole",
    }
)
