"""The probe: an alert that tries the whole way, once a week. `rules` stands below all that treat it, `record` and `run` above."""
