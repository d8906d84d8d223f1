"""From a `FrameResult` to the picture a person wants to look at.

`Renderer` puts it together; `style` holds what can be chosen, `text` and `plates` make the bitmaps, `layout` decides
where they go, `outlines` draws boxes and `anonymise` hides who it is.
"""

from sf_detect.rendering.renderer import Renderer
from sf_detect.rendering.style import RenderStyle

__all__ = ["RenderStyle", "Renderer"]
