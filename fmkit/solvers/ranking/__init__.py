"""How machines that rank are fitted: each solver yields one Progress a sweep, as those of ratings do."""
