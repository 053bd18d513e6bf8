# Calls that lists of classes inside other packages shut out. See rows.R.
