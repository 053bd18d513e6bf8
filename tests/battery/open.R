# What ours does not take yet. See rows.R.
