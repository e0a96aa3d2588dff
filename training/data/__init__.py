"""Where transactions for the workshop come from: the simulator and files that somebody else wrote."""
