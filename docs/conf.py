"""Settings of Sphinx. ``python -m docs`` writes what it reads and runs it."""

from expressivity.version import __version__

project = "expressivity"
author = "The expressivity authors"
copyright = "the expressivity authors, MIT licence"
version = release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
    "docs.building.extension",
]
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist", "html_image"]
myst_heading_anchors = 3
myst_dmath_double_inline = False
nb_execution_mode = "off"  # the tests run them
suppress_warnings = ["misc.highlighting_failure"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Reference"]
python_display_short_literal_types = True
python_maximum_signature_line_length = 72
add_module_names = False

html_theme = "furo"
html_title = "expressivity"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # a page that is a file may not fetch others
html_theme_options = {"top_of_page_buttons": [], "navigation_with_keys": False}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
