"""A field in the browser: looked at, asked, measured (`find-field view`). Needs the extra [view]."""
