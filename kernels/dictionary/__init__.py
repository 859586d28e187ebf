"""What every column of every table means, said once: from here come documents, comments in stores, dbt's sources."""
