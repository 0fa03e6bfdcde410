"""What does it look like when α moves? One page for any layer and image."""

from expressivity.explorer.explore import explore, explore_samples
from expressivity.explorer.page import Page, read

__all__ = ["Page", "explore", "explore_samples", "read"]
