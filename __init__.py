"""An agent that follows ambiguous instructions without ever having seen an instruction paired with an action.

Installed, all of the repository's packages live under this name: `goalbridge.agents`, `goalbridge.envs`, and so on.
Importing it registers the Gymnasium ids, such as "goalbridge/ForkMaze-v0".
"""

import goalbridge.envs  # noqa: F401
