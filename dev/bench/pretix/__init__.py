"""pretix beside Encore: installed from its published package and called through its API, never imported, nothing of it kept here."""
