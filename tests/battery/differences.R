# Results that differ, with who is right and how that was shown. See rows.R.
